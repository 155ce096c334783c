//! No runtime at all: a thread for the router, one for the server, and `block_on` where something has to wait.

use std::error::Error;
use std::{future, thread};

use futures_lite::future::block_on;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Internet, MTU_ETHERNET};

fn main() -> Result<(), Box<dyn Error>> {
    let internet = Internet::new();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;

    let trace = uis_examples::capture(&internet, "threads")?;
    let router = internet.spawn_router({
        let trace = trace.clone();
        move |internet, frame| {
            trace.dump(frame.packet());
            internet.deliver(frame)
        }
    });

    let listener = server.listen_tcp("10.0.0.1:80")?;
    let serving = thread::spawn(move || {
        block_on(async {
            let (mut conn, peer) = listener.accept().await?;
            println!("server: {peer} is there");
            let mut question = String::new();
            conn.read_to_string(&mut question).await?;
            conn.write_all(question.to_uppercase().as_bytes()).await?;
            conn.close().await
        })
    });

    let mut conn = block_on(client.dial_tcp("10.0.0.1:80"))?;
    block_on(conn.write_all(b"is anybody there?"))?;
    block_on(conn.close())?;
    let mut answer = String::new();
    block_on(conn.read_to_string(&mut answer))?;
    println!("client: {answer}");
    serving.join().expect("the server does not panic")?;

    router.stop().expect("the router does not panic");
    // What it left in flight, such as the last ACK, should be in the capture too.
    block_on(internet.route_until(future::ready(()), |internet, frame| {
        trace.dump(frame.packet());
        internet.deliver(frame)
    }));
    trace.close()?;
    Ok(())
}
