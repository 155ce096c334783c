//! IPv6 extension headers and IPv4 options: what may be skipped, and what may not.

use etherparse::Ipv6RawExtHeaderSlice;

use super::{DiscardReason, IPV6_HEADER, protocol};

/// How many extension headers a packet may carry. Nothing real comes near.
const MAX_HEADERS: usize = 8;
/// How long a header of options may be in bytes (RFC 8504 §5.3).
const MAX_OPTIONS: usize = 64;
/// The Jumbo Payload option (RFC 2675 §2).
const JUMBO: u8 = 0xc2;

/// A place in a chain of headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    /// What comes next.
    pub(super) protocol: u8,
    /// Where it begins.
    pub(super) at: usize,
    /// Where the Next Header field is that says so.
    pub(super) next_header_at: usize,
}

/// Skips hop-by-hop options, destination options and spent routing headers, up to something else.
#[inline]
pub(super) fn skip(bytes: &[u8], mut chain: Chain) -> Result<Chain, DiscardReason> {
    for _ in 0..=MAX_HEADERS {
        let judge = match chain.protocol {
            // RFC 8200 §4.1: only right behind the fixed header.
            protocol::HOP_BY_HOP if chain.at != IPV6_HEADER => return Err(DiscardReason::BadExtension),
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => options,
            protocol::ROUTING => routing,
            protocol::NO_NEXT_HEADER => return Err(DiscardReason::NoNextHeader),
            _ => return Ok(chain),
        };
        let header = bytes.get(chain.at..).and_then(|rest| Ipv6RawExtHeaderSlice::from_slice(rest).ok());
        let header = header.ok_or(DiscardReason::BadExtension)?;
        judge(header.payload())?;
        chain = Chain {
            protocol: header.next_header().0,
            at: chain.at + header.slice().len(),
            next_header_at: chain.at,
        };
    }
    Err(DiscardReason::BadExtension)
}

/// Judges what an options header has behind its first two bytes.
fn options(mut options: &[u8]) -> Result<(), DiscardReason> {
    if options.len() + 2 > MAX_OPTIONS {
        return Err(DiscardReason::BadExtension);
    }
    while let Some((&kind, tail)) = options.split_first() {
        options = match kind {
            0 => tail, // Pad1
            JUMBO => return Err(DiscardReason::Malformed),
            // RFC 8200 §4.2: the upper two bits of an option that is not known say whether to skip it.
            _ if kind & 0xc0 != 0 => return Err(DiscardReason::BadExtension),
            _ => {
                let len = *tail.first().ok_or(DiscardReason::BadExtension)?;
                tail.get(1 + usize::from(len)..).ok_or(DiscardReason::BadExtension)?
            }
        };
    }
    Ok(())
}

/// The same of a routing header.
fn routing(data: &[u8]) -> Result<(), DiscardReason> {
    // RFC 5095 §3 buries type 0; RFC 8200 §4.4 lets a host skip the others once no segments are left.
    match data {
        [1..=255, 0, ..] => Ok(()),
        _ => Err(DiscardReason::BadExtension),
    }
}

/// Judges IPv4 options: all are skipped but source routes, which no host should obey (RFC 7126 §4.3).
pub(super) fn ipv4_options(mut options: &[u8]) -> Result<(), DiscardReason> {
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    while let Some((&kind, tail)) = options.split_first() {
        options = match kind {
            0 => break,
            1 => tail,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(DiscardReason::BadExtension),
            _ => match tail.first() {
                Some(&len @ 2..) => options.get(usize::from(len)..).ok_or(DiscardReason::Malformed)?,
                _ => return Err(DiscardReason::Malformed),
            },
        };
    }
    Ok(())
}
