//! ICMP errors about what the stack has sent.

use std::net::IpAddr;

use super::segment::ip;

/// What an error says, in either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    NetUnreachable,
    HostUnreachable,
    PortUnreachable,
    ProtocolUnreachable,
    Prohibited,
    TooBig(u32),
    TimeExceeded,
}

impl Icmp {
    pub const ALL: [Self; 7] = [
        Self::NetUnreachable,
        Self::HostUnreachable,
        Self::PortUnreachable,
        Self::ProtocolUnreachable,
        Self::Prohibited,
        Self::TooBig(576),
        Self::TimeExceeded,
    ];

    /// The packet that quotes the beginning of another one.
    pub fn packet(self, quoted: &[u8], src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let (kind, code) = match (self, src.is_ipv4()) {
            (Self::NetUnreachable, true) => (3, 0),
            (Self::HostUnreachable, true) => (3, 1),
            (Self::ProtocolUnreachable, true) => (3, 2),
            (Self::PortUnreachable, true) => (3, 3),
            (Self::TooBig(_), true) => (3, 4),
            (Self::Prohibited, true) => (3, 13),
            (Self::TimeExceeded, true) => (11, 0),
            (Self::NetUnreachable, false) => (1, 0),
            (Self::Prohibited, false) => (1, 1),
            (Self::HostUnreachable, false) => (1, 3),
            (Self::PortUnreachable, false) => (1, 4),
            (Self::TooBig(_), false) => (2, 0),
            (Self::TimeExceeded, false) => (3, 0),
            (Self::ProtocolUnreachable, false) => (4, 1),
        };
        let mut message = vec![kind, code, 0, 0];
        let rest = match self {
            Self::TooBig(mtu) if src.is_ipv4() => mtu & 0xffff,
            Self::TooBig(mtu) => mtu,
            Self::ProtocolUnreachable if src.is_ipv6() => 6, // where the next header is that is not known
            _ => 0,
        };
        message.extend(rest.to_be_bytes());
        message.extend(&quoted[..quoted.len().min(if src.is_ipv4() { 28 } else { 60 })]);
        ip(src, dst, if src.is_ipv4() { 1 } else { 58 }, &message)
    }
}

/// A packet that is no TCP, in a word.
pub fn describe(packet: &[u8]) -> String {
    match packet[0] >> 4 {
        4 if packet[9] == 1 => format!("icmp {} {}", packet[20], packet[21]),
        6 if packet[6] == 58 => format!("icmp {} {}", packet[40], packet[41]),
        4 => format!("protocol {}", packet[9]),
        _ => format!("protocol {}", packet[6]),
    }
}
