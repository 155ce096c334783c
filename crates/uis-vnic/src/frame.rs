//! One raw IP packet under way.

use std::fmt;
use std::mem;
use std::net::IpAddr;

use uis_clock::Instant;

use crate::{VnicId, buffer, checksum, header};

/// One raw IPv4 or IPv6 packet, with when it was sent and by which [`Vnic`](crate::Vnic).
///
/// The packet begins with its IP header; there is no link-layer header. A frame made by hand has neither
/// [`sent_at`](Self::sent_at) nor [`sent_by`](Self::sent_by), and may hold any bytes at all: it is judged where it
/// is injected.
///
/// A receiver verifies checksums, except where whoever made the packet vouches for them
/// ([`with_valid_checksums`](Self::with_valid_checksums)) and nobody has touched it since. So changed bytes are judged
/// by their checksum like any others; [`fix_checksums`](Self::fix_checksums) is for a change that is to be believed.
///
/// ```
/// use uis_vnic::Frame;
///
/// let mut packet = vec![0; 20];
/// packet[0] = 0x45; // IPv4, a header of five words
/// packet[3] = 20; // total length
/// packet[16..20].copy_from_slice(&[10, 0, 0, 2]);
///
/// let mut frame = Frame::new(packet);
/// assert_eq!(frame.dst(), Some([10, 0, 0, 2].into()));
/// assert_eq!(frame.sent_by(), None);
///
/// frame.packet_mut()[8] = 64; // the time to live
/// assert!(frame.fix_checksums());
/// ```
pub struct Frame {
    packet: Vec<u8>,
    // A frame is moved through every queue, so it is kept at 48 bytes: `Option<Instant>` alone would take 16.
    sent_at: Instant,
    sent_by: Option<VnicId>,
    stamped: bool,
    checksums_valid: bool,
}

impl Frame {
    /// A frame with this packet, which nobody has sent yet.
    pub fn new(packet: impl Into<Vec<u8>>) -> Self {
        Self {
            packet: packet.into(),
            sent_at: Instant::default(),
            sent_by: None,
            stamped: false,
            checksums_valid: false,
        }
    }

    /// A frame whose IP, TCP, UDP and ICMP checksums are right, so that a receiver need not verify them.
    ///
    /// The caller vouches for that: it has just computed them. If they are wrong after all, the receiver does not
    /// notice.
    ///
    /// ```
    /// # use uis_vnic::Frame;
    /// let mut frame = Frame::with_valid_checksums([0x60; 40]);
    /// assert!(frame.has_valid_checksums());
    /// frame.packet_mut()[7] -= 1; // the hop limit
    /// assert!(!frame.has_valid_checksums());
    /// ```
    pub fn with_valid_checksums(packet: impl Into<Vec<u8>>) -> Self {
        let mut frame = Self::new(packet);
        frame.checksums_valid = true;
        frame
    }

    /// The packet, from its IP header on.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// The packet, to change in place. From here on a receiver verifies its checksums.
    pub fn packet_mut(&mut self) -> &mut [u8] {
        self.checksums_valid = false;
        &mut self.packet
    }

    /// Replaces the packet, for instance by one of another length, and keeps when and by whom it was sent. From here
    /// on a receiver verifies its checksums.
    ///
    /// ```
    /// # use uis_vnic::Frame;
    /// let mut frame = Frame::new([0x45; 20]);
    /// frame.set_packet([0x60; 40]);
    /// assert_eq!(frame.len(), 40);
    /// ```
    pub fn set_packet(&mut self, packet: impl Into<Vec<u8>>) {
        self.checksums_valid = false;
        buffer::give(mem::replace(&mut self.packet, packet.into()));
    }

    /// The packet's bytes, without a copy.
    ///
    /// ```
    /// # use uis_vnic::Frame;
    /// assert_eq!(Frame::new([0x45; 20]).into_packet(), vec![0x45; 20]);
    /// ```
    #[must_use]
    pub fn into_packet(mut self) -> Vec<u8> {
        mem::take(&mut self.packet)
    }

    /// How many bytes the packet has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packet.len()
    }

    /// Whether there is not a single byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packet.is_empty()
    }

    /// The source address, or `None` if there is no whole IP header.
    #[must_use]
    pub fn src(&self) -> Option<IpAddr> {
        header::src(&self.packet)
    }

    /// The destination address, or `None` if there is no whole IP header.
    #[must_use]
    pub fn dst(&self) -> Option<IpAddr> {
        header::dst(&self.packet)
    }

    /// When it was last sent, by the clock of the [`Vnic`](crate::Vnic) that sent it; `None` for one made by hand.
    #[must_use]
    pub fn sent_at(&self) -> Option<Instant> {
        self.stamped.then_some(self.sent_at)
    }

    /// Which [`Vnic`](crate::Vnic) sent it last; `None` for one made by hand.
    #[must_use]
    pub fn sent_by(&self) -> Option<VnicId> {
        self.sent_by
    }

    /// Recomputes the checksums: that of the IPv4 header, and that of TCP, UDP (also where it was left out, RFC 768),
    /// ICMP or ICMPv6 above it, after IPv6 extension headers and authentication headers too.
    ///
    /// True when all that the packet has are right now; then a receiver need not verify them. A packet with none of
    /// these protocols has nothing to compute above the IP header, and counts as right.
    ///
    /// False when something is left as it was: the IP header or its lengths do not fit the bytes (nothing is changed
    /// then); a header above it is cut off or its length lies; it is a fragment, which holds a part of what the checksum
    /// is over; or an IPv6 routing header has segments left, so that the final destination is another one. An IPv4
    /// header's own checksum is put right in all these cases but the first.
    ///
    /// ```
    /// # use uis_vnic::Frame;
    /// assert!(!Frame::new([0x45]).fix_checksums());
    /// ```
    pub fn fix_checksums(&mut self) -> bool {
        self.checksums_valid = checksum::fix(&mut self.packet);
        self.checksums_valid
    }

    /// Whether the checksums that [`fix_checksums`](Self::fix_checksums) would compute are right as they stand. A UDP
    /// checksum of 0 over IPv4 says that there is none (RFC 768), and is right. False wherever that would be false.
    ///
    /// ```
    /// # use uis_vnic::Frame;
    /// let mut packet = [0; 20];
    /// packet[0] = 0x45;
    /// packet[3] = 20;
    /// let mut frame = Frame::new(packet);
    /// assert!(!frame.verify_checksums());
    /// frame.fix_checksums();
    /// assert!(frame.verify_checksums());
    /// ```
    #[must_use]
    pub fn verify_checksums(&self) -> bool {
        checksum::verify(&self.packet)
    }

    /// Whether the checksums are known to be right without a look at them: vouched for by
    /// [`with_valid_checksums`](Self::with_valid_checksums) or put right by [`fix_checksums`](Self::fix_checksums),
    /// and not touched since.
    #[must_use]
    pub fn has_valid_checksums(&self) -> bool {
        self.checksums_valid
    }

    /// Sets who sent it and when.
    pub(crate) fn stamp(&mut self, by: VnicId, at: Instant) {
        self.sent_by = Some(by);
        self.sent_at = at;
        self.stamped = true;
    }

    /// Takes off what is behind the first `len` bytes. No checksum covers padding, so what is known of them stays.
    pub(crate) fn trim(&mut self, len: usize) {
        self.packet.truncate(len);
    }
}

/// Gives the buffer back, see [`buffer`].
impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        if self.packet.capacity() > 0 {
            buffer::give(mem::take(&mut self.packet));
        }
    }
}

/// Copies the packet, and all that is known of it.
impl Clone for Frame {
    fn clone(&self) -> Self {
        Self { packet: buffer::copy_of(&self.packet), ..*self }
    }
}

impl From<Vec<u8>> for Frame {
    fn from(packet: Vec<u8>) -> Self {
        Self::new(packet)
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.packet
    }
}

/// Shows the addresses and the length, not the bytes.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("len", &self.len())
            .field("src", &self.src())
            .field("dst", &self.dst())
            .field("sent_at", &self.sent_at())
            .field("sent_by", &self.sent_by)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert!(size_of::<Frame>() <= 48, "{} bytes", size_of::<Frame>());
    }

    #[test]
    fn a_frame_made_by_hand_has_no_sender() {
        let frame = Frame::new([1, 2, 3]);
        assert_eq!((frame.sent_at(), frame.sent_by(), frame.has_valid_checksums()), (None, None, false));
        assert_eq!((frame.len(), frame.is_empty(), frame.as_ref()), (3, false, &[1, 2, 3][..]));
        assert_eq!((frame.src(), frame.dst()), (None, None));
        assert!(Frame::new([]).is_empty());
    }

    #[test]
    fn touching_the_bytes_ends_the_trust_in_their_checksums() {
        let mut frame = Frame::with_valid_checksums([1, 2, 3]);
        frame.stamp(VnicId::next(), Instant::default());
        assert!(frame.has_valid_checksums() && frame.clone().has_valid_checksums());
        let _ = frame.packet_mut();
        assert!(!frame.has_valid_checksums());

        let mut frame = Frame::with_valid_checksums([1, 2, 3]);
        let by = VnicId::next();
        frame.stamp(by, Instant::default());
        frame.set_packet([4; 7]);
        assert!(!frame.has_valid_checksums());
        assert_eq!(
            (frame.packet(), frame.sent_by(), frame.sent_at()),
            (&[4; 7][..], Some(by), Some(Instant::default()))
        );

        let mut frame = Frame::with_valid_checksums([1, 2, 3]);
        assert!(!frame.fix_checksums() && !frame.has_valid_checksums());
    }

    #[test]
    fn clones_keep_everything_and_share_nothing() {
        let mut frame = Frame::new([9; 30]);
        let by = VnicId::next();
        frame.stamp(by, Instant::default());
        let mut copy = frame.clone();
        copy.packet_mut()[0] = 1;
        assert_eq!((frame.packet()[0], copy.packet()[0]), (9, 1));
        assert_eq!((copy.sent_by(), copy.sent_at()), (Some(by), Some(Instant::default())));
        assert_eq!(copy.into_packet()[1..], [9; 29]);
    }

    #[test]
    fn a_dropped_frame_gives_its_buffer_back() {
        let frame = Frame::new(buffer::take(1500));
        let at = frame.packet().as_ptr();
        drop(frame);
        let again = buffer::take(1500);
        assert_eq!(again.as_ptr(), at);
    }
}
