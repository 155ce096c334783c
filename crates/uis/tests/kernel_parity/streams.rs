//! What goes through a connection.

use std::io::{ErrorKind, IoSlice};

use futures_lite::future::zip;

use crate::world::*;

pub(crate) async fn bytes_go_both_ways_at_once(net: &impl Net) {
    let data = pattern(300_000);
    let (a, b) = net.connection().await;
    let ((mut ar, mut aw), (mut br, mut bw)) = (a.halves(), b.halves());
    let (sent, received) =
        zip(zip(send(&mut aw, &data), send(&mut bw, &data)), zip(ar.rest(), br.rest())).await;
    assert!(sent.0.is_ok() && sent.1.is_ok());
    assert!(received.0.unwrap() == data && received.1.unwrap() == data);
}

async fn send(to: &mut impl Writes, data: &[u8]) -> std::io::Result<()> {
    to.write_all(data).await?;
    to.shutdown().await
}

pub(crate) async fn connections_are_there_before_they_are_accepted(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut dialled = Vec::new();
    for n in 0..5 {
        let mut stream = net.dial(at).await.unwrap();
        stream.write_all(&[n]).await.unwrap();
        dialled.push(stream);
    }
    for (n, dialled) in (0..).zip(dialled) {
        let (mut accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, dialled.local_addr().unwrap(), "they come in order");
        assert_eq!(accepted.exactly(1).await.unwrap(), [n]);
    }
}

pub(crate) async fn each_way_is_closed_by_itself(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    assert_eq!(b.rest().await.unwrap(), b"question");
    // Long after: `a` still reads, and `b` still writes.
    net.moment().await;
    for _ in 0..3 {
        b.write_all(b"answer").await.unwrap();
        assert_eq!(a.exactly(6).await.unwrap(), b"answer");
    }
    b.shutdown().await.unwrap();
    assert_eq!(a.rest().await.unwrap(), b"");
}

pub(crate) async fn the_end_stays_the_end(net: &impl Net) {
    let (mut a, b) = net.connection().await;
    drop(b);
    let mut buf = [0; 8];
    for _ in 0..3 {
        assert_eq!(a.read(&mut buf).await.unwrap(), 0);
        assert_eq!(a.peek(&mut buf).await.unwrap(), 0);
        net.moment().await;
    }
    a.shutdown().await.unwrap();
    net.moment().await;
    assert_eq!(a.read(&mut buf).await.unwrap(), 0, "and with both ways closed");
}

pub(crate) async fn nothing_is_written_after_the_shutdown(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    a.shutdown().await.unwrap();
    for text in [&b"more"[..], b""] {
        assert_eq!(kind(a.write(text).await), ErrorKind::BrokenPipe, "{text:?}");
    }
    a.shutdown().await.unwrap(); // closed is what it was to be
    a.flush().await.unwrap();
    assert_eq!(b.rest().await.unwrap(), b"");
}

pub(crate) async fn peeking_takes_nothing(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let mut buf = [0; 16];
    assert!(polled(2, a.peek(&mut buf)).await.is_none(), "there is nothing yet");
    let (peeked, written) = zip(a.peek(&mut buf), b.write_all(b"abcdef")).await;
    written.unwrap();
    assert_eq!((peeked.unwrap(), &buf[..6]), (6, &b"abcdef"[..]));
    let mut short = [0; 2];
    for _ in 0..2 {
        assert_eq!((a.peek(&mut short).await.unwrap(), &short), (2, b"ab"));
    }
    assert_eq!(a.exactly(3).await.unwrap(), b"abc");
    assert_eq!((a.peek(&mut short).await.unwrap(), &short), (2, b"de"));
    b.shutdown().await.unwrap();
    assert_eq!(a.rest().await.unwrap(), b"def");
    assert_eq!(a.peek(&mut buf).await.unwrap(), 0);
}

pub(crate) async fn several_buffers_are_one_write(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let parts = [&b"one "[..], b"", b"two ", b"three"].map(IoSlice::new);
    assert_eq!(a.write_vectored(&parts).await.unwrap(), 13);
    assert_eq!(a.write_vectored(&[]).await.unwrap(), 0);
    assert_eq!(a.write_vectored(&[IoSlice::new(b"")]).await.unwrap(), 0);
    a.shutdown().await.unwrap();
    assert_eq!(b.rest().await.unwrap(), b"one two three");
}

pub(crate) async fn an_empty_write_writes_nothing(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    assert_eq!(a.write(b"").await.unwrap(), 0);
    a.write_all(b"").await.unwrap();
    a.flush().await.unwrap();
    net.moment().await;
    assert!(polled(2, b.read(&mut [0; 8])).await.is_none(), "it is no end of the stream either");
    a.write_all(b"x").await.unwrap();
    assert_eq!(b.exactly(1).await.unwrap(), b"x");
}

pub(crate) async fn a_long_write_arrives_whole(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let data = pattern(5_000_000);
    let reading = async {
        let (mut received, mut buf) = (Vec::new(), vec![0; 100_003]);
        for size in (1..).step_by(977) {
            match b.read(&mut buf[..size.min(100_003)]).await.unwrap() {
                0 => break,
                n => received.extend_from_slice(&buf[..n]),
            }
        }
        received
    };
    let (sent, received) = zip(send(&mut a, &data), reading).await;
    sent.unwrap();
    assert!(received == data);
}

pub(crate) async fn a_writer_waits_for_its_reader(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let chunk = pattern(64 << 10);
    let mut written = Vec::new();
    // How much fits is each one's own affair, and that there is an end to it is not.
    let mut stuck = 0;
    while stuck < 5 {
        match polled(1, a.write(&chunk)).await {
            Some(n) => {
                written.extend_from_slice(&chunk[..n.unwrap()]);
                stuck = 0;
            }
            None => {
                net.moment().await;
                stuck += 1;
            }
        }
        assert!(written.len() < 100 << 20, "it never waits");
    }
    assert!(written.len() >= chunk.len());
    // A write that waits goes on when somebody reads.
    let writing = async {
        a.write_all(&chunk).await.unwrap();
        a.shutdown().await.unwrap();
    };
    let ((), received) = zip(writing, b.rest()).await;
    assert!(received.unwrap() == [written, chunk].concat());
}

pub(crate) async fn readers_share_a_stream(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    let data = pattern(200_000);
    let reader = async || {
        let (mut received, mut buf) = (Vec::new(), [0; 1000]);
        loop {
            match a.read_shared(&mut buf).await.unwrap() {
                0 => return received,
                n => received.extend_from_slice(&buf[..n]),
            }
        }
    };
    // All of them wait before anything comes, and all see the end.
    let readers = zip(zip(reader(), reader()), reader());
    let writing = async {
        net.moment().await;
        for part in data.chunks(5000) {
            b.write_all(part).await.unwrap();
        }
        b.shutdown().await.unwrap();
    };
    let (((one, two), three), ()) = zip(readers, writing).await;
    let mut received = [one, two, three].concat();
    assert_eq!(received.len(), data.len());
    let mut sent = data;
    received.sort_unstable();
    sent.sort_unstable();
    assert!(received == sent, "each byte is read once");
}

pub(crate) async fn halves_have_lives_of_their_own(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    let (mut reader, mut writer) = a.halves();
    b.write_all(b"in").await.unwrap();
    assert_eq!(reader.exactly(2).await.unwrap(), b"in");
    drop(reader);
    writer.write_all(b"out").await.unwrap();
    assert_eq!(b.exactly(3).await.unwrap(), b"out");
    // The last of the two to go ends the connection; all was read, so it is no reset.
    drop(writer);
    assert_eq!(b.rest().await.unwrap(), b"");
}

pub(crate) async fn a_dropped_write_half<N: Net>(net: &N) {
    let (a, mut b) = net.connection().await;
    let (mut reader, mut writer) = a.halves();
    writer.write_all(b"last words").await.unwrap();
    drop(writer);
    assert_eq!(b.exactly(10).await.unwrap(), b"last words");
    if N::Stream::DROPPED_WRITE_HALF_CLOSES {
        assert_eq!(b.rest().await.unwrap(), b"");
    } else {
        net.moment().await;
        assert!(polled(2, b.read(&mut [0])).await.is_none(), "the other clone may write still");
    }
    b.write_all(b"understood").await.unwrap();
    assert_eq!(reader.exactly(10).await.unwrap(), b"understood");
}

pub(crate) async fn halves_become_a_stream_again<N: Net>(net: &N) {
    let (a, mut b) = net.connection().await;
    let (c, _d) = net.connection().await;
    let mut a = N::Stream::whole(a.halves()).unwrap();
    a.write_all(b"out").await.unwrap();
    assert_eq!(b.exactly(3).await.unwrap(), b"out");
    b.write_all(b"in").await.unwrap();
    assert_eq!(a.exactly(2).await.unwrap(), b"in");
    let ((reader, _), (_, writer)) = (a.halves(), c.halves());
    assert!(N::Stream::whole((reader, writer)).is_none());
}

pub(crate) async fn acceptors_share_a_listener(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    assert!(polled(2, listener.accept()).await.is_none());
    let dialling = async {
        net.moment().await;
        (net.dial(at).await.unwrap(), net.dial(at).await.unwrap())
    };
    let ((one, other), dialled) = zip(zip(listener.accept(), listener.accept()), dialling).await;
    let mut accepted = [one.unwrap().1, other.unwrap().1];
    let mut peers = [dialled.0.local_addr().unwrap(), dialled.1.local_addr().unwrap()];
    accepted.sort();
    peers.sort();
    assert_eq!(accepted, peers);
}

pub(crate) async fn an_accept_that_is_given_up_takes_nobody(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    for _ in 0..5 {
        assert!(polled(1, listener.accept()).await.is_none());
        let dialled = net.dial(listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = net.until(async || polled(1, listener.accept()).await).await.unwrap();
        assert_eq!(peer, dialled.local_addr().unwrap());
    }
}

pub(crate) async fn a_read_that_is_given_up_takes_nothing(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let data = pattern(1000);
    let mut buf = [0; 16];
    for part in data.chunks(100) {
        assert!(polled(1, a.read(&mut buf)).await.is_none());
        b.write_all(part).await.unwrap();
        let mut received = Vec::new();
        while received.len() < part.len() {
            if let Some(n) = polled(1, a.read(&mut buf)).await {
                received.extend_from_slice(&buf[..n.unwrap()]);
            } else {
                net.moment().await;
            }
        }
        assert_eq!(received, part);
    }
}
