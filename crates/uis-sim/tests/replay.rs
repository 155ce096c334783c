//! The same seed gives the same packets, in this process and in any other; others give others.

mod scenario;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use scenario::{Buffer, child, crowd};
use uis_sim::Simulation;

/// A capture of a crowd, and the hash of its packets.
fn captured(seed: u64) -> (Vec<u8>, u64) {
    let buffer = Buffer::default();
    let hash = Simulation::builder().seed(seed).build().run(async |sim| {
        sim.capture_into(buffer.clone());
        crowd(&sim, 9).await.unwrap();
        sim.packet_hash()
    });
    (buffer.take(), hash)
}

#[test]
fn two_runs_capture_the_same_bytes() {
    let (first, hash) = captured(1);
    assert!(first.len() > 500_000, "{} bytes", first.len());
    assert!((first, hash) == captured(1), "two runs with the same seed differ");
    let (other, other_hash) = captured(2);
    assert!(hash != other_hash && captured(1).0 != other, "another seed gives the same packets");
}

#[test]
fn captures_begin_at_the_start_time() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let buffer = Buffer::default();
    let simulation = Simulation::builder().start_time(start).build();
    simulation.run(async |sim| {
        sim.capture_into(buffer.clone());
        sim.sleep(Duration::from_secs(7)).await;
        let _ = sim.host("10.0.0.1").unwrap().dial_udp("10.0.0.2:9").unwrap().send(b"x").await;
    });
    let bytes = buffer.take();
    assert_eq!(bytes[24..28], 1_000_000_007_u32.to_le_bytes(), "the first record's seconds");
}

/// A disk that is full.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_capture_that_fails_fails_the_run() {
    let failed = catch_unwind(|| Simulation::new().run(async |sim| drop(sim.capture_into(Full))));
    let text = failed.unwrap_err().downcast_ref::<String>().unwrap().clone();
    assert!(text.starts_with("a capture could not be written: "), "{text}");
    // Whoever closes it gets the error, and nobody else.
    let error = Simulation::new().run(async |sim| sim.capture_into(Full).close().unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_deterministic_program_is_found_so() {
    for seed in 0..3 {
        Simulation::builder()
            .seed(seed)
            .build()
            .check_deterministic(async |sim| crowd(&sim, 9).await)
            .unwrap();
    }
}

#[test]
fn a_difference_is_shown_as_two_packets() {
    let runs = AtomicU64::new(0);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        Simulation::builder().seed(7).build().check_deterministic(async |sim| {
            let client = sim.host("10.0.0.2").unwrap();
            let socket = client.dial_udp("10.0.0.1:9").unwrap();
            socket.send(b"the same").await.unwrap();
            sim.sleep(Duration::from_millis(10 + runs.fetch_add(1, Ordering::Relaxed))).await;
            socket.send(b"not the same").await.unwrap();
        });
    }));
    let text = checked.unwrap_err().downcast_ref::<String>().unwrap().clone();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "two runs with the same seed are not alike: packet 2 differs:");
    assert!(
        lines[1].starts_with("- 0.010000000s IP 10.0.0.2.") && lines[1].ends_with("UDP, length 12"),
        "{text}"
    );
    assert!(lines[2].starts_with("+ 0.011000000s IP 10.0.0.2."), "{text}");
    assert!(lines[3].starts_with("seed "), "{text}");
}

#[test]
fn a_sweep_runs_all_seeds_and_names_those_that_fail() {
    if std::env::vars().any(|(name, _)| name.starts_with("UIS_SEED")) {
        return; // somebody has chosen others
    }
    let tried = Mutex::new(Vec::new());
    let sweep = catch_unwind(AssertUnwindSafe(|| {
        uis_sim::for_each_seed(10..20, async |sim| {
            tried.lock().push(sim.seed());
            match sim.seed() {
                12 => panic!("twelve"),
                15 => std::future::pending().await,
                17 => Err(io::Error::other("seventeen")),
                _ => Ok(()),
            }
        });
    }));
    assert_eq!(*tried.lock(), (10..20).collect::<Vec<_>>());
    let text = sweep.unwrap_err().downcast_ref::<String>().unwrap().clone();
    assert_eq!(
        text,
        "3 of 10 seeds fail: 12, 15, 17\nthe first: seed 12; to see it again: UIS_SEED=12 cargo test \
         a_sweep_runs_all_seeds_and_names_those_that_fail\n"
    );
}

#[test]
#[ignore = "what other tests run in processes of their own"]
fn child_prints_a_hash() {
    let (seed, hash) = Simulation::builder().seed(3).build().run(async |sim| {
        crowd(&sim, 9).await.unwrap();
        (sim.seed(), sim.packet_hash())
    });
    println!("HASH {seed} {hash:#x}");
}

#[test]
#[ignore = "what other tests run in processes of their own"]
fn child_fails_an_assertion() {
    Simulation::builder().seed(3).build().run(async |sim| {
        let client = sim.host("10.0.0.2").unwrap();
        sim.spawn_named("the culprit", async move {
            assert!(client.dial_tcp("10.0.0.1:80").await.is_ok(), "nobody is there");
        })
        .await;
    });
}

#[test]
#[ignore = "what other tests run in processes of their own"]
fn child_sweeps() {
    Simulation::new().for_each_seed(0..10, async |sim| println!("TRIED {}", sim.seed()));
}

#[test]
fn other_processes_send_the_same_packets() {
    let line = |variables: &[(&str, &str)]| {
        let (ok, text) = child("child_prints_a_hash", variables);
        assert!(ok, "{text}");
        let at = text.find("HASH").expect("it printed one");
        text[at..].lines().next().unwrap().to_owned()
    };
    let first = line(&[]);
    assert!(first.starts_with("HASH 3 0x"), "{first}");
    assert_eq!(first, line(&[("HOSTNAME", "elsewhere")]));
    let other = line(&[("UIS_SEED", "0x2a")]);
    assert!(other.starts_with("HASH 42 0x"), "{other}");
    assert_ne!(first.split(' ').next_back(), other.split(' ').next_back());
}

#[test]
fn a_failure_shows_its_packets_and_its_seed() {
    let (ok, text) = child("child_fails_an_assertion", &[]);
    assert!(!ok, "{text}");
    for part in [
        "nobody is there",
        "the simulation failed at 127.000000000s in the culprit (",
        "; waits for the end of the culprit\n",
        "packets:\n  0.000000000s IP 10.0.0.2.",
        " > 10.0.0.1.80: Flags [S], seq ",
        "(undeliverable)",
        "seed 3; to see it again: UIS_SEED=3 cargo test child_fails_an_assertion",
    ] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn the_environment_parts_a_sweep() {
    let tried = |variables: &[(&str, &str)]| {
        let (ok, text) = child("child_sweeps", variables);
        assert!(ok, "{text}");
        text.split("TRIED ").skip(1).map(|rest| rest.lines().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tried(&[("UIS_SEED_PARTITION", "2/4")]), ["1", "5", "9"]);
    assert_eq!(tried(&[("UIS_SEED", "77")]), ["77"]);
    assert_eq!(tried(&[("UIS_SEEDS", "5..7")]), ["5", "6"]);
}
