//! A transfer between two interfaces of bare smoltcp, with its own CUBIC, on the same path.

use std::time::Duration;

use futures_lite::future::or;
use uis::vnic::smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use uis::vnic::smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use uis::vnic::smoltcp::time::Instant as SmolInstant;
use uis::vnic::smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::common::{CLIENT, Instant, Internet, MTU_ETHERNET, SERVER, VnicPort, ip};
use crate::path::{Case, Meter, Run};

pub fn run(case: Case, seed: u64) -> Run {
    case.run(seed, async |internet, meter| transfer(internet, case, meter).await)
}

struct Host {
    port: VnicPort,
    iface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
}

impl Host {
    fn new(internet: &Internet, addr: &str, buffer: usize) -> Self {
        let vnic = internet.new_vnic(MTU_ETHERNET).expect("the MTU is possible");
        internet.add_route(&vnic, [ip(addr)]).expect("the address is free");
        let mut port = VnicPort::new(vnic, 1 << 16).expect("it is not attached");
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, SmolInstant::ZERO);
        iface.update_ip_addrs(|addrs| addrs.push(IpCidr::new(ip(addr).into(), 24)).expect("there is room"));
        let ring = || SocketBuffer::new(vec![0; buffer]);
        let mut socket = Socket::new(ring(), ring());
        socket.set_congestion_control(CongestionControl::Cubic);
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(Vec::new());
        let tcp = sockets.add(socket);
        Self { port, iface, sockets, tcp }
    }

    fn tcp(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    fn poll(&mut self, now: Instant) {
        self.iface.poll(smol(now), &mut self.port, &mut self.sockets);
    }

    /// Waits for a packet, or for when it has something to do by itself.
    async fn wait(&mut self, internet: &Internet) {
        let clock = internet.clock();
        let wait = self.iface.poll_delay(smol(clock.now()), &self.sockets);
        // What it says is due now has just been done, or cannot be.
        let wait = wait.map(|wait| Duration::from_micros(wait.total_micros().max(1)));
        or(self.port.readable(), async {
            match wait {
                Some(wait) => clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        })
        .await;
    }
}

/// smoltcp's instant 0 has a meaning of its own.
fn smol(at: Instant) -> SmolInstant {
    SmolInstant::from_micros(1_000_000 + at.as_micros() as i64)
}

async fn transfer(internet: &Internet, case: Case, meter: &mut Meter) {
    let mut server = Host::new(internet, SERVER[0], case.buffer);
    let mut client = Host::new(internet, CLIENT[0], case.buffer);
    server.tcp().listen(80).expect("it is closed");
    let to: IpAddress = ip(SERVER[0]).into();
    let tcp = client.sockets.get_mut::<Socket<'_>>(client.tcp);
    tcp.connect(client.iface.context(), (to, 80), 49152).expect("it is closed");
    let clock = internet.clock();
    let data = vec![7; case.len()];
    let send = async {
        let mut left = case.len();
        loop {
            server.poll(clock.now());
            if server.tcp().can_send() && left > 0 {
                left -= server.tcp().send_slice(&data[..left]).expect("it can");
                server.poll(clock.now());
            }
            server.wait(internet).await;
        }
    };
    let receive = async {
        loop {
            client.poll(clock.now());
            while client.tcp().can_recv() {
                let n = client.tcp().recv(|data| (data.len(), data.len())).expect("it can");
                meter.on_read(clock.now(), n);
            }
            if meter.is_done() {
                break;
            }
            client.poll(clock.now());
            client.wait(internet).await;
        }
    };
    or(receive, send).await;
}
