//! The packets in flight, as the caller reads them.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use uis_vnic::Frame;

use crate::inner::Inner;
use crate::queue::Queue;

/// The packets in flight: every frame that a Vnic has sent, in the order in which they were sent.
///
/// Whoever takes a frame owns it: hands it to [`Internet::deliver`](crate::Internet::deliver), now or later, changed
/// or not, once or twice, or drops it. Clones share one queue, and each frame goes to one of them; so do not take
/// frames here while a [`route`](crate::Internet::route) is running too.
///
/// It ends, with `None`, when the internet is closed and all that was queued is taken. It does not itself keep the
/// internet open. It is a [`Stream`] as well.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use uis_internet::Internet;
/// use uis_vnic::MTU_ETHERNET;
///
/// let internet = Internet::new();
/// let vnic = internet.new_vnic(MTU_ETHERNET)?;
/// let in_flight = internet.in_flight();
///
/// let mut packet = vec![0; 40]; // a bare IPv6 header
/// packet[0] = 0x60;
/// vnic.write(packet.clone())?;
/// internet.close();
///
/// while let Some(frame) = in_flight.recv().await {
///     assert_eq!(frame.packet(), packet);
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct InFlight {
    inner: Arc<Inner>,
    /// Where it waits as a stream.
    key: Option<u64>,
}

impl InFlight {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, key: None }
    }

    /// Waits for the next frame and takes it. `None` once the internet is closed and the queue is empty.
    ///
    /// Cancel-safe: no frame is lost if the future is dropped. Several tasks may wait.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// # use uis_internet::Internet;
    /// let internet = Internet::new();
    /// let in_flight = internet.in_flight();
    /// drop(internet);
    /// assert!(in_flight.recv().await.is_none());
    /// # });
    /// ```
    pub async fn recv(&self) -> Option<Frame> {
        let mut wait = Wait::new(&self.inner.queue);
        poll_fn(|cx| poll_one(wait.queue, &mut wait.key, cx)).await
    }

    /// Takes the next frame, if there is one now.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// assert!(Internet::new().in_flight().try_recv().is_none());
    /// ```
    #[must_use]
    pub fn try_recv(&self) -> Option<Frame> {
        let queue = &self.inner.queue;
        let mut taken = Taken { queue, frame: None };
        let _ = queue.poll_take(&mut None, None, 1, |frames, _, _| taken.frame = frames.pop_front());
        taken.frame.take()
    }

    /// Waits until there is a frame, moves all that are queued, at most `max`, to the end of `into`, and says how many
    /// they are. 0 once the internet is closed and the queue is empty; and at once if `max` is 0.
    ///
    /// Cancel-safe: a frame is either still in the queue or in `into`. This is the cheap way to handle many frames: the
    /// queue is locked once for all of them.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// # let internet = Internet::new();
    /// # let vnic = internet.new_vnic(MTU_ETHERNET)?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// # vnic.write(packet.clone())?;
    /// # vnic.write(packet)?;
    /// let in_flight = internet.in_flight();
    /// let mut frames = Vec::new();
    /// assert_eq!(in_flight.recv_many(&mut frames, 64).await, 2);
    /// internet.deliver_many(frames.drain(..));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn recv_many(&self, into: &mut Vec<Frame>, max: usize) -> usize {
        if max == 0 {
            return 0;
        }
        let mut wait = Wait::new(&self.inner.queue);
        poll_fn(|cx| {
            wait.queue.poll_take(&mut wait.key, Some(cx), max, |frames, n, _| into.extend(frames.drain(..n)))
        })
        .await
    }
}

/// Another receiver of the same queue.
impl Clone for InFlight {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inner.queue.leave(&mut self.key);
    }
}

impl Stream for InFlight {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let this = self.get_mut();
        poll_one(&this.inner.queue, &mut this.key, cx)
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("queue", &self.inner.queue).finish_non_exhaustive()
    }
}

/// A place among the receivers, given up when dropped.
pub(crate) struct Wait<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) key: Option<u64>,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(queue: &'a Queue) -> Self {
        Self { queue, key: None }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.queue.leave(&mut self.key);
    }
}

fn poll_one(queue: &Queue, key: &mut Option<u64>, cx: &Context<'_>) -> Poll<Option<Frame>> {
    let mut taken = Taken { queue, frame: None };
    queue
        .poll_take(key, Some(cx), 1, |frames, _, _| taken.frame = frames.pop_front())
        .map(|_| taken.frame.take())
}

/// A frame that is on its way out of the queue. If a sender that is woken meanwhile panics, it goes back.
struct Taken<'a> {
    queue: &'a Queue,
    frame: Option<Frame>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.frame.is_some() {
            self.queue.put_back(self.frame.take().into_iter());
        }
    }
}
