//! The UDP echo over IPv6. It is also routed by hand: a loop over the packets in flight, raced against the test.

use std::error::Error;
use std::io;

use futures_lite::future::{block_on, or, try_zip};
use uis::{Internet, MTU_MINIMUM_IPV6};

fn main() -> Result<(), Box<dyn Error>> {
    let internet = Internet::new();
    let server = internet.new_stack(MTU_MINIMUM_IPV6, ["fd00::1".parse()?])?;
    let client = internet.new_stack(MTU_MINIMUM_IPV6, ["fd00::2".parse()?])?;

    let socket = server.listen_udp("[fd00::1]:7")?;
    let echo = async {
        let mut buf = [0; 1500];
        let (n, peer) = socket.recv_from(&mut buf).await?;
        socket.send_to(&buf[..n], peer).await
    };
    let conn = client.dial_udp("[fd00::1]:7")?;
    let ask = async {
        let mut buf = [0; 1500];
        conn.send(b"Anybody there?").await?;
        let n = conn.recv(&mut buf).await?;
        io::Result::Ok(String::from_utf8_lossy(&buf[..n]).into_owned())
    };

    let trace = uis_examples::capture(&internet, "udp_echo_ipv6")?;
    let in_flight = internet.in_flight();
    let route = async {
        while let Some(frame) = in_flight.recv().await {
            if let (Some(src), Some(dst)) = (frame.src(), frame.dst()) {
                println!("{} bytes from {src} to {dst}", frame.len());
            }
            trace.dump(frame.packet());
            if let Err(undelivered) = internet.deliver(frame) {
                println!("not delivered: {}", undelivered.reason());
            }
        }
        Err(io::ErrorKind::NetworkDown.into()) // the internet was closed
    };
    let (_, text) = block_on(or(try_zip(echo, ask), route))?;
    trace.close()?;

    println!("{text}");
    Ok(())
}
