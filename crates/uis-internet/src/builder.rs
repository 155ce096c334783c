//! The settings of an internet.

use uis_clock::SharedClock;

use crate::Internet;
use crate::inner::Inner;

/// How many packets may be in flight unless [`InternetBuilder::max_in_flight`] says otherwise.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 1024;

/// The settings of an [`Internet`]; from [`Internet::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct InternetBuilder {
    max_in_flight: usize,
    clock: SharedClock,
    seed: u64,
}

impl InternetBuilder {
    pub(crate) fn new() -> Self {
        Self { max_in_flight: DEFAULT_MAX_IN_FLIGHT, clock: SharedClock::default(), seed: 0 }
    }

    /// How many packets may wait in the queue, and as many again in the delay line: at least 1 (0 counts as 1), by
    /// default [`DEFAULT_MAX_IN_FLIGHT`].
    ///
    /// TCP segments with a payload may use seven eighths of the queue, so that handshakes, acknowledgments, datagrams
    /// and ICMP get through beside them. Packets that a cancelled router puts back may exceed the bound for a moment, by
    /// at most 64.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// assert_eq!(Internet::builder().max_in_flight(16).build().max_in_flight(), 16);
    /// ```
    pub fn max_in_flight(mut self, n: usize) -> Self {
        self.max_in_flight = n.max(1);
        self
    }

    /// The clock, by default the system's.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// use uis_clock::VirtualClock;
    ///
    /// let clock = VirtualClock::new();
    /// let internet = Internet::builder().clock(&clock).build();
    /// assert_eq!(internet.clock().now(), clock.now());
    /// ```
    pub fn clock(mut self, c: impl Into<SharedClock>) -> Self {
        self.clock = c.into();
        self
    }

    /// What the stacks' initial sequence numbers, ports and the like are drawn from, by default 0. Each stack gets a
    /// seed of its own, which follows from this one and from how many stacks were made before it.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// assert_eq!(Internet::builder().seed(42).build().seed(), 42);
    /// ```
    pub fn seed(mut self, s: u64) -> Self {
        self.seed = s;
        self
    }

    /// The internet.
    #[must_use]
    pub fn build(self) -> Internet {
        Internet::handle(Inner::new(self.max_in_flight, self.clock, self.seed), true)
    }
}
