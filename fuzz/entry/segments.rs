//! TCP segments in and beside the window, with any flags and options, from a peer that plays foul in every state; and
//! forged ones in the name of a bystander, which must not notice.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use uis_stack::{Congestion, Connect, Keepalive, StackConfig, TcpStream};
use uis_vnic::Frame;

use super::input::Input;
use super::packet::{ACK, FIN, PSH, RST, SYN, Sent, Tcp, ip, read_tcp};
use super::world::{BACKLOG, TCP_PORT, World, at, attacker, bystander, close, poll, read, victim, write};

/// How many streams and dials the victim's program holds.
const MOST_STREAMS: usize = 12;
/// How many ports the attacker speaks from.
const PORTS: u16 = 6;
const FLAGS: [u8; 24] = [
    SYN,
    SYN,
    SYN,
    SYN | ACK,
    ACK,
    ACK,
    ACK,
    ACK,
    ACK,
    PSH | ACK,
    PSH | ACK,
    PSH | ACK,
    FIN | ACK,
    FIN | ACK,
    FIN | PSH | ACK,
    RST,
    RST | ACK,
    0,
    FIN,
    SYN | FIN,
    SYN | RST,
    SYN | PSH | ACK,
    0x3f,
    0xff,
];
const OPTIONS: [&[u8]; 12] = [
    &[],
    &[],
    &[2, 4, 5, 180],
    &[2, 4, 5, 180, 1, 3, 3, 7, 4, 2],
    &[2, 4, 0, 0],
    &[2, 4, 0, 1],
    &[3, 3, 14],
    &[3, 3, 255],
    &[2, 0],
    &[5, 10, 0, 0, 0, 1, 0, 0, 0, 9],
    &[8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
    &[1, 1, 1, 0, 9, 99],
];

/// What the attacker knows of a connection.
#[derive(Clone, Copy, Default)]
struct Known {
    /// What the victim sent last, furthest, and expects next.
    una: u32,
    nxt: u32,
    rcv_nxt: u32,
    window: u32,
}

struct Attack {
    world: World,
    known: BTreeMap<(bool, u16, u16), Known>,
    /// Ports from which the victim has dialled the attacker, and to which.
    dialled: Vec<(bool, u16, u16)>,
    streams: Vec<TcpStream>,
    dials: Vec<Pin<Box<Connect>>>,
}

/// The first byte chooses the victim's settings; then come operations.
pub fn segments(data: &[u8]) -> u64 {
    let mut input = Input::new(data);
    let world = World::new(config(input.byte()));
    let mut attack =
        Attack { world, known: BTreeMap::new(), dialled: Vec::new(), streams: Vec::new(), dials: Vec::new() };
    while !input.is_empty() {
        attack.step(&mut input);
    }
    attack.world.check_bystander();
    attack.streams.clear();
    attack.dials.clear();
    attack.world.end()
}

fn config(choice: u8) -> StackConfig {
    let config = match choice & 3 {
        0 => StackConfig::small(),
        1 => StackConfig::small().recv_buffer(300).send_buffer(300),
        2 => StackConfig::small().recv_buffer(100_000).send_buffer(100_000),
        _ => StackConfig::small().recv_buffer(1).send_buffer(1),
    };
    let config = match choice >> 2 & 3 {
        0 => config.delayed_ack(None),
        1 => config.keepalive(Some(Keepalive::after(Duration::from_secs(1)))),
        _ => config,
    };
    let congestion = [Congestion::Cubic, Congestion::Reno, Congestion::None, Congestion::Cubic];
    config
        .congestion(congestion[usize::from(choice >> 4 & 3)])
        .nodelay(choice & 0x40 != 0)
        .lossy_queue(choice & 0x80 != 0)
}

impl Attack {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..=199 => self.segment(input),
            200..=214 => self.forge(input),
            215..=229 => self.program(input),
            230..=245 => {
                let ms = 1 << (input.byte() % 20);
                self.world.advance(Duration::from_millis(ms));
            }
            246..=250 => self.world.set_full(input.byte() & 1 == 0),
            251 => self.world.check_bystander(),
            _ => self.dial(input),
        }
        self.learn();
        let stats = self.world.victim.stats();
        let most = (2 * BACKLOG + 2 * MOST_STREAMS + 4) as u64;
        assert!(stats.connections <= most, "{stats:?} {:#?}", self.world.victim.connections());
    }

    /// A segment of the attacker's own.
    fn segment(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let (v6, local, remote) = match self.dialled.len() {
            n if n > 0 && choice & 0xc0 == 0 => self.dialled[usize::from(choice) % n],
            _ => {
                let port = if choice & 0x30 == 0x30 { 81 } else { TCP_PORT };
                (choice & 1 != 0, port, 5000 + u16::from(choice >> 1) % PORTS)
            }
        };
        let known = self.known.get(&(v6, local, remote)).copied().unwrap_or_default();
        let flags = input.pick(&FLAGS);
        let seq = input.near(known.rcv_nxt, known.window);
        let ack = match input.byte() & 3 {
            0 => input.near(known.una, known.nxt.wrapping_sub(known.una)),
            _ => known.nxt,
        };
        let window = match input.byte() {
            0..=31 => 0,
            32..=63 => 1,
            64..=95 => input.word(),
            _ => 8192,
        };
        let len = match input.byte() {
            0..=127 => 0,
            128..=191 => usize::from(input.byte()),
            192..=247 => usize::from(input.word()) % 1400,
            _ => 1400,
        };
        let tcp = Tcp {
            src: remote,
            dst: local,
            seq,
            ack,
            flags,
            window,
            urgent: 0,
            options: input.pick(&OPTIONS),
            payload: &vec![0x55; len],
        };
        self.world.inject(Frame::new(ip(attacker(v6), victim(v6), 6, &tcp.bytes())));
    }

    /// One in the bystander's name, by somebody who knows nearly everything but must guess: RFC 5961.
    fn forge(&mut self, input: &mut Input<'_>) {
        let v6 = input.byte() & 1 != 0;
        let to = victim(v6);
        let flows = self.world.victim.connections();
        let Some(flow) = flows.iter().find(|flow| flow.remote.ip() == bystander(v6)) else { return };
        let (exact, window) = self.world.expected(v6);
        // What was said last may not be acknowledged yet, and then the number is a little higher.
        let guess = exact.wrapping_add(16 + u32::from(input.word()) % window.saturating_sub(16).max(1));
        let (flags, seq, ack, len) = match input.byte() % 5 {
            0 => (RST, guess, input.long(), 0),
            1 => (SYN, input.long(), input.long(), 0),
            2 => (SYN | ACK, exact, input.long(), 0),
            // Data, in sequence, that acknowledges what was not sent yet, or long ago.
            3 => (ACK, exact, self.world.sent_next(v6).wrapping_add(1 + input.long() % (1 << 30)), 100),
            _ => (
                FIN | ACK,
                exact,
                self.world.sent_next(v6).wrapping_sub((1 << 21) + input.long() % (1 << 29)),
                0,
            ),
        };
        let tcp = Tcp {
            src: flow.remote.port(),
            dst: flow.local.port(),
            seq,
            ack,
            flags,
            window: input.word(),
            payload: &vec![0xee; len],
            ..Tcp::default()
        };
        self.world.inject(Frame::new(ip(bystander(v6), to, 6, &tcp.bytes())));
        let left = self.world.victim.connections();
        assert!(
            left.iter().any(|f| (f.local, f.remote) == (flow.local, flow.remote)),
            "{tcp:?} ended {flow:?}"
        );
    }

    /// What the victim's program does.
    fn program(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        if self.streams.is_empty() {
            return;
        }
        let n = usize::from(choice) % self.streams.len();
        match choice >> 5 {
            0 | 1 => drop(read(&self.streams[n], &mut vec![0; 1 + usize::from(input.word())])),
            2 | 3 => drop(write(&self.streams[n], &vec![0xaa; 1 + usize::from(input.word()) % 5000])),
            4 => drop(close(&self.streams[n])),
            5 => drop(self.streams.swap_remove(n)),
            6 => self.streams.swap_remove(n).abort(),
            _ => drop(self.streams[n].set_nodelay(choice & 16 != 0)),
        }
        self.world.settle();
    }

    fn dial(&mut self, input: &mut Input<'_>) {
        if self.dials.len() + self.streams.len() < MOST_STREAMS {
            let choice = input.byte();
            let mut dial =
                Box::pin(self.world.victim.dial_tcp(at(choice & 1 != 0, 6000 + u16::from(choice & 2))));
            if poll(dial.as_mut()).is_pending() {
                self.dials.push(dial);
            }
            self.world.settle();
        } else {
            self.dials.clear();
            self.world.settle();
        }
    }

    /// Takes what has come up: connections, answers to dials, and what the victim has sent.
    fn learn(&mut self) {
        while let Some(stream) = self.world.accept() {
            if self.streams.len() == MOST_STREAMS {
                self.streams.remove(0);
            }
            self.streams.push(stream);
        }
        let mut n = 0;
        while n < self.dials.len() {
            match poll(self.dials[n].as_mut()) {
                Poll::Pending => n += 1,
                Poll::Ready(result) => {
                    drop(self.dials.swap_remove(n));
                    self.streams.extend(result);
                }
            }
        }
        self.world.settle();
        let seen = std::mem::take(&mut *self.world.seen.borrow_mut());
        for sent in seen.iter().filter_map(read_tcp) {
            self.note(&sent);
        }
    }

    fn note(&mut self, sent: &Sent) {
        let key = (sent.src.0.is_ipv6(), sent.src.1, sent.dst.1);
        let known = self.known.entry(key).or_default();
        if sent.flags & SYN != 0 {
            (known.una, known.nxt) = (sent.seq, sent.end);
            if sent.flags & ACK == 0 {
                self.dialled.retain(|&dialled| dialled != key);
                self.dialled.push(key);
                if self.dialled.len() > 4 {
                    self.dialled.remove(0);
                }
            }
        }
        if sent.end.wrapping_sub(known.nxt) as i32 > 0 {
            known.nxt = sent.end;
        }
        if sent.flags & ACK != 0 {
            known.rcv_nxt = sent.ack;
            known.window = u32::from(sent.window);
        }
    }
}
