//! A download.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::thread;

use super::{at_once, connect};
use crate::meter::{Meter, Reading, Span};
use crate::{READ, WRITE};

/// `flows` downloads at once on one thread, counted in bytes.
pub(crate) fn bulk(at: IpAddr, flows: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, flows, |meter| {
        let mut pairs = connect(at, flows)?;
        for (server, client) in &pairs {
            server.set_nonblocking(true)?;
            client.set_nonblocking(true)?;
        }
        let chunk = vec![0x5a; WRITE];
        let mut into = vec![0; READ];
        (0..flows).for_each(|_| meter.ready());
        while !meter.is_stopped() {
            for (flow, (server, client)) in pairs.iter_mut().enumerate() {
                at_once(server.write(&chunk))?;
                while let Some(n) = at_once(client.read(&mut into))? {
                    meter.add(flow, n);
                }
            }
        }
        Ok(())
    })
}

/// `flows` downloads at once, with a thread for each end, counted in bytes.
pub(crate) fn bulk_threads(at: IpAddr, flows: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, flows, |meter| {
        let pairs = connect(at, flows)?;
        thread::scope(|scope| {
            let mut ends = Vec::new();
            for (flow, (server, client)) in pairs.into_iter().enumerate() {
                ends.push(scope.spawn(move || meter.ended(send(server))));
                ends.push(scope.spawn(move || meter.ended(receive(meter, flow, client))));
            }
            ends.into_iter().try_for_each(|end| end.join().expect("neither end panics"))
        })
    })
}

/// Until the client hangs up.
fn send(mut server: TcpStream) -> io::Result<()> {
    let chunk = vec![0x5a; WRITE];
    loop {
        server.write_all(&chunk)?;
    }
}

fn receive(meter: &Meter, flow: usize, mut client: TcpStream) -> io::Result<()> {
    let mut into = vec![0; READ];
    meter.ready();
    while !meter.is_stopped() {
        let n = client.read(&mut into)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        meter.add(flow, n);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;
    use std::net::Ipv4Addr;

    #[test]
    fn every_flow_gets_something() {
        for measure in [bulk, bulk_threads] {
            let reading = patiently(|span| measure(Ipv4Addr::LOCALHOST.into(), 2, span));
            assert_eq!(reading.lanes.len(), 2);
        }
    }
}
