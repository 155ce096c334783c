//! How long each of many things took, in buckets whose width grows with the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A power of two is cut into so many buckets: each is at most an eighth wider than it is long.
const PARTS: u64 = 8;
/// The last bucket takes all from about half a minute.
const BUCKETS: usize = 264;

/// Of so many round trips one is timed. Reading the clock twice takes a tenth of the shortest of them.
const SAMPLED: u32 = 8;

/// Buckets that threads may add to while one reads them.
#[derive(Debug)]
pub(crate) struct Recorder(Box<[AtomicU64]>);

impl Default for Recorder {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Recorder {
    pub(crate) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Histogram {
        Histogram { counts: self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect() }
    }
}

/// Times one of several turns, and gives the time to a recorder.
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    into: &'a Recorder,
    turn: u32,
    began: Option<Instant>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(into: &'a Recorder) -> Self {
        Self { into, turn: 0, began: None }
    }

    pub(crate) fn begin(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.began = self.turn.is_multiple_of(SAMPLED).then(Instant::now);
    }

    pub(crate) fn end(&mut self) {
        if let Some(began) = self.began.take() {
            self.into.add(began.elapsed());
        }
    }
}

/// How many took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What came after `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now - then);
        Self { counts: counts.collect() }
    }

    /// This and that together.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// This share of them (0.5 for the median) took at most so many microseconds. None if there are none.
    pub(crate) fn within(&self, share: f64) -> Option<f64> {
        let wanted = (self.total() as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        for (at, &count) in self.counts.iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && seen + count >= wanted {
                // As if those of a bucket were spread evenly over it.
                let [from, to] = bounds(at);
                return Some(from + (to - from) * (wanted - seen) / count);
            }
            seen += count;
        }
        None
    }

    /// The buckets from the first to the last with anything in them: their bounds in microseconds, and their shares.
    pub(crate) fn bars(&self) -> Vec<([f64; 2], f64)> {
        let total = self.total().max(1) as f64;
        let used = |&at: &usize| self.counts[at] > 0;
        let all = 0..self.counts.len();
        let (Some(first), Some(last)) = (all.clone().find(used), all.rev().find(used)) else {
            return Vec::new();
        };
        (first..=last).map(|at| (bounds(at), self.counts[at] as f64 / total)).collect()
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < PARTS {
        return nanos as usize;
    }
    let octave = u64::from(nanos.ilog2()) - u64::from(PARTS.ilog2());
    let part = (nanos >> octave) - PARTS;
    (((octave + 1) * PARTS + part) as usize).min(BUCKETS - 1)
}

/// Where a bucket begins, and where the next one does, in microseconds.
fn bounds(bucket: usize) -> [f64; 2] {
    let begin = |bucket: u64| match bucket {
        0..PARTS => bucket as f64,
        _ => ((PARTS + bucket % PARTS) as f64) * 2_f64.powi((bucket / PARTS) as i32 - 1),
    };
    [begin(bucket as u64) / 1e3, begin(bucket as u64 + 1) / 1e3]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(nanos: &[u64]) -> Histogram {
        let recorder = Recorder::default();
        nanos.iter().for_each(|&nanos| recorder.add(Duration::from_nanos(nanos)));
        recorder.read()
    }

    #[test]
    fn every_time_is_within_the_bounds_of_its_bucket() {
        for nanos in (0..200).chain([999, 1_000, 123_456, 1 << 33, (1 << 33) + 1]) {
            let [from, to] = bounds(bucket(nanos));
            let micros = nanos as f64 / 1e3;
            assert!(from <= micros && micros < to, "{nanos}: {from} to {to}");
            assert!(nanos < 8 || to - from <= from / 8.0 + 1e-9, "{nanos}: {from} to {to}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn shares_are_found() {
        let all = histogram(&[1_000, 1_000, 1_000, 100_000]);
        assert!((1.0..1.2).contains(&all.within(0.5).unwrap()), "{all:?}");
        assert!((90.0..115.0).contains(&all.within(0.99).unwrap()), "{all:?}");
        assert_eq!(histogram(&[]).within(0.5), None);
        let bars = all.bars();
        assert_eq!((bars.first().unwrap().1, bars.last().unwrap().1), (0.75, 0.25));
        assert_eq!(histogram(&[]).bars(), []);
    }

    #[test]
    fn windows_are_cut_out_and_put_together() {
        let (before, after) = (histogram(&[10, 20]), histogram(&[10, 20, 20, 5_000]));
        let mut window = after.since(&before);
        assert_eq!(window, histogram(&[20, 5_000]));
        window.merge(&before);
        assert_eq!(window, after);
        let mut none = Histogram::default();
        none.merge(&before);
        assert_eq!(none, before);
    }

    #[test]
    fn one_of_eight_is_timed() {
        let recorder = Recorder::default();
        let mut sampler = Sampler::new(&recorder);
        for _ in 0..80 {
            sampler.begin();
            sampler.end();
        }
        assert_eq!(recorder.read().total(), 10);
    }
}
