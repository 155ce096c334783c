//! The two halves of a stream, each with an owner of its own.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use uis_clock::unwind::in_drop;

use futures_io::{AsyncRead, AsyncWrite};

use super::stream::TcpStream;

/// The half of a [`TcpStream`] that reads.
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: TcpStream,
}

/// The half of a [`TcpStream`] that writes. Dropping it sends the FIN.
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
