//! Real time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant as StdInstant, SystemTime};

use async_io::Timer;
#[cfg(target_os = "linux")]
use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;

#[cfg(not(target_os = "linux"))]
use crate::instant::saturating_nanos;
use crate::{Clock, Instant, TimerGuard};

/// Real time: monotonic, in nanoseconds.
///
/// All system clocks of a process share one epoch, the moment at which the first of them was made, so
/// their [`Instant`]s can be compared. Timers fire on the background thread of the `async-io` crate
/// (or inside its `block_on`): no executor needs to run.
///
/// ```
/// use std::time::Duration;
/// use uis_clock::{SharedClock, SystemClock};
///
/// let clock = SharedClock::new(SystemClock::new());
/// let start = clock.now();
/// futures_lite::future::block_on(clock.sleep(Duration::from_millis(2)));
/// assert!(clock.now() - start >= Duration::from_millis(2));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    // Copied from the process's one anchor, which saves the look-up on every call of `now`.
    anchor: Anchor,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// A little before `monotonic`, so that a timer for the latter never fires before its deadline by the former.
    ticks: Ticks,
    monotonic: StdInstant,
    time_of_day: SystemTime,
}

/// A reading of the machine's monotonic clock, as the kernel gives it: [`StdInstant`] costs a quarter more.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
struct Ticks(u64);

#[cfg(target_os = "linux")]
impl Ticks {
    fn read(clock: ClockId) -> Self {
        let time = clock_gettime(clock).expect("Linux has this clock since 2.6.32");
        Self(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
    }

    fn now() -> Self {
        Self::read(ClockId::CLOCK_MONOTONIC)
    }

    fn elapsed(self) -> Instant {
        Instant::from_nanos(Self::now().0.saturating_sub(self.0))
    }

    /// By the last tick of the kernel's timer. That costs a fifth.
    fn elapsed_coarse(self) -> Instant {
        Instant::from_nanos(Self::read(ClockId::CLOCK_MONOTONIC_COARSE).0.saturating_sub(self.0))
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy, Debug)]
struct Ticks(StdInstant);

#[cfg(not(target_os = "linux"))]
impl Ticks {
    fn now() -> Self {
        Self(StdInstant::now())
    }

    fn elapsed(self) -> Instant {
        Instant::from_nanos(saturating_nanos(self.0.elapsed()))
    }

    fn elapsed_coarse(self) -> Instant {
        self.elapsed()
    }
}

impl SystemClock {
    /// The system's clock.
    ///
    /// ```
    /// use uis_clock::{Clock, SystemClock};
    /// assert_eq!(SystemClock::new().epoch(), SystemClock::new().epoch());
    /// ```
    pub fn new() -> Self {
        static ANCHOR: OnceLock<Anchor> = OnceLock::new();
        let now =
            || Anchor { ticks: Ticks::now(), monotonic: StdInstant::now(), time_of_day: SystemTime::now() };
        Self { anchor: *ANCHOR.get_or_init(now) }
    }

    /// The time of day that belongs to a reading of the machine's monotonic clock.
    #[cfg(feature = "tokio")]
    pub(crate) fn time_of_day(&self, at: StdInstant) -> SystemTime {
        let Anchor { monotonic, time_of_day, .. } = self.anchor;
        match at.checked_duration_since(monotonic) {
            Some(after) => time_of_day + after,
            None => time_of_day - (monotonic - at),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        self.anchor.ticks.elapsed()
    }

    fn now_coarse(&self) -> Instant {
        self.anchor.ticks.elapsed_coarse()
    }

    fn epoch(&self) -> SystemTime {
        self.anchor.time_of_day
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        let slot = Arc::new(Slot(Mutex::new(Some(waker.clone()))));
        let slot_waker = Waker::from(slot.clone());
        let mut cx = Context::from_waker(&slot_waker);
        let mut at = self.anchor.monotonic.checked_add(deadline.since_epoch());
        let mut soon = Duration::from_micros(20);
        let timer = loop {
            let mut timer = at.map_or_else(Timer::never, Timer::at);
            if Pin::new(&mut timer).poll(&mut cx).is_pending() {
                break timer;
            }
            // The deadline has passed. The waker must not run in here, so it runs in a moment.
            at = StdInstant::now().checked_add(soon);
            soon *= 2;
        };
        TimerGuard::new(move || {
            drop(timer);
            let waker = slot.0.lock().take();
            drop(waker);
        })
    }
}

/// What async-io holds in place of the caller's waker. It drops the wakers of removed timers while
/// its own lock is held, and dropping a waker can run anything.
struct Slot(Mutex<Option<Waker>>);

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
