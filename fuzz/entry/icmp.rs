//! ICMP messages about anything: echoes, redirects, and errors that quote packets which were sent, nearly sent or never sent.

use std::time::Duration;

use uis_stack::StackConfig;
use uis_vnic::Frame;

use super::input::Input;
use super::packet::ip;
use super::world::{World, at, attacker, bystander, poll, victim};

/// Each message is: who it is from, its type, its code, four bytes, and what it quotes.
pub fn icmp(data: &[u8]) -> u64 {
    let mut input = Input::new(data);
    let mut world = World::new(StackConfig::small());
    // Somebody to be told of.
    let sockets = [false, true].map(|v6| world.victim.dial_udp(at(v6, 9)).expect("there is a port"));
    let mut dials = [false, true].map(|v6| Box::pin(world.victim.dial_tcp(at(v6, 9))));
    while !input.is_empty() {
        let how = input.byte();
        let v6 = how & 1 != 0;
        if how & 0xe0 == 0xe0 {
            let _ = sockets[usize::from(v6)].try_send(&[how; 20]);
            let _ = sockets[usize::from(v6)].try_recv(&mut [0; 20]);
            if dials.iter_mut().any(|dial| poll(dial.as_mut()).is_ready()) {
                dials = [false, true].map(|v6| Box::pin(world.victim.dial_tcp(at(v6, 9))));
            }
            world.advance(Duration::from_millis(1 << (input.byte() % 14)));
            continue;
        }
        let types: [u8; 12] = if v6 {
            [1, 1, 2, 2, 3, 4, 128, 129, 133, 137, 0, 255]
        } else {
            [3, 3, 3, 3, 11, 12, 8, 0, 4, 5, 13, 255]
        };
        let mut bytes = vec![input.pick(&types), input.byte() % 17, 0, 0];
        if !v6 && how & 2 != 0 && bytes[0] == 3 {
            bytes[1] = 4;
        }
        let mtus = [0, 1, 68, 576, 1279, 1280, 1400, 1500, 65_535, u32::MAX];
        let rest = if how & 4 != 0 { input.pick(&mtus) } else { input.long() };
        bytes.extend(rest.to_be_bytes());
        bytes.extend(quoted(&world, v6, &mut input));
        let from = if how & 8 != 0 { attacker(v6) } else { bystander(v6) };
        let protocol = if v6 { 58 } else { 1 };
        world.inject(Frame::new(ip(from, victim(v6), protocol, &bytes)));
    }
    drop(dials);
    world.end()
}

/// What the message quotes: nothing, anything, or something that was sent, perhaps changed and cut.
fn quoted(world: &World, v6: bool, input: &mut Input<'_>) -> Vec<u8> {
    let how = input.byte();
    if how < 64 {
        return input.bytes(usize::from(how)).to_vec();
    }
    let seen = world.seen.borrow();
    let of_family: Vec<_> = seen.iter().filter(|f| f.src().is_some_and(|src| src.is_ipv6() == v6)).collect();
    let n = usize::from(input.byte());
    let mut packet = match of_family.len() {
        0 => vec![0x45; 40],
        len => of_family[len - 1 - n % len.min(8)].packet().to_vec(),
    };
    if how & 1 != 0 {
        let at = usize::from(input.byte()) % packet.len();
        packet[at] = input.byte();
    }
    if how & 2 != 0 {
        packet.truncate(usize::from(input.byte()));
    }
    packet
}
