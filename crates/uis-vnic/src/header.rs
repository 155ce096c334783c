//! The few header fields that the link layer looks at: version, lengths, addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an IPv4 header without options (RFC 791 §3.1).
pub(crate) const IPV4_HEADER: usize = 20;
/// Bytes of the fixed IPv6 header (RFC 8200 §3).
pub(crate) const IPV6_HEADER: usize = 40;

/// How long the packet at the start of `bytes` is by its own header, or `None` if there is none that fits.
///
/// Nothing but the framing is judged here: addresses, checksums and everything above belong to whoever receives it.
pub(crate) fn total_len(bytes: &[u8]) -> Option<usize> {
    let total = match bytes.first()? >> 4 {
        4 if bytes.len() >= IPV4_HEADER => {
            let header = ipv4_header_len(bytes);
            let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            if header < IPV4_HEADER || total < header {
                return None;
            }
            total
        }
        // A payload length of 0 with a Jumbo Payload option (RFC 2675 §3) means more than 65,535 bytes, which no
        // MTU here lets pass, so 0 is read as what it says.
        6 if bytes.len() >= IPV6_HEADER => {
            IPV6_HEADER + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]))
        }
        _ => return None,
    };
    (total <= bytes.len()).then_some(total)
}

/// The IPv4 header's length by its IHL field. `bytes` is not empty.
pub(crate) fn ipv4_header_len(bytes: &[u8]) -> usize {
    usize::from(bytes[0] & 0x0f) * 4
}

/// The source address, if there is a whole fixed header.
pub(crate) fn src(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 if bytes.len() >= IPV4_HEADER => Some(ipv4(bytes, 12)),
        6 if bytes.len() >= IPV6_HEADER => Some(ipv6(bytes, 8)),
        _ => None,
    }
}

/// The destination address, if there is a whole fixed header.
pub(crate) fn dst(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 if bytes.len() >= IPV4_HEADER => Some(ipv4(bytes, 16)),
        6 if bytes.len() >= IPV6_HEADER => Some(ipv6(bytes, 24)),
        _ => None,
    }
}

fn ipv4(bytes: &[u8], at: usize) -> IpAddr {
    let mut octets = [0; 4];
    octets.copy_from_slice(&bytes[at..at + 4]);
    IpAddr::V4(Ipv4Addr::from(octets))
}

fn ipv6(bytes: &[u8], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    IpAddr::V6(Ipv6Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `len` bytes that begin with an IPv4 header of `ihl` words that claims `total` bytes.
    fn v4(ihl: u8, total: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes[0] = 0x40 | ihl;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes
    }

    /// `len` bytes that begin with an IPv6 header that claims `payload` bytes.
    fn v6(payload: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes[0] = 0x60;
        bytes[4..6].copy_from_slice(&payload.to_be_bytes());
        bytes
    }

    #[test]
    fn lengths() {
        let cases: &[(&str, Vec<u8>, Option<usize>)] = &[
            ("empty", vec![], None),
            ("one byte", vec![0x45], None),
            ("version 0", vec![0x05; 40], None),
            ("version 5", vec![0x55; 60], None),
            ("version 15", vec![0xf5; 60], None),
            ("bare IPv4 header", v4(5, 20, 20), Some(20)),
            ("IPv4 header cut off", v4(5, 19, 19), None),
            ("IHL below 5", v4(4, 20, 20), None),
            ("IHL past the end", v4(15, 20, 20), None),
            ("IHL past the total length", v4(6, 20, 40), None),
            ("options", v4(15, 60, 60), Some(60)),
            ("total length 0", v4(5, 0, 20), None),
            ("total length past the end", v4(5, 41, 40), None),
            ("padding", v4(5, 28, 46), Some(28)),
            ("bare IPv6 header", v6(0, 40), Some(40)),
            ("IPv6 header cut off", v6(0, 39), None),
            ("payload past the end", v6(9, 48), None),
            ("payload", v6(8, 48), Some(48)),
            ("IPv6 padding", v6(8, 60), Some(48)),
            ("largest IPv6", v6(65_535, 65_575), Some(65_575)),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(total_len(bytes), *expected, "{name}");
        }
    }

    #[test]
    fn addresses() {
        let mut bytes = v4(5, 20, 20);
        bytes[12..16].copy_from_slice(&[10, 0, 0, 1]);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        assert_eq!(src(&bytes), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(dst(&bytes), Some(IpAddr::from([10, 0, 0, 2])));
        assert_eq!((src(&bytes[..19]), dst(&bytes[..19])), (None, None));

        let mut bytes = v6(0, 40);
        bytes[23] = 1;
        bytes[39] = 2;
        assert_eq!(src(&bytes), Some("::1".parse().unwrap()));
        assert_eq!(dst(&bytes), Some("::2".parse().unwrap()));
        assert_eq!((src(&bytes[..39]), dst(&bytes[..39])), (None, None));
        assert_eq!((src(&[]), dst(&[0x50; 60])), (None, None));
    }
}
