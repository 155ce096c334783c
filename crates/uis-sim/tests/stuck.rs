//! What gets nowhere is told, with who waits for what, and in no time.

use std::future::{pending, poll_fn};
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant as RealTime};

use futures_lite::future::{try_zip, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis_sim::{Sim, Simulation, Stuck, StuckKind};
use uis_stack::{Keepalive, StackConfig, TcpStream};

const MIB: usize = 1 << 20;

fn stuck<R: std::fmt::Debug>(program: impl AsyncFnOnce(Sim) -> R) -> Stuck {
    let began = RealTime::now();
    let stuck = Simulation::new().try_run(program).unwrap_err();
    // About what it costs, not how fast this machine is: a wait of ten minutes would be noticed.
    assert!(began.elapsed() < Duration::from_secs(60), "it has waited for real");
    stuck
}

#[track_caller]
fn assert_tells(stuck: &Stuck, parts: &[&str]) {
    let text = stuck.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

async fn connected(sim: &Sim) -> io::Result<(TcpStream, TcpStream)> {
    let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
    let listener = server.listen_tcp("10.0.0.1:80")?;
    let ((accepted, _), dialled) = try_zip(listener.accept(), client.dial_tcp("10.0.0.1:80")).await?;
    Ok((accepted, dialled))
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
fn two_sides_that_only_write_are_a_deadlock() {
    let stuck = stuck(async |sim| {
        let (mut accepted, mut dialled) = connected(&sim).await?;
        let data = vec![0; 16 * MIB];
        try_zip(accepted.write_all(&data), dialled.write_all(&data)).await
    });
    // They probe each other's window for ever, which is no progress.
    assert_eq!(stuck.kind(), StuckKind::Deadlock);
    assert!((300..=1800).contains(&stuck.at().as_secs()), "at {}", stuck.at());
    assert_tells(
        &stuck,
        &[
            "00s, and none sleeps: only the network's own timers are left",
            "10.0.0.1:80 > 10.0.0.2:",
            "> 10.0.0.1:80 Established: waits for the other end to read (",
            "peer's window 0",
            "the last 100 of ",
            "win 0",
        ],
    );
}

#[test]
fn two_sides_that_only_read_are_a_deadlock() {
    let stuck = stuck(async |sim| {
        let (mut accepted, mut dialled) = connected(&sim).await?;
        let (mut a, mut b) = ([0; 1], [0; 1]);
        try_zip(accepted.read(&mut a), dialled.read(&mut b)).await
    });
    assert_eq!(stuck.kind(), StuckKind::Deadlock);
    assert_tells(&stuck, &["Established: waits for the other end to send (0 bytes unread", "Flags [S.]"]);
}

#[test]
fn keep_alives_are_no_progress() {
    let stuck = stuck(async |sim| {
        let (mut accepted, dialled) = connected(&sim).await?;
        let mut keepalive = Keepalive::default();
        keepalive.idle = Duration::from_secs(30);
        dialled.set_keepalive(Some(keepalive))?;
        accepted.read(&mut [0; 1]).await
    });
    assert_eq!(stuck.kind(), StuckKind::Deadlock);
    assert!((500..=600).contains(&stuck.at().as_secs()), "at {}", stuck.at());
}

#[test]
fn time_wait_is_no_progress() {
    let stuck = stuck(async |sim| {
        let (mut accepted, mut dialled) = connected(&sim).await?;
        zip(accepted.close(), dialled.close()).await.0?;
        drop((accepted, dialled));
        pending::<io::Result<()>>().await
    });
    assert_eq!(stuck.kind(), StuckKind::Deadlock);
}

/// Retransmissions end after a quarter of an hour and more, with an error, and that is no deadlock.
#[test]
fn a_connection_that_gives_up_is_waited_for() {
    let error = Simulation::new().run(async |sim| {
        let (_accepted, mut dialled) = connected(&sim).await.unwrap();
        sim.set_router(|_, _| ());
        dialled.write_all(b"anybody there?").await.unwrap();
        let error = dialled.read(&mut [0; 1]).await.unwrap_err();
        assert!(sim.now().as_secs() > 600, "at {}", sim.now());
        error
    });
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn who_sleeps_is_waited_for() {
    Simulation::new()
        .run(async |sim| {
            let (mut accepted, dialled) = connected(&sim).await?;
            let mut keepalive = Keepalive::default();
            keepalive.idle = Duration::from_secs(30);
            dialled.set_keepalive(Some(keepalive))?;
            // For hours there is nothing but keep-alives.
            let read = sim.timeout(Duration::from_secs(5 * 3600), accepted.read(&mut [0; 1])).await;
            assert!(read.is_err());
            assert!(sim.packet_count() > 1000, "{} packets", sim.packet_count());
            io::Result::Ok(())
        })
        .unwrap();
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
