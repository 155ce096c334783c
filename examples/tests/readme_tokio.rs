//! The first program of the README.

use std::error::Error;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uis::{Internet, MTU_ETHERNET, PcapTrace};

#[tokio::test]
async fn two_downloads_at_once() -> Result<(), Box<dyn Error>> {
    let internet = Internet::new();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;

    let listener = server.listen_tcp("10.0.0.1:80")?;
    tokio::spawn(async move {
        while let Ok((mut conn, _peer)) = listener.accept().await {
            conn.write_all(b"Hello, world!").await?;
            conn.shutdown().await?;
        }
        io::Result::Ok(())
    });
    let download = async || {
        let mut conn = client.dial_tcp("10.0.0.1:80").await?;
        let mut text = String::new();
        conn.read_to_string(&mut text).await?;
        io::Result::Ok(text)
    };

    // Every packet comes through here. Nothing arrives but what is delivered.
    let trace = PcapTrace::create(std::env::temp_dir().join("hello.pcap"), 0)?;
    let downloads = async { tokio::join!(download(), download()) };
    let (one, two) = internet
        .route_until(downloads, |internet, frame| {
            trace.dump(frame.packet());
            internet.deliver(frame)
        })
        .await;
    trace.close()?;

    assert_eq!((one?, two?), ("Hello, world!".into(), "Hello, world!".into()));
    Ok(())
}
