//! A laboratory: two hosts, an internet between them, virtual time, and paths that can be made bad.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

use std::fmt::Debug;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
pub use uis::*;

/// The server's addresses and the client's, one of each family.
pub const SERVER: [&str; 2] = ["10.0.0.1", "fd00::1"];
pub const CLIENT: [&str; 2] = ["10.0.0.2", "fd00::2"];
/// Where the server listens in most tests.
pub const AT: [&str; 2] = ["10.0.0.1:80", "[fd00::1]:80"];

/// What a test runs in.
pub struct Net {
    pub clock: VirtualClock,
    pub internet: Internet,
    pub server: Stack,
    pub client: Stack,
}

/// Runs `test` in virtual time, with two hosts on a perfect internet.
pub fn lab<R>(seed: u64, test: impl AsyncFnOnce(&Net) -> R) -> R {
    Lab::new(seed).run(test)
}

/// A [`lab`] to be set up.
pub struct Lab {
    seed: u64,
    mtu: u32,
    max_in_flight: usize,
    server: StackConfig,
    client: StackConfig,
    path: Path,
}

type Path = Box<dyn FnMut(&Internet, Frame)>;

impl Lab {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            mtu: MTU_ETHERNET,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            server: StackConfig::default(),
            client: StackConfig::default(),
            path: Box::new(|internet, frame| drop(internet.deliver(frame))),
        }
    }

    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    pub fn max_in_flight(mut self, n: usize) -> Self {
        self.max_in_flight = n;
        self
    }

    /// The settings of both hosts.
    pub fn config(self, config: StackConfig) -> Self {
        self.server(config.clone()).client(config)
    }

    pub fn server(mut self, config: StackConfig) -> Self {
        self.server = config;
        self
    }

    pub fn client(mut self, config: StackConfig) -> Self {
        self.client = config;
        self
    }

    /// What becomes of each packet.
    pub fn path(mut self, path: impl FnMut(&Internet, Frame) + 'static) -> Self {
        self.path = Box::new(path);
        self
    }

    /// Runs the test. One that takes a day of virtual time is stuck.
    pub fn run<R>(self, test: impl AsyncFnOnce(&Net) -> R) -> R {
        let clock = VirtualClock::new();
        let internet =
            Internet::builder().clock(&clock).seed(self.seed).max_in_flight(self.max_in_flight).build();
        let stack = |addrs: [&str; 2], config: StackConfig| {
            internet.new_stack_with(self.mtu, addrs.map(ip), config).unwrap()
        };
        let server = stack(SERVER, self.server);
        let client = stack(CLIENT, self.client);
        let net = Net { clock, internet, server, client };
        let limited = net.internet.clock().timeout(days(1), test(&net));
        net.clock.block_on(net.internet.route_until(limited, self.path)).expect("the test is stuck")
    }
}

impl Net {
    /// A connection: the server's end and the client's.
    pub async fn connect(&self, at: &str) -> (TcpStream, TcpStream) {
        let listener = self.server.listen_tcp(at).unwrap();
        connect(&listener, &self.client).await
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    pub async fn sleep(&self, d: Duration) {
        self.internet.clock().sleep(d).await;
    }

    /// Waits for `f`, for at most a minute of virtual time.
    pub async fn soon<F: Future>(&self, f: F) -> F::Output {
        self.internet.clock().timeout(secs(60), f).await.expect("it takes more than a minute")
    }

    /// No connection is left on either host.
    pub fn assert_no_flows(&self) {
        for stack in [&self.server, &self.client] {
            assert_eq!(stack.stats().connections, 0, "{:?}", stack.connections());
        }
    }
}

/// A connection of `client` to `listener`: the accepted end and the dialled one.
pub async fn connect(listener: &TcpListener, client: &Stack) -> (TcpStream, TcpStream) {
    let (accepted, dialled) = zip(listener.accept(), client.dial_tcp(listener.local_addr().unwrap())).await;
    (accepted.unwrap().0, dialled.unwrap())
}

/// Writes all of `data` and closes.
pub async fn send(mut stream: impl AsyncWriteExt + Unpin, data: &[u8]) -> io::Result<()> {
    stream.write_all(data).await?;
    stream.close().await
}

/// Reads to the end.
pub async fn receive(mut stream: impl AsyncReadExt + Unpin) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    Ok(data)
}

/// Sends `len` bytes in both directions at once, and checks that just these arrive.
pub async fn exchange(a: TcpStream, b: TcpStream, len: usize) {
    let one_way = async |from: TcpStream, to: TcpStream, seed: u64| {
        let data = noise(seed, len);
        let (sent, received) = zip(send(from, &data), receive(to)).await;
        sent.unwrap();
        assert!(received.unwrap() == data, "other bytes arrived than were sent");
    };
    zip(one_way(a.clone(), b.clone(), 1), one_way(b, a, 2)).await;
}

/// A path with faults that are drawn from a seed. Chances are per 1,000 packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub seed: u64,
    pub loss: u64,
    pub duplicates: u64,
    pub delay: Duration,
    /// Up to so much is added to the delay of each packet, so that they overtake each other.
    pub jitter: Duration,
}

impl Faults {
    pub fn path(self) -> impl FnMut(&Internet, Frame) {
        let mut rng = Rng(self.seed);
        move |internet, frame| {
            let copies = if rng.below(1000) < self.duplicates { 2 } else { 1 };
            for _ in 0..copies {
                let jitter = Duration::from_nanos(rng.below(self.jitter.as_nanos() as u64 + 1));
                if rng.below(1000) >= self.loss {
                    let _ = internet.deliver_after(frame.clone(), self.delay + jitter);
                }
            }
        }
    }
}

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }
}

/// Bytes without a pattern.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| rng.draw().to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn days(n: u64) -> Duration {
    secs(n * 24 * 3600)
}

/// The kind of the error, which there must be.
#[track_caller]
pub fn kind<T: Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(f: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(f).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether a future would wait at its first poll. It is dropped.
pub fn would_wait<F: Future>(f: F) -> bool {
    std::pin::pin!(f).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Polls `f` up to `k` times, each time once it was woken, and drops it then: the result if it came to one.
pub async fn cancel_after<F: Future>(k: usize, f: F) -> Option<F::Output> {
    let mut f = std::pin::pin!(f);
    let mut polled = 0;
    std::future::poll_fn(|cx| {
        if polled == k {
            return Poll::Ready(None);
        }
        polled += 1;
        match f.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The last poll is followed by the drop, and not by waiting for the next.
            Poll::Pending if polled == k => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads to the end, giving up after `k` polls again and again, and gives what came of it: a piece of `data` at a time. It is for
/// whichever `AsyncReadExt` is in use.
#[allow(unused_macros)] // as above
macro_rules! read_giving_up {
    ($reader:expr, $k:expr, $data:expr) => {{
        let (mut got, mut buf) = (Vec::new(), [0; 900]);
        loop {
            cancel_after($k, $reader.readable()).await;
            if let Some(n) = cancel_after($k, $reader.peek(&mut buf)).await {
                assert!($data[got.len()..].starts_with(&buf[..n.unwrap()]));
            }
            if let Some(n) = cancel_after($k, $reader.read(&mut buf)).await {
                got.extend_from_slice(&buf[..n.unwrap()]);
            }
            match $reader.read(&mut buf).await.unwrap() {
                0 => break got,
                n => got.extend_from_slice(&buf[..n]),
            }
        }
    }};
}

/// Counts how often it is woken.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    pub fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), wakes.into())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a packet says, for paths that choose, as far as the tests look.
pub struct Seen {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub protocol: u8,
    /// TCP only.
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub payload: usize,
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// Looks at an unfragmented TCP or UDP packet without options or extension headers before it.
pub fn look(frame: &Frame) -> Option<Seen> {
    let packet = frame.packet();
    let (protocol, header) = if packet[0] >> 4 == 4 { (packet[9], 20) } else { (packet[6], 40) };
    let body = packet.get(header..)?;
    if body.len() < 8 || !matches!(protocol, 6 | 17) {
        return None;
    }
    let word = |i: usize| u16::from_be_bytes([body[i], body[i + 1]]);
    let long = |i: usize| u32::from(word(i)) << 16 | u32::from(word(i + 2));
    let tcp = protocol == 6;
    Some(Seen {
        src: (frame.src()?, word(0)).into(),
        dst: (frame.dst()?, word(2)).into(),
        protocol,
        flags: if tcp { body[13] } else { 0 },
        seq: if tcp { long(4) } else { 0 },
        ack: if tcp { long(8) } else { 0 },
        payload: body.len() - if tcp { usize::from(body[12] >> 4) * 4 } else { 8 },
    })
}

/// An ICMP packet of either family; the types, codes and the four bytes behind the checksum are those of its family.
pub fn icmp(src: &str, dst: IpAddr, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Frame {
    use etherparse::PacketBuilder;
    let mut packet = Vec::new();
    match (ip(src), dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => PacketBuilder::ipv4(src.octets(), dst.octets(), 64)
            .icmpv4_raw(kind, code, rest)
            .write(&mut packet, body),
        (IpAddr::V6(src), IpAddr::V6(dst)) => PacketBuilder::ipv6(src.octets(), dst.octets(), 64)
            .icmpv6_raw(kind, code, rest)
            .write(&mut packet, body),
        _ => panic!("{src} and {dst} are of different families"),
    }
    .unwrap();
    Frame::new(packet)
}

/// Cuts a packet without extension headers into fragments of at most `mtu` bytes, as routers and hosts do.
pub fn fragments(packet: &[u8], mtu: usize, ident: u16) -> Vec<Vec<u8>> {
    let v4 = packet[0] >> 4 == 4;
    let header = if v4 { 20 } else { 40 };
    let body = &packet[header..];
    let room = (mtu - if v4 { 20 } else { 48 }) / 8 * 8;
    let cut = |(n, part): (usize, &[u8])| {
        let (offset, more) = ((n * room) as u16, n * room + part.len() < body.len());
        let mut fragment = packet[..header].to_vec();
        if v4 {
            fragment[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
            fragment[4..6].copy_from_slice(&ident.to_be_bytes());
            fragment[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
        } else {
            fragment[4..6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
            fragment[6] = 44;
            fragment.extend([packet[6], 0]);
            fragment.extend((offset | u16::from(more)).to_be_bytes());
            fragment.extend([0, 0]);
            fragment.extend(ident.to_be_bytes());
        }
        fragment.extend_from_slice(part);
        let mut frame = Frame::new(fragment);
        frame.fix_checksums(); // of the IPv4 header
        frame.into_packet()
    };
    body.chunks(room).enumerate().map(cut).collect()
}

/// Whether it is a fragment of something longer.
pub fn is_fragment(frame: &Frame) -> bool {
    let packet = frame.packet();
    if packet[0] >> 4 == 4 { packet[6] & 0x3f != 0 || packet[7] != 0 } else { packet[6] == 44 }
}

/// A router whose far link takes packets of at most `mtu` bytes: it fragments IPv4 if it may, and else says that the
/// packet is too big (RFC 1191, RFC 4443 §3.2).
pub fn narrow(mtu: usize) -> impl FnMut(&Internet, Frame) {
    let mut ident = 0;
    move |internet, frame| {
        let v4 = frame.packet()[0] >> 4 == 4;
        let may_fragment = v4 && frame.packet()[6] & 0x40 == 0;
        if frame.len() <= mtu {
            let _ = internet.deliver(frame);
        } else if may_fragment {
            ident += 1;
            for fragment in fragments(frame.packet(), mtu, ident) {
                internet.deliver(Frame::new(fragment)).unwrap();
            }
        } else {
            let [_, _, high, low] = (mtu as u32).to_be_bytes();
            let (from, kind, code, rest) = if v4 {
                ("10.0.0.254", 3, 4, [0, 0, high, low])
            } else {
                ("fd00::fe", 2, 0, [0, 0, high, low])
            };
            let quoted = &frame.packet()[..frame.len().min(500)];
            let _ = internet.deliver(icmp(from, frame.src().unwrap(), kind, code, rest, quoted));
        }
    }
}
