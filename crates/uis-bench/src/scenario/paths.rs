//! The download over a path that loses and delays packets, in real time and in virtual time.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Frame, Internet, Rng, StackConfig, VirtualClock};

use super::bulk::{self, values};
use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, Metric, THROUGHPUT, Taken};
use crate::lab::{self, Drive, Lab};
use crate::meter::Span;
use crate::net::Net;
use crate::{READ, WRITE};

pub(crate) const PATHS: Scenario = Scenario {
    name: "paths",
    about: "the same download of one flow, packets of both directions lost at random and delayed; in virtual time also what \
            a second of it takes",
    cases,
};

/// Payload that arrived, by the virtual clock.
const GOODPUT: Metric = Metric { name: "goodput", unit: "Gbit/s" };
/// What the machine takes to play a virtual second.
const PLAYING: Metric = Metric { name: "real time of a virtual second", unit: "s" };

/// Where nothing takes time, there is no goodput in virtual time: half of a round trip in a quick local network.
const NEARBY: Duration = Duration::from_micros(50);

/// More than any window of packets.
const IN_FLIGHT: usize = 8_192;

/// What happens to each packet.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Path {
    /// The probability that it is lost.
    loss: f64,
    /// How long it is under way.
    delay: Duration,
}

impl Path {
    fn label(self) -> String {
        let loss = (self.loss > 0.0).then(|| format!("{} % loss", self.loss * 100.0));
        let delay = (!self.delay.is_zero()).then(|| match self.delay.as_secs_f64() * 1e3 {
            millis if millis < 1.0 => format!("{} µs one way", (millis * 1e3).round()),
            millis => format!("{millis} ms one way"),
        });
        let parts: Vec<_> = loss.into_iter().chain(delay).collect();
        if parts.is_empty() { "nothing lost or late".into() } else { parts.join(", ") }
    }

    /// The router of such a path.
    fn router(self, seed: u64) -> impl FnMut(&Internet, Frame) + Send + 'static {
        let mut rng = Rng::new(seed);
        move |internet, frame| {
            if self.loss > 0.0 && rng.chance(self.loss) {
                return;
            }
            if self.delay.is_zero() {
                lab::deliver(internet, frame);
            } else {
                // What cannot be delivered at the end of a run is of no interest.
                drop(internet.deliver_after(frame, self.delay));
            }
        }
    }
}

fn cases(options: &Options) -> Vec<Case> {
    let net = Net::usual(options);
    let paths = match (options.loss, options.delay) {
        (None, None) => {
            let lossy = |loss| Path { loss, delay: Duration::ZERO };
            vec![lossy(0.001), lossy(0.01), Path { loss: 0.0, delay: Duration::from_millis(10) }]
        }
        (loss, delay) => vec![Path { loss: loss.unwrap_or(0.0), delay: delay.unwrap_or_default() }],
    };
    let drives: &[Drive] =
        if options.quick { &[Drive::OneThread] } else { &[Drive::OneThread, Drive::Threads] };
    let mut cases = Vec::new();
    for &drive in drives {
        cases.extend(paths.iter().map(|&path| real(net, path, drive)));
    }
    cases.extend(paths.iter().map(|&path| simulated(net, path)));
    cases
}

fn real(net: Net, path: Path, drive: Drive) -> Case {
    let mut seeds = 1..;
    let subject = move |span: Span| {
        let internet = Internet::builder().max_in_flight(IN_FLIGHT).build();
        let router = path.router(seeds.next().unwrap_or(0));
        // Long enough for a window to open and for losses to be the usual number.
        bulk::uis_on(internet, drive, net, 1, span.times(4), router).map(|reading| values(reading).first())
    };
    let mode = format!("{}, {}", drive.name(), path.label());
    let mut case = case("paths", &mode, net, 1, &[THROUGHPUT], Box::new(subject)).lasting(4.0, 0.0);
    case.label = format!("{mode}, MTU {}", net.mtu);
    case
}

fn simulated(net: Net, path: Path) -> Case {
    let path = Path { delay: if path.delay.is_zero() { NEARBY } else { path.delay }, ..path };
    let mut seeds = 1..;
    // Short paths are fast, so they take long to play.
    let times = if path.delay < Duration::from_millis(1) { 4 } else { 20 };
    let subject = move |span: Span| play(net, path, span.times(times), seeds.next().unwrap_or(0));
    let mode = format!("virtual time, {}", path.label());
    let mut case = case("paths", &mode, net, 1, &[GOODPUT, PLAYING], Box::new(subject)).lasting(2.0, 0.0);
    case.label = format!("{mode}, MTU {}", net.mtu);
    case
}

/// One run in virtual time, in which `span` passes.
fn play(net: Net, path: Path, span: Span, seed: u64) -> io::Result<Taken> {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(seed).max_in_flight(IN_FLIGHT).build();
    let lab = Lab::on(internet, net, StackConfig::default())?;
    let listener = lab.server.listen_tcp(lab.at)?;
    let server = async {
        let (mut stream, _) = listener.accept().await?;
        let chunk = vec![0x5a; WRITE];
        loop {
            stream.write_all(&chunk).await?;
        }
    };
    let client = async {
        let mut stream = lab.client.dial_tcp(lab.at).await?;
        let mut into = vec![0; READ];
        let mut count = async |until| {
            let mut bytes = 0;
            while clock.now() < until {
                match stream.read(&mut into).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => bytes += n,
                }
            }
            io::Result::Ok(bytes)
        };
        count(clock.now() + span.warm_up).await?;
        let (began, wall) = (clock.now(), Instant::now());
        let bytes = count(began + span.window).await?;
        let (passed, took) = ((clock.now() - began).as_secs_f64(), wall.elapsed().as_secs_f64());
        // Nobody wants to see what is still under way.
        lab.internet.close();
        Ok([bytes as f64 * 8.0 / 1e9 / passed, took / passed].into())
    };
    clock.block_on(lab.internet.route_until(or(client, server), path.router(seed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_label() {
        let path = |loss, delay| Path { loss, delay: Duration::from_micros(delay) }.label();
        assert_eq!(path(0.001, 0), "0.1 % loss");
        assert_eq!(path(0.01, 10_000), "1 % loss, 10 ms one way");
        assert_eq!(path(0.0, 50), "50 µs one way");
        assert_eq!(path(0.0, 0), "nothing lost or late");
    }

    #[test]
    fn the_same_seed_plays_the_same_and_loss_costs() {
        let net = Net::usual(&Options::default());
        let span = Span { warm_up: Duration::from_millis(50), window: Duration::from_millis(300) };
        let goodput = |loss, seed| {
            let path = Path { loss, delay: Duration::from_millis(5) };
            play(net, path, span, seed).unwrap().values[0]
        };
        assert_eq!(goodput(0.01, 1), goodput(0.01, 1));
        assert_ne!(goodput(0.01, 1), goodput(0.01, 2));
        assert!(goodput(0.0, 1) > 2.0 * goodput(0.05, 1));
    }

    #[test]
    fn real_time_is_delayed_as_well() {
        let net = Net::usual(&Options::default());
        let path = Path { loss: 0.0, delay: Duration::from_millis(1) };
        let internet = || Internet::builder().max_in_flight(IN_FLIGHT).build();
        crate::meter::tests::patiently(|span| {
            bulk::uis_on(internet(), Drive::OneThread, net, 1, span, path.router(1))
        });
    }
}
