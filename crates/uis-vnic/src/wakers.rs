//! Tasks that wait for the same thing, such as one direction of a socket.
//!
//! Cloning, waking and dropping a waker runs foreign code, which must not happen under a lock. So a [`WakerSet`] is filled
//! under its lock with a waker that [`wait`] has cloned before, and emptied into a [`Wakeup`], which is dropped after it.
//!
//! For the crates of this project. Others are free to use it, but it may change.

use std::task::{Poll, Waker};

use uis_clock::unwind::Panics;

/// Every distinct waker since the last wake, so that several tasks may wait in one direction.
///
/// It is filled under a lock and emptied into a list that is woken after unlocking.
#[derive(Debug, Default)]
pub struct WakerSet {
    // Nearly always there is one.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl WakerSet {
    /// Keeps the waker until the next [`drain_into`](Self::drain_into), once.
    pub fn insert(&mut self, waiting: &mut Waiting<'_>) {
        let kept = self.first.iter().chain(&self.rest).any(|kept| kept.will_wake(waiting.waker));
        if kept {
            return;
        }
        match waiting.clone.take() {
            None => waiting.wants_clone = true,
            Some(waker) if self.first.is_none() => self.first = Some(waker),
            Some(waker) => self.rest.push(waker),
        }
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes out the one that came first, if there is one.
    pub fn pop(&mut self) -> Wakeup {
        let first = self.first.take();
        if !self.rest.is_empty() {
            self.first = Some(self.rest.remove(0));
        }
        Wakeup { first, rest: Vec::new() }
    }

    /// Takes out all of them.
    pub fn take(&mut self) -> Wakeup {
        let mut wake = Wakeup::default();
        self.drain_into(&mut wake);
        wake
    }

    /// Moves all of them to `wake`, in the order in which they came.
    pub fn drain_into(&mut self, wake: &mut Wakeup) {
        if let Some(first) = self.first.take() {
            wake.push(first);
            for waker in self.rest.drain(..) {
                wake.push(waker);
            }
        }
    }
}

/// A waker that is to be kept in a [`WakerSet`].
///
/// Cloning a waker runs code of the user's, so it is not done under the lock that guards the set.
#[derive(Debug)]
pub struct Waiting<'a> {
    waker: &'a Waker,
    clone: Option<Waker>,
    wants_clone: bool,
}

/// Polls with an attempt that locks, and inserts into a set under its lock if it has to wait. It is made again if a clone
/// of the waker was wanted for that.
pub fn wait<T>(waker: &Waker, mut attempt: impl FnMut(&mut Waiting<'_>) -> Poll<T>) -> Poll<T> {
    let mut waiting = Waiting { waker, clone: None, wants_clone: false };
    loop {
        let polled = attempt(&mut waiting);
        if !std::mem::take(&mut waiting.wants_clone) || polled.is_ready() {
            return polled;
        }
        waiting.clone = Some(waker.clone());
    }
}

/// Wakers that are due: collected under a lock, woken when this is dropped after the lock is released.
///
/// So they are woken too when what happens in between unwinds. A waker that panics does not keep the others from
/// being woken.
#[derive(Debug, Default)]
#[must_use = "wakers are woken when this is dropped, which must not be under a lock"]
pub struct Wakeup {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakeup {
    /// Adds one, to be woken after those that are there.
    pub fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push(waker),
        }
    }

    /// Whether nobody is to be woken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Wakes them: the same as dropping, where it should be seen.
    pub fn wake(self) {}
}

impl Extend<Waker> for Wakeup {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}

impl Wakeup {
    fn wake_all(&mut self) {
        let mut panics = Panics::default();
        for waker in self.first.take().into_iter().chain(self.rest.drain(..)) {
            panics.catch(|| waker.wake());
        }
        panics.resume();
    }
}

impl Drop for Wakeup {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            self.wake_all();
        }
    }
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

    struct Panicking;
    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("a waker of the user's");
        }
    }

    #[test]
    fn each_distinct_waker_is_woken_once() {
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let mut set = WakerSet::default();
        for _ in 0..2 {
            for count in &counts {
                let polled: Poll<()> = wait(&Waker::from(count.clone()), |waiting| {
                    set.insert(waiting);
                    Poll::Pending
                });
                assert!(polled.is_pending());
            }
        }
        // `will_wake` compares the data pointer, so a second `Waker` of the same task is the same.
        let mut wakeup = Wakeup::default();
        set.drain_into(&mut wakeup);
        assert!(set.is_empty());
        drop(wakeup);
        assert!(counts.iter().all(|c| c.0.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn a_panicking_waker_does_not_lose_the_others() {
        let count = Arc::new(Count::default());
        let mut wakeup = Wakeup::default();
        wakeup.push(Waker::from(count.clone()));
        wakeup.push(Waker::from(Arc::new(Panicking)));
        wakeup.push(Waker::from(Arc::new(Panicking)));
        wakeup.push(Waker::from(count.clone()));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(wakeup))).unwrap_err();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn they_are_taken_in_the_order_in_which_they_came() {
        let wakers: Vec<Waker> = (0..4).map(|_| Waker::from(Arc::new(Count::default()))).collect();
        let mut set = WakerSet::default();
        assert!(set.pop().first.is_none());
        for waker in &wakers {
            let polled: Poll<()> = wait(waker, |waiting| {
                set.insert(waiting);
                Poll::Pending
            });
            assert!(polled.is_pending());
        }
        for waker in &wakers[..2] {
            assert!(set.pop().first.as_ref().unwrap().will_wake(waker));
        }
        let rest = set.take();
        assert!(rest.first.as_ref().unwrap().will_wake(&wakers[2]));
        assert!(rest.rest[0].will_wake(&wakers[3]) && rest.rest.len() == 1);
        assert!(set.is_empty());
    }
}
