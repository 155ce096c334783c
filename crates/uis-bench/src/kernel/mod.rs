//! The second yardstick: the kernel's loopback, through the standard library's sockets.
//!
//! On one thread with sockets that do not block, driven in turn; with threads one for each end of each flow, in
//! blocking calls. The loopback interface has packets of up to 64 KiB and computes no checksums, whatever the
//! MTU of the case beside it.

mod bulk;
mod round_trips;
mod set_ups;

pub(crate) use bulk::{bulk, bulk_threads};
pub(crate) use round_trips::{
    tcp_round_trips, tcp_round_trips_threads, udp_round_trips, udp_round_trips_threads,
};
pub(crate) use set_ups::{set_ups, set_ups_threads};

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};

/// The name in the table.
pub(crate) const NAME: &str = "kernel";

/// So many connections: the server's ends and the client's.
fn connect(at: IpAddr, flows: usize) -> io::Result<Vec<(TcpStream, TcpStream)>> {
    let listener = TcpListener::bind((at, 0))?;
    let to = listener.local_addr()?;
    let pair = |_| {
        let client = TcpStream::connect(to)?;
        let (server, _) = listener.accept()?;
        for end in [&server, &client] {
            end.set_nodelay(true)?;
        }
        Ok((server, client))
    };
    (0..flows).map(pair).collect()
}

/// `None` for a call that would have blocked.
fn at_once(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
