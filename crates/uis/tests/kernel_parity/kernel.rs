//! A kernel's loopback, through `tokio::net` and through async-net.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;

use crate::world::*;

/// Nothing takes so long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// One test at a time: a port that one has just left is given to another, which gets what was meant for the one.
static TURN: Mutex<()> = Mutex::new(());

/// How long a test waits at a time for what needs time to arrive.
const MOMENT: Duration = Duration::from_millis(1);

pub(crate) struct OnTokio(Family);

pub(crate) struct OnAsyncNet(Family);

pub(crate) fn on_tokio(family: Family, test: impl AsyncFnOnce(&OnTokio)) {
    if let Some(_turn) = turn(family) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let test = async { tokio::time::timeout(LIMIT, test(&OnTokio(family))).await };
        runtime.block_on(test).expect("the test hangs");
    }
}

pub(crate) fn on_async_net(family: Family, test: impl AsyncFnOnce(&OnAsyncNet)) {
    if let Some(_turn) = turn(family) {
        let hangs = async {
            async_io::Timer::after(LIMIT).await; // the kernel is in real time
            panic!("the test hangs");
        };
        async_io::block_on(futures_lite::future::or(test(&OnAsyncNet(family)), hangs));
    }
}

/// The test's turn; `None` on a machine without IPv6.
fn turn(family: Family) -> Option<MutexGuard<'static, ()>> {
    std::net::UdpSocket::bind((loopback(family), 0)).ok()?;
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    }
}

macro_rules! kernel {
    ($net:ident, $wrapper:ident, $($name:ident)::*, $moment:expr) => {
        impl Net for $net {
            type Stream = $wrapper<$($name)::*::TcpStream>;
            type Listener = $wrapper<$($name)::*::TcpListener>;
            type Udp = $($name)::*::UdpSocket;

            const KERNEL: bool = true;

            fn server(&self, family: Family) -> IpAddr {
                loopback(family)
            }

            fn family(&self) -> Family {
                self.0
            }

            async fn dial(&self, to: SocketAddr) -> io::Result<Self::Stream> {
                $($name)::*::TcpStream::connect(to).await.map($wrapper)
            }

            async fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener> {
                $($name)::*::TcpListener::bind(at).await.map($wrapper)
            }

            async fn bind(&self, at: SocketAddr) -> io::Result<Self::Udp> {
                $($name)::*::UdpSocket::bind(at).await
            }

            async fn bind_client(&self) -> io::Result<Self::Udp> {
                self.bind(self.any(0)).await
            }

            async fn moment(&self) {
                $moment.await;
            }
        }

        listener!($($name)::*::TcpListener, $wrapper<$($name)::*::TcpStream>);
    };
}

kernel!(OnTokio, Tokio, tokio::net, tokio::time::sleep(MOMENT));
// The kernel is in real time.
kernel!(OnAsyncNet, Futures, async_net, async_io::Timer::after(MOMENT));

udp!(tokio::net::UdpSocket, |this, peer| this.connect(peer).await, |this, buf| this.peek_from(buf).await);
udp!(async_net::UdpSocket, |this, peer| this.connect(peer).await, |this, buf| loop {
    match this.peek_from(buf).await {
        // async-net 2.0 does not wait here. The kernel is in real time.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(async_io::Timer::after(MOMENT).await),
        result => break result,
    }
});

stream!(Tokio<tokio::net::TcpStream>, tokio::net::tcp::OwnedReadHalf, tokio::net::tcp::OwnedWriteHalf, true {
    fn halves(self) -> (Self::Read, Self::Write) {
        let (reader, writer) = self.0.into_split();
        (Tokio(reader), Tokio(writer))
    }

    fn whole((reader, writer): (Self::Read, Self::Write)) -> Option<Self> {
        reader.0.reunite(writer.0).ok().map(Tokio)
    }

    async fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            self.0.readable().await?;
            match self.0.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    fn reset_when_dropped(&self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }
});

stream!(Futures<async_net::TcpStream>, async_net::TcpStream, async_net::TcpStream, false {
    fn halves(self) -> (Self::Read, Self::Write) {
        (Futures(self.0.clone()), Futures(self.0))
    }

    fn whole((reader, writer): (Self::Read, Self::Write)) -> Option<Self> {
        let of_one = reader.0.local_addr().ok()? == writer.0.local_addr().ok()?;
        of_one.then_some(reader)
    }

    async fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize> {
        Futures(self.0.clone()).read(buf).await
    }

    fn reset_when_dropped(&self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.0).take_error()
    }
});
