//! Very many connections.

mod common;

use common::*;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn ten_thousand_connections_at_once() {
    const N: usize = 10_000;
    Lab::new(1).config(StackConfig::small()).run(async |net| {
        let listener = net.server.listen_tcp("[::]:80").unwrap();
        let mut streams = Vec::new();
        for n in 0..N {
            let dialled = net.client.dial_tcp(AT[n % 2]).await.unwrap();
            streams.push((listener.accept().await.unwrap().0, dialled));
        }
        assert_eq!((net.server.stats().connections, net.client.stats().connections), (N as u64, N as u64));

        // Any of them works as if it were alone.
        for n in [0, 1, N / 2, N - 2, N - 1] {
            let (a, b) = &mut streams[n];
            let mut buf = [0; 8];
            for _ in 0..10 {
                b.write_all(b"ping").await.unwrap();
                assert_eq!(a.read(&mut buf).await.unwrap(), 4);
                a.write_all(b"pong").await.unwrap();
                assert_eq!(b.read(&mut buf).await.unwrap(), 4);
            }
        }
        for (a, b) in streams.drain(..) {
            drop(b);
            drop(a);
            futures_lite::future::yield_now().await;
        }
        net.sleep(secs(1)).await;
        net.assert_no_flows();
        net.sleep(secs(61)).await;
        assert_eq!(net.client.stats().time_wait + net.server.stats().time_wait, 0);
    });
}

#[test]
fn a_hundred_stacks_talk_to_one() {
    lab(1, async |net| {
        let listener = net.server.listen_tcp("0.0.0.0:80").unwrap();
        let mut clients = Vec::new();
        for n in 0..100_u8 {
            let client = net.internet.new_stack(MTU_ETHERNET, [[10, 0, 1, n].into()]).unwrap();
            let dialled = client.dial_tcp(AT[0]).await.unwrap();
            clients.push((listener.accept().await.unwrap().0, dialled, client));
        }
        for (n, (mut a, mut b, client)) in clients.into_iter().enumerate() {
            assert_eq!(a.peer_addr().unwrap().ip(), client.addrs()[0]);
            b.write_all(&[n as u8]).await.unwrap();
            let mut byte = [0];
            a.read_exact(&mut byte).await.unwrap();
            assert_eq!(usize::from(byte[0]), n);
            client.close();
        }
        net.sleep(secs(1)).await;
        assert_eq!(net.server.stats().connections, 0);
    });
}
