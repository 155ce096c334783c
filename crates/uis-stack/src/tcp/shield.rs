//! What a segment must pass before smoltcp sees it.
//!
//! smoltcp's acceptance tests are those of a trusting world. Here stands what a host of today checks besides
//! (RFC 9293 §3.10.7.4, RFC 5961), and what smoltcp 0.14 gets wrong on arrival:
//!
//! * it reads the window of its own SYN as if it were scaled, and takes data beyond its buffer;
//! * it acts on a FIN whose data it has trimmed, so that a truncated stream ends as a clean one;
//! * it takes any RST in the window, and drops a SYN in a synchronized state without a word;
//! * it drops a data segment with an old acknowledgment, and lets a reordered segment set the window back.

use std::time::Duration;

use smoltcp::socket::tcp::State;
use uis_clock::Instant;

use super::header::Header;
use super::rto::Rto;
use super::seq::Seq;
use crate::wire::{Plain, TcpSegment, flags};

/// RFC 5961 §7: challenge ACKs are limited; one a second is plenty for a peer that has lost its state.
const CHALLENGE_INTERVAL: Duration = Duration::from_secs(1);

/// RFC 9293 §3.7.1: what a peer takes that does not say.
const DEFAULT_MSS: u16 = 536;

/// What smoltcp makes of less, and so the unit in which the congestion window has to count.
const LEAST_MSS: u16 = 48;

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give it to smoltcp as it is.
    Feed,
    /// Give it to smoltcp with these changes, and then acknowledge at once if `ack_after`.
    Rewrite { fix: Fix, ack_after: bool },
    /// It is not acceptable: acknowledge, so that the sender learns where we are, and drop it.
    Ack,
    /// RFC 5961: acknowledge, but not more often than once a second, and drop it.
    Challenge,
    /// The SYN has come again: so must the answer to it, but not more often than once a second.
    AnswerSyn,
    /// The SYN|ACK of a simultaneous open: it completes the handshake as an acknowledgment with this window would.
    Complete { window: u16 },
    /// Drop it.
    Drop,
}

/// Changes to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fix {
    /// Bytes of payload to leave out at the beginning.
    pub(crate) skip: u32,
    pub(crate) ack: Seq,
    pub(crate) window: u16,
    /// Bytes of payload to keep.
    pub(crate) len: u32,
    /// Whether a FIN, or a PSH, at the end is kept.
    pub(crate) keep_end: bool,
}

/// What a flow knows of its peer's side of the connection.
#[derive(Debug, Default)]
pub(crate) struct Shield {
    /// The peer's initial sequence number.
    irs: Option<Seq>,
    /// By how much the windows that we send and receive are shifted (RFC 7323 §2.2).
    our_scale: u8,
    peer_scale: u8,
    /// What we acknowledged last, and the window that we offered beyond it.
    acked: Seq,
    offered: u32,
    /// The furthest end of a window that was offered.
    edge: Seq,
    /// Whether a SYN offered it, which cannot say more than 65,535.
    offered_by_syn: bool,
    /// Whether the last segment that told a window told another one.
    window_changed: bool,
    /// RFC 9293 §3.3.1: SND.WND as it came, and the SEG.SEQ and SEG.ACK it came with.
    window: u16,
    wl1: Seq,
    wl2: Seq,
    /// The largest window the peer has offered (RFC 5961 §5.2).
    max_window: u32,
    /// The largest segment that the peer takes.
    peer_mss: u16,
    /// Whether the peer takes selective acknowledgments (RFC 2018 §2).
    peer_sacks: bool,
    challenged: Option<Instant>,
}

impl Shield {
    /// For a flow whose receive buffer makes smoltcp offer this scale.
    pub(crate) fn new(our_scale: u8) -> Self {
        Self { our_scale, ..Self::default() }
    }

    pub(crate) fn irs(&self) -> Option<Seq> {
        self.irs
    }

    /// The largest segment that the peer takes, in bytes of payload.
    pub(crate) fn peer_mss(&self) -> usize {
        self.peer_mss.into()
    }

    /// Whether the peer takes selective acknowledgments.
    pub(crate) fn peer_sacks(&self) -> bool {
        self.peer_sacks
    }

    /// The window that the peer offers, in bytes.
    pub(crate) fn peer_window(&self) -> u32 {
        u32::from(self.window) << self.peer_scale
    }

    /// The window field as the peer sent it.
    pub(crate) fn peer_window_field(&self) -> u16 {
        self.window
    }

    /// By how much the windows are shifted that the peer offers.
    pub(crate) fn peer_scale(&self) -> u8 {
        self.peer_scale
    }

    /// Whether the window that came last differs from the one before.
    pub(crate) fn window_changed(&self) -> bool {
        self.window_changed
    }

    /// The largest window that the peer has offered, in bytes.
    pub(crate) fn max_window(&self) -> u32 {
        self.max_window
    }

    /// What we acknowledged last.
    pub(crate) fn acked(&self) -> Seq {
        self.acked
    }

    /// By how much the windows are shifted that we offer.
    pub(crate) fn our_scale(&self) -> u8 {
        self.our_scale
    }

    /// Whether what is left of the window has to be made larger as soon as there is room. That of a SYN was not all there was,
    /// and is worth a segment of its own only when half of it is gone.
    pub(crate) fn may_update_window(&self, rcv_nxt: Seq) -> bool {
        !self.offered_by_syn || self.our_window(rcv_nxt) <= u32::from(u16::MAX) / 2
    }

    /// What is left of the window that we offered last.
    pub(crate) fn our_window(&self, rcv_nxt: Seq) -> u32 {
        self.right_edge().since(rcv_nxt)
    }

    /// What is left of the window as we told it last: less than we accept if its scale could not say all.
    pub(crate) fn told_window(&self, rcv_nxt: Seq) -> u32 {
        (self.acked + self.offered).since(rcv_nxt)
    }

    /// The peer's SYN was accepted.
    pub(crate) fn on_syn(&mut self, syn: &TcpSegment<'_>) {
        self.irs = Some(Seq(syn.seq));
        match syn.options.window_scale {
            Some(scale) => self.peer_scale = scale.min(14), // RFC 7323 §2.3
            None => (self.our_scale, self.peer_scale) = (0, 0),
        }
        self.peer_mss = match syn.options.mss {
            None | Some(0) => DEFAULT_MSS,
            Some(mss) => mss.max(LEAST_MSS),
        };
        self.peer_sacks = syn.options.sack_permitted;
        // RFC 7323 §2.2: the window of a SYN itself is never scaled.
        self.window = syn.window >> self.peer_scale;
        self.max_window = u32::from(syn.window);
        (self.wl1, self.wl2) = (Seq(syn.seq), Seq(syn.ack));
        self.acked = Seq(syn.seq); // not acknowledged yet
        self.edge = self.acked + self.offered;
    }

    /// smoltcp has sent this segment.
    pub(crate) fn on_sent(&mut self, sent: &Header) {
        if sent.has(flags::RST) {
            return;
        }
        let scale = if sent.has(flags::SYN) { 0 } else { self.our_scale };
        self.offered = u32::from(sent.window) << scale;
        self.offered_by_syn = sent.has(flags::SYN);
        if sent.has(flags::ACK) {
            self.acked = sent.ack;
        }
        if self.irs.is_some() {
            self.edge = self.edge.max(self.acked + self.offered);
        }
    }

    /// Whether a challenge ACK may be sent, which then counts as sent.
    pub(crate) fn may_challenge(&mut self, now: Instant) -> bool {
        let may = self.challenged.is_none_or(|at| now - at >= CHALLENGE_INTERVAL);
        if may {
            self.challenged = Some(now);
        }
        may
    }

    /// Whether a segment of an established connection continues the stream at `rcv_nxt`, or acknowledges more than before,
    /// with nothing that should be judged. Then its window and acknowledgment are taken note of, and the answer says whether
    /// these are news.
    pub(crate) fn predict(&mut self, segment: &Plain, rto: &Rto, rcv_nxt: Seq) -> Option<bool> {
        let (seq, ack, window) = (Seq(segment.seq), Seq(segment.ack), segment.window);
        let fits = segment.payload.len() as u32 <= self.our_window(rcv_nxt);
        let is_known = rto.una() <= ack && ack <= rto.ackable() && self.wl1 <= seq;
        // Without data it may be a duplicate.
        let is_duplicate = segment.payload.is_empty() && ack == rto.una();
        if seq != rcv_nxt || !fits || !is_known || is_duplicate || window == 0 || self.window == 0 {
            return None;
        }
        let is_news = ack != rto.una() || window != self.window;
        self.window_changed = window != self.window;
        (self.wl1, self.wl2, self.window) = (seq, ack, window);
        self.max_window = self.max_window.max(self.peer_window());
        Some(is_news)
    }

    /// Judges a segment of a flow in `state`, whose next byte to receive is `rcv_nxt`. Nothing beyond `limit` is for
    /// smoltcp.
    pub(crate) fn judge(
        &mut self,
        seg: &TcpSegment<'_>,
        state: State,
        rto: &Rto,
        rcv_nxt: Seq,
        limit: Seq,
    ) -> Verdict {
        let (start, ack) = (Seq(seg.seq), Seq(seg.ack));
        let (len, seq_len) = (seg.payload.len() as u32, seg.seq_len());
        if matches!(state, State::Listen | State::SynSent) {
            // smoltcp checks these well, but that it does not answer a wrong acknowledgment that comes with FIN or PSH.
            let is_reset = state == State::SynSent && ack != rto.nxt();
            return match seg.has(flags::SYN | flags::RST) || !is_reset {
                true => Verdict::Feed,
                false => self.rewrite(ack, 0, false, false),
            };
        }
        let acceptable = self.is_acceptable(start, seq_len, rcv_nxt);
        if seg.has(flags::RST) {
            return match () {
                // RFC 5961 §3.2: exactly the next number, or no more than a challenge.
                () if start == rcv_nxt && len == 0 => Verdict::Feed,
                () if start == rcv_nxt => self.rewrite(ack, 0, true, false),
                () if acceptable => Verdict::Challenge,
                () => Verdict::Drop,
            };
        }
        if seg.has(flags::SYN) {
            let is_first = state == State::SynReceived && Some(start) == self.irs;
            return match () {
                () if is_first && !seg.has(flags::ACK) => Verdict::AnswerSyn,
                // RFC 9293 §3.5, figure 7. smoltcp takes its number for an old one.
                () if is_first && ack == rto.nxt() => self.complete(seg),
                () => Verdict::Challenge, // RFC 5961 §4.2
            };
        }
        if !seg.has(flags::ACK) {
            return Verdict::Drop;
        }
        if state == State::SynReceived {
            if ack != rto.nxt() {
                return Verdict::Feed; // smoltcp answers with a RST
            }
        } else if ack > rto.ackable() || ack < rto.una() - self.max_window {
            return Verdict::Challenge; // RFC 5961 §5.2
        }
        // As in Linux: a peer that has filled the window sends its acknowledgments from there.
        let acceptable =
            acceptable || (seq_len == 0 && self.is_right_edge(start) && state != State::SynReceived);
        let old_ack = ack < rto.una();
        // RFC 9293 §3.10.7.4: the window is taken from the newest segment only.
        // A new acknowledgment is news whatever number it
        // has, as that of a retransmission is low: the window is counted from it.
        let stale = ack <= rto.una() && (start < self.wl1 || (start == self.wl1 && ack < self.wl2));
        if !acceptable {
            // RFC 9293 §3.10.7.4: a zero window still lets acknowledgments in.
            if start == rcv_nxt && !old_ack && seq_len > 0 {
                self.learn(seg, stale);
                return self.rewrite(ack, 0, false, true);
            }
            // What came last has come again, or an acknowledgment with its number. If two hosts probe each other's closed
            // windows, and both have room for that byte, they can tell each other in no other way. As in Linux.
            // But a FIN that comes again asks for its acknowledgment, and would not get it from a connection that ended with it.
            // And where the SYN came last, a keep-alive has its number, which completes no handshake.
            let is_last = !seg.has(flags::FIN) && start + seq_len.max(1) == rcv_nxt;
            if is_last && ack > rto.una() && state != State::SynReceived {
                self.learn(seg, stale);
                return self.rewrite(ack, 0, false, true);
            }
            // A peer that sends again must hear at once where we are, or it goes on; anything else is limited.
            return if seq_len > 0 { Verdict::Ack } else { Verdict::Challenge };
        }
        if seq_len == 0 && old_ack {
            return Verdict::Drop; // nothing new, and smoltcp must not count it as a duplicate
        }
        self.learn(seg, stale || old_ack);
        if seq_len > 0 && matches!(state, State::CloseWait | State::Closing | State::LastAck) {
            // RFC 9293 §3.10.7.4, seventh step: nothing follows a FIN. smoltcp would hand it to the reader.
            return self.rewrite(ack.max(rto.una()), 0, false, false);
        }
        if seg.has(flags::FIN) && len == 0 && start > rcv_nxt {
            // Data is missing before it. smoltcp would neither take it nor say so, and count it as a duplicate.
            return self.rewrite(ack.max(rto.una()), 0, false, true);
        }
        let old = rcv_nxt.since(start);
        if seg.has(flags::FIN) && old > 0 && seq_len <= self.right_edge().min(limit).since(start) {
            // The data is here already, or its beginning is: smoltcp would take the FIN for old as well.
            let fix = Fix {
                skip: old,
                ack: ack.max(rto.una()),
                window: self.window,
                len: len - old,
                keep_end: true,
            };
            return Verdict::Rewrite { fix, ack_after: false };
        }
        let room = self.right_edge().min(limit).since(start);
        if old_ack || stale || len > room || seq_len > room {
            return self.rewrite(ack.max(rto.una()), len.min(room), seq_len <= room, false);
        }
        Verdict::Feed
    }

    /// RFC 9293 §3.10.7.4, the four cases of segment acceptability.
    fn is_acceptable(&self, start: Seq, seq_len: u32, rcv_nxt: Seq) -> bool {
        let inside = |seq: Seq| rcv_nxt <= seq && seq < self.right_edge();
        match seq_len {
            0 if self.right_edge() <= rcv_nxt => start == rcv_nxt,
            0 => inside(start),
            _ => inside(start) || inside(start + (seq_len - 1)),
        }
    }

    /// Whether the window that we offered last ends here.
    fn is_right_edge(&self, seq: Seq) -> bool {
        seq == self.right_edge()
    }

    /// Where the window ends. One that is shifted cannot be told exactly, so what is told may end a little before what was
    /// told earlier: that still counts (RFC 7323 §2.4).
    pub(crate) fn right_edge(&self) -> Seq {
        self.edge
    }

    /// Takes the SYN|ACK of a simultaneous open.
    fn complete(&mut self, seg: &TcpSegment<'_>) -> Verdict {
        self.window = seg.window >> self.peer_scale; // RFC 7323 §2.2: that of a SYN is never scaled
        (self.wl1, self.wl2) = (Seq(seg.seq), Seq(seg.ack));
        Verdict::Complete { window: self.window }
    }

    fn learn(&mut self, seg: &TcpSegment<'_>, stale: bool) {
        self.window_changed = !stale && seg.window != self.window;
        if !stale {
            (self.wl1, self.wl2, self.window) = (Seq(seg.seq), Seq(seg.ack), seg.window);
            self.max_window = self.max_window.max(self.peer_window());
        }
    }

    fn rewrite(&self, ack: Seq, len: u32, keep_end: bool, ack_after: bool) -> Verdict {
        Verdict::Rewrite { fix: Fix { skip: 0, ack, window: self.window, len, keep_end }, ack_after }
    }
}

/// A copy of a bare TCP packet with the changes of `fix`. Its checksum is not put right: it was verified before.
pub(crate) fn rewritten(packet: &[u8], header_len: usize, tcp_header_len: usize, fix: &Fix) -> Vec<u8> {
    let (headers, skip) = (header_len + tcp_header_len, fix.skip as usize);
    let len = headers + fix.len as usize;
    let mut copy = uis_vnic::buffer::copy_of(&packet[..len]);
    copy[headers..].copy_from_slice(&packet[headers + skip..len + skip]);
    match copy[0] >> 4 {
        4 => copy[2..4].copy_from_slice(&(len as u16).to_be_bytes()),
        _ => copy[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes()),
    }
    let tcp = &mut copy[header_len..];
    let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(fix.skip);
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&fix.ack.0.to_be_bytes());
    tcp[14..16].copy_from_slice(&fix.window.to_be_bytes());
    if !fix.keep_end {
        tcp[13] &= !(flags::FIN | flags::PSH);
    }
    copy
}
