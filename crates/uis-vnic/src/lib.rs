//! The link layer of uis: raw IP frames, and the virtual network interfaces that exchange them.
//!
//! A [`Vnic`] is where a stack and a network meet:
//!
//! ```text
//!   a stack, or a VnicPort                      an internet, or a wire
//!  ┌─────────────────────┐      Vnic      ┌────────────────────────────┐
//!  │  vnic.send(frame) ──┼──► MTU, ───────┼─► VnicNetwork::send_frame  │
//!  │                     │    sent_at,    │                            │
//!  │  Dispatcher::       │    sent_by     │                            │
//!  │  receive_frame ◄────┼─── MTU, ◄──────┼── vnic.inject_frame(frame) │
//!  └─────────────────────┘    trimming    └────────────────────────────┘
//! ```
//!
//! - What goes through is a [`Frame`]: one IPv4 or IPv6 packet, from its IP header on, with when it was sent and by whom.
//! - Out: [`Vnic::send`] checks the length, stamps the frame, and hands it to the [`VnicNetwork`]. The network takes
//!   it, or loses it and says why ([`SendError::Dropped`]), or has no room and gives it back ([`SendError::Full`]); then
//!   [`VnicNetwork::on_room`] wakes who wants to try again.
//! - In: [`Vnic::inject_frame`] checks that there is a whole IP packet within the MTU, and hands it to the attached
//!   [`Dispatcher`] on the calling thread. Or it gives the frame back with the reason ([`Undelivered`]), and counts that.
//! - [`Vnic::pair`] is the smallest network: two interfaces back to back.
//! - [`VnicPort`] is the raw end of a Vnic for code that handles packets itself, and a device of [`smoltcp`].
//!
//! What this layer never does: queue what it delivers (a [`VnicPort`] does, and a pair's wire while it is busy); look
//! at addresses, ports, or anything above the IP header's lengths, unless it is asked for checksums; hold a lock
//! while it calls a network, a receiver, a waker or a hook; read any clock but the one it was given; spawn anything.
//!
//! # Example
//!
//! Two raw endpoints on one wire:
//!
//! ```
//! use uis_clock::SystemClock;
//! use uis_vnic::{DropReason, MTU_ETHERNET, Vnic, VnicPort};
//!
//! let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new())?;
//! let (a, b) = (VnicPort::new(a, 16)?, VnicPort::new(b, 16)?);
//!
//! let mut packet = vec![0; 20];
//! packet[0] = 0x45; // IPv4, a header of five words
//! packet[3] = 20; // total length
//! packet[16..20].copy_from_slice(&[10, 0, 0, 2]);
//! a.send(packet)?;
//!
//! let mut frame = b.try_recv().expect("it was delivered at once");
//! assert_eq!(frame.dst(), Some([10, 0, 0, 2].into()));
//! assert_eq!(frame.sent_by(), Some(a.vnic().id()));
//! assert!(!frame.verify_checksums());
//! frame.fix_checksums();
//! assert!(frame.verify_checksums());
//!
//! assert_eq!(b.send(vec![0x45; 9]).unwrap_err().reason(), DropReason::Malformed);
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod buffer;
mod checksum;
mod device;
mod error;
mod frame;
mod header;
mod id;
mod network;
mod pair;
mod port;
#[doc(hidden)]
pub mod recent;
pub mod rfc1071;
#[doc(hidden)]
pub mod tally;
mod vnic;
#[doc(hidden)]
pub mod wakers;

pub use device::{RxToken, TxToken};
pub use error::{DropReason, SendError, Undelivered};
pub use frame::Frame;
pub use id::VnicId;
pub use network::{Dispatcher, VnicNetwork};
pub use port::VnicPort;
/// The version of smoltcp that [`VnicPort`] is a device for.
#[doc(no_inline)]
pub use smoltcp;
pub use vnic::{MTU_ETHERNET, MTU_JUMBO, MTU_MINIMUM_IPV6, Vnic, WeakVnic};
