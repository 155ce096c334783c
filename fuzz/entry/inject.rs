//! Any bytes at all, and packets that are nearly right, at a stack's interface.

use std::net::IpAddr;
use std::time::Duration;

use uis_stack::StackConfig;
use uis_vnic::Frame;

use super::input::Input;
use super::packet::{ACK, SYN, Tcp, header, ip, sealed, udp};
use super::world::{TCP_PORT, UDP_PORT, World, attacker, bystander, victim};

/// Each packet is: how it is made, and then either its length and its bytes, or which right one it is and what is changed.
pub fn inject(data: &[u8]) -> u64 {
    let mut input = Input::new(data);
    let mut world = World::new(StackConfig::small());
    while !input.is_empty() {
        let how = input.byte();
        let v6 = how & 1 != 0;
        let bytes = if how & 0x80 == 0 { changed(v6, &mut input) } else { made_up(how, &mut input) };
        let frame = match how >> 1 & 3 {
            0 => Frame::new(bytes),
            1 => Frame::with_valid_checksums(bytes),
            _ => Frame::new(sealed(bytes)),
        };
        world.inject(frame);
        if how & 0x78 == 0x78 {
            world.advance(Duration::from_millis(u64::from(input.word())));
        }
    }
    world.end()
}

/// A right packet with some bytes changed, and cut off or continued.
fn changed(v6: bool, input: &mut Input<'_>) -> Vec<u8> {
    let (from, to) = (attacker(v6), victim(v6));
    let kind = input.byte();
    let segment = |flags| Tcp {
        src: 5000,
        dst: TCP_PORT,
        seq: 7,
        flags,
        window: 1000,
        payload: &[1; 9],
        ..Tcp::default()
    };
    let mut packet = match kind & 15 {
        0 => ip(from, to, 6, &segment(ACK).bytes()),
        1 => ip(from, to, 6, &Tcp { options: &[2, 4, 5, 180, 1, 3, 3, 7], ..segment(SYN) }.bytes()),
        2 | 3 => ip(from, to, 17, &udp(4000, UDP_PORT, &[1; 30])),
        4 => ip(from, to, 17, &udp(4000, 9, &[])),
        5 | 6 if v6 => ip(from, to, 58, &[128, 0, 0, 0, 0, 1, 0, 1, 9, 9]),
        5 | 6 => ip(from, to, 1, &[8, 0, 0, 0, 0, 1, 0, 1, 9, 9]),
        // Behind options or extension headers: padding, routing, destination options, fragments, authentication.
        7..=12 => extended(from, to, kind & 15, &segment(SYN).bytes()),
        13 => ip(bystander(v6), to, 6, &Tcp { seq: 1, ..segment(ACK) }.bytes()),
        14 => ip(to, to, 6, &segment(SYN).bytes()),
        _ => ip(from, all_nodes(v6), 17, &udp(4000, UDP_PORT, &[])),
    };
    for _ in 0..kind >> 6 {
        let (at, value) = (usize::from(input.byte()), input.byte());
        let at = at % packet.len();
        packet[at] = value;
    }
    match kind >> 4 & 3 {
        0 => packet.truncate(usize::from(input.byte())),
        1 => packet.extend_from_slice(&[0xcc; 64][..usize::from(input.byte() & 63)]),
        _ => {}
    }
    packet
}

/// The group of all hosts on the link.
fn all_nodes(v6: bool) -> IpAddr {
    if v6 { [0xff02, 0, 0, 0, 0, 0, 0, 1].into() } else { [224, 0, 0, 1].into() }
}

/// TCP behind what may stand before it.
fn extended(from: IpAddr, to: IpAddr, kind: u8, tcp: &[u8]) -> Vec<u8> {
    if from.is_ipv4() {
        let options: &[u8] = match kind {
            7 => &[1, 1, 1, 0],
            8 => &[131, 7, 4, 10, 0, 0, 9, 0],
            9 => &[7, 7, 4, 0, 0, 0, 0, 0],
            10 => &[148, 4, 0, 0],
            _ => &[0; 40],
        };
        let mut packet = header(from, to, 6, options.len() + tcp.len());
        packet[0] += (options.len() / 4) as u8;
        packet.extend_from_slice(options);
        packet.extend_from_slice(tcp);
        return sealed(packet);
    }
    let (protocol, extension): (u8, &[u8]) = match kind {
        7 => (0, &[6, 0, 1, 4, 0, 0, 0, 0]),
        8 => (43, &[6, 0, 0, 1, 0, 0, 0, 0]),
        9 => (60, &[6, 0, 1, 4, 0, 0, 0, 0]),
        10 => (44, &[6, 0, 0, 0, 0, 0, 0, 1]),
        11 => (51, &[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        _ => (0, &[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]),
    };
    let mut packet = header(from, to, protocol, extension.len() + tcp.len());
    packet.extend_from_slice(extension);
    packet.extend_from_slice(tcp);
    sealed(packet)
}

/// Bytes that say themselves what they are, or are made to look a little more like a packet.
fn made_up(how: u8, input: &mut Input<'_>) -> Vec<u8> {
    let v6 = how & 1 != 0;
    let len = if how & 0x48 == 0x48 { usize::from(input.word()) % 2048 } else { usize::from(input.byte()) };
    let mut bytes = input.bytes(len).to_vec();
    if bytes.len() >= 40 && how & 0x10 != 0 {
        bytes[0] = if v6 { 0x60 | bytes[0] & 0x0f } else { 0x45 | bytes[0] & 0x0a };
        let right = header(attacker(v6), victim(v6), 0, 0);
        let addresses = if v6 { 8..40 } else { 12..20 };
        bytes[addresses.clone()].copy_from_slice(&right[addresses]);
    }
    if bytes.len() >= 40 && how & 0x20 != 0 {
        let (at, len) = if v6 { (4, bytes.len() - 40) } else { (2, bytes.len()) };
        bytes[at..at + 2].copy_from_slice(&(len as u16).to_be_bytes());
    }
    bytes
}
