//! One byte there, one byte back.

use std::io;

use smoltcp::socket::{tcp, udp};

use super::bulk::connect;
use super::{Pair, broken};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;

/// Over TCP, counted in round trips.
pub(crate) fn tcp_round_trips(net: Net, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let mut pair = Pair::new(net);
        let (server, client) = connect(&mut pair, net, 1)?;
        let (server, client) = (server[0], client[0]);
        meter.ready();
        let mut byte = [7];
        let mut times = meter.sampler();
        while !meter.is_stopped() {
            times.begin();
            let now = pair.now();
            pair.client.sockets.get_mut::<tcp::Socket>(client).send_slice(&byte).map_err(broken)?;
            pair.client.send(now);
            pair.server.receive(now, &mut pair.client);
            let socket = pair.server.sockets.get_mut::<tcp::Socket>(server);
            if socket.recv_slice(&mut byte).map_err(broken)? == 1 {
                socket.send_slice(&byte).map_err(broken)?;
            }
            pair.server.send(now);
            pair.client.receive(now, &mut pair.server);
            let socket = pair.client.sockets.get_mut::<tcp::Socket>(client);
            if socket.recv_slice(&mut byte).map_err(broken)? != 1 {
                return Err(broken("a byte did not come back"));
            }
            times.end();
            meter.add(0, 1);
        }
        Ok(())
    })
}

/// Over UDP, counted in round trips.
pub(crate) fn udp_round_trips(net: Net, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let mut pair = Pair::new(net);
        let mut bind = |host: usize, port: u16| {
            let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(port).map_err(broken)?;
            let host = if host == 0 { &mut pair.server } else { &mut pair.client };
            io::Result::Ok(host.sockets.add(socket))
        };
        let (server, client) = (bind(0, net.port)?, bind(1, 50_000)?);
        meter.ready();
        let mut byte = [7];
        let mut times = meter.sampler();
        while !meter.is_stopped() {
            times.begin();
            let now = pair.now();
            let socket = pair.client.sockets.get_mut::<udp::Socket>(client);
            socket.send_slice(&byte, net.at()).map_err(broken)?;
            pair.client.send(now);
            pair.server.receive(now, &mut pair.client);
            let socket = pair.server.sockets.get_mut::<udp::Socket>(server);
            let (_, from) = socket.recv_slice(&mut byte).map_err(broken)?;
            socket.send_slice(&byte, from.endpoint).map_err(broken)?;
            pair.server.send(now);
            pair.client.receive(now, &mut pair.server);
            pair.client.sockets.get_mut::<udp::Socket>(client).recv_slice(&mut byte).map_err(broken)?;
            times.end();
            meter.add(0, 1);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Options;
    use crate::meter::tests::patiently;

    #[test]
    fn bytes_come_back() {
        for net in Net::families(&Options::default(), 1_500) {
            patiently(|span| tcp_round_trips(net, span));
            patiently(|span| udp_round_trips(net, span));
        }
    }
}
