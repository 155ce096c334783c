//! Whole internets drawn from seeds: some hosts with settings of their own, some connections between them, datagrams
//! beside these, and a path that loses, doubles, reorders, delays, corrupts and cuts packets for a while.
//!
//! *Safety*: a reader never gets other bytes than those that were written, in their order; a stream that ends with a FIN is
//! complete; nothing comes behind an error; no data goes beyond a window, but to probe it. *Liveness*: once the faults have
//! stopped, everything is done in time. And nothing is left: no connection, no TIME-WAIT, no packet that the counters do not
//! know of.
//!
//! `UIS_SEEDS=0..5000` runs other seeds than the default ones, and each failure says how to run its seed alone. With
//! `UIS_TRACE=1` every packet is printed as it leaves.

#![allow(unreachable_pub)] // the modules of a test have nobody else to be reached by

mod common;
#[path = "simulation/path.rs"]
mod path;
#[path = "simulation/scene.rs"]
mod scene;
#[path = "simulation/talk.rs"]
mod talk;
#[path = "simulation/world.rs"]
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use scene::{Manners, Scene};

/// Runs `one` with each of the seeds, and names the one that fails.
fn each_seed(test: &str, default: Range<u64>, one: impl Fn(u64)) {
    let seeds = std::env::var("UIS_SEEDS").map_or(default, |text| {
        let (from, to) = text.split_once("..").expect("UIS_SEEDS is FROM..TO");
        from.parse().expect("UIS_SEEDS is FROM..TO")..to.parse().expect("UIS_SEEDS is FROM..TO")
    });
    for seed in seeds {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| one(seed))) {
            eprintln!(
                "seed {seed} fails; to see it again:\n    \
                 UIS_SEEDS={seed}..{} cargo test -p uis --test simulation -- --exact {test} --nocapture",
                seed + 1
            );
            resume_unwind(payload);
        }
    }
}

/// Nobody gives up, so whatever the path did, all that was written arrives in the end.
#[test]
fn patient_hosts_get_everything_across() {
    each_seed("patient_hosts_get_everything_across", 0..200, |seed| {
        let scene = Scene::new(seed, Manners::Patient);
        world::run(&scene);
    });
}

/// Hosts time out, programs hang up in the middle or abort: what arrived is a beginning of what was written.
#[test]
fn what_fails_fails_cleanly() {
    each_seed("what_fails_fails_cleanly", 0..200, |seed| {
        let scene = Scene::new(seed, Manners::Rough);
        world::run(&scene);
    });
}

#[test]
fn a_seed_is_a_run() {
    each_seed("a_seed_is_a_run", 1000..1015, |seed| {
        for manners in [Manners::Patient, Manners::Rough] {
            let scene = Scene::new(seed, manners);
            assert_eq!(world::run(&scene), world::run(&scene), "two runs of {scene:#?}");
        }
    });
}
