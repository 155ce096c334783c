//! Datagrams.

use std::io::ErrorKind;
use std::net::SocketAddr;

use futures_lite::future::zip;

use crate::world::*;

/// A socket of the server, and one of the client that is connected to it.
async fn sockets<N: Net>(net: &N) -> (N::Udp, N::Udp) {
    let server = net.bind(net.at(0)).await.unwrap();
    let client = net.bind_client().await.unwrap();
    client.connect(server.local_addr().unwrap()).await.unwrap();
    (server, client)
}

/// A port of the server at which nobody is.
async fn closed_port(net: &impl Net) -> SocketAddr {
    net.bind(net.at(0)).await.unwrap().local_addr().unwrap()
}

pub(crate) async fn datagrams_keep_their_bounds(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let from = client.local_addr().unwrap();
    let mut buf = [0; 100];
    for text in [&b"one"[..], b"", b"three"] {
        assert_eq!(client.send(text).await.unwrap(), text.len());
    }
    for text in [&b"one"[..], b"", b"three"] {
        assert_eq!(server.recv_from(&mut buf).await.unwrap(), (text.len(), from));
        assert_eq!(&buf[..text.len()], text);
    }
    assert_eq!(server.send_to(b"back", from).await.unwrap(), 4);
    assert_eq!(client.recv(&mut buf).await.unwrap(), 4);
}

pub(crate) async fn what_does_not_fit_is_lost(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let mut short = [0; 3];
    for text in [b"abcdef", b"ghijkl", b"mnopqr"] {
        client.send(text).await.unwrap();
    }
    assert_eq!((server.recv(&mut short).await.unwrap(), &short), (3, b"abc"));
    assert_eq!(server.recv_from(&mut short).await.unwrap().0, 3);
    assert_eq!(&short, b"ghi", "the rest of the first is gone");
    assert_eq!(server.recv(&mut []).await.unwrap(), 0);
    assert!(polled(2, server.recv(&mut short)).await.is_none(), "and all of the third");
}

/// The longest datagram: the length in a header of IPv4 counts the header, in one of IPv6 it does not. Here the packet
/// may have 65,535 bytes in both.
fn longest<N: Net>(net: &N) -> usize {
    match (net.family(), N::KERNEL) {
        (Family::V4, _) => 65_507,
        (Family::V6, true) => 65_527,
        (Family::V6, false) => 65_487,
    }
}

pub(crate) async fn a_long_datagram_arrives(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let data = pattern(longest(net));
    assert_eq!(client.send(&data).await.unwrap(), data.len());
    let mut buf = vec![0; 70_000];
    assert_eq!(server.recv(&mut buf).await.unwrap(), data.len());
    assert!(buf[..data.len()] == data);
}

pub(crate) async fn a_datagram_can_be_too_long<N: Net>(net: &N) {
    let (server, client) = sockets(net).await;
    for len in [longest(net) + 1, 100_000] {
        let data = pattern(len);
        let to = server.local_addr().unwrap();
        for error in [client.send(&data).await.unwrap_err(), client.send_to(&data, to).await.unwrap_err()] {
            if N::KERNEL {
                assert_eq!(error.raw_os_error(), Some(90), "EMSGSIZE has no kind");
            } else {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
            }
        }
    }
    client.send(b"short").await.unwrap();
    assert_eq!(server.recv(&mut [0; 100]).await.unwrap(), 5, "nothing else was sent");
}

pub(crate) async fn a_connected_socket_hears_its_peer_only(net: &impl Net) {
    let (server, client) = sockets(net).await;
    assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
    let to = client.local_addr().unwrap();
    assert!(!to.ip().is_unspecified(), "connected, it has an address");
    let stranger = net.bind(net.at(0)).await.unwrap();
    stranger.send_to(b"strange", to).await.unwrap();
    net.moment().await;
    server.send_to(b"known", to).await.unwrap();
    let mut buf = [0; 16];
    assert_eq!(client.recv_from(&mut buf).await.unwrap(), (5, server.local_addr().unwrap()));
    // It may send elsewhere all the same.
    client.send_to(b"hello", stranger.local_addr().unwrap()).await.unwrap();
    assert_eq!(stranger.recv_from(&mut buf).await.unwrap(), (5, to));
}

pub(crate) async fn a_socket_can_be_connected_anew(net: &impl Net) {
    let (one, client) = sockets(net).await;
    let other = net.bind(net.at(0)).await.unwrap();
    client.send(b"one").await.unwrap();
    client.connect(other.local_addr().unwrap()).await.unwrap();
    client.send(b"other").await.unwrap();
    let mut buf = [0; 16];
    assert_eq!(one.recv(&mut buf).await.unwrap(), 3);
    let (n, from) = other.recv_from(&mut buf).await.unwrap();
    assert_eq!((n, from), (5, client.local_addr().unwrap()));
    one.send_to(b"from the old one", from).await.unwrap();
    net.moment().await;
    other.send_to(b"new", from).await.unwrap();
    assert_eq!(client.recv(&mut buf).await.unwrap(), 3);
    // What has come before the connecting is there still, whoever sent it.
    other.send_to(b"hello", from).await.unwrap();
    net.moment().await;
    client.connect(one.local_addr().unwrap()).await.unwrap();
    assert_eq!(client.recv_from(&mut buf).await.unwrap(), (5, other.local_addr().unwrap()));
    one.send_to(b"new", from).await.unwrap();
    assert_eq!(client.recv(&mut buf).await.unwrap(), 3);
}

pub(crate) async fn a_closed_port_refuses_a_connected_socket(net: &impl Net) {
    let client = net.bind_client().await.unwrap();
    client.connect(closed_port(net).await).await.unwrap();
    let mut buf = [0; 16];
    // By a receive.
    assert_eq!(client.send(b"anybody?").await.unwrap(), 8);
    assert_eq!(kind(client.recv(&mut buf).await), ErrorKind::ConnectionRefused);
    assert!(polled(2, client.recv(&mut buf)).await.is_none(), "once");
    // By the next send, which sends nothing.
    assert_eq!(client.send(b"anybody?").await.unwrap(), 8);
    net.moment().await;
    let error = net.until(async || client.send(b"anybody?").await.err()).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // And the socket goes on, with whoever comes.
    let server = net.bind(client.peer_addr().unwrap()).await.unwrap();
    net.until(async || client.send(b"hello").await.ok()).await;
    assert_eq!(server.recv(&mut buf).await.unwrap(), 5);
}

pub(crate) async fn a_refusal_comes_before_what_was_received(net: &impl Net) {
    let (server, client) = sockets(net).await;
    server.send_to(b"goodbye", client.local_addr().unwrap()).await.unwrap();
    drop(server);
    client.send(b"are you there?").await.unwrap();
    net.moment().await;
    let mut buf = [0; 16];
    assert_eq!(kind(client.recv(&mut buf).await), ErrorKind::ConnectionRefused);
    assert_eq!(client.recv(&mut buf).await.unwrap(), 7);
}

pub(crate) async fn a_refusal_wakes_a_receiver(net: &impl Net) {
    let client = net.bind_client().await.unwrap();
    client.connect(closed_port(net).await).await.unwrap();
    let mut buf = [0; 16];
    let sending = async {
        net.moment().await;
        client.send(b"anybody?").await.unwrap();
    };
    let (received, ()) = zip(client.recv(&mut buf), sending).await;
    assert_eq!(kind(received), ErrorKind::ConnectionRefused);
}

pub(crate) async fn a_socket_that_is_connected_elsewhere_refuses(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let stranger = net.bind_client().await.unwrap();
    server.connect(client.local_addr().unwrap()).await.unwrap();
    stranger.connect(server.local_addr().unwrap()).await.unwrap();
    stranger.send(b"anybody?").await.unwrap();
    let mut buf = [0; 16];
    assert_eq!(kind(stranger.recv(&mut buf).await), ErrorKind::ConnectionRefused);
    client.send(b"hello").await.unwrap();
    assert_eq!(server.recv(&mut buf).await.unwrap(), 5);
}

pub(crate) async fn an_unconnected_socket_hears_of_no_refusal(net: &impl Net) {
    let client = net.bind_client().await.unwrap();
    let nobody = closed_port(net).await;
    for _ in 0..3 {
        client.send_to(b"anybody?", nobody).await.unwrap();
        net.moment().await;
    }
    assert!(polled(2, client.recv_from(&mut [0; 16])).await.is_none());
}

pub(crate) async fn a_datagram_can_be_looked_at(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let from = client.local_addr().unwrap();
    let mut buf = [0; 16];
    let peeked = polled(2, server.peek_from(&mut buf)).await;
    assert!(peeked.is_none(), "{peeked:?}");
    let (peeked, sent) = zip(server.peek_from(&mut buf), client.send(b"look")).await;
    assert_eq!((peeked.unwrap(), sent.unwrap()), ((4, from), 4));
    client.send(b"next").await.unwrap();
    let mut short = [0; 2];
    assert_eq!(server.peek_from(&mut short).await.unwrap(), (2, from));
    assert_eq!(server.recv_from(&mut buf).await.unwrap(), (4, from));
    assert_eq!(&buf[..4], b"look", "nothing of it is lost by a short look");
    assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"next");
}

pub(crate) async fn receivers_share_a_socket(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let receive = async || {
        let mut buf = [0; 16];
        let n = server.recv(&mut buf).await.unwrap();
        buf[..n].to_vec()
    };
    let sending = async {
        net.moment().await;
        client.send(b"a").await.unwrap();
        client.send(b"b").await.unwrap();
    };
    let ((one, other), ()) = zip(zip(receive(), receive()), sending).await;
    let mut both = [one, other];
    both.sort();
    assert_eq!(both, [b"a", b"b"]);
}

pub(crate) async fn a_receive_that_is_given_up_takes_nothing(net: &impl Net) {
    let (server, client) = sockets(net).await;
    let mut buf = [0; 16];
    for n in 0..10 {
        assert!(polled(1, server.recv(&mut buf)).await.is_none());
        client.send(&[n]).await.unwrap();
        let received = net.until(async || polled(1, server.recv(&mut buf)).await).await;
        assert_eq!((received.unwrap(), buf[0]), (1, n));
    }
}

pub(crate) async fn a_socket_takes_its_address_for_as_long_as_it_is_there(net: &impl Net) {
    for first in [net.at(0), net.any(0)] {
        let socket = net.bind(first).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_ne!(port, 0);
        for second in [net.at(port), net.any(port)] {
            assert_eq!(kind(net.bind(second).await), ErrorKind::AddrInUse, "{first}, then {second}");
        }
        drop(socket);
        net.bind(net.any(port)).await.unwrap();
    }
}

pub(crate) async fn a_wildcard_socket_answers(net: &impl Net) {
    let server = net.bind(net.any(0)).await.unwrap();
    let at = server.local_addr().unwrap();
    assert_eq!(at, net.any(at.port()));
    let client = net.bind_client().await.unwrap();
    client.connect(net.at(at.port())).await.unwrap();
    client.send(b"who are you?").await.unwrap();
    let mut buf = [0; 16];
    let (_, from) = server.recv_from(&mut buf).await.unwrap();
    assert_eq!(from, client.local_addr().unwrap());
    server.send_to(b"me", from).await.unwrap();
    assert_eq!(client.recv(&mut buf).await.unwrap(), 2, "it comes from where it was asked");
    if net.family() == Family::V6 {
        // It stands for IPv4 as well.
        let client = net.bind(SocketAddr::new(net.server(Family::V4), 0)).await.unwrap();
        client.send_to(b"and you?", (net.server(Family::V4), at.port()).into()).await.unwrap();
        let (_, from) = server.recv_from(&mut buf).await.unwrap();
        let shown = SocketAddr::new(from.ip().to_canonical(), from.port());
        assert!(from.is_ipv6() && shown == client.local_addr().unwrap(), "{from}");
        server.send_to(b"me", from).await.unwrap();
        assert_eq!(client.recv_from(&mut buf).await.unwrap().0, 2);
    }
}

pub(crate) async fn where_nothing_can_be_sent<N: Net>(net: &N) {
    let socket = net.bind_client().await.unwrap();
    assert_eq!(kind(socket.peer_addr()), ErrorKind::NotConnected);
    let nowhere = socket.send(b"to whom?").await.unwrap_err();
    let to_port_0 = socket.send_to(b"x", net.at(0)).await.unwrap_err();
    assert_eq!(to_port_0.kind(), ErrorKind::InvalidInput);
    let other = if net.family() == Family::V4 { Family::V6 } else { Family::V4 };
    let at_one = net.bind(net.at(0)).await.unwrap();
    let elsewhere = at_one.send_to(b"x", (net.server(other), 9).into()).await.unwrap_err();
    if N::KERNEL {
        // Neither has a kind.
        assert_eq!(nowhere.raw_os_error(), Some(89), "EDESTADDRREQ");
        let os = elsewhere.raw_os_error();
        assert!([Some(97), Some(101)].contains(&os), "EAFNOSUPPORT, or ENETUNREACH to IPv4: {elsewhere:?}");
    } else {
        assert_eq!(nowhere.kind(), ErrorKind::NotConnected);
        assert_eq!(elsewhere.kind(), ErrorKind::InvalidInput);
    }
}

pub(crate) async fn a_hop_limit_is_kept<N: Net>(net: &N) {
    if net.family() == Family::V6 && N::KERNEL {
        return; // what is set there is the TTL of IPv4
    }
    let socket = net.bind(net.at(0)).await.unwrap();
    assert_eq!(socket.ttl().unwrap(), 64);
    socket.set_ttl(7).unwrap();
    assert_eq!(socket.ttl().unwrap(), 7);
    for ttl in [0, 256] {
        assert_eq!(kind(socket.set_ttl(ttl)), ErrorKind::InvalidInput);
    }
    assert_eq!(socket.ttl().unwrap(), 7);
}
