//! What a sender does about losses: RFC 6298, RFC 5681 §3.2, RFC 6582, and a probe after the manner of RFC 8985 §7.

mod script;

use std::io::ErrorKind;

use script::{Script, Segment, Setup, ms, script, secs};
use uis_stack::Congestion;

/// A connection whose round trip was measured: it takes 40 ms, so that RTO = 40 + 4·20 ms, raised to 200 ms.
fn with_round_trip(s: &mut Script) {
    s.listen();
    s.inject("S 0 win 65535 <mss 1000>");
    s.expect("S 0 ack 1");
    s.after(ms(40));
    s.inject(". 1 ack 1");
    s.accept();
}

/// Writes ten segments, which all go out.
fn ten_segments(s: &mut Script) {
    s.write(10_000);
    for n in 0..10 {
        s.expect(format!(". {}:{} ack 1", 1 + 1000 * n, 1001 + 1000 * n));
    }
}

fn seqs(sent: &[Segment]) -> Vec<i64> {
    sent.iter().map(|s| s.seq).collect()
}

#[test]
fn the_time_out_has_a_floor_and_doubles() {
    // RFC 6298 §2.4 (with Linux's floor of 200 ms) and §5.5.
    script(|s| {
        with_round_trip(s);
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.expect_after(ms(200), ". 1:1001 ack 1");
        for n in 1..5 {
            s.expect_after(ms(200 << n), ". 1:1001 ack 1");
        }
        s.inject(". 1 ack 1001");
        s.expect_none_for(secs(600));
    });
}

#[test]
fn the_time_out_follows_the_round_trip() {
    // RFC 6298 §2.2: after the first sample of 1 s, RTO = 1 s + 4·0.5 s.
    script(|s| {
        s.listen();
        s.inject("S 0 win 65535 <mss 1000>");
        s.expect("S 0 ack 1");
        s.after(ms(990));
        s.inject(". 1 ack 1");
        s.accept();
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.expect_after(ms(2970), ". 1:1001 ack 1");
        s.expect_after(ms(5940), ". 1:1001 ack 1");
        s.inject(". 1 ack 1001");
    });
}

#[test]
fn fifteen_retransmissions_and_no_more_than_120_s_apart() {
    // RFC 6298 §2.5, RFC 9293 §3.8.3.
    script(|s| {
        with_round_trip(s);
        s.write(1000);
        s.drain();
        let mut waits = Vec::new();
        let mut last = s.now();
        while let Some(again) = s.next_within(secs(121)) {
            if again.flags == script::RST {
                break;
            }
            assert_eq!((again.seq, again.len), (1, 1000));
            waits.push((s.now() - last).as_millis() as u64);
            last = s.now();
        }
        assert_eq!(waits.len(), 15, "{waits:?}");
        for (n, wait) in waits.into_iter().enumerate() {
            assert!(wait.abs_diff((200 << n).min(120_000)) <= 1, "{n}: {wait}");
        }
        s.read_fails(ErrorKind::TimedOut);
        s.drain();
        s.expect_none_for(secs(600));
    });
}

#[test]
fn progress_restarts_the_timer() {
    // RFC 6298 §5.3.
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        for n in 1..10 {
            s.after(ms(40));
            s.inject(format!(". 1 ack {}", 1 + 1000 * n));
        }
        s.expect_after(ms(200), ". 9001:10001 ack 1");
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(60));
    });
}

#[test]
fn the_third_duplicate_shows_a_loss() {
    // RFC 5681 §3.2, steps 2 and 3.
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        s.inject(". 1 ack 1");
        s.inject(". 1 ack 1");
        s.expect_none();
        s.inject(". 1 ack 1");
        s.expect(". 1:1001 ack 1");
        for _ in 0..6 {
            s.inject(". 1 ack 1");
        }
        s.expect_none();
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(60));
    });
}

#[test]
fn what_is_no_duplicate_is_not_counted() {
    // RFC 5681 §2: no data, no change of the window, and something must be in flight.
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        s.inject(". 1 ack 1");
        s.inject(". 1:11 ack 1");
        s.inject(". 11:21 ack 1");
        s.inject(". 21:31 ack 1");
        s.read(30);
        s.after(ms(10));
        let data = s.drain();
        assert!(data.iter().all(|s| s.len == 0), "{data:?}");
        s.inject(". 31 ack 10001");
        s.drain();
        for _ in 0..10 {
            s.inject(". 31 ack 10001");
        }
        s.expect_none_for(secs(1));
    });
}

#[test]
fn window_updates_are_no_duplicates() {
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        for n in 0..10 {
            s.inject(format!(". 1 ack 1 win {}", 50_000 + 100 * n));
        }
        s.expect_none();
    });
}

#[test]
fn partial_acknowledgments_uncover_hole_after_hole() {
    // RFC 6582 §3.2, step 3: without waiting for a time-out.
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        for _ in 0..6 {
            s.inject(". 1 ack 1");
        }
        s.expect(". 1:1001 ack 1");
        for hole in [1, 3, 7] {
            s.after(ms(40));
            s.inject(format!(". 1 ack {}", 1 + 1000 * hole));
            s.expect(format!(". {}:{} ack 1", 1 + 1000 * hole, 1001 + 1000 * hole));
            s.expect_none();
        }
        s.after(ms(40));
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(60));
    });
}

#[test]
fn a_loss_cuts_the_window() {
    // RFC 9438 §4.6 and RFC 5681 §3.2: to 0.7 with CUBIC, to a half with Reno.
    for (congestion, segments) in [(Congestion::Cubic, 7), (Congestion::Reno, 5)] {
        Setup::config(|config| config.congestion(congestion)).run(|s| {
            with_round_trip(s);
            ten_segments(s);
            for _ in 0..3 {
                s.inject(". 1 ack 1");
            }
            s.expect(". 1:1001 ack 1");
            s.write(30_000);
            s.drain();
            s.inject(". 1 ack 10001");
            let sent = s.drain();
            let lead = sent.iter().map(|s| s.seq + s.len as i64).max().unwrap_or_default() - 10_001;
            assert!(lead <= (segments + 1) * 1000, "{congestion:?}: {lead}");
            assert!(lead >= (segments - 1) * 1000, "{congestion:?}: {lead}");
        });
    }
}

#[test]
fn a_time_out_begins_with_one_segment() {
    // RFC 5681 §3.1, equation 4: the loss window.
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        s.expect_after(ms(90), ". 1:1001 ack 1");
        s.expect_after(ms(110), ". 1:1001 ack 1");
        s.expect_none();
        s.inject(". 1 ack 1001");
        let two = s.drain();
        assert_eq!(seqs(&two), [1001, 2001], "slow start");
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(60));
    });
}

#[test]
fn the_lost_end_of_a_flight_is_found_by_a_probe() {
    // After RFC 8985 §7: two round trips and the peer's delay, far before the time-out. A single segment, which a peer may
    // acknowledge late, waits for the time-out.
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        s.after(ms(40));
        s.inject(". 1 ack 8001");
        s.expect_after(ms(90), ". 8001:9001 ack 1");
        s.inject(". 1 ack 9001");
        s.expect(". 9001:10001 ack 1");
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(60));
    });
}

#[test]
fn a_retransmission_carries_the_newest_acknowledgment() {
    script(|s| {
        with_round_trip(s);
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.inject(". 1:101 ack 1");
        s.read(100);
        s.expect_within(ms(10), ". 1001 ack 101");
        s.expect_within(secs(1), ". 1:1001 ack 101");
        s.inject(". 101 ack 1001");
        s.expect_none_for(secs(60));
    });
}

#[test]
fn what_was_sent_twice_is_no_sample() {
    // Karn's algorithm, RFC 6298 §3: an acknowledgment 30 s later says nothing of the round trip.
    script(|s| {
        with_round_trip(s);
        s.write(1000);
        s.after(secs(30));
        s.drain();
        s.inject(". 1 ack 1001");
        assert_eq!(s.stack().connections()[0].rtt, Some(ms(40)));
    });
}

/// Sends a segment after each of these waits twice, and acknowledges both at once: no round trip is measured.
fn time_out_after(s: &mut Script, start: u32, waits: &[u64]) {
    for (n, &wait) in (0..).zip(waits) {
        let (from, to) = (start + n * 1000, start + (n + 1) * 1000);
        let segment = format!(". {from}:{to} ack 1");
        s.write(1000);
        s.expect(&segment);
        s.expect_after(ms(wait), &segment);
        s.inject(format!(". 1 ack {to}"));
    }
}

#[test]
fn a_back_off_ends_when_what_was_lost_has_arrived() {
    // Once is nothing, and neither are three times. After that it stays until there is a sample (RFC 6298 §5.7), for the path
    // may have become longer.
    script(|s| {
        with_round_trip(s);
        time_out_after(s, 1, &[200, 200, 200, 200, 400, 800]);
        s.write(1000);
        s.expect(". 6001:7001 ack 1");
        s.expect_none_for(ms(1500));
        s.inject(". 1 ack 7001");
        assert!(s.stack().connections()[0].rtt > Some(ms(200)));
    });
}

#[test]
fn a_sample_ends_the_back_off() {
    script(|s| {
        with_round_trip(s);
        time_out_after(s, 1, &[200, 200, 200, 200, 400]);
        s.write(1000);
        s.expect(". 5001:6001 ack 1");
        s.after(ms(40));
        s.inject(". 1 ack 6001");
        time_out_after(s, 6001, &[200, 200, 200, 200, 400]);
    });
}

#[test]
fn the_fin_is_found_lost_as_well() {
    script(|s| {
        with_round_trip(s);
        s.write(1000);
        s.close();
        s.expect(". 1:1001 ack 1");
        s.expect("F 1001 ack 1");
        s.after(ms(40));
        s.inject(". 1 ack 1001");
        s.expect_within(ms(210), "F 1001 ack 1");
        s.inject(". 1 ack 1002");
        s.expect_none_for(secs(59));
    });
}

#[test]
fn a_path_that_lets_nothing_through_ends_the_connection() {
    // A black hole. RFC 9293 §3.8.3 R2.
    Setup::config(|config| config.retries(5)).run(|s| {
        with_round_trip(s);
        ten_segments(s);
        s.after(secs(60));
        let sent = s.drain();
        assert!(sent.len() <= 10, "{sent:?}");
        s.write_fails(ErrorKind::TimedOut);
        s.read_fails(ErrorKind::TimedOut);
        assert_eq!(s.state(), None);
    });
}

#[test]
fn a_path_that_comes_back_is_used() {
    script(|s| {
        with_round_trip(s);
        ten_segments(s);
        s.after(secs(100));
        s.drain();
        // Whatever is sent now arrives.
        let mut acked = 1;
        for _ in 0..30 {
            let Some(segment) = s.next_within(secs(121)) else { break };
            if segment.seq <= acked {
                acked = acked.max(segment.end());
            }
            s.inject(format!(". 1 ack {acked}"));
            if acked == 10_001 {
                break;
            }
        }
        assert_eq!(acked, 10_001);
        s.drain();
        s.expect_none_for(secs(60));
    });
}

#[test]
fn what_the_network_had_no_room_for_is_not_lost() {
    // The stack's own rule: time stands still for a connection that waits for room.
    script(|s| {
        with_round_trip(s);
        s.set_full(true);
        s.write(10_000);
        s.expect_none_for(secs(3600));
        s.set_full(false);
        for n in 0..10 {
            s.expect(format!(". {}:{} ack 1", 1 + 1000 * n, 1001 + 1000 * n));
        }
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(60));
    });
}
