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
    /// Calls `f`, and keeps its panic if it is the first.
    pub(crate) fn catch(&mut self, f: impl FnOnce()) {
        // Whoever passes `f` in does not look at what it captures again after a panic.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            self.first.get_or_insert(panic);
        }
    }

    /// Goes on with the first panic, if there was one. A thread that is unwinding already goes on with its own: a
    /// second one would abort the process.
    pub(crate) fn resume(self) {
        match self.first {
            Some(panic) if !thread::panicking() => resume_unwind(panic),
            _ => {}
        }
    }
}
