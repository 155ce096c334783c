//! The checksums of packets: what is verified on arrival, and what is filled in before sending.

use uis_vnic::rfc1071::{Partial, fold, pseudo_header, sum};

use super::UDP_HEADER;

/// Whether `bytes`, which hold their own checksum, add up.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    fold(sum(bytes)) == 0xffff
}

/// Whether the upper-layer `bytes` add up with their pseudo header.
#[inline]
pub(crate) fn is_valid_transport(addresses: &[u8], protocol: u8, bytes: &[u8]) -> bool {
    fold(pseudo_header(addresses, protocol, bytes.len()) + sum(bytes)) == 0xffff
}

/// Writes the checksum of `bytes` into the two bytes at `at`.
#[inline]
pub(crate) fn fill(bytes: &mut [u8], at: usize) {
    fill_from(0, bytes, at);
}

/// Writes the checksum of upper-layer `bytes` and their pseudo header into the two bytes at `at`.
pub(crate) fn fill_transport(addresses: &[u8], protocol: u8, bytes: &mut [u8], at: usize) {
    fill_from(pseudo_header(addresses, protocol, bytes.len()), bytes, at);
}

/// Writes the TCP checksum of a packet that has neither IP options nor extension headers.
#[inline]
pub(crate) fn fill_tcp(packet: &mut [u8]) {
    let (header, addresses) = match packet[0] >> 4 {
        4 => (super::IPV4_HEADER, 12..20),
        _ => (super::IPV6_HEADER, 8..40),
    };
    let (ip, tcp) = packet.split_at_mut(header);
    fill_transport(&ip[addresses], super::protocol::TCP, tcp, 16);
}

/// The checksum of a UDP datagram whose header has none yet.
pub(crate) fn of_udp(addresses: &[u8], header: &[u8; UDP_HEADER], payload: &[u8]) -> u16 {
    let pseudo_header = pseudo_header(addresses, super::protocol::UDP, UDP_HEADER + payload.len());
    match !fold(pseudo_header + sum(header) + sum(payload)) {
        // RFC 768: a computed checksum of zero is sent as all ones, zero meaning "none". The two are the same
        // number in one's complement.
        0 => 0xffff,
        checksum => checksum,
    }
}

#[inline]
fn fill_from(initial: Partial, bytes: &mut [u8], at: usize) {
    bytes[at..at + 2].fill(0);
    let checksum = !fold(initial + sum(bytes));
    bytes[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn what_is_filled_is_valid() {
        for len in 20..200 {
            let mut bytes = noise(len);
            fill(&mut bytes, 10);
            assert!(is_valid(&bytes), "{len} bytes");
            let addresses = noise(if len % 2 == 0 { 8 } else { 32 });
            fill_transport(&addresses, 6, &mut bytes, 16);
            assert!(is_valid_transport(&addresses, 6, &bytes), "{len} bytes");
            assert!(!is_valid_transport(&addresses, 7, &bytes), "{len} bytes");
            bytes[0] ^= 0x10;
            assert!(!is_valid_transport(&addresses, 6, &bytes), "{len} bytes");
        }
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        let header = [0; 8];
        for addresses in [&[0; 8][..], &[0; 32]] {
            // A word that makes the words add up to ffff, so that the checksum would be 0000.
            let payload = (0xffff - 17u16 - 10).to_be_bytes();
            assert_eq!(of_udp(addresses, &header, &payload), 0xffff);
            let datagram = [&[0, 0, 0, 0, 0, 0, 0xff, 0xff], &payload[..]].concat();
            assert!(is_valid_transport(addresses, 17, &datagram));
        }
    }
}
