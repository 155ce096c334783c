//! `route` and `route_until`: who gets which frame, when they yield, when they end, and what they leave behind.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use common::*;
use futures_lite::future::{block_on, or, poll_fn, yield_now, zip};
use uis_clock::{Instant, VirtualClock};
use uis_internet::Internet;
use uis_vnic::{Dispatcher, Frame, MTU_ETHERNET, Vnic};

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";

/// Answers each packet at once, with one less to the other side.
struct PingPong {
    vnic: Vnic,
    other: &'static str,
}

impl Dispatcher for PingPong {
    fn receive_frame(&self, frame: Frame) {
        if let Some(next) = id(frame.packet()).checked_sub(1) {
            send(&self.vnic, ip(self.other), [next]);
        }
    }
}

fn ping_pong(internet: &Internet) -> [Arc<PingPong>; 2] {
    [(A, B), (B, A)].map(|(addr, other)| {
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        internet.add_route(&vnic, [ip(addr)]).unwrap();
        let end = Arc::new(PingPong { vnic: vnic.clone(), other });
        let weak: Weak<dyn Dispatcher> = Arc::<PingPong>::downgrade(&end);
        vnic.attach(weak).unwrap();
        end
    })
}

#[test]
fn each_gets_everything_in_order_until_the_close() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let to = port(&internet, A);
    let mut seen = Vec::new();
    let route = internet.route(|internet, frame| {
        seen.push(id(frame.packet()));
        internet.deliver(frame)
    });
    let test = async {
        for round in 0..5 {
            send(&vnic, ip(A), round * 100..round * 100 + 100);
            for _ in 0..100 {
                to.recv().await.unwrap();
            }
        }
        send(&vnic, ip(A), [500]);
        internet.close(); // what is queued is still handed out
    };
    block_on(zip(route, test));
    assert_eq!(seen, (0..=500).collect::<Vec<_>>());
    assert_eq!(internet.stats().delivered, 500);
    block_on(internet.route(|_, _| unreachable!("it is closed and empty")));
}

#[test]
fn others_get_their_turn_after_64_packets() {
    let internet = Internet::builder().max_in_flight(1000).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&vnic, ip(A), 0..1000);
    let handled = Cell::new(0);
    let mut turns = Vec::new();
    let other = async {
        while handled.get() < 1000 {
            turns.push(handled.get());
            yield_now().await;
        }
    };
    block_on(or(other, internet.route(|_, _| handled.set(handled.get() + 1))));
    assert_eq!(turns[..4], [0, 64, 128, 192]);
    assert_eq!(turns.len(), 16);

    // The same where they make each other work without end.
    let internet = Internet::new();
    let ends = ping_pong(&internet);
    send(&ends[0].vnic, ip(B), [1_000_000]);
    let mut turns = 0;
    let other = async {
        while turns < 100 {
            turns += 1;
            yield_now().await;
        }
    };
    block_on(or(other, internet.route(Internet::deliver)));
    let delivered = internet.stats().delivered;
    assert!(delivered <= 6400, "{delivered}");
    assert_eq!(in_flight(&internet), [1_000_000 - delivered as u32]);
}

#[test]
fn an_idle_router_is_woken_once_and_no_more() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let (wakes, waker) = Wakes::new();
    let handled = Cell::new(0);
    let mut route = Box::pin(internet.route(|_, _| handled.set(handled.get() + 1)));
    assert!(poll(&mut route, &waker).is_pending());
    send(&vnic, ip(A), 0..10);
    assert_eq!(wakes.take(), 1);
    assert!(poll(&mut route, &waker).is_pending());
    assert_eq!((handled.get(), wakes.take()), (10, 0), "it does not wake itself for nothing");
}

#[test]
fn a_cancelled_router_leaves_the_rest_in_its_place() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&vnic, ip(A), 0..100);
    let (_, waker) = Wakes::new();
    let mut route = Box::pin(internet.route(|_, _| ()));
    assert!(poll(&mut route, &waker).is_pending());
    drop(route);
    assert_eq!(in_flight(&internet), (64..100).collect::<Vec<_>>());
}

#[test]
fn a_panic_in_the_closure_loses_one_packet() {
    for until in [false, true] {
        let internet = Internet::new();
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        let to = port(&internet, A);
        send(&vnic, ip(A), 0..100);
        let each = |internet: &Internet, frame: Frame| {
            assert_ne!(id(frame.packet()), 10, "this is the one");
            let stats = internet.stats();
            assert_eq!(
                stats.queued,
                99 - u64::from(id(frame.packet())),
                "the rest of the batch is still queued"
            );
            internet.deliver(frame).unwrap();
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            if until {
                block_on(internet.route_until(std::future::pending::<()>(), each));
            } else {
                block_on(internet.route(each));
            }
        }));
        assert!(result.is_err());
        let stats = internet.stats();
        assert_eq!((stats.queued, stats.delivered, stats.withheld()), (89, 10, 1));
        assert_eq!(arrived(&to), (0..10).collect::<Vec<_>>());
        assert_eq!(in_flight(&internet), (11..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_panic_of_a_sender_that_is_woken_loses_nothing() {
    let internet = Internet::builder().max_in_flight(8).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&vnic, ip(A), 0..8);
    vnic.on_room(&waker_fn(|| panic!("a waker of the user's")));
    let mut route = Box::pin(internet.route(|_, _| unreachable!("none is handled")));
    catch_unwind(AssertUnwindSafe(|| poll(&mut route, std::task::Waker::noop()))).unwrap_err();
    assert_eq!(internet.stats().queued, 8);
    drop(route);
    assert_eq!(internet.stats().queued, 8);
    assert_eq!(in_flight(&internet), (0..8).collect::<Vec<_>>());
    assert_eq!(internet.stats().queued, 0);
}

#[test]
fn a_frame_put_back_wakes_who_waits() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let in_flight = internet.in_flight();
    let (wakes, waker) = Wakes::new();
    send(&vnic, ip(A), [1, 2]);
    let mut waiting = Box::pin(in_flight.recv());
    let mut route = Box::pin(internet.route(|_, _| {
        // The queue is empty while the router has both.
        assert!(poll(&mut waiting, &waker).is_pending());
        panic!("in the middle");
    }));
    catch_unwind(AssertUnwindSafe(|| poll(&mut route, std::task::Waker::noop()))).unwrap_err();
    drop(route);
    assert_eq!(wakes.take(), 1);
    assert!(poll(&mut waiting, &waker).is_ready());
}

#[test]
fn the_closure_may_do_anything() {
    let internet = Internet::new();
    let ends = ping_pong(&internet);
    send(&ends[0].vnic, ip(B), [1000]);
    let extra = RefCell::new(vec![]);
    let mut seen = 0;
    let until = poll_fn(|cx| {
        if internet.stats().delivered + internet.stats().injected < 1002 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready("done")
    });
    let output = block_on(internet.route_until(until, |internet, frame| {
        seen += 1;
        if seen == 3 {
            // Takes another one's frame, makes one up, and asks for numbers.
            send(&ends[0].vnic, ip(B), [0]);
            extra.borrow_mut().extend(internet.in_flight().try_recv());
            internet.deliver(Frame::new(packet(ip(A), 0, 0))).unwrap();
            assert_eq!(internet.stats().queued, 0);
        }
        internet.deliver(frame)
    }));
    assert_eq!(output, "done");
    assert_eq!(extra.borrow().len(), 1);
    let stats = internet.stats();
    assert_eq!((stats.sent, stats.delivered, stats.injected, stats.withheld()), (1002, 1001, 1, 1));
}

#[test]
fn until_is_polled_only_when_it_was_woken() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let polls = Cell::new(0);
    let inner = RefCell::new(None);
    let until = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        *inner.borrow_mut() = Some(cx.waker().clone());
        if polls.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
    });
    let (wakes, waker) = Wakes::new();
    let mut run = Box::pin(internet.route_until(until, |_, _| ()));
    assert!(poll(&mut run, &waker).is_pending());
    assert_eq!((polls.get(), wakes.take()), (1, 0));
    send(&vnic, ip(A), 0..10);
    assert_eq!(wakes.take(), 1);
    assert!(poll(&mut run, &waker).is_pending());
    assert_eq!((polls.get(), internet.stats().queued), (1, 0), "frames alone are no reason");

    let wake = inner.borrow().clone().unwrap();
    wake.wake_by_ref();
    wake.wake_by_ref();
    assert_eq!(wakes.take(), 1, "the task is woken once");
    assert!(poll(&mut run, &waker).is_pending());
    assert_eq!(polls.get(), 2);

    // The task has another waker now.
    let (newer, newer_waker) = Wakes::new();
    assert!(poll(&mut run, &newer_waker).is_pending());
    wake.wake_by_ref();
    assert_eq!((wakes.take(), newer.take()), (0, 1));
    drop(run);
    wake.wake_by_ref();
    drop(newer_waker);
    assert_eq!((newer.take(), Arc::strong_count(&newer)), (0, 1), "nothing of the task is kept");
}

#[test]
fn a_long_queue_is_worked_off_while_until_sleeps() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&vnic, ip(A), 0..300);
    let sleeper = RefCell::new(None);
    let mut polls = 0;
    let until = poll_fn(|cx| {
        polls += 1;
        *sleeper.borrow_mut() = Some(cx.waker().clone());
        if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
    });
    block_on(internet.route_until(until, |_, frame| {
        if id(frame.packet()) == 299 {
            sleeper.borrow().as_ref().unwrap().wake_by_ref();
        }
    }));
    assert_eq!(polls, 2);
}

#[test]
fn what_ends_the_test_is_routed_too() {
    struct Goodbye(Vnic);
    impl Drop for Goodbye {
        fn drop(&mut self) {
            send(&self.0, ip(B), [9]);
        }
    }
    let internet = Internet::new();
    let ends = ping_pong(&internet);
    // It says goodbye only when the future itself goes, and then ten packets follow.
    struct Until(Goodbye);
    impl Future for Until {
        type Output = &'static str;
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<&'static str> {
            let _ = &self.0;
            Poll::Ready("output")
        }
    }
    let until = Until(Goodbye(ends[0].vnic.clone()));
    let mut seen = Vec::new();
    let output = block_on(internet.route_until(until, |internet, frame| {
        seen.push(id(frame.packet()));
        internet.deliver(frame)
    }));
    assert_eq!(output, "output");
    assert_eq!(seen, (0..10).rev().collect::<Vec<_>>());
}

#[test]
fn going_on_is_bounded_in_packets() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).max_in_flight(100).build();
    let ends = ping_pong(&internet);
    internet.deliver_after(Frame::new([]), Duration::from_secs(1)).unwrap();
    let until = async { send(&ends[0].vnic, ip(B), [1_000_000]) };
    clock.block_on(internet.route_until(until, Internet::deliver));
    assert_eq!(internet.stats().delivered, 100);
    assert_eq!(internet.stats().queued, 1);
    assert_eq!(clock.now(), Instant::ZERO, "then it waits for nothing");
}

#[test]
fn going_on_waits_for_what_is_delayed() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).build();
    let ends = ping_pong(&internet);
    let until = async { send(&ends[0].vnic, ip(B), [9]) };
    let delay = |internet: &Internet, frame| internet.deliver_after(frame, Duration::from_millis(30));
    clock.block_on(internet.route_until(until, delay));
    assert_eq!(internet.stats().delivered, 10);
    assert_eq!(clock.now(), Instant::from_millis(300));

    // But not for longer than two seconds.
    let until = async { send(&ends[0].vnic, ip(B), [99]) };
    clock.block_on(internet.route_until(until, delay));
    assert_eq!(clock.now(), Instant::from_millis(2300));
    let stats = internet.stats();
    // The tick at two seconds is beyond the limit or within it, as the timers are ordered.
    assert!((76..=77).contains(&stats.delivered), "{stats:?}");
    assert_eq!(stats.held + stats.queued, 1);
    assert_adds_up(&internet);
}

#[test]
fn going_on_gives_others_eight_turns() {
    let internet = Internet::new();
    let ends = ping_pong(&internet);
    let done = Cell::new(false);
    let (mut turns, mut routed) = (0, 0);
    let run = async {
        let until = async { done.set(true) };
        internet
            .route_until(until, |internet, frame| {
                routed += 1;
                internet.deliver(frame)
            })
            .await;
    };
    // A task elsewhere that is still about to send something.
    let other = async {
        loop {
            yield_now().await;
            if done.get() {
                turns += 1;
                if turns == 5 {
                    send(&ends[0].vnic, ip(B), [1]);
                }
            }
        }
    };
    block_on(or(run, other));
    assert_eq!(routed, 2);
}

#[test]
fn a_closed_internet_does_not_end_until() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let until = async {
        send(&vnic, ip(A), [1]);
        internet.close();
        for _ in 0..10 {
            yield_now().await;
        }
        7
    };
    let mut seen = 0;
    assert_eq!(block_on(internet.route_until(until, |_, _| seen += 1)), 7);
    assert_eq!(seen, 1);
}

#[test]
fn the_futures_can_be_spawned() {
    fn spawnable<T: Send + 'static>(_: T) {}
    let internet = Internet::new();
    spawnable({
        let internet = internet.clone();
        async move { internet.route(Internet::deliver).await }
    });
    spawnable(async move {
        let mut n = 0;
        internet.route_until(async {}, |_, frame| n += frame.len()).await;
        let _ = internet.in_flight().recv().await;
    });
}
