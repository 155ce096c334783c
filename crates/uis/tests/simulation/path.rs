//! The path that packets take: what it does to them, and what it checks and counts on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{
    ACK, FIN, Frame, Instant, Internet, RST, Rng, SYN, Seen, VnicId, fragments, icmp, is_fragment, look,
};
use crate::scene::Faults;

/// More packets than any scene needs: whoever sends so many goes in circles.
const MOST: u64 = 1_000_000;

/// What a path has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Packets that were taken from the queue.
    pub taken: u64,
    /// How often one of them, or a copy, was handed to the internet to be delivered.
    pub handed: u64,
    /// How many of these were corrupted or cut.
    pub spoilt: u64,
    /// All packets, their times and their order.
    pub digest: u64,
}

pub struct Path<'a> {
    faults: &'a Faults,
    rng: Rng,
    /// The MTU of each sender.
    mtus: BTreeMap<VnicId, u32>,
    ident: u16,
    /// How each end of a connection scales its windows, and up to where it has allowed the other to send.
    scales: BTreeMap<(SocketAddr, SocketAddr), u8>,
    edges: BTreeMap<(SocketAddr, SocketAddr), u32>,
    trace: bool,
    pub counts: Counts,
}

impl<'a> Path<'a> {
    pub fn new(faults: &'a Faults, seed: u64, mtus: BTreeMap<VnicId, u32>) -> Self {
        let trace = std::env::var_os("UIS_TRACE").is_some();
        Self {
            faults,
            rng: Rng(seed),
            mtus,
            ident: 0,
            scales: BTreeMap::new(),
            edges: BTreeMap::new(),
            trace,
            counts: Counts::default(),
        }
    }

    pub fn take(&mut self, internet: &Internet, frame: Frame) {
        if self.trace {
            show(&frame);
        }
        self.inspect(&frame);
        let (faults, now) = (self.faults, internet.clock().now() - Instant::ZERO);
        if faults.outage.is_some_and(|(from, to)| from <= now && now < to) {
            return;
        }
        if now >= faults.until {
            return self.pass(internet, frame, faults.delay);
        }
        let copies = if self.chance(faults.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            let after =
                faults.delay + Duration::from_nanos(self.rng.below(faults.jitter.as_nanos() as u64 + 1));
            let frame = frame.clone();
            if self.chance(faults.loss) {
                continue;
            }
            if self.chance(faults.corrupt) && !is_later_fragment(&frame) {
                let frame = self.corrupted(frame);
                self.hand(internet, frame, after);
            } else if self.chance(faults.cut) {
                let frame = self.cut(frame);
                self.hand(internet, frame, after);
            } else {
                self.pass(internet, frame, after);
            }
        }
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        self.rng.below(1000) < of_thousand
    }

    /// Each packet is one that a host may send.
    fn inspect(&mut self, frame: &Frame) {
        self.counts.taken += 1;
        assert!(self.counts.taken < MOST, "there is no end of packets");
        let sender = frame.sent_by().expect("somebody sent it");
        assert!(frame.len() <= self.mtus[&sender] as usize, "longer than the MTU: {frame:?}");
        assert!(is_fragment(frame) || frame.verify_checksums(), "a wrong checksum: {frame:?}");
        if let Some(seen) = look(frame).filter(|seen| seen.protocol == 6) {
            self.hold_to_window(frame, &seen);
        }
        let at = frame.sent_at().expect("it has a time").as_nanos();
        self.counts.digest = digest(digest(self.counts.digest, &at.to_be_bytes()), frame.packet());
    }

    /// Nobody sends data beyond the window, but for single bytes that probe it (RFC 9293 §3.8.6).
    fn hold_to_window(&mut self, frame: &Frame, seen: &Seen) {
        let window = u32::from(window(frame));
        let scale = if seen.flags & SYN != 0 {
            0
        } else {
            self.scales.get(&(seen.src, seen.dst)).copied().unwrap_or(0)
        };
        if seen.flags & SYN != 0 {
            self.scales.insert((seen.src, seen.dst), window_scale(frame));
            self.edges.remove(&(seen.src, seen.dst));
        }
        if seen.flags & ACK != 0 {
            let edge = seen.ack.wrapping_add(window << scale);
            let furthest = self.edges.entry((seen.src, seen.dst)).or_insert(edge);
            if edge.wrapping_sub(*furthest) as i32 > 0 {
                *furthest = edge;
            }
        }
        if let Some(edge) = self.edges.get(&(seen.dst, seen.src)).filter(|_| seen.payload > 1) {
            let beyond = seen.seq.wrapping_add(seen.payload as u32).wrapping_sub(*edge) as i32;
            assert!(beyond <= 0, "{beyond} bytes beyond the window at {:?}: {frame:?}", frame.sent_at());
        }
    }

    /// Hands it on, unless it is too long for the middle of the path (RFC 1191, RFC 4443 §3.2).
    fn pass(&mut self, internet: &Internet, frame: Frame, after: Duration) {
        let packet = frame.packet();
        let Some(mtu) = self.faults.mtu.filter(|&mtu| packet.len() > mtu) else {
            return self.hand(internet, frame, after);
        };
        let v4 = packet[0] >> 4 == 4;
        if v4 && packet[6] & 0x40 == 0 && !is_fragment(&frame) {
            self.ident = self.ident.wrapping_add(1);
            for fragment in fragments(packet, mtu, self.ident) {
                let _ = internet.deliver_after(Frame::new(fragment), after);
            }
            return;
        }
        let [_, _, high, low] = (mtu as u32).to_be_bytes();
        let (from, kind, code) = if v4 { ("10.0.0.254", 3, 4) } else { ("fd00::fe", 2, 0) };
        let (src, quoted) = (frame.src().expect("it is whole"), &packet[..packet.len().min(500)]);
        let _ = internet.deliver_after(icmp(from, src, kind, code, [0, 0, high, low], quoted), after);
    }

    fn hand(&mut self, internet: &Internet, frame: Frame, after: Duration) {
        self.counts.handed += 1;
        let _ = match after.is_zero() {
            true => internet.deliver(frame),
            false => internet.deliver_after(frame, after),
        };
    }

    /// With some bits of one byte changed, which every checksum notices that the byte is under.
    fn corrupted(&mut self, mut frame: Frame) -> Frame {
        let v4 = frame.packet()[0] >> 4 == 4;
        // The lengths and the kind of what is in an IPv6 packet are guarded only by chance.
        let at = loop {
            match self.rng.below(frame.len() as u64) as usize {
                0 | 4..7 if !v4 => {}
                at => break at,
            }
        };
        frame.packet_mut()[at] ^= 1 + self.rng.below(255) as u8;
        self.counts.spoilt += 1;
        frame
    }

    fn cut(&mut self, mut frame: Frame) -> Frame {
        let len = self.rng.below(frame.len() as u64) as usize;
        let start = frame.packet()[..len].to_vec();
        frame.set_packet(start);
        self.counts.spoilt += 1;
        frame
    }
}

/// Whether it is a fragment behind the first one. Were these corrupted as well, two changes of a datagram would cancel each
/// other out in its checksum now and then.
fn is_later_fragment(frame: &Frame) -> bool {
    let packet = frame.packet();
    let offset =
        if packet[0] >> 4 == 4 { [packet[6] & 0x1f, packet[7]] } else { [packet[42], packet[43] & 0xf8] };
    is_fragment(frame) && offset != [0, 0]
}

/// Prints a line about a packet.
fn show(frame: &Frame) {
    let at = frame.sent_at().unwrap_or_default();
    match look(frame).filter(|_| !is_fragment(frame)) {
        Some(Seen { src, dst, protocol: 6, flags, seq, ack, payload }) => {
            let mut names = String::new();
            for (bit, name) in [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (ACK, '.')] {
                names.extend((flags & bit != 0).then_some(name));
            }
            let window = window(frame);
            eprintln!("{at:?} {src} > {dst} [{names}] seq {seq} ack {ack} win {window} len {payload}");
        }
        Some(seen) => eprintln!("{at:?} {} > {} udp len {}", seen.src, seen.dst, seen.payload),
        None => eprintln!("{at:?} {frame:?}"),
    }
}

/// The window field of a TCP segment that was looked at.
fn window(frame: &Frame) -> u16 {
    let at = if frame.packet()[0] >> 4 == 4 { 34 } else { 54 };
    u16::from_be_bytes([frame.packet()[at], frame.packet()[at + 1]])
}

/// The scale that a SYN of a stack's offers, after its segment size: hosts that all do so scale what comes later.
fn window_scale(frame: &Frame) -> u8 {
    let at = if frame.packet()[0] >> 4 == 4 { 40 } else { 60 };
    let options = &frame.packet()[at..];
    options.windows(3).find(|option| option[..2] == [3, 3]).expect("every stack scales windows")[2]
}

/// FNV-1a, by words.
fn digest(hash: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(hash, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash ^ u64::from_be_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    })
}
