//! Closing a connection, in order and otherwise, and what is remembered of it: RFC 9293 §3.6 and §3.10, RFC 1337.

mod script;

use std::io::ErrorKind;

use script::{Script, Setup, ms, script, secs};
use uis_stack::TcpState;

/// Both sides have closed, this one first: it is in TIME-WAIT.
#[track_caller]
fn time_wait(s: &mut Script) {
    s.established("<mss 1460>");
    s.close();
    s.expect("F 1 ack 1");
    s.inject(". 1 ack 2");
    s.inject("F 1 ack 2");
    s.expect(". 2 ack 2");
    s.read_eof();
    assert_eq!(s.stack().stats().time_wait, 1);
}

#[test]
fn an_active_close() {
    // RFC 9293 §3.6, figure 12, and 60 s of TIME-WAIT.
    script(|s| {
        s.established("<mss 1460>");
        s.close();
        s.expect("F 1 ack 1");
        assert_eq!(s.state(), Some(TcpState::FinWait1));
        s.inject(". 1 ack 2");
        assert_eq!(s.state(), Some(TcpState::FinWait2));
        s.inject("F 1 ack 2");
        s.expect(". 2 ack 2");
        s.read_eof();
        s.write_fails(ErrorKind::BrokenPipe);
        assert_eq!(s.state(), None);
        s.expect_none_for(secs(59));
        assert_eq!(s.stack().stats().time_wait, 1);
        s.expect_none_for(secs(2));
        assert_eq!(s.stack().stats().time_wait, 0);
        // Nothing is known of it any more.
        s.inject("F 1 ack 2");
        s.expect("R 2");
    });
}

#[test]
fn a_passive_close() {
    script(|s| {
        s.established("<mss 1460>");
        s.inject("F 1 ack 1");
        s.expect(". 1 ack 2");
        assert_eq!(s.state(), Some(TcpState::CloseWait));
        s.read_eof();
        s.close();
        s.expect("F 1 ack 2");
        assert_eq!(s.state(), Some(TcpState::LastAck));
        s.inject(". 2 ack 2");
        assert_eq!((s.state(), s.stack().stats().time_wait), (None, 0));
    });
}

#[test]
fn the_peers_fin_may_acknowledge_ours() {
    script(|s| {
        s.established("<mss 1460>");
        s.close();
        s.expect("F 1 ack 1");
        s.inject("F 1 ack 2");
        s.expect(". 2 ack 2");
        assert_eq!(s.stack().stats().time_wait, 1);
    });
}

#[test]
fn a_simultaneous_close() {
    // RFC 9293 §3.6, figure 13.
    script(|s| {
        s.established("<mss 1460>");
        s.close();
        s.expect("F 1 ack 1");
        s.inject("F 1 ack 1");
        s.expect(". 2 ack 2");
        assert_eq!(s.state(), Some(TcpState::Closing));
        s.inject(". 2 ack 2");
        assert_eq!((s.state(), s.stack().stats().time_wait), (None, 1));
    });
}

#[test]
fn the_fin_follows_the_data() {
    script(|s| {
        s.established("<mss 1460>");
        s.write(1000);
        s.close();
        s.expect(". 1:1001 ack 1");
        s.expect("F 1001 ack 1");
        s.inject(". 1 ack 1002");
        s.expect_none();
        assert_eq!(s.state(), Some(TcpState::FinWait2));
    });
}

#[test]
fn a_half_closed_connection_receives() {
    // RFC 9293 §3.6, case 1: "FIN-WAIT-2 ... can still receive".
    script(|s| {
        s.established("<mss 1460>");
        s.write(10);
        s.close();
        s.expect(". 1:11 ack 1");
        s.expect("F 11 ack 1");
        s.inject(". 1 ack 12");
        for n in 0..5 {
            s.after(secs(3600));
            s.inject(format!(". {}:{} ack 12", 1 + 100 * n, 101 + 100 * n));
            s.expect_after(ms(10), format!(". 12 ack {}", 101 + 100 * n));
            s.read(100);
        }
        s.inject("F 501:601 ack 12");
        s.expect(". 12 ack 602");
        s.read(100);
        s.read_eof();
    });
}

#[test]
fn a_half_closed_connection_sends() {
    script(|s| {
        s.established("<mss 1460>");
        s.inject("F 1:101 ack 1");
        s.expect(". 1 ack 102");
        s.read(100);
        s.read_eof();
        for n in 0..5 {
            s.after(secs(3600));
            s.write(100);
            s.expect(format!(". {}:{} ack 102", 1 + 100 * n, 101 + 100 * n));
            s.inject(format!(". 102 ack {}", 101 + 100 * n));
        }
        s.close();
        s.expect("F 501 ack 102");
        s.inject(". 102 ack 502");
        assert_eq!((s.state(), s.stack().stats().time_wait), (None, 0));
    });
}

#[test]
fn a_lost_fin_is_sent_again() {
    script(|s| {
        s.established("<mss 1460>");
        s.close();
        s.expect("F 1 ack 1");
        let again = s.next_within(secs(1)).expect("a FIN");
        assert_eq!((again.flags, again.seq), (script::segment::FIN, 1));
        s.inject(". 1 ack 2");
        s.drain();
        s.expect_none_for(secs(60));
        assert_eq!(s.state(), Some(TcpState::FinWait2));
    });
}

#[test]
fn a_fin_before_its_data_waits_for_it() {
    // RFC 9293 §3.10.7.4: segments with higher beginning sequence numbers should be held for later processing.
    script(|s| {
        s.established("<mss 1460>");
        s.inject("F 101:201 ack 1");
        s.expect(". 1 ack 1");
        s.read_none();
        s.inject(". 1:101 ack 1");
        s.drain();
        s.read(200);
        // Held or sent again: the end of the stream comes behind the data.
        s.inject("F 201 ack 1");
        s.expect(". 1 ack 202");
        s.read_eof();
    });
}

#[test]
fn a_fin_is_taken_from_a_segment_whose_data_is_here() {
    // RFC 9293 §3.10.7.4: a segment is cut to what is new, which may be the FIN alone.
    for old in [50, 100] {
        script(|s| {
            s.established("<mss 1460>");
            s.inject(format!(". 1:{} ack 1", 1 + old));
            s.after(ms(20));
            s.drain();
            s.inject("F 1:101 ack 1");
            s.expect(". 1 ack 102");
            s.read(100);
            s.read_eof();
        });
    }
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_again() {
    script(|s| {
        s.established("<mss 1460>");
        s.inject("F 1 ack 1");
        s.expect(". 1 ack 2");
        for _ in 0..3 {
            s.inject("F 1 ack 1");
            s.expect(". 1 ack 2");
        }
        assert_eq!(s.state(), Some(TcpState::CloseWait));
    });
}

#[test]
fn data_behind_the_fin_is_ignored() {
    // RFC 9293 §3.10.7.4, seventh step: "This should not occur ... Ignore the segment text."
    script(|s| {
        s.established("<mss 1460>");
        s.inject("F 1:11 ack 1");
        s.expect(". 1 ack 12");
        s.inject(". 12:22 ack 1");
        s.drain();
        s.read(10);
        s.read_eof();
        s.write(10);
        s.expect(". 1:11 ack 12");
    });
}

#[test]
fn aborting_resets() {
    // RFC 9293 §3.10.5: the RST has the next number.
    script(|s| {
        s.established("<mss 1460>");
        s.write(100);
        s.expect(". 1:101 ack 1");
        s.abort();
        let reset = s.next_within(ms(0)).expect("a RST");
        assert_eq!((reset.flags, reset.seq), (script::segment::RST, 101), "{reset}");
        s.read_fails(ErrorKind::ConnectionAborted);
        s.inject(". 1 ack 101");
        s.expect("R 101");
    });
}

#[test]
fn a_reset_after_a_time_out_is_in_the_window() {
    // RFC 9293 §3.10.5: with SND.NXT. The acknowledgments may be all that was lost, and then a lower number is an old one.
    script(|s| {
        s.established("<mss 1000>");
        s.write(3000);
        s.drain();
        s.after(ms(300));
        assert_eq!(s.drain().last().map(|again| again.end()), Some(1001));
        s.abort();
        s.expect("R 3001 ack 1");
    });
}

#[test]
fn throwing_away_what_was_received_resets() {
    // RFC 2525 §2.17, RFC 1122 §4.2.2.13.
    script(|s| {
        s.established("<mss 1460>");
        s.inject(". 1:101 ack 1");
        s.drop_stream();
        let reset = s.next_within(ms(0)).expect("a RST");
        assert_eq!((reset.flags, reset.seq), (script::segment::RST, 1), "{reset}");
    });
}

#[test]
fn data_for_nobody_resets() {
    // RFC 1122 §4.2.2.13: who has closed both halves shows that data got lost.
    script(|s| {
        s.established("<mss 1460>");
        s.drop_stream();
        s.expect("F 1 ack 1");
        s.inject(". 1 ack 2");
        s.inject(". 1:101 ack 2");
        let reset = s.next_within(ms(0)).expect("a RST");
        assert_eq!((reset.flags, reset.seq), (script::segment::RST, 2), "{reset}");
        assert_eq!((s.state(), s.stack().stats().time_wait), (None, 0));
    });
}

#[test]
fn nobody_waits_for_ever_in_fin_wait_2() {
    // An orphan has 60 s.
    script(|s| {
        s.established("<mss 1460>");
        s.drop_stream();
        s.expect("F 1 ack 1");
        s.inject(". 1 ack 2");
        s.after(secs(59));
        assert_eq!(s.state(), Some(TcpState::FinWait2));
        s.after(secs(2));
        assert_eq!(s.state(), None);
        s.drain();
        s.expect_none_for(secs(600));
    });
}

#[test]
fn what_was_received_before_a_reset_can_be_read() {
    script(|s| {
        s.established("<mss 1460>");
        s.inject(". 1:101 ack 1");
        s.inject("R 101");
        s.read(100);
        s.read_fails(ErrorKind::ConnectionReset);
        s.drain();
    });
}

#[test]
fn a_late_fin_is_acknowledged_and_the_wait_begins_anew() {
    // RFC 9293 §3.10.7.4, eighth step, TIME-WAIT.
    script(|s| {
        time_wait(s);
        for _ in 0..3 {
            s.after(secs(50));
            s.inject("F 1 ack 2");
            s.expect(". 2 ack 2");
        }
        s.after(secs(59));
        assert_eq!(s.stack().stats().time_wait, 1);
        s.after(secs(2));
        assert_eq!(s.stack().stats().time_wait, 0);
    });
}

#[test]
fn a_reset_does_not_end_time_wait() {
    // RFC 1337 §3.
    script(|s| {
        time_wait(s);
        for reset in ["R 2", "R 1", "R 100", "R 2 ack 2"] {
            s.inject(reset);
            s.expect_none();
        }
        assert_eq!(s.stack().stats().time_wait, 1);
    });
}

#[test]
fn an_old_segment_in_time_wait_is_answered_by_where_we_are() {
    script(|s| {
        time_wait(s);
        for old in [". 1:1 ack 1", "S 0", "S 0 ack 1"] {
            s.inject(old);
            s.expect(". 2 ack 2");
        }
        s.inject(". 2 ack 2");
        s.expect_none();
        assert_eq!(s.stack().stats().time_wait, 1);
    });
}

#[test]
fn a_newer_syn_ends_time_wait() {
    // RFC 9293 §3.6.1, RFC 1122 §4.2.2.13: with a greater number than the old connection's, and a greater one of ours.
    script(|s| {
        time_wait(s);
        let old = s.isn();
        s.set_peer_isn(s.peer_isn().wrapping_add(3));
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        let ahead = s.isn().wrapping_sub(old);
        assert!((3..1 << 31).contains(&ahead), "{ahead}");
        s.inject(". 1 ack 1");
        s.accept();
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}

#[test]
fn a_dial_may_use_its_own_ports_again() {
    // RFC 6191 §2 asks for a greater number than any that was sent.
    script(|s| {
        time_wait(s);
        let old = s.isn();
        s.drop_stream();
        s.connect();
        s.expect("S 0");
        let ahead = s.isn().wrapping_sub(old);
        assert!((3..1 << 31).contains(&ahead), "{ahead}");
    });
}

#[test]
fn closing_while_the_handshake_goes_on_forgets_it() {
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.drop_stream();
        s.expect_none_for(secs(10));
        s.inject("S 0 ack 1");
        s.expect("R 1");
    });
}

#[test]
fn a_peer_that_never_acknowledges_the_fin_is_given_up() {
    Setup::config(|config| config.retries(3)).run(|s| {
        s.established("<mss 1460>");
        s.close();
        s.after(secs(60));
        s.drain();
        s.read_fails(ErrorKind::TimedOut);
    });
}
