//! `VirtualClock`: order, re-arming, cancelling, panics, threads, the end of time, `block_on`.

mod common;

use std::future::{pending, poll_fn};
use std::mem::forget;
use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, SystemTime};

use common::{Counter, Log, panic_message, waker};
use futures_lite::future;
use uis_clock::{Clock, Instant, SharedClock, TimerGuard, VirtualClock};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Instant {
    Instant::from_secs(n)
}

/// Arms a timer that logs its name and the time it sees.
fn logs(clock: &VirtualClock, log: &Log<(u64, Instant)>, name: u64, deadline: Instant) -> TimerGuard {
    let (log, seen) = (log.clone(), clock.clone());
    clock.wake_at(deadline, &waker(move || log.push((name, seen.now()))))
}

#[test]
fn timers_fire_by_deadline_then_in_the_order_of_arming() {
    let clock = VirtualClock::new();
    let log = Log::new();
    let _timers =
        [(1, 3), (2, 1), (3, 3), (4, 2), (5, 1), (6, 9)].map(|(name, s)| logs(&clock, &log, name, at(s)));
    clock.advance(secs(5));
    assert_eq!(log.take(), [(2, at(1)), (5, at(1)), (4, at(2)), (1, at(3)), (3, at(3))]);
    assert_eq!(clock.now(), at(5));
    assert_eq!(clock.next_deadline(), Some(at(9)));
    clock.advance(secs(3));
    assert_eq!(log.take(), []);
    clock.advance(secs(1));
    assert_eq!(log.take(), [(6, at(9))]);
}

#[test]
fn a_timer_armed_by_a_waker_fires_in_the_same_advance() {
    // Every second, for ever: each waker arms the next timer.
    fn tick(clock: VirtualClock, log: Log<Instant>, armed: Arc<Mutex<Option<TimerGuard>>>) {
        let next = clock.now() + secs(1);
        let ring = {
            let (clock, log, armed) = (clock.clone(), log.clone(), armed.clone());
            waker(move || {
                log.push(clock.now());
                tick(clock.clone(), log.clone(), armed.clone());
            })
        };
        let timer = clock.wake_at(next, &ring);
        let old = armed.lock().unwrap().replace(timer);
        drop(old);
    }
    let clock = VirtualClock::new();
    let log = Log::new();
    let armed = Arc::default();
    tick(clock.clone(), log.clone(), Arc::clone(&armed));
    clock.advance(Duration::from_millis(4500));
    assert_eq!(log.take(), [at(1), at(2), at(3), at(4)]);
    assert_eq!(clock.now(), Instant::from_millis(4500));
    drop(armed.lock().unwrap().take());
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn a_dropped_guard_disarms_also_from_within_a_waker() {
    let clock = VirtualClock::new();
    let log = Log::new();
    let victim = Arc::new(Mutex::new(None));
    let _killer = clock.wake_at(at(1), &{
        let victim = victim.clone();
        waker(move || drop(victim.lock().unwrap().take()))
    });
    *victim.lock().unwrap() = Some(logs(&clock, &log, 1, at(1)));
    drop(logs(&clock, &log, 2, at(1)));
    let _third = logs(&clock, &log, 3, at(1));
    clock.advance(secs(2));
    assert_eq!(log.take(), [(3, at(1))]);
}

#[test]
fn a_timer_wakes_once_and_its_guard_may_outlive_it_and_the_clock() {
    let clock = VirtualClock::new();
    let counter = Counter::default();
    let fired = clock.wake_at(at(1), &counter.waker());
    clock.advance(secs(1));
    clock.advance(secs(1));
    assert_eq!(counter.count(), 1);
    let armed = clock.wake_at(at(9), &counter.waker());
    drop(clock);
    drop((fired, armed));
    assert_eq!(counter.count(), 1);
}

#[test]
fn timers_go_when_nobody_is_left_to_move_the_time() {
    let kept = Arc::new(());
    let clock = VirtualClock::new();
    // However the handle was made.
    for handle in [clock.handle(), (&clock).into(), clock.clone().into(), SharedClock::new(clock.clone())] {
        let (seen, owner) = (Arc::downgrade(&kept), kept.clone());
        struct Owner(#[allow(dead_code)] Arc<()>, #[allow(dead_code)] SharedClock);
        impl std::task::Wake for Owner {
            fn wake(self: Arc<Self>) {}
        }
        // A cycle, if handles kept the timers.
        let waker = Waker::from(Arc::new(Owner(owner, handle.clone())));
        std::mem::forget(handle.wake_at(at(1), &waker));
        std::mem::forget(handle.wake_sleeper_at(at(1), &waker));
        drop(waker);
        assert!(seen.strong_count() > 1);
    }
    let handle = clock.handle();
    clock.advance(Duration::from_millis(1));
    drop(clock);
    assert_eq!(Arc::strong_count(&kept), 1);
    assert_eq!(handle.now(), Instant::from_millis(1));
    let sleep = handle.sleep(secs(1));
    assert!(format!("{handle:?} {sleep:?}").contains("VirtualClock"));
    drop(handle.wake_at(at(0), Waker::noop()));
}

#[test]
fn wakers_and_their_drops_run_with_no_lock_held() {
    // Each of them takes the clock's lock again.
    struct AsksOnDrop(VirtualClock, Counter);
    impl Drop for AsksOnDrop {
        fn drop(&mut self) {
            self.0.next_deadline();
            self.1.waker().wake();
        }
    }
    let clock = VirtualClock::new();
    let dropped = Counter::default();
    let asks = || {
        let on_drop = AsksOnDrop(clock.clone(), dropped.clone());
        waker(move || _ = on_drop.0.next_deadline())
    };
    let fires = clock.wake_at(at(1), &asks());
    let disarmed = clock.wake_at(at(1), &asks());
    drop(disarmed);
    assert_eq!(dropped.count(), 1);
    clock.advance(secs(1));
    assert_eq!(dropped.count(), 2);
    drop(fires);
}

#[test]
fn a_passed_deadline_fires_when_the_clock_is_driven_next_and_not_in_the_call() {
    let clock = VirtualClock::new();
    clock.advance(secs(10));
    let log = Log::new();
    let _timer = logs(&clock, &log, 1, at(3));
    assert_eq!(log.take(), []);
    assert_eq!(clock.next_deadline(), Some(at(10)));
    clock.advance(Duration::ZERO);
    assert_eq!(log.take(), [(1, at(10))]);
    let _timer = logs(&clock, &log, 2, at(4));
    assert_eq!(clock.advance_to_next(), Some(at(10)));
    assert_eq!(log.take(), [(2, at(10))]);
    let _timer = logs(&clock, &log, 3, at(5));
    let mut polls = 0;
    clock.block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            forget(clock.wake_at(at(10), cx.waker()));
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
    assert_eq!(log.take(), [(3, at(10))]);
}

#[test]
fn advance_to_next_ends_although_a_waker_arms_for_the_same_moment_for_ever() {
    fn again(clock: VirtualClock, counter: Counter) {
        let ring = {
            let (clock, counter) = (clock.clone(), counter.clone());
            waker(move || {
                counter.waker().wake();
                again(clock.clone(), counter.clone());
            })
        };
        forget(clock.wake_at(at(1), &ring));
    }
    let clock = VirtualClock::new();
    let counter = Counter::default();
    again(clock.clone(), counter.clone());
    assert_eq!(clock.advance_to_next(), Some(at(1)));
    assert_eq!(clock.advance_to_next(), Some(at(1)));
    assert_eq!(counter.count(), 2);
}

#[test]
fn a_panicking_waker_loses_no_other_timer() {
    let clock = VirtualClock::new();
    let log = Log::new();
    let _timers = [
        logs(&clock, &log, 1, at(1)),
        clock.wake_at(at(1), &waker(|| panic!("the first"))),
        logs(&clock, &log, 2, at(1)),
        clock.wake_at(at(2), &waker(|| panic!("the second"))),
        logs(&clock, &log, 3, at(3)),
    ];
    assert_eq!(panic_message(|| clock.advance(secs(5))), "the first");
    assert_eq!(log.take(), [(1, at(1)), (2, at(1)), (3, at(3))]);
    assert_eq!(clock.now(), at(5));

    let _timers = [clock.wake_at(at(6), &waker(|| panic!("again"))), logs(&clock, &log, 4, at(6))];
    assert_eq!(panic_message(|| _ = clock.advance_to_next()), "again");
    assert_eq!(log.take(), [(4, at(6))]);
}

#[test]
fn time_saturates_at_its_end_where_never_is() {
    let clock = VirtualClock::new();
    let log = Log::new();
    let last = Instant::MAX - Duration::from_nanos(1);
    let _never = logs(&clock, &log, 1, Instant::ZERO + Duration::MAX);
    assert_eq!(clock.next_deadline(), None);
    assert_eq!(clock.advance_to_next(), None);
    let _last = logs(&clock, &log, 2, last);
    assert_eq!(clock.advance_to_next(), Some(last));
    assert_eq!(log.take(), [(2, last)]);
    clock.advance(Duration::MAX);
    assert_eq!(log.take(), [(1, Instant::MAX)]);
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), Instant::MAX);
    // At the end of time every sleep is over: no hang, no overflow.
    clock.block_on(clock.handle().sleep(secs(1)));
    assert!(clock.handle().system_time(Instant::MAX) > SystemTime::now());
}

#[test]
fn the_epoch_is_fixed_and_can_be_chosen() {
    let year_2000 = SystemTime::UNIX_EPOCH + secs(946_684_800);
    let clock = VirtualClock::new().handle();
    assert_eq!(clock.epoch(), year_2000);
    assert_eq!(clock.system_time(at(5)), year_2000 + secs(5));
    let chosen = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
    chosen.advance(secs(7));
    assert_eq!(chosen.handle().system_time(chosen.now()), SystemTime::UNIX_EPOCH + secs(7));
}

#[test]
fn block_on_runs_what_is_runnable_before_it_moves_the_time() {
    let clock = VirtualClock::new();
    let handle = clock.handle();
    let order = Log::new();
    let busy = async {
        for _ in 0..100 {
            future::yield_now().await;
            order.push(handle.now());
        }
    };
    let sleeper = async {
        handle.sleep(secs(1)).await;
        order.push(handle.now());
    };
    clock.block_on(future::zip(sleeper, busy));
    let order = order.take();
    assert!(order[..100].iter().all(|&now| now == Instant::ZERO));
    assert_eq!(order[100..], [at(1)]);
}

#[test]
fn block_on_steps_through_every_deadline() {
    let clock = VirtualClock::new();
    let handle = clock.handle();
    let log = Log::new();
    let sleeper = |name: u64, step: u64| {
        let (handle, log) = (handle.clone(), log.clone());
        async move {
            for _ in 0..3 {
                handle.sleep(secs(step)).await;
                log.push((name, handle.now()));
            }
        }
    };
    clock.block_on(future::zip(sleeper(1, 2), sleeper(2, 3)));
    assert_eq!(log.take(), [(1, at(2)), (2, at(3)), (1, at(4)), (1, at(6)), (2, at(6)), (2, at(9))]);
}

#[test]
fn block_on_says_deadlock_instead_of_hanging() {
    let clock = VirtualClock::new();
    clock.advance(secs(2));
    let message = panic_message(|| clock.block_on(pending()));
    assert_eq!(message, "deadlock: at 2.000000000s nothing is runnable and no timer is armed");
    // A sleep for ever is no reason to wait.
    let message = panic_message(|| clock.block_on(clock.handle().sleep(Duration::MAX)));
    assert!(message.starts_with("deadlock: "), "{message}");
    assert_eq!(clock.now(), at(2));
}

/// Arms a timer for every ten minutes, as a network does, and waits for nothing.
async fn upkeep(clock: &SharedClock) {
    let mut timer = None;
    poll_fn(|cx| {
        timer = Some(clock.wake_at(clock.now() + secs(600), cx.waker()));
        Poll::<()>::Pending
    })
    .await;
    drop(timer);
}

#[test]
fn upkeep_without_end_is_a_deadlock_too() {
    let clock = VirtualClock::new();
    let handle = clock.handle();
    let message = panic_message(|| clock.block_on(upkeep(&handle)));
    assert_eq!(
        message,
        "deadlock: at 6000000.000000000s nobody has slept for 30 days, and timers of the network go on for ever"
    );
}

#[test]
fn upkeep_is_none_while_somebody_sleeps() {
    let clock = VirtualClock::new();
    let handle = clock.handle();
    let sleepy = async {
        for days in [200, 1, 150] {
            handle.sleep(secs(days * 86_400)).await;
        }
    };
    clock.block_on(future::or(upkeep(&handle), sleepy));
    assert_eq!(clock.now(), at(351 * 86_400));
    // And a long wait for something else is one deadline.
    let mut timer = None;
    clock.block_on(poll_fn(|cx| match timer {
        Some(_) => Poll::Ready(()),
        None => {
            timer = Some(handle.wake_at(at(1000 * 86_400), cx.waker()));
            Poll::Pending
        }
    }));
    assert_eq!(clock.now(), at(1000 * 86_400));
}

#[test]
fn a_wake_up_from_another_thread_counts() {
    // The thread wakes the future while that is being polled, so the wake-up has come from elsewhere by
    // the time that block_on looks.
    let clock = VirtualClock::new();
    let (send, receive) = mpsc::channel::<Waker>();
    let (done, is_done) = mpsc::channel();
    let other = thread::spawn(move || {
        for waker in receive {
            waker.wake();
            done.send(()).unwrap();
        }
    });
    let mut polls = 0;
    clock.block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 100 {
            return Poll::Ready(());
        }
        send.send(cx.waker().clone()).unwrap();
        is_done.recv().unwrap();
        Poll::Pending
    }));
    assert_eq!((polls, clock.now()), (100, Instant::ZERO));
    drop(send);
    other.join().unwrap();
}

#[test]
fn a_sleep_notices_time_that_was_moved_while_it_armed() {
    /// Another thread, in the worst moment.
    #[derive(Debug)]
    struct MovedMeanwhile(VirtualClock);
    impl Clock for MovedMeanwhile {
        fn now(&self) -> Instant {
            self.0.now()
        }
        fn epoch(&self) -> SystemTime {
            self.0.epoch()
        }
        fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
            self.0.advance(secs(1));
            self.0.wake_at(deadline, waker)
        }
    }
    let clock = VirtualClock::new();
    let mut sleep = SharedClock::new(MovedMeanwhile(clock.clone())).sleep(secs(1));
    assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn a_sleep_that_another_thread_starts_is_not_lost_to_an_advance() {
    for _ in 0..300 {
        let clock = VirtualClock::new();
        let sleep = clock.handle().sleep(secs(1));
        let sleeper = thread::spawn(move || future::block_on(sleep));
        clock.advance(secs(1));
        // Nobody moves the time again: only a sleep that missed nothing ends.
        sleeper.join().unwrap();
    }
}

#[test]
fn threads_may_advance_at_once_and_time_never_steps_back() {
    let clock = VirtualClock::new();
    let counter = Counter::default();
    let _timers: Vec<_> =
        (0..1000).map(|ms| clock.wake_at(Instant::from_millis(ms), &counter.waker())).collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = clock.now();
                while last < at(1) {
                    clock.advance(Duration::from_millis(7));
                    let now = clock.now();
                    assert!(now >= last + Duration::from_millis(7));
                    last = now;
                }
            });
        }
    });
    assert_eq!(counter.count(), 1000);
}

#[test]
fn the_current_clock_is_set_inside_block_on_only() {
    fn now() -> Option<Instant> {
        VirtualClock::current().map(|clock| clock.now())
    }
    let (outer, inner) = (VirtualClock::new(), VirtualClock::new());
    outer.advance(secs(1));
    inner.advance(secs(2));
    assert_eq!(now(), None);
    outer.block_on(async {
        assert_eq!(now(), Some(at(1)));
        inner.block_on(async { assert_eq!(now(), Some(at(2))) });
        panic_message(|| inner.block_on(pending()));
        assert_eq!(now(), Some(at(1)));
        assert_eq!(thread::spawn(now).join().unwrap(), None);
    });
    assert_eq!(now(), None);
}

#[test]
fn sleep_can_be_reset_before_while_and_after_it_waits() {
    let clock = VirtualClock::new();
    let counter = Counter::default();
    let waker = counter.waker();
    let mut cx = Context::from_waker(&waker);
    let mut sleep = clock.handle().sleep(secs(5));
    let mut poll = |sleep: &mut uis_clock::Sleep| Pin::new(sleep).poll(&mut cx);

    sleep.reset(at(2));
    assert_eq!((sleep.deadline(), clock.next_deadline()), (at(2), None));
    assert_eq!(poll(&mut sleep), Poll::Pending);
    // Later, without a poll: the old deadline wakes nobody, the new one does.
    sleep.reset(at(4));
    clock.advance(secs(3));
    assert_eq!((counter.count(), poll(&mut sleep)), (0, Poll::Pending));
    clock.advance(secs(1));
    assert_eq!((counter.count(), poll(&mut sleep)), (1, Poll::Ready(())));
    assert_eq!(poll(&mut sleep), Poll::Ready(()));
    // Again, and then to a time that has passed: woken at once.
    sleep.reset(at(9));
    assert_eq!(poll(&mut sleep), Poll::Pending);
    sleep.reset(at(1));
    assert_eq!((counter.count(), poll(&mut sleep)), (2, Poll::Ready(())));
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn sleep_wakes_the_task_that_polled_last_and_disarms_on_drop() {
    let clock = VirtualClock::new();
    let (first, second) = (Counter::default(), Counter::default());
    let mut sleep = clock.handle().sleep(secs(1));
    for counter in [&first, &second, &second] {
        let waker = counter.waker();
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    clock.advance(secs(1));
    assert_eq!((first.count(), second.count()), (0, 1));

    let mut sleep = clock.handle().sleep(secs(1));
    assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(sleep);
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn timeout_prefers_the_result_and_drops_its_timer() {
    let clock = VirtualClock::new();
    let handle: SharedClock = (&clock).into();
    clock.block_on(async {
        // Ready in the very moment of the limit.
        let tie = handle.timeout(secs(1), handle.sleep(secs(1)));
        assert_eq!(tie.await, Ok(()));
        assert_eq!(handle.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        assert!(handle.timeout(Duration::ZERO, pending::<()>()).await.is_err());
        assert!(handle.timeout(secs(2), handle.sleep(secs(3))).await.is_err());
        assert_eq!(handle.timeout(Duration::MAX, handle.sleep(secs(1))).await, Ok(()));
    });
    assert_eq!((clock.now(), clock.next_deadline()), (at(4), None));
}
