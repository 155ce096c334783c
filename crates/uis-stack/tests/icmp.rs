//! ICMP as a peer on the wire sees it: a raw endpoint against a stack.

mod script;

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};
use script::segment;
use uis_clock::VirtualClock;
use uis_stack::{DiscardReason, Stack, UdpSocket};
use uis_vnic::{Frame, Vnic, VnicPort};

const STACK: [&str; 2] = ["10.0.0.1", "2001:db8::1"];
const PEER: [&str; 2] = ["10.0.0.2", "2001:db8::2"];

struct Lab {
    clock: VirtualClock,
    stack: Stack,
    wire: VnicPort,
}

impl Lab {
    fn new() -> Self {
        let clock = VirtualClock::new();
        let (a, b) = Vnic::pair(1500, clock.handle()).unwrap();
        let stack = Stack::new(a, STACK.map(ip)).unwrap();
        Self { clock, stack, wire: VnicPort::new(b, 2000).unwrap() }
    }

    /// Sends the packet to the stack.
    fn send(&self, packet: Vec<u8>) {
        self.stack.vnic().inject_frame(Frame::new(packet)).unwrap();
    }

    /// What the stack has sent since.
    fn received(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.wire.try_recv()).map(Frame::into_packet).collect()
    }

    /// A connected socket, and its last datagram on the wire.
    fn sender(&self, family: usize) -> (UdpSocket, Vec<u8>) {
        let socket = self.stack.dial_udp((ip(PEER[family]), 53)).unwrap();
        socket.try_send(b"question").unwrap();
        (socket, self.received().pop().unwrap())
    }

    fn ignored(&self) -> u64 {
        self.stack.stats().discarded(DiscardReason::IgnoredIcmp)
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A packet from the peer to the stack, of either family, with all checksums right.
fn packet(family: usize, protocol: u8, upper: &[u8]) -> Vec<u8> {
    segment::ip(ip(PEER[family]), ip(STACK[family]), protocol, upper)
}

/// An ICMP message from the peer, with the type and code for each family and the four bytes behind the checksum.
fn icmp(family: usize, kinds: [(u8, u8); 2], rest: u32, body: &[u8]) -> Vec<u8> {
    let (kind, code) = kinds[family];
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend_from_slice(body);
    packet(family, [1, 58][family], &message)
}

fn udp(family: usize, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    let mut datagram = vec![0x30, 0x39, 0, 9, len[0], len[1], 0, 0];
    datagram.extend_from_slice(payload);
    packet(family, 17, &datagram)
}

const ECHO: [(u8, u8); 2] = [(8, 0), (128, 0)];
const PORT_UNREACHABLE: [(u8, u8); 2] = [(3, 3), (1, 4)];
const HOST_UNREACHABLE: [(u8, u8); 2] = [(3, 1), (1, 3)];
const NET_UNREACHABLE: [(u8, u8); 2] = [(3, 0), (1, 0)];
const FIREWALL: [(u8, u8); 2] = [(3, 13), (1, 1)];
const TOO_BIG: [(u8, u8); 2] = [(3, 4), (2, 0)];
const HEADER: [usize; 2] = [20, 40];

/// The payloads of fragments, put together by their offsets; each must fit the MTU and have room for nothing more.
fn assembled(family: usize, fragments: &[Vec<u8>], mtu: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    for fragment in fragments {
        assert!(fragment.len() <= mtu, "{} bytes", fragment.len());
        let (offset, from) = if family == 0 {
            (usize::from(u16::from_be_bytes([fragment[6], fragment[7]]) & 0x1fff) * 8, 20)
        } else {
            assert_eq!(fragment[6], 44);
            (usize::from(u16::from_be_bytes([fragment[42], fragment[43]]) & 0xfff8), 48)
        };
        assert_eq!(offset, whole.len());
        whole.extend_from_slice(&fragment[from..]);
    }
    whole
}

#[test]
fn echo_requests_are_answered() {
    let lab = Lab::new();
    for family in [0, 1] {
        for len in [0, 1, 56, 1400, 1452] {
            let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
            lab.send(icmp(family, ECHO, 0x1234_0001, &body));
            let [reply] = &lab.received()[..] else { panic!("one reply to {len} bytes") };
            assert!(Frame::new(reply.clone()).verify_checksums());
            assert_eq!(reply[HEADER[family]], [0, 129][family]);
            assert_eq!(reply[HEADER[family] + 4..][..4], 0x1234_0001_u32.to_be_bytes());
            assert!(reply[HEADER[family] + 8..] == body);
        }
        lab.send(icmp(family, [(0, 0), (129, 0)], 0x1234_0001, b"a reply"));
        assert_eq!(lab.ignored(), family as u64 + 1);
        assert!(lab.received().is_empty());
    }
}

#[test]
fn a_long_ping_comes_back_in_fragments() {
    for (family, most) in [(0, 65_507), (1, 65_487)] {
        let lab = Lab::new();
        let mut message = vec![ECHO[family].0, 0, 0, 0, 1, 2, 3, 4];
        message.extend((0..most).map(|i| (i / 3) as u8));
        let whole = packet(family, [1, 58][family], &message);
        let upper = &whole[HEADER[family]..];
        // Cut by hand.
        for (n, piece) in upper.chunks(1400).enumerate() {
            let offset = (n * 1400) as u16;
            let more = usize::from(offset) + piece.len() < upper.len();
            // Protocols without a checksum, until the piece is marked as one.
            let fragment = if family == 0 {
                let mut fragment = packet(0, 253, piece);
                fragment[6..8].copy_from_slice(&(offset / 8 + if more { 0x2000 } else { 0 }).to_be_bytes());
                fragment[9] = 1;
                fragment
            } else {
                let placement = (offset | u16::from(more)).to_be_bytes();
                let mut behind = vec![58, 0, placement[0], placement[1], 0, 0, 0, 9];
                behind.extend_from_slice(piece);
                let mut fragment = packet(1, 253, &behind);
                fragment[6] = 44;
                fragment
            };
            let mut frame = Frame::new(fragment);
            frame.fix_checksums();
            lab.send(frame.into_packet());
        }
        let reply = assembled(family, &lab.received(), 1500);
        assert_eq!(reply[0], [0, 129][family]);
        assert!(reply[4..] == message[4..]);
    }
}

#[test]
fn a_closed_port_answers_and_errors_are_limited() {
    let lab = Lab::new();
    for family in [0, 1] {
        let question = udp(family, b"anybody?");
        lab.send(question.clone());
        let [answer] = &lab.received()[..] else { panic!("one answer") };
        let (kind, code) = PORT_UNREACHABLE[family];
        assert_eq!(answer[HEADER[family]..][..2], [kind, code]);
        assert!(answer[HEADER[family] + 8..] == question, "it quotes what it is about");
    }
    for _ in 0..2000 {
        lab.send(udp(0, b""));
    }
    assert_eq!(lab.received().len(), 1000 - 2);
    lab.clock.advance(Duration::from_secs(1));
    lab.send(udp(0, b""));
    assert_eq!(lab.received().len(), 1);
    // An error is never answered, whatever it is about.
    let nonsense = icmp(0, PORT_UNREACHABLE, 0, &udp(0, b"not yours"));
    lab.send(nonsense);
    assert!(lab.received().is_empty());
}

#[test]
fn each_error_that_lasts_has_its_kind() {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, PermissionDenied};
    // As Linux has it in `icmp_err_convert`, where these are fatal, and in `tab_unreach`.
    let v4 = [
        ((3, 2), ConnectionRefused),
        ((3, 3), ConnectionRefused),
        ((3, 6), NetworkUnreachable),
        ((3, 7), HostUnreachable),
        ((3, 8), HostUnreachable),
        ((3, 9), NetworkUnreachable),
        ((3, 10), HostUnreachable),
        ((3, 13), HostUnreachable),
        ((3, 14), HostUnreachable),
        ((3, 15), HostUnreachable),
    ];
    let v6 = [
        ((1, 1), PermissionDenied),
        ((1, 4), ConnectionRefused),
        ((1, 5), PermissionDenied),
        ((1, 6), PermissionDenied),
        ((4, 1), ConnectionRefused),
    ];
    for (family, cases) in [&v4[..], &v6].into_iter().enumerate() {
        for &(what, kind) in cases {
            let lab = Lab::new();
            let (socket, sent) = lab.sender(family);
            lab.send(icmp(family, [what; 2], 0, &sent));
            let error = socket.try_recv(&mut [0; 9]).unwrap_err();
            assert_eq!(error.kind(), kind, "{what:?}");
            // It is told once.
            assert_eq!(socket.try_recv(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock, "{what:?}");
            assert_eq!(lab.ignored(), 0, "{what:?}");
        }
    }
}

#[test]
fn what_may_pass_is_not_told() {
    // RFC 1122 §3.2.2.1: "a hint". Linux tells of it if `IP_RECVERR` is set.
    let v4 = [(3, 0), (3, 1), (3, 5), (3, 11), (3, 12), (3, 16), (4, 0), (5, 1), (11, 0), (11, 1)];
    let v6 = [(1, 0), (1, 2), (1, 3), (1, 7), (3, 0), (3, 1), (137, 0)];
    for (family, cases) in [&v4[..], &v6].into_iter().enumerate() {
        for &what in cases {
            let lab = Lab::new();
            let (socket, sent) = lab.sender(family);
            let mut buf = [0; 9];
            let mut waiting = Box::pin(socket.recv(&mut buf));
            assert!(block_on(poll_once(&mut waiting)).is_none());
            lab.send(icmp(family, [what; 2], 0, &sent));
            assert!(block_on(poll_once(&mut waiting)).is_none(), "{what:?}");
            drop(waiting);
            assert!(socket.take_error().unwrap().is_none(), "{what:?}");
            socket.try_send(b"again").unwrap();
            assert_eq!((lab.received().len(), lab.ignored()), (1, 1), "{what:?}");
        }
    }
}

#[test]
fn a_socket_that_is_not_connected_hears_of_nothing() {
    for family in [0, 1] {
        let lab = Lab::new();
        let socket = lab.stack.listen_udp((ip(STACK[family]), 0)).unwrap();
        socket.try_send_to(b"question", (ip(PEER[family]), 53).into()).unwrap();
        let sent = lab.received().pop().unwrap();
        for what in [PORT_UNREACHABLE, HOST_UNREACHABLE, NET_UNREACHABLE] {
            lab.send(icmp(family, what, 0, &sent));
            assert!(socket.take_error().unwrap().is_none());
        }
        assert_eq!(lab.ignored(), 3);
    }
}

#[test]
fn an_error_about_anything_else_is_ignored() {
    for family in [0, 1] {
        let lab = Lab::new();
        let (socket, sent) = lab.sender(family);
        let header = HEADER[family];
        let changed = |at: usize| {
            let mut quoted = sent.clone();
            quoted[at] ^= 1;
            quoted
        };
        let cases = [
            ("another source", changed(header - [8, 32][family] + 3)),
            ("another destination", changed(header - 1)),
            ("another source port", changed(header + 1)),
            ("another destination port", changed(header + 3)),
            ("another protocol", changed([9, 6][family])),
            ("cut off", sent[..header + 7].to_vec()),
            ("nothing", Vec::new()),
        ];
        for (n, (what, quoted)) in cases.into_iter().enumerate() {
            lab.send(icmp(family, PORT_UNREACHABLE, 0, &quoted));
            assert!(socket.take_error().unwrap().is_none(), "{what}");
            assert_eq!(lab.ignored(), n as u64 + 1, "{what}");
        }
        assert!(lab.received().is_empty());
        // As much as must be quoted is enough.
        lab.send(icmp(family, PORT_UNREACHABLE, 0, &sent[..header + 8]));
        assert!(socket.take_error().unwrap().is_some());
    }
}

#[test]
fn too_big_lowers_the_path_mtu_for_a_while() {
    for (family, floor) in [(0, 576), (1, 1280)] {
        for (said, mtu) in [(1400, 1400), (0, floor), (68, floor), (65_535, 1500)] {
            let lab = Lab::new();
            let (socket, sent) = lab.sender(family);
            let sends = |len: usize| {
                socket.try_send(&vec![1; len]).unwrap();
                lab.received().iter().map(Vec::len).max().unwrap()
            };
            assert_eq!(sends(1400), 1400 + HEADER[family] + 8);
            lab.send(icmp(family, TOO_BIG, said, &sent));
            let fits = sends(10_000);
            assert!((mtu - 7..=mtu).contains(&fits), "{fits} for {said}");
            // It is for this path alone.
            let other = lab.stack.listen_udp((ip(STACK[family]), 0)).unwrap();
            let elsewhere = ip(["10.0.0.3", "2001:db8::3"][family]);
            other.try_send_to(&[1; 1400], (elsewhere, 1).into()).unwrap();
            assert_eq!(lab.received().len(), 1);
            // It is not raised by a message, but by time.
            lab.send(icmp(family, TOO_BIG, 1450, &sent));
            assert!(sends(10_000) <= mtu);
            lab.clock.advance(Duration::from_secs(600));
            assert!((1493..=1500).contains(&sends(10_000)));
        }
    }
}

#[test]
fn too_big_about_what_was_not_sent_teaches_nothing() {
    let lab = Lab::new();
    let (socket, sent) = lab.sender(0);
    for at in [12 + 3, 16 + 3, 20 + 1, 22 + 1] {
        let mut quoted = sent.clone();
        quoted[at] ^= 1;
        lab.send(icmp(0, TOO_BIG, 600, &quoted));
    }
    assert_eq!(lab.ignored(), 4);
    socket.close();
    lab.send(icmp(0, TOO_BIG, 600, &sent));
    assert_eq!(lab.ignored(), 5);
    let socket = lab.stack.dial_udp((ip(PEER[0]), 53)).unwrap();
    socket.try_send(&[1; 1472]).unwrap();
    assert_eq!(lab.received().len(), 1);
}

#[test]
fn dont_fragment_is_on_the_wire_and_goes_by_the_path() {
    let lab = Lab::new();
    let (socket, sent) = lab.sender(0);
    assert_eq!(sent[6] & 0x40, 0);
    socket.set_dont_fragment(true).unwrap();
    socket.try_send(&[1; 1472]).unwrap();
    let sent = lab.received().pop().unwrap();
    assert_eq!(sent[6] & 0x40, 0x40);
    lab.send(icmp(0, TOO_BIG, 1400, &sent[..28]));
    let error = block_on(socket.send(&[1; 1373])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(block_on(socket.send(&[1; 1372])).unwrap(), 1372);
    assert_eq!(lab.received()[0].len(), 1400);
}

#[test]
fn a_dial_ends_with_an_error_about_its_syn() {
    for family in [0, 1] {
        for (what, kind) in [
            (PORT_UNREACHABLE, ErrorKind::ConnectionRefused),
            (HOST_UNREACHABLE, ErrorKind::HostUnreachable),
            (NET_UNREACHABLE, ErrorKind::NetworkUnreachable),
            ([(11, 0), (3, 0)], ErrorKind::HostUnreachable),
            (FIREWALL, [ErrorKind::HostUnreachable, ErrorKind::PermissionDenied][family]),
        ] {
            let lab = Lab::new();
            let mut dial = lab.stack.dial_tcp((ip(PEER[family]), 80));
            assert!(block_on(poll_once(&mut dial)).is_none());
            let syn = lab.received().pop().unwrap();
            // One who guesses the ports must guess the sequence number too.
            let mut guessed = syn.clone();
            guessed[HEADER[family] + 4] ^= 0x40;
            lab.send(icmp(family, what, 0, &guessed));
            lab.send(icmp(family, TOO_BIG, 1300, &guessed));
            assert_eq!(lab.ignored(), 2);
            assert!(block_on(poll_once(&mut dial)).is_none());
            lab.send(icmp(family, what, 0, &syn));
            let error = block_on(poll_once(&mut dial)).expect("it has ended").unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(lab.ignored(), 2);
        }
    }
}

#[test]
fn too_big_teaches_udp_what_tcp_met() {
    let lab = Lab::new();
    let mut dial = lab.stack.dial_tcp((ip(PEER[0]), 80));
    assert!(block_on(poll_once(&mut dial)).is_none());
    let syn = lab.received().pop().unwrap();
    lab.send(icmp(0, TOO_BIG, 1300, &syn));
    assert_eq!(lab.ignored(), 0);
    lab.received();
    let socket = lab.stack.dial_udp((ip(PEER[0]), 53)).unwrap();
    socket.try_send(&[1; 1273]).unwrap();
    assert_eq!(lab.received().len(), 2);
}

#[test]
fn identifications_differ() {
    let lab = Lab::new();
    let (socket, _) = lab.sender(0);
    let mut idents: Vec<_> = (0..100)
        .map(|_| {
            socket.try_send(b"x").unwrap();
            lab.received()[0][4..6].to_vec()
        })
        .collect();
    idents.sort();
    idents.dedup();
    assert_eq!(idents.len(), 100);
}

#[test]
fn a_datagram_that_is_never_complete_is_told_of() {
    let lab = Lab::new();
    let _server = lab.stack.listen_udp("10.0.0.1:9").unwrap();
    let mut first = udp(0, &[1; 800]);
    first[6] = 0x20; // more fragments
    let mut frame = Frame::new(first);
    frame.fix_checksums();
    lab.send(frame.into_packet());
    lab.clock.advance(Duration::from_secs(29));
    assert!(lab.received().is_empty());
    lab.clock.advance(Duration::from_secs(1));
    let [told] = &lab.received()[..] else { panic!("one message") };
    assert_eq!(told[20..22], [11, 1]);
}
