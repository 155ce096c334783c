//! Packets of our own making, with their checksums: UDP and ICMP. TCP segments are in [`bare`](super::bare).
//!
//! All come whole, in a buffer of [`uis_vnic::buffer`]; what is longer than an MTU is for
//! [`split`](crate::fragment::split) to cut. The headers are etherparse's.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv6Header, TransportHeader,
    UdpHeader, icmpv4, icmpv6,
};
use uis_vnic::buffer;

use super::{
    Body, ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, IcmpMessage, Packet, TcpFields, TcpSegment, UDP_HEADER,
    checksum, flags, icmp, protocol, tcp,
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

/// A UDP datagram.
///
/// # Panics
///
/// If the families differ, or the payload does not fit one packet: 65,507 bytes do over IPv4, 65,527 over IPv6.
pub(crate) fn udp(fields: &UdpFields, payload: &[u8]) -> Vec<u8> {
    let ip = Ip {
        src: fields.src.ip(),
        dst: fields.dst.ip(),
        protocol: IpNumber::UDP,
        hop_limit: fields.hop_limit,
        ecn: fields.ecn,
        ident: fields.ident,
        dont_fragment: fields.dont_fragment,
    };
    let header = UdpHeader {
        source_port: fields.src.port(),
        destination_port: fields.dst.port(),
        length: (UDP_HEADER + payload.len()) as u16, // `packet` sees to it that it fits
        checksum: 0,
    };
    ip.packet(TransportHeader::Udp(header), payload)
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
    let (header, data) = bytes.split_first_chunk::<ICMP_HEADER>()?;
    // The code comes back with the rest.
    let [_, code_u8, _, _, bytes5to8 @ ..] = *header;
    let header = icmp_header(
        request.dst.is_ipv4(),
        Icmpv4Type::Unknown { type_u8: icmpv4::TYPE_ECHO_REPLY, code_u8, bytes5to8 },
        Icmpv6Type::Unknown { type_u8: icmpv6::TYPE_ECHO_REPLY, code_u8, bytes5to8 },
    );
    Some(Ip::reply_to(request, hop_limit, ident).packet(header, data))
}

/// "Port unreachable", for a datagram to a port where nobody listens; `None` where no error may be sent.
pub(crate) fn icmp_unreachable_port(offending: &Packet<'_>, hop_limit: u8, ident: u16) -> Option<Vec<u8>> {
    let v4 = Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port);
    let v6 = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port);
    icmp_error(offending, v4, v6, hop_limit, ident)
}

/// "Fragment reassembly time exceeded", about the first fragment of a datagram; `None` where no error may be sent.
pub(crate) fn icmp_time_exceeded_reassembly(
    first: &Packet<'_>,
    hop_limit: u8,
    ident: u16,
) -> Option<Vec<u8>> {
    let v4 = Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::FragmentReassemblyTimeExceeded);
    let v6 = Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::FragmentReassemblyTimeExceeded);
    icmp_error(first, v4, v6, hop_limit, ident)
}

/// An error of the given type for each family, quoting as much as fits.
fn icmp_error(
    offending: &Packet<'_>,
    v4: Icmpv4Type,
    v6: Icmpv6Type,
    hop_limit: u8,
    ident: u16,
) -> Option<Vec<u8>> {
    if !may_be_answered_with_an_error(offending) {
        return None;
    }
    let is_v4 = offending.dst.is_ipv4();
    let most = if is_v4 {
        MAX_ERROR_V4 - IPV4_HEADER - ICMP_HEADER
    } else {
        MAX_ERROR_V6 - IPV6_HEADER - ICMP_HEADER
    };
    let quoted = &offending.bytes[..offending.bytes.len().min(most)];
    Some(Ip::reply_to(offending, hop_limit, ident).packet(icmp_header(is_v4, v4, v6), quoted))
}

fn icmp_header(is_v4: bool, v4: Icmpv4Type, v6: Icmpv6Type) -> TransportHeader {
    if is_v4 {
        TransportHeader::Icmpv4(Icmpv4Header::new(v4))
    } else {
        TransportHeader::Icmpv6(Icmpv6Header::new(v6))
    }
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
    protocol: IpNumber,
    hop_limit: u8,
    ecn: u8,
    ident: u16,
    dont_fragment: bool,
}

impl Ip {
    /// The header of an ICMP message to whoever sent `packet`.
    fn reply_to(packet: &Packet<'_>, hop_limit: u8, ident: u16) -> Self {
        let protocol = if packet.dst.is_ipv4() { IpNumber::ICMP } else { IpNumber::IPV6_ICMP };
        Self { src: packet.dst, dst: packet.src, protocol, hop_limit, ecn: 0, ident, dont_fragment: false }
    }

    /// A whole packet.
    fn packet(&self, mut upper: TransportHeader, payload: &[u8]) -> Vec<u8> {
        const FITS: &str = "an IP packet has at most 65,535 bytes";
        const WRITTEN: &str = "a Vec takes what is written to it";
        let ip_header = if self.src.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let len = upper.header_len() + payload.len();
        let mut packet = buffer::take(ip_header + len);
        packet.clear();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut ip = Ipv4Header {
                    ecn: (self.ecn & 3).try_into().expect("two bits"),
                    identification: self.ident,
                    dont_fragment: self.dont_fragment,
                    time_to_live: self.hop_limit,
                    protocol: self.protocol,
                    source: src.octets(),
                    destination: dst.octets(),
                    ..Default::default()
                };
                ip.set_payload_len(len).expect(FITS);
                match &mut upper {
                    TransportHeader::Udp(header) => seal(header, &[ip.source, ip.destination], payload),
                    _ => upper.update_checksum_ipv4(&ip, payload).expect(FITS),
                }
                ip.write(&mut packet).expect(WRITTEN);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let mut ip = Ipv6Header {
                    traffic_class: self.ecn & 3,
                    next_header: self.protocol,
                    hop_limit: self.hop_limit,
                    source: src.octets(),
                    destination: dst.octets(),
                    ..Default::default()
                };
                ip.set_payload_length(len).expect(FITS);
                match &mut upper {
                    TransportHeader::Udp(header) => seal(header, &[ip.source, ip.destination], payload),
                    _ => upper.update_checksum_ipv6(&ip, payload).expect(FITS),
                }
                ip.write(&mut packet).expect(WRITTEN);
            }
            (src, dst) => panic!("{src} and {dst} must be of one family"),
        }
        upper.write(&mut packet).expect(WRITTEN);
        packet.extend_from_slice(payload);
        packet
    }
}

/// Datagrams are all there is to this stack's UDP, so theirs is the sum that is vectorised; etherparse's takes several
/// times as long for a full packet.
fn seal<const N: usize>(header: &mut UdpHeader, addresses: &[[u8; N]; 2], payload: &[u8]) {
    header.checksum = checksum::of_udp(addresses.as_flattened(), &header.to_bytes(), payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{
        self, damage, edit, extended, fragment_header, icmp_message, ip, tcp_segment,
    };
    use crate::wire::{be16, be32, parse};

    fn src(v4: bool) -> SocketAddr {
        SocketAddr::new(testing::src(v4), 1000)
    }

    fn dst(v4: bool) -> SocketAddr {
        SocketAddr::new(testing::dst(v4), 53)
    }

    #[test]
    fn a_datagram_byte_by_byte() {
        let build = |v4| {
            let fields = UdpFields {
                src: src(v4),
                dst: dst(v4),
                hop_limit: 7,
                ecn: 2,
                ident: 0xabcd,
                dont_fragment: false,
            };
            udp(&fields, b"abc")
        };
        let v4 = [
            0x45, 0x02, 0x00, 0x1f, 0xab, 0xcd, 0x00, 0x00, 0x07, 0x11, 0x3b, 0xfc, // IPv4
            192, 0, 2, 1, 10, 0, 0, 2, // 192.0.2.1 to 10.0.0.2
            0x03, 0xe8, 0x00, 0x35, 0x00, 0x0b, 0x6b, 0x55, b'a', b'b', b'c',
        ];
        assert_eq!(build(true), v4);
        let v6 = [
            0x60, 0x20, 0x00, 0x00, 0x00, 0x0b, 0x11, 0x07, // IPv6
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // 2001:db8::1
            0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // to fd00::2
            0x03, 0xe8, 0x00, 0x35, 0x00, 0x0b, 0x0c, 0x9c, b'a', b'b', b'c',
        ];
        assert_eq!(build(false), v6);
    }

    #[test]
    fn a_segment_byte_by_byte() {
        let build = |v4| {
            let fields = TcpFields {
                src: src(v4),
                dst: dst(v4),
                seq: 0xfedc_ba98,
                ack: Some(5),
                flags: flags::SYN,
                window: 0x1234,
                hop_limit: 64,
            };
            tcp(&fields, &[])
        };
        let v4 = [
            0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x6e, 0xcd, // IPv4
            192, 0, 2, 1, 10, 0, 0, 2, // 192.0.2.1 to 10.0.0.2
            0x03, 0xe8, 0x00, 0x35, 0xfe, 0xdc, 0xba, 0x98, 0, 0, 0, 5, // ports, numbers
            0x50, 0x12, 0x12, 0x34, 0x14, 0x04, 0x00, 0x00,
        ];
        assert_eq!(build(true), v4);
        let v6 = [
            0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40, // IPv6
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // 2001:db8::1
            0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // to fd00::2
            0x03, 0xe8, 0x00, 0x35, 0xfe, 0xdc, 0xba, 0x98, 0, 0, 0, 5, // ports, numbers
            0x50, 0x12, 0x12, 0x34, 0xb5, 0x4a, 0x00, 0x00,
        ];
        assert_eq!(build(false), v6);
    }

    #[test]
    fn datagrams() {
        for v4 in [true, false] {
            let most = if v4 { 65_507 } else { 65_527 };
            for (len, ecn, dont_fragment) in
                [(0, 0, false), (1, 1, true), (1400, 2, false), (9001, 3, true), (most, 0, false)]
            {
                let payload = testing::Rng(len as u64).bytes(len);
                let fields =
                    UdpFields { src: src(v4), dst: dst(v4), hop_limit: 7, ecn, ident: 0xabcd, dont_fragment };
                let packet = udp(&fields, &payload);
                let by_hand = edit(ip(v4, protocol::UDP, &testing::udp_datagram(&payload)), |p| {
                    if v4 {
                        (p[1], p[8]) = (ecn, 7);
                        p[4..8].copy_from_slice(&[0xab, 0xcd, if dont_fragment { 0x40 } else { 0 }, 0]);
                    } else {
                        (p[1], p[7]) = (ecn << 4, 7);
                    }
                });
                assert!(packet == by_hand, "IPv4 {v4}, {len} bytes");

                let Ok(Packet { body: Body::Udp(datagram), ecn: found, .. }) = parse(&packet, false) else {
                    panic!()
                };
                assert_eq!((datagram.payload, found), (&payload[..], ecn));
            }
        }
    }

    #[test]
    fn segments() {
        use flags::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};
        for v4 in [true, false] {
            let at = if v4 { 20 } else { 40 };
            for (set, ack, payload) in [
                (SYN, None, &b""[..]),
                (SYN, Some(5), b""),
                (PSH, Some(u32::MAX), b"hello"),
                (FIN, Some(0), b"!"),
                (RST, None, b""),
                (URG | ECE | CWR, Some(1), b"?"),
            ] {
                let fields = TcpFields {
                    src: src(v4),
                    dst: dst(v4),
                    seq: 0xfedc_ba98,
                    ack,
                    // ACK is not taken from here.
                    flags: set | if ack.is_none() { ACK } else { 0 },
                    window: 0x1234,
                    hop_limit: 33,
                };
                let packet = tcp(&fields, payload);
                let flags = set | if ack.is_some() { ACK } else { 0 };
                let by_hand = edit(ip(v4, protocol::TCP, &tcp_segment(flags, &[], payload)), |p| {
                    if v4 {
                        p[4..9].copy_from_slice(&[0, 0, 0x40, 0, 33]);
                    } else {
                        p[7] = 33;
                    }
                    p[at + 2..at + 4].copy_from_slice(&53u16.to_be_bytes());
                    p[at + 4..at + 8].copy_from_slice(&0xfedc_ba98u32.to_be_bytes());
                    p[at + 8..at + 12].copy_from_slice(&ack.unwrap_or(0).to_be_bytes());
                    p[at + 14..at + 16].copy_from_slice(&0x1234u16.to_be_bytes());
                });
                assert_eq!(packet, by_hand, "IPv4 {v4}, flags {set:#x}");
                assert!(parse(&packet, false).is_ok());
            }
        }
    }

    #[test]
    fn what_does_not_fit_one_packet() {
        for (v4, most) in [(true, 65_507), (false, 65_527)] {
            let fields = UdpFields {
                src: src(v4),
                dst: dst(v4),
                hop_limit: 1,
                ecn: 0,
                ident: 0,
                dont_fragment: false,
            };
            assert_eq!(udp(&fields, &vec![0; most]).len(), most + if v4 { 28 } else { 48 });
            assert!(std::panic::catch_unwind(|| udp(&fields, &vec![0; most + 1])).is_err(), "IPv4 {v4}");
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
