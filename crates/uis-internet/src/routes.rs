//! Who has which address.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use parking_lot::RwLock;
use uis_vnic::recent::{Changes, Recent};
use uis_vnic::{Frame, Undelivered, Vnic, VnicId, WeakVnic};

/// The routing table: host routes only. Nothing ever iterates over it towards the wire.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    table: RwLock<Table>,
    changes: Changes,
}

thread_local! {
    /// Where the routes lead that this thread has used.
    static LEADS: RefCell<Recent<IpAddr, WeakVnic>> = const { RefCell::new(Recent::new()) };
}

/// A small number that neighbours differ in.
fn slot(addr: IpAddr) -> usize {
    match addr {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]),
        IpAddr::V6(ip) => usize::from(ip.octets()[15]),
    }
}

#[derive(Debug, Default)]
struct Table {
    vnics: HashMap<IpAddr, WeakVnic, BuildHasherDefault<AddrHasher>>,
    /// What each Vnic has. One that was here once stays until it closes, so that it gets one close hook only.
    addrs: HashMap<VnicId, BTreeSet<IpAddr>>,
}

impl Routes {
    /// Hands a frame to the Vnic that has the address, or gives it back if none has.
    #[inline]
    pub(crate) fn pass(
        &self,
        addr: IpAddr,
        frame: Frame,
        inject: impl Fn(&WeakVnic, Frame) -> Result<(), Undelivered>,
    ) -> Result<Result<(), Undelivered>, Frame> {
        let mut frame = Some(frame);
        let look_up = || self.table.read().vnics.get(&addr).cloned();
        let result = Recent::ask(&LEADS, (slot(addr), &addr), &self.changes, look_up, |vnic| {
            frame.take().map(|frame| inject(vnic, frame))
        });
        match (result, frame) {
            (Some(Some(result)), _) => Ok(result),
            (_, Some(frame)) => Err(frame),
            (_, None) => unreachable!("it went to the Vnic"),
        }
    }

    /// Gives all of `addrs` to `vnic`, or none. True if the Vnic was not known before.
    pub(crate) fn add(&self, vnic: &Vnic, addrs: &[IpAddr]) -> io::Result<bool> {
        let mut wanted = BTreeSet::new();
        for &addr in addrs {
            if addr.is_unspecified() || addr.is_multicast() || addr == Ipv4Addr::BROADCAST {
                return Err(invalid(format!("{addr} is not the address of one host")));
            }
            if !wanted.insert(addr) {
                return Err(invalid(format!("{addr} is given twice")));
            }
        }
        // To be dropped after unlocking: this may be the last handle of a Vnic, which then closes and takes the lock.
        let mut holders = Vec::new();
        let mut table = self.table.write();
        for addr in addrs {
            if let Some(holder) = table.vnics.get(addr).and_then(WeakVnic::upgrade) {
                let alive = !holder.is_closed();
                holders.push(holder);
                if alive {
                    drop(table);
                    return Err(io::Error::new(
                        io::ErrorKind::AddrInUse,
                        format!("{addr} is routed already"),
                    ));
                }
            }
        }
        for &addr in addrs {
            if let Some(old) = table.vnics.insert(addr, vnic.downgrade()) {
                table.forget(old.id(), addr);
            }
        }
        let known = table.addrs.contains_key(&vnic.id());
        table.addrs.entry(vnic.id()).or_default().append(&mut wanted);
        drop(table);
        self.changes.happened();
        Ok(!known)
    }

    /// Takes the route of `addr` away; if `of` is given, only when it leads there.
    pub(crate) fn remove(&self, addr: IpAddr, of: Option<VnicId>) -> bool {
        let mut table = self.table.write();
        let Some(id) = table.vnics.get(&addr).map(WeakVnic::id) else { return false };
        if of.is_some_and(|of| of != id) {
            return false;
        }
        table.vnics.remove(&addr);
        table.forget(id, addr);
        drop(table);
        self.changes.happened();
        true
    }

    /// Takes all that a Vnic has: it has closed.
    pub(crate) fn remove_all(&self, id: VnicId) {
        let mut table = self.table.write();
        for addr in table.addrs.remove(&id).unwrap_or_default() {
            table.vnics.remove(&addr);
        }
        drop(table);
        self.changes.happened();
    }
}

impl Table {
    fn forget(&mut self, id: VnicId, addr: IpAddr) {
        if let Some(addrs) = self.addrs.get_mut(&id) {
            addrs.remove(&addr);
        }
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// A hasher for a look-up per packet: a few multiplications. Whoever chooses addresses that
/// collide slows down no one else.
#[derive(Default)]
struct AddrHasher(u64);

/// Half of the bits set, in no pattern: the fraction of the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl AddrHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(ODD);
    }
}

impl Hasher for AddrHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_isize(&mut self, n: isize) {
        self.add(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }

    fn finish(&self) -> u64 {
        // The table looks at the lowest and at the highest bits: mix all of them into both.
        let product = u128::from(self.0) * u128::from(ODD);
        (product >> 64) as u64 ^ product as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn a_vnic_is_new_once() {
        let routes = Routes::default();
        let (vnic, _peer) = Vnic::pair(1500, uis_clock::SystemClock::new()).unwrap();
        let addrs = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        assert!(routes.add(&vnic, &addrs[..1]).unwrap());
        assert!(routes.remove(addrs[0], None));
        assert!(!routes.add(&vnic, &addrs).unwrap(), "it has its close hook");
        routes.remove_all(vnic.id());
        let leads = |addr| routes.pass(addr, Frame::new([]), |_, _| Ok(())).is_ok();
        assert!(!leads(addrs[0]) && !leads(addrs[1]));
        assert!(routes.add(&vnic, &addrs).unwrap());
    }

    #[test]
    fn the_hash_spreads_neighbours() {
        let build = BuildHasherDefault::<AddrHasher>::default();
        let v4 = (0..4096u32).map(|i| IpAddr::from((0x0a00_0000 + i).to_be_bytes()));
        let v6 = (0..4096u128).map(|i| IpAddr::from(((0xfd00 << 112) + i).to_be_bytes()));
        for addrs in [v4.collect::<Vec<_>>(), v6.collect()] {
            let low: HashSet<u64> = addrs.iter().map(|a| build.hash_one(a) & 0xfff).collect();
            let high: HashSet<u64> = addrs.iter().map(|a| build.hash_one(a) >> 57).collect();
            assert!(low.len() > 2048 && high.len() == 128, "{} and {}", low.len(), high.len());
        }
    }
}
