//! ICMP messages of both families (RFC 792, RFC 4443): echoes, and errors with the packet that they are about.

use std::io;
use std::net::IpAddr;

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxIpSlice, icmpv4, icmpv6};

use super::{ICMP_HEADER, be16, be32};

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
    /// No route at the moment, which may change.
    NetUnreachable,
    HostUnreachable,
    /// There is no such network or host.
    NetUnknown,
    HostUnknown,
    ProtocolUnreachable,
    PortUnreachable,
    /// `mtu` is as the message has it: anything, and 0 if the router does not say (RFC 1191 §5).
    PacketTooBig {
        mtu: u32,
    },
    /// A firewall's word, over IPv4: about a network, or about a host.
    NetProhibited,
    HostProhibited,
    /// The same over IPv6.
    AccessDenied,
    /// The hop limit ran out, or fragments were not complete in time.
    TimeExceeded,
    ParameterProblem,
    /// Deprecated, and ignored (RFC 6633).
    SourceQuench,
    /// A code that is not known.
    Other,
}

impl IcmpKind {
    /// What a dial ends with, as on Linux; `None` for what is no reason to give up.
    pub(crate) fn io_kind(self) -> Option<io::ErrorKind> {
        match self {
            Self::ProtocolUnreachable | Self::PortUnreachable => Some(io::ErrorKind::ConnectionRefused),
            Self::NetUnreachable | Self::NetUnknown | Self::NetProhibited => {
                Some(io::ErrorKind::NetworkUnreachable)
            }
            Self::HostUnreachable | Self::HostUnknown | Self::HostProhibited | Self::TimeExceeded => {
                Some(io::ErrorKind::HostUnreachable)
            }
            Self::AccessDenied => Some(io::ErrorKind::PermissionDenied),
            Self::PacketTooBig { .. } | Self::ParameterProblem | Self::SourceQuench | Self::Other => None,
        }
    }

    /// What a connected UDP socket is told, as by Linux without `IP_RECVERR`: what another route or some patience may mend
    /// (RFC 1122 §3.2.2.1: "a hint") is kept from it.
    pub(crate) fn hard_io_kind(self) -> Option<io::ErrorKind> {
        match self {
            Self::NetUnreachable | Self::HostUnreachable | Self::TimeExceeded => None,
            other => other.io_kind(),
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
        (true, icmpv4::TYPE_ECHO_REQUEST) | (false, icmpv6::TYPE_ECHO_REQUEST) => {
            return IcmpMessage::EchoRequest { bytes };
        }
        (true, icmpv4::TYPE_ECHO_REPLY) | (false, icmpv6::TYPE_ECHO_REPLY) => {
            return IcmpMessage::EchoReply;
        }
        (true, _) => error_v4(bytes),
        (false, _) => error_v6(bytes),
    };
    match found {
        Some(kind) => IcmpMessage::Error(IcmpError { kind, quoted: quoted(&bytes[ICMP_HEADER..], v4) }),
        None => IcmpMessage::Other,
    }
}

/// Whether a message of type `kind` is an error, or a redirect, which nothing may answer with an error (RFC 1122
/// §3.2.2, RFC 4443 §2.4).
pub(super) fn is_error(v4: bool, kind: u8) -> bool {
    if v4 {
        matches!(
            kind,
            icmpv4::TYPE_DEST_UNREACH
                | icmpv4::TYPE_SOURCE_QUENCH
                | icmpv4::TYPE_REDIRECT
                | icmpv4::TYPE_TIME_EXCEEDED
                | icmpv4::TYPE_PARAMETER_PROBLEM
        )
    } else {
        // RFC 4443 §2.1: what has the upper bit is information.
        kind < icmpv6::TYPE_ECHO_REQUEST || kind == icmpv6::TYPE_REDIRECT_MESSAGE
    }
}

/// The type says what is wrong also where the code is none that etherparse knows.
fn error_v4(bytes: &[u8]) -> Option<IcmpKind> {
    use icmpv4::DestUnreachableHeader::*;
    Some(match bytes[0] {
        // RFC 1122 §3.2.2.1 lists the codes up to 12, RFC 1812 §5.2.7.1 the rest.
        icmpv4::TYPE_DEST_UNREACH => {
            match icmpv4::DestUnreachableHeader::from_values(bytes[1], be16(bytes, 6)) {
                Some(Network | TosNetwork) => IcmpKind::NetUnreachable,
                Some(NetworkUnknown) => IcmpKind::NetUnknown,
                Some(Host | SourceRouteFailed | TosHost) => IcmpKind::HostUnreachable,
                Some(HostUnknown | Isolated) => IcmpKind::HostUnknown,
                Some(Protocol) => IcmpKind::ProtocolUnreachable,
                Some(Port) => IcmpKind::PortUnreachable,
                Some(FragmentationNeeded { next_hop_mtu }) => {
                    IcmpKind::PacketTooBig { mtu: next_hop_mtu.into() }
                }
                Some(NetworkProhibited) => IcmpKind::NetProhibited,
                Some(HostProhibited | FilterProhibited | HostPrecedenceViolation | PrecedenceCutoff) => {
                    IcmpKind::HostProhibited
                }
                None => IcmpKind::Other,
            }
        }
        icmpv4::TYPE_TIME_EXCEEDED => IcmpKind::TimeExceeded,
        icmpv4::TYPE_PARAMETER_PROBLEM => IcmpKind::ParameterProblem,
        icmpv4::TYPE_SOURCE_QUENCH => IcmpKind::SourceQuench,
        _ => return None,
    })
}

/// As [`error_v4`].
fn error_v6(bytes: &[u8]) -> Option<IcmpKind> {
    use icmpv6::DestUnreachableCode::*;
    Some(match bytes[0] {
        // RFC 4443 §3.1
        icmpv6::TYPE_DST_UNREACH => match icmpv6::DestUnreachableCode::from_u8(bytes[1]) {
            Some(NoRoute) => IcmpKind::NetUnreachable,
            Some(BeyondScope | Address) => IcmpKind::HostUnreachable,
            Some(Port) => IcmpKind::PortUnreachable,
            Some(Prohibited | SourceAddressFailedPolicy | RejectRoute) => IcmpKind::AccessDenied,
            None => IcmpKind::Other,
        },
        icmpv6::TYPE_PACKET_TOO_BIG => IcmpKind::PacketTooBig { mtu: be32(bytes, 4) },
        icmpv6::TYPE_TIME_EXCEEDED => IcmpKind::TimeExceeded,
        // RFC 4443 §3.4: this is what IPv6 has for an unreachable protocol.
        icmpv6::TYPE_PARAMETER_PROBLEM if bytes[1] == icmpv6::CODE_PARAM_PROBLEM_UNRECOG_NEXT_HEADER => {
            IcmpKind::ProtocolUnreachable
        }
        icmpv6::TYPE_PARAMETER_PROBLEM => IcmpKind::ParameterProblem,
        _ => return None,
    })
}

/// The quoted packet is cut off where it suited the router, so it is read laxly.
fn quoted(bytes: &[u8], v4: bool) -> Option<Quoted> {
    // Where the headers do not end well, nobody knows what the payload is. Nor may they be iterated over then: the
    // iterator of etherparse 0.21 relies on every header that it comes to being whole.
    let (ip, None) = LaxIpSlice::from_slice(bytes).ok()? else { return None };
    let is_first = match &ip {
        LaxIpSlice::Ipv4(ip) => v4 && ip.header().fragments_offset().value() == 0,
        LaxIpSlice::Ipv6(ip) => {
            !v4 && ip.extensions().clone().into_iter().all(|header| match header {
                Ipv6ExtensionSlice::Fragment(header) => header.fragment_offset().value() == 0,
                _ => true,
            })
        }
    };
    let upper = ip.payload();
    let is_told = is_first && matches!(upper.ip_number, IpNumber::TCP | IpNumber::UDP);
    // RFC 792: at least 8 bytes are quoted.
    if !is_told || upper.payload.len() < 8 {
        return None;
    }
    Some(Quoted {
        src: ip.source_addr(),
        dst: ip.destination_addr(),
        protocol: upper.ip_number.0,
        src_port: be16(upper.payload, 0),
        dst_port: be16(upper.payload, 2),
        seq: (upper.ip_number == IpNumber::TCP).then(|| be32(upper.payload, 4)),
    })
}

#[cfg(test)]
mod tests {
    use super::IcmpKind::*;
    use super::*;
    use crate::wire::testing::*;
    use crate::wire::{IPV4_HEADER, IPV6_HEADER, protocol};

    /// The error that a message of this type and code is, about a UDP datagram.
    fn error(v4: bool, kind: u8, code: u8, word: u32) -> Option<(IcmpKind, Option<Quoted>)> {
        let quote = ip(v4, protocol::UDP, &udp_datagram(b"abc"));
        match parse(&icmp_message(kind, code, word, &quote), v4) {
            IcmpMessage::Error(error) => Some((error.kind, error.quoted)),
            _ => None,
        }
    }

    fn quoted(v4: bool, quote: &[u8]) -> Option<Quoted> {
        let kind = if v4 { icmpv4::TYPE_DEST_UNREACH } else { icmpv6::TYPE_DST_UNREACH };
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
            (true, 3, 6, 0, NetUnknown),
            (true, 3, 7, 0, HostUnknown),
            (true, 3, 8, 0, HostUnknown),
            (true, 3, 9, 0, NetProhibited),
            (true, 3, 10, 0, HostProhibited),
            (true, 3, 11, 0, NetUnreachable),
            (true, 3, 12, 0, HostUnreachable),
            (true, 3, 13, 0, HostProhibited),
            (true, 3, 14, 0, HostProhibited),
            (true, 3, 15, 0, HostProhibited),
            (true, 3, 16, 0, Other),
            (true, 4, 0, 0, SourceQuench),
            (true, 11, 0, 0, TimeExceeded),
            (true, 11, 1, 0, TimeExceeded),
            (true, 12, 0, 0, ParameterProblem),
            (false, 1, 0, 0, NetUnreachable),
            (false, 1, 1, 0, AccessDenied),
            (false, 1, 2, 0, HostUnreachable),
            (false, 1, 3, 0, HostUnreachable),
            (false, 1, 4, 0, PortUnreachable),
            (false, 1, 5, 0, AccessDenied),
            (false, 1, 6, 0, AccessDenied),
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
        use io::ErrorKind::{ConnectionRefused, NetworkUnreachable, PermissionDenied};
        // What a dial ends with, and whether a UDP socket hears of it: Linux's `icmp_err_convert` and `tab_unreach`.
        let cases = [
            (PortUnreachable, Some(ConnectionRefused), true),
            (ProtocolUnreachable, Some(ConnectionRefused), true),
            (NetUnreachable, Some(NetworkUnreachable), false),
            (HostUnreachable, Some(io::ErrorKind::HostUnreachable), false),
            (NetUnknown, Some(NetworkUnreachable), true),
            (HostUnknown, Some(io::ErrorKind::HostUnreachable), true),
            (TimeExceeded, Some(io::ErrorKind::HostUnreachable), false),
            (NetProhibited, Some(NetworkUnreachable), true),
            (HostProhibited, Some(io::ErrorKind::HostUnreachable), true),
            (AccessDenied, Some(PermissionDenied), true),
            (PacketTooBig { mtu: 1280 }, None, false),
            (ParameterProblem, None, false),
            (SourceQuench, None, false),
            (Other, None, false),
        ];
        for (kind, expected, is_hard) in cases {
            assert_eq!(kind.io_kind(), expected, "{kind:?}");
            assert_eq!(kind.hard_io_kind(), expected.filter(|_| is_hard), "{kind:?}");
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
        let to_auth = [51, 0, 1, 4, 0, 0, 0, 0];
        let to_hop_by_hop = [protocol::HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0];
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
            ("fragment header cut off", false, with(protocol::FRAGMENT, &first)[..40].to_vec(), false),
            (
                "cut behind whole options",
                false,
                with(protocol::DESTINATION_OPTIONS, &to_auth)[..48].to_vec(),
                false,
            ),
            ("odd authentication header", false, with(protocol::DESTINATION_OPTIONS, &to_auth), false),
            ("late hop-by-hop options", false, with(protocol::DESTINATION_OPTIONS, &to_hop_by_hop), false),
            ("cut fragment header", false, with(protocol::FRAGMENT, &first)[..44].to_vec(), false),
        ];
        for (name, v4, quote, is_told) in cases {
            let found = quoted(v4, &quote);
            assert_eq!(found.map(|quoted| quoted.dst_port), is_told.then_some(80), "{name}, IPv4 {v4}");
        }
    }
}
