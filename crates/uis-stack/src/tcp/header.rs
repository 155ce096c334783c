//! What a flow needs to know of a segment that smoltcp has just made.

use super::seq::Seq;
use crate::wire::{IPV4_HEADER, IPV6_HEADER, TCP_HEADER, be16, be32, flags};

/// Bytes of IP header before a segment of our own making.
pub(crate) fn header_len(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { IPV4_HEADER } else { IPV6_HEADER }
}

/// The fields of an emitted segment. smoltcp writes neither IP options nor extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Bytes of payload.
    pub(crate) len: u32,
}

impl Header {
    /// Reads the header of an IP packet that holds a TCP segment of our own making.
    pub(crate) fn of(packet: &[u8]) -> Self {
        let segment = &packet[header_len(packet)..];
        let tcp: &[u8; TCP_HEADER] = segment.first_chunk().expect("a segment of our own making is whole");
        Self {
            seq: Seq(be32(tcp, 4)),
            ack: Seq(be32(tcp, 8)),
            flags: tcp[13],
            window: be16(tcp, 14),
            len: (segment.len() - usize::from(tcp[12] >> 4) * 4) as u32,
        }
    }

    /// What it occupies in the sequence space.
    pub(crate) fn seq_len(&self) -> u32 {
        self.len + u32::from(self.has(flags::SYN)) + u32::from(self.has(flags::FIN))
    }

    /// Whether it acknowledges and does nothing else.
    pub(crate) fn is_pure_ack(&self) -> bool {
        self.len == 0 && self.flags == flags::ACK
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
