//! What arrives in every state, in, beside and across the window: RFC 9293 §3.10.7.4, RFC 5961, RFC 1337.

mod script;

use script::{FIN, RST, Script, Segment, Setup, ms, script, secs};
use uis_stack::TcpState::{self, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived};

/// The window that is offered: there is no scaling in these scripts.
const WINDOW: i64 = 65535;

/// A state, as a peer knows it: what it has to send next, and to acknowledge.
#[derive(Clone, Copy, Debug)]
struct At {
    state: Option<TcpState>,
    /// The stack's next number, and the peer's.
    snd_nxt: i64,
    rcv_nxt: i64,
}

/// Every state but LISTEN, SYN-SENT and CLOSED; TIME-WAIT is `None`.
const STATES: [At; 8] = [
    At { state: Some(SynReceived), snd_nxt: 1, rcv_nxt: 1 },
    At { state: Some(Established), snd_nxt: 1, rcv_nxt: 1 },
    At { state: Some(FinWait1), snd_nxt: 2, rcv_nxt: 1 },
    At { state: Some(FinWait2), snd_nxt: 2, rcv_nxt: 1 },
    At { state: Some(CloseWait), snd_nxt: 1, rcv_nxt: 2 },
    At { state: Some(Closing), snd_nxt: 2, rcv_nxt: 2 },
    At { state: Some(LastAck), snd_nxt: 2, rcv_nxt: 2 },
    At { state: None, snd_nxt: 2, rcv_nxt: 2 },
];

impl At {
    /// Leads a connection into the state.
    fn reach(&self, s: &mut Script) {
        if self.state == Some(SynReceived) {
            s.listen();
            s.inject("S 0 win 65535 <mss 1460>");
            s.expect("S 0 ack 1");
            return;
        }
        s.established("<mss 1460>");
        let closes_first = !matches!(self.state, Some(Established | CloseWait | LastAck));
        if closes_first {
            s.close();
            s.expect("F 1 ack 1");
        }
        match self.state {
            Some(FinWait2) => s.inject(". 1 ack 2"),
            Some(CloseWait | LastAck | Closing) => {
                s.inject("F 1 ack 1");
                s.expect(format!(". {} ack 2", self.snd_nxt.min(1 + i64::from(closes_first))));
            }
            None => {
                s.inject("F 1 ack 2");
                s.expect(". 2 ack 2");
            }
            _ => {}
        }
        if self.state == Some(LastAck) {
            s.close();
            s.expect("F 1 ack 2");
        }
        assert_eq!(s.state(), self.state);
    }

    /// What the peer last acknowledged: our FIN is under way in some states.
    fn una(&self) -> i64 {
        match self.state {
            Some(FinWait1 | Closing | LastAck) => self.snd_nxt - 1,
            Some(SynReceived) => 0,
            _ => self.snd_nxt,
        }
    }

    /// An acknowledgment of where we are, as an answer to what cannot be accepted.
    fn here(&self) -> String {
        format!(". {} ack {}", self.snd_nxt, self.rcv_nxt)
    }

    /// What the stack has sent, but for a FIN that it sends again.
    fn answers(&self, s: &mut Script) -> Vec<Segment> {
        let mut sent = s.drain();
        sent.retain(|answer| answer.flags != FIN || answer.seq >= self.snd_nxt);
        sent
    }

    /// The peer has sent its FIN.
    fn is_over(&self) -> bool {
        self.rcv_nxt == 2
    }
}

/// Where a segment of 10 bytes begins, as seen from the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    FarLeft,
    Left,
    Exact,
    Inside,
    Right,
    FarRight,
}

const PLACES: [Place; 6] =
    [Place::FarLeft, Place::Left, Place::Exact, Place::Inside, Place::Right, Place::FarRight];

impl Place {
    fn seq(self, at: &At) -> i64 {
        at.rcv_nxt
            + match self {
                Self::FarLeft => -(1 << 30),
                Self::Left => -11,
                Self::Exact => 0,
                Self::Inside => 100,
                Self::Right => WINDOW,
                Self::FarRight => 1 << 30,
            }
    }

    fn is_in_window(self) -> bool {
        matches!(self, Self::Exact | Self::Inside)
    }
}

/// Runs a script for each state and place.
fn each(body: impl Fn(&mut Script, &At, Place)) {
    for at in &STATES {
        for place in PLACES {
            script(|s| {
                at.reach(s);
                body(s, at, place);
            });
        }
    }
}

#[test]
fn a_reset_must_be_exact() {
    // RFC 5961 §3.2; RFC 1337 for TIME-WAIT.
    each(|s, at, place| {
        s.inject(format!("R {}", place.seq(at)));
        match (at.state, place) {
            (None, _) => assert_eq!(s.stack().stats().time_wait, 1),
            (_, Place::Exact) => assert_eq!(s.state(), None),
            (_, Place::Inside) => {
                s.expect(at.here());
                assert_eq!(s.state(), at.state);
            }
            _ => assert_eq!(s.state(), at.state),
        }
        s.expect_none();
    });
}

#[test]
fn a_syn_changes_nothing() {
    // RFC 5961 §4.2: a challenge ACK, wherever it is. One with an acknowledgment, which cannot be a peer's that begins anew,
    // is no different.
    for ack in [false, true] {
        each(|s, at, place| {
            if at.state.is_none() && place.seq(at) > at.rcv_nxt && !ack {
                return; // TIME-WAIT takes it: conformance_close
            }
            let ack = if ack { format!("ack {}", at.snd_nxt) } else { String::new() };
            s.inject(format!("S {} {ack}", place.seq(at)));
            let answers = at.answers(s);
            assert!(answers.len() <= 1, "{answers:?}");
            if at.state != Some(SynReceived) {
                assert_eq!((answers[0].seq, answers[0].ack), (at.snd_nxt, Some(at.rcv_nxt)), "{place:?}");
                assert_eq!(answers[0].flags, 0);
            }
            assert_eq!(s.state(), at.state);
        });
    }
}

#[test]
fn an_acknowledgment_outside_of_the_window_changes_nothing() {
    // RFC 9293 §3.10.7.4, first step.
    each(|s, at, place| {
        if place.is_in_window()
            || (place == Place::Right && at.state.is_some_and(|state| state != SynReceived))
        {
            return;
        }
        s.inject(format!(". {} ack {}", place.seq(at), at.una()));
        match s.drain().as_slice() {
            [] => assert_eq!(at.state, Some(SynReceived), "{place:?}"),
            [one] if one.flags == RST => assert_eq!(at.state, Some(SynReceived), "{place:?}"),
            [one] => assert_eq!((one.flags, one.seq, one.ack), (0, at.snd_nxt, Some(at.rcv_nxt))),
            more => panic!("{more:?}"),
        }
        assert_eq!(s.state(), at.state);
    });
}

#[test]
fn an_acknowledgment_in_the_window_counts() {
    // RFC 9293 §3.10.7.4, fifth step, for each state.
    each(|s, at, place| {
        if !place.is_in_window() {
            return;
        }
        s.inject(format!(". {} ack {}", place.seq(at), at.snd_nxt));
        let state = match at.state {
            Some(SynReceived) => Some(Established),
            Some(FinWait1) => Some(FinWait2),
            Some(Closing | LastAck) => None,
            other => other,
        };
        assert_eq!(s.state(), state, "{at:?} {place:?}");
        // TIME-WAIT answers what is not in sequence: the peer has said that nothing follows.
        let answers = at.answers(s);
        assert!(answers.len() <= usize::from(at.state.is_none() && place == Place::Inside), "{answers:?}");
    });
}

#[test]
fn an_acknowledgment_at_the_right_edge_counts() {
    // By the letter of RFC 9293 §3.10.7.4 it is outside. But a peer that has filled the window has no other number to send
    // its acknowledgments with, and Linux takes them.
    for at in STATES.iter().filter(|at| at.state.is_some_and(|state| state != SynReceived)) {
        script(|s| {
            at.reach(s);
            s.inject(format!(". {} ack {}", Place::Right.seq(at), at.snd_nxt));
            let state = match at.state {
                Some(FinWait1) => Some(FinWait2),
                Some(Closing | LastAck) => None,
                other => other,
            };
            assert_eq!(s.state(), state, "{at:?}");
            s.expect_none();
        });
    }
    Setup::config(|config| config.recv_buffer(2000)).run(|s| {
        filled_behind_a_hole(s);
        s.inject(". 2001 ack 9001");
        s.expect_none_for(secs(10));
        // Were it beyond, it would be challenged.
        s.inject(". 2002 ack 9001");
        s.expect(". 9001 ack 1");
    });
}

/// The peer, to which nine segments are under way, has filled a window of two segments, and the first of these is lost.
fn filled_behind_a_hole(s: &mut Script) {
    s.established("<mss 1000>");
    s.write(9000);
    s.drain();
    s.inject(". 1001:2001 ack 1");
    s.expect(". 9001 ack 1");
}

#[test]
fn duplicates_at_the_right_edge_show_a_loss() {
    Setup::config(|config| config.recv_buffer(2000)).run(|s| {
        filled_behind_a_hole(s);
        for _ in 0..3 {
            s.inject(". 2001 ack 1");
        }
        s.expect(". 1:1001 ack 1"); // RFC 5681 §3.2
    });
}

#[test]
fn data_counts_in_the_window_only() {
    // RFC 9293 §3.10.7.4, first and seventh step.
    each(|s, at, place| {
        let seq = place.seq(at);
        s.inject(format!(". {seq}:{} ack {}", seq + 10, at.snd_nxt));
        let state = match at.state {
            // The acknowledgment counts if the segment does.
            Some(SynReceived) if place.is_in_window() => Some(Established),
            Some(FinWait1) if place.is_in_window() => Some(FinWait2),
            Some(Closing | LastAck) if place.is_in_window() => None,
            other => other,
        };
        assert_eq!(s.state(), state, "{at:?} {place:?}");
        s.after(ms(10));
        let answers = at.answers(s);
        assert!(answers.len() <= 1, "{answers:?}");
        let accepted = place == Place::Exact && !at.is_over();
        let ignored = at.is_over() && place.is_in_window();
        assert!(ignored || answers.len() == 1, "{at:?} {place:?}: no answer");
        for answer in answers {
            let ack = at.rcv_nxt + if accepted { 10 } else { 0 };
            assert_eq!((answer.flags, answer.seq, answer.ack), (0, at.snd_nxt, Some(ack)));
        }
        if at.state == Some(SynReceived) {
            if state == Some(Established) {
                s.accept();
                s.read(if accepted { 10 } else { 0 });
            }
        } else if at.is_over() {
            s.read_eof();
        } else {
            s.read(if accepted { 10 } else { 0 });
            s.read_none();
        }
    });
}

#[test]
fn data_across_the_left_edge_counts_from_there_on() {
    for at in STATES.iter().filter(|at| matches!(at.state, Some(Established | FinWait1 | FinWait2))) {
        script(|s| {
            at.reach(s);
            s.inject(format!(". {}:{} ack {}", at.rcv_nxt, at.rcv_nxt + 10, at.una()));
            s.inject(format!(". {}:{} ack {}", at.rcv_nxt + 5, at.rcv_nxt + 15, at.una()));
            s.read(15);
            s.after(ms(10));
            assert_eq!(s.drain().last().and_then(|s| s.ack), Some(at.rcv_nxt + 15));
        });
    }
}

#[test]
fn data_across_the_right_edge_counts_up_to_there() {
    Setup::config(|config| config.recv_buffer(1000)).run(|s| {
        s.established("<mss 1460>");
        s.inject(". 1:901 ack 1");
        s.inject(". 901:1101 ack 1");
        s.expect_within(ms(10), ". 1 ack 1001 win 0");
        s.read(1000);
        s.expect(". 1 ack 1001 win 1000");
        s.inject(". 1001:1101 ack 1");
        s.read(100);
        s.expect_after(ms(10), ". 1 ack 1101");
    });
}

#[test]
fn a_fin_counts_in_order_only() {
    // RFC 9293 §3.10.7.4, eighth step.
    each(|s, at, place| {
        s.inject(format!("F {} ack {}", place.seq(at), at.una().max(1)));
        let state = match (at.state, place) {
            (Some(SynReceived), Place::Inside) => Some(Established),
            (Some(SynReceived | Established), Place::Exact) => Some(CloseWait),
            (Some(FinWait1), Place::Exact) => Some(Closing),
            (Some(FinWait2), Place::Exact) => None,
            (other, _) => other,
        };
        assert_eq!(s.state(), state, "{at:?} {place:?}");
        let ack = at.rcv_nxt + i64::from(place == Place::Exact && !at.is_over());
        let answers = at.answers(s);
        assert!(answers.len() <= 1, "{answers:?}");
        // All but those behind an earlier one, which is over; and a half-open connection waits for its own SYN.
        let must = match at.state {
            Some(SynReceived) => place.is_in_window(),
            _ => !place.is_in_window() || !at.is_over(),
        };
        assert!(!must || answers.len() == 1, "{at:?} {place:?}: no answer");
        for answer in answers {
            let seen = (answer.flags, answer.seq, answer.ack);
            assert_eq!(seen, (0, at.snd_nxt, Some(ack)), "{at:?} {place:?}");
        }
    });
}

#[test]
fn an_acknowledgment_of_what_was_not_sent_is_challenged() {
    // RFC 5961 §5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. And the data with it is not taken.
    for at in STATES.iter().filter(|at| at.state.is_some_and(|state| state != SynReceived)) {
        for (ack, fine) in [
            (at.snd_nxt + 1, false),
            (at.snd_nxt + (1 << 30), false),
            (at.una() - (1 << 30), false),
            (at.una() - 65536, false),
            (at.una() - 65535, true),
            (at.una(), true),
        ] {
            script(|s| {
                at.reach(s);
                s.inject(format!(". {}:{} ack {ack}", at.rcv_nxt, at.rcv_nxt + 10));
                assert_eq!(s.state(), at.state, "{at:?} {ack}");
                s.after(ms(10));
                let taken = if fine && !at.is_over() { 10 } else { 0 };
                let answers = at.answers(s);
                assert!(answers.len() == 1 || fine && at.is_over(), "{at:?} {ack} {answers:?}");
                for answer in answers {
                    assert_eq!(answer.ack, Some(at.rcv_nxt + taken), "{at:?} {ack}");
                }
                if !at.is_over() {
                    s.read(taken as usize);
                    s.read_none();
                }
            });
        }
    }
}

#[test]
fn a_segment_without_ack_is_dropped() {
    // RFC 9293 §3.10.7.4, fifth step: "if the ACK bit is off, drop the segment". Such a one is not even possible.
    each(|s, at, place| {
        let seq = place.seq(at);
        s.inject(format!(". {seq}:{}", seq + 10));
        s.inject(format!("F {seq}"));
        s.inject(format!("S {seq}"));
        assert!(s.drain().len() <= 1);
    });
}

#[test]
fn challenges_are_limited() {
    // RFC 5961 §7: here to one a second and connection.
    for blow in ["R 100", "S 100", "S 0 ack 1", ". 1 ack 5000", ". 70000 ack 1"] {
        script(|s| {
            s.established("<mss 1460>");
            for _ in 0..3 {
                for _ in 0..100 {
                    s.inject(blow);
                }
                s.expect(". 1 ack 1");
                s.expect_none_for(ms(1000));
            }
            assert_eq!(s.state(), Some(Established));
        });
    }
}

#[test]
fn what_is_sent_again_is_always_answered() {
    // RFC 9293 §3.10.7.4: the peer's acknowledgment got lost, and a limit would make it go on.
    script(|s| {
        s.established("<mss 1460>");
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
        for _ in 0..10 {
            s.inject(". 1:11 ack 1");
            s.expect(". 1 ack 11");
        }
    });
}

#[test]
fn a_guessed_reset_does_no_harm() {
    // RFC 5961 §3.1: a blind attacker sends RSTs over the whole window.
    script(|s| {
        s.established("<mss 1460>");
        for seq in (2..=WINDOW).step_by(1460) {
            s.inject(format!("R {seq}"));
        }
        s.expect(". 1 ack 1");
        s.expect_none_for(secs(1));
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}
