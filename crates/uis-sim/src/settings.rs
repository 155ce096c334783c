//! The settings of a simulation.

use std::time::{Duration, SystemTime};

use uis_internet::DEFAULT_MAX_IN_FLIGHT;

use crate::Simulation;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) start: Option<SystemTime>,
    pub(crate) max_in_flight: usize,
    pub(crate) time_limit: Duration,
    pub(crate) step_limit: u64,
    pub(crate) spin_limit: u64,
    pub(crate) stall_limit: Duration,
    pub(crate) packet_log: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            start: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            time_limit: Duration::from_secs(24 * 3600),
            step_limit: 100_000_000,
            spin_limit: 1_000_000,
            stall_limit: Duration::from_secs(600),
            packet_log: 100,
        }
    }
}

/// The settings of a [`Simulation`]; from [`Simulation::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct SimulationBuilder {
    settings: Settings,
}

impl SimulationBuilder {
    /// What all that is random is drawn from, by default 0. The environment's `UIS_SEED` takes its place.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// The time of day when it begins, which captures show: by default the first of January 2000 in UTC, and never
    /// the real one, so that two runs are alike.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use uis_sim::Simulation;
    ///
    /// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
    /// let epoch = Simulation::builder().start_time(start).build().run(async |sim| sim.clock().epoch());
    /// assert_eq!(epoch, start);
    /// ```
    #[doc(alias = "epoch")]
    pub fn start_time(mut self, start: SystemTime) -> Self {
        self.settings.start = Some(start);
        self
    }

    /// How much virtual time a run may take, by default a day. A run fails where it would go beyond.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_sim::{Simulation, StuckKind};
    ///
    /// let simulation = Simulation::builder().time_limit(Duration::from_secs(60)).build();
    /// let stuck = simulation.try_run(async |sim| sim.sleep(Duration::from_secs(61)).await).unwrap_err();
    /// assert_eq!(stuck.kind(), StuckKind::TimeLimit);
    /// ```
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = limit;
        self
    }

    /// How many steps a run may take in all, by default 100 million. A step is a poll of a task, or a move of the
    /// time to the next timer.
    pub fn step_limit(mut self, limit: u64) -> Self {
        self.settings.step_limit = limit;
        self
    }

    /// How many steps a run may take while the time stands still, by default a million. More than that is taken for a
    /// task that wakes itself for ever. Very much data over a network without any delay may need more.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::task::Poll;
    /// use uis_sim::{Simulation, StuckKind};
    ///
    /// let stuck = Simulation::builder().spin_limit(1000).build().try_run(async |_sim| {
    ///     poll_fn(|cx| {
    ///         cx.waker().wake_by_ref();
    ///         Poll::<()>::Pending
    ///     })
    ///     .await
    /// });
    /// assert_eq!(stuck.unwrap_err().kind(), StuckKind::StepLimit);
    /// ```
    pub fn spin_limit(mut self, limit: u64) -> Self {
        self.settings.spin_limit = limit;
        self
    }

    /// For how long no task need be polled, by default ten minutes of virtual time, if none sleeps; more is a deadlock.
    /// While connections retransmit or probe without an answer, which may end with an error, it is three times as long.
    ///
    /// That is for what the simulation cannot judge better: hosts that it does not [watch](crate::Sim::watch), timers of
    /// the program's own making. Where just keep-alives are left that are answered, probes of a window that nobody opens,
    /// or connections in TIME-WAIT, the deadlock is told at once.
    ///
    /// A program that waits for keep-alives to find a dead peer (by default after two hours and more) without any
    /// time-out of its own needs a longer one.
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.settings.stall_limit = limit;
        self
    }

    /// How many packets may be in flight: [`InternetBuilder::max_in_flight`](uis_internet::InternetBuilder::max_in_flight).
    pub fn max_in_flight(mut self, n: usize) -> Self {
        self.settings.max_in_flight = n;
        self
    }

    /// How many of the last packets a failure shows, by default 100.
    pub fn packet_log(mut self, packets: usize) -> Self {
        self.settings.packet_log = packets;
        self
    }

    /// The simulation.
    #[must_use]
    pub fn build(self) -> Simulation {
        Simulation::with(self.settings)
    }
}
