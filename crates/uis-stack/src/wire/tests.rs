//! What [`parse`] makes of good packets, of bad ones, and of noise.

use super::DiscardReason::*;
use super::tcp::TcpOptions;
use super::testing::*;
use super::*;

use flags::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};

/// A word for what a packet is.
fn describe(packet: &Packet<'_>) -> String {
    match &packet.body {
        Body::Tcp(segment) => format!("tcp {}", segment.payload.len()),
        Body::Udp(datagram) => format!("udp {}", datagram.payload.len()),
        Body::Icmp(IcmpMessage::EchoRequest { .. }) => "echo request".into(),
        Body::Icmp(IcmpMessage::EchoReply) => "echo reply".into(),
        Body::Icmp(IcmpMessage::Error(_)) => "icmp error".into(),
        Body::Icmp(IcmpMessage::Other) => "icmp".into(),
        Body::Fragment(fragment) => {
            format!(
                "fragment {}+{}{}",
                fragment.offset,
                fragment.payload.len(),
                if fragment.more { "…" } else { "" }
            )
        }
        Body::Other => "other".into(),
    }
}

type Case = (&'static str, Vec<u8>, Result<&'static str, DiscardReason>);

fn check(cases: &[Case]) {
    for (name, packet, expected) in cases {
        let found = parse(packet, false).map(|packet| describe(&packet));
        assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text), "{name}");
    }
}

fn tcp4(flags: u8, options: &[u8]) -> Vec<u8> {
    ip(true, protocol::TCP, &tcp_segment(flags, options, b"abc"))
}

fn tcp6(flags: u8, options: &[u8]) -> Vec<u8> {
    ip(false, protocol::TCP, &tcp_segment(flags, options, b"abc"))
}

fn udp4() -> Vec<u8> {
    ip(true, protocol::UDP, &udp_datagram(b"abc"))
}

fn udp6() -> Vec<u8> {
    ip(false, protocol::UDP, &udp_datagram(b"abc"))
}

fn from4(src: [u8; 4]) -> Vec<u8> {
    edit(udp4(), |p| p[12..16].copy_from_slice(&src))
}

fn from6(src: &str) -> Vec<u8> {
    let src: std::net::Ipv6Addr = src.parse().unwrap();
    edit(udp6(), |p| p[8..24].copy_from_slice(&src.octets()))
}

fn to(packet: Vec<u8>, dst: &str) -> Vec<u8> {
    edit(packet, |p| match dst.parse().unwrap() {
        std::net::IpAddr::V4(dst) => p[16..20].copy_from_slice(&dst.octets()),
        std::net::IpAddr::V6(dst) => p[24..40].copy_from_slice(&dst.octets()),
    })
}

/// With these IPv4 options before the segment.
fn options4(options: &[u8]) -> Vec<u8> {
    edit(tcp4(ACK, &[]), |p| {
        p[0] += (options.len() / 4) as u8;
        p.splice(20..20, options.iter().copied());
    })
}

#[test]
fn framing() {
    check(&[
        ("empty", vec![], Err(Malformed)),
        ("version 0", damage(udp4(), |p| p[0] = 0x05), Err(Malformed)),
        ("version 5", damage(udp4(), |p| p[0] = 0x55), Err(Malformed)),
        ("version 15", damage(udp4(), |p| p[0] = 0xf5), Err(Malformed)),
        ("IPv4 cut in its header", damage(udp4(), |p| p.truncate(19)), Err(Malformed)),
        ("IPv6 cut in its header", damage(udp6(), |p| p.truncate(39)), Err(Malformed)),
        ("IHL 4", damage(udp4(), |p| p[0] = 0x44), Err(Malformed)),
        ("IHL past the end", damage(udp4(), |p| p[0] = 0x4f), Err(Malformed)),
        ("IPv4 length past the end", damage(udp4(), |p| p[3] += 1), Err(Malformed)),
        ("IPv4 length short of the header", damage(udp4(), |p| p[3] = 19), Err(Malformed)),
        ("IPv4 length 0", damage(udp4(), |p| p[3] = 0), Err(Malformed)),
        ("IPv6 length past the end", damage(udp6(), |p| p[5] += 1), Err(Malformed)),
        ("IPv4 with padding", damage(udp4(), |p| p.extend([1; 9])), Ok("udp 3")),
        ("IPv6 with padding", damage(udp6(), |p| p.extend([1; 9])), Ok("udp 3")),
        ("IPv4 header alone", edit(udp4(), |p| p.truncate(20)), Err(BadUdpHeader)),
        ("IPv6 header alone", edit(udp6(), |p| p.truncate(40)), Err(BadUdpHeader)),
        ("IPv4 checksum", damage(udp4(), |p| p[10] ^= 1), Err(BadIpChecksum)),
        ("TTL changed on the way", damage(udp4(), |p| p[8] -= 1), Err(BadIpChecksum)),
        ("hop limit changed on the way", damage(udp6(), |p| p[7] -= 1), Ok("udp 3")),
        ("another protocol", ip(true, 132, b"sctp"), Ok("other")),
        ("another next header", ip(false, 132, b"sctp"), Ok("other")),
        ("ICMPv6 in IPv4", ip(true, protocol::ICMPV6, &icmp_message(128, 0, 0, &[])), Ok("other")),
        ("ICMP in IPv6", ip(false, protocol::ICMP, &icmp_message(8, 0, 0, &[])), Ok("other")),
    ]);
}

#[test]
fn sources() {
    check(&[
        ("unspecified", from4([0, 0, 0, 0]), Err(BadSource)),
        ("this network", from4([0, 1, 2, 3]), Err(BadSource)),
        ("loopback", from4([127, 0, 0, 1]), Err(BadSource)),
        ("any loopback", from4([127, 255, 1, 2]), Err(BadSource)),
        ("multicast", from4([224, 0, 0, 1]), Err(BadSource)),
        ("last multicast", from4([239, 255, 255, 255]), Err(BadSource)),
        ("reserved", from4([240, 0, 0, 1]), Err(BadSource)),
        ("broadcast", from4([255, 255, 255, 255]), Err(BadSource)),
        ("private", from4([10, 0, 0, 1]), Ok("udp 3")),
        ("first above loopback", from4([128, 0, 0, 1]), Ok("udp 3")),
        ("last below multicast", from4([223, 255, 255, 255]), Ok("udp 3")),
        ("unspecified", from6("::"), Err(BadSource)),
        ("loopback", from6("::1"), Err(BadSource)),
        ("multicast", from6("ff02::1"), Err(BadSource)),
        ("v4-mapped", from6("::ffff:10.0.0.1"), Err(BadSource)),
        ("v4-mapped loopback", from6("::ffff:127.0.0.1"), Err(BadSource)),
        ("just beyond loopback", from6("::2"), Ok("udp 3")),
        ("like v4-mapped", from6("::1:ffff:a00:1"), Ok("udp 3")),
        ("link-local", from6("fe80::1"), Ok("udp 3")),
    ]);
}

#[test]
fn destinations() {
    for dst in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"] {
        check(&[("TCP", to(tcp4(SYN, &[]), dst), Err(NotUnicast)), ("UDP", to(udp4(), dst), Ok("udp 3"))]);
    }
    for dst in ["::", "ff02::1", "ff0e::1234"] {
        check(&[("TCP", to(tcp6(SYN, &[]), dst), Err(NotUnicast)), ("UDP", to(udp6(), dst), Ok("udp 3"))]);
    }
    check(&[
        ("own", to(tcp4(SYN, &[]), "192.0.2.1"), Ok("tcp 3")),
        ("own", to(tcp6(SYN, &[]), "::2"), Ok("tcp 3")),
    ]);
}

#[test]
fn tcp_headers() {
    for build in [tcp4, tcp6] {
        let at = build(ACK, &[]).len() - 23;
        let good = || build(ACK, &[]);
        check(&[
            ("good", good(), Ok("tcp 3")),
            ("cut in the header", edit(good(), |p| p.truncate(at + 19)), Err(BadTcpHeader)),
            ("nothing behind IP", edit(good(), |p| p.truncate(at)), Err(BadTcpHeader)),
            ("offset 0", edit(good(), |p| p[at + 12] = 0x00), Err(BadTcpHeader)),
            ("offset 4", edit(good(), |p| p[at + 12] = 0x40), Err(BadTcpHeader)),
            ("offset past the end", edit(good(), |p| p[at + 12] = 0x60), Err(BadTcpHeader)),
            ("offset 15", edit(good(), |p| p[at + 12] = 0xf0), Err(BadTcpHeader)),
            ("reserved bits", edit(good(), |p| p[at + 12] |= 0x0f), Ok("tcp 3")),
            ("source port 0", edit(good(), |p| p[at..at + 2].fill(0)), Err(BadPort)),
            ("destination port 0", edit(good(), |p| p[at + 2..at + 4].fill(0)), Err(BadPort)),
            ("checksum", damage(good(), |p| p[at + 16] ^= 1), Err(BadTcpChecksum)),
            ("checksum 0", damage(good(), |p| p[at + 16..at + 18].fill(0)), Err(BadTcpChecksum)),
            ("payload changed", damage(good(), |p| p[at + 20] ^= 1), Err(BadTcpChecksum)),
            ("no payload", edit(good(), |p| p.truncate(at + 20)), Ok("tcp 0")),
        ]);
        let packet = damage(good(), |p| p[at + 16] ^= 1);
        assert!(parse(&packet, true).is_ok(), "checksums said to be valid are not looked at");
    }
}

#[test]
fn the_fields_of_a_segment() {
    for (v4, build) in [(true, tcp4 as fn(u8, &[u8]) -> _), (false, tcp6)] {
        let mut bytes = build(SYN | ECE | CWR, &[2, 4, 5, 0xb4]);
        bytes[1] |= if v4 { 2 } else { 0x20 }; // ECT(0)
        bytes.extend([7; 5]);
        let packet = parse(&bytes, true).unwrap();
        assert_eq!((packet.src, packet.dst, packet.hop_limit, packet.ecn), (src(v4), dst(v4), 64, 2));
        assert_eq!(packet.bytes, &bytes[..bytes.len() - 5]);
        let Body::Tcp(segment) = packet.body else { panic!("{packet:?}") };
        assert_eq!((segment.src_port, segment.dst_port), (1000, 80));
        assert_eq!((segment.seq, segment.ack, segment.window), (0x0102_0304, 0x0506_0708, 0xfedc));
        assert_eq!((segment.flags, segment.header_len), (SYN | ECE | CWR, 24));
        assert_eq!((segment.payload, segment.seq_len()), (&b"abc"[..], 4));
        assert_eq!((segment.bytes, segment.bare), (&packet.bytes[if v4 { 20 } else { 40 }..], true));
        assert!(segment.has(SYN | ACK) && !segment.has(ACK | FIN));
    }
    let fin = tcp4(FIN | ACK, &[]);
    let Body::Tcp(segment) = parse(&fin, false).unwrap().body else { panic!() };
    assert_eq!(segment.seq_len(), 4);
}

#[test]
fn tcp_flags() {
    let possible = [SYN, SYN | ACK, ACK, ACK | FIN, RST, RST | ACK];
    for flags in 0..=255 {
        let expected = if possible.contains(&(flags & (SYN | ACK | FIN | RST))) {
            Ok("tcp 3")
        } else {
            Err(BadTcpFlags)
        };
        check(&[("IPv4", tcp4(flags, &[]), expected), ("IPv6", tcp6(flags, &[]), expected)]);
    }
    for (name, flags) in
        [("null", 0), ("xmas", FIN | PSH | URG), ("SYN+FIN", SYN | FIN), ("SYN+RST", SYN | RST)]
    {
        check(&[(name, tcp4(flags, &[]), Err(BadTcpFlags))]);
    }
}

#[test]
fn tcp_options() {
    let none = TcpOptions::default();
    let mss = |mss| TcpOptions { mss: Some(mss), ..none };
    let scale = |shift| TcpOptions { window_scale: Some(shift), ..none };
    let linux = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let cases: &[(&str, &[u8], Option<TcpOptions>)] = &[
        ("none", &[], Some(none)),
        (
            "what Linux sends",
            &linux,
            Some(TcpOptions { mss: Some(1460), window_scale: Some(7), sack_permitted: true }),
        ),
        ("MSS 0", &[2, 4, 0, 0], Some(mss(0))),
        ("MSS 1", &[2, 4, 0, 1], Some(mss(1))),
        ("scale 14", &[3, 3, 14], Some(scale(14))),
        ("scale 15", &[3, 3, 15], Some(scale(14))),
        ("scale 255", &[3, 3, 255], Some(scale(14))),
        ("padding first", &[1, 1, 1, 1, 1, 2, 4, 2, 0], Some(mss(512))),
        ("after the end", &[0, 2, 4, 2, 0], Some(none)),
        ("twice: the last counts", &[2, 4, 2, 0, 2, 4, 4, 0], Some(mss(1024))),
        ("unknown", &[253, 4, 1, 2], Some(none)),
        ("unknown, empty", &[253, 2], Some(none)),
        ("SACK block", &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2], Some(none)),
        ("length 0", &[253, 0, 1, 1], None),
        ("length 1", &[253, 1, 1, 1], None),
        ("no length", &[1, 1, 1, 253], None),
        ("past the end", &[1, 1, 2, 4], None),
        ("far past the end", &[253, 255, 0, 0], None),
        ("MSS of 3 bytes", &[2, 3, 5, 0], None),
        ("MSS of 0 bytes", &[2, 0, 5, 0], None),
        ("scale of 4 bytes", &[3, 4, 5, 0], None),
        ("SACK permitted of 3 bytes", &[4, 3, 5, 0], None),
        ("SACK without a block", &[5, 2, 0, 0], None),
        ("half a SACK block", &[5, 6, 0, 0, 0, 1], None),
    ];
    for (name, options, expected) in cases {
        for build in [tcp4, tcp6] {
            for flags in [SYN, SYN | ACK, ACK, RST] {
                let bytes = build(flags, options);
                let expected =
                    expected.ok_or(BadTcpHeader).map(|found| if flags & SYN != 0 { found } else { none });
                let found = parse(&bytes, false).map(|packet| match packet.body {
                    Body::Tcp(segment) => segment.options,
                    _ => panic!("{packet:?}"),
                });
                assert_eq!(found, expected, "{name}, flags {flags:#x}");
            }
        }
    }
}

#[test]
fn udp_headers() {
    for (build, no_checksum) in [(udp4 as fn() -> _, Ok("udp 3")), (udp6, Err(BadUdpChecksum))] {
        let at = build().len() - 11;
        check(&[
            ("good", build(), Ok("udp 3")),
            ("cut in the header", edit(build(), |p| p.truncate(at + 7)), Err(BadUdpHeader)),
            ("length past the end", edit(build(), |p| p[at + 5] = 12), Err(BadUdpHeader)),
            ("length short of the header", edit(build(), |p| p[at + 5] = 7), Err(BadUdpHeader)),
            ("length 0", edit(build(), |p| p[at + 5] = 0), Err(BadUdpHeader)),
            ("length of the header", edit(build(), |p| p[at + 5] = 8), Ok("udp 0")),
            ("something behind the datagram", edit(build(), |p| p[at + 5] = 10), Ok("udp 2")),
            ("length changed on the way", damage(build(), |p| p[at + 5] = 10), Err(BadUdpChecksum)),
            ("source port 0", edit(build(), |p| p[at..at + 2].fill(0)), Err(BadPort)),
            ("destination port 0", edit(build(), |p| p[at + 2..at + 4].fill(0)), Err(BadPort)),
            ("checksum", damage(build(), |p| p[at + 6] ^= 1), Err(BadUdpChecksum)),
            ("no checksum", damage(build(), |p| p[at + 6..at + 8].fill(0)), no_checksum),
        ]);
        let packet = damage(build(), |p| p[at + 6..at + 8].fill(0));
        assert!(parse(&packet, true).is_ok(), "checksums said to be valid are not looked at");
    }
}

#[test]
fn icmp_messages() {
    let icmp4 = |kind| ip(true, protocol::ICMP, &icmp_message(kind, 0, 0, b"abc"));
    let icmp6 = |kind| ip(false, protocol::ICMPV6, &icmp_message(kind, 0, 0, b"abc"));
    check(&[
        ("echo request", icmp4(8), Ok("echo request")),
        ("echo reply", icmp4(0), Ok("echo reply")),
        ("unreachable", icmp4(3), Ok("icmp error")),
        ("source quench", icmp4(4), Ok("icmp error")),
        ("redirect", icmp4(5), Ok("icmp")),
        ("time exceeded", icmp4(11), Ok("icmp error")),
        ("parameter problem", icmp4(12), Ok("icmp error")),
        ("timestamp", icmp4(13), Ok("icmp")),
        ("not ICMP's echo request", icmp4(128), Ok("icmp")),
        ("cut", edit(icmp4(8), |p| p.truncate(27)), Err(BadIcmp)),
        ("empty", edit(icmp4(8), |p| p.truncate(20)), Err(BadIcmp)),
        ("checksum", damage(icmp4(8), |p| p[22] ^= 1), Err(BadIcmpChecksum)),
        ("echo request", icmp6(128), Ok("echo request")),
        ("echo reply", icmp6(129), Ok("echo reply")),
        ("unreachable", icmp6(1), Ok("icmp error")),
        ("too big", icmp6(2), Ok("icmp error")),
        ("time exceeded", icmp6(3), Ok("icmp error")),
        ("parameter problem", icmp6(4), Ok("icmp error")),
        ("unknown error", icmp6(5), Ok("icmp")),
        ("neighbour solicitation", icmp6(135), Ok("icmp")),
        ("redirect", icmp6(137), Ok("icmp")),
        ("not ICMPv6's echo request", icmp6(8), Ok("icmp")),
        ("cut", edit(icmp6(128), |p| p.truncate(47)), Err(BadIcmp)),
        ("checksum", damage(icmp6(128), |p| p[42] ^= 1), Err(BadIcmpChecksum)),
        (
            "checksum without the pseudo header",
            damage(icmp6(128), |p| checksum::fill(&mut p[40..], 2)),
            Err(BadIcmpChecksum),
        ),
    ]);
}

#[test]
fn ipv4_options() {
    check(&[
        ("no operation", options4(&[1, 1, 1, 1]), Ok("tcp 3")),
        ("router alert", options4(&[148, 4, 0, 0]), Ok("tcp 3")),
        ("record route", options4(&[7, 7, 4, 0, 0, 0, 0, 0]), Ok("tcp 3")),
        ("40 bytes", options4(&[1; 40]), Ok("tcp 3")),
        ("after the end", options4(&[0, 131, 0, 0]), Ok("tcp 3")),
        ("loose source route", options4(&[131, 7, 4, 10, 0, 0, 9, 0]), Err(BadExtension)),
        ("strict source route", options4(&[1, 137, 3, 4]), Err(BadExtension)),
        ("length 0", options4(&[7, 0, 0, 0]), Err(Malformed)),
        ("length 1", options4(&[7, 1, 0, 0]), Err(Malformed)),
        ("no length", options4(&[1, 1, 1, 7]), Err(Malformed)),
        ("past the end", options4(&[7, 5, 0, 0]), Err(Malformed)),
    ]);
}

#[test]
fn extension_headers() {
    const HBH: u8 = protocol::HOP_BY_HOP;
    const DST: u8 = protocol::DESTINATION_OPTIONS;
    const RTE: u8 = protocol::ROUTING;
    const FRG: u8 = protocol::FRAGMENT;
    const TCP: u8 = protocol::TCP;
    const UDP: u8 = protocol::UDP;
    let segment = tcp_segment(ACK, &[], b"abc");
    let with = |first, headers: &[u8]| extended(first, headers, TCP, &segment);
    // A header of options that are padding and announces `next`, `words` of 8 bytes long.
    let padding = |next, words: usize| {
        let mut header = vec![0; words * 8];
        header[0] = next;
        header[1] = (words - 1) as u8;
        header
    };
    let options = |kind, len| [TCP, 0, kind, len, 0, 0, 0, 0];
    check(&[
        ("hop-by-hop", with(HBH, &padding(TCP, 1)), Ok("tcp 3")),
        ("destination options", with(DST, &padding(TCP, 1)), Ok("tcp 3")),
        ("both", with(HBH, &[padding(DST, 1), padding(TCP, 2)].concat()), Ok("tcp 3")),
        ("hop-by-hop second", with(DST, &[padding(HBH, 1), padding(TCP, 1)].concat()), Err(BadExtension)),
        ("hop-by-hop twice", with(HBH, &[padding(HBH, 1), padding(TCP, 1)].concat()), Err(BadExtension)),
        ("8 headers", with(DST, &[padding(DST, 1).repeat(7), padding(TCP, 1)].concat()), Ok("tcp 3")),
        ("9 headers", with(DST, &[padding(DST, 1).repeat(8), padding(TCP, 1)].concat()), Err(BadExtension)),
        ("64 bytes of options", with(HBH, &padding(TCP, 8)), Ok("tcp 3")),
        ("72 bytes of options", with(HBH, &padding(TCP, 9)), Err(BadExtension)),
        ("the longest of options", with(HBH, &padding(TCP, 256)), Err(BadExtension)),
        ("cut", edit(with(HBH, &padding(TCP, 1)), |p| p.truncate(47)), Err(BadExtension)),
        ("cut after one byte", edit(with(HBH, &padding(TCP, 1)), |p| p.truncate(41)), Err(BadExtension)),
        ("past the end", ip(false, DST, &[TCP, 4, 1, 4, 0, 0, 0, 0]), Err(BadExtension)),
        ("announced, not there", ip(false, DST, &[]), Err(BadExtension)),
        ("PadN", with(DST, &options(1, 4)), Ok("tcp 3")),
        ("router alert", with(HBH, &[TCP, 0, 5, 2, 0, 0, 1, 0]), Ok("tcp 3")),
        ("option to skip", with(DST, &options(0x1e, 4)), Ok("tcp 3")),
        ("option past the end", with(DST, &options(0x1e, 5)), Err(BadExtension)),
        ("option without a length", with(DST, &[TCP, 0, 0, 0, 0, 0, 0, 0x1e]), Err(BadExtension)),
        ("option to discard at", with(DST, &options(0x40, 4)), Err(BadExtension)),
        ("option to complain about", with(DST, &options(0x80, 4)), Err(BadExtension)),
        ("jumbo payload option", with(HBH, &[TCP, 0, 0xc2, 4, 0, 1, 0, 0]), Err(Malformed)),
        ("jumbogram", damage(with(HBH, &[TCP, 0, 0xc2, 4, 0, 1, 0, 0]), |p| p[4..6].fill(0)), Err(Malformed)),
        ("routing header 0", with(RTE, &[TCP, 0, 0, 0, 0, 0, 0, 0]), Err(BadExtension)),
        ("routing header 0, segments left", with(RTE, &[TCP, 0, 0, 1, 0, 0, 0, 0]), Err(BadExtension)),
        ("routing header, segments left", with(RTE, &[TCP, 0, 4, 1, 0, 0, 0, 0]), Err(BadExtension)),
        ("routing header, spent", with(RTE, &[TCP, 0, 4, 0, 0, 0, 0, 0]), Ok("tcp 3")),
        ("no next header", ip(false, protocol::NO_NEXT_HEADER, b"anything"), Err(NoNextHeader)),
        (
            "no next header after another",
            ip(false, DST, &padding(protocol::NO_NEXT_HEADER, 1)),
            Err(NoNextHeader),
        ),
        ("authentication header", ip(false, 51, &[0; 24]), Ok("other")),
        ("unknown behind options", ip(false, DST, &padding(99, 1)), Ok("other")),
        ("atomic fragment", with(FRG, &fragment_header(TCP, 0, false, 9)), Ok("tcp 3")),
        (
            "atomic fragment, TCP header cut",
            ip(false, FRG, &fragment_header(TCP, 0, false, 9)),
            Err(BadTcpHeader),
        ),
        (
            "atomic fragment, then options",
            with(FRG, &[fragment_header(DST, 0, false, 9), padding(TCP, 1)].concat()),
            Ok("tcp 3"),
        ),
        (
            "fragment of a fragment",
            with(FRG, &fragment_header(FRG, 0, false, 9).repeat(2)),
            Err(BadExtension),
        ),
        (
            "first of a fragmented fragment",
            with(FRG, &fragment_header(FRG, 0, true, 9).repeat(2)),
            Err(BadExtension),
        ),
        (
            "atomic fragment, then hop-by-hop",
            with(FRG, &[fragment_header(HBH, 0, false, 9), padding(TCP, 1)].concat()),
            Err(BadExtension),
        ),
        ("fragment header cut", ip(false, FRG, &[TCP, 0, 0, 1, 0, 0, 0]), Err(BadExtension)),
        ("first fragment", with(FRG, &fragment_header(TCP, 0, true, 9)), Ok("fragment 0+23…")),
        ("middle fragment", with(FRG, &fragment_header(TCP, 8, true, 9)), Ok("fragment 8+23…")),
        ("last fragment", with(FRG, &fragment_header(TCP, 1448, false, 9)), Ok("fragment 1448+23")),
        (
            "first fragment without its TCP header",
            ip(false, FRG, &[fragment_header(TCP, 0, true, 9), vec![1; 16]].concat()),
            Err(BadFragment),
        ),
        (
            "first fragment without its UDP header",
            ip(false, FRG, &[fragment_header(UDP, 0, true, 9), vec![1; 7]].concat()),
            Err(BadFragment),
        ),
        (
            "first fragment cut in its options",
            ip(false, FRG, &[fragment_header(DST, 0, true, 9), vec![TCP, 1, 0, 0, 0, 0, 0, 0]].concat()),
            Err(BadExtension),
        ),
        (
            "options before the fragment header",
            with(DST, &[padding(FRG, 1), fragment_header(TCP, 8, true, 9)].concat()),
            Ok("fragment 8+23…"),
        ),
        (
            "wrong TCP checksum behind options",
            damage(with(DST, &padding(TCP, 1)), |p| p[64] ^= 1),
            Err(BadTcpChecksum),
        ),
    ]);
}

#[test]
fn ipv4_fragments() {
    let placed = |placement: u16| edit(udp4(), |p| p[6..8].copy_from_slice(&placement.to_be_bytes()));
    check(&[
        ("whole", placed(0), Ok("udp 3")),
        ("whole, don't fragment", placed(0x4000), Ok("udp 3")),
        ("whole, reserved bit", placed(0x8000), Ok("udp 3")),
        ("first", placed(0x2000), Ok("fragment 0+11…")),
        ("middle", placed(0x2001), Ok("fragment 8+11…")),
        ("last", placed(0x00b9), Ok("fragment 1480+11")),
        ("last of all", placed(0x1fff), Ok("fragment 65528+11")),
        ("bad source", edit(placed(0x2000), |p| p[12] = 127), Err(BadSource)),
    ]);
    let bytes = placed(0x20b9);
    let Body::Fragment(fragment) = parse(&bytes, false).unwrap().body else { panic!() };
    assert_eq!((fragment.id, fragment.protocol), (0x1234, protocol::UDP));
    assert_eq!([fragment.header, fragment.payload].concat(), bytes);

    let bytes = extended(protocol::FRAGMENT, &fragment_header(protocol::UDP, 8, true, 77), 0, &[1; 8]);
    let Body::Fragment(fragment) = parse(&bytes, false).unwrap().body else { panic!() };
    assert_eq!((fragment.id, fragment.protocol, fragment.next_header_at), (77, protocol::UDP, 6));
    assert_eq!([fragment.header, fragment.payload].concat(), bytes);
}

#[test]
fn extensions_are_stripped_down_to_what_smoltcp_reads() {
    let padding = [protocol::TCP, 0, 1, 4, 0, 0, 0, 0];
    let atomic = fragment_header(protocol::DESTINATION_OPTIONS, 0, false, 5);
    for bytes in [
        options4(&[1; 12]),
        extended(protocol::HOP_BY_HOP, &padding, protocol::TCP, &tcp_segment(ACK, &[1, 1, 1, 1], b"abc")),
        extended(
            protocol::FRAGMENT,
            &[&atomic[..], &padding].concat(),
            protocol::TCP,
            &tcp_segment(ACK, &[], b"abc"),
        ),
    ] {
        let packet = parse(&bytes, false).unwrap();
        let Body::Tcp(segment) = packet.body else { panic!() };
        assert!(!segment.bare);
        let stripped = strip_extensions(&packet, &segment);
        let again = parse(&stripped, false).unwrap();
        let Body::Tcp(same) = again.body else { panic!() };
        assert!(same.bare);
        assert_eq!(same.bytes, segment.bytes);
        assert_eq!((again.src, again.dst, again.hop_limit), (packet.src, packet.dst, packet.hop_limit));
        assert!(stripped.len() < bytes.len());
    }
    for bytes in [tcp4(ACK, &[]), tcp6(ACK, &[])] {
        let packet = parse(&bytes, false).unwrap();
        let Body::Tcp(segment) = packet.body else { panic!() };
        assert_eq!((segment.bare, strip_extensions(&packet, &segment)), (true, bytes.clone()));
    }
}

#[test]
fn noise_never_panics_nor_passes() {
    let mut rng = Rng(1);
    let padding = [protocol::TCP, 0, 1, 4, 0, 0, 0, 0];
    let quoted = icmp_message(3, 4, 1400, &udp4());
    let quoted6 = icmp_message(2, 0, 1400, &udp6());
    let seeds = [
        tcp4(SYN, &[2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7]),
        tcp6(ACK, &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        udp4(),
        udp6(),
        options4(&[7, 7, 4, 0, 0, 0, 0, 1]),
        ip(true, protocol::ICMP, &quoted),
        ip(false, protocol::ICMPV6, &quoted6),
        extended(protocol::HOP_BY_HOP, &padding, protocol::TCP, &tcp_segment(ACK, &[], b"abc")),
        extended(
            protocol::FRAGMENT,
            &fragment_header(protocol::TCP, 0, true, 9),
            protocol::TCP,
            &tcp_segment(ACK, &[], b"abc"),
        ),
    ];
    let mut passed = 0;
    for turn in 0..120_000 {
        let mut bytes = seeds[turn % seeds.len()].clone();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len());
            bytes[at] = [rng.next() as u8, 0, 0xff, bytes[at] ^ 1 << rng.below(8)][rng.below(4)];
        }
        if turn % 3 == 0 {
            bytes.truncate(rng.below(bytes.len() + 1));
        }
        if turn % 5 == 0 && bytes.len() >= 40 {
            // So that the fuzz reaches what is behind the framing.
            resize(&mut bytes);
        }
        if turn % 17 == 0 {
            let len = rng.below(100);
            bytes = rng.bytes(len);
        }
        for checksums_valid in [false, true] {
            if let Ok(packet) = parse(&bytes, checksums_valid) {
                passed += 1;
                assert!(bytes.starts_with(packet.bytes));
                exercise(&packet);
            }
        }
    }
    assert!(passed > 10_000, "only {passed} got as far as the builders");
}

/// Whatever can be done with a packet.
fn exercise(packet: &Packet<'_>) {
    echo_reply(packet, 64, 1);
    for answer in [
        icmp_unreachable_port(packet, 64, 1),
        icmp_time_exceeded_reassembly(packet, 64, 1),
        match &packet.body {
            Body::Tcp(segment) => rst_for(packet, segment, 64),
            _ => None,
        },
    ]
    .into_iter()
    .flatten()
    {
        // An answer is good unless the address that it comes from, the packet's destination, is not.
        let found = parse(&answer, false);
        assert!(matches!(found, Ok(_) | Err(BadSource)), "{found:?}");
    }
    if let Body::Tcp(segment) = &packet.body {
        let bare = strip_extensions(packet, segment);
        assert!(matches!(parse(&bare, true).unwrap().body, Body::Tcp(TcpSegment { bare: true, .. })));
    }
}
