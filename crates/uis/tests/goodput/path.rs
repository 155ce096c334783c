//! The path, which is the same for all: it loses packets of both directions at random, and delays what it does not lose.

use std::time::Duration;

use crate::common::{Frame, Instant, Internet, Rng, VirtualClock, ms};

/// What a path and the hosts at its ends are like, and how much is sent over it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Packets lost of 1,000.
    pub loss: u64,
    pub rtt: Duration,
    /// The send buffer and the receive buffer, in bytes.
    pub buffer: usize,
    /// Whether there is a target for it, so that chance must not have a part in it.
    pub is_target: bool,
}

/// What came of one transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    pub kilobits_per_second: u64,
    /// The longest time without a byte.
    pub stall: Duration,
}

impl Case {
    /// Bytes that are sent: as many as show some losses, where there are any, and few enough for a debug build.
    pub fn len(&self) -> usize {
        let len = if self.loss == 1 { 6 << 20 } else { 2 << 20 };
        if self.is_target { 2 * len } else { len }
    }

    /// How many seeds it is run with.
    fn seeds(&self) -> u64 {
        if self.is_target { 20 } else { 3 }
    }

    /// The median of the goodputs, and the longest of all stalls.
    pub fn measure(&self, run: fn(Self, u64) -> Run) -> Run {
        let runs: Vec<Run> = (0..self.seeds()).map(|seed| run(*self, seed)).collect();
        let mut goodputs: Vec<u64> = runs.iter().map(|run| run.kilobits_per_second).collect();
        goodputs.sort_unstable();
        let stall = runs.iter().map(|run| run.stall).max().unwrap_or(ms(0));
        Run { kilobits_per_second: goodputs[goodputs.len() / 2], stall }
    }

    /// Runs a transfer over the path. It gets an internet, and a meter of what it reads.
    pub fn run(self, seed: u64, transfer: impl AsyncFnOnce(&Internet, &mut Meter)) -> Run {
        let clock = VirtualClock::new();
        let internet = Internet::builder().clock(&clock).seed(seed).max_in_flight(1 << 16).build();
        let start = clock.now();
        let mut meter = Meter { last: start, left: self.len(), stall: ms(0) };
        let mut rng = Rng(seed);
        clock.block_on(internet.route_until(transfer(&internet, &mut meter), |internet, frame: Frame| {
            if rng.below(1000) >= self.loss {
                internet.deliver_after(frame, self.rtt / 2).expect("the path is wide");
            }
        }));
        assert!(meter.is_done(), "all of it arrives");
        let took = (meter.last - start).as_nanos();
        let kilobits_per_second = (self.len() as u128 * 8 * 1_000_000 / took) as u64;
        Run { kilobits_per_second, stall: meter.stall }
    }
}

/// Notes when bytes were read.
pub struct Meter {
    last: Instant,
    left: usize,
    stall: Duration,
}

impl Meter {
    pub fn on_read(&mut self, now: Instant, len: usize) {
        self.stall = self.stall.max(now - self.last);
        self.last = now;
        self.left -= len;
    }

    pub fn is_done(&self) -> bool {
        self.left == 0
    }
}
