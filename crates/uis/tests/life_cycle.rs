//! From the bind to the last packet: who receives, how a connection ends, and what is left of it.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use futures_lite::future::{or, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

#[test]
fn wildcards_receive() {
    lab(1, async |net| {
        for (wildcard, peers, mapped) in
            [("0.0.0.0:80", &["10.0.0.1:80"][..], false), ("[::]:81", &["10.0.0.1:81", "[fd00::1]:81"], true)]
        {
            let listener = net.server.listen_tcp(wildcard).unwrap();
            let socket = net.server.listen_udp(wildcard).unwrap();
            assert_eq!(listener.local_addr().unwrap(), at(wildcard));
            for &to in peers {
                let shown = |addr: std::net::SocketAddr| match addr.ip() {
                    std::net::IpAddr::V4(v4) if mapped => (v4.to_ipv6_mapped(), addr.port()).into(),
                    _ => addr,
                };
                let (accepted, dialled) = zip(listener.accept(), net.client.dial_tcp(to)).await;
                let ((a, peer), b) = (accepted.unwrap(), dialled.unwrap());
                assert_eq!(peer, shown(b.local_addr().unwrap()));
                assert_eq!(a.peer_addr().unwrap(), peer);
                assert_eq!(a.local_addr().unwrap(), shown(at(to)));
                exchange(a, b, 10_000).await;

                let client = net.client.dial_udp(to).unwrap();
                client.send(b"?").await.unwrap();
                let mut buf = [0; 8];
                let (n, from) = socket.recv_from(&mut buf).await.unwrap();
                assert_eq!((n, from), (1, shown(client.local_addr().unwrap())));
                socket.send_to(b"!", from).await.unwrap();
                assert_eq!(client.recv(&mut buf).await.unwrap(), 1);
            }
        }
        // One that was told to stand for IPv6 only does not take IPv4.
        let only = ListenConfig::new(&net.server).only_v6(true);
        let _listener = only.listen("[::]:82").unwrap();
        assert_eq!(kind(net.client.dial_tcp("10.0.0.1:82").await), ErrorKind::ConnectionRefused);
        net.client.dial_tcp("[fd00::1]:82").await.unwrap();
    });
}

#[test]
fn the_exact_address_comes_first() {
    lab(1, async |net| {
        net.internet.assign(&net.server, ip("10.0.0.9")).unwrap();
        let exact = net.server.listen_tcp("10.0.0.1:80").unwrap();
        let other = net.server.listen_tcp("10.0.0.9:80").unwrap();
        for (listener, to) in [(&exact, "10.0.0.1:80"), (&other, "10.0.0.9:80")] {
            let dialled = net.client.dial_tcp(to).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            assert_eq!(accepted.local_addr().unwrap(), dialled.peer_addr().unwrap());
        }
    });
}

#[test]
fn a_stack_dials_itself() {
    Lab::new(1).path(|_, frame| panic!("{frame:?} left the stack")).run(async |net| {
        for at in AT {
            let listener = net.server.listen_tcp(at).unwrap();
            let (a, b) = connect(&listener, &net.server).await;
            assert_eq!(b.local_addr().unwrap().ip(), common::at(at).ip());
            exchange(a, b, 300_000).await;
        }
        assert_eq!(kind(net.server.dial_tcp("10.0.0.1:81").await), ErrorKind::ConnectionRefused);
        net.assert_no_flows();
    });
}

#[test]
fn a_full_backlog_drops_the_syn_and_counts_it() {
    lab(1, async |net| {
        let listener = ListenConfig::new(&net.server).backlog(2).listen(AT[0]).unwrap();
        let first = net.client.dial_tcp(AT[0]).await.unwrap();
        let second = net.client.dial_tcp(AT[0]).await.unwrap();
        let start = net.now();
        let third = async { net.client.dial_tcp(AT[0]).await.unwrap() };
        let later = async {
            net.sleep(ms(2500)).await;
            listener.accept().await.unwrap().1
        };
        let (third, accepted) = zip(third, later).await;
        assert_eq!(accepted, first.local_addr().unwrap(), "in the order of their handshakes");
        // SYNs at 0 s and 1 s were dropped, that at 3 s was taken.
        assert_eq!(net.now() - start, secs(3));
        assert_eq!(net.server.stats().discarded(DiscardReason::BacklogFull), 2);
        for expected in [&second, &third] {
            assert_eq!(listener.accept().await.unwrap().1, expected.local_addr().unwrap());
        }
    });
}

#[test]
fn either_side_half_closes_first() {
    for client_first in [true, false] {
        lab(1, async |net| {
            let (a, b) = net.connect(AT[0]).await;
            let (mut first, mut second) = if client_first { (b, a) } else { (a, b) };
            send(&first, b"question").await.unwrap();
            assert_eq!(receive(&second).await.unwrap(), b"question");
            assert_eq!(kind(first.write(b"more").await), ErrorKind::BrokenPipe);
            // The other direction goes on for as long as it likes.
            for n in 0..10 {
                net.sleep(secs(60)).await;
                second.write_all(&[n]).await.unwrap();
            }
            second.close().await.unwrap();
            assert_eq!(receive(&mut first).await.unwrap(), Vec::from_iter(0..10));
            assert_eq!(first.read(&mut [0]).await.unwrap(), 0, "the end stays the end");
            net.sleep(ms(20)).await;
            net.assert_no_flows();
        });
    }
}

#[test]
fn both_close_at_once() {
    lab(1, async |net| {
        let (mut a, mut b) = net.connect(AT[0]).await;
        a.close().await.unwrap();
        b.close().await.unwrap();
        let (at_a, at_b) = zip(receive(&a), receive(&b)).await;
        assert_eq!((at_a.unwrap(), at_b.unwrap()), (vec![], vec![]));
        net.sleep(ms(20)).await;
        net.assert_no_flows();
        net.sleep(secs(61)).await;
        assert_eq!((net.server.stats().time_wait, net.client.stats().time_wait), (0, 0));
    });
}

#[test]
fn what_was_written_arrives_after_the_drop() {
    // More than the peer's window holds, on a slow path.
    let config = StackConfig::default().recv_buffer(50_000);
    Lab::new(1).config(config).path(Faults { delay: ms(20), ..Faults::default() }.path()).run(async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        let data = noise(1, 64 << 10);
        b.write_all(&data).await.unwrap();
        drop(b);
        assert_eq!(net.client.stats().connections, 1, "it closes in the background");
        net.sleep(secs(5)).await;
        assert!(receive(&a).await.unwrap() == data);
        drop(a);
        net.sleep(secs(1)).await;
        net.assert_no_flows();
        assert_eq!(net.client.stats().time_wait, 1);
    });
}

#[test]
fn dropping_one_half_or_one_clone_closes_nothing_else() {
    lab(1, async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let clone = b.clone();
        drop(b);
        let (read, write) = clone.into_split();
        let (mut a_read, mut a_write) = a.into_split();
        a_write.write_all(b"x").await.unwrap();
        drop(write); // the FIN
        assert_eq!(a_read.read(&mut [0; 8]).await.unwrap(), 0);
        a_write.write_all(b"y").await.unwrap();
        drop(a_write);
        assert_eq!(receive(read).await.unwrap(), b"xy");
        drop(a_read);
        net.sleep(ms(20)).await;
        net.assert_no_flows();
    });
}

#[test]
fn halves_come_together_again() {
    lab(1, async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let (other_read, _other_write) = a.clone().into_split();
        let (read, write) = b.into_split();
        let (_, write) = other_read.reunite(write).expect_err("halves of two streams");
        let b = read.reunite(write).unwrap();
        exchange(a, b, 1000).await;
    });
}

#[test]
fn dropping_unread_data_resets() {
    lab(1, async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        b.write_all(b"never read").await.unwrap();
        a.readable().await.unwrap();
        drop(a);
        assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::ConnectionReset);
        assert_eq!(kind(b.write(b"x").await), ErrorKind::ConnectionReset);
        net.assert_no_flows();
    });
}

#[test]
fn data_for_an_orphan_is_answered_with_a_reset() {
    lab(1, async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        drop(a);
        assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 0);
        b.write_all(b"to nobody").await.unwrap();
        net.sleep(ms(1)).await;
        assert_eq!(kind(b.write(b"x").await), ErrorKind::BrokenPipe);
        assert_eq!(net.server.stats().discarded(DiscardReason::Orphan), 1);
        net.assert_no_flows();
    });
}

#[test]
fn an_orphan_whose_peer_does_not_close_has_a_limit() {
    let config = StackConfig::default().orphan_timeout(secs(10));
    Lab::new(1).config(config).run(async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        drop(a);
        assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 0);
        net.sleep(ms(9_900)).await;
        assert_eq!(net.server.stats().connections, 1);
        net.sleep(ms(200)).await;
        assert_eq!(net.server.stats().connections, 0);
        drop(b);
        net.sleep(secs(11)).await;
        net.assert_no_flows();
    });
}

#[test]
fn linger_0_and_abort_reset_and_throw_away() {
    for abort in [true, false] {
        // The path delivers nothing after the handshake for a while.
        let held = Rc::new(RefCell::new(None::<Vec<Frame>>));
        let path = {
            let held = held.clone();
            move |internet: &Internet, frame| match &mut *held.borrow_mut() {
                Some(frames) => frames.push(frame),
                None => drop(internet.deliver(frame)),
            }
        };
        Lab::new(1).path(path).run(async |net| {
            let (mut a, mut b) = net.connect(AT[0]).await;
            a.write_all(b"before").await.unwrap();
            net.sleep(ms(20)).await;
            *held.borrow_mut() = Some(Vec::new());
            b.write_all(b"thrown away").await.unwrap();
            if abort {
                b.abort();
                let mut buf = [0; 8];
                assert_eq!(b.read(&mut buf).await.unwrap(), 6, "what was received stays readable");
                assert_eq!(kind(b.read(&mut buf).await), ErrorKind::ConnectionAborted);
                assert_eq!(kind(b.write(b"x").await), ErrorKind::ConnectionAborted);
            } else {
                assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 6);
                b.set_linger(Some(secs(0))).unwrap();
                assert_eq!(b.linger().unwrap(), Some(secs(0)));
                drop(b);
            }
            assert_eq!(net.client.stats().connections, 0);
            // Let the router have them, and then only the reset through.
            net.sleep(ms(1)).await;
            let frames = held.borrow_mut().take().unwrap();
            let resets: Vec<_> = frames.into_iter().filter(|f| look(f).unwrap().flags & RST != 0).collect();
            assert_eq!(resets.len(), 1);
            net.internet.deliver_many(resets);
            assert_eq!(kind(a.read(&mut [0; 32]).await), ErrorKind::ConnectionReset);
            net.assert_no_flows();
            assert_eq!(net.client.stats().time_wait, 0);
        });
    }
}

#[test]
fn a_reset_is_told_once_by_take_error() {
    lab(1, async |net| {
        let (a, b) = net.connect(AT[0]).await;
        assert!(b.take_error().unwrap().is_none());
        a.abort();
        net.sleep(ms(1)).await;
        assert_eq!(b.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionReset);
        assert!(b.take_error().unwrap().is_none());
    });
}

#[test]
fn a_closed_listener_resets_who_was_not_accepted() {
    lab(1, async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let mut incoming = listener.incoming();
        let mut waiting = net.client.dial_tcp(AT[0]).await.unwrap();
        let (accepted, mut talking) = connect(&listener, &net.client).await;
        listener.close();
        // The first in the queue was `waiting`, so that is the one accepted.
        let mut buf = [0; 8];
        assert_eq!(kind(talking.read(&mut buf).await), ErrorKind::ConnectionReset);
        assert_eq!(accepted.peer_addr().unwrap(), waiting.local_addr().unwrap());
        waiting.write_all(b"still here").await.unwrap();
        assert_eq!(receive_some(&accepted).await, b"still here");
        assert_eq!(kind(incoming.next().await.unwrap()), ErrorKind::NotConnected);
        assert!(incoming.next().await.is_none());
        net.server.listen_tcp(AT[0]).unwrap();
    });
}

async fn receive_some(mut stream: &TcpStream) -> Vec<u8> {
    let mut buf = vec![0; 64 << 10];
    let n = stream.read(&mut buf).await.unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn a_peer_that_has_closed_already_is_accepted_all_the_same() {
    lab(1, async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let dialled = net.client.dial_tcp(AT[0]).await.unwrap();
        send(&dialled, b"and gone").await.unwrap();
        drop(dialled);
        net.sleep(secs(1)).await;
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(receive(&accepted).await.unwrap(), b"and gone");
    });
}

#[test]
fn a_closed_stack_resets_and_gives_its_addresses_back_at_once() {
    lab(1, async |net| {
        for round in 0..3_u8 {
            let again = net.internet.new_stack(MTU_ETHERNET, [ip("10.0.0.7"), ip("fd00::7")]).unwrap();
            let listener = again.listen_tcp("[::]:80").unwrap();
            for to in ["10.0.0.7:80", "[fd00::7]:80"] {
                let (mut a, mut b) = {
                    let (accepted, dialled) = zip(listener.accept(), net.client.dial_tcp(to)).await;
                    (accepted.unwrap().0, dialled.unwrap())
                };
                a.write_all(&[round]).await.unwrap();
                assert_eq!(b.read(&mut [0]).await.unwrap(), 1);
                if to.starts_with('[') {
                    again.close();
                    assert_eq!(kind(b.read(&mut [0]).await), ErrorKind::ConnectionReset);
                }
            }
            assert!(again.vnic().is_closed());
            let gone = kind(
                net.internet
                    .clock()
                    .timeout(secs(10), net.client.dial_tcp("10.0.0.7:80"))
                    .await
                    .map_err(Into::into)
                    .and_then(|r| r),
            );
            assert_eq!(gone, ErrorKind::TimedOut);
        }
    });
}

#[test]
fn a_stack_without_handles_finishes_its_flows_and_then_its_vnic_closes() {
    Lab::new(1).path(Faults { delay: ms(20), ..Faults::default() }.path()).run(async |net| {
        let leaving = net.internet.new_stack(MTU_ETHERNET, [ip("10.0.0.7")]).unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let hook = closed.clone();
        leaving.vnic().on_close(move || hook.store(true, Ordering::SeqCst));

        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let (a, mut b) = connect(&listener, &leaving).await;
        drop(leaving);
        let data = noise(1, 60_000);
        b.write_all(&data).await.unwrap();
        assert!(!closed.load(Ordering::SeqCst), "a socket keeps its stack");
        drop(b);
        assert!(!closed.load(Ordering::SeqCst), "so does a connection that is closing");
        assert!(receive(&a).await.unwrap() == data);
        drop(a);
        net.sleep(secs(1)).await;
        assert!(closed.load(Ordering::SeqCst));
        net.assert_no_flows();
        net.internet.new_stack(MTU_ETHERNET, [ip("10.0.0.7")]).unwrap();

        // One with nothing to finish is gone at once.
        let idle = net.internet.new_stack(MTU_ETHERNET, [ip("10.0.0.8")]).unwrap();
        let (vnic, socket) = (idle.vnic().clone(), idle.listen_udp("10.0.0.8:53").unwrap());
        drop(idle);
        assert!(!vnic.is_closed());
        drop(socket);
        assert!(vnic.is_closed());
    });
}

#[test]
fn several_readers_of_one_stream_lose_nothing() {
    lab(1, async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let got = RefCell::new(Vec::new());
        let executor = async_executor::LocalExecutor::new();
        let readers: Vec<_> = (0..5)
            .map(|_| {
                let (mut stream, got) = (a.clone(), &got);
                executor.spawn(async move {
                    let mut buf = [0; 100];
                    loop {
                        let n = stream.read(&mut buf).await.unwrap();
                        if n == 0 {
                            break;
                        }
                        // No await between the read and this, so the order is that of the reads.
                        got.borrow_mut().extend_from_slice(&buf[..n]);
                    }
                })
            })
            .collect();
        let data = noise(1, 5000);
        executor
            .run(async {
                let mut b = b;
                for part in data.chunks(50) {
                    b.write_all(part).await.unwrap();
                    net.sleep(ms(1)).await;
                }
                b.close().await.unwrap();
                for reader in readers {
                    reader.await; // all of them see the end
                }
            })
            .await;
        assert!(*got.borrow() == data);
    });
}

#[test]
fn two_readers_and_two_writers_share_a_stream() {
    const LEN: usize = 20_000;
    let config = StackConfig::default().recv_buffer(3000).send_buffer(3000);
    let path = Faults { seed: 3, loss: 20, delay: ms(2), jitter: ms(2), ..Faults::default() }.path();
    Lab::new(3).config(config).path(path).run(async |net| {
        let (a, b) = net.connect(AT[0]).await;
        // The upper bit says whose a byte is, the others count.
        let write = async |writer: u8| {
            let data: Vec<u8> = (0..LEN).map(|n| writer << 7 | (n % 128) as u8).collect();
            (&b).write_all(&data).await.unwrap();
        };
        let got = RefCell::new(Vec::new());
        let read = async || {
            let mut buf = [0; 500];
            loop {
                match (&a).read(&mut buf).await.unwrap() {
                    0 => break,
                    // No await between the read and this, so the order is that of the reads.
                    n => got.borrow_mut().extend_from_slice(&buf[..n]),
                }
            }
        };
        let writing = async {
            zip(write(0), write(1)).await;
            (&b).close().await.unwrap();
        };
        net.soon(zip(writing, zip(read(), read()))).await;
        for writer in [0, 1] {
            let of_one: Vec<u8> = got.borrow().iter().filter(|byte| *byte >> 7 == writer).copied().collect();
            assert_eq!(of_one.len(), LEN);
            assert!(of_one.iter().enumerate().all(|(n, byte)| usize::from(byte & 127) == n % 128));
        }
        drop((a, b));
        net.sleep(secs(1)).await;
        net.assert_no_flows();
    });
}

#[test]
fn several_acceptors_and_several_dials() {
    lab(1, async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let executor = async_executor::LocalExecutor::new();
        let accepts: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                executor.spawn(async move { listener.accept().await.unwrap().1 })
            })
            .collect();
        let dials: Vec<_> = (0..10).map(|_| executor.spawn(net.client.dial_tcp(AT[0]))).collect();
        let (mut accepted, mut dialled) = (Vec::new(), Vec::new());
        executor
            .run(async {
                for (accept, dial) in accepts.into_iter().zip(dials) {
                    accepted.push(accept.await);
                    dialled.push(dial.await.unwrap().local_addr().unwrap());
                }
            })
            .await;
        accepted.sort();
        dialled.sort();
        assert_eq!(accepted, dialled);
        dialled.dedup();
        assert_eq!(dialled.len(), 10);
    });
}

#[test]
fn peeks_take_nothing() {
    lab(1, async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        let mut buf = [0; 4];
        let (peeked, ()) = zip(a.peek(&mut buf), async { b.write_all(b"peekaboo").await.unwrap() }).await;
        assert_eq!((peeked.unwrap(), &buf), (4, b"peek"));
        assert_eq!(a.peek(&mut [0; 2]).await.unwrap(), 2);
        assert_eq!(receive_some(&a).await, b"peekaboo");
        b.close().await.unwrap();
        assert_eq!(a.peek(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn writes_of_several_buffers_and_of_none() {
    lab(1, async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        assert_eq!(b.write(b"").await.unwrap(), 0);
        assert_eq!(b.write_vectored(&[]).await.unwrap(), 0);
        assert_eq!(b.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"")]).await.unwrap(), 0);
        let parts =
            [IoSlice::new(b"one, "), IoSlice::new(b""), IoSlice::new(b"two, "), IoSlice::new(b"three")];
        assert_eq!(b.write_vectored(&parts).await.unwrap(), 15);
        assert_eq!(b.try_write(b"").unwrap(), 0);
        assert_eq!((&a).read(&mut []).await.unwrap(), 0);
        b.close().await.unwrap();
        assert_eq!(receive(&a).await.unwrap(), b"one, two, three");
        assert_eq!(kind(b.write(b"").await), ErrorKind::BrokenPipe);
    });
}

#[test]
fn nothing_to_read_or_no_room_is_would_block() {
    lab(1, async |net| {
        let (a, b) = net.connect(AT[0]).await;
        assert_eq!(kind(a.try_read(&mut [0; 8])), ErrorKind::WouldBlock);
        let mut written = 0;
        let error = loop {
            match b.try_write(&[7; 10_000]) {
                Ok(n) => written += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let read = Cell::new(0);
        let reading = async {
            while read.get() < written {
                a.readable().await.unwrap();
                read.set(read.get() + a.try_read(&mut [0; 5000]).unwrap());
            }
        };
        net.soon(zip(reading, b.writable())).await.1.unwrap();
        assert!(b.try_write(b"x").unwrap() == 1);
    });
}

#[test]
fn settings_of_a_stream() {
    lab(1, async |net| {
        let (a, _b) = net.connect(AT[0]).await;
        assert!(a.nodelay().unwrap());
        a.set_nodelay(false).unwrap();
        assert!(!a.nodelay().unwrap());
        assert_eq!(a.ttl().unwrap(), 64);
        a.set_ttl(5).unwrap();
        assert_eq!(a.ttl().unwrap(), 5);
        assert_eq!(kind(a.set_ttl(0)), ErrorKind::InvalidInput);
        assert_eq!(a.keepalive().unwrap(), None);
        let connector = Connector::new(&net.client).local_addr("10.0.0.2:5555").nodelay(false);
        let _listener = net.server.listen_tcp("10.0.0.1:99").unwrap();
        let stream = connector.dial_tcp("10.0.0.1:99").await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), at("10.0.0.2:5555"));
        assert!(!stream.nodelay().unwrap());
    });
}

#[test]
fn an_address_that_moves_takes_its_listener_nowhere() {
    lab(1, async |net| {
        let service = ip("10.0.0.9");
        net.internet.assign(&net.server, service).unwrap();
        let listener = net.server.listen_tcp("10.0.0.9:80").unwrap();
        connect(&listener, &net.client).await;
        net.internet.unassign(&net.server, service).unwrap();
        let other = net.internet.new_stack(MTU_ETHERNET, [service]).unwrap();
        assert_eq!(kind(net.client.dial_tcp("10.0.0.9:80").await), ErrorKind::ConnectionRefused);
        let listener = other.listen_tcp("10.0.0.9:80").unwrap();
        connect(&listener, &net.client).await;
    });
}

#[test]
fn the_first_of_two_futures_to_be_ready_takes_nothing_from_the_other() {
    // `or` drops the loser at every turn: what futures do in a `select!`.
    lab(1, async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let data = noise(1, 20_000);
        let mut got = Vec::new();
        let reading = async {
            let mut buf = [0; 700];
            loop {
                let mut a = &a;
                let tick = async {
                    net.sleep(ms(1)).await;
                    None
                };
                match or(async { Some(a.read(&mut buf).await.unwrap()) }, tick).await {
                    Some(0) => break,
                    Some(n) => got.extend_from_slice(&buf[..n]),
                    None => {}
                }
            }
        };
        let writing = async {
            let mut b = &b;
            for part in data.chunks(1000) {
                net.sleep(ms(3)).await;
                b.write_all(part).await.unwrap();
            }
            b.close().await.unwrap();
        };
        zip(reading, writing).await;
        assert!(got == data);
    });
}
