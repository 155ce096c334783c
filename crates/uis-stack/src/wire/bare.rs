//! TCP segments of our own making, which have no options but for the SYNs that are made up for smoltcp.
//!
//! For every two segments that arrive one of these leaves, and one is made up for smoltcp, so they are written by hand:
//! etherparse takes a thousand instructions more.

use std::net::{IpAddr, SocketAddr};

use uis_vnic::buffer;

use super::{IPV4_HEADER, IPV6_HEADER, TCP_HEADER, TcpOptions, checksum, flags, protocol};

/// The longest header of a bare segment.
const MAX_HEADER: usize = IPV6_HEADER + TCP_HEADER;

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
}

/// A TCP segment without options.
///
/// # Panics
///
/// If the families differ, or the payload does not fit one packet.
pub(crate) fn tcp(fields: &TcpFields, payload: &[u8]) -> Vec<u8> {
    let (header, len) = header(fields, payload.len());
    let mut packet = buffer::take(len + payload.len());
    packet[..len].copy_from_slice(&header[..len]);
    packet[len..].copy_from_slice(payload);
    if len == IPV4_HEADER + TCP_HEADER {
        checksum::fill(&mut packet[..IPV4_HEADER], 10);
    }
    checksum::fill_tcp(&mut packet);
    packet
}

/// A segment with the options of a SYN, without checksums.
///
/// # Panics
///
/// If the families differ.
pub(crate) fn syn(fields: &TcpFields, options: &TcpOptions) -> Vec<u8> {
    /// No operation (RFC 9293 §3.2), which fills what is left.
    const NOP: u8 = 1;
    let mut all = [NOP; 12];
    if let Some(mss) = options.mss {
        let [high, low] = mss.to_be_bytes();
        all[..4].copy_from_slice(&[2, 4, high, low]); // RFC 9293 §3.7.1
    }
    if let Some(scale) = options.window_scale {
        all[4..7].copy_from_slice(&[3, 3, scale]); // RFC 7323 §2.2
    }
    if options.sack_permitted {
        all[7..9].copy_from_slice(&[4, 2]); // RFC 2018 §2
    }
    let (header, len) = header(fields, all.len());
    let mut packet = buffer::take(len + all.len());
    packet[..len].copy_from_slice(&header[..len]);
    packet[len..].copy_from_slice(&all);
    let tcp = &mut packet[len - TCP_HEADER..];
    tcp[12] = ((TCP_HEADER + all.len()) as u8 / 4) << 4;
    packet
}

/// The headers of a segment without options, without checksums, and how long they are.
///
/// # Panics
///
/// If the families differ, or a payload of `payload` bytes does not fit one packet.
pub(crate) fn header(fields: &TcpFields, payload: usize) -> ([u8; MAX_HEADER], usize) {
    let mut bytes = [0; MAX_HEADER];
    let segment = TCP_HEADER + payload;
    let fits = |len: usize| u16::try_from(len).expect("an IP packet has at most 65,535 bytes").to_be_bytes();
    let at = match (fields.src.ip(), fields.dst.ip()) {
        // RFC 791 §3.1; it is never fragmented, so any identification will do (RFC 6864 §4.1).
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            bytes[0] = 0x45;
            bytes[2..4].copy_from_slice(&fits(IPV4_HEADER + segment));
            bytes[6] = 0x40;
            bytes[8] = fields.hop_limit;
            bytes[9] = protocol::TCP;
            bytes[12..16].copy_from_slice(&src.octets());
            bytes[16..20].copy_from_slice(&dst.octets());
            IPV4_HEADER
        }
        // RFC 8200 §3
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            bytes[0] = 0x60;
            bytes[4..6].copy_from_slice(&fits(segment));
            bytes[6] = protocol::TCP;
            bytes[7] = fields.hop_limit;
            bytes[8..24].copy_from_slice(&src.octets());
            bytes[24..40].copy_from_slice(&dst.octets());
            IPV6_HEADER
        }
        (src, dst) => panic!("{src} and {dst} must be of one family"),
    };
    // RFC 9293 §3.1
    let tcp = &mut bytes[at..at + TCP_HEADER];
    tcp[0..2].copy_from_slice(&fields.src.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&fields.dst.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&fields.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&fields.ack.unwrap_or(0).to_be_bytes());
    tcp[12] = (TCP_HEADER as u8 / 4) << 4;
    tcp[13] = fields.flags & !flags::ACK | if fields.ack.is_some() { flags::ACK } else { 0 };
    tcp[14..16].copy_from_slice(&fields.window.to_be_bytes());
    (bytes, at + TCP_HEADER)
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    #[test]
    fn others_read_the_same() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let ends = [("10.1.2.3:80", "10.4.5.6:50000"), ("[fd00::1]:80", "[fd00::2]:50000")];
        let kinds = [(Some(0xfffe_fdfc), flags::FIN | flags::PSH), (None, flags::RST), (Some(0), 0)];
        for ((src, dst), (ack, more)) in ends.into_iter().flat_map(|end| kinds.map(|kind| (end, kind))) {
            let (src, dst) = (addr(src), addr(dst));
            let fields =
                TcpFields { src, dst, seq: 0x0102_0304, ack, flags: more, window: 0xabcd, hop_limit: 61 };
            for payload in [&b""[..], b"x", b"a payload"] {
                let packet = tcp(&fields, payload);
                let read = SlicedPacket::from_ip(&packet).unwrap();
                let (ends, hops) = match read.net.unwrap() {
                    NetSlice::Ipv4(ip) => {
                        let header = ip.header();
                        assert!(header.dont_fragment());
                        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
                        let ends: [IpAddr; 2] =
                            [header.source_addr().into(), header.destination_addr().into()];
                        (ends, header.ttl())
                    }
                    NetSlice::Ipv6(ip) => {
                        let header = ip.header();
                        ([header.source_addr().into(), header.destination_addr().into()], header.hop_limit())
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!((ends, hops), ([src.ip(), dst.ip()], 61));
                let Some(TransportSlice::Tcp(read)) = read.transport else { panic!("no TCP") };
                assert_eq!((read.source_port(), read.destination_port()), (80, 50000));
                assert_eq!((read.sequence_number(), read.window_size()), (0x0102_0304, 0xabcd));
                assert_eq!((read.ack(), read.acknowledgment_number()), (ack.is_some(), ack.unwrap_or(0)));
                let expected = (more & flags::FIN != 0, more & flags::PSH != 0, more & flags::RST != 0);
                assert_eq!(
                    (read.fin(), read.psh(), read.rst(), read.syn()),
                    (expected.0, expected.1, expected.2, false)
                );
                assert_eq!(read.payload(), payload);
                assert!(crate::wire::parse(&packet, false).is_ok(), "its checksums are right");
            }
        }
    }
    #[test]
    fn the_options_of_a_syn_are_read_again() {
        for (src, dst) in [("10.1.2.3:80", "10.4.5.6:50000"), ("[fd00::1]:80", "[fd00::2]:50000")] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let fields = TcpFields {
                src,
                dst,
                seq: 0x0102_0304,
                ack: Some(7),
                flags: flags::SYN,
                window: 0xabcd,
                hop_limit: 61,
            };
            for n in 0..8 {
                let options = TcpOptions {
                    mss: (n & 1 > 0).then_some(0xfffe),
                    window_scale: (n & 2 > 0).then_some(14),
                    sack_permitted: n & 4 > 0,
                };
                let packet = syn(&fields, &options);
                let packet = crate::wire::parse(&packet, true).unwrap();
                let crate::wire::Body::Tcp(segment) = packet.body else { panic!("{packet:?}") };
                assert_eq!((segment.options, segment.header_len), (options, 32));
                assert_eq!((segment.seq, segment.ack, segment.window), (fields.seq, 7, fields.window));
                assert_eq!((segment.flags, segment.payload), (flags::SYN | flags::ACK, &b""[..]));
            }
        }
    }
}
