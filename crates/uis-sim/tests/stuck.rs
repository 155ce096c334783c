//! What gets nowhere is told, with who waits for what, and in no time.

mod common;

use std::future::{pending, poll_fn};
use std::io;
use std::task::Poll;
use std::time::Duration;

use common::{assert_tells, connect};
use futures_lite::AsyncReadExt;
use futures_lite::future::try_zip;
use uis_sim::{Sim, Simulation, Stuck, StuckKind};
use uis_stack::StackConfig;

fn stuck<R: std::fmt::Debug>(program: impl AsyncFnOnce(Sim) -> R) -> Stuck {
    Simulation::new().try_run(program).unwrap_err()
}

#[test]
fn nothing_to_wait_for_is_a_deadlock() {
    let stuck = stuck(async |sim| {
        sim.spawn(pending::<()>());
        sim.spawn_named("a server", sim.waiting_for("a client", pending::<()>()));
        sim.sleep(Duration::from_secs(3)).await;
        pending::<()>().await;
    });
    assert_eq!((stuck.kind(), stuck.at().as_secs()), (StuckKind::Deadlock, 3));
    assert_tells(
        &stuck,
        &[
            "deadlock: at 3.000000000s nothing is runnable",
            "the program (crates/uis-sim/tests/stuck.rs:",
            "polled 2 times, last at 3.000000000s\n",
            "  task 2 (crates/uis-sim/tests/stuck.rs:",
            "  a server (crates/uis-sim/tests/stuck.rs:",
            "polled once, at 0.000000000s; waits for a client\n",
            "no packets were sent",
            "seed 0; to see it again: UIS_SEED=0 cargo test nothing_to_wait_for_is_a_deadlock",
        ],
    );
}

#[test]
fn two_sides_that_only_read_are_a_deadlock() {
    let stuck = stuck(async |sim| {
        let (mut accepted, mut dialled) = connect(&sim, StackConfig::default()).await?;
        let (mut a, mut b) = ([0; 1], [0; 1]);
        try_zip(accepted.read(&mut a), dialled.read(&mut b)).await
    });
    assert_eq!(stuck.kind(), StuckKind::Deadlock);
    assert_tells(&stuck, &["Established: waits for the other end to send (0 bytes unread", "Flags [S.]"]);
}

/// What a server's error leaves behind is a client that waits, and a server that is not there.
#[test]
fn the_last_tasks_that_ended_are_told() {
    let stuck = stuck(async |sim| {
        for n in 0..10 {
            sim.spawn_named(format!("number {n}"), async {});
        }
        let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
        let socket = server.listen_udp("10.0.0.1:53")?;
        sim.spawn_named("server", async move {
            socket.recv(&mut [0; 9]).await?;
            Err::<(), _>(io::Error::other("it cannot read that"))
        });
        let client = client.dial_udp("10.0.0.1:53")?;
        client.send(b"what?").await?;
        sim.waiting_for("an answer", client.recv(&mut [0; 9])).await
    });
    assert_tells(&stuck, &["; waits for an answer\ntasks that have ended:\n  number 3 (", "\n  server ("]);
    assert!(!stuck.to_string().contains("number 2"), "{stuck}");
}

#[test]
fn nobody_routing_is_told() {
    let stuck = stuck(async |sim| {
        sim.stop_router();
        let client =
            sim.new_stack_with(1500, ["10.0.0.2".parse().unwrap()], StackConfig::default().syn_retries(3))?;
        let _ = client.dial_tcp("10.0.0.1:80").await;
        pending::<io::Result<()>>().await
    });
    assert_tells(&stuck, &["packets wait for somebody to route them"]);
}

#[test]
fn a_spinning_task_is_stopped() {
    let stuck = stuck(async |sim| {
        sim.spawn_named("the hamster", async {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
        });
        sim.sleep(Duration::from_secs(1)).await;
    });
    assert_eq!((stuck.kind(), stuck.at().as_nanos()), (StuckKind::StepLimit, 0));
    assert_tells(&stuck, &["step limit: ", "some task is spinning", "  the hamster (", ": polled 999"]);
}

#[test]
fn the_limits_hold() {
    let ticks = async |sim: Sim| {
        let mut ticks = sim.interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
        }
    };
    let limited = Simulation::builder().step_limit(1000).build();
    let stuck = limited.try_run::<()>(ticks).unwrap_err();
    assert_eq!((stuck.kind(), stuck.at().as_secs()), (StuckKind::StepLimit, 499));
    let limited = Simulation::builder().time_limit(Duration::from_secs(90)).build();
    let stuck = limited.try_run::<()>(ticks).unwrap_err();
    assert_eq!((stuck.kind(), stuck.at().as_secs()), (StuckKind::TimeLimit, 90));
    assert_tells(&stuck, &["time limit: at 90.000000000s the limit of 90s is reached"]);
}

#[test]
#[should_panic = "deadlock: at 0.000000000s"]
fn run_panics() {
    Simulation::new().run(async |_| pending::<()>().await);
}
