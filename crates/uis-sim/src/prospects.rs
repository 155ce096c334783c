//! Whether anything can come of the timers that are left when no task can run.
//!
//! The network does some things for ever, or for long, of which no program ever hears: two hosts ask whether the other has
//! room, whether the other is there; a connection in TIME-WAIT waits for its end. A retransmission is another matter: it
//! gets through or ends with an error.

use std::collections::{BTreeMap, BTreeSet};

use uis_clock::Instant;
use uis_internet::Internet;
use uis_stack::{Connection, Stack, TcpTimer, WeakStack};

use crate::shared::Shared;

/// What is done for nothing, if that is all that is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Idle {
    probes: usize,
    keepalives: usize,
    time_wait: u64,
    reassembling: u64,
}

impl Idle {
    /// As the end of a sentence on what is left.
    pub(crate) fn text(self) -> String {
        let Self { probes, keepalives, time_wait, reassembling } = self;
        let kinds = [
            (probes > 0, "probes of closed windows"),
            (keepalives > 0, "keep-alives that are answered"),
            (time_wait > 0, "the end of TIME-WAIT"),
            (reassembling > 0, "datagrams of which fragments are missing"),
        ];
        let kinds: Vec<&str> = kinds.into_iter().filter_map(|(is, kind)| is.then_some(kind)).collect();
        if kinds.is_empty() { "nothing to do when they fire".into() } else { kinds.join(", ") }
    }
}

/// Why something may come of it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hope {
    /// How many connections were looked at.
    pub(crate) looked_at: usize,
}

/// Looks at all that may happen while no task can run and none sleeps. The program was polled last at `progress`.
pub(crate) fn look(shared: &Shared, internet: &Internet, progress: Instant) -> Result<Idle, Hope> {
    let stats = internet.stats();
    if stats.queued + stats.held > 0 {
        return Err(Hope { looked_at: 0 }); // a packet is on its way
    }
    let mut seen = BTreeSet::new();
    let stacks: Vec<Stack> = shared
        .stacks()
        .iter()
        .filter_map(WeakStack::upgrade)
        .filter(|stack| seen.insert(stack.vnic().id()))
        .collect();
    // Others than the hosts have timers: of those nothing is known.
    let alarms = stacks.iter().filter(|stack| stack.next_deadline().is_some()).count();
    if shared.clock.timers() > alarms {
        return Err(Hope { looked_at: stacks.len() });
    }
    let mut idle = Idle::default();
    for stats in stacks.iter().map(Stack::stats) {
        idle.time_wait += stats.time_wait;
        // Its end is an ICMP error, of which no socket hears.
        idle.reassembling += stats.reassembling;
    }
    let connections: Vec<Connection> = stacks.iter().flat_map(Stack::connections).collect();
    judge(&connections, progress, idle).ok_or(Hope { looked_at: stacks.len() + connections.len() })
}

/// Adds what the connections do for nothing; `None` if one of them does something for something.
fn judge(connections: &[Connection], progress: Instant, mut idle: Idle) -> Option<Idle> {
    let ends: BTreeMap<_, _> = connections.iter().map(|c| ((c.local, c.remote), c)).collect();
    for connection in connections {
        // The path is whole, and the answer was given after the program had its last chance to change it.
        let answered = connection.unanswered == 0 && connection.answered.is_some_and(|at| at > progress);
        match connection.timer {
            TcpTimer::Off => {}
            TcpTimer::Keepalive if answered => idle.keepalives += 1,
            TcpTimer::Probe if answered => {
                // The other end may have room and have said so in a packet that was lost; then a probe finds out. Of an end
                // that is not a host of ours nothing is known.
                let other = ends.get(&(connection.remote, connection.local))?;
                if other.recv_window > 0 {
                    return None;
                }
                idle.probes += 1;
            }
            _ => return None,
        }
    }
    Some(idle)
}
