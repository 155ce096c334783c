//! The stack as its users hold it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use uis_clock::{Instant, SharedClock};
use uis_vnic::{Dispatcher, Vnic};

use crate::config::StackConfig;
use crate::host::{Host, StackHandle};
use crate::stats::StackStats;
use crate::tcp::{Backlog, Connect, Connection, TcpListener};
use crate::udp::UdpSocket;
use crate::{ToEndpoint, endpoint};

/// A host's TCP/IP stack on a [`Vnic`].
///
/// Cloning gives another handle. A stack's sockets keep it alive; when the last handle and the last socket are gone,
/// connections that are still closing finish, and then the stack and its Vnic close.
///
/// ```
/// use uis_clock::SystemClock;
/// use uis_stack::Stack;
/// use uis_vnic::Vnic;
///
/// # futures_lite::future::block_on(async {
/// // Two hosts on one wire.
/// let (a, b) = Vnic::pair(1500, SystemClock::new())?;
/// let server = Stack::new(a, ["10.0.0.1".parse().unwrap()])?;
/// let client = Stack::new(b, ["10.0.0.2".parse().unwrap()])?;
///
/// let listener = server.listen_tcp("10.0.0.1:80")?;
/// let dialled = client.dial_tcp("10.0.0.1:80").await?;
/// let (accepted, peer) = listener.accept().await?;
/// assert_eq!(peer, dialled.local_addr()?);
/// # drop(accepted);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Stack {
    handle: Arc<StackHandle>,
}

impl Stack {
    /// A stack with these addresses, of either family and in any number, and the default settings.
    ///
    /// To a peer it talks from the first address of the peer's family.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that no host on a network has (unspecified, loopback, multicast, broadcast,
    /// reserved, v4-mapped), for the same address twice, and for IPv6 with an MTU below 1280; what
    /// [`Vnic::attach`] says if the Vnic is in use or closed.
    pub fn new(vnic: Vnic, addrs: impl IntoIterator<Item = IpAddr>) -> io::Result<Self> {
        Self::with_config(vnic, addrs, StackConfig::default())
    }

    /// A stack with these addresses and settings.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and `InvalidInput` for settings that cannot work, such as a buffer of 0 bytes.
    pub fn with_config(
        vnic: Vnic,
        addrs: impl IntoIterator<Item = IpAddr>,
        config: StackConfig,
    ) -> io::Result<Self> {
        let host = Host::new(vnic, addrs.into_iter().collect(), config)?;
        let dispatcher: Weak<dyn Dispatcher> = host.me();
        host.vnic.attach(dispatcher)?;
        let weak = host.me();
        host.vnic.on_close(move || {
            if let Some(host) = weak.upgrade() {
                host.close();
            }
        });
        Ok(Self { handle: StackHandle::new(host) })
    }

    fn host(&self) -> &Host {
        self.handle.host()
    }

    /// Dials a TCP connection from an ephemeral port. The SYN leaves when the returned future is first polled; what
    /// can go wrong is listed at [`Connect`].
    #[doc(alias = "connect")]
    pub fn dial_tcp(&self, to: impl ToEndpoint) -> Connect {
        Connect::new(self.handle.clone(), None, to.to_endpoint())
    }

    /// Dials a TCP connection from `local`; a port of 0 there stands for an ephemeral one, an unspecified address for
    /// the one that [`dial_tcp`](Self::dial_tcp) would use.
    #[doc(alias = "connect")]
    pub fn dial_tcp_from(&self, local: impl ToEndpoint, to: impl ToEndpoint) -> Connect {
        Connect::new(self.handle.clone(), Some(local.to_endpoint()), to.to_endpoint())
    }

    /// A UDP socket on an ephemeral port, connected to `to`: it sends there, and receives from there only.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a host name, a port of 0 or an address that is no single host's; `NetworkUnreachable` if the
    /// stack has no address of that family; `AddrNotAvailable` if every ephemeral port is taken; `NetworkDown` once the
    /// stack is closed.
    #[doc(alias = "connect")]
    pub fn dial_udp(&self, to: impl ToEndpoint) -> io::Result<UdpSocket> {
        UdpSocket::dial(self.handle.clone(), to.to_endpoint()?)
    }

    /// A UDP socket at `at`. A port of 0 stands for an ephemeral one; `0.0.0.0` receives at every IPv4 address of the
    /// stack, `[::]` at every address.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a host name or a multicast address; `AddrNotAvailable` if the address is not the stack's;
    /// `AddrInUse` if a socket is bound there; `NetworkDown` once the stack is closed.
    #[doc(alias = "bind")]
    pub fn listen_udp(&self, at: impl ToEndpoint) -> io::Result<UdpSocket> {
        self.listen_udp_with(at, false)
    }

    /// Listens for TCP connections at `at`. A port of 0 stands for an ephemeral one; `0.0.0.0` listens at every IPv4
    /// address of the stack, `[::]` at every address, of IPv4 too.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a host name or a multicast address; `AddrNotAvailable` if the address is not the stack's;
    /// `AddrInUse` if there is a listener, also if only one of the two is at a wildcard that covers the other;
    /// `NetworkDown` once the stack is closed.
    #[doc(alias = "bind")]
    pub fn listen_tcp(&self, at: impl ToEndpoint) -> io::Result<TcpListener> {
        self.listen_tcp_with(at, None, false)
    }

    pub(crate) fn listen_udp_with(&self, at: impl ToEndpoint, only_v6: bool) -> io::Result<UdpSocket> {
        UdpSocket::listen(self.handle.clone(), at.to_endpoint()?, only_v6)
    }

    pub(crate) fn listen_tcp_with(
        &self,
        at: impl ToEndpoint,
        backlog: Option<usize>,
        only_v6: bool,
    ) -> io::Result<TcpListener> {
        let host = self.host();
        host.check_open()?;
        let at = host.check_local(at.to_endpoint()?)?;
        let capacity = backlog.unwrap_or(host.config.backlog);
        if capacity == 0 {
            return Err(endpoint::invalid("a listener cannot have a backlog of 0"));
        }
        let dual_stack = at.is_ipv6() && at.ip().is_unspecified() && !only_v6;
        let backlog =
            host.tcp.listen(at, dual_stack, host.draw(), |local| Backlog::new(local, only_v6, capacity))?;
        if host.is_closed() {
            backlog.close(host); // the stack has closed meanwhile, and perhaps not seen the listener
            return Err(host.closed_error());
        }
        Ok(TcpListener::new(backlog, self.handle.clone()))
    }

    /// The addresses of the stack, in the order in which they were given.
    #[must_use]
    pub fn addrs(&self) -> Vec<IpAddr> {
        self.host().addrs()
    }

    /// Gives the stack one more address. This makes no route to it; an internet's `assign` does both.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new); `AddrInUse` if the stack has it already; `NetworkDown` once the stack is closed.
    pub fn add_addr(&self, a: IpAddr) -> io::Result<()> {
        self.host().add_addr(a)
    }

    /// Takes an address from the stack. Connections on it are not told: their segments are no longer received.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the stack does not have it.
    pub fn remove_addr(&self, a: IpAddr) -> io::Result<()> {
        self.host().remove_addr(a)
    }

    /// The connections, in the order in which they were made: what netstat shows.
    #[doc(alias = "netstat")]
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.host().tcp.flows().iter().filter_map(|flow| Connection::of(flow)).collect()
    }

    /// A handle that does not keep the stack alive.
    ///
    /// ```
    /// # use uis_vnic::{MTU_ETHERNET, Vnic};
    /// # use uis_clock::SystemClock;
    /// # use uis_stack::Stack;
    /// let (vnic, _other) = Vnic::pair(MTU_ETHERNET, SystemClock::new())?;
    /// let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// let weak = stack.downgrade();
    /// assert_eq!(weak.upgrade().expect("alive").addrs(), stack.addrs());
    /// drop(stack);
    /// assert!(weak.upgrade().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakStack {
        WeakStack { handle: Arc::downgrade(&self.handle) }
    }

    /// The Vnic that the stack is on.
    #[must_use]
    pub fn vnic(&self) -> &Vnic {
        &self.host().vnic
    }

    /// The clock of the stack, which is that of its Vnic.
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        self.host().clock.clone()
    }

    /// What the stack has counted so far.
    #[must_use]
    pub fn stats(&self) -> StackStats {
        let host = self.host();
        let reassembling = host.reassembly.lock().len();
        host.stats.read(host.tcp.len(), host.tcp.time_wait.len(), reassembling)
    }

    /// When the stack looks at its timers next, though nobody calls it and no packet arrives; `None` if it has none.
    /// There may turn out to be nothing to do then. What it is waiting for, [`connections`](Self::connections) and
    /// [`stats`](Self::stats) say.
    ///
    /// ```
    /// # use uis_vnic::{MTU_ETHERNET, Vnic};
    /// # use uis_clock::{Instant, VirtualClock};
    /// # use uis_stack::{Stack, TcpTimer};
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// let clock = VirtualClock::new();
    /// let (vnic, _nobody) = Vnic::pair(MTU_ETHERNET, &clock)?;
    /// let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()])?;
    /// assert_eq!(stack.next_deadline(), None);
    ///
    /// let mut dial = pin!(stack.dial_tcp("10.0.0.2:80"));
    /// let _ = dial.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// assert_eq!(stack.next_deadline(), Some(Instant::from_secs(1)));
    /// assert_eq!(stack.connections()[0].timer, TcpTimer::Retransmit);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.host().next_alarm()
    }

    /// Whether the stack is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.host().is_closed()
    }

    /// Closes the stack at once: whatever is pending fails with `NetworkDown`, connections are reset, and its Vnic is
    /// closed, so that an internet takes back its addresses. Closing it again does nothing.
    pub fn close(&self) {
        self.host().close();
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("addrs", &self.addrs())
            .field("vnic", self.vnic())
            .finish_non_exhaustive()
    }
}

/// A handle to a [`Stack`] that does not keep it alive, from [`Stack::downgrade`]: for those who only look on.
#[derive(Clone, Debug)]
pub struct WeakStack {
    handle: Weak<StackHandle>,
}

impl WeakStack {
    /// The stack, unless the last of its handles and sockets is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Stack> {
        Some(Stack { handle: self.handle.upgrade()? })
    }
}
