//! Stacks and their addresses.

mod common;

use std::io::ErrorKind;
use std::net::IpAddr;

use common::*;
use futures_lite::future::poll_once;
use uis_clock::VirtualClock;
use uis_internet::Internet;
use uis_stack::{Stack, StackConfig};
use uis_vnic::{DropReason, Frame, MTU_ETHERNET};

fn routed(internet: &Internet, addr: &str) -> bool {
    match internet.deliver(Frame::new(packet(ip(addr), 0, 0))) {
        Err(error) if error.reason() == DropReason::NoRoute => false,
        Ok(()) => true,
        Err(error) => panic!("{error}"),
    }
}

fn stack(internet: &Internet, addrs: &[&str]) -> std::io::Result<Stack> {
    internet.new_stack(MTU_ETHERNET, addrs.iter().map(|addr| ip(addr)))
}

#[test]
fn a_failed_host_leaves_nothing_behind() {
    let internet = Internet::new();
    let first = stack(&internet, &["10.0.0.1"]).unwrap();
    for (addrs, kind) in [
        (["10.0.0.2", "10.0.0.1"], ErrorKind::AddrInUse),
        (["10.0.0.2", "10.0.0.2"], ErrorKind::InvalidInput),
        (["10.0.0.2", "224.0.0.1"], ErrorKind::InvalidInput),
        (["10.0.0.2", "0.0.0.0"], ErrorKind::InvalidInput),
    ] {
        assert_eq!(stack(&internet, &addrs).unwrap_err().kind(), kind, "{addrs:?}");
        assert!(!routed(&internet, "10.0.0.2"), "{addrs:?}");
        assert!(routed(&internet, "10.0.0.1"), "{addrs:?}");
    }
    let narrow = internet.new_stack(1000, [ip("fd00::1")]).unwrap_err();
    assert_eq!(narrow.kind(), ErrorKind::InvalidInput);
    let config = StackConfig::default().backlog(0);
    let error = internet.new_stack_with(MTU_ETHERNET, [ip("10.0.0.2")], config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!routed(&internet, "10.0.0.2"));
    assert_eq!(first.addrs(), [ip("10.0.0.1")]);
    internet.close();
    assert_eq!(stack(&internet, &["10.0.0.2"]).unwrap_err().kind(), ErrorKind::NetworkDown);
}

#[test]
fn a_stack_that_closes_gives_its_addresses_back() {
    let internet = Internet::new();
    for close in [true, false, true] {
        let host = stack(&internet, &["10.0.0.1", "fd00::1"]).unwrap();
        assert!(routed(&internet, "10.0.0.1") && routed(&internet, "fd00::1"));
        if close {
            host.close();
        }
        drop(host);
        assert!(!routed(&internet, "10.0.0.1") && !routed(&internet, "fd00::1"));
    }
}

#[test]
fn address_and_route_go_together() {
    let internet = Internet::new();
    let a = stack(&internet, &["10.0.0.1"]).unwrap();
    let b = stack(&internet, &["10.0.0.2"]).unwrap();
    let moving = ip("10.0.0.9");
    internet.assign(&a, moving).unwrap();
    assert!(routed(&internet, "10.0.0.9"));
    assert_eq!(internet.assign(&a, moving).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(internet.assign(&b, moving).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(b.addrs(), [ip("10.0.0.2")]);
    assert_eq!(internet.unassign(&b, moving).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    assert!(routed(&internet, "10.0.0.9"));
    internet.unassign(&a, moving).unwrap();
    assert!(!routed(&internet, "10.0.0.9"));
    internet.assign(&b, moving).unwrap();
    assert_eq!((a.addrs(), b.addrs()), (vec![ip("10.0.0.1")], vec![ip("10.0.0.2"), moving]));

    // Without a route, the stack's refusal undoes the assignment.
    let own: IpAddr = ip("10.0.0.3");
    a.add_addr(own).unwrap();
    assert_eq!(internet.assign(&a, own).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert!(!routed(&internet, "10.0.0.3"));
    // A route that has gone elsewhere is left alone.
    internet.add_route(b.vnic(), [own]).unwrap();
    internet.unassign(&a, own).unwrap();
    assert!(routed(&internet, "10.0.0.3"));
    a.close();
    assert_eq!(internet.assign(&a, ip("10.0.0.4")).unwrap_err().kind(), ErrorKind::NetworkDown);
}

/// The first packet of a dial from each of two stacks.
fn syns(seed: u64, config: StackConfig) -> Vec<Vec<u8>> {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(seed).build();
    let in_flight = internet.in_flight();
    ["10.0.0.1", "10.0.0.2"]
        .map(|addr| {
            let stack = internet.new_stack_with(MTU_ETHERNET, [ip(addr)], config.clone()).unwrap();
            let mut dial = stack.dial_tcp("10.0.0.3:80");
            clock.block_on(async { assert!(poll_once(&mut dial).await.is_none()) });
            in_flight.try_recv().unwrap().into_packet()[20..].to_vec()
        })
        .to_vec()
}

#[test]
fn stacks_draw_from_the_seed_of_the_internet() {
    let default = StackConfig::default;
    assert_eq!(syns(1, default()), syns(1, default()));
    let (one, two) = (syns(1, default()), syns(2, default()));
    assert_ne!(one[0][..8], two[0][..8], "ports or sequence numbers differ");
    assert_ne!(one[0][..8], one[1][..8], "and so do those of two stacks");
    // A seed of its own comes before.
    assert_eq!(syns(1, default().seed(9)), syns(2, default().seed(9)));
}

#[test]
fn a_dial_that_nobody_routes_says_so() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(clock.handle()).build();
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse().unwrap()]).unwrap();
    let _server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse().unwrap()]).unwrap();
    let error = clock.block_on(async { client.dial_tcp("10.0.0.1:80").await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let text = "no answer from 10.0.0.1:80 to 7 SYNs, and 7 packets in flight: is anyone routing?";
    assert_eq!(error.to_string(), text);
}
