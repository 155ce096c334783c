//! Connections: dialled, accepted, closed by the client, then by the server.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use futures_util::stream::FuturesUnordered;
use uis::{StackConfig, TcpListener, TcpStream};

use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, SET_UPS as CONNECTIONS, Taken};
use crate::lab::{self, Drive, Lab};
use crate::meter::{Meter, Reading, Span};
use crate::net::Net;
use crate::{bare, facts, kernel};

pub(crate) const SET_UPS: Scenario = Scenario {
    name: "set-ups",
    about: "connections dialled, accepted, closed by the client, then by the server, each end seeing the other's end",
    cases,
};

/// How many are dialled before the first is closed, where it is not one at a time.
const AT_ONCE: usize = 100;

fn cases(options: &Options) -> Vec<Case> {
    let net = Net::usual(options);
    let one = |(drive, at_once): (Drive, usize)| {
        let subject = move |span| uis(drive, net, at_once, span).map(Taken::rate);
        let case = case("set-ups", drive.name(), net, at_once, &[CONNECTIONS], Box::new(subject));
        let how = if at_once == 1 { "one by one".to_owned() } else { format!("{at_once} at once") };
        let case = Case { label: format!("{}, {how}", case.label), ..case };
        let (mtu, at) = (facts::loopback_mtu(), net.loopback());
        match drive {
            // Between threads the kernel makes one at a time.
            Drive::Threads | Drive::Tokio if at_once > 1 => case,
            Drive::Threads | Drive::Tokio => case
                .against(kernel::NAME, mtu, move |span| kernel::set_ups_threads(at, span).map(Taken::rate)),
            _ => case
                .against(bare::NAME, net.mtu, move |span| bare::set_ups(net, at_once, span).map(Taken::rate))
                .against(kernel::NAME, mtu, move |span| kernel::set_ups(at, at_once, span).map(Taken::rate)),
        }
    };
    let mut kinds = vec![(Drive::OneThread, 1), (Drive::OneThread, AT_ONCE), (Drive::Threads, 1)];
    if !options.quick {
        kinds.extend([(Drive::Threads, AT_ONCE), (Drive::Tokio, 1), (Drive::Tokio, AT_ONCE)]);
    }
    kinds.into_iter().map(one).collect()
}

fn uis(drive: Drive, net: Net, at_once: usize, span: Span) -> io::Result<Reading> {
    Meter::measure(span, 1, |meter| {
        let lab = Lab::new(net, StackConfig::default())?;
        let listener = lab.server.listen_tcp(lab.at)?;
        lab.run(
            drive,
            meter,
            serve(listener, at_once),
            dial(lab.clone(), at_once, meter.clone()),
            lab::deliver,
        )
    })
}

async fn serve(listener: TcpListener, at_once: usize) -> io::Result<()> {
    loop {
        accept_and_close(&listener, at_once).await?;
    }
}

async fn dial(lab: Lab, at_once: usize, meter: Arc<Meter>) -> io::Result<()> {
    meter.ready();
    loop {
        dial_and_close(&lab, at_once).await?;
        meter.add(0, at_once);
    }
}

/// The server's part of `at_once` connections.
pub(crate) async fn accept_and_close(listener: &TcpListener, at_once: usize) -> io::Result<()> {
    let mut streams = Vec::with_capacity(at_once);
    for _ in 0..at_once {
        streams.push(listener.accept().await?.0);
    }
    for stream in streams {
        hear_the_end(stream).await?;
    }
    Ok(())
}

/// The client's part: it is the one that closes first.
pub(crate) async fn dial_and_close(lab: &Lab, at_once: usize) -> io::Result<()> {
    let mut streams = Vec::with_capacity(at_once);
    let mut dials: FuturesUnordered<_> = (0..at_once).map(|_| lab.client.dial_tcp(lab.at)).collect();
    while let Some(stream) = dials.next().await {
        streams.push(stream?);
    }
    for stream in &mut streams {
        stream.close().await?;
    }
    for stream in streams {
        hear_the_end(stream).await?;
    }
    Ok(())
}

/// Reads the peer's end of the connection, and drops this one.
async fn hear_the_end(mut stream: TcpStream) -> io::Result<()> {
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "nobody sends anything here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::patiently;

    #[test]
    fn connections_come_and_go() {
        for (drive, at_once) in
            [(Drive::OneThread, 1), (Drive::OneThread, 5), (Drive::Threads, 1), (Drive::Tokio, 5)]
        {
            let net = Net::usual(&Options::default());
            let reading = patiently(|span| uis(drive, net, at_once, span));
            assert_eq!(reading.lanes[0] % at_once as u64, 0);
        }
    }
}
