//! One program on every network: simulated, and real on the loopback interface.

use std::io;
use std::net::SocketAddr;

use futures_lite::future::{block_on, try_zip};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uis_clock::VirtualClock;
use uis_stack::{Accept, AsyncIoNet, Connector, Datagrams, Dial, Listen, ListenConfig, Stack};
use uis_vnic::Vnic;

const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

fn stacks() -> (Stack, Stack) {
    let (a, b) = Vnic::pair(1500, VirtualClock::new()).unwrap();
    let ip = |text: &str| text.parse().unwrap();
    let a = Stack::new(a, [ip("10.0.0.1"), ip("2001:db8::1")]).unwrap();
    let b = Stack::new(b, [ip("10.0.0.2"), ip("2001:db8::2"), ip("10.0.0.3")]).unwrap();
    (a, b)
}

/// The client says something, closes its half, and hears it backwards.
async fn backwards<L, D>(server: &L, client: &D, at: SocketAddr) -> io::Result<()>
where
    L: Listen<Listener: Accept<Stream: AsyncRead + AsyncWrite>>,
    D: Dial<Stream: AsyncRead + AsyncWrite>,
{
    let listener = server.listen_tcp(at).await?;
    let to = listener.local_addr()?;
    let serve = async {
        let (mut stream, _) = listener.accept().await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        said.reverse();
        stream.write_all(&said).await?;
        stream.close().await
    };
    let talk = async {
        let mut stream = client.dial_tcp(to).await?;
        stream.write_all(b"stressed").await?;
        stream.close().await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        io::Result::Ok(heard)
    };
    let ((), heard) = try_zip(serve, talk).await?;
    assert_eq!(heard, "desserts");
    Ok(())
}

/// A datagram there and another one back, then an answer to nobody.
async fn datagrams<L: Listen, D: Dial>(server: &L, client: &D, at: SocketAddr) -> io::Result<()> {
    let server = server.listen_udp(at).await?;
    let to = server.local_addr()?;
    let client = client.dial_udp(to).await?;
    assert_eq!(client.send(b"question").await?, 8);
    let mut buf = [0; 100];
    let (n, peer) = server.recv_from(&mut buf).await?;
    assert_eq!((&buf[..n], peer), (&b"question"[..], client.local_addr()?));
    server.send_to(b"answer", peer).await?;
    let n = client.recv(&mut buf).await?;
    assert_eq!(&buf[..n], b"answer");
    server.send_to(b"again", peer).await?;
    assert_eq!(client.recv_from(&mut buf).await?, (5, to));
    client.send_to(b"unasked", to).await?;
    assert_eq!(server.recv(&mut buf).await?, 7);
    server.send(b"to whom?").await.unwrap_err();

    // Nobody is there any more: a connected socket hears of it.
    drop(server);
    client.send(b"gone?").await?;
    assert_eq!(client.recv(&mut buf).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    Ok(())
}

#[test]
fn on_stacks() {
    for at in ["10.0.0.1:0", "[2001:db8::1]:0"] {
        let at = at.parse().unwrap();
        let (a, b) = stacks();
        block_on(backwards(&a, &b, at)).unwrap();
        block_on(datagrams(&a, &b, at)).unwrap();
        let (listen, dial) = (ListenConfig::new(&a), Connector::new(&b));
        block_on(backwards(&listen, &dial, at)).unwrap();
        block_on(datagrams(&listen, &dial, at)).unwrap();
    }
}

#[test]
fn on_the_real_network_with_async_io() {
    for at in LOOPBACK {
        // A machine may have no IPv6.
        if std::net::UdpSocket::bind(at).is_err() {
            continue;
        }
        let at = at.parse().unwrap();
        block_on(backwards(&AsyncIoNet, &AsyncIoNet, at)).unwrap();
        block_on(datagrams(&AsyncIoNet, &AsyncIoNet, at)).unwrap();
    }
}

#[cfg(feature = "tokio")]
#[test]
fn on_the_real_network_with_tokio() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use uis_stack::TokioNet;

    async fn backwards(at: SocketAddr) -> io::Result<()> {
        let listener = TokioNet.listen_tcp(at).await?;
        let to = Accept::local_addr(&listener)?;
        let serve = async {
            let (mut stream, _) = Accept::accept(&listener).await?;
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await?;
            said.reverse();
            stream.write_all(&said).await?;
            stream.shutdown().await
        };
        let talk = async {
            let mut stream = TokioNet.dial_tcp(to).await?;
            stream.write_all(b"stressed").await?;
            stream.shutdown().await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await?;
            io::Result::Ok(heard)
        };
        let ((), heard) = try_zip(serve, talk).await?;
        assert_eq!(heard, "desserts");
        Ok(())
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    for at in LOOPBACK {
        if std::net::UdpSocket::bind(at).is_err() {
            continue;
        }
        let at = at.parse().unwrap();
        runtime.block_on(backwards(at)).unwrap();
        runtime.block_on(datagrams(&TokioNet, &TokioNet, at)).unwrap();
    }
}

#[test]
fn a_connector_dials_from_where_it_is_told() {
    let (a, b) = stacks();
    let listener = a.listen_tcp("10.0.0.1:80").unwrap();
    let server = a.listen_udp("10.0.0.1:53").unwrap();
    let connector = Connector::new(&b).local_addr("10.0.0.3:0").nodelay(false);
    let stream = block_on(connector.dial_tcp("10.0.0.1:80")).unwrap();
    assert_eq!(stream.local_addr().unwrap().ip().to_string(), "10.0.0.3");
    assert!(!stream.nodelay().unwrap());
    let (_, peer) = block_on(listener.accept()).unwrap();
    assert_eq!(peer, stream.local_addr().unwrap());
    let socket = connector.clone().local_addr("10.0.0.3:7").dial_udp("10.0.0.1:53").unwrap();
    socket.try_send(b"x").unwrap();
    assert_eq!(server.try_recv_from(&mut [0]).unwrap().1, "10.0.0.3:7".parse().unwrap());

    let nowhere = Connector::new(&b).local_addr("here:0");
    assert_eq!(block_on(nowhere.dial_tcp("10.0.0.1:80")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(nowhere.dial_udp("10.0.0.1:53").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let foreign = Connector::new(&b).local_addr("10.0.0.1:0");
    assert_eq!(foreign.dial_udp("10.0.0.1:53").unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
}

#[test]
fn a_connector_gives_up_in_time() {
    let clock = VirtualClock::new();
    let (vnic, _nobody) = Vnic::pair(1500, clock.handle()).unwrap();
    let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()]).unwrap();
    let connector = Connector::new(&stack).timeout(std::time::Duration::from_secs(5));
    let error = clock.block_on(connector.dial_tcp("10.0.0.2:80")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(clock.handle().now().as_secs(), 5);
}

#[test]
fn a_listener_of_one_family() {
    let (a, b) = stacks();
    let listener = ListenConfig::new(&a).only_v6(true).backlog(1).listen("[::]:80").unwrap();
    let refused = block_on(b.dial_tcp("10.0.0.1:80")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    block_on(b.dial_tcp("[2001:db8::1]:80")).unwrap();
    assert!(ListenConfig::new(&a).backlog(0).listen("10.0.0.1:80").is_err());
    drop(listener);
}
