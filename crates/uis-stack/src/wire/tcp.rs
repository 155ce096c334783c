//! TCP segments (RFC 9293 §3.1).

use super::{DiscardReason, TCP_HEADER, be16, be32};

/// The bits of [`TcpSegment::flags`].
pub(crate) mod flags {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const URG: u8 = 0x20;
    pub(crate) const ECE: u8 = 0x40;
    pub(crate) const CWR: u8 = 0x80;
}

/// The largest shift of a window scale option (RFC 7323 §2.3).
const MAX_WINDOW_SCALE: u8 = 14;

/// A segment, its header checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpSegment<'a> {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    /// Means something only with [`flags::ACK`].
    pub(crate) ack: u32,
    /// Bits of [`flags`].
    pub(crate) flags: u8,
    /// As it is in the header, not scaled.
    pub(crate) window: u16,
    /// Bytes of the TCP header, options included.
    pub(crate) header_len: usize,
    pub(crate) options: TcpOptions,
    pub(crate) payload: &'a [u8],
    /// The whole segment: header and payload.
    pub(crate) bytes: &'a [u8],
    /// Whether only a fixed IP header is before the segment, without options or extension headers.
    pub(crate) bare: bool,
}

/// The options of a SYN. Other segments have none of these (RFC 9293 §3.7.1, RFC 7323 §2.2, RFC 2018 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpOptions {
    /// As the peer sent it. smoltcp takes 0 for the default of 536, and less than 48 for 48.
    pub(crate) mss: Option<u16>,
    /// At most 14.
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
}

impl TcpSegment<'_> {
    /// Whether any of `flags` is set.
    #[inline]
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// How much of the sequence space the segment takes: its payload, and one each for SYN and FIN.
    #[inline]
    pub(crate) fn seq_len(&self) -> u32 {
        // A payload is shorter than 64 KiB.
        self.payload.len() as u32 + u32::from(self.has(flags::SYN)) + u32::from(self.has(flags::FIN))
    }
}

/// Reads the segment in `bytes`. The checksum is not looked at.
#[inline]
pub(super) fn parse(bytes: &[u8], bare: bool) -> Result<TcpSegment<'_>, DiscardReason> {
    let header: &[u8; TCP_HEADER] = bytes.first_chunk().ok_or(DiscardReason::BadTcpHeader)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < TCP_HEADER || header_len > bytes.len() {
        return Err(DiscardReason::BadTcpHeader);
    }
    let (src_port, dst_port) = (be16(header, 0), be16(header, 2));
    if src_port == 0 || dst_port == 0 {
        return Err(DiscardReason::BadPort);
    }
    let flags = header[13];
    if !is_possible(flags) {
        return Err(DiscardReason::BadTcpFlags);
    }
    let mut options = TcpOptions::default();
    if header_len > TCP_HEADER {
        // All are scanned, so that what is malformed is counted; only a SYN's mean something.
        let found = parse_options(&bytes[TCP_HEADER..header_len])?;
        if flags & flags::SYN != 0 {
            options = found;
        }
    }
    Ok(TcpSegment {
        src_port,
        dst_port,
        seq: be32(header, 4),
        ack: be32(header, 8),
        flags,
        window: be16(header, 14),
        header_len,
        options,
        payload: &bytes[header_len..],
        bytes,
        bare,
    })
}

/// Whether any TCP would send this. Of SYN, FIN and RST at most one; FIN never without ACK; and no segment has none
/// of SYN, RST and ACK. PSH, URG and the two bits of ECN go with everything.
#[inline]
fn is_possible(flags: u8) -> bool {
    use flags::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};
    /// A bit for each possible combination of the other four.
    const POSSIBLE: u32 =
        1 << SYN | 1 << (SYN | ACK) | 1 << ACK | 1 << (FIN | ACK) | 1 << RST | 1 << (RST | ACK);
    POSSIBLE >> (flags & !(PSH | URG | ECE | CWR)) & 1 == 1
}

fn parse_options(mut bytes: &[u8]) -> Result<TcpOptions, DiscardReason> {
    let mut options = TcpOptions::default();
    while let Some((&kind, tail)) = bytes.split_first() {
        bytes = match kind {
            0 => break,
            1 => tail,
            _ => {
                let len = usize::from(*tail.first().ok_or(DiscardReason::BadTcpHeader)?);
                let data = bytes.get(2..len).ok_or(DiscardReason::BadTcpHeader)?;
                match (kind, data) {
                    (2, &[high, low]) => options.mss = Some(u16::from_be_bytes([high, low])),
                    (3, &[shift]) => options.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
                    (4, []) => options.sack_permitted = true,
                    // SACK blocks of 8 bytes, at least one (RFC 2018 §3).
                    (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {}
                    (2..=5, _) => return Err(DiscardReason::BadTcpHeader),
                    _ => {}
                }
                &bytes[len..]
            }
        };
    }
    Ok(options)
}
