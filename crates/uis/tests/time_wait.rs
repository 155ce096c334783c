//! TIME-WAIT: counted, expiring, in nobody's way.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// Opens a connection, says hello, and closes it, the client first or the server.
async fn one(listener: &TcpListener, client: &Stack, client_first: bool) -> std::net::SocketAddr {
    let (a, b) = connect(listener, client).await;
    let from = b.local_addr().unwrap();
    let (first, second) = if client_first { (b, a) } else { (a, b) };
    send(&first, b"hello").await.unwrap();
    assert_eq!(receive(&second).await.unwrap(), b"hello");
    drop(second);
    assert_eq!(receive(&first).await.unwrap(), b"");
    from
}

#[test]
fn it_is_with_who_closed_first_and_it_expires() {
    for client_first in [true, false] {
        lab(1, async |net| {
            let listener = net.server.listen_tcp(AT[0]).unwrap();
            for n in 0..3_u64 {
                one(&listener, &net.client, client_first).await;
                net.sleep(secs(10)).await;
                let (who, other) = if client_first {
                    (net.client.stats(), net.server.stats())
                } else {
                    (net.server.stats(), net.client.stats())
                };
                assert_eq!((who.time_wait, other.time_wait), (n + 1, 0));
                net.assert_no_flows();
            }
            let waiting = || net.client.stats().time_wait + net.server.stats().time_wait;
            // They began at about 0, 10 and 20 s, and now it is 30 s.
            for (until, left) in [(59, 3), (61, 2), (69, 2), (71, 1), (79, 1), (81, 0)] {
                net.internet.clock().sleep_until(Instant::from_secs(until)).await;
                assert_eq!(waiting(), left, "after {until} s");
            }
        });
    }
}

#[test]
fn its_length_can_be_set() {
    let config = StackConfig::default().time_wait(secs(1));
    Lab::new(1).config(config).run(async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        one(&listener, &net.client, true).await;
        net.sleep(ms(900)).await;
        assert_eq!(net.client.stats().time_wait, 1);
        net.sleep(ms(200)).await;
        assert_eq!(net.client.stats().time_wait, 0);
    });
}

#[test]
fn a_dial_may_take_the_ports_of_its_own() {
    for client_first in [true, false] {
        lab(1, async |net| {
            let listener = net.server.listen_tcp(AT[0]).unwrap();
            let from = one(&listener, &net.client, client_first).await;
            net.sleep(ms(10)).await;
            for _ in 0..3 {
                let dial = net.client.dial_tcp_from(from, AT[0]);
                let (accepted, dialled) = net.soon(zip(listener.accept(), dial)).await;
                let (accepted, dialled) = (accepted.unwrap(), dialled.unwrap());
                assert_eq!(accepted.1, from);
                exchange(accepted.0, dialled, 5000).await;
                net.sleep(ms(10)).await;
            }
            assert!(net.now() - Instant::ZERO < secs(1), "no SYN was in vain");
        });
    }
}

#[test]
fn a_late_fin_is_acknowledged_again() {
    // The last acknowledgment is lost, so the second to close sends its FIN again.
    let lose = Rc::new(Cell::new(false));
    let lost = Rc::new(Cell::new(0));
    let path = {
        let (lose, lost) = (lose.clone(), lost.clone());
        move |internet: &Internet, frame: Frame| {
            let seen = look(&frame).unwrap();
            if lose.get() && seen.dst.port() == 80 && seen.flags == ACK {
                lost.set(lost.get() + 1);
                lose.set(false);
            } else {
                let _ = internet.deliver(frame);
            }
        }
    };
    Lab::new(1).path(path).run(async |net| {
        let (a, b) = net.connect(AT[0]).await;
        send(&b, b"").await.unwrap();
        assert_eq!(receive(&a).await.unwrap(), b"");
        net.sleep(ms(50)).await;
        lose.set(true);
        drop(a);
        net.sleep(ms(1)).await;
        assert_eq!((lost.get(), net.server.stats().connections), (1, 1));
        assert_eq!(net.client.stats().time_wait, 1);
        net.sleep(ms(300)).await;
        net.assert_no_flows();
        drop(b);
    });
}

#[test]
fn twenty_thousand_connections_in_a_row() {
    Lab::new(1).config(StackConfig::small()).run(async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        for n in 0..20_000_u32 {
            let (mut a, mut b) = connect(&listener, &net.client).await;
            b.write_all(&n.to_be_bytes()).await.unwrap();
            drop(b); // the client closes first, and is in TIME-WAIT
            let mut got = [0; 4];
            a.read_exact(&mut got).await.unwrap();
            assert_eq!(u32::from_be_bytes(got), n);
        }
        net.sleep(ms(50)).await;
        net.assert_no_flows();
        assert!(net.client.stats().time_wait <= 16_384);
    });
}

#[test]
fn all_ephemeral_ports_taken_is_an_error_and_not_for_long() {
    Lab::new(1).config(StackConfig::small().send_buffer(64).recv_buffer(64)).run(async |net| {
        let listener = ListenConfig::new(&net.server).backlog(20_000).listen(AT[0]).unwrap();
        let mut streams = Vec::new();
        let error = loop {
            match net.client.dial_tcp(AT[0]).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
        assert_eq!(streams.len(), 16_384);
        // Another peer is another matter.
        let other = net.server.listen_tcp("10.0.0.1:81").unwrap();
        connect(&other, &net.client).await;
        streams.pop().unwrap().abort();
        net.client.dial_tcp(AT[0]).await.unwrap();
        listener.close();
    });
}
