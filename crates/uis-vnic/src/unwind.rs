//! Calling several pieces of foreign code in a row when any of them may panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Holds back the first panic until everybody has had their turn.
#[derive(Default)]
pub(crate) struct Panics {
    first: Option<Box<dyn Any + Send>>,
}

impl Panics {
    /// Calls `f`, and keeps its panic if it is the first. `None` if it panicked.
    pub(crate) fn catch<T>(&mut self, f: impl FnOnce() -> T) -> Option<T> {
        // Whoever passes `f` in owns what it captures and does not look at it again after a panic.
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.first.get_or_insert(panic);
                None
            }
        }
    }

    /// Goes on with the first panic, if there was one. A thread that is unwinding already goes on with its own:
    /// a second one would abort the process.
    pub(crate) fn resume(self) {
        match self.first {
            Some(panic) if !thread::panicking() => resume_unwind(panic),
            _ => {}
        }
    }
}
