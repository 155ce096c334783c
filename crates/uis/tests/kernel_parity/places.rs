//! Addresses, ports, and options.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use futures_lite::future::zip;

use crate::world::*;

pub(crate) async fn ends_know_their_addresses(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    assert_eq!(at.ip(), net.at(0).ip());
    let (accepted, dialled) = zip(listener.accept(), net.dial(at)).await;
    let ((accepted, peer), dialled) = (accepted.unwrap(), dialled.unwrap());
    assert_eq!((accepted.local_addr().unwrap(), accepted.peer_addr().unwrap()), (at, peer));
    assert_eq!((dialled.local_addr().unwrap(), dialled.peer_addr().unwrap()), (peer, at));
    assert_ne!(peer.port(), 0);
}

pub(crate) async fn port_0_is_any_free_port(net: &impl Net) {
    let (one, other) = (net.listen(net.at(0)).await.unwrap(), net.listen(net.at(0)).await.unwrap());
    let ports = [&one, &other].map(|listener| listener.local_addr().unwrap().port());
    assert!(!ports.contains(&0) && ports[0] != ports[1], "{ports:?}");
}

pub(crate) async fn a_wildcard_takes_what_comes_to_any_address(net: &impl Net) {
    let listener = net.listen(net.any(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    assert_eq!(at, net.any(at.port()));
    let (accepted, dialled) = zip(listener.accept(), net.dial(net.at(at.port()))).await;
    let ((accepted, peer), dialled) = (accepted.unwrap(), dialled.unwrap());
    assert_eq!(accepted.local_addr().unwrap(), net.at(at.port()));
    assert_eq!(dialled.local_addr().unwrap(), peer);
}

pub(crate) async fn a_wildcard_of_both_families_shows_v4_as_mapped(net: &impl Net) {
    if net.family() == Family::V4 {
        return; // it is a matter of IPv6
    }
    let listener = net.listen(net.any(0)).await.unwrap();
    let at = SocketAddr::new(net.server(Family::V4), listener.local_addr().unwrap().port());
    let (accepted, dialled) = zip(listener.accept(), net.dial(at)).await;
    let ((accepted, peer), dialled) = (accepted.unwrap(), dialled.unwrap());
    let mapped = |addr: SocketAddr| match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => panic!("{addr} should be of IPv4"),
    };
    assert_eq!(peer, mapped(dialled.local_addr().unwrap()));
    assert_eq!(accepted.peer_addr().unwrap(), peer);
    assert_eq!(accepted.local_addr().unwrap(), mapped(dialled.peer_addr().unwrap()));
}

pub(crate) async fn an_address_is_taken_once(net: &impl Net) {
    for first in [net.at(0), net.any(0)] {
        let listener = net.listen(first).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for second in [net.at(port), net.any(port)] {
            assert_eq!(kind(net.listen(second).await), ErrorKind::AddrInUse, "{first}, then {second}");
        }
        // Of another protocol it is another port.
        net.bind(net.at(port)).await.unwrap();
    }
}

pub(crate) async fn an_address_is_free_again_though_connections_live_on(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (mut accepted, mut dialled) = net.connection_to(&listener).await;
    drop(listener);
    let listener = net.listen(at).await.unwrap();
    // A connection in TIME-WAIT is in nobody's way either.
    accepted.shutdown().await.unwrap();
    assert_eq!(dialled.rest().await.unwrap(), b"");
    drop((accepted, dialled, listener));
    let listener = net.listen(at).await.unwrap();
    net.connection_to(&listener).await;
}

pub(crate) async fn an_address_that_is_not_ours_cannot_be_had(net: &impl Net) {
    // Of the ranges for documentation.
    let foreign: SocketAddr =
        if net.family() == Family::V4 { "192.0.2.1:0" } else { "[2001:db8::1]:0" }.parse().unwrap();
    assert_eq!(kind(net.listen(foreign).await), ErrorKind::AddrNotAvailable);
    assert_eq!(kind(net.bind(foreign).await), ErrorKind::AddrNotAvailable);
}

pub(crate) async fn nobody_there_is_refused(net: &impl Net) {
    let listener = net.listen(net.at(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (mut accepted, mut dialled) = net.connection_to(&listener).await;
    drop(listener);
    assert_eq!(kind(net.dial(at).await), ErrorKind::ConnectionRefused);
    // Whoever is connected already is not concerned.
    dialled.write_all(b"still here").await.unwrap();
    assert_eq!(accepted.exactly(10).await.unwrap(), b"still here");
}

pub(crate) async fn dialling_nowhere<N: Net>(net: &N) {
    let listener = net.listen(net.any(0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    if N::KERNEL {
        // The unspecified address is the loopback's, and a port of 0 one at which nobody is.
        net.dial(at).await.unwrap();
        assert_eq!(kind(net.dial(net.at(0)).await), ErrorKind::ConnectionRefused);
    } else {
        assert_eq!(kind(net.dial(at).await), ErrorKind::InvalidInput);
        assert_eq!(kind(net.dial(net.at(0)).await), ErrorKind::InvalidInput);
    }
}

pub(crate) async fn options_are_kept<N: Net>(net: &N) {
    let (accepted, dialled) = net.connection().await;
    for stream in [accepted, dialled] {
        // A kernel gathers small segments unless it is told not to.
        assert_eq!(stream.nodelay().unwrap(), !N::KERNEL);
        for on in [true, false, true] {
            stream.set_nodelay(on).unwrap();
            assert_eq!(stream.nodelay().unwrap(), on);
        }
        if net.family() == Family::V6 && N::KERNEL {
            continue; // what is set there is the TTL of IPv4
        }
        assert_eq!(stream.ttl().unwrap(), 64);
        for ttl in [1, 255, 64] {
            stream.set_ttl(ttl).unwrap();
            assert_eq!(stream.ttl().unwrap(), ttl);
        }
        for ttl in [0, 256] {
            assert_eq!(kind(stream.set_ttl(ttl)), ErrorKind::InvalidInput);
        }
        assert_eq!(stream.ttl().unwrap(), 64);
        assert!(stream.take_error().unwrap().is_none());
    }
}
