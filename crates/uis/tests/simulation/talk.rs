//! What is said over the internet of a scene, and what must be true of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_lite::future::{or, try_zip, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::common::{
    DropReason, Instant, Internet, Rng, SharedClock, Stack, TcpListener, TcpStream, noise, secs,
};
use crate::scene::{Manners, Order, Quit, Scene, Talk, Way};
use crate::world::addr;

/// How long nothing may arrive once the path is good: the longest retransmission time-out, and some more.
const LONGEST_SILENCE: Duration = Duration::from_secs(200);

/// Where a talk takes place.
pub struct Place<'a> {
    pub scene: &'a Scene,
    pub internet: &'a Internet,
    pub clock: SharedClock,
    pub stacks: &'a [Stack],
}

impl Place<'_> {
    fn is_patient(&self) -> bool {
        self.scene.manners == Manners::Patient
    }

    /// What must not happen among patient hosts.
    fn unless_rough(&self, what: &str, error: &io::Error) {
        assert!(!self.is_patient(), "{what} failed at {:?}: {error}\n{:#?}", self.clock.now(), self.scene);
    }

    /// How many packets found no room in the delay line, which streams may fill to the end.
    fn overflows(&self) -> u64 {
        self.internet.stats().dropped(DropReason::Full)
    }

    async fn pause(&self, rng: &mut Rng, way: &Way) {
        if rng.below(1000) < way.pauses {
            let d = Duration::from_nanos(rng.below(way.pause.as_nanos() as u64 + 1));
            self.clock.sleep(d).await;
        }
    }
}

/// One way of a talk as it goes.
struct Log {
    data: Vec<u8>,
    written: Cell<usize>,
    read: Cell<usize>,
    /// Whether the reader came to the end of the stream.
    ended: Cell<bool>,
    /// Whether the writer cut it off.
    aborted: Cell<bool>,
}

/// The two ways of a talk, and when either of them last came on.
struct Logs {
    ways: [Log; 2],
    progress: Cell<Instant>,
}

/// Why a side leaves before it is done.
enum Leave {
    Failed,
    Quit(Quit),
}

/// One connection, from dialling to the end.
pub async fn talk(place: &Place<'_>, n: usize) {
    let talk = &place.scene.talks[n];
    let port = 1000 + n as u16;
    let to = SocketAddr::new(addr(talk.server, talk.v6), port);
    let at = match (talk.wildcard, talk.v6) {
        (false, _) => to,
        (true, false) => (Ipv4Addr::UNSPECIFIED, port).into(),
        (true, true) => (Ipv6Addr::UNSPECIFIED, port).into(),
    };
    let listener = match place.stacks[talk.server].listen_tcp(at) {
        Ok(listener) => listener,
        Err(error) => return place.unless_rough("listening", &error),
    };
    place.clock.sleep(talk.start).await;
    let ways = [0, 1].map(|way| Log {
        data: noise(place.scene.seed << 8 | (n as u64) << 1 | way as u64, talk.ways[way].len),
        written: Cell::new(0),
        read: Cell::new(0),
        ended: Cell::new(false),
        aborted: Cell::new(false),
    });
    let logs = Logs { ways, progress: Cell::new(place.clock.now()) };
    let both = async {
        let client = async {
            let stream = place.stacks[talk.client].dial_tcp(to).await;
            side(place, talk, &logs, 0, stream).await
        };
        let server = async {
            let stream = accept(&listener).await;
            side(place, talk, &logs, 1, stream).await
        };
        // Patient programs hold on until both are done, since what closes in the background has a time limit.
        drop(zip(client, server).await);
    };
    if place.is_patient() {
        both.await;
    } else {
        // Whose peer is gone for good may wait for ever.
        let _ = place.clock.timeout(place.scene.faults.until + secs(1500), both).await;
    }
    for (log, way) in logs.ways.iter().zip(&talk.ways) {
        let what =
            || format!("{} of {} read, {way:?}\n{:#?}", log.read.get(), log.written.get(), place.scene);
        if log.ended.get() {
            assert_eq!(log.read.get(), log.written.get(), "the stream ended early: {}", what());
            assert!(!log.aborted.get(), "an aborted stream ended as if it were closed: {}", what());
        }
        if place.is_patient() {
            assert!(log.ended.get() && log.read.get() == log.data.len(), "not all was said: {}", what());
        }
    }
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    Ok(listener.accept().await?.0)
}

/// What one side says (`ways[me]`) and hears. Gives the stream back if it stays to the end.
async fn side(
    place: &Place<'_>,
    talk: &Talk,
    logs: &Logs,
    me: usize,
    stream: io::Result<TcpStream>,
) -> Option<TcpStream> {
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => {
            place.unless_rough("connecting", &error);
            return None;
        }
    };
    let done = async {
        let say = write(place, &stream, &talk.ways[me], &logs.ways[me]);
        let hear = read(place, &stream, &talk.ways[1 - me], &logs.ways[1 - me], &logs.progress);
        match (talk.order, me) {
            (Order::Together, _) => try_zip(say, hear).await.map(drop),
            (Order::ClientFirst, 0) | (Order::ServerFirst, 1) => {
                say.await?;
                hear.await
            }
            _ => {
                hear.await?;
                say.await
            }
        }
    };
    let done = done.await;
    match done {
        Err(Leave::Quit(Quit::Abort)) => stream.abort(),
        Err(Leave::Quit(Quit::CloseStack)) => place.stacks[[talk.client, talk.server][me]].close(),
        Err(Leave::Quit(Quit::Drop) | Leave::Failed) | Ok(()) => {}
    }
    place.is_patient().then_some(stream)
}

async fn write(place: &Place<'_>, mut to: &TcpStream, way: &Way, log: &Log) -> Result<(), Leave> {
    let mut rng = Rng(way.len as u64);
    let failed = |error| {
        place.unless_rough("writing", &error);
        Leave::Failed
    };
    loop {
        let done = log.written.get();
        if let Some((_, how)) = way.quit.filter(|&(after, _)| done >= after) {
            log.aborted.set(how != Quit::Drop);
            return Err(Leave::Quit(how));
        }
        if done == log.data.len() {
            break;
        }
        let n = (1 + rng.below(way.write as u64) as usize).min(log.data.len() - done);
        let n = to.write(&log.data[done..done + n]).await.map_err(failed)?;
        assert!(n > 0, "nothing was written");
        log.written.set(done + n);
        place.pause(&mut rng, way).await;
    }
    to.close().await.map_err(failed)
}

async fn read(
    place: &Place<'_>,
    mut from: &TcpStream,
    way: &Way,
    log: &Log,
    progress: &Cell<Instant>,
) -> Result<(), Leave> {
    let mut rng = Rng(way.len as u64 + 1);
    place.clock.sleep(way.lull).await;
    let mut buf = vec![0; way.read];
    let calm = Instant::ZERO + place.scene.faults.until;
    loop {
        let most = 1 + rng.below(way.read as u64) as usize;
        match from.read(&mut buf[..most]).await {
            Ok(0) => break,
            Ok(n) => {
                let done = log.read.get();
                let expected = log.data.get(done..done + n);
                assert!(expected == Some(&buf[..n]), "other bytes at {done}: {way:?}\n{:#?}", place.scene);
                assert!(done + n <= log.written.get(), "more than was written");
                log.read.set(done + n);
            }
            Err(error) => {
                place.unless_rough("reading", &error);
                let again = from.read(&mut buf).await;
                assert!(!matches!(again, Ok(1..)), "bytes behind an error ({error}):\n{:#?}", place.scene);
                return Err(Leave::Failed);
            }
        }
        let silence = place.clock.now() - progress.replace(place.clock.now()).max(calm);
        let excused = !place.is_patient() || way.is_slow() || silence < LONGEST_SILENCE;
        assert!(excused, "{silence:?} of silence: {way:?}\n{:#?}", place.scene);
        place.pause(&mut rng, way).await;
    }
    log.ended.set(true);
    Ok(())
}

impl Way {
    /// Whether it is the programs that make it slow.
    fn is_slow(&self) -> bool {
        self.pauses > 0
    }
}

/// Datagrams and their echoes: what arrives is what was sent, and on a good path all of it.
pub async fn chat(place: &Place<'_>, n: usize) {
    let chat = &place.scene.chats[n];
    let at = SocketAddr::new(addr(chat.server, chat.v6), 2000 + n as u16);
    let sockets = place.stacks[chat.server]
        .listen_udp(at)
        .and_then(|server| Ok((server, place.stacks[chat.client].dial_udp(at)?)));
    let (server, client) = match sockets {
        Ok(sockets) => sockets,
        Err(error) => return place.unless_rough("binding", &error),
    };
    let echo = async {
        let mut buf = vec![0; 70_000];
        loop {
            let (n, from) = server.recv_from(&mut buf).await?;
            server.send_to(&buf[..n], from).await?;
        }
    };
    let sent = RefCell::new(BTreeMap::new());
    let echoed = Cell::new(0);
    let hear = async {
        let mut buf = vec![0; 70_000];
        loop {
            let n = client.recv(&mut buf).await?;
            let message: &[u8] = &buf[..n];
            let mut sent = sent.borrow_mut();
            let echoes = sent.get_mut(message);
            let echoes: &mut usize =
                echoes.unwrap_or_else(|| panic!("nobody said {n} bytes\n{:#?}", place.scene));
            if *echoes == 0 {
                echoed.set(echoed.get() + 1);
            }
            *echoes += 1;
        }
    };
    let say = async {
        let mut rng = Rng(n as u64);
        let calm = Instant::ZERO + place.scene.faults.until + secs(1);
        let (mut counted, mut before, mut overflows) = (0, 0, 0);
        for id in 0_u64.. {
            if place.clock.now() < calm {
                if id >= 100 {
                    place.clock.sleep_until(calm).await;
                }
                (counted, before, overflows) = (id, echoed.get(), place.overflows());
            } else if id == counted + 20 {
                break;
            }
            let mut message = noise(id, 8 + rng.below(chat.len as u64 + 1) as usize);
            message.truncate(chat.len.max(8));
            message[..8].copy_from_slice(&id.to_be_bytes());
            sent.borrow_mut().insert(message.clone(), 0);
            client.send(&message).await?;
            place.clock.sleep(chat.every).await;
        }
        place.clock.sleep(secs(5)).await;
        assert!(
            !place.is_patient() || echoed.get() >= before + 19 || place.overflows() > overflows,
            "{} of 20 were echoed on a good path: {chat:?}\n{:#?}",
            echoed.get() - before,
            place.scene
        );
        io::Result::Ok(())
    };
    if let Err(error) = or(say, or(echo, hear)).await {
        place.unless_rough("chatting", &error);
    }
}
