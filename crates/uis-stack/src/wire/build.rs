//! Packets of our own making, with their checksums: UDP, bare TCP segments, and ICMP.
//!
//! All come whole, in a buffer of [`uis_vnic::buffer`]; what is longer than an MTU is for
//! [`split`](crate::fragment::split) to cut.

use std::net::{IpAddr, SocketAddr};

use uis_vnic::buffer;

use super::icmp::{self, kind};
use super::{
    Body, ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, IcmpMessage, Packet, TCP_HEADER, TcpSegment, UDP_HEADER,
    checksum, flags, protocol,
};

/// An ICMP error is at most this long, so that no path is too narrow for it (RFC 1812 §4.3.2.3).
const MAX_ERROR_V4: usize = 576;
/// The same for ICMPv6 (RFC 4443 §2.4).
const MAX_ERROR_V6: usize = 1280;

/// The header fields of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpFields {
    pub(crate) src: SocketAddr,
    /// Of the same family as `src`.
    pub(crate) dst: SocketAddr,
    pub(crate) hop_limit: u8,
    /// The two ECN bits.
    pub(crate) ecn: u8,
    /// The identification of an IPv4 packet; IPv6 has none until it is split.
    pub(crate) ident: u16,
    /// For IPv4. An IPv6 packet is never fragmented on its way anyhow.
    pub(crate) dont_fragment: bool,
}

/// The header fields of a TCP segment without options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpFields {
    pub(crate) src: SocketAddr,
    /// Of the same family as `src`.
    pub(crate) dst: SocketAddr,
    pub(crate) seq: u32,
    /// `None` is a segment without an acknowledgement.
    pub(crate) ack: Option<u32>,
    /// Bits of [`flags`]; ACK goes by `ack`.
    pub(crate) flags: u8,
    /// As it is in the header, scaled already.
    pub(crate) window: u16,
    pub(crate) hop_limit: u8,
    /// The identification of an IPv4 packet. It is never fragmented, so any number will do (RFC 6864 §4.1).
    pub(crate) ident: u16,
}

/// A UDP datagram.
///
/// # Panics
///
/// If the families differ, or the payload does not fit one packet: 65,507 bytes do over IPv4, 65,527 over IPv6.
pub(crate) fn udp(fields: &UdpFields, payload: &[u8]) -> Vec<u8> {
    let ip = Ip {
        src: fields.src.ip(),
        dst: fields.dst.ip(),
        protocol: protocol::UDP,
        hop_limit: fields.hop_limit,
        ecn: fields.ecn,
        ident: fields.ident,
        dont_fragment: fields.dont_fragment,
    };
    ip.packet(UDP_HEADER + payload.len(), 6, |datagram| {
        let len = datagram.len() as u16; // `packet` has seen to it that it fits
        datagram[0..2].copy_from_slice(&fields.src.port().to_be_bytes());
        datagram[2..4].copy_from_slice(&fields.dst.port().to_be_bytes());
        datagram[4..6].copy_from_slice(&len.to_be_bytes());
        datagram[UDP_HEADER..].copy_from_slice(payload);
    })
}

/// A TCP segment without options.
///
/// # Panics
///
/// If the families differ, or the payload does not fit one packet.
pub(crate) fn tcp(fields: &TcpFields, payload: &[u8]) -> Vec<u8> {
    let ip = Ip {
        src: fields.src.ip(),
        dst: fields.dst.ip(),
        protocol: protocol::TCP,
        hop_limit: fields.hop_limit,
        ecn: 0,
        ident: fields.ident,
        dont_fragment: true,
    };
    ip.packet(TCP_HEADER + payload.len(), 16, |segment| {
        segment[0..2].copy_from_slice(&fields.src.port().to_be_bytes());
        segment[2..4].copy_from_slice(&fields.dst.port().to_be_bytes());
        segment[4..8].copy_from_slice(&fields.seq.to_be_bytes());
        segment[8..12].copy_from_slice(&fields.ack.unwrap_or(0).to_be_bytes());
        segment[12] = (TCP_HEADER as u8 / 4) << 4;
        segment[13] = fields.flags & !flags::ACK | if fields.ack.is_some() { flags::ACK } else { 0 };
        segment[14..16].copy_from_slice(&fields.window.to_be_bytes());
        segment[18..20].fill(0); // urgent pointer
        segment[TCP_HEADER..].copy_from_slice(payload);
    })
}

/// The reset that answers a segment for which there is no connection (RFC 9293 §3.10.7.1), or `None` if that is a
/// reset itself.
pub(crate) fn rst_for(packet: &Packet<'_>, segment: &TcpSegment<'_>, hop_limit: u8) -> Option<Vec<u8>> {
    if segment.has(flags::RST) {
        return None;
    }
    let (seq, ack) = if segment.has(flags::ACK) {
        (segment.ack, None)
    } else {
        (0, Some(segment.seq.wrapping_add(segment.seq_len())))
    };
    let fields = TcpFields {
        src: SocketAddr::new(packet.dst, segment.dst_port),
        dst: SocketAddr::new(packet.src, segment.src_port),
        seq,
        ack,
        flags: flags::RST,
        window: 0,
        hop_limit,
        ident: 0,
    };
    Some(tcp(&fields, &[]))
}

/// The answer to an echo request, with what was asked to be echoed; `None` if `request` is none, or was not sent to
/// one host alone.
pub(crate) fn echo_reply(request: &Packet<'_>, hop_limit: u8, ident: u16) -> Option<Vec<u8>> {
    let Body::Icmp(IcmpMessage::EchoRequest { bytes }) = request.body else {
        return None;
    };
    if !is_unicast(request.dst) {
        return None;
    }
    let kind = if request.dst.is_ipv4() { kind::V4_ECHO_REPLY } else { kind::V6_ECHO_REPLY };
    let ip = Ip::reply_to(request, hop_limit, ident);
    Some(ip.packet(bytes.len(), 2, |message| {
        message.copy_from_slice(bytes);
        message[0] = kind;
    }))
}

/// "Port unreachable", for a datagram to a port where nobody listens; `None` where no error may be sent.
pub(crate) fn icmp_unreachable_port(offending: &Packet<'_>, hop_limit: u8, ident: u16) -> Option<Vec<u8>> {
    icmp_error(offending, (kind::V4_UNREACHABLE, 3), (kind::V6_UNREACHABLE, 4), hop_limit, ident)
}

/// "Fragment reassembly time exceeded", about the first fragment of a datagram; `None` where no error may be sent.
pub(crate) fn icmp_time_exceeded_reassembly(
    first: &Packet<'_>,
    hop_limit: u8,
    ident: u16,
) -> Option<Vec<u8>> {
    icmp_error(first, (kind::V4_TIME_EXCEEDED, 1), (kind::V6_TIME_EXCEEDED, 1), hop_limit, ident)
}

/// An error of the given type and code for each family, quoting as much as fits.
fn icmp_error(
    offending: &Packet<'_>,
    v4: (u8, u8),
    v6: (u8, u8),
    hop_limit: u8,
    ident: u16,
) -> Option<Vec<u8>> {
    if !may_be_answered_with_an_error(offending) {
        return None;
    }
    let ((kind, code), most) = if offending.dst.is_ipv4() {
        (v4, MAX_ERROR_V4 - IPV4_HEADER - ICMP_HEADER)
    } else {
        (v6, MAX_ERROR_V6 - IPV6_HEADER - ICMP_HEADER)
    };
    let quoted = &offending.bytes[..offending.bytes.len().min(most)];
    let ip = Ip::reply_to(offending, hop_limit, ident);
    Some(ip.packet(ICMP_HEADER + quoted.len(), 2, |message| {
        message[..ICMP_HEADER].fill(0);
        message[0] = kind;
        message[1] = code;
        message[ICMP_HEADER..].copy_from_slice(quoted);
    }))
}

/// RFC 1122 §3.2.2 and RFC 4443 §2.4: not about an ICMP error, a fragment other than the first, or what was sent to
/// more than one host. The source was checked when the packet was read.
fn may_be_answered_with_an_error(offending: &Packet<'_>) -> bool {
    let v4 = offending.dst.is_ipv4();
    let icmp = if v4 { protocol::ICMP } else { protocol::ICMPV6 };
    is_unicast(offending.dst)
        && match &offending.body {
            Body::Tcp(_) | Body::Udp(_) | Body::Other => true,
            Body::Icmp(message) => {
                matches!(message, IcmpMessage::EchoRequest { .. } | IcmpMessage::EchoReply)
            }
            Body::Fragment(fragment) => {
                let is_icmp_error = fragment.protocol == icmp
                    && fragment.payload.first().is_none_or(|&kind| icmp::is_error(v4, kind));
                fragment.offset == 0 && !is_icmp_error
            }
        }
}

fn is_unicast(addr: IpAddr) -> bool {
    match addr {
        // Multicast, reserved and broadcast are all from 224 up.
        IpAddr::V4(addr) => !matches!(addr.octets()[0], 0 | 224..),
        IpAddr::V6(addr) => !addr.is_multicast() && !addr.is_unspecified(),
    }
}

/// The fields of an IP header of either family.
struct Ip {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    hop_limit: u8,
    ecn: u8,
    ident: u16,
    dont_fragment: bool,
}

impl Ip {
    /// The header of an ICMP message to whoever sent `packet`.
    fn reply_to(packet: &Packet<'_>, hop_limit: u8, ident: u16) -> Self {
        let protocol = if packet.dst.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
        Self { src: packet.dst, dst: packet.src, protocol, hop_limit, ecn: 0, ident, dont_fragment: false }
    }

    /// A packet with `len` bytes behind the header, which `write` writes, all of them but the checksum at
    /// `checksum_at`.
    fn packet(&self, len: usize, checksum_at: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let header_len = if self.src.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let mut packet = buffer::take(header_len + len);
        let (header, upper) = packet.split_at_mut(header_len);
        let addresses = self.write(header, len);
        write(upper);
        if self.protocol == protocol::ICMP {
            checksum::fill(upper, checksum_at);
        } else {
            checksum::fill_transport(addresses, self.protocol, upper, checksum_at);
        }
        packet
    }

    /// Writes the whole header, and says where in it the addresses are.
    fn write<'h>(&self, header: &'h mut [u8], len: usize) -> &'h [u8] {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total =
                    u16::try_from(IPV4_HEADER + len).expect("an IPv4 packet has at most 65,535 bytes");
                header[0] = 0x45;
                header[1] = self.ecn & 3;
                header[2..4].copy_from_slice(&total.to_be_bytes());
                header[4..6].copy_from_slice(&self.ident.to_be_bytes());
                header[6] = if self.dont_fragment { 0x40 } else { 0 };
                header[7] = 0;
                header[8] = self.hop_limit;
                header[9] = self.protocol;
                header[12..16].copy_from_slice(&src.octets());
                header[16..20].copy_from_slice(&dst.octets());
                checksum::fill(header, 10);
                &header[12..20]
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let len =
                    u16::try_from(len).expect("an IPv6 packet has at most 65,535 bytes behind its header");
                header[0] = 0x60;
                header[1] = (self.ecn & 3) << 4;
                header[2..4].fill(0);
                header[4..6].copy_from_slice(&len.to_be_bytes());
                header[6] = self.protocol;
                header[7] = self.hop_limit;
                header[8..24].copy_from_slice(&src.octets());
                header[24..40].copy_from_slice(&dst.octets());
                &header[8..40]
            }
            (src, dst) => panic!("{src} and {dst} must be of one family"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{
        self, damage, edit, extended, fragment_header, icmp_message, ip, tcp_segment,
    };
    use crate::wire::{be16, be32, parse};

    use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

    /// The same header by etherparse, with `len` bytes behind it.
    fn oracle(ip: &Ip, len: usize) -> IpHeaders {
        let hop_limit = ip.hop_limit;
        match (ip.src, ip.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let protocol = IpNumber(ip.protocol);
                let mut header =
                    Ipv4Header::new(len as u16, hop_limit, protocol, src.octets(), dst.octets()).unwrap();
                header.identification = ip.ident;
                header.dont_fragment = ip.dont_fragment;
                header.ecn = ip.ecn.try_into().unwrap();
                IpHeaders::Ipv4(header, Default::default())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let header = Ipv6Header {
                    traffic_class: ip.ecn,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: len as u16,
                    next_header: IpNumber(ip.protocol),
                    hop_limit,
                    source: src.octets(),
                    destination: dst.octets(),
                };
                IpHeaders::Ipv6(header, Default::default())
            }
            _ => unreachable!("of one family"),
        }
    }

    fn src(v4: bool) -> SocketAddr {
        SocketAddr::new(testing::src(v4), 1000)
    }

    fn dst(v4: bool) -> SocketAddr {
        SocketAddr::new(testing::dst(v4), 53)
    }

    #[test]
    fn datagrams_are_what_etherparse_builds() {
        for v4 in [true, false] {
            let most = if v4 { 65_507 } else { 65_527 };
            for (len, ecn, dont_fragment) in
                [(0, 0, false), (1, 1, true), (1400, 2, false), (9001, 3, true), (most, 0, false)]
            {
                let payload = testing::Rng(len as u64).bytes(len);
                let fields =
                    UdpFields { src: src(v4), dst: dst(v4), hop_limit: 7, ecn, ident: 0xabcd, dont_fragment };
                let packet = udp(&fields, &payload);
                let header = Ip {
                    src: testing::src(v4),
                    dst: testing::dst(v4),
                    protocol: protocol::UDP,
                    hop_limit: 7,
                    ecn,
                    ident: 0xabcd,
                    dont_fragment,
                };
                let mut expected = Vec::new();
                PacketBuilder::ip(oracle(&header, 8 + len))
                    .udp(1000, 53)
                    .write(&mut expected, &payload)
                    .unwrap();
                assert!(packet == expected, "IPv4 {v4}, {len} bytes");

                let Ok(Packet { body: Body::Udp(datagram), ecn: found, .. }) = parse(&packet, false) else {
                    panic!()
                };
                assert_eq!((datagram.payload, found), (&payload[..], ecn));
            }
        }
    }

    #[test]
    fn segments_are_what_etherparse_builds() {
        for v4 in [true, false] {
            for (set, ack, payload) in [
                (flags::SYN, None, &b""[..]),
                (flags::SYN, Some(5), b""),
                (flags::PSH, Some(u32::MAX), b"hello"),
                (flags::FIN, Some(0), b"!"),
                (flags::RST, None, b""),
            ] {
                let fields = TcpFields {
                    src: src(v4),
                    dst: dst(v4),
                    seq: 0xfedc_ba98,
                    ack,
                    flags: set | flags::ACK,
                    window: 0x1234,
                    hop_limit: 64,
                    ident: 9,
                };
                let packet = tcp(&fields, payload);
                let header = Ip {
                    src: testing::src(v4),
                    dst: testing::dst(v4),
                    protocol: protocol::TCP,
                    hop_limit: 64,
                    ecn: 0,
                    ident: 9,
                    dont_fragment: true,
                };
                let mut builder =
                    PacketBuilder::ip(oracle(&header, 20 + payload.len())).tcp(1000, 53, 0xfedc_ba98, 0x1234);
                builder = match set {
                    flags::SYN => builder.syn(),
                    flags::PSH => builder.psh(),
                    flags::FIN => builder.fin(),
                    _ => builder.rst(),
                };
                if let Some(ack) = ack {
                    builder = builder.ack(ack);
                }
                let mut expected = Vec::new();
                builder.write(&mut expected, payload).unwrap();
                assert_eq!(packet, expected, "IPv4 {v4}, flags {set:#x}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "must be of one family")]
    fn families_do_not_mix() {
        udp(
            &UdpFields {
                src: src(true),
                dst: dst(false),
                hop_limit: 1,
                ecn: 0,
                ident: 0,
                dont_fragment: false,
            },
            &[],
        );
    }

    #[test]
    fn echoes() {
        for v4 in [true, false] {
            let (protocol, request, reply) = if v4 { (1, 8, 0) } else { (58, 128, 129) };
            let at = if v4 { 20 } else { 40 };
            for len in [0, 1, 56, 60_000] {
                let message = icmp_message(request, 0, 0x0102_0304, &testing::Rng(3).bytes(len));
                let asked = ip(v4, protocol, &message);
                let answer = echo_reply(&parse(&asked, false).unwrap(), 33, 44).unwrap();
                let packet = parse(&answer, false).unwrap();
                assert_eq!(
                    (packet.src, packet.dst, packet.hop_limit),
                    (testing::dst(v4), testing::src(v4), 33)
                );
                assert!(matches!(packet.body, Body::Icmp(IcmpMessage::EchoReply)), "{packet:?}");
                let bytes = &answer[at..];
                assert_eq!((bytes[0], &bytes[4..]), (reply, &message[4..]));
                assert!(!v4 || be16(&answer, 4) == 44);
                let again = echo_reply(&packet, 33, 44);
                assert_eq!(again, None, "a reply is not answered");
            }
            let multicast: &[u8] = if v4 { &[224, 0, 0, 1] } else { &[0xff, 2] };
            let to = at - if v4 { 4 } else { 16 };
            let asked = edit(ip(v4, protocol, &icmp_message(request, 0, 0, &[])), |p| {
                p[to..to + multicast.len()].copy_from_slice(multicast)
            });
            assert_eq!(echo_reply(&parse(&asked, false).unwrap(), 33, 44), None);
        }
    }

    #[test]
    fn resets() {
        use flags::{ACK, FIN, PSH, RST, SYN};
        // The segments of the tests carry 3 bytes, sequence number 01020304 and acknowledgement 05060708.
        let cases = [
            (SYN, Some((0, Some(0x0102_0304 + 4)))),
            (SYN | ACK, Some((0x0506_0708, None))),
            (ACK, Some((0x0506_0708, None))),
            (ACK | PSH | FIN, Some((0x0506_0708, None))),
            (RST, None),
            (RST | ACK, None),
        ];
        for v4 in [true, false] {
            for (flags, expected) in cases {
                let bytes = ip(v4, protocol::TCP, &tcp_segment(flags, &[], b"abc"));
                let packet = parse(&bytes, false).unwrap();
                let Body::Tcp(segment) = packet.body else { panic!() };
                let answer = rst_for(&packet, &segment, 64);
                let found = answer.as_deref().map(|answer| {
                    let packet = parse(answer, false).unwrap();
                    assert_eq!((packet.src, packet.dst), (testing::dst(v4), testing::src(v4)));
                    let Body::Tcp(rst) = packet.body else { panic!() };
                    assert_eq!((rst.src_port, rst.dst_port, rst.payload.len()), (80, 1000, 0));
                    assert!(rst.has(RST) && !rst.has(SYN | FIN));
                    (rst.seq, rst.has(ACK).then_some(rst.ack))
                });
                assert_eq!(found, expected, "IPv4 {v4}, flags {flags:#x}");
            }
        }
        let wraps = edit(ip(true, protocol::TCP, &tcp_segment(SYN, &[], b"abc")), |p| p[24..28].fill(0xff));
        let packet = parse(&wraps, false).unwrap();
        let Body::Tcp(segment) = packet.body else { panic!() };
        assert_eq!(be32(&rst_for(&packet, &segment, 64).unwrap(), 28), 3);
    }

    #[test]
    fn errors_quote_what_fits() {
        for (v4, kind, code, most) in [(true, 3, 3, 576), (false, 1, 4, 1280)] {
            let headers = if v4 { 28 } else { 48 };
            for len in [0, 100, 519, 520, 521, 1183, 1184, 1185, 5000] {
                let bytes = ip(v4, protocol::UDP, &testing::udp_datagram(&vec![9; len]));
                let answer = icmp_unreachable_port(&parse(&bytes, false).unwrap(), 64, 1).unwrap();
                assert_eq!(answer.len(), (headers + bytes.len()).min(most));
                assert_eq!(answer[headers - 8..headers - 6], [kind, code]);
                assert_eq!(answer[headers - 4..headers], [0; 4], "the unused word");
                assert_eq!(answer[headers..], bytes[..answer.len() - headers]);
                let packet = parse(&answer, false).unwrap();
                assert_eq!((packet.src, packet.dst), (testing::dst(v4), testing::src(v4)));
                let Body::Icmp(IcmpMessage::Error(error)) = packet.body else { panic!("{packet:?}") };
                assert_eq!(error.kind, icmp::IcmpKind::PortUnreachable);
                assert_eq!(
                    error.quoted.map(|quoted| (quoted.src, quoted.src_port)),
                    Some((testing::src(v4), 1000))
                );
            }
        }
    }

    #[test]
    fn what_is_answered_with_an_error() {
        let echo4 = ip(true, 1, &icmp_message(8, 0, 0, &[]));
        let echo6 = ip(false, 58, &icmp_message(128, 0, 0, &[]));
        let part4 = |placement: u16, protocol, kind| {
            edit(ip(true, protocol, &icmp_message(kind, 0, 0, &[])), |p| {
                p[6..8].copy_from_slice(&placement.to_be_bytes())
            })
        };
        let part6 = |offset, next, kind| {
            extended(44, &fragment_header(next, offset, true, 1), 0, &icmp_message(kind, 0, 0, &[]))
        };
        let udp4 = ip(true, 17, &testing::udp_datagram(&[]));
        let udp6 = ip(false, 17, &testing::udp_datagram(&[]));
        let cases = [
            ("UDP", udp4.clone(), true),
            ("TCP", ip(true, 6, &tcp_segment(flags::ACK, &[], &[])), true),
            ("another protocol", ip(true, 132, &[]), true),
            ("echo request", echo4, true),
            ("unreachable", ip(true, 1, &icmp_message(3, 3, 0, &udp4)), false),
            ("redirect", ip(true, 1, &icmp_message(5, 0, 0, &udp4)), false),
            ("to multicast", edit(udp4.clone(), |p| p[16] = 224), false),
            ("to broadcast", edit(udp4.clone(), |p| p[16..20].fill(255)), false),
            ("first fragment", part4(0x2000, 17, 0), true),
            ("second fragment", part4(0x2001, 17, 0), false),
            ("first fragment of an echo request", part4(0x2000, 1, 8), true),
            ("first fragment of an error", part4(0x2000, 1, 3), false),
            ("UDP", udp6.clone(), true),
            ("echo request", echo6, true),
            ("unreachable", ip(false, 58, &icmp_message(1, 4, 0, &udp6)), false),
            ("unknown error", ip(false, 58, &icmp_message(99, 0, 0, &udp6)), false),
            ("redirect", ip(false, 58, &icmp_message(137, 0, 0, &udp6)), false),
            ("to multicast", edit(udp6.clone(), |p| p[24] = 0xff), false),
            ("first fragment", part6(0, 17, 0), true),
            ("second fragment", part6(8, 17, 0), false),
            ("first fragment of an echo request", part6(0, 58, 128), true),
            ("first fragment of an error", part6(0, 58, 2), false),
        ];
        for (name, bytes, is_answered) in cases {
            let packet = parse(&bytes, true).unwrap();
            let v4 = packet.dst.is_ipv4();
            let answer = icmp_time_exceeded_reassembly(&packet, 64, 1);
            assert_eq!(answer.is_some(), is_answered, "{name}, IPv4 {v4}");
            assert_eq!(icmp_unreachable_port(&packet, 64, 1).is_some(), is_answered, "{name}, IPv4 {v4}");
            if let Some(answer) = answer {
                let at = if v4 { 20 } else { 40 };
                assert_eq!(answer[at..at + 2], [if v4 { 11 } else { 3 }, 1], "{name}, IPv4 {v4}");
                assert!(parse(&answer, false).is_ok());
            }
        }
        // The quote is the packet as it came, padding apart.
        let padded = damage(udp6.clone(), |p| p.extend([1; 20]));
        let answer = icmp_unreachable_port(&parse(&padded, false).unwrap(), 64, 1).unwrap();
        assert_eq!(answer[48..], udp6);
    }
}
