//! Futures that are dropped before they are ready: no byte lost or doubled, no port or flow left.

mod common;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Slow enough that everything waits, and out of order.
fn slow(seed: u64) -> impl FnMut(&Internet, Frame) {
    Faults { seed, delay: ms(2), jitter: ms(2), ..Faults::default() }.path()
}

#[test]
fn dials() {
    for k in 0..8 {
        Lab::new(k as u64).path(slow(1)).run(async |net| {
            let listener = net.server.listen_tcp(AT[0]).unwrap();
            let mut connected = 0;
            for _ in 0..20 {
                if let Some(dialled) = cancel_after(k, net.client.dial_tcp(AT[0])).await {
                    dialled.unwrap();
                    connected += 1;
                }
                net.sleep(ms(1)).await;
            }
            assert_eq!(net.client.stats().connections, connected, "the one that was dialled closes still");
            net.sleep(secs(1)).await;
            // Those that came through are accepted, if only to see that they are over; nothing is half open.
            while !would_wait(listener.accept()) {
                drop(listener.accept().await);
            }
            net.sleep(secs(200)).await;
            net.assert_no_flows();
            assert_eq!(net.client.stats().time_wait + net.server.stats().time_wait, 0);
        });
    }
}

#[test]
fn dials_given_up_leave_no_port_taken() {
    // More than there are ephemeral ports.
    let config = StackConfig::small().recv_buffer(64).send_buffer(64);
    Lab::new(1).config(config).path(|_, _| ()).run(async |net| {
        for _ in 0..17_000 {
            assert!(would_wait(net.client.dial_tcp(AT[0])));
        }
        net.assert_no_flows();
        assert_eq!(net.client.stats().time_wait, 0);
    });
}

#[test]
fn accepts() {
    for k in 0..8 {
        Lab::new(1).path(slow(1)).run(async |net| {
            let listener = net.server.listen_tcp(AT[0]).unwrap();
            let dialling = async {
                let mut dialled = Vec::new();
                for _ in 0..30 {
                    dialled.push(net.client.dial_tcp(AT[0]).await.unwrap());
                }
                dialled
            };
            let accepting = async {
                let mut accepted = Vec::new();
                while accepted.len() < 30 {
                    // With k = 0 nothing would ever be accepted, so every other one is in earnest.
                    if let Some(one) = cancel_after(k, listener.accept()).await {
                        accepted.push(one.unwrap().1);
                    }
                    if accepted.len() < 30 {
                        accepted.push(listener.accept().await.unwrap().1);
                    }
                    net.sleep(ms(1)).await;
                }
                accepted
            };
            let (dialled, accepted) = net.soon(zip(dialling, accepting)).await;
            let dialled: Vec<_> = dialled.iter().map(|stream| stream.local_addr().unwrap()).collect();
            assert_eq!(accepted, dialled);
        });
    }
}

#[test]
fn reads_peeks_and_writes_of_a_stream() {
    let config = StackConfig::default().recv_buffer(3000).send_buffer(3000);
    for k in 0..8 {
        for seed in 0..3 {
            Lab::new(seed).config(config.clone()).path(slow(seed)).run(async |net| {
                let (mut a, mut b) = net.connect(AT[0]).await;
                let data = noise(seed, 60_000);
                let writing = async {
                    let mut written = 0;
                    while written < data.len() {
                        let end = data.len().min(written + 2000);
                        if let Some(n) = cancel_after(k, b.write(&data[written..end])).await {
                            written += n.unwrap();
                        }
                        cancel_after(k, b.writable()).await;
                        let end = data.len().min(written + 700);
                        written += b.write(&data[written..end]).await.unwrap();
                    }
                    b.close().await.unwrap();
                };
                let reading = async {
                    let (mut got, mut buf) = (Vec::new(), [0; 900]);
                    loop {
                        cancel_after(k, a.readable()).await;
                        if let Some(n) = cancel_after(k, a.peek(&mut buf)).await {
                            let n = n.unwrap();
                            assert!(data[got.len()..].starts_with(&buf[..n]));
                        }
                        if let Some(n) = cancel_after(k, a.read(&mut buf)).await {
                            got.extend_from_slice(&buf[..n.unwrap()]);
                        }
                        match a.read(&mut buf).await.unwrap() {
                            0 => break got,
                            n => got.extend_from_slice(&buf[..n]),
                        }
                    }
                };
                let ((), got) = net.soon(zip(writing, reading)).await;
                assert!(got == data, "k = {k}, seed {seed}");
                drop((a, b));
                net.sleep(secs(1)).await;
                net.assert_no_flows();
            });
        }
    }
}

#[test]
fn datagrams_received_and_sent() {
    for k in 0..8 {
        // The queue is short, so that sending waits.
        Lab::new(1).max_in_flight(4).run(async |net| {
            let socket = net.server.listen_udp("10.0.0.1:53").unwrap();
            let client = net.client.dial_udp("10.0.0.1:53").unwrap();
            let sending = async {
                let mut sent = Vec::new();
                for n in 0..100_u32 {
                    // Long enough to be fragmented: one that was not sent must not leave half of it either.
                    let message = [n.to_be_bytes(); 600].concat();
                    if let Some(result) = cancel_after(k, client.send(&message)).await {
                        assert_eq!(result.unwrap(), message.len());
                        sent.push(n);
                    }
                    let small = (n + 1000).to_be_bytes();
                    client.send(&small).await.unwrap();
                    sent.push(n + 1000);
                }
                client.send(&u32::MAX.to_be_bytes()).await.unwrap();
                sent
            };
            let receiving = async {
                let (mut got, mut buf) = (Vec::new(), [0; 3000]);
                loop {
                    let n = match cancel_after(k, socket.recv_from(&mut buf)).await {
                        Some(received) => received.unwrap().0,
                        None => {
                            cancel_after(k, socket.peek_from(&mut [0; 10])).await;
                            socket.recv_from(&mut buf).await.unwrap().0
                        }
                    };
                    let number = u32::from_be_bytes(buf[..4].try_into().unwrap());
                    assert_eq!(n, if number < 1000 { 2400 } else { 4 });
                    if number == u32::MAX {
                        break got;
                    }
                    got.push(number);
                }
            };
            let (sent, got) = net.soon(zip(sending, receiving)).await;
            assert_eq!(sent, got, "k = {k}");
            let discarded = net.server.stats().total_discarded();
            assert_eq!(discarded, 0);
            net.sleep(secs(100)).await;
            assert_eq!(net.server.stats().total_discarded(), 0, "nor is a part of one left");
        });
    }
}

#[test]
fn a_router_that_is_cancelled_loses_no_packet() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).build();
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    clock.block_on(async {
        let listener = server.listen_tcp(AT[0]).unwrap();
        let test = async {
            let (a, b) = connect(&listener, &client).await;
            exchange(a, b, 100_000).await;
        };
        let routing = async {
            for k in 1.. {
                cancel_after(k % 5 + 1, internet.route(|internet, frame| internet.deliver(frame))).await;
                cancel_after(k % 3, internet.in_flight().recv())
                    .await
                    .map(|frame| internet.deliver(frame.unwrap()));
                futures_lite::future::yield_now().await;
            }
        };
        futures_lite::future::or(test, routing).await;
    });
    assert_eq!(internet.stats().withheld(), 0);
    assert!(clock.now() - Instant::ZERO < ms(100), "nothing had to be sent twice: {:?}", clock.now());
}
