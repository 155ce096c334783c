//! Which packets may not use the last part of the queue.

/// The protocol number of TCP.
const TCP: u8 = 6;

/// Whether this is a TCP segment with a payload. A fragment that does not begin with the TCP header is not.
///
/// Such segments are what fills a queue, and their sender can wait with them. What has to get through beside them
/// (handshakes, acknowledgments, datagrams, ICMP) is all the rest. IPv6 extension headers are not looked behind: a
/// packet that has some is no bulk.
pub(crate) fn is_bulk(packet: &[u8]) -> bool {
    let Some(&first) = packet.first() else { return false };
    let header = match first >> 4 {
        4 if packet.len() >= 20 && packet[9] == TCP && fragment_offset(packet) == 0 => {
            usize::from(first & 0x0f) * 4
        }
        6 if packet.len() >= 40 && packet[6] == TCP => 40,
        _ => return false,
    };
    // The data offset counts words of four bytes (RFC 9293 §3.1).
    packet.get(header + 12).is_some_and(|offset| packet.len() > header + usize::from(offset >> 4) * 4)
}

fn fragment_offset(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(version: u8, payload: usize) -> Vec<u8> {
        let header = if version == 4 { 20 } else { 40 };
        let mut packet = vec![0; header + 32 + payload];
        packet[0] = if version == 4 { 0x45 } else { 0x60 };
        packet[if version == 4 { 9 } else { 6 }] = TCP;
        packet[header + 12] = 8 << 4;
        packet
    }

    #[test]
    fn only_tcp_with_a_payload_is_bulk() {
        for version in [4, 6] {
            assert!(is_bulk(&tcp(version, 1)) && is_bulk(&tcp(version, 1460)));
            assert!(!is_bulk(&tcp(version, 0)));
            let mut udp = tcp(version, 100);
            udp[if version == 4 { 9 } else { 6 }] = 17;
            assert!(!is_bulk(&udp));
            let cut = tcp(version, 0);
            for len in 0..cut.len() {
                assert!(!is_bulk(&cut[..len]), "{len} bytes of version {version}");
            }
        }
        let mut first = tcp(4, 100);
        first[6] = 0x20; // more fragments
        assert!(is_bulk(&first));
        first[7] = 1;
        assert!(!is_bulk(&first));
        assert!(!is_bulk(&[0x55; 100]));
    }
}
