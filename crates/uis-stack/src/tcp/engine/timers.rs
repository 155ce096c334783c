//! When a connection has something to do although nothing happens, and what.

use std::time::Duration;

use smoltcp::socket::tcp::State;
use uis_clock::Instant;

use super::output::LEAST_HOLD;
use super::{Engine, GaveUp};
use crate::tcp::TcpTimer;
use crate::tcp::device::Outbox;
use crate::wire::flags;

/// By how much a coarse time may be late: a tick of a slow kernel.
const COARSE: Duration = Duration::from_millis(10);

impl Engine {
    /// When [`on_timer`](Self::on_timer) has something to do, if nothing else happens before.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.rto.hold_to(self.time.flow(now));
        self.persist.hold_to(self.time.flow(now));
        let rto = self.rto.deadline().and_then(|at| self.time.real(at));
        let smol = if self.smoltcp_waits() { self.smoltcp_deadline(now) } else { None };
        let persist = self.persist.deadline().and_then(|at| self.time.real(at));
        let keepalive = self.keepalive_at().and_then(|at| self.time.real(at));
        let probe = self.loss_probe_at().and_then(|at| self.time.real(at));
        let ack = self.ack_at.and_then(|at| self.time.real(at));
        let held = self.held_until().and_then(|at| self.time.real(at));
        [rto, smol, persist, keepalive, probe, ack, held].into_iter().flatten().min()
    }

    /// What the next deadline that means anything is for.
    pub(crate) fn timer(&self) -> TcpTimer {
        let is_open = matches!(self.state(), State::Established | State::CloseWait);
        let awaits_ack = self.rto.in_flight() > 0 || !(is_open || self.state() == State::FinWait2);
        if awaits_ack {
            TcpTimer::Retransmit
        } else if self.unsent() > 0 || (self.fin_wanted && is_open) {
            if self.shield.peer_window() > 0 { TcpTimer::Retransmit } else { TcpTimer::Probe }
        } else if !self.all_acked() {
            TcpTimer::Ack
        } else if self.keepalive_at().is_some() {
            TcpTimer::Keepalive
        } else {
            TcpTimer::Off
        }
    }

    /// How many window probes and keep-alives were sent in a row without an answer.
    pub(crate) fn unanswered(&self) -> u32 {
        self.keepalives + self.window_probes
    }

    /// From here on the times that come are exact, or not.
    pub(crate) fn set_coarse(&mut self, is_coarse: bool) {
        self.rto.set_coarse(is_coarse);
    }

    /// Whether what comes next needs an exact time: it may end the measurement of a round trip, or let data go out, of which
    /// the next one begins; or a wait that is counted from it is a short one.
    pub(crate) fn wants_exact_time(&self) -> bool {
        self.rto.is_timing() || !self.is_quiet() || self.is_hasty()
    }

    /// Whether a coarse time would have something done too early: take an acknowledgment for missing that is not late, or
    /// the peer for gone.
    fn is_hasty(&self) -> bool {
        let awaits_acks = self.rto.in_flight() as usize > self.mss();
        let ack = self.rto.srtt().unwrap_or_default() + self.ack_delay;
        let keepalive =
            self.keepalive.map_or(Duration::MAX, |keepalive| keepalive.idle.min(keepalive.interval));
        (awaits_acks && ack < COARSE) || self.rto.least().min(keepalive) < 10 * COARSE
    }

    /// When the last window probe or keep-alive was sent that the peer has answered.
    pub(crate) fn answered(&self) -> Option<Instant> {
        self.answered
    }

    /// Whether smoltcp may be waiting for something that comes before our own retransmission timer.
    pub(super) fn smoltcp_waits(&self) -> bool {
        self.rto.rto() > Duration::from_secs(1) // its own is not less
    }

    pub(super) fn smoltcp_deadline(&mut self, now: Instant) -> Option<Instant> {
        let smol_now = self.time.smol(now);
        // TIME-WAIT is our own.
        let at = self.iface.poll_at(smol_now, &self.sockets).filter(|_| self.state() != State::TimeWait)?;
        self.time.when(now, at)
    }

    /// Whether the next deadline may lie before `at`. This is seen without working that out, for the most part.
    pub(crate) fn may_be_due_before(&self, at: Instant, now: Instant) -> bool {
        at > now + self.least_wait()
            || self.loss_probe_at().and_then(|at| self.time.real(at)).is_some_and(|probe| probe < at)
    }

    /// The least time between what sets a deadline and that deadline, but for a loss probe: it is counted from a moment before
    /// more was sent than a single segment.
    fn least_wait(&self) -> Duration {
        let ack = if self.ack_delay.is_zero() { Duration::from_millis(1) } else { self.ack_delay };
        let least = ack.min(self.rto.least()).min(LEAST_HOLD);
        self.keepalive.map_or(least, |keepalive| least.min(keepalive.idle).min(keepalive.interval))
    }

    /// Does what is due: retransmission, probes, delayed acknowledgments. With `path_busy` packets are waiting in the
    /// network for somebody to route them, so that an acknowledgment may be late without anything being lost.
    pub(crate) fn on_timer(&mut self, now: Instant, path_busy: bool, out: &mut Outbox) -> Result<(), GaveUp> {
        let flow_now = self.time.flow(now);
        if self.rto.deadline().is_some_and(|at| at <= flow_now) {
            let retries = if self.is_opening() { self.syn_retries } else { self.retries };
            // RFC 9293 §3.8.6.1: a peer that answers may keep its window closed for ever.
            let is_closed = self.shield.peer_window() == 0 && !self.is_opening();
            if (if is_closed { self.time_outs } else { self.rto.backoffs() }) >= retries {
                return Err(GaveUp::Unanswered);
            }
            self.time_outs += 1;
            self.cwnd.on_timeout(self.rto.backoffs() > 0);
            self.recovery.on_timeout(flow_now, self.rto.nxt());
            self.rto.on_timeout(flow_now);
            self.snd_next = self.rto.una();
            self.hold_to_window(now, out);
            self.retransmit(now, out);
        } else if self.loss_probe_at().is_some_and(|at| at <= flow_now) {
            if path_busy {
                self.recovery.put_off(flow_now);
            } else {
                let action = self.recovery.on_probe(flow_now, self.rto.nxt());
                self.act(now, action, out);
            }
        }
        if self.persist.is_due(flow_now) {
            if self.window_probes > self.retries {
                return Err(GaveUp::Unanswered);
            }
            self.fire_smoltcp(now, out);
            self.persist.on_probe(flow_now, self.max_rto);
        }
        self.put_off_smoltcp(now);
        if let (Some(keepalive), Some(at)) = (self.keepalive, self.keepalive_at())
            && at <= flow_now
        {
            if self.keepalives >= keepalive.probes {
                return Err(GaveUp::Unanswered);
            }
            self.keepalives += 1;
            self.asked_at = now;
            // RFC 9293 §3.8.4: a sequence number just below what the peer expects, and no data.
            self.emit_own(out, self.rto.una() - 1, flags::ACK);
        }
        self.pump(now, out);
        Ok(())
    }

    /// Has a closed window probed for which data waits. While something is in flight, its retransmission finds out.
    pub(super) fn watch_closed_window(&mut self, now: Instant) {
        let is_stuck = self.shield.peer_window() == 0
            && !self.is_opening()
            && self.rto.in_flight() == 0
            && self.unsent() > 0;
        self.persist.watch(self.time.flow(now), is_stuck, self.rto.rto());
    }

    /// When the absence of acknowledgments is to be taken for a loss.
    pub(super) fn loss_probe_at(&self) -> Option<Instant> {
        // A single segment may be acknowledged as late as the peer likes (RFC 8985 §7.2), and then the timer is about due.
        let waits =
            self.rto.in_flight() as usize > self.mss() && !self.is_opening() && self.shield.peer_window() > 0;
        if waits { self.recovery.probe_at(self.rto.srtt(), self.ack_delay) } else { None }
    }

    /// Keeps smoltcp's retransmission timer, whose cap is lower, from firing before ours.
    pub(super) fn put_off_smoltcp(&mut self, now: Instant) {
        if let Some(ours) = self.rto.deadline()
            && ours > self.time.flow(now)
        {
            let smol_now = self.time.smol(now);
            if let Some(at) = self.iface.poll_at(smol_now, &self.sockets).filter(|&at| at <= smol_now) {
                // Something to send is due at instant 0; that may go.
                if at.total_micros() > 0 {
                    self.time.put_off(now, at, ours);
                }
            }
        }
    }

    pub(super) fn keepalive_at(&self) -> Option<Instant> {
        let keepalive = self.keepalive?;
        let idle = !self.is_opening() && self.rto.in_flight() == 0 && self.state() != State::Closed;
        let wait = keepalive.idle.saturating_add(keepalive.interval.saturating_mul(self.keepalives));
        idle.then(|| self.heard + wait)
    }

    /// Makes the flow's time stand still: the network refuses its segments.
    pub(crate) fn stop_time(&mut self, now: Instant) {
        self.time.stop(now);
    }

    /// Makes the flow's time run again.
    pub(crate) fn go_on(&mut self, now: Instant) {
        self.time.go_on(now);
    }
}
