//! `SystemClock`: real time, with no executor anywhere. And what holds for every handle.

mod common;

use std::error::Error as _;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use common::{Counter, waker};
use uis_clock::{
    Clock, Elapsed, Instant, SharedClock, Sleep, SystemClock, Timeout, TimerGuard, VirtualClock,
};

const MS: Duration = Duration::from_millis(1);
/// Longer than any machine should need; no passing test waits for it.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_waker_is_woken_with_no_executor_running_and_not_early() {
    let clock = SystemClock::new();
    let (send, woken) = mpsc::channel();
    let deadline = clock.now() + 20 * MS;
    let _timer = clock.wake_at(deadline, &waker(move || send.send(clock.now()).unwrap()));
    let at = woken.recv_timeout(LONG).unwrap();
    assert!(at >= deadline, "{at} is before {deadline}");
    // Once: the channel is closed when the waker is gone.
    assert_eq!(woken.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_passed_deadline_wakes_soon_and_from_elsewhere() {
    let clock = SystemClock::new();
    let (send, woken) = mpsc::channel();
    let ring = waker(move || send.send(thread::current().id()).unwrap());
    let _timer = clock.wake_at(Instant::ZERO, &ring);
    let _other = clock.wake_at(clock.now(), &ring);
    for _ in 0..2 {
        assert_ne!(woken.recv_timeout(LONG).unwrap(), thread::current().id());
    }
}

#[test]
fn a_dropped_guard_disarms_and_lets_the_waker_go() {
    let clock = SystemClock::new();
    let (send, woken) = mpsc::channel::<()>();
    let timer = clock.wake_at(clock.now() + LONG, &waker(move || send.send(()).unwrap()));
    drop(timer);
    // Disconnected at once: the waker was dropped, though its deadline is far.
    assert_eq!(woken.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn a_panicking_waker_loses_no_other_timer() {
    let clock = SystemClock::new();
    let (send, woken) = mpsc::channel();
    let soon = clock.now() + 5 * MS;
    let _panics = clock.wake_at(soon, &waker(|| panic!("a waker panics, as this test wants it")));
    let _fires = clock.wake_at(soon, &waker(move || send.send(()).unwrap()));
    woken.recv_timeout(LONG).unwrap();
    // And the clock goes on.
    futures_lite::future::block_on(SharedClock::from(clock).sleep(MS));
}

#[test]
fn a_waker_may_arm_and_disarm_timers() {
    let clock = SystemClock::new();
    let (send, woken) = mpsc::channel();
    let _timer = clock.wake_at(clock.now() + MS, &{
        waker(move || {
            let send = send.clone();
            drop(clock.wake_at(clock.now() + LONG, &waker(|| ())));
            std::mem::forget(clock.wake_at(clock.now() + MS, &waker(move || send.send(()).unwrap())));
        })
    });
    woken.recv_timeout(LONG).unwrap();
}

#[test]
fn never_is_never() {
    let clock = SystemClock::new();
    let counter = Counter::default();
    let never = clock.wake_at(Instant::MAX, &counter.waker());
    futures_lite::future::block_on(SharedClock::from(clock).sleep(2 * MS));
    drop(never);
    assert_eq!(counter.count(), 0);
}

#[test]
fn all_system_clocks_share_one_epoch() {
    let first = SystemClock::new();
    let second = thread::spawn(SystemClock::new).join().unwrap();
    assert_eq!(first.epoch(), second.epoch());
    assert_eq!(first.epoch(), SharedClock::default().epoch());
    // Readings in turn are in order, whichever clock they come from.
    let readings = [first.now(), second.now(), first.now(), second.now()];
    assert!(readings.is_sorted(), "{readings:?}");
    let shared = SharedClock::new(first);
    let off = shared.system_time(shared.now()).duration_since(SystemTime::now() - LONG).unwrap();
    assert!(off < 2 * LONG, "the time of day is off by {off:?}");
}

#[test]
fn timeout_fails_as_an_io_error_of_kind_timed_out() {
    fn limited() -> io::Result<()> {
        let clock = SharedClock::default();
        futures_lite::future::block_on(clock.timeout(MS, std::future::pending::<()>()))?;
        Ok(())
    }
    let error = limited().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "the time limit has passed");
    assert!(error.get_ref().unwrap().is::<Elapsed>());
    assert!(error.source().is_none());
}

#[test]
fn every_clock_becomes_a_handle() {
    #[derive(Debug)]
    struct Stopped;
    impl Clock for Stopped {
        fn now(&self) -> Instant {
            Instant::from_secs(7)
        }
        fn epoch(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
        fn wake_at(&self, _: Instant, _: &std::task::Waker) -> TimerGuard {
            TimerGuard::new(|| ())
        }
    }
    fn take(clock: impl Into<SharedClock>) -> SharedClock {
        clock.into()
    }
    let stopped = take(Stopped);
    assert_eq!(take(&stopped).now(), take(stopped.clone()).now());
    assert_eq!(format!("{stopped:?}"), "Stopped");
    let moved = VirtualClock::new();
    let (by_reference, by_value) = (take(&moved), take(moved.clone()));
    moved.advance(MS);
    assert_eq!((by_reference.now(), by_value.now()), (moved.now(), moved.now()));
}

#[test]
fn what_is_sent_between_threads_can_be() {
    fn check<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    check::<Sleep>();
    check::<Timeout<std::future::Ready<()>>>();
    check::<TimerGuard>();
    check::<SharedClock>();
    check::<SystemClock>();
    check::<VirtualClock>();
    check::<Elapsed>();
    #[cfg(feature = "tokio")]
    check::<uis_clock::TokioClock>();
}

#[test]
fn coarse_time_is_hardly_late_and_never_early() {
    let clock = SystemClock::new();
    for _ in 0..1000 {
        let before = clock.now();
        let coarse = clock.now_coarse();
        assert!(coarse <= clock.now());
        assert!(coarse + Duration::from_millis(100) > before, "{coarse} after {before}");
    }
}
