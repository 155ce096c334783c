//! The delay line: frames that are to be delivered later.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use parking_lot::Mutex;
use uis_clock::{Instant, TimerGuard};
use uis_vnic::{DropReason, Frame, Undelivered};

use crate::InternetStats;
use crate::inner::Inner;
use uis_clock::unwind::Panics;

/// Frames by when they are due, and among equals in the order in which they came.
#[derive(Default)]
pub(crate) struct DelayLine {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    frames: BTreeMap<(Instant, u64), Frame>,
    /// How many of them were made by hand.
    unsent: usize,
    last: u64,
    /// For when, and the timer itself.
    armed: Option<(Instant, TimerGuard)>,
    /// Somebody delivers what is due, and will look again before stopping.
    running: bool,
    closed: bool,
}

impl DelayLine {
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.frames.is_empty() && !state.running
    }

    pub(crate) fn read_into(&self, stats: &mut InternetStats) {
        let state = self.state.lock();
        stats.held = (state.frames.len() - state.unsent) as u64;
    }

    /// Nothing is held from here on.
    pub(crate) fn close(&self, inner: &Inner) {
        let mut state = self.state.lock();
        state.closed = true;
        let frames = std::mem::take(&mut state.frames);
        let unsent = std::mem::take(&mut state.unsent);
        let timer = state.armed.take();
        drop(state);
        drop(timer);
        inner.counters.dropped(true, DropReason::Closed, (frames.len() - unsent) as u64);
        inner.counters.dropped(false, DropReason::Closed, unsent as u64);
    }
}

impl Inner {
    /// Holds a frame until `at`, then delivers it. What is due already is delivered before this returns.
    pub(crate) fn deliver_at(self: &Arc<Self>, frame: Frame, at: Instant) -> Result<(), Undelivered> {
        let sent = frame.sent_by().is_some();
        let mut state = self.line.state.lock();
        let reason = if state.closed {
            DropReason::Closed
        } else if state.frames.len() >= self.queue.max() {
            DropReason::Full
        } else {
            state.last += 1;
            let key = (at, state.last);
            state.frames.insert(key, frame);
            state.unsent += usize::from(!sent);
            // Nearly always a timer is armed that comes first.
            let covered = state.armed.as_ref().is_some_and(|&(armed, _)| armed <= at);
            drop(state);
            if !covered {
                self.run_line();
            }
            return Ok(());
        };
        drop(state);
        self.counters.dropped(sent, reason, 1);
        Err(Undelivered::new(reason, frame))
    }

    /// Delivers what is due, in order, and arms the timer for what is next.
    ///
    /// One at a time does this. A frame that is added meanwhile, also by a receiver, from inside, is seen by whoever is
    /// at it, so there is no recursion and nothing overtakes.
    fn run_line(self: &Arc<Self>) {
        let mut now = self.clock.now();
        let mut state = self.line.state.lock();
        if state.running {
            return;
        }
        state.running = true;
        let mut panics = Panics::default();
        loop {
            let next = state.frames.first_key_value().map(|(&(at, _), _)| at);
            if next.is_some_and(|at| at <= now) {
                let (_, frame) = state.frames.pop_first().expect("it was there under the same lock");
                state.unsent -= usize::from(frame.sent_by().is_none());
                drop(state);
                // What is lost here is counted, and there is nobody to be told.
                panics.catch(|| drop(self.deliver(frame)));
            } else {
                let armed = state.armed.as_ref().map(|&(at, _)| at);
                let Some(next) = next else {
                    let Some(idle) = state.armed.take() else { break };
                    drop(state);
                    drop(idle);
                    state = self.line.state.lock();
                    continue;
                };
                // One that was to fire before now has fired, or covers nothing that is not due.
                if armed.is_some_and(|at| now < at && at <= next) {
                    break;
                }
                // A clock is foreign code, so it is not called under the lock.
                drop(state);
                let timer = self.clock.wake_at(next, &Waker::from(Arc::new(Alarm(Arc::downgrade(self)))));
                state = self.line.state.lock();
                let timer = Some((next, timer));
                let old = if state.closed { timer } else { std::mem::replace(&mut state.armed, timer) };
                drop(state);
                drop(old);
                // It may have fired before it was put there, and then nobody else looks.
                now = self.clock.now();
            }
            state = self.line.state.lock();
        }
        // Under the same lock as the last look, so that nobody who comes after it is missed.
        state.running = false;
        let idle = state.frames.is_empty();
        drop(state);
        if idle {
            // Who waits for the last frame under way looks at both queues.
            panics.catch(|| self.queue.wake_receivers());
        }
        panics.resume();
    }
}

/// What the clock wakes.
struct Alarm(Weak<Inner>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(inner) = self.0.upgrade() {
            // It has fired, so it covers nothing any more: whoever is at the line arms another. If this is not the one
            // that has fired but a newer one, that is no more than a detour.
            let fired = inner.line.state.lock().armed.take();
            drop(fired);
            inner.run_line();
        }
    }
}

impl std::fmt::Debug for DelayLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        f.debug_struct("DelayLine")
            .field("held", &state.frames.len())
            .field("next", &state.frames.keys().next().map(|(at, _)| at))
            .finish_non_exhaustive()
    }
}
