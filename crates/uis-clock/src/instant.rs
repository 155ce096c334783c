//! A point in the time of a clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A point in time: nanoseconds since the epoch of the clock that it came from.
///
/// It reaches 584 years. Arithmetic saturates at both ends, so no sum of times can overflow or panic.
/// Instants of different clocks have nothing to do with each other, except that all
/// [`SystemClock`](crate::SystemClock)s of a process share one epoch.
///
/// ```
/// use std::time::Duration;
/// use uis_clock::Instant;
///
/// let start = Instant::from_millis(250);
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later - start, Duration::from_secs(2));
/// assert_eq!(start - later, Duration::ZERO);
/// assert_eq!(later.to_string(), "2.250000000s");
/// assert_eq!(later + Duration::MAX, Instant::MAX);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// The epoch: where the clock's time begins. Also the default.
    pub const ZERO: Self = Self { nanos: 0 };

    /// The end of time, 584 years after the epoch. As a deadline it means "never".
    pub const MAX: Self = Self { nanos: u64::MAX };

    /// The instant `nanos` nanoseconds after the epoch.
    ///
    /// ```
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::from_nanos(7).as_nanos(), 7);
    /// ```
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// The instant `micros` microseconds after the epoch, or [`Instant::MAX`] if that is beyond it.
    ///
    /// ```
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::from_micros(7).as_nanos(), 7_000);
    /// assert_eq!(Instant::from_micros(u64::MAX), Instant::MAX);
    /// ```
    pub const fn from_micros(micros: u64) -> Self {
        Self { nanos: micros.saturating_mul(1_000) }
    }

    /// The instant `millis` milliseconds after the epoch, or [`Instant::MAX`] if that is beyond it.
    ///
    /// ```
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::from_millis(7).as_micros(), 7_000);
    /// ```
    pub const fn from_millis(millis: u64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// The instant `secs` seconds after the epoch, or [`Instant::MAX`] if that is beyond it.
    ///
    /// ```
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::from_secs(7).as_millis(), 7_000);
    /// ```
    pub const fn from_secs(secs: u64) -> Self {
        Self { nanos: secs.saturating_mul(NANOS_PER_SEC) }
    }

    /// Whole nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// Whole microseconds since the epoch, rounded down.
    pub const fn as_micros(self) -> u64 {
        self.nanos / 1_000
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.nanos / 1_000_000
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.nanos / NANOS_PER_SEC
    }

    /// The time from the epoch to this instant.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::from_secs(3).since_epoch(), Duration::from_secs(3));
    /// ```
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The time from `earlier` to this instant, zero if `earlier` is later. `self - earlier` is the
    /// same.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::Instant;
    /// let (a, b) = (Instant::from_secs(3), Instant::from_secs(5));
    /// assert_eq!(b.duration_since(a), Duration::from_secs(2));
    /// assert_eq!(a.duration_since(b), Duration::ZERO);
    /// ```
    #[doc(alias = "saturating_duration_since")]
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// The time from `earlier` to this instant, `None` if `earlier` is later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::Instant;
    /// let (a, b) = (Instant::from_secs(3), Instant::from_secs(5));
    /// assert_eq!(b.checked_duration_since(a), Some(Duration::from_secs(2)));
    /// assert_eq!(a.checked_duration_since(b), None);
    /// ```
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.nanos.checked_sub(earlier.nanos) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }

    /// This instant and `d`, `None` if that is beyond [`Instant::MAX`]. `+` saturates instead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::ZERO.checked_add(Duration::from_secs(1)), Some(Instant::from_secs(1)));
    /// assert_eq!(Instant::MAX.checked_add(Duration::from_nanos(1)), None);
    /// ```
    pub fn checked_add(self, d: Duration) -> Option<Self> {
        let nanos = u64::try_from(d.as_nanos()).ok()?;
        Some(Self { nanos: self.nanos.checked_add(nanos)? })
    }

    /// This instant less `d`, `None` if that is before the epoch. `-` saturates instead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::Instant;
    /// assert_eq!(Instant::from_secs(1).checked_sub(Duration::from_secs(1)), Some(Instant::ZERO));
    /// assert_eq!(Instant::ZERO.checked_sub(Duration::from_nanos(1)), None);
    /// ```
    pub fn checked_sub(self, d: Duration) -> Option<Self> {
        let nanos = u64::try_from(d.as_nanos()).ok()?;
        Some(Self { nanos: self.nanos.checked_sub(nanos)? })
    }
}

/// A duration in nanoseconds, cut off at 584 years. Two multiplications cheaper than `as_nanos`,
/// whose 128 bits the hot path does not need.
pub(crate) const fn saturating_nanos(d: Duration) -> u64 {
    d.as_secs().saturating_mul(NANOS_PER_SEC).saturating_add(d.subsec_nanos() as u64)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, d: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(saturating_nanos(d)) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, d: Duration) -> Self {
        Self { nanos: self.nanos.saturating_sub(saturating_nanos(d)) }
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, d: Duration) {
        *self = *self - d;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Seconds since the epoch with all nine digits, so that columns of them line up: `2.250000000s`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:09}s", self.as_secs(), self.nanos % NANOS_PER_SEC))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: Duration = Duration::from_nanos(1);

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + NS, Instant::MAX);
        assert_eq!(Instant::MAX + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::ZERO - NS, Instant::ZERO);
        assert_eq!(Instant::MAX - Duration::MAX, Instant::ZERO);
        assert_eq!(Instant::ZERO - Instant::MAX, Duration::ZERO);
        assert_eq!(Instant::MAX - Instant::ZERO, Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn every_duration_of_64_bits_is_exact() {
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!(saturating_nanos(longest), u64::MAX);
        assert_eq!(saturating_nanos(longest - NS), u64::MAX - 1);
        assert_eq!(saturating_nanos(longest + NS), u64::MAX);
        assert_eq!(Instant::ZERO.checked_add(longest), Some(Instant::MAX));
        assert_eq!(Instant::ZERO.checked_add(longest + NS), None);
        assert_eq!(Instant::MAX.checked_sub(longest), Some(Instant::ZERO));
    }

    #[test]
    fn assigning_operators_do_the_same() {
        let mut at = Instant::from_secs(1);
        at += Duration::from_millis(1);
        assert_eq!(at, Instant::from_millis(1_001));
        at -= Duration::from_secs(2);
        assert_eq!(at, Instant::ZERO);
    }

    #[test]
    fn is_shown_in_seconds_that_line_up() {
        assert_eq!(Instant::ZERO.to_string(), "0.000000000s");
        assert_eq!(Instant::from_nanos(12_000_000_345).to_string(), "12.000000345s");
        assert_eq!(format!("{:>14}", Instant::from_secs(1)), "  1.000000000s");
        assert_eq!(format!("{:?}", Instant::from_secs(1)), "Instant(1.000000000s)");
    }
}
