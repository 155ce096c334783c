//! uis: through the traits of futures and through tokio's, between two hosts and inside one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use uis::*;

#[cfg(feature = "tokio")]
use crate::world::Tokio;
use crate::world::{Family, Futures, Listener, Net, Stream, Udp, listener, stream, udp};

const SERVER: [&str; 2] = ["10.0.0.1", "fd00::1"];
const CLIENT: [&str; 2] = ["10.0.0.2", "fd00::2"];

/// Nothing takes so long, unless it hangs; and after so long TIME-WAIT is over.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

struct Hosts {
    server: Stack,
    client: Stack,
    clock: SharedClock,
    family: Family,
}

pub(crate) struct WithFutures(Hosts);

#[cfg(feature = "tokio")]
pub(crate) struct WithTokio(Hosts);

/// On a virtual clock, routed at once.
pub(crate) fn with_futures(family: Family, test: impl AsyncFnOnce(&WithFutures)) {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(1).build();
    let net = WithFutures(hosts(&internet, family));
    clock.block_on(internet.route_until(ended(&net.0, test(&net)), Internet::deliver));
}

/// A host that dials itself, as hosts do on a loopback. No packet leaves it.
pub(crate) fn inside_one_host(family: Family, test: impl AsyncFnOnce(&WithFutures)) {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(2).build();
    let mut net = WithFutures(hosts(&internet, family));
    net.0.client = net.0.server.clone();
    let never = |_: &Internet, frame: Frame| panic!("it left: {frame:?}");
    clock.block_on(internet.route_until(ended(&net.0, test(&net)), never));
}

/// On tokio's clock, with its time paused, over a path of a millisecond.
#[cfg(feature = "tokio")]
pub(crate) fn with_tokio(family: Family, test: impl AsyncFnOnce(&WithTokio)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let internet = Internet::builder().clock(TokioClock::new()).seed(3).build();
        let net = WithTokio(hosts(&internet, family));
        let path = |internet: &Internet, frame| internet.deliver_after(frame, Duration::from_millis(1));
        internet.route_until(ended(&net.0, test(&net)), path).await;
    });
}

fn hosts(internet: &Internet, family: Family) -> Hosts {
    let stack =
        |addrs: [&str; 2]| internet.new_stack(MTU_ETHERNET, addrs.map(|addr| addr.parse().unwrap())).unwrap();
    Hosts { server: stack(SERVER), client: stack(CLIENT), clock: internet.clock(), family }
}

/// Runs a test, and waits until nothing may be left of it.
async fn ended(hosts: &Hosts, test: impl Future<Output = ()>) {
    hosts.clock.timeout(LIMIT, test).await.expect("the test hangs");
    hosts.clock.sleep(LIMIT).await;
    for stack in [&hosts.server, &hosts.client] {
        let stats = stack.stats();
        assert_eq!((stats.connections, stats.time_wait), (0, 0), "{:?}", stack.connections());
    }
}

macro_rules! simulated {
    ($net:ident, $wrapper:ident) => {
        impl Net for $net {
            type Stream = $wrapper<TcpStream>;
            type Listener = $wrapper<TcpListener>;
            type Udp = UdpSocket;

            const KERNEL: bool = false;

            fn server(&self, family: Family) -> IpAddr {
                SERVER[usize::from(family == Family::V6)].parse().unwrap()
            }

            fn family(&self) -> Family {
                self.0.family
            }

            async fn dial(&self, to: SocketAddr) -> io::Result<Self::Stream> {
                self.0.client.dial_tcp(to).await.map($wrapper)
            }

            async fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener> {
                self.0.server.listen_tcp(at).map($wrapper)
            }

            async fn bind(&self, at: SocketAddr) -> io::Result<UdpSocket> {
                self.0.server.listen_udp(at)
            }

            async fn bind_client(&self) -> io::Result<UdpSocket> {
                self.0.client.listen_udp(self.any(0))
            }

            async fn moment(&self) {
                self.0.clock.sleep(Duration::from_millis(20)).await;
            }
        }

        listener!(TcpListener, $wrapper<TcpStream>);
    };
}

simulated!(WithFutures, Futures);
udp!(UdpSocket, |this, peer| this.connect(peer), |this, buf| this.peek_from(buf).await);

stream!(Futures<TcpStream>, OwnedReadHalf, OwnedWriteHalf, true {
    fn halves(self) -> (Self::Read, Self::Write) {
        let (reader, writer) = self.0.into_split();
        (Futures(reader), Futures(writer))
    }

    fn whole((reader, writer): (Self::Read, Self::Write)) -> Option<Self> {
        reader.0.reunite(writer.0).ok().map(Futures)
    }

    async fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize> {
        futures_lite::AsyncReadExt::read(&mut &self.0, buf).await
    }

    fn reset_when_dropped(&self) {
        self.0.set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }
});

#[cfg(feature = "tokio")]
simulated!(WithTokio, Tokio);

#[cfg(feature = "tokio")]
stream!(Tokio<TcpStream>, OwnedReadHalf, OwnedWriteHalf, true {
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
        self.0.set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }
});
