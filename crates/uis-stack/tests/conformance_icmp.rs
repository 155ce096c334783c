//! What ICMP errors do to connections: RFC 1122 §4.2.3.9, RFC 5927, RFC 1191, RFC 8201.

mod script;

use std::io::ErrorKind;

use script::icmp::Icmp;
use script::{Script, Setup, ms, script, secs};
use uis_stack::{DiscardReason, TcpState};

/// Leads a connection into each state in which something of ours may be under way, and says which segment that is.
type Reach = (TcpState, fn(&mut Script) -> &'static str);

const STATES: [Reach; 6] = [
    (TcpState::SynReceived, |s| {
        s.listen();
        s.inject("S 0 <mss 1000>");
        s.drain();
        "S 0 ack 1"
    }),
    (TcpState::Established, |s| {
        s.established("<mss 1000>");
        s.write(10);
        s.drain();
        ". 1:11 ack 1"
    }),
    (TcpState::FinWait1, |s| {
        s.established("<mss 1000>");
        s.close();
        s.drain();
        "F 1 ack 1"
    }),
    (TcpState::CloseWait, |s| {
        s.established("<mss 1000>");
        s.inject("F 1 ack 1");
        s.write(10);
        s.drain();
        ". 1:11 ack 2"
    }),
    (TcpState::Closing, |s| {
        s.established("<mss 1000>");
        s.close();
        s.inject("F 1 ack 1");
        s.drain();
        "F 1 ack 2"
    }),
    (TcpState::LastAck, |s| {
        s.established("<mss 1000>");
        s.inject("F 1 ack 1");
        s.close();
        s.drain();
        "F 1 ack 2"
    }),
];

#[test]
fn errors_about_a_connection_do_not_end_it() {
    // RFC 5927 §4.1 and §4.2: soft errors all, once there is a connection. RFC 1122 §4.2.3.9 for the soft ones.
    for (state, reach) in STATES {
        for error in Icmp::ALL {
            script(|s| {
                let quoted = reach(s);
                for _ in 0..3 {
                    s.icmp(error, quoted);
                }
                assert_eq!(s.state(), Some(state), "{error:?}");
                s.drain();
                // And it goes on: the peer acknowledges everything.
                let ack = script::Segment::parse(quoted).end();
                let seq = script::Segment::parse(quoted).ack.unwrap();
                s.inject(format!(". {seq} ack {ack}"));
                s.after(ms(1));
                s.drain();
                s.expect_none_for(secs(10));
            });
        }
    }
}

#[test]
fn errors_when_nothing_is_under_way_change_nothing() {
    // RFC 5927 §4.1: in FIN-WAIT-2 and TIME-WAIT all is acknowledged, and so are errors about it late.
    for ends in [false, true] {
        for error in Icmp::ALL {
            script(|s| {
                s.established("<mss 1000>");
                s.close();
                s.expect("F 1 ack 1");
                s.inject(". 1 ack 2");
                if ends {
                    s.inject("F 1 ack 2");
                    s.expect(". 2 ack 2");
                }
                let state = if ends { None } else { Some(TcpState::FinWait2) };
                for quoted in ["F 1 ack 1", ". 2 ack 2"] {
                    s.icmp(error, quoted);
                    s.expect_none();
                    assert_eq!(
                        (s.state(), s.stack().stats().time_wait),
                        (state, u64::from(ends)),
                        "{error:?}"
                    );
                }
                assert_eq!(s.stack().stats().discarded(DiscardReason::IgnoredIcmp), 2, "{error:?}");
            });
        }
    }
}

#[test]
fn errors_about_the_syn_end_a_dial() {
    // RFC 1122 §4.2.3.9: hard errors should abort; here the soft ones about a SYN do so as well, as RFC 5461 §4.1 tells of
    // other stacks.
    for (error, kind) in [
        (Icmp::PortUnreachable, ErrorKind::ConnectionRefused),
        (Icmp::ProtocolUnreachable, ErrorKind::ConnectionRefused),
        (Icmp::NetUnreachable, ErrorKind::NetworkUnreachable),
        (Icmp::HostUnreachable, ErrorKind::HostUnreachable),
    ] {
        script(|s| {
            s.connect();
            s.expect("S 0");
            s.icmp(error, "S 0");
            s.connect_fails(kind);
            s.expect_none_for(secs(10));
        });
    }
}

#[test]
fn a_dial_heeds_no_errors_about_anything_else() {
    // RFC 5927 §4.1: the quoted number must be one that is under way.
    for error in Icmp::ALL {
        script(|s| {
            s.connect();
            s.expect("S 0");
            for quoted in ["S 1", "S -1", ". 5000", "R 100000"] {
                s.icmp(error, quoted);
                s.connecting();
            }
            s.expect_none();
            assert_eq!(s.state(), Some(TcpState::SynSent));
        });
    }
}

#[test]
fn a_narrower_path_is_used_at_once() {
    // RFC 1191 §6.4, RFC 8201 §5.4: what was too big goes out again, smaller, and nothing is a sign of congestion.
    script(|s| {
        let headers = if s.is_ipv4() { 40 } else { 60 };
        s.established("<mss 1460>");
        s.write(4000);
        let first = s.drain();
        assert_eq!(first[0].len, 1500 - headers);
        s.icmp(Icmp::TooBig(1300), &format!(". 1:{} ack 1", first[0].end()));
        let again = s.drain();
        assert_eq!((again[0].seq, again[0].len), (1, 1300 - headers));
        // The rest of what was in flight did not arrive, either.
        let mut acked = again[0].end();
        while acked < 4001 {
            s.inject(format!(". 1 ack {acked}"));
            let next = s.next_within(secs(2)).expect("the next segment");
            assert!(next.len <= 1300 - headers, "{next}");
            acked = acked.max(if next.seq <= acked { next.end() } else { acked });
            for more in s.drain() {
                assert!(more.len <= 1300 - headers, "{more}");
                if more.seq <= acked {
                    acked = acked.max(more.end());
                }
            }
        }
        s.inject(". 1 ack 4001");
        s.expect_none_for(secs(10));
    });
}

#[test]
fn no_path_is_narrower_than_the_least_mtu() {
    // RFC 1191 §3, RFC 8200 §5: and a wider one, or none at all, changes nothing.
    for said in [0, 68, 575, 576, 1280, 1500, 1501, 65535, u32::MAX] {
        script(|s| {
            let (headers, floor) = if s.is_ipv4() { (40, 576) } else { (60, 1280) };
            let said = if s.is_ipv4() { said & 0xffff } else { said };
            let mtu = said.clamp(floor, 1500) as usize;
            s.established("<mss 1460>");
            s.write(1440);
            s.expect(". 1:1441 ack 1");
            s.icmp(Icmp::TooBig(said), ". 1:1441 ack 1");
            if mtu - headers < 1440 {
                let again = s.drain();
                assert_eq!((again[0].seq, again[0].len), (1, mtu - headers), "{said}");
            } else {
                s.expect_none();
            }
            s.inject(". 1 ack 1441");
            s.expect_none_for(secs(10));
        });
    }
}

#[test]
fn a_path_may_narrow_again_and_again() {
    script(|s| {
        let headers = if s.is_ipv4() { 40 } else { 60 };
        s.established("<mss 1460>");
        s.write(1400);
        let mut first = s.drain().remove(0);
        for mtu in [1450, 1400, 1300, 1280] {
            s.icmp(Icmp::TooBig(mtu), &format!(". 1:{} ack 1", first.end()));
            let again = s.drain();
            if first.len > mtu as usize - headers {
                assert_eq!((again[0].seq, again[0].len), (1, mtu as usize - headers));
                first = again[0].clone();
            }
        }
        s.inject(". 1 ack 1401");
        s.expect_none_for(secs(10));
    });
}

#[test]
fn too_big_about_what_was_not_sent_is_ignored() {
    // RFC 5927 §7: blind attackers do not know the numbers.
    script(|s| {
        s.established("<mss 1460>");
        s.write(1440);
        s.expect(". 1:1441 ack 1");
        for quoted in [". 1441:2881 ack 1", ". -1440:0 ack 1", ". 100000 ack 1"] {
            s.icmp(Icmp::TooBig(1280), quoted);
            s.expect_none();
        }
        s.inject(". 1 ack 1441");
        s.write(1440);
        s.expect(". 1441:2881 ack 1");
        s.inject(". 1 ack 2881");
        assert_eq!(s.stack().stats().discarded(DiscardReason::IgnoredIcmp), 3);
    });
}

#[test]
fn a_black_hole_ends_with_a_time_out() {
    // No router says that segments are too big: RFC 2923 §2.1. Nothing is guessed; the connection ends in time.
    Setup::config(|config| config.retries(4)).run(|s| {
        s.established("<mss 1460>");
        s.write(5000);
        s.after(secs(30));
        s.drain();
        s.read_fails(ErrorKind::TimedOut);
    });
}

#[test]
fn nothing_answers_an_error() {
    // RFC 1122 §3.2.2, RFC 4443 §2.4 e: about no connection, about a RST, in TIME-WAIT.
    script(|s| {
        for error in Icmp::ALL {
            for quoted in [". 1:11 ack 1", "R 1", "S 0"] {
                s.icmp(error, quoted);
                s.expect_none();
            }
        }
        s.established("<mss 1000>");
        s.close();
        s.inject("F 1 ack 2");
        s.drain();
        for error in Icmp::ALL {
            s.icmp(error, "F 1 ack 1");
            s.expect_none();
        }
        assert_eq!(s.stack().stats().time_wait, 1);
    });
}
