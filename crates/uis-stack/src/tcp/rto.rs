//! A flow's own retransmission timer (RFC 6298).
//!
//! It watches what the flow sends and what the peer acknowledges, and says when a retransmission is due; the
//! retransmitting itself is smoltcp's, whose own estimator has a floor of one second.

use std::time::Duration;

use uis_clock::Instant;

use super::seq::Seq;

/// How many back-offs in a row end without a round trip measured.
const MOST_UNMEASURED: u32 = 3;

/// The estimator, the timer and the send sequence space that they watch.
#[derive(Debug)]
pub(crate) struct Rto {
    initial: Duration,
    min: Duration,
    max: Duration,
    /// The smoothed round trip and its variation, once one was measured.
    estimate: Option<(Duration, Duration)>,
    /// The shortest round trip that was measured: the path without its queues.
    shortest: Option<Duration>,
    rto: Duration,
    /// Whether the SYN is not acknowledged yet.
    is_opening: bool,
    /// Whether the time-out is longer than the estimate makes it.
    is_backed_off: bool,
    /// How many back-offs have ended since a round trip was measured last.
    unmeasured: u32,
    /// The segment whose round trip is being measured: the end of it, and when it was sent.
    timed: Option<(Seq, Instant)>,
    /// Whether the times that come are too coarse for that.
    is_coarse: bool,
    una: Seq,
    nxt: Seq,
    /// The end of the furthest window probe. A probe is no part of what is in flight, yet may be acknowledged.
    probed: Seq,
    deadline: Option<Instant>,
    /// Time-outs in a row without progress.
    backoffs: u32,
    retransmits: u64,
}

impl Rto {
    /// A timer for a connection whose first sequence number is `isn`.
    pub(crate) fn new(isn: Seq, initial: Duration, min: Duration, max: Duration) -> Self {
        Self {
            initial,
            min,
            max,
            estimate: None,
            shortest: None,
            rto: initial,
            is_opening: true,
            is_backed_off: false,
            unmeasured: 0,
            timed: None,
            is_coarse: false,
            una: isn,
            nxt: isn,
            probed: isn,
            deadline: None,
            backoffs: 0,
            retransmits: 0,
        }
    }

    /// The oldest unacknowledged sequence number, SND.UNA.
    pub(crate) fn una(&self) -> Seq {
        self.una
    }

    /// The highest sequence number sent plus one, SND.NXT.
    pub(crate) fn nxt(&self) -> Seq {
        self.nxt
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.nxt - self.una
    }

    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.estimate.map(|(srtt, _)| srtt)
    }

    /// The shortest round trip so far.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    pub(crate) fn rto(&self) -> Duration {
        self.rto
    }

    /// The least that the time-out can be.
    pub(crate) fn least(&self) -> Duration {
        self.min.min(self.initial)
    }

    pub(crate) fn backoffs(&self) -> u32 {
        self.backoffs
    }

    pub(crate) fn retransmits(&self) -> u64 {
        self.retransmits
    }

    /// When a retransmission is due; none while nothing is unacknowledged.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// From here on the times that come are exact, or not.
    pub(crate) fn set_coarse(&mut self, is_coarse: bool) {
        self.is_coarse = is_coarse;
    }

    /// Whether a round trip is being measured.
    pub(crate) fn is_timing(&self) -> bool {
        self.timed.is_some()
    }

    /// The time is `now`. A deadline that lies further ahead than it was ever set to has been left there by a clock that
    /// stepped back.
    pub(crate) fn hold_to(&mut self, now: Instant) {
        self.deadline = self.deadline.map(|at| at.min(now + self.rto));
    }

    /// A segment that occupies `start..end` was sent.
    pub(crate) fn on_sent(&mut self, now: Instant, start: Seq, end: Seq) {
        if start < self.nxt {
            self.retransmits += 1;
            // Karn's algorithm, RFC 6298 §3: no sample from what was sent twice.
            self.timed = None;
        } else if self.timed.is_none() && !self.is_coarse {
            self.timed = Some((end, now));
        }
        self.nxt = self.nxt.max(end);
        if self.deadline.is_none() {
            self.deadline = Some(now + self.rto); // §5.1
        }
    }

    /// A window probe that ends at `end` was sent.
    pub(crate) fn on_probe(&mut self, end: Seq) {
        self.probed = self.probed.max(end);
    }

    /// The highest acknowledgment that the peer may send.
    pub(crate) fn ackable(&self) -> Seq {
        self.nxt.max(self.probed)
    }

    /// The peer acknowledged everything before `ack`. Says whether a round trip was measured by that.
    pub(crate) fn on_ack(&mut self, now: Instant, ack: Seq) -> bool {
        if !(self.una < ack && ack <= self.ackable()) {
            return false;
        }
        self.una = ack;
        self.nxt = self.nxt.max(ack);
        self.probed = self.probed.max(ack);
        self.backoffs = 0;
        let is_first = std::mem::take(&mut self.is_opening);
        let sample = self.timed.take_if(|(end, _)| *end <= ack).filter(|_| !self.is_coarse);
        if let Some((_, sent)) = sample {
            self.sample(now - sent);
            self.unmeasured = 0;
        } else if self.is_backed_off && !is_first && self.unmeasured < MOST_UNMEASURED {
            // Nearly always something was lost, and the time was long enough: where many are lost, a back-off that waits for a
            // sample grows to minutes. But that there is none may be because the time was too short. So if it goes on like
            // that, or it was the first time, which was a guess, the back-off stays (RFC 6298 §5.7).
            self.unmeasured += 1;
            self.recompute();
        }
        // §5.2 and §5.3
        self.deadline = (self.una != self.nxt).then(|| now + self.rto);
        sample.is_some()
    }

    /// The deadline has passed, and a retransmission is under way (§5.4–5.6).
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.backoffs += 1;
        (self.rto, self.is_backed_off) = ((self.rto * 2).min(self.max), true);
        self.timed = None;
        self.deadline = Some(now + self.rto);
    }

    fn sample(&mut self, rtt: Duration) {
        self.shortest = Some(self.shortest.map_or(rtt, |shortest| shortest.min(rtt)));
        self.estimate = Some(match self.estimate {
            None => (rtt, rtt / 2), // §2.2
            // §2.3, with alpha = 1/8 and beta = 1/4
            Some((srtt, rttvar)) => ((srtt * 7 + rtt) / 8, (rttvar * 3 + srtt.abs_diff(rtt)) / 4),
        });
        self.recompute();
    }

    fn recompute(&mut self) {
        self.is_backed_off = false;
        self.rto = match self.estimate {
            Some((srtt, rttvar)) => (srtt + rttvar * 4).clamp(self.min, self.max),
            None => self.initial,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(n: u64) -> Instant {
        Instant::default() + ms(n)
    }

    fn rto() -> Rto {
        Rto::new(Seq(u32::MAX), ms(1000), ms(200), ms(120_000))
    }

    #[test]
    fn the_first_sample_sets_the_estimate() {
        let mut rto = rto();
        let isn = Seq(u32::MAX);
        rto.on_sent(at(0), isn, isn + 1);
        assert_eq!(rto.deadline(), Some(at(1000)));
        rto.on_ack(at(300), isn + 1);
        assert_eq!((rto.srtt(), rto.rto(), rto.deadline()), (Some(ms(300)), ms(900), None));
    }

    #[test]
    fn the_floor_holds_and_progress_restarts_the_timer() {
        let mut rto = rto();
        let a = Seq(u32::MAX);
        rto.on_sent(at(0), a, a + 10);
        rto.on_sent(at(0), a + 10, a + 20);
        rto.on_ack(at(2), a + 10);
        assert_eq!((rto.rto(), rto.deadline(), rto.in_flight()), (ms(200), Some(at(202)), 10));
    }

    #[test]
    fn time_outs_back_off_to_the_cap_and_progress_ends_that() {
        let mut rto = rto();
        let a = Seq(u32::MAX);
        rto.on_sent(at(0), a, a + 10);
        for (n, wait) in [2, 4, 8, 16, 32, 64, 120, 120].into_iter().enumerate() {
            rto.on_timeout(at(0));
            rto.on_sent(at(0), a, a + 10);
            assert_eq!((rto.backoffs(), rto.deadline()), (n as u32 + 1, Some(at(wait * 1000))));
        }
        rto.on_ack(at(5), a + 10);
        assert_eq!((rto.backoffs(), rto.deadline(), rto.srtt()), (0, None, None));
    }

    #[test]
    fn what_was_sent_twice_gives_no_sample() {
        let mut rto = rto();
        let a = Seq(7);
        rto = Rto { una: a, nxt: a, probed: a, ..rto };
        rto.on_sent(at(0), a, a + 10);
        rto.on_timeout(at(1000));
        rto.on_sent(at(1000), a, a + 10);
        rto.on_ack(at(1001), a + 10);
        assert_eq!((rto.srtt(), rto.retransmits()), (None, 1));
    }

    #[test]
    fn a_coarse_time_gives_no_sample() {
        for [sent_coarse, acked_coarse] in [[true, false], [false, true]] {
            let mut rto = rto();
            rto.set_coarse(sent_coarse);
            rto.on_sent(at(0), Seq(100), Seq(200));
            assert_eq!(rto.is_timing(), !sent_coarse);
            rto.set_coarse(acked_coarse);
            rto.on_ack(at(30), Seq(200));
            assert_eq!((rto.srtt(), rto.in_flight(), rto.is_timing()), (None, 0, false));
        }
    }

    #[test]
    fn an_accepted_window_probe_is_acknowledged() {
        let mut rto = rto();
        let a = Seq(u32::MAX);
        rto.on_probe(a + 1);
        assert_eq!((rto.in_flight(), rto.deadline(), rto.ackable()), (0, None, a + 1));
        rto.on_ack(at(1), a + 1);
        assert_eq!((rto.una(), rto.nxt()), (a + 1, a + 1));
    }

    #[test]
    fn a_back_off_lasts_until_a_round_trip_is_measured() {
        let mut rto = rto();
        let a = Seq(u32::MAX);
        rto.on_sent(at(0), a, a + 10);
        rto.on_timeout(at(1000));
        rto.on_sent(at(1000), a, a + 10);
        assert!(!rto.on_ack(at(1001), a + 10));
        assert_eq!((rto.srtt(), rto.rto(), rto.backoffs()), (None, ms(2000), 0));
        rto.on_sent(at(2000), a + 10, a + 20);
        assert!(rto.on_ack(at(2100), a + 20));
        assert_eq!((rto.srtt(), rto.rto()), (Some(ms(100)), ms(300)));
    }

    #[test]
    fn few_back_offs_in_a_row_end_without_a_round_trip() {
        let mut rto = rto();
        let mut una = Seq(u32::MAX);
        let mut exchange = |rto: &mut Rto, is_lost: bool| {
            rto.on_sent(at(0), una, una + 10);
            if is_lost {
                rto.on_timeout(at(1000));
                rto.on_sent(at(1000), una, una + 10);
            }
            una = una + 10;
            rto.on_ack(at(1100), una);
            rto.rto()
        };
        let usual = exchange(&mut rto, false);
        for _ in 0..2 {
            let lost = [0; 5].map(|_| exchange(&mut rto, true));
            assert_eq!(lost, [usual, usual, usual, usual * 2, usual * 4]);
            rto = Rto { shortest: None, estimate: None, ..rto };
            assert_eq!(exchange(&mut rto, false), usual);
        }
    }

    #[test]
    fn a_clock_that_steps_back_puts_nothing_off() {
        let mut rto = rto();
        let a = Seq(u32::MAX);
        rto.on_sent(at(5000), a, a + 10);
        rto.hold_to(at(5500));
        assert_eq!(rto.deadline(), Some(at(6000)));
        rto.hold_to(at(100));
        assert_eq!(rto.deadline(), Some(at(1100)));
    }

    #[test]
    fn old_and_future_acks_change_nothing() {
        let mut rto = rto();
        let a = Seq(u32::MAX);
        rto.on_sent(at(0), a, a + 10);
        rto.on_ack(at(1), a);
        rto.on_ack(at(1), a + 11);
        assert_eq!((rto.una(), rto.deadline()), (a, Some(at(1000))));
    }
}
