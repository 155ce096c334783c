//! The packets are yours: this router loses the first SYN, flips a bit, and forges RSTs. The hosts notice what they
//! would on a bad network, and no more. On virtual time, so the seconds that they wait pass in no time.
//!
//! The capture shows what was sent, before the router laid hands on it, and what the router sent itself.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TcpSlice, TransportSlice};
use futures_lite::future::try_zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{DiscardReason, Frame, Instant, Internet, MTU_ETHERNET, PcapTrace, SharedClock, VirtualClock};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn main() -> Result<(), Box<dyn Error>> {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).build();
    let server = internet.new_stack(MTU_ETHERNET, [SERVER.into()])?;
    let client = internet.new_stack(MTU_ETHERNET, [CLIENT.into()])?;
    let time = internet.clock();

    let listener = server.listen_tcp((SERVER, 80))?;
    let serve = async {
        let (mut conn, _peer) = listener.accept().await?;
        conn.write_all(b"Hello, client!").await?;
        time.sleep(Duration::from_secs(5)).await;
        conn.write_all(b"Still there?").await?;
        match conn.read(&mut [0; 100]).await {
            Ok(n) => say(&time, "server", &format!("reads {n} bytes")),
            Err(error) => say(&time, "server", &error.to_string()),
        }
        io::Result::Ok(())
    };
    let fetch = async {
        let mut conn = client.dial_tcp((SERVER, 80)).await?;
        say(&time, "client", "connected");
        let mut buf = [0; 100];
        loop {
            match conn.read(&mut buf).await {
                Ok(0) => return io::Result::Ok(()),
                Ok(n) => say(&time, "client", &format!("reads {:?}", String::from_utf8_lossy(&buf[..n]))),
                Err(error) => {
                    say(&time, "client", &error.to_string());
                    return Ok(());
                }
            }
        }
    };

    let trace = uis_examples::capture(&internet, "interfere")?;
    let mut meddler = Meddler { time: time.clone(), trace: trace.clone(), next: Deed::LoseSyn };
    clock.block_on(internet.route_until(try_zip(serve, fetch), |internet, frame| {
        meddler.route(internet, frame);
    }))?;
    trace.close()?;

    let damaged = client.stats().discarded(DiscardReason::BadTcpChecksum);
    let stats = internet.stats();
    println!("packets: {} sent, {} forged, {damaged} discarded as damaged", stats.sent, stats.injected);
    Ok(())
}

fn say(time: &SharedClock, who: &str, what: &str) {
    println!("{:6.3} s  {who}: {what}", (time.now() - Instant::ZERO).as_secs_f64());
}

/// What the router does next.
enum Deed {
    LoseSyn,
    FlipBit,
    /// Once the client has acknowledged everything up to here.
    MissWithRst(u32),
    HitWithRst,
    Nothing,
}

struct Meddler {
    time: SharedClock,
    trace: PcapTrace,
    next: Deed,
}

impl Meddler {
    fn route(&mut self, internet: &Internet, mut frame: Frame) {
        self.trace.dump(frame.packet());
        let packet = frame.packet().to_vec();
        if let Some((from, tcp)) = tcp_segment(&packet) {
            match self.next {
                Deed::LoseSyn if tcp.syn() => {
                    say(&self.time, "router", "loses the SYN");
                    self.next = Deed::FlipBit;
                    return; // what is not delivered is lost
                }
                Deed::FlipBit if !tcp.payload().is_empty() => {
                    say(&self.time, "router", "flips a bit");
                    // The checksum stays as it is; after `fix_checksums` the client would believe it.
                    *frame.packet_mut().last_mut().expect("it has a payload") ^= 1;
                    let end = tcp.sequence_number().wrapping_add(tcp.payload().len() as u32);
                    self.next = Deed::MissWithRst(end);
                }
                // What the client acknowledges is its RCV.NXT. A RST has to be right there; elsewhere in the window
                // it only provokes a challenge ACK (RFC 5961 §3.2), which says once more where.
                Deed::MissWithRst(end) if from == CLIENT && tcp.acknowledgment_number() == end => {
                    self.next = Deed::HitWithRst;
                    self.forge_rst(internet, &tcp, end.wrapping_add(1));
                }
                Deed::HitWithRst if from == CLIENT => {
                    self.next = Deed::Nothing;
                    self.forge_rst(internet, &tcp, tcp.acknowledgment_number());
                }
                _ => {}
            }
        }
        // There may be nobody left to deliver it to.
        let _ = internet.deliver(frame);
    }

    /// Sends the client a RST that pretends to come from the server.
    fn forge_rst(&self, internet: &Internet, from_client: &TcpSlice<'_>, sequence_number: u32) {
        say(&self.time, "router", &format!("sends a RST with sequence number {sequence_number}"));
        let mut packet = Vec::new();
        PacketBuilder::ipv4(SERVER.octets(), CLIENT.octets(), 64)
            .tcp(from_client.destination_port(), from_client.source_port(), sequence_number, 0)
            .rst()
            .write(&mut packet, &[])
            .expect("a vector takes it all");
        self.trace.dump(&packet);
        let _ = internet.deliver(Frame::new(packet));
    }
}

/// The sender and the segment, if it is TCP over IPv4.
fn tcp_segment(packet: &[u8]) -> Option<(Ipv4Addr, TcpSlice<'_>)> {
    match SlicedPacket::from_ip(packet).ok()? {
        SlicedPacket { net: Some(NetSlice::Ipv4(ip)), transport: Some(TransportSlice::Tcp(tcp)), .. } => {
            Some((ip.header().source_addr(), tcp))
        }
        _ => None,
    }
}
