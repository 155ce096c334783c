//! A packet as one line of text, the way tcpdump prints it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use etherparse::{
    Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, LaxNetSlice, LaxSlicedPacket, TcpOptionElement,
    TcpSlice, TransportSlice,
};

/// One line for an IP packet, as tcpdump prints it, without the time: who to whom, and what. Sequence numbers are
/// absolute. Bytes that are no packet, or less than one, have a line as well.
///
/// ```
/// use uis_sim::describe;
///
/// let mut packet = vec![0; 31];
/// packet[0] = 0x45; // IPv4, a header of five words
/// packet[3] = 31;
/// packet[9] = 17; // UDP
/// packet[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
/// packet[20..26].copy_from_slice(&[0xc0, 0, 0, 53, 0, 11]);
/// assert_eq!(describe(&packet), "IP 10.0.0.2.49152 > 10.0.0.1.53: UDP, length 3");
/// ```
#[must_use]
pub fn describe(packet: &[u8]) -> String {
    line(packet, packet.len(), None)
}

/// Where the sequence numbers of one direction of a connection begin.
type Bases = BTreeMap<(IpAddr, u16, IpAddr, u16), u32>;

/// Describes packets in their order, with sequence numbers that count from the first that it has seen of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Describer {
    bases: Bases,
}

/// Of so many directions the beginning is remembered.
const MAX_BASES: usize = 100_000;

impl Describer {
    /// Remembers where a connection begins, from a packet that is not shown.
    pub(crate) fn skip(&mut self, head: &[u8]) {
        if may_be_syn(head) && self.bases.len() < MAX_BASES {
            line(head, head.len(), Some(&mut self.bases));
        }
    }

    /// One line for a packet of `len` bytes of which `head` are left.
    pub(crate) fn line(&mut self, head: &[u8], len: usize) -> String {
        line(head, len, Some(&mut self.bases))
    }
}

fn line(head: &[u8], len: usize, bases: Option<&mut Bases>) -> String {
    let Ok(packet) = LaxSlicedPacket::from_ip(head) else { return format!("no IP packet, length {len}") };
    let missing = len.saturating_sub(head.len());
    let (family, src, dst, fragment): (_, IpAddr, IpAddr, _) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let fragment = header.is_fragmenting_payload().then(|| {
                let (offset, more) = (header.fragments_offset().byte_offset(), header.more_fragments());
                (u32::from(header.identification()), offset, more)
            });
            ("IP", header.source_addr().into(), header.destination_addr().into(), fragment)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let fragment = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                etherparse::Ipv6ExtensionSlice::Fragment(f) if f.is_fragmenting_payload() => {
                    Some((f.identification(), f.fragment_offset().byte_offset(), f.more_fragments()))
                }
                _ => None,
            });
            ("IP6", ip.header().source_addr().into(), ip.header().destination_addr().into(), fragment)
        }
        _ => return format!("no IP packet, length {len}"),
    };
    let ends = |sport: u16, dport: u16| format!("{family} {src}.{sport} > {dst}.{dport}");
    let mut text = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let ends = ends(tcp.source_port(), tcp.destination_port());
            let relative = relative(tcp, src, dst, bases);
            format!("{ends}: {}", tcp_text(tcp, tcp.payload().len() + missing, relative))
        }
        Some(TransportSlice::Udp(udp)) => {
            let ends = ends(udp.source_port(), udp.destination_port());
            format!("{ends}: UDP, length {}", udp.length().saturating_sub(8))
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let length = icmp.slice().len() + missing;
            format!("{family} {src} > {dst}: ICMP {}, length {length}", icmpv4_text(icmp))
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let length = icmp.slice().len() + missing;
            format!("{family} {src} > {dst}: ICMP6 {}, length {length}", icmpv6_text(icmp))
        }
        _ => {
            let payload = packet.net.as_ref().and_then(LaxNetSlice::ip_payload_ref);
            let (number, length) = payload.map_or((0, 0), |p| (p.ip_number.0, p.payload.len() + missing));
            format!("{family} {src} > {dst}: ip-proto-{number}, length {length}")
        }
    };
    if let Some((id, offset, more)) = fragment {
        let more = if more { "+" } else { "" };
        let _ = write!(text, " (frag id {id}, offset {offset}{more})");
    }
    text
}

/// Whether it is worth a closer look: nearly all packets are not.
fn may_be_syn(head: &[u8]) -> bool {
    let (protocol, tcp) = match head.first().map(|byte| (byte >> 4, byte & 15)) {
        Some((4, words)) => (head.get(9), usize::from(words) * 4),
        Some((6, _)) => (head.get(6), 40),
        _ => return false,
    };
    protocol == Some(&6) && head.get(tcp + 13).is_some_and(|flags| flags & 2 != 0)
}

/// What is to be subtracted from the sequence and the acknowledgment number.
fn relative(tcp: &TcpSlice<'_>, src: IpAddr, dst: IpAddr, bases: Option<&mut Bases>) -> (u32, u32) {
    let Some(bases) = bases else { return (0, 0) };
    let (sport, dport) = (tcp.source_port(), tcp.destination_port());
    let (here, there) = ((src, sport, dst, dport), (dst, dport, src, sport));
    if tcp.syn() {
        // As tcpdump: the SYN shows where the numbers begin, and then they count from there.
        bases.insert(here, tcp.sequence_number());
        let there = if tcp.ack() { bases.get(&there).copied() } else { None };
        return (0, there.unwrap_or(0));
    }
    // Without its SYN, the first of what was seen has the number 1.
    let seq = *bases.entry(here).or_insert(tcp.sequence_number().wrapping_sub(1));
    let ack = *bases.entry(there).or_insert(tcp.acknowledgment_number().wrapping_sub(1));
    (seq, ack)
}

fn tcp_text(tcp: &TcpSlice<'_>, length: usize, (base, ack_base): (u32, u32)) -> String {
    let flags = [
        (tcp.syn(), 'S'),
        (tcp.fin(), 'F'),
        (tcp.psh(), 'P'),
        (tcp.rst(), 'R'),
        (tcp.urg(), 'U'),
        (tcp.cwr(), 'W'),
        (tcp.ece(), 'E'),
        (tcp.ack(), '.'),
    ];
    let mut text = String::from("Flags [");
    text.extend(flags.into_iter().filter_map(|(set, letter)| set.then_some(letter)));
    text.push(']');
    let seq = tcp.sequence_number().wrapping_sub(base);
    if length > 0 {
        let _ = write!(text, ", seq {seq}:{}", seq.wrapping_add(length as u32));
    } else if tcp.syn() || tcp.fin() || tcp.rst() {
        let _ = write!(text, ", seq {seq}");
    }
    if tcp.ack() {
        let _ = write!(text, ", ack {}", tcp.acknowledgment_number().wrapping_sub(ack_base));
    }
    let _ = write!(text, ", win {}", tcp.window_size());
    let options: Vec<String> = tcp.options_iterator().flatten().filter_map(option_text).collect();
    if !options.is_empty() {
        let _ = write!(text, ", options [{}]", options.join(","));
    }
    let _ = write!(text, ", length {length}");
    text
}

fn option_text(option: TcpOptionElement) -> Option<String> {
    Some(match option {
        TcpOptionElement::Noop => return None,
        TcpOptionElement::MaximumSegmentSize(mss) => format!("mss {mss}"),
        TcpOptionElement::WindowScale(scale) => format!("wscale {scale}"),
        TcpOptionElement::SelectiveAcknowledgementPermitted => "sackOK".into(),
        TcpOptionElement::SelectiveAcknowledgement(first, rest) => {
            let blocks = std::iter::once(first).chain(rest.into_iter().flatten());
            let blocks: Vec<String> = blocks.map(|(from, to)| format!("{{{from}:{to}}}")).collect();
            format!("sack {} {}", blocks.len(), blocks.concat())
        }
        TcpOptionElement::Timestamp(value, echo) => format!("TS val {value} ecr {echo}"),
    })
}

fn icmpv4_text(icmp: &Icmpv4Slice<'_>) -> String {
    match icmp.icmp_type() {
        Icmpv4Type::EchoRequest(echo) => format!("echo request, id {}, seq {}", echo.id, echo.seq),
        Icmpv4Type::EchoReply(echo) => format!("echo reply, id {}, seq {}", echo.id, echo.seq),
        Icmpv4Type::DestinationUnreachable(_) => {
            format!("destination unreachable, code {}", icmp.code_u8())
        }
        Icmpv4Type::TimeExceeded(_) => format!("time exceeded, code {}", icmp.code_u8()),
        _ => format!("type {}, code {}", icmp.type_u8(), icmp.code_u8()),
    }
}

fn icmpv6_text(icmp: &Icmpv6Slice<'_>) -> String {
    match icmp.icmp_type() {
        Icmpv6Type::EchoRequest(echo) => format!("echo request, id {}, seq {}", echo.id, echo.seq),
        Icmpv6Type::EchoReply(echo) => format!("echo reply, id {}, seq {}", echo.id, echo.seq),
        Icmpv6Type::DestinationUnreachable(_) => {
            format!("destination unreachable, code {}", icmp.code_u8())
        }
        Icmpv6Type::PacketTooBig { mtu } => format!("packet too big, mtu {mtu}"),
        Icmpv6Type::TimeExceeded(_) => format!("time exceeded, code {}", icmp.code_u8()),
        _ => format!("type {}, code {}", icmp.type_u8(), icmp.code_u8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn build(step: etherparse::PacketBuilderStep<etherparse::TcpHeader>, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        step.write(&mut packet, payload).unwrap();
        packet
    }

    fn v4() -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
        PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
    }

    #[test]
    fn segments_read_as_in_tcpdump() {
        let options = [
            TcpOptionElement::MaximumSegmentSize(1460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(7),
        ];
        let syn = build(v4().tcp(49152, 80, 1000, 65535).options(&options).unwrap().syn(), &[]);
        let data = build(v4().tcp(49152, 80, 1001, 512).ack(5001).psh(), b"hello");
        let answer = build(
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
                .tcp(80, 49152, 5001, 512)
                .ack(1006)
                .options(&[TcpOptionElement::SelectiveAcknowledgement((7, 9), [None; 3])])
                .unwrap()
                .fin(),
            &[],
        );
        let mut describer = Describer::default();
        let lines = [&syn, &data, &answer].map(|packet| describer.line(packet, packet.len()));
        assert_eq!(
            lines,
            [
                "IP 10.0.0.2.49152 > 10.0.0.1.80: Flags [S], seq 1000, win 65535, \
                 options [mss 1460,sackOK,wscale 7], length 0",
                "IP 10.0.0.2.49152 > 10.0.0.1.80: Flags [P.], seq 1:6, ack 1, win 512, length 5",
                "IP 10.0.0.1.80 > 10.0.0.2.49152: Flags [F.], seq 1, ack 6, win 512, \
                 options [sack 1 {7:9}], length 0",
            ]
        );
        assert_eq!(
            describe(&data),
            "IP 10.0.0.2.49152 > 10.0.0.1.80: Flags [P.], seq 1001:1006, ack 5001, win 512, length 5"
        );
    }

    #[test]
    fn numbers_count_from_a_syn_that_is_not_shown() {
        let mut describer = Describer::default();
        describer.skip(&build(v4().tcp(1, 2, 1000, 512).syn(), &[]));
        describer.skip(&build(v4().tcp(1, 2, 1001, 512).ack(9), &[0; 500]));
        let data = build(v4().tcp(1, 2, 1501, 512).ack(9), &[0; 500]);
        let line = describer.line(&data, data.len());
        assert!(line.contains("seq 501:1001, ack 1,"), "{line}");
    }

    #[test]
    fn a_head_is_enough() {
        let data = build(v4().tcp(1, 2, 7, 512).ack(9), &[0; 1000]);
        let mut describer = Describer::default();
        let line = describer.line(&data[..64], data.len());
        assert_eq!(line, "IP 10.0.0.2.1 > 10.0.0.1.2: Flags [.], seq 1:1001, ack 1, win 512, length 1000");
    }

    #[test]
    fn other_packets_have_a_line_too() {
        let mut ping = Vec::new();
        v4().icmpv4_echo_request(7, 1).write(&mut ping, &[0; 8]).unwrap();
        assert_eq!(describe(&ping), "IP 10.0.0.2 > 10.0.0.1: ICMP echo request, id 7, seq 1, length 16");
        let mut ping = Vec::new();
        let v6 = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64);
        v6.icmpv6_echo_reply(7, 1).write(&mut ping, &[0; 8]).unwrap();
        assert!(
            describe(&ping).ends_with(": ICMP6 echo reply, id 7, seq 1, length 16"),
            "{}",
            describe(&ping)
        );

        let mut first = ping_fragment(0, true);
        assert!(describe(&first).ends_with("(frag id 9, offset 0+)"), "{}", describe(&first));
        first = ping_fragment(185, false);
        assert_eq!(
            describe(&first),
            "IP 10.0.0.2 > 10.0.0.1: ip-proto-17, length 8 (frag id 9, offset 1480)"
        );

        for odd in [&[][..], &[0x45], &[0x60; 39], &[0xff; 60]] {
            assert_eq!(describe(odd), format!("no IP packet, length {}", odd.len()));
        }
    }

    /// A fragment of UDP, at an offset of so many times 8 bytes.
    fn ping_fragment(offset: u16, more: bool) -> Vec<u8> {
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[3] = 28;
        packet[5] = 9;
        packet[6..8].copy_from_slice(&(offset | if more { 0x2000 } else { 0 }).to_be_bytes());
        packet[9] = 17;
        packet[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        packet[25] = 8;
        packet
    }
}
