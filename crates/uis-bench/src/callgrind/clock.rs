//! A clock that costs what the system's clock costs, and tells the same times in each run.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use uis::{Clock, Instant, SystemClock, TimerGuard};

/// What passes between two readings, in nanoseconds: about what does on a fast machine without an instruction counter.
const STEP: u64 = 200;

/// Timers are armed for this much later than asked for, which no run lives to see.
const NEVER: Duration = Duration::from_secs(3_600);

/// Reads the system's clock and arms its timers, so that their instructions are counted, but time passes with the
/// readings alone. Under an instruction counter real time passes fifty times faster, seen from within, and now
/// faster, now slower: timers would fire, windows would follow it, and no two runs would do the same.
#[derive(Debug)]
pub(super) struct CountedClock {
    system: SystemClock,
    readings: AtomicU64,
}

impl CountedClock {
    pub(super) fn new() -> Self {
        Self { system: SystemClock::new(), readings: AtomicU64::new(0) }
    }
}

impl Clock for CountedClock {
    fn now(&self) -> Instant {
        black_box(self.system.now());
        Instant::from_nanos(self.readings.fetch_add(1, Ordering::Relaxed) * STEP)
    }

    fn now_coarse(&self) -> Instant {
        black_box(self.system.now_coarse());
        Instant::from_nanos(self.readings.load(Ordering::Relaxed) * STEP)
    }

    fn epoch(&self) -> SystemTime {
        self.system.epoch()
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.system.wake_at(self.system.now() + deadline.since_epoch() + NEVER, waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_with_the_readings() {
        let clock = CountedClock::new();
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(clock.now() - first, Duration::from_nanos(STEP));
    }
}
