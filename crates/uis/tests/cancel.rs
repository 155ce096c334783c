//! Futures that are dropped before they are ready: no byte lost or doubled, no port or flow left.

#[macro_use]
mod common;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

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

/// The same, by the stream of connections and by the traits that stand for any network.
#[test]
fn dials_and_accepts_of_any_network() {
    async fn run(net: &Net, dial: impl Dial, listen: impl Listen<Listener = TcpListener>, k: usize) {
        let at: std::net::SocketAddr = AT[0].parse().unwrap();
        assert!(cancel_after(0, listen.listen_tcp(at)).await.is_none(), "and the port is free");
        let listener = listen.listen_tcp(at).await.unwrap();
        let mut incoming = listener.incoming();
        let dialling = async {
            for _ in 0..20 {
                cancel_after(k, dial.dial_tcp(at)).await;
                net.sleep(ms(1)).await;
                dial.dial_tcp(at).await.unwrap();
            }
            net.sleep(ms(100)).await;
            listener.close();
        };
        let accepting = async {
            let mut accepted = 0;
            loop {
                match cancel_after(k, incoming.next()).await {
                    Some(Some(Ok(_))) => accepted += 1,
                    Some(_) => break accepted,
                    None => {}
                }
                match cancel_after(k + 1, Accept::accept(&listener)).await {
                    Some(Ok(_)) => accepted += 1,
                    Some(Err(_)) => break accepted,
                    None => net.sleep(ms(1)).await,
                }
            }
        };
        let ((), accepted) = net.soon(zip(dialling, accepting)).await;
        // One that was dropped as its last ACK was on its way has been a connection.
        assert!(accepted >= 20, "{accepted}");
        drop(incoming);
        net.sleep(secs(200)).await;
        net.assert_no_flows();
    }
    for k in 0..6 {
        Lab::new(1).path(slow(1)).run(async |net| {
            run(net, net.client.clone(), net.server.clone(), k).await;
            run(net, Connector::new(&net.client), ListenConfig::new(&net.server), k).await;
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
                let reading = async { read_giving_up!(a, k, data) };
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
            let (mut in_flight, mut taken) = (internet.in_flight(), Vec::new());
            for k in 1.. {
                cancel_after(k % 5 + 1, internet.route(|internet, frame| internet.deliver(frame))).await;
                let ended = std::future::pending::<()>();
                let until = internet.route_until(ended, |internet, frame| internet.deliver(frame));
                cancel_after(k % 4 + 1, until).await;
                for one in
                    [cancel_after(k % 3, in_flight.recv()).await, cancel_after(k % 2, in_flight.next()).await]
                {
                    taken.extend(one.flatten());
                }
                cancel_after(k % 3, in_flight.recv_many(&mut taken, 2)).await;
                internet.deliver_many(taken.drain(..));
                futures_lite::future::yield_now().await;
            }
        };
        futures_lite::future::or(test, routing).await;
    });
    assert_eq!(internet.stats().withheld(), 0);
    assert!(clock.now() - Instant::ZERO < ms(100), "nothing had to be sent twice: {:?}", clock.now());
}
