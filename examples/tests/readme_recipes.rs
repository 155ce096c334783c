//! The recipes of the README, at work.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use futures_lite::future::try_zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Frame, Instant, Internet, MTU_ETHERNET, VirtualClock};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

/// A download of 100,000 bytes over `router`: how it ended, and when, in milliseconds.
fn download<R>(router: impl FnMut(&Internet, Frame) -> R) -> (io::Result<usize>, u64) {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).build();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse().unwrap()]).unwrap();
    let client = internet.new_stack(MTU_ETHERNET, [CLIENT]).unwrap();
    let listener = server.listen_tcp("10.0.0.1:80").unwrap();
    let serve = async {
        let (mut conn, _peer) = listener.accept().await?;
        // Whether the client gets it is for the client to say.
        let _ = conn.write_all(&[7; 100_000]).await;
        let _ = conn.close().await;
        io::Result::Ok(())
    };
    let fetch = async {
        let mut conn = client.dial_tcp("10.0.0.1:80").await?;
        let mut received = Vec::new();
        let outcome = conn.read_to_end(&mut received).await;
        Ok((outcome, (internet.clock().now() - Instant::ZERO).as_millis() as u64))
    };
    let ((), outcome) = clock.block_on(internet.route_until(try_zip(serve, fetch), router)).unwrap();
    outcome
}

#[test]
fn nothing_happens_to_the_packets() {
    let (received, ended) = download(Internet::deliver);
    assert_eq!(received.unwrap(), 100_000);
    assert!(ended < 1000, "nothing is lost, nothing waits for long: {ended}");
}

#[test]
fn drop_one_packet() {
    let mut n = 0;
    let router = |internet: &Internet, frame: Frame| {
        n += 1;
        if n == 1 { Ok(()) } else { internet.deliver(frame) }
    };
    let (received, ended) = download(router);
    assert_eq!(received.unwrap(), 100_000);
    assert!((1000..2000).contains(&ended), "the SYN is sent again after a second: {ended}");
}

#[test]
fn delay_all_packets() {
    let router = |internet: &Internet, frame: Frame| {
        internet.deliver_after(frame, Duration::from_millis(20)) // one way
    };
    let (received, ended) = download(router);
    assert_eq!(received.unwrap(), 100_000);
    assert!((80..1000).contains(&ended), "the handshake and the data take two round trips at least: {ended}");
}

#[test]
fn inject_a_rst() {
    let mut acks = 0;
    let router = |internet: &Internet, frame: Frame| {
        acks += u32::from(frame.src() == Some(CLIENT));
        // The one that completes the handshake: no data is under way yet that would make the number an old one.
        if acks == 2 {
            internet.deliver(reset(&frame).expect("an ACK"))?;
        }
        internet.deliver(frame)
    };
    let (received, _) = download(router);
    assert_eq!(received.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

/// The RST that ends the connection of whoever sent this ACK. What it acknowledges is the only sequence
/// number that it heeds in a RST (RFC 5961).
fn reset(ack: &Frame) -> Option<Frame> {
    let ack = SlicedPacket::from_ip(ack.packet()).ok()?;
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (&ack.net, &ack.transport) else {
        return None;
    };
    let mut rst = Vec::new();
    PacketBuilder::ipv4(ip.header().destination(), ip.header().source(), 64)
        .tcp(tcp.destination_port(), tcp.source_port(), tcp.acknowledgment_number(), 0)
        .rst()
        .write(&mut rst, &[])
        .ok()?;
    Some(Frame::new(rst))
}

#[test]
fn an_hour_passes_in_no_time() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(7).build();
    clock.block_on(internet.clock().sleep(Duration::from_secs(3600)));
    assert_eq!(clock.now(), Instant::from_secs(3600));
}
