//! Calling several pieces of foreign code in a row when any of them may panic.
//!
//! For the crates of this project, which all call wakers, networks and closures of the user's. Others are free to use it,
//! but it may change.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Holds back the first panic until everybody has had their turn.
#[derive(Debug, Default)]
#[must_use = "a panic that is not resumed is lost"]
pub struct Panics {
    first: Option<Box<dyn Any + Send>>,
}

impl Panics {
    /// Calls `f`, and keeps its panic if it is the first. `None` if it panicked.
    pub fn catch<T>(&mut self, f: impl FnOnce() -> T) -> Option<T> {
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
    pub fn resume(self) {
        match self.first {
            Some(panic) if !thread::panicking() => resume_unwind(panic),
            _ => {}
        }
    }
}

/// Calls `f` for a destructor. Its panic goes on, but not while the thread is unwinding already: then it is lost, since a
/// second one would abort the process.
pub fn in_drop(f: impl FnOnce()) {
    if !thread::panicking() {
        return f();
    }
    let mut panics = Panics::default();
    panics.catch(f);
    panics.resume();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_panic_goes_on_when_all_were_called() {
        let mut called = 0;
        let run = || {
            let mut panics = Panics::default();
            assert_eq!(panics.catch(|| 5), Some(5));
            for text in ["first", "second"] {
                called += 1;
                assert_eq!(panics.catch(|| -> u8 { panic!("{text}") }), None);
            }
            panics.resume();
        };
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "first");
        assert_eq!(called, 2);
    }

    #[test]
    fn a_thread_that_unwinds_already_goes_on_with_its_own() {
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                in_drop(|| panic!("another one"));
            }
        }
        let payload = catch_unwind(|| {
            let _guard = Guard;
            panic!("its own");
        });
        assert_eq!(payload.unwrap_err().downcast_ref::<&str>().unwrap(), &"its own");
    }

    #[test]
    fn a_destructor_may_panic_alone() {
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                in_drop(|| panic!("alone"));
            }
        }
        let payload = catch_unwind(|| drop(Guard)).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>().unwrap(), &"alone");
    }
}
