//! The real network, with tokio's sockets.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{Accept, Datagrams, Dial, Listen, async_io::any_of_family};

/// The real network through tokio: the twin of a [`Stack`](crate::Stack) in production. It needs a tokio runtime.
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use uis_stack::{Accept, Dial, Listen, TokioNet};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
/// # runtime.block_on(async {
/// let listener = TokioNet.listen_tcp("127.0.0.1:0".parse().unwrap()).await?;
/// let mut dialled = TokioNet.dial_tcp(listener.local_addr()?).await?;
/// let (mut accepted, _) = Accept::accept(&listener).await?;
/// dialled.write_all(b"hello").await?;
/// dialled.shutdown().await?;
///
/// let mut text = String::new();
/// accepted.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(()) })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokioNet;

impl Dial for TokioNet {
    type Stream = TcpStream;
    type Udp = UdpSocket;

    fn dial_tcp(&self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send {
        TcpStream::connect(to)
    }

    async fn dial_udp(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(any_of_family(to)).await?;
        socket.connect(to).await?;
        Ok(socket)
    }
}

impl Listen for TokioNet {
    type Listener = TcpListener;
    type Udp = UdpSocket;

    fn listen_tcp(&self, at: SocketAddr) -> impl Future<Output = io::Result<TcpListener>> + Send {
        TcpListener::bind(at)
    }

    fn listen_udp(&self, at: SocketAddr) -> impl Future<Output = io::Result<UdpSocket>> + Send {
        UdpSocket::bind(at)
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        Self::accept(self)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Datagrams for UdpSocket {
    fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
        Self::send(self, buf)
    }

    fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        Self::recv(self, buf)
    }

    fn send_to(&self, buf: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send {
        Self::send_to(self, buf, to)
    }

    fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send {
        Self::recv_from(self, buf)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}
