//! Packets, ports and wakers for the tests.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use uis_internet::Internet;
use uis_vnic::{DropReason, MTU_ETHERNET, Vnic, VnicPort};

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An IP packet of protocol 17 to `to`, whose payload is `id` and then `extra` zeros.
pub fn packet(to: IpAddr, id: u32, extra: usize) -> Vec<u8> {
    let mut packet = match to {
        IpAddr::V4(to) => {
            let mut header = vec![0; 20];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&(24 + extra as u16).to_be_bytes());
            header[8] = 64;
            header[9] = 17;
            header[12..16].copy_from_slice(&[10, 9, 9, 9]);
            header[16..20].copy_from_slice(&to.octets());
            header
        }
        IpAddr::V6(to) => {
            let mut header = vec![0; 40];
            header[0] = 0x60;
            header[4..6].copy_from_slice(&(4 + extra as u16).to_be_bytes());
            header[6] = 17;
            header[7] = 64;
            header[24..40].copy_from_slice(&to.octets());
            header
        }
    };
    packet.extend(id.to_be_bytes());
    packet.resize(packet.len() + extra, 0);
    packet
}

/// The `id` of a [`packet`].
pub fn id(packet: &[u8]) -> u32 {
    let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
    u32::from_be_bytes(packet[header..header + 4].try_into().unwrap())
}

/// An IPv4 TCP segment to `to` with so many bytes of payload.
pub fn segment(to: IpAddr, payload: usize) -> Vec<u8> {
    let mut packet = packet(to, 0, 16 + payload);
    packet[9] = 6;
    packet[32] = 5 << 4;
    packet
}

/// A port on a Vnic of its own, with this address.
pub fn port(internet: &Internet, addr: &str) -> VnicPort {
    let port = VnicPort::new(internet.new_vnic(MTU_ETHERNET).unwrap(), 4096).unwrap();
    internet.add_route(port.vnic(), [ip(addr)]).unwrap();
    port
}

/// The ids of what has arrived.
pub fn arrived(port: &VnicPort) -> Vec<u32> {
    std::iter::from_fn(|| port.try_recv()).map(|frame| id(frame.packet())).collect()
}

/// The ids of what is in flight, which is taken.
pub fn in_flight(internet: &Internet) -> Vec<u32> {
    let in_flight = internet.in_flight();
    std::iter::from_fn(|| in_flight.try_recv()).map(|frame| id(frame.packet())).collect()
}

/// Sends packets with these ids to `to`.
pub fn send(from: &Vnic, to: IpAddr, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        from.write(packet(to, id, 0)).unwrap();
    }
}

pub fn assert_adds_up(internet: &Internet) {
    let stats = internet.stats();
    let dropped: u64 = DropReason::ALL.iter().map(|&why| stats.dropped(why)).sum();
    assert_eq!(stats.sent, stats.delivered + dropped + stats.queued + stats.held, "{stats:?}");
}

/// Counts how often it is woken.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    pub fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), wakes.into())
    }

    /// How often since this was asked last.
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that calls a closure.
pub fn waker_fn(f: impl Fn() + Send + Sync + 'static) -> Waker {
    struct Call<F>(F);
    impl<F: Fn() + Send + Sync + 'static> Wake for Call<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }
    Arc::new(Call(f)).into()
}

/// Polls once.
pub fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(waker))
}
