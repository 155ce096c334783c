//! Verifies and computes the checksums of a whole IP packet.

use std::ops::Range;

use etherparse::{IpNumber, IpSlice, Ipv6ExtensionSlice, TcpHeaderSlice};

use crate::header::{self, IPV4_HEADER, IPV6_HEADER};
use crate::rfc1071::{Partial, fold, pseudo_header, sum};

/// Where the checksum of an IPv4 header lies (RFC 791 §3.1).
const IPV4_CHECKSUM: usize = 10;

/// Computes the checksums in place. True when all are right now, see [`Frame::fix_checksums`](crate::Frame).
pub(crate) fn fix(packet: &mut [u8]) -> bool {
    let Some(total) = header::total_len(packet) else { return false };
    let packet = &mut packet[..total];
    if packet[0] >> 4 == 4 {
        let header = header::ipv4_header_len(packet);
        fill(&mut packet[..header], IPV4_CHECKSUM, 0);
    }
    match upper(packet) {
        Upper::None => true,
        Upper::Unknown => false,
        Upper::Summed { bytes, field, pseudo, zero } => {
            let bytes = &mut packet[bytes];
            fill(bytes, field, pseudo);
            // RFC 768: a sum of zero is sent as all ones, which is the same number in one's complement, because zero
            // says that there is none.
            if zero != Zero::Value && bytes[field..field + 2] == [0, 0] {
                bytes[field..field + 2].fill(0xff);
            }
            true
        }
    }
}

/// Whether [`fix`] would say true and has nothing to put right.
pub(crate) fn verify(packet: &[u8]) -> bool {
    let Some(total) = header::total_len(packet) else { return false };
    let packet = &packet[..total];
    if packet[0] >> 4 == 4 && fold(sum(&packet[..header::ipv4_header_len(packet)])) != 0xffff {
        return false;
    }
    match upper(packet) {
        Upper::None => true,
        Upper::Unknown => false,
        Upper::Summed { bytes, field, pseudo, zero } => {
            let bytes = &packet[bytes];
            match zero {
                Zero::NoChecksum if bytes[field..field + 2] == [0, 0] => true,
                Zero::Forbidden if bytes[field..field + 2] == [0, 0] => false,
                _ => fold(pseudo + sum(bytes)) == 0xffff,
            }
        }
    }
}

/// What is above the IP layer of a packet.
enum Upper {
    /// Nothing that has a checksum we know.
    None,
    /// Something whose checksum cannot be told from this packet alone, or that is broken.
    Unknown,
    /// A checksum over `bytes` of the packet and the pseudo header, in the two bytes at `field` of them.
    Summed { bytes: Range<usize>, field: usize, pseudo: Partial, zero: Zero },
}

/// What a checksum of zero means.
#[derive(PartialEq, Eq)]
enum Zero {
    Value,
    /// UDP over IPv4 (RFC 768).
    NoChecksum,
    /// UDP over IPv6 (RFC 8200 §8.1).
    Forbidden,
}

/// `packet` has passed [`header::total_len`] and ends where that says.
fn upper(packet: &[u8]) -> Upper {
    let Ok(ip) = IpSlice::from_slice(packet) else { return Upper::Unknown };
    // RFC 8200 §8.1: before a routing header is spent, the sender's sum is over the final destination, which is not the
    // one in the fixed header.
    let is_on_its_way =
        |header| matches!(header, Ipv6ExtensionSlice::Routing(header) if header.payload()[1] != 0);
    if ip.ipv6().is_some_and(|ip| ip.extensions().clone().into_iter().any(is_on_its_way)) {
        return Upper::Unknown;
    }
    let payload = ip.payload();
    if payload.fragmented {
        return Upper::Unknown;
    }
    transport(packet, ip.ipv4().is_some(), payload.ip_number, packet.len() - payload.payload.len())
}

/// The checksum of the transport that begins at `start`.
fn transport(packet: &[u8], v4: bool, protocol: IpNumber, start: usize) -> Upper {
    let mut end = packet.len();
    let bytes = &packet[start..];
    let (field, zero) = match protocol {
        IpNumber::TCP if TcpHeaderSlice::from_slice(bytes).is_ok() => (16, Zero::Value),
        IpNumber::UDP => {
            let Some(&[.., high, low, _, _]) = bytes.first_chunk::<8>() else { return Upper::Unknown };
            let len = usize::from(u16::from_be_bytes([high, low]));
            if len < 8 || len > bytes.len() {
                return Upper::Unknown;
            }
            end = start + len;
            (6, if v4 { Zero::NoChecksum } else { Zero::Forbidden })
        }
        // RFC 792: every message has a header of 8 bytes. RFC 4443 §2.1: 4 are common to all.
        IpNumber::ICMP if v4 && bytes.len() >= 8 => (2, Zero::Value),
        IpNumber::IPV6_ICMP if !v4 && bytes.len() >= 4 => (2, Zero::Value),
        IpNumber::TCP => return Upper::Unknown,
        IpNumber::ICMP if v4 => return Upper::Unknown,
        IpNumber::IPV6_ICMP if !v4 => return Upper::Unknown,
        _ => return Upper::None,
    };
    let addresses = if v4 { &packet[12..IPV4_HEADER] } else { &packet[8..IPV6_HEADER] };
    // Alone of these, ICMP for IPv4 has no pseudo header (RFC 792).
    let has_pseudo_header = protocol != IpNumber::ICMP;
    let pseudo = if has_pseudo_header { pseudo_header(addresses, protocol.0, end - start) } else { 0 };
    Upper::Summed { bytes: start..end, field, pseudo, zero }
}

/// Writes the checksum of `bytes` and what is summed already into the two bytes at `field`.
fn fill(bytes: &mut [u8], field: usize, initial: Partial) {
    bytes[field..field + 2].fill(0);
    let checksum = !fold(initial + sum(bytes));
    bytes[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
}
