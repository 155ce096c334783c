//! The packets in flight: one bounded queue, in the order in which they were sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use uis_vnic::{DropReason, Frame, SendError};

use crate::InternetStats;
use crate::bulk::is_bulk;
use crate::wakers::{Receivers, RoomLine};
use uis_clock::unwind::Panics;

pub(crate) struct Queue {
    state: Mutex<State>,
    max: usize,
    /// How long the queue may be for one more bulk segment when nobody waits.
    bulk_max: usize,
    /// How many slots are worth waking a sender for, and how many it may fill in its turn. With few they would take turns
    /// frame by frame, which costs throughput; with many a thousand of them would be served unevenly for a long time.
    worthwhile: usize,
}

struct State {
    frames: VecDeque<Frame>,
    /// How many of them were made by hand.
    unsent: usize,
    /// For each router, how many frames that were sent it has taken out and not handled yet.
    routers: Vec<Arc<AtomicU64>>,
    receivers: Receivers,
    room: RoomLine,
    /// While a sender is woken: how many frames it may still send if others wait.
    turn: Option<usize>,
    /// Somebody is waking those who wait for room, and will look again before stopping.
    waking: bool,
    closed: bool,
    sent: u64,
    refused: u64,
}

impl State {
    /// Whether there is nothing to take and there may be later.
    fn is_idle(&self) -> bool {
        self.frames.is_empty() && !self.closed
    }
}

impl Queue {
    /// For `max` frames, at least 1.
    pub(crate) fn new(max: usize) -> Self {
        let state = State {
            frames: VecDeque::new(),
            unsent: 0,
            routers: Vec::new(),
            receivers: Receivers::default(),
            room: RoomLine::default(),
            turn: None,
            waking: false,
            closed: false,
            sent: 0,
            refused: 0,
        };
        Self { state: Mutex::new(state), max, bulk_max: max - max / 8, worthwhile: (max / 16).clamp(1, 32) }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Puts a frame at the end. In an error, `Dropped` means closed.
    pub(crate) fn push(&self, frame: Frame) -> Result<(), SendError> {
        let sent = frame.sent_by().is_some();
        let mut state = self.state.lock();
        let len = state.frames.len();
        if state.closed {
            state.sent += u64::from(sent);
            drop(state);
            return Err(SendError::Dropped(DropReason::Closed));
        }
        if len >= self.max || (len >= self.bulk_limit(&state) && is_bulk(frame.packet())) {
            state.refused += 1;
            drop(state);
            return Err(SendError::Full(frame));
        }
        state.frames.push_back(frame);
        state.sent += u64::from(sent);
        state.unsent += usize::from(!sent);
        if let Some(left) = &mut state.turn {
            *left = left.saturating_sub(1);
        }
        if !state.receivers.is_empty() {
            let wakeup = state.receivers.drain();
            drop(state);
            wakeup.wake();
        }
        Ok(())
    }

    /// Puts frames at the end, under one lock, as many as there is room for: all if it says true. Closed, it takes none.
    /// Says as well how many of those that a closed queue refuses were sent.
    pub(crate) fn push_all(&self, frames: &mut VecDeque<Frame>) -> (u64, Result<bool, DropReason>) {
        let mut state = self.state.lock();
        if state.closed {
            let sent = frames.iter().filter(|frame| frame.sent_by().is_some()).count() as u64;
            state.sent += sent;
            return (sent, Err(DropReason::Closed));
        }
        // Nearly always there is room for all of them.
        if state.turn.is_none() && state.frames.len() + frames.len() <= self.bulk_limit(&state) {
            let sent = frames.iter().filter(|frame| frame.sent_by().is_some()).count();
            state.sent += sent as u64;
            state.unsent += frames.len() - sent;
            state.frames.append(frames);
        }
        while let Some(frame) = frames.front() {
            let len = state.frames.len();
            if len >= self.max || (len >= self.bulk_limit(&state) && is_bulk(frame.packet())) {
                state.refused += 1;
                break;
            }
            state.frames.extend(frames.pop_front());
            let sent = state.frames.back().is_some_and(|frame| frame.sent_by().is_some());
            state.sent += u64::from(sent);
            state.unsent += usize::from(!sent);
            if let Some(left) = &mut state.turn {
                *left = left.saturating_sub(1);
            }
        }
        if !state.receivers.is_empty() && !state.frames.is_empty() {
            let wakeup = state.receivers.drain();
            drop(state);
            wakeup.wake();
        }
        (0, Ok(frames.is_empty()))
    }

    /// Finds up to `max` frames, at least 1, at the front and has `sink` take that many off the queue, told also how many of
    /// them were sent. Without any, waits under `key` if there is a context. `Ready(0)`: there are none and never will be.
    ///
    /// `sink` must not call out. What it does is done before senders are woken, who may panic: then the frames are where it
    /// has put them.
    pub(crate) fn poll_take(
        &self,
        key: &mut Option<u64>,
        cx: Option<&Context<'_>>,
        max: usize,
        sink: impl FnOnce(&mut VecDeque<Frame>, usize, u64),
    ) -> Poll<usize> {
        let mut spare = None;
        let mut state = self.state.lock();
        if let Some(cx) = cx
            && state.is_idle()
            && !state.receivers.waits(*key, cx.waker())
        {
            drop(state);
            let waker = cx.waker().clone(); // foreign code, so not under the lock
            state = self.state.lock();
            spare = if state.is_idle() { state.receivers.wait(key, waker) } else { Some(waker) };
        }
        let n = max.min(state.frames.len());
        if n == 0 {
            let closed = state.closed;
            drop(state);
            drop(spare);
            return if closed { Poll::Ready(0) } else { Poll::Pending };
        }
        let unsent = match state.unsent {
            0 => 0, // nearly always
            _ => state.frames.range(..n).filter(|frame| frame.sent_by().is_none()).count(),
        };
        state.unsent -= unsent;
        sink(&mut state.frames, n, (n - unsent) as u64);
        let old = state.receivers.leave(key);
        self.wake_senders(state);
        drop((old, spare));
        Poll::Ready(n)
    }

    /// Puts frames that were taken and not handled back to the front, in their order.
    pub(crate) fn put_back(&self, frames: impl DoubleEndedIterator<Item = Frame>) {
        let mut state = self.state.lock();
        for frame in frames.rev() {
            state.unsent += usize::from(frame.sent_by().is_none());
            state.frames.push_front(frame);
        }
        let wakeup = state.receivers.drain();
        drop(state);
        wakeup.wake();
    }

    /// No longer waits for frames.
    pub(crate) fn leave(&self, key: &mut Option<u64>) {
        if key.is_some() {
            let old = self.state.lock().receivers.leave(key);
            drop(old);
        }
    }

    /// Makes all who wait for frames look again.
    pub(crate) fn wake_receivers(&self) {
        let wakeup = self.state.lock().receivers.drain();
        wakeup.wake();
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().frames.len()
    }

    pub(crate) fn on_room(&self, waker: &Waker) {
        let waker = waker.clone(); // foreign code, so not under the lock
        let mut state = self.state.lock();
        let spare = state.room.join(waker);
        self.wake_senders(state);
        drop(spare);
    }

    /// No frame is taken from here on. False if that was so before.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.closed = true;
        let wakeup = state.receivers.drain();
        let mut panics = Panics::default();
        panics.catch(|| self.wake_senders(state));
        panics.catch(|| wakeup.wake());
        panics.resume();
        true
    }

    /// A router begins, which alone says in here how many frames that were sent it has taken and not handled yet.
    pub(crate) fn add_router(&self) -> Arc<AtomicU64> {
        let taken = Arc::new(AtomicU64::new(0));
        self.state.lock().routers.push(taken.clone());
        taken
    }

    pub(crate) fn remove_router(&self, router: &Arc<AtomicU64>) {
        self.state.lock().routers.retain(|other| !Arc::ptr_eq(other, router));
    }

    pub(crate) fn read_into(&self, stats: &mut InternetStats) {
        let state = self.state.lock();
        stats.sent = state.sent;
        stats.refused = state.refused;
        let taken: u64 = state.routers.iter().map(|taken| taken.load(Ordering::Relaxed)).sum();
        stats.queued = (state.frames.len() - state.unsent) as u64 + taken;
    }

    /// How long the queue may be now for one more bulk segment.
    ///
    /// While others wait, the room is theirs. Otherwise who is sending, and sends on with each acknowledgment, would leave
    /// nothing to those in the line: there would never be as much room as they are woken for. So nobody gets in but the one
    /// who is being woken, or those who were woken and did not send at once: for them there is more room than that.
    fn bulk_limit(&self, state: &State) -> usize {
        match state.turn {
            _ if state.room.is_empty() => self.bulk_max,
            Some(0) => 0,
            Some(_) => self.bulk_max,
            None => self.bulk_max - self.worthwhile + 1,
        }
    }

    /// Wakes those who wait for room, in turn, as long as there is enough of it.
    ///
    /// A waker may send inline, and then the next one finds what it left. One that does not is given time: the room it
    /// is meant for is not offered to the next. But when the queue is empty all are woken, since nobody might come
    /// to take a frame, and wake them, ever again.
    fn wake_senders<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        if state.waking || state.room.is_empty() {
            return;
        }
        state.waking = true;
        let mut panics = Panics::default();
        let mut promised = 0;
        loop {
            let before = state.frames.len();
            let room = state.closed
                || before == 0
                || self.bulk_max.saturating_sub(before) >= self.worthwhile.saturating_add(promised);
            let waker = if room { state.room.next() } else { None };
            let Some(waker) = waker else { break };
            state.turn = Some(self.worthwhile);
            drop(state);
            panics.catch(|| waker.wake());
            state = self.state.lock();
            state.turn = None;
            if state.frames.len() <= before {
                promised += self.worthwhile;
            }
        }
        // Under the same lock as the last look, so that nobody who comes after it is missed.
        state.waking = false;
        drop(state);
        panics.resume();
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Queue")
            .field("len", &state.frames.len())
            .field("max", &self.max)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::Wake;

    struct Panicking(Arc<AtomicU64>);

    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("a waker of the user's");
        }
    }

    #[test]
    fn closing_wakes_both_sides_though_they_panic() {
        let queue = Queue::new(1);
        let woken = Arc::new(AtomicU64::new(0));
        let waker = Waker::from(Arc::new(Panicking(woken.clone())));
        // They never wait at the same time but between two steps of another thread.
        let mut state = queue.state.lock();
        assert!(state.receivers.wait(&mut None, waker.clone()).is_none());
        assert!(state.room.join(waker).is_none());
        drop(state);
        catch_unwind(AssertUnwindSafe(|| queue.close())).unwrap_err();
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
