//! Packet captures for uis: pcap files of raw IP packets.
//!
//! Who routes the packets of a virtual internet hands each one that is of interest to a [`PcapTrace`];
//! what comes out opens in Wireshark, tshark, tcpdump, or any library that reads pcap: link type
//! `LINKTYPE_RAW` (101), time stamps in nanoseconds.
//!
//! ```
//! use std::time::Duration;
//!
//! use uis_clock::VirtualClock;
//! use uis_pcap::PcapTrace;
//!
//! # fn main() -> std::io::Result<()> {
//! # let dir = std::env::temp_dir().join(format!("uis-pcap-lib-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # let path = dir.join("lossy.pcap");
//! let time = VirtualClock::new();
//! let trace = PcapTrace::builder().clock(time.handle()).create(&path)?;
//!
//! for packet in [[0x45; 40], [0x46; 40], [0x47; 40]] {
//!     trace.dump(&packet); // stamped now, written later
//!     time.advance(Duration::from_millis(10));
//! }
//!
//! trace.close()?; // flushes, and tells of the first error
//! # std::fs::remove_dir_all(&dir)
//! # }
//! ```
//!
//! # What holds
//!
//! - *Traffic goes on.* [`dump`](PcapTrace::dump) copies the packet into a bounded buffer; a thread of the
//!   trace's own does the writing. A writer that is slow, stuck, failing or panicking costs packets of the
//!   capture, never of the traffic. All that a full buffer may cost those who dump is a moment for a writer
//!   that is getting on to make room ([`patience`](PcapTraceBuilder::patience)).
//! - *What is missing is counted.* [`dropped`](PcapTrace::dropped) has the number, and
//!   [`close`](PcapTrace::close) the reason.
//! - *A stamp is when the packet was dumped*, by the trace's clock, or what the caller said
//!   ([`dump_at`](PcapTrace::dump_at)); never when the writer got to it. The same packets at the same
//!   virtual times give the same file, byte for byte.
//! - *Bytes are bytes.* This crate knows [`uis_clock`] and slices; no frame, stack or internet. A packet
//!   that is malformed is captured as it is.

mod format;
mod queue;
mod trace;
mod writer;

pub use format::{DEFAULT_SNAP_LEN, MAX_SNAP_LEN, Precision};
pub use trace::{DEFAULT_BUFFER, PcapTrace, PcapTraceBuilder};
