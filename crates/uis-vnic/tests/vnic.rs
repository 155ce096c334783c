//! The interface itself: what passes, what is refused, and how it closes.

mod common;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use common::{Bucket, Log, Receiver, attach, number, packet, packet_of, panic_of, waker, weak};
use uis_clock::{SystemClock, VirtualClock};
use uis_vnic::{DropReason, Frame, MTU_ETHERNET, SendError, Vnic, VnicNetwork};

fn vnic() -> (Vnic, Arc<Bucket>) {
    let network = Bucket::with_room(usize::MAX);
    (Vnic::new(MTU_ETHERNET, network.clone(), SystemClock::new()).unwrap(), network)
}

#[test]
fn what_there_is_no_room_for_stays_with_the_sender() {
    let network = Bucket::with_room(2);
    let vnic = Vnic::new(MTU_ETHERNET, network.clone(), VirtualClock::new().handle()).unwrap();
    let now = vnic.clock().now();
    let mut lost = Vec::new();
    let mut frames: VecDeque<_> = [packet(1), vec![], packet(2), packet(3), packet(4)].map(Frame::new).into();
    assert!(!vnic.send_all(&mut frames, now, &mut |reason| lost.push(reason)));
    assert_eq!(lost, [DropReason::Malformed]);
    assert_eq!(frames.iter().map(number).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(network.frames.lock().unwrap().iter().map(number).collect::<Vec<_>>(), [1, 2]);
    vnic.close();
    assert!(vnic.send_all(&mut frames, now, &mut |reason| lost.push(reason)));
    assert_eq!(lost[1..], [DropReason::Closed; 2]);
}

#[test]
fn a_receiver_that_is_exchanged_gets_nothing_more() {
    let (vnic, _network) = self::vnic();
    for round in 1..4 {
        // The same thread delivers each time, and remembers where to.
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let _receiver = attach(&vnic, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        vnic.inject_frame(Frame::new(packet(round))).unwrap();
        vnic.inject_frame(Frame::new(packet(round))).unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 2);
        vnic.detach();
        assert_eq!(vnic.inject_frame(Frame::new(packet(9))).unwrap_err().reason(), DropReason::Detached);
        assert_eq!(seen.load(Ordering::Relaxed), 2);
    }
}

#[test]
fn mtus_are_checked() {
    let (vnic, network) = vnic();
    for mtu in [0, 1, 68, 575, 65_536, u32::MAX] {
        let error = Vnic::new(mtu, network.clone(), SystemClock::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{mtu}");
        assert_eq!(Vnic::pair(mtu, SystemClock::new()).unwrap_err().kind(), ErrorKind::InvalidInput, "{mtu}");
        assert_eq!(vnic.set_mtu(mtu).unwrap_err().kind(), ErrorKind::InvalidInput, "{mtu}");
        assert_eq!(vnic.mtu(), MTU_ETHERNET);
    }
    for mtu in [576, 1280, 65_535] {
        assert_eq!(Vnic::new(mtu, network.clone(), SystemClock::new()).unwrap().mtu(), mtu);
        vnic.set_mtu(mtu).unwrap();
        assert_eq!(vnic.clone().mtu(), mtu);
    }
}

#[test]
fn what_is_sent_is_stamped() {
    let clock = VirtualClock::new();
    let network = Bucket::with_room(2);
    let vnic = Vnic::new(MTU_ETHERNET, network.clone(), clock.handle()).unwrap();
    clock.advance(Duration::from_secs(7));
    let at = vnic.clock().now();
    assert_eq!(at, clock.handle().now());

    vnic.write(packet(1)).unwrap();
    // A frame that passes a second interface is stamped again.
    let (other, elsewhere) = self::vnic();
    other.write(packet(2)).unwrap();
    let frame = elsewhere.frames.lock().unwrap().pop_front().unwrap();
    let mut frames = VecDeque::from([frame]);
    assert!(vnic.send_all(&mut frames, at + Duration::from_millis(1), &mut |reason| panic!("{reason}")));

    let frames = network.frames.lock().unwrap();
    let stamps: Vec<_> =
        frames.iter().map(|frame| (frame.sent_by(), frame.sent_at(), number(frame))).collect();
    let by = Some(vnic.id());
    assert_eq!(stamps, [(by, Some(at), 1), (by, Some(at + Duration::from_millis(1)), 2)]);
}

#[test]
fn what_a_network_says_reaches_the_sender() {
    let network = Bucket::with_room(1);
    let vnic = Vnic::new(MTU_ETHERNET, network.clone(), SystemClock::new()).unwrap();
    vnic.write(packet(1)).unwrap();
    match vnic.write(packet(2)) {
        Err(SendError::Full(frame)) => assert_eq!(number(&frame), 2),
        other => panic!("{other:?}"),
    }

    let woken = Log::new();
    let waker = waker({
        let woken = woken.clone();
        move || woken.push(())
    });
    vnic.on_room(&waker);
    assert_eq!(woken.take(), []);
    network.make_room(1);
    assert_eq!(woken.take(), [()]);
    vnic.on_room(&waker);
    assert_eq!(woken.take(), [()], "there is room already");

    *network.broken.lock().unwrap() = Some(DropReason::NoRoute);
    assert_eq!(vnic.write(packet(3)).unwrap_err().reason(), DropReason::NoRoute);

    network.room.store(0, Ordering::SeqCst);
    vnic.close();
    vnic.on_room(&waker);
    assert_eq!(woken.take(), [()], "there is nothing to wait for");
}

#[test]
fn a_network_may_say_how_many_frames_wait() {
    struct Store(Bucket);
    impl VnicNetwork for Store {
        fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
            self.0.send_frame(frame)
        }
        fn on_room(&self, waker: &Waker) {
            self.0.on_room(waker);
        }
        fn queued(&self) -> Option<usize> {
            Some(self.0.frames.lock().unwrap().len())
        }
    }
    let silent = Vnic::new(MTU_ETHERNET, Bucket::with_room(1), SystemClock::new()).unwrap();
    assert_eq!(silent.queued(), None);

    let store = Arc::new(Store(Arc::into_inner(Bucket::with_room(9)).unwrap()));
    // Also through an `Arc` that is itself the network.
    let vnic = Vnic::new(MTU_ETHERNET, Arc::new(store), SystemClock::new()).unwrap();
    for n in 0..3 {
        assert_eq!(vnic.queued(), Some(n));
        vnic.write(packet(n as u32)).unwrap();
    }
}

#[test]
fn both_directions_refuse_alike() {
    let mut padded = packet(4);
    padded.extend([9; 26]);
    let mut padded_big = packet_of(576, 5);
    padded_big.extend([9; 1000]);
    let cases = [
        ("empty", vec![], Err(DropReason::Malformed)),
        ("version 0", vec![0; 40], Err(DropReason::Malformed)),
        ("version 5", vec![0x55; 40], Err(DropReason::Malformed)),
        ("cut off", packet(1)[..19].to_vec(), Err(DropReason::Malformed)),
        ("too big", packet_of(577, 2), Err(DropReason::TooBig)),
        ("as big as can be", packet_of(576, 3), Ok(576)),
        ("padded", padded, Ok(20)),
        ("padded beyond the MTU", padded_big, Ok(576)),
    ];
    let (vnic, network) = vnic();
    vnic.set_mtu(576).unwrap();
    let seen = Log::new();
    let _receiver = attach(&vnic, {
        let seen = seen.clone();
        move |frame| seen.push(frame)
    });
    for (name, bytes, expected) in cases {
        let sent = vnic.write(bytes.clone()).map_err(|error| error.reason());
        let arrived = network.frames.lock().unwrap().pop_front();
        assert_eq!(sent.map(|()| arrived.unwrap().len()), expected, "{name}, sent");

        let injected = vnic.inject_frame(Frame::new(bytes.clone()));
        let seen = seen.take();
        match injected {
            Ok(()) => {
                let [frame] = &seen[..] else { panic!("{name}: {seen:?}") };
                assert_eq!(Ok(frame.len()), expected, "{name}, injected");
                assert_eq!((frame.sent_by(), frame.sent_at()), (None, None));
                assert_eq!(frame.packet(), &bytes[..frame.len()]);
            }
            Err(error) => {
                assert_eq!(Err(error.reason()), expected, "{name}, injected");
                assert!(seen.is_empty());
                assert_eq!(error.into_frame().packet(), bytes, "{name}: handed back whole");
            }
        }
    }
    let refused: Vec<u64> = DropReason::ALL.iter().map(|&reason| vnic.refused(reason)).collect();
    assert_eq!(refused, [4, 0, 1, 0, 0, 0], "only what was injected");
}

#[test]
fn trimming_keeps_what_is_known_of_the_checksums() {
    let (vnic, network) = vnic();
    let mut bytes = packet(1);
    bytes.extend([0; 5]);
    vnic.send(Frame::with_valid_checksums(bytes)).unwrap();
    assert!(network.frames.lock().unwrap()[0].has_valid_checksums());
}

#[test]
fn one_receiver_at_a_time() {
    let (vnic, _) = vnic();
    assert!(!vnic.is_attached());
    assert_eq!(vnic.inject_frame(Frame::new(packet(0))).unwrap_err().reason(), DropReason::Detached);

    let seen = Log::new();
    let receive = |name: &'static str| {
        let seen = seen.clone();
        move |frame: Frame| seen.push((name, number(&frame)))
    };
    let first = attach(&vnic, receive("first"));
    assert!(vnic.is_attached());
    let other: Arc<Receiver> = {
        let (elsewhere, _) = self::vnic();
        attach(&elsewhere, receive("other"))
    };
    assert_eq!(vnic.attach(weak(&other)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(vnic.attach(weak(&first)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    vnic.inject_frame(Frame::new(packet(1))).unwrap();

    vnic.detach();
    assert!(!vnic.is_attached());
    assert_eq!(vnic.inject_frame(Frame::new(packet(2))).unwrap_err().reason(), DropReason::Detached);
    vnic.attach(weak(&other)).unwrap();
    vnic.inject_frame(Frame::new(packet(3))).unwrap();

    drop(other); // held weakly
    assert!(!vnic.is_attached());
    assert_eq!(vnic.inject_frame(Frame::new(packet(4))).unwrap_err().reason(), DropReason::Detached);
    vnic.attach(weak(&first)).unwrap();
    vnic.inject_frame(Frame::new(packet(5))).unwrap();
    assert_eq!(seen.take(), [("first", 1), ("other", 3), ("first", 5)]);
    assert_eq!(vnic.refused(DropReason::Detached), 3);
}

#[test]
fn closing_is_final() {
    let (vnic, network) = vnic();
    let _receiver = attach(&vnic, |frame| panic!("{frame:?}"));
    let calls = Log::new();
    for i in 0..3 {
        let calls = calls.clone();
        let vnic_weak = vnic.downgrade();
        vnic.on_close(move || {
            // No lock is held, and it is closed already.
            let vnic = vnic_weak.upgrade().unwrap();
            assert!(vnic.is_closed() && !vnic.is_attached());
            vnic.close();
            vnic.set_name("late");
            vnic.on_close({
                let calls = calls.clone();
                move || calls.push(10 + i)
            });
            calls.push(i);
        });
    }
    assert!(!vnic.is_closed());
    vnic.close();
    assert_eq!(calls.take(), [10, 0, 11, 1, 12, 2]);
    vnic.close();
    vnic.clone().close();
    assert_eq!(calls.take(), []);

    assert_eq!(vnic.inject_frame(Frame::new(packet(1))).unwrap_err().reason(), DropReason::Closed);
    assert_eq!(vnic.inject_frame(Frame::new([])).unwrap_err().reason(), DropReason::Closed);
    assert_eq!(vnic.write(packet(1)).unwrap_err().reason(), DropReason::Closed);
    assert!(network.frames.lock().unwrap().is_empty());
    let (elsewhere, _) = self::vnic();
    let other = attach(&elsewhere, drop);
    assert_eq!(vnic.attach(weak(&other)).unwrap_err().kind(), ErrorKind::NetworkDown);
    vnic.on_close({
        let calls = calls.clone();
        move || calls.push(99)
    });
    assert_eq!(calls.take(), [99]);
    assert_eq!(vnic.name().as_deref(), Some("late"));
}

#[test]
fn the_last_handle_closes() {
    let (vnic, network) = vnic();
    let calls = Log::new();
    vnic.on_close({
        let calls = calls.clone();
        move || calls.push(())
    });
    let (weak, second) = (vnic.downgrade(), vnic.clone());
    drop(vnic);
    assert_eq!((calls.take().len(), weak.upgrade().is_some()), (0, true));
    assert_eq!(Arc::strong_count(&network), 2, "held strongly");
    drop(second);
    assert_eq!((calls.take().len(), weak.upgrade().is_some()), (1, false));
    assert_eq!(Arc::strong_count(&network), 1);
}

#[test]
fn a_hook_that_panics_takes_nothing_from_the_others() {
    for by_drop in [false, true] {
        let (vnic, _) = vnic();
        let calls = Log::new();
        for i in 0..4 {
            let calls = calls.clone();
            vnic.on_close(move || {
                calls.push(i);
                assert!(i % 2 == 0, "hook {i}");
            });
        }
        let message = panic_of(|| if by_drop { drop(vnic) } else { vnic.close() });
        assert_eq!(message, "hook 1", "the first one goes on");
        assert_eq!(calls.take(), [0, 1, 2, 3]);
    }
}

#[test]
fn a_hook_that_panics_while_its_thread_unwinds_does_not_abort() {
    let (vnic, _) = vnic();
    vnic.on_close(|| panic!("hook"));
    let message = panic_of(move || {
        let _vnic = vnic;
        panic!("test");
    });
    assert_eq!(message, "test");
}

#[test]
fn a_receiver_that_panics_leaves_the_interface_usable() {
    let (vnic, _) = vnic();
    let seen = Log::new();
    let _receiver = attach(&vnic, {
        let seen = seen.clone();
        move |frame| {
            seen.push(number(&frame));
            assert_ne!(number(&frame), 1, "no ones");
        }
    });
    for i in 0..2 {
        assert!(panic_of(|| vnic.inject_frame(Frame::new(packet(1))).unwrap()).contains("no ones"), "{i}");
        vnic.inject_frame(Frame::new(packet(2))).unwrap();
    }
    assert_eq!(seen.take(), [1, 2, 1, 2]);
    vnic.detach();
    vnic.close();
}

#[test]
fn a_receiver_may_do_anything() {
    let (vnic, network) = vnic();
    let inner = vnic.clone();
    let receiver = attach(&vnic, move |frame| match number(&frame) {
        0 => inner.write(packet(100)).unwrap(),
        n @ 1..=5 => inner.inject_frame(Frame::new(packet(n - 1))).unwrap(),
        6 => {
            inner.detach();
            assert!(!inner.is_attached());
        }
        _ => inner.close(),
    });
    vnic.inject_frame(Frame::new(packet(5))).unwrap();
    assert_eq!(network.numbers(), [100]);
    vnic.inject_frame(Frame::new(packet(6))).unwrap();
    vnic.attach(weak(&receiver)).unwrap();
    vnic.inject_frame(Frame::new(packet(7))).unwrap();
    assert!(vnic.is_closed());
}

#[test]
fn closing_while_others_inject() {
    for _ in 0..20 {
        let (vnic, _) = vnic();
        let received = Arc::new(AtomicUsize::new(0));
        let receiver = attach(&vnic, {
            let received = received.clone();
            move |_| {
                received.fetch_add(1, Ordering::SeqCst);
            }
        });
        let hooks = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let hooks = hooks.clone();
            vnic.on_close(move || {
                hooks.fetch_add(1, Ordering::SeqCst);
            });
        }
        let start = Barrier::new(4);
        let closed = AtomicBool::new(false);
        let delivered: usize = thread::scope(|scope| {
            let injectors: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let mut delivered = 0;
                        loop {
                            let closed = closed.load(Ordering::SeqCst);
                            match vnic.inject_frame(Frame::new(packet(1))) {
                                Ok(()) => {
                                    assert!(!closed, "delivered after `close` had returned");
                                    delivered += 1;
                                }
                                Err(error) => {
                                    let reason = error.reason();
                                    assert!(
                                        matches!(reason, DropReason::Closed | DropReason::Detached),
                                        "{reason}"
                                    );
                                    if reason == DropReason::Closed {
                                        return delivered;
                                    }
                                }
                            }
                        }
                    })
                })
                .collect();
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    vnic.close();
                    closed.store(true, Ordering::SeqCst);
                });
            }
            injectors.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(received.load(Ordering::SeqCst), delivered);
        assert_eq!(hooks.load(Ordering::SeqCst), 3);
        drop(receiver);
    }
}

#[test]
fn hooks_added_while_closing_run_once() {
    for _ in 0..50 {
        let (vnic, _) = vnic();
        let calls = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let calls = calls.clone();
                        vnic.on_close(move || {
                            calls.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            }
            scope.spawn(|| vnic.close());
        });
        assert_eq!(calls.load(Ordering::SeqCst), 200);
    }
}

#[test]
fn a_name_is_for_people() {
    let (vnic, _) = vnic();
    vnic.set_name("a");
    vnic.clone().set_name("client");
    assert_eq!(vnic.name().as_deref(), Some("client"));
    let text = format!("{vnic:?}");
    assert!(text.contains("client") && text.contains(&vnic.id().to_string()), "{text}");
}
