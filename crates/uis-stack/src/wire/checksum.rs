//! The Internet checksum (RFC 1071) and the pseudo headers it covers.
//!
//! This runs over every byte of every packet whose checksum is verified or filled, so the inner loop is
//! written for the vector unit of any 64-bit machine, in safe code. A one's complement sum may be taken in
//! any grouping and in either byte order (RFC 1071 §2), so words are added as they lie in memory and the
//! result is swapped once, at the end.

use super::UDP_HEADER;

/// A partial sum: 16-bit words in native byte order, not yet folded. Sums of *even-length* pieces add up;
/// an odd piece must come last.
pub(crate) type Partial = u64;

/// Bytes added up per turn of the vector loop.
const BLOCK: usize = 64;
/// Lanes of 32 bits in a block.
const LANES: usize = BLOCK / 4;

/// Adds up `bytes`, an odd last byte being padded with zero.
#[inline]
pub(crate) fn sum(bytes: &[u8]) -> Partial {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut total = 0;
    // 65,536 blocks are where a 32-bit lane of 16-bit halves could overflow; no packet comes near.
    for run in blocks.chunks(1 << 15) {
        total += sum_blocks(run);
    }
    total + sum_tail(rest)
}

/// Each lane holds two 16-bit words. `whole` adds lanes with wrap-around and `high` adds their upper words
/// alone; the sum of the lower words is what `whole` holds less the upper ones, and is exact because it fits
/// in 32 bits. That is three vector instructions a lane and no widening.
fn sum_blocks(blocks: &[[u8; BLOCK]]) -> Partial {
    let mut whole = [0u32; LANES];
    let mut high = [0u32; LANES];
    for block in blocks {
        let (words, _) = block.as_chunks::<4>();
        for lane in 0..LANES {
            let word = u32::from_ne_bytes(words[lane]);
            whole[lane] = whole[lane].wrapping_add(word);
            high[lane] += word >> 16;
        }
    }
    let mut total = 0;
    for lane in 0..LANES {
        let low = whole[lane].wrapping_sub(high[lane] << 16);
        total += u64::from(low) + u64::from(high[lane]);
    }
    total
}

#[inline]
fn sum_tail(bytes: &[u8]) -> Partial {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let (pair, last) = rest.as_chunks::<2>();
    if let [pair] = pair {
        total += u64::from(u16::from_ne_bytes(*pair));
    }
    if let [last] = last {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    total
}

/// The partial sum of a pseudo header: `addresses` are the source and destination as they lie in the IP
/// header, side by side (RFC 9293 §3.1, RFC 8200 §8.1).
#[inline]
pub(crate) fn pseudo_header(addresses: &[u8], protocol: u8, length: usize) -> Partial {
    // Both layouts end in words that are zero but for the length and the protocol number; an upper-layer
    // length beyond 16 bits cannot come up, as jumbograms are refused.
    sum_tail(addresses) + u64::from(u16::from(protocol).to_be()) + u64::from((length as u16).to_be())
}

/// Folds a partial sum to 16 bits, in host order: `0xffff` when a checksum is part of it and right.
#[inline]
pub(crate) fn fold(partial: Partial) -> u16 {
    let mut sum = (partial & 0xffff_ffff) + (partial >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    u16::from_be(sum as u16)
}

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
pub(crate) fn fill(bytes: &mut [u8], at: usize) {
    fill_from(0, bytes, at);
}

/// Writes the checksum of upper-layer `bytes` and their pseudo header into the two bytes at `at`.
pub(crate) fn fill_transport(addresses: &[u8], protocol: u8, bytes: &mut [u8], at: usize) {
    fill_from(pseudo_header(addresses, protocol, bytes.len()), bytes, at);
}

/// Writes the TCP checksum of a packet that has neither IP options nor extension headers.
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
    match !fold(pseudo_header + sum_tail(header) + sum(payload)) {
        // RFC 768: a computed checksum of zero is sent as all ones, zero meaning "none". The two are the same
        // number in one's complement.
        0 => 0xffff,
        checksum => checksum,
    }
}

fn fill_from(initial: Partial, bytes: &mut [u8], at: usize) {
    bytes[at..at + 2].fill(0);
    let checksum = !fold(initial + sum(bytes));
    bytes[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §1, word by word.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

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
    fn agrees_with_the_rfc_for_every_length() {
        let bytes = noise(2_048);
        for len in 0..bytes.len() {
            assert_eq!(fold(sum(&bytes[..len])), reference(&bytes[..len]), "{len} bytes");
        }
        for len in [65_535, 65_534, 40_000] {
            assert_eq!(fold(sum(&noise(len))), reference(&noise(len)), "{len} bytes");
        }
    }

    #[test]
    fn never_overflows() {
        for len in [64, 1_460, 65_535, 65_536, 5_000_000] {
            let bytes = vec![0xff; len];
            assert_eq!(fold(sum(&bytes)), reference(&bytes), "{len} bytes");
        }
    }

    #[test]
    fn the_example_of_rfc_1071() {
        // §3: the words 0001 f203 f4f5 f6f7 add up to 2ddf0, which folds to ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)), 0xddf2);
    }

    #[test]
    fn pieces_add_up() {
        let bytes = noise(1_501);
        for cut in (0..bytes.len()).step_by(2) {
            assert_eq!(fold(sum(&bytes[..cut]) + sum(&bytes[cut..])), reference(&bytes), "cut at {cut}");
        }
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
