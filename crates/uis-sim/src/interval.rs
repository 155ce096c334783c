//! Ticks.

use std::time::Duration;

use uis_clock::{Instant, SharedClock};

/// A tick each period; from [`Sim::interval`](crate::Sim::interval).
#[derive(Clone, Debug)]
pub struct Interval {
    clock: SharedClock,
    period: Duration,
    next: Instant,
}

impl Interval {
    pub(crate) fn new(clock: SharedClock, period: Duration) -> Self {
        Self { next: clock.now(), clock, period }
    }

    /// Waits for the next tick and returns its time: the first at once, then one each period. Ticks that came while
    /// nobody waited follow at once, one each call, so none is lost.
    ///
    /// Cancel-safe.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().run(async |sim| {
    ///     let mut ticks = sim.interval(Duration::from_secs(2));
    ///     assert_eq!(ticks.tick().await.as_secs(), 0);
    ///     assert_eq!(ticks.tick().await.as_secs(), 2);
    ///     sim.sleep(Duration::from_secs(5)).await;
    ///     assert_eq!(ticks.tick().await.as_secs(), 4);
    ///     assert_eq!(ticks.tick().await.as_secs(), 6);
    ///     assert_eq!(ticks.tick().await.as_secs(), 8);
    ///     assert_eq!(sim.now().as_secs(), 8);
    /// });
    /// ```
    pub async fn tick(&mut self) -> Instant {
        let at = self.next;
        self.clock.sleep_until(at).await;
        self.next = at + self.period;
        at
    }
}
