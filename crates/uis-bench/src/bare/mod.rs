//! The first yardstick: a bare pair of smoltcp interfaces.
//!
//! Two interfaces, a socket set each, a queue of packets in each direction, one thread that drives all of it in
//! turn. Checksums are made and verified; buffers are as large as those of uis by default. Nothing waits, nothing
//! wakes, nothing is routed: what an application could at best get out of smoltcp in one process.

mod bulk;
mod host;
mod round_trips;
mod set_ups;
mod wire;

pub(crate) use bulk::bulk;
pub(crate) use round_trips::{tcp_round_trips, udp_round_trips};
pub(crate) use set_ups::set_ups;

use std::time::Instant;

use smoltcp::socket::tcp;

use self::host::Host;
use crate::net::Net;

/// The name in the table.
pub(crate) const NAME: &str = "smoltcp";

/// Bytes of each ring: what a stack of uis gives a connection by default.
const RING: usize = 1 << 20;

/// The two hosts and what is between them.
struct Pair {
    client: Host,
    server: Host,
    began: Instant,
}

impl Pair {
    fn new(net: Net) -> Self {
        Self {
            client: Host::new(net.client, net.server, net.mtu),
            server: Host::new(net.server, net.client, net.mtu),
            began: Instant::now(),
        }
    }

    fn now(&self) -> smoltcp::time::Instant {
        let micros = self.began.elapsed().as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Moves a burst of packets from server to client, and one back.
    fn turn(&mut self) {
        let now = self.now();
        self.server.send(now);
        self.client.receive(now, &mut self.server);
        self.client.send(now);
        self.server.receive(now, &mut self.client);
    }

    /// Turns until `done`, or says that it never came to be.
    fn turn_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> std::io::Result<()> {
        // Nothing is lost here, so all that is waited for takes a few turns.
        const PATIENCE: u32 = 1_000_000;
        for _ in 0..PATIENCE {
            self.turn();
            if done(self) {
                return Ok(());
            }
        }
        Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the bare pair makes no progress"))
    }
}

/// A socket set up as those of uis are.
fn tcp_socket() -> tcp::Socket<'static> {
    let ring = || tcp::SocketBuffer::new(vec![0; RING]);
    let mut socket = tcp::Socket::new(ring(), ring());
    socket.set_congestion_control(tcp::CongestionControl::Cubic);
    socket.set_nagle_enabled(false);
    socket
}

/// Errors of smoltcp come from a wrong call here.
fn broken(error: impl std::fmt::Debug) -> std::io::Error {
    std::io::Error::other(format!("smoltcp: {error:?}"))
}
