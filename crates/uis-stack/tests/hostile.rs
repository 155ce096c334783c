//! Hostile packets: whatever arrives, a stack neither panics nor hangs, answers with a few packets at most, keeps what it
//! remembers bounded, and serves its other connections.
//!
//! What is done with the bytes is what the fuzzers do, see `fuzz/`. Here they come from their corpora and from seeds:
//! `UIS_HOSTILE=0..1000` runs others than the default ones.

#[path = "../../../fuzz/entry/mod.rs"]
mod entry;

use std::net::IpAddr;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use entry::packet::{SYN, Tcp, ip};
use entry::world::{BACKLOG, TCP_PORT, World, attacker, victim};
use uis_stack::{DiscardReason, StackConfig};
use uis_vnic::Frame;

/// Runs `entry` with the corpus of `target` and with random bytes.
fn hostile(target: &str, seeds: Range<u64>, entry: fn(&[u8]) -> u64) {
    let corpus = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).expect("there is a corpus").map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "an empty corpus");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        guarded(|| format!("{target}: {}", file.display()), || entry(&bytes));
    }
    let seeds = std::env::var("UIS_HOSTILE").map_or(seeds, |text| {
        let (from, to) = text.split_once("..").expect("UIS_HOSTILE is FROM..TO");
        from.parse().expect("UIS_HOSTILE is FROM..TO")..to.parse().expect("UIS_HOSTILE is FROM..TO")
    });
    let mut packets = 0;
    for seed in seeds {
        let bytes = noise(seed);
        packets += guarded(|| format!("{target}: UIS_HOSTILE={seed}..{}", seed + 1), || entry(&bytes));
    }
    println!("{target}: {packets} packets");
}

/// Names the input that fails.
fn guarded(name: impl Fn() -> String, run: impl FnOnce() -> u64) -> u64 {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        eprintln!("{}", name());
        resume_unwind(payload);
    })
}

/// Some thousand random bytes.
fn noise(seed: u64) -> Vec<u8> {
    let mut x = seed;
    let mut draw = || {
        // SplitMix64
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let words = 64 << (draw() % 5);
    (0..words).flat_map(|_| draw().to_le_bytes()).collect()
}

#[test]
fn any_bytes() {
    hostile("inject", 0..200, entry::inject);
}

#[test]
fn segments_in_every_state() {
    hostile("segments", 0..200, entry::segments);
}

#[test]
fn fragments_of_all_kinds() {
    hostile("fragments", 0..200, entry::fragments);
}

#[test]
fn icmp_about_anything() {
    hostile("icmp", 0..200, entry::icmp);
}

/// Half-open connections beyond the backlog are not remembered, those in it are given up in time, and then a listener
/// accepts as before.
#[test]
fn a_flood_of_syns() {
    let syns: u32 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let mut world = World::new(StackConfig::small());
    let before = world.victim.stats();
    for n in 0..syns {
        let v6 = n % 2 == 1;
        // From as many addresses as ports, none of which answers.
        let from = match attacker(v6) {
            IpAddr::V4(_) => IpAddr::from([10, 9, (n >> 8) as u8, n as u8]),
            IpAddr::V6(_) => IpAddr::from([0xfd00, 0, 0, 9, 0, 0, (n >> 16) as u16, n as u16]),
        };
        let tcp = Tcp {
            src: 1024 + (n >> 3) as u16 % 60_000,
            dst: TCP_PORT,
            seq: n,
            flags: SYN,
            window: 1000,
            ..Tcp::default()
        };
        assert!(world.inject(Frame::new(ip(from, victim(v6), 6, &tcp.bytes()))) <= 1);
        let stats = world.victim.stats();
        assert!(stats.connections <= before.connections + BACKLOG as u64, "{stats:?}");
        if n % 4096 == 0 {
            world.check_bystander();
        }
        world.seen.borrow_mut().clear();
    }
    let stats = world.victim.stats();
    assert_eq!(stats.discarded(DiscardReason::BacklogFull), u64::from(syns) - BACKLOG as u64, "{stats:?}");
    // SYN cookies there are none: a new connection has to wait until the old ones have been given up.
    world.advance(Duration::from_secs(61));
    assert_eq!(world.victim.stats().connections, before.connections);
    assert!(world.connect(false) && world.connect(true));
    world.end();
}
