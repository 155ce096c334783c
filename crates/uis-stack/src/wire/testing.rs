//! Packets for tests, byte by byte: what a hostile sender can make and the builders cannot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{IPV4_HEADER, IPV6_HEADER, be16, checksum, protocol};

/// Where test packets come from.
pub(crate) fn src(v4: bool) -> IpAddr {
    if v4 {
        Ipv4Addr::new(192, 0, 2, 1).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
    }
}

/// Where they go.
pub(crate) fn dst(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::new(10, 0, 0, 2).into() } else { Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into() }
}

/// A packet with the bytes in `upper` behind a fixed IP header, all checksums right.
pub(crate) fn ip(v4: bool, protocol: u8, upper: &[u8]) -> Vec<u8> {
    let mut packet = if v4 { vec![0; IPV4_HEADER] } else { vec![0; IPV6_HEADER] };
    match (src(v4), dst(v4)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            packet[0] = 0x45;
            packet[4..6].copy_from_slice(&[0x12, 0x34]);
            packet[8] = 64;
            packet[9] = protocol;
            packet[12..16].copy_from_slice(&src.octets());
            packet[16..20].copy_from_slice(&dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            packet[0] = 0x60;
            packet[6] = protocol;
            packet[7] = 64;
            packet[8..24].copy_from_slice(&src.octets());
            packet[24..40].copy_from_slice(&dst.octets());
        }
        _ => unreachable!("of one family"),
    }
    packet.extend_from_slice(upper);
    resize(&mut packet);
    seal(&mut packet);
    packet
}

/// Makes the length field say what the packet's length is.
pub(crate) fn resize(packet: &mut [u8]) {
    let (at, len) = if packet[0] >> 4 == 4 { (2, packet.len()) } else { (4, packet.len() - IPV6_HEADER) };
    packet[at..at + 2].copy_from_slice(&(len as u16).to_be_bytes());
}

/// Makes the checksums right, as far as the headers lead to one: of a packet without extension headers, and of no
/// fragment but for its IPv4 header.
pub(crate) fn seal(packet: &mut [u8]) {
    let v4 = packet[0] >> 4 == 4;
    let (at, protocol, addresses) = if v4 {
        let at = (usize::from(packet[0] & 15) * 4).clamp(IPV4_HEADER, packet.len());
        checksum::fill(&mut packet[..at], 10);
        if be16(packet, 6) & 0x3fff != 0 {
            return;
        }
        (at, packet[9], packet[12..20].to_vec())
    } else {
        (IPV6_HEADER, packet[6], packet[8..40].to_vec())
    };
    seal_upper(&mut packet[at..], protocol, &addresses);
}

/// Makes the checksum of a segment, datagram or message right.
pub(crate) fn seal_upper(upper: &mut [u8], protocol: u8, addresses: &[u8]) {
    match protocol {
        protocol::TCP if upper.len() >= 20 => checksum::fill_transport(addresses, protocol, upper, 16),
        protocol::UDP if upper.len() >= 8 => {
            let len = usize::from(be16(upper, 4)).clamp(8, upper.len());
            checksum::fill_transport(addresses, protocol, &mut upper[..len], 6);
            if upper[6..8] == [0, 0] {
                upper[6..8].fill(0xff);
            }
        }
        protocol::ICMP if upper.len() >= 4 => checksum::fill(upper, 2),
        protocol::ICMPV6 if upper.len() >= 4 => checksum::fill_transport(addresses, protocol, upper, 2),
        _ => {}
    }
}

/// A TCP segment from port 1000 to port 80, without a checksum. `options` are padded with zeros.
pub(crate) fn tcp_segment(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len().next_multiple_of(4);
    let mut segment = vec![0; header_len];
    segment[0..2].copy_from_slice(&1000u16.to_be_bytes());
    segment[2..4].copy_from_slice(&80u16.to_be_bytes());
    segment[4..8].copy_from_slice(&0x0102_0304u32.to_be_bytes());
    segment[8..12].copy_from_slice(&0x0506_0708u32.to_be_bytes());
    segment[12] = ((header_len / 4) << 4) as u8;
    segment[13] = flags;
    segment[14..16].copy_from_slice(&0xfedcu16.to_be_bytes());
    segment[20..20 + options.len()].copy_from_slice(options);
    segment.extend_from_slice(payload);
    segment
}

/// A UDP datagram from port 1000 to port 53, without a checksum.
pub(crate) fn udp_datagram(payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; 8];
    datagram[0..2].copy_from_slice(&1000u16.to_be_bytes());
    datagram[2..4].copy_from_slice(&53u16.to_be_bytes());
    datagram[4..6].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    datagram.extend_from_slice(payload);
    datagram
}

/// An ICMP message without a checksum. `word` is what each type uses in its own way.
pub(crate) fn icmp_message(kind: u8, code: u8, word: u32, data: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0][..], &word.to_be_bytes(), data].concat()
}

/// `packet` after `change`, its length and checksums made right again.
pub(crate) fn edit(mut packet: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut packet);
    resize(&mut packet);
    seal(&mut packet);
    packet
}

/// `packet` after `change`, and nothing else.
pub(crate) fn damage(mut packet: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut packet);
    packet
}

/// An IPv6 packet with extension headers: `headers` as they are, the first being of type `first` and the last
/// announcing `protocol`, then `upper` with its checksum made right.
pub(crate) fn extended(first: u8, headers: &[u8], protocol: u8, upper: &[u8]) -> Vec<u8> {
    let mut packet = ip(false, protocol::NO_NEXT_HEADER, headers);
    packet[6] = first;
    let mut upper = upper.to_vec();
    seal_upper(&mut upper, protocol, &packet[8..40]);
    packet.extend_from_slice(&upper);
    resize(&mut packet);
    packet
}

/// An IPv6 fragment header.
pub(crate) fn fragment_header(next: u8, offset: u16, more: bool, id: u32) -> Vec<u8> {
    let placement = offset & 0xfff8 | u16::from(more);
    [&[next, 0][..], &placement.to_be_bytes(), &id.to_be_bytes()].concat()
}

/// Noise that is the same each time (SplitMix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
