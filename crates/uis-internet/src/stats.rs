//! What became of every frame.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use uis_vnic::tally::Tally;
use uis_vnic::{DropReason, Frame, Undelivered, WeakVnic};

const REASONS: usize = DropReason::ALL.len();

/// What an internet has counted since it was made.
///
/// The counters add up: of the frames that Vnics sent,
/// `sent = delivered + dropped + queued + held`, provided that the caller hands each frame that it takes to a
/// `deliver` once. Frames that it keeps or throws away are in none of the four ([`withheld`](Self::withheld) says how
/// many they are); a copy that it makes, or a second attempt with the same frame, counts again. While frames move on
/// other threads, the one or other of them may be between two counters.
///
/// Frames made by hand, which nobody sent, are counted apart, in `injected` and `injected_dropped`.
///
/// Printed with `{:?}`, it names the reasons for which something was dropped.
///
/// ```
/// use uis_internet::Internet;
///
/// let internet = Internet::new();
/// let before = internet.stats();
/// assert_eq!(before, Default::default());
/// assert_eq!(before.sent, before.delivered + before.dropped_total() + before.queued + before.held);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InternetStats {
    /// Frames that Vnics sent and that were taken: into the queue, or, after a close, to be dropped at once.
    pub sent: u64,
    /// Frames that reached what is attached to the Vnic with their destination address.
    pub delivered: u64,
    /// How often a sender was told that the queue is full. It keeps the frame, which is not in `sent`.
    pub refused: u64,
    /// Frames in the queue now.
    pub queued: u64,
    /// Frames in the delay line now.
    pub held: u64,
    /// Frames made by hand that were delivered. They are in none of the counters above but `refused`.
    pub injected: u64,
    /// Frames made by hand that were not delivered, for whatever reason.
    pub injected_dropped: u64,
    pub(crate) dropped: [u64; REASONS],
}

impl InternetStats {
    /// How many frames were not delivered for this reason: handed back by `deliver`, lost when their time in the
    /// delay line was over, or sent into a closed internet.
    ///
    /// ```
    /// use uis_internet::Internet;
    /// use uis_vnic::DropReason;
    ///
    /// assert_eq!(Internet::new().stats().dropped(DropReason::NoRoute), 0);
    /// ```
    #[must_use]
    pub fn dropped(&self, why: DropReason) -> u64 {
        self.dropped[why as usize]
    }

    /// The sum of [`dropped`](Self::dropped) over all reasons.
    ///
    /// ```
    /// assert_eq!(uis_internet::Internet::new().stats().dropped_total(), 0);
    /// ```
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// How many frames the caller has taken from the queue, and neither delivered nor tried to: those in its hands
    /// and those it has thrown away. Copies that it has delivered are subtracted; it is never less than 0.
    ///
    /// ```
    /// assert_eq!(uis_internet::Internet::new().stats().withheld(), 0);
    /// ```
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.sent.saturating_sub(self.delivered + self.dropped_total() + self.queued + self.held)
    }
}

impl fmt::Debug for InternetStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("InternetStats");
        s.field("sent", &self.sent).field("delivered", &self.delivered).field("refused", &self.refused);
        s.field("queued", &self.queued).field("held", &self.held);
        s.field("injected", &self.injected).field("injected_dropped", &self.injected_dropped);
        for &why in DropReason::ALL.iter().filter(|&&why| self.dropped(why) > 0) {
            s.field(&format!("dropped: {why}"), &self.dropped(why));
        }
        s.finish()
    }
}

/// The counters of what is done without the queue's lock.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    delivered: Tally,
    dropped: [AtomicU64; REASONS],
    injected: Tally,
    injected_dropped: AtomicU64,
}

impl Counters {
    /// Hands a frame to `vnic` and counts what came of it. If the receiver panics, it has been delivered.
    pub(crate) fn deliver(&self, frame: Frame, sent: bool, vnic: &WeakVnic) -> Result<(), Undelivered> {
        struct Delivered<'a>(&'a Tally);
        impl Drop for Delivered<'_> {
            fn drop(&mut self) {
                self.0.add(1);
            }
        }
        let delivered = Delivered(if sent { &self.delivered } else { &self.injected });
        let result = vnic.inject_frame(frame);
        if let Err(undelivered) = &result {
            std::mem::forget(delivered);
            self.dropped(sent, undelivered.reason(), 1);
        }
        result
    }

    pub(crate) fn dropped(&self, sent: bool, why: DropReason, n: u64) {
        let counter = if sent { &self.dropped[why as usize] } else { &self.injected_dropped };
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn read_into(&self, stats: &mut InternetStats) {
        stats.delivered = self.delivered.sum();
        stats.injected = self.injected.sum();
        stats.injected_dropped = self.injected_dropped.load(Ordering::Relaxed);
        for (value, counter) in stats.dropped.iter_mut().zip(&self.dropped) {
            *value = counter.load(Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_printed_by_reason() {
        let counters = Counters::default();
        counters.dropped(true, DropReason::NoRoute, 3);
        let mut stats = InternetStats::default();
        assert!(format!("{stats:?}").ends_with("injected_dropped: 0 }"), "{stats:?}");
        counters.read_into(&mut stats);
        let text = format!("{stats:?}");
        assert!(text.ends_with("injected_dropped: 0, dropped: no route to its destination: 3 }"), "{text}");
    }
}
