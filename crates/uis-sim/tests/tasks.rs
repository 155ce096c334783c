//! Tasks: their order, their ends, and what is left of them.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{yield_now, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis_clock::VirtualClock;
use uis_sim::{Sim, Simulation};

fn run<R>(program: impl AsyncFnOnce(Sim) -> R) -> R {
    Simulation::new().run(program)
}

/// Notes when it is dropped.
struct Dropped(Rc<RefCell<Vec<u32>>>, u32);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

/// So that what holds it can be given to code that asks for that.
#[test]
fn a_handle_may_be_sent() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Sim>();
    send_and_sync::<uis_sim::JoinHandle<Vec<u8>>>();
}

#[test]
fn tasks_take_turns_in_the_order_of_their_wakes() {
    let seen = run(async |sim| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let task = |n: u32| {
            let seen = seen.clone();
            sim.spawn(async move {
                for turn in 0..2 {
                    seen.borrow_mut().push((turn, n));
                    yield_now().await;
                }
            })
        };
        let tasks: Vec<_> = (0..3).map(task).collect();
        for task in tasks {
            task.await;
        }
        seen.take()
    });
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[test]
fn timers_fire_in_their_order_and_time_is_exact() {
    let seen = run(async |sim| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        for n in [3, 1, 2, 1] {
            let (seen, clock) = (seen.clone(), sim.clone());
            sim.spawn(async move {
                clock.sleep(Duration::from_secs(n)).await;
                seen.borrow_mut().push((n, clock.now().as_nanos()));
            });
        }
        sim.sleep(Duration::from_secs(9)).await;
        assert_eq!(VirtualClock::current().unwrap().now(), sim.now());
        seen.take()
    });
    let secs = |n: u64| (n, n * 1_000_000_000);
    assert_eq!(seen, [secs(1), secs(1), secs(2), secs(3)]);
}

#[test]
fn a_task_that_is_dropped_goes_on_and_an_aborted_one_does_not() {
    run(async |sim| {
        let ran = Rc::new(Cell::new(0));
        let drops = Rc::new(RefCell::new(Vec::new()));
        let task = |n: u32| {
            let (ran, clock, dropped) = (ran.clone(), sim.clone(), Dropped(drops.clone(), n));
            sim.spawn(async move {
                clock.sleep(Duration::from_secs(1)).await;
                ran.set(ran.get() + n);
                drop(dropped);
            })
        };
        drop(task(1));
        let aborted = task(10);
        yield_now().await;
        aborted.abort();
        yield_now().await;
        assert_eq!(*drops.borrow(), [10], "dropped at its next turn");
        sim.sleep(Duration::from_secs(2)).await;
        assert_eq!(ran.get(), 1);
    });
}

/// Waits that are given up: no tick is skipped, no task is ended, no result is lost, and no report speaks of them.
#[test]
fn waits_that_are_given_up_leave_nothing_behind() {
    run(async |sim| {
        let mut ticks = sim.interval(Duration::from_secs(2));
        let mut seen = Vec::new();
        for _ in 0..4 {
            let early = sim.timeout(Duration::from_secs(1), ticks.tick()).await;
            seen.extend(early.ok());
            seen.push(ticks.tick().await);
        }
        let expected: Vec<u64> = (0..seen.len() as u64).map(|n| 2 * n).collect();
        assert_eq!(seen.iter().map(|at| at.as_secs()).collect::<Vec<_>>(), expected);

        let clock = sim.clone();
        let mut task = sim.spawn(async move {
            clock.sleep(Duration::from_secs(3)).await;
            "done"
        });
        assert!(sim.timeout(Duration::from_secs(1), &mut task).await.is_err());
        assert_eq!(task.await, "done");
    });
    let stuck = Simulation::new().try_run(async |sim| {
        let mut task = sim.spawn(pending::<()>());
        let second = Duration::from_secs(1);
        let _ = sim.timeout(second, sim.waiting_for("what was given up", pending::<()>())).await;
        let _ = sim.timeout(second, &mut task).await;
        drop(task);
        sim.waiting_for("what never comes", pending::<()>()).await;
    });
    let report = stuck.unwrap_err().to_string();
    assert!(report.contains("waits for what never comes"), "{report}");
    assert!(!report.contains("given up") && !report.contains("the end of"), "{report}");
}

#[test]
fn what_is_left_is_dropped_at_the_end() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let escaped = run(async |sim| {
        for n in 0..3 {
            let (dropped, sim2) = (Dropped(drops.clone(), n), sim.clone());
            sim.spawn(async move {
                let _dropped = dropped;
                let _late = LateSpawn(sim2);
                pending::<()>().await;
            });
        }
        yield_now().await;
        sim
    });
    assert_eq!(*drops.borrow(), [0, 1, 2]);
    let outside = catch_unwind(AssertUnwindSafe(|| drop(escaped.spawn(async {}))));
    let payload = outside.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the simulation does not run, or not on this thread"));
}

/// Spawns when it is dropped.
struct LateSpawn(Sim);

impl Drop for LateSpawn {
    fn drop(&mut self) {
        drop(self.0.spawn(async { unreachable!("nothing is run any more") }));
    }
}

#[test]
fn a_panic_of_a_task_is_one_of_the_simulation() {
    let panic = catch_unwind(|| {
        run(async |sim| {
            sim.spawn(async { panic!("as it must be") });
            pending::<()>().await;
        })
    });
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"as it must be"));
    // The thread is as good as new.
    assert_eq!(run(async |sim| sim.spawn(async { 7 }).await), 7);
    assert!(VirtualClock::current().is_none());
}

#[test]
fn simulations_nest() {
    run(async |outer| {
        outer.sleep(Duration::from_secs(1)).await;
        let inner = run(async |inner| {
            inner.sleep(Duration::from_secs(5)).await;
            let on_outer = outer.spawn(async { 3 });
            assert_eq!(VirtualClock::current().unwrap().now(), inner.now());
            (inner.spawn(async { 4 }).await, on_outer)
        });
        assert_eq!((inner.0, inner.1.await), (4, 3));
        assert_eq!(outer.now().as_secs(), 1);
    });
}

/// A capture has the end of a conversation too, although the program has ended before that.
#[test]
fn the_last_packets_arrive() {
    let (sim, accepted) = run(async |sim| {
        sim.set_router(|internet, frame| internet.deliver_after(frame, Duration::from_millis(100)));
        let (server, client) = (sim.host("10.0.0.1").unwrap(), sim.host("10.0.0.2").unwrap());
        let listener = server.listen_tcp("10.0.0.1:80").unwrap();
        let (accepted, dialled) = zip(listener.accept(), client.dial_tcp("10.0.0.1:80")).await;
        let (mut accepted, _) = accepted.unwrap();
        let task = sim.spawn(async move {
            accepted.read(&mut [0; 9]).await.unwrap();
            accepted.close().await.unwrap();
        });
        let mut dialled = dialled.unwrap();
        dialled.close().await.unwrap();
        (sim, task)
    });
    assert!(accepted.is_finished());
    let log = sim.packet_log();
    let fins = log.iter().filter(|line| line.contains("Flags [F")).count();
    assert_eq!((fins, sim.packet_count()), (2, log.len() as u64), "{log:#?}");
    let stats = sim.internet().stats();
    assert_eq!((stats.queued, stats.held), (0, 0), "{stats:?}");
    assert!(stats.delivered >= 6, "{stats:?}");
}

/// Also when copies are about, which count as deliveries of their own.
#[test]
fn the_log_marks_what_did_not_arrive() {
    let log = run(async |sim| {
        let (server, client) = (sim.host("10.0.0.1").unwrap(), sim.host("10.0.0.2").unwrap());
        let socket = server.listen_udp("10.0.0.1:7").unwrap();
        let to_server = client.listen_udp("10.0.0.2:7").unwrap();
        sim.set_router(|internet, frame| match frame.packet().last() {
            Some(b'd') => {
                internet.deliver(frame.clone())?;
                internet.deliver_after(frame, Duration::from_millis(1))
            }
            Some(b'l') => Ok(()),
            Some(b'h') => internet.deliver_after(frame, Duration::from_millis(1)),
            _ => internet.deliver(frame),
        });
        for kind in *b"xdldxlhl" {
            to_server.send_to(&[kind], "10.0.0.1:7").await.unwrap();
        }
        to_server.send_to(b"x", "10.0.0.9:7").await.unwrap();
        let mut buf = [0];
        for _ in 0..7 {
            socket.recv_from(&mut buf).await.unwrap();
        }
        sim.packet_log()
    });
    let mark = |line: &String| line.rsplit("length 1").next().unwrap().to_owned();
    let lost = " (not delivered)";
    let marks: Vec<String> = log.iter().map(mark).collect();
    assert_eq!(marks, ["", "", lost, "", "", lost, "", lost, " (undeliverable)"], "{log:#?}");
}

#[test]
fn wakes_from_other_threads_count() {
    // The clock cannot know of the thread, so something has to keep the time from being asked for.
    run(async |sim| {
        let (tx, rx) = std::sync::mpsc::channel::<std::task::Waker>();
        let thread = std::thread::spawn(move || rx.recv().unwrap().wake());
        let mut tx = Some((tx, thread));
        std::future::poll_fn(|cx| match tx.take() {
            Some((tx, thread)) => {
                tx.send(cx.waker().clone()).unwrap();
                thread.join().unwrap();
                std::task::Poll::Pending
            }
            None => std::task::Poll::Ready(()),
        })
        .await;
        assert_eq!(sim.now().as_nanos(), 0);
    });
}
