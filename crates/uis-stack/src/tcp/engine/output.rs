//! What a connection sends: how much, when again, and what of its own.

use std::time::Duration;

use smoltcp::socket::tcp::State;
use uis_clock::Instant;

use super::{Engine, header_len};
use crate::tcp::device::{Outbox, Wire};
use crate::tcp::header::Header;
use crate::tcp::segmentation::MAX_BURST;
use crate::tcp::seq::Seq;
use crate::wire::{self, TcpFields, flags};

/// How many empty segments in a row a flow may emit at a turn; more is a loop of smoltcp's.
const MAX_EMPTY: usize = 4;

/// The least time for which data waits for a larger window (RFC 9293 §3.8.6.2.1).
pub(super) const LEAST_HOLD: Duration = Duration::from_millis(100);

impl Engine {
    /// Emits what there is to send, as far as the outbox has room. Says whether there may be more.
    pub(crate) fn pump(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let more = self.pump_smoltcp(now, out);
        self.send_due_ack(now, out);
        more
    }

    /// As [`pump`](Self::pump), after something that needs no smoltcp, for the most part.
    pub(crate) fn follow_up(&mut self, now: Instant, out: &mut Outbox) -> bool {
        if !self.is_quiet() {
            return self.pump(now, out);
        }
        self.send_due_ack(now, out);
        false
    }

    /// Lets smoltcp emit what it has, as far as the outbox has room. Says whether it may have more.
    fn pump_smoltcp(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let mut empty = 0;
        self.tell(now, out);
        self.hold_to_window(now, out);
        self.watch_closed_window(now);
        while out.has_room() {
            let sent = out.len();
            self.fit_burst(now, out);
            self.egress(now, out);
            if out.len() == sent {
                self.unasked = false;
                return false;
            }
            self.note_smoltcp_window(self.rcv_nxt());
            let first = Header::of(out.get(sent).expect("a segment was just put there"));
            if first.len > 0 && self.persist.forbids_probe(self.time.flow(now)) {
                out.drop_at(sent);
                return false;
            }
            if first.is_pure_ack() && !self.ack_is_due(now) && !self.owes_window() {
                out.drop_at(sent);
                empty += 1;
                if empty > MAX_EMPTY {
                    self.repair(now, out);
                    return false;
                }
                continue;
            }
            let header = self.note_all(now, out, sent);
            if header.seq_len() > 0 && header.seq == self.rto.una() {
                self.snd_next = header.seq + header.seq_len(); // smoltcp has gone back
            }
            // Data would have gone first; and behind the last of it there is nothing.
            if header.is_pure_ack() && !self.is_closing() || self.is_quiet() {
                return false;
            }
            empty = if header.seq_len() == 0 { empty + 1 } else { 0 };
            if empty > MAX_EMPTY {
                self.repair(now, out);
                return false;
            }
        }
        true
    }

    /// Whether smoltcp is sure to emit nothing before a timer is due. Asking it costs more.
    pub(super) fn is_quiet(&self) -> bool {
        self.state() == State::Established
            && !self.fin_wanted
            && self.unsent() == (self.snd_next - self.rto.una()) as usize
            && !self.duplicates
            && !self.unasked
    }

    /// Learns from the segments from `index` on, which smoltcp emitted at once, and makes one header of theirs.
    fn note_all(&mut self, now: Instant, out: &mut Outbox, index: usize) -> Header {
        let nxt = self.rto.nxt();
        let first = self.note(now, out, index);
        let last = out.len() - 1;
        if last <= index {
            return first;
        }
        let end = Header::of(out.get(last).expect("a segment was just put there"));
        if first.seq < nxt {
            for again in index + 1..=last {
                self.note(now, out, again);
            }
        } else {
            // What is sent for the first time differs in its numbers only.
            let next = end.seq + end.seq_len();
            self.snd_next = self.snd_next.max(next);
            self.rto.on_sent(self.time.flow(now), first.seq + first.seq_len(), next);
        }
        Header { len: (end.seq - first.seq) + end.len, flags: end.flags, ..first }
    }

    /// Learns from the segment at `index`, the last one in the outbox. One that merely acknowledges takes the place
    /// of the one before it if there is no room.
    pub(super) fn note(&mut self, now: Instant, out: &mut Outbox, index: usize) -> Header {
        let header = Header::of(out.get(index).expect("a segment was just put there"));
        let end = header.seq + header.seq_len();
        let edge = self.rto.una() + self.shield.peer_window();
        if header.len == 1 && self.shield.irs().is_some() && end > edge && header.seq >= edge {
            // A window probe: smoltcp does not count it as sent, and its loss is no loss.
            self.window_probes += 1;
            self.asked_at = now;
            self.rto.on_probe(end);
            return header;
        }
        self.shield.on_sent(&header);
        if self.all_acked() {
            self.ack_at = None;
        }
        if header.seq_len() > 0 && !header.has(flags::RST) {
            let now = self.time.flow(now);
            self.snd_next = self.snd_next.max(end);
            self.sent_at = now;
            self.rto.on_sent(now, header.seq, end);
            self.recovery.on_sent(now);
        }
        if index > 0 && !out.has_room() && header.is_pure_ack() {
            let last = Header::of(out.get(index - 1).expect("it is not the first"));
            if last.is_pure_ack() {
                out.drop_at(index - 1);
            }
        }
        header
    }

    /// Lets smoltcp emit at once all that may go now: full segments, and a short one only if it is the end of the data.
    ///
    /// RFC 9293 §3.8.6.2.1: no small segment because the window or the congestion window has little room; only because
    /// there is no more to send. smoltcp does this when Nagle's algorithm is on, and not once it wants to send a FIN. It
    /// also never sends the FIN of a socket that is closed in SYN-RECEIVED.
    fn fit_burst(&mut self, now: Instant, out: &Outbox) {
        if self.is_opening() {
            return;
        }
        let mss = self.mss();
        let in_flight = (self.snd_next - self.rto.una()) as usize;
        let unsent = self.unsent().saturating_sub(in_flight);
        let may = unsent.min((self.fed_window as usize).saturating_sub(in_flight));
        let is_tail = unsent < mss && may == unsent;
        if self.fin_wanted && is_tail {
            self.socket_mut().close();
        }
        // A FIN goes with the last segment, so the ones before it go first.
        let goes_whole = self.nodelay && may == unsent && (is_tail || !self.fin_wanted);
        self.socket_mut().set_nagle_enabled(!goes_whole);
        let most = (MAX_BURST - header_len(self.local)).min(out.room() * mss) / mss * mss;
        let full = (may / mss * mss).min(most);
        // Another interface is cheap, but not free.
        if goes_whole {
            if may.min(self.burst) != may.min(most) {
                self.set_burst(now, most);
            }
        } else if full > 0 {
            if self.burst != full {
                self.set_burst(now, full);
            }
        } else if self.burst <= may {
            self.set_burst(now, mss);
        }
    }

    pub(super) fn egress(&mut self, now: Instant, out: &mut Outbox) {
        let mtu = header_len(self.local) + self.burst;
        let mut wire = Wire::new(None, out, mtu).translating(self.translation());
        self.iface.poll_egress(self.time.smol(now), &mut wire, &mut self.sockets);
    }

    /// Sends an acknowledgment of our own.
    pub(super) fn send_ack(&mut self, out: &mut Outbox) {
        self.emit_own(out, self.rto.nxt(), flags::ACK);
    }

    /// Sends a segment of our own, without data.
    pub(super) fn emit_own(&mut self, out: &mut Outbox, seq: Seq, flags: u8) {
        let ack = self.rcv_nxt();
        let window = self.offer().field(ack);
        let ack_packet = wire::tcp(
            &TcpFields {
                src: self.local,
                dst: self.remote,
                seq: seq.0,
                ack: Some(ack.0),
                flags,
                window,
                hop_limit: self.hop_limit,
            },
            &[],
        );
        let merges = !out.has_room()
            && out.len().checked_sub(1).and_then(|i| out.get(i)).is_some_and(|p| Header::of(p).is_pure_ack());
        if merges {
            out.drop_at(out.len() - 1);
        }
        out.push(ack_packet);
        self.shield.on_sent(&Header { seq, ack, flags, window, len: 0 });
        self.ack_at = None;
    }

    /// Ends smoltcp's loop of empty segments: in FIN-WAIT-2, the timer of window probes is armed though there is
    /// nothing to probe with. A window other than zero disarms it.
    pub(super) fn repair(&mut self, now: Instant, out: &mut Outbox) {
        let window = self.shield.peer_window_field().max(1);
        self.feed_forged_ack(now, window, out);
    }

    /// Whether smoltcp may follow an empty segment by another one, see [`repair`](Self::repair).
    pub(super) fn is_closing(&self) -> bool {
        !matches!(self.state(), State::Established | State::CloseWait)
    }

    /// Tells smoltcp of the congestion window, if it would else send more than that, or less than it may.
    pub(super) fn hold_to_window(&mut self, now: Instant, out: &mut Outbox) {
        if self.is_opening() || self.unsent() == 0 {
            return;
        }
        if self.snd_next == self.rto.una() && self.time.flow(now) - self.sent_at > self.rto.rto() {
            self.cwnd.on_idle();
        }
        if self.holds_back(now) {
            if self.fed_window != 0 {
                self.feed_forged_ack(now, 0, out);
            }
            return;
        }
        let desired = self.desired_window();
        let allowed = u32::from(desired) << self.shield.peer_scale();
        if allowed != self.fed_window && (self.unsent() as u64) > u64::from(allowed.min(self.fed_window)) {
            self.feed_forged_ack(now, desired, out);
        }
    }

    /// RFC 9293 §3.8.6.2.1: an idle sender does not fill a window that holds neither a segment, nor half of the largest that
    /// the peer ever offered, nor all that there is to send. It waits for more, but not for ever.
    fn holds_back(&mut self, now: Instant) -> bool {
        let window = self.shield.peer_window();
        let is_silly = self.rto.in_flight() == 0
            && window > 0
            && (window as usize) < self.mss().min(self.unsent())
            && window < self.shield.max_window() / 2;
        if !is_silly {
            self.held_since = None;
            return false;
        }
        self.held_since.get_or_insert(self.time.flow(now));
        self.held_until().is_some_and(|at| at > self.time.flow(now))
    }

    /// Until when data waits at most: for a retransmission time-out, as in Linux, and within the limits of the RFC.
    pub(super) fn held_until(&self) -> Option<Instant> {
        let wait = self.rto.rto().clamp(LEAST_HOLD, Duration::from_secs(1));
        self.held_since.map(|since| since + wait)
    }

    /// The window field that smoltcp should see: the peer's, unless the congestion window is smaller.
    pub(super) fn desired_window(&self) -> u16 {
        self.window_after(self.rto.una())
    }

    /// The window field that smoltcp should see with an acknowledgment of everything before `ack`.
    pub(super) fn window_after(&self, ack: Seq) -> u16 {
        let scale = self.shield.peer_scale();
        let inflated =
            self.recovery.inflation().saturating_mul(self.mss()).saturating_add(self.cwnd.window());
        let offered = match self.shield.peer_window_field() {
            // A closed window makes smoltcp probe it, and forget the timer of what is in flight. So it is shown a window
            // that holds that, as far as the scale can say it without promising more.
            0 => (self.rto.nxt().since(ack) >> scale).min(u16::MAX.into()) as u16,
            offered => offered,
        };
        u16::try_from(inflated.div_ceil(1 << scale)).map_or(offered, |allowed| allowed.min(offered))
    }

    /// The largest payload of a segment, by the path and by what the peer takes.
    pub(super) fn mss(&self) -> usize {
        self.shield.peer_mss().min(self.mtu - header_len(self.local))
    }

    /// Makes what is unacknowledged go out again now.
    pub(crate) fn retransmit(&mut self, now: Instant, out: &mut Outbox) {
        if !self.fire_smoltcp(now, out) {
            self.resend_first(now, out);
        }
    }

    /// Steps smoltcp's clock to its retransmission timer, so that it goes back to what is unacknowledged. `false` if it
    /// has no such timer.
    pub(super) fn fire_smoltcp(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let before = (self.rto.retransmits(), self.window_probes);
        // Its next deadline may be that of a delayed acknowledgment, then that of the timer.
        for _ in 0..3 {
            let smol_now = self.time.smol(now);
            let Some(at) = self.iface.poll_at(smol_now, &self.sockets) else { return false };
            self.time.step_to(now, at);
            self.pump(now, out);
            if (self.rto.retransmits(), self.window_probes) != before || !out.has_room() {
                return true;
            }
        }
        false
    }

    /// Makes smoltcp send its first unacknowledged segment, and start its timer with that.
    pub(super) fn resend_first(&mut self, now: Instant, out: &mut Outbox) {
        let una = self.rto.una();
        if self.unsent() == 0 {
            // Nothing but a FIN, which smoltcp sends again by its timer only.
            if self.rto.in_flight() == 1 {
                self.emit_own(out, una, flags::FIN | flags::ACK);
                self.rto.on_sent(self.time.flow(now), una, una + 1);
            }
            return;
        }
        let scale = self.shield.peer_scale();
        let mut window = self.desired_window().max(1);
        if window == (self.fed_window >> scale) as u16 {
            window = if window > 1 { window - 1 } else { 2 };
        }
        // The first tells smoltcp another window, which keeps it from counting; the next three make a fast retransmit.
        for _ in 0..4 {
            self.feed_forged_ack(now, window, out);
        }
        self.duplicates = true;
        let sent = out.len();
        // smoltcp makes this segment as long as the path takes, also beyond what was sent before and what the peer takes.
        let most = self.rto.in_flight().min(self.shield.peer_window()).max(1) as usize;
        self.set_burst(now, most.min(self.mss()));
        self.egress(now, out);
        if out.len() > sent {
            self.note(now, out, sent);
        }
    }
}
