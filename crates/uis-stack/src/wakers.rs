//! The tasks that wait for one direction of a socket.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

/// Every distinct waker since the last wake, so that several tasks may wait in one direction.
///
/// It is filled under a lock and emptied into a list that is woken after unlocking.
#[derive(Debug, Default)]
pub(crate) struct WakerSet {
    // Nearly always there is one.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl WakerSet {
    /// Keeps the waker until the next [`drain_into`](Self::drain_into), once.
    pub(crate) fn insert(&mut self, waiting: &mut Waiting<'_>) {
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

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Moves all of them to `wake`, in the order in which they came.
    pub(crate) fn drain_into(&mut self, wake: &mut Wakeup) {
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
pub(crate) struct Waiting<'a> {
    waker: &'a Waker,
    clone: Option<Waker>,
    wants_clone: bool,
}

/// Polls with an attempt that locks, and inserts into a set under its lock if it has to wait. It is made again if a clone
/// of the waker was wanted for that.
pub(crate) fn wait<T>(waker: &Waker, mut attempt: impl FnMut(&mut Waiting<'_>) -> Poll<T>) -> Poll<T> {
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
pub(crate) struct Wakeup {
    first: Option<Waker>,
    rest: VecDeque<Waker>,
}

impl Wakeup {
    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push_back(waker),
        }
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        while let Some(waker) = self.first.take().or_else(|| self.rest.pop_front()) {
            if std::thread::panicking() {
                // A second panic while unwinding would abort the process.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
            } else {
                // If this unwinds, dropping `rest` goes on with the others.
                let mut rest = Wakeup { first: None, rest: std::mem::take(&mut self.rest) };
                waker.wake();
                self.rest = std::mem::take(&mut rest.rest);
            }
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

    struct Panics;
    impl Wake for Panics {
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
        wakeup.push(Waker::from(Arc::new(Panics)));
        wakeup.push(Waker::from(Arc::new(Panics)));
        wakeup.push(Waker::from(count.clone()));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(wakeup))).unwrap_err();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
