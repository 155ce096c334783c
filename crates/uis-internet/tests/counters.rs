//! The counters add up, whatever happens.

mod common;

use std::time::Duration;

use common::*;
use uis_clock::VirtualClock;
use uis_internet::Internet;
use uis_vnic::{DropReason, Frame, MTU_ETHERNET, SendError, Vnic, VnicPort};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What the test itself has seen.
#[derive(Default)]
struct Seen {
    taken: u64,
    refused: u64,
    injected: u64,
    arrived: u64,
}

fn run(seed: u64) -> (Seen, Internet) {
    let mut rng = Rng(seed);
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).max_in_flight(1 + rng.below(40) as usize).build();
    let in_flight = internet.in_flight();
    let mut seen = Seen::default();
    let mut ports: Vec<VnicPort> = (0..3).map(|n| port(&internet, &format!("10.0.0.{n}"))).collect();
    let detached: Vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&detached, [ip("10.0.0.3")]).unwrap();
    for step in 0..400 {
        let from = ports[rng.below(3) as usize].vnic().clone();
        // 10.0.0.4 is nobody's.
        let to = ip(&format!("10.0.0.{}", rng.below(5)));
        let extra = if rng.below(10) == 0 { 1000 } else { 0 };
        match rng.below(14) {
            0..=4 => match from.write(packet(to, step, extra)) {
                Ok(()) => seen.taken += 1,
                Err(SendError::Full(_)) => seen.refused += 1,
                // Longer than its own interface's MTU: it never got as far as the internet.
                Err(SendError::Dropped(DropReason::TooBig)) => {}
                Err(error) => panic!("{error}"),
            },
            5..=7 => {
                let _ = in_flight.try_recv().map(|frame| internet.deliver(frame));
            }
            8 | 9 => {
                let delay = Duration::from_millis(rng.below(20));
                let _ = in_flight.try_recv().map(|frame| internet.deliver_after(frame, delay));
            }
            10 => {
                seen.injected += 1;
                let frame = Frame::new(packet(to, step, extra));
                let delay = Duration::from_millis(rng.below(3) * rng.below(20));
                let _ = internet.deliver_after(frame, delay);
            }
            11 => clock.advance(Duration::from_millis(rng.below(10))),
            12 => {
                // One goes, and another one takes its address over; or an interface gets narrow for a while.
                let n = rng.below(3) as usize;
                if rng.below(2) == 0 {
                    seen.arrived += arrived(&ports[n]).len() as u64;
                    ports[n].vnic().close();
                    ports[n] = port(&internet, &format!("10.0.0.{n}"));
                } else {
                    ports[n].vnic().set_mtu(if rng.below(2) == 0 { 600 } else { 1500 }).unwrap();
                }
            }
            _ => {
                // A router for a few turns.
                let mut route = Box::pin(internet.route(Internet::deliver));
                for _ in 0..rng.below(3) {
                    assert!(poll(&mut route, std::task::Waker::noop()).is_pending());
                }
            }
        }
        assert_adds_up(&internet);
        let stats = internet.stats();
        assert_eq!((stats.sent, stats.refused, stats.withheld()), (seen.taken, seen.refused, 0));
    }
    if rng.below(2) == 0 {
        clock.advance(Duration::from_secs(1));
        while let Some(frame) = in_flight.try_recv() {
            let _ = internet.deliver(frame);
        }
        assert_eq!((internet.stats().queued, internet.stats().held), (0, 0));
    } else {
        internet.close();
        let vnic = ports[0].vnic();
        assert!(vnic.write(packet(ip("10.0.0.1"), 0, 0)).is_err());
        seen.taken += 1;
        assert_eq!(internet.stats().held, 0);
    }
    seen.arrived += ports.iter().map(|port| arrived(port).len() as u64).sum::<u64>();
    (seen, internet)
}

#[test]
fn over_many_seeds() {
    for seed in 0..200 {
        let (seen, internet) = run(seed);
        assert_adds_up(&internet);
        let stats = internet.stats();
        assert_eq!(stats.sent, seen.taken, "seed {seed}");
        assert_eq!(stats.injected + stats.injected_dropped, seen.injected, "seed {seed}");
        assert_eq!(stats.delivered + stats.injected, seen.arrived, "seed {seed}");
    }
}

#[test]
fn what_the_caller_keeps_is_withheld_and_copies_count_twice() {
    let internet = Internet::new();
    let port = port(&internet, "10.0.0.1");
    send(port.vnic(), ip("10.0.0.1"), [1, 2, 3]);
    let in_flight = internet.in_flight();
    let kept = in_flight.try_recv().unwrap();
    drop(in_flight.try_recv());
    assert_eq!(internet.stats().withheld(), 2);
    internet.deliver(kept.clone()).unwrap();
    internet.deliver(kept).unwrap();
    assert_eq!((internet.stats().delivered, internet.stats().withheld()), (2, 0));
    internet.close();
    assert_eq!(internet.stats().dropped_total(), 0);
}
