//! What is due happens when it is due, also if the timer that is set is that of something else and perhaps no longer needed:
//! RFC 6298, RFC 8985, RFC 9293 §3.8.4.

mod script;

use script::{Setup, ms, secs};
use uis_stack::{Congestion, Keepalive, StackConfig};

/// Acknowledgments may wait for half a second.
fn late(config: StackConfig) -> StackConfig {
    config.delayed_ack(Some(ms(500))).rto_bounds(secs(1), secs(2))
}

#[test]
fn a_retransmission_does_not_wait_for_an_acknowledgment() {
    // Karn's algorithm: no round trip was measured, so the time-out is the initial one, doubled, which is the shorter one here.
    Setup::config(|config| late(config).initial_rto(ms(50))).run(|s| {
        s.connect();
        s.expect("S 0");
        s.expect_after(ms(50), "S 0");
        s.inject("S 0 ack 1 win 65535 <mss 1000>");
        s.expect(". 1 ack 1");
        s.connected();
        s.inject(". 1:101 ack 1");
        s.expect_none_for(ms(10));
        s.write(10);
        s.expect(". 1:11 ack 101");
        s.expect_after(ms(100), ". 1:11 ack 101");
    });
}

#[test]
fn nor_does_a_probe_for_what_is_lost() {
    // Two round trips, which took no time, and as long as a peer may wait before it acknowledges.
    Setup::config(late).run(|s| {
        s.established("<mss 1000>");
        s.write(500);
        s.expect(". 1:501 ack 1");
        s.expect_none_for(ms(450));
        s.inject(". 1:101 ack 1");
        s.expect_none_for(ms(10));
        s.write(1500);
        s.expect(". 501:1501 ack 101");
        s.expect(". 1501:2001 ack 101");
        s.expect_after(ms(40), ". 1:1001 ack 101");
    });
}

#[test]
fn nor_does_a_keep_alive() {
    Setup::config(late).run(|s| {
        s.established("<mss 1000>");
        s.inject(". 1:101 ack 1");
        s.expect_none_for(ms(10));
        s.stream().set_keepalive(Some(Keepalive::after(ms(100)))).unwrap();
        s.expect_after(ms(100), ". 0 ack 101");
    });
}

#[test]
fn an_orphan_has_its_time_however_much_it_sends_again() {
    // More than goes to the network at once, so that in one go two deadlines are found: first the end of the orphan, for while
    // there is no room for more, nobody knows the next retransmission; and then that.
    Setup::config(|config| config.congestion(Congestion::None)).run(|s| {
        s.established("<mss 48>");
        s.write(8000);
        s.drop_stream();
        s.after(secs(59));
        assert_eq!(s.stack().connections().len(), 1);
        s.after(secs(2));
        assert_eq!(s.stack().connections().len(), 0);
        s.drain();
    });
}
