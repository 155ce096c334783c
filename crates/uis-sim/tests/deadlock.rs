//! A deadlock is told as soon as nothing can come of what the network still does, and not while something can.

mod common;

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use common::{assert_tells, connect};
use futures_lite::future::{try_zip, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis_sim::{Sim, Simulation, Stuck, StuckKind};
use uis_stack::{Keepalive, StackConfig, TcpStream};

/// More than fits in the buffers of both ends.
const MUCH: usize = 300_000;

/// The report on a program, which comes after so few steps that it takes no time.
#[track_caller]
fn deadlock<R: std::fmt::Debug>(seed: u64, program: impl AsyncFnOnce(Sim) -> R) -> Stuck {
    let simulation = Simulation::builder().seed(seed).step_limit(100_000).build();
    let stuck = simulation.try_run(program).unwrap_err();
    assert_eq!(stuck.kind(), StuckKind::Deadlock, "{stuck}");
    stuck
}

/// A connection with little to fill before the window is closed.
async fn connected(sim: &Sim) -> io::Result<(TcpStream, TcpStream)> {
    connect(sim, small()).await
}

fn small() -> StackConfig {
    StackConfig::default().recv_buffer(64 << 10).send_buffer(64 << 10)
}

fn keepalive(idle: u64) -> Option<Keepalive> {
    let mut keepalive = Keepalive::default();
    keepalive.idle = Duration::from_secs(idle);
    Some(keepalive)
}

/// Both ends write, and neither reads.
async fn both_write(sim: &Sim, mut accepted: TcpStream, mut dialled: TcpStream) -> io::Result<()> {
    let data = vec![0; MUCH];
    sim.spawn_named("the server", async move { accepted.write_all(&vec![0; MUCH]).await });
    sim.waiting_for("room to write", dialled.write_all(&data)).await
}

#[test]
fn two_sides_that_only_write_are_told_after_a_probe() {
    let stuck = deadlock(0, async |sim| {
        let (accepted, dialled) = connected(&sim).await?;
        both_write(&sim, accepted, dialled).await
    });
    // They would probe each other's window for ever. The first probes are a time-out after the last data.
    assert!((200..1_000).contains(&stuck.at().as_millis()), "at {}", stuck.at());
    assert_tells(
        &stuck,
        &[
            "deadlock: at 0.",
            "s no task can run and none sleeps, and of the timers that are left nothing can come: \
             probes of closed windows\ntasks:\n",
            "  the program (crates/uis-sim/tests/deadlock.rs:",
            "; waits for room to write\n",
            "  the server (crates/uis-sim/tests/deadlock.rs:",
            "10.0.0.1:80 > 10.0.0.2:",
            "> 10.0.0.1:80 Established: waits for the other end to read (",
            "peer's window 0",
            "the last 100 of ",
            "win 0",
        ],
    );
}

/// Windows of a megabyte are told in units of 32 bytes. What is less is taken all the same, byte by byte, from probes that
/// cross; but nobody's program hears of that.
#[test]
fn what_is_left_of_a_window_and_cannot_be_told_is_no_hope() {
    let stuck = deadlock(7, async |sim| {
        let (mut accepted, mut dialled) = connect(&sim, small().recv_buffer(1 << 20)).await?;
        let data = vec![0; MUCH + (1 << 20)];
        try_zip(accepted.write_all(&data), dialled.write_all(&data)).await
    });
    assert!((200..1_000).contains(&stuck.at().as_millis()), "at {}", stuck.at());
    assert_tells(&stuck, &["nothing can come: probes of closed windows\n"]);
}

#[test]
fn one_that_writes_and_one_that_waits_for_something_else_are_told() {
    let stuck = deadlock(0, async |sim| {
        let (accepted, mut dialled) = connected(&sim).await?;
        sim.spawn_named("the server", async move {
            pending::<()>().await;
            drop(accepted);
        });
        dialled.write_all(&vec![0; MUCH]).await
    });
    assert!((200..1_000).contains(&stuck.at().as_millis()), "at {}", stuck.at());
    assert_tells(
        &stuck,
        &["nothing can come: probes of closed windows\n", "Established: has what nobody reads"],
    );
}

/// A path with loss in both directions: whether a probe or its answer is lost, the next one is not.
#[test]
fn losses_put_the_report_off() {
    for seed in 0..10 {
        let stuck = deadlock(seed, async |sim| {
            let (accepted, dialled) = connected(&sim).await?;
            let mut rng = sim.rng();
            sim.set_router(move |internet, frame| {
                if rng.chance(0.3) {
                    return Ok(());
                }
                internet.deliver_after(frame, rng.duration(Duration::ZERO..Duration::from_millis(80)))
            });
            both_write(&sim, accepted, dialled).await
        });
        assert_tells(&stuck, &["nothing can come: probes of closed windows\n"]);
    }
}

/// The reader takes all at once, and then waits for more. Whatever of its window updates is lost, a probe finds out.
#[test]
fn a_window_that_opened_unheard_is_no_deadlock() {
    for (seed, lost) in (0..24).map(|seed| (seed, seed % 6)) {
        let simulation = Simulation::builder().seed(seed).build();
        let took = simulation.run(async |sim| {
            let (mut accepted, mut dialled) = connected(&sim).await?;
            let writer = sim.spawn(async move {
                dialled.write_all(&vec![7; MUCH]).await?;
                dialled.close().await
            });
            // The window is full and has been probed.
            sim.sleep(Duration::from_millis(1_500 + 700 * (seed / 6))).await;
            let mut rng = sim.rng();
            let mut to_lose = lost;
            sim.set_router(move |internet, frame| {
                if to_lose > 0 && frame.src() == "10.0.0.1".parse().ok() {
                    to_lose -= 1;
                    return Ok(());
                }
                internet.deliver_after(frame, rng.duration(Duration::ZERO..Duration::from_millis(50)))
            });
            let mut data = Vec::new();
            accepted.read_to_end(&mut data).await?;
            assert_eq!(data.len(), MUCH);
            writer.await?;
            io::Result::Ok(sim.now())
        });
        let took = took.unwrap();
        assert!(took.as_secs() < 600, "with {lost} lost it took until {took}");
    }
}

/// Data that is lost again and again gets through in the end.
#[test]
fn retransmissions_may_come_to_something() {
    for losses in 1..12 {
        let text = Simulation::new().run(async |sim| {
            let (mut accepted, mut dialled) = connected(&sim).await?;
            let mut to_lose = losses;
            sim.set_router(move |internet, frame| {
                if to_lose > 0 {
                    to_lose -= 1;
                    return Ok(());
                }
                internet.deliver_after(frame, Duration::from_millis(150))
            });
            dialled.write_all(b"hello").await?;
            let mut text = [0; 5];
            accepted.read_exact(&mut text).await?;
            io::Result::Ok(text)
        });
        assert_eq!(text.unwrap(), *b"hello");
    }
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

/// Nor are probes that nobody answers.
#[test]
fn probes_of_a_dead_path_end_with_an_error() {
    let error = Simulation::new().run(async |sim| {
        let few = small().retries(4);
        let (_accepted, mut dialled) = connect(&sim, few).await.unwrap();
        let writer = sim.spawn(async move { dialled.write_all(&vec![0; MUCH]).await });
        sim.sleep(Duration::from_millis(500)).await;
        sim.set_router(|_, _| ());
        writer.await.unwrap_err()
    });
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn keep_alives_that_are_answered_are_no_progress() {
    let stuck = deadlock(0, async |sim| {
        let (mut accepted, dialled) = connected(&sim).await?;
        dialled.set_keepalive(keepalive(30))?;
        accepted.read(&mut [0; 1]).await
    });
    assert_eq!(stuck.at().as_secs(), 30, "{stuck}");
    assert_tells(&stuck, &["of the timers that are left nothing can come: keep-alives that are answered\n"]);
}

#[test]
fn keep_alives_that_nobody_answers_end_with_an_error() {
    let (error, at) = Simulation::new().run(async |sim| {
        let (_accepted, mut dialled) = connected(&sim).await.unwrap();
        dialled.set_keepalive(keepalive(30)).unwrap();
        sim.set_router(|_, _| ());
        (dialled.read(&mut [0; 1]).await.unwrap_err(), sim.now())
    });
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(at.as_secs() > 60, "at {at}");
}

#[test]
fn time_wait_is_no_progress() {
    let stuck = deadlock(0, async |sim| {
        let (mut accepted, mut dialled) = connected(&sim).await?;
        dialled.close().await?;
        zip(accepted.close(), dialled.read(&mut [0; 1])).await.0?;
        pending::<io::Result<()>>().await
    });
    assert!(stuck.at().as_secs() < 1, "{stuck}");
    assert_tells(&stuck, &["of the timers that are left nothing can come: the end of TIME-WAIT\n"]);
}

/// Half a datagram is given up after half a minute, and no socket hears of it.
#[test]
fn a_fragment_that_is_missing_is_no_progress() {
    let stuck = deadlock(0, async |sim| {
        let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
        let _echo = server.listen_udp("10.0.0.1:7")?;
        let mut n = 0;
        sim.set_router(move |internet, frame| {
            n += 1;
            if n == 2 { Ok(()) } else { internet.deliver(frame) }
        });
        let socket = client.dial_udp("10.0.0.1:7")?;
        socket.send(&[0; 2000]).await?;
        socket.recv(&mut [0; 1]).await
    });
    assert_eq!(stuck.at().as_nanos(), 0, "{stuck}");
    assert_tells(&stuck, &["nothing can come: datagrams of which fragments are missing\n"]);
}

/// What a host does that the simulation does not know is judged by how long nobody was polled.
#[test]
fn of_unknown_hosts_time_tells() {
    let stuck = deadlock(0, async |sim| {
        let stack = |addr: &str| sim.internet().new_stack_with(1500, [addr.parse().unwrap()], small());
        let (server, client) = (stack("10.0.0.1")?, stack("10.0.0.2")?);
        let listener = server.listen_tcp("10.0.0.1:80")?;
        let ((mut accepted, _), mut dialled) =
            try_zip(listener.accept(), client.dial_tcp("10.0.0.1:80")).await?;
        let data = vec![0; MUCH];
        try_zip(accepted.write_all(&data), dialled.write_all(&data)).await
    });
    assert!((300..=1800).contains(&stuck.at().as_secs()), "at {}", stuck.at());
    assert_tells(&stuck, &["00s, and none sleeps: only timers of the network are left"]);
}

#[test]
fn who_sleeps_is_waited_for() {
    let times = Rc::new(Cell::new(0));
    let simulation = Simulation::new();
    let counted = times.clone();
    simulation
        .run(async |sim| {
            let (mut accepted, dialled) = connected(&sim).await?;
            dialled.set_keepalive(keepalive(30))?;
            // For hours there is nothing but keep-alives.
            let read = sim.timeout(Duration::from_secs(5 * 3600), accepted.read(&mut [0; 1])).await;
            assert!(read.is_err());
            assert!(sim.packet_count() > 1000, "{} packets", sim.packet_count());
            counted.set(counted.get() + 1);
            io::Result::Ok(())
        })
        .unwrap();
    assert_eq!(times.get(), 1);
}
