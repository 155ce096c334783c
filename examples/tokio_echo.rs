//! An echo server and its clients as tokio tasks: spawned, joined, with tokio's I/O traits. Only where the sockets
//! come from differs from `tokio::net`.

use std::error::Error;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uis::{Internet, MTU_ETHERNET, Stack, TcpListener, TcpStream};

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            let outcome = tokio::io::copy(&mut reader, &mut writer).await;
            println!("server: {outcome:?} bytes from {peer}");
        });
    }
}

async fn ask(client: Stack, question: String) -> io::Result<String> {
    let mut conn = TcpStream::connect(&client, "[fd00::1]:7").await?;
    conn.write_all(question.as_bytes()).await?;
    conn.shutdown().await?;
    let mut echo = String::new();
    conn.read_to_string(&mut echo).await?;
    Ok(echo)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let internet = Internet::new();
    let server = internet.new_stack(MTU_ETHERNET, ["fd00::1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["fd00::2".parse()?])?;

    let server = tokio::spawn(serve(TcpListener::bind(&server, "[::]:7")?));
    let clients = ["one", "two", "three"].map(|word| tokio::spawn(ask(client.clone(), word.repeat(1000))));
    let clients = async {
        for asking in clients {
            let echo = asking.await.expect("no task panics")?;
            println!("client: {} bytes came back, {}…", echo.len(), &echo[..9]);
        }
        io::Result::Ok(())
    };

    let trace = uis_examples::capture(&internet, "tokio_echo")?;
    internet
        .route_until(clients, |internet, frame| {
            trace.dump(frame.packet());
            internet.deliver(frame)
        })
        .await?;
    trace.close()?;
    server.abort();
    Ok(())
}
