//! Datagram sockets on a network that has no room.

mod wakes;

use std::collections::VecDeque;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;
use parking_lot::Mutex;
use uis_clock::VirtualClock;
use uis_stack::{Stack, StackConfig, UdpSocket};
use uis_vnic::{DropReason, Frame, SendError, Vnic, VnicNetwork};
use wakes::Count;

/// A queue that the test empties.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    /// Whether it says that it has room when it has none.
    lies: bool,
}

#[derive(Default)]
struct State {
    capacity: usize,
    frames: VecDeque<Frame>,
    waiting: Vec<Waker>,
}

impl Gate {
    fn new(capacity: usize) -> Arc<Self> {
        let gate = Self::default();
        gate.state.lock().capacity = capacity;
        Arc::new(gate)
    }

    /// Takes what is queued, and tells those who wait.
    fn empty(&self) -> Vec<Frame> {
        let mut state = self.state.lock();
        let frames = state.frames.drain(..).collect();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        frames
    }

    fn set_capacity(&self, capacity: usize) {
        self.state.lock().capacity = capacity;
    }

    fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

impl VnicNetwork for Gate {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let mut state = self.state.lock();
        if state.frames.len() >= state.capacity {
            return Err(SendError::Full(frame));
        }
        state.frames.push_back(frame);
        Ok(())
    }

    fn on_room(&self, waker: &Waker) {
        let mut state = self.state.lock();
        if self.lies || state.frames.len() < state.capacity {
            drop(state);
            waker.wake_by_ref();
        } else if !state.waiting.iter().any(|w| w.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
    }
}

const PEER: &str = "10.0.0.2:53";

fn peer() -> SocketAddr {
    PEER.parse().unwrap()
}

/// A stack behind the gate, and a socket of it.
fn behind(gate: &Arc<Gate>) -> (Stack, UdpSocket) {
    let vnic = Vnic::new(1500, gate.clone(), VirtualClock::new()).unwrap();
    let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()]).unwrap();
    let socket = stack.listen_udp("10.0.0.1:1000").unwrap();
    (stack, socket)
}

/// The datagrams that a host would make of these packets.
fn received(frames: impl IntoIterator<Item = Frame>) -> Vec<Vec<u8>> {
    let (wire, vnic) = Vnic::pair(1500, VirtualClock::new()).unwrap();
    let config = StackConfig::default().udp_recv_buffer(16 << 20);
    let stack = Stack::with_config(vnic.clone(), [peer().ip()], config).unwrap();
    let socket = stack.listen_udp(peer()).unwrap();
    for frame in frames {
        vnic.inject_frame(frame).unwrap();
    }
    drop(wire);
    let mut buf = vec![0; 65_535];
    std::iter::from_fn(|| socket.try_recv(&mut buf).ok().map(|n| buf[..n].to_vec())).collect()
}

#[test]
fn who_tries_is_told_and_who_waits_waits() {
    let gate = Gate::new(1);
    let (stack, socket) = behind(&gate);
    assert_eq!(socket.try_send_to(b"1", peer()).unwrap(), 1);
    assert_eq!(socket.try_send_to(b"2", peer()).unwrap_err().kind(), ErrorKind::WouldBlock);

    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let cx = &mut Context::from_waker(&waker);
    assert!(socket.poll_send_ready(cx).is_pending());
    let mut sending = pin!(socket.send_to(b"3", PEER));
    assert!(sending.as_mut().poll(cx).is_pending());
    assert_eq!(gate.waiting(), 1);

    assert_eq!(received(gate.empty()), [b"1"]);
    assert_eq!(count.woken(), 1, "one waker, kept once");
    assert!(socket.poll_send_ready(cx).is_ready());
    assert!(matches!(sending.poll(cx), Poll::Ready(Ok(1))));
    assert_eq!(received(gate.empty()), [b"3"]);
    assert_eq!(stack.stats().not_sent(DropReason::Full), 0);
}

#[test]
fn all_who_wait_are_woken_and_who_gives_up_sends_nothing() {
    let gate = Gate::new(0);
    let (_stack, socket) = behind(&gate);
    let counts: [Arc<Count>; 3] = Default::default();
    for count in &counts {
        let waker = Waker::from(count.clone());
        let mut sending = pin!(socket.send_to(b"never", PEER));
        assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    gate.set_capacity(10);
    assert!(gate.empty().is_empty());
    assert!(counts.iter().all(|count| count.woken() == 1));
    block_on(socket.send_to(b"later", PEER)).unwrap();
    assert_eq!(received(gate.empty()), [b"later"]);
}

#[test]
fn what_a_datagram_lacks_follows_as_soon_as_there_is_room() {
    let payload: Vec<u8> = (0..10_000).map(|i| i as u8).collect();
    for held_open in [true, false] {
        let gate = Gate::new(3);
        let (_stack, socket) = behind(&gate);
        // Seven fragments, of which three find room: so it is sent.
        assert_eq!(socket.try_send_to(&payload, peer()).unwrap(), payload.len());
        assert_eq!(socket.try_send_to(b"next", peer()).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut frames = Vec::new();
        if !held_open {
            socket.close();
        }
        for expected in [3, 3, 1] {
            let some = gate.empty();
            assert_eq!(some.len(), expected);
            frames.extend(some);
        }
        assert_eq!(gate.waiting(), 0);
        if held_open {
            socket.try_send_to(b"next", peer()).unwrap();
            frames.extend(gate.empty());
            assert!(received(frames) == [payload.clone(), b"next".to_vec()]);
        } else {
            assert!(received(frames) == [payload.clone()]);
        }
    }
}

#[test]
fn the_next_datagram_carries_the_rest_along_if_nobody_said_that_there_is_room() {
    let gate = Gate::new(1);
    let (_stack, socket) = behind(&gate);
    socket.try_send_to(&[7; 2000], peer()).unwrap();
    // Room, and nobody is told yet.
    let first = gate.state.lock().frames.pop_front().unwrap();
    assert_eq!(socket.try_send_to(b"next", peer()).unwrap_err().kind(), ErrorKind::WouldBlock);
    let second = gate.state.lock().frames.pop_front().unwrap();
    socket.try_send_to(b"next", peer()).unwrap();
    let third = gate.state.lock().frames.pop_front().unwrap();
    assert!(received([first, second, third]) == [vec![7; 2000], b"next".to_vec()]);
}

#[test]
fn a_datagram_of_which_nothing_left_was_not_sent() {
    let gate = Gate::new(0);
    let (_stack, socket) = behind(&gate);
    assert_eq!(socket.try_send_to(&[7; 10_000], peer()).unwrap_err().kind(), ErrorKind::WouldBlock);
    gate.set_capacity(100);
    assert!(gate.empty().is_empty() && gate.empty().is_empty());
    assert_eq!(block_on(socket.send_to(&[8; 10_000], PEER)).unwrap(), 10_000);
    assert!(received(gate.empty()) == [vec![8; 10_000]]);
}

#[test]
fn threads_that_crowd_a_network_lose_nothing() {
    const EACH: usize = 300;
    let gate = Gate::new(4);
    let (stack, socket) = behind(&gate);
    let other = stack.listen_udp("10.0.0.1:2000").unwrap();
    let sending = AtomicUsize::new(4);
    let mut frames = Vec::new();
    std::thread::scope(|scope| {
        for socket in [&socket, &socket, &other, &other] {
            let sending = &sending;
            scope.spawn(move || {
                for n in 0..EACH {
                    // A third of them in one packet, the others in three.
                    let payload = vec![n as u8; if n % 3 == 0 { 100 } else { 4000 }];
                    block_on(socket.send_to(&payload, PEER)).unwrap();
                }
                sending.fetch_sub(1, Ordering::Release);
            });
        }
        while sending.load(Ordering::Acquire) > 0 {
            frames.extend(gate.empty());
            std::thread::yield_now();
        }
    });
    // What is left of the last datagrams.
    while gate.waiting() > 0 || !gate.state.lock().frames.is_empty() {
        frames.extend(gate.empty());
    }
    assert_eq!(frames.len(), 4 * (EACH / 3 + EACH / 3 * 2 * 3));
    let mut got = received(frames);
    got.sort();
    let mut expected: Vec<_> =
        (0..4 * EACH).map(|n| vec![(n / 4) as u8; if n / 4 % 3 == 0 { 100 } else { 4000 }]).collect();
    expected.sort();
    assert!(got == expected, "{} of {}", got.len(), expected.len());
    assert_eq!(stack.stats().not_sent(DropReason::Full), 0);
}

#[test]
fn a_network_that_does_not_keep_its_word_neither_hangs_nor_recurses() {
    let gate = Arc::new(Gate { lies: true, ..Gate::default() });
    gate.set_capacity(1);
    let (stack, socket) = behind(&gate);
    // One fragment of two leaves; the other is given up, and counted.
    assert_eq!(socket.try_send_to(&[7; 2000], peer()).unwrap(), 2000);
    assert_eq!(stack.stats().not_sent(DropReason::Full), 1);
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    assert!(socket.poll_send_to(&mut Context::from_waker(&waker), b"x", peer()).is_pending());
    assert_eq!(count.woken(), 1, "to try again");
}

#[test]
fn closing_ends_the_wait() {
    for close_stack in [false, true] {
        let gate = Gate::new(0);
        let (stack, socket) = behind(&gate);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut sending = pin!(socket.send_to(b"x", PEER));
        assert!(sending.as_mut().poll(cx).is_pending());
        if close_stack {
            stack.close()
        } else {
            socket.close()
        }
        assert_eq!(count.woken(), 1);
        let expected = if close_stack { ErrorKind::NetworkDown } else { ErrorKind::NotConnected };
        assert!(matches!(sending.poll(cx), Poll::Ready(Err(error)) if error.kind() == expected));
    }
}

#[test]
fn what_the_network_loses_is_counted() {
    struct Void;
    impl VnicNetwork for Void {
        fn send_frame(&self, _: Frame) -> Result<(), SendError> {
            Err(SendError::Dropped(DropReason::NoRoute))
        }
        fn on_room(&self, _: &Waker) {}
    }
    let vnic = Vnic::new(1500, Arc::new(Void), VirtualClock::new()).unwrap();
    let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()]).unwrap();
    let socket = stack.dial_udp(PEER).unwrap();
    assert_eq!(socket.try_send(b"lost").unwrap(), 4);
    assert_eq!(socket.try_send(&[0; 3000]).unwrap(), 3000);
    assert_eq!(stack.stats().not_sent(DropReason::NoRoute), 1 + 3);
}

#[test]
fn a_network_that_panics_harms_that_call_alone() {
    struct Panics(Mutex<bool>);
    impl VnicNetwork for Panics {
        fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
            Err(SendError::Full(frame))
        }
        fn on_room(&self, waker: &Waker) {
            if std::mem::take(&mut *self.0.lock()) {
                panic!("a network of the user's");
            }
            waker.wake_by_ref();
        }
    }
    let vnic = Vnic::new(1500, Arc::new(Panics(Mutex::new(true))), VirtualClock::new()).unwrap();
    let stack = Stack::new(vnic, ["10.0.0.1".parse().unwrap()]).unwrap();
    let socket = stack.dial_udp(PEER).unwrap();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| socket.try_send(b"x"))).unwrap_err();
    // The next one asks again, and is told.
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    assert!(socket.poll_send(&mut Context::from_waker(&waker), b"x").is_pending());
    assert_eq!(count.woken(), 1);
}
