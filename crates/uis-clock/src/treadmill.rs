//! Timers that go on for ever and of which nothing comes.

use std::time::Duration;

use crate::{Instant, VirtualClock};

/// So long, and so many deadlines, without anybody who sleeps: nothing that a program waits for takes that much.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(30 * 86_400);
const TOO_MANY: u64 = 10_000;
/// After how many deadlines to look again.
const EVERY: u64 = 500;

/// Watches the deadlines to which a clock moves by itself.
///
/// Two hosts that probe each other's closed window always have a timer armed, so a program that waits for them is never
/// seen to wait for nothing. But it does not [sleep](VirtualClock::sleepers) either.
pub(crate) struct Treadmill {
    since: Instant,
    deadlines: u64,
}

impl Treadmill {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, deadlines: 0 }
    }

    /// The clock has moved to a deadline. Whether all that it does is upkeep.
    pub(crate) fn is_endless(&mut self, clock: &VirtualClock) -> bool {
        self.deadlines += 1;
        if !self.deadlines.is_multiple_of(EVERY) {
            return false;
        }
        if clock.sleepers() > 0 {
            *self = Self::new(clock.now());
        }
        self.deadlines >= TOO_MANY && clock.now() - self.since >= TOO_LONG
    }
}
