//! What a stack does by default, and how to make it do something else.

use std::io;
use std::time::Duration;

/// How a sender reacts to loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Congestion {
    /// CUBIC (RFC 9438), as most of today's hosts.
    #[default]
    Cubic,
    /// Reno (RFC 5681).
    Reno,
    /// None: only the peer's window limits the sender. A lossy or overfull path collapses.
    None,
}

/// Keep-alive probing of idle connections (RFC 9293 §3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Keepalive {
    /// How long a connection is idle before the first probe.
    pub idle: Duration,
    /// The time between two probes.
    pub interval: Duration,
    /// How many unanswered probes end the connection with `TimedOut`.
    pub probes: u32,
}

impl Keepalive {
    /// The first probe after `idle`, then 9 probes 75 s apart, as Linux sends them.
    #[must_use]
    pub fn after(idle: Duration) -> Self {
        Self { idle, ..Self::default() }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// The settings of a [`Stack`](crate::Stack): [`default`](Self::default) for fidelity to an ordinary host,
/// [`small`](Self::small) for very many connections, and a setter for each.
///
/// ```
/// use std::time::Duration;
/// use uis_stack::StackConfig;
///
/// let config = StackConfig::default().seed(7).time_wait(Duration::from_secs(1)).backlog(16);
/// # drop(config);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StackConfig {
    pub(crate) seed: Option<u64>,
    pub(crate) ttl: u8,
    pub(crate) recv_buffer: usize,
    pub(crate) send_buffer: usize,
    pub(crate) udp_recv_buffer: usize,
    pub(crate) congestion: Congestion,
    pub(crate) nodelay: bool,
    pub(crate) delayed_ack: Option<Duration>,
    pub(crate) initial_rto: Duration,
    pub(crate) min_rto: Duration,
    pub(crate) max_rto: Duration,
    pub(crate) syn_retries: u32,
    pub(crate) retries: u32,
    pub(crate) half_open_lifetime: Duration,
    pub(crate) orphan_timeout: Duration,
    pub(crate) time_wait: Duration,
    pub(crate) backlog: usize,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) lossy_queue: bool,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            seed: None,
            ttl: 64,
            recv_buffer: 1 << 20,
            send_buffer: 1 << 20,
            udp_recv_buffer: 1 << 20,
            congestion: Congestion::Cubic,
            nodelay: true,
            delayed_ack: Some(Duration::from_millis(10)),
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(120),
            syn_retries: 6,
            retries: 15,
            half_open_lifetime: Duration::from_secs(60),
            orphan_timeout: Duration::from_secs(60),
            time_wait: Duration::from_secs(60),
            backlog: 4096,
            keepalive: None,
            lossy_queue: false,
        }
    }
}

impl StackConfig {
    /// For very many connections: 4 KiB a direction instead of 1 MiB, and 64 KiB for a datagram socket. Connections that
    /// have not sent anything take a few kilobytes with either.
    ///
    /// ```
    /// let config = uis_stack::StackConfig::small();
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn small() -> Self {
        Self { recv_buffer: 4096, send_buffer: 4096, udp_recv_buffer: 64 << 10, ..Self::default() }
    }

    /// What the stack's initial sequence numbers, ephemeral ports and identifications are drawn from: the
    /// same seed gives the same numbers. Without one, an internet gives each of its stacks one derived from
    /// its own seed, and a stack made alone uses 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the [`seed`](Self::seed), unless it is set already.
    #[must_use]
    pub fn seed_or(mut self, seed: u64) -> Self {
        self.seed.get_or_insert(seed);
        self
    }

    /// The hop limit of what the stack sends: 1–255, by default 64. Sockets may override it.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Bytes a connection can hold for its reader, which is also the largest window it offers: 1 byte to
    /// 1 GiB, by default 1 MiB. The memory is touched only as far as it is used.
    #[must_use]
    pub fn recv_buffer(mut self, bytes: usize) -> Self {
        self.recv_buffer = bytes;
        self
    }

    /// Bytes a connection takes from its writer before they are acknowledged: 1 byte to 1 GiB, by default
    /// 1 MiB.
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// Bytes of datagrams a UDP socket holds for its reader, at least 1; by default 1 MiB. A datagram that
    /// finds no room is dropped and counted.
    #[must_use]
    pub fn udp_recv_buffer(mut self, bytes: usize) -> Self {
        self.udp_recv_buffer = bytes;
        self
    }

    /// The congestion control of new connections, by default CUBIC.
    #[must_use]
    pub fn congestion(mut self, congestion: Congestion) -> Self {
        self.congestion = congestion;
        self
    }

    /// Whether new connections send small segments at once (`TCP_NODELAY`), by default yes.
    #[must_use]
    pub fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = on;
        self
    }

    /// How long an acknowledgment may wait for data to ride on (RFC 9293 §3.8.6.3): at most 500 ms, by default 10 ms;
    /// `None` acknowledges at once.
    #[must_use]
    pub fn delayed_ack(mut self, delay: Option<Duration>) -> Self {
        self.delayed_ack = delay;
        self
    }

    /// The retransmission time-out before a round trip was measured, by default 1 s (RFC 6298 §2.1).
    #[must_use]
    pub fn initial_rto(mut self, rto: Duration) -> Self {
        self.initial_rto = rto;
        self
    }

    /// The bounds of the retransmission time-out, by default 200 ms and 120 s.
    #[must_use]
    pub fn rto_bounds(mut self, min: Duration, max: Duration) -> Self {
        (self.min_rto, self.max_rto) = (min, max.max(min));
        self
    }

    /// How often an unanswered SYN is sent again before a dial fails with `TimedOut`, by default 6.
    #[must_use]
    pub fn syn_retries(mut self, n: u32) -> Self {
        self.syn_retries = n;
        self
    }

    /// How often in a row a segment is sent again before its connection fails with `TimedOut`
    /// (RFC 1122 §4.2.3.5), by default 15.
    #[must_use]
    pub fn retries(mut self, n: u32) -> Self {
        self.retries = n;
        self
    }

    /// How long a connection may stay half open on the listening side, by default 60 s.
    #[must_use]
    pub fn half_open_lifetime(mut self, d: Duration) -> Self {
        self.half_open_lifetime = d;
        self
    }

    /// How long a connection that nobody holds any more may take to close, by default 60 s.
    #[must_use]
    pub fn orphan_timeout(mut self, d: Duration) -> Self {
        self.orphan_timeout = d;
        self
    }

    /// How long a closed connection's address pair is remembered (RFC 9293 §3.6.1), by default 60 s.
    #[must_use]
    pub fn time_wait(mut self, d: Duration) -> Self {
        self.time_wait = d;
        self
    }

    /// How many connections a listener holds that are half open or not yet accepted, at least 1, by default
    /// 4096. Beyond it a SYN is dropped and counted.
    #[must_use]
    pub fn backlog(mut self, n: usize) -> Self {
        self.backlog = n;
        self
    }

    /// Probes idle connections; by default they may be idle for ever.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Makes a full queue of the network lose TCP segments, which are then retransmitted, instead of making
    /// their sender wait. Off by default.
    #[must_use]
    pub fn lossy_queue(mut self, on: bool) -> Self {
        self.lossy_queue = on;
        self
    }

    /// `InvalidInput` for a value that no stack can work with.
    pub(crate) fn check(&self) -> io::Result<()> {
        const GIB: usize = 1 << 30;
        let wrong = if self.ttl == 0 {
            "a hop limit of 0"
        } else if self.recv_buffer == 0 || self.send_buffer == 0 || self.udp_recv_buffer == 0 {
            "a buffer of 0 bytes"
        } else if self.recv_buffer > GIB || self.send_buffer > GIB {
            "a TCP buffer over 1 GiB"
        } else if self.backlog == 0 {
            "a backlog of 0"
        } else if self.initial_rto.is_zero() || self.min_rto.is_zero() {
            "a retransmission time-out of 0"
        } else if self.delayed_ack.is_some_and(|delay| delay > Duration::from_millis(500)) {
            "a delay of acknowledgments over 500 ms (RFC 9293 §3.8.6.3)"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a stack cannot have {wrong}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_is_set_stays() {
        assert_eq!(StackConfig::default().seed_or(1).seed, Some(1));
        assert_eq!(StackConfig::default().seed(2).seed_or(1).seed, Some(2));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(StackConfig::default().check().is_ok());
        assert!(StackConfig::small().check().is_ok());
        for bad in [
            StackConfig::default().ttl(0),
            StackConfig::default().recv_buffer(0),
            StackConfig::default().send_buffer(0),
            StackConfig::default().udp_recv_buffer(0),
            StackConfig::default().recv_buffer((1 << 30) + 1),
            StackConfig::default().backlog(0),
            StackConfig::default().initial_rto(Duration::ZERO),
            StackConfig::default().delayed_ack(Some(Duration::from_millis(501))),
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }
}
