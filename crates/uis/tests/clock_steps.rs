//! A clock that steps back, as no clock should: connections go on, and nothing stops for longer than the step.

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use common::*;
use futures_lite::future::zip;

/// A virtual clock's time, less the steps. Its timers keep to their contract: none fires before its deadline.
#[derive(Clone, Debug)]
struct Stepping {
    inner: SharedClock,
    back: Arc<AtomicU64>,
}

impl Stepping {
    fn new(clock: &VirtualClock) -> Self {
        Self { inner: clock.handle(), back: Arc::default() }
    }

    fn back(&self) -> Duration {
        Duration::from_nanos(self.back.load(Ordering::SeqCst))
    }

    fn step(&self, by: Duration) {
        self.back.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for Stepping {
    fn now(&self) -> Instant {
        self.inner.now() - self.back()
    }

    fn epoch(&self) -> SystemTime {
        self.inner.epoch()
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        let timer =
            Arc::new(Timer { clock: self.clone(), deadline, waker: waker.clone(), armed: Mutex::new(None) });
        timer.arm();
        TimerGuard::new(move || drop(timer.armed.lock().unwrap().take()))
    }
}

/// A timer that is armed again if it turns out to fire too early.
struct Timer {
    clock: Stepping,
    deadline: Instant,
    waker: Waker,
    armed: Mutex<Option<TimerGuard>>,
}

impl Timer {
    fn arm(self: &Arc<Self>) {
        let waker = Waker::from(Arc::new(Fires(Arc::downgrade(self))));
        let guard = self.clock.inner.wake_at(self.deadline + self.clock.back(), &waker);
        *self.armed.lock().unwrap() = Some(guard);
    }
}

struct Fires(Weak<Timer>);

impl Wake for Fires {
    fn wake(self: Arc<Self>) {
        let Some(timer) = self.0.upgrade() else { return };
        if timer.clock.now() < timer.deadline {
            timer.arm();
        } else {
            timer.waker.wake_by_ref();
        }
    }
}

/// Both ways at once over a path that loses every seventh packet, with a step back at packet `at`. Gives how long it took
/// for those whose time is right, and how many packets there were.
fn exchange_with_a_step(at: u64, step: Duration) -> (Duration, u64) {
    let clock = VirtualClock::new();
    clock.advance(days(1));
    let stepping = Stepping::new(&clock);
    let internet = Internet::builder().clock(SharedClock::new(stepping.clone())).build();
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    let packets = Cell::new(0);
    let start = clock.now();
    let talk = async {
        let listener = server.listen_tcp(AT[0]).unwrap();
        let (a, b) = connect(&listener, &client).await;
        exchange(a, b, 50_000).await;
    };
    clock.block_on(internet.route_until(talk, |internet, frame| {
        packets.set(packets.get() + 1);
        if packets.get() == at {
            stepping.step(step);
        }
        if !packets.get().is_multiple_of(7) {
            internet.deliver(frame).unwrap();
        }
    }));
    let took = clock.now() - start;
    // And the connection ends, and can be had again.
    clock.block_on(internet.route_until(clock.handle().sleep(step + secs(200)), Internet::deliver));
    for stack in [&server, &client] {
        let stats = stack.stats();
        assert_eq!((stats.connections, stats.time_wait), (0, 0), "at {at} by {step:?}");
    }
    (took, packets.get())
}

#[test]
fn connections_outlive_a_clock_that_steps_back() {
    let (_, packets) = exchange_with_a_step(0, ms(0));
    assert!(packets > 70, "{packets} is too short a talk");
    for (step, every) in [(ms(1), 5), (secs(1), 5), (secs(3600), 1)] {
        for at in (1..=packets).step_by(every) {
            let (took, _) = exchange_with_a_step(at, step);
            assert!(took <= step + secs(60), "{took:?}, with a step of {step:?} at packet {at}");
        }
    }
}

#[test]
fn sleepers_and_datagrams_outlive_it_too() {
    let clock = VirtualClock::new();
    clock.advance(days(1));
    let stepping = Stepping::new(&clock);
    let internet = Internet::builder().clock(SharedClock::new(stepping.clone())).build();
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    let socket = server.listen_udp("10.0.0.1:53").unwrap();
    let asks = client.dial_udp("10.0.0.1:53").unwrap();
    let start = clock.now();
    let talk = async {
        let step = async {
            clock.handle().sleep(ms(5)).await;
            stepping.step(secs(3600));
        };
        let wait = async {
            let before = internet.clock().now();
            internet.clock().sleep(ms(10)).await;
            assert!(
                internet.clock().now() >= before + ms(10),
                "a sleep ends no sooner than its own clock says"
            );
        };
        zip(step, wait).await;
        // What is held back is no longer so than by the step.
        asks.send(b"?").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(socket.recv_from(&mut buf).await.unwrap().0, 1);
    };
    clock.block_on(internet.route_until(talk, |internet, frame| internet.deliver_after(frame, ms(1))));
    assert!(clock.now() - start <= secs(3601), "{:?}", clock.now() - start);
}
