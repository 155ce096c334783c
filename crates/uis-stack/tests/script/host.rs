//! Who is tested: a uis stack on a network that records what it sends.

use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_io::AsyncWrite;
use parking_lot::Mutex;
use uis_clock::{Instant, VirtualClock};
use uis_stack::{Connect, Stack, StackConfig, TcpListener, TcpStream};
use uis_vnic::{Frame, SendError, Vnic, VnicNetwork};

/// A host with one connection, as a script handles it.
pub trait Host {
    /// Takes a packet from the network.
    fn inject(&mut self, packet: Vec<u8>);
    /// What it has sent since it was asked last, and when.
    fn sent(&mut self) -> Vec<(Instant, Vec<u8>)>;
    /// When it has something to do by itself.
    fn next(&mut self) -> Option<Instant>;
    /// Moves the time on to `at`, which is no later than [`next`](Self::next).
    fn go_to(&mut self, at: Instant);

    fn listen(&mut self);
    /// Whether a connection was there to be accepted.
    fn accept(&mut self) -> bool;
    fn connect(&mut self);
    /// How the dial has ended, if it has.
    fn connected(&mut self) -> Option<io::Result<()>>;
    fn write(&mut self, data: &[u8]) -> io::Result<usize>;
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    fn close(&mut self);
    fn abort(&mut self);
    /// Lets go of the connection.
    fn drop_stream(&mut self);

    /// Makes the network refuse what it is sent, or take it again.
    fn set_full(&mut self, full: bool);

    /// The stack, if it is one of uis.
    fn uis(&mut self) -> Option<&mut Uis>;
}

/// A stack of uis, on a clock and a network of the script's.
pub struct Uis {
    pub stack: Stack,
    pub stream: Option<TcpStream>,
    network: Arc<Recorder>,
    clock: VirtualClock,
    listener: Option<TcpListener>,
    connect: Option<Pin<Box<Connect>>>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Uis {
    pub fn new(local: SocketAddr, peer: SocketAddr, mtu: u32, config: StackConfig) -> Self {
        let clock = VirtualClock::new();
        let network = Arc::new(Recorder::default());
        let vnic = Vnic::new(mtu, network.clone(), clock.handle()).expect("the MTU is possible");
        let stack = Stack::with_config(vnic, [local.ip()], config).expect("the settings are possible");
        Self { stack, stream: None, network, clock, listener: None, connect: None, local, peer }
    }

    pub fn stop_listening(&mut self) {
        self.listener = None;
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("the script has connected or accepted")
    }
}

impl Host for Uis {
    fn inject(&mut self, packet: Vec<u8>) {
        self.stack.vnic().inject_frame(Frame::new(packet)).expect("the packet fits the MTU");
    }

    fn sent(&mut self) -> Vec<(Instant, Vec<u8>)> {
        let frames = mem::take(&mut self.network.state.lock().sent);
        frames
            .into_iter()
            .map(|frame| {
                assert!(frame.verify_checksums(), "a packet with a wrong checksum");
                assert!(frame.len() <= self.stack.vnic().mtu() as usize, "a packet longer than the MTU");
                (frame.sent_at().expect("a Vnic stamps its frames"), frame.into_packet())
            })
            .collect()
    }

    fn next(&mut self) -> Option<Instant> {
        self.clock.next_deadline()
    }

    fn go_to(&mut self, at: Instant) {
        self.clock.advance(at - self.clock.now());
    }

    fn listen(&mut self) {
        self.listener = Some(self.stack.listen_tcp(self.local).expect("the port is free"));
    }

    fn accept(&mut self) -> bool {
        let listener = self.listener.as_ref().expect("the script listens");
        match listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(accepted) => {
                self.stream = Some(accepted.expect("the listener is open").0);
                true
            }
            Poll::Pending => false,
        }
    }

    fn connect(&mut self) {
        self.connect = Some(Box::pin(self.stack.dial_tcp_from(self.local, self.peer)));
        let at_once = self.connected();
        assert!(at_once.is_none(), "the dial ended at once: {at_once:?}");
    }

    fn connected(&mut self) -> Option<io::Result<()>> {
        let connect = self.connect.as_mut().expect("the script has connected");
        match connect.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => {
                self.connect = None;
                Some(result.map(|stream| self.stream = Some(stream)))
            }
            Poll::Pending => None,
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream().try_write(data)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream().try_read(buf)
    }

    fn close(&mut self) {
        let mut handle = self.stream().clone();
        let closed = Pin::new(&mut handle).poll_close(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(closed, Poll::Ready(Ok(()))), "closing waits or fails: {closed:?}");
    }

    fn abort(&mut self) {
        self.stream().abort();
    }

    fn drop_stream(&mut self) {
        (self.stream, self.connect) = (None, None);
    }

    fn set_full(&mut self, full: bool) {
        self.network.set_full(full);
    }

    fn uis(&mut self) -> Option<&mut Uis> {
        Some(self)
    }
}

/// A network that keeps what it is sent, or is full.
#[derive(Default)]
pub struct Recorder {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: Vec<Frame>,
    full: bool,
    waiting: Vec<Waker>,
}

impl Recorder {
    /// Makes it refuse everything, or take everything and say so.
    pub fn set_full(&self, full: bool) {
        let waiting = {
            let mut state = self.state.lock();
            state.full = full;
            if full { Vec::new() } else { mem::take(&mut state.waiting) }
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl VnicNetwork for Recorder {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let mut state = self.state.lock();
        if state.full {
            return Err(SendError::Full(frame));
        }
        state.sent.push(frame);
        Ok(())
    }

    fn on_room(&self, waker: &Waker) {
        let mut state = self.state.lock();
        if !state.full {
            drop(state);
            return waker.wake_by_ref();
        }
        if !state.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
    }
}
