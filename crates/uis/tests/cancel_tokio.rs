//! The halves of a stream, by tokio's traits, in futures that are dropped before they are ready.
#![cfg(feature = "tokio")]

#[macro_use]
mod common;

use common::*;
use futures_lite::future::zip;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn reads_peeks_writes_and_shutdowns_of_halves() {
    let config = StackConfig::default().recv_buffer(3000).send_buffer(3000);
    for k in 0..8 {
        Lab::new(2)
            .config(config.clone())
            .path(Faults { seed: 2, delay: ms(2), jitter: ms(2), ..Faults::default() }.path())
            .run(async |net| {
                let (a, b) = net.connect(AT[0]).await;
                let ((mut a, a_write), (_b_read, mut b)) = (a.into_split(), b.into_split());
                let data = noise(k as u64, 40_000);
                let writing = async {
                    let mut written = 0;
                    while written < data.len() {
                        let rest = &data[written..data.len().min(written + 2000)];
                        if let Some(n) = cancel_after(k, b.write(rest)).await {
                            written += n.unwrap();
                        }
                        cancel_after(k, b.flush()).await;
                        cancel_after(k, b.writable()).await;
                        let rest = &data[written..data.len().min(written + 700)];
                        written += b.write(rest).await.unwrap();
                    }
                    cancel_after(k, b.shutdown()).await;
                    b.shutdown().await.unwrap();
                };
                let reading = async { read_giving_up!(a, k, data) };
                let ((), got) = net.soon(zip(writing, reading)).await;
                assert!(got == data, "k = {k}");
                drop((a, a_write, _b_read, b));
                net.sleep(secs(1)).await;
                net.assert_no_flows();
            });
    }
}
