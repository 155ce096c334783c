//! Everything random in a stack: a named hash, a function of the seed.

/// Sebastiano Vigna's SplitMix64 step: a bijection that mixes all bits.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of `words` under `key`. Not cryptographic: who knows the seed of a simulation may know its numbers.
pub(crate) fn hash(key: u64, words: &[u64]) -> u64 {
    words.iter().fold(mix(key), |h, &w| mix(h ^ w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_promised() {
        // The first outputs of SplitMix64 for the seed 0 and for its first increment.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
        assert_ne!(hash(1, &[1, 2]), hash(1, &[2, 1]));
        assert_ne!(hash(1, &[1, 2]), hash(2, &[1, 2]));
    }
}
