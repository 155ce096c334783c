//! A plain smoltcp interface on a [`VnicPort`] talks to a stack: either end may be somebody else's.

use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use uis_clock::{SharedClock, VirtualClock};
use uis_stack::Stack;
use uis_vnic::smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use uis_vnic::smoltcp::socket::tcp::{Socket, SocketBuffer};
use uis_vnic::smoltcp::time::Instant;
use uis_vnic::smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use uis_vnic::{MTU_ETHERNET, Vnic, VnicPort};

/// A host of smoltcp's alone.
struct Bare {
    port: VnicPort,
    iface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    clock: SharedClock,
}

impl Bare {
    fn new(vnic: Vnic) -> Self {
        let clock = vnic.clock();
        let mut port = VnicPort::new(vnic, 256).unwrap();
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, Instant::ZERO);
        iface.update_ip_addrs(|addrs| addrs.push(IpCidr::new(IpAddress::v4(10, 0, 0, 2), 24)).unwrap());
        let buffer = || SocketBuffer::new(vec![0; 8192]);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(Socket::new(buffer(), buffer()));
        Self { port, iface, sockets, handle, clock }
    }

    /// Runs the interface until `done` says so.
    async fn run<T>(&mut self, mut done: impl FnMut(&mut Socket<'static>) -> Option<T>) -> T {
        loop {
            let now = Instant::from_micros(self.clock.now().as_micros() as i64);
            self.iface.poll(now, &mut self.port, &mut self.sockets);
            if let Some(value) = done(self.sockets.get_mut(self.handle)) {
                self.iface.poll(now, &mut self.port, &mut self.sockets);
                return value;
            }
            let wait =
                self.iface.poll_delay(now, &self.sockets).map_or(60_000, |delay| delay.total_millis().max(1));
            let sleep = async { self.clock.sleep(Duration::from_millis(wait)).await };
            self.port.readable().or(sleep).await;
        }
    }
}

#[test]
fn it_dials_a_stack_and_gets_an_answer() {
    let clock = VirtualClock::new();
    let (a, b) = Vnic::pair(MTU_ETHERNET, clock.handle()).unwrap();
    let stack = Stack::new(a, ["10.0.0.1".parse().unwrap()]).unwrap();
    let mut bare = Bare::new(b);
    let listener = stack.listen_tcp("10.0.0.1:80").unwrap();

    let serve = async {
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, "10.0.0.2:40000".parse().unwrap());
        let mut asked = String::new();
        stream.read_to_string(&mut asked).await.unwrap();
        stream.write_all(asked.to_uppercase().as_bytes()).await.unwrap();
        stream.close().await.unwrap();
    };
    let ask = async {
        let socket = bare.sockets.get_mut::<Socket<'_>>(bare.handle);
        socket.connect(bare.iface.context(), (IpAddress::v4(10, 0, 0, 1), 80), 40_000).unwrap();
        bare.run(|socket| socket.may_send().then_some(())).await;
        bare.run(|socket| {
            socket.send_slice("what? ".repeat(500).as_bytes()).unwrap();
            socket.close();
            Some(())
        })
        .await;
        let mut answer = Vec::new();
        bare.run(|socket| {
            let _ = socket.recv(|bytes| {
                answer.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            (!socket.may_recv()).then_some(())
        })
        .await;
        assert_eq!(answer, "WHAT? ".repeat(500).into_bytes());
    };
    clock.block_on(futures_lite::future::zip(serve, ask));
}
