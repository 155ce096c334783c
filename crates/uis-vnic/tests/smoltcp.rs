//! Plain smoltcp interfaces on both ends of a wire.

use futures_lite::future::{block_on, poll_once};
use uis_clock::SystemClock;
use uis_vnic::smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use uis_vnic::smoltcp::socket::tcp;
use uis_vnic::smoltcp::time::{Duration, Instant};
use uis_vnic::smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use uis_vnic::{MTU_ETHERNET, MTU_MINIMUM_IPV6, Vnic, VnicPort};

/// One smoltcp with one TCP socket.
struct Host {
    port: VnicPort,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
}

impl Host {
    fn new(vnic: Vnic, addr: &str, queue: usize) -> Self {
        let mut port = VnicPort::new(vnic, queue).unwrap();
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addrs| addrs.push(addr.parse::<IpCidr>().unwrap()).unwrap());
        let ring = || tcp::SocketBuffer::new(vec![0; 64 * 1024]);
        let mut sockets = SocketSet::new(Vec::new());
        let tcp = sockets.add(tcp::Socket::new(ring(), ring()));
        Self { port, interface, sockets, tcp }
    }

    fn tcp(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.port, &mut self.sockets);
    }

    /// In how long it has to be polled again.
    fn delay(&mut self, now: Instant) -> Option<Duration> {
        if block_on(poll_once(self.port.readable())).is_some() {
            return Some(Duration::ZERO);
        }
        self.interface.poll_delay(now, &self.sockets)
    }
}

/// Downloads `len` bytes, and says how much of its own time that took and how many frames the client's queue lost.
fn download(mtu: u32, addrs: [&str; 2], queue: usize, len: usize) -> (Duration, u64) {
    let (a, b) = Vnic::pair(mtu, SystemClock::new()).unwrap();
    let (mut client, mut server) = (Host::new(a, addrs[0], queue), Host::new(b, addrs[1], queue));
    let to: IpAddress = addrs[1].parse::<IpCidr>().unwrap().address();
    server.tcp().listen(80).unwrap();
    let context = client.interface.context();
    client.sockets.get_mut::<tcp::Socket>(client.tcp).connect(context, (to, 80), 49152).unwrap();

    let byte = |at: usize| (at % 251) as u8;
    let (mut sent, mut received) = (0, 0);
    let mut now = Instant::ZERO;
    while client.tcp().may_recv() || received == 0 {
        client.poll(now);
        server.poll(now);
        if server.tcp().can_send() {
            sent += server
                .tcp()
                .send(|ring| {
                    let n = ring.len().min(len - sent);
                    ring[..n].iter_mut().enumerate().for_each(|(i, to)| *to = byte(sent + i));
                    (n, n)
                })
                .unwrap();
            if sent == len {
                server.tcp().close();
            }
        }
        while client.tcp().can_recv() {
            let read = client.tcp().recv(|ring| {
                assert!(ring.iter().enumerate().all(|(i, &got)| got == byte(received + i)));
                (ring.len(), ring.len())
            });
            received += read.unwrap();
        }
        let delay = [client.delay(now), server.delay(now)].into_iter().flatten().min();
        now += delay.unwrap_or(Duration::from_millis(1));
        assert!(now < Instant::from_secs(600), "stuck after {received} of {len} bytes");
    }
    assert_eq!((sent, received), (len, len));
    (now - Instant::ZERO, client.port.dropped())
}

#[test]
fn a_download() {
    for addrs in [["10.0.0.1/24", "10.0.0.2/24"], ["fd00::1/64", "fd00::2/64"]] {
        for mtu in [MTU_MINIMUM_IPV6, MTU_ETHERNET, 65_535] {
            let (took, dropped) = download(mtu, addrs, 1024, 1_000_000);
            assert!(dropped == 0 && took < Duration::from_secs(1), "{took}, {dropped} lost");
        }
    }
}

#[test]
fn short_queues_lose_frames_which_tcp_repairs() {
    let (_, dropped) = download(MTU_ETHERNET, ["10.0.0.1/24", "10.0.0.2/24"], 16, 300_000);
    assert!(dropped > 0, "nothing was put to the test");
}
