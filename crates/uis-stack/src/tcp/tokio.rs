//! tokio's two traits, with the same meaning as those of futures-io.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::split::{OwnedReadHalf, OwnedWriteHalf};
use super::stream::TcpStream;

fn poll_read(stream: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let n = ready!(stream.poll_read_some(cx, buf.initialize_unfilled()))?;
    buf.advance(n);
    Poll::Ready(Ok(()))
}

macro_rules! read {
    ($type:ty, |$it:ident| $stream:expr) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let $it = &*self;
                poll_read($stream, cx, buf)
            }
        }
    };
}

macro_rules! write {
    ($type:ty, |$it:ident| $stream:expr) => {
        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                let $it = &*self;
                $stream.poll_write_some(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $it = &*self;
                $stream.poll_write_some(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $it = &*self;
                Poll::Ready($stream.close_send())
            }
        }
    };
}

read!(TcpStream, |it| it);
write!(TcpStream, |it| it);
read!(&TcpStream, |it| *it);
write!(&TcpStream, |it| (*it));
read!(OwnedReadHalf, |it| it.as_stream());
write!(OwnedWriteHalf, |it| it.as_stream());
