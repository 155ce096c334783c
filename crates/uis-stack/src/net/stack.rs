//! The simulated network: a stack, and the two ways to use it with settings.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Accept, Datagrams, Dial, Listen};
use crate::endpoint::invalid;
use crate::{Connect, Stack, TcpListener, TcpStream, ToEndpoint, UdpSocket};

/// A dialler over a stack, with settings of its own: what Go's `net.Dialer` is.
///
/// Endpoints are literals; a host name is `InvalidInput`, at once. Cloning copies the settings.
///
/// ```
/// use std::time::Duration;
/// use uis_stack::{Connector, Stack};
///
/// # futures_lite::future::block_on(async {
/// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()])?;
/// let connector = Connector::new(&stack).local_addr("10.0.0.2:0").timeout(Duration::from_secs(5));
///
/// let listener = stack.listen_tcp("10.0.0.1:80")?;
/// let stream = connector.dial_tcp("10.0.0.1:80").await?;
/// assert_eq!(stream.local_addr()?.ip().to_string(), "10.0.0.2");
///
/// let error = connector.dial_tcp("example.com:80").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// # drop(listener);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "dialer")]
pub struct Connector {
    stack: Stack,
    local: Option<Local>,
    timeout: Option<Duration>,
    nodelay: Option<bool>,
}

impl Connector {
    /// A dialler over `stack`, which it keeps alive.
    #[must_use]
    pub fn new(stack: &Stack) -> Self {
        Self { stack: stack.clone(), local: None, timeout: None, nodelay: None }
    }

    /// The address to dial from. A port of 0 stands for an ephemeral one. By default the stack chooses both.
    ///
    /// If `local` is no endpoint, every dial fails with `InvalidInput`.
    #[must_use]
    pub fn local_addr(mut self, local: impl ToEndpoint) -> Self {
        self.local = Some(Local(local.to_endpoint().map_err(|error| error.to_string())));
        self
    }

    /// How long a TCP dial may take by the stack's clock before it fails with `TimedOut`. By default only the stack's
    /// retries limit it.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether connections send small segments at once (`TCP_NODELAY`), by default as the stack's configuration says.
    #[must_use]
    pub fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = Some(on);
        self
    }

    /// Dials a TCP connection, as [`Stack::dial_tcp`] does.
    #[doc(alias = "connect")]
    pub fn dial_tcp(&self, to: impl ToEndpoint) -> Connect {
        let mut connect = match &self.local {
            Some(local) => self.stack.dial_tcp_from(local, to),
            None => self.stack.dial_tcp(to),
        };
        if let Some(timeout) = self.timeout {
            connect = connect.with_timeout(timeout);
        }
        if let Some(on) = self.nodelay {
            connect = connect.with_nodelay(on);
        }
        connect
    }

    /// Makes a UDP socket that is connected to `to`, as [`Stack::dial_udp`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::dial_udp`]; with a [`local_addr`](Self::local_addr), those of [`Stack::listen_udp`] too.
    #[doc(alias = "connect")]
    pub fn dial_udp(&self, to: impl ToEndpoint) -> io::Result<UdpSocket> {
        match &self.local {
            Some(local) => {
                let socket = self.stack.listen_udp(local)?;
                socket.connect(to)?;
                Ok(socket)
            }
            None => self.stack.dial_udp(to),
        }
    }
}

/// Where to dial from, or why that is nowhere.
#[derive(Clone, Debug)]
struct Local(Result<SocketAddr, String>);

impl ToEndpoint for Local {
    fn to_endpoint(&self) -> io::Result<SocketAddr> {
        self.0.clone().map_err(invalid)
    }
}

/// Listening over a stack with settings: what Go's `net.ListenConfig` is.
///
/// Endpoints are literals; a host name is `InvalidInput`, at once. Cloning copies the settings.
///
/// ```
/// use uis_stack::{ListenConfig, Stack};
///
/// # let (vnic, _peer) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// # let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
/// let config = ListenConfig::new(&stack).backlog(16).only_v6(true);
/// let v6 = config.listen("[::]:80")?;
/// let v4 = config.listen("0.0.0.0:80")?; // a dual-stack `[::]` would have taken the port
///
/// let error = config.listen("localhost:80").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// # drop((v6, v4));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenConfig {
    stack: Stack,
    backlog: Option<usize>,
    only_v6: bool,
}

impl ListenConfig {
    /// Listening over `stack`, which it keeps alive.
    #[must_use]
    pub fn new(stack: &Stack) -> Self {
        Self { stack: stack.clone(), backlog: None, only_v6: false }
    }

    /// How many connections a listener holds that are half open or not yet accepted, at least 1; by default what the
    /// stack's configuration says.
    #[must_use]
    pub fn backlog(mut self, n: usize) -> Self {
        self.backlog = Some(n);
        self
    }

    /// Whether `[::]` stands for IPv6 alone, by default no.
    #[must_use]
    pub fn only_v6(mut self, on: bool) -> Self {
        self.only_v6 = on;
        self
    }

    /// Listens for TCP connections at `at`, as [`Stack::listen_tcp`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::listen_tcp`], and `InvalidInput` for a backlog of 0.
    pub fn listen(&self, at: impl ToEndpoint) -> io::Result<TcpListener> {
        self.stack.listen_tcp_with(at, self.backlog, self.only_v6)
    }

    /// Makes a UDP socket at `at`, as [`Stack::listen_udp`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::listen_udp`].
    pub fn listen_packet(&self, at: impl ToEndpoint) -> io::Result<UdpSocket> {
        self.stack.listen_udp_with(at, self.only_v6)
    }
}

impl Dial for Stack {
    type Stream = TcpStream;
    type Udp = UdpSocket;

    fn dial_tcp(&self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send {
        Self::dial_tcp(self, to)
    }

    async fn dial_udp(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        Self::dial_udp(self, to)
    }
}

impl Dial for Connector {
    type Stream = TcpStream;
    type Udp = UdpSocket;

    fn dial_tcp(&self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send {
        Self::dial_tcp(self, to)
    }

    async fn dial_udp(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        Self::dial_udp(self, to)
    }
}

impl Listen for Stack {
    type Listener = TcpListener;
    type Udp = UdpSocket;

    async fn listen_tcp(&self, at: SocketAddr) -> io::Result<TcpListener> {
        Self::listen_tcp(self, at)
    }

    async fn listen_udp(&self, at: SocketAddr) -> io::Result<UdpSocket> {
        Self::listen_udp(self, at)
    }
}

impl Listen for ListenConfig {
    type Listener = TcpListener;
    type Udp = UdpSocket;

    async fn listen_tcp(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.listen(at)
    }

    async fn listen_udp(&self, at: SocketAddr) -> io::Result<UdpSocket> {
        self.listen_packet(at)
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
