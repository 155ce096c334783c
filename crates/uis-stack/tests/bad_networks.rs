//! Networks that panic, refuse or drop, from each packet of a connection's life on: nothing hangs or leaks, the panic
//! reaches the call that met it and no other, and a connection made later is none the worse.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use parking_lot::Mutex;
use uis_clock::{Instant, VirtualClock};
use uis_stack::{Stack, TcpListener};
use uis_vnic::{DropReason, Frame, SendError, Vnic, VnicNetwork};

const ADDRS: [&str; 2] = ["10.0.0.1", "10.0.0.2"];
const AT: &str = "10.0.0.2:80";
const PANIC: &str = "the network panics";
/// Long enough for every time-out.
const PATIENCE: Duration = Duration::from_secs(7200);

/// What the network does to a packet, or to it and all behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    PanicOnce,
    Panic,
    Refuse,
    Drop,
}

/// Two stacks' network: what one sends waits until the test hands it to the other.
struct Wire {
    queues: Mutex<[VecDeque<Frame>; 2]>,
    sends: AtomicUsize,
    fault: Option<(usize, Fault)>,
}

struct End(Arc<Wire>, usize);

impl VnicNetwork for End {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let n = self.0.sends.fetch_add(1, Ordering::SeqCst);
        match self.0.fault {
            Some((at, Fault::PanicOnce)) if n == at => panic!("{PANIC}"),
            Some((at, Fault::Panic)) if n >= at => panic!("{PANIC}"),
            Some((at, Fault::Refuse)) if n >= at => return Err(SendError::Full(frame)),
            Some((at, Fault::Drop)) if n >= at => return Err(SendError::Dropped(DropReason::NoRoute)),
            _ => self.0.queues.lock()[1 - self.1].push_back(frame),
        }
        Ok(())
    }

    fn on_room(&self, waker: &Waker) {
        // One that refuses for good never has room again.
        if !matches!(self.0.fault, Some((_, Fault::Refuse))) {
            waker.wake_by_ref();
        }
    }
}

type Task = Pin<Box<dyn Future<Output = io::Result<()>>>>;

struct Lab {
    clock: VirtualClock,
    wire: Arc<Wire>,
    stacks: [Stack; 2],
    listener: TcpListener,
}

impl Lab {
    fn new(fault: Option<(usize, Fault)>) -> Self {
        let clock = VirtualClock::new();
        let wire = Arc::new(Wire { queues: Mutex::default(), sends: AtomicUsize::new(0), fault });
        let stacks = [0, 1].map(|n| {
            let vnic = Vnic::new(1500, Arc::new(End(wire.clone(), n)), clock.handle()).unwrap();
            Stack::new(vnic, [ADDRS[n].parse().unwrap()]).unwrap()
        });
        let listener = stacks[1].listen_tcp(AT).unwrap();
        Self { clock, wire, stacks, listener }
    }

    /// A question and its answer, as two tasks.
    fn talk(&self) -> Vec<Task> {
        let question: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
        let (client, listener) = (self.stacks[0].clone(), self.listener.clone());
        let ask = async move {
            let mut stream = client.dial_tcp(AT).await?;
            stream.write_all(&question).await?;
            stream.close().await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            assert!(answer == question, "another answer");
            Ok(())
        };
        let answer = async move {
            let (mut stream, _) = listener.accept().await?;
            let mut question = Vec::new();
            stream.read_to_end(&mut question).await?;
            stream.write_all(&question).await?;
            stream.close().await
        };
        vec![Box::pin(ask), Box::pin(answer)]
    }

    /// Polls the tasks and moves packets and time, until nothing is left to do. Gives how many calls panicked.
    fn drive(&self, tasks: &mut Vec<Task>) -> usize {
        let mut panics = 0;
        let end = self.clock.now() + PATIENCE;
        while self.clock.now() < end {
            panics += self.poll(tasks);
            let mut moved = false;
            for n in [0, 1] {
                while let Some(frame) = self.pop(n) {
                    moved = true;
                    panics +=
                        guarded(|| self.stacks[n].vnic().inject_frame(frame).unwrap()).is_none() as usize;
                }
            }
            if !moved {
                match guarded(|| self.clock.advance_to_next()) {
                    Some(None) => break,
                    Some(_) => {}
                    None => panics += 1,
                }
            }
        }
        panics
    }

    fn pop(&self, n: usize) -> Option<Frame> {
        self.wire.queues.lock()[n].pop_front()
    }

    /// Polls each task once. One that panics is dropped, as one that is done.
    fn poll(&self, tasks: &mut Vec<Task>) -> usize {
        let mut panics = 0;
        let mut cx = Context::from_waker(Waker::noop());
        let mut left = Vec::new();
        for mut task in tasks.drain(..) {
            match guarded(|| task.as_mut().poll(&mut cx)) {
                Some(Poll::Pending) => left.push(task),
                Some(Poll::Ready(_)) => panics += guarded(|| drop(task)).is_none() as usize,
                None => panics += 1 + guarded(|| drop(task)).is_none() as usize,
            }
        }
        *tasks = left;
        panics
    }
}

/// `None` if it panicked because of the network.
fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map_or("", String::as_str);
            assert_eq!(text, PANIC, "a panic of its own");
            None
        }
    }
}

/// Keeps the panics that are meant from filling the output.
fn quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(PANIC) {
                loud(info);
            }
        }));
    });
}

/// How many packets a talk takes when nothing goes wrong.
fn packets() -> usize {
    let lab = Lab::new(None);
    let mut tasks = lab.talk();
    assert_eq!((lab.drive(&mut tasks), tasks.len()), (0, 0));
    lab.wire.sends.load(Ordering::SeqCst)
}

fn each_step(fault: Fault, check: impl Fn(&Lab, Vec<Task>, usize)) {
    quietly();
    let packets = packets();
    assert!(packets > 12, "{packets} are too few");
    for at in 0..packets {
        let lab = Lab::new(Some((at, fault)));
        let mut tasks = lab.talk();
        let panics = lab.drive(&mut tasks);
        check(&lab, tasks, panics);
    }
}

/// Closing the stacks ends what is left, and leaves nothing: no connection, no timer, no task that waits.
fn closes(lab: &Lab, mut tasks: Vec<Task>) {
    for stack in &lab.stacks {
        guarded(|| stack.close());
    }
    lab.poll(&mut tasks);
    assert_eq!(tasks.len(), 0, "a task waits for a closed stack");
    for stack in &lab.stacks {
        assert_eq!((stack.connections().len(), stack.stats().time_wait), (0, 0));
    }
    assert_eq!(lab.clock.next_deadline(), None, "a timer is left");
}

#[test]
fn a_panic_at_any_packet_harms_one_call_alone() {
    each_step(Fault::PanicOnce, |lab, mut tasks, panics| {
        assert_eq!(panics, 1);
        // The server's may wait for the next connection.
        assert!(tasks.len() <= 1, "a task waits for ever");
        tasks.clear();
        let mut tasks = lab.talk();
        assert_eq!((lab.drive(&mut tasks), tasks.len()), (0, 0), "the next connection is the worse for it");
        closes(lab, tasks);
    });
}

#[test]
fn a_network_that_panics_from_any_packet_on_hangs_nothing() {
    each_step(Fault::Panic, |lab, tasks, panics| {
        assert!(panics > 0);
        assert!(lab.clock.now() < Instant::ZERO + PATIENCE, "it goes on and on");
        closes(lab, tasks);
    });
}

#[test]
fn a_network_that_refuses_from_any_packet_on_is_waited_for_and_no_longer_than_the_stack() {
    each_step(Fault::Refuse, |lab, tasks, panics| {
        assert_eq!(panics, 0);
        closes(lab, tasks);
    });
}

#[test]
fn a_network_that_drops_from_any_packet_on_times_out() {
    each_step(Fault::Drop, |lab, tasks, panics| {
        assert_eq!(panics, 0);
        assert!(lab.clock.now() < Instant::ZERO + PATIENCE, "it goes on and on");
        closes(lab, tasks);
    });
}
