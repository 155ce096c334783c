//! What the fuzzers do with their bytes. The stable tests do the same with the corpora and with random bytes.
//!
//! Each entry takes any bytes at all, reads from them what to do to a stack, and panics if that does something to the stack
//! which it must not. The bytes say everything: the clock is virtual and the seeds are fixed. It says how many packets it
//! has sent.
#![allow(dead_code, unreachable_pub, unused_imports)] // each user takes a part

mod fragments;
mod icmp;
mod inject;
mod input;
pub mod packet;
mod segments;
pub mod world;

pub use fragments::fragments;
pub use icmp::icmp;
pub use inject::inject;
pub use segments::segments;
