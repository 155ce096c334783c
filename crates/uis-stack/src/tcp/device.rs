//! The device of a flow's smoltcp interface: one packet in, an outbox out.

use std::collections::VecDeque;

use smoltcp::phy::{self, Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use uis_vnic::{Frame, buffer};

use super::header::{Header, header_len};
use super::offer::Offer;
use super::segmentation;
use crate::wire::{TCP_HEADER, checksum, flags};

/// What a flow may have waiting for the network before it stops producing.
const MAX_FRAMES: usize = 64;
const MAX_BYTES: usize = 256 << 10;

/// Packets that a flow made and its stack has not yet handed to the network, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// How many more packets the flow may produce.
    pub(crate) fn room(&self) -> usize {
        MAX_FRAMES.saturating_sub(self.frames.len())
    }

    /// Whether the flow may still produce.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < MAX_FRAMES && self.bytes < MAX_BYTES
    }

    pub(crate) fn push(&mut self, packet: Vec<u8>) {
        self.bytes += packet.len();
        self.frames.push_back(Frame::with_valid_checksums(packet));
    }

    pub(crate) fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Lends the packets to `send`, which takes some of them off the front.
    pub(crate) fn send<R>(&mut self, send: impl FnOnce(&mut VecDeque<Frame>) -> R) -> R {
        let result = send(&mut self.frames);
        self.bytes = self.frames.iter().map(Frame::len).sum();
        result
    }

    /// Puts those of `later` behind these.
    pub(crate) fn append(&mut self, later: &mut Self) {
        self.frames.append(&mut later.frames);
        self.bytes += std::mem::take(&mut later.bytes);
    }

    /// Throws away the packet at `index`, which a newer one makes useless.
    pub(crate) fn drop_at(&mut self, index: usize) {
        if let Some(frame) = self.frames.remove(index) {
            self.bytes -= frame.len();
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.frames.get(index).map(Frame::packet)
    }
}

/// What is changed in the segments that smoltcp makes: it has not seen all that was received, nor what the reader took, nor
/// perhaps any ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Translation {
    /// The length of a segment's payload at most. What smoltcp makes is cut to it.
    pub(crate) mss: usize,
    /// How many bytes went past it.
    pub(crate) bypassed: u32,
    pub(crate) offer: Offer,
    /// The window that a SYN offers, in which it is never shifted (RFC 7323 §2.2).
    pub(crate) syn_window: u16,
}

impl Translation {
    fn apply(&self, packet: &mut [u8]) {
        let header = Header::of(packet);
        let at = header_len(packet);
        let tcp = &mut packet[at..];
        let end = usize::from(tcp[12] >> 4) * 4;
        if header.has(flags::SYN) {
            tcp[14..16].copy_from_slice(&self.syn_window.to_be_bytes());
            self.set_scale(&mut tcp[TCP_HEADER..end]);
        }
        if !header.has(flags::ACK) {
            return;
        }
        let ack = header.ack + self.bypassed;
        tcp[8..12].copy_from_slice(&ack.0.to_be_bytes());
        if !header.has(flags::SYN | flags::RST) {
            tcp[14..16].copy_from_slice(&self.offer.field(ack).to_be_bytes());
        }
        if !header.has(flags::SYN) {
            self.shift_sack_blocks(&mut tcp[TCP_HEADER..end]);
        }
    }

    /// By how much windows are shifted follows from the size of a ring that smoltcp may not have yet.
    fn set_scale(&self, options: &mut [u8]) {
        each_option(options, |kind, value| {
            if let (3, [scale]) = (kind, value) {
                *scale = self.offer.scale();
            }
        });
    }

    /// The edges of SACK blocks are sequence numbers of the peer's, as the acknowledgment is (RFC 2018 §3).
    fn shift_sack_blocks(&self, options: &mut [u8]) {
        each_option(options, |kind, value| {
            if kind == 5 {
                for edge in value.as_chunks_mut::<4>().0 {
                    *edge = u32::from_be_bytes(*edge).wrapping_add(self.bypassed).to_be_bytes();
                }
            }
        });
    }
}

/// Shows each option that has a value: its kind, and the value to be changed.
fn each_option(options: &mut [u8], mut change: impl FnMut(u8, &mut [u8])) {
    let mut rest = options;
    while let [kind, len, ..] = *rest {
        let len = match kind {
            0 => return,
            1 => 1,
            _ => usize::from(len).clamp(2, rest.len()),
        };
        let (option, others) = rest.split_at_mut(len);
        if let [kind, _, value @ ..] = option {
            change(*kind, value);
        }
        rest = others;
    }
}

/// The device for the length of one call into smoltcp. It never refuses a packet: smoltcp has cleared its
/// retransmission state by the time it asks, so a refusal would lose the connection.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    rx: Option<&'a [u8]>,
    out: &'a mut Outbox,
    mtu: usize,
    translation: Option<Translation>,
}

impl<'a> Wire<'a> {
    /// For smoltcp to receive `rx`, and to send packets of up to `mtu` bytes.
    pub(crate) fn new(rx: Option<&'a [u8]>, out: &'a mut Outbox, mtu: usize) -> Self {
        Self { rx, out, mtu, translation: None }
    }

    /// Changes what smoltcp makes.
    pub(crate) fn translating(mut self, translation: Translation) -> Self {
        self.translation = Some(translation);
        self
    }

    fn tx(&mut self) -> Tx<'_> {
        Tx { out: self.out, translation: self.translation }
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
        Some((Rx(self.rx.take()?), self.tx()))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(self.tx())
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
pub(crate) struct Tx<'a> {
    out: &'a mut Outbox,
    translation: Option<Translation>,
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = buffer::take(len);
        let result = f(&mut packet);
        if let Some(translation) = &self.translation {
            translation.apply(&mut packet);
            if len > header_len(&packet) + TCP_HEADER + translation.mss {
                segmentation::cut(&packet, translation.mss, |packet| self.out.push(packet));
                buffer::give(packet);
                return result;
            }
        }
        checksum::fill_tcp(&mut packet);
        self.out.push(packet);
        result
    }
}
