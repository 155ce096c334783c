//! A `VnicPort` as a device of smoltcp.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::{Frame, SendError, VnicPort, WeakVnic, buffer};

/// How often in a row a network may say that there is room and then refuse a frame, before that frame is given up.
const MOST_FALSE_PROMISES: u32 = 16;

impl phy::Device for VnicPort {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let frame = self.try_recv()?;
        Some((RxToken { frame }, TxToken { outgoing: &self.outgoing }))
    }

    /// Never `None`.
    fn transmit(&mut self, _now: Instant) -> Option<TxToken<'_>> {
        Some(TxToken { outgoing: &self.outgoing })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.vnic().mtu() as usize;
        capabilities
    }
}

/// A frame that has arrived, for smoltcp to read.
#[derive(Debug)]
pub struct RxToken {
    frame: Frame,
}

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.frame.packet())
    }
}

/// The right to send one frame, for smoltcp to write.
#[derive(Debug)]
#[must_use = "nothing is sent unless it is consumed"]
pub struct TxToken<'a> {
    outgoing: &'a Arc<Outgoing>,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = buffer::take(len);
        // smoltcp is not bound to write every byte, and what was in the buffer must not reach the wire.
        packet.fill(0);
        let result = f(&mut packet);
        self.outgoing.send(Frame::new(packet));
        result
    }
}

/// What smoltcp has sent and the network had no room for.
#[derive(Debug)]
pub(crate) struct Outgoing {
    vnic: WeakVnic,
    capacity: usize,
    state: Mutex<State>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Frame>,
    /// Somebody sends from the queue: this keeps the order, and a network that wakes us inside a call from recursing.
    flushing: bool,
    /// The network has said that there is room since it last refused a frame.
    room: bool,
}

impl Outgoing {
    pub(crate) fn new(vnic: WeakVnic, capacity: usize) -> Self {
        Self { vnic, capacity, state: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends a frame, behind those that wait.
    fn send(self: &Arc<Self>, frame: Frame) {
        let mut state = self.state.lock();
        let room = state.queue.len() < self.capacity;
        if room {
            state.queue.push_back(frame);
        }
        drop(state);
        if !room {
            self.count_drop();
        }
        self.flush();
    }

    /// Sends what waits, until the network has no room. When there is again, it wakes us, and we go on.
    fn flush(self: &Arc<Self>) {
        let Some(mut flush) = Flush::start(&self.state) else { return };
        let Some(vnic) = self.vnic.upgrade() else { return };
        let mut refused = 0;
        while let Some(frame) = flush.next() {
            match vnic.send(frame) {
                Ok(()) => refused = 0,
                Err(SendError::Full(frame)) if refused < MOST_FALSE_PROMISES => {
                    refused += 1;
                    flush.put_back(frame);
                    vnic.on_room(&Waker::from(self.clone()));
                    if flush.pause() {
                        return;
                    }
                }
                Err(_) => {
                    refused = 0;
                    self.count_drop();
                }
            }
        }
    }

    fn count_drop(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The network says that there is room.
impl Wake for Outgoing {
    fn wake(self: Arc<Self>) {
        self.state.lock().room = true;
        self.flush();
    }
}

/// Whoever has this, and nobody else, sends from the queue.
struct Flush<'a> {
    state: &'a Mutex<State>,
    active: bool,
}

impl<'a> Flush<'a> {
    fn start(state: &'a Mutex<State>) -> Option<Self> {
        let mut locked = state.lock();
        if locked.flushing {
            return None;
        }
        locked.flushing = true;
        Some(Self { state, active: true })
    }

    /// The next frame. If there is none, this is over.
    fn next(&mut self) -> Option<Frame> {
        let mut state = self.state.lock();
        let frame = state.queue.pop_front();
        if frame.is_none() {
            state.flushing = false;
            self.active = false;
        }
        frame
    }

    /// Takes back a frame that was refused.
    fn put_back(&mut self, frame: Frame) {
        let mut state = self.state.lock();
        state.queue.push_front(frame);
        state.room = false;
    }

    /// Ends this, unless there is room again since the last refusal. Whether it has ended.
    fn pause(&mut self) -> bool {
        let mut state = self.state.lock();
        if !state.room {
            state.flushing = false;
            self.active = false;
        }
        !self.active
    }
}

/// Lets others go on if a network panics.
impl Drop for Flush<'_> {
    fn drop(&mut self) {
        if self.active {
            self.state.lock().flushing = false;
        }
    }
}
