//! Who may have which address, and for how long.

mod common;

use std::io::ErrorKind;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime};

use common::*;
use uis_clock::{Clock, Instant, TimerGuard, VirtualClock};
use uis_internet::Internet;
use uis_vnic::{DropReason, Frame, MTU_ETHERNET};

#[test]
fn adding_is_all_or_nothing() {
    let internet = Internet::new();
    let a = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&a, [ip("10.0.0.1")]).unwrap();
    let b = port(&internet, "10.0.0.100");
    let cases = [
        (vec!["10.0.0.2", "10.0.0.1"], ErrorKind::AddrInUse),
        (vec!["10.0.0.2", "10.0.0.2"], ErrorKind::InvalidInput),
        (vec!["10.0.0.2", "0.0.0.0"], ErrorKind::InvalidInput),
        (vec!["10.0.0.2", "::"], ErrorKind::InvalidInput),
        (vec!["10.0.0.2", "224.0.0.1"], ErrorKind::InvalidInput),
        (vec!["10.0.0.2", "ff02::1"], ErrorKind::InvalidInput),
        (vec!["10.0.0.2", "255.255.255.255"], ErrorKind::InvalidInput),
    ];
    for (addrs, kind) in cases {
        let error = internet.add_route(b.vnic(), addrs.iter().map(|addr| ip(addr))).unwrap_err();
        assert_eq!(error.kind(), kind, "{addrs:?}");
        let error = internet.deliver(Frame::new(packet(ip("10.0.0.2"), 1, 0))).unwrap_err();
        assert_eq!(error.reason(), DropReason::NoRoute, "{addrs:?}");
    }
    let again = internet.add_route(&a, [ip("10.0.0.1")]).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AddrInUse, "its own address is in use as well");
    internet.add_route(b.vnic(), []).unwrap();
}

#[test]
fn a_closed_vnic_gives_its_addresses_back() {
    let internet = Internet::new();
    let addrs = [ip("10.0.0.1"), ip("fd00::1")];
    for round in 0..3 {
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        // Taking addresses again and again does not pile anything up at the Vnic.
        for _ in 0..5 {
            internet.add_route(&vnic, addrs).unwrap();
            assert_eq!(internet.remove_route(addrs), 2);
        }
        internet.add_route(&vnic, addrs).unwrap();
        if round == 1 {
            vnic.close();
        } // else its last handle goes
    }
    let last = port(&internet, "10.0.0.1");
    internet.deliver(Frame::new(packet(ip("10.0.0.1"), 3, 0))).unwrap();
    assert_eq!(arrived(&last), [3]);
    assert_eq!(internet.remove_route(addrs), 1);
    assert_eq!(internet.remove_route(addrs), 0);
}

#[test]
fn an_address_that_moved_stays_with_its_new_owner() {
    let internet = Internet::new();
    let old = port(&internet, "10.0.0.1");
    internet.remove_route([ip("10.0.0.1")]);
    let new = port(&internet, "10.0.0.1");
    old.vnic().close();
    internet.deliver(Frame::new(packet(ip("10.0.0.1"), 4, 0))).unwrap();
    assert_eq!(arrived(&new), [4]);
}

#[test]
fn an_address_can_be_taken_over_while_its_vnic_closes() {
    let internet = Internet::new();
    let new = port(&internet, "10.0.0.100");
    let old = internet.new_vnic(MTU_ETHERNET).unwrap();
    // This hook is called before the internet's own.
    old.on_close({
        let (internet, new) = (internet.clone(), new.vnic().downgrade());
        move || internet.add_route(&new.upgrade().unwrap(), [ip("10.0.0.1")]).unwrap()
    });
    internet.add_route(&old, [ip("10.0.0.1"), ip("10.0.0.2")]).unwrap();
    old.close();
    internet.deliver(Frame::new(packet(ip("10.0.0.1"), 4, 0))).unwrap();
    assert_eq!(arrived(&new), [4]);
    assert_eq!(internet.remove_route([ip("10.0.0.2")]), 0);
}

#[test]
fn nothing_starts_on_what_is_closed() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let closed = internet.new_vnic(MTU_ETHERNET).unwrap();
    closed.close();
    assert_eq!(internet.add_route(&closed, [ip("10.0.0.1")]).unwrap_err().kind(), ErrorKind::NetworkDown);
    internet.add_route(&vnic, [ip("10.0.0.1")]).unwrap();
    internet.close();
    assert_eq!(internet.add_route(&vnic, [ip("10.0.0.2")]).unwrap_err().kind(), ErrorKind::NetworkDown);
    assert_eq!(internet.new_vnic(MTU_ETHERNET).unwrap_err().kind(), ErrorKind::NetworkDown);
}

/// A clock that knows whether anybody still has it.
#[derive(Debug)]
struct Watched(VirtualClock, #[expect(dead_code)] Arc<()>);

impl Clock for Watched {
    fn now(&self) -> Instant {
        self.0.now()
    }
    fn epoch(&self) -> SystemTime {
        self.0.epoch()
    }
    fn wake_at(&self, deadline: Instant, waker: &Waker) -> TimerGuard {
        self.0.wake_at(deadline, waker)
    }
}

#[test]
fn nothing_is_a_cycle() {
    let (clock, token) = (VirtualClock::new(), Arc::new(()));
    let internet = Internet::builder().max_in_flight(1).clock(Watched(clock.clone(), token.clone())).build();
    let port = port(&internet, "10.0.0.1");
    send(port.vnic(), ip("10.0.0.1"), [1]);
    internet.deliver_after(Frame::new(packet(ip("10.0.0.1"), 2, 0)), Duration::from_secs(3600)).unwrap();
    let (wakes, waker) = Wakes::new();
    port.vnic().on_room(&waker);
    drop(waker);
    drop(internet);
    assert_eq!(wakes.take(), 1);
    let error = port.vnic().write(packet(ip("10.0.0.1"), 1, 0)).unwrap_err();
    assert_eq!(error.reason(), DropReason::Closed, "a Vnic does not keep it open");
    assert_eq!(clock.next_deadline(), None, "what was held is gone, and its timer too");
    assert!(Arc::strong_count(&token) > 1);
    drop(port);
    assert_eq!(Arc::strong_count(&token), 1, "and now all of it is gone");
    assert_eq!(Arc::strong_count(&wakes), 1);
}
