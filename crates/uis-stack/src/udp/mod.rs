//! UDP: datagram sockets, without smoltcp.
//!
//! From the inside out: the [`Queue`](queue::Queue) holds what was received and not read; a [`Binding`] is a socket as
//! the stack knows it, an address with a queue, those who wait, and the rest of a datagram that a full network has
//! taken a part of; the [`Table`] finds the binding of a datagram; the [`UdpSocket`] is what users hold.

mod binding;
mod meta;
mod outgoing;
mod queue;
mod socket;
mod table;

pub(crate) use binding::Binding;
pub use meta::UdpMeta;
pub use socket::UdpSocket;
pub(crate) use table::Table;
