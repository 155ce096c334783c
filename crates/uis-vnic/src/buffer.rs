//! Recycled packet buffers.
//!
//! At millions of frames a second the allocator is a noticeable part of what a frame costs. So each thread keeps a
//! short list of spent buffers: [`Frame`](crate::Frame) gives its buffer back when it is dropped, and whoever
//! builds a packet asks here first.
//!
//! A list is kept for each of four sizes. What a thread holds back at most is 1,024 buffers of 256 bytes, 1,024 of
//! 2 KiB, 64 of 16 KiB and 16 of 64 KiB, twice that if all were made elsewhere with the largest capacity that is
//! accepted: below 9 MiB. That is about what an internet of default size can hold in flight, so that in a run nothing
//! is allocated. All of it is freed when the thread ends. Nothing is shared between threads, so nothing is locked.
//!
//! ```
//! use uis_vnic::{Frame, buffer};
//!
//! let mut packet = buffer::take(40);
//! packet.fill(0); // what was in it before is not defined
//! packet[0] = 0x60;
//! drop(Frame::new(packet)); // gives the buffer back
//! ```

use std::cell::RefCell;

/// The sizes that are kept, in bytes, and how many of each.
const CLASSES: [(usize, usize); 4] = [(256, 1024), (2048, 1024), (16 * 1024, 64), (64 * 1024, 16)];

thread_local! {
    static SPENT: RefCell<[Vec<Vec<u8>>; CLASSES.len()]> = const { RefCell::new([const { Vec::new() }; CLASSES.len()]) };
}

/// A buffer of exactly `len` bytes, **whose contents are not defined**: they may be those of an earlier packet.
///
/// It is an ordinary `Vec`, and need not come back.
#[must_use]
pub fn take(len: usize) -> Vec<u8> {
    let mut buffer = take_any(len);
    if buffer.len() > len {
        buffer.truncate(len);
    } else {
        // A buffer keeps the length it last had, so that in a run of packets of like size nothing is filled here.
        buffer.resize(len, 0);
    }
    buffer
}

/// A buffer with a copy of `packet`.
#[must_use]
pub fn copy_of(packet: &[u8]) -> Vec<u8> {
    let mut buffer = take_any(packet.len());
    buffer.clear();
    buffer.extend_from_slice(packet);
    buffer
}

/// Gives a buffer back to this thread. If its size is an odd one, or enough of them are kept, it is freed.
pub fn give(buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    // The largest class that it can serve in full; nothing that would waste more than half of itself there.
    let Some(class) = CLASSES.iter().rposition(|&(size, _)| size <= capacity && capacity <= size * 2) else {
        return;
    };
    // While the thread ends the list may be gone; then the buffer is simply freed.
    let _ = SPENT.try_with(|spent| {
        let kept = &mut spent.borrow_mut()[class];
        if kept.len() < CLASSES[class].1 {
            kept.push(buffer);
        }
    });
}

/// A buffer of any length with room for at least `len` bytes.
fn take_any(len: usize) -> Vec<u8> {
    let Some(class) = CLASSES.iter().position(|&(size, _)| len <= size) else {
        return Vec::with_capacity(len);
    };
    SPENT
        .try_with(|spent| spent.borrow_mut()[class].pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity(CLASSES[class].0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(class: usize) -> usize {
        SPENT.with(|spent| spent.borrow()[class].len())
    }

    #[test]
    fn a_buffer_comes_back_with_the_length_asked_for() {
        let buffer = take(1500);
        let at = buffer.as_ptr();
        give(buffer);
        let again = take(1400);
        assert_eq!((again.as_ptr(), again.len()), (at, 1400));
        give(again);
        let again = take(2048);
        assert_eq!((again.as_ptr(), again.len()), (at, 2048));
        give(again);
        let copy = copy_of(&[3; 300]);
        assert_eq!((copy.as_ptr(), &copy[..]), (at, &[3; 300][..]));
    }

    #[test]
    fn small_packets_do_not_hold_large_buffers() {
        give(take(1500));
        assert_eq!(take(40).capacity(), 256);
        assert_eq!(kept(1), 1);
    }

    #[test]
    fn every_length_is_served() {
        for len in [0, 1, 255, 256, 257, 2048, 2049, 9000, 16_384, 16_385, 65_535, 65_536, 65_537, 1_000_000]
        {
            for _ in 0..2 {
                let buffer = take(len);
                assert_eq!(buffer.len(), len);
                give(buffer);
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for &(size, most) in &CLASSES {
            for _ in 0..most + 50 {
                give(Vec::with_capacity(size));
            }
        }
        for (class, &(_, most)) in CLASSES.iter().enumerate() {
            assert_eq!(kept(class), most);
        }
        give(Vec::with_capacity(255));
        give(Vec::with_capacity(200_000));
        give(Vec::with_capacity(1500)); // neither a good small one nor enough for a large one
        assert_eq!((0..CLASSES.len()).map(kept).sum::<usize>(), CLASSES.iter().map(|class| class.1).sum());
    }

    #[test]
    fn frames_may_be_dropped_while_their_thread_ends() {
        struct Late(RefCell<Vec<crate::Frame>>);
        thread_local!(static LATE: Late = const { Late(RefCell::new(Vec::new())) });
        std::thread::spawn(|| {
            // The destructors of a thread's locals run in no promised order: try both.
            LATE.with(|late| late.0.borrow_mut().push(crate::Frame::new(take(1500))));
            give(take(1500));
        })
        .join()
        .unwrap();
        std::thread::spawn(|| {
            give(take(1500));
            LATE.with(|late| late.0.borrow_mut().push(crate::Frame::new(take(1500))));
        })
        .join()
        .unwrap();
    }
}
