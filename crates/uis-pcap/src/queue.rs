//! What stands between those who dump packets and the one thread that writes them: a bounded queue of
//! encoded records, packed into chunks so that a packet costs a copy, not an allocation or a system call.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// A chunk takes no further record from here on, and is worth a write of its own. Of writes of this size,
/// the system calls are a small part of what writing costs.
const CHUNK_LEN: usize = 128 * 1024;

/// How many emptied chunks are kept for reuse: what a default buffer of full-size packets takes, so that a
/// capture at speed allocates nothing.
const SPARE_CHUNKS: usize = 48;

/// How many bytes are taken in between two offers of the processor to the writer.
const YIELD_EVERY: usize = 64 * 1024;

/// How long the writer waits for a chunk to fill up before it writes what there is. This is real time,
/// of the file and not of the simulation: no time stamp or order depends on it. It keeps a capture
/// watchable while it grows, and nearly complete when its process is killed, at a fraction of the
/// wake-ups that writing each packet at once would cost those who dump.
const LINGER: Duration = Duration::from_millis(50);

/// Records in file order.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    packets: usize,
}

impl Chunk {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What the writer's thread is doing, so that a dump wakes it only when it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// Writing, or about to look: no wake-up needed.
    Busy,
    /// Waiting for the first packet of a chunk.
    Idle,
    /// Waiting for the rest of a chunk.
    Lingering,
}

/// The bounded queue. Nothing of the caller's runs under its lock.
#[derive(Debug)]
pub(crate) struct Queue {
    /// In packets.
    capacity: usize,
    /// How long a packet waits for room, see [`push`](Self::push).
    patience: Duration,
    state: Mutex<State>,
    /// For the writer: there is something to do.
    work: Condvar,
    /// For those who push: there is room.
    room: Condvar,
    /// For those who close: the writer has finished.
    done: Condvar,
}

#[derive(Debug)]
struct State {
    /// Oldest first; all but the last are full.
    chunks: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    /// Packets accepted and not yet written, those in the writer's hands among them.
    pending: usize,
    dropped: u64,
    /// Chunks written so far.
    progress: u64,
    /// The progress at which a wait for room was in vain. Until there is more, nobody waits.
    in_vain: Option<u64>,
    writer: Writer,
    writer_thread: Option<ThreadId>,
    /// No further packet is accepted.
    closed: bool,
    /// The writer is gone, with everything it held.
    finished: bool,
    /// The first error, until `close` has reported it.
    error: Option<io::Error>,
}

impl Queue {
    /// A queue of `capacity` packets; at least one.
    pub(crate) fn new(capacity: usize, patience: Duration) -> Self {
        Self {
            capacity: capacity.max(1),
            patience,
            state: Mutex::new(State {
                chunks: VecDeque::new(),
                spare: Vec::new(),
                pending: 0,
                dropped: 0,
                progress: 0,
                in_vain: None,
                writer: Writer::Busy,
                writer_thread: None,
                closed: false,
                finished: false,
                error: None,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Appends a record, or counts it as dropped.
    ///
    /// When the queue is full, a writer that is getting on is given a moment: at most `patience`, and, if
    /// that was in vain, no other until it has written something.
    pub(crate) fn push(&self, header: &[u8], packet: &[u8]) {
        let mut state = self.state.lock();
        if state.is_full(self.capacity) && state.may_wait() {
            let waited = self.room.wait_for(&mut state, self.patience);
            if waited.timed_out() {
                state.in_vain = Some(state.progress);
            }
        }
        if state.is_full(self.capacity) || state.closed {
            state.dropped += 1;
            return;
        }
        state.pending += 1;
        let taken_in = state.append(header, packet);
        let wake = match state.writer {
            Writer::Busy => false,
            Writer::Idle => true,
            Writer::Lingering => state.is_worth_writing(self.capacity),
        };
        if wake {
            state.writer = Writer::Busy;
        }
        // Where there is one core for all of this, the writer may be ready to run and not get to: the queue
        // is small against a scheduler's time slice. Offer it ours now and then while there is still room.
        // This is no wait: when the writer cannot run, or runs on another core, we go on at once.
        let make_way = taken_in && state.is_filling_up(self.capacity);
        drop(state);
        if wake {
            self.work.notify_one();
        }
        if make_way {
            thread::yield_now();
        }
    }

    /// Packets that are not, and will not be, in the capture.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// Refuses further packets, waits until the writer has finished, and hands out its error once.
    pub(crate) fn close(&self) -> io::Result<()> {
        let mut state = self.shut();
        if state.is_writer() && !state.finished {
            return Err(io::Error::new(
                io::ErrorKind::Deadlock,
                "a capture cannot be closed from within its own writer",
            ));
        }
        while !state.finished {
            self.done.wait(&mut state);
        }
        state.error.take().map_or(Ok(()), Err)
    }

    /// As [`close`](Self::close), for when nobody asks for the outcome: waits for as long as the writer
    /// gets anywhere, and leaves one that got nothing done for `patience` to itself.
    pub(crate) fn close_unless_stuck(&self, patience: Duration) {
        let mut state = self.shut();
        while !state.finished && !state.is_writer() {
            let progress = state.progress;
            if self.done.wait_for(&mut state, patience).timed_out() && state.progress == progress {
                return;
            }
        }
    }

    /// For the writer's thread, first of all: from here on it is known which one it is.
    pub(crate) fn writer_started(&self) {
        self.state.lock().writer_thread = Some(thread::current().id());
    }

    /// For the writer: the next chunk to write; waits for one. `None` once closed and drained.
    pub(crate) fn next(&self) -> Option<Chunk> {
        let mut state = self.state.lock();
        while !state.closed && !state.is_worth_writing(self.capacity) {
            if state.chunks.is_empty() {
                state.writer = Writer::Idle;
                self.work.wait(&mut state);
            } else {
                state.writer = Writer::Lingering;
                if self.work.wait_for(&mut state, LINGER).timed_out() {
                    break;
                }
            }
        }
        state.writer = Writer::Busy;
        state.chunks.pop_front()
    }

    /// For the writer: this chunk has been written, which makes room.
    pub(crate) fn written(&self, chunk: Chunk) {
        let Chunk { mut bytes, packets } = chunk;
        bytes.clear();
        let mut state = self.state.lock();
        state.pending -= packets;
        state.progress += 1;
        if state.spare.len() < SPARE_CHUNKS {
            state.spare.push(bytes);
        }
        drop(state);
        self.room.notify_all();
    }

    /// For the writer, when it will write no more, but has not let go of its file yet.
    pub(crate) fn abandon(&self) {
        let mut state = self.shut();
        state.dropped += mem::take(&mut state.pending) as u64;
        let (chunks, spare) = (mem::take(&mut state.chunks), mem::take(&mut state.spare));
        drop(state);
        drop((chunks, spare));
    }

    /// For the writer, last of all.
    pub(crate) fn finish(&self, outcome: io::Result<()>) {
        let mut state = self.state.lock();
        state.finished = true;
        state.error = outcome.err();
        drop(state);
        self.done.notify_all();
    }

    fn shut(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.closed = true;
        self.work.notify_one();
        self.room.notify_all();
        state
    }
}

impl State {
    /// Whether this began another stretch of [`YIELD_EVERY`] bytes.
    fn append(&mut self, header: &[u8], packet: &[u8]) -> bool {
        if self.chunks.back().is_none_or(|last| last.bytes.len() >= CHUNK_LEN) {
            let bytes = self.spare.pop().unwrap_or_default();
            self.chunks.push_back(Chunk { bytes, packets: 0 });
        }
        let chunk = self.chunks.back_mut().expect("a chunk with room was just seen or made");
        let before = chunk.bytes.len();
        chunk.bytes.extend_from_slice(header);
        chunk.bytes.extend_from_slice(packet);
        chunk.packets += 1;
        before / YIELD_EVERY != chunk.bytes.len() / YIELD_EVERY
    }

    /// Whether a chunk is full, or the queue so full that waiting for more would cost packets.
    fn is_worth_writing(&self, capacity: usize) -> bool {
        match self.chunks.front() {
            None => false,
            Some(first) => first.bytes.len() >= CHUNK_LEN || self.is_filling_up(capacity),
        }
    }

    /// Early enough for the writer to keep up, and for what it writes to be in the cache still.
    fn is_filling_up(&self, capacity: usize) -> bool {
        self.pending >= capacity.div_ceil(4)
    }

    fn is_full(&self, capacity: usize) -> bool {
        self.pending >= capacity
    }

    /// Whether whoever finds the queue full may hope for room.
    fn may_wait(&self) -> bool {
        !self.closed && !self.is_writer() && self.in_vain != Some(self.progress)
    }

    fn is_writer(&self) -> bool {
        self.writer_thread == Some(thread::current().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOR_EVER: Duration = Duration::MAX;

    #[test]
    fn a_stuck_writer_is_given_up() {
        let queue = Queue::new(1, Duration::ZERO);
        queue.push(&[], &[0x45]);
        queue.close_unless_stuck(Duration::ZERO); // would never return if it waited: nobody writes
        queue.push(&[], &[0x45]);
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn a_full_queue_waits_for_a_writer_that_gets_on() {
        let queue = Queue::new(1, FOR_EVER);
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Some(chunk) = queue.next() {
                    queue.written(chunk);
                }
            });
            for n in 0..100 {
                queue.push(&[], &[n]);
            }
            drop(queue.shut());
        });
        assert_eq!((queue.dropped(), queue.state.lock().pending), (0, 0));
    }

    #[test]
    fn a_wait_in_vain_is_not_repeated_until_the_writer_gets_on() {
        let mut queue = Queue::new(1, Duration::ZERO);
        queue.push(&[], &[0]);
        queue.push(&[], &[1]); // waits for no time at all, in vain
        queue.patience = FOR_EVER;
        queue.push(&[], &[2]); // would never return if it waited
        assert_eq!(queue.dropped(), 2);
        let chunk = queue.next().expect("the queue is full");
        queue.written(chunk);
        queue.push(&[], &[3]);
        assert!(queue.state.lock().may_wait());
    }

    #[test]
    fn those_who_wait_for_room_are_let_go_by_a_close() {
        let queue = Queue::new(1, FOR_EVER);
        queue.push(&[], &[0]);
        thread::scope(|scope| {
            scope.spawn(|| queue.push(&[], &[1]));
            drop(queue.shut());
        });
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn records_share_a_chunk_until_it_is_full() {
        let queue = Queue::new(100, Duration::ZERO);
        for _ in 0..3 {
            queue.push(&[1; 16], &[2; CHUNK_LEN - 33]);
        }
        drop(queue.shut());
        let lengths: Vec<_> = std::iter::from_fn(|| queue.next()).map(|chunk| chunk.bytes.len()).collect();
        assert_eq!(lengths, [2 * (CHUNK_LEN - 17), CHUNK_LEN - 17]);
    }

    #[test]
    fn emptied_chunks_are_reused() {
        let queue = Queue::new(1, Duration::ZERO);
        queue.push(&[], &[0; 100]);
        let chunk = queue.next().expect("the queue is full");
        let at = chunk.bytes.as_ptr();
        queue.written(chunk);
        queue.push(&[], &[0; 100]);
        assert_eq!(queue.next().expect("the queue is full").bytes.as_ptr(), at);
    }
}
