//! What is checked of a capture, in plain Rust: that it is a pcap file of raw IP packets, that every packet
//! parses, that every checksum is right, and that no stream has a hole.

use std::fmt;
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;

use super::streams::Streams;

/// How a capture is described in a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    packets: usize,
    /// Of which only the beginning was kept: no checksum can be verified.
    cut: usize,
    /// Whose transport checksum covers more than one packet.
    fragments: usize,
    streams: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, cut, fragments, streams } = self;
        write!(f, "{packets} packets, {streams} TCP streams")?;
        if *cut > 0 {
            write!(f, ", {cut} packets cut short")?;
        }
        if *fragments > 0 {
            write!(f, ", {fragments} fragments")?;
        }
        Ok(())
    }
}

/// A summary of the capture in `file`, and what is wrong with it.
pub(crate) fn check(file: &[u8]) -> (Summary, Vec<String>) {
    let mut summary = Summary::default();
    let mut problems = Vec::new();
    let mut streams = Streams::default();
    let mut reader = match PcapReader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (summary, vec![format!("not a pcap file: {error}")]),
    };
    let link = reader.header().datalink;
    if link != DataLink::RAW {
        return (summary, vec![format!("link type {} instead of raw IP", u32::from(link))]);
    }
    // The raw records: the other reader refuses packets that were cut.
    while let Some(record) = reader.next_raw_packet() {
        summary.packets += 1;
        let number = summary.packets;
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                problems.push(format!("packet {number}: {error}"));
                break;
            }
        };
        if record.incl_len < record.orig_len {
            summary.cut += 1;
            streams.cut();
            continue;
        }
        match check_packet(&record.data, &mut streams) {
            Ok(Packet::Whole) => {}
            Ok(Packet::Fragment) => summary.fragments += 1,
            Err(problem) => problems.push(format!("packet {number}: {problem}")),
        }
    }
    summary.streams = streams.count();
    problems.extend(streams.holes());
    (summary, problems)
}

#[derive(Debug, PartialEq, Eq)]
enum Packet {
    Whole,
    Fragment,
}

fn check_packet(packet: &[u8], streams: &mut Streams) -> Result<Packet, String> {
    let sliced = SlicedPacket::from_ip(packet).map_err(|error| error.to_string())?;
    let (source, destination, length): (IpAddr, IpAddr, usize) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            if sum(&[header.slice()]) != 0xffff {
                return Err("wrong IPv4 header checksum".into());
            }
            (header.source_addr().into(), header.destination_addr().into(), header.total_len().into())
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let length = usize::from(header.payload_length()) + header.slice().len();
            (header.source_addr().into(), header.destination_addr().into(), length)
        }
        _ => return Err("no IP packet".into()),
    };
    if length != packet.len() {
        return Err(format!("says that it has {length} bytes, has {}", packet.len()));
    }
    if sliced.is_ip_payload_fragmented() {
        return Ok(Packet::Fragment);
    }
    let Some(payload) = sliced.ip_payload() else { return Err("no IP payload".into()) };
    let (protocol, covered) = match &sliced.transport {
        // A UDP checksum of zero is none, which is allowed in IPv4 only (RFC 768, RFC 8200 §8.1).
        Some(TransportSlice::Udp(udp)) if udp.checksum() == 0 && source.is_ipv4() => {
            return Ok(Packet::Whole);
        }
        Some(TransportSlice::Udp(udp)) => {
            if udp.slice().len() != payload.payload.len() {
                return Err("the UDP length is not that of the packet".into());
            }
            ("UDP", true)
        }
        Some(TransportSlice::Tcp(_)) => ("TCP", true),
        Some(TransportSlice::Icmpv6(_)) => ("ICMPv6", true),
        Some(TransportSlice::Icmpv4(_)) => ("ICMP", false),
        Some(TransportSlice::Igmp(_)) => ("IGMP", false),
        None => return Ok(Packet::Whole),
    };
    let pseudo = if covered {
        pseudo_header(source, destination, payload.ip_number.0, payload.payload.len())
    } else {
        Vec::new()
    };
    if sum(&[&pseudo, payload.payload]) != 0xffff {
        return Err(format!("wrong {protocol} checksum"));
    }
    if let Some(TransportSlice::Tcp(tcp)) = &sliced.transport {
        streams.segment(source, destination, tcp);
    }
    Ok(Packet::Whole)
}

/// What a transport checksum covers besides the transport's own bytes (RFC 9293 §3.1, RFC 8200 §8.1).
fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend(u32::from(protocol).to_be_bytes());
    bytes
}

/// The one's complement sum of RFC 1071 over `parts`, each but the last of even length; 0xffff for bytes
/// that hold their right checksum. Written plainly, and on purpose not what the stack computes with.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn udp() -> Vec<u8> {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1000, 2000);
        builder.write(&mut packet, b"odd").unwrap();
        packet
    }

    fn tcp_v6() -> Vec<u8> {
        let mut packet = Vec::new();
        let (a, b) = ([0xfd; 16], [0xfc; 16]);
        PacketBuilder::ipv6(a, b, 64).tcp(1000, 2000, 1, 100).write(&mut packet, b"data").unwrap();
        packet
    }

    fn ping() -> Vec<u8> {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).icmpv4_echo_request(1, 2);
        builder.write(&mut packet, b"ping").unwrap();
        packet
    }

    /// A capture file; a packet is what is kept of it and its whole length.
    fn capture(link: u8, packets: &[(&[u8], usize)]) -> Vec<u8> {
        let mut file = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
        file.extend([link, 0, 0, 0]);
        for (kept, length) in packets {
            for field in [1, 2, kept.len() as u32, *length as u32] {
                file.extend(field.to_le_bytes());
            }
            file.extend(*kept);
        }
        file
    }

    fn one(packet: &[u8]) -> Vec<String> {
        check(&capture(101, &[(packet, packet.len())])).1
    }

    #[test]
    fn right_packets_are_right() {
        for packet in [udp(), tcp_v6(), ping()] {
            assert_eq!(one(&packet), [""; 0]);
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for packet in [udp(), tcp_v6(), ping()] {
            let v6 = packet[0] >> 4 == 6;
            for bit in 0..packet.len() * 8 {
                // In IPv6 no checksum covers traffic class, flow label and hop limit; and a next header that
                // is not known has no checksum to verify.
                if v6 && matches!(bit, 4..32 | 48..64) {
                    continue;
                }
                let mut wrong = packet.clone();
                wrong[bit / 8] ^= 0x80 >> (bit % 8);
                assert_eq!(one(&wrong).len(), 1, "bit {bit} of {packet:x?}");
            }
        }
    }

    #[test]
    fn a_checksum_of_zero_is_none_for_ipv4() {
        let mut packet = udp();
        packet[26..28].fill(0);
        assert_eq!(one(&packet), [""; 0]);
    }

    #[test]
    fn trailing_bytes_are_found() {
        let mut packet = udp();
        packet.push(0);
        assert_eq!(
            one(&packet),
            ["says that it has 31 bytes, has 32"].map(|text| format!("packet 1: {text}"))
        );
    }

    #[test]
    fn a_file_that_is_cut_off_is_found() {
        let packet = udp();
        let mut file = capture(101, &[(&packet, packet.len()), (&packet, packet.len())]);
        file.truncate(file.len() - 1);
        assert_eq!(check(&file).1.len(), 1);
        assert!(check(&file[..10]).1[0].starts_with("not a pcap file"));
    }

    #[test]
    fn other_link_types_are_refused() {
        assert_eq!(check(&capture(1, &[])).1, ["link type 1 instead of raw IP"]);
    }

    #[test]
    fn packets_that_were_cut_are_counted() {
        let packet = udp();
        let (summary, problems) =
            check(&capture(101, &[(&packet[..20], packet.len()), (&packet, packet.len())]));
        assert_eq!((summary.packets, summary.cut, problems.len()), (2, 1, 0));
        assert_eq!(summary.to_string(), "2 packets, 0 TCP streams, 1 packets cut short");
    }
}
