//! What a clock must do, and the guard that disarms a timer.

use std::fmt;
use std::task::Waker;
use std::time::SystemTime;

use crate::{Instant, SharedClock};

/// A source of time that can wake someone later.
///
/// Implement it for a clock of your own; use it through [`SharedClock`](crate::SharedClock).
///
/// ```
/// use std::task::Waker;
/// use std::time::{Duration, SystemTime};
/// use uis_clock::{Clock, Instant, SharedClock, SystemClock, TimerGuard};
///
/// /// Runs one hour ahead of the system's clock.
/// #[derive(Debug)]
/// struct Ahead(SystemClock);
/// const AHEAD: Duration = Duration::from_secs(3600);
///
/// impl Clock for Ahead {
///     fn now(&self) -> Instant {
///         self.0.now() + AHEAD
///     }
///     fn epoch(&self) -> SystemTime {
///         self.0.epoch()
///     }
///     fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
///         self.0.wake_at(deadline - AHEAD, waker)
///     }
/// }
///
/// let clock = SharedClock::new(Ahead(SystemClock::new()));
/// assert!(clock.now() >= Instant::from_secs(3600));
/// ```
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The time now. It never steps back.
    fn now(&self) -> Instant;

    /// A time that has been now, some milliseconds ago at most, for those who ask often and need no more. It may lie before
    /// what [`now`](Clock::now) has said already.
    ///
    /// By default it is [`now`](Clock::now), which is right for every clock whose time is read at little cost.
    fn now_coarse(&self) -> Instant {
        self.now()
    }

    /// The time of day at [`Instant::ZERO`], the same for the whole life of a clock.
    fn epoch(&self) -> SystemTime;

    /// Arms a timer: wakes `waker` once, when the time has reached `deadline`, unless the returned
    /// guard is dropped before.
    ///
    /// The waker runs later, not inside this call, also when `deadline` has passed already; then it
    /// runs as soon as the clock can. (A [`VirtualClock`](crate::VirtualClock) can when it is driven
    /// next. Whoever shares one between threads looks at [`now`](Clock::now) once more after arming,
    /// as [`Sleep`](crate::Sleep) does, in case the time was moved meanwhile.) It never runs before
    /// `deadline`.
    ///
    /// The waker may run on a thread of the clock's, so it must not block. [`Instant::MAX`] means
    /// "never".
    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard;

    /// As [`wake_at`](Clock::wake_at), for a program that waits for just this time; what [`Sleep`](crate::Sleep) calls.
    ///
    /// All other timers are somebody's upkeep, such as a network's retransmissions and probes, which may go on
    /// although no program gets anywhere. A clock need not care, and by default none does; see
    /// [`VirtualClock::sleepers`](crate::VirtualClock::sleepers). A clock that wraps another one hands this on.
    fn wake_sleeper_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.wake_at(deadline, waker)
    }

    /// The handle that [`SharedClock::new`] makes of this clock. By default it keeps the clock, with its timers.
    ///
    /// A [`VirtualClock`](crate::VirtualClock)'s does not keep the timers: when nobody is left to move the time, they go.
    fn into_shared(self) -> SharedClock
    where
        Self: Sized,
    {
        SharedClock::keeping(self)
    }
}

/// Keeps a timer armed: dropping it disarms the timer.
///
/// After the timer has fired, dropping it does nothing. A waker that is being run on another thread
/// in just this moment is not waited for.
///
/// ```
/// use std::task::Waker;
/// use std::time::Duration;
/// use uis_clock::{Clock, Instant, VirtualClock};
///
/// let clock = VirtualClock::new();
/// let timer = clock.wake_at(Instant::from_secs(1), Waker::noop());
/// assert_eq!(clock.next_deadline(), Some(Instant::from_secs(1)));
/// drop(timer);
/// assert_eq!(clock.next_deadline(), None);
/// ```
#[must_use = "dropping the guard disarms the timer"]
pub struct TimerGuard {
    cancel: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl TimerGuard {
    /// A guard that calls `cancel` when it is dropped.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use uis_clock::TimerGuard;
    ///
    /// let cancelled = Arc::new(AtomicBool::new(false));
    /// let guard = TimerGuard::new({
    ///     let cancelled = cancelled.clone();
    ///     move || cancelled.store(true, Ordering::Relaxed)
    /// });
    /// drop(guard);
    /// assert!(cancelled.load(Ordering::Relaxed));
    /// ```
    pub fn new(cancel: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { cancel: Some(Box::new(cancel)) }
    }

    /// The guard of a timer that will never fire.
    pub(crate) fn idle() -> Self {
        Self { cancel: None }
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}

impl fmt::Debug for TimerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerGuard").finish_non_exhaustive()
    }
}
