//! What smoltcp 0.14 gets wrong about time and its limits, and what is done about it here. Each script passes here and fails on
//! bare smoltcp, behind its crux.

mod script;

use std::io::ErrorKind;
use std::panic::catch_unwind;
use std::time::Duration;

use script::{Script, Setup, ms, script, secs, shield};
use uis_clock::{Instant, VirtualClock};
use uis_stack::{Stack, StackConfig};
use uis_vnic::Vnic;

/// "`poll()` can loop for ever: FIN-WAIT-2 with the zero-window-probe timer armed."
#[test]
fn a_closed_window_in_fin_wait_2_is_no_loop() {
    shield(|s| {
        s.established("<mss 1000>");
        s.write(2000);
        s.close();
        s.expect(". 1:1001 ack 1");
        s.expect(". 1001:2001 ack 1");
        s.expect("F 2001 ack 1");
        s.inject(". 1 ack 1001 win 0");
        s.inject(". 1 ack 2002 win 0");
        s.crux();
        s.expect_none_for(secs(50));
        s.inject("F 1 ack 2002 win 0");
        s.expect(". 2002 ack 2");
    });
}

/// The same where the window is too coarse to hold what was in flight when it closed.
#[test]
fn a_closed_window_in_fin_wait_2_is_no_loop_if_it_is_scaled() {
    for shift in [3, 14] {
        Setup::default().shield(|s| {
            s.established(&format!("<mss 1000,wscale {shift}>"));
            s.write(10);
            s.close();
            s.expect(". 1:11 ack 1");
            s.expect("F 11 ack 1");
            s.inject(". 1 ack 6 win 0");
            s.inject(". 1 ack 12 win 0");
            s.crux();
            s.expect_none_for(secs(50));
            s.inject("F 1 ack 12 win 0");
            s.expect(". 12 ack 2");
        });
    }
}

/// "A device that refuses a transmit token kills a connection." Here a network that is full is waited for.
#[test]
fn a_full_network_loses_nothing() {
    shield(|s| {
        s.established("<mss 1000>");
        s.write(3000);
        assert_eq!(s.drain().len(), 3);
        s.set_full(true);
        for _ in 0..3 {
            s.inject(". 1 ack 1");
        }
        s.after(secs(60));
        s.set_full(false);
        s.crux();
        let again = s.next_within(secs(120)).expect("a retransmission");
        assert_eq!((again.seq, again.len), (1, 1000));
        s.inject(". 1 ack 3001");
        s.drain();
    });
}

/// "When TIME-WAIT ends, unread received data is destroyed and reads look like a reset."
#[test]
fn data_may_be_read_after_time_wait() {
    shield(|s| {
        s.established("<mss 1460>");
        s.close();
        s.expect("F 1 ack 1");
        s.inject(". 1:11 ack 2");
        s.inject("F 11 ack 2");
        s.after(secs(3600));
        s.drain();
        s.crux();
        s.read(10);
        s.read_eof();
    });
}

/// "`set_timeout` kills healthy idle connections; without it, SYNs ... go on for ever." RFC 9293 §3.8.3.
#[test]
fn a_dial_that_nobody_answers_ends() {
    shield(|s| {
        s.connect();
        s.expect("S 0");
        s.after(secs(1000));
        s.crux();
        assert_eq!(s.drain().len(), 6);
        s.connect_fails(ErrorKind::TimedOut);
    });
}

/// The same for retransmissions.
#[test]
fn retransmissions_end() {
    shield(|s| {
        s.established("<mss 1460>");
        s.write(1000);
        s.after(secs(3600));
        s.drain();
        s.crux();
        s.expect_none_for(secs(3600));
        s.read_fails(ErrorKind::TimedOut);
    });
}

/// "Peer shrinks its window to 0 with data in flight, then RTO: no timer left, stalls for ever." RFC 9293 §3.8.6.1.
#[test]
fn a_window_that_closes_over_data_in_flight_is_probed() {
    shield(|s| {
        s.established("<mss 1460>");
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.inject(". 1 ack 1 win 0");
        s.after(secs(30));
        s.drain();
        s.crux();
        // The window opened meanwhile, and the segment that said so got lost.
        let probe = s.next_within(secs(121)).expect("a sign of life");
        assert_eq!(probe.seq, 1);
        s.inject(". 1 ack 1 win 60000");
        s.drain();
        s.inject(". 1 ack 1001");
        s.expect_none_for(secs(60));
    });
}

/// "RTO minimum 1 s." RFC 6298 §2.4 wants that; hosts of today have 200 ms.
#[test]
fn a_time_out_may_be_shorter_than_a_second() {
    shield(|s| {
        s.established("<mss 1460>");
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.after(ms(50));
        s.drain();
        s.crux();
        s.expect_within(ms(200), ". 1:1001 ack 1");
        s.inject(". 1 ack 1001");
    });
}

/// Ten segments in flight, and a round trip of 40 ms.
fn ten_segments(s: &mut Script) {
    s.listen();
    s.inject("S 0 <mss 1000>");
    s.expect("S 0 ack 1");
    s.after(ms(40));
    s.inject(". 1 ack 1");
    s.accept();
    s.write(10_000);
    assert_eq!(s.drain().len(), 10);
}

/// "No NewReno partial-ACK retransmission." RFC 6582 §3.2.
#[test]
fn a_partial_acknowledgment_uncovers_the_next_hole() {
    shield(|s| {
        ten_segments(s);
        for _ in 0..3 {
            s.inject(". 1 ack 1");
        }
        s.expect(". 1:1001 ack 1");
        s.drain(); // smoltcp goes back to the beginning
        s.after(ms(40));
        s.drain();
        s.crux();
        s.inject(". 1 ack 5001");
        s.expect(". 5001:6001 ack 1");
        s.inject(". 1 ack 10001");
        s.expect_none_for(secs(10));
    });
}

/// "No tail-loss probe." After RFC 8985 §7.
#[test]
fn the_lost_end_of_a_flight_is_found_soon() {
    shield(|s| {
        ten_segments(s);
        s.after(ms(40));
        s.inject(". 1 ack 8001");
        s.crux();
        s.expect_within(ms(100), ". 8001:9001 ack 1");
        s.inject(". 1 ack 10001");
    });
}

/// "Without congestion control, a full queue collapses": a sender has to begin with ten segments. RFC 6928.
#[test]
fn a_burst_is_ten_segments() {
    shield(|s| {
        s.established("<mss 1000>");
        s.crux();
        s.write(60_000);
        assert_eq!(s.drain().len(), 10);
    });
}

/// "MTU below 576 panics, some of it remotely": RFC 791 §3.1, RFC 8200 §5.
#[test]
fn an_mtu_that_is_too_small_is_refused() {
    let panics = catch_unwind(|| {
        Setup::default().mtu(39).bare(|s| {
            s.listen();
            s.inject("S 0 <mss 1460>");
            s.expect("S 0 ack 1");
        });
    });
    assert!(panics.is_err() || !cfg!(debug_assertions), "bare smoltcp can do this too");
    let stack = |mtu, addr: &str| {
        let (vnic, _other) = Vnic::pair(mtu, VirtualClock::new().handle())?;
        Stack::new(vnic, [addr.parse().expect("an address")])
    };
    for (mtu, addr) in [(0, "10.0.0.1"), (39, "10.0.0.1"), (575, "10.0.0.1"), (1279, "2001:db8::1")] {
        assert_eq!(stack(mtu, addr).err().map(|e| e.kind()), Some(ErrorKind::InvalidInput), "{mtu} {addr}");
    }
    for (mtu, addr) in [(576, "10.0.0.1"), (1280, "2001:db8::1")] {
        assert!(stack(mtu, addr).is_ok(), "{mtu} {addr}");
    }
}

/// "Buffers above 1 GiB panic."
#[test]
fn buffers_that_are_too_large_are_refused() {
    use smoltcp::socket::tcp::{Socket, SocketBuffer};
    let too_large = (1 << 30) + 1;
    let panics =
        catch_unwind(|| Socket::new(SocketBuffer::new(vec![0; too_large]), SocketBuffer::new(vec![0; 1])));
    assert!(panics.is_err(), "bare smoltcp can do this too");
    for config in
        [StackConfig::default().recv_buffer(too_large), StackConfig::default().send_buffer(too_large)]
    {
        let (vnic, _other) = Vnic::pair(1500, VirtualClock::new().handle()).expect("the MTU is possible");
        let refused = Stack::with_config(vnic, ["10.0.0.1".parse().expect("an address")], config);
        assert_eq!(refused.err().map(|e| e.kind()), Some(ErrorKind::InvalidInput));
    }
}

/// "Clock near its limits panics": here time saturates.
#[test]
fn the_end_of_time_is_survived() {
    script(|s| {
        s.after(Duration::from_nanos(u64::MAX - 1_000_000_000));
        s.established("<mss 1460>");
        s.write(1000);
        s.expect(". 1:1001 ack 1");
        s.inject(". 1:11 ack 1001");
        s.read(10);
        s.after(secs(3600));
        assert_eq!(s.now(), Instant::MAX);
        s.drain();
        s.write(1000);
        s.expect(". 1001:2001 ack 11");
        s.close();
        s.expect("F 2001 ack 11");
        s.inject("F 11 ack 2002");
        s.drain();
        s.read_eof();
    });
}
