//! One host: an interface, its sockets, its end of the wire.

use std::net::IpAddr;

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use super::wire::Wire;

/// How many packets leave before the other host looks at them: bursts larger than the cache cost more than
/// they save.
const BURST: usize = 64;

pub(super) struct Host {
    pub(super) iface: Interface,
    pub(super) sockets: SocketSet<'static>,
    wire: Wire,
}

impl Host {
    pub(super) fn new(addr: IpAddr, peer: IpAddr, mtu: u32) -> Self {
        let mut wire = Wire::new(mtu);
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut wire, Instant::ZERO);
        let full = if addr.is_ipv4() { 32 } else { 128 };
        iface.update_ip_addrs(|addrs| {
            addrs.push(IpCidr::new(addr.into(), full)).expect("room for one address");
        });
        let routes = iface.routes_mut();
        match peer {
            IpAddr::V4(peer) => drop(routes.add_default_ipv4_route(peer)),
            IpAddr::V6(peer) => drop(routes.add_default_ipv6_route(peer)),
        }
        Self { iface, sockets: SocketSet::new(Vec::new()), wire }
    }

    /// Lets the sockets send, up to about a burst.
    pub(super) fn send(&mut self, now: Instant) {
        while self.wire.outbox.len() < BURST
            && self.iface.poll_egress(now, &mut self.wire, &mut self.sockets)
                == PollResult::SocketStateChanged
        {}
    }

    /// Takes in all that `peer` has sent, and gives it back as many buffers.
    pub(super) fn receive(&mut self, now: Instant, peer: &mut Self) {
        let packets = peer.wire.outbox.len();
        if self.wire.inbox.is_empty() {
            std::mem::swap(&mut self.wire.inbox, &mut peer.wire.outbox);
        } else {
            self.wire.inbox.append(&mut peer.wire.outbox);
        }
        while self.iface.poll_ingress_single(now, &mut self.wire, &mut self.sockets)
            != PollIngressSingleResult::None
        {}
        let spare = self.wire.spare.get_mut();
        let kept = spare.len().saturating_sub(packets);
        peer.wire.spare.get_mut().extend(spare.drain(kept..));
    }
}
