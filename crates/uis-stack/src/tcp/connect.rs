//! A dial under way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use uis_clock::Sleep;
use uis_clock::unwind::in_drop;

use super::engine::{Engine, Setup};
use super::flow::{End, Flow};
use super::key::FlowKey;
use super::stream::TcpStream;
use crate::config::StackConfig;
use crate::endpoint::check_peer;
use crate::host::StackHandle;
use crate::ports::in_use;

/// A dial: resolves to the stream once the handshake is complete.
///
/// The SYN leaves at the first poll. It can be spawned: it borrows nothing. Dropping it before it resolves gives the
/// dial up.
///
/// # Errors
///
/// `ConnectionRefused` if the peer answers with a RST, or an ICMP error says that port or protocol are unreachable;
/// `HostUnreachable`, `NetworkUnreachable` or, for a firewall over IPv6, `PermissionDenied` if one says so; `TimedOut` if nobody answers; `NetworkUnreachable` if the
/// stack has no address of the peer's family; `AddrNotAvailable` if the local address is not the stack's, or every
/// ephemeral port is taken; `AddrInUse` if the connection exists already; `InvalidInput` for a host name, a port of 0,
/// an address that is no single host's, or two families; `NetworkDown` once the stack is closed.
#[must_use = "a dial does nothing unless it is polled"]
#[derive(Debug)]
pub struct Connect {
    stack: Arc<StackHandle>,
    state: State,
    timeout: Option<Duration>,
    nodelay: Option<bool>,
}

#[derive(Debug)]
enum State {
    /// It has not begun, and may be known to be in vain.
    Ready(io::Result<(Option<SocketAddr>, SocketAddr)>),
    Waiting(Arc<Flow>, Option<Sleep>),
    Done,
}

impl Connect {
    pub(crate) fn new(
        stack: Arc<StackHandle>,
        local: Option<io::Result<SocketAddr>>,
        to: io::Result<SocketAddr>,
    ) -> Self {
        let ends = to.and_then(|to| Ok((local.transpose()?, check_peer(to)?)));
        Self { stack, state: State::Ready(ends), timeout: None, nodelay: None }
    }

    /// Gives the dial up after `timeout`.
    pub(crate) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets `TCP_NODELAY` on the stream.
    pub(crate) fn with_nodelay(mut self, on: bool) -> Self {
        self.nodelay = Some(on);
        self
    }

    /// Sends the SYN.
    fn start(&self, local: Option<SocketAddr>, to: SocketAddr) -> io::Result<Arc<Flow>> {
        let host = self.stack.host();
        host.check_open()?;
        let local = local.map(|local| host.check_local(local)).transpose()?;
        let ip = match local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified()) {
            Some(ip) if ip.is_ipv4() != to.is_ipv4() => {
                return Err(crate::endpoint::invalid(format!("{ip} and {to} are of different families")));
            }
            Some(ip) => ip,
            None => host.source_for(to.ip())?,
        };
        let wanted = local.map_or(0, |local| local.port());
        // Another thread may take the port between the choice and the insertion; then the next one is tried.
        for _ in 0..64 {
            let (port, least_isn) = match wanted {
                0 => host.tcp.dial_port(ip, to, host.next_dial())?,
                port => {
                    let key = FlowKey::new((ip, port).into(), to);
                    (port, host.tcp.time_wait.reuse(&key))
                }
            };
            let key = FlowKey::new((ip, port).into(), to);
            if host.tcp.flow(&key).is_some() {
                break;
            }
            let now = host.clock.now();
            let isn = super::initial_isn(host.key, &key, now, least_isn);
            let mtu = host.mtu_to(to.ip());
            let setup = Setup { local: key.local(), remote: to, isn, mtu, now, config: &host.config };
            let engine = Engine::connect(setup, host.tcp.pool.take());
            let flow = Flow::connecting(
                host.tcp.next_id(),
                key,
                host.is_ours(to.ip()),
                engine,
                now + patience(&host.config),
            );
            if host.tcp.insert(&flow) {
                if let Some(on) = self.nodelay {
                    flow.configure(host, |settings| settings.nodelay = on);
                }
                flow.start(host);
                // A stack that has closed meanwhile has perhaps not seen the flow.
                if host.is_closed() {
                    flow.abort(host, End::DOWN);
                }
                return Ok(flow);
            }
        }
        Err(in_use((ip, wanted).into()))
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Ready(_) = &this.state {
            let State::Ready(ends) = std::mem::replace(&mut this.state, State::Done) else { unreachable!() };
            let flow = match ends.and_then(|(local, to)| this.start(local, to)) {
                Ok(flow) => flow,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let sleep = this.timeout.map(|timeout| this.stack.host().clock.sleep(timeout));
            this.state = State::Waiting(flow, sleep);
        }
        let State::Waiting(flow, sleep) = &mut this.state else {
            panic!("a dial was polled after it had resolved");
        };
        let timed_out = sleep.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready());
        let result = match flow.poll_connected(cx) {
            Poll::Ready(result) => result,
            Poll::Pending if timed_out => {
                let flow = flow.clone();
                flow.abort(this.stack.host(), End::TIMED_OUT);
                Err(io::ErrorKind::TimedOut.into())
            }
            Poll::Pending => return Poll::Pending,
        };
        let State::Waiting(flow, _) = std::mem::replace(&mut this.state, State::Done) else { unreachable!() };
        Poll::Ready(match result {
            Ok(()) => Ok(TcpStream::new(flow, this.stack.clone(), false)),
            Err(error) => Err(explain(error, &flow, this.stack.host().vnic.queued())),
        })
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if let State::Waiting(flow, _) = &self.state {
            in_drop(|| flow.abort(self.stack.host(), End::ABORTED));
        }
    }
}

/// How long a dial waits: for the last SYN to be answered. By the stack's own clock, so that it ends even if the network
/// has no room for the first one.
fn patience(config: &StackConfig) -> Duration {
    let mut rto = config.initial_rto;
    let mut patience = rto;
    for _ in 0..config.syn_retries {
        rto = rto.saturating_mul(2).min(config.max_rto);
        patience = patience.saturating_add(rto);
    }
    patience
}

/// Says whom it was about; and how often it was tried, and what waits in the network, since a dial that nobody answers is
/// most often one whose packets nobody routes.
fn explain(error: io::Error, flow: &Flow, waiting: Option<usize>) -> io::Error {
    let remote = flow.remote;
    let text = match error.kind() {
        io::ErrorKind::TimedOut => {
            let syns = plural(flow.syns_sent() as usize, "SYN");
            match waiting {
                Some(0) => format!("no answer from {remote} to {syns}, and nothing is in flight"),
                Some(n) => {
                    format!(
                        "no answer from {remote} to {syns}, and {} in flight: is anyone routing?",
                        plural(n, "packet")
                    )
                }
                None => format!("no answer from {remote} to {syns}"),
            }
        }
        io::ErrorKind::ConnectionRefused => format!("{remote} refused the connection"),
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
