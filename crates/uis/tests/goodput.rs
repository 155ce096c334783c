//! How fast one flow is on a path that loses packets, and for how long it stands still: a table by loss, round trip and
//! buffers, with bare smoltcp's figures beside a stack's. Time is virtual, so the figures are exact, and the table in
//! `docs/robustness.md` has to be these. After a change that is meant:
//!
//! ```text
//! UIS_ACCEPT=1 cargo test --release -p uis --test goodput -- --test-threads 1
//! ```
//!
//! A debug build does not measure smoltcp, and takes its figures from the document.

#![allow(unreachable_pub)] // the modules of a test have nobody else to be reached by

#[path = "goodput/bare.rs"]
mod bare;
mod common;
#[path = "goodput/ours.rs"]
mod ours;
#[path = "goodput/path.rs"]
mod path;
#[path = "goodput/table.rs"]
mod table;

use std::time::Duration;

use common::secs;
use path::{Case, Run};

/// How a table is accepted.
const ACCEPT: &str = "UIS_ACCEPT=1 cargo test --release -p uis --test goodput -- --test-threads 1";

/// What one flow has to reach with the default buffers: packets lost of 1,000, the round trip in microseconds, Mbit/s.
const TARGETS: [(u64, u64, u64); 3] = [(10, 100, 300), (10, 10_000, 9), (1, 10_000, 35)];

/// All cases, in the order of the table.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for buffer in [64 << 10, 1 << 20] {
        for rtt in [100, 10_000, 100_000] {
            for loss in [0, 1, 10, 30] {
                let is_target = buffer == 1 << 20 && TARGETS.iter().any(|&(l, r, _)| (l, r) == (loss, rtt));
                cases.push(Case { loss, rtt: Duration::from_micros(rtt), buffer, is_target });
            }
        }
    }
    cases
}

/// Measures the cases that are targets, or those that are none, and compares what comes of it with the document.
fn check(targets: bool) -> Vec<(Case, Run)> {
    let documented = table::documented();
    let (mut rows, mut runs) = (Vec::new(), Vec::new());
    for case in cases() {
        let subject = table::subject(&case);
        let known = documented.iter().find(|row| row[..3] == subject);
        if case.is_target != targets {
            rows.extend(known.cloned());
            continue;
        }
        let ours = case.measure(ours::run);
        let bare = match known {
            Some(row) if cfg!(debug_assertions) => row[5..].to_vec(),
            _ => table::cells(&case.measure(bare::run)),
        };
        rows.push([subject, table::cells(&ours), bare].concat());
        runs.push((case, ours));
    }
    if rows != documented {
        if std::env::var_os("UIS_ACCEPT").is_some() {
            table::accept(&rows);
        } else {
            panic!(
                "the table in docs/robustness.md is another one:\n{}\nIf that is as it should be:\n    {ACCEPT}",
                table::show(&rows)
            );
        }
    }
    runs
}

#[test]
fn one_flow_reaches_its_targets() {
    let runs = check(true);
    for (loss, rtt, least) in TARGETS {
        let is_it = |case: &Case| case.loss == loss && case.rtt == Duration::from_micros(rtt);
        let (_, run) = runs.iter().find(|(case, _)| is_it(case)).expect("it was measured");
        assert!(run.kilobits_per_second >= least * 1000, "{run:?}, and not {least} Mbit/s");
        assert!(run.stall <= secs(1), "{run:?}");
    }
}

#[test]
fn one_flow_is_as_fast_as_the_table_says() {
    check(false);
}
