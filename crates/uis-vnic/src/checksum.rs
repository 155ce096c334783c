//! Verifies and computes the checksums of a whole IP packet.

use std::ops::Range;

use crate::header::{self, IPV4_HEADER, IPV6_HEADER};
use crate::rfc1071::{Partial, fold, pseudo_header, sum};

const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;

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
    let v4 = packet[0] >> 4 == 4;
    let (mut protocol, mut start) =
        if v4 { (packet[9], header::ipv4_header_len(packet)) } else { (packet[6], IPV6_HEADER) };
    // More fragments follow, or there is an offset (RFC 791 §3.1).
    if v4 && u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0 {
        return Upper::Unknown;
    }
    // Every turn takes off at least 8 bytes, so this ends.
    loop {
        let rest = &packet[start..];
        let len = match protocol {
            // RFC 8200 §4.3, §4.4, §4.6: lengths in units of 8 bytes, the first not counted.
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS if !v4 => {
                let Some(&[_, len, _, left]) = rest.first_chunk() else { return Upper::Unknown };
                // RFC 8200 §8.1: the sender's sum is over the final destination, which is not the one in the header.
                if protocol == ROUTING && left != 0 {
                    return Upper::Unknown;
                }
                (usize::from(len) + 1) * 8
            }
            // RFC 8200 §4.5. One without offset and followers holds the whole (RFC 6946).
            FRAGMENT if !v4 => {
                let Some(&[_, _, high, low]) = rest.first_chunk() else { return Upper::Unknown };
                if u16::from_be_bytes([high, low]) & 0xfff9 != 0 {
                    return Upper::Unknown;
                }
                8
            }
            // RFC 4302 §2.2: in units of 4 bytes, the first two not counted.
            AUTHENTICATION => {
                let Some(&[_, len]) = rest.first_chunk() else { return Upper::Unknown };
                (usize::from(len) + 2) * 4
            }
            _ => break,
        };
        // The smallest that an authentication header can claim to be, 8 bytes, is no whole one (RFC 4302 §2) but ends
        // the loop just as well.
        if rest.len() < len {
            return Upper::Unknown;
        }
        protocol = rest[0];
        start += len;
    }
    transport(packet, v4, protocol, start)
}

/// The checksum of the transport that begins at `start`.
fn transport(packet: &[u8], v4: bool, protocol: u8, start: usize) -> Upper {
    let mut end = packet.len();
    let bytes = &packet[start..];
    let (field, zero) = match protocol {
        TCP => {
            let header = bytes.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
            if header < 20 || header > bytes.len() {
                return Upper::Unknown;
            }
            (16, Zero::Value)
        }
        UDP => {
            let Some(&[.., high, low, _, _]) = bytes.first_chunk::<8>() else { return Upper::Unknown };
            let len = usize::from(u16::from_be_bytes([high, low]));
            if len < 8 || len > bytes.len() {
                return Upper::Unknown;
            }
            end = start + len;
            (6, if v4 { Zero::NoChecksum } else { Zero::Forbidden })
        }
        // RFC 792: every message has a header of 8 bytes. RFC 4443 §2.1: 4 are common to all.
        ICMP if v4 && bytes.len() >= 8 => (2, Zero::Value),
        ICMPV6 if !v4 && bytes.len() >= 4 => (2, Zero::Value),
        ICMP if v4 => return Upper::Unknown,
        ICMPV6 if !v4 => return Upper::Unknown,
        _ => return Upper::None,
    };
    let addresses = if v4 { &packet[12..IPV4_HEADER] } else { &packet[8..IPV6_HEADER] };
    // Alone of these, ICMP for IPv4 has no pseudo header (RFC 792).
    let pseudo = if protocol == ICMP { 0 } else { pseudo_header(addresses, protocol, end - start) };
    Upper::Summed { bytes: start..end, field, pseudo, zero }
}

/// Writes the checksum of `bytes` and what is summed already into the two bytes at `field`.
fn fill(bytes: &mut [u8], field: usize, initial: Partial) {
    bytes[field..field + 2].fill(0);
    let checksum = !fold(initial + sum(bytes));
    bytes[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
}
