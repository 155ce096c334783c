//! A client sends datagrams to a server, which sends them back. One of them is larger than the MTU, so that it
//! travels in fragments.

use std::error::Error;
use std::io;

use futures_lite::future::{block_on, try_zip};
use uis::{Internet, MTU_ETHERNET};

fn main() -> Result<(), Box<dyn Error>> {
    let internet = Internet::new();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;
    let questions = [b"Anybody there?".to_vec(), vec![b'?'; 4000]];

    let socket = server.listen_udp("10.0.0.1:7")?;
    let echo = async {
        let mut buf = [0; 65_535];
        for _ in &questions {
            let (n, peer) = socket.recv_from(&mut buf).await?;
            socket.send_to(&buf[..n], peer).await?;
        }
        io::Result::Ok(())
    };
    let conn = client.dial_udp("10.0.0.1:7")?;
    let ask = async {
        let mut buf = [0; 65_535];
        for question in &questions {
            conn.send(question).await?;
            let n = conn.recv(&mut buf).await?;
            assert_eq!(buf[..n], question[..]);
            println!("{n} bytes came back from {}", conn.peer_addr()?);
        }
        io::Result::Ok(())
    };

    let trace = uis_examples::capture(&internet, "udp_echo_ipv4")?;
    block_on(internet.route_until(try_zip(echo, ask), |internet, frame| {
        trace.dump(frame.packet());
        internet.deliver(frame)
    }))?;
    trace.close()?;
    println!("{} packets were sent", internet.stats().sent);
    Ok(())
}
