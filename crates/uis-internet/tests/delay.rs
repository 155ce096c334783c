//! The delay line, on virtual time.

mod common;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use common::*;
use uis_clock::{Clock, Instant, SharedClock, SystemClock, TimerGuard, VirtualClock};
use uis_internet::Internet;
use uis_vnic::{Dispatcher, DropReason, Frame, MTU_ETHERNET, VnicPort};

const TO: &str = "10.0.0.1";

fn lab(max: usize) -> (VirtualClock, Internet, VnicPort) {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).max_in_flight(max).build();
    let port = port(&internet, TO);
    (clock, internet, port)
}

fn frame(id: u32) -> Frame {
    Frame::new(packet(ip(TO), id, 0))
}

fn ms(n: u64) -> Instant {
    Instant::from_millis(n)
}

#[test]
fn frames_come_when_they_are_due_and_ties_in_the_order_of_the_calls() {
    let (clock, internet, port) = lab(1024);
    let due = [30, 10, 20, 10, 30, 10, 0];
    for (id, at) in due.into_iter().enumerate() {
        internet.deliver_at(frame(id as u32), ms(at)).unwrap();
    }
    assert_eq!(arrived(&port), [6], "what is due is not kept");
    for (now, expected) in [(9, vec![]), (10, vec![1, 3, 5]), (19, vec![]), (25, vec![2]), (99, vec![0, 4])] {
        clock.advance(ms(now) - clock.now());
        assert_eq!(arrived(&port), expected, "at {now} ms");
    }
    assert_eq!(clock.next_deadline(), None);
    // And again, after it was empty.
    internet.deliver_after(frame(9), Duration::from_millis(1)).unwrap();
    assert_eq!(clock.next_deadline(), Some(ms(100)));
    clock.advance(Duration::from_millis(1));
    assert_eq!(arrived(&port), [9]);
}

#[test]
fn each_is_delivered_at_its_own_time() {
    struct Times(SharedClock, Mutex<Vec<(u32, Instant)>>);
    impl Dispatcher for Times {
        fn receive_frame(&self, frame: Frame) {
            self.1.lock().unwrap().push((id(frame.packet()), self.0.now()));
        }
    }
    let (clock, internet, port) = lab(1024);
    internet.remove_route([ip(TO)]);
    drop(port);
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip(TO)]).unwrap();
    let times = Arc::new(Times(clock.handle(), Mutex::default()));
    let weak: Weak<dyn Dispatcher> = Arc::<Times>::downgrade(&times);
    vnic.attach(weak).unwrap();
    for id in [5, 3, 4, 1, 2] {
        internet.deliver_at(frame(id), ms(u64::from(id))).unwrap();
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(*times.1.lock().unwrap(), (1..=5).map(|id| (id, ms(u64::from(id)))).collect::<Vec<_>>());
}

#[test]
fn it_is_bounded_and_counted() {
    let (clock, internet, port) = lab(3);
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&from, ip(TO), [1, 2, 3]);
    let in_flight = internet.in_flight();
    for _ in 0..3 {
        internet.deliver_at(in_flight.try_recv().unwrap(), ms(5)).unwrap();
    }
    let stats = internet.stats();
    assert_eq!((stats.sent, stats.held, stats.queued, stats.delivered), (3, 3, 0, 0));
    let full = internet.deliver_at(frame(9), ms(5)).unwrap_err();
    assert_eq!((full.reason(), id(full.frame().packet())), (DropReason::Full, 9));
    assert_eq!(internet.stats().injected_dropped, 1);
    assert_adds_up(&internet);

    // Judged when it is due, not before.
    port.vnic().close();
    clock.advance(Duration::from_millis(5));
    let stats = internet.stats();
    assert_eq!((stats.held, stats.delivered, stats.dropped(DropReason::NoRoute)), (0, 0, 3));
    assert_adds_up(&internet);
    internet.deliver_at(frame(9), ms(6)).unwrap();
    assert_eq!(internet.stats().held, 0, "nobody sent it");
}

#[test]
fn closing_drops_what_is_held() {
    let (clock, internet, port) = lab(8);
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&from, ip(TO), [1, 2]);
    let in_flight = internet.in_flight();
    while let Some(frame) = in_flight.try_recv() {
        internet.deliver_at(frame, ms(5)).unwrap();
    }
    internet.deliver_at(frame(3), ms(5)).unwrap();
    internet.close();
    let stats = internet.stats();
    assert_eq!((stats.held, stats.dropped(DropReason::Closed), stats.injected_dropped), (0, 2, 1));
    assert_adds_up(&internet);
    assert_eq!(clock.next_deadline(), None);
    assert_eq!(internet.deliver_at(frame(4), ms(5)).unwrap_err().reason(), DropReason::Closed);
    clock.advance(Duration::from_secs(1));
    assert!(arrived(&port).is_empty());
}

#[test]
fn a_receiver_may_delay_another_frame() {
    /// Passes each frame on with one less, at once.
    struct CountDown(Internet);
    impl Dispatcher for CountDown {
        fn receive_frame(&self, frame: Frame) {
            if let Some(next) = id(frame.packet()).checked_sub(1) {
                let now = self.0.clock().now();
                self.0.deliver_at(Frame::new(packet(ip("10.0.0.2"), next, 0)), now).unwrap();
            }
        }
    }
    let (clock, internet, port) = lab(8);
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip("10.0.0.2")]).unwrap();
    let count_down = Arc::new(CountDown(internet.clone()));
    let weak: Weak<dyn Dispatcher> = Arc::<CountDown>::downgrade(&count_down);
    vnic.attach(weak).unwrap();
    // So deep that a recursion would overflow the stack.
    internet.deliver_at(Frame::new(packet(ip("10.0.0.2"), 200_000, 0)), ms(1)).unwrap();
    internet.deliver_at(frame(7), ms(2)).unwrap();
    clock.advance(Duration::from_millis(1));
    assert_eq!(internet.stats().injected, 200_001);
    clock.advance(Duration::from_millis(1));
    assert_eq!(arrived(&port), [7]);
}

#[test]
fn a_panicking_receiver_does_not_hold_up_the_others() {
    struct Panics;
    impl Dispatcher for Panics {
        fn receive_frame(&self, _: Frame) {
            panic!("a receiver of the user's");
        }
    }
    let (clock, internet, port) = lab(8);
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip("10.0.0.2")]).unwrap();
    let panics = Arc::new(Panics);
    let weak: Weak<dyn Dispatcher> = Arc::<Panics>::downgrade(&panics);
    vnic.attach(weak).unwrap();
    internet.deliver_at(Frame::new(packet(ip("10.0.0.2"), 1, 0)), ms(1)).unwrap();
    internet.deliver_at(frame(2), ms(1)).unwrap();
    internet.deliver_at(frame(3), ms(2)).unwrap();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| clock.advance(Duration::from_millis(1))));
    assert!(result.is_err(), "it is not swallowed");
    assert_eq!(arrived(&port), [2]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(arrived(&port), [3]);
}

#[test]
fn time_may_pass_while_frames_are_delivered() {
    /// Whoever receives takes so much time.
    struct Slow(VirtualClock);
    impl Dispatcher for Slow {
        fn receive_frame(&self, _: Frame) {
            self.0.advance(Duration::from_millis(5));
        }
    }
    let (clock, internet, port) = lab(8);
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip("10.0.0.2")]).unwrap();
    let slow = Arc::new(Slow(clock.clone()));
    let weak: Weak<dyn Dispatcher> = Arc::<Slow>::downgrade(&slow);
    vnic.attach(weak).unwrap();
    internet.deliver_at(frame(1), ms(5)).unwrap();
    internet.deliver_at(frame(2), ms(6)).unwrap();
    // The timer for the first one fires in here, where somebody is delivering already.
    internet.deliver_at(Frame::new(packet(ip("10.0.0.2"), 0, 0)), ms(0)).unwrap();
    assert_eq!(arrived(&port), [1]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(arrived(&port), [2]);
}

#[test]
fn a_timer_may_fire_while_it_is_armed() {
    /// A clock on which so much time passes while a timer is armed, and another thread fires it.
    #[derive(Debug)]
    struct Jumpy(VirtualClock, AtomicBool);
    impl Clock for Jumpy {
        fn now(&self) -> Instant {
            self.0.now()
        }
        fn epoch(&self) -> SystemTime {
            self.0.epoch()
        }
        fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
            let timer = self.0.wake_at(deadline, waker);
            if self.1.swap(false, Ordering::Relaxed) {
                std::thread::scope(|scope| {
                    scope.spawn(|| self.0.advance(deadline - self.0.now())).join().unwrap()
                });
            }
            timer
        }
    }
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(Jumpy(clock.clone(), AtomicBool::new(true))).build();
    let port = port(&internet, TO);
    internet.deliver_at(frame(1), ms(5)).unwrap();
    assert_eq!(arrived(&port), [1]);
    assert_eq!(clock.next_deadline(), None);

    let internet = Internet::builder().clock(Jumpy(clock.clone(), AtomicBool::new(true))).build();
    let port = self::port(&internet, TO);
    // The second one comes while the first is armed, so only whoever delivers the first can see to it.
    let weak = internet.clone();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip("10.0.0.2")]).unwrap();
    struct Later(Internet);
    impl Dispatcher for Later {
        fn receive_frame(&self, _: Frame) {
            self.0.deliver_at(frame(2), ms(20)).unwrap();
        }
    }
    let later = Arc::new(Later(weak));
    let weak: Weak<dyn Dispatcher> = Arc::<Later>::downgrade(&later);
    vnic.attach(weak).unwrap();
    internet.deliver_at(Frame::new(packet(ip("10.0.0.2"), 0, 0)), ms(10)).unwrap();
    assert_eq!(clock.next_deadline(), Some(ms(20)));
    clock.advance(Duration::from_millis(15));
    assert_eq!(arrived(&port), [2]);
}

#[test]
fn real_time_and_many_threads() {
    let internet = Internet::builder().clock(SystemClock::new()).max_in_flight(10_000).build();
    let port = port(&internet, TO);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let internet = &internet;
            scope.spawn(move || {
                for n in 0..500 {
                    let delay = Duration::from_micros(u64::from((n * 37 + thread * 11) % 300));
                    internet.deliver_after(frame(n), delay).unwrap();
                }
            });
        }
    });
    // Not one is forgotten, or this does not end.
    let mut all = Vec::new();
    futures_lite::future::block_on(async {
        while all.len() < 2000 {
            all.push(id(port.recv().await.unwrap().packet()));
        }
    });
    all.sort_unstable();
    assert_eq!(all, (0..500).flat_map(|n| [n; 4]).collect::<Vec<_>>());
}
