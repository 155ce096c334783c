//! What a stack's handles, sockets, flows and timers share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use parking_lot::{Mutex, RwLock};
use uis_clock::{Instant, SharedClock};
use uis_vnic::{Frame, SendError, Vnic};

use crate::config::StackConfig;
use crate::endpoint::{invalid, is_unicast};
use crate::fragment::Reassembly;
use crate::icmp::IcmpLimit;
use crate::paths::Paths;
use crate::stats::Counters;
use crate::tcp::{End, Table};
use crate::timers::{Timer, Timers};
use crate::{rng, udp};
use uis_clock::unwind::{Panics, in_drop};

/// What incomplete datagrams may hold.
const REASSEMBLY_LIMIT: usize = 4 << 20;

/// The inside of a stack.
#[derive(Debug)]
pub(crate) struct Host {
    me: Weak<Self>,
    pub(crate) vnic: Vnic,
    pub(crate) clock: SharedClock,
    pub(crate) config: StackConfig,
    /// What sequence numbers, ports and identifications are drawn with.
    pub(crate) key: u64,
    addrs: RwLock<Vec<IpAddr>>,
    /// Whether an address was ever removed: then a connection may be on one that is no longer ours.
    addrs_removed: AtomicBool,
    pub(crate) tcp: Table,
    pub(crate) udp: udp::Table,
    pub(crate) paths: Paths,
    pub(crate) icmp_limit: IcmpLimit,
    pub(crate) reassembly: Mutex<Reassembly>,
    pub(crate) stats: Counters,
    timers: Timers,
    alarm: Waker,
    drawn: AtomicU64,
    dialled: AtomicU64,
    closed: AtomicBool,
    life: Mutex<Life>,
}

/// Whether anybody holds the stack.
#[derive(Debug, Default)]
struct Life {
    /// Nobody does. It is kept by its alarm on the clock while flows are closing in the background: so it goes, at the
    /// latest, when the clock does.
    abandoned: bool,
}

impl Host {
    /// A host on `vnic`, not attached yet.
    pub(crate) fn new(vnic: Vnic, addrs: Vec<IpAddr>, config: StackConfig) -> io::Result<Arc<Self>> {
        config.check()?;
        for (n, &addr) in addrs.iter().enumerate() {
            check_addr(addr, vnic.mtu())?;
            if addrs[..n].contains(&addr) {
                return Err(invalid(format!("the address {addr} is given twice")));
            }
        }
        let key = rng::mix(config.seed.unwrap_or(0));
        Ok(Arc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            clock: vnic.clock(),
            vnic,
            config,
            key,
            addrs: RwLock::new(addrs),
            addrs_removed: AtomicBool::new(false),
            tcp: Table::default(),
            udp: udp::Table::default(),
            paths: Paths::default(),
            icmp_limit: IcmpLimit::default(),
            reassembly: Mutex::new(Reassembly::new(REASSEMBLY_LIMIT)),
            stats: Counters::default(),
            timers: Timers::new(),
            alarm: Waker::from(Arc::new(Alarm(me.clone()))),
            drawn: AtomicU64::new(0),
            dialled: AtomicU64::new(rng::hash(key, &[u64::MAX])),
            closed: AtomicBool::new(false),
            life: Mutex::default(),
        }))
    }

    pub(crate) fn me(&self) -> Weak<Self> {
        self.me.clone()
    }

    /// The addresses in the order in which they were given.
    pub(crate) fn addrs(&self) -> Vec<IpAddr> {
        self.addrs.read().clone()
    }

    /// Whether `ip` is an address of this stack.
    pub(crate) fn is_ours(&self, ip: IpAddr) -> bool {
        self.addrs.read().contains(&ip)
    }

    /// Whether a connection's local address is sure to be ours still.
    pub(crate) fn keeps_addrs(&self) -> bool {
        !self.addrs_removed.load(Ordering::Acquire)
    }

    pub(crate) fn add_addr(&self, addr: IpAddr) -> io::Result<()> {
        self.check_open()?;
        check_addr(addr, self.vnic.mtu())?;
        let mut addrs = self.addrs.write();
        if addrs.contains(&addr) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("{addr} is an address of this stack already"),
            ));
        }
        addrs.push(addr);
        Ok(())
    }

    pub(crate) fn remove_addr(&self, addr: IpAddr) -> io::Result<()> {
        let mut addrs = self.addrs.write();
        let at = addrs.iter().position(|&a| a == addr).ok_or_else(|| not_ours(addr))?;
        addrs.remove(at);
        self.addrs_removed.store(true, Ordering::Release);
        Ok(())
    }

    /// The address to send from to `peer`: the first of its family.
    pub(crate) fn source_for(&self, peer: IpAddr) -> io::Result<IpAddr> {
        if self.is_ours(peer) {
            return Ok(peer); // as on any host: a packet to oneself comes from where it goes to
        }
        if peer.is_loopback() {
            let text = format!("a stack has no loopback interface for {peer}: dial one of its own addresses");
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, text));
        }
        self.addrs.read().iter().copied().find(|a| a.is_ipv4() == peer.is_ipv4()).ok_or_else(|| {
            let family = if peer.is_ipv4() { "IPv4" } else { "IPv6" };
            io::Error::new(
                io::ErrorKind::NetworkUnreachable,
                format!("the stack has no {family} address to reach {peer}"),
            )
        })
    }

    /// Checks an address to bind to: one of ours, or a wildcard.
    pub(crate) fn check_local(&self, at: SocketAddr) -> io::Result<SocketAddr> {
        let ip = at.ip().to_canonical();
        let at = SocketAddr::new(ip, at.port());
        if !ip.is_unspecified() && !is_unicast(ip) {
            return Err(invalid(format!("{ip} cannot be a local address")));
        }
        if !ip.is_unspecified() && !self.is_ours(ip) {
            return Err(not_ours(ip));
        }
        Ok(at)
    }

    /// A number that depends on the seed and on how many were drawn before, for ports and identifications.
    pub(crate) fn draw(&self) -> u64 {
        rng::hash(self.key, &[self.drawn.fetch_add(1, Ordering::Relaxed)])
    }

    /// Where to begin the search for a port to dial from: it goes round, from a place that the seed chooses.
    pub(crate) fn next_dial(&self) -> u64 {
        self.dialled.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a packet that is ready and fits the MTU; one to an own address never leaves the stack.
    pub(crate) fn send_packet(&self, packet: Vec<u8>, to: IpAddr) -> Result<(), SendError> {
        let frame = Frame::with_valid_checksums(packet);
        if self.is_ours(to) {
            self.receive(frame);
            return Ok(());
        }
        self.vnic.send(frame).inspect(|()| self.stats.sent(1))
    }

    /// Sends a packet that nobody waits for: an ICMP message, or a TCP segment without a connection. If it cannot
    /// leave now it is dropped and counted.
    pub(crate) fn send_or_drop(&self, packet: Vec<u8>, to: IpAddr) {
        if let Err(error) = self.send_packet(packet, to) {
            self.stats.not_sent(error.reason());
        }
    }

    /// Sets a timer. Not under a lock.
    pub(crate) fn set_timer(&self, at: Instant, timer: Timer) {
        self.timers.set(at, timer, &self.clock, || self.waker());
    }

    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.timers.next_alarm()
    }

    /// Runs the timers that are due.
    fn on_alarm(&self) {
        self.timers.alarm_fired();
        // Also when a timer unwinds, or no other would fire any more.
        let _rearm = Rearm(self);
        let now = self.clock.now();
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Flow(flow) => {
                    if let Some(flow) = flow.upgrade() {
                        flow.on_timer(self);
                    }
                }
                Timer::TimeWait => {
                    if let Some(at) = self.tcp.time_wait.expire(now) {
                        self.set_timer(at, Timer::TimeWait);
                    }
                }
                Timer::Reassembly => self.expire_fragments(now),
                // What is still here could not even send its RST.
                Timer::Linger => self.close(),
            }
        }
    }

    /// What the clock is to wake.
    fn waker(&self) -> Waker {
        let lingers = self.life.lock().abandoned;
        match self.me.upgrade().filter(|_| lingers) {
            Some(me) => Waker::from(Arc::new(Linger(me))),
            None => self.alarm.clone(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// `NetworkDown` once the stack is closed.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        if self.is_closed() { Err(self.closed_error()) } else { Ok(()) }
    }

    /// The error of whatever is done with a closed stack.
    pub(crate) fn closed_error(&self) -> io::Error {
        io::Error::new(io::ErrorKind::NetworkDown, "the stack is closed")
    }

    /// Ends everything at once: connections are reset, sockets fail, the Vnic closes.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut panics = Panics::default();
        for listener in self.tcp.listeners() {
            panics.catch(|| listener.close(self));
        }
        for flow in self.tcp.flows() {
            panics.catch(|| flow.abort(self, End::DOWN));
        }
        panics.catch(|| self.udp.close_all(self));
        self.tcp.time_wait.clear();
        self.tcp.pool.clear();
        self.timers.clear();
        panics.catch(|| self.vnic.close());
        panics.resume();
    }

    /// The last handle is gone. Flows that are still closing keep the stack until they are done.
    fn abandon(&self) {
        self.life.lock().abandoned = true;
        self.after_flow();
        if !self.is_closed() {
            // Each orphan is over by then.
            self.set_timer(self.clock.now() + self.config.orphan_timeout, Timer::Linger);
            // What was armed before does not keep the stack.
            self.timers.alarm_fired();
            drop(Rearm(self));
        }
    }

    /// A flow is over. If it was the last one of a stack that nobody holds, the stack closes.
    pub(crate) fn after_flow(&self) {
        if self.life.lock().abandoned && self.tcp.is_empty() {
            self.close();
        }
    }
}

/// Arms the clock for the timers that are left.
struct Rearm<'a>(&'a Host);

impl Drop for Rearm<'_> {
    fn drop(&mut self) {
        self.0.timers.rearm(&self.0.clock, || self.0.waker());
    }
}

/// Runs the timers when the clock says so. It does not keep the stack alive.
struct Alarm(Weak<Host>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(host) = self.0.upgrade() {
            host.on_alarm();
        }
    }
}

/// The same for a stack that nobody holds any more. It keeps the stack alive until then.
struct Linger(Arc<Host>);

impl Wake for Linger {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.on_alarm();
    }
}

/// What the users of a stack hold together: its handles and its sockets.
#[derive(Debug)]
pub(crate) struct StackHandle(Arc<Host>);

impl StackHandle {
    pub(crate) fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self(host))
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.0
    }
}

impl Drop for StackHandle {
    fn drop(&mut self) {
        in_drop(|| self.0.abandon());
    }
}

/// Whether a stack can have this address.
fn check_addr(addr: IpAddr, mtu: u32) -> io::Result<()> {
    let mapped = matches!(addr, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    if !is_unicast(addr)
        || addr.is_loopback()
        || mapped
        || matches!(addr, IpAddr::V4(ip) if ip.octets()[0] == 0)
    {
        return Err(invalid(format!("{addr} cannot be the address of a host on a network")));
    }
    if addr.is_ipv6() && mtu < uis_vnic::MTU_MINIMUM_IPV6 {
        return Err(invalid(format!("IPv6 needs an MTU of 1280 (RFC 8200 §5), and this one is {mtu}")));
    }
    Ok(())
}

/// The error for an address that the stack does not have.
pub(crate) fn not_ours(addr: IpAddr) -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, format!("{addr} is not an address of this stack"))
}
