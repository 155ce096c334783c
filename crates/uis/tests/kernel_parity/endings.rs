//! How connections end.

use std::io::ErrorKind;

use futures_lite::future::zip;

use crate::world::*;

pub(crate) async fn a_drop_sends_what_was_written(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let data = pattern(100_000);
    let writing = async {
        a.write_all(&data).await.unwrap();
        drop(a);
    };
    let ((), received) = zip(writing, b.rest()).await;
    assert!(received.unwrap() == data);
}

pub(crate) async fn a_drop_with_unread_data_resets(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    b.write_all(b"never read").await.unwrap();
    let mut buf = [0; 16];
    assert_eq!(a.peek(&mut buf).await.unwrap(), 10); // it is there
    drop(a);
    assert_eq!(kind(b.read(&mut buf).await), ErrorKind::ConnectionReset);
}

pub(crate) async fn a_linger_time_of_0_resets(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    a.reset_when_dropped();
    drop(a);
    assert_eq!(kind(b.read(&mut [0; 16]).await), ErrorKind::ConnectionReset);
}

pub(crate) async fn what_was_received_is_read_before_the_reset(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    a.reset_when_dropped();
    a.write_all(b"last words").await.unwrap();
    let mut buf = [0; 4];
    assert_eq!(b.peek(&mut buf).await.unwrap(), 4); // they have arrived
    drop(a);
    net.moment().await;
    assert_eq!(b.exactly(10).await.unwrap(), b"last words");
    assert_eq!(kind(b.read(&mut buf).await), ErrorKind::ConnectionReset);
}

pub(crate) async fn a_reset_wakes_a_reader(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    a.reset_when_dropped();
    let resetting = async {
        net.moment().await;
        drop(a);
    };
    let (read, ()) = zip(b.rest(), resetting).await;
    assert_eq!(kind(read), ErrorKind::ConnectionReset);
}

pub(crate) async fn a_reset_wakes_a_writer(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    let writing = async {
        let data = pattern(1 << 20);
        loop {
            if let Err(error) = b.write_all(&data).await {
                return error.kind();
            }
        }
    };
    let resetting = async {
        // By then it waits for a reader; and what has come is not read.
        for _ in 0..20 {
            net.moment().await;
        }
        drop(a);
    };
    assert_eq!(zip(writing, resetting).await.0, ErrorKind::ConnectionReset);
}

pub(crate) async fn a_reset_ends_a_half_closed_stream(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    b.shutdown().await.unwrap();
    net.moment().await;
    a.reset_when_dropped();
    drop(a);
    assert_eq!(kind(b.read(&mut [0; 16]).await), ErrorKind::ConnectionReset);
}

pub(crate) async fn a_reset_is_an_error_that_can_be_taken(net: &impl Net) {
    let (a, b) = net.connection().await;
    assert!(b.take_error().unwrap().is_none());
    a.reset_when_dropped();
    drop(a);
    let error = net.until(async || b.take_error().unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(b.take_error().unwrap().is_none(), "once");
}

pub(crate) async fn after_a_reset<N: Net>(net: &N) {
    let (a, mut b) = net.connection().await;
    let (local, peer) = (b.local_addr().unwrap(), b.peer_addr().unwrap());
    a.reset_when_dropped();
    drop(a);
    let mut buf = [0; 16];
    assert_eq!(kind(b.read(&mut buf).await), ErrorKind::ConnectionReset);
    if N::KERNEL {
        // The first to ask is told, and to all others it is over.
        assert_eq!(b.read(&mut buf).await.unwrap(), 0);
        assert_eq!(kind(b.write(b"more").await), ErrorKind::BrokenPipe);
        assert_eq!(kind(b.peer_addr()), ErrorKind::NotConnected);
    } else {
        assert_eq!(kind(b.read(&mut buf).await), ErrorKind::ConnectionReset);
        assert_eq!(kind(b.write(b"more").await), ErrorKind::ConnectionReset);
        assert_eq!(b.peer_addr().unwrap(), peer);
    }
    assert_eq!(b.local_addr().unwrap(), local);
}

pub(crate) async fn options_outlive_the_connection(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    a.reset_when_dropped();
    drop(a);
    assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::ConnectionReset);
    let (mut c, mut d) = net.connection().await;
    c.shutdown().await.unwrap();
    d.shutdown().await.unwrap();
    assert_eq!((c.rest().await.unwrap(), d.rest().await.unwrap()), (vec![], vec![]));
    net.moment().await;
    // Servers set options of whatever they accept, and it may be over by then.
    for stream in [b, c, d] {
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        stream.set_ttl(7).unwrap();
        assert_eq!(stream.ttl().unwrap(), 7);
    }
}

pub(crate) async fn what_is_over_can_be_shut_down(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    a.reset_when_dropped();
    drop(a);
    assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::ConnectionReset);
    let (mut c, mut d) = net.connection().await;
    c.shutdown().await.unwrap();
    d.shutdown().await.unwrap();
    assert_eq!((c.rest().await.unwrap(), d.rest().await.unwrap()), (vec![], vec![]));
    net.moment().await;
    for mut stream in [b, c, d] {
        // tokio takes it for done; async-net hands on what the kernel says.
        if let Err(error) = stream.shutdown().await {
            assert_eq!(error.kind(), ErrorKind::NotConnected);
        }
    }
}

pub(crate) async fn writing_to_one_who_has_gone(net: &impl Net) {
    let (a, mut b) = net.connection().await;
    drop(a);
    let mut buf = [0; 16];
    assert_eq!(b.read(&mut buf).await.unwrap(), 0);
    // That nobody reads is known once the first write was answered, with a RST.
    b.write_all(b"anybody?").await.unwrap();
    let error = net.until(async || b.write(b"anybody?").await.err()).await;
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(kind(b.write(b"anybody?").await), ErrorKind::BrokenPipe);
    // The peer had closed in order, so the stream that it sent has an end and no error.
    assert_eq!(b.read(&mut buf).await.unwrap(), 0);
}

pub(crate) async fn unread_data_after_a_shutdown_breaks_the_pipe(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    a.write_all(b"whole").await.unwrap();
    a.shutdown().await.unwrap();
    b.write_all(b"never read").await.unwrap();
    assert_eq!(a.peek(&mut [0; 10]).await.unwrap(), 10);
    drop(a);
    let error = net.until(async || b.write(b"more").await.err()).await;
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(b.rest().await.unwrap(), b"whole");
}

pub(crate) async fn both_shut_down_at_once(net: &impl Net) {
    let (mut a, mut b) = net.connection().await;
    let (one, other) = zip(a.shutdown(), b.shutdown()).await;
    one.unwrap();
    other.unwrap();
    assert_eq!(a.rest().await.unwrap(), b"");
    assert_eq!(b.rest().await.unwrap(), b"");
    // It is over, by and by on both sides. Nothing is wrong with it.
    net.moment().await;
    assert!(a.take_error().unwrap().is_none() && b.take_error().unwrap().is_none());
    assert_eq!(kind(a.write(b"more").await), ErrorKind::BrokenPipe);
}

pub(crate) async fn one_who_was_not_accepted_may_go(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let mut dialled = net.dial(listener.local_addr().unwrap()).await.unwrap();
    let addr = dialled.local_addr().unwrap();
    dialled.write_all(b"I was here").await.unwrap();
    drop(dialled);
    net.moment().await;
    let (mut accepted, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, addr);
    assert_eq!(accepted.rest().await.unwrap(), b"I was here");
}

pub(crate) async fn one_who_was_not_accepted_may_reset(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let dialled = net.dial(listener.local_addr().unwrap()).await.unwrap();
    let addr = dialled.local_addr().unwrap();
    dialled.reset_when_dropped();
    drop(dialled);
    net.moment().await;
    // It is accepted all the same, and its error is the stream's and not the listener's.
    let (mut accepted, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, addr);
    assert_eq!(kind(accepted.read(&mut [0; 8]).await), ErrorKind::ConnectionReset);
}

pub(crate) async fn a_listener_that_goes_resets_who_waits(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let mut dialled = net.dial(listener.local_addr().unwrap()).await.unwrap();
    drop(listener);
    assert_eq!(kind(dialled.read(&mut [0; 8]).await), ErrorKind::ConnectionReset);
}

pub(crate) async fn a_listener_that_goes_leaves_what_it_accepted(net: &impl Net) {
    let (mut accepted, mut dialled) = net.connection().await; // its listener is gone
    accepted.write_all(b"in").await.unwrap();
    dialled.write_all(b"out").await.unwrap();
    drop(dialled.halves().1);
    assert_eq!(accepted.exactly(3).await.unwrap(), b"out");
}
