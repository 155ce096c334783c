//! Socket options, and what a connection looks like from outside.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::engine::Engine;
use super::flow::Flow;
use super::stream::TcpStream;
use crate::config::Keepalive;
use crate::endpoint::invalid;

impl TcpStream {
    /// Whether small segments are sent at once (`TCP_NODELAY`) rather than gathered (Nagle, RFC 9293 §3.7.4).
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.look(Engine::nodelay)
    }

    /// Sets whether small segments are sent at once.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.change(|engine| engine.set_nodelay(on))
    }

    /// The hop limit of what is sent.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn ttl(&self) -> io::Result<u32> {
        self.look(|engine| engine.ttl().into())
    }

    /// Sets the hop limit of what is sent: 1–255.
    ///
    /// # Errors
    ///
    /// `InvalidInput` out of that range; `NotConnected` once the connection is over.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = u8::try_from(ttl)
            .ok()
            .filter(|&ttl| ttl > 0)
            .ok_or_else(|| invalid("a hop limit is 1 to 255"))?;
        self.change(|engine| engine.set_ttl(ttl))
    }

    /// How the connection is probed when it is idle, if it is.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        self.look(Engine::keepalive)
    }

    /// Sets whether and how the connection is probed when it is idle (RFC 9293 §3.8.4).
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        let mut done = false;
        self.flow().adjust(self.host(), |engine, now| {
            engine.set_keepalive(now, keepalive);
            done = true;
        });
        if done { Ok(()) } else { Err(over()) }
    }

    fn look<R>(&self, look: impl FnOnce(&Engine) -> R) -> io::Result<R> {
        self.flow().inspect(look).ok_or_else(over)
    }

    fn change(&self, change: impl FnOnce(&mut Engine)) -> io::Result<()> {
        let mut done = false;
        self.flow().adjust(self.host(), |engine, _| {
            change(engine);
            done = true;
        });
        if done { Ok(()) } else { Err(over()) }
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is over")
}

/// The state of a connection (RFC 9293 §3.3.2). TIME-WAIT is not among them: those are only
/// [counted](crate::StackStats::time_wait).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum TcpState {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
}

/// A line of netstat: one connection as [`Stack::connections`](crate::Stack::connections) finds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The state of the protocol.
    pub state: TcpState,
    /// Bytes received and not read.
    pub recv_queue: usize,
    /// Bytes written and not acknowledged.
    pub send_queue: usize,
    /// The smoothed round trip (RFC 6298), once one was measured.
    pub rtt: Option<Duration>,
    /// The retransmission time-out.
    pub rto: Duration,
    /// Segments that were sent again.
    pub retransmits: u64,
    /// The window that the peer offers, in bytes.
    pub peer_window: u32,
}

impl Connection {
    /// A look at a flow, if it is not over.
    pub(crate) fn of(flow: &Flow) -> Option<Self> {
        use smoltcp::socket::tcp::State;
        flow.inspect(|engine| {
            let state = match engine.state() {
                State::SynSent => TcpState::SynSent,
                State::Listen | State::SynReceived => TcpState::SynReceived,
                State::Established => TcpState::Established,
                State::FinWait1 => TcpState::FinWait1,
                State::FinWait2 => TcpState::FinWait2,
                State::CloseWait => TcpState::CloseWait,
                State::Closing => TcpState::Closing,
                State::LastAck => TcpState::LastAck,
                State::Closed | State::TimeWait => return None,
            };
            let rto = engine.rto();
            Some(Self {
                local: flow.local,
                remote: flow.remote,
                state,
                recv_queue: engine.readable(),
                send_queue: engine.unsent(),
                rtt: rto.srtt(),
                rto: rto.rto(),
                retransmits: rto.retransmits(),
                peer_window: engine.peer_window(),
            })
        })?
    }
}
