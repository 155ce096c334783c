//! Many idle connections: what they cost one that is busy, and what they weigh.

use std::io;
use std::process::Command;
use std::sync::Arc;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, try_zip};
use futures_util::stream::FuturesUnordered;
use uis::{Internet, StackConfig, TcpListener, TcpStream};

use super::round_trips::{ask, echo};
use super::{Scenario, case};
use crate::args::{Options, RESIDENT};
use crate::case::{Case, LATENCIES, MEMORY, Taken};
use crate::facts;
use crate::lab::{self, Drive, Lab};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;

pub(crate) const IDLE: Scenario = Scenario {
    name: "idle",
    about: "TCP round trips beside idle connections between the same two stacks; and the memory of both ends of a connection",
    cases,
};

const COUNTS: [usize; 3] = [10, 1_000, 10_000];

/// How many connections go to one port of the server: there are 16,384 ephemeral ports for them.
const A_PORT: usize = 10_000;

/// How many handshakes are under way at once; half of them fit into the packets in flight twice over.
const AT_ONCE: usize = 256;

/// Too few to tell their memory from the process's other doings.
const TOO_FEW: usize = 1_000;

fn cases(options: &Options) -> Vec<Case> {
    let net = Net::usual(options);
    let counts = match options.idle {
        Some(count) => vec![count],
        None if options.quick => vec![COUNTS[0], COUNTS[2]],
        None => COUNTS.to_vec(),
    };
    let beside = |&count: &usize| {
        let subject = move |span| round_trips(net, count, span).map(Taken::latencies);
        let mut case = case("idle", "one thread", net, count, LATENCIES, Box::new(subject));
        case.label = format!("round trips beside {count} idle pairs");
        case.against("alone", net.mtu, move |span| round_trips(net, 0, span).map(Taken::latencies))
    };
    let mut cases: Vec<Case> = counts.iter().map(beside).collect();
    if let Some(&most) = counts.iter().max().filter(|&&count| count >= TOO_FEW) {
        for (small, mode) in [(false, "default buffers"), (true, "small buffers")] {
            let subject = move |_| Ok([weigh(most, small)? / 1e3].into());
            let mut case = case("idle", mode, net, most, &[MEMORY], Box::new(subject));
            case.label = format!("one of {most} pairs, {mode}");
            cases.push(case);
        }
    }
    cases
}

/// Round trips on one connection while `count` others are idle.
fn round_trips(net: Net, count: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let lab = Lab::new(net, StackConfig::small())?;
        let idle = block_on(lab.internet.route_until(connect_idle(&lab, count), Internet::deliver))?;
        let listener = lab.server.listen_tcp(lab.at)?;
        let result =
            lab.run(Drive::OneThread, meter, echo(listener), ask(lab.clone(), meter.clone()), lab::deliver);
        // Nobody routes any more: do not let 20,000 ends say goodbye to each other.
        lab.internet.close();
        drop(idle);
        result
    })
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

/// Bytes of a pair, as a fresh process sees them: in this one there is memory of earlier cases to be used again.
fn weigh(pairs: usize, small: bool) -> io::Result<f64> {
    let asked = format!("{pairs}{}", if small { ",small" } else { "" });
    let output = Command::new(std::env::current_exe()?).args([RESIDENT, &asked]).output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(message));
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, text))
}

/// What that fresh process does: bytes of one of so many idle pairs.
pub(crate) fn resident(pairs: usize, small: bool) -> io::Result<f64> {
    let config = if small { StackConfig::small() } else { StackConfig::default() };
    let lab = Arc::new(Lab::new(Net::usual(&Options::default()), config)?);
    let unknown = || io::Error::new(io::ErrorKind::Unsupported, "this system does not tell resident memory");
    // What is allocated once only, and what packets under way need, is there before the first look.
    let route = |count| block_on(lab.internet.route_until(connect_idle(&lab, count), Internet::deliver));
    drop(route(AT_ONCE)?);
    let before = facts::resident_bytes().ok_or_else(unknown)?;
    let ends = route(pairs)?;
    let after = facts::resident_bytes().ok_or_else(unknown)?;
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
        patiently(|span| round_trips(Net::usual(&Options::default()), 300, span));
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
