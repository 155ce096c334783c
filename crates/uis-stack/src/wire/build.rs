//! Packets of our own making, with their checksums: UDP, bare TCP segments, and ICMP.
//!
//! All come whole, in a buffer of [`uis_vnic::buffer`]; what is longer than an MTU is for
//! [`split`](crate::fragment::split) to cut.

use std::net::{IpAddr, SocketAddr};

use uis_vnic::buffer;

use super::icmp::{self, kind};
use super::{
    Body, ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, IcmpMessage, Packet, TCP_HEADER, TcpSegment, UDP_HEADER,
    checksum, flags, protocol,
};

/// The longest UDP payload of an IPv4 packet.
pub(crate) const MAX_UDP_PAYLOAD_V4: usize = 65_535 - IPV4_HEADER - UDP_HEADER;
/// The longest UDP payload of an IPv6 packet, jumbograms aside.
pub(crate) const MAX_UDP_PAYLOAD_V6: usize = 65_535 - UDP_HEADER;

/// An ICMP error is at most this long, so that no path is too narrow for it (RFC 1812 §4.3.2.3).
const MAX_ERROR_V4: usize = 576;
/// The same for ICMPv6 (RFC 4443 §2.4).
const MAX_ERROR_V6: usize = 1280;

/// The header fields of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpFields {
    pub(crate) src: SocketAddr,
    /// Of the same family as `src`.
    pub(crate) dst: SocketAddr,
    pub(crate) hop_limit: u8,
    /// The two ECN bits.
    pub(crate) ecn: u8,
    /// The identification of an IPv4 packet; IPv6 has none until it is split.
    pub(crate) ident: u16,
    /// For IPv4. An IPv6 packet is never fragmented on its way anyhow.
    pub(crate) dont_fragment: bool,
}

/// The header fields of a TCP segment without options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpFields {
    pub(crate) src: SocketAddr,
    /// Of the same family as `src`.
    pub(crate) dst: SocketAddr,
    pub(crate) seq: u32,
    /// `None` is a segment without an acknowledgement.
    pub(crate) ack: Option<u32>,
    /// Bits of [`flags`]; ACK goes by `ack`.
    pub(crate) flags: u8,
    /// As it is in the header, scaled already.
    pub(crate) window: u16,
    pub(crate) hop_limit: u8,
    /// The identification of an IPv4 packet. It is never fragmented, so any number will do (RFC 6864 §4.1).
    pub(crate) ident: u16,
}

/// A UDP datagram.
///
/// # Panics
///
/// If the families differ, or the payload is longer than [`MAX_UDP_PAYLOAD_V4`] or [`MAX_UDP_PAYLOAD_V6`].
pub(crate) fn udp(fields: &UdpFields, payload: &[u8]) -> Vec<u8> {
    let ip = Ip {
        src: fields.src.ip(),
        dst: fields.dst.ip(),
        protocol: protocol::UDP,
        hop_limit: fields.hop_limit,
        ecn: fields.ecn,
        ident: fields.ident,
        dont_fragment: fields.dont_fragment,
    };
    ip.packet(UDP_HEADER + payload.len(), 6, |datagram| {
        let len = datagram.len() as u16; // `packet` has seen to it that it fits
        datagram[0..2].copy_from_slice(&fields.src.port().to_be_bytes());
        datagram[2..4].copy_from_slice(&fields.dst.port().to_be_bytes());
        datagram[4..6].copy_from_slice(&len.to_be_bytes());
        datagram[UDP_HEADER..].copy_from_slice(payload);
    })
}

/// A TCP segment without options.
///
/// # Panics
///
/// If the families differ, or the payload does not fit one packet.
pub(crate) fn tcp(fields: &TcpFields, payload: &[u8]) -> Vec<u8> {
    let ip = Ip {
        src: fields.src.ip(),
        dst: fields.dst.ip(),
        protocol: protocol::TCP,
        hop_limit: fields.hop_limit,
        ecn: 0,
        ident: fields.ident,
        dont_fragment: true,
    };
    ip.packet(TCP_HEADER + payload.len(), 16, |segment| {
        segment[0..2].copy_from_slice(&fields.src.port().to_be_bytes());
        segment[2..4].copy_from_slice(&fields.dst.port().to_be_bytes());
        segment[4..8].copy_from_slice(&fields.seq.to_be_bytes());
        segment[8..12].copy_from_slice(&fields.ack.unwrap_or(0).to_be_bytes());
        segment[12] = (TCP_HEADER as u8 / 4) << 4;
        segment[13] = fields.flags & !flags::ACK | if fields.ack.is_some() { flags::ACK } else { 0 };
        segment[14..16].copy_from_slice(&fields.window.to_be_bytes());
        segment[18..20].fill(0); // urgent pointer
        segment[TCP_HEADER..].copy_from_slice(payload);
    })
}

/// The reset that answers a segment for which there is no connection (RFC 9293 §3.10.7.1), or `None` if that is a
/// reset itself.
pub(crate) fn rst_for(packet: &Packet<'_>, segment: &TcpSegment<'_>, hop_limit: u8) -> Option<Vec<u8>> {
    if segment.has(flags::RST) {
        return None;
    }
    let (seq, ack) = if segment.has(flags::ACK) {
        (segment.ack, None)
    } else {
        (0, Some(segment.seq.wrapping_add(segment.seq_len())))
    };
    let fields = TcpFields {
        src: SocketAddr::new(packet.dst, segment.dst_port),
        dst: SocketAddr::new(packet.src, segment.src_port),
        seq,
        ack,
        flags: flags::RST,
        window: 0,
        hop_limit,
        ident: 0,
    };
    Some(tcp(&fields, &[]))
}

/// The answer to an echo request, with what was asked to be echoed; `None` if `request` is none, or was not sent to
/// one host alone.
pub(crate) fn echo_reply(request: &Packet<'_>, hop_limit: u8, ident: u16) -> Option<Vec<u8>> {
    let Body::Icmp(IcmpMessage::EchoRequest { bytes }) = request.body else {
        return None;
    };
    if !is_unicast(request.dst) {
        return None;
    }
    let kind = if request.dst.is_ipv4() { kind::V4_ECHO_REPLY } else { kind::V6_ECHO_REPLY };
    let ip = Ip::reply_to(request, hop_limit, ident);
    Some(ip.packet(bytes.len(), 2, |message| {
        message.copy_from_slice(bytes);
        message[0] = kind;
    }))
}

/// "Port unreachable", for a datagram to a port where nobody listens; `None` where no error may be sent.
pub(crate) fn icmp_unreachable_port(offending: &Packet<'_>, hop_limit: u8, ident: u16) -> Option<Vec<u8>> {
    icmp_error(offending, (kind::V4_UNREACHABLE, 3), (kind::V6_UNREACHABLE, 4), hop_limit, ident)
}

/// "Fragment reassembly time exceeded", about the first fragment of a datagram; `None` where no error may be sent.
pub(crate) fn icmp_time_exceeded_reassembly(
    first: &Packet<'_>,
    hop_limit: u8,
    ident: u16,
) -> Option<Vec<u8>> {
    icmp_error(first, (kind::V4_TIME_EXCEEDED, 1), (kind::V6_TIME_EXCEEDED, 1), hop_limit, ident)
}

/// An error of the given type and code for each family, quoting as much as fits.
fn icmp_error(
    offending: &Packet<'_>,
    v4: (u8, u8),
    v6: (u8, u8),
    hop_limit: u8,
    ident: u16,
) -> Option<Vec<u8>> {
    if !may_be_answered_with_an_error(offending) {
        return None;
    }
    let ((kind, code), most) = if offending.dst.is_ipv4() {
        (v4, MAX_ERROR_V4 - IPV4_HEADER - ICMP_HEADER)
    } else {
        (v6, MAX_ERROR_V6 - IPV6_HEADER - ICMP_HEADER)
    };
    let quoted = &offending.bytes[..offending.bytes.len().min(most)];
    let ip = Ip::reply_to(offending, hop_limit, ident);
    Some(ip.packet(ICMP_HEADER + quoted.len(), 2, |message| {
        message[..ICMP_HEADER].fill(0);
        message[0] = kind;
        message[1] = code;
        message[ICMP_HEADER..].copy_from_slice(quoted);
    }))
}

/// RFC 1122 §3.2.2 and RFC 4443 §2.4: not about an ICMP error, a fragment other than the first, or what was sent to
/// more than one host. The source was checked when the packet was read.
fn may_be_answered_with_an_error(offending: &Packet<'_>) -> bool {
    let v4 = offending.dst.is_ipv4();
    let icmp = if v4 { protocol::ICMP } else { protocol::ICMPV6 };
    is_unicast(offending.dst)
        && match &offending.body {
            Body::Tcp(_) | Body::Udp(_) | Body::Other { .. } => true,
            Body::Icmp(message) => {
                matches!(message, IcmpMessage::EchoRequest { .. } | IcmpMessage::EchoReply { .. })
            }
            Body::Fragment(fragment) => {
                let is_icmp_error = fragment.protocol == icmp
                    && fragment.payload.first().is_none_or(|&kind| icmp::is_error(v4, kind));
                fragment.offset == 0 && !is_icmp_error
            }
        }
}

fn is_unicast(addr: IpAddr) -> bool {
    match addr {
        // Multicast, reserved and broadcast are all from 224 up.
        IpAddr::V4(addr) => !matches!(addr.octets()[0], 0 | 224..),
        IpAddr::V6(addr) => !addr.is_multicast() && !addr.is_unspecified(),
    }
}

/// The fields of an IP header of either family.
struct Ip {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    hop_limit: u8,
    ecn: u8,
    ident: u16,
    dont_fragment: bool,
}

impl Ip {
    /// The header of an ICMP message to whoever sent `packet`.
    fn reply_to(packet: &Packet<'_>, hop_limit: u8, ident: u16) -> Self {
        let protocol = if packet.dst.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
        Self { src: packet.dst, dst: packet.src, protocol, hop_limit, ecn: 0, ident, dont_fragment: false }
    }

    /// A packet with `len` bytes behind the header, which `write` writes, all of them but the checksum at
    /// `checksum_at`.
    fn packet(&self, len: usize, checksum_at: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let header_len = if self.src.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let mut packet = buffer::take(header_len + len);
        let (header, upper) = packet.split_at_mut(header_len);
        let addresses = self.write(header, len);
        write(upper);
        if self.protocol == protocol::ICMP {
            checksum::fill(upper, checksum_at);
        } else {
            checksum::fill_transport(addresses, self.protocol, upper, checksum_at);
        }
        packet
    }

    /// Writes the whole header, and says where in it the addresses are.
    fn write<'h>(&self, header: &'h mut [u8], len: usize) -> &'h [u8] {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total =
                    u16::try_from(IPV4_HEADER + len).expect("an IPv4 packet has at most 65,535 bytes");
                header[0] = 0x45;
                header[1] = self.ecn & 3;
                header[2..4].copy_from_slice(&total.to_be_bytes());
                header[4..6].copy_from_slice(&self.ident.to_be_bytes());
                header[6] = if self.dont_fragment { 0x40 } else { 0 };
                header[7] = 0;
                header[8] = self.hop_limit;
                header[9] = self.protocol;
                header[12..16].copy_from_slice(&src.octets());
                header[16..20].copy_from_slice(&dst.octets());
                checksum::fill(header, 10);
                &header[12..20]
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let len =
                    u16::try_from(len).expect("an IPv6 packet has at most 65,535 bytes behind its header");
                header[0] = 0x60;
                header[1] = (self.ecn & 3) << 4;
                header[2..4].fill(0);
                header[4..6].copy_from_slice(&len.to_be_bytes());
                header[6] = self.protocol;
                header[7] = self.hop_limit;
                header[8..24].copy_from_slice(&src.octets());
                header[24..40].copy_from_slice(&dst.octets());
                &header[8..40]
            }
            (src, dst) => panic!("{src} and {dst} must be of one family"),
        }
    }
}
