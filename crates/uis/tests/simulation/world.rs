//! A scene, played.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use async_executor::LocalExecutor;

use crate::common::{DiscardReason, DropReason, Instant, Internet, Stack, VirtualClock, days, secs};
use crate::path::{Counts, Path};
use crate::scene::Scene;
use crate::talk::{self, Place};

/// Plays the scene, checks all there is to check, and gives what makes two runs the same.
pub fn run(scene: &Scene) -> (Counts, Instant) {
    let clock = VirtualClock::new();
    let internet =
        Internet::builder().clock(&clock).seed(scene.seed).max_in_flight(scene.max_in_flight).build();
    let stacks: Vec<Stack> = scene
        .hosts
        .iter()
        .enumerate()
        .map(|(n, host)| {
            let addrs = [false, true].map(|v6| addr(n, v6));
            let families = if host.mtu >= 1280 { 2 } else { 1 };
            internet
                .new_stack_with(host.mtu, addrs.into_iter().take(families), host.config.clone())
                .expect("a scene is possible")
        })
        .collect();
    let mtus = stacks.iter().zip(&scene.hosts).map(|(stack, host)| (stack.vnic().id(), host.mtu)).collect();
    let path = RefCell::new(Path::new(&scene.faults, scene.seed, mtus));
    let took = clock.block_on(internet.route_until(play(scene, &internet, &stacks), |internet, frame| {
        path.borrow_mut().take(internet, frame);
    }));
    let counts = path.into_inner().counts;
    check_counters(scene, &internet, &stacks, counts);
    (counts, took)
}

/// The address of a host.
pub fn addr(host: usize, v6: bool) -> IpAddr {
    match v6 {
        false => IpAddr::from([10, 0, 0, host as u8 + 1]),
        true => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host as u16 + 1]),
    }
}

/// Lets all talk, and waits until nothing is left. Says when the last was done.
async fn play(scene: &Scene, internet: &Internet, stacks: &[Stack]) -> Instant {
    let executor = LocalExecutor::new();
    let clock = internet.clock();
    let mut tasks = Vec::new();
    let place = Place { scene, internet, clock: clock.clone(), stacks };
    let place = Rc::new(place);
    for n in 0..scene.talks.len() {
        let place = place.clone();
        tasks.push(executor.spawn(async move { talk::talk(&place, n).await }));
    }
    for n in 0..scene.chats.len() {
        let place = place.clone();
        tasks.push(executor.spawn(async move { talk::chat(&place, n).await }));
    }
    let all = async {
        for task in tasks {
            task.await;
        }
    };
    let done = clock.timeout(days(1), executor.run(all)).await;
    if done.is_err() {
        let flows: Vec<_> = stacks.iter().map(Stack::connections).collect();
        panic!("stuck at {:?}: {flows:#?}\n{scene:#?}", clock.now());
    }
    let took = clock.now();
    // What is left has as much time as the longest of its time-outs.
    clock.sleep(secs(2500)).await;
    for stack in stacks {
        let stats = stack.stats();
        assert!(
            stats.connections == 0 && stats.time_wait == 0,
            "left at {:?}: {:#?}\n{stats:?}\n{scene:#?}",
            stack.addrs(),
            stack.connections()
        );
    }
    took
}

fn check_counters(scene: &Scene, internet: &Internet, stacks: &[Stack], counts: Counts) {
    let stats = internet.stats();
    let text = || format!("{stats:?}\n{counts:?}\n{scene:#?}");
    assert_eq!((stats.queued, stats.held), (0, 0), "{}", text());
    assert_eq!(stats.sent, counts.taken, "{}", text());
    assert_eq!(stats.delivered + stats.dropped_total(), counts.handed, "{}", text());
    assert_eq!(stacks.iter().map(|stack| stack.stats().sent).sum::<u64>(), stats.sent, "{}", text());
    let received = stacks.iter().map(|stack| stack.stats().received).sum::<u64>();
    assert_eq!(received, stats.delivered + stats.injected, "{}", text());
    let broken = [
        DiscardReason::Malformed,
        DiscardReason::BadIpChecksum,
        DiscardReason::BadSource,
        DiscardReason::BadTcpHeader,
        DiscardReason::BadTcpFlags,
        DiscardReason::BadTcpChecksum,
        DiscardReason::BadUdpHeader,
        DiscardReason::BadUdpChecksum,
        DiscardReason::BadIcmpChecksum,
        DiscardReason::BadFragment,
        DiscardReason::FragmentOverlap,
    ];
    let bad: u64 = stacks.iter().flat_map(|s| broken.map(|why| s.stats().discarded(why))).sum();
    assert!(bad == 0 || counts.spoilt > 0, "{bad} packets were broken\n{}", text());
    for (stack, host) in stacks.iter().zip(&scene.hosts) {
        let lost = stack.stats().not_sent(DropReason::TooBig);
        assert_eq!(lost, 0, "{host:?} sent what is too large\n{}", text());
    }
}
