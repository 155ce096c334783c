//! What a simulation's handles, tasks and executor have in common.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use uis_clock::VirtualClock;
use uis_internet::{Internet, InternetStats};
use uis_pcap::PcapTrace;
use uis_stack::{Connection, Stack, TcpState, WeakStack};
use uis_vnic::Frame;

use crate::journal::{Fate, Journal};
use crate::replay;
use crate::task::{ReadyQueue, Task};

/// A future of a task.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()>>>;
/// What the router does with each packet.
pub(crate) type Hook = Box<dyn FnMut(&Internet, Frame)>;

/// Of the tasks that have ended, how many a report shows.
const ENDED: usize = 8;

/// The part that is the same for all threads.
pub(crate) struct Shared {
    pub(crate) clock: VirtualClock,
    pub(crate) seed: u64,
    pub(crate) ready: Arc<ReadyQueue>,
    /// The task that is being polled.
    pub(crate) current: Arc<Mutex<Option<Arc<Task>>>>,
    /// Those that have not ended.
    pub(crate) tasks: Mutex<BTreeMap<u64, Arc<Task>>>,
    ended: Mutex<VecDeque<Arc<Task>>>,
    pub(crate) router: Mutex<Option<Arc<Task>>>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) captures: Mutex<Vec<PcapTrace>>,
    stacks: Mutex<Vec<WeakStack>>,
    next_task: AtomicU64,
    pub(crate) next_rng: AtomicU64,
    pub(crate) next_wait: AtomicU64,
    /// What there is to be told of the panic that ends the run.
    failure: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(clock: VirtualClock, seed: u64, journal: Journal) -> Self {
        Self {
            clock,
            seed,
            ready: Arc::default(),
            current: Arc::default(),
            tasks: Mutex::default(),
            ended: Mutex::default(),
            router: Mutex::default(),
            journal: Mutex::new(journal),
            captures: Mutex::default(),
            stacks: Mutex::default(),
            next_task: AtomicU64::new(0),
            next_rng: AtomicU64::new(0),
            next_wait: AtomicU64::new(1 << 63),
            failure: Mutex::default(),
        }
    }

    /// A new task, which is to be polled at once.
    pub(crate) fn start(
        &self,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
        upkeep: bool,
    ) -> Arc<Task> {
        let id = self.next_task.fetch_add(1, Ordering::Relaxed);
        let task = Task::start(id, name, spawned_at, upkeep, &self.ready);
        self.tasks.lock().insert(id, task.clone());
        task
    }

    /// The task has returned. A report shows the last of those: a server that ended too early, say with an error that
    /// nobody asked for, is no longer among the tasks.
    pub(crate) fn end(&self, task: &Arc<Task>) {
        self.forget(task.id);
        if !task.upkeep {
            let mut ended = self.ended.lock();
            let oldest = if ended.len() < ENDED { None } else { ended.pop_front() };
            ended.push_back(task.clone());
            drop(ended);
            drop(oldest);
        }
    }

    pub(crate) fn forget(&self, id: u64) {
        let task = self.tasks.lock().remove(&id);
        drop(task);
    }

    /// A packet is on its way, now.
    pub(crate) fn record(&self, packet: &[u8]) {
        self.journal.lock().record(self.clock.now(), packet);
        let captures = self.captures.lock().clone();
        for trace in captures {
            trace.dump(packet);
        }
    }

    /// Hands a packet to the router's hook, and notes what became of it.
    pub(crate) fn pass(&self, internet: &Internet, frame: Frame, hook: impl FnOnce(&Internet, Frame)) {
        self.record(frame.packet());
        let sent = frame.sent_by().is_some();
        let before = internet.stats();
        hook(internet, frame); // till then it counts as held back
        let after = internet.stats();
        let fate = if !sent {
            Fate::Passed
        } else if after.dropped_total() > before.dropped_total() {
            Fate::Undeliverable
        } else if held_back(&after) >= held_back(&before) {
            Fate::Withheld
        } else {
            Fate::Passed
        };
        if fate != Fate::Passed {
            self.journal.lock().set_fate(fate);
        }
    }

    /// The connections of this stack are part of the report.
    pub(crate) fn watch(&self, stack: &Stack) {
        let mut stacks = std::mem::take(&mut *self.stacks.lock());
        if stacks.len() % 64 == 63 {
            stacks.retain(|stack| stack.upgrade().is_some());
        }
        stacks.push(stack.downgrade());
        *self.stacks.lock() = stacks;
    }

    /// Those that are watched, some of them perhaps twice.
    pub(crate) fn stacks(&self) -> Vec<WeakStack> {
        self.stacks.lock().clone()
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.stacks().iter().filter_map(WeakStack::upgrade).flat_map(|stack| stack.connections()).collect()
    }

    /// The run is being ended by a panic.
    pub(crate) fn note_failure(&self, internet: &Internet) {
        let task = self.current.lock().take();
        let of = task.map(|task| format!(" in {task}")).unwrap_or_default();
        let text = format!("the simulation failed at {}{of}\n{}", self.clock.now(), self.report(internet));
        self.failure.lock().get_or_insert(text);
    }

    /// What is to be printed when a run has panicked.
    pub(crate) fn failure(&self, internet: &Internet) -> String {
        self.note_failure(internet);
        self.failure.lock().take().unwrap_or_default()
    }

    /// Who waits for what, the last packets, and how to see it again.
    pub(crate) fn report(&self, internet: &Internet) -> String {
        let mut text = String::new();
        let tasks = self.tasks.lock();
        let mut shown = tasks.values().filter(|task| !task.upkeep).peekable();
        text.push_str(if shown.peek().is_some() { "tasks:\n" } else { "" });
        for task in shown {
            let _ = writeln!(text, "  {task}");
        }
        drop(tasks);
        let ended = self.ended.lock().clone();
        text.push_str(if ended.is_empty() { "" } else { "tasks that have ended:\n" });
        for task in ended {
            let _ = writeln!(text, "  {task}");
        }
        let connections = self.connections();
        if !connections.is_empty() {
            text.push_str("connections:\n");
        }
        for connection in connections {
            let _ = writeln!(text, "  {}", connection_line(&connection));
        }
        let stats = internet.stats();
        if stats.queued > 0 && self.router.lock().is_none() {
            let _ = writeln!(text, "{} packets wait for somebody to route them", stats.queued);
        }
        text.push_str(&self.journal.lock().report());
        text.push_str(&replay::hint(self.seed));
        text
    }
}

/// How many packets are with nobody but the router; copies that it has delivered are subtracted, also if that is less than 0.
fn held_back(stats: &InternetStats) -> i64 {
    let told_of = stats.delivered + stats.dropped_total() + stats.queued + stats.held;
    stats.sent as i64 - told_of as i64
}

/// A connection, and what it waits for.
fn connection_line(c: &Connection) -> String {
    let waits = match c.state {
        TcpState::SynSent => "waits for an answer to its SYN",
        TcpState::SynReceived => "waits for the end of the handshake",
        _ if c.send_queue > 0 && c.peer_window == 0 => "waits for the other end to read",
        _ if c.send_queue > 0 => "waits for an acknowledgment",
        _ if c.recv_queue > 0 => "has what nobody reads",
        TcpState::CloseWait => "waits for this end to close",
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => "waits for its FIN to be acknowledged",
        _ => "waits for the other end to send",
    };
    format!(
        "{} > {} {:?}: {waits} ({} bytes unread, {} unacknowledged, peer's window {}, {} retransmitted)",
        c.local, c.remote, c.state, c.recv_queue, c.send_queue, c.peer_window, c.retransmits
    )
}

/// The part that stays on the thread of the run: futures and closures need not be `Send`.
pub(crate) struct Local {
    shared: Arc<Shared>,
    spawned: RefCell<Vec<(Arc<Task>, Work)>>,
    hook: RefCell<Option<Hook>>,
    /// Rises with each hook that is set.
    hooks: Cell<u64>,
    closing: Cell<bool>,
}

thread_local! {
    /// The runs of this thread: the innermost one last.
    static RUNS: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
}

impl Local {
    pub(crate) fn enter(shared: &Arc<Shared>) -> Entered {
        let local = Rc::new(Self {
            shared: shared.clone(),
            spawned: RefCell::default(),
            hook: RefCell::default(),
            hooks: Cell::new(0),
            closing: Cell::new(false),
        });
        RUNS.with_borrow_mut(|runs| runs.push(local.clone()));
        Entered(local)
    }

    /// That of a run on this thread.
    #[track_caller]
    pub(crate) fn of(shared: &Arc<Shared>) -> Rc<Self> {
        let found = RUNS
            .try_with(|runs| runs.borrow().iter().find(|local| Arc::ptr_eq(&local.shared, shared)).cloned());
        match found {
            Ok(Some(local)) => local,
            _ => panic!("the simulation does not run, or not on this thread"),
        }
    }

    /// Adds a task. When the run ends, its future is just dropped.
    pub(crate) fn spawn(&self, task: Arc<Task>, work: Work) {
        if self.closing.get() {
            self.shared.forget(task.id);
        } else {
            self.spawned.borrow_mut().push((task, work));
        }
    }

    /// The tasks that have been added since the last call.
    pub(crate) fn take_spawned(&self) -> Vec<(Arc<Task>, Work)> {
        self.spawned.take()
    }

    pub(crate) fn has_spawned(&self) -> bool {
        !self.spawned.borrow().is_empty()
    }

    pub(crate) fn set_hook(&self, hook: Hook) {
        self.hooks.set(self.hooks.get() + 1);
        let old = self.hook.replace(Some(hook));
        drop(old);
    }

    /// Hands a packet to the hook; without one, delivers it. The hook may set another one.
    pub(crate) fn route(&self, internet: &Internet, frame: Frame) {
        let number = self.hooks.get();
        match self.hook.take() {
            None => drop(internet.deliver(frame)),
            Some(mut hook) => {
                hook(internet, frame);
                if self.hooks.get() == number {
                    self.hook.replace(Some(hook));
                }
            }
        }
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
        let hook = self.hook.take();
        drop(hook);
    }
}

/// Takes the run from its thread when it is dropped.
pub(crate) struct Entered(pub(crate) Rc<Local>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.close();
        let found = RUNS.try_with(|runs| {
            let mut runs = runs.borrow_mut();
            let at = runs.iter().rposition(|local| Rc::ptr_eq(local, &self.0))?;
            Some(runs.remove(at))
        });
        drop(found);
        let spawned = self.0.take_spawned();
        drop(spawned);
    }
}
