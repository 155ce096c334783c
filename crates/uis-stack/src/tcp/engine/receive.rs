//! What has arrived: past smoltcp or through it, for the reader; acknowledged, and made room for.

use smoltcp::socket::tcp::{Socket, State};
use uis_clock::Instant;
use uis_vnic::Frame;

use super::Engine;
use crate::tcp::device::Outbox;
use crate::tcp::inbox::Inbox;
use crate::tcp::offer::Offer;
use crate::tcp::seq::Seq;
use crate::wire::Plain;

/// A segment is more than the continuation of a stream that it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpredicted;

impl Engine {
    /// Takes in a segment that does nothing but continue the stream, as nearly all do, without smoltcp: its packet goes to
    /// the reader as it is. `Err` if there is more to it; then nothing has changed.
    pub(crate) fn input_plain(
        &mut self,
        now: Instant,
        segment: &Plain,
        frame: &mut Option<Frame>,
        out: &mut Outbox,
    ) -> Result<(), Unpredicted> {
        let is_bare = segment.payload.is_empty();
        let is_open = match self.state() {
            State::Established => true,
            State::FinWait1 | State::FinWait2 => !is_bare,
            _ => false,
        };
        let rcv_nxt = self.rcv_nxt();
        if !is_open || self.given > rcv_nxt {
            return Err(Unpredicted);
        }
        let is_news = self.shield.predict(segment, &self.rto, rcv_nxt).ok_or(Unpredicted)?;
        let frame = frame.take();
        if !is_bare && let Some(frame) = frame {
            let len = segment.payload.len() as u32;
            self.inbox.push_packet(frame.into_packet(), segment.payload.start, segment.payload.end);
            self.bypassed = self.bypassed.wrapping_add(len);
            self.given = rcv_nxt + len;
            self.schedule_ack(now);
        }
        self.on_heard(self.time.flow(now));
        if is_news {
            self.on_acked(now, Seq(segment.ack), out);
        }
        Ok(())
    }

    /// Takes what smoltcp has received in order.
    pub(super) fn collect(&mut self) {
        let (inbox, socket) = (&mut self.inbox, self.sockets.get_mut::<Socket<'_>>(self.handle));
        while socket.recv_queue() > 0 && socket.recv(|bytes| (bytes.len(), inbox.push(bytes))).is_ok() {}
    }

    /// Copies received bytes to `buf` and takes them off the stream.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> usize {
        let n = self.inbox.read(buf);
        self.consumed = self.consumed.wrapping_add(n as u32);
        n
    }

    /// Copies received bytes to `buf` and leaves them.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> usize {
        self.inbox.peek(buf)
    }

    /// Takes all that waits for the reader, at the end.
    pub(crate) fn take_received(&mut self) -> Inbox {
        std::mem::take(&mut self.inbox)
    }

    /// Bytes that wait for the reader.
    pub(crate) fn readable(&self) -> usize {
        self.inbox.len()
    }

    /// Whether so much has been read that the peer should hear of the room.
    pub(crate) fn owes_window(&self) -> bool {
        let free = self.recv_room().min(usize::from(u16::MAX) << self.shield.our_scale());
        let offered = self.shield.our_window(self.rcv_nxt()) as usize;
        let grown = free.saturating_sub(offered);
        // RFC 9293 §3.8.6.2.2: no small step. A doubling, as Linux has it; or a quarter of all, as FreeBSD does, for a sender far
        // away has been told how little there was when a whole flight had just arrived.
        (free / 2 >= offered || grown >= self.recv_capacity / 4)
            && grown >= self.least_step()
            && matches!(self.state(), State::Established | State::FinWait1 | State::FinWait2)
            && self.shield.may_update_window(self.rcv_nxt())
    }

    /// Sees to it that what has just arrived is acknowledged: a first segment waits for a second one, and more than one
    /// is acknowledged at once, as Linux does it (RFC 9293 §3.8.6.3).
    pub(super) fn schedule_ack(&mut self, now: Instant) {
        let now = self.time.flow(now);
        let unacked = self.rcv_nxt() - self.shield.acked();
        self.ack_at = match self.ack_at {
            Some(at) if unacked as usize <= self.mss() => Some(at),
            None if !self.ack_delay.is_zero() => Some(now + self.ack_delay),
            _ => Some(now),
        };
    }

    /// Whether what has arrived is to be acknowledged now.
    pub(super) fn ack_is_due(&self, now: Instant) -> bool {
        self.ack_at.is_some_and(|at| at <= self.time.flow(now))
    }

    /// Acknowledges what went past smoltcp and tells of room, if it is time and that did not go along with data.
    pub(super) fn send_due_ack(&mut self, now: Instant, out: &mut Outbox) {
        if self.ack_is_due(now) || self.owes_window() {
            self.send_ack(out);
        }
    }

    /// smoltcp has emitted a segment, which offers what is free of its ring, or would be if it had one. Up to `rcv_nxt` that was
    /// empty.
    pub(super) fn note_smoltcp_window(&mut self, rcv_nxt: Seq) {
        let scale = self.shield.our_scale();
        let lost = (1 << scale) - 1; // at most, by the shift
        let window = ((self.recv_capacity >> scale).min(u16::MAX.into()) << scale).saturating_sub(lost);
        self.smoltcp_edge = rcv_nxt + window as u32 - self.bypassed;
    }

    /// The window to offer now.
    pub(super) fn offer(&self) -> Offer {
        let room = self.rcv_nxt() + self.recv_room() as u32;
        Offer::new(self.shield.right_edge(), room, self.least_step(), self.shield.our_scale())
    }

    /// For how many more bytes there is room.
    pub(super) fn recv_room(&self) -> usize {
        self.recv_capacity.saturating_sub(self.inbox.len())
    }

    /// The least by which the offered window may grow (RFC 9293 §3.8.6.2.2).
    pub(super) fn least_step(&self) -> usize {
        let told = 1 << self.shield.our_scale(); // less cannot be said
        self.mss().min(self.recv_capacity / 2).max(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StackConfig;
    use crate::tcp::engine::Setup;

    #[test]
    fn a_spare_keeps_nothing_that_nobody_has_read() {
        let [local, remote] = ["10.0.0.1:80", "10.0.0.2:5000"].map(|end| end.parse().expect("an address"));
        let config = StackConfig::small();
        let setup = Setup { local, remote, isn: 1, mtu: 1500, now: Instant::ZERO, config: &config };
        let mut engine = Engine::accept(setup, None);
        engine.inbox.push(&[7; 1000]);
        let spare = engine.into_spare().expect("its socket has seen no duplicates");
        assert_eq!(spare.readable(), 0);
    }
}
