//! Connections made, closed by the client, and made again.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::meter::{Meter, Reading, Span};

/// How many connections go to one listener. The kernel remembers each closed one for a minute, and has fewer
/// than 30,000 ports for them.
const A_LISTENER: usize = 10_000;

/// `at_once` connections at a time on one thread, counted in connections.
pub(crate) fn set_ups(at: IpAddr, at_once: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        meter.ready();
        while !meter.is_stopped() {
            let listener = fresh_listener(at)?;
            let to = listener.local_addr()?;
            let mut made = 0;
            while made < A_LISTENER && !meter.is_stopped() {
                let dialled = (0..at_once).map(|_| TcpStream::connect(to)).collect::<io::Result<Vec<_>>>()?;
                let accepted = (0..at_once).map(|_| listener.accept()).collect::<io::Result<Vec<_>>>()?;
                dialled.iter().try_for_each(|client| client.shutdown(Shutdown::Write))?;
                accepted.into_iter().try_for_each(|(server, _)| hear_the_end(server))?;
                dialled.into_iter().try_for_each(hear_the_end)?;
                made += at_once;
                meter.add(0, at_once);
            }
        }
        Ok(())
    })
}

/// One connection at a time between two threads, counted in connections.
pub(crate) fn set_ups_threads(at: IpAddr, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let first = fresh_listener(at)?;
        let to = Mutex::new(first.local_addr()?);
        let serve = || -> io::Result<()> {
            let mut listener = first;
            loop {
                for _ in 0..A_LISTENER {
                    let (server, _) = listener.accept()?;
                    if meter.is_stopped() {
                        return Ok(());
                    }
                    hear_the_end(server)?;
                }
                // One dial may be on its way to the old one; it is reset, and repeated.
                listener = fresh_listener(at)?;
                *lock(&to) = listener.local_addr()?;
            }
        };
        let dial = || -> io::Result<()> {
            meter.ready();
            while !meter.is_stopped() {
                let made = TcpStream::connect(*lock(&to)).and_then(|client| {
                    client.shutdown(Shutdown::Write)?;
                    hear_the_end(client)
                });
                match made {
                    Ok(()) => meter.add(0, 1),
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let server = scope.spawn(|| meter.ended(serve()));
            let client = meter.ended(dial());
            // It waits for one more connection, perhaps elsewhere by now.
            while !server.is_finished() {
                drop(TcpStream::connect(*lock(&to)));
                thread::sleep(Duration::from_millis(1));
            }
            server.join().expect("the server does not panic").and(client)
        })
    })
}

/// A listener whose address no closed connection of the last minute has, where the family allows that.
fn fresh_listener(at: IpAddr) -> io::Result<TcpListener> {
    // All of 127.0.0.0/8 is loopback.
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let fresh = Ipv4Addr::from_bits(0x7f00_0000 | (NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff).max(1));
    match at {
        // Not every system has all of these addresses.
        IpAddr::V4(_) => TcpListener::bind((fresh, 0)).or_else(|_| TcpListener::bind((at, 0))),
        IpAddr::V6(_) => TcpListener::bind((at, 0)),
    }
}

/// Reads the peer's end of the connection, and drops this one.
fn hear_the_end(mut stream: TcpStream) -> io::Result<()> {
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "nobody sends anything here")),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

fn lock(to: &Mutex<SocketAddr>) -> std::sync::MutexGuard<'_, SocketAddr> {
    to.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;

    #[test]
    fn connections_come_and_go() {
        let at = Ipv4Addr::LOCALHOST.into();
        patiently(|span| set_ups(at, 1, span));
        patiently(|span| set_ups(at, 20, span));
        patiently(|span| set_ups_threads(at, span));
    }
}
