//! `TokioClock` inside real runtimes: paused, running, shut down.

mod common;

use std::future::pending;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant as StdInstant, SystemTime};

use common::{Counter, Log, panic_message, waker};
use tokio::runtime::{Builder, Runtime};
use uis_clock::{Clock, Instant, SharedClock, TimerGuard, TokioClock};

const MS: Duration = Duration::from_millis(1);
/// Longer than any machine should need; no passing test waits for it.
const LONG: Duration = Duration::from_secs(30);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Instant {
    Instant::from_secs(n)
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_paused_time_passes_in_moments() {
    let real = StdInstant::now();
    let clock = SharedClock::new(TokioClock::new());
    for second in 1..=3600 {
        clock.sleep(secs(1)).await;
        assert_eq!(clock.now(), at(second));
    }
    assert!(real.elapsed() < LONG, "{:?}", real.elapsed());
}

#[tokio::test(start_paused = true)]
async fn takes_turns_with_the_timers_of_tokio() {
    let clock = SharedClock::new(TokioClock::new());
    let log = Log::new();
    let ours = async {
        for _ in 0..3 {
            clock.sleep(secs(2)).await;
            log.push(("ours", clock.now()));
        }
    };
    let theirs = async {
        for _ in 0..2 {
            tokio::time::sleep(secs(3)).await;
            log.push(("theirs", clock.now()));
        }
        tokio::time::sleep(secs(1)).await;
        log.push(("theirs", clock.now()));
    };
    tokio::join!(ours, theirs);
    let mut log = log.take();
    log.sort_by_key(|&(who, at)| (at, who)); // both wake at 6 s; which comes first is tokio's choice
    assert_eq!(
        log,
        [
            ("ours", at(2)),
            ("theirs", at(3)),
            ("ours", at(4)),
            ("ours", at(6)),
            ("theirs", at(6)),
            ("theirs", at(7)),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_an_hour_holds_while_packets_take_milliseconds() {
    // An echo between two tasks, each way 5 ms, all of it in virtual time.
    let clock = SharedClock::new(TokioClock::new());
    let echo = {
        let clock = clock.clone();
        tokio::spawn(async move {
            for _ in 0..1000 {
                clock.sleep(5 * MS).await;
            }
        })
    };
    tokio::time::timeout(secs(3600), echo).await.unwrap().unwrap();
    assert_eq!(clock.now(), at(5));
}

#[tokio::test(start_paused = true)]
async fn timers_fire_by_deadline_then_in_the_order_of_arming() {
    let clock = TokioClock::new();
    let log = Log::new();
    let _timers = [(1, 3), (2, 1), (3, 3), (4, 2), (5, 1)].map(|(name, s)| {
        let log = log.clone();
        clock.wake_at(at(s), &waker(move || log.push(name)))
    });
    // Not in the call, passed or not.
    let _passed = clock.wake_at(Instant::ZERO, &{
        let log = log.clone();
        waker(move || log.push(0))
    });
    assert_eq!(log.take(), []);
    tokio::time::sleep(secs(4)).await;
    assert_eq!(log.take(), [0, 2, 5, 4, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_timer_overtakes_the_one_that_is_waited_for() {
    let clock = TokioClock::new();
    let log = Log::new();
    let arm = |name: u64, s: u64| {
        let (log, seen) = (log.clone(), clock.clone());
        clock.wake_at(at(s), &waker(move || log.push((name, seen.now()))))
    };
    let _late = arm(1, 100);
    tokio::time::sleep(secs(1)).await; // the alarm is waiting by now
    let _early = arm(2, 10);
    tokio::time::sleep(secs(200)).await;
    assert_eq!(log.take(), [(2, at(10)), (1, at(100))]);
}

#[tokio::test(start_paused = true)]
async fn a_disarmed_timer_does_not_move_paused_time() {
    let clock = SharedClock::new(TokioClock::new());
    let counter = Counter::default();
    for far in [at(3600), Instant::MAX] {
        let timer = clock.wake_at(far, &counter.waker());
        tokio::task::yield_now().await; // the alarm is waiting by now
        drop(timer);
    }
    let _never = clock.wake_at(Instant::MAX, &counter.waker());
    let start = clock.now();
    // A wait for something real, in which tokio would move the time to the next timer, if there is one.
    let (send, receive) = tokio::sync::oneshot::channel();
    let real = thread::spawn(move || {
        thread::sleep(20 * MS); // real time, in which tokio's stands still
        send.send(()).unwrap();
    });
    receive.await.unwrap();
    real.join().unwrap();
    assert_eq!((clock.now(), counter.count()), (start, 0));
}

#[test]
fn no_task_is_left_while_no_timer_is_armed() {
    let runtime = paused();
    let tasks = || runtime.metrics().num_alive_tasks();
    runtime.block_on(async {
        let clock = SharedClock::new(TokioClock::new());
        assert_eq!(tasks(), 0);
        let timers = [1, 2, 3].map(|s| clock.wake_at(at(s), std::task::Waker::noop()));
        assert_eq!(tasks(), 1);
        drop(timers);
        clock.sleep(secs(1)).await;
        tokio::task::yield_now().await;
        assert_eq!(tasks(), 0);
        clock.sleep(secs(1)).await;
        assert_eq!(clock.now(), at(2));
    });
}

#[test]
fn the_alarm_wakes_the_runtime_no_more_often_than_timers_of_tokio() {
    const HOUR: Duration = Duration::from_secs(3600);
    /// How often a runtime goes idle while four hours pass.
    fn idles<T>(arm: impl FnOnce() -> T) -> u64 {
        let runtime = paused();
        runtime.block_on(async {
            let _armed = arm();
            tokio::time::sleep(4 * HOUR).await;
        });
        runtime.metrics().worker_park_count(0)
    }
    let ours = idles(|| {
        let clock = TokioClock::new();
        [1, 2, 3].map(|h| clock.wake_at(Instant::ZERO + h * HOUR, std::task::Waker::noop()))
    });
    let theirs = idles(|| [1, 2, 3].map(|h| tokio::spawn(tokio::time::sleep(h * HOUR))));
    assert!(ours <= theirs, "{ours} times, {theirs} with tokio alone");
}

#[test]
fn a_panicking_waker_loses_no_other_timer() {
    paused().block_on(async {
        let clock = SharedClock::new(TokioClock::new());
        let counter = Counter::default();
        let _timers = [
            clock.wake_at(at(1), &waker(|| panic!("a waker panics, as this test wants it"))),
            clock.wake_at(at(1), &counter.waker()),
            clock.wake_at(at(2), &counter.waker()),
        ];
        clock.sleep(secs(3)).await;
        assert_eq!(counter.count(), 2);
    });
}

#[test]
fn a_waker_may_use_the_clock_and_many_wakers_share_the_runtime() {
    paused().block_on(async {
        let clock = TokioClock::new();
        let counter = Counter::default();
        let armed = Arc::new(Mutex::new(Vec::<TimerGuard>::new()));
        let outer = {
            let (clock, counter, armed) = (clock.clone(), counter.clone(), armed.clone());
            waker(move || {
                let next = clock.wake_at(clock.now() + secs(1), &counter.waker());
                armed.lock().unwrap().push(next);
                drop(clock.wake_at(at(1), &counter.waker()));
            })
        };
        // More than the alarm fires in one go.
        let _timers: Vec<_> = (0..1000).map(|_| clock.wake_at(at(1), &outer)).collect();
        tokio::time::sleep(secs(3)).await;
        assert_eq!(counter.count(), 1000);
        drop(armed.lock().unwrap().drain(..));
    });
}

#[test]
fn tells_paused_time_outside_of_its_runtime_too() {
    let runtime = paused();
    let clock = runtime.block_on(async { TokioClock::new() });
    thread::sleep(2 * MS); // real time, which must not show
    assert_eq!(clock.now(), Instant::ZERO);
    let other = clock.clone();
    assert_eq!(thread::spawn(move || other.now()).join().unwrap(), Instant::ZERO);
    runtime.block_on(tokio::time::advance(secs(5)));
    assert_eq!(clock.now(), at(5));
    // In the midst of another runtime's time.
    let second = paused();
    second.block_on(async { assert_eq!(clock.now(), at(5)) });
}

#[test]
fn its_time_of_day_is_that_of_its_start() {
    for runtime in [paused(), threads()] {
        let clock = SharedClock::new(TokioClock::with_handle(runtime.handle().clone()));
        let off = clock.epoch().duration_since(SystemTime::now() - LONG).unwrap();
        assert!(off < 2 * LONG, "off by {off:?}");
        assert_eq!(clock.system_time(at(1)), clock.epoch() + secs(1));
    }
}

#[test]
fn works_on_a_runtime_with_threads_in_real_time() {
    let runtime = threads();
    let clock = SharedClock::new(TokioClock::with_handle(runtime.handle().clone()));
    // Armed from a thread that is not the runtime's.
    let (send, woken) = mpsc::channel();
    let deadline = clock.now() + 10 * MS;
    let seen = clock.clone();
    let _timer = clock.wake_at(deadline, &waker(move || send.send(seen.now()).unwrap()));
    assert!(woken.recv_timeout(LONG).unwrap() >= deadline);
    // Polled under a foreign executor.
    futures_lite::future::block_on(clock.sleep(2 * MS));
    // Armed and disarmed from many tasks at once.
    runtime.block_on(async {
        let tasks: Vec<_> = (0..50u32)
            .map(|n| {
                let clock = clock.clone();
                tokio::spawn(async move {
                    for round in 0..5 {
                        let limit = (1 + (n + round) % 3) * MS;
                        assert!(clock.timeout(limit, pending::<()>()).await.is_err());
                        assert!(clock.timeout(LONG, clock.sleep(MS)).await.is_ok());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn survives_its_runtime_with_timers_armed() {
    for make in [paused, threads] {
        for _ in 0..20 {
            let runtime = make();
            let clock = SharedClock::new(TokioClock::with_handle(runtime.handle().clone()));
            let (send, woken) = mpsc::channel::<()>();
            let ring = waker(move || _ = send.send(()));
            let early: Vec<_> = (1..50).map(|s| clock.wake_at(clock.now() + secs(50 + s), &ring)).collect();
            // A task that sleeps, and one that sleeps on tokio, when the runtime goes.
            runtime.spawn(clock.sleep(secs(100)));
            runtime.spawn(tokio::task::unconstrained(clock.timeout(secs(100), pending::<()>())));
            runtime.block_on(tokio::task::yield_now());
            drop(runtime);
            // Armed afterwards: no panic, and never fired.
            let late = clock.wake_at(clock.now() + MS, &ring);
            drop(ring);
            // The wakers were let go, unfired, though the guards are still here.
            assert_eq!(woken.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
            drop((early, late));
            assert!(clock.now() < at(100));
        }
    }
}

#[test]
fn panics_where_no_timer_can_be_had() {
    let message = panic_message(|| _ = TokioClock::new());
    assert_eq!(message, "TokioClock::new was called outside a tokio runtime");
    let runtime = Builder::new_current_thread().build().unwrap();
    let message = panic_message(|| runtime.block_on(async { _ = TokioClock::new() }));
    assert!(message.contains("timers are disabled"), "{message}");
}
