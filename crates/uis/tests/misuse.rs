//! What a caller can do wrong: each is an error of the kind that a kernel gives, at once, and nothing is sent.

mod common;

use std::io::ErrorKind::{self, *};

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Two hosts of IPv4 only, and one of both families.
fn hosts() -> (Internet, Stack, Stack) {
    let internet = Internet::builder().clock(VirtualClock::new()).build();
    let v4 = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
    let both = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.2"), ip("fd00::2")]).unwrap();
    (internet, v4, both)
}

/// The kind of the error that a dial gives at its first poll.
#[track_caller]
fn dial_fails(mut dial: Connect) -> ErrorKind {
    match poll_once(&mut dial) {
        std::task::Poll::Ready(result) => kind(result),
        std::task::Poll::Pending => panic!("the dial waits"),
    }
}

#[test]
fn stacks_that_cannot_be() {
    let internet = Internet::new();
    let held = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
    let refused = |mtu: u32, addrs: &[&str], config: StackConfig| {
        let addrs: Vec<_> = addrs.iter().map(|addr| ip(addr)).collect();
        kind(internet.new_stack_with(mtu, addrs, config))
    };
    let usual = StackConfig::default;
    for (mtu, addrs, config, expected) in [
        (1500, &["10.0.0.1"][..], usual(), AddrInUse),
        (1500, &["10.0.0.3", "10.0.0.3"], usual(), InvalidInput),
        (1500, &["0.0.0.0"], usual(), InvalidInput),
        (1500, &["0.1.2.3"], usual(), InvalidInput),
        (1500, &["::"], usual(), InvalidInput),
        (1500, &["127.0.0.1"], usual(), InvalidInput),
        (1500, &["::1"], usual(), InvalidInput),
        (1500, &["224.0.0.1"], usual(), InvalidInput),
        (1500, &["ff02::1"], usual(), InvalidInput),
        (1500, &["255.255.255.255"], usual(), InvalidInput),
        (1500, &["240.0.0.1"], usual(), InvalidInput),
        (1500, &["::ffff:10.0.0.3"], usual(), InvalidInput),
        (1279, &["fd00::3"], usual(), InvalidInput),
        (575, &["10.0.0.3"], usual(), InvalidInput),
        (0, &["10.0.0.3"], usual(), InvalidInput),
        (65_536, &["10.0.0.3"], usual(), InvalidInput),
        (1500, &["10.0.0.3"], usual().recv_buffer(0), InvalidInput),
        (1500, &["10.0.0.3"], usual().send_buffer(0), InvalidInput),
        (1500, &["10.0.0.3"], usual().udp_recv_buffer(0), InvalidInput),
        (1500, &["10.0.0.3"], usual().recv_buffer((1 << 30) + 1), InvalidInput),
        (1500, &["10.0.0.3"], usual().backlog(0), InvalidInput),
        (1500, &["10.0.0.3"], usual().ttl(0), InvalidInput),
    ] {
        assert_eq!(refused(mtu, addrs, config.clone()), expected, "{mtu} {addrs:?} {config:?}");
    }
    // Nothing of that is left: the address is free, also at the limits of the MTU.
    for (mtu, addr) in [(576, "10.0.0.3"), (65_535, "10.0.0.3"), (1280, "fd00::3")] {
        internet.new_stack(mtu, [ip(addr)]).unwrap().close();
    }
    assert_eq!(kind(internet.assign(&held, ip("10.0.0.1"))), AddrInUse);
    assert_eq!(kind(internet.assign(&held, ip("224.0.0.1"))), InvalidInput);
    assert_eq!(kind(internet.unassign(&held, ip("10.0.0.3"))), AddrNotAvailable);
}

#[test]
fn an_mtu_cannot_be_set_to_what_it_could_not_begin_with() {
    let (_internet, v4, both) = hosts();
    for mtu in [0, 575, 65_536, u32::MAX] {
        assert_eq!(kind(v4.vnic().set_mtu(mtu)), InvalidInput, "{mtu}");
    }
    v4.vnic().set_mtu(576).unwrap();
    assert_eq!(kind(v4.add_addr(ip("fd00::1"))), InvalidInput, "IPv6 needs 1280");
    drop(both);
}

#[test]
fn dials_that_cannot_be() {
    let (internet, v4, both) = hosts();
    for (from, to, expected) in [
        ("", "10.0.0.1:0", InvalidInput),
        ("", "0.0.0.0:80", InvalidInput),
        ("", "[::]:80", InvalidInput),
        ("", "224.0.0.1:80", InvalidInput),
        ("", "[ff02::1]:80", InvalidInput),
        ("", "255.255.255.255:80", InvalidInput),
        ("", "example.com:80", InvalidInput),
        ("", "[fd00::2]:80", NetworkUnreachable),
        ("10.0.0.1:0", "[fd00::2]:80", InvalidInput),
        ("10.0.0.2:0", "10.0.0.2:80", AddrNotAvailable),
        ("[fd00::1]:0", "[fd00::2]:80", AddrNotAvailable),
        ("224.0.0.1:0", "10.0.0.2:80", InvalidInput),
        ("localhost:0", "10.0.0.2:80", InvalidInput),
    ] {
        let connector = Connector::new(&v4);
        let (tcp, udp) = match from {
            "" => (v4.dial_tcp(to), connector.dial_udp(to)),
            _ => (v4.dial_tcp_from(from, to), connector.local_addr(from).dial_udp(to)),
        };
        assert_eq!(dial_fails(tcp), expected, "TCP {from} {to}");
        assert_eq!(kind(udp), expected, "UDP {from} {to}");
    }
    // Also where the stack has both families.
    assert_eq!(dial_fails(both.dial_tcp_from("[fd00::2]:0", "10.0.0.1:80")), InvalidInput);
    assert_eq!(dial_fails(both.dial_tcp_from("10.0.0.2:0", "[fd00::1]:80")), InvalidInput);
    assert_eq!(internet.stats().sent, 0);
    assert_eq!(v4.stats().connections + both.stats().connections, 0);
}

#[test]
fn a_dial_that_exists_already() {
    lab(1, async |net| {
        let listener = net.server.listen_tcp("0.0.0.0:80").unwrap();
        let from = "10.0.0.2:5000";
        let (accepted, dialled) = zip(listener.accept(), net.client.dial_tcp_from(from, AT[0])).await;
        let (accepted, dialled) = (accepted.unwrap(), dialled.unwrap());
        assert_eq!(accepted.1, at(from));
        assert_eq!(kind(net.client.dial_tcp_from(from, AT[0]).await), AddrInUse);
        // The same port to elsewhere is another connection.
        let error = net.client.dial_tcp_from(from, "10.0.0.1:81").await.unwrap_err();
        assert_eq!(error.kind(), ConnectionRefused);
        drop(dialled);
    });
}

#[test]
fn binds_that_cannot_be() {
    let (_internet, v4, both) = hosts();
    let _held = (both.listen_tcp("10.0.0.2:80").unwrap(), both.listen_udp("10.0.0.2:80").unwrap());
    for (stack, at, expected) in [
        (&both, "10.0.0.2:80", AddrInUse),
        (&both, "0.0.0.0:80", AddrInUse),
        (&both, "[::]:80", AddrInUse),
        (&both, "10.0.0.1:80", AddrNotAvailable),
        (&both, "[fd00::1]:80", AddrNotAvailable),
        (&both, "127.0.0.1:80", AddrNotAvailable),
        (&both, "224.0.0.1:80", InvalidInput),
        (&both, "255.255.255.255:80", InvalidInput),
        (&both, "[ff02::1]:80", InvalidInput),
        (&both, "localhost:80", InvalidInput),
        (&v4, "[fd00::2]:80", AddrNotAvailable),
    ] {
        assert_eq!(kind(stack.listen_tcp(at)), expected, "TCP {at}");
        assert_eq!(kind(stack.listen_udp(at)), expected, "UDP {at}");
    }
    assert_eq!(kind(ListenConfig::new(&v4).backlog(0).listen("10.0.0.1:80")), InvalidInput);
    // A wildcard of one family does not exclude the other.
    both.listen_tcp("[fd00::2]:80").unwrap();
    ListenConfig::new(&both).only_v6(true).listen("[::]:81").unwrap();
    v4.listen_tcp("10.0.0.1:80").unwrap();
}

#[test]
fn datagrams_that_cannot_be_sent() {
    let (internet, v4, both) = hosts();
    let (one, two) = (v4.listen_udp("10.0.0.1:0").unwrap(), both.listen_udp("[fd00::2]:0").unwrap());
    for (socket, len, to, expected) in [
        (&one, 65_508, "10.0.0.2:9", InvalidInput),
        (&two, 65_488, "[fd00::1]:9", InvalidInput),
        (&one, 1, "[fd00::2]:9", InvalidInput),
        (&two, 1, "10.0.0.1:9", InvalidInput),
        (&one, 1, "10.0.0.2:0", InvalidInput),
        (&one, 1, "0.0.0.0:9", InvalidInput),
        (&one, 1, "224.0.0.1:9", InvalidInput),
        (&one, 1, "255.255.255.255:9", InvalidInput),
        (&two, 1, "[ff02::1]:9", InvalidInput),
    ] {
        assert_eq!(kind(socket.try_send_to(&vec![0; len], at(to))), expected, "{len} bytes to {to}");
    }
    let wild = v4.listen_udp("[::]:0").unwrap();
    assert_eq!(kind(wild.try_send_to(b"x", at("[fd00::2]:9"))), NetworkUnreachable);
    one.set_dont_fragment(true).unwrap();
    assert_eq!(kind(one.try_send_to(&[0; 1473], at("10.0.0.2:9"))), InvalidInput);
    assert_eq!(kind(one.try_send_msg(b"x", &UdpMeta::to(at("10.0.0.2:0")))), InvalidInput);
    assert_eq!(internet.stats().sent, 0, "nothing of that was sent");
    assert_eq!(one.try_send_to(&[0; 1472], at("10.0.0.2:9")).unwrap(), 1472);
    assert_eq!(internet.stats().sent, 1);
}

#[test]
fn unconnected_is_not_connected() {
    lab(1, async |net| {
        let socket = net.client.listen_udp("0.0.0.0:0").unwrap();
        assert_eq!(kind(socket.send(b"to whom?").await), NotConnected);
        assert_eq!(kind(socket.peer_addr()), NotConnected);
    });
}

#[test]
fn after_the_close_everything_is_an_error_at_once() {
    lab(1, async |net| {
        let (mut a, mut b) = net.connect(AT[0]).await;
        let listener = net.client.listen_tcp("0.0.0.0:80").unwrap();
        let socket = net.client.dial_udp("10.0.0.1:9").unwrap();
        let mut buf = [0; 8];

        // A socket that is closed.
        socket.close();
        assert_eq!(kind(socket.send(b"x").await), NotConnected);
        assert_eq!(kind(socket.recv(&mut buf).await), NotConnected);
        listener.close();
        assert_eq!(kind(listener.accept().await), NotConnected);

        // A stream that is closed for writing, and one that was aborted.
        b.close().await.unwrap();
        assert_eq!(kind(b.write(b"x").await), BrokenPipe);
        b.close().await.unwrap(); // again is fine
        a.abort();
        assert_eq!(kind(a.write(b"x").await), ConnectionAborted);
        assert_eq!(kind(a.read(&mut buf).await), ConnectionAborted);

        // A stack that is closed.
        let (mut a, b) = net.connect("10.0.0.1:81").await;
        let socket = net.server.listen_udp("10.0.0.1:9").unwrap();
        let listener = net.server.listen_tcp("10.0.0.1:82").unwrap();
        let dial = net.server.dial_tcp("10.0.0.2:80");
        net.server.close();
        net.server.close();
        assert!(net.server.is_closed());
        assert_eq!(kind(a.write(b"x").await), NetworkDown);
        assert_eq!(kind(a.read(&mut buf).await), NetworkDown);
        assert_eq!(kind(a.peek(&mut buf).await), NetworkDown);
        assert_eq!(kind(a.try_read(&mut buf)), NetworkDown);
        a.readable().await.unwrap();
        a.writable().await.unwrap();
        assert_eq!(kind(a.close().await), NetworkDown);
        assert_eq!(kind(listener.accept().await), NetworkDown);
        assert_eq!(kind(socket.recv_from(&mut buf).await), NetworkDown);
        assert_eq!(kind(socket.send_to(b"x", "10.0.0.2:9").await), NetworkDown);
        assert_eq!(kind(dial.await), NetworkDown);
        assert_eq!(kind(net.server.dial_tcp("10.0.0.2:80").await), NetworkDown);
        assert_eq!(kind(net.server.dial_udp("10.0.0.2:80")), NetworkDown);
        assert_eq!(kind(net.server.listen_tcp("10.0.0.1:90")), NetworkDown);
        assert_eq!(kind(net.server.listen_udp("10.0.0.1:90")), NetworkDown);
        assert_eq!(kind(net.server.add_addr(ip("10.0.0.7"))), NetworkDown);
        assert_eq!(kind(net.internet.assign(&net.server, ip("10.0.0.7"))), NetworkDown);
        assert_eq!(net.server.stats().connections, 0);
        drop(b);

        // An internet that is closed.
        net.internet.close();
        assert_eq!(kind(net.internet.new_vnic(MTU_ETHERNET)), NetworkDown);
        assert_eq!(kind(net.internet.new_stack(MTU_ETHERNET, [ip("10.0.0.8")])), NetworkDown);
        while net.internet.in_flight().recv().await.is_some() {} // what is queued, and then the end
        assert_eq!(net.now(), Instant::ZERO, "nothing of that waited");
    });
}

#[test]
fn what_waits_when_the_stack_closes_fails_at_once() {
    // Nothing is delivered, so everything waits.
    Lab::new(1).max_in_flight(4).path(|_, _| ()).run(async |net| {
        let listener = net.client.listen_tcp("0.0.0.0:80").unwrap();
        let socket = net.client.listen_udp("0.0.0.0:80").unwrap();
        let mut buf = [0; 8];
        let waiting = zip(
            zip(listener.accept(), net.client.dial_tcp("10.0.0.1:80")),
            zip(socket.recv_from(&mut buf), async {
                futures_lite::future::yield_now().await;
                net.client.close();
            }),
        );
        let ((accepted, dialled), (received, ())) = waiting.await;
        assert_eq!([kind(accepted), kind(dialled), kind(received)], [NetworkDown; 3]);
        assert_eq!(net.now(), Instant::ZERO);
    });
}
