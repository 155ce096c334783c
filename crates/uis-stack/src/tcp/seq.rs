//! TCP sequence numbers: 32 bits, compared modulo 2³² (RFC 9293 §3.4).

use std::cmp::Ordering;
use std::ops::{Add, Sub};

/// A sequence number. The order is that of RFC 9293: it holds between numbers less than 2³¹ apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    pub(crate) fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    pub(crate) fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }

    /// How far `self` is ahead of `other`, or 0 when it is behind.
    pub(crate) fn since(self, other: Self) -> u32 {
        if self < other { 0 } else { self - other }
    }
}

impl PartialOrd for Seq {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.0.wrapping_sub(other.0) as i32).partial_cmp(&0)
    }
}

impl Add<u32> for Seq {
    type Output = Self;
    fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

impl Sub<u32> for Seq {
    type Output = Self;
    fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }
}

impl Sub for Seq {
    type Output = u32;
    fn sub(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_wraps() {
        for at in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let a = Seq(at);
            assert_eq!(a.partial_cmp(&(a + 1)), Some(Ordering::Less));
            assert_eq!(a.partial_cmp(&(a - 1)), Some(Ordering::Greater));
            assert_eq!(a.partial_cmp(&(a + 0x7fff_ffff)), Some(Ordering::Less));
            assert_eq!((a + 5).since(a), 5);
            assert_eq!(a.since(a + 5), 0);
            assert_eq!(a.max(a + 1), a + 1);
        }
    }
}
