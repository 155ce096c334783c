//! What a socket has received and nobody has read.

use std::collections::VecDeque;

use super::UdpMeta;

/// Bytes that an emptied queue may keep for the next burst.
const KEPT: usize = 64 << 10;

/// Datagrams in the order in which they came, their bytes in one ring: no datagram costs an allocation, and the memory
/// is what is held.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heads: VecDeque<Head>,
    bytes: VecDeque<u8>,
}

#[derive(Debug)]
struct Head {
    meta: UdpMeta,
    len: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Adds a datagram if less than `limit` bytes are held: so one always fits, however long it is. What is kept with
    /// each datagram counts, or empty ones would take memory without end.
    pub(super) fn push(&mut self, meta: UdpMeta, payload: &[u8], limit: usize) -> bool {
        let held = self.bytes.len() + self.heads.len() * size_of::<Head>();
        let room = held < limit;
        if room {
            self.heads.push_back(Head { meta, len: payload.len() });
            self.bytes.extend(payload);
        }
        room
    }

    /// Takes the first datagram. What does not fit `buf` is lost.
    pub(super) fn pop(&mut self, buf: &mut [u8]) -> Option<(usize, UdpMeta)> {
        let found = self.peek(buf)?;
        let head = self.heads.pop_front()?;
        self.bytes.drain(..head.len);
        if self.heads.is_empty() && self.bytes.capacity() > KEPT {
            *self = Self::default();
        }
        Some(found)
    }

    /// Copies the first datagram, as far as it fits `buf`.
    pub(super) fn peek(&self, buf: &mut [u8]) -> Option<(usize, UdpMeta)> {
        let head = self.heads.front()?;
        let n = head.len.min(buf.len());
        let (first, second) = self.bytes.as_slices();
        let (from_first, from_second) = buf[..n].split_at_mut(n.min(first.len()));
        from_first.copy_from_slice(&first[..from_first.len()]);
        from_second.copy_from_slice(&second[..from_second.len()]);
        Some((n, head.meta))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(n: u16) -> UdpMeta {
        UdpMeta::to(([10, 0, 0, 1], n).into())
    }

    #[test]
    fn datagrams_keep_their_bounds_wherever_the_ring_wraps() {
        let mut queue = Queue::default();
        let mut buf = [0; 64];
        for n in 0..500u16 {
            let payload = vec![n as u8; usize::from(n % 61)];
            assert!(queue.push(meta(n), &payload, 4096));
            assert!(queue.push(meta(n), &[], 4096));
            assert_eq!(queue.peek(&mut buf), Some((payload.len(), meta(n))));
            assert_eq!(queue.pop(&mut buf), Some((payload.len(), meta(n))));
            assert_eq!(buf[..payload.len()], payload);
            assert_eq!(queue.pop(&mut buf), Some((0, meta(n))));
            assert!(queue.is_empty());
            // Moves the start of the ring on.
            assert!(queue.push(meta(n), &[7; 13], 4096) && queue.push(meta(n), &payload, 4096));
            assert_eq!(queue.pop(&mut buf), Some((13, meta(n))));
            assert_eq!(queue.pop(&mut buf), Some((payload.len(), meta(n))));
            assert_eq!(buf[..payload.len()], payload);
        }
    }

    #[test]
    fn a_short_buffer_truncates_one_datagram_and_not_the_next() {
        let mut queue = Queue::default();
        assert!(queue.push(meta(1), b"first", 4096) && queue.push(meta(2), b"second", 4096));
        let mut buf = [0; 3];
        assert_eq!(queue.pop(&mut buf), Some((3, meta(1))));
        assert_eq!(&buf, b"fir");
        assert_eq!(queue.pop(&mut buf), Some((3, meta(2))));
        assert_eq!(&buf, b"sec");
        assert_eq!(queue.pop(&mut buf), None);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut queue = Queue::default();
        assert!(queue.push(meta(1), &[0; 65_507], 1), "one always fits");
        assert!(!queue.push(meta(1), &[], 1));
        queue.clear();
        let empty = (0..10_000).filter(|_| queue.push(meta(1), &[], 4096)).count();
        assert!((10..100).contains(&empty), "{empty}");
    }

    #[test]
    fn a_burst_does_not_stay_in_memory() {
        let mut queue = Queue::default();
        while queue.push(meta(1), &[0; 1000], 1 << 20) {}
        while queue.pop(&mut []).is_some() {}
        assert!(queue.bytes.capacity() <= KEPT);
    }
}
