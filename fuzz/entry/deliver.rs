//! Frames that a router makes of those it has seen, or invents, and delivers now, later or not at all, while hosts come and
//! go. The counters always add up.
#![allow(dead_code, unreachable_pub)] // each user takes a part

#[path = "input.rs"]
mod input;

use std::net::IpAddr;
use std::time::Duration;

use input::Input;
use uis_clock::VirtualClock;
use uis_internet::Internet;
use uis_stack::{Stack, StackConfig};
use uis_vnic::{DropReason, Frame};

/// What the router has done.
#[derive(Default)]
struct Router {
    /// Packets that it has in its hands.
    held: Vec<Frame>,
    taken: u64,
    /// How often it has handed the internet a packet that was sent, and one that was not.
    handed: u64,
    made: u64,
}

/// The bytes are operations.
pub fn deliver(data: &[u8]) -> u64 {
    let mut input = Input::new(data);
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).seed(1).max_in_flight(16).build();
    let in_flight = internet.in_flight();
    let mut stacks: Vec<Stack> = Vec::new();
    let mut sockets = Vec::new();
    let mut router = Router::default();
    while !input.is_empty() {
        match input.byte() % 16 {
            0 => {
                // An address may be taken; then there is one host less.
                let n = input.byte() % 8;
                let made =
                    internet.new_stack_with(1500, [addr(n, false), addr(n, true)], StackConfig::small());
                if let Ok(stack) = made {
                    stack
                        .listen_udp(("::".parse::<IpAddr>().expect("it is one"), 53))
                        .map(|s| sockets.push(s))
                        .ok();
                    stacks.push(stack);
                }
            }
            1 if !stacks.is_empty() => {
                let n = usize::from(input.byte()) % stacks.len();
                let stack = stacks.swap_remove(n);
                if input.byte() & 1 == 0 {
                    stack.close();
                }
            }
            2 => drop(internet.remove_route([addr(input.byte() % 8, input.byte() & 1 != 0)])),
            3 => {
                if let Some(stack) = stacks.first() {
                    let _ = internet.assign(stack, addr(input.byte() % 8, input.byte() & 1 != 0));
                }
            }
            4..=6 if !sockets.is_empty() => {
                let n = usize::from(input.byte()) % sockets.len();
                let to = (addr(input.byte() % 8, input.byte() & 1 != 0), input.pick(&[53, 53, 9]));
                let _ = sockets[n].try_send_to(&vec![1; usize::from(input.word()) % 4000], to.into());
            }
            7 => clock.advance(Duration::from_millis(1 << (input.byte() % 16))),
            8 => {
                let len = usize::from(input.byte());
                let frame = Frame::new(input.bytes(len));
                router.hand(&internet, frame, &mut input);
            }
            9 => router.held.truncate(usize::from(input.byte())),
            _ => {
                while let Some(frame) = in_flight.try_recv() {
                    router.taken += 1;
                    router.held.push(frame);
                }
                if let Some(mut frame) = router.held.pop() {
                    let how = input.byte();
                    if how & 1 != 0 && !frame.is_empty() {
                        let at = usize::from(input.byte()) % frame.len();
                        frame.packet_mut()[at] = input.byte();
                    }
                    if how & 2 != 0 {
                        let cut = frame.packet()[..usize::from(input.word()).min(frame.len())].to_vec();
                        frame.set_packet(cut);
                    }
                    if how & 4 != 0 {
                        frame.fix_checksums();
                    }
                    if how & 8 != 0 {
                        router.hand(&internet, frame.clone(), &mut input);
                    }
                    router.hand(&internet, frame, &mut input);
                }
            }
        }
        check(&internet, &router);
    }
    clock.advance(Duration::from_secs(100));
    check(&internet, &router);
    assert_eq!(internet.stats().held, 0, "what is due is delivered");
    internet.close();
    check(&internet, &router);
    router.handed + router.made
}

impl Router {
    fn hand(&mut self, internet: &Internet, frame: Frame, input: &mut Input<'_>) {
        match frame.sent_by() {
            Some(_) => self.handed += 1,
            None => self.made += 1,
        }
        let _ = match input.byte() {
            ms @ 0..=63 => internet.deliver_after(frame, Duration::from_millis(u64::from(ms))),
            _ => internet.deliver(frame),
        };
    }
}

fn check(internet: &Internet, router: &Router) {
    let stats = internet.stats();
    // What waited for room is sent, and lost, when the internet closes.
    let late = stats.sent - router.taken - stats.queued;
    assert!(late == 0 || internet.is_closed(), "{stats:?}");
    assert_eq!(stats.delivered + stats.dropped_total() + stats.held, router.handed + late, "{stats:?}");
    assert!(stats.dropped(DropReason::Closed) >= late, "{stats:?}");
    assert!(stats.injected + stats.injected_dropped <= router.made, "{stats:?}");
    assert!(stats.queued <= internet.max_in_flight() as u64, "{stats:?}");
}

fn addr(n: u8, v6: bool) -> IpAddr {
    if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n) + 1].into() } else { [10, 0, 0, n + 1].into() }
}
