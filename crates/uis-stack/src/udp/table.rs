//! Who a datagram is for.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;

use super::Binding;
use crate::host::Host;
use crate::ports;
use crate::tcp::KeyHasher;
use crate::wire::{Packet, UdpDatagram};

/// All UDP of a stack.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By port. No two at a port stand for the same address, see [`ports::conflict`]: so whoever a datagram is for, it
    /// is one. The lock is a leaf, and the map is never iterated towards the wire.
    bindings: RwLock<HashMap<u16, Vec<Arc<Binding>>, KeyHasher>>,
    /// How many identifications were given out.
    idents: AtomicU32,
}

impl Table {
    /// Binds what `make` makes for the address that it gets: `at`, with an ephemeral port in place of 0.
    pub(super) fn bind(
        &self,
        at: SocketAddr,
        dual_stack: bool,
        seed: impl FnOnce() -> u64,
        make: impl FnOnce(SocketAddr) -> Arc<Binding>,
    ) -> io::Result<Arc<Binding>> {
        let mut bindings = self.bindings.write();
        let is_free = |port: u16| {
            let mut taken = bindings.get(&port).into_iter().flatten();
            taken.all(|b| !ports::conflict((at.ip(), dual_stack), (b.at().ip(), b.is_dual_stack())))
        };
        let port = match at.port() {
            0 => ports::ephemeral(seed()).find(|&port| is_free(port)).ok_or_else(ports::none_left)?,
            port if is_free(port) => port,
            _ => return Err(ports::in_use(at)),
        };
        let binding = make(SocketAddr::new(at.ip(), port));
        bindings.entry(port).or_default().push(binding.clone());
        Ok(binding)
    }

    /// Frees the address of a binding that its caller holds.
    pub(super) fn unbind(&self, binding: &Arc<Binding>) {
        let mut bindings = self.bindings.write();
        if let Some(at_port) = bindings.get_mut(&binding.at().port()) {
            at_port.retain(|b| !Arc::ptr_eq(b, binding));
            if at_port.is_empty() {
                bindings.remove(&binding.at().port());
            }
        }
    }

    /// Takes a datagram to an address of ours: `false` if no socket is there for it.
    pub(crate) fn receive(&self, host: &Host, packet: &Packet<'_>, datagram: &UdpDatagram<'_>) -> bool {
        let local = SocketAddr::new(packet.dst, datagram.dst_port);
        self.find(local).is_some_and(|binding| binding.receive(host, packet, datagram))
    }

    /// Whether there is a socket that can have sent from `local` to `remote`.
    pub(crate) fn may_have_sent(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.find(local).is_some_and(|binding| binding.peer().is_none_or(|peer| peer == remote))
    }

    /// Tells the socket that is connected from `local` to `remote`, if there is one, that its datagrams do not arrive.
    /// Others are not told, as on Linux: they could not say which peer it is about.
    pub(crate) fn fail(&self, local: SocketAddr, remote: SocketAddr, kind: io::ErrorKind) -> bool {
        self.find(local).is_some_and(|binding| binding.fail(remote, kind))
    }

    /// Closes every socket, in the order of their addresses.
    pub(crate) fn close_all(&self, host: &Host) {
        let mut all: Vec<_> = self.bindings.read().values().flatten().cloned().collect();
        all.sort_unstable_by_key(|b| (b.at().port(), b.at().ip()));
        for binding in all {
            binding.close(host);
        }
    }

    fn find(&self, local: SocketAddr) -> Option<Arc<Binding>> {
        self.bindings.read().get(&local.port())?.iter().find(|b| b.covers(local.ip())).cloned()
    }
}

impl Host {
    /// An identification for a packet that may be fragmented. One number line for all destinations, which begins where
    /// the seed says.
    pub(crate) fn next_ident(&self) -> u32 {
        (self.key as u32).wrapping_add(self.udp.idents.fetch_add(1, Ordering::Relaxed))
    }
}
