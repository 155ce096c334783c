//! Which interface is meant.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names one [`Vnic`](crate::Vnic) for as long as the process runs; no two ever have the same.
///
/// Ids grow in the order in which the interfaces are made, so sorting by id is sorting by age. Their *values* count
/// every interface of the process, so a second run of the same scenario in the same process has other ones: compare
/// them and key maps by them, but let nothing that must replay, such as the bytes of a packet, a seed or a hash, follow
/// from one.
///
/// ```
/// use std::sync::Arc;
/// use uis_clock::SystemClock;
/// use uis_vnic::{MTU_ETHERNET, Vnic};
///
/// let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new())?;
/// assert!(a.id() < b.id());
/// assert_eq!(a.id(), a.clone().id());
/// assert!(a.id().to_string().starts_with("vnic"));
/// # Ok::<(), std::io::Error>(())
/// ```
// Not zero, so that an `Option<VnicId>` in every frame is no larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VnicId(NonZeroU64);

impl VnicId {
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    /// One that was not there before.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self(NonZeroU64::new(id).expect("64 bits of ids are never used up"))
    }
}

/// `vnic1`, `vnic2`, …
impl fmt::Display for VnicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vnic{}", self.0)
    }
}

/// As [`Display`](fmt::Display) shows it.
impl fmt::Debug for VnicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_small() {
        let (a, b) = (VnicId::next(), VnicId::next());
        assert!(a < b);
        assert_eq!(format!("{a} {a:?}"), format!("vnic{0} vnic{0}", a.0));
        assert_eq!(size_of::<Option<VnicId>>(), 8);
    }
}
