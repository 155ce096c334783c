//! One connection: a smoltcp interface and socket of its own, and what stands around them.
//!
//! The engine takes the time and packets and gives packets and a deadline. It knows no lock, waker or network;
//! the [`Flow`](super::flow::Flow) that owns it does. smoltcp's `poll` is never called: it can loop for ever.

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr};
use uis_clock::Instant;

use super::cwnd::Cwnd;
use super::device::{Outbox, Wire};
use super::flow_time::FlowTime;
use super::header::Header;
use super::isn;
use super::recovery::{Action, Recovery};
use super::rto::Rto;
use super::seq::Seq;
use super::shield::{self, Fix, Shield, Verdict};
use crate::config::{Congestion, Keepalive, StackConfig};
use crate::wire::{self, DiscardReason, Packet, TcpFields, TcpSegment, flags};

/// How many empty segments in a row a flow may emit at a turn; more is a loop of smoltcp's.
const MAX_EMPTY: usize = 4;
/// What a writer is given at first, before a round trip is known to be long enough to need more.
const SEND_LIMIT: usize = 64 << 10;
/// A round trip from which on the limit may grow: below it, more only leaves the cache.
const LONG_ROUND_TRIP: Duration = Duration::from_millis(1);

/// Why an engine gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveUp {
    /// Retransmissions, window probes or keep-alives went unanswered.
    Unanswered,
}

/// What a new connection needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) isn: u32,
    pub(crate) mtu: usize,
    pub(crate) now: Instant,
    pub(crate) config: &'a StackConfig,
}

/// A connection.
pub(crate) struct Engine {
    iface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    local: SocketAddr,
    remote: SocketAddr,
    mtu: usize,
    time: FlowTime,
    rto: Rto,
    shield: Shield,
    /// Bytes of the stream that the reader has taken.
    consumed: u32,
    /// The send half is closed, and smoltcp perhaps not told yet.
    fin_wanted: bool,
    nodelay: bool,
    send_limit: usize,
    max_send_limit: usize,
    congestion: Congestion,
    ack_delay: Duration,
    syn_retries: u32,
    retries: u32,
    keepalive: Option<Keepalive>,
    /// When the peer was heard last, in flow time, and what was sent since that it should have answered.
    heard: Instant,
    keepalives: u32,
    window_probes: u32,
    cwnd: Cwnd,
    recovery: Recovery,
    /// The window that smoltcp believes the peer offers: the peer's or the congestion window.
    fed_window: u32,
    /// What smoltcp sends next. After a time-out that is less than what was sent already.
    snd_next: Seq,
    /// When something was sent last.
    sent_at: Instant,
    /// Whether smoltcp has been fed duplicate acknowledgments last, of which a socket keeps traces when it is used again.
    duplicates: bool,
    hop_limit: u8,
}

impl Engine {
    /// A connection that is about to send its SYN.
    pub(crate) fn connect(setup: Setup<'_>, spare: Option<Box<Self>>) -> Box<Self> {
        let mut engine = Self::new(setup, spare);
        let socket = engine.sockets.get_mut::<Socket<'_>>(engine.handle);
        let (remote, local) = (setup.remote, setup.local);
        socket
            .connect(engine.iface.context(), (remote.ip(), remote.port()), (local.ip(), local.port()))
            .expect("a fresh socket connects to a unicast address of its own family");
        engine
    }

    /// A connection that waits for the SYN that made it, which is its first [`input`](Self::input).
    pub(crate) fn accept(setup: Setup<'_>, spare: Option<Box<Self>>) -> Box<Self> {
        let mut engine = Self::new(setup, spare);
        let local = setup.local;
        engine.socket_mut().listen((local.ip(), local.port())).expect("a fresh socket listens on a port");
        engine
    }

    /// A new engine, in the place and with the buffers of `spare` if there is one.
    fn new(setup: Setup<'_>, spare: Option<Box<Self>>) -> Box<Self> {
        let Setup { local, remote, isn, mtu, now, config } = setup;
        let time = FlowTime::default();
        let mut out = Outbox::default();
        let mut iface_config = Config::new(HardwareAddress::Ip);
        iface_config.random_seed = isn::seed_for(isn);
        let mut iface = Interface::new(iface_config, &mut Wire::new(None, &mut out, mtu), time.smol(now));
        set_address(&mut iface, local);

        let (mut sockets, handle, place) = match spare {
            Some(mut spare) => {
                let sockets = std::mem::replace(&mut spare.sockets, SocketSet::new(Vec::new()));
                (sockets, spare.handle, Some(spare))
            }
            None => {
                let buffer = |len| SocketBuffer::new(ring(len));
                let mut sockets = SocketSet::new(Vec::with_capacity(1));
                let handle = sockets.add(Socket::new(buffer(config.recv_buffer), buffer(config.send_buffer)));
                (sockets, handle, None)
            }
        };
        let socket = sockets.get_mut::<Socket<'_>>(handle);
        socket.set_congestion_control(CongestionControl::None);
        socket.set_hop_limit(Some(config.ttl));
        socket.set_ack_delay(
            config
                .delayed_ack
                .map(|d| smoltcp::time::Duration::from_micros(d.as_micros().min(u64::MAX.into()) as u64)),
        );
        // RFC 7323 §2.3, as smoltcp computes it: the least shift that makes the buffer fit in 16 bits.
        let scale = (usize::BITS - config.recv_buffer.leading_zeros()).saturating_sub(16) as u8;
        let engine = Self {
            iface,
            sockets,
            handle,
            local,
            remote,
            mtu,
            time,
            rto: Rto::new(Seq(isn), config.initial_rto, config.min_rto, config.max_rto),
            shield: Shield::new(scale),
            consumed: 0,
            fin_wanted: false,
            nodelay: config.nodelay,
            send_limit: SEND_LIMIT.min(config.send_buffer),
            max_send_limit: config.send_buffer,
            congestion: config.congestion,
            ack_delay: config.delayed_ack.unwrap_or_default(),
            syn_retries: config.syn_retries,
            retries: config.retries,
            keepalive: config.keepalive,
            heard: now,
            keepalives: 0,
            window_probes: 0,
            cwnd: Cwnd::new(config.congestion, mtu - header_len(local)),
            recovery: Recovery::new(Seq(isn)),
            fed_window: 0,
            snd_next: Seq(isn),
            sent_at: now,
            duplicates: false,
            hop_limit: config.ttl,
        };
        match place {
            Some(mut place) => {
                *place = engine;
                place
            }
            None => Box::new(engine),
        }
    }

    /// Makes an engine that is no longer wanted ready to be a spare, if its socket is as good as new.
    ///
    /// smoltcp's sockets cannot give their buffers back, but they can connect or listen again. They keep what they
    /// counted of duplicate acknowledgments then, so one that has seen any is not used again.
    pub(crate) fn into_spare(mut self: Box<Self>) -> Option<Box<Self>> {
        self.socket_mut().abort();
        (!self.duplicates).then_some(self)
    }

    /// Bytes of buffer that it holds.
    pub(crate) fn buffers(&self) -> usize {
        self.socket().recv_capacity() + self.socket().send_capacity()
    }

    /// The state of the connection, in the terms of RFC 9293 §3.3.2.
    pub(crate) fn state(&self) -> State {
        self.socket().state()
    }

    /// Whether the handshake is not yet complete.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state(), State::Listen | State::SynSent | State::SynReceived)
    }

    /// Whether the peer has closed its half and all of it has arrived.
    pub(crate) fn peer_closed(&self) -> bool {
        matches!(self.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait)
    }

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
        match self.shield.judge(seg, state, &self.rto, self.rcv_nxt()) {
            Verdict::Feed if is_pure_ack(seg) && !self.is_opening() => {
                self.on_pure_ack(now, packet, seg, out)
            }
            Verdict::Feed => {
                self.feed(now, packet, seg, out);
                self.on_fed(now, state, seg, out);
            }
            Verdict::Rewrite { fix, ack_after: ack } => {
                ack_after = ack;
                self.feed_fixed(now, packet, seg, &fix, out);
                self.on_fed(now, state, seg, out);
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
            Verdict::Heard => {}
            Verdict::Drop => return Err(DiscardReason::Sequence),
        }
        self.heard = flow_now;
        (self.keepalives, self.window_probes) = (0, 0);
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
        if state != self.state() && self.peer_closed() {
            // A FIN is acknowledged at once, also when an acknowledgment of data before it was put off.
            self.time.step(self.ack_delay);
        }
        Ok(())
    }

    /// Takes in an acknowledgment without data, of which smoltcp sees what the congestion window allows.
    fn on_pure_ack(&mut self, now: Instant, packet: &Packet<'_>, seg: &TcpSegment<'_>, out: &mut Outbox) {
        let (una, in_flight) = (self.rto.una(), self.rto.in_flight());
        let says_window = self.shield.window_changed() && !self.recovery.has_duplicates();
        // Options on a bare acknowledgment are selective ones (RFC 2018), since nothing else is negotiated.
        let selective = seg.header_len > wire::TCP_HEADER;
        if Seq(seg.ack) == una && in_flight > 0 && seg.window > 0 && (selective || !says_window) {
            match self.recovery.on_duplicate(una, self.rto.nxt()) {
                Action::None if !self.recovery.is_active() => {}
                Action::None => self.feed_acked(now, packet, seg, out),
                action => self.act(now, action, out),
            }
            return;
        }
        let action = self.on_progress(now, Seq(seg.ack));
        self.feed_acked(now, packet, seg, out);
        self.act(now, action, out);
    }

    /// smoltcp has seen this segment, which was more than an acknowledgment, in `state`.
    fn on_fed(&mut self, now: Instant, state: State, seg: &TcpSegment<'_>, out: &mut Outbox) {
        if matches!(state, State::Listen | State::SynSent) {
            if matches!(self.state(), State::SynReceived | State::Established) {
                self.shield.on_syn(seg);
                self.cwnd = Cwnd::new(self.congestion, self.mss());
                self.fed_window = seg.window.into();
            } else {
                return;
            }
        } else {
            self.fed_window = self.shield.peer_window();
        }
        if seg.has(flags::ACK) && !seg.has(flags::RST) {
            let action = self.on_progress(now, Seq(seg.ack));
            self.act(now, action, out);
        }
    }

    /// The peer has acknowledged everything before `ack`, which may be nothing new.
    fn on_progress(&mut self, now: Instant, ack: Seq) -> Action {
        let (una, in_flight) = (self.rto.una(), self.rto.in_flight());
        let now = self.time.flow(now);
        self.rto.on_ack(now, ack);
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

    fn act(&mut self, now: Instant, action: Action, out: &mut Outbox) {
        if action == Action::Enter {
            self.cwnd.on_loss(self.time.flow(now));
        }
        if action != Action::None {
            self.resend_first(now, out);
        }
    }

    /// Lets smoltcp emit what it has, as far as the outbox has room. Says whether it may have more.
    pub(crate) fn pump(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let mut empty = 0;
        self.hold_to_window(now, out);
        while out.has_room() {
            let sent = out.len();
            self.avoid_silly_segments();
            self.egress(now, out);
            if out.len() == sent {
                return false;
            }
            let header = self.note(now, out, sent);
            if header.seq_len() > 0 && header.seq == self.rto.una() {
                self.snd_next = header.seq + header.seq_len(); // smoltcp has gone back
            }
            if header.is_pure_ack() && !self.is_closing() {
                return false; // data would have gone first
            }
            empty = if header.seq_len() == 0 { empty + 1 } else { 0 };
            if empty > MAX_EMPTY {
                self.repair(now, out);
                return false;
            }
        }
        true
    }

    /// Whether [`pump`](Self::pump) is sure to emit nothing. Asking smoltcp costs more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state() == State::Established
            && !self.fin_wanted
            && self.socket().send_queue() == (self.snd_next - self.rto.una()) as usize
            && !self.duplicates
            && self.shield.acked() == self.rcv_nxt()
            && !self.owes_window()
    }

    /// Copies received bytes to `buf` and takes them off the stream.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> usize {
        let n = self.socket_mut().recv_slice(buf).unwrap_or(0);
        self.consumed = self.consumed.wrapping_add(n as u32);
        n
    }

    /// Copies received bytes to `buf` and leaves them.
    pub(crate) fn peek(&mut self, buf: &mut [u8]) -> usize {
        self.socket_mut().peek_slice(buf).unwrap_or(0)
    }

    /// Bytes that wait for the reader.
    pub(crate) fn readable(&self) -> usize {
        self.socket().recv_queue()
    }

    /// Bytes that a writer may hand over now.
    pub(crate) fn writable(&self) -> usize {
        let socket = self.socket();
        if socket.may_send() && !self.fin_wanted {
            self.send_limit.saturating_sub(socket.send_queue())
        } else {
            0
        }
    }

    /// Whether enough room has come up for a waiting writer to be woken.
    pub(crate) fn should_wake_writer(&self) -> bool {
        self.writable() >= self.send_limit / 4
    }

    /// Takes bytes to send, as many as there is room for.
    pub(crate) fn write(&mut self, data: &[u8]) -> usize {
        let mut room = self.writable();
        let is_long = self.rto.srtt().is_some_and(|srtt| srtt >= LONG_ROUND_TRIP);
        if data.len() > room && is_long && self.send_limit < self.max_send_limit {
            self.send_limit = (self.send_limit * 2).min(self.max_send_limit);
            room = self.writable();
        }
        self.socket_mut().send_slice(&data[..data.len().min(room)]).unwrap_or(0)
    }

    /// Bytes that were written and are not acknowledged.
    pub(crate) fn unsent(&self) -> usize {
        self.socket().send_queue()
    }

    /// Closes the send half once all that was written is sent.
    pub(crate) fn close_send(&mut self) {
        self.fin_wanted = true;
    }

    /// Ends the connection, with a RST if the peer knows of it.
    pub(crate) fn abort(&mut self, now: Instant, out: &mut Outbox) {
        if matches!(self.state(), State::Listen | State::SynSent | State::Closed) {
            return;
        }
        self.socket_mut().abort();
        self.egress(now, out);
    }

    /// Makes the flow's time stand still: the network refuses its segments.
    pub(crate) fn stop_time(&mut self, now: Instant) {
        self.time.stop(now);
    }

    /// Makes the flow's time run again.
    pub(crate) fn go_on(&mut self, now: Instant) {
        self.time.go_on(now);
    }

    /// When [`on_timer`](Self::on_timer) has something to do, if nothing else happens before.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let rto = self.rto.deadline().and_then(|at| self.time.real(at));
        let smol = if self.smoltcp_waits() { self.smoltcp_deadline(now) } else { None };
        let keepalive = self.keepalive_at().and_then(|at| self.time.real(at));
        let probe = self.loss_probe_at().and_then(|at| self.time.real(at));
        [rto, smol, keepalive, probe].into_iter().flatten().min()
    }

    /// Whether smoltcp may be waiting for something that comes before our own retransmission timer.
    fn smoltcp_waits(&self) -> bool {
        // Its least retransmission time-out is a second, and probes need a closed window.
        self.rto.rto() > Duration::from_secs(1) || self.shield.peer_window() == 0 || !self.all_acked()
    }

    fn smoltcp_deadline(&mut self, now: Instant) -> Option<Instant> {
        let smol_now = self.time.smol(now);
        // TIME-WAIT is our own.
        let at = self.iface.poll_at(smol_now, &self.sockets).filter(|_| self.state() != State::TimeWait)?;
        self.time.when(now, at)
    }

    /// No deadline that arises later can lie before `now` plus this.
    pub(crate) fn least_wait(&self) -> Duration {
        if self.ack_delay.is_zero() { Duration::from_millis(1) } else { self.ack_delay }
    }

    /// Whether so much has been read that the peer should hear of the room.
    pub(crate) fn owes_window(&self) -> bool {
        let socket = self.socket();
        let free = (socket.recv_capacity() - socket.recv_queue()) as u32;
        free / 2 >= self.shield.our_window(self.rcv_nxt())
    }

    /// Does what is due: retransmission, probes, delayed acknowledgments.
    pub(crate) fn on_timer(&mut self, now: Instant, out: &mut Outbox) -> Result<(), GaveUp> {
        let flow_now = self.time.flow(now);
        if self.rto.deadline().is_some_and(|at| at <= flow_now) {
            let retries = if self.is_opening() { self.syn_retries } else { self.retries };
            if self.rto.backoffs() >= retries {
                return Err(GaveUp::Unanswered);
            }
            self.cwnd.on_timeout(self.rto.backoffs() > 0);
            self.recovery.on_timeout(flow_now, self.rto.nxt());
            self.rto.on_timeout(flow_now);
            self.snd_next = self.rto.una();
            self.hold_to_window(now, out);
            self.retransmit(now, out);
        } else if self.loss_probe_at().is_some_and(|at| at <= flow_now) {
            let action = self.recovery.on_probe(flow_now, self.rto.nxt());
            self.act(now, action, out);
        }
        self.put_off_smoltcp(now);
        if self.window_probes > self.retries {
            return Err(GaveUp::Unanswered);
        }
        if let (Some(keepalive), Some(at)) = (self.keepalive, self.keepalive_at())
            && at <= flow_now
        {
            if self.keepalives >= keepalive.probes {
                return Err(GaveUp::Unanswered);
            }
            self.keepalives += 1;
            // RFC 9293 §3.8.4: a sequence number just below what the peer expects, and no data.
            self.emit_own(out, self.rto.una() - 1, flags::ACK);
        }
        self.pump(now, out);
        Ok(())
    }

    /// How many SYNs were sent without an answer.
    pub(crate) fn syns_sent(&self) -> u64 {
        self.rto.retransmits() + u64::from(self.rto.in_flight() > 0)
    }

    /// Whether `seq` is the number of something sent and not acknowledged, as that which an ICMP error quotes must be
    /// (RFC 5927 §4.1).
    pub(crate) fn may_have_sent(&self, seq: u32) -> bool {
        (self.rto.una() <= Seq(seq)) && (Seq(seq) < self.rto.nxt())
    }

    pub(crate) fn rto(&self) -> &Rto {
        &self.rto
    }

    /// The next sequence numbers that we send and that we expect, for TIME-WAIT.
    pub(crate) fn sequence(&self) -> (Seq, Seq) {
        (self.rto.nxt(), self.rcv_nxt())
    }

    /// Whether the last segment that was sent acknowledges all that has arrived.
    pub(crate) fn all_acked(&self) -> bool {
        self.shield.irs().is_none() || self.shield.acked() == self.rcv_nxt()
    }

    pub(crate) fn peer_window(&self) -> u32 {
        self.shield.peer_window()
    }

    pub(crate) fn nodelay(&self) -> bool {
        self.nodelay
    }

    pub(crate) fn set_nodelay(&mut self, on: bool) {
        self.nodelay = on;
    }

    pub(crate) fn ttl(&self) -> u8 {
        self.hop_limit
    }

    /// Sets the hop limit; not 0.
    pub(crate) fn set_ttl(&mut self, ttl: u8) {
        self.hop_limit = ttl;
        self.socket_mut().set_hop_limit(Some(ttl));
    }

    pub(crate) fn keepalive(&self) -> Option<Keepalive> {
        self.keepalive
    }

    pub(crate) fn set_keepalive(&mut self, now: Instant, keepalive: Option<Keepalive>) {
        self.keepalive = keepalive;
        self.heard = self.time.flow(now);
        self.keepalives = 0;
    }

    /// Lowers the size of the packets that are sent, for a path that takes no larger ones.
    pub(crate) fn set_mtu(&mut self, now: Instant, mtu: usize) {
        if mtu == self.mtu {
            return;
        }
        self.mtu = mtu;
        self.cwnd.set_mss(self.mss());
        // An interface reads its device's MTU when it is made. The socket does not mind another one, so long as it
        // has the address by the time the socket is asked to send.
        let mut out = Outbox::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 1;
        self.iface = Interface::new(config, &mut Wire::new(None, &mut out, mtu), self.time.smol(now));
        set_address(&mut self.iface, self.local);
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    /// Makes what is unacknowledged go out again now.
    pub(crate) fn retransmit(&mut self, now: Instant, out: &mut Outbox) {
        let before = (self.rto.retransmits(), self.window_probes);
        // smoltcp's next deadline may be that of a delayed acknowledgment, then that of its retransmission timer.
        for _ in 0..3 {
            let smol_now = self.time.smol(now);
            let Some(at) = self.iface.poll_at(smol_now, &self.sockets) else { break };
            self.time.step_to(now, at);
            self.pump(now, out);
            if (self.rto.retransmits(), self.window_probes) != before || !out.has_room() {
                return;
            }
        }
        self.resend_first(now, out);
    }

    /// Makes smoltcp send its first unacknowledged segment, and start its timer with that.
    fn resend_first(&mut self, now: Instant, out: &mut Outbox) {
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
        self.egress(now, out);
        if out.len() > sent {
            self.note(now, out, sent);
        }
    }

    /// When the absence of acknowledgments is to be taken for a loss.
    fn loss_probe_at(&self) -> Option<Instant> {
        let waits = self.rto.in_flight() > 0 && !self.is_opening() && self.shield.peer_window() > 0;
        if waits { self.recovery.probe_at(self.rto.srtt(), self.ack_delay) } else { None }
    }

    /// The window field that smoltcp should see: the peer's, unless the congestion window is smaller.
    fn desired_window(&self) -> u16 {
        let offered = self.shield.peer_window_field();
        let inflated =
            self.recovery.inflation().saturating_mul(self.mss()).saturating_add(self.cwnd.window());
        let scale = self.shield.peer_scale();
        u16::try_from(inflated.div_ceil(1 << scale)).map_or(offered, |allowed| allowed.min(offered))
    }

    /// Tells smoltcp of the congestion window, if it would else send more than that, or less than it may.
    fn hold_to_window(&mut self, now: Instant, out: &mut Outbox) {
        if self.is_opening() || self.unsent() == 0 {
            return;
        }
        if self.snd_next == self.rto.una() && self.time.flow(now) - self.sent_at > self.rto.rto() {
            self.cwnd.on_idle();
        }
        let desired = self.desired_window();
        let allowed = u32::from(desired) << self.shield.peer_scale();
        if allowed != self.fed_window && (self.unsent() as u64) > u64::from(allowed.min(self.fed_window)) {
            self.feed_forged_ack(now, desired, out);
        }
    }

    /// The largest payload of a segment, by the path and by what the peer takes.
    fn mss(&self) -> usize {
        self.shield.peer_mss().min(self.mtu - header_len(self.local))
    }

    /// Keeps smoltcp's retransmission timer, whose cap is lower, from firing before ours.
    fn put_off_smoltcp(&mut self, now: Instant) {
        // While an acknowledgment is put off, that is what smoltcp waits for.
        if let Some(ours) = self.rto.deadline()
            && ours > self.time.flow(now)
            && self.all_acked()
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

    fn socket(&self) -> &Socket<'static> {
        self.sockets.get::<Socket<'_>>(self.handle)
    }

    fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut::<Socket<'_>>(self.handle)
    }

    /// Whether smoltcp may follow an empty segment by another one, see [`repair`](Self::repair).
    fn is_closing(&self) -> bool {
        !matches!(self.state(), State::Established | State::CloseWait)
    }

    /// The next sequence number expected, RCV.NXT.
    fn rcv_nxt(&self) -> Seq {
        let start = self.shield.irs().unwrap_or_default() + 1;
        start + self.consumed + self.readable() as u32 + u32::from(self.peer_closed())
    }

    fn feed(&mut self, now: Instant, packet: &Packet<'_>, seg: &TcpSegment<'_>, out: &mut Outbox) {
        if seg.bare {
            self.feed_bytes(now, packet.bytes, out);
        } else {
            self.feed_bytes(now, &wire::strip_extensions(packet, seg), out);
        }
    }

    /// Feeds a copy of the segment with changes.
    fn feed_fixed(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
        fix: &Fix,
        out: &mut Outbox,
    ) {
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
    fn feed_acked(&mut self, now: Instant, packet: &Packet<'_>, seg: &TcpSegment<'_>, out: &mut Outbox) {
        let window = self.desired_window();
        self.fed_window = u32::from(window) << self.shield.peer_scale();
        if window == seg.window {
            return self.feed(now, packet, seg, out);
        }
        let fix = Fix { ack: Seq(seg.ack), window, len: 0, keep_end: true };
        self.feed_fixed(now, packet, seg, &fix, out);
    }

    fn feed_bytes(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        let sent = out.len();
        let mut wire = Wire::new(Some(bytes), out, self.mtu);
        self.iface.poll_ingress_single(self.time.smol(now), &mut wire, &mut self.sockets);
        if out.len() > sent {
            self.note(now, out, sent);
        }
    }

    /// RFC 9293 §3.8.6.2.1: no small segment because the window or the congestion window has little room; only because
    /// there is no more to send. smoltcp does this when Nagle's algorithm is on, and not once it wants to send a FIN. It
    /// also never sends the FIN of a socket that is closed in SYN-RECEIVED.
    fn avoid_silly_segments(&mut self) {
        let in_flight = (self.snd_next - self.rto.una()) as usize;
        let unsent = self.unsent().saturating_sub(in_flight);
        let usable = (self.fed_window as usize).saturating_sub(in_flight);
        let is_tail = unsent < self.mss() && unsent <= usable;
        let nagle = !(self.nodelay && is_tail);
        if self.fin_wanted && is_tail && !self.is_opening() {
            self.socket_mut().close();
        }
        self.socket_mut().set_nagle_enabled(nagle);
    }

    fn egress(&mut self, now: Instant, out: &mut Outbox) {
        let mut wire = Wire::new(None, out, self.mtu);
        self.iface.poll_egress(self.time.smol(now), &mut wire, &mut self.sockets);
    }

    /// Learns from the segment at `index`, the last one in the outbox. One that merely acknowledges takes the place
    /// of the one before it if there is no room.
    fn note(&mut self, now: Instant, out: &mut Outbox, index: usize) -> Header {
        let header = Header::of(out.get(index).expect("a segment was just put there"));
        let end = header.seq + header.seq_len();
        let edge = self.rto.una() + self.shield.peer_window();
        if header.len == 1 && self.shield.irs().is_some() && end > edge && header.seq >= edge {
            // A window probe: smoltcp does not count it as sent, and its loss is no loss.
            self.window_probes += 1;
            self.rto.on_probe(end);
            return header;
        }
        self.shield.on_sent(&header);
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

    /// Sends an acknowledgment of our own.
    fn send_ack(&mut self, out: &mut Outbox) {
        self.emit_own(out, self.rto.nxt(), flags::ACK);
    }

    /// Sends a segment of our own, without data.
    fn emit_own(&mut self, out: &mut Outbox, seq: Seq, flags: u8) {
        let ack = self.rcv_nxt();
        let ack_packet = wire::tcp(
            &TcpFields {
                src: self.local,
                dst: self.remote,
                seq: seq.0,
                ack: Some(ack.0),
                flags,
                window: self.shield.our_window_field(ack),
                hop_limit: self.hop_limit,
                ident: 0,
            },
            &[],
        );
        let merges = !out.has_room()
            && out.len().checked_sub(1).and_then(|i| out.get(i)).is_some_and(|p| Header::of(p).is_pure_ack());
        if merges {
            out.drop_at(out.len() - 1);
        }
        out.push(ack_packet);
    }

    /// Feeds smoltcp an empty, in-sequence acknowledgment that says nothing new but the window.
    fn feed_forged_ack(&mut self, now: Instant, window: u16, out: &mut Outbox) {
        let forged = wire::tcp(
            &TcpFields {
                src: self.remote,
                dst: self.local,
                seq: self.rcv_nxt().0,
                ack: Some(self.rto.una().0),
                flags: flags::ACK,
                window,
                hop_limit: 64,
                ident: 0,
            },
            &[],
        );
        self.fed_window = u32::from(window) << self.shield.peer_scale();
        self.feed_bytes(now, &forged, out);
        uis_vnic::buffer::give(forged);
    }

    /// Ends smoltcp's loop of empty segments: in FIN-WAIT-2, the timer of window probes is armed though there is
    /// nothing to probe with. A window other than zero disarms it.
    fn repair(&mut self, now: Instant, out: &mut Outbox) {
        let window = self.shield.peer_window_field().max(1);
        self.feed_forged_ack(now, window, out);
    }

    fn keepalive_at(&self) -> Option<Instant> {
        let keepalive = self.keepalive?;
        let idle = !self.is_opening() && self.rto.in_flight() == 0 && self.state() != State::Closed;
        let wait = keepalive.idle.saturating_add(keepalive.interval.saturating_mul(self.keepalives));
        idle.then(|| self.heard + wait)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A ring's memory, of which only those pages are real that are written to.
///
/// A zeroed allocation is mapped lazily if the allocator takes it from the operating system, as glibc does for one above
/// a threshold, which however rises, up to 32 MiB, with what is freed. So a large ring is the beginning of an allocation
/// that is always above it, and costs address space instead of memory.
fn ring(len: usize) -> Vec<u8> {
    /// Where glibc begins to map, and where it always does.
    const MAY_MAP: usize = 128 << 10;
    const ALWAYS_MAPS: usize = 33 << 20;
    if len < MAY_MAP || cfg!(not(target_pointer_width = "64")) {
        return vec![0; len];
    }
    let mut ring = vec![0; len.max(ALWAYS_MAPS)];
    ring.truncate(len);
    ring
}

/// Bytes of IP and TCP header before the data.
fn header_len(local: SocketAddr) -> usize {
    wire::TCP_HEADER + if local.is_ipv4() { wire::IPV4_HEADER } else { wire::IPV6_HEADER }
}

/// Whether a segment acknowledges and does nothing else.
fn is_pure_ack(seg: &TcpSegment<'_>) -> bool {
    seg.payload.is_empty() && seg.flags & (flags::ACK | flags::SYN | flags::FIN | flags::RST) == flags::ACK
}

/// Gives an interface its one address.
fn set_address(iface: &mut Interface, local: SocketAddr) {
    let prefix = if local.is_ipv4() { 32 } else { 128 };
    iface.update_ip_addrs(|addrs| {
        addrs.clear();
        addrs.push(IpCidr::new(local.ip().into(), prefix)).expect("an interface holds an address");
    });
}
