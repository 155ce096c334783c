//! Many idle connections: what they cost one that is busy, and what they weigh.

use std::io;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, try_zip};
use futures_util::stream::FuturesUnordered;
use uis::{Internet, StackConfig, TcpListener, TcpStream};

use super::resident::{self, Resident};
use super::round_trips::{ask, echo};
use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, LATENCIES, MEMORY, Taken};
use crate::facts;
use crate::lab::{self, Drive, Lab};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;

pub(crate) const IDLE: Scenario = Scenario {
    name: "idle",
    about: "TCP round trips beside idle connections between the same two stacks; and the memory of both ends of a \
            connection",
    cases,
};

const COUNTS: [usize; 4] = [10, 1_000, 10_000, 100_000];

/// How many connections go to one port of the server: there are 16,384 ephemeral ports for them.
const A_PORT: usize = 10_000;

/// How many handshakes are under way at once; half of them fit into the packets in flight twice over.
const AT_ONCE: usize = 256;

/// Fewer do not tell their memory from the process's other doings.
const ENOUGH: usize = 1_000;

/// What a pair may need, with some to spare.
const A_PAIR: u64 = 12 << 10;

fn cases(options: &Options) -> Vec<Case> {
    let net = Net::usual(options);
    let counts = match options.idle {
        Some(count) => vec![count],
        None if options.quick => vec![COUNTS[0], COUNTS[2]],
        None => COUNTS.to_vec(),
    };
    let mut cases: Vec<Case> = counts.iter().map(|&count| beside(net, Drive::OneThread, count)).collect();
    let threads = counts.iter().copied().filter(|&count| !options.quick && count <= COUNTS[2]).max();
    cases.extend(threads.map(|count| beside(net, Drive::Threads, count)));
    for &count in counts.iter().filter(|&&count| count >= ENOUGH) {
        for (small, mode) in [(true, "small buffers"), (false, "default buffers")] {
            let weigh = move |_| {
                has_room(count)?;
                Ok([resident::of(Resident::Pairs { count, small })? / 1e3].into())
            };
            let mut case =
                case("idle", mode, net, count, &[MEMORY], Box::new(weigh)).lasting(0.0, set_up(count));
            case.label = format!("one of {count} pairs, {mode}");
            cases.push(case);
        }
    }
    cases
}

fn beside(net: Net, drive: Drive, count: usize) -> Case {
    let subject = move |span| round_trips(net, drive, count, span).map(Taken::latencies);
    let case = case("idle", drive.name(), net, count, LATENCIES, Box::new(subject));
    let label = format!("{}, round trips beside {count} idle pairs", drive.name());
    Case { label, ..case }
        // Half of the turns are without them.
        .lasting(1.0, set_up(count) / 2.0)
        .against("alone", net.mtu, move |span| round_trips(net, drive, 0, span).map(Taken::latencies))
}

/// About how many seconds so many connections take to be made and forgotten.
fn set_up(count: usize) -> f64 {
    count as f64 * 40e-6
}

/// # Errors
///
/// `OutOfMemory` if there is none for so many connections.
fn has_room(count: usize) -> io::Result<()> {
    let needed = count as u64 * A_PAIR;
    match facts::available_bytes() {
        Some(bytes) if bytes < needed => {
            let text = format!("{} MB of memory are needed, {} MB are there", needed >> 20, bytes >> 20);
            Err(io::Error::new(io::ErrorKind::OutOfMemory, text))
        }
        _ => Ok(()),
    }
}

/// Round trips on one connection while `count` others are idle.
fn round_trips(net: Net, drive: Drive, count: usize, span: Span) -> io::Result<Reading> {
    has_room(count)?;
    let lab = Lab::new(net, StackConfig::small())?;
    let idle = block_on(lab.internet.route_until(connect_idle(&lab, count), Internet::deliver))?;
    let reading = Meter::measure(span, 1, |meter| {
        let listener = lab.server.listen_tcp(lab.at)?;
        lab.run(drive, meter, echo(listener), ask(lab.clone(), meter.clone()), lab::deliver)
    });
    // Nobody routes any more: do not let 20,000 ends say goodbye to each other.
    lab.internet.close();
    drop(idle);
    reading
}

/// Both ends of so many connections.
pub(crate) async fn connect_idle(lab: &Lab, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut ends = Vec::with_capacity(2 * count);
    let mut left = count;
    // Below the port that is busy later, if there are any, else above it.
    let first = if lab.at.port() > 1_000 { lab.at.port() - 1_000 } else { lab.at.port() + 1 };
    for port in first.. {
        if left == 0 {
            break;
        }
        let here = left.min(A_PORT);
        let mut at = lab.at;
        at.set_port(port);
        let listener = lab.server.listen_tcp(at)?;
        let dial = async {
            let mut streams = Vec::with_capacity(here);
            let mut dials = FuturesUnordered::new();
            for _ in 0..here {
                dials.push(lab.client.dial_tcp(at));
                if dials.len() == AT_ONCE {
                    streams.extend(dials.next().await.transpose()?);
                }
            }
            while let Some(stream) = dials.next().await {
                streams.push(stream?);
            }
            io::Result::Ok(streams)
        };
        let (accepted, dialled) = try_zip(accept(&listener, here), dial).await?;
        ends.extend(accepted);
        ends.extend(dialled);
        left -= here;
    }
    Ok(ends)
}

async fn accept(listener: &TcpListener, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(listener.accept().await?.0);
    }
    Ok(streams)
}

/// Bytes of one of so many idle pairs, in a process that has nothing else.
pub(super) fn weight(pairs: usize, small: bool) -> io::Result<f64> {
    let config = if small { StackConfig::small() } else { StackConfig::default() };
    let lab = Lab::new(Net::usual(&Options::default()), config)?;
    // What is allocated once only, and what packets under way need, is there before the first look.
    let route = |count| block_on(lab.internet.route_until(connect_idle(&lab, count), Internet::deliver));
    drop(route(AT_ONCE)?);
    let before = facts::resident_bytes()?;
    let ends = route(pairs)?;
    let after = facts::resident_bytes()?;
    lab.internet.close();
    drop(ends);
    Ok(after.saturating_sub(before) as f64 / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;

    #[test]
    fn one_is_busy_beside_the_idle_ones() {
        patiently(|span| round_trips(Net::usual(&Options::default()), Drive::OneThread, 300, span));
    }

    #[test]
    fn more_connections_than_a_port_has_room_for_go_to_more_ports() {
        let lab = Lab::new(Net::usual(&Options::default()), StackConfig::small()).unwrap();
        let count = A_PORT + 1;
        let ends = block_on(lab.internet.route_until(connect_idle(&lab, count), Internet::deliver)).unwrap();
        assert_eq!(ends.len(), 2 * count);
        assert_eq!(lab.server.connections().len(), count);
    }
}
