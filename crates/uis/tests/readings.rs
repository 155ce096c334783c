//! Reading the system's clock takes a good part of the time that a segment does: how often it is read, and how well.

mod common;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// A virtual clock whose coarse times are late by as much as those of a slow kernel.
#[derive(Clone, Debug)]
struct Counting {
    inner: SharedClock,
    exact: Arc<AtomicU64>,
    coarse: Arc<AtomicU64>,
}

impl Counting {
    fn new(clock: &VirtualClock) -> Self {
        Self { inner: clock.handle(), exact: Arc::default(), coarse: Arc::default() }
    }

    /// How many exact and how many coarse readings there were since this was asked last.
    fn readings(&self) -> (u64, u64) {
        (self.exact.swap(0, Ordering::Relaxed), self.coarse.swap(0, Ordering::Relaxed))
    }
}

impl Clock for Counting {
    fn now(&self) -> Instant {
        self.exact.fetch_add(1, Ordering::Relaxed);
        self.inner.now()
    }

    fn now_coarse(&self) -> Instant {
        self.coarse.fetch_add(1, Ordering::Relaxed);
        self.inner.now() - ms(10)
    }

    fn epoch(&self) -> SystemTime {
        self.inner.epoch()
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.inner.wake_at(deadline, waker)
    }
}

/// Sends as many bytes over a path that takes `delay` each way from then on. Gives the packets of the transfer, the exact and the coarse
/// readings, and the round trip that the sender has measured.
fn download(len: usize, delay: Duration) -> (u64, (u64, u64), Option<Duration>) {
    let clock = VirtualClock::new();
    clock.advance(secs(1));
    let counting = Counting::new(&clock);
    let internet = Internet::builder().clock(SharedClock::new(counting.clone())).build();
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    let connected = Cell::new(false);
    let path = |internet: &Internet, frame: Frame| {
        if !connected.get() || delay.is_zero() {
            internet.deliver(frame)
        } else {
            internet.deliver_after(frame, delay)
        }
        .unwrap();
    };
    let talk = async {
        let listener = server.listen_tcp(AT[0]).unwrap();
        let (mut a, mut b) = connect(&listener, &client).await;
        connected.set(true); // the handshake took no time
        let before = internet.stats().sent;
        counting.readings();
        let data = noise(1, len);
        let mut got = vec![0; len];
        let (sent, received) = zip(a.write_all(&data), b.read_exact(&mut got)).await;
        sent.unwrap();
        received.unwrap();
        assert!(got == data);
        let readings = counting.readings();
        // The last acknowledgment is under way.
        internet.clock().sleep(secs(1)).await;
        (internet.stats().sent - before, readings, server.connections()[0].rtt)
    };
    clock.block_on(internet.route_until(talk, path))
}

#[test]
fn most_segments_need_no_exact_time() {
    let (packets, (exact, coarse), _) = download(3_000_000, ms(0));
    // Every second segment is acknowledged, in a packet that says when it was sent.
    assert!(exact < packets / 2, "{exact} readings for {packets} packets");
    assert!(coarse <= packets, "{coarse} readings for {packets} packets");
}

#[test]
fn a_coarse_time_is_no_part_of_a_round_trip() {
    for delay in [ms(5), ms(40)] {
        let (_, (_, coarse), rtt) = download(3_000_000, delay);
        let rtt = rtt.expect("many were measured");
        // It comes nearer with each round trip that is measured.
        assert!((delay..2 * delay + ms(10)).contains(&rtt), "{rtt:?} over a path of {delay:?}");
        assert!(coarse > 0);
    }
}

/// One end writes a burst every millisecond, 100 times, over a path that takes a millisecond each way and loses nothing. Gives
/// what each end knows of its connection then.
fn bursts(config: StackConfig) -> [Connection; 2] {
    const BURST: usize = 14_000;
    let clock = VirtualClock::new();
    clock.advance(secs(1));
    let internet = Internet::builder().clock(SharedClock::new(Counting::new(&clock))).build();
    let stack =
        |addrs: [&str; 2]| internet.new_stack_with(MTU_ETHERNET, addrs.map(ip), config.clone()).unwrap();
    let (server, client) = (stack(SERVER), stack(CLIENT));
    let talk = async {
        let listener = server.listen_tcp(AT[0]).unwrap();
        let (mut a, mut b) = connect(&listener, &client).await;
        let write = async {
            for n in 0..100 {
                a.write_all(&noise(n, BURST)).await.unwrap();
                internet.clock().sleep(ms(1)).await;
            }
        };
        let mut got = vec![0; 100 * BURST];
        zip(write, async { b.read_exact(&mut got).await.unwrap() }).await;
        [&server, &client].map(|stack| stack.connections().remove(0))
    };
    clock
        .block_on(internet.route_until(talk, |internet, frame| internet.deliver_after(frame, ms(1)).unwrap()))
}

#[test]
fn a_coarse_time_shows_no_loss() {
    for delayed_ack in [None, Some(ms(1)), Some(ms(10))] {
        let [sender, _] = bursts(StackConfig::default().delayed_ack(delayed_ack));
        assert_eq!(sender.retransmits, 0, "{delayed_ack:?}");
    }
}

#[test]
fn a_coarse_time_makes_no_keep_alive_early() {
    let mut keepalive = Keepalive::after(ms(4));
    (keepalive.interval, keepalive.probes) = (ms(3), 2);
    for end in bursts(StackConfig::default().keepalive(Some(keepalive))) {
        assert_eq!((end.state, end.unanswered), (TcpState::Established, 0));
    }
}
