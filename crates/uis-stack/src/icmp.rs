//! ICMP and ICMPv6: echoes answered, errors sent, and errors heeded.

use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use uis_clock::Instant;

use crate::fragment::split;
use crate::host::Host;
use crate::tcp::FlowKey;
use crate::wire::{self, DiscardReason, IcmpError, IcmpKind, IcmpMessage, Packet, Quoted};

/// How many errors a stack sends within a second (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f).
const ERRORS: u32 = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// Limits the rate of the errors that a stack sends. Its lock is a leaf.
#[derive(Debug, Default)]
pub(crate) struct IcmpLimit(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Instant,
    sent: u32,
}

impl IcmpLimit {
    /// Whether one more error may be sent. If so it counts.
    fn admit(&self, now: Instant) -> bool {
        let mut window = self.0.lock();
        if now >= window.since + SECOND {
            *window = Window { since: now, sent: 0 };
        }
        let room = window.sent < ERRORS;
        window.sent += u32::from(room);
        room
    }
}

impl Host {
    /// Takes an ICMP message to an address of ours.
    pub(crate) fn receive_icmp(&self, packet: &Packet<'_>, message: &IcmpMessage<'_>) {
        let used = match message {
            IcmpMessage::EchoRequest { .. } => self.answer_echo(packet),
            IcmpMessage::Error(error) => self.receive_icmp_error(packet, error),
            IcmpMessage::EchoReply { .. } | IcmpMessage::Other => false,
        };
        if !used {
            self.stats.discard(DiscardReason::IgnoredIcmp);
        }
    }

    /// Says that nobody listens at the port that a datagram was sent to.
    pub(crate) fn send_port_unreachable(&self, packet: &Packet<'_>) -> bool {
        self.send_error(packet, wire::icmp_unreachable_port)
    }

    /// Says that the rest of a datagram did not come, if the rate allows it. `packet` is its first fragment.
    pub(crate) fn send_time_exceeded(&self, packet: &Packet<'_>) -> bool {
        self.send_error(packet, wire::icmp_time_exceeded_reassembly)
    }

    /// `false` if the limit forbids it.
    fn send_error(&self, packet: &Packet<'_>, error: fn(&Packet<'_>, u8, u16) -> Option<Vec<u8>>) -> bool {
        let Some(error) = error(packet, self.config.ttl, self.next_ident() as u16) else { return true };
        let admitted = self.icmp_limit.admit(self.clock.now());
        if admitted {
            self.send_or_drop(error, packet.src);
        }
        admitted
    }

    fn answer_echo(&self, packet: &Packet<'_>) -> bool {
        let ident = self.next_ident();
        let Some(reply) = wire::echo_reply(packet, self.config.ttl, ident as u16) else { return false };
        // No MTU is too small for a fragment, and the reply allows them.
        let split = split(reply, self.mtu_to(packet.src), ident, |part| self.send_or_drop(part, packet.src));
        split.is_ok()
    }

    /// Whether somebody wanted to know.
    fn receive_icmp_error(&self, packet: &Packet<'_>, error: &IcmpError) -> bool {
        // An error goes to whoever sent what it is about. Anything else was never ours (RFC 5927 §4.1).
        match error.quoted.filter(|quoted| quoted.src == packet.dst) {
            Some(quoted) if quoted.seq.is_some() => self.tcp_error(error.kind, &quoted),
            Some(quoted) => self.udp_error(error.kind, &quoted),
            None => false,
        }
    }

    fn tcp_error(&self, kind: IcmpKind, quoted: &Quoted) -> bool {
        let (local, remote) = ends(quoted);
        let (Some(flow), Some(seq)) = (self.tcp.flow(&FlowKey::new(local, remote)), quoted.seq) else {
            return false;
        };
        // RFC 5927 §4.1: one who guesses must guess the sequence number too.
        if flow.inspect(|engine, _| engine.may_have_sent(seq)) != Some(true) {
            return false;
        }
        match (kind, kind.io_kind()) {
            (IcmpKind::PacketTooBig { mtu }, _) => {
                flow.on_too_big(self, self.learn_mtu(remote.ip(), mtu), seq)
            }
            (_, Some(kind)) => flow.on_unreachable(self, kind, seq),
            (_, None) => return false,
        }
        true
    }

    fn udp_error(&self, kind: IcmpKind, quoted: &Quoted) -> bool {
        let (local, remote) = ends(quoted);
        match (kind, kind.hard_io_kind()) {
            (IcmpKind::PacketTooBig { mtu }, _) => {
                let sent = self.udp.may_have_sent(local, remote);
                if sent {
                    self.learn_mtu(remote.ip(), mtu);
                }
                sent
            }
            (_, Some(kind)) => self.udp.fail(local, remote, kind),
            (_, None) => false,
        }
    }
}

/// Where the quoted packet came from, and where it went.
fn ends(quoted: &Quoted) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(quoted.src, quoted.src_port), SocketAddr::new(quoted.dst, quoted.dst_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_errors_a_second() {
        let limit = IcmpLimit::default();
        let admitted = |at: u64| (0..1500).filter(|_| limit.admit(Instant::from_millis(at))).count();
        assert_eq!(admitted(0), 1000);
        assert_eq!(admitted(999), 0);
        assert_eq!(admitted(1000), 1000);
        assert_eq!(admitted(5000), 1000);
        // A clock that steps back stops nothing for longer than its step.
        assert_eq!(admitted(4999), 0);
        assert_eq!(admitted(6000), 1000);
    }
}
