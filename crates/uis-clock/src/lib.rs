//! Time for a simulated internet: one handle, three clocks.
//!
//! Everything in `uis` that needs the time asks a clock for it, and everything that must happen later
//! arms a timer on that clock. Nothing sleeps, and nothing but [`SystemClock`] reads the time of the
//! machine. So the same program runs in real time, in virtual time, or in the paused time of a tokio
//! test, and which one it is gets decided once, where the clock is made.
//!
//! | clock | time moves | timers fire |
//! |---|---|---|
//! | [`SystemClock`] | by itself, monotonic | on the background thread of `async-io`, with no executor running |
//! | [`VirtualClock`] | when [`advance`](VirtualClock::advance)d, or inside [`VirtualClock::block_on`] | on the thread that moves the time |
//! | `TokioClock` (feature `tokio`) | with tokio's clock, also when that is paused | in a task of the runtime |
//!
//! What comes in is a deadline and a [`Waker`](std::task::Waker); what goes out is a wake-up once the
//! deadline has come. Most users never see that: they hold a [`SharedClock`], the cheap handle that
//! hides which clock it is, and call [`sleep`](SharedClock::sleep) and
//! [`timeout`](SharedClock::timeout) on it. A clock of your own is an `impl` of [`Clock`] away.
//!
//! What no clock of this crate ever does:
//!
//! - run a waker while it holds a lock, or from inside [`wake_at`](Clock::wake_at);
//! - wake a timer before its deadline, or one whose [`TimerGuard`] was dropped before it came due;
//! - step back, overflow or panic near the ends of time: arithmetic on [`Instant`] saturates;
//! - lose a timer because the waker of another one panicked.
//!
//! # Example
//!
//! An hour passes in no time:
//!
//! ```
//! use std::time::Duration;
//! use uis_clock::{Instant, VirtualClock};
//!
//! let clock = VirtualClock::new();
//! let handle = clock.handle();
//! clock.block_on(async {
//!     handle.sleep(Duration::from_secs(3600)).await;
//!     let answer = handle.timeout(Duration::from_secs(5), std::future::pending::<()>()).await;
//!     assert!(answer.is_err());
//! });
//! assert_eq!(clock.now(), Instant::from_secs(3605));
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod instant;
mod queue;
mod shared;
mod sleep;
mod system;
#[cfg(feature = "tokio")]
mod tokio_clock;
#[doc(hidden)]
mod treadmill;
pub mod unwind;
mod virtual_clock;

pub use clock::{Clock, TimerGuard};
pub use instant::Instant;
pub use shared::SharedClock;
pub use sleep::{Elapsed, Sleep, Timeout};
pub use system::SystemClock;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use tokio_clock::TokioClock;
pub use virtual_clock::VirtualClock;
