//! `Frame::fix_checksums` and `Frame::verify_checksums`, against packets that etherparse has made.

use etherparse::{Icmpv4Type, Icmpv6Type, Ipv4Header, PacketBuilder};
use uis_vnic::Frame;

const IPV4: usize = 20;
const IPV6: usize = 40;

const V4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [192, 168, 7, 9]);
const V6: ([u8; 16], [u8; 16]) = ([0xfd; 16], [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd]);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tcp,
    Udp,
    Icmp,
}

const KINDS: [Kind; 3] = [Kind::Tcp, Kind::Udp, Kind::Icmp];

impl Kind {
    /// Where its checksum lies in its header.
    fn field(self) -> usize {
        match self {
            Kind::Tcp => 16,
            Kind::Udp => 6,
            Kind::Icmp => 2,
        }
    }
}

/// A packet with `len` bytes of payload and right checksums.
fn packet(v4: bool, kind: Kind, len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
    let ip = if v4 { PacketBuilder::ipv4(V4.0, V4.1, 64) } else { PacketBuilder::ipv6(V6.0, V6.1, 64) };
    let mut packet = Vec::new();
    match kind {
        Kind::Tcp => ip.tcp(1234, 80, 99, 1000).ack(77).psh().write(&mut packet, &payload),
        Kind::Udp => ip.udp(1234, 53).write(&mut packet, &payload),
        Kind::Icmp if v4 => ip
            .icmpv4(Icmpv4Type::Unknown { type_u8: 8, code_u8: 0, bytes5to8: [1, 2, 3, 4] })
            .write(&mut packet, &payload),
        Kind::Icmp => ip
            .icmpv6(Icmpv6Type::Unknown { type_u8: 128, code_u8: 0, bytes5to8: [1, 2, 3, 4] })
            .write(&mut packet, &payload),
    }
    .unwrap();
    packet
}

/// Puts extension headers, the first of them of protocol `first`, behind a fixed header; the checksum above stays right,
/// that of IPv4 is made right.
fn extend(mut packet: Vec<u8>, first: u8, extensions: &[u8]) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        let total = u16::try_from(packet.len() + extensions.len()).unwrap();
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[9] = first;
        packet.splice(IPV4..IPV4, extensions.iter().copied());
        right_ipv4(&mut packet);
    } else {
        let payload = u16::try_from(packet.len() - IPV6 + extensions.len()).unwrap();
        packet[4..6].copy_from_slice(&payload.to_be_bytes());
        packet[6] = first;
        packet.splice(IPV6..IPV6, extensions.iter().copied());
    }
    packet
}

fn right_ipv4(packet: &mut [u8]) {
    let sum = Ipv4Header::from_slice(packet).unwrap().0.calc_header_checksum();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Checks that `right` is found right, that each of its checksums at `fields` matters, and that each is restored.
fn check(name: &str, right: &[u8], fields: &[usize]) {
    assert!(Frame::new(right).verify_checksums(), "{name}: right");
    for &field in fields {
        let mut wrong = right.to_vec();
        wrong[field] ^= 0x5a;
        wrong[field + 1] ^= 0x01;
        let mut frame = Frame::new(wrong);
        assert!(!frame.verify_checksums(), "{name}: changed at {field}");
        assert!(!frame.has_valid_checksums());
        assert!(frame.fix_checksums(), "{name}: fixed at {field}");
        assert!(frame.has_valid_checksums());
        assert_eq!(frame.packet(), right, "{name}: fixed at {field}");
    }
    let mut wrong = right.to_vec();
    for &field in fields {
        wrong[field..field + 2].fill(0);
    }
    let mut frame = Frame::new(wrong);
    assert!(frame.fix_checksums(), "{name}: filled in");
    assert_eq!(frame.packet(), right, "{name}: filled in");
}

#[test]
fn every_protocol_and_length() {
    for kind in KINDS {
        for len in (0..300).chain([1459, 1460, 8999, 65_000]) {
            let name = format!("{kind:?} with {len} bytes");
            check(&name, &packet(true, kind, len), &[10, IPV4 + kind.field()]);
            check(&name, &packet(false, kind, len), &[IPV6 + kind.field()]);
        }
    }
}

#[test]
fn every_covered_bit_matters() {
    for kind in KINDS {
        for v4 in [true, false] {
            let right = packet(v4, kind, 33);
            // The addresses, and the transport from behind its lengths on. ICMP over IPv4 has no pseudo header, but
            // the IPv4 header has a sum of its own.
            let addresses = if v4 { 12..IPV4 } else { 8..IPV6 };
            let payload = right.len() - 33..right.len();
            for at in addresses.chain(payload) {
                for bit in 0..8 {
                    let mut wrong = right.clone();
                    wrong[at] ^= 1 << bit;
                    assert!(!Frame::new(wrong).verify_checksums(), "{kind:?}, byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn ipv4_options() {
    for kind in KINDS {
        let mut right = packet(true, kind, 21);
        right[0] = 0x47;
        let total = u16::try_from(right.len() + 8).unwrap();
        right[2..4].copy_from_slice(&total.to_be_bytes());
        right.splice(IPV4..IPV4, [1, 1, 1, 1, 148, 4, 0, 0]);
        right_ipv4(&mut right);
        check("options", &right, &[10, IPV4 + 8 + kind.field()]);
    }
}

#[test]
fn extension_headers() {
    for kind in KINDS {
        let protocol = match kind {
            Kind::Tcp => 6,
            Kind::Udp => 17,
            Kind::Icmp => 58,
        };
        let hop = [60, 0, 1, 4, 0, 0, 0, 0];
        let options = [[43, 1].as_slice(), &[1, 12], &[0; 12]].concat();
        let routing = [44, 0, 4, 0, 0, 0, 0, 0]; // no segments left
        let atomic = [51, 0, 0, 0, 1, 2, 3, 4]; // a fragment that is the whole
        let auth = [[protocol, 2].as_slice(), &[7; 14]].concat();

        let one = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[0] = protocol;
            bytes
        };
        let chains: [(&str, u8, Vec<u8>); 6] = [
            ("hop-by-hop", 0, one(&hop)),
            ("destination options", 60, one(&options)),
            ("routing", 43, one(&routing)),
            ("atomic fragment", 44, one(&atomic)),
            ("authentication", 51, auth.clone()),
            ("all", 0, [&hop[..], &options, &routing, &atomic, &auth].concat()),
        ];
        for (name, first, bytes) in chains {
            let right = extend(packet(false, kind, 50), first, &bytes);
            check(name, &right, &[IPV6 + bytes.len() + kind.field()]);
        }

        let protocol = if kind == Kind::Icmp { 1 } else { protocol };
        let auth = [[protocol, 2].as_slice(), &[7; 14]].concat();
        let right = extend(packet(true, kind, 50), 51, &auth);
        check("authentication over IPv4", &right, &[10, IPV4 + 16 + kind.field()]);
    }
}

#[test]
fn udp_without_a_checksum() {
    let right = packet(true, Kind::Udp, 9);
    let mut frame = Frame::new(right.clone());
    frame.packet_mut()[IPV4 + 6..][..2].fill(0);
    assert!(frame.verify_checksums(), "RFC 768 allows none");
    assert!(frame.fix_checksums());
    assert_eq!(frame.packet(), right, "it is computed all the same");

    let mut packet = packet(false, Kind::Udp, 9);
    packet[IPV6 + 6..][..2].fill(0);
    assert!(!Frame::new(packet).verify_checksums(), "RFC 8200 §8.1 does not");
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    for v4 in [true, false] {
        let mut packet = packet(v4, Kind::Udp, 2);
        let at = packet.len() - 4; // checksum, payload
        // With a payload of zero the checksum c stands for a sum of !c without it: a payload of c makes that ffff.
        packet[at..].fill(0);
        let mut frame = Frame::new(packet.clone());
        assert!(frame.fix_checksums());
        let [high, low] = [frame.packet()[at], frame.packet()[at + 1]];
        packet[at + 2..].copy_from_slice(&[high, low]);
        let mut frame = Frame::new(packet);
        assert!(frame.fix_checksums());
        assert_eq!(frame.packet()[at..at + 2], [0xff, 0xff]);
        assert!(frame.verify_checksums());
    }
}

#[test]
fn a_udp_length_short_of_the_packet_is_believed() {
    let mut packet = packet(false, Kind::Udp, 10);
    packet[IPV6 + 5] = 8 + 4;
    let mut frame = Frame::new(packet);
    assert!(frame.fix_checksums());
    let end = frame.len() - 1;
    frame.packet_mut()[end] ^= 1;
    assert!(frame.verify_checksums(), "not covered");
    frame.packet_mut()[end - 6] ^= 1;
    assert!(!frame.verify_checksums(), "covered");
}

#[test]
fn padding_is_neither_covered_nor_touched() {
    for kind in KINDS {
        for v4 in [true, false] {
            let mut bytes = packet(v4, kind, 5);
            bytes.extend([0xee; 13]);
            assert!(Frame::new(bytes.clone()).verify_checksums());
            let mut frame = Frame::new(bytes.clone());
            assert!(frame.fix_checksums());
            assert_eq!(frame.packet(), bytes);
        }
    }
}

#[test]
fn nothing_above_that_has_a_checksum() {
    for protocol in [2, 50, 58, 59, 132, 136, 253] {
        let mut bytes = packet(true, Kind::Tcp, 5);
        bytes[9] = protocol;
        assert!(!Frame::new(bytes.clone()).verify_checksums(), "the header's own");
        let mut frame = Frame::new(bytes.clone());
        assert!(frame.fix_checksums() && frame.verify_checksums());
        assert_eq!(frame.packet()[12..], bytes[12..]);
    }
    for protocol in [1, 2, 50, 59, 132, 135, 136, 253] {
        let mut bytes = packet(false, Kind::Tcp, 5);
        bytes[6] = protocol;
        let mut frame = Frame::new(bytes.clone());
        assert!(frame.verify_checksums() && frame.fix_checksums());
        assert_eq!(frame.packet(), bytes);
    }
}

/// A packet of 12 bytes of payload with `edit` done to its transport and IP headers.
fn edited(v4: bool, kind: Kind, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = packet(v4, kind, 12);
    edit(&mut bytes);
    bytes
}

/// Cuts to `len` bytes behind the IP header, and lets the IP header say so.
fn cut(bytes: &mut Vec<u8>, len: usize) {
    if bytes[0] >> 4 == 4 {
        bytes.truncate(IPV4 + len);
        bytes[3] = (IPV4 + len) as u8;
    } else {
        bytes.truncate(IPV6 + len);
        bytes[5] = len as u8;
    }
}

#[test]
fn what_cannot_be_told_is_left_as_it_was() {
    use Kind::*;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("no IP", vec![0x55; 60]),
        ("cut off", packet(true, Tcp, 0)[..39].to_vec()),
        ("IHL past the end", edited(true, Tcp, |p| p[3] = 19)),
        ("more fragments", edited(true, Udp, |p| p[6] = 0x20)),
        ("a fragment's offset", edited(true, Udp, |p| p[7] = 1)),
        ("TCP cut off", edited(true, Tcp, |p| cut(p, 19))),
        ("TCP without its offset", edited(false, Tcp, |p| cut(p, 12))),
        ("TCP offset 4", edited(false, Tcp, |p| p[IPV6 + 12] = 0x40)),
        ("TCP offset past the end", edited(true, Tcp, |p| p[IPV4 + 12] = 0x90)),
        ("UDP cut off", edited(true, Udp, |p| cut(p, 7))),
        ("UDP length 7", edited(true, Udp, |p| p[IPV4 + 5] = 7)),
        ("UDP length 0", edited(false, Udp, |p| p[IPV6 + 5] = 0)),
        ("UDP length past the end", edited(false, Udp, |p| p[IPV6 + 5] = 21)),
        ("ICMP cut off", edited(true, Icmp, |p| cut(p, 7))),
        ("ICMPv6 cut off", edited(false, Icmp, |p| cut(p, 3))),
        ("ICMPv6 gone", edited(false, Icmp, |p| cut(p, 0))),
        ("segments left", extend(packet(false, Tcp, 0), 43, &[6, 0, 4, 1, 0, 0, 0, 0])),
        ("first IPv6 fragment", extend(packet(false, Tcp, 0), 44, &[6, 0, 0, 1, 0, 0, 0, 0])),
        ("later IPv6 fragment", extend(packet(false, Tcp, 0), 44, &[6, 0, 0, 8, 0, 0, 0, 0])),
        ("an extension past the end", extend(packet(false, Tcp, 0), 0, &[6, 9, 1, 4, 0, 0, 0, 0])),
        (
            "an extension cut off",
            edited(false, Tcp, |p| {
                p[6] = 60;
                cut(p, 3);
            }),
        ),
        ("authentication past the end", extend(packet(true, Tcp, 0), 51, &[6, 30, 0, 0, 0, 0, 0, 0])),
    ];
    for (name, bytes) in cases {
        assert!(!Frame::new(bytes.clone()).verify_checksums(), "{name}");
        let mut frame = Frame::new(bytes.clone());
        assert!(!frame.fix_checksums(), "{name}");
        assert!(!frame.has_valid_checksums(), "{name}");
        // The IPv4 header's own is put right where there is a header.
        let mut expected = bytes;
        if expected.first().is_some_and(|first| first >> 4 == 4)
            && !matches!(name, "cut off" | "IHL past the end")
        {
            right_ipv4(&mut expected);
        }
        assert_eq!(frame.packet(), expected, "{name}");
    }
}

#[test]
fn any_bytes_at_all() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as usize
    };
    let mut fixed = 0;
    for round in 0..50_000 {
        let v4 = round % 2 == 0;
        let mut bytes = packet(v4, KINDS[next() % 3], next() % 40);
        for _ in 0..next() % 6 {
            let at = next() % bytes.len();
            // Often something that means something here.
            bytes[at] = [0, 1, 6, 17, 43, 44, 51, 58, 60, next() as u8][next() % 10];
        }
        bytes.truncate(bytes.len() - (next() % 60).saturating_sub(50).min(bytes.len()));
        let mut frame = Frame::new(bytes.clone());
        let right = frame.verify_checksums();
        if frame.fix_checksums() {
            fixed += 1;
            assert!(frame.verify_checksums(), "{bytes:x?}");
            assert_eq!(frame.len(), bytes.len());
            let changed = frame.packet().iter().zip(&bytes).filter(|(a, b)| a != b).count();
            assert!(changed <= 4, "{bytes:x?}");
        } else {
            assert!(!right, "{bytes:x?}");
        }
    }
    assert!(fixed > 10_000, "{fixed} is too few to say anything");
}
