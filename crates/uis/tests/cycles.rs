//! Ten thousand internets, each made, used and dropped: nothing of them is left, in whatever order their parts go.
//!
//! In a process of its own, for it counts every byte, thread and descriptor.

mod common;

use std::alloc::System;
use std::any::Any;
use std::fs;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footprint {
    bytes: usize,
    threads: usize,
    descriptors: usize,
}

impl Footprint {
    fn now() -> Self {
        let stats = ALLOCATOR.stats();
        let bytes = stats.bytes_allocated - stats.bytes_deallocated;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
        let threads = threads.map_or(0, |n| n.trim().parse().unwrap());
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self { bytes, threads, descriptors }
    }
}

/// The parts of an internet in use, to be dropped in any order.
const PARTS: usize = 7;

/// A connection that has carried bytes both ways, a datagram, and a capture of all that.
fn in_use(clock: &VirtualClock, closed: bool) -> [Box<dyn Any>; PARTS] {
    let internet = Internet::builder().clock(clock).build();
    let stack = |addr| internet.new_stack_with(MTU_ETHERNET, [ip(addr)], StackConfig::small()).unwrap();
    let (server, client) = (stack("10.0.0.1"), stack("10.0.0.2"));
    let listener = server.listen_tcp(AT[0]).unwrap();
    let trace = PcapTrace::new(std::io::sink(), 65_535);
    let test = async {
        let (mut a, mut b) = connect(&listener, &client).await;
        b.write_all(b"question").await.unwrap();
        a.read_exact(&mut [0; 8]).await.unwrap();
        a.write_all(b"answer").await.unwrap();
        b.read_exact(&mut [0; 6]).await.unwrap();
        let socket = server.listen_udp("10.0.0.1:53").unwrap();
        let from = client.dial_udp("10.0.0.1:53").unwrap();
        let mut buf = [0; 8];
        zip(from.send(b"?"), socket.recv(&mut buf)).await.1.unwrap();
        if closed {
            b.close().await.unwrap();
        }
        (a, b)
    };
    // Only until the test is done: what comes after that stays in flight.
    let routing = internet.route(|internet, frame| {
        trace.dump(frame.packet());
        internet.deliver(frame)
    });
    let (a, b) = clock.block_on(futures_lite::future::or(test, async {
        routing.await;
        unreachable!("the internet is open")
    }));
    [
        Box::new(internet),
        Box::new(server),
        Box::new(client),
        Box::new(listener),
        Box::new(trace),
        Box::new(a),
        Box::new(b),
    ]
}

/// The `n`th of all orders of so many.
fn permutation(mut n: usize) -> [usize; PARTS] {
    let mut left: Vec<usize> = (0..PARTS).collect();
    std::array::from_fn(|at| {
        let choices = PARTS - at;
        let chosen = left.remove(n % choices);
        n /= choices;
        chosen
    })
}

#[test]
fn ten_thousand_internets_leave_nothing_behind() {
    let orders = (1..=PARTS).product::<usize>();
    assert_eq!(orders, 5040);
    let mut before = None;
    for n in 0..2 * orders {
        let clock = VirtualClock::new();
        let mut parts = in_use(&clock, n >= orders).map(Some);
        for at in permutation(n) {
            parts[at] = None;
        }
        drop(parts);
        drop(clock);
        // A few hundred to fill what is kept for the next one, such as buffers.
        if n == 300 {
            before = Some(settled(None));
        }
    }
    let before = before.unwrap();
    let after = settled(Some(before));
    assert_eq!((after.threads, after.descriptors), (before.threads, before.descriptors));
    assert!(after.bytes <= before.bytes + 4096, "{before:?} became {after:?}");
}

/// What there is once the threads that write captures have noticed that they are done.
fn settled(wanted: Option<Footprint>) -> Footprint {
    let mut last = Footprint::now();
    for _ in 0..1000 {
        // Threads that end: this tests real time.
        std::thread::sleep(ms(10));
        let now = Footprint::now();
        if wanted.map_or(now == last, |wanted| now.threads <= wanted.threads && now.bytes <= wanted.bytes) {
            return now;
        }
        last = now;
    }
    last
}
