//! IP packets as they arrive, read without copying.
//!
//! This runs for every packet, so what most packets have is read by hand: one pass, no allocation, and only the
//! fields that the stack looks at. etherparse reads and writes what few have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, Ipv4Header, Ipv4Options, Ipv6FragmentHeaderSlice, Ipv6Header};
use uis_vnic::buffer;

use super::extension::{self, Chain};
use super::{
    DiscardReason, FRAGMENT_HEADER, ICMP_HEADER, IPV4_HEADER, IPV6_HEADER, IcmpMessage, TCP_HEADER,
    TcpSegment, UDP_HEADER, be16, checksum, icmp, protocol, tcp,
};

/// An IP packet that passed every check it can be put to by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    /// A unicast address that a host on the network may have.
    pub(crate) src: IpAddr,
    /// Any address, though a unicast one for TCP.
    pub(crate) dst: IpAddr,
    /// The TTL, or hop limit.
    pub(crate) hop_limit: u8,
    /// The two ECN bits (RFC 3168 §5).
    pub(crate) ecn: u8,
    /// The packet, cut to the length that its header states.
    pub(crate) bytes: &'a [u8],
    pub(crate) body: Body<'a>,
}

/// What is in a packet behind the IP header, options and extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'a> {
    Tcp(TcpSegment<'a>),
    Udp(UdpDatagram<'a>),
    /// ICMP in an IPv4 packet, ICMPv6 in an IPv6 packet.
    Icmp(IcmpMessage<'a>),
    /// A part of something; its checksums are not known.
    Fragment(Fragment<'a>),
    /// A protocol that is not spoken here.
    Other,
}

/// A UDP datagram (RFC 768).
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpDatagram<'a> {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) payload: &'a [u8],
}

/// A fragment (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) id: u32,
    /// What the datagram carries; for IPv6 the next header field of the fragment header, of which only the first
    /// fragment's counts.
    pub(crate) protocol: u8,
    /// Where `payload` belongs in the datagram, in bytes.
    pub(crate) offset: usize,
    /// Whether this is not the last one.
    pub(crate) more: bool,
    pub(crate) payload: &'a [u8],
    /// What every fragment repeats: the IPv4 header with its options; or the IPv6 headers before the fragment
    /// header, and the fragment header as the last 8 bytes.
    pub(crate) header: &'a [u8],
    /// Where in `header` the field is that announces the fragment header (IPv6) or the protocol (IPv4).
    pub(crate) next_header_at: usize,
}

/// Reads a packet. With `checksums_valid` no checksum is looked at.
///
/// # Errors
///
/// Why the packet is not worth looking at.
#[inline]
pub(crate) fn parse(bytes: &[u8], checksums_valid: bool) -> Result<Packet<'_>, DiscardReason> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => parse_v4(bytes, checksums_valid),
        Some(6) => parse_v6(bytes, checksums_valid),
        _ => Err(DiscardReason::Malformed),
    }
}

/// The packet that `segment` came in, with a fixed IP header alone before it: what smoltcp is given in place of one
/// that is not [`bare`](TcpSegment::bare).
pub(crate) fn strip_extensions(packet: &Packet<'_>, segment: &TcpSegment<'_>) -> Vec<u8> {
    const READ: &str = "its header was read before";
    const FITS: &str = "it fitted with more headers";
    const WRITTEN: &str = "a Vec takes what is written to it";
    let mut bare = buffer::take(IPV6_HEADER + segment.bytes.len());
    bare.clear();
    if packet.dst.is_ipv4() {
        let (mut header, _) = Ipv4Header::from_slice(packet.bytes).expect(READ);
        header.options = Ipv4Options::new();
        header.set_payload_len(segment.bytes.len()).expect(FITS);
        header.write(&mut bare).expect(WRITTEN);
    } else {
        let (mut header, _) = Ipv6Header::from_slice(packet.bytes).expect(READ);
        header.next_header = IpNumber::TCP;
        header.set_payload_length(segment.bytes.len()).expect(FITS);
        header.write(&mut bare).expect(WRITTEN);
    }
    bare.extend_from_slice(segment.bytes);
    bare
}

#[inline]
fn parse_v4(bytes: &[u8], checksums_valid: bool) -> Result<Packet<'_>, DiscardReason> {
    let fixed: &[u8; IPV4_HEADER] = bytes.first_chunk().ok_or(DiscardReason::Malformed)?;
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    let total = usize::from(be16(fixed, 2));
    if header_len < IPV4_HEADER || total < header_len {
        return Err(DiscardReason::Malformed);
    }
    // Whatever is behind the packet is padding of a link (RFC 894).
    let bytes = bytes.get(..total).ok_or(DiscardReason::Malformed)?;
    let (header, upper) = bytes.split_at(header_len);
    if !checksums_valid && !checksum::is_valid(header) {
        return Err(DiscardReason::BadIpChecksum);
    }
    // RFC 1122 §3.2.1.3: neither "this network", loopback, multicast, reserved nor broadcast.
    if matches!(fixed[12], 0 | 127 | 224..) {
        return Err(DiscardReason::BadSource);
    }
    if header_len > IPV4_HEADER {
        extension::ipv4_options(&header[IPV4_HEADER..])?;
    }
    let src = IpAddr::V4(Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]));
    let dst = IpAddr::V4(Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]));
    let placement = be16(fixed, 6);
    let body = if placement & 0x3fff != 0 {
        Body::Fragment(Fragment {
            id: u32::from(be16(fixed, 4)),
            protocol: fixed[9],
            offset: usize::from(placement & 0x1fff) * 8,
            more: placement & 0x2000 != 0,
            payload: upper,
            header,
            next_header_at: 9,
        })
    } else {
        let is_unicast = !matches!(fixed[16], 0 | 224..);
        let upper = Upper {
            bytes: upper,
            is_bare: header_len == IPV4_HEADER,
            addresses: &fixed[12..20],
            is_unicast,
            checksums_valid,
        };
        match fixed[9] {
            protocol::TCP => upper.tcp()?,
            protocol::UDP => upper.udp()?,
            protocol::ICMP => upper.icmp()?,
            _ => Body::Other,
        }
    };
    Ok(Packet { src, dst, hop_limit: fixed[8], ecn: fixed[1] & 3, bytes, body })
}

#[inline]
fn parse_v6(bytes: &[u8], checksums_valid: bool) -> Result<Packet<'_>, DiscardReason> {
    let fixed: &[u8; IPV6_HEADER] = bytes.first_chunk().ok_or(DiscardReason::Malformed)?;
    let payload_len = usize::from(be16(fixed, 4));
    let bytes = bytes.get(..IPV6_HEADER + payload_len).ok_or(DiscardReason::Malformed)?;
    let src = ipv6(fixed, 8);
    if !may_send(src) {
        return Err(DiscardReason::BadSource);
    }
    // RFC 2675 §3: this is how a jumbogram begins.
    if payload_len == 0 && fixed[6] == protocol::HOP_BY_HOP {
        return Err(DiscardReason::Malformed);
    }
    let dst = ipv6(fixed, 24);
    let mut chain = Chain { protocol: fixed[6], at: IPV6_HEADER, next_header_at: 6 };
    chain = extension::skip(bytes, chain)?;
    let mut fragment = None;
    if chain.protocol == protocol::FRAGMENT {
        let (found, behind) = fragment_v6(bytes, chain)?;
        // RFC 6946: an atomic fragment is a packet like others, and never waits for company.
        if found.offset == 0 {
            let first = first_fragment(bytes, behind, found.more)?;
            chain = first;
        }
        if found.offset != 0 || found.more {
            fragment = Some(found);
        }
    }
    let body = match fragment {
        Some(fragment) => Body::Fragment(fragment),
        None => {
            let upper = Upper {
                // Headers were skipped up to here, so `at` is within the packet or at its end.
                bytes: &bytes[chain.at..],
                is_bare: chain.at == IPV6_HEADER,
                addresses: &fixed[8..40],
                is_unicast: fixed[24] != 0xff && dst != IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                checksums_valid,
            };
            match chain.protocol {
                protocol::TCP => upper.tcp()?,
                protocol::UDP => upper.udp()?,
                protocol::ICMPV6 => upper.icmp()?,
                _ => Body::Other,
            }
        }
    };
    let ecn = fixed[1] >> 4 & 3;
    Ok(Packet { src, dst, hop_limit: fixed[7], ecn, bytes, body })
}

/// Whether a packet from `src` can have come over a network.
#[inline]
fn may_send(src: IpAddr) -> bool {
    let IpAddr::V6(src) = src else { return false };
    match src.segments() {
        // `::`, `::1` and `::ffff:0:0/96` (RFC 4291 §2.5)
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] | [0, 0, 0, 0, 0, 0xffff, _, _] => false,
        [first, ..] => first >> 8 != 0xff,
    }
}

/// The fragment whose header is at `chain.at`, and what follows that header.
fn fragment_v6(bytes: &[u8], chain: Chain) -> Result<(Fragment<'_>, Chain), DiscardReason> {
    let end = chain.at + FRAGMENT_HEADER;
    let (header, payload) = bytes.split_at_checked(end).ok_or(DiscardReason::BadExtension)?;
    let found =
        Ipv6FragmentHeaderSlice::from_slice(&header[chain.at..]).map_err(|_| DiscardReason::BadExtension)?;
    let fragment = Fragment {
        id: found.identification(),
        protocol: found.next_header().0,
        offset: found.fragment_offset().byte_offset().into(),
        more: found.more_fragments(),
        payload,
        header,
        next_header_at: chain.next_header_at,
    };
    Ok((fragment, Chain { protocol: fragment.protocol, at: end, next_header_at: chain.at }))
}

/// Where the headers of a first fragment lead. All of them must be in it, or nobody could tell what the datagram is
/// before it is complete (RFC 7112 §5).
fn first_fragment(bytes: &[u8], behind: Chain, more: bool) -> Result<Chain, DiscardReason> {
    let chain = extension::skip(bytes, behind)?;
    let needed = match chain.protocol {
        // RFC 8200 §4.1: there is one fragment header at most.
        protocol::FRAGMENT => return Err(DiscardReason::BadExtension),
        protocol::TCP => TCP_HEADER,
        protocol::UDP => UDP_HEADER,
        protocol::ICMPV6 => ICMP_HEADER,
        _ => 0,
    };
    if more && bytes.len() - chain.at < needed {
        return Err(DiscardReason::BadFragment);
    }
    Ok(chain)
}

fn ipv6(fixed: &[u8; IPV6_HEADER], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&fixed[at..at + 16]);
    IpAddr::V6(Ipv6Addr::from(octets))
}

/// What is behind the IP headers, and what is needed to judge it.
struct Upper<'a> {
    bytes: &'a [u8],
    /// Whether only a fixed IP header is before it.
    is_bare: bool,
    /// Source and destination as they are in the IP header.
    addresses: &'a [u8],
    /// Whether the destination may be a host.
    is_unicast: bool,
    checksums_valid: bool,
}

impl<'a> Upper<'a> {
    fn is_v4(&self) -> bool {
        self.addresses.len() == 8
    }

    #[inline]
    fn tcp(self) -> Result<Body<'a>, DiscardReason> {
        if !self.is_unicast {
            return Err(DiscardReason::NotUnicast);
        }
        let segment = tcp::parse(self.bytes, self.is_bare)?;
        if !self.checksums_valid && !checksum::is_valid_transport(self.addresses, protocol::TCP, self.bytes) {
            return Err(DiscardReason::BadTcpChecksum);
        }
        Ok(Body::Tcp(segment))
    }

    #[inline]
    fn udp(self) -> Result<Body<'a>, DiscardReason> {
        let header: &[u8; UDP_HEADER] = self.bytes.first_chunk().ok_or(DiscardReason::BadUdpHeader)?;
        let len = usize::from(be16(header, 4));
        if len < UDP_HEADER {
            return Err(DiscardReason::BadUdpHeader);
        }
        // What the length leaves over is no part of the datagram (RFC 9868 §5 gives it another use).
        let bytes = self.bytes.get(..len).ok_or(DiscardReason::BadUdpHeader)?;
        let (src_port, dst_port) = (be16(header, 0), be16(header, 2));
        if src_port == 0 || dst_port == 0 {
            return Err(DiscardReason::BadPort);
        }
        // RFC 768: over IPv4 a sender may do without, and says so with 0.
        let is_absent = header[6..8] == [0, 0];
        let is_right = self.checksums_valid
            || if is_absent {
                self.is_v4()
            } else {
                checksum::is_valid_transport(self.addresses, protocol::UDP, bytes)
            };
        if !is_right {
            return Err(DiscardReason::BadUdpChecksum);
        }
        Ok(Body::Udp(UdpDatagram { src_port, dst_port, payload: &bytes[UDP_HEADER..] }))
    }

    fn icmp(self) -> Result<Body<'a>, DiscardReason> {
        if self.bytes.len() < ICMP_HEADER {
            return Err(DiscardReason::BadIcmp);
        }
        let is_right = self.checksums_valid
            || if self.is_v4() {
                checksum::is_valid(self.bytes)
            } else {
                checksum::is_valid_transport(self.addresses, protocol::ICMPV6, self.bytes)
            };
        if !is_right {
            return Err(DiscardReason::BadIcmpChecksum);
        }
        Ok(Body::Icmp(icmp::parse(self.bytes, self.is_v4())))
    }
}
