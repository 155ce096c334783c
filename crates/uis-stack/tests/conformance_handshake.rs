//! Opening a connection: RFC 9293 §3.5 and §3.10.7, RFC 6298, RFC 5961.

mod script;

use std::io::ErrorKind;

use script::{Setup, ms, script, secs};
use uis_stack::TcpState;

#[test]
fn a_passive_open() {
    // RFC 9293 §3.5, figure 6, with the options of RFC 9293 §3.7.1, RFC 7323 §2 and RFC 2018 §2.
    script(|s| {
        s.listen();
        s.inject("S 0 win 65535 <mss 1460,wscale 7,sackOK>");
        s.expect("S 0 ack 1 win 65535 <sackOK>");
        s.accept_none();
        s.inject(". 1 ack 1 win 512");
        s.accept();
        s.write(10);
        s.expect(". 1:11 ack 1");
    });
}

#[test]
fn an_active_open() {
    script(|s| {
        s.connect();
        s.expect("S 0 win 65535 <sackOK>");
        s.connecting();
        s.inject("S 0 ack 1 win 65535 <mss 1460>");
        s.expect(". 1 ack 1");
        s.connected();
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}

#[test]
fn options_are_offered_back_only() {
    // RFC 7323 §2.2, RFC 2018 §2: an answer has only those options that the SYN had.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        let answer = s.next_within(ms(0)).expect("an answer");
        assert_eq!((answer.wscale, answer.sack_ok), (None, false));
        assert!(answer.mss.is_some());
    });
}

#[test]
fn data_completes_the_handshake_if_the_ack_was_lost() {
    // RFC 9293 §3.10.7.4: any acceptable segment that acknowledges the SYN does.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1:101 ack 1");
        s.accept();
        s.read(100);
        s.expect_after(ms(10), ". 1 ack 101");
    });
}

#[test]
fn a_keep_alive_does_not_complete_the_handshake() {
    // The peer's acknowledgment was lost, and it asks whether we are there. Its number is one too low for anything else.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 0 ack 1");
        s.expect(". 1 ack 1");
        s.accept_none();
        s.expect_within(secs(1), "S 0 ack 1");
        s.inject(". 1 ack 1");
        s.accept();
    });
}

#[test]
fn even_the_fin_may_complete_the_handshake() {
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject("F 1:101 ack 1");
        s.expect(". 1 ack 102");
        s.accept();
        s.read(100);
        s.read_eof();
        assert_eq!(s.state(), Some(TcpState::CloseWait));
    });
}

#[test]
fn a_syn_that_comes_twice_opens_one_connection() {
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        assert_eq!(s.stack().connections().len(), 1);
        s.inject(". 1 ack 1");
        s.accept();
        s.accept_none();
    });
}

#[test]
fn a_syn_that_comes_again_is_answered_again() {
    // Once a second, and without a change of the timer, which is RFC 6298's.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.expect_none_for(ms(300));
        for _ in 0..10 {
            s.inject("S 0 <mss 1460>");
        }
        s.expect("S 0 ack 1");
        s.expect_after(ms(700), "S 0 ack 1");
        s.expect_none_for(ms(300));
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.expect_after(ms(1700), "S 0 ack 1");
        s.inject(". 1 ack 1");
        s.accept();
    });
}

#[test]
fn a_peer_that_begins_anew_in_the_handshake_is_told() {
    // RFC 9293 §3.10.7.4, first step: an acknowledgment, to which the peer answers with the exact RST. RFC 5961 §4.2.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject("S 500000 <mss 1460>");
        s.expect(". 1 ack 1");
        s.inject("R 1");
        assert_eq!(s.stack().connections().len(), 0);
        s.inject("S 500000 <mss 1460>");
        s.expect("S 0 ack 500001");
        s.inject(". 500001 ack 1");
        s.accept();
    });
}

#[test]
fn a_lost_syn_ack_is_sent_again() {
    // RFC 6298 §2.1 and §5.5: after 1, 2, 4 ... seconds.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        for wait in [1, 2, 4, 8, 16] {
            s.expect_after(secs(wait), "S 0 ack 1");
        }
        s.inject(". 1 ack 1");
        s.accept();
    });
}

#[test]
fn a_half_open_connection_does_not_last() {
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.after(secs(61));
        assert_eq!(s.stack().connections().len(), 0);
        s.accept_none();
        s.drain();
        s.expect_none_for(secs(600));
    });
}

#[test]
fn an_unanswered_syn_is_sent_seven_times() {
    // RFC 9293 §3.8.3 R2 for SYNs, RFC 6298 §5.5.
    script(|s| {
        s.connect();
        s.expect("S 0");
        for wait in [1, 2, 4, 8, 16, 32] {
            s.expect_after(secs(wait), "S 0");
        }
        s.expect_none_for(secs(63));
        s.connecting();
        s.after(secs(1));
        s.connect_fails(ErrorKind::TimedOut);
        s.expect_none_for(secs(600));
    });
}

#[test]
fn syn_retries_are_as_many_as_wanted() {
    Setup::config(|config| config.syn_retries(1)).run(|s| {
        s.connect();
        s.expect("S 0");
        s.expect_after(secs(1), "S 0");
        s.expect_none_for(secs(2));
        s.connect_fails(ErrorKind::TimedOut);
    });
}

#[test]
fn a_late_answer_is_an_answer() {
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.expect_after(secs(1), "S 0");
        s.inject("S 0 ack 1 <mss 1460>");
        s.expect(". 1 ack 1");
        s.connected();
        // The answer to the other SYN. RFC 5961 §4.2.
        s.inject("S 0 ack 1 <mss 1460>");
        s.expect(". 1 ack 1");
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}

#[test]
fn a_simultaneous_open() {
    // RFC 9293 §3.5, figure 7: the SYN|ACK completes it, and calls for no answer.
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.inject("S 0 <mss 1000,wscale 2>");
        s.expect("S 0 ack 1");
        s.connecting();
        s.inject("S 0 ack 1 win 2400 <mss 1000,wscale 2>");
        s.connected();
        s.expect_none_for(secs(10));
        s.inject(". 1:11 ack 1 win 600");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
        s.write(10);
        s.expect(". 1:11 ack 11");
    });
}

#[test]
fn the_window_of_a_simultaneous_syn_ack_is_not_scaled() {
    // RFC 7323 §2.2.
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.inject("S 0 win 3000 <mss 1000,wscale 2>");
        s.expect("S 0 ack 1");
        s.inject("S 0 ack 1 win 2400 <mss 1000,wscale 2>");
        s.connected();
        s.write(9000);
        assert_eq!(s.drain().iter().map(|segment| segment.len).sum::<usize>(), 2000);
    });
}

#[test]
fn a_simultaneous_open_survives_the_loss_of_a_syn_ack() {
    // The peer's is lost, and our own has brought it to ESTABLISHED: it challenges ours when that comes again.
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.expect_after(secs(1), "S 0 ack 1");
        s.inject(". 1 ack 1");
        s.connected();
        // And the peer's that comes late.
        s.inject("S 0 ack 1 <mss 1460>");
        s.expect(". 1 ack 1");
    });
}

#[test]
fn a_simultaneous_open_may_end_with_a_bare_ack() {
    script(|s| {
        s.connect();
        s.expect("S 0");
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1");
        s.connected();
        s.write(10);
        s.expect(". 1:11 ack 1");
    });
}

#[test]
fn a_reset_refuses_a_dial() {
    // RFC 9293 §3.10.7.3: only if it acknowledges the SYN.
    script(|s| {
        s.connect();
        s.expect("S 0");
        for stranger in ["R 0", "R 0 ack 0", "R 0 ack 2", "R 1"] {
            s.inject(stranger);
            s.expect_none();
            s.connecting();
        }
        s.inject("R 0 ack 1");
        s.connect_fails(ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_answer_to_something_else_is_reset() {
    // RFC 9293 §3.10.7.3, first step, and figure 8: the RST has the number that was acknowledged.
    script(|s| {
        s.connect();
        s.expect("S 0");
        for ack in [-5, 0, 2, 1000] {
            s.inject(format!("S 0 ack {ack} <mss 1460>"));
            s.expect(format!("R {ack}"));
            s.connecting();
            s.inject(format!(". 77 ack {ack}"));
            s.expect(format!("R {ack}"));
            s.connecting();
        }
        s.inject("S 0 ack 1 <mss 1460>");
        s.expect(". 1 ack 1");
        s.connected();
    });
}

#[test]
fn a_reset_ends_a_half_open_connection_and_not_the_listener() {
    // RFC 9293 §3.10.7.4: a passive open goes back to LISTEN.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject("R 1");
        assert_eq!(s.stack().connections().len(), 0);
        s.accept_none();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1");
        s.accept();
    });
}

#[test]
fn an_acknowledgment_of_something_else_is_reset() {
    // RFC 9293 §3.10.7.4, SYN-RECEIVED.
    script(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        for ack in [0, 2, -1000] {
            s.inject(format!(". 1 ack {ack}"));
            s.expect(format!("R {ack}"));
        }
        s.inject(". 1 ack 1");
        s.accept();
    });
}

#[test]
fn a_peer_that_has_forgotten_is_told() {
    // RFC 9293 §3.5.1, figure 9, as RFC 5961 §4.2 makes it: its SYN is answered by where we are, its RST to that is exact.
    script(|s| {
        s.established("<mss 1460>");
        s.inject("S 5000 <mss 1460>");
        s.expect(". 1 ack 1");
        s.inject("R 1");
        s.read_fails(ErrorKind::ConnectionReset);
        assert_eq!(s.state(), None);
    });
}

#[test]
fn nobody_listens() {
    // RFC 9293 §3.10.7.1: the two ways to number a RST; and none answers a RST.
    script(|s| {
        s.inject("S 0 <mss 1460>");
        s.expect("R 0 ack 1");
        s.inject("S 0:10");
        s.expect("R 0 ack 11");
        s.inject(". 1:101 ack 7");
        s.expect("R 7");
        s.inject("F 1 ack 7");
        s.expect("R 7");
        s.inject("R 1");
        s.inject("R 1 ack 7");
        s.expect_none();
    });
}

#[test]
fn a_listener_takes_syns_only() {
    // RFC 9293 §3.10.7.2.
    script(|s| {
        s.listen();
        s.inject("R 0");
        s.expect_none();
        s.inject(". 0 ack 9");
        s.expect("R 9");
        s.inject("S 0 ack 9");
        s.expect("R 9");
        assert_eq!(s.stack().connections().len(), 0);
    });
}

#[test]
fn data_on_a_syn_is_not_lost() {
    // RFC 9293 §3.10.7.2 lets it be kept or be sent again.
    script(|s| {
        s.listen();
        s.inject("S 0:10 <mss 1460>");
        let answer = s.next_within(ms(0)).expect("an answer");
        assert!(matches!(answer.ack, Some(1 | 11)), "{answer}");
        s.inject(". 1:21 ack 1");
        s.accept();
        s.read(20);
        s.after(ms(10));
        assert_eq!(s.drain().last().and_then(|ack| ack.ack), Some(21));
    });
}
