//! One measurement: lanes that count, and a window cut out of the middle of their counting.
//!
//! What is measured (a stack, a bare smoltcp, the kernel) runs freely and adds to its lanes. A timekeeper, a
//! thread that sleeps, waits until every lane has said it is ready, lets the warm-up pass, notes all counters,
//! lets the window pass, notes them again and stops the run. So set-up and tear-down are never in the figure,
//! and the timekeeping costs the measured code nothing but its counting.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::latency::{Histogram, Recorder, Sampler};

/// How long the lanes may take to become ready. A thousand flows take a second, on a machine that does nothing else.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How long a run may take to notice that it is over.
const END_LIMIT: Duration = Duration::from_secs(20);

/// How long a measurement takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    /// Runs before anything is counted: congestion windows open, pools fill.
    pub(crate) warm_up: Duration,
    /// The window that is counted.
    pub(crate) window: Duration,
}

impl Span {
    /// A window, with a warm-up of a fifth of it, at most 200 ms.
    pub(crate) fn of(window: Duration) -> Self {
        Self { warm_up: (window / 5).min(Duration::from_millis(200)), window }
    }

    /// Longer by this factor, the warm-up as well.
    pub(crate) fn times(self, factor: u32) -> Self {
        Self { warm_up: self.warm_up * factor, window: self.window * factor }
    }

    /// Long enough for each of so many flows to have its turn several times.
    pub(crate) fn for_flows(self, flows: usize) -> Self {
        self.times(if flows < 500 { 1 } else { 3 })
    }
}

/// The counters of one measurement, and the word that it is over.
#[derive(Debug)]
pub(crate) struct Meter {
    lanes: Box<[Lane]>,
    times: Recorder,
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

/// A counter with a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(AtomicU64);

#[derive(Debug, Default)]
struct State {
    ready: usize,
    /// `drive` has returned.
    returned: bool,
    wakers: Vec<Waker>,
}

/// What a window held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// What each lane counted in the window.
    pub(crate) lanes: Vec<u64>,
    /// How long the window really was.
    pub(crate) elapsed: Duration,
    /// How long single things took in it, if that was [sampled](Meter::sampler).
    pub(crate) times: Histogram,
}

impl Reading {
    /// All lanes together, a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.lanes.iter().sum::<u64>() as f64 / self.elapsed.as_secs_f64()
    }

    /// The slowest lane's count over the fastest one's: 1 is perfectly fair, 0 means that one starved.
    pub(crate) fn slowest_to_fastest(&self) -> f64 {
        let slowest = self.lanes.iter().min().copied().unwrap_or(0);
        let fastest = self.lanes.iter().max().copied().unwrap_or(0).max(1);
        slowest as f64 / fastest as f64
    }
}

impl Meter {
    /// Runs `drive` until the window has passed.
    ///
    /// `drive` sets things up, says [`ready`](Self::ready) once for each lane, counts with [`add`](Self::add),
    /// and returns soon after [`is_stopped`](Self::is_stopped) or [`stopped`](Self::stopped) says so. If it does not,
    /// it hangs, and the process is ended with a word about it: whoever measures overnight wants to know.
    ///
    /// # Errors
    ///
    /// `drive`'s own; `TimedOut` if the lanes were not ready in a minute; `UnexpectedEof` if `drive`
    /// returned before the window began; `WouldBlock` if nothing at all was counted in it.
    pub(crate) fn measure(
        span: Span,
        lanes: usize,
        drive: impl FnOnce(&Arc<Meter>) -> io::Result<()>,
    ) -> io::Result<Reading> {
        let meter = Arc::new(Self {
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            times: Recorder::default(),
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let reading = thread::scope(|scope| {
            let timekeeper = scope.spawn(|| {
                let reading = meter.keep_time(span);
                if !meter.has_returned(END_LIMIT) {
                    eprintln!(
                        "\nwhat was measured did not end within {END_LIMIT:?} of its time: {reading:?}"
                    );
                    std::process::exit(3);
                }
                reading
            });
            // A panic in `drive` must still release the timekeeper, or the scope would never end.
            let end = EndOnDrop(&meter);
            let driven = drive(&meter);
            drop(end);
            let reading = timekeeper.join().expect("the timekeeper does not panic");
            driven.and(reading)
        })?;
        if reading.lanes.iter().all(|&count| count == 0) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "nothing was counted in the window"));
        }
        Ok(reading)
    }

    /// Says that one more lane is set up. The warm-up begins with the last of them.
    pub(crate) fn ready(&self) {
        self.lock().ready += 1;
        self.changed.notify_all();
    }

    /// Counts `n` on `lane`.
    pub(crate) fn add(&self, lane: usize, n: usize) {
        // The timekeeper needs the numbers only, not anything written before them.
        self.lanes[lane].0.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Takes the times of single things.
    pub(crate) fn sampler(&self) -> Sampler<'_> {
        Sampler::new(&self.times)
    }

    /// Ends the window now: because it has passed, or because some other bound was reached.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut self.lock().wakers);
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What one part of what is measured ended with. After the end of the measurement an error is only another part's
    /// hanging up; before it, the part that has ended ends the measurement.
    pub(crate) fn ended(&self, result: io::Result<()>) -> io::Result<()> {
        if self.is_stopped() {
            return Ok(());
        }
        self.stop();
        result
    }

    /// Whether the measurement is over.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits until the measurement is over.
    pub(crate) fn stopped(self: &Arc<Self>) -> Stopped {
        Stopped { meter: self.clone(), registered: None }
    }

    fn keep_time(&self, span: Span) -> io::Result<Reading> {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, READY_LIMIT, |s| s.ready < self.lanes.len() && !self.is_stopped())
            .unwrap_or_else(PoisonError::into_inner);
        let ready = state.ready;
        drop(state);
        if ready < self.lanes.len() && !self.is_stopped() {
            self.stop();
            let text = format!("only {ready} of {} were set up in {READY_LIMIT:?}", self.lanes.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.wait(span.warm_up);
        if self.is_stopped() {
            let text = "it ended before the measurement began";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let (begin, before, times) = (Instant::now(), self.counts(), self.times.read());
        self.wait(span.window);
        let (elapsed, after, times) = (begin.elapsed(), self.counts(), self.times.read().since(&times));
        self.stop();
        let lanes = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        Ok(Reading { lanes, elapsed, times })
    }

    /// Whether `drive` has returned, or does within `limit`.
    fn has_returned(&self, limit: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, limit, |state| !state.returned);
        waited.unwrap_or_else(PoisonError::into_inner).0.returned
    }

    /// Sleeps for `time`, or until the measurement is over.
    fn wait(&self, time: Duration) {
        let state = self.lock();
        let _ = self.changed.wait_timeout_while(state, time, |_| !self.is_stopped());
    }

    fn counts(&self) -> Vec<u64> {
        self.lanes.iter().map(|lane| lane.0.load(Ordering::Relaxed)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct EndOnDrop<'a>(&'a Meter);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().returned = true;
        self.0.stop();
    }
}

/// The future of [`Meter::stopped`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Stopped {
    meter: Arc<Meter>,
    registered: Option<Waker>,
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.meter.is_stopped() {
            return Poll::Ready(());
        }
        // Polled at every turn of the measured code: takes the lock only when the waker is a new one.
        if self.registered.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            self.registered = Some(cx.waker().clone());
            self.meter.lock().wakers.push(cx.waker().clone());
            // It may have been stopped between the first look and the registration.
            if self.meter.is_stopped() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Measures in ever longer windows until every lane has counted something: a busy machine is no failure.
    pub(crate) fn patiently(measure: impl Fn(Span) -> io::Result<Reading>) -> Reading {
        let windows = [20, 200, 2_000, 20_000].map(Duration::from_millis);
        let mut last = None;
        for window in windows {
            match measure(Span::of(window)) {
                Ok(reading) if reading.lanes.iter().all(|&count| count > 0) => return reading,
                other => last = Some(other),
            }
        }
        panic!("no window was long enough: {last:?}")
    }

    const SHORT: Span = Span { warm_up: Duration::from_millis(1), window: Duration::from_millis(5) };
    const LONG: Span = Span { warm_up: Duration::ZERO, window: Duration::from_secs(3_600) };

    #[test]
    fn counts_only_what_falls_into_the_window() {
        let measure = |span: Span| {
            let reading = Meter::measure(span, 2, |meter| {
                meter.add(0, 1 << 40); // set-up is not in the figure
                meter.ready();
                meter.ready();
                while !meter.is_stopped() {
                    meter.add(0, 1);
                    meter.add(1, 1);
                }
                Ok(())
            })?;
            assert!(reading.elapsed >= span.window);
            Ok(reading)
        };
        let reading = patiently(measure);
        assert!(reading.lanes[0] < 1 << 40, "{reading:?}");
    }

    #[test]
    fn a_bound_ends_the_window_early() {
        let reading = Meter::measure(LONG, 1, |meter| {
            meter.ready();
            // Enough for the timekeeper to have opened the window, on however slow a machine.
            while !meter.is_stopped() {
                meter.add(0, 1);
                thread::sleep(Duration::from_millis(1));
                if meter.lanes[0].0.load(Ordering::Relaxed) == 100 {
                    meter.stop();
                }
            }
            Ok(())
        });
        assert!(reading.is_ok_and(|r| r.elapsed < LONG.window));
    }

    #[test]
    fn failures_are_told_apart() {
        let broken = Meter::measure(LONG, 1, |_| Err(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let ended = Meter::measure(LONG, 1, |_| Ok(()));
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let idle = Meter::measure(SHORT, 1, |meter| {
            meter.ready();
            futures_lite::future::block_on(meter.stopped());
            Ok(())
        });
        assert_eq!(idle.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_panicking_run_does_not_hang_the_timekeeper() {
        let run = || Meter::measure(LONG, 1, |_| panic!("expected in this test"));
        assert!(std::panic::catch_unwind(run).is_err());
    }

    #[test]
    fn hanging_up_at_the_end_is_no_error() {
        let hang_up = || io::Result::Err(io::ErrorKind::ConnectionReset.into());
        let measure = |span| {
            Meter::measure(span, 1, |meter| {
                meter.ready();
                while !meter.is_stopped() {
                    meter.add(0, 1);
                }
                meter.ended(hang_up())
            })
        };
        patiently(measure);
        let early = Meter::measure(LONG, 1, |meter| meter.ended(hang_up()));
        assert_eq!(early.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_run_that_hangs_is_noticed() {
        let meter = Meter {
            lanes: Box::default(),
            times: Recorder::default(),
            stopped: AtomicBool::new(true),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        assert!(!meter.has_returned(Duration::from_millis(1)));
        drop(EndOnDrop(&meter));
        assert!(meter.has_returned(Duration::ZERO));
    }

    #[test]
    fn rates_and_fairness() {
        let reading = |lanes, elapsed| Reading { lanes, elapsed, times: Histogram::default() };
        let starved = reading(vec![0, 0], Duration::from_secs(1));
        let reading = reading(vec![30, 60, 10], Duration::from_millis(500));
        assert_eq!(reading.per_second(), 200.0);
        assert_eq!(reading.slowest_to_fastest(), 10.0 / 60.0);
        assert_eq!(starved.slowest_to_fastest(), 0.0);
    }
}
