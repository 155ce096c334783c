//! The device of a flow's smoltcp interface: one packet in, an outbox out.

use std::collections::VecDeque;

use smoltcp::phy::{self, Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use uis_vnic::buffer;

use crate::wire::checksum;

/// What a flow may have waiting for the network before it stops producing.
const MAX_FRAMES: usize = 64;
const MAX_BYTES: usize = 256 << 10;

/// Packets that a flow made and its stack has not yet handed to the network, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether the flow may still produce.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < MAX_FRAMES && self.bytes < MAX_BYTES
    }

    pub(crate) fn push(&mut self, packet: Vec<u8>) {
        self.bytes += packet.len();
        self.frames.push_back(packet);
    }

    pub(crate) fn push_front(&mut self, packet: Vec<u8>) {
        self.bytes += packet.len();
        self.frames.push_front(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let packet = self.frames.pop_front()?;
        self.bytes -= packet.len();
        Some(packet)
    }

    /// Throws away the packet at `index`, which a newer one makes useless.
    pub(crate) fn drop_at(&mut self, index: usize) {
        if let Some(packet) = self.frames.remove(index) {
            self.bytes -= packet.len();
            buffer::give(packet);
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.frames.get(index).map(Vec::as_slice)
    }
}

/// The device for the length of one call into smoltcp. It never refuses a packet: smoltcp has cleared its
/// retransmission state by the time it asks, so a refusal would lose the connection.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    rx: Option<&'a [u8]>,
    out: &'a mut Outbox,
    mtu: usize,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(rx: Option<&'a [u8]>, out: &'a mut Outbox, mtu: usize) -> Self {
        Self { rx, out, mtu }
    }
}

impl Device for Wire<'_> {
    type RxToken<'t>
        = Rx<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Tx<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_>)> {
        Some((Rx(self.rx.take()?), Tx(self.out)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.mtu;
        // What comes in was verified once, before the flow was looked up; what goes out is filled in by the token.
        caps.checksum = ChecksumCapabilities::ignored();
        caps.checksum.ipv4 = Checksum::Tx;
        caps
    }
}

#[derive(Debug)]
pub(crate) struct Rx<'a>(&'a [u8]);

impl phy::RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Tx<'a>(&'a mut Outbox);

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = buffer::take(len);
        let result = f(&mut packet);
        checksum::fill_tcp(&mut packet);
        self.0.push(packet);
        result
    }
}
