//! `spawn_router`, and several threads at once.

mod common;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use common::*;
use futures_lite::future::block_on;
use uis_internet::{Internet, RouterGuard};
use uis_vnic::MTU_ETHERNET;

const TO: &str = "10.0.0.1";

#[test]
fn it_routes_until_it_is_stopped() {
    let internet = Internet::new();
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    let to = port(&internet, TO);
    for stop in [true, false] {
        let router = internet.spawn_router(Internet::deliver);
        send(&from, ip(TO), 0..100);
        for expected in 0..100 {
            assert_eq!(id(block_on(to.recv()).unwrap().packet()), expected);
        }
        if stop {
            router.stop().unwrap();
        } else {
            drop(router);
        }
        // It has really ended: nothing moves.
        send(&from, ip(TO), [7]);
        assert_eq!(in_flight(&internet), [7]);
        assert!(arrived(&to).is_empty());
    }
}

#[test]
fn it_ends_with_the_internet_which_it_does_not_keep_open() {
    let internet = Internet::new();
    let in_flight = internet.in_flight();
    let (ended, end) = mpsc::channel::<()>();
    // `ended` goes with the closure, when the thread is done.
    let router = internet.spawn_router(move |_, _| drop(ended.clone()));
    drop(internet);
    assert!(end.recv().is_err());
    assert!(block_on(in_flight.recv()).is_none());
    router.stop().unwrap();
}

#[test]
fn a_panic_is_reported_and_loses_nothing_else() {
    let internet = Internet::new();
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    let each = |_: &Internet, frame: uis_vnic::Frame| assert_ne!(id(frame.packet()), 3, "this one");
    let router = internet.spawn_router(each);
    send(&from, ip(TO), 0..3);
    send(&from, ip(TO), [3, 4, 5]);
    let left = loop {
        let stats = internet.stats();
        if stats.withheld() == 4 && stats.queued <= 2 {
            break router.stop();
        }
        std::thread::yield_now();
    };
    let panic = left.unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("this one"));
    assert_eq!(in_flight(&internet), [4, 5]);
    // Dropping a guard whose thread has panicked is quiet.
    send(&from, ip(TO), [3]);
    let router = internet.spawn_router(each);
    while internet.stats().queued > 0 {
        std::thread::yield_now();
    }
    drop(router);
}

#[test]
fn it_may_be_stopped_from_inside() {
    let internet = Internet::new();
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    let guard: Arc<Mutex<Option<RouterGuard>>> = Arc::default();
    let (sender, handled) = mpsc::channel();
    let own = guard.clone();
    *guard.lock().unwrap() = Some(internet.spawn_router(move |_, frame| {
        let guard = own.lock().unwrap().take();
        drop(guard);
        sender.send(id(frame.packet())).unwrap();
    }));
    send(&from, ip(TO), [1]);
    assert_eq!(handled.recv(), Ok(1));
    assert!(handled.recv().is_err(), "its closure is gone");
}

#[test]
fn clones_of_the_routers_handle_keep_it_open() {
    let internet = Internet::new();
    let from = internet.new_vnic(MTU_ETHERNET).unwrap();
    let (sender, handles) = mpsc::channel();
    let router = internet.spawn_router(move |internet, _| sender.send(internet.clone()).unwrap());
    send(&from, ip(TO), [1]);
    let clone = handles.recv().unwrap();
    drop(internet);
    assert!(!clone.is_closed());
    drop(clone);
    assert!(handles.recv().is_err());
    drop(router);
}

#[test]
fn many_senders_routers_and_closers() {
    let internet = Internet::builder().max_in_flight(32).build();
    let to = port(&internet, TO);
    let routers: Vec<_> = (0..3).map(|_| internet.spawn_router(Internet::deliver)).collect();
    let sent: u64 = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
                scope.spawn(move || {
                    let mut sent = 0;
                    for id in 0..2000 {
                        // Waits for room whenever there is none. One wake-up that is lost, and this hangs.
                        while vnic.write(packet(ip(TO), id, 0)).is_err() {
                            let mut registered = false;
                            block_on(std::future::poll_fn(|cx| {
                                if std::mem::replace(&mut registered, true) {
                                    return std::task::Poll::Ready(());
                                }
                                vnic.on_room(cx.waker());
                                std::task::Poll::Pending
                            }));
                        }
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    assert_eq!(sent, 8000);
    while internet.stats().delivered < sent {
        std::thread::yield_now();
    }
    for router in routers {
        router.stop().unwrap();
    }
    assert_eq!((internet.stats().sent, internet.stats().queued), (sent, 0));
    assert_eq!(arrived(&to).len() as u64 + to.dropped(), sent);
    assert_adds_up(&internet);
}
