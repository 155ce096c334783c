//! Counters that several threads add to for each packet.
//!
//! Adding to a shared number costs several times what a load and a store do, and more when another core has just done it. So
//! a [`Tally`] has a lane for each of the first few threads, which nobody else writes.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many threads have a lane at a time. The others share one.
const LANES: usize = 8;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Tally {
    lanes: [AtomicU64; LANES],
    shared: AtomicU64,
}

impl Tally {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        // While the thread ends it may have no lane any more.
        match OWN.try_with(|lane| lane.0) {
            Ok(Some(own)) => {
                let lane = &self.lanes[own];
                lane.store(lane.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
            }
            _ => {
                self.shared.fetch_add(n, Ordering::Relaxed);
            }
        }
    }

    /// What was added so far: all of it that happened before this call, and perhaps more.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let lanes = self.lanes.iter().chain([&self.shared]);
        lanes.fold(0, |sum, lane| sum.wrapping_add(lane.load(Ordering::Relaxed)))
    }
}

/// A bit for each lane that a thread has.
static TAKEN: AtomicU64 = AtomicU64::new(0);

thread_local!(static OWN: Lane = Lane::take());

/// A thread's lane, until it ends.
struct Lane(Option<usize>);

impl Lane {
    fn take() -> Self {
        let free = |taken: u64| Some(taken.trailing_ones() as usize).filter(|&lane| lane < LANES);
        // Acquires what the thread wrote there that had it before.
        let before = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            free(taken).map(|lane| taken | 1 << lane)
        });
        Self(before.ok().and_then(free))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(lane) = self.0 {
            TAKEN.fetch_and(!(1 << lane), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn nothing_is_lost_however_many_threads_there_are() {
        const THREADS: u64 = 3 * LANES as u64;
        let tally = Tally::default();
        for _ in 0..10 {
            let all_there = Barrier::new(THREADS as usize);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        tally.add(1);
                        all_there.wait();
                        (0..1000).for_each(|_| tally.add(2));
                    });
                }
            });
        }
        assert_eq!(tally.sum(), 10 * THREADS * 2001);
    }

    #[test]
    fn a_thread_that_ends_leaves_its_lane() {
        let lanes = || {
            let all_there = Barrier::new(LANES);
            let lane = || {
                let lane = OWN.with(|lane| lane.0);
                all_there.wait();
                lane
            };
            thread::scope(|scope| {
                let threads: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            })
        };
        // Other tests may have some meanwhile.
        for _ in 0..100 {
            let mut lanes = lanes();
            let n = lanes.len();
            lanes.sort_unstable();
            lanes.dedup();
            assert_eq!(lanes.len(), n, "no two of those that lived at the same time had one lane");
        }
        assert!((0..1000).any(|_| !lanes().is_empty()), "they come back");
    }
}
