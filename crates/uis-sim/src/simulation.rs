//! A simulation to be run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

use uis_clock::VirtualClock;
use uis_internet::Internet;

use crate::executor::Executor;
use crate::journal::{Journal, Tape};
use crate::replay;
use crate::settings::Settings;
use crate::shared::{Local, Shared};
use crate::{Sim, SimulationBuilder, Stuck};

/// A simulation: its settings, ready to run a program any number of times.
///
/// ```
/// use std::time::Duration;
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use uis_sim::Simulation;
///
/// let text = Simulation::new().run(async |sim| {
///     sim.set_router(|internet, frame| internet.deliver_after(frame, Duration::from_millis(150)));
///     let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
///     let listener = server.listen_tcp("10.0.0.1:80")?;
///     sim.spawn_named("server", async move {
///         let (mut conn, _peer) = listener.accept().await?;
///         conn.write_all(b"Hello, world!").await?;
///         conn.close().await
///     });
///
///     let mut conn = client.dial_tcp("10.0.0.1:80").await?;
///     let mut text = String::new();
///     conn.read_to_string(&mut text).await?;
///     assert_eq!(sim.now().as_millis(), 600); // two round trips
///     std::io::Result::Ok(text)
/// })?;
/// assert_eq!(text, "Hello, world!");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Simulation {
    pub(crate) settings: Settings,
}

impl Simulation {
    /// A simulation with the seed 0 and the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets up a simulation.
    ///
    /// ```
    /// use uis_sim::Simulation;
    /// let simulation = Simulation::builder().seed(7).time_limit(std::time::Duration::from_secs(60)).build();
    /// simulation.run(async |_sim| ());
    /// ```
    pub fn builder() -> SimulationBuilder {
        SimulationBuilder::default()
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self { settings }
    }

    /// Runs a program to its end: on this thread, in virtual time, in an internet of its own.
    ///
    /// Tasks are polled in the order in which they were woken; when none is left to be polled, the time moves to the
    /// next timer. So how long it takes, and what happens meanwhile on the machine, has no part in it: what happens is
    /// a function of the program and of the seed, provided that the program keeps to this thread and to this clock.
    ///
    /// When the program has returned, the tasks that it has spawned go on only until the last packets have arrived, for two
    /// seconds of virtual time at most, and are dropped.
    ///
    /// The environment's `UIS_SEED` takes the place of the seed. Inside, [`VirtualClock::current`] is the clock.
    ///
    /// # Panics
    ///
    /// With the text of [`Stuck`] where [`try_run`](Self::try_run) fails. When the program or one of its tasks
    /// panics; then the last packets, the seed, and how to run it again are printed to stderr. When a capture could
    /// not be written.
    #[track_caller]
    pub fn run<R>(&self, program: impl AsyncFnOnce(Sim) -> R) -> R {
        match self.try_run(program) {
            Ok(output) => output,
            Err(stuck) => panic!("{stuck}"), // not in a closure, where the caller would not be named
        }
    }

    /// As [`run`](Self::run), but a program that gets nowhere is an error.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::StuckKind::Deadlock) if nothing can happen any more, or only what is no progress;
    /// [`TimeLimit`](crate::StuckKind::TimeLimit) and [`StepLimit`](crate::StuckKind::StepLimit) if the program takes too
    /// long.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), but for these.
    #[track_caller]
    pub fn try_run<R>(&self, program: impl AsyncFnOnce(Sim) -> R) -> Result<R, Stuck> {
        let seed = replay::seed_or(self.settings.seed);
        let run = self.run_once(seed, Tape::Off, program);
        match run.outcome {
            Ok(outcome) => outcome,
            Err(payload) => {
                eprint!("{}", run.report);
                resume_unwind(payload)
            }
        }
    }

    /// One run, whatever its end.
    #[track_caller]
    pub(crate) fn run_once<R>(&self, seed: u64, tape: Tape, program: impl AsyncFnOnce(Sim) -> R) -> Run<R> {
        let called_at = Location::caller();
        let settings = &self.settings;
        let clock = settings.start.map_or_else(VirtualClock::new, VirtualClock::starting_at);
        let internet =
            Internet::builder().clock(&clock).seed(seed).max_in_flight(settings.max_in_flight).build();
        let journal = Journal::new(settings.packet_log, tape);
        let shared = Arc::new(Shared::new(clock.clone(), seed, journal));
        let sim = Sim { shared: shared.clone(), internet };

        let result = catch_unwind(AssertUnwindSafe(|| {
            let entered = Local::enter(&shared);
            let main = shared.start(Some("the program".into()), called_at, false);
            sim.start_router(called_at);
            let mut executor = Executor::new(settings, &shared, &entered.0, &sim.internet);
            // All is done in one poll: the executor moves the clock itself. What it is here for is that the clock is
            // the current one.
            clock.block_on(async { executor.run(&main, program(sim.clone())) })
        }));
        // Each is closed, whatever the others say.
        let captures = std::mem::take(&mut *shared.captures.lock());
        let unwritten = captures.iter().filter_map(|trace| trace.close().err()).reduce(|first, _| first);
        let (outcome, report) = match (result, unwritten) {
            (Err(payload), _) => (Err(payload), shared.failure(&sim.internet)),
            (Ok(_), Some(error)) => {
                let text = format!("a capture could not be written: {error}");
                (Err(Box::new(text.clone()) as Payload), text + "\n")
            }
            (Ok(outcome), None) => (Ok(outcome), String::new()),
        };
        shared.ready.close();
        Run { outcome, shared, report }
    }
}

/// What a panic carries.
type Payload = Box<dyn Any + Send>;

/// How a run went.
pub(crate) struct Run<R> {
    pub(crate) outcome: Result<Result<R, Stuck>, Payload>,
    pub(crate) shared: Arc<Shared>,
    /// What is to be printed of a run that has panicked.
    pub(crate) report: String,
}

impl Sim {
    fn start_router(&self, at: &'static Location<'static>) {
        let task = self.shared.start(Some("the router".into()), at, true);
        *self.shared.router.lock() = Some(task.clone());
        let local = Local::of(&self.shared);
        let (shared, internet) = (self.shared.clone(), self.internet.clone());
        let work = async move {
            let local = Local::of(&shared);
            internet
                .route(|internet, frame| {
                    shared.pass(internet, frame, |internet, frame| local.route(internet, frame))
                })
                .await;
        };
        local.spawn(task, Box::pin(work));
    }
}
