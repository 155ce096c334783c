//! Libraries that others wrote, at real work over a network that loses, doubles and reorders packets: HTTP/1.1 and
//! HTTP/2 with hyper, TLS with rustls, under tokio with its time paused and with the traits of futures on a virtual
//! clock. What arrives is compared byte by byte, and in the end no connection may be left.

mod http;
mod smol;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use uis::{Frame, Internet, MTU_ETHERNET, SharedClock, Stack};

/// Where the servers listen.
const AT: &str = "10.0.0.1:443";

/// The length of the bodies.
const BODY: usize = 1 << 20;

/// Longer than anything here takes in simulated time, and than TIME-WAIT.
const LONG: Duration = Duration::from_secs(120);

/// Two hosts, and what has become of the packets between them.
struct Lab {
    internet: Internet,
    server: Stack,
    client: Stack,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    lost: AtomicU64,
    doubled: AtomicU64,
    held_back: AtomicU64,
}

impl Lab {
    fn new(clock: impl Into<SharedClock>, seed: u64) -> Self {
        let internet = Internet::builder().clock(clock).seed(seed).build();
        let stack = |addr: &str| internet.new_stack(MTU_ETHERNET, [addr.parse().unwrap()]).unwrap();
        let (server, client) = (stack("10.0.0.1"), stack("10.0.0.2"));
        Self { internet, server, client, faults: Arc::default() }
    }

    /// A path of 5 ms, on which 3 packets in 100 are lost, 2 doubled, and 10 held back so that others overtake them.
    fn bad_path(&self, seed: u64) -> impl FnMut(&Internet, Frame) + Send + use<> {
        let faults = self.faults.clone();
        let mut rng = Rng(seed);
        move |internet, frame| {
            let percent = rng.draw() % 100;
            let held_back = (5..15).contains(&percent);
            let delay = Duration::from_millis(if held_back { 8 } else { 5 });
            faults.held_back.fetch_add(held_back.into(), Relaxed);
            if percent < 3 {
                faults.lost.fetch_add(1, Relaxed);
                return;
            }
            if percent < 5 {
                faults.doubled.fetch_add(1, Relaxed);
                internet.deliver_after(frame.clone(), delay).unwrap();
            }
            internet.deliver_after(frame, delay).unwrap();
        }
    }

    /// The path was as bad as it should be, and nothing is left of the connections.
    fn check(&self) {
        let Faults { lost, doubled, held_back } = &*self.faults;
        for (what, n) in [("lost", lost), ("doubled", doubled), ("held back", held_back)] {
            assert_ne!(n.load(Relaxed), 0, "nothing was {what}");
        }
        for stack in [&self.server, &self.client] {
            let stats = stack.stats();
            assert_eq!((stats.connections, stats.time_wait), (0, 0), "{:?}", stack.connections());
        }
    }
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A body without a pattern.
fn noise(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    (0..BODY / 8).flat_map(|_| rng.draw().to_le_bytes()).collect()
}

/// Runs a test under tokio with its time paused, on a bad path, and then waits until every connection has to be gone.
async fn under_tokio(seed: u64, test: impl AsyncFnOnce(&Lab)) {
    let lab = Lab::new(uis::TokioClock::new(), seed);
    let (internet, path) = (lab.internet.clone(), lab.bad_path(seed));
    let router = tokio::spawn(async move { internet.route(path).await });
    tokio::time::timeout(LONG, test(&lab)).await.expect("it takes too long");
    tokio::time::sleep(LONG).await;
    lab.check();
    lab.internet.close();
    router.await.unwrap();
}
