//! The real network's twins: futures of `AsyncIoNet` and `TokioNet` that are dropped before they are ready. A kernel is on the
//! other side, on the loopback interface, so how often each is polled is not ours to say; that nothing is lost is.

mod common;

use std::io;
use std::net::SocketAddr;

use common::*;
use futures_lite::future::zip;

const LOOPBACK: &str = "127.0.0.1:0";

/// Connections that were dialled come in, though who accepts gives up again and again; those given up are closed.
async fn connections<N: Dial + Listen>(net: &N) -> io::Result<()> {
    let listener = net.listen_tcp(LOOPBACK.parse().unwrap()).await?;
    let at = listener.local_addr()?;
    for k in 0..3 {
        let accepting = async {
            loop {
                if let Some(accepted) = cancel_after(k, listener.accept()).await {
                    break accepted;
                }
                // With k = 0 nothing would ever come of it.
                if let Some(accepted) = cancel_after(k + 1, listener.accept()).await {
                    break accepted;
                }
                futures_lite::future::yield_now().await;
            }
        };
        let (accepted, dialled) = zip(accepting, net.dial_tcp(at)).await;
        drop((accepted?, dialled?));
    }
    for k in 0..2 {
        for _ in 0..10 {
            drop(cancel_after(k, net.dial_tcp(at)).await);
        }
    }
    Ok(())
}

/// All datagrams arrive once and in order, whatever was given up.
async fn datagrams<N: Dial + Listen>(net: &N) -> io::Result<()> {
    let socket = net.listen_udp(LOOPBACK.parse().unwrap()).await?;
    let at: SocketAddr = Datagrams::local_addr(&socket)?;
    let client = Dial::dial_udp(net, at).await?;
    for k in 0..3 {
        for n in 0..20_u32 {
            let mut buf = [0; 8];
            // Once at most, for nothing that was sent would wake it.
            assert!(cancel_after(k.min(1), socket.recv_from(&mut buf)).await.is_none());
            let sent = cancel_after(k, client.send(&n.to_be_bytes())).await;
            if sent.is_none() {
                client.send(&n.to_be_bytes()).await?;
            }
            let (len, from) = match cancel_after(k, socket.recv_from(&mut buf)).await {
                Some(received) => received?,
                None => socket.recv_from(&mut buf).await?,
            };
            assert_eq!((len, u32::from_be_bytes(buf[..4].try_into().unwrap())), (4, n));
            assert!(cancel_after(k.min(1), client.recv(&mut buf)).await.is_none());
            if cancel_after(k, socket.send_to(b"back", from)).await.is_none() {
                socket.send_to(b"back", from).await?;
            }
            assert_eq!(client.recv(&mut buf).await?, 4);
        }
    }
    Ok(())
}

#[test]
fn with_async_io() {
    futures_lite::future::block_on(async {
        connections(&AsyncIoNet).await.unwrap();
        datagrams(&AsyncIoNet).await.unwrap();
    });
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn with_tokio() {
    connections(&TokioNet).await.unwrap();
    datagrams(&TokioNet).await.unwrap();
}
