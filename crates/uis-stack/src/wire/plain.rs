//! What nearly all packets are: TCP segments that acknowledge, perhaps with data, and have no options of any kind.
//!
//! They are read at a glance. What is not like that, or not quite, is for [`parse`](super::parse).

use std::ops::Range;

use super::{IPV4_HEADER, IPV6_HEADER, TCP_HEADER, be16, be32, flags, protocol};

/// Such a segment. It may have addresses and ports that no segment should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) v6: bool,
    /// The bits of the addresses.
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// As it is in the header, not scaled.
    pub(crate) window: u16,
    /// Where in the packet its payload is.
    pub(crate) payload: Range<usize>,
}

impl Plain {
    /// Reads a packet that has no padding behind it. No checksum is looked at.
    #[inline]
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        match packet.first()? {
            0x45 => {
                let header: &[u8; IPV4_HEADER + TCP_HEADER] = packet.first_chunk()?;
                let is_fragment = be16(header, 6) & 0x3fff != 0;
                let is_whole = usize::from(be16(header, 2)) == packet.len();
                let tcp = header.last_chunk()?;
                if is_fragment || !is_whole || header[9] != protocol::TCP || !is_plain(tcp) {
                    return None;
                }
                let [src, dst] = [be32(header, 12), be32(header, 16)].map(u128::from);
                Some(Self::of(false, src, dst, tcp, header.len()..packet.len()))
            }
            0x60..0x70 => {
                let header: &[u8; IPV6_HEADER + TCP_HEADER] = packet.first_chunk()?;
                let is_whole = IPV6_HEADER + usize::from(be16(header, 4)) == packet.len();
                let tcp = header.last_chunk()?;
                if !is_whole || header[6] != protocol::TCP || !is_plain(tcp) {
                    return None;
                }
                let (src, rest) = header[8..].split_first_chunk()?;
                let dst = u128::from_be_bytes(*rest.first_chunk()?);
                Some(Self::of(true, u128::from_be_bytes(*src), dst, tcp, header.len()..packet.len()))
            }
            _ => None,
        }
    }

    #[inline]
    fn of(v6: bool, src: u128, dst: u128, tcp: &[u8; TCP_HEADER], payload: Range<usize>) -> Self {
        Self {
            v6,
            src,
            dst,
            src_port: be16(tcp, 0),
            dst_port: be16(tcp, 2),
            seq: be32(tcp, 4),
            ack: be32(tcp, 8),
            window: be16(tcp, 14),
            payload,
        }
    }
}

/// Whether a TCP header has neither options nor flags but ACK and PSH.
#[inline]
fn is_plain(header: &[u8; TCP_HEADER]) -> bool {
    usize::from(header[12] >> 4) * 4 == TCP_HEADER && header[13] & !flags::PSH == flags::ACK
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::wire::{self, Body, TcpFields};

    fn segment(v4: bool, payload: &[u8]) -> Vec<u8> {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (src, dst) = if v4 {
            (addr("10.0.0.1:80"), addr("10.0.0.2:5000"))
        } else {
            (addr("[fd00::1]:80"), addr("[fd00::2]:5000"))
        };
        let fields = TcpFields {
            src,
            dst,
            seq: 0xfedc_ba98,
            ack: Some(0x7654_3210),
            flags: flags::PSH,
            window: 0xabcd,
            hop_limit: 64,
        };
        wire::tcp(&fields, payload)
    }

    /// It is what `parse` makes of it, or what only `parse` should look at.
    fn check(packet: &[u8]) -> bool {
        let Some(plain) = Plain::read(packet) else { return false };
        match wire::parse(packet, true) {
            Ok(parsed) => {
                let Body::Tcp(seg) = parsed.body else { panic!("{parsed:?}") };
                let bits = |addr: IpAddr| match addr {
                    IpAddr::V4(addr) => addr.to_bits().into(),
                    IpAddr::V6(addr) => addr.to_bits(),
                };
                assert_eq!((plain.src, plain.src_port), (bits(parsed.src), seg.src_port));
                assert_eq!((plain.dst, plain.dst_port), (bits(parsed.dst), seg.dst_port));
                assert!(plain.v6 == parsed.src.is_ipv6() && plain.v6 == parsed.dst.is_ipv6());
                assert_eq!((plain.seq, plain.ack, plain.window), (seg.seq, seg.ack, seg.window));
                assert_eq!(&packet[plain.payload], seg.payload);
                assert!(seg.bare && seg.header_len == TCP_HEADER && seg.flags & !flags::PSH == flags::ACK);
            }
            Err(reason) => {
                use wire::DiscardReason::{BadPort, BadSource, NotUnicast};
                assert!(matches!(reason, BadPort | BadSource | NotUnicast), "{reason:?} for {packet:02x?}");
            }
        }
        true
    }

    #[test]
    fn it_agrees_with_the_parser() {
        for v4 in [true, false] {
            for payload in [&b""[..], b"x", &[7; 1460]] {
                let packet = segment(v4, payload);
                assert!(check(&packet));
                assert_eq!(Plain::read(&packet).unwrap().payload.len(), payload.len());
                for len in 0..packet.len() {
                    assert!(!check(&packet[..len]), "{len} bytes of {}", packet.len());
                }
                assert!(!check(&[&packet[..], b"p"].concat()), "padded");
                let headers = packet.len() - payload.len();
                for at in 0..headers {
                    for bit in 0..8 {
                        let mut other = packet.clone();
                        other[at] ^= 1 << bit;
                        check(&other);
                    }
                    for byte in 0..=255 {
                        let mut other = packet.clone();
                        other[at] = byte;
                        check(&other);
                    }
                }
            }
        }
    }
}
