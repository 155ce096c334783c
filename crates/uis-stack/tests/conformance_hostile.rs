//! Packets that no honest peer sends, beside a connection that has to go on: RFC 9293 §3.1 and §3.10.7, RFC 1122 §3.2.1.

mod script;

use script::{Script, Setup, ms, script, secs};
use uis_stack::DiscardReason;
use uis_vnic::Frame;

/// How a good packet is spoilt: what is changed from the beginning of the TCP header on, and whether the checksums are put right
/// afterwards.
type Damage = (&'static str, fn(&mut Vec<u8>, usize), bool, DiscardReason);

const DAMAGES: &[Damage] = &[
    ("a wrong checksum", |p, tcp| p[tcp + 16] ^= 1, false, DiscardReason::BadTcpChecksum),
    ("changed data", |p, tcp| p[tcp + 20] ^= 1, false, DiscardReason::BadTcpChecksum),
    ("no flags", |p, tcp| p[tcp + 13] = 0, true, DiscardReason::BadTcpFlags),
    ("all flags", |p, tcp| p[tcp + 13] = 0xff, true, DiscardReason::BadTcpFlags),
    ("FIN, PSH and URG", |p, tcp| p[tcp + 13] = 0x29, true, DiscardReason::BadTcpFlags),
    ("SYN and FIN", |p, tcp| p[tcp + 13] = 0x03, true, DiscardReason::BadTcpFlags),
    ("SYN and RST", |p, tcp| p[tcp + 13] = 0x06, true, DiscardReason::BadTcpFlags),
    ("source port 0", |p, tcp| p[tcp..tcp + 2].fill(0), true, DiscardReason::BadPort),
    ("destination port 0", |p, tcp| p[tcp + 2..tcp + 4].fill(0), true, DiscardReason::BadPort),
    ("offset 0", |p, tcp| p[tcp + 12] = 0, true, DiscardReason::BadTcpHeader),
    ("offset 4", |p, tcp| p[tcp + 12] = 0x40, true, DiscardReason::BadTcpHeader),
    ("an offset past the end", |p, tcp| p[tcp + 12] = 0xf0, true, DiscardReason::BadTcpHeader),
    (
        "an option of length 0",
        |p, tcp| {
            p[tcp + 12] = 0x60;
            p[tcp + 20..tcp + 24].copy_from_slice(&[5, 0, 0, 0]);
        },
        true,
        DiscardReason::BadTcpHeader,
    ),
    (
        "an option past the end",
        |p, tcp| {
            p[tcp + 12] = 0x60;
            p[tcp + 20..tcp + 24].copy_from_slice(&[1, 1, 8, 10]);
        },
        true,
        DiscardReason::BadTcpHeader,
    ),
];

/// Data comes, and is answered.
#[track_caller]
fn goes_on(s: &mut Script) {
    s.inject(". 1:11 ack 1");
    s.read(10);
    s.expect_after(ms(10), ". 1 ack 11");
}

#[test]
fn what_is_malformed_is_counted_and_gets_no_answer() {
    for &(name, damage, repair, reason) in DAMAGES {
        script(|s| {
            s.established("<mss 1460>");
            let tcp = if s.is_ipv4() { 20 } else { 40 };
            let mut packet = s.packet(". 1:11 ack 1");
            damage(&mut packet, tcp);
            if repair {
                // The checksum is at its place whatever the rest says.
                packet = with_tcp_checksum(packet, tcp);
            }
            for _ in 0..3 {
                s.inject_packet(name, packet.clone());
            }
            s.expect_none();
            s.read_none();
            assert_eq!(s.stack().stats().discarded(reason), 3, "{name}: {:?}", s.stack().stats());
            goes_on(s);
        });
    }
}

/// Puts the TCP checksum right without believing anything that the TCP header says.
fn with_tcp_checksum(mut packet: Vec<u8>, tcp: usize) -> Vec<u8> {
    packet[tcp + 16..tcp + 18].fill(0);
    let addresses = if tcp == 20 { 12..20 } else { 8..40 };
    let length = (packet.len() - tcp) as u16;
    let mut covered = packet[addresses].to_vec();
    covered.extend([0, 6]);
    covered.extend(length.to_be_bytes());
    covered.extend(&packet[tcp..]);
    if covered.len() % 2 == 1 {
        covered.push(0);
    }
    let sum: u32 = covered.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn every_prefix_of_a_packet_is_harmless() {
    script(|s| {
        s.established("<mss 1460>");
        let packet = s.packet(". 1:11 ack 1");
        for len in 0..packet.len() {
            // Some are refused by the Vnic already.
            let _ = s.stack().vnic().inject_frame(Frame::new(&packet[..len]));
            s.expect_none();
        }
        s.read_none();
        goes_on(s);
    });
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    // All but the hop limit and the like of IPv6 is covered by a checksum.
    script(|s| {
        s.established("<mss 1460>");
        let packet = s.packet("R 1 ack 1");
        for bit in 0..packet.len() * 8 {
            if !s.is_ipv4() && bit < 64 {
                continue;
            }
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            let _ = s.stack().vnic().inject_frame(Frame::new(packet));
            s.expect_none();
        }
        goes_on(s);
    });
}

#[test]
fn a_flood_of_syns_is_bounded() {
    // RFC 4987: no more half-open connections than the backlog has room for, and these do not last.
    Setup::config(|config| config.backlog(16)).run(|s| {
        s.listen();
        let syn = s.packet("S 0 <mss 1460>");
        let tcp = if s.is_ipv4() { 20 } else { 40 };
        for port in 1..=5000_u16 {
            let mut packet = syn.clone();
            packet[tcp..tcp + 2].copy_from_slice(&(6000 + port).to_be_bytes());
            let mut frame = Frame::new(packet);
            assert!(frame.fix_checksums());
            s.stack().vnic().inject_frame(frame).unwrap();
        }
        assert_eq!(s.stack().connections().len(), 16);
        assert_eq!(s.stack().stats().discarded(DiscardReason::BacklogFull), 5000 - 16);
        s.after(secs(61));
        assert_eq!(s.stack().connections().len(), 0);
        s.drain();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1");
        s.accept();
        goes_on(s);
    });
}

#[test]
fn blind_data_and_acknowledgments_do_no_harm() {
    // RFC 5961 §5: an attacker who knows the ports and guesses the numbers.
    script(|s| {
        s.established("<mss 1460>");
        let mut guess = 0x2545_f491_u32;
        for _ in 0..2000 {
            guess = guess.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let seq = i64::from(guess as i32);
            if (0..70_000).contains(&seq) {
                continue;
            }
            let ack = i64::from(guess.rotate_left(16) as i32);
            s.inject(format!(". {seq} ack {ack}"));
            s.inject(format!("R {seq}"));
            s.inject(format!("S {seq}"));
        }
        assert!(s.drain().len() <= 1, "challenges are limited");
        goes_on(s);
    });
}
