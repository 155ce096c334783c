//! Initial sequence numbers after RFC 6528, and how one is imposed on smoltcp.
//!
//! smoltcp takes an ISN from a 64-bit generator that `Interface::new` seeds. The generator's step is a
//! bijection of its state, so a seed can be computed that makes the draw come out as wanted. How many numbers
//! `Interface::new` draws before depends on smoltcp's features, which any crate of the build may switch on;
//! it is counted once, on a throw-away connection.

use std::net::SocketAddr;
use std::sync::OnceLock;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use uis_clock::Instant;

use super::device::{Outbox, Wire};
use crate::rng::hash;

// smoltcp's generator (`smoltcp/src/rand.rs`), an sPCG32.
const MUL: u64 = 0xbb2e_fcec_3c39_611d;
const ADD: u64 = 0x7590_ef39;

/// RFC 6528 §3: ISN = M + F(localip, localport, remoteip, remoteport, secret), M ticking every 4 µs.
pub(crate) fn initial(key: u64, local: SocketAddr, remote: SocketAddr, now: Instant) -> u32 {
    let m = (now.as_nanos() / 4_000) as u32;
    m.wrapping_add(hash_tuple(key, local, remote) as u32)
}

/// A hash of the 4-tuple under `key`.
pub(crate) fn hash_tuple(key: u64, local: SocketAddr, remote: SocketAddr) -> u64 {
    let words = |a: SocketAddr| {
        let ip = match a.ip() {
            std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            std::net::IpAddr::V6(ip) => ip.to_bits(),
        };
        [(ip >> 64) as u64, ip as u64, a.port().into()]
    };
    let ([a, b, c], [d, e, f]) = (words(local), words(remote));
    hash(key, &[a, b, c, d, e, f])
}

/// The `Config::random_seed` that makes a new interface's first connection start at `isn`.
pub(crate) fn seed_for(isn: u32) -> u64 {
    static DRAWS: OnceLock<u32> = OnceLock::new();
    let draws = *DRAWS.get_or_init(count_draws);
    // The output is 32 bits of the state, at a shift that its three top bits choose: with those 0, bits 29–60.
    // The low bits are free; take the first for which no earlier draw is 0, which `Interface::new` repeats.
    (0..1u64 << 29)
        .map(|low| invert((u64::from(isn) << 29) | low, draws))
        .find(|&seed| {
            (0..draws)
                .scan(seed, |state, _| Some(draw(state)))
                .all(|x| x & 0xff != 0 && (x ^ (x >> 16)) & 0xff != 0)
        })
        .expect("one of 2^29 seeds has no zero in its first draws")
}

/// One step of the generator.
fn draw(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(MUL).wrapping_add(ADD);
    (*state >> (29 - (*state >> 61))) as u32
}

/// The state from which `draws + 1` steps lead to `state`.
fn invert(mut state: u64, draws: u32) -> u64 {
    // Newton's iteration for the inverse of an odd number modulo 2^64: the number of right bits doubles.
    const INV: u64 = {
        let mut inv = MUL;
        let mut i = 0;
        while i < 5 {
            inv = inv.wrapping_mul(2u64.wrapping_sub(MUL.wrapping_mul(inv)));
            i += 1;
        }
        inv
    };
    for _ in 0..=draws {
        state = state.wrapping_sub(ADD).wrapping_mul(INV);
    }
    state
}

/// How many numbers this build's `Interface::new` draws before an ISN is drawn.
fn count_draws() -> u32 {
    let seed = 0x5eed_0000_1234_5678;
    let isn = isn_of(seed);
    let mut state = seed;
    (0..64).find(|_| draw(&mut state) == isn).expect("smoltcp draws its ISN from its seeded generator")
}

/// The ISN of the first connection of an interface with this seed, read off its SYN.
fn isn_of(seed: u64) -> u32 {
    let mut out = Outbox::default();
    let mut wire = Wire::new(None, &mut out, 1500);
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let at = smoltcp::time::Instant::from_secs(1);
    let mut iface = Interface::new(config, &mut wire, at);
    let local = IpAddress::v4(10, 0, 0, 1);
    iface.update_ip_addrs(|addrs| {
        addrs.push(IpCidr::new(local, 32)).expect("an interface holds an address");
    });
    let buffer = || SocketBuffer::new(vec![0; 64]);
    let mut sockets = SocketSet::new(Vec::with_capacity(1));
    let handle = sockets.add(Socket::new(buffer(), buffer()));
    sockets
        .get_mut::<Socket<'_>>(handle)
        .connect(iface.context(), (IpAddress::v4(10, 0, 0, 2), 80), (local, 49152))
        .expect("a fresh socket connects");
    iface.poll_egress(at, &mut wire, &mut sockets);
    let syn = out.pop().expect("a connecting socket sends a SYN");
    u32::from_be_bytes(syn.packet()[24..28].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_wanted_isn_is_drawn() {
        for isn in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xdead_beef] {
            assert_eq!(isn_of(seed_for(isn)), isn, "{isn:#x}");
        }
    }

    #[test]
    fn isns_rise_with_time_and_differ_by_tuple() {
        let (a, b) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:4000".parse().unwrap());
        let at = |s| Instant::default() + Duration::from_secs(s);
        assert_eq!(initial(1, a, b, at(2)).wrapping_sub(initial(1, a, b, at(1))), 250_000);
        assert_ne!(initial(1, a, b, at(1)), initial(1, b, a, at(1)));
        assert_ne!(initial(1, a, b, at(1)), initial(2, a, b, at(1)));
    }
}
