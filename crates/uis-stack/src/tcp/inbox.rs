//! What has arrived in order and waits for the reader.
//!
//! It keeps packets as they came, so that their bytes are copied once: to the reader. smoltcp's ring holds only what is
//! out of order.

use std::collections::VecDeque;

use uis_vnic::buffer;

/// What little segments are gathered in.
const CHUNK: usize = 2048;
/// What they are gathered in where other ones come in between.
const LITTLE: usize = 256;

/// The received part of a stream, from the next byte that the reader gets on.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    chunks: VecDeque<Chunk>,
    len: usize,
}

/// The bytes of `buffer` from `start` on; never none.
#[derive(Debug)]
struct Chunk {
    buffer: Vec<u8>,
    start: usize,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl Inbox {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends the bytes of `packet` from `start` up to `end`.
    ///
    /// The packet is kept if they are not few and fill at least half of its buffer. Else they are copied. So what waits takes
    /// four times its length of memory at most, whatever the sizes of the segments are, and in whatever order they come.
    pub(crate) fn push_packet(&mut self, mut packet: Vec<u8>, start: usize, end: usize) {
        if end - start < LITTLE || (end - start) * 2 < packet.capacity() {
            self.push(&packet[start..end]);
            return buffer::give(packet);
        }
        packet.truncate(end);
        self.len += end - start;
        self.chunks.push_back(Chunk { buffer: packet, start });
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        let before = self.chunks.back().map(|last| last.bytes().len());
        match self.chunks.back_mut() {
            _ if bytes.is_empty() => {}
            Some(last) if last.buffer.capacity() - last.buffer.len() >= bytes.len() => {
                last.buffer.extend_from_slice(bytes);
            }
            _ => {
                let mut gathered = match before {
                    None => buffer::take(bytes.len()), // a lone one is read soon
                    // There is room for more than this one, but no more than what is before it accounts for.
                    Some(before) if before >= CHUNK / 2 => buffer::take(bytes.len().max(CHUNK)),
                    Some(_) => Vec::with_capacity(bytes.len().max(LITTLE)),
                };
                gathered.clear();
                gathered.extend_from_slice(bytes);
                self.chunks.push_back(Chunk { buffer: gathered, start: 0 });
            }
        }
    }

    /// Copies bytes to `buf` and takes them off.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut read = 0;
        while let Some(first) = self.chunks.front_mut()
            && read < buf.len()
        {
            let n = copy(first.bytes(), &mut buf[read..]);
            read += n;
            first.start += n;
            if first.start == first.buffer.len()
                && let Some(spent) = self.chunks.pop_front()
            {
                buffer::give(spent.buffer);
            }
        }
        self.len -= read;
        read
    }

    /// Copies bytes to `buf` and leaves them.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> usize {
        let mut peeked = 0;
        for chunk in &self.chunks {
            peeked += copy(chunk.bytes(), &mut buf[peeked..]);
        }
        peeked
    }
}

/// Copies as much as there is, and as there is room for.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    to[..n].copy_from_slice(&from[..n]);
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that tell their place in the stream.
    fn stream(from: usize, len: usize) -> Vec<u8> {
        (from..from + len).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut inbox = Inbox::default();
        let (mut pushed, mut read) = (0, 0);
        for (turn, len) in
            [1, 1460, 3, 700, 1460, 0, 2048, 5, 1, 1, 300].into_iter().cycle().take(500).enumerate()
        {
            if turn % 2 == 0 {
                let mut packet = buffer::take(40 + len + 2);
                packet[40..40 + len].copy_from_slice(&stream(pushed, len));
                inbox.push_packet(packet, 40, 40 + len);
            } else {
                inbox.push(&stream(pushed, len));
            }
            pushed += len;
            assert_eq!(inbox.len(), pushed - read);
            let mut buf = vec![0; turn * 7 % 1500];
            let peeked = inbox.peek(&mut buf);
            assert_eq!(buf[..peeked], stream(read, peeked));
            let n = inbox.read(&mut buf);
            assert_eq!((n, &buf[..n]), (peeked.min(buf.len()), &stream(read, n)[..]));
            read += n;
        }
        let mut rest = vec![0; inbox.len() + 1];
        assert_eq!(inbox.read(&mut rest), pushed - read);
        assert_eq!(rest[..pushed - read], stream(read, pushed - read));
        assert_eq!((inbox.len(), inbox.read(&mut rest), inbox.chunks.len()), (0, 0, 0));
    }

    #[test]
    fn little_segments_take_little_memory() {
        let mut inbox = Inbox::default();
        for _ in 0..100_000 {
            inbox.push_packet(buffer::take(41), 40, 41);
        }
        let held: usize = inbox.chunks.iter().map(|chunk| chunk.buffer.capacity()).sum();
        assert!(held <= 2 * 100_000, "{held} bytes for 100,000");
        // Nor do those between which longer ones come.
        for long in [41, 255, 256, 300, 1000, 1024, 1460] {
            for capacity in [long + 40, 2 * long] {
                let mut inbox = Inbox::default();
                for _ in 0..1000 {
                    let mut packet = Vec::with_capacity(capacity.max(long + 40));
                    packet.resize(long + 40, 0);
                    inbox.push_packet(packet, 40, 40 + long);
                    inbox.push_packet(buffer::take(41), 40, 41);
                }
                let held: usize = inbox.chunks.iter().map(|chunk| chunk.buffer.capacity() + 48).sum();
                assert!(held <= 4 * inbox.len() + 4096, "{held} bytes for {} in {long}s", inbox.len());
            }
        }
        // Nor does a packet in a buffer that is much too large.
        inbox.push_packet(Vec::with_capacity(1 << 20), 0, 0);
        assert!(inbox.chunks.iter().all(|chunk| chunk.buffer.capacity() < 1 << 20));
    }
}
