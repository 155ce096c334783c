//! What a connection weighs that nobody uses, and what it weighs once somebody does.
//!
//! In a binary of its own, and as a single test, since it counts what the whole process allocates.

mod common;

use common::*;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How many connections are weighed.
const PAIRS: usize = 1000;

/// What both ends of one may take together, whatever the size of its buffers is: neither has rings.
const IDLE: usize = 7000;

/// What an end may take in addition, with small buffers, once it has sent something: a ring for each direction.
const RINGS: std::ops::Range<usize> = 8192..8704;

/// So many connections are made, and weighed; then each is used by `case`, and what that adds is weighed.
fn weigh(config: StackConfig, case: impl AsyncFn(&mut TcpStream, &mut TcpStream)) -> [usize; 2] {
    Lab::new(1).config(config).run(async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        // What is allocated only once is there before.
        drop(connect(&listener, &net.client).await);
        let mut pairs = Vec::with_capacity(PAIRS);
        let empty = MEMORY.current_usage();
        for _ in 0..PAIRS {
            pairs.push(connect(&listener, &net.client).await);
        }
        let idle = MEMORY.current_usage();
        for (server, client) in &mut pairs {
            case(server, client).await;
        }
        net.sleep(secs(1)).await;
        let used = MEMORY.current_usage();
        [idle - empty, used.saturating_sub(idle)].map(|bytes| bytes / PAIRS)
    })
}

#[test]
fn a_connection_gets_its_rings_with_the_first_byte() {
    let nothing = weigh(StackConfig::small(), async |_, _| ());
    let large = weigh(StackConfig::default(), async |_, _| ());
    let one_way = weigh(StackConfig::small(), async |server, client| {
        client.write_all(b"?").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
    });
    let both_ways = weigh(StackConfig::small(), async |server, client| {
        client.write_all(b"?").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        server.write_all(b"!").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
    });
    for [idle, _] in [nothing, large, one_way, both_ways] {
        assert!(idle <= IDLE, "{idle} bytes of a pair");
    }
    assert_eq!([nothing[1], large[1]], [0, 0], "time alone takes no memory");
    // What arrives in order needs none.
    for (ends, [_, more]) in [(1, one_way), (2, both_ways)] {
        assert!(RINGS.contains(&(more / ends)), "{more} bytes of {ends} ends that have sent a byte");
    }
}
