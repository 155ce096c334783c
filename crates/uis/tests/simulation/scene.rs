//! What a seed stands for.

use std::time::Duration;

use crate::common::{Congestion, Keepalive, Rng, StackConfig, ms, secs};

/// How patient hosts and programs are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manners {
    /// They never give up.
    Patient,
    /// They do, or hang up for no reason.
    Rough,
}

/// An internet, what its path does, and what is said over it.
#[derive(Debug)]
pub struct Scene {
    pub seed: u64,
    pub manners: Manners,
    pub max_in_flight: usize,
    pub hosts: Vec<Host>,
    pub faults: Faults,
    pub talks: Vec<Talk>,
    pub chats: Vec<Chat>,
}

#[derive(Debug)]
pub struct Host {
    pub mtu: u32,
    pub config: StackConfig,
}

/// What the path does to packets. Chances are per 1,000 of them.
#[derive(Debug)]
pub struct Faults {
    /// When all but the delay ends.
    pub until: Duration,
    pub loss: u64,
    pub duplicates: u64,
    pub corrupt: u64,
    pub cut: u64,
    pub delay: Duration,
    /// Up to so much is added to the delay of each packet, so that they overtake each other.
    pub jitter: Duration,
    /// From when to when nothing passes.
    pub outage: Option<(Duration, Duration)>,
    /// The largest packet that the middle of the path takes, as it tells those who send larger ones.
    pub mtu: Option<usize>,
}

/// A connection from one host to another.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// Numbers of hosts, which may be the same.
    pub client: usize,
    pub server: usize,
    pub v6: bool,
    /// Whether the server listens at all its addresses.
    pub wildcard: bool,
    /// When the client dials.
    pub start: Duration,
    /// What the client and the server say.
    pub ways: [Way; 2],
    pub order: Order,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub len: usize,
    /// The most that is written and read at once.
    pub write: usize,
    pub read: usize,
    /// How often per 1,000 calls writer and reader pause, and for how long at most.
    pub pauses: u64,
    pub pause: Duration,
    /// How long the reader waits before it begins.
    pub lull: Duration,
    /// After how many bytes the writer hangs up, and how.
    pub quit: Option<(usize, Quit)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Both ways at once.
    Together,
    /// One closes first, then the other says its part: the half-closed connection at work.
    ClientFirst,
    ServerFirst,
}

/// How a program leaves in the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quit {
    Drop,
    Abort,
    /// It takes the stack down.
    CloseStack,
}

/// Datagrams from one host to another and back.
#[derive(Clone, Copy, Debug)]
pub struct Chat {
    pub client: usize,
    pub server: usize,
    pub v6: bool,
    /// The longest payload.
    pub len: usize,
    pub every: Duration,
}

impl Scene {
    pub fn new(seed: u64, manners: Manners) -> Self {
        let mut rng = Rng(seed ^ if manners == Manners::Rough { 1 << 40 } else { 0 });
        let rng = &mut rng;
        let rough = manners == Manners::Rough;
        let max_in_flight = pick(rng, &[4, 8, 16, 64, 256, 1024]);
        let count = pick(rng, &[2, 2, 2, 3, 4]);
        let same = (rng.below(4) > 0).then(|| mtu(rng));
        let hosts: Vec<Host> = (0..count)
            .map(|_| Host { mtu: same.unwrap_or_else(|| mtu(rng)), config: config(rng, rough) })
            .collect();
        let faults = Faults::new(rng, max_in_flight);
        let talks = (0..pick(rng, &[1, 1, 2, 3, 6])).map(|_| Talk::new(rng, &hosts, rough)).collect();
        let chats = (0..pick(rng, &[0, 1, 2])).map(|_| Chat::new(rng, &hosts, &faults)).collect();
        Self { seed, manners, max_in_flight, hosts, faults, talks, chats }
    }
}

impl Faults {
    fn new(rng: &mut Rng, max_in_flight: usize) -> Self {
        let until = pick(rng, &[secs(0), ms(300), secs(3), secs(20), secs(100)]);
        // The delay line is as long as the queue, and what it has no room for is lost.
        let long = max_in_flight >= 256;
        let outage = (rng.below(6) == 0).then(|| {
            let from = us(rng.below(until.as_micros() as u64 + 1));
            (from, from + pick(rng, &[ms(500), secs(10), secs(100)]))
        });
        Self {
            until: until.max(outage.map_or(until, |(_, to)| to)),
            loss: pick(rng, &[0, 0, 5, 50, 200, 500]),
            duplicates: pick(rng, &[0, 0, 10, 100, 600]),
            corrupt: pick(rng, &[0, 0, 10, 100]),
            cut: pick(rng, &[0, 0, 0, 20]),
            delay: if long { us(pick(rng, &[0, 0, 50, 2000, 100_000])) } else { us(0) },
            jitter: us(pick(rng, &[0, 0, 50, 5000, 300_000])),
            outage,
            mtu: (rng.below(5) == 0).then(|| pick(rng, &[1280, 1400, 4000])),
        }
    }
}

impl Talk {
    fn new(rng: &mut Rng, hosts: &[Host], rough: bool) -> Self {
        let (client, server, v6) = ends(rng, hosts);
        let latest = pick(rng, &[1, 1000, 1_000_000, 30_000_000]);
        Self {
            client,
            server,
            v6,
            wildcard: rng.below(2) == 0,
            start: us(rng.below(latest)),
            ways: [Way::new(rng, rough), Way::new(rng, rough)],
            order: pick(rng, &[Order::Together, Order::Together, Order::ClientFirst, Order::ServerFirst]),
        }
    }
}

impl Way {
    fn new(rng: &mut Rng, rough: bool) -> Self {
        let most = pick(rng, &[1, 100, 5000, 50_000, 50_000, 300_000]);
        let len = rng.below(most) as usize;
        let quit = (rough && rng.below(4) == 0).then(|| {
            (rng.below(len as u64 + 1) as usize, pick(rng, &[Quit::Drop, Quit::Abort, Quit::CloseStack]))
        });
        let piece = |rng: &mut Rng| pick(rng, &[len / 100 + 1, 1000 + len / 50, 6000, 200_000]);
        Self {
            len,
            write: piece(rng),
            read: piece(rng),
            pauses: pick(rng, &[0, 0, 20, 200]),
            pause: us(pick(rng, &[1, 1000, 50_000, 2_000_000])),
            lull: us(pick(rng, &[0, 0, 0, 20_000, 10_000_000])),
            quit,
        }
    }
}

impl Chat {
    fn new(rng: &mut Rng, hosts: &[Host], faults: &Faults) -> Self {
        let (client, server, v6) = ends(rng, hosts);
        // Nobody cuts what is too long for the receiver's interface alone.
        let mtu =
            hosts[client].mtu.min(hosts[server].mtu).min(faults.mtu.unwrap_or(usize::MAX) as u32) as usize;
        let same = hosts[client].mtu == hosts[server].mtu && faults.mtu.is_none();
        let len = if same { pick(rng, &[0, 100, 3000, 12_000]) } else { pick(rng, &[0, 100, mtu - 48]) };
        // The delay line is no longer than the queue: it has room for one question and its answer.
        let every = us(pick(rng, &[1000, 50_000, 1_000_000])).max(faults.delay * 2);
        Self { client, server, v6, len, every }
    }
}

fn ends(rng: &mut Rng, hosts: &[Host]) -> (usize, usize, bool) {
    let client = rng.below(hosts.len() as u64) as usize;
    let server = match rng.below(12) {
        0 => client,
        _ => (client + 1 + rng.below(hosts.len() as u64 - 1) as usize) % hosts.len(),
    };
    let v6 = hosts[client].mtu >= 1280 && hosts[server].mtu >= 1280 && rng.below(2) == 0;
    (client, server, v6)
}

fn mtu(rng: &mut Rng) -> u32 {
    pick(rng, &[576, 577, 1006, 1280, 1281, 1500, 1500, 4352, 9000, 65_535])
}

fn config(rng: &mut Rng, rough: bool) -> StackConfig {
    let buffers =
        [256, 536, 1000, 1460, 2920, 4096, 10_000, 65_535, 65_536, 100_000, 200_000, 1 << 20, 1 << 20];
    let config = StackConfig::default()
        .recv_buffer(pick(rng, &buffers))
        .send_buffer(pick(rng, &buffers))
        .congestion(pick(rng, &[Congestion::Cubic, Congestion::Reno, Congestion::None]))
        .nodelay(rng.below(2) == 0)
        .delayed_ack(pick(rng, &[None, Some(ms(10)), Some(ms(40)), Some(ms(200))]))
        .rto_bounds(pick(rng, &[ms(1), ms(200), ms(200), secs(1)]), pick(rng, &[secs(10), secs(120)]))
        .lossy_queue(rng.below(5) == 0)
        .time_wait(pick(rng, &[secs(1), secs(60)]));
    if !rough {
        let for_ever = secs(100_000);
        // Whoever leaves TIME-WAIT before the peer's last FIN has come through answers that with a RST.
        return config
            .retries(1000)
            .syn_retries(1000)
            .half_open_lifetime(for_ever)
            .orphan_timeout(for_ever)
            .time_wait(secs(1000));
    }
    let config = match rng.below(3) {
        0 => config.keepalive(Some(Keepalive::after(secs(5)))),
        _ => config,
    };
    match rng.below(3) {
        0 => config,
        1 => config.retries(3).syn_retries(3),
        _ => config.half_open_lifetime(secs(3)).orphan_timeout(secs(5)).retries(6),
    }
}

pub fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.below(from.len() as u64) as usize]
}

fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}
