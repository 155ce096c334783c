//! Packet scripts: segments go in at a Vnic, and others have to come out of it, in virtual time.
//!
//! A script is a function that [`script`] runs once for each family. The peer is the script itself: it
//! [injects](Script::inject) segments and [expects](Script::expect) others, written as lines (see [`segment`]) in numbers
//! relative to both initial sequence numbers. The application of the stack under test is the script, too: it
//! [listens](Script::listen), [writes](Script::write) and so on. All data is that of [`segment::stream`], and is checked
//! wherever it is seen. What a script has not expected by its end makes it fail.
//!
//! A script that fails shows all that has gone to (`<`) and come from (`>`) the stack, and what its application did (`#`).
#![allow(dead_code, unreachable_pub)] // each test file uses a part

mod app;
pub mod bare;
pub mod host;
pub mod icmp;
pub mod segment;

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use uis_clock::Instant;
use uis_stack::{Stack, StackConfig, TcpState, TcpStream};

use bare::Bare;
use host::{Host, Uis};
use icmp::Icmp;
use segment::Origin;
#[allow(unused_imports)] // as above
pub use segment::{FIN, RST, SYN, Segment};

/// The stack under test, and the peer that the script plays.
const STACK: [&str; 2] = ["10.0.0.1:80", "[2001:db8::1]:80"];
const PEER: [&str; 2] = ["10.0.0.2:5000", "[2001:db8::2]:5000"];

/// How far from the expected moment a segment may be sent: smoltcp counts in microseconds.
const TOLERANCE: Duration = Duration::from_millis(1);

/// How many timers may fire at one moment.
const TOO_OFTEN: usize = 1000;

/// Runs a script over IPv4 and over IPv6, with the default settings.
#[track_caller]
pub fn script(body: impl Fn(&mut Script)) {
    Setup::default().run(body);
}

/// Runs a script that must pass here and must fail on bare smoltcp, behind its [crux](Script::crux).
#[track_caller]
pub fn shield(body: impl Fn(&mut Script)) {
    Setup::default().shield(body);
}

/// A [`script`] with other settings.
#[derive(Clone)]
pub struct Setup {
    pub config: StackConfig,
    pub mtu: u32,
    /// The peer's initial sequence number.
    pub isn: u32,
    /// bare smoltcp's buffers.
    pub bare_buffers: (usize, usize),
}

impl Default for Setup {
    fn default() -> Self {
        Self { config: StackConfig::default(), mtu: 1500, isn: 0x1234_5678, bare_buffers: (1 << 20, 1 << 20) }
    }
}

impl Setup {
    pub fn config(change: impl FnOnce(StackConfig) -> StackConfig) -> Self {
        Self { config: change(StackConfig::default()), ..Self::default() }
    }

    pub fn mtu(self, mtu: u32) -> Self {
        Self { mtu, ..self }
    }

    pub fn isn(self, isn: u32) -> Self {
        Self { isn, ..self }
    }

    /// Sets the buffers of a connection, here and in bare smoltcp.
    pub fn buffers(self, recv: usize, send: usize) -> Self {
        let config = self.config.recv_buffer(recv).send_buffer(send);
        Self { config, bare_buffers: (recv, send), ..self }
    }

    #[track_caller]
    pub fn run(&self, body: impl Fn(&mut Script)) {
        for family in [0, 1] {
            let (local, peer) = ends(family);
            let host = Uis::new(local, peer, self.mtu, self.config.clone());
            let mut script = Script::new(Box::new(host), local, peer, self.isn);
            body(&mut script);
            script.expect_none();
        }
    }

    /// Runs a script on bare smoltcp alone, to show what it does.
    #[track_caller]
    pub fn bare(&self, body: impl Fn(&mut Script)) {
        let (local, peer) = ends(0);
        let host = Bare::new(local, peer, self.mtu, self.bare_buffers.0, self.bare_buffers.1);
        body(&mut Script::new(Box::new(host), local, peer, self.isn));
    }

    /// See [`shield`].
    #[track_caller]
    pub fn shield(&self, body: impl Fn(&mut Script)) {
        self.run(&body);
        let (local, peer) = ends(0);
        let host = Bare::new(local, peer, self.mtu, self.bare_buffers.0, self.bare_buffers.1);
        let mut script = Script::new(Box::new(host), local, peer, self.isn);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            body(&mut script);
            script.expect_none();
        }));
        assert!(outcome.is_err(), "bare smoltcp can do this too:\n{}", script.log.join("\n"));
        assert!(script.at_crux.get(), "bare smoltcp fails too early:\n{}", script.log.join("\n"));
    }
}

fn ends(family: usize) -> (SocketAddr, SocketAddr) {
    let parse = |text: &str| text.parse().expect("an address");
    (parse(STACK[family]), parse(PEER[family]))
}

/// A script under way.
pub struct Script {
    host: Box<dyn Host>,
    local: SocketAddr,
    peer: SocketAddr,
    /// The initial sequence numbers of the stack, once it has sent a SYN, and of the peer.
    isn: u32,
    peer_isn: u32,
    now: Instant,
    sent: VecDeque<(Instant, Sent)>,
    log: Vec<String>,
    written: i64,
    read: i64,
    at_crux: Cell<bool>,
}

#[derive(Clone, Debug)]
enum Sent {
    Segment(Segment),
    /// A packet of another protocol.
    Other(String),
}

impl Script {
    fn new(host: Box<dyn Host>, local: SocketAddr, peer: SocketAddr, peer_isn: u32) -> Self {
        Self {
            host,
            local,
            peer,
            isn: 0,
            peer_isn,
            now: Instant::ZERO,
            sent: VecDeque::new(),
            log: Vec::new(),
            written: 0,
            read: 0,
            at_crux: Cell::new(false),
        }
    }

    // What the peer does.

    /// The peer sends a segment.
    #[track_caller]
    pub fn inject(&mut self, line: impl AsRef<str>) {
        let packet = self.packet(line.as_ref());
        self.note("<", line.as_ref());
        self.host.inject(packet);
        self.collect();
    }

    /// The network delivers a segment from and to other addresses, but with the ports of the connection.
    #[track_caller]
    pub fn inject_between(&mut self, src: IpAddr, dst: IpAddr, line: &str) {
        let mut at = Origin { src: self.peer, dst: self.local, src_isn: self.peer_isn, dst_isn: self.isn };
        at.src.set_ip(src);
        at.dst.set_ip(dst);
        self.inject_packet(&format!("{src} > {dst}: {line}"), Segment::parse(line).packet(&at));
    }

    /// The address of the stack.
    pub fn local(&self) -> IpAddr {
        self.local.ip()
    }

    /// The address of the peer.
    pub fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// The packet of a segment of the peer's.
    #[track_caller]
    pub fn packet(&self, line: &str) -> Vec<u8> {
        Segment::parse(line).packet(&Origin {
            src: self.peer,
            dst: self.local,
            src_isn: self.peer_isn,
            dst_isn: self.isn,
        })
    }

    /// The network delivers a packet of any kind.
    #[track_caller]
    pub fn inject_packet(&mut self, what: &str, packet: Vec<u8>) {
        self.note("<", what);
        self.host.inject(packet);
        self.collect();
    }

    /// A router on the path, or the peer, sends an ICMP error about this segment of the stack's.
    #[track_caller]
    pub fn icmp(&mut self, error: Icmp, quoted: &str) {
        let at = Origin { src: self.local, dst: self.peer, src_isn: self.isn, dst_isn: self.peer_isn };
        let packet = error.packet(&Segment::parse(quoted).packet(&at), self.peer.ip(), self.local.ip());
        self.inject_packet(&format!("{error:?} about {quoted}"), packet);
    }

    /// The peer begins anew, with this initial sequence number.
    pub fn set_peer_isn(&mut self, isn: u32) {
        self.peer_isn = isn;
        (self.read, self.written) = (0, 0);
    }

    pub fn peer_isn(&self) -> u32 {
        self.peer_isn
    }

    /// The stack's initial sequence number.
    pub fn isn(&self) -> u32 {
        self.isn
    }

    /// The peer opens a connection with these options on its SYN, and it is accepted.
    #[track_caller]
    pub fn established(&mut self, options: &str) {
        self.listen();
        self.inject(format!("S 0 win 65535 {options}"));
        self.expect("S 0 ack 1");
        self.inject(". 1 ack 1");
        self.accept();
    }

    // What the stack has to do.

    /// The stack has sent this segment by now, and none before it that was not expected.
    #[track_caller]
    pub fn expect(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        match self.sent.pop_front() {
            Some((_, Sent::Segment(sent))) if Segment::parse(line).expects(&sent) => {}
            Some((_, Sent::Other(sent))) if sent == line => {}
            Some((_, Sent::Segment(sent))) => self.fail(&format!("expected {line}\n but got  {sent}")),
            Some((_, Sent::Other(sent))) => self.fail(&format!("expected {line}\n but got  {sent}")),
            None => self.fail(&format!("expected {line}\n but got  nothing")),
        }
    }

    /// The stack sends this segment, and nothing before it, when this much time has gone by.
    #[track_caller]
    pub fn expect_after(&mut self, wait: Duration, line: impl AsRef<str>) {
        self.expect_none();
        let due = self.now + wait;
        if !self.wait_for_segment(wait + TOLERANCE) {
            self.fail(&format!("expected {}\n but got  nothing until {}", line.as_ref(), clock(due)));
        }
        if self.now < due - TOLERANCE {
            self.fail(&format!("expected {}\n not before {}", line.as_ref(), clock(due)));
        }
        self.expect(line);
    }

    /// The stack sends this segment next, and does so before this much time has gone by.
    #[track_caller]
    pub fn expect_within(&mut self, wait: Duration, line: impl AsRef<str>) {
        self.wait_for_segment(wait);
        self.expect(line);
    }

    /// The stack has sent nothing that was not expected.
    #[track_caller]
    pub fn expect_none(&mut self) {
        if let Some((_, sent)) = self.sent.front() {
            let sent = match sent {
                Sent::Segment(segment) => segment.to_string(),
                Sent::Other(other) => other.clone(),
            };
            self.fail(&format!("expected nothing\n but got  {sent}"));
        }
    }

    /// The stack sends nothing while this much time goes by.
    #[track_caller]
    pub fn expect_none_for(&mut self, wait: Duration) {
        self.expect_none();
        self.after(wait);
        self.expect_none();
    }

    /// The next segment that the stack sends before this much time has gone by.
    pub fn next_within(&mut self, wait: Duration) -> Option<Segment> {
        self.wait_for_segment(wait);
        loop {
            match self.sent.pop_front()?.1 {
                Sent::Segment(segment) => return Some(segment),
                Sent::Other(_) => {}
            }
        }
    }

    /// All segments that the stack has sent and that were not expected.
    pub fn drain(&mut self) -> Vec<Segment> {
        std::iter::from_fn(|| self.next_within(Duration::ZERO)).collect()
    }

    // What the time does.

    /// Time goes by.
    pub fn after(&mut self, wait: Duration) {
        let until = self.now + wait;
        let mut idle = 0;
        loop {
            let at = self.host.next().filter(|&at| at < until).unwrap_or(until);
            idle = if at == self.now { idle + 1 } else { 0 };
            if idle > TOO_OFTEN {
                self.fail("a timer is due again and again without end");
            }
            self.go_to(at);
            if at == until {
                break;
            }
        }
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    /// Moves the time on to the next segment, but not further than this. Whether there is one.
    fn wait_for_segment(&mut self, wait: Duration) -> bool {
        let until = self.now + wait;
        let mut idle = 0;
        while self.sent.is_empty() && self.now < until {
            let at = self.host.next().filter(|&at| at < until).unwrap_or(until);
            idle = if at == self.now { idle + 1 } else { 0 };
            if idle > TOO_OFTEN {
                self.fail("a timer is due again and again without end");
            }
            self.go_to(at);
        }
        !self.sent.is_empty()
    }

    fn go_to(&mut self, at: Instant) {
        self.now = at;
        self.host.go_to(at);
        self.collect();
    }

    /// Makes the network refuse what it is sent, or take it again.
    pub fn set_full(&mut self, full: bool) {
        self.note("#", if full { "the network is full" } else { "the network has room" });
        self.host.set_full(full);
        self.collect();
    }

    // What only a stack of uis has.

    pub fn uis(&mut self) -> &mut Uis {
        self.host.uis().expect("a stack of uis is under test")
    }

    pub fn stack(&mut self) -> Stack {
        self.uis().stack.clone()
    }

    pub fn stream(&mut self) -> TcpStream {
        self.uis().stream.clone().expect("the script has connected or accepted")
    }

    /// Closes the listener.
    pub fn stop_listening(&mut self) {
        self.note("#", "stop listening");
        self.uis().stop_listening();
        self.collect();
    }

    /// The state of the one connection, if there is one.
    pub fn state(&mut self) -> Option<TcpState> {
        self.stack().connections().first().map(|connection| connection.state)
    }

    // The rest.

    /// From here on bare smoltcp has to fail.
    pub fn crux(&self) {
        self.at_crux.set(true);
    }

    pub fn is_ipv4(&self) -> bool {
        self.local.is_ipv4()
    }

    /// Takes over what the stack has sent.
    fn collect(&mut self) {
        for (at, packet) in self.host.sent() {
            if let Some(isn) = isn_of_syn(&packet) {
                self.isn = isn;
            }
            let sent = match Segment::of(&packet, self.isn, self.peer_isn) {
                Some(segment) => {
                    self.note(">", &segment.to_string());
                    Sent::Segment(segment)
                }
                None => {
                    let other = icmp::describe(&packet);
                    self.note(">", &other);
                    Sent::Other(other)
                }
            };
            self.sent.push_back((at, sent));
        }
    }

    fn note(&mut self, direction: &str, what: &str) {
        self.log.push(format!("{} {direction} {what}", clock(self.now)));
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let family = if self.local.is_ipv4() { "IPv4" } else { "IPv6" };
        panic!("over {family}:\n{}\n{why}", self.log.join("\n"));
    }
}

/// The sequence number of a SYN.
fn isn_of_syn(packet: &[u8]) -> Option<u32> {
    let (protocol, header) = if packet[0] >> 4 == 4 { (packet[9], 20) } else { (packet[6], 40) };
    let is_syn = protocol == 6 && packet[header + 13] & SYN != 0;
    is_syn.then(|| u32::from_be_bytes(packet[header + 4..header + 8].try_into().expect("four bytes")))
}

fn clock(at: Instant) -> String {
    format!("{:>5}.{:06}", at.as_secs(), at.as_micros() % 1_000_000)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
