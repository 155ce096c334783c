//! One byte there, one byte back.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use super::{at_once, connect};
use crate::meter::{Meter, Reading, Span};

/// Over TCP on one thread, counted in round trips.
pub(crate) fn tcp_round_trips(at: IpAddr, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let (server, client) = connect(at, 1)?.remove(0);
        server.set_nonblocking(true)?;
        client.set_nonblocking(true)?;
        one_thread(
            meter,
            |byte| (&client).write(byte),
            |byte| (&server).read(byte).and_then(|n| (&server).write(&byte[..n])),
            |byte| (&client).read(byte),
        )
    })
}

/// Over TCP between two threads, counted in round trips.
pub(crate) fn tcp_round_trips_threads(at: IpAddr, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let (server, client) = connect(at, 1)?.remove(0);
        two_threads(meter, || echo(server), || ask(meter, client))
    })
}

/// Over UDP on one thread, counted in round trips.
pub(crate) fn udp_round_trips(at: IpAddr, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let (server, client) = sockets(at)?;
        server.set_nonblocking(true)?;
        client.set_nonblocking(true)?;
        one_thread(
            meter,
            |byte| client.send(byte),
            |byte| server.recv_from(byte).and_then(|(n, from)| server.send_to(&byte[..n], from)),
            |byte| client.recv(byte),
        )
    })
}

/// Over UDP between two threads, counted in round trips.
pub(crate) fn udp_round_trips_threads(at: IpAddr, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let (server, client) = sockets(at)?;
        // There is no hanging up here.
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        }
        let serve = || {
            let mut byte = [0];
            while !meter.is_stopped() {
                if let Some((_, from)) = in_time(server.recv_from(&mut byte))? {
                    server.send_to(&byte, from)?;
                }
            }
            Ok(())
        };
        let ask = || {
            let mut byte = [7];
            meter.ready();
            let mut times = meter.sampler();
            while !meter.is_stopped() {
                times.begin();
                client.send(&byte)?;
                if in_time(client.recv(&mut byte))?.is_some() {
                    times.end();
                    meter.add(0, 1);
                }
            }
            Ok(())
        };
        two_threads(meter, serve, ask)
    })
}

/// The server's socket, and one that is connected to it.
fn sockets(at: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    let server = UdpSocket::bind((at, 0))?;
    let client = UdpSocket::bind((at, 0))?;
    client.connect(server.local_addr()?)?;
    Ok((server, client))
}

fn one_thread(
    meter: &Meter,
    mut ask: impl FnMut(&[u8]) -> io::Result<usize>,
    mut answer: impl FnMut(&mut [u8]) -> io::Result<usize>,
    mut hear: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut byte = [7];
    meter.ready();
    let mut times = meter.sampler();
    while !meter.is_stopped() {
        times.begin();
        ask(&byte)?;
        // Loopback hands packets over at once, but it does not promise to.
        while !meter.is_stopped() && at_once(answer(&mut byte))?.is_none() {}
        while !meter.is_stopped() && at_once(hear(&mut byte))?.is_none() {}
        times.end();
        meter.add(0, 1);
    }
    Ok(())
}

fn two_threads(
    meter: &Meter,
    server: impl FnOnce() -> io::Result<()> + Send,
    client: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    thread::scope(|scope| {
        let server = scope.spawn(|| meter.ended(server()));
        let client = meter.ended(client());
        server.join().expect("the server does not panic").and(client)
    })
}

fn echo(mut server: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    loop {
        server.read_exact(&mut byte)?;
        server.write_all(&byte)?;
    }
}

fn ask(meter: &Meter, mut client: TcpStream) -> io::Result<()> {
    let mut byte = [7];
    meter.ready();
    let mut times = meter.sampler();
    while !meter.is_stopped() {
        times.begin();
        client.write_all(&byte)?;
        client.read_exact(&mut byte)?;
        times.end();
        meter.add(0, 1);
    }
    Ok(())
}

/// `None` for a call that took too long.
fn in_time<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::meter::tests::patiently;

    #[test]
    fn bytes_come_back() {
        for measure in [tcp_round_trips, tcp_round_trips_threads, udp_round_trips, udp_round_trips_threads] {
            patiently(|span| measure(Ipv4Addr::LOCALHOST.into(), span));
        }
    }
}
