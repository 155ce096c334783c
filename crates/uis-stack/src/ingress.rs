//! What becomes of a packet that arrives.

use std::sync::Arc;

use uis_clock::Instant;
use uis_vnic::{Dispatcher, Frame};

use crate::fragment::Reassembly;
use crate::host::Host;
use crate::tcp::{self, End, Engine, Flow, FlowKey, Reply, Setup};
use crate::timers::Timer;
use crate::wire::{self, Body, DiscardReason, Fragment, Packet, Plain, TcpFields, TcpSegment, flags};

impl Dispatcher for Host {
    fn receive_frame(&self, frame: Frame) {
        self.stats.received();
        if self.is_closed() {
            return self.stats.discard(DiscardReason::Closed);
        }
        if !frame.has_valid_checksums()
            && let Err(reason) = wire::parse(frame.packet(), false)
        {
            return self.stats.discard(reason);
        }
        // The short way of nearly all packets: to a connection, whose addresses were checked when it began.
        let mut frame = Some(frame);
        if self.keeps_addrs()
            && let Some(segment) = frame.as_ref().and_then(|frame| Plain::read(frame.packet()))
        {
            self.tcp.with(&FlowKey::of(&segment), |flow| flow.on_plain(self, &segment, &mut frame));
        }
        let Some(frame) = frame else { return };
        match wire::parse(frame.packet(), true) {
            Ok(packet) => self.receive_from_network(&packet),
            Err(reason) => self.stats.discard(reason),
        }
    }
}

impl Host {
    /// Takes a packet of this stack to itself.
    pub(crate) fn receive(&self, frame: Frame) {
        match wire::parse(frame.packet(), true) {
            Ok(packet) => self.receive_packet(&packet),
            Err(reason) => self.stats.discard(reason),
        }
    }

    fn receive_from_network(&self, packet: &Packet<'_>) {
        if let Body::Tcp(seg) = &packet.body
            && self.keeps_addrs()
        {
            let key = flow_key(packet, seg);
            // A connection of the stack to itself does not go over the network, so this would be somebody else's packet.
            let took = |flow: &Arc<Flow>| !flow.inside && flow.on_segment(self, packet, seg);
            if self.tcp.with(&key, took) == Some(true) {
                return;
            }
        }
        if self.is_ours(packet.src) {
            self.stats.discard(DiscardReason::OwnSource);
        } else {
            self.receive_packet(packet);
        }
    }

    fn receive_packet(&self, packet: &Packet<'_>) {
        if !self.is_ours(packet.dst) {
            return self.stats.discard(DiscardReason::NotOurs);
        }
        match &packet.body {
            Body::Tcp(seg) => self.receive_tcp(packet, seg),
            Body::Udp(datagram) => {
                if !self.udp.receive(self, packet, datagram) {
                    let answered = self.send_port_unreachable(packet);
                    self.stats.discard(if answered { DiscardReason::NoSocket } else { DiscardReason::Rate });
                }
            }
            Body::Icmp(message) => self.receive_icmp(packet, message),
            Body::Fragment(fragment) => self.receive_fragment(packet, fragment),
            Body::Other { .. } => self.stats.discard(DiscardReason::UnknownProtocol),
        }
    }

    fn receive_tcp(&self, packet: &Packet<'_>, seg: &TcpSegment<'_>) {
        let key = flow_key(packet, seg);
        if let Some(flow) = self.tcp.flow(&key)
            && flow.on_segment(self, packet, seg)
        {
            return;
        }
        let now = self.clock.now();
        let reply = self.tcp.time_wait.judge(&key, seg, now, self.config.time_wait);
        let opens = seg.has(flags::SYN) && !seg.has(flags::ACK | flags::RST);
        let listener = self.tcp.listener(key.local()).filter(|_| opens);
        match (reply, listener) {
            (Reply::Unknown, Some(backlog)) => {
                let isn = tcp::initial_isn(self.key, &key, now, None);
                self.open(key, isn, &backlog, now, packet, seg);
            }
            (Reply::Reopen { least_isn, .. }, Some(backlog)) => {
                let isn = tcp::initial_isn(self.key, &key, now, Some(least_isn));
                self.open(key, isn, &backlog, now, packet, seg);
            }
            (Reply::Silence, _) => {}
            (Reply::Ack(standing) | Reply::Reopen { standing, .. }, _) => {
                let fields = TcpFields {
                    src: key.local(),
                    dst: key.remote(),
                    seq: standing.seq.0,
                    ack: Some(standing.ack.0),
                    flags: flags::ACK,
                    window: standing.window,
                    hop_limit: self.config.ttl,
                };
                self.send_or_drop(wire::tcp(&fields, &[]), packet.src);
            }
            (Reply::Unknown, None) => {
                self.stats.discard(DiscardReason::NoSocket);
                if let Some(rst) = wire::rst_for(packet, seg, self.config.ttl) {
                    self.send_or_drop(rst, packet.src);
                }
            }
        }
    }

    /// Makes a half-open connection of a SYN.
    fn open(
        &self,
        key: FlowKey,
        isn: u32,
        backlog: &Arc<tcp::Backlog>,
        now: Instant,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
    ) {
        if backlog.is_full() {
            return self.stats.discard(DiscardReason::BacklogFull);
        }
        let mtu = self.mtu_to(packet.src);
        let setup = Setup { local: key.local(), remote: key.remote(), isn, mtu, now, config: &self.config };
        let inside = self.is_ours(packet.src);
        let until = now + self.config.half_open_lifetime;
        let engine = Engine::accept(setup, self.tcp.pool.take());
        let flow = Flow::half_open(self.tcp.next_id(), key, inside, engine, backlog, until);
        // In the table first: a listener that closes meanwhile has to find there what it ends.
        if !self.tcp.insert(&flow) {
            // Another thread was quicker with the same SYN.
            return self.stats.discard(DiscardReason::Sequence);
        }
        if !backlog.admit(&flow) {
            self.tcp.remove(&flow);
            return self.stats.discard(DiscardReason::BacklogFull);
        }
        self.tcp.time_wait.reuse(&key);
        flow.on_segment(self, packet, seg);
        if self.is_closed() {
            flow.abort(self, End::DOWN); // it has closed meanwhile, and perhaps not seen the flow
        }
    }

    fn receive_fragment(&self, packet: &Packet<'_>, fragment: &Fragment<'_>) {
        let now = self.clock.now();
        let (outcome, discarded, deadline) = {
            let mut reassembly = self.reassembly.lock();
            let before = reassembly.deadline();
            let outcome = reassembly.insert(packet, fragment, now);
            let after = reassembly.deadline();
            // A later deadline finds the timer of the earlier one set.
            let deadline = after.filter(|&at| before.is_none_or(|before| at < before));
            (outcome, reassembly.take_discarded(), deadline)
        };
        self.count_all(discarded);
        if let Some(at) = deadline {
            self.set_timer(at, Timer::Reassembly);
        }
        match outcome {
            Ok(Some(whole)) => match wire::parse(&whole, false) {
                Ok(packet) if matches!(packet.body, Body::Fragment(_)) => {
                    self.stats.discard(DiscardReason::BadFragment)
                }
                Ok(packet) => self.receive_packet(&packet),
                Err(reason) => self.stats.discard(reason),
            },
            Ok(None) => {}
            Err(reason) => self.stats.discard(reason),
        }
    }

    /// Gives up datagrams that were not completed in time.
    pub(crate) fn expire_fragments(&self, now: Instant) {
        let (first_fragments, discarded, deadline) = {
            let mut reassembly = self.reassembly.lock();
            let firsts = Reassembly::expire(&mut reassembly, now);
            (firsts, reassembly.take_discarded(), reassembly.deadline())
        };
        self.count_all(discarded);
        for fragment in first_fragments {
            if let Ok(packet) = wire::parse(&fragment, true) {
                self.send_time_exceeded(&packet);
            }
        }
        if let Some(at) = deadline {
            self.set_timer(at, Timer::Reassembly);
        }
    }

    fn count_all(&self, discarded: impl IntoIterator<Item = (DiscardReason, u64)>) {
        for (reason, n) in discarded {
            self.stats.discard_many(reason, n);
        }
    }
}

fn flow_key(packet: &Packet<'_>, seg: &TcpSegment<'_>) -> FlowKey {
    FlowKey::new((packet.dst, seg.dst_port).into(), (packet.src, seg.src_port).into())
}
