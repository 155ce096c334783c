//! Cutting a packet into fragments (RFC 791 §3.2, RFC 8200 §4.5).

use uis_vnic::buffer;

use crate::wire::{FRAGMENT_HEADER, IPV4_HEADER, IPV6_HEADER, be16, checksum, protocol};

/// The packet is longer than the MTU and may not be fragmented, or the MTU has no room for a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooBig;

/// Hands `packet` to `out` if it fits `mtu`, which is at most 65,535, or else the fragments that it is cut into, in
/// order.
///
/// The packet is one of [`wire::build`](crate::wire::build): whole, without options or extension headers. `ident`
/// goes into the fragment headers of IPv6; an IPv4 packet has its own.
///
/// # Errors
///
/// [`TooBig`], and nothing is handed out.
pub(crate) fn split(
    packet: Vec<u8>,
    mtu: usize,
    ident: u32,
    mut out: impl FnMut(Vec<u8>),
) -> Result<(), TooBig> {
    if packet.len() <= mtu {
        out(packet);
        return Ok(());
    }
    match packet[0] >> 4 {
        4 => split_v4(&packet, mtu, out)?,
        _ => split_v6(&packet, mtu, ident, out)?,
    }
    buffer::give(packet);
    Ok(())
}

fn split_v4(packet: &[u8], mtu: usize, mut out: impl FnMut(Vec<u8>)) -> Result<(), TooBig> {
    const DONT_FRAGMENT: u16 = 0x4000;
    const MORE: u16 = 0x2000;
    let (header, payload) = packet.split_at(IPV4_HEADER);
    if be16(header, 6) & DONT_FRAGMENT != 0 {
        return Err(TooBig);
    }
    for Piece { offset, more, bytes } in pieces(payload, mtu, IPV4_HEADER)? {
        let mut fragment = buffer::take(IPV4_HEADER + bytes.len());
        let total = fragment.len() as u16; // an IPv4 packet's length, and this is a part of one
        let placement = (offset / 8) as u16 | if more { MORE } else { 0 };
        fragment[..IPV4_HEADER].copy_from_slice(header);
        fragment[2..4].copy_from_slice(&total.to_be_bytes());
        fragment[6..8].copy_from_slice(&placement.to_be_bytes());
        checksum::fill(&mut fragment[..IPV4_HEADER], 10);
        fragment[IPV4_HEADER..].copy_from_slice(bytes);
        out(fragment);
    }
    Ok(())
}

fn split_v6(packet: &[u8], mtu: usize, ident: u32, mut out: impl FnMut(Vec<u8>)) -> Result<(), TooBig> {
    const HEADERS: usize = IPV6_HEADER + FRAGMENT_HEADER;
    let (header, payload) = packet.split_at(IPV6_HEADER);
    for Piece { offset, more, bytes } in pieces(payload, mtu, HEADERS)? {
        let mut fragment = buffer::take(HEADERS + bytes.len());
        // What fits the MTU fits 16 bits, and so does an offset into what was a payload.
        let len = (FRAGMENT_HEADER + bytes.len()) as u16;
        let placement = offset as u16 | u16::from(more);
        fragment[..IPV6_HEADER].copy_from_slice(header);
        fragment[4..6].copy_from_slice(&len.to_be_bytes());
        fragment[6] = protocol::FRAGMENT;
        fragment[40] = header[6];
        fragment[41] = 0;
        fragment[42..44].copy_from_slice(&placement.to_be_bytes());
        fragment[44..48].copy_from_slice(&ident.to_be_bytes());
        fragment[HEADERS..].copy_from_slice(bytes);
        out(fragment);
    }
    Ok(())
}

struct Piece<'a> {
    /// Where it belongs in the payload, in bytes.
    offset: usize,
    /// Whether others follow.
    more: bool,
    bytes: &'a [u8],
}

/// Cuts `payload` so that each piece fits `mtu` behind `header_len` bytes. All but the last are as long as a multiple
/// of 8 bytes can be.
fn pieces(payload: &[u8], mtu: usize, header_len: usize) -> Result<impl Iterator<Item = Piece<'_>>, TooBig> {
    let len = mtu.saturating_sub(header_len) / 8 * 8;
    if len == 0 {
        return Err(TooBig);
    }
    let count = payload.len().div_ceil(len);
    Ok(payload.chunks(len).enumerate().map(move |(i, bytes)| Piece {
        offset: i * len,
        more: i + 1 < count,
        bytes,
    }))
}
