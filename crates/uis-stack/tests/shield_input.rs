//! What smoltcp 0.14 gets wrong about what arrives, and what stands before it here. Each script passes here and fails on bare
//! smoltcp, behind its crux.

mod script;

use std::net::IpAddr;

use script::{Setup, ms, script, secs, shield};
use uis_stack::DiscardReason;

/// "The window in a SYN is unscaled but later checked as if scaled": until the first other segment, data beyond the buffer is
/// accepted. RFC 7323 §2.2.
#[test]
fn the_window_of_our_syn_is_not_scaled() {
    Setup::default().buffers(100_000, 100_000).shield(|s| {
        s.established("<mss 1460,wscale 7>");
        s.crux();
        s.inject(". 99991:100011 ack 1");
        s.expect(". 1 ack 1");
        for n in 0..100 {
            s.inject(format!(". {}:{} ack 1", 1 + 1000 * n, 1001 + 1000 * n));
            s.read(1000);
        }
        s.inject(". 100001:100011 ack 1");
        s.read(10);
        s.after(ms(10));
        s.drain();
    });
}

/// "FIN on a segment that overruns the window is processed though its data was trimmed": a truncated stream ends like a whole
/// one. RFC 9293 §3.10.7.4.
#[test]
fn a_fin_beyond_the_window_is_trimmed_with_its_data() {
    Setup::default().buffers(1000, 1000).shield(|s| {
        s.established("<mss 1460>");
        s.crux();
        s.inject("F 1:1301 ack 1");
        s.read(1000);
        s.read_none();
        s.drain();
        s.inject("F 1001:1301 ack 1");
        s.read(300);
        s.read_eof();
        s.drain();
    });
}

/// "A SYN to a broadcast or multicast address closes the listener." RFC 9293 §3.9.2.3.
#[test]
fn a_syn_to_everybody_is_dropped() {
    shield(|s| {
        let everybody: IpAddr =
            if s.is_ipv4() { [255; 4].into() } else { "ff02::1".parse().expect("an address") };
        s.listen();
        s.crux();
        s.inject_between(s.peer(), everybody, "S 0 <mss 1460>");
        s.expect_none();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1");
        s.accept();
    });
}

/// "Any RST inside the window kills the connection." RFC 5961 §3.2.
#[test]
fn a_reset_in_the_window_is_challenged() {
    shield(|s| {
        s.established("<mss 1460>");
        s.crux();
        s.inject("R 100");
        s.expect(". 1 ack 1");
        s.inject(". 1:11 ack 1");
        s.read(10);
        s.expect_after(ms(10), ". 1 ack 11");
    });
}

/// "A SYN in a synchronized state is dropped silently." RFC 5961 §4.2: a challenge ACK, wherever it is.
#[test]
fn a_syn_in_a_connection_is_challenged() {
    shield(|s| {
        s.established("<mss 1460>");
        s.crux();
        s.inject("S 100");
        s.expect(". 1 ack 1");
    });
}

/// "A data segment that carries an old ACK is dropped with its payload." RFC 9293 §3.10.7.4, fifth step.
#[test]
fn data_with_an_old_acknowledgment_is_taken() {
    shield(|s| {
        s.established("<mss 1460>");
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.inject(". 1 ack 1001");
        s.crux();
        s.inject(". 1:101 ack 500");
        s.read(100);
        s.expect_after(ms(10), ". 1001 ack 101");
    });
}

/// "A reordered older segment overwrites the window." RFC 9293 §3.10.7.4: only if SND.WL1 and SND.WL2 say that it is newer.
#[test]
fn an_older_segment_does_not_set_the_window_back() {
    shield(|s| {
        s.established("<mss 1000>");
        s.inject(". 11:21 ack 1 win 60000");
        s.expect(". 1 ack 1");
        s.inject(". 1:11 ack 1 win 0");
        s.expect(". 1 ack 21");
        s.crux();
        s.write(1000);
        s.expect(". 1:1001 ack 21");
    });
}

/// "Source and destination are never checked": RFC 1122 §3.2.1.3, RFC 4291 §2.5.
#[test]
fn impossible_sources_get_no_answer() {
    shield(|s| {
        let sources: &[&str] = if s.is_ipv4() {
            &["127.0.0.1", "240.0.0.1", "0.0.0.1", "10.0.0.1"]
        } else {
            &["::1", "::ffff:10.0.0.2", "2001:db8::1"]
        };
        s.listen();
        s.crux();
        for source in sources {
            s.inject_between(source.parse().expect("an address"), s.local(), "S 0 <mss 1460>");
            s.expect_none();
        }
    });
}

#[test]
fn impossible_sources_are_counted() {
    script(|s| {
        s.listen();
        for source in ["127.0.0.1", "255.255.255.255", "224.0.0.1", "0.0.0.0", "::", "ff02::1", "::1"] {
            let source: IpAddr = source.parse().expect("an address");
            if source.is_ipv4() == s.is_ipv4() {
                s.inject_between(source, s.local(), "S 0 <mss 1460>");
            }
        }
        s.inject_between(s.local(), s.local(), "S 0 <mss 1460>"); // a "land" packet
        let stats = s.stack().stats();
        let bad = if s.is_ipv4() { 4 } else { 3 };
        assert_eq!(stats.discarded(DiscardReason::BadSource), bad);
        assert_eq!(stats.discarded(DiscardReason::OwnSource), 1);
    });
}

/// "Only 4 out-of-order holes by default; a further one is dropped without an ACK." Here it is 32, and what finds no place is
/// sent again by the peer.
#[test]
fn more_holes_than_there_is_room_for() {
    script(|s| {
        s.established("<mss 1460>");
        for n in 0..32 {
            s.inject(format!(". {}:{} ack 1", 101 + 200 * n, 201 + 200 * n));
            assert!(s.drain().iter().all(|answer| answer.ack == Some(1)));
        }
        for n in 32..50 {
            s.inject(format!(". {}:{} ack 1", 101 + 200 * n, 201 + 200 * n));
        }
        s.drain();
        for n in 0..32 {
            s.inject(format!(". {}:{} ack 1", 1 + 200 * n, 101 + 200 * n));
        }
        // At least 31 of the segments between are there.
        assert!(s.drain().last().and_then(|answer| answer.ack) >= Some(1 + 200 * 31));
        for n in 0..100 {
            s.inject(format!(". {}:{} ack 1", 1 + 100 * n, 101 + 100 * n));
        }
        s.read(10_000);
        s.after(ms(10));
        assert_eq!(s.drain().last().and_then(|answer| answer.ack), Some(10_001));
    });
}

/// "`close()` in SYN-RECEIVED: FIN never sent." Here nobody has a stream to close before the handshake is complete, and what is
/// closed at once then ends as it should.
#[test]
fn closing_at_once_sends_the_fin() {
    Setup::default().bare(|s| {
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.close();
        s.inject(". 1 ack 1");
        s.expect_none_for(secs(600));
    });
    script(|s| {
        s.established("<mss 1460>");
        s.close();
        s.expect("F 1 ack 1");
        s.inject("F 1 ack 2");
        s.expect(". 2 ack 2");
        s.read_eof();
    });
    script(|s| {
        // Who lets go of a connection that nobody has accepted yet resets it, and says so.
        s.listen();
        s.inject("S 0 <mss 1460>");
        s.expect("S 0 ack 1");
        s.stop_listening();
        assert_eq!(s.drain().last().map(|reset| (reset.flags, reset.seq)), Some((script::RST, 1)));
        s.inject(". 1 ack 1");
        s.expect("R 1");
        assert_eq!(s.stack().connections().len(), 0);
    });
}

/// Bytes may follow a FIN that came with a closed window, or never; nothing of it reaches the reader.
#[test]
fn nothing_follows_a_fin() {
    shield(|s| {
        s.established("<mss 1460>");
        s.inject("F 1:11 ack 1");
        s.read(10);
        s.read_eof();
        s.after(ms(10));
        s.drain();
        s.crux();
        s.inject(". 12:22 ack 1");
        s.read_eof();
        s.drain();
        s.inject("R 12");
        s.read_eof(); // only writers are told
    });
}

/// "Three duplicates make a segment as long as the path takes", beyond the window and beyond what was sent. RFC 9293 §3.8.6.
#[test]
fn a_fast_retransmit_keeps_to_the_window() {
    shield(|s| {
        s.listen();
        s.inject("S 0 win 999 <mss 1460>");
        s.expect("S 0 ack 1");
        s.inject(". 1 ack 1 win 500");
        s.accept();
        s.write(5000);
        s.expect(". 1:501 ack 1");
        s.crux();
        for _ in 0..3 {
            s.inject(". 1 ack 1 win 500");
        }
        s.expect(". 1:501 ack 1");
    });
}

/// "Data with PSH gets no RST in SYN-SENT": a peer that still has an earlier connection would not learn that it is gone.
/// RFC 9293 §3.5.1, figure 9.
#[test]
fn a_stale_connection_of_the_peers_is_reset() {
    shield(|s| {
        s.connect();
        s.expect("S 0");
        s.crux();
        s.inject("P 1:11 ack 500");
        s.expect("R 500");
    });
}
