//! What all handles of an internet share, and what its Vnics hold of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use uis_clock::SharedClock;
use uis_vnic::{DropReason, Frame, SendError, Undelivered, VnicNetwork};

use crate::InternetStats;
use crate::delay::DelayLine;
use crate::queue::Queue;
use crate::routes::Routes;
use crate::stats::Counters;

/// Nothing in here holds an [`Internet`](crate::Internet) or a Vnic, so nothing is a cycle.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) queue: Queue,
    pub(crate) line: DelayLine,
    pub(crate) routes: Routes,
    pub(crate) counters: Counters,
    pub(crate) clock: SharedClock,
    pub(crate) seed: u64,
    /// How many stacks it was asked for.
    pub(crate) stacks: AtomicU64,
    /// How many handles keep it open.
    pub(crate) handles: AtomicUsize,
    closed: AtomicBool,
}

impl Inner {
    pub(crate) fn new(max_in_flight: usize, clock: SharedClock, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(max_in_flight.max(1)),
            line: DelayLine::default(),
            routes: Routes::default(),
            counters: Counters::default(),
            clock,
            seed,
            stacks: AtomicU64::new(0),
            handles: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Hands a frame to whoever has its destination address, inline, and counts what came of it.
    pub(crate) fn deliver(&self, frame: Frame) -> Result<(), Undelivered> {
        let sent = frame.sent_by().is_some();
        let (reason, frame) = if self.is_closed() {
            (DropReason::Closed, frame)
        } else if let Some(dst) = frame.dst() {
            match self.routes.pass(dst, frame, |vnic, frame| self.counters.deliver(frame, sent, vnic)) {
                Ok(result) => return result,
                Err(frame) => (DropReason::NoRoute, frame),
            }
        } else {
            (DropReason::Malformed, frame)
        };
        self.counters.dropped(sent, reason, 1);
        Err(Undelivered::new(reason, frame))
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.line.close(self);
        self.queue.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn stats(&self) -> InternetStats {
        let mut stats = InternetStats::default();
        self.counters.read_into(&mut stats);
        self.line.read_into(&mut stats);
        self.queue.read_into(&mut stats);
        stats
    }
}

impl VnicNetwork for Inner {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let sent = frame.sent_by().is_some();
        let result = self.queue.push(frame);
        if let Err(SendError::Dropped(reason)) = &result {
            self.counters.dropped(sent, *reason, 1);
        }
        result
    }

    fn send_frames(&self, frames: &mut VecDeque<Frame>, lost: &mut dyn FnMut(DropReason)) -> bool {
        let (sent, result) = self.queue.push_all(frames);
        match result {
            Ok(has_room) => has_room,
            Err(reason) => {
                self.counters.dropped(true, reason, sent);
                self.counters.dropped(false, reason, frames.len() as u64 - sent);
                frames.drain(..).for_each(|_| lost(reason));
                true
            }
        }
    }

    fn on_room(&self, waker: &Waker) {
        self.queue.on_room(waker);
    }

    fn queued(&self) -> Option<usize> {
        Some(self.queue.len())
    }
}
