//! A connection under its lock: who waits for it, what it has to send, and how it ends.
//!
//! Every operation goes the same way. Under the lock the [`Engine`] works and the outcome is
//! [settled](State::settle): is it established, is it over, who is to be woken, when is the next deadline. What
//! that calls for is noted in [`After`] and done once the lock is released: no network, waker or other table is
//! touched before.

mod send;
mod settle;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use smoltcp::socket::tcp::State as TcpState;
use uis_clock::Instant;
use uis_vnic::Frame;

use settle::Finish;

use crate::host::Host;
use crate::tcp::device::Outbox;
use crate::tcp::engine::{Engine, Unpredicted};
use crate::tcp::inbox::Inbox;
use crate::tcp::key::FlowKey;
use crate::tcp::listener::Backlog;
use crate::tcp::options::Settings;
use crate::wire::{DiscardReason, Packet, Plain, TcpSegment, flags};
use uis_vnic::wakers::{WakerSet, Wakeup, wait};

/// A connection, from the SYN to the end of its last handle.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Rises with each flow of a stack: the order in which they are closed together.
    pub(crate) id: u64,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Whether the peer is this stack itself.
    pub(crate) inside: bool,
    /// Whether the next segment needs an exact time. One that does and gets none measures no round trip.
    wants_exact_time: AtomicBool,
    state: Mutex<State>,
}

/// How the stream ends for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed it.
    Eof,
    /// It broke.
    Error(io::ErrorKind, &'static str),
}

impl End {
    pub(crate) const RESET: Self = Self::Error(io::ErrorKind::ConnectionReset, "connection reset by peer");
    /// A reset by a peer that had closed its half. What it sent has its end; only writers are told.
    pub(crate) const PIPE: Self = Self::Error(io::ErrorKind::BrokenPipe, "the peer has gone");
    pub(crate) const REFUSED: Self = Self::Error(io::ErrorKind::ConnectionRefused, "connection refused");
    pub(crate) const ABORTED: Self = Self::Error(io::ErrorKind::ConnectionAborted, "connection aborted");
    pub(crate) const TIMED_OUT: Self =
        Self::Error(io::ErrorKind::TimedOut, "the peer does not answer any more");
    pub(crate) const DOWN: Self = Self::Error(io::ErrorKind::NetworkDown, "the stack is closed");

    /// The error, if it is one.
    pub(crate) fn error(self) -> Option<io::Error> {
        match self {
            Self::Eof => None,
            Self::Error(kind, text) => Some(io::Error::new(kind, text)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A dial that is under way.
    Connecting,
    /// A SYN has come, and the handshake is not complete.
    HalfOpen,
    /// The handshake is complete.
    Open,
    /// The engine is gone. What it had received may still be read.
    Over,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    engine: Option<Box<Engine>>,
    /// The engine when it is gone, to be handed on.
    spent: Option<Box<Engine>>,
    /// Segments for the network, and a spare for the one who sends them.
    outbox: Outbox,
    spare: Outbox,
    /// Whether the engine may have more to send than there was room for.
    more: bool,
    /// Whether somebody is sending, so that segments cannot overtake each other.
    sending: bool,
    /// Whether the network has said that it is full, and not yet that there is room.
    full: bool,
    room_waker: Option<Waker>,
    /// What was received and not read when the engine went.
    leftover: Inbox,
    /// Set when the engine goes.
    end: Option<End>,
    /// As they were when the engine went, and have been set since.
    settings: Settings,
    /// An error that nobody has been told of.
    untold: Option<End>,
    established: bool,
    /// How many SYNs had been sent when the engine went.
    syns_sent: u64,
    send_closed: bool,
    orphan: bool,
    linger: Option<Duration>,
    readers: WakerSet,
    writers: WakerSet,
    /// Where an accepted connection goes once it is established.
    backlog: Option<Weak<Backlog>>,
    /// When the flow has to be over, and how it ends then.
    give_up: Option<(Instant, End)>,
    /// The timers that are set, each earlier than the one before; so there are few.
    armed: Vec<Instant>,
}

/// What is to be done after the lock is released.
#[derive(Default)]
struct After {
    wake: Option<Wakeup>,
    timer: Option<Instant>,
    turn: Option<Box<Turn>>,
}

/// What is to be done at the beginning and at the end of a connection. Hardly any segment is either, so it stands apart.
#[derive(Default)]
struct Turn {
    established: Option<Weak<Backlog>>,
    /// The backlog in which a flow stands that has failed before it was established.
    failed: Option<Weak<Backlog>>,
    over: bool,
    spent: Option<Box<Engine>>,
    time_wait_timer: Option<Instant>,
}

impl Flow {
    /// A flow that dials.
    pub(crate) fn connecting(
        id: u64,
        key: FlowKey,
        inside: bool,
        engine: Box<Engine>,
        until: Instant,
    ) -> Arc<Self> {
        Self::new(id, key, inside, engine, Phase::Connecting, None, Some((until, End::TIMED_OUT)))
    }

    /// A flow for a SYN that a listener took.
    pub(crate) fn half_open(
        id: u64,
        key: FlowKey,
        inside: bool,
        engine: Box<Engine>,
        backlog: &Arc<Backlog>,
        until: Instant,
    ) -> Arc<Self> {
        let give_up = Some((until, End::TIMED_OUT));
        Self::new(id, key, inside, engine, Phase::HalfOpen, Some(Arc::downgrade(backlog)), give_up)
    }

    fn new(
        id: u64,
        key: FlowKey,
        inside: bool,
        engine: Box<Engine>,
        phase: Phase,
        backlog: Option<Weak<Backlog>>,
        give_up: Option<(Instant, End)>,
    ) -> Arc<Self> {
        let settings = engine.settings();
        let state = State {
            phase,
            engine: Some(engine),
            spent: None,
            outbox: Outbox::default(),
            spare: Outbox::default(),
            more: false,
            sending: false,
            full: false,
            room_waker: None,
            leftover: Inbox::default(),
            end: None,
            settings,
            untold: None,
            established: false,
            syns_sent: 0,
            send_closed: false,
            orphan: false,
            linger: None,
            readers: WakerSet::default(),
            writers: WakerSet::default(),
            backlog,
            give_up,
            armed: Vec::new(),
        };
        Arc::new(Self {
            id,
            local: key.local(),
            remote: key.remote(),
            inside,
            wants_exact_time: AtomicBool::new(true),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn key(&self) -> FlowKey {
        FlowKey::new(self.local, self.remote)
    }

    /// Sends the first segment.
    pub(crate) fn start(self: &Arc<Self>, host: &Host) {
        self.operate(host, |_, _| ());
    }

    /// Takes in a segment. `false` if the flow is over, so that the segment is for whoever comes after it.
    pub(crate) fn on_segment(
        self: &Arc<Self>,
        host: &Host,
        packet: &Packet<'_>,
        seg: &TcpSegment<'_>,
    ) -> bool {
        self.operate(host, |state, now| {
            let State { engine: Some(engine), outbox, .. } = state else { return false };
            let peer_closed = engine.peer_closed();
            if let Err(reason) = engine.input(now, packet, seg, outbox) {
                host.stats.discard(reason);
                return true;
            }
            if engine.state() == TcpState::Closed && seg.has(flags::RST) {
                let end = match state.phase {
                    Phase::Connecting => End::REFUSED,
                    _ if peer_closed => End::PIPE,
                    _ => End::RESET,
                };
                state.finish(end);
            } else if state.orphan && !seg.payload.is_empty() {
                // RFC 9293 §3.6.1: nobody will read it, and the peer should know.
                host.stats.discard(DiscardReason::Orphan);
                state.abort(End::ABORTED);
            }
            true
        })
    }

    /// Takes in a segment that does nothing but continue the stream, and its frame. `Err` if there is more to it.
    pub(crate) fn on_plain(
        self: &Arc<Self>,
        host: &Host,
        segment: &Plain,
        frame: &mut Option<Frame>,
    ) -> Result<(), Unpredicted> {
        if self.inside {
            return Err(Unpredicted); // it does not go over the network, so this is somebody else's packet
        }
        // Reading the clock is a tenth of what a segment costs.
        let is_coarse = !self.wants_exact_time.load(Ordering::Relaxed);
        let now = if is_coarse { host.clock.now_coarse() } else { host.clock.now() };
        self.attempt(host, now, is_coarse, |state, now| match state {
            State { engine: Some(engine), outbox, orphan: false, .. } => {
                engine.input_plain(now, segment, frame, outbox)
            }
            _ => Err(Unpredicted),
        })
    }

    /// A deadline may have passed.
    pub(crate) fn on_timer(self: &Arc<Self>, host: &Host) {
        let path_busy = host.vnic.queued().is_some_and(|frames| frames > 0);
        self.operate(host, |state, now| {
            // One that was overtaken by an earlier one still fires, and is none of the flow's any more.
            while state.armed.last().is_some_and(|&at| at <= now) {
                state.armed.pop();
            }
            if let Some((until, end)) = state.give_up
                && until <= now
            {
                return state.abort(end);
            }
            if state.full {
                return;
            }
            let State { engine: Some(engine), outbox, .. } = state else { return };
            if outbox.has_room() && engine.on_timer(now, path_busy, outbox).is_err() {
                state.abort(End::TIMED_OUT);
            }
        });
    }

    /// The network has room again.
    fn on_room(self: &Arc<Self>, host: &Host) {
        self.operate(host, |state, now| {
            state.full = false;
            if let Some(engine) = &mut state.engine {
                engine.go_on(now);
            }
        });
    }

    /// An ICMP error says that the peer cannot be reached. It ends a dial, and is advisory after that (RFC 5927 §4).
    pub(crate) fn on_unreachable(self: &Arc<Self>, host: &Host, kind: io::ErrorKind, seq: u32) {
        self.operate(host, |state, _| {
            let ours = state.engine.as_ref().is_some_and(|engine| engine.may_have_sent(seq));
            if state.phase == Phase::Connecting && ours {
                state.finish(End::Error(kind, "an ICMP error says that the peer cannot be reached"));
            }
        });
    }

    /// The path takes packets of at most `mtu` bytes (RFC 1191, RFC 8201).
    pub(crate) fn on_too_big(self: &Arc<Self>, host: &Host, mtu: usize, seq: u32) {
        self.operate(host, |state, now| {
            let State { engine: Some(engine), outbox, .. } = state else { return };
            if mtu < engine.mtu() && engine.may_have_sent(seq) {
                engine.set_mtu(now, mtu);
                engine.retransmit(now, outbox);
            }
        });
    }

    /// Ready once the dial has succeeded or failed.
    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        wait(cx.waker(), |waiting| {
            let mut state = self.state.lock();
            match (state.established, state.end) {
                (true, _) => Poll::Ready(Ok(())),
                (false, Some(end)) => {
                    state.untold = None;
                    Poll::Ready(Err(end.error().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())))
                }
                (false, None) => {
                    state.writers.insert(waiting);
                    Poll::Pending
                }
            }
        })
    }

    /// How many SYNs were sent before the dial failed.
    pub(crate) fn syns_sent(&self) -> u64 {
        self.state.lock().syns_sent
    }

    /// Reads what there is: `None` if that is nothing yet.
    pub(crate) fn try_read(self: &Arc<Self>, host: &Host, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let read = self.state.lock().read(buf)?;
        Ok(read.map(|(n, owes_window)| {
            self.tell_window(host, owes_window);
            n
        }))
    }

    /// Reads what there is, or keeps the waker.
    pub(crate) fn poll_read(
        self: &Arc<Self>,
        host: &Host,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = wait(cx.waker(), |waiting| {
            let mut state = self.state.lock();
            match state.read(buf).transpose() {
                Some(read) => Poll::Ready(read),
                None => {
                    state.readers.insert(waiting);
                    Poll::Pending
                }
            }
        });
        read.map_ok(|(n, owes_window)| {
            self.tell_window(host, owes_window);
            n
        })
    }

    /// Tells the peer of the room that a reader has made, if that is much.
    fn tell_window(self: &Arc<Self>, host: &Host, owes_window: bool) {
        if owes_window {
            self.operate(host, |_, _| ());
        }
    }

    /// Copies what there is without taking it: `None` if that is nothing yet.
    pub(crate) fn try_peek(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let mut state = self.state.lock();
        let Some(engine) = &mut state.engine else { return state.read_leftover(buf, false).map(Some) };
        let n = engine.peek(buf);
        Ok((n > 0 || buf.is_empty() || engine.peer_closed()).then_some(n))
    }

    /// Ready when a read would not wait.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        wait(cx.waker(), |waiting| {
            let mut state = self.state.lock();
            if state.is_readable() {
                return Poll::Ready(());
            }
            state.readers.insert(waiting);
            Poll::Pending
        })
    }

    /// Takes bytes to send: `None` if there is no room for any.
    pub(crate) fn try_write(
        self: &Arc<Self>,
        host: &Host,
        bufs: &[io::IoSlice<'_>],
    ) -> io::Result<Option<usize>> {
        self.operate(host, |state, now| {
            state.check_writable()?;
            let State { engine: Some(engine), outbox, .. } = state else { return Ok(Some(0)) };
            let mut written = 0;
            let mut any = false;
            for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
                any = true;
                let n = engine.write(now, buf, outbox);
                written += n;
                if n < buf.len() {
                    break;
                }
            }
            Ok((written > 0 || !any).then_some(written))
        })
    }

    /// Takes bytes to send, or keeps the waker.
    pub(crate) fn poll_write(
        self: &Arc<Self>,
        host: &Host,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(host, bufs) {
                Ok(Some(n)) => return Poll::Ready(Ok(n)),
                Ok(None) => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
            if self.poll_writable(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Ready when a write would not wait.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        wait(cx.waker(), |waiting| {
            let mut state = self.state.lock();
            if state.is_writable() {
                return Poll::Ready(());
            }
            state.writers.insert(waiting);
            Poll::Pending
        })
    }

    /// Closes the send half: a FIN goes out after all that was written.
    pub(crate) fn close_send(self: &Arc<Self>, host: &Host) -> io::Result<()> {
        self.operate(host, |state, _| {
            if !state.send_closed {
                state.send_closed = true;
                match (&mut state.engine, state.end) {
                    (Some(engine), _) => engine.close_send(),
                    (None, Some(down @ End::DOWN)) => return down.error().map_or(Ok(()), Err),
                    // What is over needs no FIN; readers and writers are told how it ended.
                    (None, _) => {}
                }
            }
            Ok(())
        })
    }

    /// Ends the connection at once, with a RST.
    pub(crate) fn abort(self: &Arc<Self>, host: &Host, end: End) {
        self.operate(host, |state, _| state.abort(end));
    }

    /// Nobody holds the flow any more. It closes in the background, as a kernel's would.
    pub(crate) fn orphan(self: &Arc<Self>, host: &Host) {
        self.operate(host, |state, now| {
            state.orphan = true;
            state.leftover = Inbox::default();
            let Some(engine) = &mut state.engine else { return };
            // RFC 1122 §4.2.2.13: throwing away received data shows in a RST, and so does a linger time of 0.
            if engine.readable() > 0 || state.linger == Some(Duration::ZERO) || engine.is_opening() {
                return state.abort(End::ABORTED);
            }
            engine.close_send();
            state.give_up = Some((now + host.config.orphan_timeout, End::TIMED_OUT));
        });
    }

    /// Takes the error that nobody has been told of.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.state.lock().untold.take().and_then(End::error)
    }

    pub(crate) fn set_linger(&self, linger: Option<Duration>) {
        self.state.lock().linger = linger;
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        self.state.lock().linger
    }

    /// Looks at the engine, if the connection is not over, and whether the connection is given up at some time.
    pub(crate) fn inspect<R>(&self, look: impl FnOnce(&Engine, bool) -> R) -> Option<R> {
        let state = self.state.lock();
        state.engine.as_deref().map(|engine| look(engine, state.give_up.is_some()))
    }

    pub(crate) fn settings(&self) -> Settings {
        let state = self.state.lock();
        state.engine.as_ref().map_or(state.settings, |engine| engine.settings())
    }

    pub(crate) fn configure(self: &Arc<Self>, host: &Host, change: impl FnOnce(&mut Settings)) {
        self.operate(host, |state, now| match &mut state.engine {
            Some(engine) => {
                let mut settings = engine.settings();
                change(&mut settings);
                engine.set(now, settings);
            }
            None => change(&mut state.settings),
        });
    }

    /// The way of every operation, see the module's documentation.
    fn operate<R>(self: &Arc<Self>, host: &Host, operation: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = host.clock.now();
        let Ok(result) =
            self.attempt::<R, Infallible>(host, now, false, |state, now| Ok(operation(state, now)));
        result
    }

    /// The same of one that may turn out not to be one: in an `Err` it has changed nothing.
    #[inline]
    fn attempt<R, E>(
        self: &Arc<Self>,
        host: &Host,
        now: Instant,
        is_coarse: bool,
        operation: impl FnOnce(&mut State, Instant) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut finish = Finish { flow: self, host, after: After::default() };
        let (result, batch) = {
            let mut state = self.state.lock();
            if let Some(engine) = &mut state.engine {
                engine.set_coarse(is_coarse);
            }
            let result = operation(&mut state, now)?;
            state.settle(self, host, now, &mut finish.after);
            (result, state.start_sending())
        };
        if let Some(batch) = batch {
            let now = if is_coarse { host.clock.now() } else { now };
            self.send_all(host, now, batch, &mut finish.after);
        }
        Ok(result)
    }
}
