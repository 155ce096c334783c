//! Clocks that step back, as none should, jump ahead, as that of a machine that slept, or stand still: connections go on,
//! nothing stops for longer than the step, and nothing is sent for every second that was jumped over.

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use common::*;
use futures_lite::future::zip;

/// A virtual clock's time, and the steps. Its timers keep to their contract: none fires before its deadline.
#[derive(Clone, Debug)]
struct Stepping {
    inner: SharedClock,
    /// How far it is ahead, in nanoseconds.
    ahead: Arc<AtomicI64>,
}

impl Stepping {
    fn new(clock: &VirtualClock) -> Self {
        Self { inner: clock.handle(), ahead: Arc::default() }
    }

    fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::SeqCst)
    }

    fn step(&self, step: Step) {
        self.ahead.fetch_add(step.nanos(), Ordering::SeqCst);
    }

    /// The inner clock's time when this one's will be `at`.
    fn inner(&self, at: Instant) -> Instant {
        shifted(at, -self.ahead())
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ahead(Duration),
    Back(Duration),
}

impl Step {
    fn nanos(self) -> i64 {
        match self {
            Self::Ahead(by) => by.as_nanos() as i64,
            Self::Back(by) => -(by.as_nanos() as i64),
        }
    }
}

fn shifted(at: Instant, by: i64) -> Instant {
    let d = Duration::from_nanos(by.unsigned_abs());
    if by < 0 { at - d } else { at + d }
}

impl Clock for Stepping {
    fn now(&self) -> Instant {
        shifted(self.inner.now(), self.ahead())
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
        let guard = self.clock.inner.wake_at(self.clock.inner(self.deadline), &waker);
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

/// A clock that steps, a day after the beginning of `clock`'s time, and an internet with two hosts by it.
fn hosts_of_a_stepping_clock(clock: &VirtualClock) -> (Stepping, Internet, Stack, Stack) {
    clock.advance(days(1));
    let stepping = Stepping::new(clock);
    let internet = Internet::builder().clock(SharedClock::new(stepping.clone())).build();
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    (stepping, internet, server, client)
}

/// Both ways at once over a path that loses every seventh packet, with a step at packet `at`. Gives how long it took for
/// those whose time is right, and how many packets there were.
fn exchange_with_a_step(at: u64, step: Step) -> (Duration, u64) {
    let clock = VirtualClock::new();
    let (stepping, internet, server, client) = hosts_of_a_stepping_clock(&clock);
    let packets = Cell::new(0);
    let start = clock.now();
    let talk = async {
        let listener = server.listen_tcp(AT[0]).unwrap();
        let (a, b) = connect(&listener, &client).await;
        // An orphan's time is limited, and a jump would end it.
        let kept = matches!(step, Step::Ahead(_)).then(|| (a.clone(), b.clone()));
        exchange(a, b, 50_000).await;
        drop(kept);
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
    clock.block_on(internet.route_until(clock.handle().sleep(secs(3800)), Internet::deliver));
    for stack in [&server, &client] {
        let stats = stack.stats();
        assert_eq!((stats.connections, stats.time_wait), (0, 0), "at {at} by {step:?}");
    }
    (took, packets.get())
}

/// Every step at every so-manieth packet, for each of which `check` gets the time and the packets that it took, and the packets
/// of an exchange without a step.
fn each_step(steps: &[(Step, usize)], check: impl Fn(Duration, u64, u64, Step)) {
    let (_, packets) = exchange_with_a_step(0, Step::Back(ms(0)));
    assert!(packets > 70, "{packets} is too short a talk");
    for &(step, every) in steps {
        for at in (1..=packets).step_by(every) {
            let (took, sent) = exchange_with_a_step(at, step);
            check(took, sent, packets, step);
        }
    }
}

#[test]
fn connections_outlive_a_clock_that_steps_back() {
    let steps = [(ms(1), 5), (secs(1), 5), (secs(3600), 1)].map(|(by, every)| (Step::Back(by), every));
    each_step(&steps, |took, _, _, step| {
        let Step::Back(by) = step else { unreachable!("they all are") };
        assert!(took <= by + secs(60), "{took:?}, {step:?}");
    });
}

#[test]
fn a_jump_ahead_costs_few_packets() {
    let steps = [(ms(100), 5), (secs(10), 5), (secs(3600), 1)].map(|(by, every)| (Step::Ahead(by), every));
    each_step(&steps, |took, sent, usual, step| {
        // Who measures a round trip across the jump waits for the longest time-out there is, for a while.
        assert!(took <= secs(10 * 120), "{took:?}, {step:?}");
        assert!(sent <= 2 * usual, "{sent} packets instead of {usual}, {step:?}");
    });
}

#[test]
fn a_clock_that_stands_still_stops_nothing_that_goes_well() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).build();
    let server = internet.new_stack(MTU_ETHERNET, SERVER.map(ip)).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, CLIENT.map(ip)).unwrap();
    let talk = async {
        for at in AT {
            let listener = server.listen_tcp(at).unwrap();
            let (a, b) = connect(&listener, &client).await;
            exchange(a, b, 500_000).await;
        }
        let socket = server.listen_udp("10.0.0.1:53").unwrap();
        let asks = client.dial_udp("10.0.0.1:53").unwrap();
        asks.send(&noise(1, 5000)).await.unwrap();
        assert_eq!(socket.recv_from(&mut [0; 5000]).await.unwrap().0, 5000);
    };
    // This one does not drive the clock.
    futures_lite::future::block_on(internet.route_until(talk, Internet::deliver));
    assert_eq!(clock.now(), Instant::ZERO);
}

#[test]
fn sleepers_and_datagrams_outlive_it_too() {
    let clock = VirtualClock::new();
    let (stepping, internet, server, client) = hosts_of_a_stepping_clock(&clock);
    let socket = server.listen_udp("10.0.0.1:53").unwrap();
    let asks = client.dial_udp("10.0.0.1:53").unwrap();
    let start = clock.now();
    let talk = async {
        let step = async {
            clock.handle().sleep(ms(5)).await;
            stepping.step(Step::Back(secs(3600)));
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
