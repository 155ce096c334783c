//! Loss, as the acknowledgments tell of it (RFC 5681 §3.2, RFC 6582), and as their absence does (after RFC 8985 §7).
//!
//! smoltcp resends its first unacknowledged segment when it is fed three duplicate acknowledgments, and can do no
//! better. So it is not shown the real ones: they are counted here, and when a segment is taken for lost, the engine
//! feeds it the three that it needs. Thus the next hole goes out as soon as it is known, and not after a time-out.

use std::time::Duration;

use uis_clock::Instant;

use super::seq::Seq;

/// How many duplicate acknowledgments show a loss.
const DUP_THRESHOLD: u32 = 3;

/// How often the wait for a probe is doubled at most.
const MOST_DOUBLINGS: u32 = 12;

/// What an acknowledgment calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing out of the ordinary.
    None,
    /// A loss: cut the window and resend the first segment.
    Enter,
    /// Another hole of the same loss: resend the first segment.
    Resend,
}

/// What a sender knows of its losses.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Duplicate acknowledgments since the last new one.
    duplicates: u32,
    /// While a loss is being repaired: what was the next number to send when it was noticed (RFC 6582 §3.2).
    until: Option<Seq>,
    /// Up to where duplicates are those of an earlier loss and show no new one.
    past: Seq,
    /// Since when nothing new was acknowledged or sent for the first time into an empty path.
    quiet_since: Option<Instant>,
    /// Whether the absence of acknowledgments has been acted on already.
    probed: bool,
    /// How often that was so since a round trip was measured last.
    probes: u32,
}

impl Recovery {
    pub(crate) fn new(isn: Seq) -> Self {
        Self { duplicates: 0, until: None, past: isn, quiet_since: None, probed: false, probes: 0 }
    }

    /// Whether a loss is being repaired.
    pub(crate) fn is_active(&self) -> bool {
        self.until.is_some()
    }

    /// By how many segments the window is inflated: those that have left the path (RFC 5681 §3.2 step 4).
    pub(crate) fn inflation(&self) -> usize {
        if self.is_active() { self.duplicates as usize } else { 0 }
    }

    /// Whether an empty segment with an old acknowledgment would be counted as a duplicate although its window differs.
    pub(crate) fn has_duplicates(&self) -> bool {
        self.duplicates > 0
    }

    /// A duplicate acknowledgment has come.
    pub(crate) fn on_duplicate(&mut self, una: Seq, nxt: Seq) -> Action {
        self.duplicates = self.duplicates.saturating_add(1);
        // RFC 6582 §3.2 step 2: those that an earlier repair has caused show nothing.
        if self.duplicates == DUP_THRESHOLD && !self.is_active() && self.past <= una {
            self.enter(nxt);
            return Action::Enter;
        }
        Action::None
    }

    /// New data was acknowledged, up to `una`.
    pub(crate) fn on_progress(&mut self, now: Instant, una: Seq, nxt: Seq) -> Action {
        self.quiet_since = (una != nxt).then_some(now);
        self.probed = false;
        self.past = self.past.max(una); // so that it is never too far behind to be compared
        match self.until {
            Some(until) if una < until => {
                self.duplicates = 0;
                Action::Resend // RFC 6582 §3.2 step 3, a partial acknowledgment
            }
            _ => {
                self.until = None;
                self.duplicates = 0;
                Action::None
            }
        }
    }

    /// Something was sent.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.quiet_since.get_or_insert(now);
    }

    /// The retransmission timer has fired: everything is sent again anyway.
    pub(crate) fn on_timeout(&mut self, now: Instant, nxt: Seq) {
        self.until = None;
        self.duplicates = 0;
        self.past = nxt;
        self.quiet_since = Some(now);
        self.probed = true;
    }

    /// A round trip was measured.
    pub(crate) fn on_sample(&mut self) {
        self.probes = 0;
    }

    /// When the absence of acknowledgments has to be acted on: two round trips and the delay that a peer may put into an
    /// acknowledgment. Only once; then the retransmission timer has the word.
    ///
    /// It is twice as long after each time until a round trip is measured, as that timer's is (RFC 6298 §5.5): the path may
    /// have become longer, and of what is sent again no round trip is.
    pub(crate) fn probe_at(&self, srtt: Option<Duration>, ack_delay: Duration) -> Option<Instant> {
        match (self.quiet_since, srtt) {
            (Some(since), Some(srtt)) if !self.probed => {
                let wait = (srtt * 2 + ack_delay).max(Duration::from_millis(1));
                Some(since + wait.saturating_mul(1 << self.probes.min(MOST_DOUBLINGS)))
            }
            _ => None,
        }
    }

    /// That moment has come, and it is known why nothing was acknowledged.
    pub(crate) fn put_off(&mut self, now: Instant) {
        self.quiet_since = Some(now);
    }

    /// That moment has come.
    pub(crate) fn on_probe(&mut self, now: Instant, nxt: Seq) -> Action {
        self.probed = true;
        self.probes = self.probes.saturating_add(1);
        self.quiet_since = Some(now);
        if self.is_active() {
            return Action::Resend;
        }
        self.enter(nxt);
        Action::Enter
    }

    fn enter(&mut self, nxt: Seq) {
        self.until = Some(nxt);
        self.past = nxt;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNA: Seq = Seq(1000);

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn recovery() -> Recovery {
        let mut recovery = Recovery::new(UNA);
        recovery.on_sent(at(0));
        recovery
    }

    #[test]
    fn the_third_duplicate_shows_a_loss() {
        let mut recovery = recovery();
        let actions: Vec<_> = (0..5).map(|_| recovery.on_duplicate(UNA, UNA + 9000)).collect();
        assert_eq!(actions, [Action::None, Action::None, Action::Enter, Action::None, Action::None]);
        assert_eq!((recovery.is_active(), recovery.inflation()), (true, 5));
    }

    #[test]
    fn partial_acknowledgments_show_the_next_holes() {
        let mut recovery = recovery();
        for _ in 0..3 {
            recovery.on_duplicate(UNA, UNA + 9000);
        }
        assert_eq!(recovery.on_progress(at(1), UNA + 2000, UNA + 9500), Action::Resend);
        assert_eq!(recovery.on_progress(at(1), UNA + 8999, UNA + 9500), Action::Resend);
        assert_eq!(recovery.on_progress(at(1), UNA + 9000, UNA + 9500), Action::None);
        assert!(!recovery.is_active());
    }

    #[test]
    fn duplicates_of_an_old_loss_show_no_new_one() {
        let mut recovery = recovery();
        recovery.on_timeout(at(1), UNA + 9000);
        for _ in 0..9 {
            assert_eq!(recovery.on_duplicate(UNA + 1000, UNA + 9000), Action::None);
        }
        recovery.on_progress(at(1), UNA + 9000, UNA + 12_000);
        let last = (0..3).map(|_| recovery.on_duplicate(UNA + 9000, UNA + 12_000)).last();
        assert_eq!(last, Some(Action::Enter));
    }

    #[test]
    fn a_loss_shows_however_much_went_well_before() {
        let mut recovery = recovery();
        let mut una = UNA;
        for _ in 0..5 {
            una = una + (1 << 29);
            recovery.on_progress(at(1), una, una + 9000);
        }
        let last = (0..3).map(|_| recovery.on_duplicate(una, una + 9000)).last();
        assert_eq!(last, Some(Action::Enter));
    }

    #[test]
    fn silence_is_acted_on_once() {
        let mut recovery = recovery();
        let (srtt, delay) = (Some(Duration::from_millis(5)), Duration::from_millis(10));
        assert_eq!(recovery.probe_at(None, delay), None);
        assert_eq!(recovery.probe_at(srtt, delay), Some(at(20)));
        recovery.put_off(at(15));
        assert_eq!(recovery.probe_at(srtt, delay), Some(at(35)));
        assert_eq!(recovery.on_probe(at(20), UNA + 9000), Action::Enter);
        assert_eq!(recovery.probe_at(srtt, delay), None);
        recovery.on_progress(at(30), UNA + 1000, UNA + 9000);
        assert_eq!(recovery.probe_at(srtt, delay), Some(at(70)), "the path may have become longer");
        recovery.on_sample();
        assert_eq!(recovery.probe_at(srtt, delay), Some(at(50)));
        assert_eq!(recovery.on_probe(at(50), UNA + 9000), Action::Resend);
    }
}
