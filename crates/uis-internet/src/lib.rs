//! The virtual internet of uis: routes, packets in flight, delivery.
//!
//! Every interface of the simulation sends into one queue, and nothing leaves it unless the caller takes it out:
//!
//! ```text
//!   stacks, ports        Internet                       the caller
//!  ┌─────┐  send    ┌───────────────────┐
//!  │Vnic ├─────────►│ packets in flight ├──► InFlight, route, route_until, spawn_router
//!  └─────┘          │ (bounded, FIFO)   │        │  look, keep, change, drop, copy, invent
//!  ┌─────┐  inject  ├───────────────────┤        ▼
//!  │Vnic │◄─────────┤ routes: who has   │◄── deliver, deliver_many
//!  └─────┘          │ which address     │◄── deliver_after, deliver_at (the delay line)
//!                   └───────────────────┘
//! ```
//!
//! - What comes in: whole IP packets, as [`Frame`](uis_vnic::Frame)s, from the [`Vnic`](uis_vnic::Vnic)s that
//!   [`Internet::new_vnic`] makes. When the queue is full the sender gets its frame back, and is woken, in turn with the
//!   others, when there is room; while others wait, no bulk gets past them. The last eighth of the queue is kept for packets that are not TCP segments with a
//!   payload, so that a bulk transfer does not starve handshakes, acknowledgments, datagrams and ICMP.
//! - What goes out: the same packets, to the Vnic whose address is their destination, on the thread that delivers them.
//!   Or back to the caller, with the reason.
//! - What is counted: everything. [`Internet::stats`] says what became of each frame, and the counters add up.
//!
//! What this layer never does: move a packet by itself (the delay line does, but the caller put the packet there); look
//! into a packet beyond its destination address and whether it is a TCP segment with a payload; change one, or its time
//! to live; send one of its own, not even an ICMP error; hold a lock while it calls a receiver, a waker, a clock or a
//! closure of the caller's; wait on a thread; read any clock but the one it was given.
//!
//! # Example
//!
//! Most programs use whole hosts, from [`Internet::new_stack`], where the example is a download. What follows needs no
//! stack: two raw endpoints, and a router that loses the first packet:
//!
//! ```
//! use uis_internet::Internet;
//! use uis_vnic::{MTU_ETHERNET, VnicPort};
//!
//! # futures_lite::future::block_on(async {
//! let internet = Internet::new();
//! let client = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
//! let server = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
//! internet.add_route(server.vnic(), ["10.0.0.1".parse()?])?;
//!
//! let mut packet = vec![0; 20];
//! packet[0] = 0x45; // IPv4, a header of five words
//! packet[3] = 20; // total length
//! packet[16..20].copy_from_slice(&[10, 0, 0, 1]);
//!
//! let test = async {
//!     packet[5] = 1; // identification
//!     client.send(packet.clone())?;
//!     packet[5] = 2;
//!     client.send(packet)?;
//!     std::io::Result::Ok(server.recv().await.expect("open"))
//! };
//! let mut seen = 0;
//! let frame = internet.route_until(test, |internet, frame| {
//!     seen += 1;
//!     if seen > 1 {
//!         let _ = internet.deliver(frame);
//!     }
//! }).await?;
//! assert_eq!(frame.packet()[5], 2);
//!
//! let stats = internet.stats();
//! assert_eq!((stats.sent, stats.delivered, stats.withheld()), (2, 1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod bulk;
mod delay;
mod delivery;
mod hosts;
mod in_flight;
mod inner;
mod internet;
mod queue;
mod route;
mod routes;
mod spawn;
mod stats;
mod wakers;

pub use builder::{DEFAULT_MAX_IN_FLIGHT, InternetBuilder};
pub use in_flight::InFlight;
pub use internet::Internet;
pub use spawn::RouterGuard;
pub use stats::InternetStats;
