//! Why a frame did not get through, and the errors that say so.

use std::{error, fmt, io};

use crate::Frame;

/// Why a frame was not delivered.
///
/// The order of the variants is the order of [`DropReason::ALL`], so `reason as usize` is an index into a table
/// of counters of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It is not an IP packet: empty, of another version than 4 and 6, or its header or lengths reach past its end.
    Malformed,
    /// Nobody has its destination address.
    NoRoute,
    /// It is longer than the MTU of the interface it was to pass.
    TooBig,
    /// The interface, the sending or the receiving one, or the network between them is closed.
    Closed,
    /// Nothing is attached to the interface it arrived at.
    Detached,
    /// A bounded queue on its way had no room.
    Full,
}

impl DropReason {
    /// Every reason, in the order of the variants.
    ///
    /// ```
    /// use uis_vnic::DropReason;
    ///
    /// for (i, &reason) in DropReason::ALL.iter().enumerate() {
    ///     assert_eq!(reason as usize, i);
    /// }
    /// ```
    pub const ALL: &[DropReason] =
        &[Self::Malformed, Self::NoRoute, Self::TooBig, Self::Closed, Self::Detached, Self::Full];

    /// The kind of the [`io::Error`] that stands for this reason.
    ///
    /// | reason | kind |
    /// |---|---|
    /// | `Malformed` | [`InvalidData`](io::ErrorKind::InvalidData) |
    /// | `NoRoute` | [`HostUnreachable`](io::ErrorKind::HostUnreachable), the kernel's `EHOSTUNREACH` |
    /// | `TooBig` | [`InvalidInput`](io::ErrorKind::InvalidInput): std has no kind for `EMSGSIZE` |
    /// | `Closed` | [`NetworkDown`](io::ErrorKind::NetworkDown), `ENETDOWN` |
    /// | `Detached` | [`NotConnected`](io::ErrorKind::NotConnected) |
    /// | `Full` | [`WouldBlock`](io::ErrorKind::WouldBlock) |
    #[must_use]
    pub fn kind(self) -> io::ErrorKind {
        match self {
            Self::Malformed => io::ErrorKind::InvalidData,
            Self::NoRoute => io::ErrorKind::HostUnreachable,
            Self::TooBig => io::ErrorKind::InvalidInput,
            Self::Closed => io::ErrorKind::NetworkDown,
            Self::Detached => io::ErrorKind::NotConnected,
            Self::Full => io::ErrorKind::WouldBlock,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Malformed => "malformed packet",
            Self::NoRoute => "no route to its destination",
            Self::TooBig => "longer than the MTU",
            Self::Closed => "closed",
            Self::Detached => "nothing attached",
            Self::Full => "queue full",
        })
    }
}

/// A frame that could not be delivered, handed back with the reason.
///
/// As an [`io::Error`] it has the kind that [`DropReason::kind`] gives, and stays its source, so that the frame can
/// be had back from there too.
///
/// ```
/// use std::io;
/// use uis_vnic::{DropReason, Frame, Undelivered};
///
/// let undelivered = Undelivered::new(DropReason::NoRoute, Frame::new([0x45; 20]));
/// assert_eq!(undelivered.reason(), DropReason::NoRoute);
/// assert_eq!(undelivered.to_string(), "frame of 20 bytes not delivered: no route to its destination");
///
/// let error = io::Error::from(undelivered);
/// assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
/// ```
#[derive(Clone)]
pub struct Undelivered(Box<Inner>);

/// In a box, so that the result of what nearly always succeeds is one word.
#[derive(Clone)]
struct Inner {
    reason: DropReason,
    frame: Frame,
}

impl Undelivered {
    /// `frame`, not delivered for `reason`.
    #[must_use]
    pub fn new(reason: DropReason, frame: Frame) -> Self {
        Self(Box::new(Inner { reason, frame }))
    }

    /// Why it was not delivered.
    #[must_use]
    pub fn reason(&self) -> DropReason {
        self.0.reason
    }

    /// The frame itself, to read.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// The frame itself, to try again with.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.0.frame
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame of {} bytes not delivered: {}", self.frame().len(), self.reason())
    }
}

impl fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered").field("reason", &self.reason()).field("frame", self.frame()).finish()
    }
}

impl error::Error for Undelivered {}

impl From<Undelivered> for io::Error {
    fn from(undelivered: Undelivered) -> Self {
        io::Error::new(undelivered.reason().kind(), undelivered)
    }
}

/// Why a network did not take a frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no room now. Nothing is lost: here is the frame, and
    /// [`on_room`](crate::VnicNetwork::on_room) says when to try again.
    Full(Frame),
    /// The frame is lost, for this reason.
    Dropped(DropReason),
}

impl SendError {
    /// Why: [`DropReason::Full`] for [`SendError::Full`].
    #[must_use]
    pub fn reason(&self) -> DropReason {
        match self {
            Self::Full(_) => DropReason::Full,
            Self::Dropped(reason) => *reason,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("frame not sent: queue full"),
            Self::Dropped(reason) => write!(f, "frame dropped: {reason}"),
        }
    }
}

impl error::Error for SendError {}

/// Keeps the frame where it may be sent again, that is for [`DropReason::Full`].
impl From<Undelivered> for SendError {
    fn from(undelivered: Undelivered) -> Self {
        match undelivered.reason() {
            DropReason::Full => Self::Full(undelivered.into_frame()),
            reason => Self::Dropped(reason),
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        io::Error::new(error.reason().kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_queue_gives_the_sender_its_frame_back() {
        for &reason in DropReason::ALL {
            let error = SendError::from(Undelivered::new(reason, Frame::new([1, 2, 3])));
            assert_eq!(error.reason(), reason);
            match error {
                SendError::Full(frame) => {
                    assert_eq!(reason, DropReason::Full);
                    assert_eq!(frame.packet(), [1, 2, 3]);
                }
                SendError::Dropped(_) => assert_ne!(reason, DropReason::Full),
            }
        }
    }

    #[test]
    fn io_errors_have_the_kind_of_the_reason_and_keep_the_frame() {
        for &reason in DropReason::ALL {
            let error = io::Error::from(Undelivered::new(reason, Frame::new([7])));
            assert_eq!(error.kind(), reason.kind());
            let inner = error.into_inner().unwrap().downcast::<Undelivered>().unwrap();
            assert_eq!(inner.into_frame().into_packet(), [7]);
            assert_eq!(io::Error::from(SendError::Dropped(reason)).kind(), reason.kind());
        }
    }
}
