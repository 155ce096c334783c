//! What a thread has looked up last.
//!
//! A packet is looked up by its addresses in shared tables, and even the lock of a table that nobody changes costs as much
//! as handling the packet. So a thread keeps the last few answers, and each says for which state of its table it holds.
//! What is kept must be harmless to keep: it is dropped when its place is taken, or with the thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many answers a thread keeps of a kind. They are found by one number, so a new one takes the place of another.
const SLOTS: usize = 16;

/// The state of a table, and which table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    table: u64,
    changes: u64,
}

/// Counts the changes of a table that make answers wrong.
#[derive(Debug)]
pub struct Changes {
    table: u64,
    changes: AtomicU64,
}

impl Default for Changes {
    fn default() -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        Self { table: TABLES.fetch_add(1, Ordering::Relaxed), changes: AtomicU64::new(0) }
    }
}

impl Changes {
    /// The state of the table, to be read before an answer is looked up in it.
    #[inline]
    pub fn stamp(&self) -> Stamp {
        Stamp { table: self.table, changes: self.changes.load(Ordering::Acquire) }
    }

    /// An answer that somebody may have got is wrong from here on.
    pub fn happened(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// Answers of one kind, for a thread local.
#[derive(Debug)]
pub struct Recent<K, V> {
    slots: [Option<(Stamp, K, V)>; SLOTS],
}

impl<K: Eq, V> Recent<K, V> {
    /// None.
    #[allow(clippy::new_without_default)] // which would not be `const`
    pub const fn new() -> Self {
        Self { slots: [const { None }; SLOTS] }
    }

    /// Takes the answer for `key`, if it is there and holds. It should be [kept](Self::keep) again after use.
    #[inline]
    pub fn take(&mut self, at: usize, stamp: Stamp, key: &K) -> Option<V> {
        let slot = &mut self.slots[at % SLOTS];
        match slot {
            Some((held, known, _)) if *held == stamp && known == key => {
                slot.take().map(|(_, _, value)| value)
            }
            _ => None,
        }
    }

    /// Keeps an answer, and gives back what was in its place: to be dropped when the thread local is not borrowed.
    #[inline]
    #[must_use]
    pub fn keep(&mut self, at: usize, stamp: Stamp, key: K, value: V) -> Option<V> {
        self.slots[at % SLOTS].replace((stamp, key, value)).map(|(_, _, old)| old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_until_its_table_changes() {
        let (one, other) = (Changes::default(), Changes::default());
        let mut recent = Recent::new();
        assert_eq!(recent.keep(3, one.stamp(), "key", 7), None);
        assert_eq!(recent.take(3, other.stamp(), &"key"), None, "another table");
        assert_eq!(recent.take(3, one.stamp(), &"else"), None);
        assert_eq!(recent.take(4, one.stamp(), &"key"), None);
        assert_eq!(recent.take(3, one.stamp(), &"key"), Some(7));
        assert_eq!(recent.take(3, one.stamp(), &"key"), None, "it is in use");
        assert_eq!(recent.keep(3, one.stamp(), "key", 7), None);
        one.happened();
        assert_eq!(recent.take(3, one.stamp(), &"key"), None);
        assert_eq!(recent.keep(3 + SLOTS, one.stamp(), "key", 8), Some(7), "in its place");
    }
}
