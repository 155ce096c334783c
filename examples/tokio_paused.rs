//! Under tokio's paused time: tokio's sleeps and time-outs and our retransmissions share one clock, which moves only
//! when every task waits. Twenty clients download over a slow path that loses packets, and it takes no time.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use uis::{Internet, MTU_ETHERNET, TokioClock};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let real = std::time::Instant::now();
    let began = Instant::now();
    let internet = Internet::builder().clock(TokioClock::new()).build();
    let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;

    // In a task, not on a thread: tokio moves its time when its tasks wait, and knows of no others.
    let trace = uis_examples::capture(&internet, "tokio_paused")?;
    let (router, capture) = (internet.clone(), trace.clone());
    tokio::spawn(async move {
        let mut n = 0;
        let each = |internet: &Internet, frame: uis::Frame| {
            capture.dump(frame.packet());
            n += 1;
            if n % 50 == 0 { Ok(()) } else { internet.deliver_after(frame, Duration::from_millis(150)) }
        };
        router.route(each).await;
    });

    let listener = server.listen_tcp("10.0.0.1:80")?;
    tokio::spawn(async move {
        while let Ok((mut conn, _peer)) = listener.accept().await {
            tokio::spawn(async move {
                sleep(Duration::from_secs(2)).await; // think first
                conn.write_all(&[b'x'; 20_000]).await?;
                conn.shutdown().await
            });
        }
    });
    let downloads: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(timeout(Duration::from_secs(60), async move {
                let mut conn = client.dial_tcp("10.0.0.1:80").await?;
                let mut data = Vec::new();
                conn.read_to_end(&mut data).await?;
                conn.shutdown().await?;
                io::Result::Ok((data.len(), Instant::now()))
            }))
        })
        .collect();
    let mut last = began;
    for download in downloads {
        let (len, at) = download.await???;
        assert_eq!(len, 20_000);
        last = last.max(at);
    }
    sleep(Duration::from_secs(90)).await; // until all connections have said goodbye
    trace.close()?;

    println!("20 downloads took {:.2?} of paused time", last - began);
    println!("{} packets were sent, {} were lost", internet.stats().sent, internet.stats().withheld());
    println!("{:?} of paused time took {:.2?}", began.elapsed(), real.elapsed());
    Ok(())
}
