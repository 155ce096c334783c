//! Whether a capture has all of its TCP streams' bytes.
//!
//! When a FIN is acknowledged, the receiver has everything up to it. If the capture has not, it was not
//! given packets that went through.

use std::collections::BTreeMap;
use std::net::IpAddr;

use etherparse::TcpSlice;

/// One direction of a connection: where from and where to.
type Key = ((IpAddr, u16), (IpAddr, u16));

/// The streams seen so far.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// The current one of each pair of endpoints, in an order that does not change from run to run.
    current: BTreeMap<Key, Stream>,
    count: usize,
    holes: Vec<String>,
    /// Packets are missing parts, so that no stream can be whole.
    cut: bool,
}

/// One direction. Offsets count from its SYN, which is at 0; they would wrap at 4 GiB.
#[derive(Debug)]
struct Stream {
    isn: u32,
    /// What was seen, as ranges of offsets by their start; none touches another.
    seen: BTreeMap<u32, u32>,
    /// The offset after the FIN.
    end: Option<u32>,
    /// Whether a hole is still to be told.
    judged: bool,
}

impl Streams {
    /// A packet of which not everything is there.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    /// A packet whose checksums are right.
    pub(crate) fn segment(&mut self, source: IpAddr, destination: IpAddr, tcp: &TcpSlice<'_>) {
        let here = (source, tcp.source_port());
        let there = (destination, tcp.destination_port());
        let (sequence, length) = (tcp.sequence_number(), tcp.payload().len() as u32);
        if tcp.rst() {
            self.current.remove(&(here, there));
            self.current.remove(&(there, here));
            return;
        }
        if tcp.syn() {
            let before = self.current.get(&(here, there));
            if before.is_none_or(|stream| stream.isn != sequence) {
                // A SYN into a stream that goes on may be a new connection or an attack on the old one:
                // there is no telling whose the bytes after it are.
                let unclear = before.is_some_and(|stream| stream.end.is_none());
                self.count += usize::from(!tcp.ack());
                self.current.insert((here, there), Stream::new(sequence, !unclear));
            }
        }
        if let Some(stream) = self.current.get_mut(&(here, there)) {
            let start = sequence.wrapping_sub(stream.isn);
            let end = start.wrapping_add(length + u32::from(tcp.syn()) + u32::from(tcp.fin()));
            if start < end {
                stream.add(start, end);
            }
            if tcp.fin() {
                stream.end = Some(end);
            }
        }
        if tcp.ack()
            && let Some(stream) = self.current.get_mut(&(there, here))
            && stream.has_hole(tcp.acknowledgment_number())
            && std::mem::replace(&mut stream.judged, false)
        {
            self.holes.push(format!(
                "the stream from {} port {} to {} port {} is not complete",
                there.0, there.1, here.0, here.1
            ));
        }
    }

    /// How many connections there were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The streams that were received in full, but not captured in full.
    pub(crate) fn holes(self) -> Vec<String> {
        if self.cut { Vec::new() } else { self.holes }
    }
}

impl Stream {
    fn new(isn: u32, judged: bool) -> Self {
        Self { isn, seen: BTreeMap::new(), end: None, judged }
    }

    fn add(&mut self, mut start: u32, mut end: u32) {
        // Take out all that it overlaps or touches, and put the union in.
        while let Some((&other_start, &other_end)) = self.seen.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.seen.remove(&other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.seen.insert(start, end);
    }

    /// Whether this acknowledges the FIN, and not everything before it was seen.
    fn has_hole(&self, acknowledged: u32) -> bool {
        match self.end {
            Some(end) if acknowledged.wrapping_sub(self.isn) == end => self.seen.get(&0) != Some(&end),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    const CLIENT: [u8; 4] = [10, 0, 0, 2];
    const SERVER: [u8; 4] = [10, 0, 0, 1];

    /// A segment of the server's: its flags, where it starts, what it carries.
    fn server(streams: &mut Streams, flags: &str, sequence: u32, payload: &[u8]) {
        segment(streams, (SERVER, 80), (CLIENT, 5000), flags, sequence, 0, payload);
    }

    fn client_acknowledges(streams: &mut Streams, sequence: u32) {
        segment(streams, (CLIENT, 5000), (SERVER, 80), "A", 1, sequence, &[]);
    }

    fn segment(
        streams: &mut Streams,
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        flags: &str,
        sequence: u32,
        acknowledged: u32,
        payload: &[u8],
    ) {
        let mut builder = PacketBuilder::ipv4(from.0, to.0, 64).tcp(from.1, to.1, sequence, 1000);
        for flag in flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'F' => builder.fin(),
                'R' => builder.rst(),
                'A' => builder.ack(acknowledged),
                other => panic!("no such flag: {other}"),
            };
        }
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        let tcp = TcpSlice::from_slice(&packet[20..]).unwrap();
        streams.segment(from.0.into(), to.0.into(), &tcp);
    }

    #[test]
    fn a_stream_in_any_order_is_complete() {
        let mut streams = Streams::default();
        let isn = u32::MAX - 2; // wraps after the first bytes
        server(&mut streams, "S", isn, b"");
        server(&mut streams, "A", isn.wrapping_add(5), b"efgh");
        server(&mut streams, "A", isn.wrapping_add(3), b"cdef");
        server(&mut streams, "FA", isn.wrapping_add(9), b"i");
        server(&mut streams, "A", isn.wrapping_add(1), b"ab");
        client_acknowledges(&mut streams, isn.wrapping_add(11));
        assert_eq!((streams.count(), streams.holes()), (1, vec![]));
    }

    #[test]
    fn a_hole_is_told_once() {
        let mut streams = Streams::default();
        server(&mut streams, "S", 100, b"");
        server(&mut streams, "A", 101, b"ab");
        server(&mut streams, "FA", 104, b"de");
        client_acknowledges(&mut streams, 103);
        assert!(streams.holes.is_empty(), "the third byte may be on its way");
        client_acknowledges(&mut streams, 107);
        client_acknowledges(&mut streams, 107);
        let holes = streams.holes();
        assert_eq!(holes, ["the stream from 10.0.0.1 port 80 to 10.0.0.2 port 5000 is not complete"]);
    }

    #[test]
    fn captures_of_headers_alone_are_not_judged() {
        let mut streams = Streams::default();
        server(&mut streams, "S", 100, b"");
        server(&mut streams, "FA", 104, b"");
        client_acknowledges(&mut streams, 105);
        streams.cut();
        assert_eq!(streams.holes(), [""; 0]);
    }

    #[test]
    fn a_reset_ends_a_stream() {
        let mut streams = Streams::default();
        server(&mut streams, "S", 100, b"");
        server(&mut streams, "FA", 104, b"");
        server(&mut streams, "R", 101, b"");
        client_acknowledges(&mut streams, 105);
        assert_eq!(streams.holes(), [""; 0]);
    }

    #[test]
    fn a_syn_into_a_stream_makes_it_unclear() {
        let mut streams = Streams::default();
        server(&mut streams, "S", 100, b"");
        server(&mut streams, "S", 5_000, b"");
        server(&mut streams, "FA", 101, b"");
        client_acknowledges(&mut streams, 102);
        assert_eq!(streams.holes(), [""; 0]);
    }

    #[test]
    fn a_tuple_may_be_used_again() {
        let mut streams = Streams::default();
        server(&mut streams, "S", 100, b"");
        server(&mut streams, "S", 100, b""); // the same one, sent again
        server(&mut streams, "FA", 101, b"");
        server(&mut streams, "S", 9_000, b"");
        server(&mut streams, "FA", 9_001, b"");
        client_acknowledges(&mut streams, 9_002);
        assert_eq!((streams.count(), streams.holes()), (2, vec![]));
    }
}
