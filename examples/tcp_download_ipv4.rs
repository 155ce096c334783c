//! A client downloads a greeting from a server, both in this process, and every packet between them is captured.

use std::error::Error;
use std::io;

use futures_lite::future::{block_on, try_zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Internet, MTU_ETHERNET};

fn main() -> Result<(), Box<dyn Error>> {
    let internet = Internet::new();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;

    let listener = server.listen_tcp("10.0.0.1:80")?;
    let serve = async {
        let (mut conn, _peer) = listener.accept().await?;
        conn.write_all(b"Hello, world!\n").await?;
        conn.close().await
    };
    let fetch = async {
        let mut conn = client.dial_tcp("10.0.0.1:80").await?;
        let mut text = String::new();
        conn.read_to_string(&mut text).await?;
        io::Result::Ok(text)
    };

    // Nothing moves but what this closure delivers.
    let trace = uis_examples::capture(&internet, "tcp_download_ipv4")?;
    let ((), text) = block_on(internet.route_until(try_zip(serve, fetch), |internet, frame| {
        trace.dump(frame.packet());
        internet.deliver(frame)
    }))?;
    trace.close()?;

    print!("{text}");
    Ok(())
}
