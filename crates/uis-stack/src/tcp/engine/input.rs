//! What a segment does to a connection.

use smoltcp::socket::tcp::State;
use uis_clock::Instant;

use super::{Engine, header_len};
use crate::tcp::cwnd::Cwnd;
use crate::tcp::device::{Outbox, Wire};
use crate::tcp::header::{self, Header};
use crate::tcp::recovery::Action;
use crate::tcp::seq::Seq;
use crate::tcp::shield::{self, Fix, Verdict};
use crate::wire::{self, DiscardReason, Packet, TcpFields, TcpOptions, TcpSegment, flags};

impl Engine {
    /// Takes in a segment of this connection, which has passed the checks that need no connection.
    pub(crate) fn input(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
        out: &mut Outbox,
    ) -> Result<(), DiscardReason> {
        let state = self.state();
        let flow_now = self.time.flow(now);
        let window_was_closed = self.shield.peer_window() == 0;
        let mut ack_after = false;
        let limit = self.smoltcp_edge + self.bypassed;
        match self.shield.judge(seg, state, &self.rto, self.rcv_nxt(), limit) {
            Verdict::Feed | Verdict::Rewrite { ack_after: false, .. }
                if is_pure_ack(seg) && !self.is_opening() =>
            {
                self.on_pure_ack(now, packet, seg, out)
            }
            Verdict::Feed if seg.window > 0 || seg.has(flags::SYN | flags::RST) => {
                self.feed(now, packet, seg, out);
                self.on_fed(now, state, seg, seg.window, out);
            }
            Verdict::Feed => {
                let window = self.window_after(Seq(seg.ack));
                let fix =
                    Fix { skip: 0, ack: Seq(seg.ack), window, len: seg.payload.len() as u32, keep_end: true };
                self.feed_fixed(now, packet, seg, &fix, out);
                self.on_fed(now, state, seg, window, out);
            }
            Verdict::Rewrite { fix, ack_after: ack } if leaves_an_ack(seg, &fix) && !self.is_opening() => {
                ack_after = ack;
                // smoltcp would take it for a duplicate, which nothing is that carries data (RFC 5681 §2).
                self.on_acked(now, fix.ack, out);
            }
            Verdict::Rewrite { mut fix, ack_after: ack } => {
                ack_after = ack;
                if fix.window == 0 {
                    fix.window = self.window_after(fix.ack);
                }
                self.feed_fixed(now, packet, seg, &fix, out);
                self.on_fed(now, state, seg, fix.window, out);
            }
            Verdict::Ack => {
                self.send_ack(out);
                return Err(DiscardReason::Sequence);
            }
            Verdict::Challenge => {
                if self.shield.may_challenge(now) {
                    self.send_ack(out);
                }
                return Err(DiscardReason::Sequence);
            }
            Verdict::AnswerSyn => {
                if self.shield.may_challenge(now) {
                    self.fire_smoltcp(now, out);
                }
            }
            Verdict::Complete { window } => {
                self.on_progress(now, Seq(seg.ack));
                self.feed_forged_ack(now, window, out);
            }
            Verdict::Drop => return Err(DiscardReason::Sequence),
        }
        self.on_heard(flow_now);
        if window_was_closed
            && self.shield.peer_window() > 0
            && !self.is_opening()
            && self.rto.in_flight() > 0
        {
            // Whatever went beyond the closed window was thrown away there.
            self.retransmit(now, out);
        }
        if ack_after {
            self.send_ack(out);
        }
        if state != self.state() && self.peer_closed() && !self.all_acked() {
            self.ack_at = Some(flow_now); // a FIN, which is acknowledged at once
        }
        Ok(())
    }

    /// The peer is there.
    pub(super) fn on_heard(&mut self, flow_now: Instant) {
        self.heard = flow_now;
        if self.unanswered() > 0 {
            self.answered = Some(self.asked_at);
        }
        (self.keepalives, self.window_probes, self.time_outs) = (0, 0, 0);
    }

    /// Takes in an acknowledgment without data, of which smoltcp sees what the congestion window allows.
    pub(super) fn on_pure_ack(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
        out: &mut Outbox,
    ) {
        let (una, in_flight) = (self.rto.una(), self.rto.in_flight());
        let says_window = self.shield.window_changed() && !self.recovery.has_duplicates();
        // Options on a bare acknowledgment are selective ones (RFC 2018), since nothing else is negotiated.
        let selective = seg.header_len > wire::TCP_HEADER;
        if Seq(seg.ack) == una && in_flight > 0 && seg.window > 0 && (selective || !says_window) {
            match self.recovery.on_duplicate(una, self.rto.nxt()) {
                Action::None if !self.recovery.is_active() => {}
                // Of more duplicates smoltcp would count three, and resend a whole segment whatever the window.
                Action::None if !self.hides_window() => {}
                Action::None => self.feed_acked(now, packet, seg, out),
                action => self.act(now, action, out),
            }
            return;
        }
        self.on_acked(now, Seq(seg.ack), out);
    }

    /// The peer has acknowledged everything before `ack`, or offers another window, and said no more than that. smoltcp hears
    /// of it if it has to.
    pub(super) fn on_acked(&mut self, now: Instant, ack: Seq, out: &mut Outbox) {
        let (una, in_flight) = (self.rto.una(), self.rto.in_flight());
        let all_sent = self.unsent() == in_flight as usize;
        let action = self.on_progress(now, ack);
        if all_sent && self.may_put_off(action) {
            self.untold += self.rto.una() - una;
            return;
        }
        // The congestion window may hide from smoltcp that another window is offered, and then it would count a duplicate.
        if ack != una || self.hides_window() {
            self.feed_forged_ack(now, self.desired_window(), out);
        }
        self.act(now, action, out);
    }

    /// Whether smoltcp need not hear of an acknowledgment yet, for there is nothing that it could send now. So it hears of
    /// many at once, when somebody writes. But of the last one it hears, since perhaps nobody does.
    fn may_put_off(&self, action: Action) -> bool {
        action == Action::None
            && !self.recovery.is_active()
            && self.rto.in_flight() > 0
            && self.state() == State::Established
            && !self.fin_wanted
    }

    /// Tells smoltcp what it has not been told.
    pub(super) fn tell(&mut self, now: Instant, out: &mut Outbox) {
        if self.untold > 0 {
            self.feed_forged_ack(now, self.desired_window(), out);
        }
    }

    /// Whether smoltcp believes in another window than it should.
    pub(super) fn hides_window(&self) -> bool {
        u32::from(self.desired_window()) << self.shield.peer_scale() != self.fed_window
    }

    /// smoltcp has seen this segment, which was more than an acknowledgment, in `state` and with this window.
    pub(super) fn on_fed(
        &mut self,
        now: Instant,
        state: State,
        seg: &TcpSegment<'_>,
        window: u16,
        out: &mut Outbox,
    ) {
        if matches!(state, State::Listen | State::SynSent) {
            if matches!(self.state(), State::SynReceived | State::Established) {
                self.shield.on_syn(seg);
                self.given = self.rcv_nxt();
                // smoltcp counts the window of its SYN from the peer's, until it has sent another segment.
                self.note_smoltcp_window(self.given - u32::from(state == State::SynSent));
                if state == State::SynSent {
                    self.ack_at = Some(self.time.flow(now));
                }
                self.cwnd = Cwnd::new(self.congestion, self.mss());
                self.fed_window = seg.window.into();
            } else {
                return;
            }
        } else {
            self.fed_window = u32::from(window) << self.shield.peer_scale();
        }
        if seg.has(flags::ACK) && !seg.has(flags::RST) {
            let action = self.on_progress(now, Seq(seg.ack));
            self.act(now, action, out);
        }
    }

    /// The peer has acknowledged everything before `ack`, which may be nothing new.
    pub(super) fn on_progress(&mut self, now: Instant, ack: Seq) -> Action {
        let (una, in_flight) = (self.rto.una(), self.rto.in_flight());
        let now = self.time.flow(now);
        if self.rto.on_ack(now, ack) {
            self.recovery.on_sample();
        }
        let acked = self.rto.una() - una;
        if acked == 0 {
            return Action::None;
        }
        self.snd_next = self.snd_next.max(ack);
        self.duplicates = false;
        let action = self.recovery.on_progress(now, self.rto.una(), self.rto.nxt());
        if action == Action::None {
            let most = (self.shield.peer_window() as usize).min(self.max_send_limit);
            self.cwnd.on_ack(now, acked as usize, in_flight as usize, self.rto.srtt(), most);
        }
        action
    }

    pub(super) fn act(&mut self, now: Instant, action: Action, out: &mut Outbox) {
        if action == Action::Enter {
            self.cwnd.on_loss(self.time.flow(now));
        }
        if action != Action::None {
            self.resend_first(now, out);
        }
    }

    pub(super) fn feed(&mut self, now: Instant, packet: &Packet<'_>, seg: &TcpSegment<'_>, out: &mut Outbox) {
        if seg.has(flags::SYN) && self.shield.irs().is_none() {
            // smoltcp makes more than one segment at once, up to this size. The peer's MSS is for us to keep to.
            let ack = seg.has(flags::ACK).then_some(Seq(seg.ack));
            let fields = self.forge(Seq(seg.seq), ack, flags::SYN, seg.window);
            let syn = wire::syn(&fields, &TcpOptions { mss: Some(u16::MAX), ..seg.options });
            self.feed_bytes(now, &syn, out);
            uis_vnic::buffer::give(syn);
            return;
        }
        self.expect(now, Seq(seg.seq), seg.payload.len() as u32, Seq(seg.ack));
        if seg.bare {
            self.feed_bytes(now, packet.bytes, out);
        } else {
            self.feed_bytes(now, &wire::strip_extensions(packet, seg), out);
        }
    }

    /// smoltcp is about to be given a segment, and takes of its data what is in the window.
    fn expect(&mut self, now: Instant, start: Seq, len: u32, ack: Seq) {
        // Without rings it takes what is empty and next in line.
        if (len > 0 || start != self.rcv_nxt()) && !self.has_rings() {
            match self.state() {
                State::Established | State::FinWait1 | State::FinWait2 => self.make_rings(now),
                State::SynReceived if ack == self.isn + 1 => self.make_rings(now),
                _ => {} // here it takes no data
            }
        }
        if len == 0 {
            return;
        }
        let end = (start + len).min(self.smoltcp_edge + self.bypassed);
        self.ring_use.1 = self.ring_use.1.saturating_add(end.since(self.given) as usize);
        self.given = self.given.max(end);
    }

    /// Feeds a copy of the segment with changes.
    pub(super) fn feed_fixed(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
        fix: &Fix,
        out: &mut Outbox,
    ) {
        self.expect(now, Seq(seg.seq) + fix.skip, fix.len, fix.ack);
        let header_len = wire::IPV4_HEADER + if self.local.is_ipv4() { 0 } else { 20 };
        let fixed = if seg.bare {
            shield::rewritten(packet.bytes, header_len, seg.header_len, fix)
        } else {
            shield::rewritten(&wire::strip_extensions(packet, seg), header_len, seg.header_len, fix)
        };
        self.feed_bytes(now, &fixed, out);
        uis_vnic::buffer::give(fixed);
    }

    /// Feeds an acknowledgment with the window that smoltcp should see.
    pub(super) fn feed_acked(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
        out: &mut Outbox,
    ) {
        let window = self.desired_window();
        let is_inside = match self.has_rings() {
            true => Seq(seg.seq) < self.smoltcp_edge + self.bypassed,
            false => Seq(seg.seq) == self.rcv_nxt(),
        };
        if !is_inside {
            return self.feed_forged_ack(now, window, out);
        }
        self.fed_window = u32::from(window) << self.shield.peer_scale();
        if window == seg.window {
            return self.feed(now, packet, seg, out);
        }
        let fix = Fix { skip: 0, ack: Seq(seg.ack), window, len: 0, keep_end: true };
        self.feed_fixed(now, packet, seg, &fix, out);
    }

    pub(super) fn feed_bytes(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        self.untold = 0; // every segment acknowledges at least what was acknowledged before
        let (sent, rcv_nxt) = (out.len(), self.rcv_nxt());
        let (mtu, translation) = (header_len(self.local) + self.burst, self.translation());
        let mut feed = |bytes| {
            let mut wire = Wire::new(Some(bytes), out, mtu).translating(translation);
            self.iface.poll_ingress_single(self.time.smol(now), &mut wire, &mut self.sockets);
        };
        if self.bypassed == 0 {
            feed(bytes);
        } else {
            // In smoltcp's sequence space, what went past it does not exist.
            let mut shifted = uis_vnic::buffer::copy_of(bytes);
            let at = header::header_len(&shifted) + 4;
            let seq = Header::of(&shifted).seq - self.bypassed;
            shifted[at..at + 4].copy_from_slice(&seq.0.to_be_bytes());
            feed(&shifted);
            uis_vnic::buffer::give(shifted);
        }
        self.collect();
        if self.rcv_nxt() != rcv_nxt {
            self.unasked = true;
            self.schedule_ack(now);
        }
        if out.len() > sent {
            self.note(now, out, sent);
            self.note_smoltcp_window(rcv_nxt);
        }
    }

    /// The header of a segment that is made up for smoltcp.
    pub(super) fn forge(&self, seq: Seq, ack: Option<Seq>, flags: u8, window: u16) -> TcpFields {
        let (src, dst) = (self.remote, self.local);
        TcpFields { src, dst, seq: seq.0, ack: ack.map(|ack| ack.0), flags, window, hop_limit: 64 }
    }

    /// Feeds smoltcp an empty, in-sequence acknowledgment that says nothing new but the window.
    pub(super) fn feed_forged_ack(&mut self, now: Instant, window: u16, out: &mut Outbox) {
        let fields = self.forge(self.rcv_nxt(), Some(self.rto.una()), flags::ACK, window);
        let (forged, len) = wire::bare_header(&fields, 0);
        self.fed_window = u32::from(window) << self.shield.peer_scale();
        self.feed_bytes(now, &forged[..len], out);
    }
}

/// Whether a segment acknowledges and does nothing else.
fn is_pure_ack(seg: &TcpSegment<'_>) -> bool {
    seg.payload.is_empty() && seg.flags & (flags::ACK | flags::SYN | flags::FIN | flags::RST) == flags::ACK
}

/// Whether nothing but the acknowledgment is left of a segment that was more.
fn leaves_an_ack(seg: &TcpSegment<'_>, fix: &Fix) -> bool {
    fix.len == 0 && !seg.has(flags::SYN | flags::RST) && !(seg.has(flags::FIN) && fix.keep_end)
}
