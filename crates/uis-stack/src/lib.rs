//! The TCP/IP stack of uis: streams, listeners and datagram sockets over a virtual network interface.
//!
//! A [`Stack`] sits on a [`Vnic`](uis_vnic::Vnic). Raw IP packets come in from it and go out to it; on the other side
//! are [`TcpStream`], [`TcpListener`] and [`UdpSocket`], whose futures run on any executor.
//!
//! There is no task, thread or runtime behind a stack. Work is done where it arises: in the caller's read or write, in
//! whoever delivers a packet, and in the clock's wake-up. Time comes from the Vnic's clock alone.
//!
//! TCP itself is [smoltcp](https://docs.rs/smoltcp)'s, one small instance per connection. Finding the connection of a
//! packet, listening, retransmission timers, TIME-WAIT, UDP, fragments and ICMP are this crate's, and so are the checks
//! that a segment passes before smoltcp sees it.
//!
//! What this layer never does: look up a name; know a route; sleep; hold a lock while it calls a network or a waker.
//!
//! # Features
//!
//! - `tokio`: tokio's `AsyncRead` and `AsyncWrite` for streams and their halves, and `TokioNet`.
//! - `out-of-order-32` (default): room for 32 out-of-order holes per connection, where smoltcp has 4.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod endpoint;
mod fragment;
mod host;
mod icmp;
mod ingress;
mod net;
mod paths;
mod ports;
mod rng;
mod stack;
mod stats;
mod tcp;
mod timers;
mod udp;
mod wire;

pub use config::{Congestion, Keepalive, StackConfig};
pub use endpoint::ToEndpoint;
#[cfg(feature = "tokio")]
pub use net::TokioNet;
pub use net::{
    Accept, AsyncIoListener, AsyncIoNet, AsyncIoStream, AsyncIoUdpSocket, Connector, Datagrams, Dial, Listen,
    ListenConfig,
};
pub use stack::{Stack, WeakStack};
pub use stats::StackStats;
pub use tcp::{
    Connect, Connection, Incoming, OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpState, TcpStream, TcpTimer,
};
pub use udp::{UdpMeta, UdpSocket};
pub use wire::DiscardReason;
