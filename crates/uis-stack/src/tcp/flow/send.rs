//! Handing a connection's segments to the network, which may be full.

use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use uis_clock::Instant;
use uis_vnic::{DropReason, Frame, SendError};

use super::{After, Flow, State};
use crate::host::Host;
use crate::tcp::device::Outbox;

/// How often in a row a network may promise room and refuse; then its word counts for nothing, and segments are lost.
const MAX_IN_VAIN: usize = 16;

impl Flow {
    /// Sends what was in the outbox, and what the engine has to send behind it, until there is nothing left or the
    /// network is full. Not under the lock; `sending` keeps the order when several threads come here.
    pub(super) fn send_all(
        self: &Arc<Self>,
        host: &Host,
        now: Instant,
        mut batch: Outbox,
        after: &mut After,
    ) {
        let sending = Sending(self);
        let mut in_vain = 0;
        loop {
            let waiting = batch.len();
            let refused = self.send_batch(host, now, &mut batch);
            let mut state = self.state.lock();
            if let Some(frame) = refused {
                in_vain = if batch.len() + 1 == waiting { in_vain + 1 } else { 0 };
                if in_vain > MAX_IN_VAIN {
                    // A network that says it has room and takes nothing must not hold its caller for ever.
                    host.stats.not_sent(DropReason::Full);
                    drop(frame);
                    continue;
                }
                state.take_back(frame, &mut batch);
                state.full = true;
                if let Some(engine) = &mut state.engine {
                    engine.stop_time(now);
                }
                let waker = state.room_waker.get_or_insert_with(|| room_waker(self, host)).clone();
                drop(state);
                host.vnic.on_room(&waker);
                state = self.state.lock();
                // It may have been woken at once; then it goes on here, and not one call deeper.
                if state.full {
                    break state.stop_sending(batch, sending);
                }
            } else if state.more {
                state.settle(self, host, now, after);
            }
            if state.outbox.is_empty() {
                break state.stop_sending(batch, sending);
            }
            mem::swap(&mut state.outbox, &mut batch);
        }
    }

    /// Sends until the batch is empty, or a segment is refused because the network is full.
    fn send_batch(&self, host: &Host, now: Instant, batch: &mut Outbox) -> Option<Frame> {
        let (mut sent, mut refused) = (0, None);
        while let Some(packet) = batch.pop() {
            let frame = Frame::with_valid_checksums(packet);
            if self.inside {
                host.receive(frame);
                continue;
            }
            match host.vnic.send_at(frame, now) {
                Ok(()) => sent += 1,
                Err(SendError::Full(frame)) if !host.config.lossy_queue => {
                    refused = Some(frame);
                    break;
                }
                Err(error) => host.stats.not_sent(error.reason()),
            }
        }
        host.stats.sent(sent);
        refused
    }
}

impl State {
    /// Puts back what the network refused, and what was to follow it.
    fn take_back(&mut self, frame: Frame, batch: &mut Outbox) {
        batch.push_front(frame.into_packet());
        while let Some(packet) = self.outbox.pop() {
            batch.push(packet);
        }
        mem::swap(&mut self.outbox, batch);
    }

    /// Begins a turn of sending, unless somebody else is at it or there is nothing to send.
    pub(super) fn start_sending(&mut self) -> Option<Outbox> {
        if self.outbox.is_empty() || self.sending || self.full {
            return None;
        }
        self.sending = true;
        let spare = mem::take(&mut self.spare);
        Some(mem::replace(&mut self.outbox, spare))
    }

    /// Ends a turn of sending; `batch` is empty.
    fn stop_sending(&mut self, batch: Outbox, sending: Sending<'_>) {
        self.spare = batch;
        self.sending = false;
        mem::forget(sending);
    }
}

/// Marks that nobody is sending, also when a network unwinds.
struct Sending<'a>(&'a Flow);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.state.lock().sending = false;
    }
}

/// Wakes a flow when the network has room. It keeps neither the flow nor the stack alive.
struct Room {
    flow: Weak<Flow>,
    host: Weak<Host>,
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let (Some(flow), Some(host)) = (self.flow.upgrade(), self.host.upgrade()) {
            flow.on_room(&host);
        }
    }
}

fn room_waker(flow: &Arc<Flow>, host: &Host) -> Waker {
    Waker::from(Arc::new(Room { flow: Arc::downgrade(flow), host: host.me() }))
}
