//! Who talks to whom, and in how large packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::args::Options;

/// The smallest MTU that IPv6 allows.
const MINIMUM_IPV6: u32 = 1_280;

/// The addresses and the MTU of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Net {
    pub(crate) client: IpAddr,
    pub(crate) server: IpAddr,
    pub(crate) port: u16,
    pub(crate) mtu: u32,
}

impl Net {
    /// A net for each family that is asked for: the one that the options name addresses of, else both, but
    /// for an MTU that IPv6 cannot have. IPv4 first.
    pub(crate) fn families(options: &Options, mtu: u32) -> Vec<Self> {
        let v4 = [Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(10, 0, 0, 2).into()];
        let v6 = [
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
        ];
        let asked = options.client_addr.or(options.server_addr);
        let families: &[[IpAddr; 2]] = match asked {
            Some(IpAddr::V4(_)) => &[v4],
            Some(IpAddr::V6(_)) => &[v6],
            None if mtu < MINIMUM_IPV6 => &[v4],
            None => &[v4, v6],
        };
        let net = |&[first, second]: &[IpAddr; 2]| {
            // Whoever has no address of its own gets one that the other one does not have.
            let other_than = |taken: Option<IpAddr>, own| if taken == Some(own) { None } else { Some(own) };
            let server = options.server_addr.or(other_than(options.client_addr, first)).unwrap_or(second);
            let client = options.client_addr.or(other_than(Some(server), second)).unwrap_or(first);
            Self { client, server, port: options.server_port, mtu }
        };
        families.iter().map(net).collect()
    }

    /// The first of [`families`](Self::families), at the MTU that is asked for, or else at Ethernet's.
    pub(crate) fn usual(options: &Options) -> Self {
        Self::families(options, options.mtu.unwrap_or(1_500))[0]
    }

    /// Where the server listens.
    pub(crate) fn at(&self) -> SocketAddr {
        SocketAddr::new(self.server, self.port)
    }

    /// How the family is called.
    pub(crate) fn family(&self) -> &'static str {
        if self.server.is_ipv4() { "IPv4" } else { "IPv6" }
    }

    /// This machine itself, in the same family: where the kernel's yardstick runs.
    pub(crate) fn loopback(&self) -> IpAddr {
        if self.server.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families(client: Option<&str>, server: Option<&str>, mtu: u32) -> Vec<[String; 2]> {
        let addr = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let options = Options { client_addr: addr(client), server_addr: addr(server), ..Options::default() };
        let nets = Net::families(&options, mtu);
        nets.iter().map(|net| [net.client.to_string(), net.server.to_string()]).collect()
    }

    #[test]
    fn both_families_unless_something_speaks_against_it() {
        assert_eq!(families(None, None, 1_500), [["10.0.0.2", "10.0.0.1"], ["fd00::2", "fd00::1"]]);
        assert_eq!(families(None, None, 576), [["10.0.0.2", "10.0.0.1"]]);
        assert_eq!(families(Some("fd07::7"), None, 1_500), [["fd07::7", "fd00::1"]]);
        assert_eq!(families(Some("10.0.0.1"), None, 1_500), [["10.0.0.1", "10.0.0.2"]]);
        assert_eq!(families(None, Some("10.0.0.2"), 1_500), [["10.0.0.1", "10.0.0.2"]]);
        assert_eq!(families(Some("1.2.3.4"), Some("5.6.7.8"), 1_500), [["1.2.3.4", "5.6.7.8"]]);
    }
}
