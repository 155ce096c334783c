//! Two interfaces back to back.

mod common;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use common::{Log, attach, number, packet, packet_of, panic_of, waker};
use uis_clock::{SystemClock, VirtualClock};
use uis_vnic::{DropReason, Frame, MTU_ETHERNET, SendError, Vnic, WeakVnic};

const CAPACITY: usize = 1024;

fn pair() -> (Vnic, Vnic) {
    Vnic::pair(MTU_ETHERNET, SystemClock::new()).unwrap()
}

/// Sends, and panics unless the frame was taken.
fn send(vnic: &WeakVnic, n: u32) {
    vnic.upgrade().unwrap().write(packet(n)).unwrap();
}

#[test]
fn delivers_at_once_both_ways() {
    let clock = VirtualClock::new();
    let (a, b) = Vnic::pair(MTU_ETHERNET, clock.handle()).unwrap();
    clock.advance(Duration::from_secs(3));
    let seen = Log::new();
    let receive = |name: &'static str| {
        let seen = seen.clone();
        move |frame: Frame| seen.push((name, number(&frame), frame.sent_by(), frame.sent_at()))
    };
    let _receivers = [attach(&a, receive("a")), attach(&b, receive("b"))];
    let now = Some(clock.handle().now());
    a.write(packet(1)).unwrap();
    assert_eq!(seen.take(), [("b", 1, Some(a.id()), now)]);
    b.write(packet(2)).unwrap();
    assert_eq!(seen.take(), [("a", 2, Some(b.id()), now)]);
}

#[test]
fn the_sender_learns_why_the_other_end_refuses() {
    let (a, b) = pair();
    assert_eq!(a.write(packet(1)).unwrap_err().reason(), DropReason::Detached);
    let _receiver = attach(&b, drop);
    b.set_mtu(576).unwrap();
    assert_eq!(a.write(packet_of(577, 1)).unwrap_err().reason(), DropReason::TooBig);
    a.write(packet_of(576, 1)).unwrap();
    b.close();
    assert_eq!(a.write(packet(1)).unwrap_err().reason(), DropReason::Closed);
    assert_eq!(b.write(packet(1)).unwrap_err().reason(), DropReason::Closed);
}

#[test]
fn neither_end_keeps_the_other() {
    let (a, b) = pair();
    let weak = b.downgrade();
    drop(b);
    assert!(weak.upgrade().is_none());
    assert_eq!(a.write(packet(1)).unwrap_err().reason(), DropReason::Closed);
    assert!(!a.is_closed());
}

#[test]
fn an_endless_exchange_needs_no_stack() {
    let (a, b) = pair();
    let most = 200_000;
    let last = Arc::new(AtomicU32::new(0));
    let answer = |vnic: &Vnic| {
        let (vnic, last) = (vnic.downgrade(), last.clone());
        move |frame: Frame| {
            let n = number(&frame);
            last.store(n, Ordering::Relaxed);
            if n < most {
                send(&vnic, n + 1);
            }
        }
    };
    let _receivers = [attach(&a, answer(&a)), attach(&b, answer(&b))];
    // A frame of recursion for each packet would take far more than this.
    let small = thread::Builder::new().stack_size(256 * 1024);
    small.spawn(move || a.write(packet(0)).unwrap()).unwrap().join().unwrap();
    assert_eq!(last.load(Ordering::Relaxed), most);
}

#[test]
fn what_a_receiver_provokes_comes_after_what_it_is_receiving() {
    let (a, b) = pair();
    let log = Log::new();
    let _at_a = attach(&a, {
        let (a, log) = (a.downgrade(), log.clone());
        move |frame| {
            log.push(format!("a{}", number(&frame)));
            // Two for one, while the first of them is still being received.
            send(&a, 2 * number(&frame));
            send(&a, 2 * number(&frame) + 1);
        }
    });
    let _at_b = attach(&b, {
        let (b, log) = (b.downgrade(), log.clone());
        move |frame| {
            let n = number(&frame);
            log.push(format!("b{n}"));
            if n < 4 {
                send(&b, n);
            }
            log.push(format!("b{n} done"));
        }
    });
    a.write(packet(1)).unwrap();
    let expected = "b1 a1 b1 done b2 a2 b2 done b3 a3 b3 done b4 b4 done b5 b5 done b6 b6 done b7 b7 done";
    // Each answer arrives at a while b is still receiving, and what a says to it waits its turn.
    assert_eq!(log.take().join(" "), expected);
}

/// Fills the queue from within a delivery, does `then`, and returns what b has received.
fn overfill(then: impl Fn(&Vnic) + Send + Sync + 'static) -> Vec<u32> {
    let (a, b) = pair();
    let seen = Log::new();
    let _receiver = attach(&b, {
        let (a, seen) = (a.downgrade(), seen.clone());
        move |frame| {
            seen.push(number(&frame));
            if number(&frame) == 0 {
                let a = a.upgrade().unwrap();
                for n in 1..=CAPACITY as u32 {
                    a.write(packet(n)).unwrap();
                }
                match a.write(packet(9999)) {
                    Err(SendError::Full(frame)) => assert_eq!(number(&frame), 9999),
                    other => panic!("{other:?}"),
                }
                then(&a);
            }
        }
    });
    a.write(packet(0)).unwrap();
    seen.take()
}

#[test]
fn the_queue_is_bounded() {
    assert_eq!(
        overfill(|a| assert_eq!(a.queued(), Some(CAPACITY))),
        (0..=CAPACITY as u32).collect::<Vec<_>>()
    );
}

#[test]
fn room_is_told_once_in_the_order_of_asking() {
    let told = Log::new();
    let seen = overfill({
        let told = told.clone();
        move |a| {
            let wakers: Vec<Waker> = (0..3)
                .map(|i| {
                    let (told, a) = (told.clone(), a.downgrade());
                    waker(move || {
                        told.push(i);
                        // Not under the wire's lock; and there is room indeed.
                        send(&a, 2000 + i);
                    })
                })
                .collect();
            for i in [2, 0, 1, 0, 2] {
                a.on_room(&wakers[i]);
            }
            assert_eq!(told.take(), [], "not before there is room");
        }
    });
    assert_eq!(told.take(), [2, 0, 1]);
    assert_eq!(seen[CAPACITY + 1..], [2002, 2000, 2001]);
}

#[test]
fn room_that_is_there_is_told_at_once() {
    let (a, _b) = pair();
    let told = Log::new();
    let waker = waker({
        let (told, a) = (told.clone(), a.downgrade());
        move || {
            told.push(());
            assert!(a.upgrade().unwrap().write(packet(0)).is_err(), "detached, but no deadlock");
        }
    });
    a.on_room(&waker);
    a.on_room(&waker);
    assert_eq!(told.take().len(), 2);
}

#[test]
fn all_who_wait_are_told_though_there_are_more_of_them_than_frames() {
    let told = Log::new();
    overfill({
        let told = told.clone();
        move |a| {
            for i in 0..2 * CAPACITY {
                let told = told.clone();
                a.on_room(&waker(move || told.push(i)));
            }
        }
    });
    assert_eq!(told.take(), (0..2 * CAPACITY).collect::<Vec<_>>());
}

#[test]
fn a_waker_that_panics_takes_nothing_from_the_others() {
    let told = Log::new();
    let message = panic_of(|| {
        overfill({
            let told = told.clone();
            move |a| {
                for i in 0..4 {
                    let told = told.clone();
                    a.on_room(&waker(move || {
                        told.push(i);
                        assert_ne!(i, 1, "waker");
                    }));
                }
            }
        });
    });
    assert!(message.contains("waker"), "{message}");
    assert_eq!(told.take(), [0, 1, 2, 3]);
}

#[test]
fn a_receiver_that_panics_takes_nothing_from_the_others() {
    let (a, b) = pair();
    let seen = Log::new();
    let _receiver = attach(&b, {
        let (a, seen) = (a.downgrade(), seen.clone());
        move |frame| {
            let n = number(&frame);
            seen.push(n);
            if n == 0 {
                (1..6).for_each(|n| send(&a, n));
            }
            assert!(n.is_multiple_of(2), "frame {n}");
        }
    });
    assert_eq!(panic_of(|| a.write(packet(0)).unwrap()), "frame 1");
    assert_eq!(seen.take(), [0, 1, 2, 3, 4, 5]);
    a.write(packet(8)).unwrap();
    assert_eq!(seen.take(), [8], "nobody is taken to be delivering still");
}

#[test]
fn a_panic_while_unwinding_does_not_abort() {
    struct SendOnDrop(Vnic);
    impl Drop for SendOnDrop {
        fn drop(&mut self) {
            self.0.write(packet(0)).unwrap();
        }
    }
    let (a, b) = pair();
    let _receiver = attach(&b, |_| panic!("receiver"));
    let message = panic_of(|| {
        let _last_words = SendOnDrop(a);
        panic!("test");
    });
    assert_eq!(message, "test");
}

#[test]
fn closing_in_the_midst_of_a_delivery() {
    let (a, b) = pair();
    let seen = Log::new();
    let _receiver = attach(&b, {
        let (a, b, seen) = (a.downgrade(), b.downgrade(), seen.clone());
        move |frame| {
            seen.push(number(&frame));
            send(&a, 1);
            send(&a, 2);
            b.upgrade().unwrap().close();
            let late = a.upgrade().unwrap().write(packet(3)).unwrap_err();
            assert_eq!(late.reason(), DropReason::Closed);
        }
    });
    a.write(packet(0)).unwrap();
    assert_eq!(seen.take(), [0]);
    assert_eq!(b.refused(DropReason::Closed), 2, "what was on the wire is lost, and counted");
}

#[test]
fn many_threads_lose_nothing_and_keep_their_order() {
    const THREADS: u32 = 4;
    const EACH: u32 = 5000;
    let (a, b) = pair();
    let seen = Arc::new(Mutex::new(vec![Vec::new(); THREADS as usize]));
    let at_once = Arc::new(AtomicUsize::new(0));
    let _receiver = attach(&b, {
        let (seen, at_once) = (seen.clone(), at_once.clone());
        move |frame| {
            assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "one at a time in a direction");
            let n = number(&frame);
            seen.lock().unwrap()[(n / EACH) as usize].push(n % EACH);
            at_once.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (a, start) = (&a, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..EACH {
                    let mut frame = Frame::new(packet(thread * EACH + n));
                    while let Err(error) = a.send(frame) {
                        let SendError::Full(back) = error else { panic!("{error}") };
                        frame = back;
                        let (told, room) = mpsc::channel();
                        let told = Mutex::new(told);
                        a.on_room(&waker(move || told.lock().unwrap().send(()).unwrap()));
                        room.recv().unwrap();
                    }
                }
            });
        }
    });
    for (thread, seen) in seen.lock().unwrap().iter().enumerate() {
        assert!(seen.iter().copied().eq(0..EACH), "thread {thread}: {} frames", seen.len());
    }
}
