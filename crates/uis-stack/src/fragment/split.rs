//! Cutting a packet into fragments (RFC 791 §3.2, RFC 8200 §4.5).

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header};
use uis_vnic::buffer;

use crate::wire::{FRAGMENT_HEADER, IPV4_HEADER, IPV6_HEADER};

const WHOLE: &str = "a packet begins with its header";
const WRITTEN: &str = "a Vec takes what is written to it";

/// The packet is longer than the MTU and may not be fragmented, or the MTU has no room for a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooBig;

/// Hands `packet` to `out` if it fits `mtu`, which is at most 65,535, or else the fragments that it is cut into, in
/// order.
///
/// The packet is one that [`wire`](crate::wire) has built: whole, without options or extension headers. `ident`
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
    let (mut header, payload) = Ipv4Header::from_slice(packet).expect(WHOLE);
    if header.dont_fragment {
        return Err(TooBig);
    }
    for Piece { offset, more, bytes } in pieces(payload, mtu, IPV4_HEADER)? {
        header.fragment_offset = offset;
        header.more_fragments = more;
        header.set_payload_len(bytes.len()).expect("a part of a packet is no longer than one");
        let mut fragment = buffer::take(IPV4_HEADER + bytes.len());
        fragment.clear();
        header.write(&mut fragment).expect(WRITTEN);
        fragment.extend_from_slice(bytes);
        out(fragment);
    }
    Ok(())
}

fn split_v6(packet: &[u8], mtu: usize, ident: u32, mut out: impl FnMut(Vec<u8>)) -> Result<(), TooBig> {
    const HEADERS: usize = IPV6_HEADER + FRAGMENT_HEADER;
    let (mut header, payload) = Ipv6Header::from_slice(packet).expect(WHOLE);
    let protocol = header.next_header;
    header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
    for Piece { offset, more, bytes } in pieces(payload, mtu, HEADERS)? {
        header.set_payload_length(FRAGMENT_HEADER + bytes.len()).expect("no longer than the MTU");
        let mut fragment = buffer::take(HEADERS + bytes.len());
        fragment.clear();
        header.write(&mut fragment).expect(WRITTEN);
        Ipv6FragmentHeader::new(protocol, offset, more, ident).write(&mut fragment).expect(WRITTEN);
        fragment.extend_from_slice(bytes);
        out(fragment);
    }
    Ok(())
}

struct Piece<'a> {
    /// Where it belongs in the payload.
    offset: IpFragOffset,
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
        offset: IpFragOffset::try_new((i * len / 8) as u16).expect("an offset within a packet"),
        more: i + 1 < count,
        bytes,
    }))
}
