//! A TCP download: how many bytes reach the client's reader in a second.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_util::stream::FuturesUnordered;
use uis::{Frame, Internet, StackConfig, TcpListener, TcpStream};

use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, FAIRNESS, Metric, THROUGHPUT, Taken};
use crate::lab::{self, Drive, Lab};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;
use crate::{READ, WRITE, bare, facts, kernel};

pub(crate) const BULK: Scenario = Scenario {
    name: "bulk",
    about: "a TCP download in writes and reads of 64 KiB; payload that reached the reader",
    cases,
};

const MTUS: [u32; 4] = [1_280, 1_500, 9_000, 65_535];
const FLOWS: [usize; 4] = [1, 10, 100, 1_000];

fn cases(options: &Options) -> Vec<Case> {
    let mtus = options.mtu.map_or(MTUS.to_vec(), |mtu| vec![mtu]);
    let flows = options.flows.map_or(FLOWS.to_vec(), |flows| vec![flows]);
    let usual = options.mtu.unwrap_or(1_500);
    let mut cases = Vec::new();
    for &flows in &flows {
        for &mtu in &mtus {
            for net in Net::families(options, mtu) {
                // All combinations; in a hurry only those that differ from the usual one in one respect.
                let single = Some(flows) == options.flows || flows == 1;
                let usual_net = mtu == usual && net == Net::usual(options);
                if !options.quick
                    || usual_net
                    || single && (mtu == usual || net == Net::families(options, mtu)[0])
                {
                    cases.push(one(Drive::OneThread, net, flows));
                }
            }
        }
    }
    let single = options.flows.unwrap_or(1);
    cases.push(one(Drive::OwnLoop, Net::usual(options), single));
    let some = if options.quick || options.flows.is_some() { vec![single] } else { FLOWS.to_vec() };
    for drive in [Drive::Threads, Drive::Tokio] {
        cases.extend(some.iter().map(|&flows| one(drive, Net::usual(options), flows)));
    }
    cases
}

fn one(drive: Drive, net: Net, flows: usize) -> Case {
    let metrics: &[Metric] = if flows == 1 { &[THROUGHPUT] } else { &[THROUGHPUT, FAIRNESS] };
    let subject = move |span: Span| uis(drive, net, flows, span.for_flows(flows), lab::deliver).map(values);
    let mut case = case("bulk", drive.name(), net, flows, metrics, Box::new(subject));
    let plural = if flows == 1 { "flow" } else { "flows" };
    case.label = format!("{}, MTU {}, {flows} {plural}", case.label, net.mtu);
    let case = case.lasting(if flows < 500 { 1.0 } else { 3.0 }, 0.0);
    let case = match drive {
        Drive::Threads | Drive::Tokio => case,
        _ => case.against(bare::NAME, net.mtu, move |span| {
            bare::bulk(net, flows, span.for_flows(flows)).map(values)
        }),
    };
    // Two sockets a flow: more would meet the limit of open files.
    if flows > 400 || drive == Drive::OwnLoop {
        return case;
    }
    let measure =
        if matches!(drive, Drive::Threads | Drive::Tokio) { kernel::bulk_threads } else { kernel::bulk };
    case.against(kernel::NAME, facts::loopback_mtu(), move |span| {
        measure(net.loopback(), flows, span.for_flows(flows)).map(values)
    })
}

/// Throughput, then fairness.
pub(super) fn values(reading: Reading) -> Taken {
    [reading.per_second() * 8.0 / 1e9, reading.slowest_to_fastest()].into()
}

/// One run over uis.
pub(super) fn uis(
    drive: Drive,
    net: Net,
    flows: usize,
    span: Span,
    each: impl FnMut(&Internet, Frame) + Send + 'static,
) -> io::Result<Reading> {
    uis_on(Internet::new(), drive, net, flows, span, each)
}

/// One run over an internet with settings of its own.
pub(super) fn uis_on(
    internet: Internet,
    drive: Drive,
    net: Net,
    flows: usize,
    span: Span,
    each: impl FnMut(&Internet, Frame) + Send + 'static,
) -> io::Result<Reading> {
    Meter::measure(span, flows, |meter| {
        let lab = Lab::on(internet, net, StackConfig::default())?;
        let listener = lab.server.listen_tcp(lab.at)?;
        let client = fetch_all(lab.clone(), flows, meter.clone());
        lab.run(drive, meter, serve(listener, flows), client, each)
    })
}

async fn serve(listener: TcpListener, flows: usize) -> io::Result<()> {
    let chunk: Arc<[u8]> = vec![0x5a; WRITE].into();
    let sending = FuturesUnordered::new();
    for _ in 0..flows {
        let (stream, _) = listener.accept().await?;
        sending.push(send(stream, chunk.clone()));
    }
    lab::all(sending).await
}

async fn send(mut stream: TcpStream, chunk: Arc<[u8]>) -> io::Result<()> {
    loop {
        stream.write_all(&chunk).await?;
    }
}

async fn fetch_all(lab: Lab, flows: usize, meter: Arc<Meter>) -> io::Result<()> {
    lab::all((0..flows).map(|flow| fetch(&lab, &meter, flow)).collect()).await
}

async fn fetch(lab: &Lab, meter: &Meter, flow: usize) -> io::Result<()> {
    let mut stream = lab.client.dial_tcp(lab.at).await?;
    let mut into = vec![0; READ];
    let mut flows = false;
    loop {
        match stream.read(&mut into).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => meter.add(flow, n),
        }
        // Set up is what flows: of many senders the last one begins long after the first.
        if !flows {
            flows = true;
            meter.ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;

    #[test]
    fn every_flow_gets_something_however_it_is_driven() {
        let options = Options::default();
        for drive in [Drive::OneThread, Drive::OwnLoop, Drive::Threads, Drive::Tokio] {
            for net in Net::families(&options, 1_500) {
                patiently(|span| uis(drive, net, 3, span, lab::deliver));
            }
        }
    }
}
