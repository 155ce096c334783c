//! What there is to know of a datagram besides its bytes.

use std::net::{IpAddr, SocketAddr};

/// What comes with a datagram, for [`try_send_msg`](crate::UdpSocket::try_send_msg) and
/// [`poll_recv_msg`](crate::UdpSocket::poll_recv_msg): what other systems pass as control messages.
///
/// ```
/// use uis_stack::UdpMeta;
///
/// let mut meta = UdpMeta::to("10.0.0.1:53".parse().unwrap());
/// meta.ecn = 0b10; // ECN-capable
/// assert_eq!((meta.local, meta.ttl), (None, None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UdpMeta {
    /// Where the datagram goes to, or comes from.
    pub peer: SocketAddr,
    /// The stack's address that it comes from, or was sent to. A received one always has it; to send, `None` lets the
    /// socket choose.
    pub local: Option<IpAddr>,
    /// The two ECN bits (RFC 3168 §5), 0–3.
    pub ecn: u8,
    /// The hop limit. A received one always has it; to send, `None` is the socket's, and it is 1–255.
    pub ttl: Option<u8>,
}

impl UdpMeta {
    /// That of a datagram to `peer`, with the socket's own choices for the rest.
    ///
    /// ```
    /// # use uis_stack::UdpMeta;
    /// let peer = "[2001:db8::1]:443".parse().unwrap();
    /// assert_eq!(UdpMeta::to(peer).peer, peer);
    /// ```
    #[must_use]
    pub fn to(peer: SocketAddr) -> Self {
        Self { peer, local: None, ecn: 0, ttl: None }
    }
}
