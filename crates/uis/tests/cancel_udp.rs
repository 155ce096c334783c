//! Futures of datagrams that are dropped before they are ready: none is lost, doubled, or sent in part.

mod common;

use common::*;
use futures_lite::future::zip;

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

/// Waiting for readiness, `recv`, `send_to`, and the traits that stand for any network.
#[test]
fn readiness_and_the_traits() {
    for k in 0..8 {
        Lab::new(1).max_in_flight(2).run(async |net| {
            let socket = net.server.listen_udp("10.0.0.1:53").unwrap();
            socket.connect("10.0.0.2:5353").unwrap();
            let client = net.client.listen_udp("10.0.0.2:5353").unwrap();
            let to = "10.0.0.1:53".parse().unwrap();
            let sending = async {
                let mut sent = Vec::new();
                for n in 0..60_u32 {
                    cancel_after(k, client.writable()).await;
                    let results = [
                        (4 * n, cancel_after(k, client.send_to(&(4 * n).to_be_bytes(), to)).await),
                        (
                            4 * n + 1,
                            cancel_after(k, Datagrams::send_to(&client, &(4 * n + 1).to_be_bytes(), to))
                                .await,
                        ),
                    ];
                    sent.extend(results.into_iter().filter_map(|(n, result)| result.map(|_| n)));
                    let in_earnest = 4 * n + 2;
                    client.send_to(&in_earnest.to_be_bytes(), to).await.unwrap();
                    sent.push(in_earnest);
                }
                client.send_to(&u32::MAX.to_be_bytes(), to).await.unwrap();
                sent
            };
            let receiving = async {
                let (mut got, mut buf) = (Vec::new(), [0; 4]);
                loop {
                    cancel_after(k, socket.readable()).await;
                    let received = match got.len() % 3 {
                        0 => cancel_after(k, socket.recv(&mut buf)).await,
                        1 => cancel_after(k, Datagrams::recv(&socket, &mut buf)).await,
                        _ => cancel_after(k, Datagrams::recv_from(&socket, &mut buf))
                            .await
                            .map(|r| r.map(|r| r.0)),
                    };
                    if received.is_none() {
                        socket.recv(&mut buf).await.unwrap();
                    }
                    match u32::from_be_bytes(buf) {
                        u32::MAX => break got,
                        n => got.push(n),
                    }
                }
            };
            let (sent, got) = net.soon(zip(sending, receiving)).await;
            assert_eq!(sent, got, "k = {k}");
            assert_eq!(net.server.stats().total_discarded(), 0);
        });
    }
}

/// What was polled by hand and never again has taken nothing, and wakes whoever polled last.
#[test]
fn polls_by_hand_that_nobody_repeats() {
    lab(1, async |net| {
        let socket = net.server.listen_udp("10.0.0.1:53").unwrap();
        let client = net.client.dial_udp("10.0.0.1:53").unwrap();
        let wakes: [std::sync::Arc<Wakes>; 4] = Default::default();
        let mut buf = [0; 4];
        for (n, wakes) in wakes.iter().enumerate() {
            let waker = std::task::Waker::from(wakes.clone());
            let cx = &mut std::task::Context::from_waker(&waker);
            assert!(match n {
                0 => socket.poll_recv_from(cx, &mut buf).is_pending(),
                1 => socket.poll_recv_msg(cx, &mut buf).is_pending(),
                2 => socket.poll_peek_from(cx, &mut buf).is_pending(),
                _ => socket.poll_recv_ready(cx).is_pending(),
            });
        }
        client.send(b"once").await.unwrap();
        net.sleep(ms(1)).await;
        for wakes in &wakes {
            assert_eq!(wakes.count(), 1, "every distinct waker is kept until the next wake");
        }
        assert_eq!(socket.try_recv_from(&mut buf).unwrap().0, 4);
        assert_eq!(kind(socket.try_recv_from(&mut buf)), std::io::ErrorKind::WouldBlock);
    });
}
