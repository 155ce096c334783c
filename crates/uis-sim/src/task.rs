//! Tasks: what the executor knows of each, and the handle of who has spawned it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use uis_clock::Instant;

/// The tasks that are to be polled, first come, first served.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    state: Mutex<Ready>,
}

#[derive(Default)]
struct Ready {
    tasks: VecDeque<Arc<Task>>,
    closed: bool,
}

impl ReadyQueue {
    fn push(&self, task: Arc<Task>) {
        let mut state = self.state.lock();
        // Dropped, if at all, without the lock.
        let refused = if state.closed {
            Some(task)
        } else {
            state.tasks.push_back(task);
            None
        };
        drop(state);
        drop(refused);
    }

    pub(crate) fn pop(&self) -> Option<Arc<Task>> {
        self.state.lock().tasks.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().tasks.is_empty()
    }

    /// The run is over: nothing is polled from here on. What is queued refers back to the queue.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        drop(tasks);
    }
}

/// All that is known of a task but its future. It is the task's waker.
pub(crate) struct Task {
    pub(crate) id: u64,
    name: Option<String>,
    spawned_at: &'static Location<'static>,
    /// Whether it serves the simulation rather than the program, so that it is no progress when it is polled.
    pub(crate) upkeep: bool,
    ready: Arc<ReadyQueue>,
    queued: AtomicBool,
    aborted: AtomicBool,
    polls: AtomicU64,
    polled_at: AtomicU64,
    waits: Mutex<BTreeMap<u64, String>>,
}

impl Task {
    /// A task that is to be polled at once.
    pub(crate) fn start(
        id: u64,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
        upkeep: bool,
        ready: &Arc<ReadyQueue>,
    ) -> Arc<Self> {
        let task = Arc::new(Self {
            id,
            name,
            spawned_at,
            upkeep,
            ready: ready.clone(),
            queued: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            polls: AtomicU64::new(0),
            polled_at: AtomicU64::new(0),
            waits: Mutex::default(),
        });
        task.wake_by_ref();
        task
    }

    /// It is being polled, so a wake from here on asks for another poll.
    pub(crate) fn on_poll(&self, now: Instant) {
        self.queued.store(false, Ordering::Release);
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.polled_at.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// It is dropped at its next turn.
    pub(crate) fn abort(self: &Arc<Self>) {
        self.aborted.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Notes what it waits for, or that it does not any more.
    pub(crate) fn set_wait(&self, key: u64, what: Option<&str>) {
        let mut waits = self.waits.lock();
        match what {
            Some(what) if !waits.contains_key(&key) => drop(waits.insert(key, what.to_owned())),
            Some(_) => {}
            None => drop(waits.remove(&key)),
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.clone());
        }
    }
}

/// A line of the report: who, since when, what for.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.spawned_at)?,
            None => write!(f, "task {} ({})", self.id, self.spawned_at)?,
        }
        let polls = self.polls.load(Ordering::Relaxed);
        let at = Instant::from_nanos(self.polled_at.load(Ordering::Relaxed));
        match polls {
            0 => f.write_str(": not polled yet")?,
            1 => write!(f, ": polled once, at {at}")?,
            _ => write!(f, ": polled {polls} times, last at {at}")?,
        }
        let waits = self.waits.lock();
        for (i, what) in waits.values().enumerate() {
            write!(f, "{} {what}", if i == 0 { "; waits for" } else { " and" })?;
        }
        Ok(())
    }
}

/// A spawned task, from [`Sim::spawn`](crate::Sim::spawn): a future of what the task returns.
///
/// Dropping it lets the task go on. If the task panics, the whole simulation does, so there is no error here.
///
/// ```
/// use std::time::Duration;
/// use uis_sim::Simulation;
///
/// let answer = Simulation::new().run(async |sim| {
///     let task = sim.spawn({
///         let sim = sim.clone();
///         async move {
///             sim.sleep(Duration::from_secs(7)).await;
///             42
///         }
///     });
///     assert!(!task.is_finished());
///     task.await
/// });
/// assert_eq!(answer, 42);
/// ```
#[doc(alias = "task")]
pub struct JoinHandle<T> {
    task: Arc<Task>,
    outcome: Arc<Outcome<T>>,
    /// Who waits here, to be told when it is asked for what.
    waits_in: Option<Arc<Task>>,
    current: Arc<Mutex<Option<Arc<Task>>>>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(
        task: Arc<Task>,
        outcome: Arc<Outcome<T>>,
        current: Arc<Mutex<Option<Arc<Task>>>>,
    ) -> Self {
        Self { task, outcome, waits_in: None, current }
    }

    /// Whether the task has returned, so that awaiting it would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.outcome.state.lock().value.is_some()
    }

    /// Ends the task: it is not polled again, and its future is dropped at its next turn. One that has returned
    /// meanwhile is not affected.
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     sim.spawn(std::future::pending::<()>()).abort();
    /// });
    /// ```
    pub fn abort(self) {
        self.task.abort();
    }

    fn stop_waiting(&mut self) {
        if let Some(task) = self.waits_in.take() {
            task.set_wait(self.key(), None);
        }
    }

    fn key(&self) -> u64 {
        // Below those of `waiting_for`, and of its own for each task that is waited for.
        self.task.id
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(value) = self.outcome.take() {
            self.stop_waiting();
            return Poll::Ready(value);
        }
        let waker = cx.waker().clone();
        let old = self.outcome.state.lock().waker.replace(waker);
        drop(old);
        let current = self.current.lock().clone();
        if let (None, Some(task)) = (&self.waits_in, current) {
            let what = match &self.task.name {
                Some(name) => format!("the end of {name}"),
                None => format!("the end of task {}", self.task.id),
            };
            task.set_wait(self.key(), Some(&what));
            self.waits_in = Some(task);
        }
        Poll::Pending
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("task", &format_args!("{}", self.task)).finish_non_exhaustive()
    }
}

/// Where a task leaves what it returns.
pub(crate) struct Outcome<T> {
    state: Mutex<Returned<T>>,
}

struct Returned<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Outcome<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(Returned { value: None, waker: None }) })
    }

    pub(crate) fn set(&self, value: T) {
        let mut state = self.state.lock();
        state.value = Some(value);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take(&self) -> Option<T> {
        self.state.lock().value.take()
    }
}
