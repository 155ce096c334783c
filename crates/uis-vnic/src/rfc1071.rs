//! The Internet checksum (RFC 1071) and the pseudo headers it covers.
//!
//! It runs over every byte of a packet that is checked or changed, so the inner loop is shaped for vector
//! instructions, in safe code. A one's complement sum may be taken in any grouping and in either byte order (RFC 1071
//! §2), so words are added as they lie in memory and swapped once at the end.
//!
//! ```
//! use uis_vnic::rfc1071::{fold, sum};
//!
//! // The example of RFC 1071 §3.
//! assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
//! ```

/// A sum under way: 16-bit words in native byte order, not folded yet. Sums of *even-length* pieces add up; an odd
/// piece comes last.
pub type Partial = u64;

const BLOCK: usize = 64;
const LANES: usize = BLOCK / 4;

/// Adds up `bytes`, an odd last byte being padded with zero.
#[inline]
#[must_use]
pub fn sum(bytes: &[u8]) -> Partial {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    // 65,536 blocks are where a lane could overflow.
    blocks.chunks(1 << 15).map(sum_blocks).sum::<Partial>() + sum_tail(rest)
}

/// The sum of a pseudo header: `addresses` are source and destination as they lie in the IP header, side by side
/// (RFC 9293 §3.1, RFC 8200 §8.1). The words of both layouts that are always zero add nothing.
#[inline]
#[must_use]
pub fn pseudo_header(addresses: &[u8], protocol: u8, len: usize) -> Partial {
    // No upper layer is longer than 16 bits can say: jumbograms are not let in.
    sum_tail(addresses) + Partial::from(u16::from(protocol).to_be()) + Partial::from((len as u16).to_be())
}

/// Folds a sum to 16 bits, in host order. It is `0xffff` when a right checksum is part of it.
#[inline]
#[must_use]
pub fn fold(partial: Partial) -> u16 {
    let mut sum = (partial & 0xffff_ffff) + (partial >> 32);
    for _ in 0..3 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::from_be(sum as u16)
}

/// A lane is 32 bits wide and holds two words of 16. `whole` adds lanes with wrap-around, `high` their upper words
/// alone; the lower words are the difference, which is exact because it fits. That is three vector instructions a lane
/// and none to widen.
#[inline]
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
    let lanes = whole.iter().zip(&high);
    lanes.map(|(whole, high)| Partial::from(whole.wrapping_sub(high << 16)) + Partial::from(*high)).sum()
}

#[inline]
fn sum_tail(bytes: &[u8]) -> Partial {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum = 0;
    for word in words {
        sum += Partial::from(u32::from_ne_bytes(*word));
    }
    match *rest {
        [] => sum,
        [a] => sum + Partial::from(u32::from_ne_bytes([a, 0, 0, 0])),
        [a, b] => sum + Partial::from(u32::from_ne_bytes([a, b, 0, 0])),
        [a, b, c, ..] => sum + Partial::from(u32::from_ne_bytes([a, b, c, 0])),
    }
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
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn agrees_with_the_rfc_for_every_length() {
        let bytes = noise(2048);
        for len in (0..bytes.len()).chain([40_000, 65_534, 65_535]) {
            let bytes = if len < bytes.len() { &bytes[..len] } else { &noise(len) };
            assert_eq!(fold(sum(bytes)), reference(bytes), "{len} bytes");
        }
    }

    #[test]
    fn never_overflows() {
        for len in [64, 1460, 65_535, 65_536, 5_000_000] {
            let bytes = vec![0xff; len];
            assert_eq!(fold(sum(&bytes)), reference(&bytes), "{len} bytes");
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        // §3: the words 0001 f203 f4f5 f6f7 add up to 2ddf0, which folds to ddf2.
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn even_pieces_add_up() {
        let bytes = noise(1501);
        for cut in (0..bytes.len()).step_by(2) {
            assert_eq!(fold(sum(&bytes[..cut]) + sum(&bytes[cut..])), reference(&bytes), "cut at {cut}");
        }
    }

    #[test]
    fn pseudo_headers() {
        // As the RFCs draw them, spelled out in bytes.
        let addresses = noise(32);
        let v4 = [&addresses[..8], &[0, 17, 0x12, 0x34]].concat();
        assert_eq!(fold(pseudo_header(&addresses[..8], 17, 0x1234)), reference(&v4));
        let v6 = [&addresses[..], &[0, 0, 0x12, 0x34, 0, 0, 0, 58]].concat();
        assert_eq!(fold(pseudo_header(&addresses, 58, 0x1234)), reference(&v6));
    }
}
