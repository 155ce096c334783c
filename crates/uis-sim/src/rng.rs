//! A generator whose numbers never change.

use std::ops::Range;
use std::time::Duration;

/// A source of random numbers, the same for the same seed in every version of this crate, on every machine.
///
/// It is xoshiro256++ 1.0 by David Blackman and Sebastiano Vigna, its state filled from the seed by SplitMix64. That,
/// and how each method here derives its result from the 64-bit outputs, is promised: a change would break the replay
/// of recorded seeds. Not for cryptography.
///
/// [`Sim::rng`](crate::Sim::rng) makes one from the seed of the simulation.
///
/// ```
/// use uis_sim::Rng;
///
/// let mut rng = Rng::new(7);
/// let die = 1 + rng.below(6);
/// assert!((1..=6).contains(&die));
/// assert_eq!(1 + Rng::new(7).below(6), die);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator with this seed. Nearby seeds have nothing in common.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        let state = std::array::from_fn(|_| {
            let word = mix(z);
            z = z.wrapping_add(GAMMA);
            word
        });
        Self { state }
    }

    /// The next output: 64 random bits.
    ///
    /// ```
    /// use uis_sim::Rng;
    /// assert_eq!(Rng::new(0).next_u64(), 0x5317_5d61_490b_23df);
    /// ```
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `n`, each as likely as the others (Daniel Lemire's method: the upper half of the product of
    /// `n` and an output, another output being drawn as long as the lower half is below 2⁶⁴ mod `n`).
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// assert_eq!(Rng::new(7).below(1), 0);
    /// ```
    #[track_caller]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0");
        let least = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= least {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number of the range, each as likely as the others.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// assert!((10..20).contains(&Rng::new(7).range(10..20)));
    /// ```
    #[track_caller]
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        assert!(!range.is_empty(), "the range {range:?} is empty");
        range.start + self.below(range.end - range.start)
    }

    /// True with this probability: never at 0 and below, always at 1 and above. From the upper 53 bits of an output.
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// let mut rng = Rng::new(7);
    /// let lost = (0..10_000).filter(|_| rng.chance(0.01)).count();
    /// assert!((50..200).contains(&lost));
    /// ```
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A number from 0 up to, but not including, 1. From the upper 53 bits of an output.
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// assert!((0.0..1.0).contains(&Rng::new(7).fraction()));
    /// ```
    pub fn fraction(&mut self) -> f64 {
        // Both conversions are exact, so this is the same everywhere.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time of the range, to the nanosecond.
    ///
    /// # Panics
    ///
    /// If the range is empty, or reaches beyond 2⁶⁴ nanoseconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use uis_sim::Rng;
    /// let jitter = Rng::new(7).duration(Duration::ZERO..Duration::from_millis(5));
    /// assert!(jitter < Duration::from_millis(5));
    /// ```
    #[track_caller]
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).expect("a range within 584 years");
        Duration::from_nanos(self.range(nanos(range.start)..nanos(range.end)))
    }

    /// Fills a buffer with random bytes: outputs in little-endian order, the rest of the last one thrown away.
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// let mut payload = [0; 100];
    /// Rng::new(7).fill(&mut payload);
    /// assert_ne!(payload, [0; 100]);
    /// ```
    pub fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// One of these, each as likely as the others; `None` if there are none.
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// assert!(Rng::new(7).choose(&["tcp", "udp"]).is_some());
    /// assert_eq!(Rng::new(7).choose::<u8>(&[]), None);
    /// ```
    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len() as u64) as usize) }
    }

    /// Brings these into a random order, each as likely as the others (Fisher and Yates, from the end).
    ///
    /// ```
    /// # use uis_sim::Rng;
    /// let mut order = [1, 2, 3];
    /// Rng::new(7).shuffle(&mut order);
    /// order.sort();
    /// assert_eq!(order, [1, 2, 3]);
    /// ```
    pub fn shuffle<T>(&mut self, these: &mut [T]) {
        for last in (1..these.len()).rev() {
            these.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// What SplitMix64 adds at each step.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A step of SplitMix64: a bijection that mixes all bits.
pub(crate) fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(GAMMA);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the authors' C program and other implementations give.
    #[test]
    fn it_is_xoshiro256_plus_plus() {
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let expected = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
            14_011_001_112_246_962_877,
            12_406_186_145_184_390_807,
            15_849_039_046_786_891_736,
            10_450_023_813_501_588_000,
        ];
        assert_eq!(expected.map(|_| rng.next_u64()), expected);
    }

    #[test]
    fn the_state_is_filled_by_splitmix64() {
        let state =
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f, 0xf88b_b8a8_724c_81ec];
        assert_eq!(Rng::new(0).state, state);
    }

    /// These numbers are a promise: a replay from a seed relies on each. (They were computed by another program too.)
    #[test]
    fn what_is_derived_is_promised() {
        let mut rng = Rng::new(42);
        let drawn = [rng.below(1000), rng.range(5..6), rng.below(1 << 63), rng.below(u64::MAX)];
        assert_eq!(drawn, PROMISED);
        let mut bytes = [0; 11];
        rng.fill(&mut bytes);
        assert_eq!(bytes, PROMISED_BYTES);
        assert_eq!(rng.fraction(), PROMISED_FRACTION);
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
        rng.shuffle(&mut order);
        assert_eq!(order, PROMISED_ORDER);
    }

    const PROMISED: [u64; 4] = [814, 5, 9_074_821_957_992_740_550, 12_933_668_939_759_105_463];
    const PROMISED_BYTES: [u8; 11] = [115, 106, 132, 116, 56, 28, 35, 203, 125, 222, 80];
    const PROMISED_FRACTION: f64 = 0.1253524420627421;
    const PROMISED_ORDER: [u8; 8] = [6, 0, 7, 3, 2, 5, 1, 4];

    #[test]
    fn all_are_as_likely() {
        let mut rng = Rng::new(1);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }
}
