//! Time that is moved by hand, or by an executor that has nothing else to do.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::queue::{TimerKey, TimerQueue};
use crate::treadmill::{TOO_LONG, Treadmill};
use crate::unwind::Panics;
use crate::{Clock, Instant, SharedClock, TimerGuard};

/// Time that stands still until it is moved.
///
/// Move it by hand with [`advance`](VirtualClock::advance), or hand the whole program to
/// [`block_on`](VirtualClock::block_on), which moves it to the next deadline whenever there is nothing
/// else to do. Under an ordinary `block_on` a virtual clock stands still, and whoever waits for it waits
/// for ever.
///
/// Clones are handles to the same clock. It starts at [`Instant::ZERO`], which is the first of January
/// 2000 in UTC unless [`starting_at`](VirtualClock::starting_at) says otherwise: never the real time of
/// day, so that two runs are alike.
///
/// ```
/// use std::time::Duration;
/// use uis_clock::{Instant, VirtualClock};
///
/// let clock = VirtualClock::new();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), Instant::from_secs(3));
/// ```
#[derive(Clone)]
pub struct VirtualClock {
    inner: Arc<Inner>,
}

/// What those hold who can move the time.
///
/// The timers are here, and handles hold this weakly. So when nobody is left to move the time, the timers go, and with them
/// what their wakers hold: perhaps the owner of a handle, which would be a cycle.
struct Inner {
    time: Arc<Time>,
    timers: Mutex<TimerQueue>,
}

struct Time {
    epoch: SystemTime,
    /// In nanoseconds. Moved under the lock of `timers` only; read without it, since everybody asks.
    now: AtomicU64,
}

/// What everybody else holds.
struct Handle {
    time: Arc<Time>,
    inner: Weak<Inner>,
}

/// 2000-01-01 00:00:00 UTC, in seconds since the epoch of UNIX.
const YEAR_2000: Duration = Duration::from_secs(946_684_800);

/// The last deadline that the clock moves to by itself: one at the end of time means "never".
const LAST: Instant = Instant::from_nanos(u64::MAX - 1);

impl VirtualClock {
    /// A clock that stands at [`Instant::ZERO`], at the beginning of the year 2000.
    ///
    /// ```
    /// use uis_clock::{Instant, VirtualClock};
    /// assert_eq!(VirtualClock::new().now(), Instant::ZERO);
    /// ```
    pub fn new() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH + YEAR_2000)
    }

    /// A clock that stands at [`Instant::ZERO`], which is `epoch` as a time of day.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use uis_clock::{Clock, VirtualClock};
    ///
    /// let leap_day = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
    /// assert_eq!(VirtualClock::starting_at(leap_day).epoch(), leap_day);
    /// ```
    pub fn starting_at(epoch: SystemTime) -> Self {
        let time = Arc::new(Time { epoch, now: AtomicU64::new(0) });
        Self { inner: Arc::new(Inner { time, timers: Mutex::default() }) }
    }

    /// The handle that everything else takes.
    ///
    /// It does not keep the timers: once the last `VirtualClock` is dropped, nobody can move the time any more, and none
    /// fires.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::VirtualClock;
    ///
    /// let clock = VirtualClock::new();
    /// let handle = clock.handle();
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(handle.now(), clock.now());
    /// ```
    pub fn handle(&self) -> SharedClock {
        SharedClock::new(Handle { time: self.inner.time.clone(), inner: Arc::downgrade(&self.inner) })
    }

    /// The time now.
    ///
    /// ```
    /// use uis_clock::{Instant, VirtualClock};
    /// assert_eq!(VirtualClock::new().now(), Instant::ZERO);
    /// ```
    pub fn now(&self) -> Instant {
        self.inner.time.now()
    }

    /// Moves the time on by `d`, and fires every timer that comes due on the way: by deadline, then in
    /// the order of arming.
    ///
    /// Each waker sees the time of its own deadline, and a timer that a waker arms within the span fires
    /// in this call as well. At [`Instant::MAX`] the time stops.
    ///
    /// # Panics
    ///
    /// If a waker panics, after all timers have fired and the time has come to its end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::{Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// clock.advance(Duration::from_millis(1500));
    /// clock.advance(Duration::from_millis(500));
    /// assert_eq!(clock.now(), Instant::from_secs(2));
    /// ```
    pub fn advance(&self, d: Duration) {
        let target = self.now() + d;
        let mut panics = Panics::default();
        while self.inner.step(target, Some(target), &mut panics).is_some() {}
        panics.resume();
    }

    /// Moves the time to the next deadline, fires what is due there, and returns the new time; `None` if
    /// there is nothing to wait for.
    ///
    /// What the wakers arm for this very moment is left for the next call, so each call ends.
    ///
    /// # Panics
    ///
    /// If a waker panics, after all timers that were due have fired.
    ///
    /// ```
    /// use std::task::Waker;
    /// use uis_clock::{Clock, Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// let _timer = clock.wake_at(Instant::from_secs(9), Waker::noop());
    /// assert_eq!(clock.advance_to_next(), Some(Instant::from_secs(9)));
    /// assert_eq!(clock.advance_to_next(), None);
    /// ```
    pub fn advance_to_next(&self) -> Option<Instant> {
        let mut panics = Panics::default();
        let now = self.inner.step(LAST, None, &mut panics);
        panics.resume();
        now
    }

    /// The time to which [`advance_to_next`](VirtualClock::advance_to_next) would move; `None` if there
    /// is nothing to wait for. A timer for [`Instant::MAX`] is none.
    ///
    /// ```
    /// use std::task::Waker;
    /// use uis_clock::{Clock, Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// assert_eq!(clock.next_deadline(), None);
    /// let _timer = clock.wake_at(Instant::from_secs(9), Waker::noop());
    /// assert_eq!(clock.next_deadline(), Some(Instant::from_secs(9)));
    /// ```
    pub fn next_deadline(&self) -> Option<Instant> {
        let timers = self.inner.timers.lock();
        let next = timers.next_deadline().filter(|&at| at <= LAST)?;
        Some(next.max(self.now()))
    }

    /// How many timers are armed. One for [`Instant::MAX`] is not counted.
    ///
    /// ```
    /// use std::task::Waker;
    /// use uis_clock::{Clock, Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// let timer = clock.wake_at(Instant::from_secs(9), Waker::noop());
    /// let _never = clock.wake_at(Instant::MAX, Waker::noop());
    /// assert_eq!(clock.timers(), 1);
    /// drop(timer);
    /// assert_eq!(clock.timers(), 0);
    /// ```
    pub fn timers(&self) -> usize {
        self.inner.timers.lock().len_until(LAST)
    }

    /// How many of the armed timers are a program's that waits for just that time, in a [`Sleep`](crate::Sleep) or a
    /// [`Timeout`](crate::Timeout). The others are upkeep, and do not promise that anything will come of them: two
    /// hosts may probe each other for ever. One for [`Instant::MAX`] is not counted.
    ///
    /// ```
    /// use std::task::{Context, Waker};
    /// use std::time::Duration;
    /// use std::{future::Future, pin::pin};
    /// use uis_clock::{Clock, Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// let _upkeep = clock.wake_at(Instant::from_secs(9), Waker::noop());
    /// assert_eq!(clock.sleepers(), 0);
    ///
    /// let mut sleep = pin!(clock.handle().sleep(Duration::from_secs(1)));
    /// let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// assert_eq!(clock.sleepers(), 1);
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(clock.sleepers(), 0);
    /// ```
    pub fn sleepers(&self) -> usize {
        self.inner.timers.lock().sleepers()
    }

    /// Runs `f` to its end on this thread, moving the time to the next deadline whenever nothing is
    /// runnable.
    ///
    /// Time moves only while `f` waits, and then at once, so hours pass in moments and what happens
    /// depends on nothing but `f`. A wake-up from another thread counts as soon as it is there; but work
    /// that goes on elsewhere is not waited for, since the clock cannot know of it. So everything that
    /// takes part belongs on this thread, as parts of `f`.
    ///
    /// Inside, [`VirtualClock::current`] is this clock.
    ///
    /// # Panics
    ///
    /// With `deadlock: …` if nothing is runnable and no timer is armed: then nothing could ever happen. Likewise if for 30 days
    /// of this clock, and over ten thousand deadlines, nobody [sleeps](VirtualClock::sleepers): two hosts that both only
    /// write, and wait for the other to read, probe each other's window for ever. That takes some seconds; a simulation
    /// of `uis-sim` finds out at once, and who waits for what. And if `f` or the waker of a timer panics.
    ///
    /// ```
    /// use std::time::Duration;
    /// use futures_lite::future::zip;
    /// use uis_clock::{Instant, VirtualClock};
    ///
    /// let clock = VirtualClock::new();
    /// let handle = clock.handle();
    /// let short = async {
    ///     handle.sleep(Duration::from_secs(3600)).await;
    ///     handle.now()
    /// };
    /// let long = handle.sleep(Duration::from_secs(7200));
    /// let (at, ()) = clock.block_on(zip(short, long));
    /// assert_eq!(at, Instant::from_secs(3600));
    /// assert_eq!(clock.now(), Instant::from_secs(7200));
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, f: F) -> F::Output {
        let _current = Current::set(self.handle());
        let runnable = Arc::new(Runnable::default());
        let waker = Waker::from(runnable.clone());
        let mut cx = Context::from_waker(&waker);
        let mut f = pin!(f);
        let mut treadmill = Treadmill::new(self.now());
        loop {
            if let Poll::Ready(output) = f.as_mut().poll(&mut cx) {
                return output;
            }
            while !runnable.take() {
                // Another thread may have woken it after the look above, and that counts.
                match self.advance_to_next() {
                    None if !runnable.is_set() => {
                        panic!("deadlock: at {} nothing is runnable and no timer is armed", self.now())
                    }
                    Some(now) if treadmill.is_endless(self) => panic!(
                        "deadlock: at {now} nobody has slept for {} days, and timers of the network go on for ever",
                        TOO_LONG.as_secs() / 86_400
                    ),
                    _ => {}
                }
            }
        }
    }

    /// The clock whose [`block_on`](VirtualClock::block_on) runs on this thread, the innermost one if
    /// they are nested; `None` outside of any.
    ///
    /// It is there for adapters to traits that ask for the time with no `self` at hand. Whoever can hold
    /// a [`SharedClock`] holds one.
    ///
    /// ```
    /// use uis_clock::VirtualClock;
    ///
    /// assert!(VirtualClock::current().is_none());
    /// let clock = VirtualClock::new();
    /// clock.block_on(async {
    ///     assert_eq!(VirtualClock::current().unwrap().now(), clock.now());
    /// });
    /// ```
    pub fn current() -> Option<SharedClock> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }
}

impl Time {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Acquire))
    }

    /// Moves the time forward to `at`, never back: another thread may have moved it further.
    fn move_to(&self, at: Instant) -> Instant {
        Instant::from_nanos(self.now.fetch_max(at.as_nanos(), Ordering::AcqRel)).max(at)
    }
}

impl Inner {
    /// Moves to the next deadline that is not after `limit` and fires what is due there; if there is
    /// none, moves to `rest`. Fires the others when a waker panics, and keeps the first panic.
    fn step(&self, limit: Instant, rest: Option<Instant>, panics: &mut Panics) -> Option<Instant> {
        let (now, due) = {
            // Looking for a deadline and moving the time are one: who arms a timer after the look sees
            // the new time.
            let timers = self.timers.lock();
            let Some(next) = timers.next_deadline().filter(|&at| at <= limit) else {
                rest.map(|at| self.time.move_to(at));
                return None;
            };
            let now = self.time.move_to(next);
            (now, timers.due(now).collect::<Vec<_>>())
        };
        for key in due {
            // One by one, since a waker may disarm a timer that is due after it.
            let waker = self.timers.lock().remove(key);
            if let Some(waker) = waker {
                panics.catch(|| waker.wake());
            }
        }
        Some(now)
    }
}

impl Clock for Handle {
    fn now(&self) -> Instant {
        self.time.now()
    }

    fn epoch(&self) -> SystemTime {
        self.time.epoch
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.clock().map_or_else(TimerGuard::idle, |clock| clock.wake_at(deadline, waker))
    }

    fn wake_sleeper_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.clock().map_or_else(TimerGuard::idle, |clock| clock.wake_sleeper_at(deadline, waker))
    }
}

impl Handle {
    /// `None` once nobody can move the time any more.
    fn clock(&self) -> Option<VirtualClock> {
        self.inner.upgrade().map(|inner| VirtualClock { inner })
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.inner.time.now()
    }

    fn epoch(&self) -> SystemTime {
        self.inner.time.epoch
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        let waker = waker.clone();
        let key = self.inner.timers.lock().arm(deadline, waker);
        self.guard(key)
    }

    fn wake_sleeper_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        if deadline > LAST {
            return self.wake_at(deadline, waker); // nobody sleeps until "never"
        }
        let waker = waker.clone();
        let key = self.inner.timers.lock().arm_sleeper(deadline, waker);
        self.guard(key)
    }

    fn into_shared(self) -> SharedClock {
        self.handle()
    }
}

impl VirtualClock {
    fn guard(&self, key: TimerKey) -> TimerGuard {
        // Weak: a waker often owns the one who keeps the guard, and that would be a cycle.
        let inner = Arc::downgrade(&self.inner);
        TimerGuard::new(move || {
            if let Some(inner) = inner.upgrade() {
                let waker = inner.timers.lock().remove(key);
                drop(waker);
            }
        })
    }
}

/// The same as [`VirtualClock::new`].
impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timers = self.inner.timers.lock().len();
        f.debug_struct("VirtualClock").field("now", &self.now()).field("timers", &timers).finish()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clock() {
            Some(clock) => clock.fmt(f),
            None => f.debug_struct("VirtualClock").field("now", &self.time.now()).finish_non_exhaustive(),
        }
    }
}

/// Whether the future of a `block_on` was woken.
#[derive(Default)]
struct Runnable(AtomicBool);

impl Runnable {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Runnable {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

thread_local! {
    static CURRENT: RefCell<Option<SharedClock>> = const { RefCell::new(None) };
}

/// Makes a clock the current one of its thread, until dropped.
struct Current {
    outer: Option<SharedClock>,
}

impl Current {
    fn set(clock: SharedClock) -> Self {
        Self { outer: CURRENT.replace(Some(clock)) }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        let outer = self.outer.take();
        let inner = CURRENT.try_with(|current| current.replace(outer));
        drop(inner);
    }
}
