//! Datagrams, of every length and over every path.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::rc::Rc;

use common::*;
use futures_lite::future::{or, zip};

const DNS: [&str; 2] = ["10.0.0.1:53", "[fd00::1]:53"];
/// The longest datagram of each family.
const MOST: [usize; 2] = [65_507, 65_487];

async fn recv(socket: &UdpSocket) -> Vec<u8> {
    let mut buf = vec![0; 70_000];
    let (n, _) = socket.recv_from(&mut buf).await.unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn every_length_over_every_mtu() {
    for mtu in [1280, 1500, 9000, 65_535] {
        Lab::new(1).mtu(mtu).run(async |net| {
            for (family, at) in DNS.into_iter().enumerate() {
                let socket = net.server.listen_udp(at).unwrap();
                let client = net.client.dial_udp(at).unwrap();
                let whole = mtu as usize - if family == 0 { 28 } else { 48 };
                for len in [0, 1, whole - 1, whole, whole + 1, 20_000, MOST[family] - 1, MOST[family]] {
                    let data = noise(len as u64, len.min(MOST[family]));
                    assert_eq!(client.send(&data).await.unwrap(), data.len());
                    assert!(net.soon(recv(&socket)).await == data, "{len} bytes to {at} over {mtu}");
                }
                assert_eq!(kind(client.send(&vec![0; MOST[family] + 1]).await), ErrorKind::InvalidInput);
            }
            let sent = net.client.stats().sent;
            assert_eq!(net.server.stats().received, sent);
            assert_eq!(net.server.stats().total_discarded(), 0, "{:?}", net.server.stats());
        });
    }
}

#[test]
fn fragments_may_come_in_any_order_and_twice() {
    for seed in 1..=5 {
        let faults = Faults { seed, duplicates: 300, delay: ms(10), jitter: ms(10), ..Faults::default() };
        Lab::new(seed).path(faults.path()).run(async |net| {
            for (family, at) in DNS.into_iter().enumerate() {
                let socket = net.server.listen_udp(at).unwrap();
                let client = net.client.dial_udp(at).unwrap();
                for len in [3000, 30_000, MOST[family]] {
                    let data = noise(seed, len);
                    client.send(&data).await.unwrap();
                    assert!(net.soon(recv(&socket)).await == data, "seed {seed}, {len} bytes to {at}");
                    net.sleep(ms(100)).await;
                }
            }
        });
    }
}

#[test]
fn a_lost_fragment_loses_its_datagram_and_no_other() {
    let lose = Rc::new(Cell::new(None));
    let path = {
        let lose = lose.clone();
        move |internet: &Internet, frame: Frame| match lose.get() {
            Some(0) => lose.set(None),
            left => {
                lose.set(left.map(|n: usize| n - 1));
                let _ = internet.deliver(frame);
            }
        }
    };
    Lab::new(1).path(path).run(async |net| {
        for (at, expires) in DNS.into_iter().zip([30, 60]) {
            let socket = net.server.listen_udp(at).unwrap();
            let client = net.client.dial_udp(at).unwrap();
            let before = net.server.stats().discarded(DiscardReason::FragmentTimeout);
            for lost in 0..4 {
                lose.set(Some(lost)); // of four fragments
                client.send(&noise(1, 5000)).await.unwrap();
                net.sleep(ms(1)).await;
                assert_eq!(lose.get(), None);
                client.send(&noise(2, 5000)).await.unwrap();
                assert!(net.soon(recv(&socket)).await == noise(2, 5000), "{lost} of {at}");
            }
            net.sleep(secs(expires - 1)).await;
            assert_eq!(net.server.stats().discarded(DiscardReason::FragmentTimeout), before);
            net.sleep(secs(2)).await;
            assert_eq!(net.server.stats().discarded(DiscardReason::FragmentTimeout) - before, 12);
        }
    });
}

#[test]
fn what_does_not_fit_the_buffer_is_lost_with_its_datagram_alone() {
    lab(1, async |net| {
        for at in DNS {
            let socket = net.server.listen_udp(at).unwrap();
            let client = net.client.dial_udp(at).unwrap();
            for message in [&b"long one"[..], b"", b"next"] {
                client.send(message).await.unwrap();
            }
            let mut buf = [0; 4];
            assert_eq!((socket.recv_from(&mut buf).await.unwrap().0, &buf), (4, b"long"));
            assert_eq!(socket.recv_from(&mut buf).await.unwrap().0, 0, "an empty datagram is a datagram");
            assert_eq!((socket.recv_from(&mut buf).await.unwrap().0, &buf), (4, b"next"));
            client.send(b"x").await.unwrap();
            assert_eq!(socket.recv_from(&mut []).await.unwrap().0, 0);
            assert!(would_wait(socket.recv_from(&mut buf)));
        }
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    lab(1, async |net| {
        net.internet.assign(&net.server, ip("10.0.0.9")).unwrap();
        let right = net.server.listen_udp("10.0.0.1:53").unwrap();
        let wrong_port = net.server.listen_udp("10.0.0.1:54").unwrap();
        let wrong_host = net.server.listen_udp("10.0.0.9:53").unwrap();
        let client = net.client.dial_udp("10.0.0.1:53").unwrap();
        let to = client.local_addr().unwrap();
        for (socket, text) in [(&wrong_port, "no"), (&wrong_host, "no"), (&right, "yes")] {
            socket.send_to(text.as_bytes(), to).await.unwrap();
        }
        assert_eq!(net.soon(recv(&client)).await, b"yes");
        assert!(would_wait(client.recv(&mut [0; 8])));
        // Another peer from now on.
        client.connect("10.0.0.1:54").unwrap();
        right.send_to(b"no", to).await.unwrap();
        wrong_port.send_to(b"yes", to).await.unwrap();
        assert_eq!(net.soon(recv(&client)).await, b"yes");
    });
}

#[test]
fn on_a_full_queue_some_wait_and_some_are_told() {
    // Nobody routes until told to.
    let (queued, open) = (Rc::new(RefCell::new(0)), Rc::new(Cell::new(false)));
    let internet = Internet::builder().clock(VirtualClock::new()).max_in_flight(8).build();
    let server = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.2")]).unwrap();
    let socket = server.listen_udp(DNS[0]).unwrap();
    let sender = client.dial_udp(DNS[0]).unwrap();
    while sender.try_send(b"x").is_ok() {
        *queued.borrow_mut() += 1;
    }
    assert_eq!(*queued.borrow(), 8);
    assert_eq!(kind(sender.try_send(b"x")), ErrorKind::WouldBlock);
    let sending = async {
        for n in 0..100_u8 {
            sender.send(&[n]).await.unwrap();
        }
        open.set(true);
        std::future::pending::<()>().await;
    };
    let receiving = async {
        for _ in 0..8 {
            assert_eq!(recv(&socket).await, b"x");
        }
        for n in 0..100 {
            assert_eq!(recv(&socket).await, [n]);
        }
    };
    futures_lite::future::block_on(internet.route_until(or(receiving, sending), Internet::deliver));
    assert!(open.get());
    assert_eq!(internet.stats().dropped_total(), 0);
}

#[test]
fn the_longest_datagrams_pass_a_queue_of_eight() {
    Lab::new(1).max_in_flight(8).run(async |net| {
        for (family, at) in DNS.into_iter().enumerate() {
            let socket = net.server.listen_udp(at).unwrap();
            let client = net.client.dial_udp(at).unwrap();
            let data = noise(1, MOST[family]);
            for _ in 0..3 {
                let (sent, got) = net.soon(zip(client.send(&data), recv(&socket))).await;
                assert_eq!(sent.unwrap(), data.len());
                assert!(got == data);
            }
        }
    });
}

#[test]
fn what_nobody_reads_is_bounded_and_counted() {
    let config = StackConfig::default().udp_recv_buffer(10_000);
    Lab::new(1).config(config).run(async |net| {
        let socket = net.server.listen_udp(DNS[0]).unwrap();
        let client = net.client.dial_udp(DNS[0]).unwrap();
        for n in 0..100 {
            client.send(&[n; 1000]).await.unwrap();
        }
        net.sleep(ms(1)).await;
        let mut kept = 0;
        while let Ok((n, _)) = socket.try_recv_from(&mut [0; 2000]) {
            assert_eq!(n, 1000);
            kept += 1;
        }
        assert!((5..=10).contains(&kept), "{kept}");
        assert_eq!(net.server.stats().total_discarded(), 100 - kept, "{:?}", net.server.stats());
    });
}

#[test]
fn a_thousand_sockets() {
    lab(1, async |net| {
        let socket = net.server.listen_udp("[::]:53").unwrap();
        let clients: Vec<_> = (0..1000).map(|n| net.client.dial_udp(DNS[n % 2]).unwrap()).collect();
        let ports: HashSet<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        assert_eq!(ports.len(), 1000);
        let echo = async {
            let mut buf = [0; 16];
            loop {
                let (n, from) = socket.recv_from(&mut buf).await.unwrap();
                socket.send_to(&buf[..n], from).await.unwrap();
            }
        };
        let ask = async {
            for (n, client) in clients.iter().enumerate() {
                client.send(&n.to_be_bytes()).await.unwrap();
            }
            for (n, client) in clients.iter().enumerate() {
                assert_eq!(recv(client).await, n.to_be_bytes());
            }
        };
        or(ask, echo).await;
        assert_eq!(net.now(), Instant::ZERO);
    });
}

#[test]
fn a_closed_socket_frees_its_port_and_wakes_its_readers() {
    lab(1, async |net| {
        let socket = net.server.listen_udp(DNS[0]).unwrap();
        let clone = socket.clone();
        let mut buf = [0; 8];
        let (received, ()) = zip(socket.recv_from(&mut buf), async { clone.close() }).await;
        assert_eq!(kind(received), ErrorKind::NotConnected);
        let again = net.server.listen_udp(DNS[0]).unwrap();
        drop((socket, clone));
        assert_eq!(
            kind(net.server.listen_udp(DNS[0])),
            ErrorKind::AddrInUse,
            "the old one took nothing along"
        );
        drop(again);
        net.server.listen_udp(DNS[0]).unwrap();
    });
}

#[test]
fn a_socket_talks_to_its_own_stack() {
    Lab::new(1).path(|_, frame| panic!("{frame:?} left the stack")).run(async |net| {
        for (family, at) in DNS.into_iter().enumerate() {
            let socket = net.server.listen_udp(at).unwrap();
            let data = noise(1, MOST[family]);
            socket.send_to(&data, at).await.unwrap();
            assert!(net.soon(recv(&socket)).await == data);
        }
    });
}
