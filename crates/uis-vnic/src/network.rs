//! The two seams of a [`Vnic`](crate::Vnic): where its packets go, and who receives what arrives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use crate::{DropReason, Frame, SendError};

/// Where a [`Vnic`](crate::Vnic) sends: an internet, a wire, or anything that wraps one of these.
///
/// Its methods may be called from any thread, also from a timer's, so they must not block. They may be called
/// from inside [`Dispatcher::receive_frame`]: a network that passes frames on at once must not recurse without
/// bound when the receiver answers at once.
///
/// A network keeps a [`WeakVnic`](crate::WeakVnic) of who is on it, since a Vnic holds its network strongly. It should
/// [`upgrade`](crate::WeakVnic::upgrade) these only where it may also drop what it gets: not under a lock of its own.
///
/// A network that wraps another one:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::task::Waker;
/// use uis_vnic::{Frame, SendError, VnicNetwork};
///
/// /// Counts the bytes that pass.
/// struct Meter {
///     inner: Arc<dyn VnicNetwork>,
///     bytes: AtomicU64,
/// }
///
/// impl VnicNetwork for Meter {
///     fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
///         let len = frame.len() as u64;
///         self.inner.send_frame(frame)?;
///         self.bytes.fetch_add(len, Ordering::Relaxed);
///         Ok(())
///     }
///
///     fn on_room(&self, waker: &Waker) {
///         self.inner.on_room(waker);
///     }
///
///     fn queued(&self) -> Option<usize> {
///         self.inner.queued()
///     }
/// }
/// ```
pub trait VnicNetwork: Send + Sync + 'static {
    /// Takes a frame that a Vnic sends. Its [`sent_at`](Frame::sent_at) and [`sent_by`](Frame::sent_by) are set.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] with the frame when there is no room at the moment; [`SendError::Dropped`] when the frame
    /// is lost.
    fn send_frame(&self, frame: Frame) -> Result<(), SendError>;

    /// Takes several frames that one Vnic sends, in their order, until one is refused. What is lost is told to `lost`, frame
    /// by frame, and the others go on.
    ///
    /// Says whether there was room for all; if not, those that were not taken are still in `frames`. There is no need to
    /// implement it, except to take many with one lock.
    fn send_frames(&self, frames: &mut VecDeque<Frame>, lost: &mut dyn FnMut(DropReason)) -> bool {
        while let Some(frame) = frames.pop_front() {
            match self.send_frame(frame) {
                Ok(()) => {}
                Err(SendError::Full(frame)) => {
                    frames.push_front(frame);
                    return false;
                }
                Err(SendError::Dropped(reason)) => lost(reason),
            }
        }
        true
    }

    /// Wakes `waker` once, as soon as there is room, and at once if there is room already. Those who wait are woken
    /// in the order in which they came.
    ///
    /// A waker that is waiting already (by [`Waker::will_wake`]) keeps its place and is not taken twice. A network that
    /// never answers [`SendError::Full`] may do nothing here.
    fn on_room(&self, waker: &Waker);

    /// How many frames wait in the network to be taken out of it, if it knows: to say, when nothing is answered, that nobody
    /// moves them. Whoever wraps a network passes the question on, as otherwise the answer is `None`.
    fn queued(&self) -> Option<usize> {
        None
    }
}

impl<N: VnicNetwork + ?Sized> VnicNetwork for Arc<N> {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        (**self).send_frame(frame)
    }

    fn send_frames(&self, frames: &mut VecDeque<Frame>, lost: &mut dyn FnMut(DropReason)) -> bool {
        (**self).send_frames(frames, lost)
    }

    fn on_room(&self, waker: &Waker) {
        (**self).on_room(waker);
    }

    fn queued(&self) -> Option<usize> {
        (**self).queued()
    }
}

/// Who receives the frames that arrive at a [`Vnic`](crate::Vnic): a stack, or a [`VnicPort`](crate::VnicPort).
pub trait Dispatcher: Send + Sync + 'static {
    /// Receives one frame, inline, on the thread that injected it.
    ///
    /// No lock is held by the Vnic meanwhile, so the receiver may send, detach and close from here. It may be called
    /// from several threads at once.
    fn receive_frame(&self, frame: Frame);
}
