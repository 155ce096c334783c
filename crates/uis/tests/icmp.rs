//! What routers and hosts say about packets, and what comes of it.

mod common;

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

type Lengths = Rc<RefCell<Vec<usize>>>;

/// A narrow path that notes how long the packets are, when they are delivered and when not.
fn noting(mtu: usize) -> (impl FnMut(&Internet, Frame), Lengths) {
    let lengths = Rc::new(RefCell::new(Vec::new()));
    let (noted, mut path) = (lengths.clone(), narrow(mtu));
    let path = move |internet: &Internet, frame: Frame| {
        noted.borrow_mut().push(frame.len());
        path(internet, frame);
    };
    (path, lengths)
}

#[test]
fn tcp_finds_the_mtu_of_a_narrow_path() {
    for at in AT {
        for mtu in [1280, 1400] {
            let (path, lengths) = noting(mtu);
            Lab::new(1).path(path).run(async |net| {
                let (a, b) = net.connect(at).await;
                exchange(a, b, 200_000).await;
                let took = net.now() - Instant::ZERO;
                assert!(took < secs(1), "{at} {mtu}: {took:?}");
                // New connections know it from the start.
                lengths.borrow_mut().clear();
                let listener = net.server.listen_tcp((common::at(at).ip(), 81)).unwrap();
                let (a, b) = connect(&listener, &net.client).await;
                exchange(a, b, 50_000).await;
                let longest = *lengths.borrow().iter().max().unwrap();
                assert_eq!(longest, mtu, "{at}");
                net.sleep(ms(20)).await; // an acknowledgment that was put off
                net.assert_no_flows();
            });
        }
    }
}

#[test]
fn a_path_that_narrows_under_way() {
    let narrowed = Rc::new(Cell::new(false));
    let path = {
        let narrowed = narrowed.clone();
        let mut narrow = narrow(1300);
        move |internet: &Internet, frame| match narrowed.get() {
            true => narrow(internet, frame),
            false => drop(internet.deliver(frame)),
        }
    };
    Lab::new(1).path(path).run(async |net| {
        for at in AT {
            narrowed.set(false);
            let (mut a, mut b) = net.connect(at).await;
            let data = noise(1, 300_000);
            let mut got = vec![0; data.len()];
            let narrowing = async {
                a.read_exact(&mut got[..100_000]).await.unwrap();
                narrowed.set(true);
                a.read_exact(&mut got[100_000..]).await.unwrap();
            };
            let start = net.now();
            zip(narrowing, async { b.write_all(&data).await.unwrap() }).await;
            assert!(got == data);
            let took = net.now() - start;
            assert!(took < secs(1), "{at}: {took:?}");
        }
    });
}

#[test]
fn udp_finds_the_mtu_of_a_narrow_path_and_forgets_it() {
    let (path, lengths) = noting(1300);
    Lab::new(1).path(path).run(async |net| {
        let socket = net.server.listen_udp("[::]:53").unwrap();
        let client = net.client.dial_udp("[fd00::1]:53").unwrap();
        let data = noise(1, 5000);
        let mut buf = vec![0; 10_000];
        for lost in [true, false, false] {
            client.send(&data).await.unwrap();
            if lost {
                // Fragments of 1500 bytes are lost; the last one got through, and its datagram is never complete.
                net.sleep(secs(1)).await;
                assert!(would_wait(socket.recv_from(&mut buf)));
            } else {
                let (n, _) = net.soon(socket.recv_from(&mut buf)).await.unwrap();
                assert!(buf[..n] == data);
            }
        }
        assert!(lengths.borrow()[4..].iter().all(|&len| len <= 1300));
        net.sleep(secs(601)).await;
        lengths.borrow_mut().clear();
        client.send(&data).await.unwrap();
        net.sleep(ms(1)).await;
        assert!(lengths.borrow().iter().any(|&len| len > 1300));
    });
}

#[test]
fn udp_over_ipv4_is_fragmented_on_the_way_unless_it_must_not_be() {
    Lab::new(1).path(narrow(1000)).run(async |net| {
        let socket = net.server.listen_udp("10.0.0.1:53").unwrap();
        let client = net.client.dial_udp("10.0.0.1:53").unwrap();
        let data = noise(1, 1472);
        let mut buf = vec![0; 2000];
        client.send(&data).await.unwrap();
        assert_eq!(net.soon(socket.recv_from(&mut buf)).await.unwrap().0, 1472);
        assert!(buf[..1472] == data);

        client.set_dont_fragment(true).unwrap();
        client.send(&data).await.unwrap(); // nobody knows yet
        net.sleep(ms(1)).await;
        assert!(would_wait(socket.recv_from(&mut buf)));
        assert_eq!(kind(client.send(&data).await), ErrorKind::InvalidInput);
        assert_eq!(kind(client.send(&data[..973]).await), ErrorKind::InvalidInput);
        client.send(&data[..972]).await.unwrap();
        assert_eq!(net.soon(socket.recv_from(&mut buf)).await.unwrap().0, 972);
    });
}

#[test]
fn errors_end_a_dial_with_their_kind_and_an_open_connection_goes_on() {
    use ErrorKind::*;
    for (family, kind_and_code, expected) in [
        (0, (3, 0), NetworkUnreachable),
        (0, (3, 1), HostUnreachable),
        (0, (3, 2), ConnectionRefused),
        (0, (3, 3), ConnectionRefused),
        (1, (1, 0), NetworkUnreachable),
        (1, (1, 3), HostUnreachable),
        (1, (1, 4), ConnectionRefused),
    ] {
        let answer = Rc::new(Cell::new(true));
        let path = {
            let answer = answer.clone();
            move |internet: &Internet, frame: Frame| {
                if answer.get() && frame.dst().unwrap() == ip(SERVER[family]) {
                    let (router, (kind, code)) = (["10.0.0.254", "fd00::fe"][family], kind_and_code);
                    let about = frame.src().unwrap();
                    internet.deliver(icmp(router, about, kind, code, [0; 4], frame.packet())).unwrap();
                } else {
                    let _ = internet.deliver(frame);
                }
            }
        };
        Lab::new(1).path(path).run(async |net| {
            let error = net.soon(net.client.dial_tcp(AT[family])).await.unwrap_err();
            assert_eq!(error.kind(), expected, "{kind_and_code:?}");
            assert_eq!(net.now(), Instant::ZERO);
            net.assert_no_flows();

            // RFC 5927 §4.3: to an established connection it is no more than a hint.
            answer.set(false);
            let (mut a, mut b) = net.connect(AT[family]).await;
            answer.set(true);
            b.write_all(b"x").await.unwrap();
            net.sleep(secs(1)).await;
            answer.set(false);
            assert_eq!(net.soon(a.read(&mut [0; 8])).await.unwrap(), 1);
        });
    }
}

#[test]
fn a_refused_datagram_wakes_all_who_wait() {
    lab(1, async |net| {
        let socket = net.client.dial_udp("10.0.0.1:81").unwrap();
        let (mut one, mut two) = ([0; 8], [0; 8]);
        let readers = zip(socket.recv(&mut one), async {
            let peeked = socket.peek_from(&mut two).await;
            // The error is told once: whoever was second waits on, or hears of the next.
            peeked.map(|(n, _)| n)
        });
        let sending = async {
            socket.send(b"x").await.unwrap();
            net.sleep(secs(1)).await;
            socket.send(b"y").await
        };
        let ((one, two), _) = net.soon(zip(readers, sending)).await;
        assert_eq!((kind(one), kind(two)), (ErrorKind::ConnectionRefused, ErrorKind::ConnectionRefused));
    });
}

#[test]
fn echo_requests_are_answered() {
    lab(1, async |net| {
        let port = VnicPort::new(net.internet.new_vnic(MTU_ETHERNET).unwrap(), 64).unwrap();
        let prober = ["10.0.0.50", "fd00::50"];
        net.internet.add_route(port.vnic(), prober.map(ip)).unwrap();
        for (family, len) in
            [(0, 0), (0, 56), (0, 1472), (0, 10_000), (1, 0), (1, 56), (1, 1452), (1, 10_000)]
        {
            let (request, reply) = if family == 0 { (8, 0) } else { (128, 129) };
            let data = noise(7, len);
            let ping = icmp(prober[family], ip(SERVER[family]), request, 0, [1, 2, 3, 4], &data);
            if ping.len() <= 1500 {
                port.send(ping.into_packet()).unwrap();
            } else {
                for fragment in fragments(ping.packet(), 1500, 77) {
                    port.send(fragment).unwrap();
                }
            }
            // What comes back is the same but for the type, and put together again it has the right checksum.
            let expected = icmp(SERVER[family], ip(prober[family]), reply, 0, [1, 2, 3, 4], &data);
            let header = if family == 0 { 20 } else { 40 };
            let mut body = Vec::new();
            while body.len() < 8 + len {
                let frame = net.soon(port.recv()).await.unwrap();
                assert!(frame.len() <= 1500);
                let skip = if family == 1 && is_fragment(&frame) { 48 } else { header };
                body.extend_from_slice(&frame.packet()[skip..]);
            }
            assert!(body == expected.packet()[header..], "{} {len}", SERVER[family]);
        }
        assert!(port.try_recv().is_none());
    });
}
