//! Tasks that wait.

use std::collections::VecDeque;
use std::task::Waker;

use crate::unwind::Panics;

/// Distinct wakers, in the order in which they came.
///
/// Cloning, waking and dropping a waker runs foreign code, which must not happen under a lock. So this takes and
/// gives back wakers by value, and its caller clones before locking, and wakes and drops after unlocking.
#[derive(Default)]
pub(crate) struct Wakers {
    queue: VecDeque<Waker>,
}

impl Wakers {
    /// Keeps `waker`, unless it waits already: then here it is again.
    #[must_use = "to be dropped after unlocking"]
    pub(crate) fn insert(&mut self, waker: Waker) -> Option<Waker> {
        if self.queue.iter().any(|waiting| waiting.will_wake(&waker)) {
            return Some(waker);
        }
        self.queue.push_back(waker);
        None
    }

    /// Takes out the one that came first.
    pub(crate) fn pop(&mut self) -> Self {
        // Does not allocate unless there is one, as there seldom is.
        Self { queue: self.queue.pop_front().into_iter().collect() }
    }

    /// Takes out all of them.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Wakes all, in order. A waker that panics does not keep the others from being woken.
    pub(crate) fn wake(self, panics: &mut Panics) {
        for waker in self.queue {
            panics.catch(|| waker.wake());
        }
    }
}
