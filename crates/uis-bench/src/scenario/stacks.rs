//! Many hosts: what it takes to make a stack, what one weighs, and how a thousand of them get on.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_util::stream::FuturesUnordered;
use uis::{Internet, Stack, StackConfig, TcpListener, TcpStream};

use super::resident::{self, Resident};
use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, FAIRNESS, Metric, ROUND_TRIPS, Taken};
use crate::facts;
use crate::lab::{self, Drive, Lab};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;

pub(crate) const STACKS: Scenario = Scenario {
    name: "stacks",
    about: "stacks made and dropped on one internet; what one weighs; and many of them, each in TCP round trips of a byte \
            with one server at the same time",
    cases,
};

const MADE: Metric = Metric { name: "stacks", unit: "1/s" };
const MEMORY: Metric = Metric { name: "memory per stack", unit: "kB" };

/// How many stacks are many.
const MANY: usize = 1_000;

fn cases(options: &Options) -> Vec<Case> {
    let net = Net::usual(options);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut cases = Vec::new();
    for (mode, threads) in [("one thread", 1), ("threads", threads)] {
        let subject = move |span| made(net, threads, span).map(Taken::rate);
        let mut case = case("stacks", mode, net, 1, &[MADE], Box::new(subject));
        case.label = match threads {
            1 => format!("{mode}, made and dropped"),
            n => format!("{mode}, made and dropped by {n} at once"),
        };
        cases.push(case);
    }
    let weigh = |_| Ok([resident::of(Resident::Stacks(MANY))? / 1e3].into());
    let mut weight =
        case("stacks", "default buffers", net, MANY, &[MEMORY], Box::new(weigh)).lasting(0.0, 0.1);
    weight.label = format!("one of {MANY} stacks, without connections");
    cases.push(weight);
    let drives: &[Drive] =
        if options.quick { &[Drive::OneThread] } else { &[Drive::OneThread, Drive::Threads, Drive::Tokio] };
    for &drive in drives {
        let subject = move |span: Span| {
            let reading = busy(drive, net, MANY, span.for_flows(MANY))?;
            Ok([reading.per_second(), reading.slowest_to_fastest()].into())
        };
        let case = case("stacks", drive.name(), net, MANY, &[ROUND_TRIPS, FAIRNESS], Box::new(subject));
        let label = format!("{}, {MANY} stacks busy", drive.name());
        cases.push(Case { label, ..case }.lasting(3.0, 0.1));
    }
    cases
}

/// Stacks made and dropped, by so many threads.
fn made(net: Net, threads: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, threads, |meter| {
        let internet = Internet::new();
        let make = |lane| -> io::Result<()> {
            meter.ready();
            while !meter.is_stopped() {
                drop(internet.new_stack(net.mtu, [client(net, lane)])?);
                meter.add(lane, 1);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let others: Vec<_> =
                (1..threads).map(|lane| scope.spawn(move || meter.ended(make(lane)))).collect();
            let own = meter.ended(make(0));
            others.into_iter().fold(own, |all, other| all.and(other.join().expect("no maker panics")))
        })
    })
}

/// Round trips of so many clients, a stack each, with one server; a lane for each.
fn busy(drive: Drive, net: Net, count: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, count, |meter| {
        let lab = Lab::new(net, StackConfig::small())?;
        let listener = lab.server.listen_tcp(lab.at)?;
        let clients = (0..count)
            .map(|at| lab.internet.new_stack_with(net.mtu, [client(net, at)], StackConfig::small()));
        let clients = clients.collect::<io::Result<Vec<_>>>()?;
        lab.run(drive, meter, serve(listener, count), ask(clients, lab.at, meter.clone()), lab::deliver)
    })
}

/// The address of a client: one that neither of the usual two has.
fn client(net: Net, at: usize) -> IpAddr {
    let at = at as u32;
    match net.server {
        IpAddr::V4(_) => Ipv4Addr::from_bits(0x0b00_0001 + at).into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::from_bits((0xfd01 << 112) + 1 + u128::from(at)).into(),
    }
}

async fn serve(listener: TcpListener, count: usize) -> io::Result<()> {
    let echoes = FuturesUnordered::new();
    for _ in 0..count {
        echoes.push(echo(listener.accept().await?.0));
    }
    lab::all(echoes).await
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).await?;
        stream.write_all(&byte).await?;
    }
}

async fn ask(clients: Vec<Stack>, at: std::net::SocketAddr, meter: Arc<Meter>) -> io::Result<()> {
    let ask = async |lane: usize, client: &Stack| {
        let mut stream = client.dial_tcp(at).await?;
        let mut byte = [7];
        let mut ready = false;
        loop {
            stream.write_all(&byte).await?;
            stream.read_exact(&mut byte).await?;
            meter.add(lane, 1);
            if !ready {
                ready = true;
                meter.ready();
            }
        }
    };
    lab::all(clients.iter().enumerate().map(|(lane, client)| ask(lane, client)).collect()).await
}

/// Bytes of one of so many stacks, in a process that has nothing else.
pub(super) fn weight(count: usize) -> io::Result<f64> {
    let net = Net::usual(&Options::default());
    let internet = Internet::new();
    let make = |at| internet.new_stack(net.mtu, [client(net, at)]);
    // What is there only once is there before the first look.
    let first = make(0)?;
    let before = facts::resident_bytes()?;
    let stacks = (1..=count).map(make).collect::<io::Result<Vec<_>>>()?;
    let after = facts::resident_bytes()?;
    drop((first, stacks));
    Ok(after.saturating_sub(before) as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;

    fn nets() -> Vec<Net> {
        Net::families(&Options::default(), 1_500)
    }

    #[test]
    fn stacks_are_made_by_one_and_by_several() {
        for net in nets() {
            patiently(|span| made(net, 1, span));
            patiently(|span| made(net, 3, span));
        }
    }

    #[test]
    fn all_are_served() {
        for (net, drive) in nets().into_iter().zip([Drive::OneThread, Drive::Tokio]) {
            patiently(|span| busy(drive, net, 20, span));
        }
    }

    #[test]
    fn no_client_has_the_address_of_another() {
        for net in nets() {
            assert_ne!(client(net, 0), client(net, 1));
            assert!(client(net, 0) != net.server && client(net, 0) != net.client);
        }
    }
}
