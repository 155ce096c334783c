//! The real network, with async-io's reactor.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};

use super::{Accept, Datagrams, Dial, Listen};

/// The real network, on any executor: the twin of a [`Stack`](crate::Stack) in production for smol and its like.
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use uis_stack::{Accept, AsyncIoNet, Dial, Listen};
///
/// # futures_lite::future::block_on(async {
/// let listener = AsyncIoNet.listen_tcp("127.0.0.1:0".parse().unwrap()).await?;
/// let mut dialled = AsyncIoNet.dial_tcp(listener.local_addr()?).await?;
/// let (mut accepted, _) = listener.accept().await?;
/// dialled.write_all(b"hello").await?;
/// dialled.close().await?;
///
/// let mut text = String::new();
/// accepted.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "smol")]
pub struct AsyncIoNet;

/// A TCP connection of [`AsyncIoNet`], with the I/O traits of futures. [`AsRef`] gives std's stream, to ask and to set.
#[derive(Debug)]
pub struct AsyncIoStream(Async<TcpStream>);

/// A TCP listener of [`AsyncIoNet`]. [`AsRef`] gives std's listener, to ask and to set.
#[derive(Debug)]
pub struct AsyncIoListener(Async<TcpListener>);

/// A UDP socket of [`AsyncIoNet`]. [`AsRef`] gives std's socket, to ask and to set.
#[derive(Debug)]
pub struct AsyncIoUdpSocket(Async<UdpSocket>);

impl Dial for AsyncIoNet {
    type Stream = AsyncIoStream;
    type Udp = AsyncIoUdpSocket;

    async fn dial_tcp(&self, to: SocketAddr) -> io::Result<AsyncIoStream> {
        Async::<TcpStream>::connect(to).await.map(AsyncIoStream)
    }

    async fn dial_udp(&self, to: SocketAddr) -> io::Result<AsyncIoUdpSocket> {
        let socket = Async::<UdpSocket>::bind(any_of_family(to))?;
        socket.as_ref().connect(to)?;
        Ok(AsyncIoUdpSocket(socket))
    }
}

impl Listen for AsyncIoNet {
    type Listener = AsyncIoListener;
    type Udp = AsyncIoUdpSocket;

    async fn listen_tcp(&self, at: SocketAddr) -> io::Result<AsyncIoListener> {
        Async::<TcpListener>::bind(at).map(AsyncIoListener)
    }

    async fn listen_udp(&self, at: SocketAddr) -> io::Result<AsyncIoUdpSocket> {
        Async::<UdpSocket>::bind(at).map(AsyncIoUdpSocket)
    }
}

impl Accept for AsyncIoListener {
    type Stream = AsyncIoStream;

    async fn accept(&self) -> io::Result<(AsyncIoStream, SocketAddr)> {
        self.0.accept().await.map(|(stream, peer)| (AsyncIoStream(stream), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.as_ref().local_addr()
    }
}

impl Datagrams for AsyncIoUdpSocket {
    fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.0.send(buf)
    }

    fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.0.recv(buf)
    }

    fn send_to(&self, buf: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send {
        self.0.send_to(buf, to)
    }

    fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send {
        self.0.recv_from(buf)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.as_ref().local_addr()
    }
}

impl AsyncRead for AsyncIoStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [io::IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for AsyncIoStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// Sends a FIN; reading goes on. (async-io itself only flushes here.)
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.0.as_ref().shutdown(Shutdown::Write) {
            // The peer was quicker, and there is nothing to close.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

impl AsRef<TcpStream> for AsyncIoStream {
    fn as_ref(&self) -> &TcpStream {
        self.0.as_ref()
    }
}

impl AsRef<TcpListener> for AsyncIoListener {
    fn as_ref(&self) -> &TcpListener {
        self.0.as_ref()
    }
}

impl AsRef<UdpSocket> for AsyncIoUdpSocket {
    fn as_ref(&self) -> &UdpSocket {
        self.0.as_ref()
    }
}

/// The address to bind to before connecting to `peer`: any, of its family.
pub(super) fn any_of_family(peer: SocketAddr) -> SocketAddr {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}
