//! Who is compared: smoltcp as it is, with one interface and one socket.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr};
use uis_clock::Instant;

use super::host::{Host, Uis};

/// How many packets between two actions of a script are a loop that never ends.
const TOO_MANY: usize = 10_000;

pub struct Bare {
    iface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    local: SocketAddr,
    peer: SocketAddr,
    now: Instant,
}

impl Bare {
    pub fn new(local: SocketAddr, peer: SocketAddr, mtu: u32, recv: usize, send: usize) -> Self {
        let mut wire = Wire { mtu: mtu as usize, ..Wire::default() };
        let now = Instant::ZERO;
        let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut wire, smol(now));
        iface.update_ip_addrs(|addrs| {
            let prefix = if local.is_ipv4() { 24 } else { 64 };
            addrs.push(IpCidr::new(local.ip().into(), prefix)).expect("there is room for an address");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = |len| SocketBuffer::new(vec![0; len]);
        let mut socket = Socket::new(buffer(recv), buffer(send));
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(CongestionControl::None);
        let handle = sockets.add(socket);
        Self { iface, wire, sockets, handle, local, peer, now }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn poll(&mut self) {
        self.wire.polled = 0;
        self.iface.poll(smol(self.now), &mut self.wire, &mut self.sockets);
        let (now, sent) = (self.now, &mut self.wire.sent);
        self.wire.stamped.extend(sent.drain(..).map(|packet| (now, packet)));
    }
}

/// Does something with the socket, and then what follows from it.
macro_rules! act {
    ($bare:ident, $action:expr) => {{
        let result = $action;
        $bare.poll();
        result
    }};
}

impl Host for Bare {
    fn inject(&mut self, packet: Vec<u8>) {
        act!(self, self.wire.rx.push_back(packet));
    }

    fn sent(&mut self) -> Vec<(Instant, Vec<u8>)> {
        std::mem::take(&mut self.wire.stamped)
    }

    fn next(&mut self) -> Option<Instant> {
        let at = self.iface.poll_at(smol(self.now), &self.sockets)?;
        // It has just been polled. What it says is due now does not come by polling again.
        let at = Instant::from_micros((at.total_micros() - START).max(0) as u64);
        Some(at.max(self.now + Duration::from_millis(1)))
    }

    fn go_to(&mut self, at: Instant) {
        act!(self, self.now = at);
    }

    fn listen(&mut self) {
        let port = self.local.port();
        self.socket().listen(port).expect("the socket is closed");
    }

    fn accept(&mut self) -> bool {
        !matches!(self.socket().state(), State::Closed | State::Listen | State::SynReceived)
    }

    fn connect(&mut self) {
        let (local, peer) = (self.local, self.peer);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        act!(
            self,
            socket
                .connect(self.iface.context(), (peer.ip(), peer.port()), (local.ip(), local.port()))
                .expect("the socket is closed")
        );
    }

    fn connected(&mut self) -> Option<io::Result<()>> {
        match self.socket().state() {
            State::SynSent | State::SynReceived => None,
            State::Closed => Some(Err(io::ErrorKind::ConnectionRefused.into())),
            _ => Some(Ok(())),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match act!(self, self.socket().send_slice(data)) {
            Ok(0) if !data.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            Ok(n) => Ok(n),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match act!(self, self.socket().recv_slice(buf)) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(n) => Ok(n),
            Err(RecvError::Finished) => Ok(0),
            Err(RecvError::InvalidState) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn close(&mut self) {
        act!(self, self.socket().close());
    }

    fn abort(&mut self) {
        act!(self, self.socket().abort());
    }

    fn drop_stream(&mut self) {
        self.close();
    }

    fn set_full(&mut self, full: bool) {
        act!(self, self.wire.full = full);
    }

    fn uis(&mut self) -> Option<&mut Uis> {
        None
    }
}

/// smoltcp's time at the beginning, in microseconds: its instant 0 has a meaning of its own.
const START: i64 = 1_000_000_000;

fn smol(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(START + at.as_micros() as i64)
}

#[derive(Default)]
struct Wire {
    mtu: usize,
    rx: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    stamped: Vec<(Instant, Vec<u8>)>,
    polled: usize,
    /// Whether there is no transmit token to be had.
    full: bool,
}

impl Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.rx.pop_front()?), Tx(&mut self.sent)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_>> {
        self.polled += 1;
        assert!(self.polled < TOO_MANY, "smoltcp's poll does not end");
        (!self.full).then_some(Tx(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.mtu;
        caps
    }
}

struct Rx(Vec<u8>);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}
