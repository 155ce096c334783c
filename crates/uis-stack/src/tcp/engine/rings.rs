//! smoltcp's rings, of which a connection has none until it needs them.
//!
//! What arrives in order goes past smoltcp, so its receive ring is for what does not; its send ring is for what is written. An
//! idle connection needs neither, nor does one that is half open. A socket of smoltcp's gets its rings when it is made and has
//! them for good, so at the first need another socket takes the place of the one without. All that the first one knows is a
//! handshake, and a FIN perhaps. The second one is told the same.

use std::time::Duration;

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use uis_clock::Instant;
use uis_vnic::buffer;

use super::{Engine, header_len, interface, set_up};
use crate::tcp::device::{Outbox, Wire};
use crate::tcp::flow_time::SmolInstant;
use crate::tcp::isn;
use crate::wire::{self, TcpOptions, flags};

/// The receive ring of a socket without one. A window of less would shut out a FIN behind a SYN that is not acknowledged yet.
const SYN_AND_FIN: usize = 2;

/// No round trip that smoltcp is to know of is longer, since its clock did not begin much earlier.
const MAX_RTT: Duration = Duration::from_secs(3600);

/// A socket that can open and close a connection, and do no more with it.
pub(super) fn without() -> (SocketSet<'static>, SocketHandle) {
    socket(vec![0; SYN_AND_FIN], Vec::new())
}

fn socket(recv: Vec<u8>, send: Vec<u8>) -> (SocketSet<'static>, SocketHandle) {
    let mut sockets = SocketSet::new(Vec::with_capacity(1));
    let handle = sockets.add(Socket::new(SocketBuffer::new(recv), SocketBuffer::new(send)));
    (sockets, handle)
}

/// A ring's memory, of which only those pages are real that are written to.
///
/// A zeroed allocation is mapped lazily if the allocator takes it from the operating system, as glibc does for one above
/// a threshold, which however rises, up to 32 MiB, with what is freed. So a large ring is the beginning of an allocation
/// that is always above it, and costs address space instead of memory.
fn ring(len: usize) -> Vec<u8> {
    /// Where glibc begins to map, and where it always does.
    const MAY_MAP: usize = 128 << 10;
    const ALWAYS_MAPS: usize = 33 << 20;
    if len < MAY_MAP || cfg!(not(target_pointer_width = "64")) {
        return vec![0; len];
    }
    let mut ring = vec![0; len.max(ALWAYS_MAPS)];
    ring.truncate(len);
    ring
}

impl Engine {
    /// Whether smoltcp has its rings.
    pub(crate) fn has_rings(&self) -> bool {
        self.socket().send_capacity() > 0
    }

    /// Gives smoltcp a socket with rings, in the state of the one without.
    #[cold]
    pub(super) fn make_rings(&mut self, now: Instant) {
        let state = self.state();
        let irs = self.shield.irs().expect("there is no data before the peer's SYN");
        let scale = self.shield.peer_scale();
        let window = (self.fed_window >> scale) as u16;
        let options = TcpOptions {
            mss: Some(u16::MAX), // as `feed` has it
            window_scale: (scale > 0 || self.shield.our_scale() > 0).then_some(scale),
            sack_permitted: self.shield.peer_sacks(),
        };
        let syn = wire::syn(&self.forge(irs, None, flags::SYN, window), &options);
        let segment =
            |acked, flags| wire::tcp(&self.forge(irs + 1, Some(self.isn + acked), flags, window), &[]);

        // smoltcp's time-out follows from the round trip that it has seen, and is not to be shorter than ours.
        let rtt = self.rto.srtt().unwrap_or_else(|| self.time.flow(now) - self.sent_at);
        let rtt: smoltcp::time::Duration = rtt.min(MAX_RTT).into();
        let now = self.time.smol(now);
        let mut again = Again::new(self, now - rtt);
        again
            .socket()
            .listen((self.local.ip(), self.local.port()))
            .expect("a fresh socket listens on a port");
        again.hear(syn);
        if self.rto.nxt() > self.isn {
            again.speak();
        }
        again.now = now;
        if state != State::SynReceived {
            again.hear(segment(1, 0));
        }
        match state {
            State::CloseWait => {
                again.hear(segment(1, flags::FIN));
                again.speak();
            }
            State::FinWait1 | State::FinWait2 => {
                again.socket().close();
                again.speak();
                if state == State::FinWait2 {
                    again.hear(segment(2, 0));
                }
            }
            _ => {}
        }
        assert_eq!(again.socket().state(), state, "the same handshake leads to the same state");
        (self.iface, self.sockets, self.handle) = (again.iface, again.sockets, again.handle);
        self.fed_window = u32::from(window) << scale;
    }
}

/// A socket with rings that goes through what one without has gone through already.
struct Again {
    iface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    mtu: usize,
    now: SmolInstant,
}

impl Again {
    fn new(engine: &Engine, now: SmolInstant) -> Self {
        let mtu = header_len(engine.local) + engine.burst;
        let (sockets, handle) = socket(ring(engine.recv_capacity), ring(engine.max_send_limit));
        let iface = interface(engine.local, mtu, isn::seed_for(engine.isn.0), now);
        let mut again = Self { iface, sockets, handle, mtu, now };
        set_up(again.socket(), engine.hop_limit);
        again
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// The peer said this.
    fn hear(&mut self, packet: Vec<u8>) {
        let mut unsaid = Outbox::default();
        let mut wire = Wire::new(Some(&packet), &mut unsaid, self.mtu);
        self.iface.poll_ingress_single(self.now, &mut wire, &mut self.sockets);
        buffer::give(packet);
    }

    /// This side said what there was to say, so it is not said again.
    fn speak(&mut self) {
        let mut said = Outbox::default();
        let mut wire = Wire::new(None, &mut said, self.mtu);
        self.iface.poll_egress(self.now, &mut wire, &mut self.sockets);
    }
}

#[cfg(test)]
mod tests {
    use uis_vnic::Frame;

    use super::*;
    use crate::StackConfig;
    use crate::rng::mix;
    use crate::tcp::engine::Setup;
    use crate::tcp::header::Header;
    use crate::tcp::seq::Seq;
    use crate::wire::{Body, Plain, TcpFields};

    const ISN: Seq = Seq(0xffff_fff0);
    const IRS: Seq = Seq(0x7fff_fff0);

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: u32) -> u32 {
            self.0 = mix(self.0);
            (self.0 % u64::from(n)) as u32
        }

        fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
            values[self.below(values.len() as u32) as usize]
        }
    }

    /// Two connections alike, but that one is used again and has rings from the beginning.
    struct Twins {
        ends: [(Box<Engine>, Outbox); 2],
        now: Instant,
        /// The end of what they have sent.
        nxt: Seq,
        /// How much the peer has to say.
        stream: u32,
        dice: Dice,
        /// Whether the network has no room for what they send.
        is_full: bool,
    }

    impl Twins {
        fn new(seed: u64) -> Self {
            let mut dice = Dice(seed);
            let ends = dice.one_of(&[["10.0.0.1:80", "10.0.0.2:5000"], ["[fd00::1]:80", "[fd00::2]:5000"]]);
            let [local, remote] = ends.map(|end| end.parse().expect("an address"));
            let (recv, send) = dice.one_of(&[(4096, 4096), (100_000, 20_000)]);
            let config = StackConfig::default().recv_buffer(recv).send_buffer(send);
            let now = Instant::ZERO + Duration::from_secs(1);
            let setup = Setup { local, remote, isn: ISN.0, mtu: 1500, now, config: &config };
            let mut used = Engine::accept(setup, None);
            (used.sockets, used.handle) = socket(ring(recv), ring(send));
            let make = dice.one_of(&[Engine::accept, Engine::connect]);
            let ends = [None, used.into_spare()].map(|spare| (make(setup, spare), Outbox::default()));
            assert_eq!(ends.each_ref().map(|(engine, _)| engine.has_rings()), [false, true]);
            let stream = dice.one_of(&[0, 100, 6000]);
            Self { ends, now, nxt: ISN, stream, dice, is_full: false }
        }

        /// Does the same to both, and sees to it that nobody can tell one from the other.
        fn each<R: PartialEq + std::fmt::Debug>(
            &mut self,
            mut act: impl FnMut(&mut Engine, Instant, &mut Outbox) -> R,
        ) {
            let (now, is_full) = (self.now, self.is_full);
            let [a, b] = self.ends.each_mut().map(|(engine, out)| {
                let result = act(engine, now, out);
                let more = !is_full && engine.follow_up(now, out);
                let shown = (engine.state(), engine.readable(), engine.writable(), engine.our_window());
                let hidden =
                    (engine.rto.nxt(), engine.rcv_nxt(), engine.all_acked(), engine.unsent(), engine.timer());
                let packets: Vec<_> = (0..).map_while(|at| out.get(at).map(<[u8]>::to_vec)).collect();
                (result, more, shown, hidden, packets)
            });
            assert_eq!(a, b);
            for packet in a.4 {
                let header = Header::of(&packet);
                self.nxt = self.nxt.max(header.seq + header.seq_len());
            }
        }

        fn has_rings(&self) -> bool {
            self.ends[0].0.has_rings()
        }

        fn hear(&mut self, packet: &[u8]) {
            self.each(|engine, now, out| {
                let mut frame = Some(Frame::new(packet));
                if Plain::read(packet)
                    .is_some_and(|segment| engine.input_plain(now, &segment, &mut frame, out).is_ok())
                {
                    return Ok(());
                }
                let parsed = wire::parse(packet, true).expect("it is well-formed");
                let Body::Tcp(segment) = &parsed.body else { unreachable!("it is a segment") };
                engine.input(now, &parsed, segment, out)
            });
        }

        fn fields(&mut self, seq: Seq, ack: Option<Seq>, flags: u8) -> TcpFields {
            let window = self.dice.one_of(&[0, 0, 10, 500, 5000, 65_535]);
            self.ends[0].0.forge(seq, ack, flags, window)
        }

        fn hear_syn(&mut self, ack: Option<Seq>) {
            let fields = self.fields(IRS, ack, flags::SYN);
            let options = TcpOptions {
                mss: self.dice.one_of(&[None, Some(1460), Some(100)]),
                window_scale: self.dice.one_of(&[None, Some(0), Some(7)]),
                sack_permitted: self.dice.one_of(&[false, true]),
            };
            self.hear(&wire::syn(&fields, &options));
        }

        /// Some part of the peer's stream, likely one that is next.
        fn hear_data(&mut self) {
            let next = self.ends[0].0.rcv_nxt() - (IRS + 1);
            let start = match self.dice.below(3) {
                0 => next.saturating_sub(self.dice.below(200)),
                1 => next + self.dice.below(3000),
                _ => next,
            };
            let (start, len) = (start.min(self.stream), self.dice.one_of(&[0, 1, 100, 1000, 1460]));
            let payload: Vec<_> = (start..self.stream).take(len).map(|at| at as u8).collect();
            let is_end = start + payload.len() as u32 == self.stream;
            let acked = self.dice.below(self.nxt - ISN + 1);
            let ack = self.dice.one_of(&[self.nxt, self.nxt, ISN + acked]);
            let more = if is_end && self.dice.below(2) == 0 { flags::FIN } else { 0 };
            let more = more | self.dice.one_of(&[0, flags::PSH]);
            let fields = self.fields(IRS + 1 + start, Some(ack), more);
            self.hear(&wire::tcp(&fields, &payload));
        }

        /// An acknowledgment from somewhere, also from where the peer cannot be.
        fn hear_ack(&mut self) {
            let seq = self.ends[0].0.rcv_nxt() + self.dice.one_of(&[0, 1, 500]);
            let fields = self.fields(seq, Some(self.nxt), 0);
            self.hear(&wire::tcp(&fields, &[]));
        }

        /// Time passes, and timers fire. One of them may fire to no end, but what is sent is sent at the same time.
        fn wait(&mut self, ms: u32) {
            let until = self.now + Duration::from_millis(ms.into());
            if self.is_full {
                return self.now = until;
            }
            self.send();
            let sent = self.ends.each_mut().map(|(engine, out)| {
                let (mut now, mut sent) = (self.now, Vec::new());
                while let Some(at) = engine.deadline(now).filter(|&at| at <= until) {
                    now = now.max(at);
                    assert!(engine.on_timer(now, false, out).is_ok(), "nothing goes on for so long");
                    sent.extend(std::iter::from_fn(|| out.pop()).map(|frame| (now, frame.into_packet())));
                }
                sent
            });
            assert_eq!(sent[0], sent[1]);
            self.now = until;
            self.each(|_, _, _| ());
        }

        /// The network takes what there is, or again, or no more.
        fn send(&mut self) {
            for (_, out) in &mut self.ends {
                while !self.is_full && out.pop().is_some() {}
            }
        }

        fn fill(&mut self, is_full: bool) {
            self.each(|engine, now, _| if is_full { engine.stop_time(now) } else { engine.go_on(now) });
            self.is_full = is_full;
            self.each(|_, _, _| ());
        }
    }

    #[test]
    fn nobody_can_tell_when_a_connection_gets_its_rings() {
        let mut from = std::collections::BTreeMap::new();
        for seed in 0..3000 {
            let mut twins = Twins::new(seed);
            twins.each(|_, _, _| ());
            let rtt = twins.dice.one_of(&[2, 100, 600, 600, 4000]);
            twins.wait(rtt);
            if twins.dice.below(4) == 0 {
                twins.fill(true);
            }
            let has_dialled = twins.ends[0].0.state() == State::SynSent;
            let is_answer = has_dialled && twins.dice.below(4) > 0;
            twins.hear_syn(is_answer.then_some(ISN + 1));
            twins.wait(rtt);
            if twins.dice.below(4) > 0 {
                let fields = twins.fields(IRS + 1, Some(twins.nxt), 0);
                twins.hear(&wire::tcp(&fields, &[]));
            }
            for _ in 0..20 {
                let had_rings = twins.has_rings();
                let state = twins.ends[0].0.state();
                match twins.dice.below(9) {
                    0..=3 => twins.hear_data(),
                    8 => twins.hear_ack(),
                    4 => {
                        let n = twins.dice.one_of(&[1, 100, 3000]);
                        twins.each(|engine, now, out| engine.write(now, &vec![7; n], out));
                    }
                    5 => {
                        let n = twins.dice.one_of(&[1, 100, 3000]);
                        twins.each(|engine, _, _| {
                            let mut buf = vec![0; n];
                            let read = engine.read(&mut buf);
                            (buf, read)
                        });
                    }
                    6 if twins.dice.below(4) == 0 => twins.each(|engine, _, _| engine.close_send()),
                    6 => {
                        let is_full = twins.dice.below(3) == 0;
                        twins.fill(is_full);
                        twins.send();
                    }
                    _ => {
                        let ms = twins.dice.one_of(&[1, 10, 100, 1000]);
                        twins.wait(ms);
                    }
                }
                if twins.has_rings() && !had_rings {
                    *from.entry(format!("{state:?}")).or_insert(0) += 1;
                }
                if matches!(twins.ends[0].0.state(), State::Closed | State::Listen | State::TimeWait) {
                    break;
                }
            }
        }
        let often = ["CloseWait", "Established", "FinWait1", "FinWait2", "SynReceived"];
        assert!(often.iter().all(|&state| from.get(state).is_some_and(|&n| n >= 10)), "{from:?}");
        assert_eq!(from.len(), often.len(), "{from:?}");
    }
}
