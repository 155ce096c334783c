//! How a run fails that gets nowhere.

use std::error::Error;
use std::fmt;

use uis_clock::Instant;

/// Why a simulation was given up: what [`Simulation::try_run`](crate::Simulation::try_run) fails with.
///
/// Its text says what each task and each connection was waiting for, shows the last packets, and tells how to run the
/// same seed again.
///
/// ```
/// use uis_sim::{Simulation, StuckKind};
///
/// let stuck = Simulation::new().try_run(async |_sim| std::future::pending::<()>().await).unwrap_err();
/// assert_eq!(stuck.kind(), StuckKind::Deadlock);
/// assert!(stuck.to_string().starts_with("deadlock: at 0.000000000s nothing is runnable"));
/// ```
#[derive(Clone, Debug)]
pub struct Stuck {
    kind: StuckKind,
    at: Instant,
    text: String,
}

/// What kind of dead end it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StuckKind {
    /// Everybody waits for somebody else.
    Deadlock,
    /// The program takes longer than it was given, in virtual time.
    TimeLimit,
    /// The program takes more steps than it was given, in all or at one point in time.
    StepLimit,
}

impl Stuck {
    pub(crate) fn new(kind: StuckKind, at: Instant, what: &str, report: &str) -> Self {
        let word = match kind {
            StuckKind::Deadlock => "deadlock",
            StuckKind::TimeLimit => "time limit",
            StuckKind::StepLimit => "step limit",
        };
        Self { kind, at, text: format!("{word}: at {at} {what}\n{report}") }
    }

    /// What kind of dead end it was.
    #[must_use]
    pub fn kind(&self) -> StuckKind {
        self.kind
    }

    /// When it was noticed.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Stuck {}
