//! Sending datagrams, also those that a full network takes only a part of.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use uis_vnic::{DropReason, SendError};

use super::{Binding, UdpMeta};
use crate::endpoint::invalid;
use crate::fragment::split;
use crate::host::{Host, not_ours};
use crate::wire::{self, IPV4_HEADER, IPV6_HEADER, UDP_HEADER, UdpFields};
use uis_vnic::wakers::{Waiting, Wakeup, wait};

/// The longest payload to IPv4, and to IPv6: the packet is no longer than the largest MTU of an interface. The length
/// field of IPv6 could say a little more.
const MOST_V4: usize = 65_535 - IPV4_HEADER - UDP_HEADER;
const MOST_V6: usize = 65_535 - IPV6_HEADER - UDP_HEADER;

/// How often in a row a network may answer at once that it has room and then refuse a packet, before the rest of a
/// datagram is given up. It may happen when other senders are quicker, but so often it does only where a network does
/// not keep its word.
const FALSE_PROMISES: u32 = 1000;

impl Binding {
    /// Sends a datagram, or keeps `waker` until the network has room.
    pub(super) fn send(
        self: &Arc<Self>,
        host: &Host,
        waker: Option<&Waker>,
        buf: &[u8],
        message: &UdpMeta,
    ) -> Poll<io::Result<usize>> {
        let peer = self.check_peer(message.peer)?;
        let (headers, most) = if peer.is_ipv4() {
            (IPV4_HEADER + UDP_HEADER, MOST_V4)
        } else {
            (IPV6_HEADER + UDP_HEADER, MOST_V6)
        };
        let ident = host.next_ident();
        let (fields, has_rest) = self.fields(host, peer, message, ident as u16)?;
        if has_rest && !self.flush(host) {
            return self.refused(host, waker);
        }
        let mtu = host.mtu_to(peer.ip());
        let len = headers + buf.len();
        if buf.len() > most || (len > mtu && fields.dont_fragment) {
            let most = if fields.dont_fragment { most.min(mtu.saturating_sub(headers)) } else { most };
            return Poll::Ready(Err(too_long(buf.len(), most)));
        }
        let packet = wire::udp(&fields, buf);
        if len > mtu {
            return self.send_fragments(host, waker, packet, peer.ip(), mtu, ident).map_ok(|()| buf.len());
        }
        match host.send_packet(packet, peer.ip()) {
            Ok(()) => {}
            Err(SendError::Full(_)) => return self.refused(host, waker),
            // A host does not learn of what is lost on the way.
            Err(error) => host.stats.not_sent(error.reason()),
        }
        Poll::Ready(Ok(buf.len()))
    }

    /// The header of a datagram, and whether the rest of another one goes first.
    fn fields(
        &self,
        host: &Host,
        peer: SocketAddr,
        message: &UdpMeta,
        ident: u16,
    ) -> io::Result<(UdpFields, bool)> {
        host.check_open()?;
        let (facing, hop_limit, dont_fragment, has_rest) = {
            let mut state = self.state.lock();
            state.check_open(host)?;
            state.check_error()?;
            let facing = state.connected.map(|(_, local)| local).filter(|ip| ip.is_ipv4() == peer.is_ipv4());
            (facing, state.hop_limit, state.dont_fragment, !state.sending.rest.is_empty())
        };
        let asked = message.local.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified());
        if let Some(ip) = asked.filter(|ip| ip.is_ipv4() != peer.is_ipv4()) {
            return Err(invalid(format!("{ip} cannot send to {peer}, which is of the other family")));
        }
        let bound = Some(self.at().ip()).filter(|ip| !ip.is_unspecified());
        let local = match asked.or(facing).or(bound) {
            Some(ip) if host.is_ours(ip) => ip,
            Some(ip) => return Err(not_ours(ip)),
            None => host.source_for(peer.ip())?,
        };
        let hop_limit = message.ttl.unwrap_or(hop_limit);
        if hop_limit == 0 {
            return Err(invalid("a hop limit of 0"));
        }
        let fields = UdpFields {
            src: SocketAddr::new(local, self.at().port()),
            dst: peer,
            hop_limit,
            ecn: message.ecn,
            ident,
            dont_fragment,
        };
        Ok((fields, has_rest))
    }

    fn send_fragments(
        self: &Arc<Self>,
        host: &Host,
        waker: Option<&Waker>,
        packet: Vec<u8>,
        to: IpAddr,
        mtu: usize,
        ident: u32,
    ) -> Poll<io::Result<()>> {
        let len = packet.len();
        let mut fragments = VecDeque::new();
        if split(packet, mtu, ident, |fragment| fragments.push_back((fragment, to))).is_err() {
            return Poll::Ready(Err(too_long(len, mtu)));
        }
        let count = fragments.len();
        if send_while_room(host, &mut fragments) {
            return Poll::Ready(Ok(()));
        }
        if fragments.len() == count {
            return self.refused(host, waker).map_ok(|_| ());
        }
        // A part has left, so the datagram counts as sent, and what is left of it will follow.
        let mut state = self.state.lock();
        state.sending.rest.append(&mut fragments);
        let ask = !mem::replace(&mut state.sending.full, true);
        drop(state);
        if ask {
            self.ask_for_room(host);
        }
        Poll::Ready(Ok(()))
    }

    /// The network is full, and nothing of the datagram has left.
    fn refused(self: &Arc<Self>, host: &Host, waker: Option<&Waker>) -> Poll<io::Result<usize>> {
        let mut ask = false;
        let mut note = |waiting: Option<&mut Waiting<'_>>| {
            let mut state = self.state.lock();
            if let Some(waiting) = waiting {
                state.writers.insert(waiting);
            }
            ask |= !mem::replace(&mut state.sending.full, true);
            Poll::Pending
        };
        let pending = match waker {
            Some(waker) => wait(waker, |waiting| note(Some(waiting))),
            None => note(None),
        };
        if ask {
            self.ask_for_room(host);
        }
        pending
    }

    /// Ready when sending would not wait, as far as the network has told.
    pub(super) fn poll_writable(&self, host: &Host, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        host.check_open()?;
        wait(cx.waker(), |waiting| {
            let mut state = self.state.lock();
            state.check_open(host)?;
            if state.sending.full && state.error.is_none() {
                state.writers.insert(waiting);
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Sends what is left of a datagram: `false` if the network is still full.
    fn flush(&self, host: &Host) -> bool {
        let mut rest = mem::take(&mut self.state.lock().sending.rest);
        let sent = send_while_room(host, &mut rest);
        if !sent {
            let mut state = self.state.lock();
            rest.append(&mut state.sending.rest);
            state.sending.rest = rest;
        }
        sent
    }

    /// Has the network say when it has room. The caller has just marked it as full.
    ///
    /// It may do so at once, inside the call: then the rest is flushed here and not there, or a network that always says
    /// that it has room, and never has, would have us call each other until the stack overflows.
    fn ask_for_room(self: &Arc<Self>, host: &Host) {
        for _ in 0..FALSE_PROMISES {
            let asking = Asking::begin(self);
            host.vnic.on_room(&Waker::from(self.clone()));
            if !asking.end() {
                return;
            }
            if self.flush(host) {
                return self.go_on();
            }
        }
        let rest = mem::take(&mut self.state.lock().sending.rest);
        for _ in rest {
            host.stats.not_sent(DropReason::Full);
        }
        self.go_on();
    }

    /// The network has room.
    fn on_room(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            if state.sending.asking {
                state.sending.answered = true;
                return;
            }
        }
        // Without a host the rest goes nowhere.
        match self.host.upgrade() {
            Some(host) if !self.flush(&host) => self.ask_for_room(&host),
            _ => self.go_on(),
        }
    }

    /// Wakes those who wait for room.
    fn go_on(&self) {
        let mut wake = Wakeup::default();
        let mut state = self.state.lock();
        state.sending.full = false;
        state.writers.drain_into(&mut wake);
        drop(state);
        drop(wake);
    }
}

/// A binding is the waker that it leaves with a full network.
impl Wake for Binding {
    fn wake(self: Arc<Self>) {
        self.on_room();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.on_room();
    }
}

/// The network is being asked for room. Dropped by a panic in the network, it has not been asked after all.
struct Asking<'a>(&'a Binding);

impl<'a> Asking<'a> {
    fn begin(binding: &'a Binding) -> Self {
        let mut state = binding.state.lock();
        state.sending.asking = true;
        state.sending.answered = false;
        Self(binding)
    }

    /// Whether it has answered already.
    fn end(self) -> bool {
        let answered = {
            let mut state = self.0.state.lock();
            state.sending.asking = false;
            state.sending.answered
        };
        mem::forget(self);
        answered
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.state.lock().sending.asking = false;
        self.0.go_on();
    }
}

/// Sends packets until there is none or the network is full: `false` then, and those that are left stay.
fn send_while_room(host: &Host, packets: &mut VecDeque<(Vec<u8>, IpAddr)>) -> bool {
    while let Some((packet, to)) = packets.pop_front() {
        match host.send_packet(packet, to) {
            Ok(()) => {}
            Err(SendError::Full(frame)) => {
                packets.push_front((frame.into_packet(), to));
                return false;
            }
            Err(error) => host.stats.not_sent(error.reason()),
        }
    }
    true
}

/// What kernels call `EMSGSIZE`, for which std has no kind.
fn too_long(len: usize, most: usize) -> io::Error {
    invalid(format!("message too long: {len} bytes, and {most} can be sent"))
}
