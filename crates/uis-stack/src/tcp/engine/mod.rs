//! One connection: a smoltcp interface and socket of its own, and what stands around them.
//!
//! The engine takes the time and packets and gives packets and a deadline. It knows no lock, waker or network;
//! the [`Flow`](super::flow::Flow) that owns it does. smoltcp's `poll` is never called: it can loop for ever.

mod input;
mod output;
mod receive;
mod rings;
mod timers;

pub(crate) use receive::Unpredicted;

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, State};
use smoltcp::wire::{HardwareAddress, IpCidr};
use uis_clock::Instant;

use crate::config::{Congestion, Keepalive, StackConfig};
use crate::tcp::cwnd::Cwnd;
use crate::tcp::device::{Outbox, Translation, Wire};
use crate::tcp::flow_time::{FlowTime, SmolInstant};
use crate::tcp::inbox::Inbox;
use crate::tcp::isn;
use crate::tcp::options::Settings;
use crate::tcp::persist::Persist;
use crate::tcp::recovery::Recovery;
use crate::tcp::rto::Rto;
use crate::tcp::seq::Seq;
use crate::tcp::shield::Shield;
use crate::tcp::time_wait::Closed;
use crate::wire::{self, flags};

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
    /// Our initial sequence number.
    isn: Seq,
    mtu: usize,
    /// How many bytes of data smoltcp emits at once, to be cut into segments.
    burst: usize,
    time: FlowTime,
    rto: Rto,
    max_rto: Duration,
    persist: Persist,
    shield: Shield,
    inbox: Inbox,
    /// The most that the inbox holds.
    recv_capacity: usize,
    /// Bytes of the stream that the reader has taken.
    consumed: u32,
    /// Bytes that went to the inbox past smoltcp. In its sequence space they do not exist.
    bypassed: u32,
    /// The end of what smoltcp was given, up to which it may hold something out of order.
    given: Seq,
    /// Whether smoltcp was given data and not been asked since what it has to say.
    unasked: bool,
    /// The end of the window that smoltcp believes to offer, without what went past it. Until it is asked, it does not move.
    smoltcp_edge: Seq,
    /// When to acknowledge what has arrived, in flow time.
    ack_at: Option<Instant>,
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
    time_outs: u32,
    /// When it was last asked whether the peer is there, or has opened its window; and the same of the last such question
    /// that was answered.
    asked_at: Instant,
    answered: Option<Instant>,
    cwnd: Cwnd,
    recovery: Recovery,
    /// The window that smoltcp believes the peer offers: the peer's or the congestion window.
    fed_window: u32,
    /// Bytes that the peer has acknowledged and smoltcp not been told of.
    untold: u32,
    /// What smoltcp sends next. After a time-out that is less than what was sent already.
    snd_next: Seq,
    /// When something was sent last.
    sent_at: Instant,
    /// Since when data waits for more of a window than there is, in flow time.
    held_since: Option<Instant>,
    /// Whether smoltcp has been fed duplicate acknowledgments last, of which a socket keeps traces when it is used again.
    duplicates: bool,
    hop_limit: u8,
    /// Bytes that went through the send ring and the receive ring, also in connections before this one.
    ring_use: (usize, usize),
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
        let iface = interface(local, mtu, isn::seed_for(isn), time.smol(now));
        let mut ring_use = (0, 0);
        let (mut sockets, handle, place) = match spare {
            Some(mut spare) => {
                ring_use = spare.ring_use;
                let sockets = std::mem::replace(&mut spare.sockets, SocketSet::new(Vec::new()));
                (sockets, spare.handle, Some(spare))
            }
            None => {
                let (sockets, handle) = rings::without();
                (sockets, handle, None)
            }
        };
        set_up(sockets.get_mut::<Socket<'_>>(handle), config.ttl);
        // RFC 7323 §2.3, as smoltcp computes it: the least shift that makes the buffer fit in 16 bits.
        let scale = (usize::BITS - config.recv_buffer.leading_zeros()).saturating_sub(16) as u8;
        let engine = Self {
            iface,
            sockets,
            handle,
            local,
            remote,
            isn: Seq(isn),
            mtu,
            burst: mtu - header_len(local),
            time,
            rto: Rto::new(Seq(isn), config.initial_rto, config.min_rto, config.max_rto),
            max_rto: config.max_rto,
            persist: Persist::default(),
            shield: Shield::new(scale),
            inbox: Inbox::default(),
            recv_capacity: config.recv_buffer,
            consumed: 0,
            bypassed: 0,
            given: Seq::default(),
            unasked: false,
            smoltcp_edge: Seq::default(),
            ack_at: None,
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
            time_outs: 0,
            asked_at: now,
            answered: None,
            cwnd: Cwnd::new(config.congestion, mtu - header_len(local)),
            recovery: Recovery::new(Seq(isn)),
            fed_window: 0,
            untold: 0,
            snd_next: Seq(isn),
            sent_at: now,
            held_since: None,
            duplicates: false,
            hop_limit: config.ttl,
            ring_use,
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
        self.take_received(); // which nobody has read, and nobody will
        (!self.duplicates).then_some(self)
    }

    /// Bytes of its rings that have been written to since they were made, and so take memory: most connections end before
    /// their rings have been gone round once.
    pub(crate) fn touched(&self) -> usize {
        let (sent, reordered) = self.ring_use;
        sent.min(self.socket().send_capacity()) + reordered.min(self.socket().recv_capacity())
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

    /// Bytes that a writer may hand over now.
    pub(crate) fn writable(&self) -> usize {
        if self.socket().may_send() && !self.fin_wanted {
            self.send_limit.saturating_sub(self.unsent())
        } else {
            0
        }
    }

    /// Whether enough room has come up for a waiting writer to be woken.
    pub(crate) fn should_wake_writer(&self) -> bool {
        // On a long path a quarter would be much of what is in flight.
        self.writable() >= (self.send_limit / 4).clamp(1, SEND_LIMIT)
    }

    /// Takes bytes to send, as many as there is room for.
    pub(crate) fn write(&mut self, now: Instant, data: &[u8], out: &mut Outbox) -> usize {
        self.tell(now, out);
        match self.rto.shortest() {
            // The first sample, of a handshake that had to wait, may have been a long one.
            Some(rtt) if rtt < LONG_ROUND_TRIP => self.send_limit = SEND_LIMIT.min(self.max_send_limit),
            Some(_) if data.len() > self.writable() => {
                self.send_limit = (self.send_limit * 2).min(self.max_send_limit);
            }
            _ => {}
        }
        let room = self.writable();
        if room > 0 && !data.is_empty() && !self.has_rings() {
            self.make_rings(now);
        }
        let n = self.socket_mut().send_slice(&data[..data.len().min(room)]).unwrap_or(0);
        self.ring_use.0 = self.ring_use.0.saturating_add(n);
        n
    }

    /// Bytes that were written and are not acknowledged.
    pub(crate) fn unsent(&self) -> usize {
        self.socket().send_queue().saturating_sub(self.untold as usize)
    }

    /// Closes the send half once all that was written is sent.
    pub(crate) fn close_send(&mut self) {
        self.fin_wanted = true;
    }

    /// Ends the connection, with a RST if the peer knows of it.
    pub(crate) fn abort(&mut self, out: &mut Outbox) {
        if matches!(self.state(), State::Listen | State::SynSent | State::Closed) {
            return;
        }
        self.socket_mut().abort();
        // RFC 9293 §3.10.5: with SND.NXT. After a time-out smoltcp has gone back, and the peer would take its RST for old.
        self.emit_own(out, self.rto.nxt(), flags::RST | flags::ACK);
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

    /// What TIME-WAIT remembers `until` then.
    pub(crate) fn closed(&self, until: Instant) -> Closed {
        let rcv_nxt = self.rcv_nxt();
        Closed { snd_nxt: self.rto.nxt(), rcv_nxt, window: self.offer().field(rcv_nxt), until }
    }

    /// Whether the last segment that was sent acknowledges all that has arrived.
    pub(crate) fn all_acked(&self) -> bool {
        self.shield.irs().is_none() || self.shield.acked() == self.rcv_nxt()
    }

    pub(crate) fn peer_window(&self) -> u32 {
        self.shield.peer_window()
    }

    /// What is left of the window that the peer knows of, or is about to.
    pub(crate) fn our_window(&self) -> usize {
        if self.owes_window() {
            self.recv_room().min(usize::from(u16::MAX) << self.shield.our_scale())
        } else {
            self.shield.told_window(self.rcv_nxt()) as usize
        }
    }

    pub(crate) fn congestion_window(&self) -> usize {
        self.cwnd.window()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { nodelay: self.nodelay, hop_limit: self.hop_limit, keepalive: self.keepalive }
    }

    pub(crate) fn set(&mut self, now: Instant, settings: Settings) {
        self.nodelay = settings.nodelay;
        if settings.hop_limit != self.hop_limit {
            self.hop_limit = settings.hop_limit;
            self.socket_mut().set_hop_limit(Some(settings.hop_limit));
        }
        if settings.keepalive != self.keepalive {
            self.keepalive = settings.keepalive;
            self.heard = self.time.flow(now);
            self.keepalives = 0;
        }
    }

    /// Lowers the size of the packets that are sent, for a path that takes no larger ones.
    pub(crate) fn set_mtu(&mut self, now: Instant, mtu: usize) {
        if mtu == self.mtu {
            return;
        }
        self.put_on_path(now, mtu);
        self.cwnd.set_mss(self.mss());
    }

    /// Gives smoltcp an interface of this MTU.
    fn put_on_path(&mut self, now: Instant, mtu: usize) {
        self.mtu = mtu;
        self.set_burst(now, mtu - header_len(self.local));
    }

    /// Gives smoltcp an interface on which it emits this much at once.
    fn set_burst(&mut self, now: Instant, burst: usize) {
        self.burst = burst;
        // An interface reads its device's MTU when it is made. The socket does not mind another one, so long as it
        // has the address by the time the socket is asked to send.
        self.iface = interface(self.local, header_len(self.local) + burst, 1, self.time.smol(now));
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    fn socket(&self) -> &Socket<'static> {
        self.sockets.get::<Socket<'_>>(self.handle)
    }

    fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut::<Socket<'_>>(self.handle)
    }

    /// What smoltcp's segments have to be changed in.
    fn translation(&self) -> Translation {
        // Before the peer's SYN there is nothing to be cut.
        let mss = if self.shield.irs().is_some() { self.mss() } else { self.mtu };
        let syn_window = self.recv_capacity.min(u16::MAX.into()) as u16;
        Translation { mss, bypassed: self.bypassed, offer: self.offer(), syn_window }
    }

    /// The next sequence number expected, RCV.NXT.
    fn rcv_nxt(&self) -> Seq {
        let start = self.shield.irs().unwrap_or_default() + 1;
        start + self.consumed + self.readable() as u32 + u32::from(self.peer_closed())
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

/// Bytes of IP and TCP header before the data.
fn header_len(local: SocketAddr) -> usize {
    wire::TCP_HEADER + if local.is_ipv4() { wire::IPV4_HEADER } else { wire::IPV6_HEADER }
}

/// An interface with one address. `seed` is what its numbers come from, see [`isn`].
fn interface(local: SocketAddr, mtu: usize, seed: u64, at: SmolInstant) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut iface = Interface::new(config, &mut Wire::new(None, &mut Outbox::default(), mtu), at);
    let prefix = if local.is_ipv4() { 32 } else { 128 };
    iface.update_ip_addrs(|addrs| {
        addrs.push(IpCidr::new(local.ip().into(), prefix)).expect("an interface holds an address");
    });
    iface
}

/// Sets what of a new socket is not as smoltcp has it.
fn set_up(socket: &mut Socket<'_>, hop_limit: u8) {
    socket.set_congestion_control(CongestionControl::None);
    socket.set_hop_limit(Some(hop_limit));
    socket.set_ack_delay(None); // it acknowledges whenever it is asked; whether that goes out is for the engine to say
}
