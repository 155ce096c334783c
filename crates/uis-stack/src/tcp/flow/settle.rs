//! What follows from what has just happened to a connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smoltcp::socket::tcp::State as TcpState;
use uis_clock::Instant;

use super::{After, End, Flow, Phase, State, Turn};
use crate::host::Host;
use crate::tcp::device::Outbox;
use crate::timers::Timer;
use uis_clock::unwind::in_drop;
use uis_vnic::wakers::Wakeup;

impl State {
    /// Draws the consequences of what has just happened to the engine.
    pub(super) fn settle(&mut self, flow: &Flow, host: &Host, now: Instant, after: &mut After) {
        if let Some(engine) = &mut self.engine
            && !self.full
        {
            self.more = engine.follow_up(now, &mut self.outbox);
            // Nor is the next deadline known while the outbox is full.
            self.more |= !self.outbox.has_room();
        }
        if let Some(engine) = &self.engine {
            let tcp_state = engine.state();
            if !self.established && !engine.is_opening() && tcp_state != TcpState::Closed {
                self.established = true;
                self.phase = Phase::Open;
                if !self.orphan {
                    self.give_up = None;
                }
                after.turn().established = self.backlog.take();
                self.writers.drain_into(after.wake());
            }
            match tcp_state {
                TcpState::TimeWait if engine.all_acked() => {
                    let until = now + host.config.time_wait;
                    if host.tcp.time_wait.insert(flow.key(), engine.closed(until)) {
                        after.turn().time_wait_timer = Some(until);
                    }
                    self.finish(End::Eof);
                }
                // LAST-ACK is over. Every other way to CLOSED has been dealt with where it happened.
                TcpState::Closed => self.finish(End::Eof),
                // The RST that answers our SYN puts smoltcp back to listening; and so does a SYN it does not take.
                TcpState::Listen => self.finish(End::RESET),
                _ => {}
            }
        }
        // What the network had no room for still has to go, be it the last acknowledgment or a RST.
        let waits_for_room = self.full && !self.outbox.is_empty() && !host.is_closed();
        if self.engine.is_none() && self.phase != Phase::Over && !waits_for_room {
            self.phase = Phase::Over;
            self.give_up = None;
            let turn = after.turn();
            turn.failed = self.backlog.take();
            turn.over = true;
            turn.spent = self.spent.take();
        }
        if !self.readers.is_empty() && self.is_readable() {
            self.readers.drain_into(after.wake());
        }
        if !self.writers.is_empty() && (self.end.is_some() || self.wants_writer()) {
            self.writers.drain_into(after.wake());
        }
        let wants = self.engine.as_ref().is_none_or(|engine| engine.wants_exact_time());
        flow.wants_exact_time.store(wants, Ordering::Relaxed);
        if let Some(at) = self.next_timer(now)
            && self.armed.last().is_none_or(|&armed| at < armed)
        {
            self.armed.push(at);
            // One timer is set in the end. A later one, found earlier in this turn, must not be taken for set.
            if let Some(unset) = after.timer.replace(at) {
                self.armed.retain(|&armed| armed != unset);
            }
        }
    }

    /// The next deadline, if it may be earlier than the timer that is set.
    pub(super) fn next_timer(&mut self, now: Instant) -> Option<Instant> {
        let engine = self.engine.as_mut()?;
        let give_up = self.give_up.map(|(at, _)| at);
        if self.armed.last().is_some_and(|&armed| !engine.may_be_due_before(armed, now)) {
            return give_up;
        }
        // While there is no room, smoltcp has something to send now; that is no deadline.
        let engine_at = if self.full || !self.outbox.has_room() { None } else { engine.deadline(now) };
        [give_up, engine_at].into_iter().flatten().min()
    }

    /// Drops the engine; what it has received stays readable.
    pub(super) fn finish(&mut self, end: End) {
        let Some(mut engine) = self.engine.take() else { return };
        if self.phase == Phase::Connecting {
            self.outbox = Outbox::default(); // a SYN of a dial that is given up need not go any more
        }
        if !self.orphan {
            self.leftover = engine.take_received();
        }
        self.syns_sent = engine.syns_sent();
        self.settings = engine.settings();
        self.end = Some(end);
        self.untold = (end != End::Eof).then_some(end);
        self.spent = Some(engine);
    }

    /// Ends the connection with a RST, and with this for its users.
    pub(super) fn abort(&mut self, end: End) {
        if let Some(engine) = &mut self.engine {
            engine.abort(&mut self.outbox);
            self.finish(end);
        }
    }

    /// Reads what there is, and says whether the peer should hear of the room; `None` if there is nothing yet.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let Some(engine) = &mut self.engine else { return Ok(Some((self.read_leftover(buf, true)?, false))) };
        let n = engine.read(buf);
        let is_answer = n > 0 || buf.is_empty() || engine.peer_closed();
        Ok(is_answer.then(|| (n, n > 0 && !self.full && engine.owes_window())))
    }

    pub(super) fn read_leftover(&mut self, buf: &mut [u8], take: bool) -> io::Result<usize> {
        let n = if take { self.leftover.read(buf) } else { self.leftover.peek(buf) };
        if n == 0 && !buf.is_empty() && self.end != Some(End::PIPE) {
            self.untold = None;
            if let Some(error) = self.end.and_then(End::error) {
                return Err(error);
            }
        }
        Ok(n)
    }

    pub(super) fn is_readable(&self) -> bool {
        match &self.engine {
            Some(engine) => engine.readable() > 0 || engine.peer_closed(),
            None => true,
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        match &self.engine {
            Some(engine) => self.send_closed || engine.writable() > 0,
            None => true,
        }
    }

    /// Whether a waiting writer should be woken: not for every byte that is acknowledged.
    pub(super) fn wants_writer(&self) -> bool {
        match &self.engine {
            Some(engine) => self.send_closed || engine.should_wake_writer(),
            None => true,
        }
    }

    /// The error of a write that cannot be, as a kernel gives it.
    pub(super) fn check_writable(&mut self) -> io::Result<()> {
        if let Some(End::Error(kind, text)) = self.end {
            self.untold = None;
            return Err(io::Error::new(kind, text));
        }
        if self.send_closed || self.end.is_some() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the send half is closed"));
        }
        Ok(())
    }
}

/// Does what is noted, also if sending unwinds in between: what is noted has been drawn from the state already.
pub(super) struct Finish<'a> {
    pub(super) flow: &'a Arc<Flow>,
    pub(super) host: &'a Host,
    pub(super) after: After,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        if self.after.is_something() {
            let after = std::mem::take(&mut self.after);
            in_drop(|| after.run(self.flow, self.host));
        }
    }
}

impl After {
    fn wake(&mut self) -> &mut Wakeup {
        self.wake.get_or_insert_default()
    }

    fn turn(&mut self) -> &mut Turn {
        self.turn.get_or_insert_default()
    }

    fn is_something(&self) -> bool {
        self.wake.is_some() || self.timer.is_some() || self.turn.is_some()
    }

    /// Does it; no lock is held. Timers and tables come first, and wakers last: these may unwind.
    fn run(self, flow: &Arc<Flow>, host: &Host) {
        let mut wake = self.wake.unwrap_or_default();
        if let Some(at) = self.timer {
            host.set_timer(at, Timer::Flow(Arc::downgrade(flow)));
        }
        if let Some(turn) = self.turn {
            turn.run(flow, host, &mut wake);
        }
        wake.wake();
    }
}

impl Turn {
    fn run(self, flow: &Arc<Flow>, host: &Host, wake: &mut Wakeup) {
        if let Some(at) = self.time_wait_timer {
            host.set_timer(at, Timer::TimeWait);
        }
        if let Some(backlog) = self.failed.and_then(|backlog| backlog.upgrade()) {
            backlog.forget(flow);
        }
        if self.over {
            host.tcp.remove(flow);
            if let Some(engine) = self.spent {
                host.tcp.pool.give(engine);
            }
        }
        if let Some(backlog) = self.established
            && !backlog.upgrade().is_some_and(|backlog| backlog.push(flow, wake))
        {
            flow.abort(host, End::ABORTED); // the listener is closed
        }
        if self.over {
            host.after_flow();
        }
    }
}
