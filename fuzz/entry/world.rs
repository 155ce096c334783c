//! A stack under attack, a bystander that is connected to it, and the wire between them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use uis_clock::VirtualClock;
use uis_stack::{Stack, StackConfig, TcpListener, TcpStream, UdpSocket};
use uis_vnic::{Frame, SendError, Vnic, VnicNetwork};

use super::packet::{RST, SYN, Sent, read_tcp};

pub const MTU: u32 = 1500;
/// Where the victim listens for TCP, and where it answers datagrams.
pub const TCP_PORT: u16 = 80;
pub const UDP_PORT: u16 = 53;
/// How many connections may wait for the victim to accept them.
pub const BACKLOG: usize = 32;

/// The most packets that one packet may call forth: a few that say something, and, if it opens a window, what is in the
/// largest send buffer, in segments of the least size.
const MOST_REPLIES: usize = 8;
const MOST_BYTES: usize = 100_000;

pub fn victim(v6: bool) -> IpAddr {
    if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, 1].into() } else { [10, 0, 0, 1].into() }
}

pub fn bystander(v6: bool) -> IpAddr {
    if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, 2].into() } else { [10, 0, 0, 2].into() }
}

/// Who attacks. Nobody has this address, so the attacker may answer for it.
pub fn attacker(v6: bool) -> IpAddr {
    if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, 0x66].into() } else { [10, 0, 0, 0x66].into() }
}

/// What a stack has sent and nobody has taken yet.
#[derive(Default)]
struct Wire {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: VecDeque<Frame>,
    full: bool,
    waiting: Vec<Waker>,
}

impl Wire {
    fn take(&self) -> Option<Frame> {
        self.state.lock().unwrap().sent.pop_front()
    }

    fn set_full(&self, full: bool) {
        let waiting = {
            let mut state = self.state.lock().unwrap();
            state.full = full;
            if full { Vec::new() } else { std::mem::take(&mut state.waiting) }
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl VnicNetwork for Wire {
    fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        let mut state = self.state.lock().unwrap();
        if state.full {
            return Err(SendError::Full(frame));
        }
        state.sent.push_back(frame);
        Ok(())
    }

    fn on_room(&self, waker: &Waker) {
        let mut state = self.state.lock().unwrap();
        if state.full {
            if !state.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                state.waiting.push(waker.clone());
            }
        } else {
            drop(state);
            waker.wake_by_ref();
        }
    }
}

/// What can be seen of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    ack: u32,
    window: u32,
    end: u32,
    scale: u8,
}

impl Known {
    fn note(&mut self, sent: &Sent) {
        if sent.flags & SYN != 0 {
            self.scale = sent.scale.unwrap_or(0);
            self.end = sent.end;
        }
        if sent.end.wrapping_sub(self.end) as i32 > 0 {
            self.end = sent.end;
        }
        let scale = if sent.flags & SYN != 0 { 0 } else { self.scale };
        (self.ack, self.window) = (sent.ack, u32::from(sent.window) << scale);
    }
}

/// The victim, the bystander, and what the attacker sees.
pub struct World {
    pub clock: VirtualClock,
    pub victim: Stack,
    bystander: Stack,
    wires: [Arc<Wire>; 2],
    pub listener: TcpListener,
    pub echo: UdpSocket,
    /// Both ends of the bystander's connections, of both families: the victim's first.
    bystanders: Vec<[TcpStream; 2]>,
    said: u8,
    /// The victim's last segments to the bystander, of both families.
    known: [Known; 2],
    /// What the victim has sent to the attacker's address, newest last.
    pub seen: Rc<RefCell<Vec<Frame>>>,
    /// For how long the network has been full, or might have been.
    full_for: Duration,
    /// How many packets the victim was given.
    pub injected: u64,
}

impl World {
    pub fn new(config: StackConfig) -> Self {
        let clock = VirtualClock::new();
        let wires = [Arc::new(Wire::default()), Arc::new(Wire::default())];
        let stack = |wire: &Arc<Wire>, addr: fn(bool) -> IpAddr, config| {
            let vnic = Vnic::new(MTU, wire.clone(), clock.handle()).expect("the MTU is possible");
            Stack::with_config(vnic, [addr(false), addr(true)], config).expect("the settings are possible")
        };
        let victim_stack = stack(&wires[0], victim, config.backlog(BACKLOG).seed(1));
        let bystander_stack = stack(&wires[1], bystander, StackConfig::default().seed(2));
        let listener = victim_stack.listen_tcp(("::".parse::<IpAddr>().unwrap(), TCP_PORT)).unwrap();
        let echo = victim_stack.listen_udp(("::".parse::<IpAddr>().unwrap(), UDP_PORT)).unwrap();
        let mut world = Self {
            clock,
            victim: victim_stack,
            bystander: bystander_stack,
            wires,
            listener,
            echo,
            bystanders: Vec::new(),
            said: 0,
            known: Default::default(),
            seen: Rc::default(),
            full_for: Duration::ZERO,
            injected: 0,
        };
        assert!(world.connect(false) && world.connect(true), "nobody answers");
        world
    }

    /// One more connection of the bystander's, if it gets one.
    pub fn connect(&mut self, v6: bool) -> bool {
        let mut dial = Box::pin(self.bystander.dial_tcp((victim(v6), TCP_PORT)));
        assert!(poll(dial.as_mut()).is_pending());
        self.settle();
        let Poll::Ready(Ok(dialled)) = poll(dial.as_mut()) else { return false };
        let accepted = self.accept().expect("it is established");
        self.bystanders.push([accepted, dialled]);
        true
    }

    /// The next connection that waits to be accepted.
    pub fn accept(&self) -> Option<TcpStream> {
        match self.listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(accepted) => Some(accepted.expect("the listener is open").0),
            Poll::Pending => None,
        }
    }

    /// Gives the victim a packet, and checks what it answers. Says how many packets it sent.
    pub fn inject(&mut self, frame: Frame) -> usize {
        self.injected += 1;
        let given = frame.clone();
        let _ = self.victim.vnic().inject_frame(frame);
        let sent = self.settle();
        let data = |frame: &Frame| read_tcp(frame).map_or(0, |tcp| tcp.payload);
        let bytes: usize = sent.iter().map(data).sum();
        let bare = sent.iter().filter(|frame| data(frame) == 0).count();
        assert!(
            bare <= MOST_REPLIES && bytes <= MOST_BYTES,
            "{bare} packets and {bytes} bytes answer {given:?}"
        );
        check_reply(&given, &sent);
        sent.len()
    }

    /// Moves the packets between victim and bystander until there are none, and notes those to the attacker. Gives all that
    /// the victim has sent.
    pub fn settle(&mut self) -> Vec<Frame> {
        let mut sent = Vec::new();
        loop {
            assert!(sent.len() < 10_000, "victim and bystander do not stop talking");
            let before = sent.len();
            while let Some(frame) = self.wires[0].take() {
                check_sent(&frame);
                if frame.dst().is_some_and(|dst| dst == bystander(dst.is_ipv6())) {
                    if let Some(sent) =
                        read_tcp(&frame).filter(|sent| sent.src.1 == TCP_PORT && sent.flags & RST == 0)
                    {
                        self.known[usize::from(sent.src.0.is_ipv6())].note(&sent);
                    }
                    let _ = self.bystander.vnic().inject_frame(frame.clone());
                } else {
                    self.seen.borrow_mut().push(frame.clone());
                }
                sent.push(frame);
            }
            let mut any = sent.len() > before;
            while let Some(frame) = self.wires[1].take() {
                let _ = self.victim.vnic().inject_frame(frame);
                any = true;
            }
            if !any {
                return sent;
            }
        }
    }

    /// Lets time pass, with all that is to happen meanwhile. Nobody's patience is to end because the network is full.
    pub fn advance(&mut self, d: Duration) {
        self.full_for += d;
        if self.full_for > Duration::from_secs(10) {
            self.set_full(false);
        }
        for _ in 0..4 {
            self.clock.advance(d / 4);
            self.settle();
        }
    }

    /// Whether the network takes packets of the victim's.
    pub fn set_full(&mut self, full: bool) {
        self.full_for = Duration::ZERO;
        self.wires[0].set_full(full);
        self.settle();
    }

    /// The number that the victim expects next from the bystander, and how large its window is.
    pub fn expected(&self, v6: bool) -> (u32, u32) {
        let known = self.known[usize::from(v6)];
        (known.ack, known.window)
    }

    /// The number that the victim sends next to the bystander.
    pub fn sent_next(&self, v6: bool) -> u32 {
        self.known[usize::from(v6)].end
    }

    /// The bystander's connections work, and what is said over them arrives as it was said.
    pub fn check_bystander(&mut self) {
        self.set_full(false);
        self.said = self.said.wrapping_add(1);
        for n in 0..self.bystanders.len() {
            for from in [0, 1] {
                let message = [self.said, from as u8, 3, 4, 5, 6, 7, 8];
                let [writer, reader] = [from, 1 - from].map(|end| self.bystanders[n][end].clone());
                let (mut written, mut got) = (0, Vec::new());
                for _ in 0..500 {
                    if written < message.len() {
                        let n =
                            write(&writer, &message[written..]).expect("the bystander's connection is open");
                        written += n.unwrap_or(0);
                        self.settle();
                    }
                    let mut buf = [0; 9];
                    let n = read(&reader, &mut buf).expect("the bystander's connection is open");
                    got.extend_from_slice(&buf[..n.unwrap_or(0)]);
                    if got.len() >= message.len() {
                        break;
                    }
                    self.settle();
                    if n.is_none() {
                        // The smallest of buffers wait for delayed acknowledgments and window probes.
                        self.advance(Duration::from_millis(50));
                    }
                }
                assert_eq!(got, message, "the bystander was told something else");
            }
        }
    }

    /// Everything ends, and nothing is left. Says how many packets the victim was given.
    pub fn end(mut self) -> u64 {
        self.check_bystander();
        self.bystanders.clear();
        self.settle();
        let stats = self.victim.stats();
        assert!(stats.connections <= 2 * BACKLOG as u64 + 64, "{stats:?}");
        while self.accept().is_some() {}
        self.settle();
        // Half-open, orphaned and in TIME-WAIT: each has its time limit.
        for _ in 0..40 {
            self.advance(Duration::from_secs(10));
        }
        let stats = self.victim.stats();
        assert!(stats.connections == 0 && stats.time_wait == 0, "{stats:?} {:#?}", self.victim.connections());
        self.injected
    }
}

/// Every packet that a stack sends is right.
fn check_sent(frame: &Frame) {
    assert!(frame.len() <= MTU as usize, "longer than the MTU: {frame:?}");
    let src = frame.src().expect("it is whole");
    assert_eq!(src, victim(src.is_ipv6()), "sent in another's name");
    let packet = frame.packet();
    let is_fragment = if src.is_ipv4() { packet[6] & 0x3f != 0 || packet[7] != 0 } else { packet[6] == 44 };
    assert!(is_fragment || frame.verify_checksums(), "a wrong checksum: {frame:?}");
}

/// No answer calls for another one for ever: RFC 9293 §3.10.7.1, RFC 1122 §3.2.2, RFC 4443 §2.4 (e).
fn check_reply(given: &Frame, sent: &[Frame]) {
    let Some(src) = given.src() else { return };
    if let Some(tcp) = read_tcp(given).filter(|tcp| tcp.flags & RST != 0) {
        let back = |s: &Sent| s.flags & RST != 0 && s.dst == tcp.src && s.src == tcp.dst;
        assert!(!sent.iter().filter_map(read_tcp).any(|s| back(&s)), "a RST answers a RST");
    }
    if is_icmp_error(given) {
        let back = sent.iter().any(|frame| is_icmp_error(frame) && frame.dst() == Some(src));
        assert!(!back, "an ICMP error answers an ICMP error");
    }
}

/// Whether it is a whole ICMP error without extension headers or options.
fn is_icmp_error(frame: &Frame) -> bool {
    match frame.packet() {
        [0x45, _, _, _, _, _, 0 | 0x40, 0, _, 1, rest @ ..] => matches!(rest.get(10), Some(3..=5 | 11 | 12)),
        [first, _, _, _, _, _, 58, rest @ ..] if first >> 4 == 6 => matches!(rest.get(33), Some(..128)),
        _ => false,
    }
}

pub fn poll<F: Future + ?Sized>(f: Pin<&mut F>) -> Poll<F::Output> {
    f.poll(&mut Context::from_waker(Waker::noop()))
}

/// Reads what there is: `None` if that is nothing yet.
pub fn read(mut stream: &TcpStream, buf: &mut [u8]) -> io::Result<Option<usize>> {
    match Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), buf) {
        Poll::Ready(n) => n.map(Some),
        Poll::Pending => Ok(None),
    }
}

/// Writes what there is room for.
pub fn write(mut stream: &TcpStream, data: &[u8]) -> io::Result<Option<usize>> {
    match Pin::new(&mut stream).poll_write(&mut Context::from_waker(Waker::noop()), data) {
        Poll::Ready(n) => n.map(Some),
        Poll::Pending => Ok(None),
    }
}

/// Closes the write half.
pub fn close(mut stream: &TcpStream) -> Poll<io::Result<()>> {
    Pin::new(&mut stream).poll_close(&mut Context::from_waker(Waker::noop()))
}

pub fn at(v6: bool, port: u16) -> SocketAddr {
    SocketAddr::new(attacker(v6), port)
}
