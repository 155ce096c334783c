//! Cutting what smoltcp emits at once into segments.
//!
//! A call into smoltcp costs more than all the rest of a segment. So it gets an interface whose MTU is that of many, as a
//! kernel has its network card cut long segments (TCP segmentation offload). smoltcp has means for that, but drops such
//! segments over IPv6. What leaves is what it would have emitted one by one.

use uis_vnic::buffer;
use uis_vnic::rfc1071::{fold, pseudo_header, sum};

use super::header::header_len;
use crate::wire::{IPV4_HEADER, TCP_HEADER, checksum, flags, protocol};

/// The longest packet that smoltcp may emit: what the length field of IPv4 can say.
pub(crate) const MAX_BURST: usize = 65_535;

/// Cuts a packet with a TCP segment, neither with options, into packets of at most `mss` bytes of payload.
pub(crate) fn cut(burst: &[u8], mss: usize, mut emit: impl FnMut(Vec<u8>)) {
    let tcp_at = header_len(burst);
    let (headers, payload) = burst.split_at(tcp_at + TCP_HEADER);
    let mut template = [0; 60];
    let template = &mut template[..headers.len()];
    template.copy_from_slice(headers);
    template[tcp_at + 16..tcp_at + 18].fill(0);
    let word =
        |at: usize| u32::from_be_bytes([headers[at], headers[at + 1], headers[at + 2], headers[at + 3]]);
    let mut seq = word(tcp_at + 4);
    let last_flags = headers[tcp_at + 13];
    let mut sealed_len = 0;
    let mut fixed = 0;
    let mut rest = payload;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rest.len().min(mss));
        rest = later;
        // All but the last are of one length, so of one IP header and one sum of all that does not change.
        if piece.len() != sealed_len || later.is_empty() {
            sealed_len = piece.len();
            // RFC 9293 §3.10.4: what the end of the data is marked with goes with the end.
            let end = if later.is_empty() { 0 } else { flags::FIN | flags::PSH };
            template[tcp_at + 13] = last_flags & !end;
            fixed = seal(template, tcp_at, piece.len());
        }
        let mut packet = buffer::take(headers.len() + piece.len());
        let (head, body) = packet.split_at_mut(headers.len());
        head.copy_from_slice(template);
        head[tcp_at + 4..tcp_at + 8].copy_from_slice(&seq.to_be_bytes());
        body.copy_from_slice(piece);
        let partial = fixed + sum(&head[tcp_at + 4..tcp_at + 8]) + sum(body);
        head[tcp_at + 16..tcp_at + 18].copy_from_slice(&(!fold(partial)).to_be_bytes());
        seq = seq.wrapping_add(piece.len() as u32);
        emit(packet);
    }
}

/// Writes the lengths of a packet with `len` bytes of payload into its headers, and sums up all of the pseudo header and
/// the TCP header but the sequence number.
fn seal(headers: &mut [u8], tcp_at: usize, len: usize) -> u64 {
    let segment = TCP_HEADER + len;
    let addresses = if tcp_at == IPV4_HEADER {
        headers[2..4].copy_from_slice(&((tcp_at + segment) as u16).to_be_bytes());
        checksum::fill(&mut headers[..tcp_at], 10);
        12..20
    } else {
        headers[4..6].copy_from_slice(&(segment as u16).to_be_bytes());
        8..40
    };
    headers[tcp_at + 4..tcp_at + 8].fill(0);
    pseudo_header(&headers[addresses], protocol::TCP, segment) + sum(&headers[tcp_at..])
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::tcp::header::Header;
    use crate::tcp::seq::Seq;
    use crate::wire::{self, Body, TcpFields};

    /// A segment of `len` bytes in one packet, with a PSH and perhaps a FIN.
    fn burst(v4: bool, len: usize, fin: bool) -> Vec<u8> {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (src, dst) = if v4 {
            (addr("10.0.0.1:80"), addr("10.0.0.2:5000"))
        } else {
            (addr("[fd00::1]:80"), addr("[fd00::2]:5000"))
        };
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let flags = flags::ACK | flags::PSH | if fin { flags::FIN } else { 0 };
        let fields =
            TcpFields { src, dst, seq: u32::MAX - 2000, ack: Some(7), flags, window: 99, hop_limit: 64 };
        wire::tcp(&fields, &payload)
    }

    #[test]
    fn the_pieces_are_the_segment() {
        for v4 in [true, false] {
            for (len, mss) in
                [(1, 1), (1460, 1460), (1461, 1460), (2920, 1460), (10_000, 536), (65_000, 1440), (5, 48)]
            {
                for fin in [false, true] {
                    let whole = burst(v4, len, fin);
                    let mut pieces = Vec::new();
                    cut(&whole, mss, |packet| pieces.push(packet));
                    assert_eq!(pieces.len(), len.div_ceil(mss));
                    let mut stream = Vec::new();
                    for (n, piece) in pieces.iter().enumerate() {
                        let header = Header::of(piece);
                        assert_eq!(header.seq, Seq(u32::MAX - 2000) + stream.len() as u32);
                        assert_eq!((header.ack, header.window), (Seq(7), 99));
                        assert_eq!(header.has(flags::PSH), n + 1 == pieces.len());
                        assert_eq!(header.has(flags::FIN), fin && n + 1 == pieces.len());
                        let packet = wire::parse(piece, false).expect("right lengths and checksums");
                        let Body::Tcp(segment) = packet.body else { panic!("{packet:?}") };
                        assert!(segment.payload.len() == mss || n + 1 == pieces.len());
                        stream.extend_from_slice(segment.payload);
                    }
                    assert_eq!(stream, whole[whole.len() - len..]);
                }
            }
        }
    }
}
