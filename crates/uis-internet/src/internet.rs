//! The internet itself: its handle, its Vnics and their routes.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use uis_clock::SharedClock;
use uis_vnic::{Frame, SendError, Vnic, VnicNetwork};

use crate::inner::Inner;
use crate::{InFlight, InternetBuilder, InternetStats};

/// A virtual internet, whose packets the caller moves.
///
/// What a Vnic sends waits in one bounded queue until the caller takes it: with [`in_flight`](Self::in_flight), or in
/// the closure of [`route`](Self::route), [`route_until`](Self::route_until) or [`spawn_router`](Self::spawn_router).
/// [`deliver`](Self::deliver) hands a packet to whoever has its destination address. Nothing moves unless the
/// caller moves it.
///
/// It is a handle: clones are the same internet. When the last of them goes, the internet closes as by
/// [`close`](Self::close); neither a Vnic or stack, nor an [`InFlight`], nor a router thread keeps it open.
///
/// ```
/// use uis_internet::Internet;
/// use uis_vnic::{MTU_ETHERNET, VnicPort};
///
/// let internet = Internet::new();
/// let a = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
/// let b = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
/// internet.add_route(b.vnic(), ["10.0.0.2".parse()?])?;
///
/// let mut packet = vec![0; 20];
/// packet[0] = 0x45; // IPv4, a header of five words
/// packet[3] = 20; // total length
/// packet[16..20].copy_from_slice(&[10, 0, 0, 2]);
/// a.send(packet)?;
///
/// let frame = internet.in_flight().try_recv().expect("it waits here");
/// assert!(b.try_recv().is_none());
/// internet.deliver(frame)?;
/// assert!(b.try_recv().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("network", "router", "simulation"))]
pub struct Internet {
    pub(crate) inner: Arc<Inner>,
    /// Whether this handle keeps the internet open.
    counted: bool,
}

impl Internet {
    /// An internet on the system's clock, with room for [`DEFAULT_MAX_IN_FLIGHT`](crate::DEFAULT_MAX_IN_FLIGHT) packets and the seed 0.
    ///
    /// # With tokio's paused time
    ///
    /// A test under `#[tokio::test(start_paused = true)]` needs an internet that lives in tokio's time:
    /// `Internet::builder().clock(TokioClock::new()).build()`, with the clock from `uis-clock`'s feature `tokio`. And
    /// route in a task, never on a thread. Whenever all of its tasks wait, tokio moves its time on to the next timer;
    /// on the system's clock, or with the router on a thread, packets are still under way then, so that a time-out of an
    /// hour fires while they travel for some real milliseconds.
    ///
    /// ```
    /// use uis_internet::Internet;
    ///
    /// let internet = Internet::new();
    /// assert_eq!(internet.stats().sent, 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up an internet.
    ///
    /// ```
    /// use uis_clock::VirtualClock;
    /// use uis_internet::Internet;
    ///
    /// let clock = VirtualClock::new();
    /// let internet = Internet::builder().max_in_flight(64).clock(&clock).seed(7).build();
    /// assert_eq!((internet.max_in_flight(), internet.seed()), (64, 7));
    /// ```
    pub fn builder() -> InternetBuilder {
        InternetBuilder::new()
    }

    /// The clock that all its Vnics, its stacks and its delay line use.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// let internet = Internet::new();
    /// assert!(internet.clock().now() <= internet.clock().now());
    /// ```
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        self.inner.clock.clone()
    }

    /// What was sent, delivered and lost so far, and what is under way.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # use uis_vnic::{DropReason, Frame};
    /// let internet = Internet::new();
    /// let _ = internet.deliver(Frame::new([0x45; 20]));
    /// assert_eq!(internet.stats().injected_dropped, 1);
    /// assert_eq!(internet.stats().dropped(DropReason::NoRoute), 0); // nobody sent it
    /// ```
    #[must_use]
    pub fn stats(&self) -> InternetStats {
        self.inner.stats()
    }

    /// How many packets may be in flight.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.inner.queue.max()
    }

    /// What all that is random in this internet is drawn from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// Closes the internet for good. What is sent from here on is dropped with
    /// [`Closed`](uis_vnic::DropReason::Closed), and so is what is in the delay line; `deliver` refuses. Everybody who waits, for packets or
    /// for room, is woken. What is queued can still be taken, to be looked at.
    ///
    /// Closing again does nothing. The stacks stay: a connection over a closed internet times out. Close them, too, if
    /// that is too long.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # use uis_vnic::{DropReason, MTU_ETHERNET};
    /// let internet = Internet::new();
    /// let vnic = internet.new_vnic(MTU_ETHERNET)?;
    /// internet.close();
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// assert_eq!(vnic.write(packet).unwrap_err().reason(), DropReason::Closed);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&self) {
        self.inner.close();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// A Vnic that sends into this internet. It has no address yet: see [`add_route`](Self::add_route).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `mtu` is not within 576–65,535 bytes;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) after [`close`](Self::close).
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// use uis_vnic::MTU_ETHERNET;
    ///
    /// let internet = Internet::new();
    /// let vnic = internet.new_vnic(MTU_ETHERNET)?;
    /// assert_eq!(vnic.mtu(), 1500);
    /// assert!(internet.new_vnic(100).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new_vnic(&self, mtu: u32) -> io::Result<Vnic> {
        self.check_open()?;
        Vnic::new(mtu, self.inner.clone(), self.clock())
    }

    /// Routes `addrs` to `vnic`: all of them, or none if there is an error. When the Vnic closes, its addresses are free
    /// again.
    ///
    /// The Vnic need not have been made by this internet: one that sends elsewhere, say through a network that wraps
    /// this one, can receive from here.
    ///
    /// # Errors
    ///
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse) if one of them is routed already, be it to the same Vnic.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) if one is unspecified, multicast or broadcast, or given twice.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown) if the Vnic or the internet is closed.
    ///
    /// ```
    /// # use std::io;
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// # let internet = Internet::new();
    /// let vnic = internet.new_vnic(MTU_ETHERNET)?;
    /// internet.add_route(&vnic, ["10.0.0.1".parse()?, "fd00::1".parse()?])?;
    ///
    /// let other = internet.new_vnic(MTU_ETHERNET)?;
    /// let error = internet.add_route(&other, ["10.0.0.2".parse()?, "fd00::1".parse()?]).unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    /// internet.add_route(&other, ["10.0.0.2".parse()?])?; // it was left alone
    ///
    /// vnic.close();
    /// internet.add_route(&other, ["fd00::1".parse()?])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_route(&self, vnic: &Vnic, addrs: impl IntoIterator<Item = IpAddr>) -> io::Result<()> {
        let addrs: Vec<IpAddr> = addrs.into_iter().collect();
        self.check_open()?;
        if vnic.is_closed() {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "the interface is closed"));
        }
        if self.inner.routes.add(vnic, &addrs)? {
            // The hook is called at once if the Vnic has closed meanwhile.
            let (internet, id) = (Arc::downgrade(&self.inner), vnic.id());
            vnic.on_close(move || {
                if let Some(internet) = internet.upgrade() {
                    internet.routes.remove_all(id);
                }
            });
        }
        Ok(())
    }

    /// Takes routes away, and says how many of `addrs` were routed. What is in flight to them is then undeliverable.
    ///
    /// ```
    /// # use std::net::IpAddr;
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// # let internet = Internet::new();
    /// # let vnic = internet.new_vnic(MTU_ETHERNET)?;
    /// let addr: IpAddr = "10.0.0.1".parse()?;
    /// internet.add_route(&vnic, [addr])?;
    /// assert_eq!(internet.remove_route([addr]), 1);
    /// assert_eq!(internet.remove_route([addr]), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_route(&self, addrs: impl IntoIterator<Item = IpAddr>) -> usize {
        addrs.into_iter().filter(|&addr| self.inner.routes.remove(addr, None)).count()
    }

    /// The packets in flight, to be taken one by one.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # futures_lite::future::block_on(async {
    /// let internet = Internet::new();
    /// let in_flight = internet.in_flight();
    /// # internet.close();
    /// while let Some(frame) = in_flight.recv().await {
    ///     let _ = internet.deliver(frame);
    /// }
    /// # });
    /// ```
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        InFlight::new(self.inner.clone())
    }

    /// A handle to `inner` that keeps it open, or one that does not.
    pub(crate) fn handle(inner: Arc<Inner>, counted: bool) -> Self {
        if counted {
            inner.handles.fetch_add(1, Ordering::Relaxed);
        }
        Self { inner, counted }
    }

    pub(crate) fn check_open(&self) -> io::Result<()> {
        if self.is_closed() {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "the internet is closed"));
        }
        Ok(())
    }
}

/// The same as [`Internet::new`].
impl Default for Internet {
    fn default() -> Self {
        Self::new()
    }
}

/// Another handle to the same internet, which keeps it open.
impl Clone for Internet {
    fn clone(&self) -> Self {
        Self::handle(self.inner.clone(), true)
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        if self.counted && self.inner.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.close();
        }
    }
}

/// So that a network that wraps this one can pass frames on to it. A Vnic over such a wrapper holds the internet open as
/// long as the wrapper does.
impl VnicNetwork for Internet {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        self.inner.send_frame(frame)
    }

    fn on_room(&self, waker: &Waker) {
        self.inner.on_room(waker);
    }

    fn queued(&self) -> Option<usize> {
        self.inner.queued()
    }
}

impl fmt::Debug for Internet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Internet")
            .field("closed", &self.is_closed())
            .field("stats", &self.stats())
            .field("clock", &self.inner.clock)
            .finish_non_exhaustive()
    }
}
