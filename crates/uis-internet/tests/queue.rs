//! The queue of packets in flight: order, bounds, who waits and who is woken.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use common::*;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use uis_internet::{DEFAULT_MAX_IN_FLIGHT, InFlight, Internet};
use uis_vnic::{DropReason, Frame, MTU_ETHERNET, SendError, Vnic, VnicNetwork};

const TO: &str = "10.0.0.1";

fn full(result: Result<(), SendError>) -> bool {
    match result {
        Ok(()) => false,
        Err(SendError::Full(frame)) => {
            assert!(frame.sent_by().is_some() && !frame.is_empty());
            true
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sends until it is refused, and says how many were taken.
fn fill(vnic: &Vnic, packet: &[u8]) -> usize {
    (0..).find(|_| full(vnic.write(packet.to_vec()))).unwrap()
}

/// A flow that sends as much as it can whenever it is woken, and then waits again. How much, it writes down.
fn flow(vnic: &Vnic, log: &Arc<Mutex<Vec<(usize, usize)>>>, number: usize) -> Waker {
    let (vnic, log) = (vnic.clone(), log.clone());
    let waker = Arc::new(std::sync::OnceLock::<Waker>::new());
    let this = waker.clone();
    waker.get_or_init(|| {
        waker_fn(move || {
            if vnic.write(segment(ip(TO), 1)).is_err() {
                return; // closed: the test is over
            }
            let sent = 1 + fill(&vnic, &segment(ip(TO), 1));
            log.lock().unwrap().push((number, sent));
            vnic.on_room(this.get().unwrap());
        })
    });
    waker.get().unwrap().clone()
}

#[test]
fn first_in_first_out_across_senders() {
    let internet = Internet::new();
    let vnics = [0, 1, 2].map(|_| internet.new_vnic(MTU_ETHERNET).unwrap());
    for id in 0..30 {
        send(&vnics[id as usize % 3], ip(TO), [id]);
    }
    let in_flight = internet.in_flight();
    let mut frames = Vec::new();
    assert_eq!(block_on(in_flight.recv_many(&mut frames, 10)), 10);
    assert_eq!(block_on(in_flight.recv_many(&mut frames, 0)), 0);
    frames.extend(block_on(in_flight.recv()));
    frames.extend(in_flight.try_recv());
    assert_eq!(block_on(in_flight.recv_many(&mut frames, 100)), 18);
    assert_eq!(
        frames.iter().map(|frame| id(frame.packet())).collect::<Vec<_>>(),
        (0..30).collect::<Vec<_>>()
    );
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame.sent_by(), Some(vnics[n % 3].id()));
    }
    assert!(in_flight.try_recv().is_none());
}

#[test]
fn bulk_leaves_an_eighth_for_the_rest() {
    for (max, bulk) in [(1, 1), (2, 2), (7, 7), (8, 7), (64, 56), (DEFAULT_MAX_IN_FLIGHT, 896)] {
        let internet = Internet::builder().max_in_flight(max).build();
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        assert_eq!(fill(&vnic, &segment(ip(TO), 1)), bulk);
        let rest: Vec<u8> = if max % 2 == 0 { segment(ip(TO), 0) } else { packet(ip(TO), 1, 0) };
        assert_eq!(fill(&vnic, &rest), max - bulk);
        let stats = internet.stats();
        assert_eq!((stats.sent, stats.queued, stats.refused), (max as u64, max as u64, 2));
        assert_eq!((vnic.queued(), VnicNetwork::queued(&internet)), (Some(max), Some(max)));
        // In any order: what counts is how full it is.
        for _ in 0..max - bulk {
            drop(internet.in_flight().try_recv().unwrap());
        }
        assert!(full(vnic.write(segment(ip(TO), 1))));
        drop(internet.in_flight().try_recv().unwrap());
        assert!(!full(vnic.write(segment(ip(TO), 1))));
    }
    assert_eq!(Internet::builder().max_in_flight(0).build().max_in_flight(), 1);
}

#[test]
fn room_is_told_once_and_at_once_if_there_is_some() {
    let internet = Internet::builder().max_in_flight(64).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let (wakes, waker) = Wakes::new();
    vnic.on_room(&waker);
    assert_eq!(wakes.take(), 1);
    fill(&vnic, &segment(ip(TO), 1));
    vnic.on_room(&waker);
    vnic.on_room(&waker);
    // Not for each single slot: four make it worthwhile here.
    for _ in 0..3 {
        drop(internet.in_flight().try_recv().unwrap());
        assert_eq!(wakes.take(), 0);
    }
    drop(internet.in_flight().try_recv().unwrap());
    assert_eq!(wakes.take(), 1);
    while internet.in_flight().try_recv().is_some() {}
    assert_eq!(wakes.take(), 0);
}

#[test]
fn a_full_queue_that_empties_wakes_everybody() {
    let internet = Internet::builder().max_in_flight(2).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    fill(&vnic, &packet(ip(TO), 1, 0));
    let waiting: Vec<_> = (0..50).map(|_| Wakes::new()).collect();
    waiting.iter().for_each(|(_, waker)| vnic.on_room(waker));
    while internet.in_flight().try_recv().is_some() {}
    assert!(waiting.iter().all(|(wakes, _)| wakes.take() == 1));
}

#[test]
fn senders_that_wait_take_turns() {
    // A hundred flows, each of which sends as much as fits when it is woken, and gets back in line.
    let internet = Internet::builder().max_in_flight(64).build();
    let log = Arc::new(Mutex::new(Vec::new()));
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    fill(&vnic, &segment(ip(TO), 1));
    let flows: Vec<Waker> = (0..100).map(|number| flow(&vnic, &log, number)).collect();
    flows.iter().for_each(|waker| vnic.on_room(waker));
    let mut frames = Vec::new();
    for _ in 0..300 {
        frames.clear();
        block_on(internet.in_flight().recv_many(&mut frames, 4));
    }
    let log = log.lock().unwrap();
    assert_eq!(*log, (0..300).map(|turn| (turn % 100, 4)).collect::<Vec<_>>());
}

#[test]
fn a_turn_has_an_end_while_others_wait() {
    let internet = Internet::builder().max_in_flight(64).build();
    let log = Arc::new(Mutex::new(Vec::new()));
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let take = |n| assert_eq!(block_on(internet.in_flight().recv_many(&mut Vec::new(), n)), n);
    fill(&vnic, &segment(ip(TO), 1));
    let flows: Vec<Waker> = (0..3).map(|number| flow(&vnic, &log, number)).collect();
    vnic.on_room(&flows[0]);
    take(24);
    assert_eq!(*log.lock().unwrap(), [(0, 24)], "there are no others");
    vnic.on_room(&flows[1]);
    vnic.on_room(&flows[2]);
    log.lock().unwrap().clear();
    take(24);
    assert_eq!(*log.lock().unwrap(), [(0, 4), (1, 4), (2, 4), (0, 4), (1, 4), (2, 4)]);
}

#[test]
fn nobody_pushes_in() {
    let internet = Internet::builder().max_in_flight(64).build();
    let log = Arc::new(Mutex::new(Vec::new()));
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    fill(&vnic, &segment(ip(TO), 1));
    vnic.on_room(&flow(&vnic, &log, 1));
    for _ in 0..40 {
        drop(internet.in_flight().try_recv().unwrap());
        // As one who is told of each frame that has arrived.
        assert!(full(vnic.write(segment(ip(TO), 1))));
        vnic.write(segment(ip(TO), 0)).unwrap(); // not bulk
        drop(internet.in_flight().try_recv().unwrap());
    }
    let log = log.lock().unwrap();
    assert_eq!(*log, [(1, 4); 10]);
}

#[test]
fn room_is_not_promised_twice() {
    // These do not send inside their wake-up, as tasks do not.
    let internet = Internet::builder().max_in_flight(64).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    fill(&vnic, &segment(ip(TO), 1));
    let waiting: Vec<_> = (0..10).map(|_| Wakes::new()).collect();
    waiting.iter().for_each(|(_, waker)| vnic.on_room(waker));
    let mut frames = Vec::new();
    block_on(internet.in_flight().recv_many(&mut frames, 11));
    let woken: Vec<usize> = waiting.iter().map(|(wakes, _)| wakes.take()).collect();
    assert_eq!(woken, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], "11 slots are worth two");
    assert_eq!(fill(&vnic, &segment(ip(TO), 1)), 8, "for the two");
}

#[test]
fn a_waker_may_take_frames_and_make_room_itself() {
    let internet = Internet::builder().max_in_flight(2).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    fill(&vnic, &packet(ip(TO), 0, 0));
    let log = Arc::new(Mutex::new(Vec::new()));
    // So many that one wake-up inside the other would overflow the stack.
    for n in 0..50_000 {
        let (in_flight, vnic, log) = (internet.in_flight(), vnic.clone(), log.clone());
        vnic.clone().on_room(&waker_fn(move || {
            fill(&vnic, &packet(ip(TO), n, 0));
            while in_flight.try_recv().is_some() {}
            log.lock().unwrap().push(n);
        }));
    }
    assert!(log.lock().unwrap().is_empty());
    drop(internet.in_flight().try_recv());
    assert_eq!(*log.lock().unwrap(), (0..50_000).collect::<Vec<_>>());
}

#[test]
fn a_panicking_waker_does_not_lose_the_others() {
    let internet = Internet::builder().max_in_flight(1).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&vnic, ip(TO), [1]);
    let (wakes, waker) = Wakes::new();
    vnic.on_room(&waker_fn(|| panic!("a waker of the user's")));
    vnic.on_room(&waker);
    let in_flight = internet.in_flight();
    catch_unwind(AssertUnwindSafe(|| in_flight.try_recv())).unwrap_err();
    assert_eq!(wakes.take(), 1);
    vnic.on_room(&waker);
    assert_eq!(id(in_flight.try_recv().unwrap().packet()), 1);
    assert_eq!(wakes.take(), 1);
}

#[test]
fn a_panicking_waker_does_not_lose_the_frame_that_made_room() {
    type Take = fn(&mut InFlight, &mut Vec<Frame>);
    let takes: [(Take, bool); 4] = [
        (|queue, _| drop(queue.try_recv()), false),
        (|queue, _| drop(block_on(queue.recv())), false),
        (|queue, _| drop(block_on(queue.next())), false),
        (|queue, into| assert_eq!(block_on(queue.recv_many(into, 2)), 2), true),
    ];
    for (take, taken) in takes {
        let internet = Internet::builder().max_in_flight(2).build();
        let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
        send(&vnic, ip(TO), [1, 2]);
        vnic.on_room(&waker_fn(|| panic!("a waker of the user's")));
        let (mut queue, mut into) = (internet.in_flight(), Vec::new());
        catch_unwind(AssertUnwindSafe(|| take(&mut queue, &mut into))).unwrap_err();
        assert_eq!(into.len(), if taken { 2 } else { 0 }, "where it was to go, or in its place");
        into.extend(std::iter::from_fn(|| queue.try_recv()));
        assert_eq!(into.iter().map(|frame| id(frame.packet())).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(internet.stats().queued, 0);
    }
}

#[test]
fn every_receiver_is_woken_and_a_cancelled_one_takes_nothing_along() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let (one, two) = (internet.in_flight(), internet.in_flight());
    let ((wakes_a, a), (wakes_b, b)) = (Wakes::new(), Wakes::new());
    let mut first = Box::pin(one.recv());
    let mut second = Box::pin(one.recv());
    let mut many = Vec::new();
    let mut third = Box::pin(two.recv_many(&mut many, 5));
    assert!(poll(&mut first, &a).is_pending() && poll(&mut second, &a).is_pending());
    assert!(poll(&mut third, &b).is_pending());
    assert!(poll(&mut third, &b).is_pending());
    drop(second);
    send(&vnic, ip(TO), [1, 2]);
    assert_eq!((wakes_a.take(), wakes_b.take()), (1, 1));
    drop(first);
    assert_eq!(poll(&mut third, &b), Poll::Ready(2));
    drop(third);
    assert_eq!(many.len(), 2);
    // Nobody is left behind to be woken.
    send(&vnic, ip(TO), [3]);
    assert_eq!((wakes_a.take(), wakes_b.take()), (0, 0));
}

#[test]
fn what_is_queued_comes_before_the_end() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let mut stream = internet.in_flight();
    let (wakes, waker) = Wakes::new();
    let mut next = pin!(stream.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    send(&vnic, ip(TO), [1, 2, 3]);
    assert_eq!(wakes.take(), 1);
    let mut parked = Box::pin(async { internet.in_flight().recv_many(&mut Vec::new(), 9).await });
    internet.close();
    internet.close();
    assert_eq!(poll(&mut parked, &waker), Poll::Ready(3));
    assert!(block_on(next).is_none());
    assert!(block_on(stream.clone().recv()).is_none());
    assert_eq!(block_on(stream.recv_many(&mut Vec::new(), 9)), 0);
}

#[test]
fn closing_wakes_all_and_drops_what_is_sent() {
    let internet = Internet::builder().max_in_flight(1).build();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    let in_flight = internet.in_flight();
    let (wakes, waker) = Wakes::new();
    let mut recv = Box::pin(in_flight.recv());
    assert!(poll(&mut recv, &waker).is_pending());
    internet.close();
    assert_eq!(wakes.take(), 1);
    assert!(poll(&mut recv, &waker).is_ready());

    let internet = Internet::builder().max_in_flight(1).build();
    let full = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&full, ip(TO), [1]);
    full.on_room(&waker);
    let clone = internet.clone();
    drop(internet);
    assert_eq!(wakes.take(), 0, "a clone keeps it open");
    let in_flight = clone.in_flight();
    drop(clone);
    assert_eq!(wakes.take(), 1);
    let error = full.write(packet(ip(TO), 2, 0)).unwrap_err();
    assert_eq!(error.reason(), DropReason::Closed);
    full.on_room(&waker);
    assert_eq!(wakes.take(), 1, "there is nothing to wait for");
    assert_eq!(id(block_on(in_flight.recv()).unwrap().packet()), 1);
    assert!(block_on(in_flight.recv()).is_none());
    drop(vnic);
}

#[test]
fn sends_into_a_closed_internet_are_counted() {
    let internet = Internet::new();
    let vnic = internet.new_vnic(MTU_ETHERNET).unwrap();
    send(&vnic, ip(TO), [1]);
    internet.close();
    for _ in 0..3 {
        vnic.write(packet(ip(TO), 2, 0)).unwrap_err();
    }
    let stats = internet.stats();
    assert_eq!((stats.sent, stats.queued, stats.dropped(DropReason::Closed)), (4, 1, 3));
    assert_adds_up(&internet);
}
