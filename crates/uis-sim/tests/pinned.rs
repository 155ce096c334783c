//! The bytes of a capture are on record, so that runs years and machines apart can be compared: in a debug and in a release
//! build, in this process and in others, however busy the machine is.
//!
//! `captures.sha256` is what `sha256sum` would say. It changes when, and only when, a change is meant to be seen on the
//! wire. Then `UIS_BLESS=1 cargo test -p uis-sim --test pinned` writes it anew.
#![cfg(feature = "out-of-order-32")] // with less room for holes, the packets are others

mod scenario;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, hint, thread};

use scenario::{Buffer, child, crowd};
use sha2::{Digest, Sha256};
use uis_sim::Simulation;

const SEEDS: [u64; 4] = [1, 2, 3, u64::MAX];

/// The SHA-256 of each seed's capture, a line each, as `sha256sum` prints it.
fn sums(seeds: &[u64]) -> String {
    seeds
        .iter()
        .map(|&seed| {
            let buffer = Buffer::default();
            Simulation::builder().seed(seed).build().run(async |sim| {
                sim.capture_into(buffer.clone());
                crowd(&sim, 24).await.unwrap();
            });
            let capture = buffer.take();
            assert!(capture.len() > 1_000_000, "{} bytes", capture.len());
            let digest =
                Sha256::digest(&capture).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            format!("{digest}  seed-{seed}.pcap\n")
        })
        .collect()
}

/// Whether somebody has chosen another seed for all runs.
fn is_overridden() -> bool {
    std::env::var_os("UIS_SEED").is_some()
}

#[test]
fn captures_are_those_on_record() {
    if is_overridden() {
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures.sha256");
    let sums = sums(&SEEDS);
    if std::env::var_os("UIS_BLESS").is_some() {
        fs::write(&file, &sums).unwrap();
    }
    let recorded = fs::read_to_string(&file).unwrap().replace('\r', "");
    assert!(
        sums == recorded,
        "the packets are not those on record:\n{sums}\nIf that is meant, \
         `UIS_BLESS=1 cargo test -p uis-sim --test pinned` puts these on record."
    );
    let different: BTreeSet<_> = sums.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(different.len(), SEEDS.len(), "two seeds give the same packets:\n{sums}");
}

#[test]
#[ignore = "what another test runs in a process of its own"]
fn child_prints_sums() {
    println!("\n{}", sums(&SEEDS[..1]));
}

#[test]
fn neither_the_process_nor_its_neighbours_matter() {
    let done = AtomicBool::new(false);
    let (here, elsewhere) = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        let elsewhere = scope.spawn(|| child("child_prints_sums", &[]));
        let sums = sums(&SEEDS[..1]);
        let elsewhere = elsewhere.join();
        done.store(true, Ordering::Relaxed);
        (sums, elsewhere.unwrap())
    });
    if is_overridden() {
        return; // here, and not in the child
    }
    let (ok, printed) = elsewhere;
    assert!(ok && printed.contains(&here), "here:\n{here}in another process:\n{printed}");
}
