//! Why a stack discards a packet.

use std::fmt;

/// Makes the enum, the list of its variants and their texts from one table, so that none can be forgotten.
macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// Why a stack discarded a packet that had arrived.
        ///
        /// The order of the variants is that of [`DiscardReason::ALL`], so `reason as usize` is an index into a
        /// table of counters of that length.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DiscardReason {
            $($(#[$doc])+ $name,)+
        }

        impl DiscardReason {
            /// Every reason, in the order of the variants.
            ///
            /// ```
            /// use uis_stack::DiscardReason;
            ///
            /// for (i, &reason) in DiscardReason::ALL.iter().enumerate() {
            ///     assert_eq!(reason as usize, i);
            /// }
            /// ```
            pub const ALL: &[DiscardReason] = &[$(Self::$name),+];
        }

        impl fmt::Display for DiscardReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => $text,)+
                })
            }
        }
    };
}

reasons! {
    /// It is not an IP packet: empty, of another version than 4 and 6, its header or lengths reach past its end, or
    /// it is a jumbogram (RFC 2675).
    Malformed = "malformed packet",
    /// The checksum of its IPv4 header is wrong.
    BadIpChecksum = "wrong IPv4 header checksum",
    /// Its source cannot be that of a host on the network: unspecified or in `0.0.0.0/8`, loopback, multicast,
    /// broadcast, reserved (`240.0.0.0/4`), or an IPv4-mapped IPv6 address.
    BadSource = "impossible source address",
    /// It came from the network with one of the stack's own addresses as its source.
    OwnSource = "own address as a foreign source",
    /// It is TCP to a multicast, broadcast or other non-unicast address (RFC 9293 §3.9.2.3).
    NotUnicast = "TCP to an address that is not unicast",
    /// Its destination is not an address of the stack.
    NotOurs = "not an address of this stack",
    /// Its chain of IPv6 extension headers is truncated, too long, out of order or asks for what no host should do,
    /// such as a routing header with segments left (RFC 5095); or it carries an IPv4 source route.
    BadExtension = "bad extension header or IPv4 option",
    /// It is an IPv6 packet that says that nothing follows its headers (RFC 8200 §4.7).
    NoNextHeader = "no next header",
    /// It is of a protocol that the stack does not speak.
    UnknownProtocol = "unknown protocol",
    /// It is a fragment that no datagram can have: empty, not the last and not a multiple of 8 bytes long, reaching
    /// past 65,535 bytes, without the headers that the first one must hold (RFC 7112), or at odds with another about
    /// where the datagram ends.
    BadFragment = "bad fragment",
    /// It is a fragment of a datagram whose fragments overlap (RFC 5722).
    FragmentOverlap = "overlapping fragments",
    /// It is a fragment that had to make room for others.
    FragmentLimit = "too many fragments waiting",
    /// It is a fragment whose datagram was not complete in time.
    FragmentTimeout = "fragments not complete in time",
    /// Its TCP header is truncated, has an impossible length, or options that are malformed.
    BadTcpHeader = "malformed TCP header",
    /// Its TCP flags contradict each other, as SYN with FIN or RST do, or there is none of SYN, ACK and RST.
    BadTcpFlags = "impossible TCP flags",
    /// Its source or destination port is 0.
    BadPort = "port 0",
    /// Its TCP checksum is wrong.
    BadTcpChecksum = "wrong TCP checksum",
    /// Its UDP header is truncated, or its length is impossible.
    BadUdpHeader = "malformed UDP header",
    /// Its UDP checksum is wrong, or absent over IPv6 (RFC 8200 §8.1).
    BadUdpChecksum = "wrong UDP checksum",
    /// Its ICMP message is truncated.
    BadIcmp = "malformed ICMP message",
    /// Its ICMP checksum is wrong.
    BadIcmpChecksum = "wrong ICMP checksum",
    /// It is an ICMP message of no use here: of a kind that is ignored, or about a packet that was not sent.
    IgnoredIcmp = "ignored ICMP message",
    /// No socket is at its port.
    NoSocket = "no socket at its port",
    /// It is a SYN, and the listener's backlog is full.
    BacklogFull = "backlog full",
    /// It is a datagram, and the socket's receive buffer is full.
    SocketFull = "receive buffer full",
    /// It is a TCP segment that its connection cannot accept (RFC 9293 §3.10.7.4, RFC 5961).
    Sequence = "unacceptable TCP segment",
    /// It was discarded without the answer that is due to it: there were too many of these lately.
    Rate = "rate limit",
    /// It is for a connection that nobody holds any more.
    Orphan = "nobody holds its connection",
    /// The stack, or what the packet was for, is closed.
    Closed = "closed",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_index_and_a_text_of_its_own() {
        let mut texts = std::collections::BTreeSet::new();
        for (i, &reason) in DiscardReason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, i);
            assert!(texts.insert(reason.to_string()), "{reason:?}");
        }
        assert_eq!(format!("{:>8}|", DiscardReason::BadPort), "  port 0|");
    }
}
