//! Fragments of all kinds: in any order, overlapping, never complete, of datagrams too long to be.

use std::net::IpAddr;
use std::time::Duration;

use uis_stack::StackConfig;
use uis_vnic::Frame;

use super::input::Input;
use super::packet::{header, sealed, udp};
use super::world::{UDP_PORT, World, attacker, victim};

/// Each fragment is: whose it is, where it lies, and how long it is.
pub fn fragments(data: &[u8]) -> u64 {
    let mut input = Input::new(data);
    let mut world = World::new(StackConfig::small());
    while !input.is_empty() {
        let kind = input.byte();
        match kind >> 5 {
            0..=5 => fragment(&mut world, kind, &mut input),
            6 => world.advance(Duration::from_millis(1 << (input.byte() % 16))),
            _ => flood(&mut world, kind & 1 != 0, &mut input),
        }
    }
    echo(&mut world);
    world.end()
}

fn fragment(world: &mut World, kind: u8, input: &mut Input<'_>) {
    let v6 = kind & 1 != 0;
    let protocol = [17, 17, 6, if v6 { 58 } else { 1 }][usize::from(kind >> 1 & 3)];
    let id = u32::from(input.byte() & 7);
    let place = input.byte();
    // Small ones meet, and large ones go past the end.
    let (offset, more) = match place >> 6 {
        0 | 1 => (u16::from(place & 31) * 8, place & 32 != 0),
        2 => (u16::from(place & 63) * 1024, place & 1 != 0),
        _ => (input.word(), place & 1 != 0),
    };
    let len = match input.byte() {
        len @ 0..=127 => usize::from(len) / 8 * 8,
        len @ 128..=191 => usize::from(len),
        _ => usize::from(input.word()) % 1400,
    };
    let mut bytes = input.bytes(len).to_vec();
    bytes.resize(len, 0xf0);
    if offset == 0 && protocol == 17 && len >= 8 {
        let total = if kind & 0x10 == 0 { len } else { usize::from(input.word()) };
        bytes[..8].copy_from_slice(&udp(4000, UDP_PORT, &[])[..8]);
        bytes[4..6].copy_from_slice(&(total as u16).to_be_bytes());
    }
    world.inject(Frame::new(packet(attacker(v6), victim(v6), protocol, id, offset, more, &bytes)));
}

/// First fragments of very many datagrams.
fn flood(world: &mut World, v6: bool, input: &mut Input<'_>) {
    let (first, count) = (input.long(), u32::from(input.byte()));
    let len = 8 + usize::from(input.byte()) / 8 * 8 * 5;
    for id in 0..count {
        let bytes = vec![0xf1; len];
        let id = first.wrapping_add(id);
        world.inject(Frame::new(packet(attacker(v6), victim(v6), 17, id, 0, true, &bytes)));
    }
}

/// Whatever came before, a datagram in fragments gets through, once the old ones have expired.
fn echo(world: &mut World) {
    world.advance(Duration::from_secs(61));
    for v6 in [false, true] {
        let mut buf = vec![0; 70_000];
        while world.echo.try_recv_from(&mut buf).is_ok() {}
        let datagram = {
            // Its checksum is over all of it, so it is made whole first.
            let whole = super::packet::ip(attacker(v6), victim(v6), 17, &udp(4000, UDP_PORT, &[7; 3000]));
            whole[if v6 { 40 } else { 20 }..].to_vec()
        };
        let cut = datagram
            .chunks(1000)
            .enumerate()
            .map(|(n, part)| packet(attacker(v6), victim(v6), 17, 99, (n * 1000) as u16, n < 3, part));
        // The last one first.
        for fragment in cut.collect::<Vec<_>>().into_iter().rev() {
            world.inject(Frame::new(fragment));
        }
        let (n, from) = world.echo.try_recv_from(&mut buf).expect("it was complete");
        assert_eq!((n, &buf[..n], from.port()), (3000, &[7; 3000][..], 4000));
    }
}

/// A fragment, or, with an offset of 0 and no more to come, a whole packet (of IPv6, an atomic fragment).
fn packet(src: IpAddr, dst: IpAddr, protocol: u8, id: u32, offset: u16, more: bool, bytes: &[u8]) -> Vec<u8> {
    if src.is_ipv4() {
        let mut packet = header(src, dst, protocol, bytes.len());
        packet[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
        packet.extend_from_slice(bytes);
        return sealed(packet);
    }
    let mut packet = header(src, dst, 44, 8 + bytes.len());
    packet.extend([protocol, 0]);
    packet.extend(((offset & !7) | u16::from(more)).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend_from_slice(bytes);
    packet
}
