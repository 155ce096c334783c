//! What the models have in common: how a model is run, and two hosts on an internet.
//!
//! A model is a short program of two to four threads. It is run again and again, each time with another order in which
//! the threads take and release the locks. A panic is a failure, and so is a state in which every thread waits: a wake-up
//! was lost, or two locks were taken in two orders. shuttle prints the schedule that failed and how to replay it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use uis_clock::VirtualClock;
use uis_internet::{InFlight, Internet};
use uis_stack::{Connect, Stack, StackConfig, TcpListener, TcpStream};
use uis_vnic::{Frame, MTU_ETHERNET};

/// Runs a model in so many orders of each kind: any, and such as a few ill-timed interruptions make. `UIS_MODEL_RUNS=100000`
/// is for a long night.
pub fn model(f: impl Fn() + Send + Sync + 'static) {
    let runs =
        std::env::var("UIS_MODEL_RUNS").map_or(400, |n| n.parse().expect("UIS_MODEL_RUNS is a number"));
    let mut config = Config::new();
    config.stack_size = 1 << 18; // smoltcp's, unoptimized
    config.silence_warnings = true;
    let f = std::sync::Arc::new(f);
    let of_random = f.clone();
    Runner::new(RandomScheduler::new_from_seed(1, runs), config.clone()).run(move || of_random());
    Runner::new(PctScheduler::new_from_seed(1, 3, runs), config).run(move || f());
}

/// Two hosts.
pub struct Lab {
    pub clock: VirtualClock,
    pub internet: Internet,
    pub in_flight: InFlight,
    pub server: Stack,
    pub client: Stack,
}

impl Lab {
    pub fn new(max_in_flight: usize) -> Self {
        let clock = VirtualClock::new();
        let internet = Internet::builder().clock(&clock).max_in_flight(max_in_flight).seed(1).build();
        let stack = |addr: &str| {
            let addrs = [addr.parse().unwrap()];
            internet.new_stack_with(MTU_ETHERNET, addrs, StackConfig::small()).unwrap()
        };
        let (server, client) = (stack("10.0.0.1"), stack("10.0.0.2"));
        Self { clock, in_flight: internet.in_flight(), internet, server, client }
    }

    /// Delivers what is in flight, until there is nothing.
    pub fn settle(&self) {
        while let Some(frame) = self.in_flight.try_recv() {
            let _ = self.internet.deliver(frame);
        }
    }

    /// Delivers what is in flight, until there is nothing, and has `sent` look at it before.
    pub fn settle_in_view_of(&self, sent: &mut InOrder, from: &str) {
        while let Some(frame) = self.in_flight.try_recv() {
            sent.note(&frame, from);
            self.internet.deliver(frame).unwrap();
        }
    }

    /// A listener, and a connection to it: the accepted end and the dialled one.
    pub fn connect(&self) -> (TcpListener, TcpStream, TcpStream) {
        let listener = self.server.listen_tcp("10.0.0.1:80").unwrap();
        let mut dial: Connect = self.client.dial_tcp("10.0.0.1:80");
        assert!(poll(&mut dial).is_pending());
        self.settle();
        let Poll::Ready(Ok(dialled)) = poll(&mut dial) else { panic!("nobody answers") };
        let accepted = listener.poll_accept(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok((accepted, _))) = accepted else { panic!("nobody has come") };
        (listener, accepted, dialled)
    }
}

/// Polls once, for nobody.
pub fn poll<F: Future + Unpin>(f: &mut F) -> Poll<F::Output> {
    Pin::new(f).poll(&mut Context::from_waker(Waker::noop()))
}

/// The segments of one direction of a connection, as they leave: each begins where the one before it ended.
#[derive(Default)]
pub struct InOrder {
    next: Option<u32>,
    pub bytes: VecDeque<u8>,
}

impl InOrder {
    /// Looks at a packet, which may be of another direction.
    pub fn note(&mut self, frame: &Frame, from: &str) {
        let packet = frame.packet();
        if frame.src() != Some(from.parse().unwrap()) || packet[9] != 6 {
            return;
        }
        let tcp = &packet[20..];
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        let seq = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        assert_eq!(*self.next.get_or_insert(seq), seq, "a segment has overtaken another, or was sent twice");
        self.next = Some(seq.wrapping_add(payload.len() as u32));
        self.bytes.extend(payload);
    }
}
