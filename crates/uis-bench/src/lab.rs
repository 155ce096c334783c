//! What is measured: two stacks on one internet, and somebody who routes between them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, or, try_zip, zip};
use futures_util::stream::FuturesUnordered;
use uis::{Frame, Internet, Stack, StackConfig};

use crate::meter::Meter;
use crate::net::Net;

/// A client and a server. A clone is a handle to the same.
#[derive(Clone)]
pub(crate) struct Lab {
    pub(crate) internet: Internet,
    pub(crate) client: Stack,
    pub(crate) server: Stack,
    /// Where the server is to listen.
    pub(crate) at: SocketAddr,
}

/// Who runs what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Drive {
    /// Everything in one future, by `route_until`.
    OneThread,
    /// Everything in one task, with a loop of the caller's over the packets in flight.
    OwnLoop,
    /// A thread each for server, client and router.
    Threads,
    /// A task each on tokio's runtime of several threads.
    Tokio,
}

impl Drive {
    /// The name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneThread => "one thread",
            Self::OwnLoop => "one thread, own loop",
            Self::Threads => "threads",
            Self::Tokio => "tokio tasks",
        }
    }
}

impl Lab {
    pub(crate) fn new(net: Net, config: StackConfig) -> io::Result<Self> {
        Self::on(Internet::new(), net, config)
    }

    /// On an internet with settings of its own.
    pub(crate) fn on(internet: Internet, net: Net, config: StackConfig) -> io::Result<Self> {
        let server = internet.new_stack_with(net.mtu, [net.server], config.clone())?;
        let client = internet.new_stack_with(net.mtu, [net.client], config)?;
        Ok(Self { internet, client, server, at: net.at() })
    }

    /// Runs server and client until the measurement is over; `each` gets every packet.
    ///
    /// # Errors
    ///
    /// That of the first to fail, which ends the measurement.
    pub(crate) fn run(
        &self,
        drive: Drive,
        meter: &Arc<Meter>,
        server: impl Future<Output = io::Result<()>> + Send + 'static,
        client: impl Future<Output = io::Result<()>> + Send + 'static,
        mut each: impl FnMut(&Internet, Frame) + Send + 'static,
    ) -> io::Result<()> {
        match drive {
            Drive::OneThread => {
                let both = until_stopped(meter.clone(), both(server, client));
                block_on(self.internet.route_until(both, each))
            }
            Drive::OwnLoop => {
                let in_flight = self.internet.in_flight();
                let route = async {
                    while let Some(frame) = in_flight.recv().await {
                        each(&self.internet, frame);
                    }
                    Err(io::ErrorKind::NetworkDown.into())
                };
                block_on(or(until_stopped(meter.clone(), both(server, client)), route))
            }
            Drive::Threads => {
                let _router = self.internet.spawn_router(each);
                let server = until_stopped(meter.clone(), server);
                let server = thread::spawn(|| block_on(server));
                let client = block_on(until_stopped(meter.clone(), client));
                server.join().expect("the server does not panic").and(client)
            }
            Drive::Tokio => {
                let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
                let internet = self.internet.clone();
                let router = runtime.spawn(async move { internet.route(each).await });
                let server = runtime.spawn(until_stopped(meter.clone(), server));
                let client = runtime.spawn(until_stopped(meter.clone(), client));
                let (server, client) = block_on(zip(server, client));
                router.abort();
                server?.and(client?)
            }
        }
    }
}

/// Delivers every packet.
pub(crate) fn deliver(internet: &Internet, frame: Frame) {
    // What cannot be delivered at the end of a run is of no interest.
    drop(internet.deliver(frame));
}

/// Runs all of them; ends with the first error.
pub(crate) async fn all<F>(mut tasks: FuturesUnordered<F>) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    while let Some(result) = tasks.next().await {
        result?;
    }
    Ok(())
}

async fn both(
    server: impl Future<Output = io::Result<()>>,
    client: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    try_zip(server, client).await.map(drop)
}

/// Runs `work` until the measurement is over, and ends the measurement should the work end first.
async fn until_stopped(meter: Arc<Meter>, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let stopped = meter.stopped();
    let stopped = async {
        stopped.await;
        Ok(())
    };
    meter.ended(or(stopped, work).await)
}
