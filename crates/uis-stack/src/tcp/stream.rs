//! The stream that users read from and write to.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

use super::connect::Connect;
use super::flow::{End, Flow};
use super::split::{OwnedReadHalf, OwnedWriteHalf};
use uis_clock::unwind::in_drop;

use crate::host::{Host, StackHandle};
use crate::{Stack, ToEndpoint, endpoint};

/// A TCP connection.
///
/// It implements `AsyncRead` and `AsyncWrite` of [`futures_io`], and those of tokio with the feature `tokio`. A module
/// that imports both `AsyncWriteExt` traits cannot call their common methods without saying which (E0034): import the
/// one of the runtime in use.
///
/// Cloning gives another handle to the same connection. Several tasks may wait in either direction. When the last
/// handle is dropped the connection closes in the background, as a kernel does it: what was written is sent, then
/// a FIN; but if received data was never read, or arrives later, the peer gets a RST.
///
/// `close().await` (tokio: `shutdown().await`) closes the send half and returns when the FIN is queued; reading goes
/// on. For two halves with owners of their own see [`into_split`](Self::into_split).
///
/// ```
/// # futures_lite::future::block_on(async {
/// # use uis_stack::{Stack, TcpListener, TcpStream};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// # let (a, _b) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// # let stack = Stack::new(a, ["10.0.0.1".parse().unwrap()])?;
/// # let listener = TcpListener::bind(&stack, "10.0.0.1:80")?;
///
/// let mut client = TcpStream::connect(&stack, "10.0.0.1:80").await?;
/// let (mut server, _) = listener.accept().await?;
/// server.write_all(b"hello").await?;
/// server.close().await?;
/// let mut text = String::new();
/// client.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TcpStream {
    conn: Arc<Conn>,
}

/// A connection with a user.
#[derive(Debug)]
struct Conn {
    flow: Arc<Flow>,
    stack: Arc<StackHandle>,
    /// Whether IPv4 addresses are shown as v4-mapped ones.
    mapped: bool,
}

impl Drop for Conn {
    fn drop(&mut self) {
        in_drop(|| self.flow.orphan(self.stack.host()));
    }
}

impl TcpStream {
    /// Dials `to` from `stack`, as [`Stack::dial_tcp`] does.
    #[doc(alias = "dial")]
    pub fn connect(stack: &Stack, to: impl ToEndpoint) -> Connect {
        stack.dial_tcp(to)
    }

    pub(crate) fn new(flow: Arc<Flow>, stack: Arc<StackHandle>, mapped: bool) -> Self {
        Self { conn: Arc::new(Conn { flow, stack, mapped }) }
    }

    pub(crate) fn flow(&self) -> &Arc<Flow> {
        &self.conn.flow
    }

    pub(crate) fn host(&self) -> &Host {
        self.conn.stack.host()
    }

    /// The address and port of this end.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(endpoint::shown(self.flow().local, self.conn.mapped))
    }

    /// The address and port of the other end. It stays known after the connection has ended.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(endpoint::shown(self.flow().remote, self.conn.mapped))
    }

    /// Waits until there is something to read, an end of stream or an error included, and copies it without taking
    /// it. 0 is the end of the stream. Cancel safe.
    ///
    /// # Errors
    ///
    /// The error that ended the connection, once what was received before is read.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            loop {
                if let Some(n) = self.flow().try_peek(buf)? {
                    return Poll::Ready(Ok(n));
                }
                if self.flow().poll_readable(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Takes the error that ended the connection, if no operation has reported it yet: `SO_ERROR`.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.flow().take_error())
    }

    /// Waits until [`try_read`](Self::try_read) would not say `WouldBlock`. Cancel safe.
    ///
    /// # Errors
    ///
    /// None: an error that is pending makes the stream readable, and the read reports it.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.flow().poll_readable(cx)).await;
        Ok(())
    }

    /// Reads what there is, without waiting. 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing yet; the error that ended the connection, once what was received before is
    /// read.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.flow().try_read(self.host(), buf)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Waits until [`try_write`](Self::try_write) would not say `WouldBlock`. Cancel safe.
    ///
    /// # Errors
    ///
    /// None: an error that is pending makes the stream writable, and the write reports it.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.flow().poll_writable(cx)).await;
        Ok(())
    }

    /// Writes as much as there is room for, without waiting, and says how much that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; `BrokenPipe` after the send half was closed; the error that ended the
    /// connection.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.flow()
            .try_write(self.host(), &[IoSlice::new(buf)])?
            .ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Says what happens to what was written when the last handle is dropped: with a time of 0 it is thrown away and
    /// the peer gets a RST; otherwise it is sent in the background.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn set_linger(&self, d: Option<Duration>) -> io::Result<()> {
        self.flow().set_linger(d);
        Ok(())
    }

    /// What [`set_linger`](Self::set_linger) was given last.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.flow().linger())
    }

    /// Ends the connection at once: the peer gets a RST, and every operation here fails with `ConnectionAborted`.
    /// What was received stays readable.
    #[doc(alias = "reset")]
    pub fn abort(&self) {
        self.flow().abort(self.host(), End::ABORTED);
    }

    /// Splits the stream into halves that can be moved to different tasks. Dropping the write half sends the FIN, as
    /// tokio's does, also when there are other handles of this stream.
    ///
    /// There is no `split` that borrows: to read and write at once, take a clone of the stream.
    #[doc(alias = "split")]
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf::new(self.clone()), OwnedWriteHalf::new(self))
    }

    /// Whether both are handles of one connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.conn, &other.conn)
    }

    /// Polls a read. Every distinct waker is kept until the next wake.
    pub(crate) fn poll_read_some(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.flow().poll_read(self.host(), cx, buf)
    }

    /// Polls a write of several buffers. Every distinct waker is kept until the next wake.
    pub(crate) fn poll_write_some(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flow().poll_write(self.host(), cx, bufs)
    }

    /// Queues the FIN.
    pub(crate) fn close_send(&self) -> io::Result<()> {
        self.flow().close_send(self.host())
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_some(cx, buf)
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // nothing is held back here
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.close_send())
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_some(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.close_send())
    }
}
