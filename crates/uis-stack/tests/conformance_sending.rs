//! How much is sent, and when: segment sizes, windows, Nagle's algorithm, acknowledgments put off: RFC 9293 §3.7 and §3.8,
//! RFC 6928, RFC 7323, RFC 5681.

mod script;

use std::io::ErrorKind;

use script::{Script, Setup, ms, script, secs};
use uis_stack::{Congestion, Keepalive};

/// What the stack sends of a long write, as the lengths of its segments.
fn burst(s: &mut Script, options: &str, len: usize) -> Vec<usize> {
    s.established(options);
    s.write_some(len);
    s.drain().iter().map(|segment| segment.len).collect()
}

/// The peer has taken 1000 bytes and has no room for more.
fn closed_window(s: &mut Script) {
    s.established("<mss 1000>");
    s.write(1000);
    s.expect(". 1:1001 ack 1");
    s.inject(". 1 ack 1001 win 0");
}

/// The IP and TCP headers of the family that is at it.
fn headers(s: &Script) -> usize {
    if s.is_ipv4() { 40 } else { 60 }
}

#[test]
fn the_mss_follows_from_the_mtu() {
    // RFC 9293 §3.7.1, RFC 6691: the MTU without the fixed headers.
    for mtu in [1280, 1500, 9000, 65535] {
        Setup::default().mtu(mtu).run(|s| {
            let mss = mtu as usize - headers(s);
            s.listen();
            s.inject("S 0 <mss 65000>");
            s.expect(format!("S 0 ack 1 <mss {mss}>"));
            s.inject(". 1 ack 1");
            s.accept();
            s.write_some(10 * mss);
            assert_eq!(s.drain()[0].len, mss.min(65000));
        });
    }
}

#[test]
fn the_peer_says_how_much_it_takes() {
    // RFC 9293 §3.7.1: 536 if it does not say; a segment of 0 or 1 byte would be an attack.
    for (options, least, most) in [
        ("", 536, 536),
        ("<mss 1000>", 1000, 1000),
        ("<mss 88>", 88, 88),
        ("<mss 0>", 48, 536),
        ("<mss 1>", 48, 48),
        ("<mss 47>", 48, 48),
    ] {
        script(|s| {
            let lens = burst(s, options, 2000);
            assert!((least..=most).contains(&lens[0]), "{options}: {lens:?}");
            assert!(lens.iter().all(|&len| len <= lens[0]), "{options}: {lens:?}");
        });
    }
}

#[test]
fn the_initial_window_is_ten_segments() {
    // RFC 6928 §2: min (10*MSS, max (2*MSS, 14600)).
    for (mtu, mss, segments) in [(1500, 536, 10), (1500, 1000, 10), (1500, 1440, 10), (9000, 8900, 2)] {
        Setup::default().mtu(mtu).run(|s| {
            let lens = burst(s, &format!("<mss {mss}>"), 60_000);
            assert_eq!(lens, vec![mss; segments], "{mss}");
        });
    }
}

#[test]
fn slow_start_doubles_the_window() {
    // RFC 5681 §3.1.
    script(|s| {
        assert_eq!(burst(s, "<mss 1000,wscale 4>", 64 << 10).len(), 10);
        for n in 1..=10 {
            s.inject(format!(". 1 ack {} win 65535", 1 + 1000 * n));
        }
        assert_eq!(s.drain().len(), 20);
    });
}

#[test]
fn without_congestion_control_only_the_peer_limits() {
    Setup::config(|config| config.congestion(Congestion::None)).run(|s| {
        let lens = burst(s, "<mss 1000>", 60_000);
        assert_eq!(lens.iter().sum::<usize>(), 60_000);
    });
}

#[test]
fn a_pause_leads_back_to_the_initial_window() {
    // RFC 5681 §4.1.
    script(|s| {
        burst(s, "<mss 1000,wscale 4>", 30_000);
        s.inject(". 1 ack 10001 win 65535");
        s.drain();
        s.inject(". 1 ack 30001 win 65535");
        s.expect_none_for(secs(10));
        s.write(60_000);
        assert_eq!(s.drain().len(), 10);
    });
}

#[test]
fn a_window_scale_above_14_is_14() {
    // RFC 7323 §2.3.
    for shift in [14, 15, 255_u8] {
        Setup::config(|config| config.congestion(Congestion::None)).run(|s| {
            s.listen();
            s.inject(format!("S 0 win 1000 <mss 1000,wscale {shift}>"));
            s.drain();
            s.inject(". 1 ack 1 win 2");
            s.accept();
            s.write_some(60_000);
            // The rest is less than a segment, and less than half of the window: RFC 9293 §3.8.6.2.1.
            assert_eq!(s.drain().iter().map(|s| s.len).sum::<usize>(), (2 << 14) / 1000 * 1000, "{shift}");
        });
    }
}

#[test]
fn the_window_of_a_syn_is_not_scaled() {
    // RFC 7323 §2.2.
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.inject("S 0 ack 1 win 500 <mss 1000,wscale 7>");
        s.expect(". 1 ack 1");
        s.connected();
        s.write(2000);
        let sent = s.drain().iter().map(|s| s.len).sum();
        assert!((1..=500_usize).contains(&sent), "{sent}");
    });
}

#[test]
fn no_more_than_the_window() {
    // RFC 9293 §3.8.6.
    script(|s| {
        s.listen();
        s.inject("S 0 win 2500 <mss 1000>");
        s.drain();
        s.inject(". 1 ack 1 win 2500");
        s.accept();
        s.write(10_000);
        s.expect(". 1:1001 ack 1");
        s.expect(". 1001:2001 ack 1");
        assert!(s.drain().iter().all(|s| s.seq + s.len as i64 <= 2501));
        s.inject(". 1 ack 2001 win 3000");
        assert!(s.drain().iter().all(|s| s.seq + s.len as i64 <= 5001));
    });
}

#[test]
fn no_small_segments_before_there_is_room_for_large_ones() {
    // RFC 9293 §3.8.6.2.1, the sender's side of the silly window syndrome.
    script(|s| {
        s.established("<mss 1000>");
        s.write(30_000);
        s.drain();
        s.inject(". 1 ack 9001 win 1000");
        s.drain();
        for n in 1..20 {
            // The window opens by 50 bytes at a time.
            s.inject(format!(". 1 ack 9001 win {}", 1000 + 50 * n));
            s.expect_none();
        }
        s.inject(". 1 ack 9001 win 2000");
        s.expect(". 10001:11001 ack 1");
    });
}

#[test]
fn a_closed_window_is_probed() {
    // RFC 9293 §3.8.6.1: after a retransmission time-out, and then ever more rarely; a probe is one byte.
    script(|s| {
        s.established("<mss 1000>");
        s.write(20_000);
        assert_eq!(s.drain().len(), 10);
        s.inject(". 1 ack 10001 win 0");
        for n in 0..5 {
            s.expect_after(ms(200 << n), ". 10001:10002 ack 1");
            s.inject(". 1 ack 10001 win 0");
        }
        s.inject(". 1 ack 10001 win 10000");
        let sent = s.drain();
        assert_eq!((sent[0].seq, sent.iter().map(|s| s.len).sum::<usize>()), (10001, 10_000));
    });
}

#[test]
fn a_write_to_a_closed_window_waits_a_time_out_before_it_is_probed() {
    // RFC 9293 §3.8.6.1, as Linux and FreeBSD do it: from when there is something to send.
    for answered in [true, false] {
        Setup::config(|config| config.rto_bounds(ms(300), ms(1000))).run(|s| {
            closed_window(s);
            s.expect_none_for(secs(10));
            s.write(500);
            s.expect_none_for(ms(100));
            s.write(500);
            let mut waits = [200, 600, 1000, 1000, 1000].into_iter();
            s.expect_after(ms(waits.next().unwrap()), ". 1001:1002 ack 1");
            for wait in waits {
                if answered {
                    s.inject(". 1 ack 1001 win 0");
                }
                s.expect_after(ms(wait), ". 1001:1002 ack 1");
            }
            // A window that opens and closes again is a new one.
            s.inject(". 1 ack 1001 win 1000");
            s.expect(". 1001:2001 ack 1");
            s.inject(". 1 ack 2001 win 0");
            s.write(1);
            s.expect_after(ms(300), ". 2001:2002 ack 1");
        });
    }
}

#[test]
fn a_window_may_stay_closed_for_as_long_as_it_is_answered() {
    // RFC 9293 §3.8.6.1: "the connection MUST stay in the open state".
    script(|s| {
        closed_window(s);
        s.write(1000);
        for _ in 0..60 {
            let probe = s.next_within(secs(200)).expect("a probe");
            assert_eq!(probe.seq, 1001);
            s.inject(". 1 ack 1001 win 0");
        }
        s.inject(". 1 ack 1001 win 1000");
        s.expect(". 1001:2001 ack 1");
    });
}

#[test]
fn probes_that_cross_and_are_taken_count() {
    // Either side has a byte of room left and probes the other's window. Each takes the other's byte and says so, in a
    // segment with the number of its own probe, which is old to the other by then; and so is that probe when it comes again.
    for answer in [". 1000 ack 2 win 0", ". 1000:1001 ack 2 win 0"] {
        Setup::config(|config| config.recv_buffer(1000)).run(|s| {
            s.established("<mss 1000>");
            s.inject(". 1:1000 ack 1 win 0");
            s.expect_after(ms(10), ". 1 ack 1000 win 1");
            s.write(1000);
            s.expect_after(ms(200), ". 1:2 ack 1000 win 1");
            s.inject(". 1000:1001 ack 1 win 0");
            s.expect_after(ms(10), ". 1 ack 1001 win 0");
            s.inject(answer);
            s.expect(". 2 ack 1001 win 0");
            s.expect_within(ms(400), ". 2:3 ack 1001 win 0");
            s.inject(". 1001 ack 3 win 1000");
            s.expect(". 3:1001 ack 1001 win 0");
        });
    }
}

#[test]
fn a_probe_that_is_taken_counts() {
    script(|s| {
        closed_window(s);
        s.write(1000);
        assert_eq!(s.next_within(secs(10)).map(|probe| (probe.seq, probe.len)), Some((1001, 1)));
        s.inject(". 1 ack 1002 win 5000");
        s.expect(". 1002:2001 ack 1");
    });
}

#[test]
fn an_unanswered_probe_ends_the_connection_at_last() {
    Setup::config(|config| config.retries(3)).run(|s| {
        closed_window(s);
        s.write(1000);
        s.after(secs(60));
        s.drain();
        s.read_fails(ErrorKind::TimedOut);
    });
}

#[test]
fn without_nagle_every_write_is_a_segment() {
    script(|s| {
        s.established("<mss 1000>");
        for n in 0..5 {
            s.write(10);
            s.expect(format!(". {}:{} ack 1", 1 + 10 * n, 11 + 10 * n));
        }
    });
}

#[test]
fn nagle_gathers_small_writes() {
    // RFC 9293 §3.7.4.
    Setup::config(|config| config.nodelay(false)).run(|s| {
        s.established("<mss 1000>");
        s.write(10);
        s.expect(". 1:11 ack 1");
        for _ in 0..5 {
            s.write(10);
            s.expect_none();
        }
        s.inject(". 1 ack 11");
        s.expect(". 11:61 ack 1");
        // A whole segment waits for nothing.
        s.write(1500);
        s.expect(". 61:1061 ack 1");
        s.expect_none();
        s.inject(". 1 ack 1061");
        s.expect(". 1061:1561 ack 1");
    });
}

#[test]
fn the_last_small_segment_waits_for_no_fin() {
    // RFC 9293 §3.7.4 is about data that may still grow.
    Setup::config(|config| config.nodelay(false)).run(|s| {
        s.established("<mss 1000>");
        s.write(10);
        s.expect(". 1:11 ack 1");
        s.write(10);
        s.close();
        s.inject(". 1 ack 11");
        let sent = s.drain();
        assert_eq!(sent.last().map(|s| s.end()), Some(22), "{sent:?}");
    });
}

#[test]
fn acknowledgments_wait_ten_milliseconds_for_data() {
    // RFC 9293 §3.8.6.3: less than half a second.
    script(|s| {
        s.established("<mss 1460>");
        s.inject(". 1:101 ack 1");
        s.expect_after(ms(10), ". 1 ack 101");
        s.inject(". 101:201 ack 1");
        s.after(ms(5));
        s.write(10);
        s.expect(". 1:11 ack 201");
        s.inject(". 201 ack 11");
        s.expect_none_for(secs(1));
    });
}

#[test]
fn at_least_every_second_large_segment_is_acknowledged() {
    // RFC 9293 §3.8.6.3, RFC 5681 §4.2.
    script(|s| {
        s.established("<mss 1000>");
        for n in 0..10 {
            let mss = 1500 - headers(s) as i64;
            s.inject(format!(". {}:{} ack 1", 1 + 2 * mss * n, 1 + 2 * mss * n + mss));
            s.inject(format!(". {}:{} ack 1", 1 + 2 * mss * n + mss, 1 + 2 * mss * n + 2 * mss));
            s.expect(format!(". 1 ack {}", 1 + 2 * mss * (n + 1)));
        }
    });
}

#[test]
fn acknowledgments_need_not_wait() {
    Setup::config(|config| config.delayed_ack(None)).run(|s| {
        s.established("<mss 1000>");
        s.inject(". 1:11 ack 1");
        s.expect(". 1 ack 11");
    });
}

#[test]
fn a_fin_is_acknowledged_at_once() {
    script(|s| {
        s.established("<mss 1000>");
        s.inject(". 1:11 ack 1");
        s.inject("F 11 ack 1");
        s.expect(". 1 ack 12");
    });
}

#[test]
fn an_idle_connection_is_left_alone() {
    // RFC 9293 §3.8.4: keep-alives are off by default.
    script(|s| {
        s.established("<mss 1000>");
        s.expect_none_for(secs(100 * 3600));
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}

#[test]
fn keep_alives_ask_an_idle_peer() {
    // RFC 9293 §3.8.4: with SEG.SEQ = SND.NXT-1.
    Setup::config(|config| config.keepalive(Some(Keepalive::default()))).run(|s| {
        s.established("<mss 1000>");
        for _ in 0..3 {
            s.expect_after(secs(7200), ". 0 ack 1");
            s.inject(". 1 ack 1");
        }
        // Anything else that is heard puts it off, too.
        s.after(secs(7000));
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
        s.expect_none_for(secs(7000));
    });
}

#[test]
fn a_peer_that_answers_no_keep_alive_is_gone() {
    Setup::config(|config| config.keepalive(Some(Keepalive::default()))).run(|s| {
        s.established("<mss 1000>");
        s.expect_after(secs(7200), ". 0 ack 1");
        for _ in 0..8 {
            s.expect_after(secs(75), ". 0 ack 1");
        }
        s.expect_none_for(secs(74));
        s.read_none();
        s.after(secs(2));
        s.read_fails(ErrorKind::TimedOut);
        s.drain();
    });
}

#[test]
fn we_answer_keep_alives() {
    // RFC 9293 §3.8.4; with a byte of rubbish as well, as old ones have it.
    script(|s| {
        s.established("<mss 1000>");
        for probe in [". 0 ack 1", ". 0:1 ack 1"] {
            for _ in 0..3 {
                s.inject(probe);
                s.expect(". 1 ack 1");
                s.after(secs(75));
            }
        }
        s.read_none();
    });
}
