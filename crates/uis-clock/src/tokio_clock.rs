//! The time of a tokio runtime.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant as TokioInstant, Sleep};

use crate::instant::saturating_nanos;
use crate::queue::TimerQueue;
use crate::{Clock, Instant, SystemClock, TimerGuard};

/// The time of a tokio runtime, also while that is paused.
///
/// In a `#[tokio::test(start_paused = true)]`, tokio moves the time to the next timer whenever all tasks
/// wait. With this clock the timers of stacks and internets take part in that, so an hour of simulated
/// time passes in moments. With the system's clock, in the same test, an hour's tokio timeout would fire
/// while a packet waits for a real millisecond.
///
/// The runtime is the one in which the clock was made. Timers fire in a task of it that lives only while
/// timers are armed, so while the runtime runs, with tokio's resolution of one millisecond, never early.
/// Once the runtime has shut down, nothing fires any more, and nothing panics.
///
/// Clones are handles to the same clock. Two clocks that were made apart have different epochs, so share
/// one, best as the [`SharedClock`](crate::SharedClock) that an internet hands out.
///
/// ```
/// use std::time::Duration;
/// use uis_clock::{SharedClock, TokioClock};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let clock = SharedClock::new(TokioClock::new());
/// let start = clock.now();
/// tokio::time::sleep(Duration::from_secs(1800)).await;
/// clock.sleep(Duration::from_secs(1800)).await;
/// assert!(clock.now() - start >= Duration::from_secs(3600));
/// # }
/// ```
#[derive(Clone)]
pub struct TokioClock {
    runtime: Handle,
    /// Tokio's time at [`Instant::ZERO`].
    base: TokioInstant,
    epoch: SystemTime,
    alarm: Arc<Alarm>,
}

impl TokioClock {
    /// The clock of the runtime that this is called in. Its time starts now, at zero.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and in one that was built without its timer (`enable_time`).
    ///
    /// ```
    /// use uis_clock::{Clock, Instant, TokioClock};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// assert_eq!(TokioClock::new().now(), Instant::ZERO);
    /// # }
    /// ```
    #[allow(clippy::new_without_default)] // since it can panic
    #[track_caller]
    pub fn new() -> Self {
        let Ok(runtime) = Handle::try_current() else {
            panic!("TokioClock::new was called outside a tokio runtime");
        };
        Self::with_handle(runtime)
    }

    /// The clock of the runtime of `handle`, for code that runs outside it. Its time starts now, at
    /// zero.
    ///
    /// # Panics
    ///
    /// If the runtime was built without its timer (`enable_time`).
    ///
    /// ```
    /// use uis_clock::TokioClock;
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// let clock = TokioClock::with_handle(runtime.handle().clone());
    /// # drop(clock);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn with_handle(handle: Handle) -> Self {
        let base = {
            let _entered = handle.enter();
            // Without a timer this panics: here, rather than later and unseen in a task.
            drop(tokio::time::sleep(Duration::ZERO));
            TokioInstant::now()
        };
        let epoch = SystemClock::new().time_of_day(base.into_std());
        Self { runtime: handle, base, epoch, alarm: Arc::default() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        // Outside its runtime, tokio would tell the real time, even while the time is paused.
        let _entered = self.runtime.enter();
        Instant::from_nanos(saturating_nanos(TokioInstant::now().saturating_duration_since(self.base)))
    }

    fn epoch(&self) -> SystemTime {
        self.epoch
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        let waker = waker.clone();
        let mut state = self.alarm.state.lock();
        if state.closed {
            drop(state);
            return TimerGuard::new(|| {});
        }
        let key = state.timers.arm(deadline, waker);
        let start = !state.running;
        state.running = true;
        let nudge = if deadline < state.aim { state.task.take() } else { None };
        drop(state);
        if start {
            let task = AlarmTask { base: self.base, alarm: self.alarm.clone(), sleep: None, ended: false };
            self.runtime.spawn(task);
        }
        if let Some(task) = nudge {
            task.wake();
        }
        // Weak: a waker often owns the one who keeps the guard, and that would be a cycle.
        let alarm = Arc::downgrade(&self.alarm);
        TimerGuard::new(move || {
            let Some(alarm) = alarm.upgrade() else { return };
            let mut state = alarm.state.lock();
            let waker = state.timers.remove(key);
            // If the task waits for just this timer it must look again, or a paused clock would be
            // moved to a deadline that nobody has any more.
            let moved = waker.is_some() && state.timers.next_deadline().is_none_or(|at| at > state.aim);
            let nudge = if moved { state.task.take() } else { None };
            drop(state);
            drop(waker);
            if let Some(task) = nudge {
                task.wake();
            }
        })
    }
}

impl fmt::Debug for TokioClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timers = self.alarm.state.lock().timers.len();
        f.debug_struct("TokioClock").field("timers", &timers).finish_non_exhaustive()
    }
}

/// What a clock and its task share.
#[derive(Default)]
struct Alarm {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    timers: TimerQueue,
    /// Whether a task is there to fire them.
    running: bool,
    /// The deadline that the task waits for.
    aim: Instant,
    /// Wakes the task while it waits; taken by whoever does so.
    task: Option<Waker>,
    /// The runtime is gone: nothing is armed any more.
    closed: bool,
}

/// The task that fires timers. It ends when none is armed, so a clock that is not in use leaves nothing
/// behind in the runtime.
struct AlarmTask {
    base: TokioInstant,
    alarm: Arc<Alarm>,
    sleep: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// How many timers fire before other tasks get their turn.
const BUDGET: usize = 64;

impl Future for AlarmTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Awake: what the wakers arm below needs no nudge.
        let awake = this.alarm.state.lock().task.take();
        drop(awake);
        let mut fired = 0;
        loop {
            let now = Instant::from_nanos(saturating_nanos(
                TokioInstant::now().saturating_duration_since(this.base),
            ));
            let mut state = this.alarm.state.lock();
            let due = state.timers.due(now).next();
            if let Some(key) = due {
                let waker = state.timers.remove(key);
                drop(state);
                // A waker that panics must not take the others with it. The panic has been reported by
                // the panic hook.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.map(Waker::wake)));
                fired += 1;
                if fired == BUDGET {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            let Some(aim) = state.timers.next_deadline() else {
                this.ended = true;
                state.running = false;
                return Poll::Ready(());
            };
            state.aim = aim;
            let old = state.task.replace(cx.waker().clone());
            drop(state);
            drop(old);

            // The end of time means "never": a paused clock must not be moved there.
            let at = if aim == Instant::MAX { None } else { this.base.checked_add(aim.since_epoch()) };
            let Some(at) = at else {
                this.sleep = None;
                return Poll::Pending;
            };
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// A task that is dropped before its end was dropped by its runtime: the wakers are let go, since they
/// will never be called and may own the one who keeps the clock.
impl Drop for AlarmTask {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.alarm.state.lock();
        state.closed = true;
        let forgotten = (std::mem::take(&mut state.timers), state.task.take());
        drop(state);
        drop(forgotten);
    }
}
