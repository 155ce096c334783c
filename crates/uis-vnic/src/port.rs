//! The raw end of a Vnic, for code that handles packets itself.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use parking_lot::Mutex;

use crate::device::Outgoing;
use crate::vnic::HookId;
use crate::wakers::{WakerSet, wait};
use crate::{Dispatcher, Frame, SendError, Vnic};

/// A raw-packet endpoint on a [`Vnic`]: a TUN device for code in the same process, and a [`smoltcp::phy::Device`].
///
/// What arrives waits in a queue of fixed capacity until it is taken with [`recv`](Self::recv) or
/// [`try_recv`](Self::try_recv), or by a smoltcp `Interface`. When the queue is full, what arrives is lost, as in a
/// network card's ring, and [`dropped`](Self::dropped) counts it.
///
/// Dropping the port detaches it. The Vnic stays open if there are other handles to it.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use uis_clock::SystemClock;
/// use uis_vnic::{MTU_ETHERNET, Vnic, VnicPort};
///
/// let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new())?;
/// let (a, b) = (VnicPort::new(a, 64)?, VnicPort::new(b, 64)?);
///
/// let mut packet = vec![0; 40]; // a bare IPv6 header
/// packet[0] = 0x60;
/// a.send(packet.clone())?;
///
/// let frame = b.recv().await.expect("open");
/// assert_eq!(frame.packet(), packet);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Under smoltcp
///
/// smoltcp asks a device for the right to send before it knows what, and a TCP socket that is refused then may never
/// send again. So this device never refuses: frames that the network has no room for wait, up to the port's capacity,
/// and are sent in their order as soon as there is room, by whoever makes it. Beyond the capacity they are lost, which
/// TCP repairs, and counted by [`dropped_outgoing`](Self::dropped_outgoing).
///
/// The device leaves all checksums to smoltcp. Its MTU is the Vnic's, and an `Interface` asks for it only when it is made.
///
/// ```
/// use smoltcp::iface::{Config, Interface, SocketSet};
/// use smoltcp::time::Instant;
/// use smoltcp::wire::{HardwareAddress, IpCidr};
/// use uis_vnic::{MTU_ETHERNET, Vnic, VnicPort, smoltcp};
///
/// let (a, _b) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
/// let mut port = VnicPort::new(a, 64)?;
///
/// let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, Instant::ZERO);
/// interface.update_ip_addrs(|addrs| addrs.push("10.0.0.1/24".parse::<IpCidr>().unwrap()).unwrap());
/// interface.poll(Instant::ZERO, &mut port, &mut SocketSet::new(Vec::new()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("tun", "tap", "raw"))]
pub struct VnicPort {
    vnic: Vnic,
    shared: Arc<Shared>,
    pub(crate) outgoing: Arc<Outgoing>,
    hook: HookId,
}

/// What the Vnic delivers to, weakly.
struct Shared {
    capacity: usize,
    incoming: Mutex<Incoming>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Incoming {
    queue: VecDeque<Frame>,
    readers: WakerSet,
    closed: bool,
}

impl VnicPort {
    /// Attaches a port to `vnic`. At most `capacity` frames wait in it.
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) if `capacity` is 0.
    /// - [`AlreadyExists`](io::ErrorKind::AlreadyExists) if something is attached to `vnic` already.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown) if `vnic` is closed.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let port = VnicPort::new(vnic.clone(), 64)?;
    /// assert!(vnic.is_attached());
    /// assert!(VnicPort::new(vnic.clone(), 64).is_err());
    /// drop(port);
    /// assert!(!vnic.is_attached());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(vnic: Vnic, capacity: usize) -> io::Result<Self> {
        if capacity == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a port without room for a frame"));
        }
        let shared = Arc::new(Shared { capacity, incoming: Mutex::default(), dropped: AtomicU64::new(0) });
        vnic.attach(shared.dispatcher())?;
        let hook = vnic.add_hook({
            let shared = Arc::downgrade(&shared);
            Box::new(move || {
                if let Some(shared) = shared.upgrade() {
                    shared.close();
                }
            })
        });
        let outgoing = Arc::new(Outgoing::new(vnic.downgrade(), capacity));
        Ok(Self { vnic, shared, outgoing, hook })
    }

    /// The Vnic it is attached to.
    #[must_use]
    pub fn vnic(&self) -> &Vnic {
        &self.vnic
    }

    /// Waits for a frame and takes it. `None` once the Vnic is closed and all that had arrived is taken.
    ///
    /// Cancel-safe: no frame is lost if the future is dropped. Several tasks may wait; each frame goes to one of them.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// # use uis_vnic::*;
    /// # let (a, _b) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let port = VnicPort::new(a, 8)?;
    /// port.vnic().close();
    /// assert!(port.recv().await.is_none());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn recv(&self) -> Option<Frame> {
        poll_fn(|cx| {
            self.shared.poll_incoming(cx, |incoming| match incoming.queue.pop_front() {
                Some(frame) => Poll::Ready(Some(frame)),
                None if incoming.closed => Poll::Ready(None),
                None => Poll::Pending,
            })
        })
        .await
    }

    /// Takes a frame, if one has arrived.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (a, _b) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// assert!(VnicPort::new(a, 8)?.try_recv().is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn try_recv(&self) -> Option<Frame> {
        self.shared.incoming.lock().queue.pop_front()
    }

    /// Waits until there is a frame to take, or the Vnic is closed. Cancel-safe.
    ///
    /// It may happen that another task takes the frame first.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// # use uis_vnic::*;
    /// # let (a, b) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// let port = VnicPort::new(b, 8)?;
    /// a.write(packet)?;
    /// port.readable().await;
    /// assert!(port.try_recv().is_some());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn readable(&self) {
        poll_fn(|cx| {
            self.shared.poll_incoming(cx, |incoming| {
                if incoming.closed || !incoming.queue.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
        })
        .await;
    }

    /// Sends a packet: [`Vnic::write`]. It does not wait behind what a smoltcp `Interface` has sent.
    ///
    /// # Errors
    ///
    /// As those of [`Vnic::send`].
    pub fn send(&self, packet: Vec<u8>) -> Result<(), SendError> {
        self.vnic.write(packet)
    }

    /// How many frames arrived and were lost because the queue was full.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (a, b) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// let port = VnicPort::new(b, 1)?;
    /// for _ in 0..3 {
    ///     a.write(packet.clone())?;
    /// }
    /// assert_eq!(port.dropped(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many frames that a smoltcp `Interface` sent were lost: there was no room for them here either, or the
    /// network [dropped](SendError::Dropped) them.
    #[must_use]
    pub fn dropped_outgoing(&self) -> u64 {
        self.outgoing.dropped()
    }
}

impl Drop for VnicPort {
    fn drop(&mut self) {
        self.vnic.remove_hook(self.hook);
        self.vnic.detach_this(&self.shared.dispatcher());
    }
}

impl fmt::Debug for VnicPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.incoming.lock().queue.len();
        f.debug_struct("VnicPort")
            .field("vnic", &self.vnic)
            .field("capacity", &self.shared.capacity)
            .field("waiting", &waiting)
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn dispatcher(self: &Arc<Self>) -> Weak<dyn Dispatcher> {
        Arc::<Self>::downgrade(self)
    }

    /// Looks with `ready`, and has the task woken when there is something to look at again.
    fn poll_incoming<T>(
        &self,
        cx: &mut Context<'_>,
        mut ready: impl FnMut(&mut Incoming) -> Poll<T>,
    ) -> Poll<T> {
        wait(cx.waker(), |waiting| {
            let mut incoming = self.incoming.lock();
            let polled = ready(&mut incoming);
            if polled.is_pending() {
                incoming.readers.insert(waiting);
            }
            polled
        })
    }

    fn close(&self) {
        let mut incoming = self.incoming.lock();
        incoming.closed = true;
        let readers = incoming.readers.take();
        drop(incoming);
        readers.wake();
    }
}

impl Dispatcher for Shared {
    fn receive_frame(&self, frame: Frame) {
        let mut incoming = self.incoming.lock();
        if incoming.closed {
            // It came through while the Vnic closed. After `recv` has said `None`, nothing comes any more.
            return;
        }
        if incoming.queue.len() >= self.capacity {
            drop(incoming);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        incoming.queue.push_back(frame);
        let readers = incoming.readers.take();
        drop(incoming);
        readers.wake();
    }
}
