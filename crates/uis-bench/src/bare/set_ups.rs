//! Connections made, closed by the client, and made again.

use std::io;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};

use super::{Pair, broken, tcp_socket};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;

/// `at_once` connections at a time, counted in connections. Sockets are used again, without their TIME-WAIT:
/// the least that it can cost.
pub(crate) fn set_ups(net: Net, at_once: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let mut pair = Pair::new(net);
        let servers: Vec<_> = (0..at_once).map(|_| pair.server.sockets.add(tcp_socket())).collect();
        let clients: Vec<_> = (0..at_once).map(|_| pair.client.sockets.add(tcp_socket())).collect();
        let mut ports = (49_152..=u16::MAX).cycle();
        meter.ready();
        while !meter.is_stopped() {
            for (&server, &client) in servers.iter().zip(&clients) {
                pair.server.sockets.get_mut::<Socket>(server).listen(net.at()).map_err(broken)?;
                let socket = pair.client.sockets.get_mut::<Socket>(client);
                // Ends TIME-WAIT. What was connected then would be reset, had it been asked for packets before.
                socket.abort();
                let port = ports.next().expect("it cycles");
                socket.connect(pair.client.iface.context(), net.at(), port).map_err(broken)?;
            }
            pair.turn_until(|pair| {
                all(&pair.server.sockets, &servers, State::Established)
                    && all(&pair.client.sockets, &clients, State::Established)
            })?;
            close(&mut pair.client.sockets, &clients);
            pair.turn_until(|pair| all(&pair.server.sockets, &servers, State::CloseWait))?;
            close(&mut pair.server.sockets, &servers);
            pair.turn_until(|pair| {
                all(&pair.server.sockets, &servers, State::Closed)
                    && all(&pair.client.sockets, &clients, State::TimeWait)
            })?;
            meter.add(0, at_once);
        }
        Ok(())
    })
}

fn all(sockets: &SocketSet<'_>, handles: &[SocketHandle], state: State) -> bool {
    handles.iter().all(|&handle| sockets.get::<Socket<'_>>(handle).state() == state)
}

fn close(sockets: &mut SocketSet<'static>, handles: &[SocketHandle]) {
    handles.iter().for_each(|&handle| sockets.get_mut::<Socket<'_>>(handle).close());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Options;
    use crate::meter::tests::patiently;

    #[test]
    fn connections_come_and_go() {
        for at_once in [1, 5] {
            let net = Net::usual(&Options::default());
            let reading = patiently(|span| set_ups(net, at_once, span));
            assert_eq!(reading.lanes[0] % at_once as u64, 0, "{reading:?}");
        }
    }
}
