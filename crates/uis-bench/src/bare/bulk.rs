//! A download.

use std::io;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;

use super::{Pair, broken, tcp_socket};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;
use crate::{READ, WRITE};

/// `flows` downloads at once, counted in bytes.
pub(crate) fn bulk(net: Net, flows: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, flows, |meter| {
        let mut pair = Pair::new(net);
        let (senders, receivers) = connect(&mut pair, net, flows)?;
        let chunk = vec![0x5a; WRITE];
        let mut into = vec![0; READ];
        (0..flows).for_each(|_| meter.ready());
        while !meter.is_stopped() {
            for &sender in &senders {
                let socket = pair.server.sockets.get_mut::<tcp::Socket>(sender);
                // One write at a time: what lies in the ring for long has left the cache.
                if socket.send_queue() < WRITE {
                    socket.send_slice(&chunk).map_err(broken)?;
                }
            }
            pair.turn();
            for (flow, &receiver) in receivers.iter().enumerate() {
                let socket = pair.client.sockets.get_mut::<tcp::Socket>(receiver);
                loop {
                    let n = socket.recv_slice(&mut into).map_err(broken)?;
                    if n == 0 {
                        break;
                    }
                    meter.add(flow, n);
                }
            }
        }
        Ok(())
    })
}

/// So many connections: the server's ends and the client's.
pub(super) fn connect(
    pair: &mut Pair,
    net: Net,
    flows: usize,
) -> io::Result<(Vec<SocketHandle>, Vec<SocketHandle>)> {
    let (mut accepted, mut dialled) = (Vec::new(), Vec::new());
    for flow in 0..flows {
        let mut listener = tcp_socket();
        listener.listen(net.at()).map_err(broken)?;
        let listener = pair.server.sockets.add(listener);
        let mut socket = tcp_socket();
        let port = 49_152 + u16::try_from(flow).map_err(broken)?;
        socket.connect(pair.client.iface.context(), net.at(), port).map_err(broken)?;
        let socket = pair.client.sockets.add(socket);
        // One after the other: a flow's SYN goes to the first socket that listens.
        pair.turn_until(|pair| {
            pair.server.sockets.get::<tcp::Socket>(listener).state() == tcp::State::Established
                && pair.client.sockets.get::<tcp::Socket>(socket).state() == tcp::State::Established
        })?;
        accepted.push(listener);
        dialled.push(socket);
    }
    Ok((accepted, dialled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Options;
    use crate::meter::tests::patiently;

    #[test]
    fn every_flow_of_either_family_gets_something() {
        for net in Net::families(&Options::default(), 1_500) {
            assert_eq!(patiently(|span| bulk(net, 3, span)).lanes.len(), 3);
        }
    }
}
