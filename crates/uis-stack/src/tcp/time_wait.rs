//! Connections in TIME-WAIT (RFC 9293 §3.6.1): a few bytes each, no buffers.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use uis_clock::Instant;

use super::key::FlowKey;
use super::seq::Seq;
use super::table::KeyHasher;
use crate::wire::{TcpSegment, flags};

/// How many are remembered; beyond it the oldest is forgotten.
const MAX_ENTRIES: usize = 32_768;

/// How far beyond the old connection's last number a new one begins: more than a window without scaling.
const ISN_STEP: u32 = 65_537;

/// What is remembered of a closed connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    /// The next number that we would send, and the next that we expect.
    pub(crate) snd_nxt: Seq,
    pub(crate) rcv_nxt: Seq,
    /// The window that was offered last, as a header says it.
    pub(crate) window: u16,
    pub(crate) until: Instant,
}

/// What a segment for a connection in TIME-WAIT calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// There is no such connection.
    Unknown,
    /// Nothing.
    Silence,
    /// An acknowledgment of all that was sent.
    Ack(Standing),
    /// The segment may open a new connection, whose initial sequence number must be at least this (RFC 1122
    /// §4.2.2.13, RFC 6191). If nobody listens, the answer is that acknowledgment.
    Reopen { least_isn: Seq, standing: Standing },
}

/// Where a closed connection stands, for an acknowledgment to say. Its window is that of the last one, for the end of
/// a window does not move back (RFC 9293 §3.8.6); so it is in Linux and FreeBSD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) window: u16,
}

/// The table. Its lock is a leaf: nothing else is locked or called while it is held.
#[derive(Debug, Default)]
pub(crate) struct TimeWait(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    map: HashMap<FlowKey, Closed, KeyHasher>,
    /// In the order of their ends, since all last equally long; entries that were reused or extended stand here too.
    queue: VecDeque<(Instant, FlowKey)>,
}

impl TimeWait {
    /// Remembers a closed connection. Returns whether it is the only one, so that a timer is needed.
    pub(crate) fn insert(&self, key: FlowKey, closed: Closed) -> bool {
        let mut entries = self.0.lock();
        entries.map.insert(key, closed);
        entries.queue.push_back((closed.until, key));
        while entries.queue.len() > MAX_ENTRIES {
            let Some((until, key)) = entries.queue.pop_front() else { break };
            entries.forget_if(key, until);
        }
        entries.queue.len() == 1
    }

    /// Judges a segment by what is remembered (RFC 9293 §3.10.7.4, RFC 1337).
    pub(crate) fn judge(&self, key: &FlowKey, seg: &TcpSegment<'_>, now: Instant, lasts: Duration) -> Reply {
        let mut entries = self.0.lock();
        let Some(closed) = entries.map.get(key).copied().filter(|closed| closed.until > now) else {
            return Reply::Unknown;
        };
        let start = Seq(seg.seq);
        let standing = Standing { seq: closed.snd_nxt, ack: closed.rcv_nxt, window: closed.window };
        let acknowledge = Reply::Ack(standing);
        if seg.has(flags::RST) {
            return Reply::Silence; // RFC 1337: a RST does not end TIME-WAIT
        }
        if seg.has(flags::SYN) && !seg.has(flags::ACK) {
            if start > closed.rcv_nxt {
                return Reply::Reopen { least_isn: closed.snd_nxt + ISN_STEP, standing };
            }
            return acknowledge;
        }
        if seg.has(flags::FIN) {
            // The peer has not heard our last acknowledgment: the wait begins anew.
            let until = now + lasts;
            if until - closed.until >= Duration::from_secs(1) {
                entries.map.insert(*key, Closed { until, ..closed });
                entries.queue.push_back((until, *key));
            }
            return acknowledge;
        }
        // A bare acknowledgment in sequence wants no answer; anything else shows a peer out of step.
        if seg.seq_len() == 0 && start == closed.rcv_nxt {
            return Reply::Silence;
        }
        acknowledge
    }

    /// Forgets a connection so that its ports may be used again; returns the least initial sequence number of the
    /// next one.
    pub(crate) fn reuse(&self, key: &FlowKey) -> Option<Seq> {
        self.0.lock().map.remove(key).map(|closed| closed.snd_nxt + ISN_STEP)
    }

    pub(crate) fn contains(&self, key: &FlowKey) -> bool {
        self.0.lock().map.contains_key(key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().map.len()
    }

    /// Forgets those whose time is over; returns when the next one's is.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut entries = self.0.lock();
        while let Some(&(until, key)) = entries.queue.front() {
            if until > now {
                return Some(until);
            }
            entries.queue.pop_front();
            entries.forget_if(key, until);
        }
        None
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        *self.0.lock() = Entries::default();
    }
}

impl Entries {
    /// Forgets the connection unless it lasts longer by now.
    fn forget_if(&mut self, key: FlowKey, until: Instant) {
        if self.map.get(&key).is_some_and(|closed| closed.until <= until) {
            self.map.remove(&key);
        }
    }
}
