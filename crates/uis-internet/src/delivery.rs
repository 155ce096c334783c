//! Handing packets over, now or later.

use std::time::Duration;

use uis_clock::Instant;
use uis_vnic::{Frame, Undelivered};

use crate::Internet;

impl Internet {
    /// Delivers a packet to the Vnic with its destination address, at once and on this thread: when this returns, the
    /// receiver has handled it, and what it answered is in flight. The frame may have been made by hand.
    ///
    /// It fits as the closure of [`route`](Self::route): `internet.route(Internet::deliver)`.
    ///
    /// # Errors
    ///
    /// The frame, and why it was not delivered; [`stats`](Self::stats) counts it by this reason.
    ///
    /// | reason | when |
    /// |---|---|
    /// | [`Malformed`](uis_vnic::DropReason::Malformed) | empty, neither IPv4 nor IPv6, or lengths past its end |
    /// | [`NoRoute`](uis_vnic::DropReason::NoRoute) | nobody has the destination address |
    /// | [`TooBig`](uis_vnic::DropReason::TooBig) | longer than the receiving Vnic's MTU |
    /// | [`Detached`](uis_vnic::DropReason::Detached) | nothing is attached to that Vnic |
    /// | [`Closed`](uis_vnic::DropReason::Closed) | that Vnic, or the internet, is closed |
    ///
    /// # Panics
    ///
    /// When the receiver does. The internet stays usable.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// use uis_vnic::{DropReason, Frame};
    ///
    /// let internet = Internet::new();
    /// let error = internet.deliver(Frame::new([])).unwrap_err();
    /// assert_eq!(error.reason(), DropReason::Malformed);
    /// ```
    #[doc(alias("inject", "forward"))]
    #[inline]
    pub fn deliver(&self, frame: Frame) -> Result<(), Undelivered> {
        self.inner.deliver(frame)
    }

    /// [`deliver`](Self::deliver)s several packets in turn, and says how many arrived. Those that did not are dropped,
    /// and counted.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # use uis_vnic::Frame;
    /// let internet = Internet::new();
    /// assert_eq!(internet.deliver_many([Frame::new([]), Frame::new([])]), 0);
    /// ```
    pub fn deliver_many(&self, frames: impl IntoIterator<Item = Frame>) -> usize {
        frames.into_iter().filter_map(|frame| self.deliver(frame).ok()).count()
    }

    /// Delivers a packet once `d` has passed on the internet's clock: [`deliver_at`](Self::deliver_at), counted from now.
    ///
    /// # Errors
    ///
    /// As those of [`deliver_at`](Self::deliver_at).
    ///
    /// ```
    /// use std::time::Duration;
    /// use uis_clock::VirtualClock;
    /// use uis_internet::Internet;
    /// # use uis_vnic::{Frame, MTU_ETHERNET, VnicPort};
    ///
    /// let clock = VirtualClock::new();
    /// let internet = Internet::builder().clock(&clock).build();
    /// # let port = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
    /// # internet.add_route(port.vnic(), ["10.0.0.2".parse()?])?;
    /// # let mut packet = vec![0; 20];
    /// # packet[0] = 0x45;
    /// # packet[3] = 20;
    /// # packet[16..20].copy_from_slice(&[10, 0, 0, 2]);
    /// # let frame = Frame::new(packet);
    /// internet.deliver_after(frame, Duration::from_millis(10))?;
    /// clock.advance(Duration::from_millis(9));
    /// assert!(port.try_recv().is_none());
    /// clock.advance(Duration::from_millis(1));
    /// assert!(port.try_recv().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias("delay", "latency"))]
    pub fn deliver_after(&self, frame: Frame, d: Duration) -> Result<(), Undelivered> {
        let at = self.inner.clock.now() + d;
        self.deliver_at(frame, at)
    }

    /// Delivers a packet at the given time of the internet's clock, or now if that has passed. Those that are due at
    /// the same time are delivered in the order of the calls.
    ///
    /// Until then the packet is in the delay line, of which each internet has one. The clock delivers it when the time
    /// has come, on whichever thread the clock wakes on, and only then is it counted as delivered or lost.
    ///
    /// # Errors
    ///
    /// The frame, with [`Full`](uis_vnic::DropReason::Full) if the delay line holds
    /// [`max_in_flight`](Self::max_in_flight) frames already, and with [`Closed`](uis_vnic::DropReason::Closed) after
    /// [`close`](Self::close).
    ///
    /// ```
    /// use uis_clock::{Instant, VirtualClock};
    /// # use uis_internet::Internet;
    /// # use uis_vnic::Frame;
    ///
    /// let clock = VirtualClock::new();
    /// let internet = Internet::builder().max_in_flight(1).clock(&clock).build();
    /// internet.deliver_at(Frame::new([]), Instant::from_secs(1))?;
    /// assert!(internet.deliver_at(Frame::new([]), Instant::from_secs(1)).is_err());
    /// # Ok::<(), uis_vnic::Undelivered>(())
    /// ```
    pub fn deliver_at(&self, frame: Frame, at: Instant) -> Result<(), Undelivered> {
        self.inner.deliver_at(frame, at)
    }
}
