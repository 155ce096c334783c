//! Datagram sockets between two stacks on one wire.

mod wakes;

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_lite::future::{block_on, try_zip};
use uis_clock::VirtualClock;
use uis_stack::{DiscardReason, ListenConfig, Stack, StackConfig, UdpMeta, UdpSocket};
use uis_vnic::Vnic;
use wakes::Count;

const A: [&str; 4] = ["10.0.0.1", "10.0.0.9", "2001:db8::1", "2001:db8::9"];
const B: [&str; 2] = ["10.0.0.2", "2001:db8::2"];

/// Two hosts on one wire, each with addresses of both families.
fn pair() -> (Stack, Stack) {
    pair_with(1500, StackConfig::default())
}

fn pair_with(mtu: u32, config: StackConfig) -> (Stack, Stack) {
    let (a, b) = Vnic::pair(mtu, VirtualClock::new()).unwrap();
    let a = Stack::with_config(a, A.map(ip), config.clone()).unwrap();
    let b = Stack::with_config(b, B.map(ip), config).unwrap();
    (a, b)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn recv(socket: &UdpSocket) -> (Vec<u8>, UdpMeta) {
    let mut buf = vec![0; 70_000];
    let (n, meta) = block_on(poll_fn(|cx| socket.poll_recv_msg(cx, &mut buf))).unwrap();
    buf.truncate(n);
    (buf, meta)
}

#[test]
fn question_and_answer() {
    let (a, b) = pair();
    for (server, client) in [("10.0.0.1:53", "10.0.0.2:4000"), ("[2001:db8::1]:53", "[2001:db8::2]:4000")] {
        let server = UdpSocket::bind(&a, server).unwrap();
        let client = UdpSocket::bind(&b, client).unwrap();
        let ask = async {
            assert_eq!(client.send_to(b"question", server.local_addr()?).await?, 8);
            let mut buf = [0; 100];
            let (n, from) = client.recv_from(&mut buf).await?;
            assert_eq!((&buf[..n], from), (&b"answer"[..], server.local_addr()?));
            Ok(())
        };
        let answer = async {
            let mut buf = [0; 100];
            let (n, from) = server.recv_from(&mut buf).await?;
            assert_eq!((&buf[..n], from), (&b"question"[..], client.local_addr()?));
            server.send_to(b"answer", from).await
        };
        block_on(try_zip(ask, answer)).unwrap();
    }
}

#[test]
fn a_wildcard_receives_at_every_address_and_can_answer_from_it() {
    let (a, b) = pair();
    for (wildcard, mapped) in [("0.0.0.0:53", false), ("[::]:54", true)] {
        let server = a.listen_udp(wildcard).unwrap();
        assert_eq!(server.local_addr().unwrap(), at(wildcard));
        let port = at(wildcard).port();
        for asked in A.map(ip).into_iter().filter(|ip| ip.is_ipv4() || mapped) {
            let client = b.dial_udp((asked, port)).unwrap();
            client.try_send(b"?").unwrap();
            let (_, meta) = recv(&server);
            assert_eq!(meta.local.unwrap().to_canonical(), asked);
            assert_eq!(meta.peer.ip().is_ipv6(), mapped, "{meta:?}");
            assert_eq!(meta.peer.ip().to_canonical(), client.local_addr().unwrap().ip());
            // The client is connected, so it hears what comes from the very address that it asked.
            server.try_send_msg(b"!", &meta).unwrap();
            assert_eq!(recv(&client).0, b"!");
        }
        // Without more to go by, the stack's first address is the source.
        let client = b.listen_udp("10.0.0.2:0").unwrap();
        server.try_send_to(b"!", client.local_addr().unwrap()).unwrap();
        assert_eq!(recv(&client).1.peer.ip(), ip(A[0]));
    }
}

#[test]
fn an_answer_needs_an_address_that_is_ours() {
    let (a, b) = pair();
    let socket = a.listen_udp("0.0.0.0:53").unwrap();
    let peer = at("10.0.0.2:9");
    let from = |local: &str| {
        let mut meta = UdpMeta::to(peer);
        meta.local = Some(ip(local));
        socket.try_send_msg(b"!", &meta)
    };
    assert_eq!(kind(from("10.0.0.2")), ErrorKind::AddrNotAvailable);
    assert_eq!(kind(from("2001:db8::1")), ErrorKind::InvalidInput);
    assert_eq!(from("10.0.0.9").unwrap(), 1);
    let bound = a.listen_udp("10.0.0.9:54").unwrap();
    a.remove_addr(ip("10.0.0.9")).unwrap();
    assert_eq!(kind(bound.try_send_to(b"!", peer)), ErrorKind::AddrNotAvailable);
    drop(b);
}

#[test]
fn addresses_that_exclude_each_other() {
    let (a, _b) = pair();
    for (first, second, free) in [
        ("10.0.0.1:53", "10.0.0.1:53", false),
        ("10.0.0.1:53", "10.0.0.1:54", true),
        ("10.0.0.1:53", "10.0.0.9:53", true),
        ("10.0.0.1:53", "0.0.0.0:53", false),
        ("0.0.0.0:53", "10.0.0.1:53", false),
        ("0.0.0.0:53", "[2001:db8::1]:53", true),
        ("[::]:53", "10.0.0.1:53", false),
        ("[::]:53", "0.0.0.0:53", false),
        ("[2001:db8::1]:53", "[::]:53", false),
    ] {
        let held = a.listen_udp(first).unwrap();
        let result = a.listen_udp(second).map(drop);
        assert_eq!(
            result.as_ref().err().map(io::Error::kind),
            (!free).then_some(ErrorKind::AddrInUse),
            "{first} {second}"
        );
        // TCP has ports of its own.
        a.listen_tcp(first).unwrap();
        drop(held);
        a.listen_udp(second).unwrap();
    }
    let v6 = ListenConfig::new(&a).only_v6(true).listen_packet("[::]:53").unwrap();
    let v4 = a.listen_udp("0.0.0.0:53").unwrap();
    assert_eq!(kind(v6.try_send_to(b"", at("10.0.0.2:1"))), ErrorKind::InvalidInput);
    v4.try_send_to(b"4", at("10.0.0.1:53")).unwrap();
    v4.try_send_to(b"4", at("10.0.0.9:53")).unwrap();
    v6.try_send_to(b"6", at("[2001:db8::9]:53")).unwrap();
    assert_eq!((recv(&v4).0, recv(&v4).0, recv(&v6).0), (b"4".to_vec(), b"4".to_vec(), b"6".to_vec()));
}

#[test]
fn ephemeral_ports_are_the_seeds_and_come_to_an_end() {
    let ports = |seed| {
        let (a, _b) = pair_with(1500, StackConfig::default().seed(seed));
        [0; 3].map(|_| a.listen_udp("10.0.0.1:0").unwrap().local_addr().unwrap().port())
    };
    assert_eq!(ports(1), ports(1));
    assert_ne!(ports(1), ports(2));

    let (a, _b) = pair();
    let all: Vec<_> = (0..16_384).map(|_| a.listen_udp("10.0.0.1:0").unwrap()).collect();
    let mut ports: Vec<_> = all.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    ports.sort_unstable();
    assert!(ports.iter().copied().eq(49_152..=65_535));
    assert_eq!(kind(a.listen_udp("10.0.0.1:0")), ErrorKind::AddrNotAvailable);
    assert!(a.listen_udp("10.0.0.9:0").is_ok(), "another address has its own");
}

#[test]
fn misuse_is_an_error() {
    let (a, _b) = pair();
    let socket = a.listen_udp("10.0.0.1:53").unwrap();
    for to in [
        "10.0.0.2:0",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "[2001:db8::2]:1",
        "example.com:1",
        "",
    ] {
        assert_eq!(kind(block_on(socket.send_to(b"x", to))), ErrorKind::InvalidInput, "{to}");
        assert_eq!(kind(socket.connect(to)), ErrorKind::InvalidInput, "{to}");
    }
    for to in ["10.0.0.2:0", "[::]:1", "[ff02::1]:1", "localhost:1"] {
        assert_eq!(kind(a.dial_udp(to)), ErrorKind::InvalidInput, "{to}");
    }
    assert_eq!(kind(a.listen_udp("10.0.0.7:1")), ErrorKind::AddrNotAvailable);
    assert_eq!(kind(a.listen_udp("239.0.0.1:1")), ErrorKind::InvalidInput);
    assert_eq!(kind(socket.try_send(b"x")), ErrorKind::NotConnected);
    assert_eq!(kind(socket.peer_addr()), ErrorKind::NotConnected);

    let (vnic, _peer) = Vnic::pair(1500, VirtualClock::new()).unwrap();
    let v4_only = Stack::new(vnic, [ip("10.0.0.1")]).unwrap();
    assert_eq!(kind(v4_only.dial_udp("[2001:db8::1]:1")), ErrorKind::NetworkUnreachable);
    let dual = v4_only.listen_udp("[::]:1").unwrap();
    assert_eq!(kind(dual.try_send_to(b"x", at("[2001:db8::1]:1"))), ErrorKind::NetworkUnreachable);
    assert_eq!(v4_only.stats().sent + a.stats().sent, 0);
}

#[test]
fn datagrams_of_every_length() {
    for mtu in [1280, 1500, 65_535] {
        let (a, b) = pair_with(mtu, StackConfig::default());
        for (to, most) in [("10.0.0.1:53", 65_507), ("[2001:db8::1]:53", 65_487)] {
            let server = a.listen_udp(to).unwrap();
            let client = b.dial_udp(to).unwrap();
            let mtu = mtu as usize;
            for len in
                [0, 1, mtu - 49, mtu - 48, mtu - 47, mtu - 28, mtu - 27, 2 * mtu, 40_000, most - 1, most]
            {
                if len > most {
                    continue;
                }
                let payload: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
                assert_eq!(client.try_send(&payload).unwrap(), len);
                let (got, meta) = recv(&server);
                assert!(got == payload, "{len} bytes to {to}");
                assert_eq!(meta.peer, client.local_addr().unwrap());
            }
            let sent = b.stats().sent;
            let error = client.try_send(&vec![0; most + 1]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("too long"), "{error}");
            assert_eq!(b.stats().sent, sent);
        }
        assert_eq!(a.stats().total_discarded(), 0);
    }
}

#[test]
fn a_datagram_that_must_not_be_fragmented_is_an_error_if_it_would_be() {
    let (a, b) = pair();
    for (to, fits) in [("10.0.0.1:53", 1472), ("[2001:db8::1]:53", 1452)] {
        let server = a.listen_udp(to).unwrap();
        let client = b.dial_udp(to).unwrap();
        client.set_dont_fragment(true).unwrap();
        let sent = b.stats().sent;
        assert_eq!(kind(client.try_send(&vec![1; fits + 1])), ErrorKind::InvalidInput);
        assert_eq!(client.try_send(&vec![1; fits]).unwrap(), fits);
        assert_eq!(b.stats().sent, sent + 1);
        assert_eq!(recv(&server).0.len(), fits);
        client.set_dont_fragment(false).unwrap();
        client.try_send(&vec![1; fits + 1]).unwrap();
        assert_eq!(b.stats().sent, sent + 3);
        assert_eq!(recv(&server).0.len(), fits + 1);
    }
}

#[test]
fn a_short_buffer_loses_the_rest_of_one_datagram() {
    let (a, b) = pair();
    let server = a.listen_udp("10.0.0.1:53").unwrap();
    let client = b.dial_udp("10.0.0.1:53").unwrap();
    for payload in [&b"first"[..], b"", b"second"] {
        client.try_send(payload).unwrap();
    }
    let mut buf = [0; 3];
    block_on(async {
        assert_eq!(server.peek_from(&mut buf).await.unwrap().0, 3);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"fir");
        assert_eq!(server.recv_from(&mut buf).await.unwrap(), (0, client.local_addr().unwrap()));
        assert_eq!(server.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"sec");
    });
    assert_eq!(kind(server.try_recv(&mut buf)), ErrorKind::WouldBlock);
}

#[test]
fn what_is_not_read_is_bounded_and_counted() {
    let (a, b) = pair_with(1500, StackConfig::default().udp_recv_buffer(4096));
    let server = a.listen_udp("10.0.0.1:53").unwrap();
    let client = b.dial_udp("10.0.0.1:53").unwrap();
    for (len, at_most) in [(1000, 5), (0, 200)] {
        let before = a.stats().discarded(DiscardReason::SocketFull);
        for _ in 0..1000 {
            client.try_send(&vec![0; len]).unwrap();
        }
        let mut kept = 0;
        while server.try_recv(&mut [0; 1000]).is_ok() {
            kept += 1;
        }
        assert!((1..=at_most).contains(&kept), "{kept} of {len} bytes");
        assert_eq!(a.stats().discarded(DiscardReason::SocketFull) - before, 1000 - kept);
    }
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let (a, b) = pair();
    let socket = a.listen_udp("0.0.0.0:53").unwrap();
    let peer = b.listen_udp("10.0.0.2:1000").unwrap();
    let other = b.listen_udp("10.0.0.2:2000").unwrap();
    let to = at("10.0.0.1:53");
    other.try_send_to(b"before", to).unwrap();
    socket.connect("10.0.0.2:1000").unwrap();
    assert_eq!((socket.local_addr().unwrap(), socket.peer_addr().unwrap()), (to, at("10.0.0.2:1000")));
    other.try_send_to(b"after", to).unwrap();
    peer.try_send_to(b"at another address", at("10.0.0.9:53")).unwrap();
    peer.try_send_to(b"peer", to).unwrap();
    assert_eq!(a.stats().discarded(DiscardReason::NoSocket), 2);
    // What had come before stays, as on Linux.
    assert_eq!((recv(&socket).0, recv(&socket).0), (b"before".to_vec(), b"peer".to_vec()));
    assert_eq!(kind(socket.try_recv(&mut [0; 9])), ErrorKind::WouldBlock);
    // It may send elsewhere, and be connected anew.
    socket.try_send_to(b"you too", at("10.0.0.2:2000")).unwrap();
    assert_eq!(recv(&other).1.peer, to);
    socket.connect("10.0.0.2:2000").unwrap();
    other.try_send_to(b"now", to).unwrap();
    assert_eq!(recv(&socket).0, b"now");
    socket.connect("10.0.0.9:1").unwrap();
    assert_eq!(socket.local_addr().unwrap(), at("10.0.0.9:53"), "the address that faces it");
}

#[test]
fn v4_mapped_addresses_are_ipv4() {
    let (a, b) = pair();
    let socket = a.listen_udp("[::]:53").unwrap();
    let peer = b.listen_udp("10.0.0.2:1000").unwrap();
    socket.connect("[::ffff:10.0.0.2]:1000").unwrap();
    assert_eq!(socket.peer_addr().unwrap(), at("[::ffff:10.0.0.2]:1000"));
    assert_eq!(socket.local_addr().unwrap(), at("[::ffff:10.0.0.1]:53"));
    socket.try_send(b"hello").unwrap();
    let (_, meta) = recv(&peer);
    assert_eq!(meta.peer, at("10.0.0.1:53"));
    peer.try_send_msg(b"hello", &meta).unwrap();
    assert_eq!(recv(&socket).1.peer, at("[::ffff:10.0.0.2]:1000"));
}

#[test]
fn nobody_at_the_port_refuses_the_connected_and_wakes_who_waits() {
    let (_a, b) = pair();
    for to in ["10.0.0.1:9", "[2001:db8::1]:9", "10.0.0.2:9"] {
        let socket = b.dial_udp(to).unwrap();
        let waiting = [Arc::new(Count::default()), Arc::new(Count::default())];
        let mut buf = [0; 9];
        for count in &waiting {
            let waker = Waker::from(count.clone());
            assert!(socket.poll_recv_from(&mut Context::from_waker(&waker), &mut buf).is_pending());
        }
        assert_eq!(socket.try_send(b"anybody?").unwrap(), 8);
        assert!(waiting.iter().all(|count| count.woken() == 1));
        block_on(socket.readable()).unwrap();
        assert_eq!(kind(socket.try_recv(&mut buf)), ErrorKind::ConnectionRefused);
        assert_eq!(kind(socket.try_recv(&mut buf)), ErrorKind::WouldBlock, "it is told once");
        // A sender may be the one who is told, and then nothing is sent; or it is asked for.
        socket.try_send(b"anybody?").unwrap();
        let sent = b.stats().sent;
        assert_eq!(kind(socket.try_send(b"anybody?")), ErrorKind::ConnectionRefused);
        assert_eq!(b.stats().sent, sent);
        socket.try_send(b"anybody?").unwrap();
        assert_eq!(socket.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionRefused);
        assert!(socket.take_error().unwrap().is_none());
        // A socket that is not connected is not told.
        let socket = b.listen_udp((socket.local_addr().unwrap().ip(), 0)).unwrap();
        socket.try_send_to(b"anybody?", at(to)).unwrap();
        assert_eq!(kind(socket.try_recv(&mut buf)), ErrorKind::WouldBlock);
    }
}

#[test]
fn what_waits_ends_with_the_socket_and_with_the_stack() {
    for (close_stack, expected) in [(false, ErrorKind::NotConnected), (true, ErrorKind::NetworkDown)] {
        let (a, _b) = pair();
        let socket = a.listen_udp("10.0.0.1:53").unwrap();
        socket.try_send_to(b"unread", at("10.0.0.1:53")).unwrap();
        let empty = a.listen_udp("10.0.0.1:54").unwrap();
        let handle = empty.clone();
        let mut buf = [0; 9];
        let mut waiting = pin!(handle.recv_from(&mut buf));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if close_stack {
            a.close();
        } else {
            socket.close();
            empty.close();
        }
        assert_eq!(count.woken(), 1);
        assert_eq!(kind(block_on(waiting)), expected);
        let mut buf = [0; 9];
        block_on(async {
            assert_eq!(kind(socket.recv(&mut buf).await), expected);
            assert_eq!(kind(socket.peek_from(&mut buf).await), expected);
            assert_eq!(kind(socket.send_to(b"x", "10.0.0.2:1").await), expected);
            assert_eq!(kind(socket.readable().await), expected);
            assert_eq!(kind(socket.writable().await), expected);
            assert_eq!(kind(socket.connect("10.0.0.2:1")), expected);
        });
        assert_eq!(socket.local_addr().unwrap(), at("10.0.0.1:53"));
        assert_eq!(a.listen_udp("10.0.0.1:53").map_err(|e| e.kind()).err(), close_stack.then_some(expected));
    }
}

#[test]
fn the_last_handle_frees_the_address_and_sockets_keep_their_stack() {
    let (a, b) = pair();
    let socket = a.listen_udp("10.0.0.1:53").unwrap();
    let clone = socket.clone();
    drop(socket);
    assert_eq!(kind(a.listen_udp("10.0.0.1:53")), ErrorKind::AddrInUse);
    let vnic = a.vnic().clone();
    drop(a);
    let client = b.dial_udp("10.0.0.1:53").unwrap();
    client.try_send(b"still there").unwrap();
    assert_eq!(recv(&clone).0, b"still there");
    drop(clone);
    assert!(vnic.is_closed());
}

#[test]
fn every_task_that_waits_is_woken() {
    let (a, b) = pair();
    let server = a.listen_udp("10.0.0.1:53").unwrap();
    let client = b.dial_udp("10.0.0.1:53").unwrap();
    let counts: [Arc<Count>; 3] = Default::default();
    let wakers = counts.clone().map(Waker::from);
    let poll = |n: usize| server.poll_recv_from(&mut Context::from_waker(&wakers[n]), &mut [0; 9]);
    for n in [0, 1, 2, 0] {
        assert!(poll(n).is_pending());
    }
    client.try_send(b"1").unwrap();
    assert!(counts.iter().all(|count| count.woken() == 1));
    assert!(matches!(poll(1), Poll::Ready(Ok((1, _)))));
    assert!(poll(0).is_pending());
    client.try_send(b"2").unwrap();
    assert_eq!(counts.each_ref().map(|count| count.woken()), [2, 1, 1]);
}

#[test]
fn marks_and_hop_limits_pass() {
    let (a, b) = pair();
    for to in ["10.0.0.1:53", "[2001:db8::1]:53"] {
        let server = a.listen_udp(to).unwrap();
        let client = b.dial_udp(to).unwrap();
        client.set_ttl(7).unwrap();
        for (ecn, ttl) in [(0, None), (1, Some(1)), (2, Some(255)), (3, None)] {
            for len in [1, 3000] {
                let mut meta = UdpMeta::to(at(to));
                (meta.ecn, meta.ttl) = (ecn, ttl);
                client.try_send_msg(&vec![0; len], &meta).unwrap();
                let (_, got) = recv(&server);
                assert_eq!((got.ecn, got.ttl), (ecn, Some(ttl.unwrap_or(7))));
            }
        }
        let mut meta = UdpMeta::to(at(to));
        meta.ttl = Some(0);
        assert_eq!(kind(client.try_send_msg(b"", &meta)), ErrorKind::InvalidInput);
    }
}

#[test]
fn threads_share_a_socket() {
    const EACH: usize = 2000;
    let (a, b) = pair();
    let server = a.listen_udp("10.0.0.1:53").unwrap();
    let client = b.dial_udp("10.0.0.1:53").unwrap();
    let received = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut buf = [0; 3000];
                while received.load(Ordering::Relaxed) < 2 * EACH {
                    match block_on(server.recv(&mut buf)) {
                        Ok(0) => break,
                        Ok(n) => {
                            assert!(buf[..n].iter().all(|&byte| byte == n as u8));
                            received.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                // Lets the other one go.
                client.try_send(b"").unwrap();
            });
            scope.spawn(|| {
                for n in 0..EACH {
                    // Every hundredth is fragmented.
                    let len = if n % 100 == 0 { 2000 } else { n % 100 };
                    block_on(client.send(&vec![len as u8; len])).unwrap();
                }
            });
        }
    });
    let stats = a.stats();
    assert_eq!(stats.total_discarded(), 0, "{stats:?}");
    assert_eq!(received.into_inner(), 2 * EACH);
}
