//! Two interfaces back to back.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use uis_clock::SharedClock;

use crate::wakers::{WakerSet, wait};
use crate::{DropReason, Frame, SendError, Vnic, VnicNetwork, WeakVnic};
use uis_clock::unwind::Panics;

/// How many frames may wait in one direction while another one is being delivered.
const CAPACITY: usize = 1024;

impl Vnic {
    /// Two interfaces back to back: what one sends, the other receives. No internet is needed.
    ///
    /// A frame is delivered on the thread that sends it, before [`send`](Self::send) returns, and when it is refused at
    /// the other end `send` says so. But while one is being delivered, further ones in the same direction, such as those a
    /// receiver provokes by answering at once, wait in a queue of 1,024 and are delivered in their order by the one
    /// who was first: so an exchange of any length takes no more stack than two deliveries. If one of those is refused at the
    /// other end, only [`refused`](Self::refused) tells. When the queue is full, the answer is [`SendError::Full`].
    ///
    /// If a receiver panics, the frames that wait are still delivered; then the panic goes on in whoever was delivering.
    ///
    /// Neither end keeps the other open. Once one is closed, the other's frames are [`Closed`](DropReason::Closed).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `mtu` is not within 576–65,535.
    ///
    /// ```
    /// use uis_clock::SystemClock;
    /// use uis_vnic::{DropReason, MTU_ETHERNET, Vnic};
    ///
    /// let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new())?;
    ///
    /// let mut packet = vec![0; 40]; // a bare IPv6 header
    /// packet[0] = 0x60;
    /// assert_eq!(a.write(packet.clone()).unwrap_err().reason(), DropReason::Detached);
    /// b.close();
    /// assert_eq!(a.write(packet).unwrap_err().reason(), DropReason::Closed);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pair(mtu: u32, clock: impl Into<SharedClock>) -> io::Result<(Self, Self)> {
        let clock = clock.into();
        let (to_a, to_b) = (Arc::new(Wire::default()), Arc::new(Wire::default()));
        let a = Vnic::new(mtu, to_b.clone(), clock.clone())?;
        let b = Vnic::new(mtu, to_a.clone(), clock)?;
        for (wire, end) in [(to_a, &a), (to_b, &b)] {
            let fresh = wire.end.set(end.downgrade());
            debug_assert!(fresh.is_ok(), "a wire has one end");
        }
        Ok((a, b))
    }
}

/// One direction.
#[derive(Default)]
struct Wire {
    /// Where it leads; set before anybody can send.
    end: OnceLock<WeakVnic>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Somebody is delivering, and goes on until the queue is empty. So when nobody is, it is empty.
    delivering: bool,
    queue: VecDeque<Frame>,
    waiting: WakerSet,
}

impl VnicNetwork for Wire {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let Some(end) = self.end.get().filter(|end| !end.is_closed()) else {
            return Err(SendError::Dropped(DropReason::Closed));
        };
        let mut state = self.state.lock();
        if state.delivering {
            if state.queue.len() >= CAPACITY {
                drop(state);
                return Err(SendError::Full(frame));
            }
            state.queue.push_back(frame);
            return Ok(());
        }
        state.delivering = true;
        drop(state);

        // All foreign code runs inside `catch`, so that the mark is never left set.
        let mut panics = Panics::default();
        let result = panics.catch(|| end.inject_frame(frame));
        self.drain(end, &mut panics);
        panics.resume();
        // None after a panic that could not go on, as this thread is unwinding already. The receiver had the frame.
        result.unwrap_or(Ok(())).map_err(SendError::from)
    }

    fn on_room(&self, waker: &Waker) {
        let room = wait(waker, |waiting| {
            let mut state = self.state.lock();
            if state.queue.len() < CAPACITY {
                return Poll::Ready(());
            }
            state.waiting.insert(waiting);
            Poll::Pending
        });
        if room.is_ready() {
            waker.wake_by_ref();
        }
    }

    fn queued(&self) -> Option<usize> {
        Some(self.state.lock().queue.len())
    }
}

impl Wire {
    /// Delivers what waits, and ends the delivery when nothing does any more.
    fn drain(&self, end: &WeakVnic, panics: &mut Panics) {
        loop {
            let mut state = self.state.lock();
            let frame = state.queue.pop_front();
            // For every place that becomes free one task is woken, and all of them in the end, when there is room
            // for all: so each has its turn.
            let woken = if frame.is_some() {
                state.waiting.pop()
            } else {
                state.delivering = false;
                state.waiting.take()
            };
            drop(state);
            panics.catch(|| woken.wake());
            let Some(frame) = frame else { return };
            // One that is refused is counted by the Vnic that refuses it.
            panics.catch(|| drop(end.inject_frame(frame)));
        }
    }
}
