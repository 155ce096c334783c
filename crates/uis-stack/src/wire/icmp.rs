//! ICMP messages of both families (RFC 792, RFC 4443): echoes, and errors with the packet that they are about.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::extension::{self, Chain};
use super::{FRAGMENT_HEADER, ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, be16, be32, protocol};

/// Type numbers, of ICMP and of ICMPv6.
pub(super) mod kind {
    pub(crate) const V4_ECHO_REPLY: u8 = 0;
    pub(crate) const V4_UNREACHABLE: u8 = 3;
    pub(crate) const V4_SOURCE_QUENCH: u8 = 4;
    pub(crate) const V4_REDIRECT: u8 = 5;
    pub(crate) const V4_ECHO_REQUEST: u8 = 8;
    pub(crate) const V4_TIME_EXCEEDED: u8 = 11;
    pub(crate) const V4_PARAMETER_PROBLEM: u8 = 12;
    pub(crate) const V6_UNREACHABLE: u8 = 1;
    pub(crate) const V6_TOO_BIG: u8 = 2;
    pub(crate) const V6_TIME_EXCEEDED: u8 = 3;
    pub(crate) const V6_PARAMETER_PROBLEM: u8 = 4;
    pub(crate) const V6_ECHO_REQUEST: u8 = 128;
    pub(crate) const V6_ECHO_REPLY: u8 = 129;
    pub(crate) const V6_REDIRECT: u8 = 137;
}

/// A message that is long enough, and whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IcmpMessage<'a> {
    /// `bytes` is the whole message.
    EchoRequest {
        bytes: &'a [u8],
    },
    EchoReply,
    /// A packet that was sent did not get through.
    Error(IcmpError),
    /// Redirects, queries, neighbour discovery: nothing that is heeded here.
    Other,
}

/// An error, and the packet that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IcmpError {
    pub(crate) kind: IcmpKind,
    /// `None` if what is quoted is too short, damaged, neither TCP nor UDP, or not the first fragment.
    pub(crate) quoted: Option<Quoted>,
}

/// What went wrong, for both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IcmpKind {
    NetUnreachable,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    /// `mtu` is as the message has it: anything, and 0 if the router does not say (RFC 1191 §5).
    PacketTooBig {
        mtu: u32,
    },
    /// A firewall's word.
    AdminProhibited,
    /// The hop limit ran out, or fragments were not complete in time.
    TimeExceeded,
    ParameterProblem,
    /// Deprecated, and ignored (RFC 6633).
    SourceQuench,
    /// A code that is not known.
    Other,
}

impl IcmpKind {
    /// What a socket's user is told, as by Linux; `None` for what is no reason to give up.
    pub(crate) fn io_kind(self) -> Option<io::ErrorKind> {
        match self {
            Self::ProtocolUnreachable | Self::PortUnreachable => Some(io::ErrorKind::ConnectionRefused),
            Self::NetUnreachable => Some(io::ErrorKind::NetworkUnreachable),
            Self::HostUnreachable | Self::AdminProhibited | Self::TimeExceeded => {
                Some(io::ErrorKind::HostUnreachable)
            }
            Self::PacketTooBig { .. } | Self::ParameterProblem | Self::SourceQuench | Self::Other => None,
        }
    }
}

/// The packet that an error quotes: one that the receiver of the error is said to have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// TCP or UDP.
    pub(crate) protocol: u8,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    /// The sequence number, of TCP.
    pub(crate) seq: Option<u32>,
}

/// Reads the message in `bytes`, which is [`ICMP_HEADER`] bytes long at least.
pub(super) fn parse(bytes: &[u8], v4: bool) -> IcmpMessage<'_> {
    let found = match (v4, bytes[0]) {
        (true, kind::V4_ECHO_REQUEST) | (false, kind::V6_ECHO_REQUEST) => {
            return IcmpMessage::EchoRequest { bytes };
        }
        (true, kind::V4_ECHO_REPLY) | (false, kind::V6_ECHO_REPLY) => {
            return IcmpMessage::EchoReply;
        }
        (true, _) => error_v4(bytes),
        (false, _) => error_v6(bytes),
    };
    match found {
        Some(kind) => {
            let quote = &bytes[ICMP_HEADER..];
            let quoted = if v4 { quoted_v4(quote) } else { quoted_v6(quote) };
            IcmpMessage::Error(IcmpError { kind, quoted })
        }
        None => IcmpMessage::Other,
    }
}

/// Whether a message of type `kind` is an error, or a redirect, which nothing may answer with an error (RFC 1122
/// §3.2.2, RFC 4443 §2.4).
pub(super) fn is_error(v4: bool, kind: u8) -> bool {
    if v4 {
        matches!(
            kind,
            kind::V4_UNREACHABLE
                | kind::V4_SOURCE_QUENCH
                | kind::V4_REDIRECT
                | kind::V4_TIME_EXCEEDED
                | kind::V4_PARAMETER_PROBLEM
        )
    } else {
        kind < kind::V6_ECHO_REQUEST || kind == kind::V6_REDIRECT
    }
}

fn error_v4(bytes: &[u8]) -> Option<IcmpKind> {
    Some(match bytes[0] {
        // RFC 1122 §3.2.2.1 lists the codes up to 12, RFC 1812 §5.2.7.1 the rest.
        kind::V4_UNREACHABLE => match bytes[1] {
            0 | 6 | 11 => IcmpKind::NetUnreachable,
            1 | 5 | 7 | 8 | 12 => IcmpKind::HostUnreachable,
            2 => IcmpKind::ProtocolUnreachable,
            3 => IcmpKind::PortUnreachable,
            4 => IcmpKind::PacketTooBig { mtu: u32::from(be16(bytes, 6)) },
            9 | 10 | 13..=15 => IcmpKind::AdminProhibited,
            _ => IcmpKind::Other,
        },
        kind::V4_TIME_EXCEEDED => IcmpKind::TimeExceeded,
        kind::V4_PARAMETER_PROBLEM => IcmpKind::ParameterProblem,
        kind::V4_SOURCE_QUENCH => IcmpKind::SourceQuench,
        _ => return None,
    })
}

fn error_v6(bytes: &[u8]) -> Option<IcmpKind> {
    Some(match bytes[0] {
        // RFC 4443 §3.1
        kind::V6_UNREACHABLE => match bytes[1] {
            0 => IcmpKind::NetUnreachable,
            2 | 3 => IcmpKind::HostUnreachable,
            4 => IcmpKind::PortUnreachable,
            1 | 5 | 6 => IcmpKind::AdminProhibited,
            _ => IcmpKind::Other,
        },
        kind::V6_TOO_BIG => IcmpKind::PacketTooBig { mtu: be32(bytes, 4) },
        kind::V6_TIME_EXCEEDED => IcmpKind::TimeExceeded,
        // RFC 4443 §3.4: an unrecognized next header is what IPv6 has for an unreachable protocol.
        kind::V6_PARAMETER_PROBLEM if bytes[1] == 1 => IcmpKind::ProtocolUnreachable,
        kind::V6_PARAMETER_PROBLEM => IcmpKind::ParameterProblem,
        _ => return None,
    })
}

/// The quoted packet is cut off where it suited the router, so its lengths and checksums say nothing.
fn quoted_v4(bytes: &[u8]) -> Option<Quoted> {
    let header: &[u8; IPV4_HEADER] = bytes.first_chunk()?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let is_first = be16(header, 6) & 0x1fff == 0;
    if header[0] >> 4 != 4 || header_len < IPV4_HEADER || !is_first {
        return None;
    }
    let [_, _, _, _, _, _, _, _, _, protocol, _, _, addresses @ ..] = *header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    quoted(
        IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol,
        bytes.get(header_len..)?,
    )
}

fn quoted_v6(bytes: &[u8]) -> Option<Quoted> {
    let header: &[u8; IPV6_HEADER] = bytes.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let mut chain = Chain { protocol: header[6], at: IPV6_HEADER, next_header_at: 6 };
    chain = extension::skip(bytes, chain).ok()?;
    if chain.protocol == protocol::FRAGMENT {
        let fragment = bytes.get(chain.at..chain.at + FRAGMENT_HEADER)?;
        if be16(fragment, 2) & 0xfff8 != 0 {
            return None;
        }
        let behind =
            Chain { protocol: fragment[0], at: chain.at + FRAGMENT_HEADER, next_header_at: chain.at };
        chain = extension::skip(bytes, behind).ok()?;
    }
    let (src, dst) = header[8..].split_first_chunk::<16>()?;
    quoted(
        IpAddr::V6(Ipv6Addr::from(*src)),
        IpAddr::V6(Ipv6Addr::from(*dst.first_chunk::<16>()?)),
        chain.protocol,
        bytes.get(chain.at..)?,
    )
}

fn quoted(src: IpAddr, dst: IpAddr, protocol: u8, upper: &[u8]) -> Option<Quoted> {
    // RFC 792: at least 8 bytes are quoted.
    if upper.len() < 8 || !matches!(protocol, protocol::TCP | protocol::UDP) {
        return None;
    }
    let seq = (protocol == protocol::TCP).then(|| be32(upper, 4));
    Some(Quoted { src, dst, protocol, src_port: be16(upper, 0), dst_port: be16(upper, 2), seq })
}

#[cfg(test)]
mod tests {
    use super::IcmpKind::*;
    use super::*;
    use crate::wire::testing::*;

    /// The error that a message of this type and code is, about a UDP datagram.
    fn error(v4: bool, kind: u8, code: u8, word: u32) -> Option<(IcmpKind, Option<Quoted>)> {
        let quote = ip(v4, protocol::UDP, &udp_datagram(b"abc"));
        match parse(&icmp_message(kind, code, word, &quote), v4) {
            IcmpMessage::Error(error) => Some((error.kind, error.quoted)),
            _ => None,
        }
    }

    fn quoted(v4: bool, quote: &[u8]) -> Option<Quoted> {
        let kind = if v4 { kind::V4_UNREACHABLE } else { kind::V6_UNREACHABLE };
        match parse(&icmp_message(kind, 0, 0, quote), v4) {
            IcmpMessage::Error(error) => error.quoted,
            message => panic!("{message:?}"),
        }
    }

    #[test]
    fn kinds() {
        let cases = [
            (true, 3, 0, 0, NetUnreachable),
            (true, 3, 1, 0, HostUnreachable),
            (true, 3, 2, 0, ProtocolUnreachable),
            (true, 3, 3, 0, PortUnreachable),
            (true, 3, 4, 1400, PacketTooBig { mtu: 1400 }),
            (true, 3, 4, 0, PacketTooBig { mtu: 0 }),
            (true, 3, 4, 0xffff_0044, PacketTooBig { mtu: 68 }),
            (true, 3, 5, 0, HostUnreachable),
            (true, 3, 6, 0, NetUnreachable),
            (true, 3, 7, 0, HostUnreachable),
            (true, 3, 9, 0, AdminProhibited),
            (true, 3, 11, 0, NetUnreachable),
            (true, 3, 12, 0, HostUnreachable),
            (true, 3, 13, 0, AdminProhibited),
            (true, 3, 15, 0, AdminProhibited),
            (true, 3, 16, 0, Other),
            (true, 4, 0, 0, SourceQuench),
            (true, 11, 0, 0, TimeExceeded),
            (true, 11, 1, 0, TimeExceeded),
            (true, 12, 0, 0, ParameterProblem),
            (false, 1, 0, 0, NetUnreachable),
            (false, 1, 1, 0, AdminProhibited),
            (false, 1, 2, 0, HostUnreachable),
            (false, 1, 3, 0, HostUnreachable),
            (false, 1, 4, 0, PortUnreachable),
            (false, 1, 5, 0, AdminProhibited),
            (false, 1, 6, 0, AdminProhibited),
            (false, 1, 7, 0, Other),
            (false, 2, 0, 1280, PacketTooBig { mtu: 1280 }),
            (false, 2, 0, u32::MAX, PacketTooBig { mtu: u32::MAX }),
            (false, 3, 0, 0, TimeExceeded),
            (false, 4, 0, 6, ParameterProblem),
            (false, 4, 1, 6, ProtocolUnreachable),
        ];
        for (v4, kind, code, word, expected) in cases {
            let (found, quoted) = error(v4, kind, code, word).unwrap();
            assert_eq!(found, expected, "IPv4 {v4}, type {kind}, code {code}");
            let expected = Quoted {
                src: src(v4),
                dst: dst(v4),
                protocol: protocol::UDP,
                src_port: 1000,
                dst_port: 53,
                seq: None,
            };
            assert_eq!(quoted, Some(expected), "IPv4 {v4}, type {kind}, code {code}");
        }
        for (v4, kind) in [(true, 0), (true, 5), (true, 8), (true, 13), (false, 0), (false, 5), (false, 137)]
        {
            assert_eq!(error(v4, kind, 0, 0), None, "IPv4 {v4}, type {kind}");
        }
    }

    #[test]
    fn what_a_user_is_told() {
        let cases = [
            (PortUnreachable, Some(io::ErrorKind::ConnectionRefused)),
            (ProtocolUnreachable, Some(io::ErrorKind::ConnectionRefused)),
            (NetUnreachable, Some(io::ErrorKind::NetworkUnreachable)),
            (HostUnreachable, Some(io::ErrorKind::HostUnreachable)),
            (TimeExceeded, Some(io::ErrorKind::HostUnreachable)),
            (AdminProhibited, Some(io::ErrorKind::HostUnreachable)),
            (PacketTooBig { mtu: 1280 }, None),
            (ParameterProblem, None),
            (SourceQuench, None),
            (Other, None),
        ];
        for (kind, expected) in cases {
            assert_eq!(kind.io_kind(), expected, "{kind:?}");
        }
    }

    #[test]
    fn quotes() {
        for v4 in [true, false] {
            let header_len = if v4 { IPV4_HEADER } else { IPV6_HEADER };
            let tcp = ip(v4, protocol::TCP, &tcp_segment(0x10, &[], &[0; 900]));
            let whole = quoted(v4, &tcp).unwrap();
            assert_eq!((whole.src, whole.dst, whole.protocol), (src(v4), dst(v4), protocol::TCP));
            assert_eq!((whole.src_port, whole.dst_port, whole.seq), (1000, 80, Some(0x0102_0304)));
            for len in 0..tcp.len() {
                let expected = (len >= header_len + 8).then_some(whole);
                assert_eq!(quoted(v4, &tcp[..len]), expected, "IPv4 {v4}, {len} bytes");
            }
            let cases: [(&str, Vec<u8>, bool); 4] = [
                ("another protocol", ip(v4, 132, &[0; 20]), false),
                ("ICMP", ip(v4, protocol::ICMP, &icmp_message(8, 0, 0, &[])), false),
                ("the other family", ip(!v4, protocol::UDP, &udp_datagram(&[])), false),
                ("wrong checksums", damage(tcp.clone(), |p| p[header_len + 16] ^= 1), true),
            ];
            for (name, quote, is_told) in cases {
                assert_eq!(quoted(v4, &quote).is_some(), is_told, "{name}");
            }
        }
    }

    #[test]
    fn quotes_with_more_headers() {
        let tcp = tcp_segment(0x10, &[], &[]);
        let placed = |placement: u16| {
            damage(ip(true, protocol::TCP, &tcp), |p| p[6..8].copy_from_slice(&placement.to_be_bytes()))
        };
        let with = |first, headers: &[u8]| extended(first, headers, protocol::TCP, &tcp);
        let first = fragment_header(protocol::TCP, 0, true, 1);
        let second = fragment_header(protocol::TCP, 8, true, 1);
        let padding = [protocol::TCP, 0, 1, 4, 0, 0, 0, 0];
        let cases = [
            ("first fragment", true, placed(0x2000), true),
            ("second fragment", true, placed(0x2003), false),
            (
                "options",
                true,
                edit(placed(0), |p| {
                    p[0] += 1;
                    p.splice(20..20, [1; 4]);
                }),
                true,
            ),
            ("IHL 4", true, damage(placed(0), |p| p[0] = 0x44), false),
            ("IHL past the end", true, damage(placed(0), |p| p[0] = 0x4f), false),
            ("first fragment", false, with(protocol::FRAGMENT, &first), true),
            ("second fragment", false, with(protocol::FRAGMENT, &second), false),
            ("options", false, with(protocol::DESTINATION_OPTIONS, &padding), true),
            ("cut options", false, with(protocol::DESTINATION_OPTIONS, &padding)[..44].to_vec(), false),
            ("cut fragment header", false, with(protocol::FRAGMENT, &first)[..44].to_vec(), false),
        ];
        for (name, v4, quote, is_told) in cases {
            let found = quoted(v4, &quote);
            assert_eq!(found.map(|quoted| quoted.dst_port), is_told.then_some(80), "{name}, IPv4 {v4}");
        }
    }
}
