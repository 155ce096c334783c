//! Code that runs on a simulated network and on the real one.
//!
//! [`Dial`] and [`Listen`] are what a program needs of a network; a [`Stack`](crate::Stack), a [`Connector`] or a
//! [`ListenConfig`] is a simulated one, [`AsyncIoNet`] and `TokioNet` are the real one.

mod async_io;
mod stack;
#[cfg(feature = "tokio")]
mod tokio;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

pub use async_io::{AsyncIoListener, AsyncIoNet, AsyncIoStream, AsyncIoUdpSocket};
pub use stack::{Connector, ListenConfig};
#[cfg(feature = "tokio")]
pub use tokio::TokioNet;

/// A network on which one can dial.
///
/// Code that takes a `Dial` runs on a simulated network in its tests and on the real one in production: it is
/// implemented for [`Stack`](crate::Stack) and [`Connector`], and for [`AsyncIoNet`] and, with the feature `tokio`, for
/// `TokioNet`. Which family of I/O traits the streams have is the caller's to ask for.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use futures_lite::{AsyncRead, AsyncReadExt};
/// use uis_stack::Dial;
///
/// /// What a server says on its own.
/// async fn greeting<D: Dial<Stream: AsyncRead>>(net: &D, server: SocketAddr) -> io::Result<String> {
///     let mut text = String::new();
///     net.dial_tcp(server).await?.read_to_string(&mut text).await?;
///     Ok(text)
/// }
///
/// # futures_lite::future::block_on(async {
/// # use futures_lite::{AsyncWriteExt, future::try_zip};
/// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// # let stack = uis_stack::Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
/// let listener = stack.listen_tcp("10.0.0.1:25")?;
/// let serve = async {
///     let (mut stream, _) = listener.accept().await?;
///     stream.write_all(b"220 ready").await?;
///     stream.close().await
/// };
/// let (text, ()) = try_zip(greeting(&stack, "10.0.0.1:25".parse().unwrap()), serve).await?;
/// assert_eq!(text, "220 ready");
/// # io::Result::Ok(()) }).unwrap();
/// ```
pub trait Dial: Send + Sync {
    /// A connection. There is no bound on how it reads and writes: `D: Dial<Stream: AsyncRead + AsyncWrite>`, with the
    /// traits of futures or of tokio, picks the family.
    type Stream: Send + Sync + Unpin + 'static;
    /// A connected UDP socket.
    type Udp: Datagrams;

    /// Dials a TCP connection.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn dial_tcp(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Makes a UDP socket that is connected to `to`.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn dial_udp(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Udp>> + Send;
}

/// A network on which one can listen: the other half of [`Dial`].
///
/// It is implemented for [`Stack`](crate::Stack) and [`ListenConfig`], and for [`AsyncIoNet`] and, with the feature
/// `tokio`, for `TokioNet`.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use uis_stack::{Datagrams, Listen};
///
/// /// Sends one datagram back to where it came from.
/// async fn echo_once<N: Listen>(net: &N, at: SocketAddr) -> io::Result<()> {
///     let socket = net.listen_udp(at).await?;
///     let mut buf = [0; 1500];
///     let (n, peer) = socket.recv_from(&mut buf).await?;
///     socket.send_to(&buf[..n], peer).await?;
///     Ok(())
/// }
///
/// # futures_lite::future::block_on(async {
/// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// # let stack = uis_stack::Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
/// let at = "10.0.0.1:7".parse().unwrap();
/// let client = stack.listen_udp("10.0.0.1:0")?;
/// let ask = async {
///     client.send_to(b"hello", at).await?;
///     client.recv_from(&mut [0; 5]).await
/// };
/// let ((), (n, peer)) = futures_lite::future::try_zip(echo_once(&stack, at), ask).await?;
/// assert_eq!((n, peer), (5, at));
/// # io::Result::Ok(()) }).unwrap();
/// ```
pub trait Listen: Send + Sync {
    /// A TCP listener.
    type Listener: Accept;
    /// A UDP socket.
    type Udp: Datagrams;

    /// Listens for TCP connections at `at`. A port of 0 stands for any.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn listen_tcp(&self, at: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Makes a UDP socket at `at`. A port of 0 stands for any.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn listen_udp(&self, at: SocketAddr) -> impl Future<Output = io::Result<Self::Udp>> + Send;
}

/// A TCP listener of any network, see [`Listen`].
pub trait Accept: Send + Sync + Unpin + 'static {
    /// A connection, as [`Dial::Stream`].
    type Stream: Send + Sync + Unpin + 'static;

    /// Waits for the next connection, and gives it and its peer's address. Cancel safe.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address that it listens at.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket of any network, see [`Dial`] and [`Listen`]. All of its futures are cancel safe.
pub trait Datagrams: Send + Sync + Unpin + 'static {
    /// Sends a datagram to the peer of a socket that was dialled.
    ///
    /// # Errors
    ///
    /// Those that the network gives, which is one if there is no peer.
    fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Receives a datagram. What does not fit `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Sends a datagram to `to`.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn send_to(&self, buf: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send;

    /// Receives a datagram, and gives where it came from. What does not fit `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// The address of the socket.
    ///
    /// # Errors
    ///
    /// Those that the network gives.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
