//! The handle to a simulation, for the program that runs in it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::panic::Location;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uis_clock::{Instant, SharedClock, Sleep, Timeout};
use uis_internet::Internet;
use uis_pcap::{PcapTrace, PcapTraceBuilder};
use uis_stack::{Stack, StackConfig};
use uis_vnic::{Frame, MTU_ETHERNET};

use crate::rng::mix;
use crate::shared::{Local, Shared};
use crate::task::{JoinHandle, Outcome, Task};
use crate::{Interval, Rng};

/// A handle to the simulation that a program runs in: its time, its tasks, its chance, its internet.
///
/// Clones are handles to the same. It is `Send` and `Sync`, so that what holds it may be, but
/// [`spawn`](Self::spawn) and [`set_router`](Self::set_router) work on the thread of the run only, and only while it
/// runs: a simulation is one thread.
///
/// ```
/// use std::time::Duration;
/// use uis_sim::Simulation;
///
/// Simulation::new().run(async |sim| {
///     sim.sleep(Duration::from_secs(3600)).await;
///     assert_eq!(sim.now().as_secs(), 3600);
/// });
/// ```
#[derive(Clone)]
pub struct Sim {
    pub(crate) shared: Arc<Shared>,
    pub(crate) internet: Internet,
}

/// Tasks.
impl Sim {
    /// Runs a future beside the others of this simulation. It need not be `Send`.
    ///
    /// In reports it goes by where it was spawned; [`spawn_named`](Self::spawn_named) gives it a name. Tasks are polled
    /// in the order in which they were woken. When the program that was handed to [`run`](crate::Simulation::run) ends,
    /// they are dropped.
    ///
    /// A panic of a task is one of the whole simulation.
    ///
    /// # Panics
    ///
    /// On another thread than that of the run, and after the run.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use uis_sim::Simulation;
    ///
    /// let counted = Simulation::new().run(async |sim| {
    ///     let count = Rc::new(Cell::new(0));
    ///     let tasks: Vec<_> = (0..10)
    ///         .map(|_| {
    ///             let count = count.clone();
    ///             sim.spawn(async move { count.set(count.get() + 1) })
    ///         })
    ///         .collect();
    ///     for task in tasks {
    ///         task.await;
    ///     }
    ///     count.get()
    /// });
    /// assert_eq!(counted, 10);
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_at(None, Location::caller(), future)
    }

    /// As [`spawn`](Self::spawn), with a name for reports.
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// let stuck = Simulation::new().try_run(async |sim| {
    ///     sim.spawn_named("the optimist", std::future::pending::<()>()).await
    /// });
    /// assert!(stuck.unwrap_err().to_string().contains("waits for the end of the optimist"));
    /// ```
    #[track_caller]
    pub fn spawn_named<F>(&self, name: impl Into<String>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_at(Some(name.into()), Location::caller(), future)
    }

    #[track_caller]
    fn spawn_at<F>(
        &self,
        name: Option<String>,
        at: &'static Location<'static>,
        future: F,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let local = Local::of(&self.shared);
        let task = self.shared.start(name, at, false);
        let outcome = Outcome::new();
        let work = {
            let outcome = outcome.clone();
            Box::pin(async move { outcome.set(future.await) })
        };
        local.spawn(task.clone(), work);
        JoinHandle::new(task, outcome, self.shared.current.clone())
    }

    /// `future`, with a note of what it waits for, which a report on a deadlock shows.
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// let stuck = Simulation::new().try_run(async |sim| {
    ///     sim.waiting_for("better days", std::future::pending::<()>()).await
    /// });
    /// assert!(stuck.unwrap_err().to_string().contains("waits for better days"));
    /// ```
    pub fn waiting_for<F: Future>(&self, what: &str, future: F) -> impl Future<Output = F::Output> + use<F> {
        let (what, shared) = (what.to_owned(), self.shared.clone());
        async move {
            let mut note = Note { key: shared.next_wait.fetch_add(1, Ordering::Relaxed), task: None };
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                if polled.is_pending() {
                    note.put(shared.current.lock().clone(), &what);
                }
                polled
            })
            .await
        }
    }
}

/// What is noted of a wait, until it is dropped.
struct Note {
    key: u64,
    task: Option<Arc<Task>>,
}

impl Note {
    fn put(&mut self, task: Option<Arc<Task>>, what: &str) {
        if let (None, Some(task)) = (&self.task, task) {
            task.set_wait(self.key, Some(what));
            self.task = Some(task);
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.set_wait(self.key, None);
        }
    }
}

/// Time and chance.
impl Sim {
    /// The time since the simulation began.
    ///
    /// ```
    /// use uis_sim::Simulation;
    /// Simulation::new().run(async |sim| assert_eq!(sim.now().as_nanos(), 0));
    /// ```
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// The clock, for everything that takes one.
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        self.shared.clock.handle()
    }

    /// A future that is ready once `d` has passed.
    pub fn sleep(&self, d: Duration) -> Sleep {
        self.clock().sleep(d)
    }

    /// A future that is ready at that time.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        self.clock().sleep_until(at)
    }

    /// `future`, given up once `d` has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     let late = sim.timeout(Duration::from_secs(5), std::future::pending::<()>()).await;
    ///     assert!(late.is_err());
    ///     assert_eq!(sim.now().as_secs(), 5);
    /// });
    /// ```
    pub fn timeout<F: Future>(&self, d: Duration, future: F) -> Timeout<F> {
        self.clock().timeout(d, future)
    }

    /// A tick now and then one each `period`.
    ///
    /// # Panics
    ///
    /// If the period is zero.
    #[track_caller]
    pub fn interval(&self, period: Duration) -> Interval {
        assert!(!period.is_zero(), "a period is longer than zero");
        Interval::new(self.clock(), period)
    }

    /// What all that is random is drawn from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// A random generator. Each call makes another one, with a stream of its own that follows from the seed and from
    /// how many were made before, so that one task's draws do not change another's.
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// let draw = || Simulation::builder().seed(7).build().run(async |sim| (sim.rng().below(100), sim.rng().below(100)));
    /// assert_eq!(draw(), draw());
    /// ```
    #[must_use]
    pub fn rng(&self) -> Rng {
        let ordinal = self.shared.next_rng.fetch_add(1, Ordering::Relaxed);
        // A seed other than any that the internet derives for its stacks.
        Rng::new(mix(mix(!self.shared.seed) ^ ordinal))
    }
}

/// The internet.
impl Sim {
    /// The internet of this simulation, on its clock and from its seed. Its packets are moved by the simulation's
    /// router.
    #[must_use]
    pub fn internet(&self) -> &Internet {
        &self.internet
    }

    /// A host with this address, on Ethernet's MTU.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `addr` is no IP address; and those of
    /// [`Internet::new_stack`].
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     let server = sim.host("10.0.0.1")?;
    ///     assert_eq!(server.vnic().mtu(), 1500);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn host(&self, addr: &str) -> io::Result<Stack> {
        let addr = addr.parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{addr:?} is not an IP address"))
        })?;
        self.new_stack(MTU_ETHERNET, [addr])
    }

    /// A host, as [`Internet::new_stack`] makes it, whose connections are part of reports.
    ///
    /// # Errors
    ///
    /// Those of [`Internet::new_stack`].
    pub fn new_stack(&self, mtu: u32, addrs: impl IntoIterator<Item = IpAddr>) -> io::Result<Stack> {
        self.new_stack_with(mtu, addrs, StackConfig::default())
    }

    /// A host with settings, as [`Internet::new_stack_with`] makes it, whose connections are part of reports.
    ///
    /// # Errors
    ///
    /// Those of [`Internet::new_stack_with`].
    pub fn new_stack_with(
        &self,
        mtu: u32,
        addrs: impl IntoIterator<Item = IpAddr>,
        config: StackConfig,
    ) -> io::Result<Stack> {
        let stack = self.internet.new_stack_with(mtu, addrs, config)?;
        self.watch(&stack);
        Ok(stack)
    }

    /// Makes the connections of a stack part of reports that was not made by [`new_stack`](Self::new_stack) or its
    /// kin. It does not keep the stack alive.
    pub fn watch(&self, stack: &Stack) {
        self.shared.watch(stack);
    }

    /// Hands each packet to `each` from here on, where otherwise [`Internet::deliver`] gets it. What `each` returns is
    /// dropped.
    ///
    /// # Panics
    ///
    /// On another thread than that of the run, and after the run.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     // A path with 50 ms each way that loses one packet in a hundred.
    ///     let mut rng = sim.rng();
    ///     sim.set_router(move |internet, frame| {
    ///         if rng.chance(0.01) {
    ///             return Ok(());
    ///         }
    ///         internet.deliver_after(frame, Duration::from_millis(50))
    ///     });
    ///     // …
    /// });
    /// ```
    #[doc(alias("loss", "delay", "netem"))]
    #[track_caller]
    pub fn set_router<R>(&self, mut each: impl FnMut(&Internet, Frame) -> R + 'static) {
        Local::of(&self.shared).set_hook(Box::new(move |internet, frame| drop(each(internet, frame))));
    }

    /// Ends the simulation's router, for a program that routes by itself, say with [`Internet::route_until`].
    ///
    /// Such a program shows the packets to [`record`](Self::record), or they are missing in captures, reports and
    /// comparisons. And since it is polled for each packet, be it only a probe, a deadlock of others shows at the time
    /// limit only.
    ///
    /// ```
    /// use uis_sim::Simulation;
    /// # use futures_lite::future::try_zip;
    ///
    /// Simulation::new().run(async |sim| {
    ///     sim.stop_router();
    ///     let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
    ///     let listener = server.listen_tcp("10.0.0.1:80")?;
    ///     let both = try_zip(listener.accept(), client.dial_tcp("10.0.0.1:80"));
    ///     sim.internet().route_until(both, |internet, frame| {
    ///         sim.record(&frame);
    ///         internet.deliver(frame)
    ///     }).await?;
    ///     assert_eq!(sim.packet_count(), 3); // the handshake
    ///     std::io::Result::Ok(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stop_router(&self) {
        let router = self.shared.router.lock().take();
        if let Some(router) = router {
            router.abort();
        }
    }
}

/// What the packets leave behind.
impl Sim {
    /// Makes a packet part of captures, reports and comparisons, with the present time. The simulation's router does
    /// that itself.
    pub fn record(&self, frame: &Frame) {
        self.shared.record(frame.packet());
    }

    /// Captures all packets from here on into the file at `path`, with virtual time. None is lost: traffic waits for the
    /// disk. The capture is closed at the end of the run.
    ///
    /// Two runs with the same seed write the same bytes.
    ///
    /// # Errors
    ///
    /// As [`PcapTrace::create`].
    ///
    /// # Panics
    ///
    /// The run does at its end, if the file could not be written. To handle that, close the trace that this returns.
    pub fn capture(&self, path: impl AsRef<Path>) -> io::Result<PcapTrace> {
        Ok(self.add_capture(self.trace_builder().create(path)?))
    }

    /// As [`capture`](Self::capture), into any writer.
    ///
    /// # Panics
    ///
    /// As [`capture`](Self::capture).
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     sim.capture_into(std::io::sink());
    /// });
    /// ```
    pub fn capture_into(&self, writer: impl io::Write + Send + 'static) -> PcapTrace {
        self.add_capture(self.trace_builder().build(writer))
    }

    fn trace_builder(&self) -> PcapTraceBuilder {
        // A capture that depended on how fast the disk is would not be the same twice.
        PcapTrace::builder().clock(self.clock()).patience(Duration::from_secs(3600))
    }

    fn add_capture(&self, trace: PcapTrace) -> PcapTrace {
        self.shared.captures.lock().push(trace.clone());
        trace
    }

    /// The last packets, one a line, as tcpdump prints them: what a failure shows.
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     let client = sim.host("10.0.0.2")?;
    ///     let _server = sim.host("10.0.0.1")?;
    ///     assert!(client.dial_tcp("10.0.0.1:80").await.is_err());
    ///     let lines = sim.packet_log();
    ///     assert!(lines[0].starts_with("0.000000000s IP 10.0.0.2."));
    ///     assert!(lines[0].contains(" > 10.0.0.1.80: Flags [S], seq "));
    ///     assert!(lines[1].contains("Flags [R.]"));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "tcpdump")]
    #[must_use]
    pub fn packet_log(&self) -> Vec<String> {
        self.shared.journal.lock().lines()
    }

    /// How many packets were recorded so far.
    #[must_use]
    pub fn packet_count(&self) -> u64 {
        self.shared.journal.lock().count()
    }

    /// A hash of all packets so far, with their times and their order: the same for two runs of the same program with
    /// the same seed. Not promised across versions, as what stacks send is not either.
    #[must_use]
    pub fn packet_hash(&self) -> u64 {
        self.shared.journal.lock().hash()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("now", &self.now())
            .field("seed", &self.seed())
            .field("packets", &self.packet_count())
            .finish_non_exhaustive()
    }
}
