//! What arrives before there is a connection, in CLOSED, LISTEN and SYN-SENT: RFC 9293 §3.10.7.1 to §3.10.7.3.

mod script;

use script::{Script, ms, script, secs};
use uis_stack::DiscardReason;

/// Every kind of segment with an acknowledgment, but for a SYN and a RST.
const WITH_ACK: [&str; 5] = [". 7", "P 7:17", "F 7", "F 7:17", ". 7:17"];

/// What no host sends: no flags at all, or a FIN without an acknowledgment.
const IMPOSSIBLE: [&str; 4] = [". 7", ". 7:17", "F 7", "P 7:17"];

#[track_caller]
fn is_malformed(s: &mut Script, line: &str) {
    let before = s.stack().stats().discarded(DiscardReason::BadTcpFlags);
    s.inject(line);
    s.expect_none();
    assert_eq!(s.stack().stats().discarded(DiscardReason::BadTcpFlags), before + 1, "{line}");
}

#[test]
fn closed() {
    // §3.10.7.1: a RST with the number that was acknowledged, or that acknowledges all of the segment.
    script(|s| {
        for line in WITH_ACK {
            s.inject(format!("{line} ack 99"));
            s.expect("R 99");
        }
        for line in ["S 7 ack 99", "S 7:17 ack 99"] {
            s.inject(line);
            s.expect("R 99");
        }
        s.inject("S 7:17");
        s.expect("R 0 ack 18");
        for line in ["R 7", "R 7:17", "R 7 ack 99"] {
            s.inject(line);
            s.expect_none();
        }
        for line in IMPOSSIBLE {
            is_malformed(s, line);
        }
    });
}

#[test]
fn listen() {
    // §3.10.7.2: RSTs are ignored, acknowledgments reset, SYNs taken, and all else dropped.
    script(|s| {
        s.listen();
        for line in ["R 7", "R 7:17", "R 7 ack 99"] {
            s.inject(line);
            s.expect_none();
        }
        for line in WITH_ACK {
            s.inject(format!("{line} ack 99"));
            s.expect("R 99");
        }
        s.inject("S 7 ack 99");
        s.expect("R 99");
        for line in IMPOSSIBLE {
            is_malformed(s, line);
        }
        assert_eq!(s.stack().connections().len(), 0);
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1");
        s.accept();
    });
}

/// A dial whose SYN has left.
fn syn_sent(s: &mut Script) {
    s.connect();
    s.expect("S 0");
}

/// The dial goes on, and succeeds.
#[track_caller]
fn goes_on(s: &mut Script) {
    s.connecting();
    s.inject("S 0 ack 1 <mss 1460>");
    s.expect(". 1 ack 1");
    s.connected();
    s.inject(". 1:11 ack 1");
    s.read(10);
    s.expect_after(ms(10), ". 1 ack 11");
}

#[test]
fn syn_sent_and_an_acknowledgment_of_something_else() {
    // §3.10.7.3, first step, and §3.5.1, figure 9: a peer that still has an earlier connection learns that it is gone by
    // this. Whatever else is in the segment: data usually comes with PSH.
    for line in WITH_ACK {
        for ack in [-1000, 0, 2, 1000] {
            script(|s| {
                syn_sent(s);
                s.inject(format!("{line} ack {ack}"));
                s.expect(format!("R {ack}"));
                goes_on(s);
            });
        }
    }
}

#[test]
fn syn_sent_and_the_right_acknowledgment_without_a_syn() {
    // §3.10.7.3, fifth step: neither SYN nor RST, "then drop the segment and return".
    for line in WITH_ACK {
        script(|s| {
            syn_sent(s);
            s.inject(format!("{line} ack 1"));
            s.expect_none();
            goes_on(s);
        });
    }
}

#[test]
fn syn_sent_and_a_reset() {
    // §3.10.7.3, second step: only with the right acknowledgment.
    for line in ["R 7", "R 7:17", "R 7 ack 0", "R 7 ack 2"] {
        script(|s| {
            syn_sent(s);
            s.inject(line);
            s.expect_none();
            goes_on(s);
        });
    }
}

#[test]
fn syn_sent_and_what_no_host_sends() {
    script(|s| {
        syn_sent(s);
        for line in IMPOSSIBLE {
            is_malformed(s, line);
        }
        goes_on(s);
    });
}

#[test]
fn data_on_a_syn_ack_is_not_lost() {
    // §3.10.7.3, fourth step: it is kept, or sent again because it was not acknowledged.
    script(|s| {
        syn_sent(s);
        s.inject("S 0:10 ack 1 <mss 1460>");
        let answer = s.next_within(ms(10)).expect("an answer");
        assert!(matches!(answer.ack, Some(1 | 11)), "{answer}");
        s.connected();
        s.inject(". 1:21 ack 1");
        s.read(20);
        s.after(secs(1));
        assert_eq!(s.drain().last().and_then(|ack| ack.ack), Some(21));
    });
}
