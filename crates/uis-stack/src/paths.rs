//! What is known of the paths to other hosts: their MTU (RFC 1191, RFC 8201).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use uis_clock::Instant;

use crate::host::Host;

/// How many destinations are remembered.
const CAPACITY: usize = 1024;
/// RFC 1191 §6.3, RFC 8201 §5.3: so long until a larger MTU is tried again.
const LIFETIME: Duration = Duration::from_secs(600);
/// What every IPv4 host takes (RFC 791 §3.1). A smaller value in an ICMP message is an attack or a mistake.
const FLOOR_V4: usize = 576;
/// What every IPv6 link takes (RFC 8200 §5).
const FLOOR_V6: usize = 1280;

/// The MTUs that ICMP messages have told of. Its lock is a leaf.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// Whether anything was ever learned: what nearly every packet finds, without a lock.
    any: AtomicBool,
    learned: RwLock<BTreeMap<IpAddr, Path>>,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    mtu: usize,
    since: Instant,
}

impl Paths {
    /// The MTU of the path to `peer`, if one was learned and is not forgotten by `now`.
    fn mtu(&self, peer: IpAddr, now: impl FnOnce() -> Instant) -> Option<usize> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let path = *self.learned.read().get(&peer)?;
        path.is_known(now()).then_some(path.mtu)
    }

    /// Takes the word of a router that packets to `peer` may have at most `mtu` bytes, and gives what is made of it: no
    /// less than any path must carry, and no more than what was known or `most`.
    fn learn(&self, peer: IpAddr, mtu: usize, most: usize, now: Instant) -> usize {
        let mtu = mtu.max(if peer.is_ipv4() { FLOOR_V4 } else { FLOOR_V6 });
        if mtu >= most {
            return most;
        }
        let mut learned = self.learned.write();
        let known = learned.get(&peer).filter(|path| path.is_known(now)).map_or(most, |path| path.mtu);
        if mtu > known {
            return known;
        }
        learned.insert(peer, Path { mtu, since: now });
        if learned.len() > CAPACITY {
            let oldest = learned.iter().min_by_key(|(_, path)| path.since).map(|(&peer, _)| peer);
            oldest.map(|peer| learned.remove(&peer));
        }
        drop(learned);
        self.any.store(true, Ordering::Relaxed);
        mtu
    }
}

impl Path {
    fn is_known(&self, now: Instant) -> bool {
        now < self.since + LIFETIME
    }
}

impl Host {
    /// How long a packet to `peer` may be, in bytes.
    pub(crate) fn mtu_to(&self, peer: IpAddr) -> usize {
        let link = self.vnic.mtu() as usize;
        self.paths.mtu(peer, || self.clock.now()).map_or(link, |path| path.min(link))
    }

    /// An ICMP message says that a packet of ours to `peer` was longer than `mtu`, which may be anything. Gives the MTU
    /// that holds from now on.
    pub(crate) fn learn_mtu(&self, peer: IpAddr, mtu: u32) -> usize {
        let link = self.vnic.mtu() as usize;
        if self.is_ours(peer) {
            return link;
        }
        self.paths.learn(peer, usize::try_from(mtu).unwrap_or(usize::MAX), link, self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

    fn at(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn whatever_a_message_says_is_clamped() {
        for (peer, said, made_of_it) in [
            (V4, 0, 576),
            (V4, 68, 576),
            (V4, 576, 576),
            (V4, 1400, 1400),
            (V4, 1500, 1500),
            (V4, usize::MAX, 1500),
            (V6, 0, 1280),
            (V6, 1279, 1280),
            (V6, 1400, 1400),
            (V6, u32::MAX as usize, 1500),
        ] {
            let paths = Paths::default();
            assert_eq!(paths.learn(peer, said, 1500, at(1)), made_of_it, "{peer} {said}");
            let known = (made_of_it < 1500).then_some(made_of_it);
            assert_eq!(paths.mtu(peer, || at(2)), known, "{peer} {said}");
        }
    }

    #[test]
    fn a_path_only_narrows_until_it_is_forgotten() {
        let paths = Paths::default();
        assert_eq!(paths.learn(V4, 1400, 1500, at(0)), 1400);
        assert_eq!(paths.learn(V4, 1450, 1500, at(1)), 1400);
        assert_eq!(paths.learn(V4, 1300, 1500, at(300)), 1300);
        assert_eq!(paths.mtu(V4, || at(899)), Some(1300));
        assert_eq!(paths.mtu(V4, || at(900)), None);
        assert_eq!(paths.learn(V4, 1450, 1500, at(901)), 1450);
        assert_eq!(paths.mtu(V6, || at(901)), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let paths = Paths::default();
        let host = |n: usize| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        for n in 0..=CAPACITY {
            // Addresses fall as time goes on, so that their order is not mistaken for that of their age.
            paths.learn(host(CAPACITY - n), 1400, 1500, at(n as u64 / 8));
        }
        assert_eq!(paths.learned.read().len(), CAPACITY);
        let gone: Vec<_> = (0..=CAPACITY).filter(|&n| paths.mtu(host(n), || at(200)).is_none()).collect();
        assert_eq!(gone.len(), 1);
        assert!(gone[0] > CAPACITY - 8, "{gone:?}");
    }
}
