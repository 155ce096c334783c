//! The work itself: a fixed amount of it, on one thread, the same in each run. It is done in a process of its own,
//! whose instructions are counted from outside.

use std::hint::black_box;
use std::io;

use futures_lite::future::{block_on, try_zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Frame, Internet, Stack, StackConfig, TcpListener};

use super::clock::CountedClock;
use crate::lab::{self, Lab};
use crate::net::Net;
use crate::scenario::{accept_and_close, connect_idle, dial_and_close};
use crate::{READ, WRITE};

/// What a full segment of IPv4 carries at this MTU.
const fn payload(mtu: u32) -> usize {
    mtu as usize - 40
}

/// A kind of work. Its cost is that of `more` minus that of `less`, over their difference: what is done only once
/// cancels out.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) name: &'static str,
    /// What its count counts.
    pub(super) unit: &'static str,
    pub(super) less: usize,
    pub(super) more: usize,
    run: fn(usize) -> io::Result<()>,
}

impl Work {
    const fn new(
        name: &'static str,
        unit: &'static str,
        [less, more]: [usize; 2],
        run: fn(usize) -> io::Result<()>,
    ) -> Self {
        Self { name, unit, less, more, run }
    }
}

/// All of it, in the order of the table. The smaller amount is enough for windows to be open and pools to be full.
pub(super) const ALL: &[Work] = &[
    Work::new("bulk-1", "full segment at MTU 1500, one flow", [6_000, 12_000], |n| {
        bulk(1_500, 1, n, lab::deliver)
    }),
    Work::new("bulk-10", "the same, 10 flows", [10_000, 20_000], |n| bulk(1_500, 10, n, lab::deliver)),
    Work::new("bulk-100", "the same, 100 flows", [40_000, 60_000], |n| bulk(1_500, 100, n, lab::deliver)),
    Work::new("bulk-seen", "the same, one flow, the router looks at each packet", [6_000, 12_000], |n| {
        bulk(1_500, 1, n, see)
    }),
    Work::new("bulk-65535", "full segment at MTU 65535, one flow", [500, 1_500], |n| {
        bulk(65_535, 1, n, lab::deliver)
    }),
    Work::new("tcp-round-trip", "byte there and back over TCP", [1_000, 4_000], |n| tcp_round_trips(0, n)),
    Work::new("tcp-round-trip-idle", "the same beside 1,000 idle connections", [1_000, 4_000], |n| {
        tcp_round_trips(1_000, n)
    }),
    Work::new("udp-round-trip", "datagram of a byte there and back", [1_000, 4_000], udp_round_trips),
    Work::new("set-up", "connection made and closed, one by one", [500, 1_500], |n| set_ups(1, n)),
    Work::new("set-up-100", "connection made and closed, 100 at once", [1_000, 3_000], |n| set_ups(100, n)),
    Work::new(
        "idle-pair",
        "idle connection made and kept, both ends, small buffers",
        [1_000, 3_000],
        idle_pairs,
    ),
    Work::new("stack", "stack made and dropped", [500, 2_500], stacks),
];

/// Does `count` times the work of this name.
///
/// # Errors
///
/// `NotFound` if there is none of the name; else what went wrong in it.
pub(crate) fn run(name: &str, count: usize) -> io::Result<()> {
    let known = ALL.iter().find(|work| work.name == name);
    let work =
        known.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no work called {name:?}")))?;
    (work.run)(count)
}

fn internet() -> Internet {
    Internet::builder().clock(CountedClock::new()).seed(1).build()
}

fn lab(mtu: u32, config: StackConfig) -> io::Result<Lab> {
    let net = Net { mtu, ..Net::usual(&crate::args::Options::default()) };
    Lab::on(internet(), net, config)
}

/// Makes the packet's bytes be there, as a capture would.
fn see(internet: &Internet, frame: Frame) {
    black_box(frame.packet());
    lab::deliver(internet, frame);
}

fn bulk(mtu: u32, flows: usize, segments: usize, each: fn(&Internet, Frame)) -> io::Result<()> {
    let lab = lab(mtu, StackConfig::default())?;
    let listener = lab.server.listen_tcp(lab.at)?;
    let bytes = segments / flows * payload(mtu);
    let fetch = lab::all((0..flows).map(|_| fetch(&lab, bytes)).collect());
    let both = try_zip(serve(listener, flows, bytes), fetch);
    block_on(lab.internet.route_until(both, each)).map(drop)
}

async fn serve(listener: TcpListener, flows: usize, bytes: usize) -> io::Result<()> {
    let chunk = vec![0x5a; WRITE];
    let mut streams = Vec::new();
    for _ in 0..flows {
        streams.push(listener.accept().await?.0);
    }
    let send = async |stream: &mut uis::TcpStream| {
        let mut left = bytes;
        while left > 0 {
            let now = left.min(WRITE);
            stream.write_all(&chunk[..now]).await?;
            left -= now;
        }
        io::Result::Ok(())
    };
    lab::all(streams.iter_mut().map(send).collect()).await
}

async fn fetch(lab: &Lab, bytes: usize) -> io::Result<()> {
    let mut stream = lab.client.dial_tcp(lab.at).await?;
    let mut into = vec![0; READ];
    let mut left = bytes;
    while left > 0 {
        match stream.read(&mut into).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left -= n,
        }
    }
    Ok(())
}

fn tcp_round_trips(idle: usize, count: usize) -> io::Result<()> {
    let lab = lab(1_500, StackConfig::small())?;
    let idle = block_on(lab.internet.route_until(connect_idle(&lab, idle), Internet::deliver))?;
    let listener = lab.server.listen_tcp(lab.at)?;
    let echo = async {
        let (mut stream, _) = listener.accept().await?;
        let mut byte = [0];
        for _ in 0..count {
            stream.read_exact(&mut byte).await?;
            stream.write_all(&byte).await?;
        }
        io::Result::Ok(())
    };
    let ask = async {
        let mut stream = lab.client.dial_tcp(lab.at).await?;
        let mut byte = [7];
        for _ in 0..count {
            stream.write_all(&byte).await?;
            stream.read_exact(&mut byte).await?;
        }
        Ok(())
    };
    block_on(lab.internet.route_until(try_zip(echo, ask), lab::deliver))?;
    lab.internet.close();
    drop(idle);
    Ok(())
}

fn udp_round_trips(count: usize) -> io::Result<()> {
    let lab = lab(1_500, StackConfig::default())?;
    let (server, client) = (lab.server.listen_udp(lab.at)?, lab.client.dial_udp(lab.at)?);
    let echo = async {
        let mut byte = [0];
        for _ in 0..count {
            let (_, from) = server.recv_from(&mut byte).await?;
            server.send_to(&byte, from).await?;
        }
        io::Result::Ok(())
    };
    let ask = async {
        let mut byte = [7];
        for _ in 0..count {
            client.send(&byte).await?;
            client.recv(&mut byte).await?;
        }
        Ok(())
    };
    block_on(lab.internet.route_until(try_zip(echo, ask), lab::deliver)).map(drop)
}

fn set_ups(at_once: usize, count: usize) -> io::Result<()> {
    let lab = lab(1_500, StackConfig::default())?;
    let listener = lab.server.listen_tcp(lab.at)?;
    let serve = async {
        for _ in 0..count / at_once {
            accept_and_close(&listener, at_once).await?;
        }
        io::Result::Ok(())
    };
    let dial = async {
        for _ in 0..count / at_once {
            dial_and_close(&lab, at_once).await?;
        }
        Ok(())
    };
    block_on(lab.internet.route_until(try_zip(serve, dial), lab::deliver)).map(drop)
}

fn idle_pairs(count: usize) -> io::Result<()> {
    let lab = lab(1_500, StackConfig::small())?;
    let ends = block_on(lab.internet.route_until(connect_idle(&lab, count), Internet::deliver))?;
    lab.internet.close();
    drop(ends);
    Ok(())
}

fn stacks(count: usize) -> io::Result<()> {
    let internet = internet();
    for _ in 0..count {
        let stack: Stack = internet.new_stack(1_500, [[10, 0, 0, 1].into()])?;
        drop(black_box(stack));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_comes_to_its_end() {
        for work in ALL {
            // A hundred of everything: where it is a hundred at once, that is once.
            (work.run)(100).unwrap_or_else(|error| panic!("{}: {error}", work.name));
        }
        assert_eq!(run("no such work", 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
