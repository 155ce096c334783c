//! A flow's two clocks: one that stands still while the network has no room, and smoltcp's, which is set by it.

use std::time::Duration;

use uis_clock::Instant;

/// smoltcp's idea of now.
pub(crate) type SmolInstant = smoltcp::time::Instant;

/// Where smoltcp's time begins: its instant 0 has a meaning of its own, so neither start nor steps back come near.
const BASE: i64 = 1 << 40;

/// Converts the stack's time to the flow's, and the flow's to smoltcp's.
///
/// *Flow time* stands still while the network refuses the flow's segments: what waits in one's own queue is not
/// late, so no retransmission may be due because of it. *smoltcp's time* is flow time plus an offset, which is
/// changed so that smoltcp's retransmission timer fires when the flow's own does, be that earlier or later.
#[derive(Debug, Default)]
pub(crate) struct FlowTime {
    /// For how many nanoseconds it has stood still so far.
    stood: u64,
    /// Since when it stands still, if it does.
    since: Option<Instant>,
    /// How far smoltcp is ahead, in microseconds.
    offset: i64,
}

impl FlowTime {
    /// The flow's time at `now`.
    pub(crate) fn flow(&self, now: Instant) -> Instant {
        let now = self.since.unwrap_or(now);
        Instant::from_nanos(now.as_nanos().saturating_sub(self.stood))
    }

    /// When it will be `at` on the flow, if it runs on from now; `None` while it stands still.
    pub(crate) fn real(&self, at: Instant) -> Option<Instant> {
        self.since.is_none().then(|| Instant::from_nanos(at.as_nanos().saturating_add(self.stood)))
    }

    /// smoltcp's time at `now`.
    pub(crate) fn smol(&self, now: Instant) -> SmolInstant {
        let micros = (self.flow(now).as_nanos() / 1000).min(i64::MAX as u64 / 4) as i64;
        SmolInstant::from_micros(micros + BASE + self.offset)
    }

    /// When `at` on smoltcp's clock will be, if that runs on from `now`; `None` while it stands still.
    pub(crate) fn when(&self, now: Instant, at: SmolInstant) -> Option<Instant> {
        let wait = (at.total_micros() - self.smol(now).total_micros()).max(0);
        self.since.is_none().then(|| now + Duration::from_micros(wait as u64))
    }

    /// Steps smoltcp's clock forward to `at`, if that is ahead.
    pub(crate) fn step_to(&mut self, now: Instant, at: SmolInstant) {
        self.offset += (at.total_micros() - self.smol(now).total_micros()).max(0);
    }

    /// Steps smoltcp's clock back, so that what is due there at `at` is due on the flow's clock at `flow_at`.
    pub(crate) fn put_off(&mut self, now: Instant, at: SmolInstant, flow_at: Instant) {
        let wait = ((flow_at - self.flow(now)).as_nanos().div_ceil(1000)).min(i64::MAX as u128 / 8) as i64;
        self.offset += (at.total_micros() - self.smol(now).total_micros() - wait).min(0);
    }

    /// Makes flow time stand still from `now` on.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Makes flow time run again from `now` on.
    pub(crate) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.stood = self.stood.saturating_add(now.as_nanos().saturating_sub(since.as_nanos()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::default() + Duration::from_secs(s)
    }

    fn smol(s: i64) -> SmolInstant {
        SmolInstant::from_micros(BASE + s * 1_000_000)
    }

    #[test]
    fn it_stands_still_and_goes_on() {
        let mut time = FlowTime::default();
        time.stop(at(10));
        time.stop(at(12));
        assert_eq!((time.flow(at(15)), time.real(at(11))), (at(10), None));
        assert_eq!(time.when(at(15), smol(11)), None);
        time.go_on(at(20));
        assert_eq!((time.flow(at(21)), time.real(at(11))), (at(11), Some(at(21))));
        assert_eq!(time.smol(at(21)), smol(11));
    }

    #[test]
    fn smoltcp_is_moved_to_what_is_due() {
        let mut time = FlowTime::default();
        time.step_to(at(1), smol(7));
        assert_eq!(time.smol(at(1)), smol(7));
        time.step_to(at(1), smol(3));
        assert_eq!(time.smol(at(2)), smol(8));
        assert_eq!(time.when(at(2), smol(9)), Some(at(3)));
        assert_eq!(time.when(at(2), smol(1)), Some(at(2)));
        time.put_off(at(2), smol(8), at(6));
        assert_eq!((time.smol(at(2)), time.smol(at(6))), (smol(4), smol(8)));
        time.put_off(at(2), smol(80), at(6));
        assert_eq!(time.smol(at(2)), smol(4));
    }

    #[test]
    fn the_end_of_time_saturates() {
        let time = FlowTime::default();
        let end = Instant::default() + Duration::MAX;
        assert!(time.smol(end) > time.smol(at(1)));
        assert_eq!(time.flow(end), end);
    }
}
