//! A stack's timers: one alarm on the clock for all of them, armed lazily.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Weak;
use std::task::Waker;

use parking_lot::Mutex;
use uis_clock::{Instant, SharedClock, TimerGuard};

use crate::tcp::Flow;

/// What a timer is for.
#[derive(Clone)]
pub(crate) enum Timer {
    /// A connection's next deadline.
    Flow(Weak<Flow>),
    /// The end of the oldest TIME-WAIT.
    TimeWait,
    /// The end of the oldest unfinished datagram.
    Reassembly,
    /// The end of a stack that nobody holds any more, whatever its connections still wait for.
    Linger,
}

/// Timers in the order in which they are due.
///
/// One that is no longer wanted is not taken out: it fires, and its owner finds nothing to do. An owner sets a
/// new one only for an *earlier* time than its last, so there are few.
pub(crate) struct Timers {
    due: Mutex<Due>,
    alarm: Mutex<Alarm>,
}

#[derive(Default)]
struct Due {
    timers: BTreeMap<(Instant, u64), Timer>,
    /// Tells timers of one instant apart, in the order in which they were set.
    set: u64,
}

/// What is armed on the clock.
#[derive(Default)]
struct Alarm {
    at: Option<Instant>,
    guard: Option<TimerGuard>,
    /// How often it was armed, to tell an arming that was overtaken.
    armed: u64,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { due: Mutex::default(), alarm: Mutex::default() }
    }

    /// Sets a timer. No lock may be held: arming the clock may wake.
    pub(crate) fn set(&self, at: Instant, timer: Timer, clock: &SharedClock, waker: impl FnOnce() -> Waker) {
        let is_first = {
            let mut due = self.due.lock();
            let n = due.set;
            due.set += 1;
            due.timers.insert((at, n), timer);
            due.timers.first_key_value().is_some_and(|(key, _)| *key == (at, n))
        };
        if is_first {
            self.arm(at, clock, waker);
        }
    }

    /// Takes out the next timer that is due.
    pub(crate) fn pop(&self, now: Instant) -> Option<Timer> {
        let mut due = self.due.lock();
        let first = due.timers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// The alarm has gone off.
    pub(crate) fn alarm_fired(&self) {
        let spent = {
            let mut alarm = self.alarm.lock();
            alarm.at = None;
            alarm.guard.take()
        };
        drop(spent);
    }

    /// Arms the clock for the next timer, if that is earlier than what is armed.
    pub(crate) fn rearm(&self, clock: &SharedClock, waker: impl FnOnce() -> Waker) {
        let next = self.due.lock().timers.first_key_value().map(|(key, _)| key.0);
        if let Some(at) = next {
            self.arm(at, clock, waker);
        }
    }

    /// When the alarm goes off.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.alarm.lock().at
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        let timers = std::mem::take(&mut self.due.lock().timers);
        drop(timers);
        self.alarm_fired();
    }

    fn arm(&self, at: Instant, clock: &SharedClock, waker: impl FnOnce() -> Waker) {
        let turn = {
            let mut alarm = self.alarm.lock();
            if alarm.at.is_some_and(|armed| armed <= at) {
                return;
            }
            alarm.at = Some(at);
            alarm.armed += 1;
            alarm.armed
        };
        let guard = clock.wake_at(at, &waker());
        let unused = {
            let mut alarm = self.alarm.lock();
            // It may have gone off, or have been armed for an earlier time, since.
            if alarm.armed == turn && alarm.at.is_some() { alarm.guard.replace(guard) } else { Some(guard) }
        };
        drop(unused);
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("set", &self.due.lock().timers.len()).finish_non_exhaustive()
    }
}
