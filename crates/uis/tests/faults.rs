//! Bad paths and full queues: every byte arrives, once and in order.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn streams_are_byte_exact_on_bad_paths() {
    let clean = Faults { delay: ms(5), ..Faults::default() };
    for (what, faults) in [
        ("loss", Faults { loss: 100, ..clean }),
        ("duplicates", Faults { duplicates: 200, ..clean }),
        ("reordering", Faults { jitter: ms(5), ..clean }),
        ("all of it", Faults { loss: 50, duplicates: 100, jitter: ms(10), ..clean }),
        ("loss without delay", Faults { loss: 100, ..Faults::default() }),
    ] {
        for seed in 1..=3 {
            for at in AT {
                Lab::new(seed).path(Faults { seed, ..faults }.path()).run(async |net| {
                    let (a, b) = net.connect(at).await;
                    exchange(a, b, 100_000).await;
                    let took = net.now() - Instant::ZERO;
                    assert!(took < secs(120), "{what}, seed {seed}: {took:?}");
                    // And both ends come to rest.
                    net.sleep(secs(200)).await;
                    net.assert_no_flows();
                });
            }
        }
    }
}

#[test]
fn without_faults_nothing_is_sent_twice() {
    for delay in [ms(0), ms(1), ms(50), ms(400)] {
        for at in AT {
            Lab::new(1).path(Faults { delay, ..Faults::default() }.path()).run(async |net| {
                let (a, b) = net.connect(at).await;
                let watch = async {
                    // Before they end, since netstat shows the living only.
                    let mut a = a.clone();
                    let mut b = b.clone();
                    let data = noise(1, 300_000);
                    let mut got = vec![0; data.len()];
                    let (sent, received) = zip(b.write_all(&data), a.read_exact(&mut got)).await;
                    sent.unwrap();
                    received.unwrap();
                    assert!(got == data);
                };
                watch.await;
                for stack in [&net.server, &net.client] {
                    assert_eq!(stack.connections()[0].retransmits, 0, "{delay:?} {at}");
                }
            });
        }
    }
}

#[test]
fn only_the_lost_segment_of_a_burst_is_missed_for_long() {
    // One segment in the middle of a stream is lost, once: duplicate acknowledgments bring it back before the
    // retransmission time-out.
    let lost = Rc::new(Cell::new(false));
    let path = {
        let lost = lost.clone();
        let mut bytes = 0;
        move |internet: &Internet, frame: Frame| {
            let seen = look(&frame).unwrap();
            bytes += seen.payload;
            if seen.payload > 1000 && bytes > 100_000 && !lost.get() {
                lost.set(true);
            } else {
                let _ = internet.deliver_after(frame, ms(10));
            }
        }
    };
    Lab::new(1).path(path).run(async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let start = net.now();
        let data = noise(1, 300_000);
        let (sent, got) = zip(send(&b, &data), receive(&a)).await;
        sent.unwrap();
        assert!(got.unwrap() == data);
        assert!(lost.get());
        let took = net.now() - start;
        assert!(took < ms(400), "{took:?}");
    });
}

#[test]
fn fifty_flows_share_a_queue_of_sixteen_packets() {
    Lab::new(1).max_in_flight(16).run(async |net| {
        let listener = net.server.listen_tcp("[::]:80").unwrap();
        let data = noise(1, 100_000);
        let done = RefCell::new(Vec::new());
        let executor = async_executor::LocalExecutor::new();
        let (mut streams, mut tasks) = (Vec::new(), Vec::new());
        for n in 0..50 {
            streams.push(connect_to(&listener, &net.client, AT[n % 2]).await);
        }
        for (n, (a, b)) in streams.iter().enumerate() {
            let (mut a, mut b, data, done) = (a.clone(), b.clone(), &data, &done);
            tasks.push(executor.spawn(async move { b.write_all(data).await.unwrap() }));
            tasks.push(executor.spawn(async move {
                let mut got = vec![0; data.len()];
                a.read_exact(&mut got).await.unwrap();
                assert!(got == *data);
                done.borrow_mut().push(n);
            }));
        }
        executor
            .run(async {
                for task in tasks {
                    task.await;
                }
            })
            .await;
        assert_eq!(done.borrow().len(), 50);
        for stack in [&net.server, &net.client] {
            let flows = stack.connections();
            assert_eq!(flows.len(), 50);
            assert!(flows.iter().all(|flow| flow.retransmits == 0), "{flows:?}");
            assert_eq!(stack.stats().not_sent(DropReason::Full), 0);
        }
        let stats = net.internet.stats();
        assert!(stats.refused > 0, "the queue was full");
        assert_eq!(stats.dropped_total(), 0);
        assert!(net.now() - Instant::ZERO < secs(1), "nobody waited for a time-out");
    });
}

#[test]
fn flows_on_a_full_queue_take_turns() {
    Lab::new(1).max_in_flight(16).run(async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let read: Vec<_> = (0..20).map(|_| Cell::new(0_usize)).collect();
        let executor = async_executor::LocalExecutor::new();
        let mut streams = Vec::new();
        for _ in 0..20 {
            streams.push(connect(&listener, &net.client).await);
        }
        let tasks: Vec<_> = streams
            .iter()
            .zip(&read)
            .flat_map(|((a, b), read)| {
                let (mut a, mut b) = (a.clone(), b.clone());
                let writing = executor.spawn(async move {
                    loop {
                        b.write_all(&[1; 10_000]).await.unwrap();
                    }
                });
                let reading = executor.spawn(async move {
                    loop {
                        read.set(read.get() + a.read(&mut [0; 10_000]).await.unwrap());
                    }
                });
                [writing, reading]
            })
            .collect();
        executor
            .run(async {
                while read.iter().map(Cell::get).sum::<usize>() < 20 * 300_000 {
                    futures_lite::future::yield_now().await;
                }
            })
            .await;
        drop(tasks);
        let (least, most) =
            (read.iter().map(Cell::get).min().unwrap(), read.iter().map(Cell::get).max().unwrap());
        assert!(least * 2 > most, "{least} {most}");
    });
}

async fn connect_to(listener: &TcpListener, client: &Stack, to: &str) -> (TcpStream, TcpStream) {
    let (accepted, dialled) = zip(listener.accept(), client.dial_tcp(to)).await;
    (accepted.unwrap().0, dialled.unwrap())
}

#[test]
fn small_packets_get_through_beside_bulk() {
    Lab::new(1).max_in_flight(16).run(async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let listener = net.server.listen_tcp("10.0.0.1:81").unwrap();
        let socket = net.server.listen_udp("10.0.0.1:53").unwrap();
        let data = noise(1, 2_000_000);
        let others = async {
            for _ in 0..20 {
                drop(connect(&listener, &net.client).await);
                let client = net.client.dial_udp("10.0.0.1:53").unwrap();
                client.send(b"?").await.unwrap();
                socket.recv_from(&mut [0; 8]).await.unwrap();
            }
            net.now()
        };
        let (bulk, at) = zip(zip(send(&b, &data), receive(&a)), others).await;
        assert!(bulk.1.unwrap() == data);
        assert!(at - Instant::ZERO < ms(200), "no SYN or datagram had to be sent twice: {at:?}");
    });
}

#[test]
fn a_lossy_queue_loses_segments_and_they_are_sent_again() {
    let config = StackConfig::default().lossy_queue(true);
    Lab::new(1).config(config).max_in_flight(16).run(async |net| {
        let (mut a, mut b) = net.connect(AT[0]).await;
        let data = noise(1, 500_000);
        let mut got = vec![0; data.len()];
        let (sent, received) = zip(b.write_all(&data), a.read_exact(&mut got)).await;
        sent.unwrap();
        received.unwrap();
        assert!(got == data);
        assert!(net.client.connections()[0].retransmits > 0);
        assert!(net.client.stats().not_sent(DropReason::Full) > 0, "{:?}", net.client.stats());
    });
}

#[test]
fn what_the_path_corrupts_is_discarded_and_sent_again() {
    for at in AT {
        let mut rng = Rng(5);
        let path = move |internet: &Internet, mut frame: Frame| {
            if rng.below(10) == 0 {
                let (len, bit) = (frame.len() as u64, rng.below(8));
                // Anywhere but in an IPv6 header, which no checksum covers in full.
                let start = if frame.packet()[0] >> 4 == 4 { 20 } else { 40 };
                let at = start + rng.below(len - start);
                frame.packet_mut()[at as usize] ^= 1 << bit;
            }
            let _ = internet.deliver_after(frame, ms(1));
        };
        Lab::new(1).path(path).run(async |net| {
            let (a, b) = net.connect(at).await;
            exchange(a, b, 100_000).await;
            let bad = net.server.stats().discarded(DiscardReason::BadTcpChecksum);
            assert!(bad > 0, "{:?}", net.server.stats());
            net.sleep(secs(200)).await;
            net.assert_no_flows();
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = |seed: u64| {
        let packets = Rc::new(RefCell::new(Vec::new()));
        let path = {
            let packets = packets.clone();
            let mut path = Faults { seed, loss: 50, duplicates: 50, delay: ms(3), jitter: ms(3) }.path();
            move |internet: &Internet, frame: Frame| {
                packets.borrow_mut().push((frame.sent_at().unwrap(), frame.packet().to_vec()));
                path(internet, frame);
            }
        };
        Lab::new(seed).path(path).run(async |net| {
            let listener = net.server.listen_tcp("[::]:80").unwrap();
            for to in AT {
                let (a, b) = connect_to(&listener, &net.client, to).await;
                exchange(a, b, 50_000).await;
            }
        });
        packets.take()
    };
    let (one, again, other) = (run(1), run(1), run(2));
    assert!(one.len() > 200);
    assert!(one == again);
    assert!(one != other);
}

/// How long it takes to send `len` bytes over 10 ms of round trip when the first transmissions of these segments are lost.
fn with_losses(len: usize, is_lost: impl Fn(u32) -> bool + 'static) -> Duration {
    let mut seen = std::collections::BTreeSet::new();
    let mut first = None;
    let path = move |internet: &Internet, frame: Frame| {
        let segment = look(&frame).filter(|seen| seen.payload > 0);
        if let Some(segment) = segment {
            let start = *first.get_or_insert(segment.seq);
            let n = segment.seq.wrapping_sub(start) / 1460;
            if seen.insert(n) && is_lost(n) {
                return;
            }
        }
        internet.deliver_after(frame, ms(5)).unwrap();
    };
    // All of it under way at once.
    let config = StackConfig::default().congestion(Congestion::None);
    Lab::new(1).config(config).max_in_flight(4096).path(path).run(async |net| {
        let (a, b) = net.connect(AT[0]).await;
        let data = noise(1, len);
        let start = net.now();
        let (sent, received) = zip(send(b, &data), receive(a)).await;
        sent.unwrap();
        assert!(received.unwrap() == data);
        net.now() - start
    })
}

/// How many segments the tests of holes send.
const SEGMENTS: u32 = 400;

/// By how many round trips losses make it longer.
fn round_trips_lost(is_lost: impl Fn(u32) -> bool + 'static) -> u32 {
    let len = SEGMENTS as usize * 1460;
    let longer = with_losses(len, is_lost) - with_losses(len, |_| false);
    longer.div_duration_f64(ms(10)).ceil() as u32
}

#[test]
fn a_hole_is_repaired_in_a_round_trip() {
    // RFC 6582: one for each. However long a hole is, it is one to the receiver, and as many segments to the sender.
    for (holes, every) in [(1, 1), (10, 30), (32, 10)] {
        let took = round_trips_lost(move |n| n % every == 1 % every && n / every < holes);
        assert!(took <= holes + 2, "{took} round trips for {holes} holes");
    }
    for len in [10, 33, 100, 300] {
        let took = round_trips_lost(move |n| (50..50 + len).contains(&n));
        assert!(took <= len + 2, "{took} round trips for {len} segments in a row");
    }
}

#[test]
fn what_finds_no_place_behind_32_holes_is_repaired_without_time_outs() {
    // It is lost too, so there is nothing behind it, and the receiver may put its acknowledgment off.
    for (holes, every) in [(100, 3), (150, 2)] {
        let took = round_trips_lost(move |n| n % every == 1 && n / every < holes);
        let most = 32 + 2 * (SEGMENTS - 32 * every);
        assert!(took <= most, "{took} round trips, and not {most}, for {holes} holes");
    }
}

#[test]
fn a_path_that_becomes_longer_is_felt_out_again() {
    for delay in [ms(5), ms(40), ms(150)] {
        let longer = Rc::new(Cell::new(false));
        let path = {
            let longer = longer.clone();
            move |internet: &Internet, frame: Frame| {
                let _ =
                    if longer.get() { internet.deliver_after(frame, delay) } else { internet.deliver(frame) };
            }
        };
        Lab::new(1).path(path).run(async |net| {
            let (mut a, mut b) = net.connect(AT[0]).await;
            longer.set(true);
            let data = noise(1, 2_000_000);
            let mut got = vec![0; data.len()];
            let start = net.now();
            let (sent, received) = zip(a.write_all(&data), b.read_exact(&mut got)).await;
            sent.unwrap();
            received.unwrap();
            assert!(got == data);
            let round_trip = 2 * delay;
            let sender = &net.server.connections()[0];
            let rtt = sender.rtt.expect("it was measured");
            assert!(rtt > round_trip * 9 / 10 && rtt < round_trip + ms(10), "{rtt:?} for {round_trip:?}");
            assert!(sender.retransmits < 50, "{} segments sent again for {round_trip:?}", sender.retransmits);
            let took = net.now() - start;
            assert!(took < round_trip * 80, "{took:?} for {round_trip:?}");
        });
    }
}

/// One question after the other, where a fifth of all packets is lost.
#[test]
fn many_losses_make_no_time_out_grow_for_long() {
    let took = (1..=12).map(|seed| {
        let faults = Faults { seed, loss: 200, delay: ms(5), ..Faults::default() };
        Lab::new(seed).path(faults.path()).run(async |net| {
            let (mut a, mut b) = net.connect(AT[0]).await;
            let start = net.now();
            let answer = async {
                let mut buf = [0; 100];
                for _ in 0..60 {
                    b.read_exact(&mut buf).await.unwrap();
                    b.write_all(&buf).await.unwrap();
                }
            };
            let ask = async {
                let mut buf = [7; 100];
                for _ in 0..60 {
                    a.write_all(&buf).await.unwrap();
                    a.read_exact(&mut buf).await.unwrap();
                }
            };
            zip(ask, answer).await;
            net.now() - start
        })
    });
    let took = took.sum::<Duration>() / 12;
    assert!(took < secs(15), "{took:?} for 60 questions");
}
