//! When a window that is closed is probed (RFC 9293 §3.8.6.1).
//!
//! The probe itself is smoltcp's. Its own timer has a floor of a second, and at a write it does not wait at all.

use std::time::Duration;

use uis_clock::Instant;

/// The persist timer of a flow.
#[derive(Debug, Default)]
pub(crate) struct Persist {
    /// When the next probe is due, and how long it had to wait.
    due: Option<(Instant, Duration)>,
}

impl Persist {
    /// Data waits for a closed window, with nothing in flight that would find out; or that is over. The first probe is due after
    /// a retransmission time-out, as in Linux and FreeBSD.
    pub(crate) fn watch(&mut self, now: Instant, is_stuck: bool, rto: Duration) {
        match (is_stuck, self.due) {
            (true, None) => self.due = Some((now + rto, rto)),
            (true, Some(_)) => {}
            (false, _) => self.due = None,
        }
    }

    /// When the next probe is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.map(|(at, _)| at)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|(at, _)| at <= now)
    }

    /// Whether a probe would be too early now.
    pub(crate) fn forbids_probe(&self, now: Instant) -> bool {
        self.due.is_some_and(|(at, _)| at > now)
    }

    /// The probe that was due is sent. The next one waits for twice as long.
    pub(crate) fn on_probe(&mut self, now: Instant, max: Duration) {
        if let Some((at, wait)) = &mut self.due {
            *wait = (*wait * 2).min(max);
            *at = now + *wait;
        }
    }

    /// The time is `now`. A deadline that lies further ahead than it was ever set to has been left there by a clock that
    /// stepped back.
    pub(crate) fn hold_to(&mut self, now: Instant) {
        if let Some((at, wait)) = &mut self.due {
            *at = (*at).min(now + *wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(n: u64) -> Instant {
        Instant::ZERO + ms(n)
    }

    #[test]
    fn it_probes_ever_more_rarely() {
        let mut persist = Persist::default();
        assert!(!persist.is_due(at(0)) && !persist.forbids_probe(at(0)));
        persist.watch(at(10), true, ms(200));
        persist.watch(at(100), true, ms(300)); // nothing has changed
        for (due, next) in [(210, 610), (610, 1410), (1410, 2410), (2410, 3410)] {
            assert_eq!(persist.deadline(), Some(at(due)));
            assert!(persist.forbids_probe(at(due - 1)) && !persist.is_due(at(due - 1)));
            assert!(!persist.forbids_probe(at(due)) && persist.is_due(at(due)));
            persist.on_probe(at(due), ms(1000));
            assert_eq!(persist.deadline(), Some(at(next)));
        }
        persist.watch(at(3000), false, ms(200));
        assert_eq!(persist.deadline(), None);
        persist.watch(at(3000), true, ms(200));
        assert_eq!(persist.deadline(), Some(at(3200)));
    }

    #[test]
    fn a_clock_that_steps_back_puts_nothing_off() {
        let mut persist = Persist::default();
        persist.watch(at(10_000), true, ms(200));
        persist.hold_to(at(10_100));
        assert_eq!(persist.deadline(), Some(at(10_200)));
        persist.hold_to(at(5000));
        assert_eq!(persist.deadline(), Some(at(5200)));
    }
}
