//! The raw endpoint, awaited and as a device of smoltcp.

mod common;

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;

use common::{Bucket, Log, attach, number, packet, panic_of, waker};
use futures_lite::future::block_on;
use uis_clock::SystemClock;
use uis_vnic::smoltcp::phy::{Device, Medium, RxToken, TxToken};
use uis_vnic::smoltcp::time::Instant;
use uis_vnic::{DropReason, Frame, MTU_ETHERNET, SendError, Vnic, VnicPort};

fn port_with_room(capacity: usize, room: usize) -> (VnicPort, Arc<Bucket>) {
    let network = Bucket::with_room(room);
    let vnic = Vnic::new(MTU_ETHERNET, network.clone(), SystemClock::new()).unwrap();
    (VnicPort::new(vnic, capacity).unwrap(), network)
}

fn port(capacity: usize) -> VnicPort {
    port_with_room(capacity, 0).0
}

fn inject(port: &VnicPort, n: u32) {
    port.vnic().inject_frame(Frame::new(packet(n))).unwrap();
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// A waker that writes its name down.
fn named(log: &Log<&'static str>, name: &'static str) -> Waker {
    let log = log.clone();
    waker(move || log.push(name))
}

#[test]
fn what_cannot_be_made() {
    let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new()).unwrap();
    assert_eq!(VnicPort::new(a.clone(), 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!a.is_attached());
    let _first = VnicPort::new(a.clone(), 1).unwrap();
    assert_eq!(VnicPort::new(a, 1).unwrap_err().kind(), ErrorKind::AlreadyExists);
    b.close();
    assert_eq!(VnicPort::new(b, 1).unwrap_err().kind(), ErrorKind::NetworkDown);
}

#[test]
fn frames_come_in_order_and_those_too_many_are_counted() {
    let port = port(3);
    for n in 0..5 {
        inject(&port, n);
    }
    assert_eq!(port.dropped(), 2);
    assert_eq!(number(&port.try_recv().unwrap()), 0);
    inject(&port, 5);
    let rest: Vec<_> = std::iter::from_fn(|| port.try_recv()).map(|frame| number(&frame)).collect();
    assert_eq!(rest, [1, 2, 5]);
    assert_eq!(port.dropped(), 2);
}

#[test]
fn every_task_that_waits_is_woken() {
    let port = port(3);
    let log = Log::new();
    let mut first = pin!(port.recv());
    let mut second = pin!(port.recv());
    let mut watcher = pin!(port.readable());
    assert!(poll(first.as_mut(), &named(&log, "replaced")).is_pending());
    let (one, two, three) = (named(&log, "one"), named(&log, "two"), named(&log, "three"));
    assert!(poll(first.as_mut(), &one).is_pending());
    assert!(poll(first.as_mut(), &one).is_pending());
    assert!(poll(second.as_mut(), &two).is_pending());
    assert!(poll(watcher.as_mut(), &three).is_pending());
    inject(&port, 1);
    assert_eq!(log.take(), ["replaced", "one", "two", "three"]);
    inject(&port, 2);
    assert_eq!(log.take(), [""; 0], "once");

    assert!(poll(watcher.as_mut(), &three).is_ready());
    assert!(matches!(poll(second.as_mut(), &two), Poll::Ready(Some(frame)) if number(&frame) == 1));
    assert!(matches!(poll(first.as_mut(), &one), Poll::Ready(Some(frame)) if number(&frame) == 2));
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    let port = port(3);
    let log = Log::new();
    {
        let mut gone = pin!(port.recv());
        assert!(poll(gone.as_mut(), &named(&log, "gone")).is_pending());
        inject(&port, 1);
    }
    assert_eq!(block_on(port.recv()).map(|frame| number(&frame)), Some(1));
}

#[test]
fn closing_ends_the_waiting_after_the_last_frame() {
    let port = port(3);
    let log = Log::new();
    let mut waiting = pin!(port.recv());
    assert!(poll(waiting.as_mut(), &named(&log, "closed")).is_pending());
    port.vnic().close();
    assert_eq!(log.take(), ["closed"]);
    assert!(matches!(poll(waiting.as_mut(), Waker::noop()), Poll::Ready(None)));
    block_on(port.readable());

    let port = self::port(3);
    inject(&port, 1);
    port.vnic().close();
    assert_eq!(block_on(port.recv()).map(|frame| number(&frame)), Some(1));
    assert!(block_on(port.recv()).is_none());
    assert!(block_on(port.recv()).is_none());
    assert_eq!(port.send(packet(1)).unwrap_err().reason(), DropReason::Closed);
}

#[test]
fn a_waker_may_use_the_port_and_may_panic() {
    let port = Arc::new(port(3));
    let log = Log::new();
    let eager = waker({
        let (port, log) = (port.clone(), log.clone());
        move || {
            log.push(port.try_recv().map(|frame| number(&frame)));
            panic!("eager");
        }
    });
    let mut first = pin!(port.recv());
    let mut second = pin!(port.readable());
    assert!(poll(first.as_mut(), &eager).is_pending());
    let calm = Log::new();
    assert!(poll(second.as_mut(), &named(&calm, "calm")).is_pending());
    assert_eq!(panic_of(|| inject(&port, 1)), "eager");
    assert_eq!((log.take(), calm.take()), (vec![Some(1)], vec!["calm"]));
    inject(&port, 2);
    assert_eq!(number(&port.try_recv().unwrap()), 2);
}

#[test]
fn two_threads_talk() {
    let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new()).unwrap();
    let (a, b) = (VnicPort::new(a, 8).unwrap(), VnicPort::new(b, 8).unwrap());
    let far = b.vnic().clone();
    let echo = thread::spawn(move || {
        block_on(async {
            while let Some(frame) = b.recv().await {
                b.send(frame.into_packet()).unwrap();
            }
        });
    });
    block_on(async {
        for n in 0..2000 {
            a.send(packet(n)).unwrap();
            assert_eq!(a.recv().await.map(|frame| number(&frame)), Some(n));
        }
    });
    far.close();
    echo.join().unwrap();
    assert_eq!(a.send(packet(0)).unwrap_err().reason(), DropReason::Closed);
}

#[test]
fn a_dropped_port_makes_place_for_another() {
    let first = port(3);
    let vnic = first.vnic().clone();
    drop(first);
    assert!(!vnic.is_attached() && !vnic.is_closed());
    let second = VnicPort::new(vnic.clone(), 3).unwrap();
    // One that was taken off does not take off its successor.
    vnic.detach();
    let _receiver = attach(&vnic, drop);
    drop(second);
    assert!(vnic.is_attached());
}

fn transmit(port: &mut VnicPort, n: u32) {
    let token = port.transmit(Instant::ZERO).expect("never refused");
    token.consume(20, |packet| {
        assert_eq!(packet, [0; 20], "nothing of an earlier packet");
        packet.copy_from_slice(&common::packet(n));
    });
}

#[test]
fn as_a_device() {
    let (mut port, network) = port_with_room(3, 10);
    port.vnic().set_mtu(900).unwrap();
    let capabilities = port.capabilities();
    assert_eq!((capabilities.medium, capabilities.max_transmission_unit), (Medium::Ip, 900));

    assert!(port.receive(Instant::ZERO).is_none());
    inject(&port, 7);
    let (received, reply) = port.receive(Instant::ZERO).unwrap();
    assert_eq!(received.consume(<[u8]>::to_vec), packet(7));
    reply.consume(20, |bytes| bytes.copy_from_slice(&packet(8)));
    assert!(port.receive(Instant::ZERO).is_none());
    transmit(&mut port, 9);
    assert_eq!(network.numbers(), [8, 9]);
    assert_eq!(network.frames.lock().unwrap()[0].sent_by(), Some(port.vnic().id()));
}

#[test]
fn a_full_network_delays_what_smoltcp_sends() {
    let (mut port, network) = port_with_room(3, 1);
    for n in 0..6 {
        transmit(&mut port, n);
    }
    assert_eq!((network.numbers(), port.dropped_outgoing()), (vec![0], 2));
    assert!(matches!(port.send(packet(9)), Err(SendError::Full(_))));
    network.make_room(2);
    assert_eq!(network.numbers(), [0, 1, 2], "without anybody asking");
    transmit(&mut port, 6);
    network.make_room(10);
    assert_eq!(network.numbers(), [0, 1, 2, 3, 6], "in order");
    transmit(&mut port, 7);
    assert_eq!((network.numbers(), port.dropped_outgoing()), (vec![0, 1, 2, 3, 6, 7], 2));
    assert_eq!((port.dropped(), port.vnic().refused(DropReason::Full)), (0, 0));
}

#[test]
fn what_the_network_loses_of_smoltcp_is_counted() {
    let (mut port, network) = port_with_room(3, 0);
    transmit(&mut port, 0);
    transmit(&mut port, 1);
    assert_eq!(port.dropped_outgoing(), 0);
    *network.broken.lock().unwrap() = Some(DropReason::NoRoute);
    network.make_room(1);
    assert_eq!(port.dropped_outgoing(), 2);
    port.vnic().close();
    transmit(&mut port, 2);
    assert_eq!(port.dropped_outgoing(), 3);
}

#[test]
fn frames_that_wait_outlive_the_port_but_not_the_vnic() {
    for keep in [true, false] {
        let (mut port, network) = port_with_room(3, 0);
        let vnic = keep.then(|| port.vnic().clone());
        transmit(&mut port, 0);
        drop(port);
        network.make_room(5);
        assert_eq!(network.numbers().len(), usize::from(keep));
        assert_eq!(Arc::strong_count(&network), 1 + usize::from(keep), "no cycle");
        drop(vnic);
    }
}

/// Says that there is room, and refuses all the same.
struct Liar;

impl uis_vnic::VnicNetwork for Liar {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        Err(SendError::Full(frame))
    }
    fn on_room(&self, waker: &Waker) {
        waker.wake_by_ref();
    }
}

#[test]
fn a_network_that_lies_does_not_hang_smoltcp() {
    let vnic = Vnic::new(MTU_ETHERNET, Arc::new(Liar), SystemClock::new()).unwrap();
    let mut port = VnicPort::new(vnic, 3).unwrap();
    for n in 0..10 {
        transmit(&mut port, n);
    }
    assert_eq!(port.dropped_outgoing(), 10);
}

/// Panics over one frame as soon as it has room for it.
struct Fragile(Arc<Bucket>);

impl uis_vnic::VnicNetwork for Fragile {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let room = self.0.room.load(Ordering::SeqCst) > 0;
        assert!(!room || number(&frame) != 13, "thirteen");
        self.0.send_frame(frame)
    }
    fn on_room(&self, waker: &Waker) {
        self.0.on_room(waker);
    }
}

#[test]
fn a_network_that_panics_does_not_stop_the_port() {
    let network = Bucket::with_room(1);
    let vnic = Vnic::new(MTU_ETHERNET, Arc::new(Fragile(network.clone())), SystemClock::new()).unwrap();
    let mut port = VnicPort::new(vnic, 3).unwrap();
    transmit(&mut port, 12);
    transmit(&mut port, 13);
    transmit(&mut port, 14);
    assert!(panic_of(|| network.make_room(3)).contains("thirteen"));
    transmit(&mut port, 15);
    assert_eq!(network.numbers(), [12, 14, 15]);
    assert_eq!(network.room.load(Ordering::SeqCst), 1);
}
