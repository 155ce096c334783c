//! Who waits: receivers for frames, senders for room.
//!
//! Cloning, waking and dropping a waker runs foreign code, which must not happen under a lock. So these take and give
//! back wakers by value, and their caller clones before locking, and wakes and drops after unlocking.

use std::collections::{HashSet, VecDeque};
use std::task::Waker;

use uis_vnic::wakers::Wakeup;

/// The receivers that found the queue empty, each under a key of its own, so that a cancelled one leaves nothing
/// behind.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    waiting: Vec<(u64, Waker)>,
    last: u64,
}

impl Receivers {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether who has this key, if any, waits with this waker already.
    pub(crate) fn waits(&self, key: Option<u64>, waker: &Waker) -> bool {
        key.is_some_and(|id| self.waiting.iter().any(|(other, old)| *other == id && old.will_wake(waker)))
    }

    /// Waits under `key`, or under a new one that is put there. Gives back the waker that this replaces, if any.
    #[must_use = "to be dropped after unlocking"]
    pub(crate) fn wait(&mut self, key: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let id = *key.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        match self.waiting.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                self.waiting.push((id, waker));
                None
            }
        }
    }

    /// No longer waits under `key`, which gives back the waker.
    #[must_use = "to be dropped after unlocking"]
    pub(crate) fn leave(&mut self, key: &mut Option<u64>) -> Option<Waker> {
        let id = key.take()?;
        let at = self.waiting.iter().position(|(other, _)| *other == id)?;
        Some(self.waiting.remove(at).1)
    }

    /// All of them: whoever comes first takes the frames, and no wake-up is lost with one that is cancelled.
    pub(crate) fn drain(&mut self) -> Wakeup {
        let mut wakeup = Wakeup::default();
        wakeup.extend(self.waiting.drain(..).map(|(_, waker)| waker));
        wakeup
    }
}

/// The senders that wait for room, first come, first served.
#[derive(Debug, Default)]
pub(crate) struct RoomLine {
    line: VecDeque<Waker>,
    // A thousand flows may stand here, so whether one does already is not searched for. The wakers in the line keep
    // the data alive, so a key stays theirs.
    present: HashSet<(usize, usize)>,
}

impl RoomLine {
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Goes to the end of the line, or keeps its place: then here is the waker again.
    #[must_use = "to be dropped after unlocking"]
    pub(crate) fn join(&mut self, waker: Waker) -> Option<Waker> {
        if !self.present.insert(identity(&waker)) {
            return Some(waker);
        }
        self.line.push_back(waker);
        None
    }

    /// Whose turn it is.
    pub(crate) fn next(&mut self) -> Option<Waker> {
        let waker = self.line.pop_front()?;
        self.present.remove(&identity(&waker));
        Some(waker)
    }
}

/// What [`Waker::will_wake`] compares.
fn identity(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_receiver_has_one_place_and_leaves_none_behind() {
        let (a, b) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (wake_a, wake_b) = (Waker::from(a.clone()), Waker::from(b.clone()));
        let mut receivers = Receivers::default();
        let (mut one, mut two) = (None, None);
        assert!(!receivers.waits(one, &wake_a));
        assert!(receivers.wait(&mut one, wake_a.clone()).is_none());
        assert!(receivers.waits(one, &wake_a) && !receivers.waits(one, &wake_b));
        assert!(receivers.wait(&mut one, wake_b).unwrap().will_wake(&wake_a));
        assert!(receivers.wait(&mut two, wake_a.clone()).is_none());
        assert!(receivers.leave(&mut two).unwrap().will_wake(&wake_a));
        assert!(receivers.leave(&mut two).is_none());
        receivers.drain().wake();
        assert!(receivers.is_empty());
        assert_eq!((a.0.load(Ordering::Relaxed), b.0.load(Ordering::Relaxed)), (0, 1));
    }

    #[test]
    fn a_sender_keeps_its_place_in_line() {
        let wakers: Vec<Waker> = (0..3).map(|_| Waker::from(Arc::new(Count::default()))).collect();
        let mut line = RoomLine::default();
        let mut present = [false; 3];
        for at in [0, 1, 0, 2, 1] {
            let known = line.join(wakers[at].clone()).is_some();
            assert_eq!(known, std::mem::replace(&mut present[at], true));
        }
        assert!(line.next().unwrap().will_wake(&wakers[0]));
        assert!(line.join(wakers[0].clone()).is_none());
        for at in [1, 2, 0] {
            assert!(line.next().unwrap().will_wake(&wakers[at]));
        }
        assert!(line.next().is_none() && line.is_empty());
    }
}
