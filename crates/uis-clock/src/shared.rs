//! The handle through which everything uses a clock.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime};

use crate::{Clock, Instant, Sleep, SystemClock, Timeout, TimerGuard, VirtualClock};

/// A cheap handle to any clock: clones are clones of an [`Arc`].
///
/// Whatever takes a clock takes `impl Into<SharedClock>`, so a [`SystemClock`], a [`VirtualClock`], a
/// `TokioClock`, a clock of your own, or what `internet.clock()` returned all fit. The default is the
/// system's clock.
///
/// ```
/// use uis_clock::{SharedClock, SystemClock};
///
/// fn takes_any(clock: impl Into<SharedClock>) -> SharedClock {
///     clock.into()
/// }
/// let clock = takes_any(SystemClock::new());
/// let same = takes_any(clock.clone());
/// assert!(clock.now() <= same.now());
/// ```
#[derive(Clone)]
pub struct SharedClock {
    clock: Arc<dyn Clock>,
}

impl SharedClock {
    /// A handle to `clock`.
    ///
    /// ```
    /// use uis_clock::{SharedClock, VirtualClock};
    /// let clock = SharedClock::new(VirtualClock::new());
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn new(clock: impl Clock) -> Self {
        clock.into_shared()
    }

    pub(crate) fn keeping(clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock) }
    }

    /// The time now.
    ///
    /// ```
    /// use uis_clock::SharedClock;
    /// let clock = SharedClock::default();
    /// let start = clock.now();
    /// assert!(clock.now() >= start);
    /// ```
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A time that has been now, some milliseconds ago at most. See [`Clock::now_coarse`].
    ///
    /// ```
    /// use uis_clock::{SharedClock, VirtualClock};
    ///
    /// let clock = SharedClock::new(uis_clock::SystemClock::new());
    /// assert!(clock.now_coarse() <= clock.now());
    /// ```
    pub fn now_coarse(&self) -> Instant {
        self.clock.now_coarse()
    }

    /// The time of day at [`Instant::ZERO`].
    pub fn epoch(&self) -> SystemTime {
        self.clock.epoch()
    }

    /// The time of day at `at`, for what people read: captures, logs.
    ///
    /// It is the epoch plus `at`, so it does not follow when somebody sets the machine's clock. If the
    /// epoch is so late that the sum cannot be represented, it is the epoch.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use uis_clock::{Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH).handle();
    /// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
    /// assert_eq!(clock.system_time(Instant::from_secs(12 * 3600)), noon);
    /// ```
    pub fn system_time(&self, at: Instant) -> SystemTime {
        let epoch = self.epoch();
        epoch.checked_add(at.since_epoch()).unwrap_or(epoch)
    }

    /// A future that is ready once `d` has passed, counted from this call.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::{Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// clock.block_on(clock.handle().sleep(Duration::from_secs(60)));
    /// assert_eq!(clock.now(), Instant::from_secs(60));
    /// ```
    pub fn sleep(&self, d: Duration) -> Sleep {
        self.sleep_until(self.now() + d)
    }

    /// A future that is ready once the time has reached `at`.
    ///
    /// ```
    /// use uis_clock::{Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// clock.block_on(clock.handle().sleep_until(Instant::from_secs(60)));
    /// assert_eq!(clock.now(), Instant::from_secs(60));
    /// ```
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep::new(self.clone(), at)
    }

    /// `f`, given up with [`Elapsed`](crate::Elapsed) once `d` has passed, counted from this call.
    ///
    /// `f` is polled first, so that what is ready in the last moment counts. Dropping the future drops
    /// `f`.
    ///
    /// ```
    /// use std::io;
    /// use std::time::Duration;
    /// use uis_clock::VirtualClock;
    ///
    /// let clock = VirtualClock::new();
    /// let handle = clock.handle();
    /// clock.block_on(async {
    ///     assert_eq!(handle.timeout(Duration::from_secs(1), async { 7 }).await, Ok(7));
    ///     let late = handle.timeout(Duration::from_secs(1), std::future::pending::<()>()).await;
    ///     assert_eq!(io::Error::from(late.unwrap_err()).kind(), io::ErrorKind::TimedOut);
    /// });
    /// ```
    pub fn timeout<F: Future>(&self, d: Duration, f: F) -> Timeout<F> {
        Timeout::new(self.sleep(d), f)
    }

    /// Arms a timer: wakes `waker` once, when the time has reached `deadline`, unless the guard is
    /// dropped before. The waker never runs inside this call; see [`Clock::wake_at`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::task::Wake;
    /// use std::time::Duration;
    /// use uis_clock::{Instant, VirtualClock};
    ///
    /// struct Flag(AtomicBool);
    /// impl Wake for Flag {
    ///     fn wake(self: Arc<Self>) {
    ///         self.0.store(true, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let clock = VirtualClock::new();
    /// let flag = Arc::new(Flag(AtomicBool::new(false)));
    /// let timer = clock.handle().wake_at(Instant::from_secs(1), &flag.clone().into());
    /// clock.advance(Duration::from_secs(1));
    /// assert!(flag.0.load(Ordering::Relaxed));
    /// # drop(timer);
    /// ```
    pub fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.clock.wake_at(deadline, waker)
    }

    /// As [`wake_at`](Self::wake_at), for a program that waits for just this time; see [`Clock::wake_sleeper_at`].
    pub fn wake_sleeper_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.clock.wake_sleeper_at(deadline, waker)
    }
}

/// The system's clock.
impl Default for SharedClock {
    fn default() -> Self {
        Self::new(SystemClock::new())
    }
}

impl<C: Clock> From<C> for SharedClock {
    fn from(clock: C) -> Self {
        Self::new(clock)
    }
}

/// The same as [`VirtualClock::handle`]: the clock stays in your hand, to be moved.
impl From<&VirtualClock> for SharedClock {
    fn from(clock: &VirtualClock) -> Self {
        clock.handle()
    }
}

impl From<&SharedClock> for SharedClock {
    fn from(clock: &SharedClock) -> Self {
        clock.clone()
    }
}

/// Shows the clock behind the handle.
impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clock.fmt(f)
    }
}
