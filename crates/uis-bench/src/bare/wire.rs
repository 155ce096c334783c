//! A device that queues packets in memory, and uses their buffers again.

use std::cell::RefCell;
use std::collections::VecDeque;

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// One end of a wire. Somebody has to carry what is in one end's `outbox` into the other one's `inbox`.
pub(super) struct Wire {
    mtu: usize,
    pub(super) inbox: VecDeque<Vec<u8>>,
    pub(super) outbox: VecDeque<Vec<u8>>,
    /// Buffers of packets that have been received. Both tokens of a turn need it.
    pub(super) spare: RefCell<Vec<Vec<u8>>>,
}

impl Wire {
    pub(super) fn new(mtu: u32) -> Self {
        Self { mtu: mtu as usize, inbox: VecDeque::new(), outbox: VecDeque::new(), spare: RefCell::default() }
    }
}

impl Device for Wire {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let packet = self.inbox.pop_front()?;
        let spare = &self.spare;
        Some((RxToken { packet, spare }, TxToken { outbox: &mut self.outbox, spare }))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        Some(TxToken { outbox: &mut self.outbox, spare: &self.spare })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

pub(super) struct RxToken<'a> {
    packet: Vec<u8>,
    spare: &'a RefCell<Vec<Vec<u8>>>,
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.packet);
        self.spare.borrow_mut().push(self.packet);
        result
    }
}

pub(super) struct TxToken<'a> {
    outbox: &'a mut VecDeque<Vec<u8>>,
    spare: &'a RefCell<Vec<Vec<u8>>>,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.spare.borrow_mut().pop().unwrap_or_default();
        // smoltcp writes every byte, so those of the packet before need not be cleared.
        packet.resize(len, 0);
        let result = f(&mut packet);
        self.outbox.push_back(packet);
        result
    }
}
