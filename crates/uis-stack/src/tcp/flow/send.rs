//! Handing a connection's segments to the network, which may be full.

use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use uis_clock::Instant;
use uis_vnic::DropReason;

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
            let has_room = self.send_batch(host, now, &mut batch);
            let mut state = self.state.lock();
            if !has_room {
                in_vain = if batch.len() == waiting { in_vain + 1 } else { 0 };
                if in_vain > MAX_IN_VAIN {
                    // A network that says it has room and takes nothing must not hold its caller for ever.
                    drop(state);
                    host.stats.not_sent(DropReason::Full);
                    drop(batch.pop());
                    continue;
                }
                state.take_back(&mut batch);
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

    /// Sends until the batch is empty, or says that the network is full.
    fn send_batch(&self, host: &Host, now: Instant, batch: &mut Outbox) -> bool {
        if self.inside {
            while let Some(frame) = batch.pop() {
                host.receive(frame);
            }
            return true;
        }
        loop {
            let waiting = batch.len();
            let mut lost = 0;
            let mut on_lost = |reason| {
                lost += 1;
                host.stats.not_sent(reason);
            };
            let has_room = batch.send(|frames| host.vnic.send_all(frames, now, &mut on_lost));
            host.stats.sent((waiting - batch.len() - lost) as u64);
            if has_room || !host.config.lossy_queue {
                return has_room;
            }
            drop(batch.pop());
            host.stats.not_sent(DropReason::Full);
        }
    }
}

impl State {
    /// Puts back what the network refused, before what is to follow it.
    fn take_back(&mut self, batch: &mut Outbox) {
        batch.append(&mut self.outbox);
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
