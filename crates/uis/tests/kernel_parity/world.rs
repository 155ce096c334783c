//! What the behaviours need of a network.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};

use futures_lite::future::zip;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A network with a server and a client, which may be one host.
pub(crate) trait Net {
    type Stream: Stream;
    type Listener: Listener<Stream = Self::Stream>;
    type Udp: Udp;

    /// Whether it is a kernel's. What follows is a difference that is meant.
    const KERNEL: bool;

    fn server(&self, family: Family) -> IpAddr;
    /// The family that the test runs with.
    fn family(&self) -> Family;
    async fn dial(&self, to: SocketAddr) -> io::Result<Self::Stream>;
    async fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener>;
    /// A UDP socket of the server.
    async fn bind(&self, at: SocketAddr) -> io::Result<Self::Udp>;
    /// A UDP socket of the client, at a wildcard.
    async fn bind_client(&self) -> io::Result<Self::Udp>;
    /// Gives packets time to arrive. Nothing may depend on how long it is.
    async fn moment(&self);

    /// The server's address with a port.
    fn at(&self, port: u16) -> SocketAddr {
        (self.server(self.family()), port).into()
    }

    /// The wildcard of the family, with a port.
    fn any(&self, port: u16) -> SocketAddr {
        match self.family() {
            Family::V4 => ([0; 4], port).into(),
            Family::V6 => ([0; 16], port).into(),
        }
    }

    /// A connection: the accepted end and the dialled one.
    async fn connection(&self) -> (Self::Stream, Self::Stream) {
        let listener = self.listen(self.at(0)).await.unwrap();
        self.connection_to(&listener).await
    }

    async fn connection_to(&self, listener: &Self::Listener) -> (Self::Stream, Self::Stream) {
        let (accepted, dialled) = zip(listener.accept(), self.dial(listener.local_addr().unwrap())).await;
        (accepted.unwrap().0, dialled.unwrap())
    }

    /// Tries again until there is a result.
    async fn until<T>(&self, mut f: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..5000 {
            if let Some(result) = f().await {
                return result;
            }
            self.moment().await;
        }
        panic!("it does not come");
    }
}

pub(crate) trait Listener {
    type Stream;
    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

pub(crate) trait Reads {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// What comes until the end.
    async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let (mut data, mut buf) = (Vec::new(), vec![0; 70_000]);
        loop {
            match self.read(&mut buf).await? {
                0 => return Ok(data),
                n => data.extend_from_slice(&buf[..n]),
            }
        }
    }

    /// Just so many bytes.
    async fn exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let (mut data, mut done) = (vec![0; n], 0);
        while done < n {
            match self.read(&mut data[done..]).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(data)
    }
}

pub(crate) trait Writes {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize>;
    async fn write_all(&mut self, buf: &[u8]) -> io::Result<()>;
    async fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
    async fn flush(&mut self) -> io::Result<()>;
    /// Closes this direction: `shutdown` of tokio, `close` of futures.
    async fn shutdown(&mut self) -> io::Result<()>;
}

pub(crate) trait Stream: Reads + Writes + Sized {
    type Read: Reads;
    type Write: Writes;

    /// Whether a write half that is dropped sends the FIN, as tokio's do. async-net has clones and no halves.
    const DROPPED_WRITE_HALF_CLOSES: bool;

    fn halves(self) -> (Self::Read, Self::Write);
    /// Both halves again as one; `None` if they are not of one stream.
    fn whole(halves: (Self::Read, Self::Write)) -> Option<Self>;
    /// A read that several tasks may do at a time.
    async fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize>;
    async fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn nodelay(&self) -> io::Result<bool>;
    fn set_nodelay(&self, on: bool) -> io::Result<()>;
    fn ttl(&self) -> io::Result<u32>;
    fn set_ttl(&self, ttl: u32) -> io::Result<()>;
    /// A linger time of 0: the connection is reset when it is dropped.
    fn reset_when_dropped(&self);
    fn take_error(&self) -> io::Result<Option<io::Error>>;
}

pub(crate) trait Udp {
    async fn send_to(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize>;
    async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    async fn connect(&self, to: SocketAddr) -> io::Result<()>;
    async fn send(&self, buf: &[u8]) -> io::Result<usize>;
    async fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn ttl(&self) -> io::Result<u32>;
    fn set_ttl(&self, ttl: u32) -> io::Result<()>;
}

/// A stream with the traits of futures, or a half of one.
pub(crate) struct Futures<S>(pub(crate) S);

/// A stream with those of tokio, or a half of one.
pub(crate) struct Tokio<S>(pub(crate) S);

macro_rules! reads_and_writes {
    ($wrapper:ident, $($name:ident)::*, $shutdown:ident) => {
        impl<S: $($name)::*::AsyncRead + Unpin> Reads for $wrapper<S> {
            async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                $($name)::*::AsyncReadExt::read(&mut self.0, buf).await
            }
        }

        impl<S: $($name)::*::AsyncWrite + Unpin> Writes for $wrapper<S> {
            async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                $($name)::*::AsyncWriteExt::write(&mut self.0, buf).await
            }

            async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                $($name)::*::AsyncWriteExt::write_all(&mut self.0, buf).await
            }

            async fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                $($name)::*::AsyncWriteExt::write_vectored(&mut self.0, bufs).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                $($name)::*::AsyncWriteExt::flush(&mut self.0).await
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                $($name)::*::AsyncWriteExt::$shutdown(&mut self.0).await
            }
        }
    };
}

reads_and_writes!(Futures, futures_lite, close);
reads_and_writes!(Tokio, tokio::io, shutdown);

/// What the streams of all three have under the same names, and what one of them has under its own.
macro_rules! stream {
    ($wrapper:ident<$stream:ty>, $read:ty, $write:ty, $closes:literal { $($own:item)* }) => {
        impl Stream for $wrapper<$stream> {
            type Read = $wrapper<$read>;
            type Write = $wrapper<$write>;

            const DROPPED_WRITE_HALF_CLOSES: bool = $closes;

            async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.peek(buf).await
            }

            fn local_addr(&self) -> io::Result<SocketAddr> {
                self.0.local_addr()
            }

            fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.0.peer_addr()
            }

            fn nodelay(&self) -> io::Result<bool> {
                self.0.nodelay()
            }

            fn set_nodelay(&self, on: bool) -> io::Result<()> {
                self.0.set_nodelay(on)
            }

            fn ttl(&self) -> io::Result<u32> {
                self.0.ttl()
            }

            fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.0.set_ttl(ttl)
            }

            $($own)*
        }
    };
}
pub(crate) use stream;

macro_rules! listener {
    ($listener:ty, $wrapper:ident<$stream:ty>) => {
        impl Listener for $wrapper<$listener> {
            type Stream = $wrapper<$stream>;

            async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
                self.0.accept().await.map(|(stream, peer)| ($wrapper(stream), peer))
            }

            fn local_addr(&self) -> io::Result<SocketAddr> {
                self.0.local_addr()
            }
        }
    };
}
pub(crate) use listener;

macro_rules! udp {
    ($socket:ty, |$this:ident, $peer:ident| $connect:expr, |$it:ident, $buf:ident| $peek_from:expr) => {
        impl Udp for $socket {
            async fn send_to(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
                <$socket>::send_to(self, buf, to).await
            }

            async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
                <$socket>::recv_from(self, buf).await
            }

            async fn peek_from(&self, $buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
                let $it = self;
                $peek_from
            }

            async fn connect(&self, $peer: SocketAddr) -> io::Result<()> {
                let $this = self;
                $connect
            }

            async fn send(&self, buf: &[u8]) -> io::Result<usize> {
                <$socket>::send(self, buf).await
            }

            async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                <$socket>::recv(self, buf).await
            }

            fn local_addr(&self) -> io::Result<SocketAddr> {
                <$socket>::local_addr(self)
            }

            fn peer_addr(&self) -> io::Result<SocketAddr> {
                <$socket>::peer_addr(self)
            }

            fn ttl(&self) -> io::Result<u32> {
                <$socket>::ttl(self)
            }

            fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                <$socket>::set_ttl(self, ttl)
            }
        }
    };
}
pub(crate) use udp;

/// The kind of the error, which there must be.
#[track_caller]
pub(crate) fn kind<T>(result: io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("there is no error"),
        Err(error) => error.kind(),
    }
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect()
}

/// Polls so often, and drops the future then: `None` if it was not ready.
pub(crate) async fn polled<F: Future>(times: usize, f: F) -> Option<F::Output> {
    let mut f = std::pin::pin!(f);
    for _ in 0..times {
        if let Some(output) = futures_lite::future::poll_once(f.as_mut()).await {
            return Some(output);
        }
        futures_lite::future::yield_now().await;
    }
    None
}
