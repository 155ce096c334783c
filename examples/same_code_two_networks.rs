//! One function, generic over the network, runs over the simulated internet and over the kernel's loopback.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use futures_lite::future::{block_on, try_zip};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uis::{Accept, AsyncIoNet, Dial, Internet, Listen, MTU_ETHERNET};

/// Sends `text` from `client` to a server at `at`, which answers with the same in capitals.
async fn shout<S, C>(server: &S, client: &C, at: SocketAddr, text: &str) -> io::Result<String>
where
    S: Listen<Listener: Accept<Stream: AsyncRead + AsyncWrite>>,
    C: Dial<Stream: AsyncRead + AsyncWrite>,
{
    let listener = server.listen_tcp(at).await?;
    let at = listener.local_addr()?; // with the port that it got
    let serve = async {
        let (mut conn, _peer) = listener.accept().await?;
        let mut text = String::new();
        conn.read_to_string(&mut text).await?;
        conn.write_all(text.to_uppercase().as_bytes()).await?;
        conn.close().await
    };
    let ask = async {
        let mut conn = client.dial_tcp(at).await?;
        conn.write_all(text.as_bytes()).await?;
        conn.close().await?;
        let mut answer = String::new();
        conn.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let ((), answer) = try_zip(serve, ask).await?;
    Ok(answer)
}

fn main() -> Result<(), Box<dyn Error>> {
    let at = "127.0.0.1:0".parse()?;
    let answer = block_on(shout(&AsyncIoNet, &AsyncIoNet, at, "over the kernel's loopback"))?;
    println!("{answer}");

    let internet = Internet::new();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;
    let at = "10.0.0.1:0".parse()?;
    let trace = uis_examples::capture(&internet, "same_code_two_networks")?;
    let test = shout(&server, &client, at, "over a simulated internet");
    let answer = block_on(internet.route_until(test, |internet, frame| {
        trace.dump(frame.packet());
        internet.deliver(frame)
    }))?;
    trace.close()?;
    println!("{answer}");
    Ok(())
}
