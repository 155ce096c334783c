//! A flood of SYNs from everywhere, a million of them: memory stays within its bound, and who comes afterwards is served.
//!
//! In a binary of its own, since it counts what the whole process allocates.

mod common;

use common::*;
use futures_lite::future::block_on;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// SYNs of the flood, and how many come in a millisecond of virtual time.
const SYNS: u32 = 1_000_000;
const PER_MS: u32 = 10;

/// What the flood may cost: the default backlog of 4,096, at most 4 KiB for a half-open connection, and 2 MiB for tables and
/// queues.
const MOST: usize = 4096 * (4 << 10) + (2 << 20);

/// A SYN from the `n`th of very many hosts.
fn syn(n: u32) -> Frame {
    let src = [11, (n >> 16) as u8, (n >> 8) as u8, n as u8];
    let mut packet = Vec::with_capacity(44);
    packet.extend([0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(src);
    packet.extend([10, 0, 0, 1]);
    packet.extend((1024 + (n % 60_000) as u16).to_be_bytes());
    packet.extend(80_u16.to_be_bytes());
    packet.extend(n.wrapping_mul(0x9e37_79b1).to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x60, SYN, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4]);
    let mut frame = Frame::new(packet);
    assert!(frame.fix_checksums());
    frame
}

#[test]
fn a_flood_of_a_million_syns_costs_bounded_memory() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(1).build();
    let server = internet.new_stack_with(MTU_ETHERNET, SERVER.map(ip), StackConfig::small()).unwrap();
    let client = internet.new_stack_with(MTU_ETHERNET, CLIENT.map(ip), StackConfig::small()).unwrap();
    let listener = server.listen_tcp(AT[0]).unwrap();
    let in_flight = internet.in_flight();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let mut answers = 0;
    for n in 0..SYNS {
        server.vnic().inject_frame(syn(n)).unwrap();
        while in_flight.try_recv().is_some() {
            answers += 1;
        }
        if n.is_multiple_of(PER_MS) {
            clock.advance(ms(1));
        }
    }
    let most = MEMORY.peak_usage() - before;
    assert!(most <= MOST, "{most} bytes, and not {MOST}");
    let stats = server.stats();
    assert!(stats.connections <= 4096, "{} half-open connections", stats.connections);
    // The flood took 100 s, so those that were first have timed out once, and others have taken their place.
    assert!(answers >= 4096, "{answers} packets sent");
    assert!(answers <= 2 * SYNS, "{answers} packets sent, which is an amplifier");

    // When it has ebbed, everything is as before.
    block_on(internet.route_until(async { clock.advance(secs(61)) }, |_, frame| drop(frame)));
    assert_eq!(server.stats().connections, 0);
    clock.block_on(internet.route_until(
        async {
            let (a, b) = connect(&listener, &client).await;
            exchange(a, b, 100_000).await;
        },
        Internet::deliver,
    ));
    // Buffers are kept for the next connections, but not behind the end of the stack.
    let left = MEMORY.current_usage().saturating_sub(before);
    assert!(left <= MOST, "{left} bytes are kept");
    drop((listener, server, client));
    let left = MEMORY.current_usage().saturating_sub(before);
    assert!(left <= 1 << 20, "{left} bytes are left");
}
