//! Armed timers in the order in which they fire.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::Instant;

/// Where a timer stands: by deadline, and among equals in the order of arming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    pub(crate) deadline: Instant,
    number: u64,
    sleeper: bool,
}

/// The armed timers of a clock. It hands wakers out; it never runs or drops one, since its owner
/// holds a lock around it.
#[derive(Default)]
pub(crate) struct TimerQueue {
    timers: BTreeMap<TimerKey, Waker>,
    armed: u64,
    sleepers: usize,
}

impl TimerQueue {
    pub(crate) fn arm(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        self.insert(deadline, waker, false)
    }

    /// As `arm`, for a timer that counts as a sleeper's.
    pub(crate) fn arm_sleeper(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        self.insert(deadline, waker, true)
    }

    fn insert(&mut self, deadline: Instant, waker: Waker, sleeper: bool) -> TimerKey {
        let key = TimerKey { deadline, number: self.armed, sleeper };
        self.armed += 1;
        self.sleepers += usize::from(sleeper);
        self.timers.insert(key, waker);
        key
    }

    /// Takes a timer out, be it to fire it or to forget it. `None` if it fired or was disarmed.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let waker = self.timers.remove(&key)?;
        self.sleepers -= usize::from(key.sleeper);
        Some(waker)
    }

    /// How many timers are sleepers'.
    pub(crate) fn sleepers(&self) -> usize {
        self.sleepers
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// How many timers are for `at` or earlier.
    pub(crate) fn len_until(&self, at: Instant) -> usize {
        match self.timers.last_key_value() {
            Some((last, _)) if last.deadline > at => {
                self.timers.keys().take_while(|key| key.deadline <= at).count()
            }
            _ => self.len(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|(key, _)| key.deadline)
    }

    /// The timers that are due at `now`, in order.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = TimerKey> {
        self.timers.keys().copied().take_while(move |key| key.deadline <= now)
    }
}
