//! Which ports a socket gets, and which addresses exclude each other. The same for TCP and UDP.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// RFC 6335 §6: the dynamic ports.
const FIRST: u16 = 49_152;
const COUNT: u64 = 16_384;

/// All ephemeral ports, beginning at one that the seed chooses (RFC 6056 §3.3).
pub(crate) fn ephemeral(seed: u64) -> impl Iterator<Item = u16> {
    let start = seed % COUNT;
    (0..COUNT).map(move |n| FIRST + ((start + n) % COUNT) as u16)
}

/// Whether two sockets cannot have the same port: each is given by its address, and whether, being `[::]`, it stands
/// for IPv4 too. As on Linux, a wildcard excludes every address it covers.
pub(crate) fn conflict((a, a_dual): (IpAddr, bool), (b, b_dual): (IpAddr, bool)) -> bool {
    let covers = |wild: IpAddr, dual: bool, ip: IpAddr| {
        wild.is_unspecified() && (wild.is_ipv4() == ip.is_ipv4() || (dual && wild.is_ipv6()))
    };
    a == b || covers(a, a_dual, b) || covers(b, b_dual, a)
}

/// The error for an address that is taken.
pub(crate) fn in_use(at: SocketAddr) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, format!("{at} is in use on this stack"))
}

/// The error when every ephemeral port is taken, with the kind that Linux gives.
pub(crate) fn none_left() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "all ephemeral ports are in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ephemeral_port_comes_once() {
        for seed in [0, 1, 16_383, u64::MAX] {
            let mut ports: Vec<u16> = ephemeral(seed).collect();
            assert_eq!(u64::from(ports[0]), 49_152 + seed % 16_384);
            ports.sort_unstable();
            assert!(ports.iter().copied().eq(49_152..=65_535));
        }
    }

    #[test]
    fn conflicts() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        let cases = [
            ("10.0.0.1", false, "10.0.0.1", false, true),
            ("10.0.0.1", false, "10.0.0.2", false, false),
            ("0.0.0.0", false, "10.0.0.1", false, true),
            ("0.0.0.0", false, "2001:db8::1", false, false),
            ("::", true, "10.0.0.1", false, true),
            ("::", true, "0.0.0.0", false, true),
            ("::", false, "0.0.0.0", false, false),
            ("::", false, "2001:db8::1", false, true),
            ("::", false, "10.0.0.1", false, false),
        ];
        for (a, a_dual, b, b_dual, expected) in cases {
            assert_eq!(conflict((ip(a), a_dual), (ip(b), b_dual)), expected, "{a} {b}");
            assert_eq!(conflict((ip(b), b_dual), (ip(a), a_dual)), expected, "{b} {a}");
        }
    }
}
