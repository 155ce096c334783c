//! One byte there, one byte back, one after the other.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{StackConfig, TcpListener, UdpSocket};

use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, LATENCIES, Taken};
use crate::lab::{self, Drive, Lab};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;
use crate::{bare, facts, kernel};

pub(crate) const TCP: Scenario = Scenario {
    name: "tcp round trips",
    about: "one byte there and back on one connection, one at a time",
    cases: |options| cases("tcp round trips", options, &TCP_PROBES),
};

pub(crate) const UDP: Scenario = Scenario {
    name: "udp round trips",
    about: "a datagram of one byte there and back, one at a time",
    cases: |options| cases("udp round trips", options, &UDP_PROBES),
};

/// How each of the three measures it.
struct Probes {
    uis: fn(Drive, Net, Span) -> io::Result<Reading>,
    bare: fn(Net, Span) -> io::Result<Reading>,
    kernel: fn(std::net::IpAddr, Span) -> io::Result<Reading>,
    kernel_threads: fn(std::net::IpAddr, Span) -> io::Result<Reading>,
}

const TCP_PROBES: Probes = Probes {
    uis: tcp,
    bare: bare::tcp_round_trips,
    kernel: kernel::tcp_round_trips,
    kernel_threads: kernel::tcp_round_trips_threads,
};

const UDP_PROBES: Probes = Probes {
    uis: udp,
    bare: bare::udp_round_trips,
    kernel: kernel::udp_round_trips,
    kernel_threads: kernel::udp_round_trips_threads,
};

fn cases(scenario: &'static str, options: &Options, probes: &'static Probes) -> Vec<Case> {
    let net = Net::usual(options);
    let one = |drive: Drive| {
        let subject = move |span| (probes.uis)(drive, net, span).map(Taken::latencies);
        let case = case(scenario, drive.name(), net, 1, LATENCIES, Box::new(subject));
        let (mtu, at) = (facts::loopback_mtu(), net.loopback());
        match drive {
            Drive::Threads | Drive::Tokio => case.against(kernel::NAME, mtu, move |span| {
                (probes.kernel_threads)(at, span).map(Taken::latencies)
            }),
            _ => case
                .against(bare::NAME, net.mtu, move |span| (probes.bare)(net, span).map(Taken::latencies))
                .against(kernel::NAME, mtu, move |span| (probes.kernel)(at, span).map(Taken::latencies)),
        }
    };
    [Drive::OneThread, Drive::Threads, Drive::Tokio].map(one).into()
}

fn tcp(drive: Drive, net: Net, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let lab = Lab::new(net, StackConfig::default())?;
        let listener = lab.server.listen_tcp(lab.at)?;
        lab.run(drive, meter, echo(listener), ask(lab.clone(), meter.clone()), lab::deliver)
    })
}

/// Serves one connection.
pub(super) async fn echo(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).await?;
        stream.write_all(&byte).await?;
    }
}

/// Dials, and counts what comes back.
pub(super) async fn ask(lab: Lab, meter: Arc<Meter>) -> io::Result<()> {
    let mut stream = lab.client.dial_tcp(lab.at).await?;
    let mut byte = [7];
    meter.ready();
    let mut times = meter.sampler();
    loop {
        times.begin();
        stream.write_all(&byte).await?;
        stream.read_exact(&mut byte).await?;
        times.end();
        meter.add(0, 1);
    }
}

fn udp(drive: Drive, net: Net, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let lab = Lab::new(net, StackConfig::default())?;
        let server = lab.server.listen_udp(lab.at)?;
        let client = lab.client.dial_udp(lab.at)?;
        lab.run(drive, meter, echo_datagrams(server), ask_datagrams(client, meter.clone()), lab::deliver)
    })
}

async fn echo_datagrams(server: UdpSocket) -> io::Result<()> {
    let mut byte = [0];
    loop {
        let (_, from) = server.recv_from(&mut byte).await?;
        server.send_to(&byte, from).await?;
    }
}

async fn ask_datagrams(client: UdpSocket, meter: Arc<Meter>) -> io::Result<()> {
    let mut byte = [7];
    meter.ready();
    let mut times = meter.sampler();
    loop {
        times.begin();
        client.send(&byte).await?;
        client.recv(&mut byte).await?;
        times.end();
        meter.add(0, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;

    #[test]
    fn bytes_come_back() {
        for probe in [tcp, udp] {
            for drive in [Drive::OneThread, Drive::Threads, Drive::Tokio] {
                patiently(|span| probe(drive, Net::usual(&Options::default()), span));
            }
        }
    }
}
