//! The two halves of a stream, each with an owner of its own.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use uis_clock::unwind::in_drop;

use futures_io::{AsyncRead, AsyncWrite};

use super::stream::TcpStream;

/// The half of a [`TcpStream`] that reads: what [`TcpStream::into_split`] gives.
///
/// It implements `AsyncRead` of [`futures_io`], and that of tokio with the feature `tokio`.
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: TcpStream,
}

/// The half of a [`TcpStream`] that writes: what [`TcpStream::into_split`] gives.
///
/// It implements `AsyncWrite` of [`futures_io`], and that of tokio with the feature `tokio`. Dropping it sends the FIN.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: TcpStream,
    forgotten: bool,
}

impl OwnedReadHalf {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// The stream of this half, for all that is not reading.
    #[must_use]
    pub fn as_stream(&self) -> &TcpStream {
        &self.stream
    }

    /// See [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::peek`].
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(buf).await
    }

    /// Waits until [`try_read`](Self::try_read) would not say `WouldBlock`. Cancel safe.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// # use uis_stack::{Stack, TcpListener, TcpStream};
    /// # let (a, _b) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
    /// # let stack = Stack::new(a, ["10.0.0.1".parse().unwrap()])?;
    /// # let listener = TcpListener::bind(&stack, "10.0.0.1:80")?;
    /// # let client = TcpStream::connect(&stack, "10.0.0.1:80").await?;
    /// # let (server, _) = listener.accept().await?;
    /// let (reader, _) = client.into_split();
    /// let (_, writer) = server.into_split();
    ///
    /// writer.writable().await?;
    /// assert_eq!(writer.try_write(b"hello")?, 5);
    ///
    /// let mut buf = [0; 16];
    /// reader.readable().await?;
    /// assert_eq!(reader.try_read(&mut buf)?, 5);
    /// assert_eq!(reader.try_read(&mut buf).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::readable`].
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Reads what there is, without waiting. 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::try_read`].
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buf)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::peer_addr`].
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::local_addr`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Puts two halves of one stream together again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of one stream.
    pub fn reunite(self, mut write: OwnedWriteHalf) -> Result<TcpStream, (Self, OwnedWriteHalf)> {
        if !self.stream.is_same(&write.stream) {
            return Err((self, write));
        }
        write.forgotten = true;
        Ok(self.stream)
    }
}

impl OwnedWriteHalf {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, forgotten: false }
    }

    /// The stream of this half, for all that is not writing.
    #[must_use]
    pub fn as_stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Drops this half without sending the FIN.
    pub fn forget(mut self) {
        self.forgotten = true;
    }

    /// Waits until [`try_write`](Self::try_write) would not say `WouldBlock`. Cancel safe. There is an example at
    /// [`OwnedReadHalf::readable`].
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::writable`].
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Writes as much as there is room for, without waiting, and says how much that was.
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::try_write`].
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.stream.try_write(buf)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::peer_addr`].
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of [`TcpStream::local_addr`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if !self.forgotten {
            // A connection that is over has no FIN to send.
            in_drop(|| drop(self.stream.close_send()));
        }
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read_some(cx, buf)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write_some(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write_some(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.close_send())
    }
}
