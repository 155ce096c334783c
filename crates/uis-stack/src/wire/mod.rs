//! Packets as bytes: reading what arrives, building what is sent.
//!
//! Pure functions: bytes in, values or bytes out. Nothing here knows a socket, a clock or a lock.
//!
//! [`parse`] judges a packet by itself alone: its framing, checksums, source and the shape of its headers.
//! Whether its destination is an address of ours, or its source is, only the stack can say.

mod bare;
mod build;
pub(crate) mod checksum;
mod discard;
mod extension;
mod icmp;
mod packet;
mod plain;
mod tcp;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use bare::{TcpFields, header as bare_header, syn, tcp};
pub(crate) use build::{
    UdpFields, echo_reply, icmp_time_exceeded_reassembly, icmp_unreachable_port, rst_for, udp,
};
pub use discard::DiscardReason;
pub(crate) use icmp::{IcmpError, IcmpKind, IcmpMessage, Quoted};
pub(crate) use packet::{Body, Fragment, Packet, UdpDatagram, parse, strip_extensions};
pub(crate) use plain::Plain;
pub(crate) use tcp::{TcpOptions, TcpSegment, flags};

/// Protocol numbers of the Internet, in the IPv4 protocol field or an IPv6 next header field.
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NO_NEXT_HEADER: u8 = 59;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
}

/// Bytes of an IPv4 header without options (RFC 791 §3.1).
pub(crate) const IPV4_HEADER: usize = 20;
/// Bytes of the fixed IPv6 header (RFC 8200 §3).
pub(crate) const IPV6_HEADER: usize = 40;
/// Bytes of an IPv6 fragment header (RFC 8200 §4.5).
pub(crate) const FRAGMENT_HEADER: usize = 8;
/// Bytes of a UDP header (RFC 768).
pub(crate) const UDP_HEADER: usize = 8;
/// Bytes of a TCP header without options (RFC 9293 §3.1).
pub(crate) const TCP_HEADER: usize = 20;
/// Bytes of an ICMP header, of either version (RFC 792, RFC 4443 §2.1).
pub(crate) const ICMP_HEADER: usize = 8;

/// The 16-bit number at `at`, which is within `bytes`.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The 32-bit number at `at`, which is within `bytes`.
#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
