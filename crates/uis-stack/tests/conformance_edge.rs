//! Nothing goes beyond the edge of the peer's window, whatever smoltcp takes for a reason to send: RFC 9293 §3.8.6, RFC 5681 §2.

mod script;

use script::{Script, Setup, ms, script, secs};

/// What the stack sends within 10 minutes to a peer that never answers, all of it before `edge`.
#[track_caller]
fn nothing_beyond(s: &mut Script, edge: i64) {
    let mut again = 0;
    while let Some(segment) = s.next_within(secs(600)) {
        let is_probe = segment.len == 1;
        assert!(is_probe || segment.seq + segment.len as i64 <= edge, "{segment}");
        again += usize::from(segment.len > 0);
    }
    assert!(again > 3, "it went on only {again} times");
}

#[test]
fn a_window_that_closes_is_not_rounded_up() {
    // RFC 7323 §2.4: a window that is scaled is a coarse one. What was in flight when it closed may be sent again, and
    // no more, though no window of that size can be told to smoltcp.
    for shift in [1, 3, 14] {
        for left in [1, 2, 3, 999] {
            script(|s| {
                s.established(&format!("<mss 1000,wscale {shift}>"));
                s.inject(". 1 ack 1 win 4000");
                s.write(4000);
                s.write(50_000);
                let sent = s.drain().last().expect("there is room").end();
                s.inject(format!(". 1 ack {} win 0", sent - left));
                nothing_beyond(s, sent);
            });
        }
    }
}

/// A peer whose window has little room, less than a segment, has been sent what fits.
fn small_window(s: &mut Script) {
    s.listen();
    s.inject("S 0 win 999 <mss 1460>");
    s.expect("S 0 ack 1");
    s.inject(". 1 ack 1 win 500");
    s.accept();
    s.write(5000);
    s.expect(". 1:501 ack 1");
}

#[test]
fn late_acknowledgments_are_no_reason_to_exceed_it() {
    // They are older than the newest by their numbers, which is so of what was overtaken on its way.
    script(|s| {
        small_window(s);
        s.inject(". 101 ack 1 win 500");
        for _ in 0..5 {
            s.inject(". 1 ack 1 win 500");
        }
        nothing_beyond(s, 501);
    });
}

#[test]
fn late_acknowledgments_show_a_loss_as_others_do() {
    // RFC 5681 §2: what makes a duplicate says nothing of the sequence number.
    script(|s| {
        small_window(s);
        s.inject(". 101 ack 1 win 500");
        for _ in 0..2 {
            s.inject(". 1 ack 1 win 500");
        }
        s.expect(". 1:501 ack 1");
        s.inject(". 1 ack 501 win 500");
        s.expect(". 501:1001 ack 1");
    });
}

#[test]
fn data_beyond_our_window_is_no_duplicate() {
    // RFC 9293 §3.10.7.4 takes the acknowledgment from it. One on data is never a duplicate (RFC 5681 §2).
    Setup::config(|config| config.recv_buffer(1000)).run(|s| {
        small_window(s);
        s.inject(". 1:1001 ack 1 win 500");
        s.expect_within(ms(10), ". 501 ack 1001 win 0");
        for _ in 0..5 {
            s.inject(". 1001:1101 ack 1 win 500");
            s.expect(". 501 ack 1001 win 0");
        }
        s.expect_none_for(ms(100));
        nothing_beyond(s, 501);
    });
}

#[test]
fn a_fin_before_its_data_is_no_duplicate() {
    // It is answered by where we are (RFC 9293 §3.10.7.4, RFC 5681 §4.2), and its acknowledgment counts.
    script(|s| {
        small_window(s);
        for _ in 0..5 {
            s.inject("F 101 ack 1 win 500");
            s.expect(". 501 ack 1");
        }
        s.expect_none_for(ms(100));
        s.inject("F 101 ack 501 win 500");
        s.expect(". 501 ack 1");
        s.expect(". 501:1001 ack 1");
        s.inject(". 1:101 ack 1001 win 500");
        s.inject("F 101 ack 1001 win 500");
        s.expect(". 1001:1501 ack 101");
        s.read(100);
        s.read_eof();
        s.drain();
    });
}

#[test]
fn data_behind_the_fin_is_no_duplicate() {
    script(|s| {
        small_window(s);
        s.inject("F 1 ack 1 win 500");
        s.expect(". 501 ack 2");
        for _ in 0..5 {
            s.inject(". 2:12 ack 1 win 500");
        }
        nothing_beyond(s, 501);
    });
}

#[test]
fn an_idle_sender_waits_for_a_larger_window() {
    // RFC 9293 §3.8.6.2.1, the sender's side of the silly window syndrome: no more than a time-out, which is 200 ms here.
    script(|s| {
        s.established("<mss 1000>");
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.inject(". 1 ack 1001 win 300");
        s.write(5000);
        s.expect_none_for(ms(199));
        s.expect_within(ms(2), ". 1001:1301 ack 1");
        s.inject(". 1 ack 1301 win 300");
        s.expect_none_for(ms(100));
        // A window that holds a segment ends the wait.
        s.inject(". 1 ack 1301 win 1999");
        s.expect(". 1301:2301 ack 1");
    });
}

#[test]
fn a_small_window_is_filled_if_it_is_large_for_the_peer_or_holds_all() {
    script(|s| {
        s.established("<mss 1000>");
        s.inject(". 1 ack 1 win 300");
        s.write(300);
        s.expect(". 1:301 ack 1");
    });
    script(|s| {
        s.listen();
        s.inject("S 0 win 599 <mss 1000>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1 win 300");
        s.accept();
        s.write(5000);
        s.expect(". 1:301 ack 1");
    });
}
