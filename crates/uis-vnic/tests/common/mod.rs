//! What the tests here share.
#![allow(dead_code)] // no test uses all of it

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};

use uis_vnic::{Dispatcher, DropReason, Frame, SendError, Vnic, VnicNetwork};

/// A bare IPv4 packet of `len` bytes that carries a number.
pub(crate) fn packet_of(len: usize, number: u32) -> Vec<u8> {
    let mut packet = vec![0; len];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
    packet[12..16].copy_from_slice(&number.to_be_bytes());
    packet
}

/// As [`packet_of`], with nothing behind the header.
pub(crate) fn packet(number: u32) -> Vec<u8> {
    packet_of(20, number)
}

/// The number that a packet carries.
pub(crate) fn number(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.packet()[12..16].try_into().unwrap())
}

/// A receiver that does what a closure says.
pub(crate) struct Receiver(Box<dyn Fn(Frame) + Send + Sync>);

impl Dispatcher for Receiver {
    fn receive_frame(&self, frame: Frame) {
        (self.0)(frame);
    }
}

/// Attaches a closure for as long as what is returned lives.
#[must_use]
pub(crate) fn attach(vnic: &Vnic, receive: impl Fn(Frame) + Send + Sync + 'static) -> Arc<Receiver> {
    let receiver = Arc::new(Receiver(Box::new(receive)));
    vnic.attach(weak(&receiver)).unwrap();
    receiver
}

pub(crate) fn weak(receiver: &Arc<Receiver>) -> Weak<dyn Dispatcher> {
    Arc::<Receiver>::downgrade(receiver)
}

/// A list that closures write to.
#[derive(Debug)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn push(&self, value: T) {
        self.0.lock().unwrap().push(value);
    }

    /// All there is, which is gone then.
    pub(crate) fn take(&self) -> Vec<T> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

/// A network that keeps what is sent, up to a capacity.
#[derive(Default)]
pub(crate) struct Bucket {
    pub(crate) frames: Mutex<VecDeque<Frame>>,
    pub(crate) waiting: Mutex<Vec<Waker>>,
    /// How many more frames fit.
    pub(crate) room: AtomicUsize,
    /// What it answers instead, if anything.
    pub(crate) broken: Mutex<Option<DropReason>>,
}

impl Bucket {
    pub(crate) fn with_room(room: usize) -> Arc<Self> {
        Arc::new(Self { room: AtomicUsize::new(room), ..Self::default() })
    }

    /// Makes room and tells.
    pub(crate) fn make_room(&self, more: usize) {
        self.room.fetch_add(more, Ordering::SeqCst);
        let waiting = mem::take(&mut *self.waiting.lock().unwrap());
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.frames.lock().unwrap().iter().map(number).collect()
    }
}

impl VnicNetwork for Bucket {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        if let Some(reason) = *self.broken.lock().unwrap() {
            return Err(SendError::Dropped(reason));
        }
        if self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| room.checked_sub(1)).is_err() {
            return Err(SendError::Full(frame));
        }
        self.frames.lock().unwrap().push_back(frame);
        Ok(())
    }

    fn on_room(&self, waker: &Waker) {
        if self.room.load(Ordering::SeqCst) > 0 {
            waker.wake_by_ref();
        } else {
            self.waiting.lock().unwrap().push(waker.clone());
        }
    }
}

/// A waker that does what a closure says.
pub(crate) fn waker(wake: impl Fn() + Send + Sync + 'static) -> Waker {
    struct Call<F>(F);
    impl<F: Fn() + Send + Sync + 'static> Wake for Call<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }
    Waker::from(Arc::new(Call(wake)))
}

/// The message of the panic that `f` ends in.
pub(crate) fn panic_of(f: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("a panic");
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap()
}
