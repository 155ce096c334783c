//! What a stack counts.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use uis_vnic::DropReason;
use uis_vnic::tally::Tally;

use crate::wire::DiscardReason;

/// The counters of a [`Stack`](crate::Stack), as [`Stack::stats`](crate::Stack::stats) reads them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackStats {
    /// Packets that arrived, good and bad.
    pub received: u64,
    /// Packets that the network took.
    pub sent: u64,
    /// Connections being set up, open, or closing.
    pub connections: u64,
    /// Connections in TIME-WAIT.
    pub time_wait: u64,
    /// Datagrams of which fragments are still missing.
    pub reassembling: u64,
    discarded: [u64; DiscardReason::ALL.len()],
    not_sent: [u64; DropReason::ALL.len()],
}

impl StackStats {
    /// How many packets arrived and were discarded for this reason.
    #[must_use]
    pub fn discarded(&self, why: DiscardReason) -> u64 {
        self.discarded[why as usize]
    }

    /// How many packets arrived and were discarded, for any reason.
    #[must_use]
    pub fn total_discarded(&self) -> u64 {
        self.discarded.iter().sum()
    }

    /// How many packets of the stack's own did not leave, and were lost, for this reason. A TCP segment that waits
    /// for room in the network is not among them.
    #[must_use]
    pub fn not_sent(&self, why: DropReason) -> u64 {
        self.not_sent[why as usize]
    }
}

/// Shows the reasons that occurred only.
impl fmt::Debug for StackStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("StackStats");
        s.field("received", &self.received).field("sent", &self.sent);
        s.field("connections", &self.connections).field("time_wait", &self.time_wait);
        s.field("reassembling", &self.reassembling);
        for &why in DiscardReason::ALL.iter().filter(|&&why| self.discarded(why) > 0) {
            s.field(&format!("discarded: {why}"), &self.discarded(why));
        }
        for &why in DropReason::ALL.iter().filter(|&&why| self.not_sent(why) > 0) {
            s.field(&format!("not sent: {why}"), &self.not_sent(why));
        }
        s.finish()
    }
}

/// The counters as they run.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    received: Tally,
    sent: Tally,
    discarded: [AtomicU64; DiscardReason::ALL.len()],
    not_sent: [AtomicU64; DropReason::ALL.len()],
}

impl Counters {
    pub(crate) fn received(&self) {
        self.received.add(1);
    }

    pub(crate) fn sent(&self, n: u64) {
        self.sent.add(n);
    }

    pub(crate) fn discard(&self, why: DiscardReason) {
        self.discard_many(why, 1);
    }

    pub(crate) fn discard_many(&self, why: DiscardReason, n: u64) {
        self.discarded[why as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn not_sent(&self, why: DropReason) {
        self.not_sent[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, connections: usize, time_wait: usize, reassembling: usize) -> StackStats {
        StackStats {
            received: self.received.sum(),
            sent: self.sent.sum(),
            connections: connections as u64,
            time_wait: time_wait as u64,
            reassembling: reassembling as u64,
            discarded: std::array::from_fn(|i| self.discarded[i].load(Ordering::Relaxed)),
            not_sent: std::array::from_fn(|i| self.not_sent[i].load(Ordering::Relaxed)),
        }
    }
}
