//! Who a segment is for: connections by their four-tuple, listeners by their address, ports by what uses them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use uis_vnic::recent::{Changes, Recent};

use super::flow::Flow;
use super::key::FlowKey;
use super::listener::Backlog;
use super::pool::Pool;
use super::seq::Seq;
use super::time_wait::TimeWait;
use crate::ports::{self, in_use};
use crate::rng;

/// A fast hash for keys that hash themselves as a few words. No map of these is ever iterated towards the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl BuildHasher for KeyHasher {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = rng::mix(self.0 ^ word);
    }
}

/// All TCP of a stack.
#[derive(Debug, Default)]
pub(crate) struct Table {
    flows: RwLock<HashMap<FlowKey, Arc<Flow>, KeyHasher>>,
    /// Of flows that are gone.
    changes: Changes,
    /// By port, and there by address.
    listeners: RwLock<HashMap<u16, Vec<Arc<Backlog>>, KeyHasher>>,
    /// How many flows use a local port, for listeners that must not take it.
    local_ports: Mutex<HashMap<u16, usize, KeyHasher>>,
    pub(crate) time_wait: TimeWait,
    pub(crate) pool: Pool,
    next_id: AtomicU64,
}

thread_local! {
    /// The flows that have received on this thread.
    static FLOWS: RefCell<Recent<FlowKey, Arc<Flow>>> = const { RefCell::new(Recent::new()) };
}

impl Table {
    /// A number for a new flow.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn flow(&self, key: &FlowKey) -> Option<Arc<Flow>> {
        self.flows.read().get(key).cloned()
    }

    /// What `with` makes of the flow with this key, if there is one.
    #[inline]
    pub(crate) fn with<R>(&self, key: &FlowKey, with: impl FnMut(&Arc<Flow>) -> R) -> Option<R> {
        Recent::ask(&FLOWS, (key.slot(), key), &self.changes, || self.flow(key), with)
    }

    /// Adds a flow, unless there is one with its addresses.
    pub(crate) fn insert(&self, flow: &Arc<Flow>) -> bool {
        let mut flows = self.flows.write();
        if flows.contains_key(&flow.key()) {
            return false;
        }
        flows.insert(flow.key(), flow.clone());
        *self.local_ports.lock().entry(flow.local.port()).or_default() += 1;
        true
    }

    /// Takes a flow out, if it is the one that stands there.
    pub(crate) fn remove(&self, flow: &Arc<Flow>) {
        let removed = {
            let mut flows = self.flows.write();
            let is_it = flows.get(&flow.key()).is_some_and(|found| Arc::ptr_eq(found, flow));
            if is_it {
                let mut ports = self.local_ports.lock();
                if let Some(users) = ports.get_mut(&flow.local.port()) {
                    *users -= 1;
                    if *users == 0 {
                        ports.remove(&flow.local.port());
                    }
                }
                flows.remove(&flow.key())
            } else {
                None
            }
        };
        if removed.is_some() {
            self.changes.happened();
        }
        drop(removed);
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> usize {
        self.flows.read().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flows.read().is_empty()
    }

    /// All flows in the order in which they were made.
    pub(crate) fn flows(&self) -> Vec<Arc<Flow>> {
        let mut flows: Vec<_> = self.flows.read().values().cloned().collect();
        flows.sort_unstable_by_key(|flow| flow.id);
        flows
    }

    /// The listener for a SYN to `local`: that on its very address first, then a wildcard of its family, then one of
    /// both families.
    pub(crate) fn listener(&self, local: SocketAddr) -> Option<Arc<Backlog>> {
        let listeners = self.listeners.read();
        let at_port = listeners.get(&local.port())?;
        let on = |ip: IpAddr| at_port.iter().find(|l| l.local.ip() == ip);
        on(local.ip())
            .or_else(|| match local.ip() {
                IpAddr::V4(_) => on(Ipv4Addr::UNSPECIFIED.into())
                    .or_else(|| on(Ipv6Addr::UNSPECIFIED.into()).filter(|l| l.is_dual_stack())),
                IpAddr::V6(_) => on(Ipv6Addr::UNSPECIFIED.into()),
            })
            .cloned()
    }

    /// Adds a listener, made by `make` for the port that it gets.
    pub(crate) fn listen(
        &self,
        at: SocketAddr,
        dual_stack: bool,
        seed: u64,
        make: impl FnOnce(SocketAddr) -> Arc<Backlog>,
    ) -> io::Result<Arc<Backlog>> {
        let mut listeners = self.listeners.write();
        let is_free = |port: u16| {
            let taken = listeners.get(&port).into_iter().flatten();
            taken
                .into_iter()
                .all(|l| !ports::conflict((at.ip(), dual_stack), (l.local.ip(), l.is_dual_stack())))
        };
        let port = match at.port() {
            0 => {
                let busy = self.local_ports.lock();
                ports::ephemeral(seed)
                    .find(|&port| is_free(port) && !busy.contains_key(&port))
                    .ok_or_else(ports::none_left)?
            }
            port if is_free(port) => port,
            _ => return Err(in_use(at)),
        };
        let backlog = make(SocketAddr::new(at.ip(), port));
        listeners.entry(port).or_default().push(backlog.clone());
        Ok(backlog)
    }

    /// Takes a listener out.
    pub(crate) fn unlisten(&self, backlog: &Arc<Backlog>) {
        let mut listeners = self.listeners.write();
        if let Some(at_port) = listeners.get_mut(&backlog.local.port()) {
            at_port.retain(|l| !Arc::ptr_eq(l, backlog));
            if at_port.is_empty() {
                listeners.remove(&backlog.local.port());
            }
        }
    }

    /// All listeners, in the order of their addresses.
    pub(crate) fn listeners(&self) -> Vec<Arc<Backlog>> {
        let mut all: Vec<_> = self.listeners.read().values().flatten().cloned().collect();
        all.sort_unstable_by_key(|l| (l.local.port(), l.local.ip()));
        all
    }

    /// A local port for a connection from `local_ip` to `remote`, and the least initial sequence number if the
    /// connection takes the place of one in TIME-WAIT.
    ///
    /// Ports are tried from `start` on, which goes round with every dial: so the one in TIME-WAIT that is met is
    /// about the oldest, and its place may be taken, as the peer will see from the sequence number (RFC 6191).
    pub(crate) fn dial_port(
        &self,
        local_ip: IpAddr,
        remote: SocketAddr,
        start: u64,
    ) -> io::Result<(u16, Option<Seq>)> {
        /// How far to look for a port that is not in TIME-WAIT.
        const LOOK: usize = 32;
        let flows = self.flows.read();
        let listeners = self.listeners.read();
        let key = |port| FlowKey::new(SocketAddr::new(local_ip, port), remote);
        let mut free = ports::ephemeral(start)
            .filter(|&port| !flows.contains_key(&key(port)) && !listeners.contains_key(&port));
        let first = free.next().ok_or_else(ports::none_left)?;
        let port = std::iter::once(first)
            .chain(free.take(LOOK))
            .find(|&port| !self.time_wait.contains(&key(port)))
            .unwrap_or(first);
        Ok((port, self.time_wait.reuse(&key(port))))
    }
}
