//! The datagram socket as its users hold it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use uis_clock::unwind::in_drop;

use super::binding::unreachable;
use super::{Binding, UdpMeta};
use crate::endpoint::{check_peer, invalid};
use crate::host::{Host, StackHandle};
use crate::{Stack, ToEndpoint};

/// A UDP socket.
///
/// Cloning gives another handle to the same socket; several tasks may send and receive at once, and each datagram goes
/// to one of them. When the last handle is dropped, the socket closes and its address is free.
///
/// Datagrams longer than the MTU of the path are fragmented, unless [`set_dont_fragment`](Self::set_dont_fragment) says
/// otherwise. What arrives is kept up to the limit that
/// [`StackConfig::udp_recv_buffer`](crate::StackConfig::udp_recv_buffer) sets; beyond it datagrams are dropped and
/// counted. Multicast and broadcast are not supported.
///
/// Sending *waits* while the network is full, that is while its queue has no room for another packet: `send_to` and
/// `poll_send_to` do, `try_send_to` says `WouldBlock`. What is lost after that, and what the network says that it
/// drops, no sender of datagrams hears of; the latter is counted in [`Stack::stats`].
///
/// An ICMP error, such as "port unreachable", reaches a [connected](Self::connect) socket: the next call that sends or
/// receives fails, once, and tasks that wait are woken for that. It is `ConnectionRefused` for a port or protocol that
/// nobody serves; `HostUnreachable`, `NetworkUnreachable` or `PermissionDenied` for a host or network that does not exist
/// or is walled off. Other sockets are not told, as on Linux. Nor is anybody told of what may pass, as there without
/// `IP_RECVERR`: that a host or network cannot be reached at the moment, and that time was exceeded.
///
/// The `poll_` methods keep every distinct waker until the next wake, so any number of tasks may poll one socket.
///
/// ```
/// use uis_stack::{Stack, UdpSocket};
/// # use uis_vnic::Vnic;
/// # futures_lite::future::block_on(async {
/// # let (a, b) = Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// let server = Stack::new(a, ["10.0.0.1".parse().unwrap()])?;
/// let client = Stack::new(b, ["10.0.0.2".parse().unwrap()])?;
///
/// let server = UdpSocket::bind(&server, "10.0.0.1:53")?;
/// let client = UdpSocket::bind(&client, "10.0.0.2:0")?;
/// client.send_to(b"question", "10.0.0.1:53").await?;
///
/// let mut buf = [0; 512];
/// let (n, peer) = server.recv_from(&mut buf).await?;
/// assert_eq!((&buf[..n], peer), (&b"question"[..], client.local_addr()?));
/// server.send_to(b"answer", peer).await?;
/// assert_eq!(client.recv_from(&mut buf).await?, (6, server.local_addr()?));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct UdpSocket {
    shared: Arc<Shared>,
}

struct Shared {
    binding: Arc<Binding>,
    stack: Arc<StackHandle>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        in_drop(|| self.binding.close(self.stack.host()));
    }
}

impl UdpSocket {
    /// A socket at `at`, as [`Stack::listen_udp`] makes it.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::listen_udp`].
    ///
    /// ```
    /// # use uis_stack::*;
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = UdpSocket::bind(&stack, "0.0.0.0:53")?;
    /// let taken = UdpSocket::bind(&stack, "10.0.0.1:53").unwrap_err();
    /// assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    /// drop(socket);
    /// UdpSocket::bind(&stack, "10.0.0.1:53")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bind(stack: &Stack, at: impl ToEndpoint) -> io::Result<Self> {
        stack.listen_udp(at)
    }

    /// A socket at `at`; `[::]` with `only_v6` does not stand for IPv4.
    pub(crate) fn listen(stack: Arc<StackHandle>, at: SocketAddr, only_v6: bool) -> io::Result<Self> {
        let host = stack.host();
        host.check_open()?;
        let at = host.check_local(at)?;
        let dual_stack = at.is_ipv6() && at.ip().is_unspecified() && !only_v6;
        let binding = host.udp.bind(at, dual_stack, || host.draw(), |at| Binding::new(host, at, only_v6))?;
        Ok(Self { shared: Arc::new(Shared { binding, stack }) })
    }

    /// A socket that is connected to `peer`, on an ephemeral port of the address that faces it.
    pub(crate) fn dial(stack: Arc<StackHandle>, peer: SocketAddr) -> io::Result<Self> {
        stack.host().check_open()?;
        let peer = check_peer(peer)?;
        let local = stack.host().source_for(peer.ip())?;
        let socket = Self::listen(stack, SocketAddr::new(local, 0), false)?;
        socket.connect(peer)?;
        Ok(socket)
    }

    fn host(&self) -> &Host {
        self.shared.stack.host()
    }

    /// Sends a datagram to `to`, and gives its length. It waits while the network is full.
    ///
    /// A connected socket may send elsewhere too. A socket at a wildcard sends from the address that it is connected
    /// from, or else from the stack's first of the peer's family; to answer from the very address that was asked, see
    /// [`try_send_msg`](Self::try_send_msg).
    ///
    /// Cancel safe: until it returns, nothing is sent.
    ///
    /// # Errors
    ///
    /// - `InvalidInput` for a host name, a port of 0, an address that is no single host's or of a family that the socket
    ///   does not have; and for a datagram that is too long, where kernels say `EMSGSIZE`: over 65,507 bytes to IPv4,
    ///   65,487 to IPv6, or over what the path takes if it must not be fragmented. Then nothing is sent.
    /// - `NetworkUnreachable` if the stack has no address of that family; `AddrNotAvailable` if the socket's address was
    ///   taken from the stack.
    /// - What ICMP said, see [`UdpSocket`].
    /// - `NotConnected` once the socket is closed, `NetworkDown` once its stack is.
    pub async fn send_to(&self, buf: &[u8], to: impl ToEndpoint) -> io::Result<usize> {
        let to = to.to_endpoint()?;
        poll_fn(|cx| self.poll_send_to(cx, buf, to)).await
    }

    /// Polls to send a datagram. While it is pending nothing is sent, and `buf` and `to` may be others at the next poll.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to).
    pub fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], to: SocketAddr) -> Poll<io::Result<usize>> {
        self.shared.binding.send(self.host(), Some(cx.waker()), buf, &UdpMeta::to(to))
    }

    /// Sends a datagram if the network has room for it now.
    ///
    /// Of a datagram that is fragmented the network may take only some of the fragments. Then it counts as sent, and the
    /// socket sends the others as soon as there is room, before anything else.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the network is full; those of [`send_to`](Self::send_to).
    ///
    /// ```
    /// # use uis_stack::*;
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = UdpSocket::bind(&stack, "10.0.0.1:4000")?;
    /// socket.try_send_to(b"to myself", "10.0.0.1:4000".parse().unwrap())?;
    ///
    /// let mut buf = [0; 2];
    /// assert_eq!(socket.try_recv_from(&mut buf)?, (2, socket.local_addr()?));
    /// assert_eq!(&buf, b"to", "the rest is lost");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_send_to(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.try_send_msg(buf, &UdpMeta::to(to))
    }

    /// Sends a datagram if the network has room for it now, with a source address, ECN bits or hop limit of its own.
    ///
    /// # Errors
    ///
    /// Those of [`try_send_to`](Self::try_send_to); `AddrNotAvailable` if the source address is not the stack's;
    /// `InvalidInput` if it is of another family than the peer's, or the hop limit is 0.
    ///
    /// ```
    /// # use uis_stack::*;
    /// # use std::future::poll_fn;
    /// # futures_lite::future::block_on(async {
    /// # let (a, b) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let server = Stack::new(a, ["10.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap()])?;
    /// # let client = Stack::new(b, ["10.0.0.2".parse().unwrap()])?;
    /// // Answers come from the address that was asked, and with the question's ECN mark.
    /// let server = server.listen_udp("0.0.0.0:53")?;
    /// let client = client.dial_udp("10.0.0.9:53")?;
    /// let mut question = UdpMeta::to(client.peer_addr()?);
    /// question.ecn = 1;
    /// client.try_send_msg(b"?", &question)?;
    ///
    /// let mut buf = [0; 512];
    /// let (n, asked) = poll_fn(|cx| server.poll_recv_msg(cx, &mut buf)).await?;
    /// assert_eq!(asked.local, Some("10.0.0.9".parse().unwrap()));
    /// let mut answer = asked;
    /// answer.ttl = None;
    /// server.try_send_msg(&buf[..n], &answer)?;
    /// let (_, answered) = poll_fn(|cx| client.poll_recv_msg(cx, &mut buf)).await?;
    /// assert_eq!((answered.ecn, answered.ttl), (1, Some(64)));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[doc(alias = "sendmsg")]
    pub fn try_send_msg(&self, buf: &[u8], m: &UdpMeta) -> io::Result<usize> {
        now(self.shared.binding.send(self.host(), None, buf, m))
    }

    /// Receives a datagram, and gives its length and where it came from. What does not fit `buf` is lost, without an
    /// error, as kernels do it; a datagram may have no bytes at all.
    ///
    /// A socket at `[::]` shows IPv4 peers as v4-mapped addresses, and takes them to send to as well, as Linux does.
    ///
    /// Cancel safe: a datagram that is not returned stays in the socket.
    ///
    /// # Errors
    ///
    /// What ICMP said, see [`UdpSocket`]; `NotConnected` once the socket is closed, `NetworkDown` once its stack is.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.poll_recv_from(cx, buf)).await
    }

    /// Polls to receive a datagram.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.poll_recv_msg(cx, buf).map_ok(|(n, meta)| (n, meta.peer))
    }

    /// Polls to receive a datagram, with the address that it was sent to, its ECN bits and its hop limit. For an example
    /// see [`try_send_msg`](Self::try_send_msg).
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    #[doc(alias = "recvmsg")]
    pub fn poll_recv_msg(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, UdpMeta)>> {
        self.shared.binding.receive_with(self.host(), Some(cx.waker()), |queue| queue.pop(buf))
    }

    /// Receives a datagram if there is one.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; those of [`recv_from`](Self::recv_from).
    ///
    /// ```
    /// # use uis_stack::*;
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = stack.listen_udp("10.0.0.1:53")?;
    /// let error = socket.try_recv_from(&mut [0; 512]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        now(self.shared.binding.receive_with(self.host(), None, |queue| queue.pop(buf)))
            .map(|(n, meta)| (n, meta.peer))
    }

    /// As [`recv_from`](Self::recv_from), but the datagram stays where it is.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    ///
    /// ```
    /// # use uis_stack::*;
    /// # futures_lite::future::block_on(async {
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = stack.listen_udp("10.0.0.1:53")?;
    /// socket.send_to(b"twice", "10.0.0.1:53").await?;
    /// let mut buf = [0; 512];
    /// assert_eq!(socket.peek_from(&mut buf).await?, socket.recv_from(&mut buf).await?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.poll_peek_from(cx, buf)).await
    }

    /// Polls to look at the next datagram, which stays where it is.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let peeked = self.shared.binding.receive_with(self.host(), Some(cx.waker()), |queue| queue.peek(buf));
        peeked.map_ok(|(n, meta)| (n, meta.peer))
    }

    /// Connects the socket: from now on [`send`](Self::send) sends to `peer`, and only what comes from there is received.
    /// What was received before stays. Nothing is sent, so the peer need not be there.
    ///
    /// A socket at a wildcard takes the address that faces the peer. It may be connected again, to another peer.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what cannot be sent to and `NetworkUnreachable`, as [`send_to`](Self::send_to);
    /// `NotConnected` once the socket is closed, `NetworkDown` once its stack is.
    ///
    /// ```
    /// # use uis_stack::*;
    /// # futures_lite::future::block_on(async {
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = stack.listen_udp("0.0.0.0:0")?;
    /// socket.connect("10.0.0.1:9")?;
    /// assert_eq!(socket.local_addr()?.ip().to_string(), "10.0.0.1");
    ///
    /// socket.send(b"anybody?").await?;
    /// let error = socket.recv(&mut [0; 512]).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn connect(&self, peer: impl ToEndpoint) -> io::Result<()> {
        self.shared.binding.connect(self.host(), peer.to_endpoint()?)
    }

    /// Sends a datagram to the peer. It waits while the network is full.
    ///
    /// Cancel safe: until it returns, nothing is sent.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the socket is not connected; those of [`send_to`](Self::send_to).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send(cx, buf)).await
    }

    /// Polls to send a datagram to the peer, as [`poll_send_to`](Self::poll_send_to).
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_to(cx, buf, self.peer()?)
    }

    /// Sends a datagram to the peer if the network has room for it now, as [`try_send_to`](Self::try_send_to).
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the network is full; those of [`send`](Self::send).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_send_to(buf, self.peer()?)
    }

    /// Receives a datagram, from the peer if the socket is connected. What does not fit `buf` is lost.
    ///
    /// Cancel safe: a datagram that is not returned stays in the socket.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buf)).await
    }

    /// Polls to receive a datagram, as [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_recv_msg(cx, buf).map_ok(|(n, _)| n)
    }

    /// Receives a datagram if there is one, as [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; those of [`recv_from`](Self::recv_from).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_recv_from(buf).map(|(n, _)| n)
    }

    /// Waits until sending is worth a try: the network has room, as far as it has told, or there is an error to be had.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the socket is closed, `NetworkDown` once its stack is.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send_ready(cx)).await
    }

    /// Polls whether sending is worth a try, as [`writable`](Self::writable). [`try_send_to`](Self::try_send_to) may
    /// still say `WouldBlock`, after which this is pending until there is room.
    ///
    /// # Errors
    ///
    /// Those of [`writable`](Self::writable).
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.binding.poll_writable(self.host(), cx)
    }

    /// Waits until there is a datagram or an error to be had.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the socket is closed, `NetworkDown` once its stack is.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_recv_ready(cx)).await
    }

    /// Polls whether there is a datagram or an error to be had. It takes neither.
    ///
    /// # Errors
    ///
    /// Those of [`readable`](Self::readable).
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.binding.poll_readable(self.host(), cx)
    }

    /// Takes the error that ICMP told of, if the next call that sends or receives would fail with it.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.shared.binding.state.lock().error.take().map(unreachable))
    }

    /// The address of the socket. Its port is never 0. At a wildcard, the address is the wildcard until the socket is
    /// connected.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.shared.binding.local_addr())
    }

    /// The peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer().map(|peer| self.shared.binding.shown(peer))
    }

    /// The hop limit of what is sent.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.shared.binding.state.lock().hop_limit.into())
    }

    /// Sets the hop limit of what is sent, by default that of the stack: 1–255.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for any other number.
    ///
    /// ```
    /// # use uis_stack::*;
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = stack.listen_udp("10.0.0.1:53")?;
    /// assert_eq!(socket.ttl()?, 64);
    /// socket.set_ttl(1)?;
    /// assert!(socket.set_ttl(0).is_err() && socket.set_ttl(256).is_err());
    /// assert_eq!(socket.ttl()?, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl).ok().filter(|&ttl| ttl > 0);
        let hop_limit = hop_limit.ok_or_else(|| invalid(format!("a hop limit of {ttl}")))?;
        self.shared.binding.state.lock().hop_limit = hop_limit;
        Ok(())
    }

    /// Whether what is sent must not be fragmented, by default no. Then a datagram that is longer than the MTU of the
    /// path, as far as that is known, is an error, and IPv4 packets carry the "don't fragment" bit (RFC 1191). As on any
    /// host, a router's "too big" lowers what is known of the path for ten minutes.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    ///
    /// ```
    /// # use uis_stack::*;
    /// # futures_lite::future::block_on(async {
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = stack.listen_udp("10.0.0.1:53")?;
    /// assert_eq!(socket.send_to(&[0; 1473], "10.0.0.1:53").await?, 1473);
    /// socket.set_dont_fragment(true)?;
    /// assert!(socket.send_to(&[0; 1473], "10.0.0.1:53").await.is_err());
    /// assert_eq!(socket.send_to(&[0; 1472], "10.0.0.1:53").await?, 1472);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_dont_fragment(&self, on: bool) -> io::Result<()> {
        self.shared.binding.state.lock().dont_fragment = on;
        Ok(())
    }

    /// Closes the socket for all of its handles: whoever waits gets an error, what was not read is gone, and its address
    /// is free.
    ///
    /// ```
    /// # use uis_stack::*;
    /// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let socket = stack.listen_udp("10.0.0.1:53")?;
    /// socket.close();
    /// let error = socket.try_recv_from(&mut []).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn close(&self) {
        self.shared.binding.close(self.host());
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.shared.binding.peer().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotConnected, "the socket is not connected to a peer")
        })
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("UdpSocket");
        s.field("local", &self.shared.binding.local_addr());
        if let Some(peer) = self.shared.binding.peer() {
            s.field("peer", &peer);
        }
        s.finish_non_exhaustive()
    }
}

/// What a poll without a waker found.
fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
