//! The futures that wait for a time.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use crate::{Instant, SharedClock, TimerGuard};

/// Waits until a time; made by [`SharedClock::sleep`] and [`SharedClock::sleep_until`].
///
/// The timer is armed at the first poll and disarmed on drop. After it was ready it stays ready, until
/// it is [`reset`](Sleep::reset).
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    clock: SharedClock,
    deadline: Instant,
    armed: Option<(Waker, TimerGuard)>,
}

impl Sleep {
    pub(crate) fn new(clock: SharedClock, deadline: Instant) -> Self {
        Self { clock, deadline, armed: None }
    }

    /// When it will be ready.
    ///
    /// ```
    /// use uis_clock::{Instant, SharedClock};
    /// let sleep = SharedClock::default().sleep_until(Instant::from_secs(1));
    /// assert_eq!(sleep.deadline(), Instant::from_secs(1));
    /// ```
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the time has come.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::VirtualClock;
    /// let clock = VirtualClock::new();
    /// let sleep = clock.handle().sleep(Duration::from_secs(1));
    /// assert!(!sleep.is_elapsed());
    /// clock.advance(Duration::from_secs(1));
    /// assert!(sleep.is_elapsed());
    /// ```
    pub fn is_elapsed(&self) -> bool {
        self.clock.now() >= self.deadline
    }

    /// Changes when it will be ready, earlier or later. A task that waits for it already is woken at
    /// the new time, without polling it again.
    ///
    /// ```
    /// use uis_clock::{Instant, VirtualClock};
    /// let clock = VirtualClock::new();
    /// clock.block_on(async {
    ///     let mut sleep = clock.handle().sleep_until(Instant::from_secs(1));
    ///     (&mut sleep).await;
    ///     sleep.reset(Instant::from_secs(5));
    ///     sleep.await;
    /// });
    /// assert_eq!(clock.now(), Instant::from_secs(5));
    /// ```
    pub fn reset(&mut self, at: Instant) {
        self.deadline = at;
        if let Some((waker, _old)) = self.armed.take()
            && !self.arm(&waker)
        {
            waker.wake();
        }
    }

    /// Arms the timer, unless the time has come.
    fn arm(&mut self, waker: &Waker) -> bool {
        if self.is_elapsed() {
            return false;
        }
        let timer = self.clock.wake_sleeper_at(self.deadline, waker);
        self.armed = Some((waker.clone(), timer));
        // Another thread may have moved the time meanwhile, and a virtual clock that is moved only once
        // would never fire what was armed too late.
        if self.is_elapsed() {
            self.armed = None;
        }
        self.armed.is_some()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waits = self.armed.as_ref().is_some_and(|(waker, _)| waker.will_wake(cx.waker()));
        if waits && !self.is_elapsed() {
            return Poll::Pending;
        }
        self.armed = None;
        if self.arm(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

pin_project! {
    /// A future with a time limit; made by [`SharedClock::timeout`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    pub(crate) fn new(sleep: Sleep, future: F) -> Self {
        Self { future, sleep }
    }

    /// When it gives up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::{Instant, VirtualClock};
    /// let clock = VirtualClock::new();
    /// let limited = clock.handle().timeout(Duration::from_secs(1), async {});
    /// assert_eq!(limited.deadline(), Instant::from_secs(1));
    /// ```
    pub fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    /// The future, without its limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::VirtualClock;
    /// let clock = VirtualClock::new();
    /// let limited = clock.handle().timeout(Duration::ZERO, std::future::ready(7));
    /// assert_eq!(clock.block_on(limited.into_inner()), 7);
    /// ```
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// A time limit passed: what [`SharedClock::timeout`] fails with.
///
/// As an [`io::Error`] it is [`TimedOut`](io::ErrorKind::TimedOut), so `?` works in I/O code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit has passed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
