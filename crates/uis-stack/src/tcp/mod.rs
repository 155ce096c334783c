//! TCP: one small smoltcp per connection, and all around it that smoltcp leaves out.
//!
//! From the inside out: the [`Engine`] is a connection as a state machine over bytes and times, with its own
//! retransmission timer ([`rto`]) and its [`shield`] against what smoltcp gets wrong; the [`Flow`] is the engine
//! under a lock, with its waiters and what it has to send; the [`Table`] finds the flow of a segment, and
//! [`time_wait`] remembers those that are closed; [`stream`], [`listener`] and [`connect`] are what users hold.

mod connect;
mod cwnd;
mod device;
mod engine;
mod flow;
mod flow_time;
mod header;
mod inbox;
mod isn;
mod key;
mod listener;
mod offer;
mod options;
mod persist;
mod pool;
mod recovery;
mod rto;
mod segmentation;
mod seq;
mod shield;
mod split;
mod stream;
mod table;
mod time_wait;
#[cfg(feature = "tokio")]
mod tokio;

pub use connect::Connect;
pub(crate) use engine::{Engine, Setup};
pub(crate) use flow::{End, Flow};
pub(crate) use key::FlowKey;
pub(crate) use listener::Backlog;
pub use listener::{Incoming, TcpListener};
pub use options::{Connection, TcpState, TcpTimer};
pub use split::{OwnedReadHalf, OwnedWriteHalf};
pub use stream::TcpStream;
pub(crate) use table::{KeyHasher, Table};
pub(crate) use time_wait::Reply;

use uis_clock::Instant;

use seq::Seq;

/// The initial sequence number of a connection: RFC 6528's, unless it follows a recent one on the same addresses and
/// that asks for a later one.
pub(crate) fn initial_isn(key: u64, flow: &FlowKey, now: Instant, least: Option<Seq>) -> u32 {
    let isn = Seq(isn::initial(key, flow.local(), flow.remote(), now));
    least.map_or(isn, |least| isn.max(least)).0
}
