//! What tells connections apart.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::wire::Plain;

/// The two ends of a connection, seen from this stack.
///
/// Every segment is looked up by one, so it is a few words that are compared without a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    local: [u64; 2],
    remote: [u64; 2],
    /// The local port, the remote port, and what the addresses are of.
    ports: u64,
}

const V6: u64 = 1 << 32;

impl FlowKey {
    /// Of two addresses of one family.
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        let family = if local.is_ipv6() { V6 } else { 0 };
        Self::of_bits(bits(local.ip()), bits(remote.ip()), ports(local.port(), remote.port()) | family)
    }

    /// Whose segment this is.
    #[inline]
    pub(crate) fn of(segment: &Plain) -> Self {
        let family = if segment.v6 { V6 } else { 0 };
        Self::of_bits(segment.dst, segment.src, ports(segment.dst_port, segment.src_port) | family)
    }

    #[inline]
    fn of_bits(local: u128, remote: u128, ports: u64) -> Self {
        let words = |bits: u128| [(bits >> 64) as u64, bits as u64];
        Self { local: words(local), remote: words(remote), ports }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.addr(self.local), self.ports as u16)
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.addr(self.remote), (self.ports >> 16) as u16)
    }

    fn addr(&self, [high, low]: [u64; 2]) -> IpAddr {
        match self.ports & V6 {
            0 => Ipv4Addr::from_bits(low as u32).into(),
            _ => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
        }
    }

    /// A number that the keys of neighbouring ports differ in.
    #[inline]
    pub(crate) fn slot(&self) -> usize {
        usize::from(self.ports as u16 ^ (self.ports >> 16) as u16)
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[inline]
fn ports(local: u16, remote: u16) -> u64 {
    u64::from(remote) << 16 | u64::from(local)
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ([a, b], [c, d]) = (self.local, self.remote);
        if self.ports & V6 == 0 {
            state.write_u64(b << 32 | d);
        } else {
            state.write_u64(a ^ b.rotate_left(32));
            state.write_u64(c ^ d.rotate_left(32));
        }
        state.write_u64(self.ports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_two_ends() {
        for [local, remote] in [["10.0.0.2:5000", "10.0.0.1:80"], ["[fd00::2]:5000", "[fd01::1]:80"]] {
            let [local, remote]: [SocketAddr; 2] = [local, remote].map(|addr| addr.parse().unwrap());
            let key = FlowKey::new(local, remote);
            assert_eq!((key.local(), key.remote()), (local, remote));
            assert_ne!(key, FlowKey::new(remote, local));
        }
    }

    #[test]
    fn families_are_apart() {
        // ::10.0.0.1 has the same bits.
        let key = |text: &str| FlowKey::new(text.parse().unwrap(), text.parse().unwrap());
        assert_ne!(key("10.0.0.1:80"), key("[::a00:1]:80"));
    }
}
