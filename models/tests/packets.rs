//! Packets that several threads send, take and wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread;
use uis_clock::VirtualClock;
use uis_internet::Internet;
use uis_models::{Lab, model, poll};
use uis_vnic::{Frame, MTU_ETHERNET, Vnic, VnicPort};

/// A bare IPv6 header with a number in it.
fn packet(n: u8) -> Vec<u8> {
    let mut packet = vec![0; 40];
    (packet[0], packet[6], packet[39]) = (0x60, 59, n);
    packet
}

fn number(frame: &Frame) -> u8 {
    frame.packet()[39]
}

/// `Wire::delivering`: of two who send over one wire, each one's packets arrive in their order, and none is left behind.
#[test]
fn a_wire_keeps_each_senders_order() {
    model(|| {
        let (a, b) = Vnic::pair(MTU_ETHERNET, VirtualClock::new().handle()).unwrap();
        let port = VnicPort::new(b, 16).unwrap();
        let senders = [0, 100].map(|first| {
            let a = a.clone();
            thread::spawn(move || (0..3).for_each(|n| a.write(packet(first + n)).unwrap()))
        });
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let got: Vec<u8> = std::iter::from_fn(|| port.try_recv()).map(|frame| number(&frame)).collect();
        for first in [0, 100] {
            let of_one: Vec<u8> = got.iter().copied().filter(|n| n / 100 == first / 100).collect();
            assert_eq!(of_one, [first, first + 1, first + 2]);
        }
    });
}

/// `Incoming::readers`: who waits at a port is woken for each packet, and when the port closes.
#[test]
fn those_who_wait_at_a_port_are_woken() {
    model(|| {
        let (a, b) = Vnic::pair(MTU_ETHERNET, VirtualClock::new().handle()).unwrap();
        let port = Arc::new(VnicPort::new(b, 16).unwrap());
        let receivers = [(); 2].map(|()| {
            let port = port.clone();
            thread::spawn(move || {
                let mut got = 0;
                while block_on(port.recv()).is_some() {
                    got += 1;
                }
                got
            })
        });
        a.write(packet(1)).unwrap();
        a.write(packet(2)).unwrap();
        port.vnic().close();
        let got: i32 = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
        assert_eq!(got, 2);
    });
}

/// `RoomLine` and `Receivers`: senders wait for room, the router for packets, and neither waits for ever.
#[test]
fn senders_and_the_router_wake_each_other() {
    model(|| {
        let lab = Lab::new(1);
        let senders = [1, 2].map(|byte| {
            let socket = lab.client.dial_udp("10.0.0.1:53").unwrap();
            thread::spawn(move || (0..2).for_each(|_| assert_eq!(block_on(socket.send(&[byte])).unwrap(), 1)))
        });
        for _ in 0..4 {
            block_on(lab.in_flight.recv()).unwrap();
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(lab.in_flight.try_recv().is_none());
    });
}

/// `Receivers`: one that is dropped after it was woken takes no wake-up with it. Nobody else would come for the packet.
#[test]
fn a_receiver_that_gives_up_takes_no_wake_up_with_it() {
    model(|| {
        let internet = Internet::builder().clock(VirtualClock::new()).build();
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        let in_flight = internet.in_flight();
        let fickle = {
            let (in_flight, vnic) = (in_flight.clone(), vnic.clone());
            thread::spawn(move || {
                let mut recv = Box::pin(in_flight.recv());
                if poll(&mut recv).is_ready() {
                    vnic.write(packet(2)).unwrap();
                }
                thread::yield_now();
            })
        };
        let sender = thread::spawn(move || vnic.write(packet(1)).unwrap());
        block_on(in_flight.recv()).unwrap();
        sender.join().unwrap();
        fickle.join().unwrap();
    });
}

/// `DelayLine::running` and its alarm: what is due is delivered, whoever was at the line meanwhile.
#[test]
fn the_delay_line_forgets_nothing() {
    model(|| {
        let clock = VirtualClock::new();
        let internet = Internet::builder().clock(&clock).build();
        let port = VnicPort::new(internet.new_vnic(MTU_ETHERNET).unwrap(), 16).unwrap();
        internet.add_route(port.vnic(), ["::1".parse().unwrap()]).unwrap();
        let delayers = [2, 1].map(|ms| {
            let internet = internet.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    internet.deliver_after(Frame::new(packet(1)), Duration::from_millis(ms)).unwrap();
                }
            })
        });
        clock.advance(Duration::from_millis(1));
        clock.advance(Duration::from_millis(1));
        delayers.into_iter().for_each(|delayer| delayer.join().unwrap());
        clock.advance(Duration::from_millis(2));
        assert_eq!(std::iter::from_fn(|| port.try_recv()).count(), 4);
    });
}

/// A clock's timers: a sleep that is armed while the time is moved ends.
#[test]
fn a_sleep_ends_whenever_it_was_armed() {
    model(|| {
        let clock = VirtualClock::new();
        let handle = clock.handle();
        let ended = Arc::new(AtomicU64::new(0));
        let sleepers = [1, 2].map(|ms| {
            let (handle, ended) = (handle.clone(), ended.clone());
            thread::spawn(move || {
                block_on(handle.sleep(Duration::from_millis(ms)));
                ended.fetch_add(1, Ordering::Relaxed);
            })
        });
        while ended.load(Ordering::Relaxed) < 2 {
            clock.advance(Duration::from_millis(1));
            thread::yield_now();
        }
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}
