//! What `deliver` hands over, and what it hands back.

mod common;

use std::sync::{Arc, Weak};

use common::*;
use uis_internet::Internet;
use uis_vnic::{Dispatcher, DropReason, Frame, MTU_ETHERNET, Vnic, VnicPort};

#[test]
fn refusals_name_the_reason_and_give_the_frame_back() {
    let internet = Internet::new();
    let to = port(&internet, "10.0.0.1");
    let detached = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&detached, [ip("10.0.0.2")]).unwrap();
    let here = ip("10.0.0.1");
    let good = packet(here, 1, 0);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let v6 = packet(ip("fd00::1"), 1, 0);

    let cases = [
        ("empty", vec![], DropReason::Malformed),
        ("one byte", vec![0x45], DropReason::Malformed),
        ("version 0", with(0, 0x05), DropReason::Malformed),
        ("version 5", with(0, 0x55), DropReason::Malformed),
        ("version 15", with(0, 0xf5), DropReason::Malformed),
        ("short IPv4 header", good[..19].to_vec(), DropReason::Malformed),
        ("short IPv6 header", v6[..39].to_vec(), DropReason::Malformed),
        ("IHL below 5", with(0, 0x44), DropReason::Malformed),
        ("IHL past the end", with(0, 0x4f), DropReason::Malformed),
        ("total length past the end", with(3, 25), DropReason::Malformed),
        ("total length of 0", with(3, 0), DropReason::Malformed),
        ("no route", packet(ip("10.0.0.9"), 1, 0), DropReason::NoRoute),
        ("no route, IPv6", v6, DropReason::NoRoute),
        ("IPv4-mapped", packet(ip("::ffff:10.0.0.1"), 1, 0), DropReason::NoRoute),
        ("over the MTU", packet(here, 1, 1477), DropReason::TooBig),
        ("nothing attached", packet(ip("10.0.0.2"), 1, 0), DropReason::Detached),
    ];
    for (n, (name, bytes, reason)) in cases.iter().enumerate() {
        let error = internet.deliver(Frame::new(bytes.clone())).expect_err(name);
        assert_eq!(error.reason(), *reason, "{name}");
        assert_eq!(error.into_frame().packet(), bytes, "{name}");
        assert_eq!(internet.stats().injected_dropped, n as u64 + 1, "{name}");
    }
    assert!(to.try_recv().is_none());

    internet.deliver(Frame::new(packet(here, 7, 1476))).unwrap(); // exactly the MTU
    assert_eq!(arrived(&to), [7]);
    to.vnic().close();
    let error = internet.deliver(Frame::new(good.clone())).unwrap_err();
    assert_eq!(error.reason(), DropReason::NoRoute, "its address went with it");
    internet.close();
    assert_eq!(internet.deliver(Frame::new(good)).unwrap_err().reason(), DropReason::Closed);
    let stats = internet.stats();
    assert_eq!((stats.injected, stats.injected_dropped, stats.sent), (1, cases.len() as u64 + 2, 0));
}

#[test]
fn frames_that_were_sent_are_counted_by_reason() {
    let internet = Internet::new();
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    let to = port(&internet, "10.0.0.1");
    let gone = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&gone, [ip("10.0.0.3")]).unwrap();
    for addr in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        send(&from, ip(addr), [1]);
    }
    from.write(packet(ip("10.0.0.1"), 2, 1400)).unwrap();
    to.vnic().set_mtu(600).unwrap();
    let in_flight = internet.in_flight();
    let frames = std::iter::from_fn(|| in_flight.try_recv());
    assert_eq!(internet.deliver_many(frames), 1);
    let stats = internet.stats();
    assert_eq!((stats.sent, stats.delivered, stats.injected_dropped), (4, 1, 0));
    for why in [DropReason::NoRoute, DropReason::Detached, DropReason::TooBig] {
        assert_eq!(stats.dropped(why), 1, "{why}");
    }
    assert_adds_up(&internet);
}

#[test]
fn only_the_one_with_the_address_receives() {
    let internet = Internet::new();
    let ports = ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|addr| port(&internet, addr));
    internet.add_route(ports[0].vnic(), [ip("fd00::2")]).unwrap();
    for (n, addr) in ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"].iter().enumerate() {
        internet.deliver(Frame::new(packet(ip(addr), n as u32, 0))).unwrap();
    }
    assert_eq!(ports.map(|port| arrived(&port)), [vec![0, 3], vec![1], vec![2]]);
}

#[test]
fn a_delivery_may_close_remove_and_send() {
    /// Undoes everything around it while it receives.
    struct Wrecker(Internet, Vnic);
    impl Dispatcher for Wrecker {
        fn receive_frame(&self, frame: Frame) {
            assert_eq!(self.0.remove_route([frame.dst().unwrap()]), 1);
            self.1.write(packet(ip("10.0.0.5"), 5, 0)).unwrap();
            self.1.close();
            assert_eq!(self.0.stats().queued, 1);
            self.0.close();
        }
    }
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip("10.0.0.1"), ip("10.0.0.2")]).unwrap();
    let wrecker = Arc::new(Wrecker(internet.clone(), vnic.clone()));
    let weak: Weak<dyn Dispatcher> = Arc::<Wrecker>::downgrade(&wrecker);
    vnic.attach(weak).unwrap();
    internet.deliver(Frame::new(packet(ip("10.0.0.1"), 1, 0))).unwrap();
    assert_eq!(in_flight(&internet), [5]);
    assert!(internet.is_closed());
}

#[test]
fn a_panicking_receiver_leaves_the_internet_usable() {
    struct Panics;
    impl Dispatcher for Panics {
        fn receive_frame(&self, _: Frame) {
            panic!("a receiver of the user's");
        }
    }
    let internet = Internet::new();
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    internet.add_route(&vnic, [ip("10.0.0.1")]).unwrap();
    let panics = Arc::new(Panics);
    let weak: Weak<dyn Dispatcher> = Arc::<Panics>::downgrade(&panics);
    vnic.attach(weak).unwrap();
    send(&from, ip("10.0.0.1"), [1, 2]);
    let in_flight = internet.in_flight();
    let frame = in_flight.try_recv().unwrap();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| internet.deliver(frame))).unwrap_err();
    assert_eq!(internet.stats().delivered, 1);
    assert_adds_up(&internet);
    vnic.detach();
    let port = VnicPort::new(vnic, 4).unwrap();
    internet.deliver(in_flight.try_recv().unwrap()).unwrap();
    assert_eq!(arrived(&port), [2]);
}
