//! What the tests of the Go original assert, and what they should have.

mod common;

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use common::*;
use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn an_address_is_given_once_and_a_refusal_leaves_nothing_behind() {
    let internet = Internet::new();
    let taken = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1"), ip("fd00::1")]).unwrap();
    for addrs in [["10.0.0.3", "fd00::1"], ["10.0.0.1", "10.0.0.3"]] {
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        assert_eq!(kind(internet.add_route(&vnic, addrs.map(ip))), ErrorKind::AddrInUse);
        assert_eq!(kind(internet.new_stack(MTU_ETHERNET, addrs.map(ip))), ErrorKind::AddrInUse);
    }
    let free = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.3")]).unwrap();
    assert_eq!((taken.addrs().len(), free.addrs().len()), (2, 1));
}

#[test]
fn deliver_says_why_not() {
    let internet = Internet::new();
    let stack = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1"), ip("fd00::1")]).unwrap();
    let detached = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&detached, [ip("10.0.0.4")]).unwrap();
    let v4 = |to: [u8; 4], len: u16| {
        let mut packet = vec![0; len.into()];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[16..20].copy_from_slice(&to);
        packet
    };
    let cases = [
        ("empty", vec![], DropReason::Malformed),
        ("version 0", vec![0; 40], DropReason::Malformed),
        ("version 15", vec![0xf5; 40], DropReason::Malformed),
        ("short IPv4", v4([10, 0, 0, 1], 20)[..19].to_vec(), DropReason::Malformed),
        ("short IPv6", [&[0x60][..], &[0; 38]].concat(), DropReason::Malformed),
        ("nobody's address", v4([10, 0, 0, 9], 20), DropReason::NoRoute),
        ("over the MTU", v4([10, 0, 0, 1], 1501), DropReason::TooBig),
        ("nothing attached", v4([10, 0, 0, 4], 20), DropReason::Detached),
    ];
    for (what, packet, reason) in cases {
        let undelivered = internet.deliver(Frame::new(packet.clone())).unwrap_err();
        assert_eq!(undelivered.reason(), reason, "{what}");
        assert_eq!(undelivered.into_frame().packet(), packet, "{what}");
    }
    assert_eq!(internet.stats().injected_dropped, 8);
    assert_eq!(stack.stats().received, 0);

    internet.deliver(Frame::new(v4([10, 0, 0, 1], 1500))).unwrap();
    assert_eq!(stack.stats().received, 1);
    // On a closed Vnic nothing is routed any more; with the internet closed, nothing anywhere.
    stack.close();
    let undelivered = internet.deliver(Frame::new(v4([10, 0, 0, 1], 20))).unwrap_err();
    assert_eq!(undelivered.reason(), DropReason::NoRoute);
    assert_eq!(stack.vnic().inject_frame(undelivered.into_frame()).unwrap_err().reason(), DropReason::Closed);
    internet.close();
    let undelivered = internet.deliver(Frame::new(v4([10, 0, 0, 4], 20))).unwrap_err();
    assert_eq!(undelivered.reason(), DropReason::Closed);
}

#[test]
fn a_full_queue_refuses_and_counts() {
    let internet = Internet::builder().max_in_flight(8).build();
    let stack = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
    let socket = stack.listen_udp("10.0.0.1:0").unwrap();
    for _ in 0..8 {
        socket.try_send_to(b"x", at("10.0.0.2:9")).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(kind(socket.try_send_to(b"x", at("10.0.0.2:9"))), ErrorKind::WouldBlock);
    }
    let stats = internet.stats();
    assert_eq!((stats.sent, stats.queued), (8, 8));
    assert!(stats.refused >= 1, "{stats:?}");
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[3] = 20;
    let error = stack.vnic().write(packet).unwrap_err();
    assert!(matches!(error, SendError::Full(_)), "{error:?}");
    assert_eq!(internet.stats().refused, stats.refused + 1);
}

#[test]
fn host_names_are_refused_at_once() {
    lab(1, async |net| {
        let connector = Connector::new(&net.client);
        let listen = ListenConfig::new(&net.server);
        let before = net.client.stats();
        for name in ["localhost:80", "example.com:80", "10.0.0.1", "10.0.0.1:http", ":80", "[fd00::1]", ""] {
            let refused = [
                kind(net.client.dial_tcp(name).await),
                kind(net.client.dial_tcp_from(name, "10.0.0.1:80").await),
                kind(net.client.dial_udp(name)),
                kind(net.server.listen_tcp(name)),
                kind(net.server.listen_udp(name)),
                kind(connector.dial_tcp(name).await),
                kind(connector.dial_udp(name)),
                kind(connector.clone().local_addr(name).dial_tcp("10.0.0.1:80").await),
                kind(listen.listen(name)),
                kind(listen.listen_packet(name)),
            ];
            assert_eq!(refused, [ErrorKind::InvalidInput; 10], "{name:?}");
        }
        assert_eq!(net.now(), Instant::ZERO);
        assert_eq!(net.client.stats(), before);
    });
}

#[test]
fn an_address_in_use_is_said_to_be() {
    let internet = Internet::new();
    let stack = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
    let listener = stack.listen_tcp("10.0.0.1:80").unwrap();
    let socket = stack.listen_udp("10.0.0.1:80").unwrap();
    for at in ["10.0.0.1:80", "0.0.0.0:80", "[::]:80"] {
        assert_eq!(kind(stack.listen_tcp(at)), ErrorKind::AddrInUse, "{at}");
        assert_eq!(kind(stack.listen_udp(at)), ErrorKind::AddrInUse, "{at}");
    }
    listener.close();
    socket.close();
    stack.listen_tcp("10.0.0.1:80").unwrap();
    stack.listen_udp("10.0.0.1:80").unwrap();
}

#[test]
fn accept_after_close_is_an_error_at_once() {
    lab(1, async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let waiting = listener.accept();
        let (accepted, ()) = zip(waiting, async { listener.clone().close() }).await;
        assert_eq!(kind(accepted), ErrorKind::NotConnected);
        assert_eq!(kind(listener.accept().await), ErrorKind::NotConnected);
        assert_eq!(net.now(), Instant::ZERO);
        assert_eq!(kind(net.client.dial_tcp(AT[0]).await), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn nobody_there_is_connection_refused() {
    lab(1, async |net| {
        for at in ["10.0.0.1:81", "[fd00::1]:81"] {
            assert_eq!(kind(net.client.dial_tcp(at).await), ErrorKind::ConnectionRefused, "{at}");
            // A reader that waits already is woken by what ICMP says.
            let socket = net.client.dial_udp(at).unwrap();
            let mut buf = [0; 8];
            let (received, sent) = net.soon(zip(socket.recv(&mut buf), socket.send(b"anybody?"))).await;
            assert_eq!(sent.unwrap(), 8);
            assert_eq!(kind(received), ErrorKind::ConnectionRefused, "{at}");
            // Once; the socket goes on.
            assert!(would_wait(socket.recv(&mut buf)));
        }
        assert_eq!(net.now(), Instant::ZERO);
        net.assert_no_flows();
    });
}

#[test]
fn reads_time_out_by_racing_a_timer_and_lose_nothing() {
    lab(1, async |net| {
        let clock = net.internet.clock();
        let (mut a, mut b) = net.connect(AT[0]).await;
        let mut buf = [0; 8];
        let elapsed = clock.timeout(ms(100), a.read(&mut buf)).await.unwrap_err();
        assert_eq!(io::Error::from(elapsed).kind(), ErrorKind::TimedOut);
        assert_eq!(net.now(), Instant::ZERO + ms(100));
        b.write_all(b"late").await.unwrap();
        assert_eq!(a.read(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf[..4], b"late");

        let socket = net.server.listen_udp("10.0.0.1:53").unwrap();
        assert!(clock.timeout(ms(100), socket.recv_from(&mut buf)).await.is_err());
        let client = net.client.dial_udp("10.0.0.1:53").unwrap();
        client.send(b"late").await.unwrap();
        assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (4, client.local_addr().unwrap()));
    });
}

#[test]
fn writes_time_out_when_nobody_reads() {
    let config = StackConfig::default().recv_buffer(20_000).send_buffer(20_000);
    Lab::new(1).config(config).run(async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        let data = noise(3, 100_000);
        let mut written = 0;
        let writing = async {
            loop {
                written += b.write(&data[written..]).await.unwrap();
            }
        };
        let start = net.now();
        net.internet.clock().timeout(secs(1), writing).await.unwrap_err();
        assert_eq!(net.now() - start, secs(1));
        assert!((20_000..=40_000).contains(&written), "{written}");
        b.close().await.unwrap();
        assert!(receive(a).await.unwrap() == data[..written]);
    });
}

#[test]
fn addresses_of_both_ends() {
    lab(1, async |net| {
        for (n, at) in AT.into_iter().enumerate() {
            let (a, b) = net.connect(at).await;
            assert_eq!(a.local_addr().unwrap(), common::at(at));
            assert_eq!(b.peer_addr().unwrap(), common::at(at));
            assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
            assert_eq!(b.local_addr().unwrap().ip(), ip(CLIENT[n]));
            assert!(b.local_addr().unwrap().port() >= 49_152);
            let socket = net.client.dial_udp(at).unwrap();
            assert_eq!(socket.peer_addr().unwrap(), common::at(at));
            assert_eq!(socket.local_addr().unwrap().ip(), ip(CLIENT[n]));
        }
        let listener = net.server.listen_tcp("0.0.0.0:0").unwrap();
        assert_ne!(listener.local_addr().unwrap().port(), 0);
    });
}

/// A writer that waits for a permit before each write, and then fails after so many bytes.
struct Gate(mpsc::Receiver<()>, usize);

impl io::Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        if self.1 == 0 {
            return Err(io::Error::other("disk full"));
        }
        let n = bytes.len().min(self.1);
        self.1 -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_capture_that_is_not_written_in_time_counts_what_it_drops() {
    let (permits, gate) = mpsc::channel();
    let trace = PcapTrace::builder().buffer(4).patience(secs(0)).build(Gate(gate, usize::MAX));
    for _ in 0..10 {
        trace.dump(&[0x45; 20]);
    }
    assert_eq!(trace.dropped(), 6);
    drop(permits);
    trace.close().unwrap();
    assert_eq!(trace.dropped(), 6);
}

#[test]
fn a_capture_that_cannot_be_written_says_so_when_closed() {
    for (what, bytes) in [("the header", 0), ("a packet", 24)] {
        let (permits, gate) = mpsc::channel();
        drop(permits);
        let trace = PcapTrace::new(Gate(gate, bytes), MTU_ETHERNET);
        trace.dump(&[0x45; 20]);
        assert_eq!(trace.close().unwrap_err().to_string(), "disk full", "{what}");
        trace.close().unwrap(); // said once
    }
}

#[test]
fn close_hooks_run_once() {
    let internet = Internet::new();
    let stack = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = || {
        let runs = runs.clone();
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
        }
    };
    stack.vnic().on_close(count());
    stack.vnic().on_close(count());
    let vnic = stack.vnic().clone();
    stack.close();
    stack.close();
    vnic.close();
    drop((stack, vnic.clone()));
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    vnic.on_close(count());
    assert_eq!(runs.load(Ordering::SeqCst), 3, "on a closed Vnic a hook runs at once");
}

#[test]
fn the_example_of_the_original() {
    // A download with a capture, routed by hand.
    block_on(async {
        let internet = Internet::new();
        let server = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.1")]).unwrap();
        let client = internet.new_stack(MTU_ETHERNET, [ip("10.0.0.2")]).unwrap();
        let listener = server.listen_tcp(AT[0]).unwrap();
        let serve = async { send(listener.accept().await?.0, b"Hello, world!\n").await };
        let fetch = async { receive(client.dial_tcp(AT[0]).await?).await };
        let (packets, trace) = (Arc::new(AtomicUsize::new(0)), PcapTrace::new(io::sink(), MTU_ETHERNET));
        let in_flight = internet.in_flight();
        let routing = async {
            while let Some(frame) = in_flight.recv().await {
                trace.dump(frame.packet());
                packets.fetch_add(1, Ordering::SeqCst);
                let _ = internet.deliver(frame);
            }
            unreachable!("the internet is open");
        };
        let test = async { zip(serve, fetch).await };
        let (served, fetched) = futures_lite::future::or(test, routing).await;
        served.unwrap();
        assert_eq!(fetched.unwrap(), b"Hello, world!\n");
        assert!(packets.load(Ordering::SeqCst) >= 5, "a handshake, the data, a FIN");
        trace.close().unwrap();
    });
}
