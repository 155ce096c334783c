//! A hostile router, see `fuzz/`: its corpus, and random bytes from seeds. `UIS_HOSTILE=0..1000` runs other seeds.

mod common;
#[path = "../../../fuzz/entry/deliver.rs"]
mod deliver;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[test]
fn a_router_that_does_anything() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/deliver");
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).expect("there is a corpus").map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "an empty corpus");
    for file in files {
        run(&file.display(), &std::fs::read(&file).unwrap());
    }
    let seeds = std::env::var("UIS_HOSTILE").map_or(0..300, |text| {
        let (from, to) = text.split_once("..").expect("UIS_HOSTILE is FROM..TO");
        from.parse().expect("UIS_HOSTILE is FROM..TO")..to.parse().expect("UIS_HOSTILE is FROM..TO")
    });
    for seed in seeds {
        run(&format!("UIS_HOSTILE={seed}..{}", seed + 1), &common::noise(seed, 2000));
    }
}

/// Names the input that fails.
fn run(name: &dyn std::fmt::Display, bytes: &[u8]) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| deliver::deliver(bytes))) {
        eprintln!("{name}");
        resume_unwind(payload);
    }
}
