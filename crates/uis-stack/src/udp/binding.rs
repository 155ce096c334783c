//! A socket as the stack knows it: its address, what it has received, and who waits for it.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::UdpMeta;
use super::queue::Queue;
use crate::endpoint::{check_peer, invalid, shown};
use crate::host::Host;
use crate::wire::{DiscardReason, Packet, UdpDatagram};
use uis_vnic::wakers::{Waiting, WakerSet, Wakeup, wait};

/// What is bound at an address.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(super) host: Weak<Host>,
    /// The address as it was bound, with its port.
    at: SocketAddr,
    only_v6: bool,
    /// A leaf lock.
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// The peer, and the own address that faces it.
    pub(super) connected: Option<(SocketAddr, IpAddr)>,
    queue: Queue,
    readers: WakerSet,
    pub(super) writers: WakerSet,
    /// What ICMP has told, for the next call.
    pub(super) error: Option<io::ErrorKind>,
    pub(super) hop_limit: u8,
    pub(super) dont_fragment: bool,
    pub(super) closed: bool,
    pub(super) sending: Sending,
}

/// What a full network leaves to do.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The network was full, and has been asked to say when it is not.
    pub(super) full: bool,
    /// It is being asked in this moment.
    pub(super) asking: bool,
    /// It has answered in this moment.
    pub(super) answered: bool,
    /// What is left of a datagram of which the network took a part, and where it goes. Nearly always empty, and never
    /// more than one datagram for each thread that sends.
    pub(super) rest: VecDeque<(Vec<u8>, IpAddr)>,
}

impl Binding {
    pub(super) fn new(host: &Host, at: SocketAddr, only_v6: bool) -> Arc<Self> {
        Arc::new(Self {
            host: host.me(),
            at,
            only_v6,
            state: Mutex::new(State {
                connected: None,
                queue: Queue::default(),
                readers: WakerSet::default(),
                writers: WakerSet::default(),
                error: None,
                hop_limit: host.config.ttl,
                dont_fragment: false,
                closed: false,
                sending: Sending::default(),
            }),
        })
    }

    pub(super) fn at(&self) -> SocketAddr {
        self.at
    }

    /// Whether it stands for both families.
    pub(super) fn is_dual_stack(&self) -> bool {
        self.at.is_ipv6() && self.at.ip().is_unspecified() && !self.only_v6
    }

    /// Whether it is at the address `ip`.
    pub(super) fn covers(&self, ip: IpAddr) -> bool {
        self.at.ip() == ip || (self.at.ip().is_unspecified() && self.speaks_to(ip))
    }

    /// Whether `ip` is of a family that it speaks.
    fn speaks_to(&self, ip: IpAddr) -> bool {
        self.at.is_ipv4() == ip.is_ipv4() || self.is_dual_stack()
    }

    /// The peer, as it is on the wire.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.state.lock().connected.map(|(peer, _)| peer)
    }

    /// `addr` as the socket's user sees it.
    pub(super) fn shown(&self, addr: SocketAddr) -> SocketAddr {
        shown(addr, self.is_dual_stack())
    }

    /// The address of the socket, as its user sees it: that which faces the peer, if there is one.
    pub(super) fn local_addr(&self) -> SocketAddr {
        match self.state.lock().connected {
            Some((_, local)) => self.shown(SocketAddr::new(local, self.at.port())),
            None => self.at,
        }
    }

    /// Checks an address to send to, and gives it as it is on the wire.
    pub(super) fn check_peer(&self, to: SocketAddr) -> io::Result<SocketAddr> {
        let to = check_peer(to)?;
        if !self.speaks_to(to.ip()) {
            return Err(invalid(format!(
                "a socket at {} cannot reach {to}, which is of the other family",
                self.at
            )));
        }
        Ok(to)
    }

    /// Sends to `peer`, and receives from there only, from now on.
    pub(super) fn connect(&self, host: &Host, peer: SocketAddr) -> io::Result<()> {
        host.check_open()?;
        let peer = self.check_peer(peer)?;
        let local = if self.at.ip().is_unspecified() { host.source_for(peer.ip())? } else { self.at.ip() };
        let mut state = self.state.lock();
        state.check_open(host)?;
        // What was told of another peer is of no use any more.
        state.error = None;
        state.connected = Some((peer, local));
        Ok(())
    }

    /// Takes a datagram to an address that the binding covers, or drops and counts it. `false` if it is from somebody
    /// whom this socket does not hear.
    pub(super) fn receive(&self, host: &Host, packet: &Packet<'_>, datagram: &UdpDatagram<'_>) -> bool {
        let peer = SocketAddr::new(packet.src, datagram.src_port);
        let meta = UdpMeta {
            peer: self.shown(peer),
            local: Some(self.shown(SocketAddr::new(packet.dst, 0)).ip()),
            ecn: packet.ecn,
            ttl: Some(packet.hop_limit),
        };
        let mut wake = Wakeup::default();
        let mut state = self.state.lock();
        if state.closed || state.connected.is_some_and(|connected| connected != (peer, packet.dst)) {
            return false;
        }
        let room = state.queue.push(meta, datagram.payload, host.config.udp_recv_buffer);
        if room {
            state.readers.drain_into(&mut wake);
        }
        drop(state);
        drop(wake);
        if !room {
            host.stats.discard(DiscardReason::SocketFull);
        }
        true
    }

    /// An ICMP error has come about a datagram to `remote`. `false` if the socket is not connected to there.
    pub(super) fn fail(&self, remote: SocketAddr, kind: io::ErrorKind) -> bool {
        let mut wake = Wakeup::default();
        let mut state = self.state.lock();
        let is_it = state.connected.is_some_and(|(peer, _)| peer == remote) && !state.closed;
        if is_it {
            state.error = Some(kind);
            state.readers.drain_into(&mut wake);
            state.writers.drain_into(&mut wake);
        }
        drop(state);
        drop(wake);
        is_it
    }

    /// Looks at the queue with `take`; if it is empty, keeps `waker`.
    pub(super) fn receive_with<T>(
        &self,
        host: &Host,
        waker: Option<&Waker>,
        mut take: impl FnMut(&mut Queue) -> Option<T>,
    ) -> Poll<io::Result<T>> {
        host.check_open()?;
        let mut attempt = |waiting: Option<&mut Waiting<'_>>| {
            let mut state = self.state.lock();
            state.check_open(host)?;
            state.check_error()?;
            let found = take(&mut state.queue);
            if let (None, Some(waiting)) = (&found, waiting) {
                state.readers.insert(waiting);
            }
            found.map_or(Poll::Pending, |found| Poll::Ready(Ok(found)))
        };
        match waker {
            Some(waker) => wait(waker, |waiting| attempt(Some(waiting))),
            None => attempt(None),
        }
    }

    /// Ready when receiving would not wait.
    pub(super) fn poll_readable(&self, host: &Host, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        host.check_open()?;
        wait(cx.waker(), |waiting| {
            let mut state = self.state.lock();
            state.check_open(host)?;
            if state.queue.is_empty() && state.error.is_none() {
                state.readers.insert(waiting);
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Frees its address, forgets what was not read, and fails whoever waits. What is left of a datagram that is partly
    /// sent still follows.
    pub(super) fn close(self: &Arc<Self>, host: &Host) {
        host.udp.unbind(self);
        let mut wake = Wakeup::default();
        let mut state = self.state.lock();
        state.closed = true;
        state.queue.clear();
        state.readers.drain_into(&mut wake);
        state.writers.drain_into(&mut wake);
        drop(state);
        drop(wake);
    }
}

impl State {
    pub(super) fn check_open(&self, host: &Host) -> io::Result<()> {
        if !self.closed {
            return Ok(());
        }
        host.check_open()?;
        Err(io::Error::new(io::ErrorKind::NotConnected, "the socket is closed"))
    }

    /// The error that nobody has been told of, once.
    pub(super) fn check_error(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), |kind| Err(unreachable(kind)))
    }
}

/// What an ICMP error is to the user of a socket.
pub(super) fn unreachable(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "an ICMP error says that the peer cannot be reached")
}
