//! What is remembered of the packets: the last ones, a hash of all, and, for a replay, each.

use std::collections::VecDeque;
use std::fmt::Write;

use uis_clock::Instant;

use crate::describe::{Describer, describe};
use crate::rng::mix;

/// So many bytes of each packet are kept: enough for the headers.
const HEAD: usize = 160;

/// What became of a packet in the hands of the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Delivered, or to be delivered later.
    #[default]
    Passed,
    /// Neither delivered nor kept by the internet.
    Withheld,
    /// Nobody could receive it.
    Undeliverable,
}

/// The packets of a run.
#[derive(Debug)]
pub(crate) struct Journal {
    last: VecDeque<Packet>,
    /// What is known from the packets before these.
    describer: Describer,
    capacity: usize,
    count: u64,
    hash: u64,
    tape: Tape,
}

#[derive(Debug)]
struct Packet {
    at: Instant,
    len: usize,
    head: Vec<u8>,
    fate: Fate,
}

/// A packet of a run that another one is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    at: Instant,
    len: usize,
    hash: u64,
    head: Box<[u8]>,
}

/// Whether each packet is kept.
#[derive(Debug)]
pub(crate) enum Tape {
    Off,
    Record(Vec<Print>),
    /// What is expected, and the first packet that is another one.
    Compare(Vec<Print>, Option<(usize, Print)>),
}

impl Journal {
    pub(crate) fn new(capacity: usize, tape: Tape) -> Self {
        Self { last: VecDeque::new(), describer: Describer::default(), capacity, count: 0, hash: 0, tape }
    }

    /// How many packets were seen.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A hash of all packets with their times and their order.
    pub(crate) fn hash(&self) -> u64 {
        mix(self.hash ^ self.count)
    }

    pub(crate) fn record(&mut self, at: Instant, packet: &[u8]) {
        let hash = hash(packet);
        self.hash = mix(self.hash ^ mix(at.as_nanos()) ^ hash);
        let head = &packet[..packet.len().min(HEAD)];
        let index = self.count as usize;
        let print = || Print { at, len: packet.len(), hash, head: head.into() };
        match &mut self.tape {
            Tape::Off => {}
            Tape::Record(prints) => prints.push(print()),
            Tape::Compare(expected, difference) => {
                let same = |e: &Print| e.at == at && e.len == packet.len() && e.hash == hash;
                if difference.is_none() && !expected.get(index).is_some_and(same) {
                    *difference = Some((index, print()));
                }
            }
        }
        self.count += 1;
        if self.capacity > 0 {
            let oldest = if self.last.len() < self.capacity { None } else { self.last.pop_front() };
            let mut kept = oldest.map_or_else(Vec::new, |oldest| oldest.head);
            self.describer.skip(&kept);
            kept.clear();
            kept.extend_from_slice(head);
            self.last.push_back(Packet { at, len: packet.len(), head: kept, fate: Fate::Passed });
        }
    }

    /// What became of the packet that was recorded last.
    pub(crate) fn set_fate(&mut self, fate: Fate) {
        if let Some(packet) = self.last.back_mut() {
            packet.fate = fate;
        }
    }

    /// The last packets, one a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut describer = self.describer.clone();
        let line = |packet: &Packet| {
            let mut line = format!("{} {}", packet.at, describer.line(&packet.head, packet.len));
            line.push_str(match packet.fate {
                Fate::Passed => "",
                Fate::Withheld => " (not delivered)",
                Fate::Undeliverable => " (undeliverable)",
            });
            line
        };
        self.last.iter().map(line).collect()
    }

    /// The last packets under a heading; nothing if there were none.
    pub(crate) fn report(&self) -> String {
        let lines = self.lines();
        let mut text = match lines.len() as u64 {
            0 if self.count == 0 => return "no packets were sent\n".into(),
            n if n == self.count => "packets:\n".to_owned(),
            n => format!("the last {n} of {} packets:\n", self.count),
        };
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        text
    }

    /// Takes out what was recorded.
    pub(crate) fn take_prints(&mut self) -> Vec<Print> {
        match std::mem::replace(&mut self.tape, Tape::Off) {
            Tape::Record(prints) | Tape::Compare(prints, _) => prints,
            Tape::Off => Vec::new(),
        }
    }

    /// The first packet in which this run is not what was expected, as a difference of two lines.
    pub(crate) fn difference(&self) -> Option<String> {
        let Tape::Compare(expected, difference) = &self.tape else { return None };
        let (index, before, after) = match difference {
            Some((index, print)) => (*index, expected.get(*index), Some(print)),
            None => (self.count as usize, Some(expected.get(self.count as usize)?), None),
        };
        let line = |print: Option<&Print>| match print {
            Some(print) => {
                let shown = if print.head.len() < print.len {
                    pad(&print.head, print.len)
                } else {
                    print.head.to_vec()
                };
                format!("{} {}", print.at, describe(&shown))
            }
            None => "(no more packets)".to_owned(),
        };
        let (before_line, after_line) = (line(before), line(after));
        let mut text = format!("packet {} differs:\n- {before_line}\n+ {after_line}", index + 1);
        if before_line == after_line
            && let (Some(before), Some(after)) = (before, after)
        {
            let at = before.head.iter().zip(&after.head).position(|(a, b)| a != b);
            let _ = match at {
                Some(at) => write!(text, "\n(byte {at}: {:#04x}, {:#04x})", before.head[at], after.head[at]),
                None => write!(text, "\n(in their payloads, behind the first {HEAD} bytes)"),
            };
        }
        Some(text)
    }
}

/// The head of a packet in its full length, for whom only the headers matter.
fn pad(head: &[u8], len: usize) -> Vec<u8> {
    let mut packet = head.to_vec();
    packet.resize(len, 0);
    packet
}

/// Not cryptographic, but every bit of the packet counts, and so does the order.
fn hash(packet: &[u8]) -> u64 {
    let mut hash = packet.len() as u64;
    for chunk in packet.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(29) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    mix(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(packets: &[(u64, &[u8])], tape: Tape) -> Journal {
        let mut journal = Journal::new(2, tape);
        for &(at, packet) in packets {
            journal.record(Instant::from_nanos(at), packet);
        }
        journal
    }

    #[test]
    fn the_last_packets_are_kept() {
        let journal = recorded(&[(1, &[1]), (2, &[2; 2]), (3, &[3; 300])], Tape::Off);
        assert_eq!(
            journal.report(),
            "the last 2 of 3 packets:\n  0.000000002s no IP packet, length 2\n  0.000000003s no IP packet, length 300\n"
        );
    }

    #[test]
    fn every_byte_time_and_place_counts() {
        let hash = |packets: &[(u64, &[u8])]| recorded(packets, Tape::Off).hash();
        let all = [
            hash(&[]),
            hash(&[(1, &[])]),
            hash(&[(1, &[0])]),
            hash(&[(1, &[0, 0])]),
            hash(&[(2, &[0])]),
            hash(&[(1, &[0]), (1, &[1])]),
            hash(&[(1, &[1]), (1, &[0])]),
            hash(&[(1, &[0; 9])]),
            hash(&[(1, &[0, 0, 0, 0, 0, 0, 0, 0, 1])]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "{i} is like another one");
        }
        assert_eq!(hash(&[(1, &[7; 99])]), hash(&[(1, &[7; 99])]));
    }

    #[test]
    fn the_first_difference_is_told() {
        let first: &[(u64, &[u8])] = &[(1, &[1; 300]), (2, &[2])];
        let compared = |packets: &[(u64, &[u8])]| {
            let expected = recorded(first, Tape::Record(Vec::new())).take_prints();
            recorded(packets, Tape::Compare(expected, None)).difference()
        };
        assert_eq!(compared(first), None);
        let told = compared(&[(1, &[1; 300]), (5, &[2])]).unwrap();
        assert_eq!(
            told,
            "packet 2 differs:\n- 0.000000002s no IP packet, length 1\n+ 0.000000005s no IP packet, length 1"
        );
        assert!(compared(&first[..1]).unwrap().ends_with("+ (no more packets)"));
        assert!(compared(&[first[0], first[1], first[1]]).unwrap().contains("\n- (no more packets)\n+ 0.0"));
        let mut other = [1; 300];
        other[3] = 9;
        assert!(compared(&[(1, &other)]).unwrap().ends_with("(byte 3: 0x01, 0x09)"));
        other[3] = 1;
        other[299] = 9;
        assert!(
            compared(&[(1, &other)]).unwrap().ends_with("(in their payloads, behind the first 160 bytes)")
        );
    }
}
