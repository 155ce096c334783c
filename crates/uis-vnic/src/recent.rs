//! What a thread has looked up last.
//!
//! A packet is looked up by its addresses in shared tables, and even the lock of a table that nobody changes costs as much
//! as handling the packet. So a thread keeps the last few answers, and each says for which state of its table it holds.
//! What is kept must be harmless to keep: it is dropped when its place is taken, or with the thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

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

/// Where an answer is kept. The same place in two tables, as that of the two ends of a connection, is not the same here.
#[inline]
fn slot(at: usize, stamp: Stamp) -> usize {
    at.wrapping_add(stamp.table as usize) % SLOTS
}

/// Answers of one kind, for a thread local.
#[derive(Debug)]
pub struct Recent<K, V> {
    slots: [Option<(Stamp, K, V)>; SLOTS],
}

impl<K: Copy + Eq, V> Recent<K, V> {
    /// None.
    #[allow(clippy::new_without_default)] // which would not be `const`
    pub const fn new() -> Self {
        Self { slots: [const { None }; SLOTS] }
    }

    /// The answer for `key`, if it is there and holds.
    #[inline]
    fn get(&self, at: usize, stamp: Stamp, key: &K) -> Option<&V> {
        match &self.slots[slot(at, stamp)] {
            Some((held, known, value)) if *held == stamp && known == key => Some(value),
            _ => None,
        }
    }

    /// Keeps an answer, and gives back what was in its place: to be dropped when the thread local is not borrowed.
    fn keep(&mut self, at: usize, stamp: Stamp, key: K, value: V) -> Option<V> {
        self.slots[slot(at, stamp)].replace((stamp, key, value)).map(|(_, _, old)| old)
    }

    /// What `with` makes of the answer for `key`, which is what the thread remembers in place `at`, or else what `look_up`
    /// finds. `None` if there is none.
    ///
    /// Meanwhile the thread may come here again: it finds what it remembers, and learns nothing.
    #[inline]
    pub fn ask<R>(
        known: &'static LocalKey<RefCell<Self>>,
        (at, key): (usize, &K),
        changes: &Changes,
        look_up: impl FnOnce() -> Option<V>,
        mut with: impl FnMut(&V) -> R,
    ) -> Option<R> {
        let stamp = changes.stamp();
        // While the thread ends there may be no memory left.
        let result = known.try_with(|known| {
            let known = known.try_borrow().ok()?;
            known.get(at, stamp, key).map(&mut with)
        });
        if let Ok(Some(result)) = result {
            return Some(result);
        }
        let value = look_up()?;
        let result = with(&value);
        if changes.stamp() == stamp {
            let replaced = known.try_with(|known| {
                known.try_borrow_mut().ok().and_then(|mut known| known.keep(at, stamp, *key, value))
            });
            drop(replaced);
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local!(static KNOWN: RefCell<Recent<&'static str, u8>> = const { RefCell::new(Recent::new()) });

    /// The answer for this key, where `found` is what the table says.
    fn ask(at: usize, key: &'static str, table: &Changes, found: Option<u8>) -> Option<u8> {
        Recent::ask(&KNOWN, (at, &key), table, || found, |value| *value)
    }

    #[test]
    fn an_answer_holds_until_its_table_changes() {
        let (one, other) = (Changes::default(), Changes::default());
        assert_eq!(ask(3, "key", &one, None), None);
        assert_eq!(ask(3, "key", &one, Some(7)), Some(7));
        assert_eq!(ask(3, "key", &one, None), Some(7));
        assert_eq!(ask(3, "key", &other, None), None, "another table");
        assert_eq!(ask(3, "else", &one, None), None);
        assert_eq!(ask(4, "key", &one, None), None);
        one.happened();
        assert_eq!(ask(3, "key", &one, Some(8)), Some(8));
        assert_eq!(ask(3 + SLOTS, "other", &one, Some(9)), Some(9));
        assert_eq!(ask(3, "key", &one, None), None, "its place was taken");
    }

    #[test]
    fn two_tables_do_not_take_each_others_place() {
        let [one, other] = [1, 2].map(|table| Changes { table, changes: AtomicU64::new(0) });
        assert_eq!(ask(9, "key", &one, Some(1)), Some(1));
        assert_eq!(ask(9, "key", &other, Some(2)), Some(2));
        assert_eq!((ask(9, "key", &one, None), ask(9, "key", &other, None)), (Some(1), Some(2)));
    }

    #[test]
    fn what_changes_meanwhile_is_not_kept() {
        let table = Changes::default();
        let changing = |value: &u8| {
            table.happened();
            *value
        };
        assert_eq!(Recent::ask(&KNOWN, (5, &"key"), &table, || Some(1), changing), Some(1));
        assert_eq!(ask(5, "key", &table, None), None);
    }

    #[test]
    fn it_may_be_used_while_it_is_used() {
        let table = Changes::default();
        assert_eq!(ask(0, "outer", &table, Some(1)), Some(1));
        let inner = |outer: &u8| {
            (
                *outer,
                ask(0, "outer", &table, None),
                ask(1, "inner", &table, Some(2)),
                ask(1, "inner", &table, None),
            )
        };
        let result = Recent::ask(&KNOWN, (0, &"outer"), &table, || None, inner);
        assert_eq!(result, Some((1, Some(1), Some(2), None)), "it learns nothing meanwhile");
    }
}
