//! The window that we offer: how large it is, how it grows, and what passes it when it is closed: RFC 9293 §3.8.6 and
//! §3.10.7.4, RFC 7323 §2.

mod script;

use std::io::ErrorKind;

use script::{Script, Setup, ms, script, secs};

#[test]
fn our_window_is_scaled_after_the_handshake() {
    // RFC 7323 §2.3: 1 MiB, shifted by 5.
    script(|s| {
        s.connect();
        s.expect("S 0 win 65535 <wscale 5>");
        s.inject("S 0 ack 1 <mss 1000,wscale 7>");
        s.expect(". 1 ack 1 win 32768");
        s.connected();
    });
}

#[test]
fn our_window_never_shrinks() {
    // RFC 9293 §3.8.6: the right edge does not move to the left.
    Setup::config(|config| config.recv_buffer(20_000)).run(|s| {
        s.established("<mss 1460>");
        let mut edge = 0;
        let mut seq = 1;
        for n in 0..200 {
            let len = 1 + n * 37 % 1400;
            s.inject(format!(". {seq}:{} ack 1", seq + len));
            seq += len;
            let half = s.read_up_to(if n % 3 == 0 { 2000 } else { 10 });
            s.after(ms(if n % 2 == 0 { 10 } else { 0 }));
            for ack in s.drain() {
                let right = ack.ack.unwrap() + i64::from(ack.win.unwrap());
                assert!(right >= edge, "after {n}, having read {half}");
                edge = right;
            }
            seq = seq.min(edge.max(1));
        }
    });
}

#[test]
fn our_closed_window_answers_probes() {
    Setup::config(|config| config.recv_buffer(1000)).run(|s| {
        s.established("<mss 1000>");
        s.inject(". 1:1001 ack 1");
        s.expect_after(ms(10), ". 1 ack 1001 win 0");
        for _ in 0..5 {
            s.inject(". 1001:1002 ack 1");
            s.expect(". 1 ack 1001 win 0");
        }
        s.read(1000);
        s.expect(". 1 ack 1001 win 1000");
    });
}

#[test]
fn a_closed_window_lets_acknowledgments_in() {
    // RFC 9293 §3.10.7.4: "special allowance should be made to accept valid ACKs, URGs, and RSTs".
    Setup::config(|config| config.recv_buffer(1000)).run(|s| {
        s.established("<mss 1000>");
        s.inject(". 1:1001 ack 1");
        s.expect_after(ms(10), ". 1 ack 1001 win 0");
        s.write(1000);
        s.expect(". 1:1001 ack 1001");
        s.inject(". 1001:1101 ack 1001");
        s.expect(". 1001 ack 1001 win 0");
        s.expect_none_for(secs(10));
        s.inject("R 1001");
        s.read(1000);
        s.read_fails(ErrorKind::ConnectionReset);
    });
}

#[test]
fn time_wait_keeps_the_window_that_was_offered() {
    // RFC 9293 §3.8.6: the right edge does not move to the left. Linux and FreeBSD remember the window, too.
    for (buffer, options, window) in [
        (10_000, "<mss 1460>", 9_899),
        (1 << 20, "<mss 1460>", 65_535),
        (1 << 20, "<mss 1460,wscale 7>", 32_764),
    ] {
        Setup::config(|config| config.recv_buffer(buffer)).run(|s| {
            s.established(options);
            s.close();
            s.expect("F 1 ack 1");
            s.inject("F 1:101 ack 2");
            s.expect(format!(". 2 ack 102 win {window}"));
            assert_eq!(s.stack().stats().time_wait, 1);
            for late in ["F 1:101 ack 2", ". 1:101 ack 2", "S 0"] {
                s.inject(late);
                s.expect(format!(". 2 ack 102 win {window}"));
            }
            // Nobody listens for the one that may open a new connection.
            s.stop_listening();
            s.inject("S 1000");
            s.expect(format!(". 2 ack 102 win {window}"));
        });
    }
}

#[test]
fn no_small_step_of_the_window_is_told() {
    // RFC 9293 §3.8.6.2.2: by a segment, or half of the buffer, at least.
    Setup::config(|config| config.recv_buffer(10_000)).run(|s| {
        s.established("<mss 1460>");
        for n in 0..10 {
            s.inject(format!(". {}:{} ack 1", 1 + n * 1000, 1001 + n * 1000));
        }
        s.after(ms(20));
        s.drain();
        for _ in 0..14 {
            s.read(100);
            s.expect_none();
        }
        s.read(100);
        s.expect(". 1 ack 10001 win 1500");
    });
}

#[test]
fn no_step_is_told_that_the_scale_cannot_say() {
    // RFC 7323 §2.3: 4 MiB are told in units of 128 bytes, and here that is more than a segment.
    const LEN: i64 = 32 << 10;
    Setup::config(|config| config.recv_buffer(4 << 20)).mtu(65_535).run(|s| {
        s.established("<mss 88,wscale 0>");
        for n in 0..(4 << 20) / LEN {
            s.inject(format!(". {}:{} ack 1", 1 + n * LEN, 1 + (n + 1) * LEN));
        }
        s.after(ms(20));
        assert_eq!(s.drain().last().and_then(|ack| ack.win), Some(0));
        s.read(100);
        s.expect_none();
        s.read(28);
        s.expect(". 1 ack 4194305 win 1");
    });
}

#[test]
fn a_window_that_is_still_to_be_told_is_what_is_free() {
    Setup::config(|config| config.recv_buffer(10_000)).run(|s| {
        let window = |s: &mut Script| s.stack().connections()[0].recv_window;
        s.established("<mss 1460>");
        for n in 0..10 {
            s.inject(format!(". {}:{} ack 1", 1 + n * 1000, 1001 + n * 1000));
        }
        s.after(ms(20));
        s.drain();
        assert_eq!(window(s), 0);
        s.set_full(true);
        s.write(100); // is refused, and from here on nothing is sent before there is room
        s.read(4000);
        assert_eq!(window(s), 4000);
        s.set_full(false);
        s.drain();
        assert_eq!(window(s), 4000);
    });
}
