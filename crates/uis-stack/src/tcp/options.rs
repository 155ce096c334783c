//! Socket options, and what a connection looks like from outside.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use uis_clock::Instant;

use super::flow::Flow;
use super::stream::TcpStream;
use crate::config::Keepalive;
use crate::endpoint::invalid;

impl TcpStream {
    /// Whether small segments are sent at once (`TCP_NODELAY`) rather than gathered (Nagle, RFC 9293 §3.7.4).
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.flow().settings().nodelay)
    }

    /// Sets whether small segments are sent at once.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.change(|settings| settings.nodelay = on)
    }

    /// The hop limit of what is sent.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.flow().settings().hop_limit.into())
    }

    /// Sets the hop limit of what is sent: 1–255.
    ///
    /// # Errors
    ///
    /// `InvalidInput` out of that range.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = u8::try_from(ttl)
            .ok()
            .filter(|&ttl| ttl > 0)
            .ok_or_else(|| invalid("a hop limit is 1 to 255"))?;
        self.change(|settings| settings.hop_limit = ttl)
    }

    /// How the connection is probed when it is idle, if it is.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        Ok(self.flow().settings().keepalive)
    }

    /// Sets whether and how the connection is probed when it is idle (RFC 9293 §3.8.4).
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.change(|settings| settings.keepalive = keepalive)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) -> io::Result<()> {
        self.flow().configure(self.host(), change);
        Ok(())
    }
}

/// What the user of a connection has set. It can be asked for, and set, when the connection is over, as a kernel's can:
/// a server that sets options of what it accepts need not know that it is over already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) nodelay: bool,
    pub(crate) hop_limit: u8,
    pub(crate) keepalive: Option<Keepalive>,
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

/// What a connection does next if nobody calls it and nothing arrives: the timers that `ss -o` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpTimer {
    /// Nothing: it has no timer.
    Off,
    /// It sends what it has to send, or sends again what was not acknowledged; in the end it gives up.
    Retransmit,
    /// It acknowledges what has arrived.
    Ack,
    /// It asks whether the peer's window is still closed (RFC 9293 §3.8.6.1), for as long as the peer answers.
    Probe,
    /// It asks whether the peer is still there (RFC 9293 §3.8.4), for as long as it is.
    Keepalive,
    /// It ends: a handshake that was not completed, or a connection that nobody holds and the peer does not close.
    Expiry,
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
    /// The congestion window (RFC 5681), in bytes: how much may be in flight. `usize::MAX` without congestion control.
    pub cwnd: usize,
    /// The window that the peer offers, in bytes.
    pub peer_window: u32,
    /// The window that the peer is offered, in bytes, as far as the scale of windows can say it.
    pub recv_window: usize,
    /// What it does next by itself.
    pub timer: TcpTimer,
    /// Window probes and keep-alives in a row that the peer has not answered.
    pub unanswered: u32,
    /// When the last window probe or keep-alive was sent that the peer has answered.
    pub answered: Option<Instant>,
}

impl Connection {
    /// A look at a flow, if it is not over.
    pub(crate) fn of(flow: &Flow) -> Option<Self> {
        use smoltcp::socket::tcp::State;
        flow.inspect(|engine, expires| {
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
                cwnd: engine.congestion_window(),
                peer_window: engine.peer_window(),
                recv_window: engine.our_window(),
                timer: match engine.timer() {
                    TcpTimer::Off | TcpTimer::Probe | TcpTimer::Keepalive if expires => TcpTimer::Expiry,
                    timer => timer,
                },
                unanswered: engine.unanswered(),
                answered: engine.answered(),
            })
        })?
    }
}
