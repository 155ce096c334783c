//! The stream arrives as it was sent: overlaps, any order, sequence numbers that wrap: RFC 9293 §3.4 and §3.10.7.4.

mod script;

use std::time::Duration;

use script::{Script, Setup, ms, script, secs};

/// All orders of these numbers.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    (0..n)
        .flat_map(|at| {
            shorter.iter().map(move |rest| {
                let mut order = rest.clone();
                order.insert(at, n - 1);
                order
            })
        })
        .collect()
}

/// The segments in every order; the stream has `len` bytes.
fn in_every_order(segments: &[(i64, i64)], len: usize) {
    for order in permutations(segments.len()) {
        script(|s| {
            s.established("<mss 1460>");
            for &n in &order {
                s.inject(format!(". {}:{} ack 1", segments[n].0, segments[n].1));
            }
            s.read(len);
            s.after(ms(10));
            let acks = s.drain();
            assert_eq!(acks.last().and_then(|s| s.ack), Some(1 + len as i64), "{order:?}");
            assert!(acks.is_sorted_by_key(|s| s.ack), "an acknowledgment was taken back: {order:?}");
        });
    }
}

#[test]
fn three_segments_in_every_order() {
    in_every_order(&[(1, 101), (101, 201), (201, 301)], 300);
}

#[test]
fn four_overlapping_segments_in_every_order() {
    in_every_order(&[(1, 101), (51, 151), (101, 251), (250, 301)], 300);
}

#[test]
fn five_segments_with_duplicates_and_overlaps_in_every_order() {
    in_every_order(&[(1, 101), (101, 201), (101, 201), (151, 301), (1, 401)], 400);
}

#[test]
fn a_segment_out_of_order_is_answered_at_once() {
    // RFC 5681 §4.2, also for the one that fills a gap.
    script(|s| {
        s.established("<mss 1460>");
        for n in [1, 2, 3] {
            s.inject(format!(". {}:{} ack 1", 1 + 100 * n, 101 + 100 * n));
            s.expect(". 1 ack 1");
        }
        s.inject(". 1:101 ack 1");
        s.expect(". 1 ack 401");
        s.read(400);
    });
}

#[test]
fn selective_acknowledgments_name_what_came_last() {
    // RFC 2018 §4: the first block is the one with the segment that caused the acknowledgment.
    script(|s| {
        s.established("<mss 1460,sackOK>");
        s.inject(". 101:201 ack 1");
        s.expect(". 1 ack 1 <sack 101:201>");
        s.inject(". 201:301 ack 1");
        s.expect(". 1 ack 1 <sack 101:301>");
        s.inject(". 1:101 ack 1");
        s.expect(". 1 ack 301");
        s.read(300);
    });
}

#[test]
fn selective_acknowledgments_are_right_far_into_a_stream() {
    // RFC 2018 §3: the edges of a block are sequence numbers, whatever came in order before, and a block lies behind
    // what is acknowledged, or it would tell of a duplicate (RFC 2883 §4).
    script(|s| {
        s.established("<mss 1460,sackOK>");
        for n in [0, 1000, 2000] {
            s.inject(format!(". {}:{} ack 1", n + 1, n + 1001));
            s.read(1000);
            s.after(ms(10));
            s.drain();
            s.inject(format!(". {}:{} ack 1", n + 1101, n + 1201));
            s.expect(format!(". 1 ack {} <sack {}:{}>", n + 1001, n + 1101, n + 1201));
        }
    });
}

#[test]
fn what_is_far_away_does_not_hide_a_hole() {
    // The second is as far ahead of the first as that is of the stream, and so looks like something old.
    script(|s| {
        s.established("<mss 1460>");
        s.write(10);
        s.expect(". 1:11 ack 1");
        s.inject(". 1 ack 11");
        s.inject(". 101:201 ack 1"); // sent before that
        s.expect(". 11 ack 1");
        let far = (1i64 << 31) - 200;
        for n in [1, 2] {
            s.inject(format!(". {}:{} ack 11", n * far, n * far + 10));
        }
        s.drain();
        s.inject(". 1:51 ack 11");
        s.inject(". 51:101 ack 11");
        s.read(200);
        s.after(ms(10));
        assert_eq!(s.drain().last().and_then(|s| s.ack), Some(201));
    });
}

#[test]
fn every_second_segment_is_acknowledged_though_the_peer_takes_longer_ones() {
    // RFC 9293 §3.8.6.3: full-sized is what the receiver takes.
    script(|s| {
        s.established("<mss 8960>");
        for n in 0..5 {
            s.inject(format!(". {}:{} ack 1", 1 + 2800 * n, 1401 + 2800 * n));
            s.expect_none();
            s.inject(format!(". {}:{} ack 1", 1401 + 2800 * n, 2801 + 2800 * n));
            s.expect(format!(". 1 ack {}", 2801 + 2800 * n));
        }
        s.read(14_000);
    });
}

#[test]
fn what_was_offered_once_is_taken() {
    // RFC 7323 §2.4: the end of a window moves back for want of digits, but what is before an earlier end is in the window.
    Setup::default().buffers(1 << 20, 1 << 20).run(|s| {
        s.established("<mss 1460,wscale 7>");
        let (scale, len, mut next, mut told, mut end) = (5, 1399, 1, 0, 0);
        while next + len < 1 << 20 {
            s.inject(format!(". {next}:{} ack 1", next + len));
            next += len;
            for ack in s.drain() {
                told = ack.ack.unwrap_or(0) + (i64::from(ack.win.unwrap_or(0)) << scale);
                end = end.max(told);
            }
        }
        assert!(told < end, "the length is no multiple of what a window can say");
        s.inject(format!(". {next}:{end} ack 1"));
        s.after(ms(10));
        assert_eq!(s.drain().last().and_then(|ack| ack.ack), Some(end));
        s.read(end as usize - 1);
        s.drain();
    });
}

#[test]
fn a_hole_may_be_filled_byte_by_byte() {
    script(|s| {
        s.established("<mss 1460>");
        s.inject(". 21:101 ack 1");
        for n in 1..=20 {
            s.inject(format!(". {n}:{} ack 1", n + 1));
        }
        s.read(100);
        s.after(ms(10));
        assert_eq!(s.drain().last().and_then(|s| s.ack), Some(101));
    });
}

/// Data both ways, in order and out of order, across whatever there is to cross within the first two kilobytes, and a close.
fn converse(s: &mut Script) {
    s.inject(". 1:501 ack 1");
    s.inject(". 1001:1501 ack 1");
    s.inject(". 501:1001 ack 1");
    s.inject(". 1501:2001 ack 1");
    s.read(2000);
    s.after(ms(10));
    s.drain();
    s.write(2000);
    let sent = s.drain();
    assert_eq!(
        sent.last().map(|segment| (segment.seq + segment.len as i64, segment.ack)),
        Some((2001, Some(2001)))
    );
    s.inject(". 2001 ack 1001");
    s.inject(". 2001 ack 2001");
    s.inject("R 2100");
    s.expect(". 2001 ack 2001");
    s.inject("R 1999");
    s.close();
    s.expect("F 2001 ack 2001");
    s.inject("F 2001 ack 2002");
    s.expect(". 2002 ack 2002");
    s.read_eof();
}

#[test]
fn the_peers_numbers_wrap() {
    // At 2^32, and at 2^31, where a comparison of signed numbers would turn over.
    for edge in [0, 1 << 31_u32] {
        for before in [0, 1, 2, 500, 1000, 1999, 2000, 2001, 2002] {
            Setup::default().isn(u32::wrapping_sub(edge, before)).run(|s| {
                s.established("<mss 1460>");
                converse(s);
            });
        }
    }
}

#[test]
fn our_numbers_wrap() {
    // RFC 6528 §3: they rise by one every 4 µs, so the moment decides.
    for edge in [0, 1 << 31_u32] {
        for before in [0, 1, 2, 500, 1000, 1999, 2000, 2001, 2002] {
            script(|s| {
                s.listen();
                s.inject("S 0");
                s.expect("S 0 ack 1");
                s.inject("R 1");
                let wanted = u32::wrapping_sub(edge, before);
                s.after(Duration::from_micros(4 * u64::from(wanted.wrapping_sub(s.isn()))));
                s.inject("S 0 <mss 1460>");
                s.expect("S 0 ack 1");
                assert_eq!(s.isn(), wanted);
                s.inject(". 1 ack 1");
                s.accept();
                converse(s);
            });
        }
    }
}

#[test]
fn an_old_segment_from_before_the_wrap_is_none_of_ours() {
    script(|s| {
        s.established("<mss 1460>");
        s.inject(format!(". {}:{} ack 1", -(1_i64 << 31) + 200, -(1_i64 << 31) + 300));
        s.drain();
        s.read_none();
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}

#[test]
fn data_with_an_old_acknowledgment_is_taken() {
    // RFC 9293 §3.10.7.4, fifth step: a duplicate ACK is ignored, the data is not.
    script(|s| {
        s.established("<mss 1460>");
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.inject(". 1 ack 1001");
        s.inject(". 1:101 ack 500");
        s.read(100);
        s.expect_after(ms(10), ". 1001 ack 101");
    });
}

#[test]
fn urgent_data_is_data() {
    // RFC 6093 §4: a TCP must accept the urgent pointer; here it means nothing. Nor do ECN's flags (RFC 3168).
    script(|s| {
        s.established("<mss 1460>");
        for (n, flags) in [0x20_u8, 0x40, 0x80, 0xe0].into_iter().enumerate() {
            let mut packet = s.packet(&format!(". {}:{} ack 1", 1 + 10 * n, 11 + 10 * n));
            let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
            packet[header + 13] |= flags;
            let mut frame = uis_vnic::Frame::new(packet);
            assert!(frame.fix_checksums());
            s.inject_packet("a segment with more flags", frame.into_packet());
            s.read(10);
        }
        s.after(ms(10));
        assert_eq!(s.drain().last().and_then(|s| s.ack), Some(41));
    });
}

#[test]
fn many_holes_are_remembered() {
    // 31 of them, every second segment first.
    script(|s| {
        s.established("<mss 1460>");
        for n in 0..31 {
            s.inject(format!(". {}:{} ack 1", 101 + 200 * n, 201 + 200 * n));
            s.expect(". 1 ack 1");
        }
        for n in 0..31 {
            s.inject(format!(". {}:{} ack 1", 1 + 200 * n, 101 + 200 * n));
            s.expect(format!(". 1 ack {}", 201 + 200 * n));
        }
        s.read(6200);
        s.expect_none_for(secs(1));
    });
}
