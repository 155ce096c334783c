//! What happens when nobody answers, and when.

mod common;

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;

use common::*;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// A path that can be cut, and that notes when what was sent and whether it was cut then.
#[derive(Clone, Default)]
struct Cable {
    cut: Rc<Cell<bool>>,
    lost: Rc<RefCell<Vec<(Instant, Seen)>>>,
}

impl Cable {
    fn path(&self) -> impl FnMut(&Internet, Frame) + 'static {
        let this = self.clone();
        move |internet, frame| {
            if this.cut.get() {
                this.lost.borrow_mut().push((frame.sent_at().unwrap(), look(&frame).unwrap()));
            } else {
                let _ = internet.deliver(frame);
            }
        }
    }

    /// Takes out what was sent again before the least time-out of 200 ms: the one loss probe (RFC 8985 §7).
    fn forget_loss_probe(&self, start: Instant) {
        let mut lost = self.lost.borrow_mut();
        let early = |at: Instant| at > start && at - start < ms(200);
        assert!(lost.iter().filter(|(at, _)| early(*at)).count() <= 1, "one probe, and then the timer");
        lost.retain(|(at, _)| !early(*at));
    }

    /// The times since `start` of what was lost, in milliseconds.
    fn lost_ms(&self, start: Instant) -> Vec<u64> {
        self.lost.borrow().iter().map(|(at, _)| (*at - start).as_millis() as u64).collect()
    }
}

#[test]
fn syns_are_sent_again_with_growing_patience() {
    for (config, times, end) in [
        (StackConfig::default(), &[0, 1000, 3000, 7000, 15_000, 31_000, 63_000][..], 127_000),
        (StackConfig::default().syn_retries(2), &[0, 1000, 3000], 7000),
        (StackConfig::default().syn_retries(0), &[0], 1000),
        (StackConfig::default().syn_retries(3).initial_rto(ms(300)), &[0, 300, 900, 2100], 4500),
        (StackConfig::default().syn_retries(3).rto_bounds(ms(200), ms(1500)), &[0, 1000, 2500, 4000], 5500),
    ] {
        for at in AT {
            let cable = Cable::default();
            cable.cut.set(true);
            Lab::new(1).client(config.clone()).path(cable.path()).run(async |net| {
                let error = net.client.dial_tcp(at).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                let syns = format!("{} SYN", times.len());
                assert!(error.to_string().contains(&syns), "{error}");
                assert_eq!(net.now() - Instant::ZERO, ms(end));
                assert_eq!(cable.lost_ms(Instant::ZERO), times);
                assert!(cable.lost.borrow().iter().all(|(_, seen)| seen.flags == SYN && seen.payload == 0));
                net.assert_no_flows();
            });
        }
    }
}

#[test]
fn a_dial_succeeds_once_somebody_answers() {
    let cable = Cable::default();
    cable.cut.set(true);
    Lab::new(1).path(cable.path()).run(async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let mending = async {
            net.sleep(secs(10)).await;
            cable.cut.set(false);
        };
        let ((a, b), ()) = zip(connect(&listener, &net.client), mending).await;
        assert_eq!(net.now(), Instant::ZERO + secs(15), "the SYN of 15 s is the first to get through");
        exchange(a, b, 100_000).await;
    });
}

#[test]
fn a_connector_gives_up_when_told_to() {
    let cable = Cable::default();
    cable.cut.set(true);
    Lab::new(1).path(cable.path()).run(async |net| {
        let connector = Connector::new(&net.client).timeout(ms(2500));
        assert_eq!(kind(connector.dial_tcp(AT[0]).await), ErrorKind::TimedOut);
        assert_eq!(net.now() - Instant::ZERO, ms(2500));
        net.assert_no_flows();
        net.sleep(secs(60)).await;
        assert_eq!(cable.lost_ms(Instant::ZERO), [0, 1000], "and then it is silent");
    });
}

#[test]
fn a_half_open_connection_has_a_lifetime() {
    // The client's SYN gets through, and nothing after that.
    let syn_acks = Rc::new(Cell::new(0));
    let path = {
        let syn_acks = syn_acks.clone();
        let mut syns = 0;
        move |internet: &Internet, frame: Frame| match look(&frame).unwrap().flags {
            SYN if syns == 0 => {
                syns += 1;
                internet.deliver(frame).unwrap();
            }
            flags => syn_acks.set(syn_acks.get() + u32::from(flags == SYN | ACK)),
        }
    };
    let config = StackConfig::default().half_open_lifetime(secs(20));
    Lab::new(1).config(config).path(path).run(async |net| {
        let listener = net.server.listen_tcp(AT[0]).unwrap();
        let _ = net.internet.clock().timeout(ms(10), net.client.dial_tcp(AT[0])).await;
        assert_eq!(net.server.connections()[0].state, TcpState::SynReceived);
        net.sleep(secs(19)).await;
        assert_eq!(net.server.stats().connections, 1);
        net.sleep(secs(2)).await;
        net.assert_no_flows();
        assert_eq!(syn_acks.get(), 5, "at 0, 1, 3, 7 and 15 s");
        assert!(would_wait(listener.accept()));
    });
}

#[test]
fn a_peer_that_goes_silent_times_the_writer_out() {
    let config = StackConfig::default().retries(4);
    let cable = Cable::default();
    Lab::new(1).config(config).path(cable.path()).run(async |net| {
        let (_a, mut b) = net.connect(AT[0]).await;
        net.sleep(secs(1)).await;
        cable.cut.set(true);
        let start = net.now();
        b.write_all(b"anybody?").await.unwrap();
        assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::TimedOut);
        cable.forget_loss_probe(start);
        // The round trip is nothing, so the time-out begins at its floor of 200 ms and doubles.
        assert_eq!(cable.lost_ms(start)[..5], [0, 200, 600, 1400, 3000]);
        assert_eq!(net.now() - start, ms(6200));
        assert_eq!(kind(b.write(b"x").await), ErrorKind::TimedOut);
        let lost = cable.lost.borrow();
        assert!(lost[..5].iter().all(|(_, seen)| seen.payload == 8 && seen.seq == lost[0].1.seq));
        assert_eq!(net.client.stats().connections, 0);
    });
}

#[test]
fn the_default_patience_is_fifteen_retransmissions() {
    let cable = Cable::default();
    Lab::new(1).path(cable.path()).run(async |net| {
        let (_a, mut b) = net.connect(AT[0]).await;
        net.sleep(secs(1)).await;
        cable.cut.set(true);
        let start = net.now();
        b.write_all(b"anybody?").await.unwrap();
        assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::TimedOut);
        cable.forget_loss_probe(start);
        let sent = cable.lost.borrow().iter().filter(|(_, seen)| seen.payload > 0).count();
        assert_eq!(sent, 16);
        // 200 ms doubled up to 102.4 s is 204.6 s, and then 120 s each: Linux's 924.6 s.
        assert_eq!(net.now() - start, ms(924_600));
    });
}

#[test]
fn a_lost_segment_is_sent_again_and_the_stream_goes_on() {
    let cable = Cable::default();
    Lab::new(1).path(cable.path()).run(async |net| {
        let (mut a, mut b) = net.connect(AT[0]).await;
        net.sleep(secs(1)).await;
        cable.cut.set(true);
        let start = net.now();
        b.write_all(b"lost").await.unwrap();
        net.sleep(ms(500)).await;
        cable.cut.set(false);
        let mut buf = [0; 8];
        assert_eq!(a.read(&mut buf).await.unwrap(), 4);
        assert_eq!(net.now() - start, ms(600));
        cable.forget_loss_probe(start);
        assert_eq!(cable.lost_ms(start), [0, 200]);
        assert!(net.client.connections()[0].retransmits >= 2);
        // One that got through sets the patience back.
        b.write_all(b"fine").await.unwrap();
        assert_eq!(a.read(&mut buf).await.unwrap(), 4);
        net.sleep(ms(50)).await;
        assert_eq!(net.client.connections()[0].rto, ms(200));
    });
}

#[test]
fn keep_alive_finds_out_that_an_idle_peer_is_dead() {
    let mut keepalive = Keepalive::after(secs(100));
    (keepalive.interval, keepalive.probes) = (secs(10), 3);
    for (after, last_heard) in [(0, 0), (1050, 1000)] {
        let cable = Cable::default();
        let config = StackConfig::default().keepalive(Some(keepalive));
        Lab::new(1).client(config).path(cable.path()).run(async |net| {
            let (_a, mut b) = net.connect(AT[0]).await;
            // While the peer answers its probes the connection may be idle for as long as it likes.
            net.sleep(secs(after)).await;
            assert_eq!(net.client.stats().connections, 1);
            cable.cut.set(true);
            assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::TimedOut);
            let last_heard = Instant::from_secs(last_heard);
            assert_eq!(net.now() - last_heard, secs(130));
            assert_eq!(cable.lost_ms(last_heard)[..3], [100_000, 110_000, 120_000]);
            assert!(cable.lost.borrow()[..3].iter().all(|(_, seen)| seen.flags == ACK && seen.payload == 0));
            assert_eq!(net.client.stats().connections, 0);
            // The peer, which has no keep-alive, waits on.
            assert_eq!(net.server.stats().connections, 1);
        });
    }
}

#[test]
fn keep_alive_can_be_switched_on_and_off() {
    let cable = Cable::default();
    Lab::new(1).path(cable.path()).run(async |net| {
        let (_a, mut b) = net.connect(AT[0]).await;
        cable.cut.set(true);
        let mut keepalive = Keepalive::after(secs(10));
        (keepalive.interval, keepalive.probes) = (secs(1), 2);
        b.set_keepalive(Some(keepalive)).unwrap();
        assert_eq!(b.keepalive().unwrap(), Some(keepalive));
        net.sleep(ms(11_500)).await;
        assert_eq!(cable.lost.borrow().len(), 2);
        b.set_keepalive(None).unwrap();
        net.sleep(secs(3600)).await;
        assert_eq!(cable.lost.borrow().len(), 2);
        b.set_keepalive(Some(keepalive)).unwrap();
        let start = net.now();
        assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::TimedOut);
        assert_eq!(net.now() - start, secs(12));
    });
}

#[test]
fn keep_alive_resets_a_peer_that_was_reborn() {
    lab(1, async |net| {
        let (a, mut b) = net.connect(AT[0]).await;
        b.set_keepalive(Some(Keepalive::after(secs(10)))).unwrap();
        // The server loses its state without a word.
        net.internet.remove_route([ip(CLIENT[0])]);
        a.abort();
        net.sleep(secs(1)).await;
        net.internet.add_route(net.client.vnic(), [ip(CLIENT[0])]).unwrap();
        let start = net.now();
        assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::ConnectionReset);
        assert_eq!(net.now() - start, secs(9));
    });
}

#[test]
fn an_idle_connection_needs_nothing_for_a_day() {
    let packets = Rc::new(Cell::new(0));
    let path = {
        let packets = packets.clone();
        move |internet: &Internet, frame| {
            packets.set(packets.get() + 1);
            let _ = internet.deliver(frame);
        }
    };
    Lab::new(1).path(path).run(async |net| {
        let (a, b) = net.connect(AT[0]).await;
        exchange_one(&a, &b).await;
        net.sleep(secs(1)).await;
        let before = packets.get();
        net.sleep(secs(23 * 3600)).await;
        assert_eq!(packets.get(), before);
        exchange_one(&b, &a).await;
    });
}

async fn exchange_one(mut a: &TcpStream, mut b: &TcpStream) {
    a.write_all(b"x").await.unwrap();
    assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 1);
}

#[test]
fn a_reader_that_sleeps_for_minutes_stops_the_writer_and_loses_nothing() {
    for at in AT {
        let probes = Rc::new(RefCell::new(Vec::new()));
        let path = {
            let probes = probes.clone();
            move |internet: &Internet, frame: Frame| {
                let seen = look(&frame).unwrap();
                if seen.payload == 1 && internet.clock().now() < Instant::from_secs(600) {
                    probes.borrow_mut().push(frame.sent_at().unwrap());
                }
                let _ = internet.deliver(frame);
            }
        };
        let config = StackConfig::default().recv_buffer(10_000).send_buffer(30_000);
        Lab::new(1).config(config).path(path).run(async |net| {
            let (mut a, b) = net.connect(at).await;
            let data = noise(1, 200_000);
            let reading = async {
                net.sleep(secs(600)).await;
                let closed = net.client.connections();
                assert_eq!(closed[0].peer_window, 0);
                assert_eq!(closed[0].send_queue, 30_000);
                let mut got = vec![0; 1];
                a.read_exact(&mut got).await.unwrap();
                got.extend(receive(&mut a).await.unwrap());
                got
            };
            let (sent, got) = zip(send(&b, &data), reading).await;
            sent.unwrap();
            assert!(got == data);
            assert!(net.now() - Instant::ZERO < secs(605), "it goes on at once");
            // RFC 9293 §3.8.6.1: probes, at growing intervals, and they are no retransmissions.
            let probes = probes.borrow();
            assert!((5..=60).contains(&probes.len()), "{probes:?}");
            let gaps: Vec<_> = probes.windows(2).map(|two| two[1] - two[0]).collect();
            assert!(gaps.windows(2).all(|two| two[0] <= two[1]), "{gaps:?}");
        });
    }
}

#[test]
fn a_window_update_that_is_lost_is_made_up_by_a_probe() {
    let lose = Rc::new(Cell::new(false));
    let path = {
        let lose = lose.clone();
        move |internet: &Internet, frame: Frame| {
            let update = look(&frame).unwrap().src.port() == 80;
            if !(lose.get() && update) {
                let _ = internet.deliver(frame);
            }
        }
    };
    let config = StackConfig::default().recv_buffer(10_000);
    Lab::new(1).config(config).path(path).run(async |net| {
        let (mut a, b) = net.connect(AT[0]).await;
        let data = noise(1, 50_000);
        let reading = async {
            net.sleep(secs(10)).await;
            lose.set(true);
            let mut got = vec![0; 10_000];
            a.read_exact(&mut got).await.unwrap();
            net.sleep(ms(1)).await;
            lose.set(false);
            got.extend(receive(&mut a).await.unwrap());
            got
        };
        let (sent, got) = zip(send(&b, &data), reading).await;
        sent.unwrap();
        assert!(got == data);
        assert!(net.now() - Instant::ZERO < secs(60), "{:?}", net.now());
    });
}

#[test]
fn a_window_that_stays_shut_and_a_peer_that_is_gone_time_out() {
    let cable = Cable::default();
    let config = StackConfig::default().recv_buffer(10_000).retries(5);
    Lab::new(1).config(config).path(cable.path()).run(async |net| {
        let (_a, mut b) = net.connect(AT[0]).await;
        b.write_all(&[7; 20_000]).await.unwrap();
        net.sleep(secs(10)).await;
        assert_eq!(net.client.connections()[0].peer_window, 0);
        cable.cut.set(true);
        let start = net.now();
        assert_eq!(kind(b.read(&mut [0; 8]).await), ErrorKind::TimedOut);
        assert!(net.now() - start < secs(600), "{:?}", net.now() - start);
        assert!(cable.lost.borrow().len() >= 5, "{:?} {:?}", cable.lost_ms(start), net.now() - start);
    });
}

#[test]
fn delayed_acknowledgments_can_be_switched_off() {
    for (delayed_ack, expected) in [(Some(ms(10)), ms(10)), (None, ms(0)), (Some(ms(40)), ms(40))] {
        let acks = Rc::new(RefCell::new(Vec::new()));
        let path = {
            let acks = acks.clone();
            move |internet: &Internet, frame: Frame| {
                let seen = look(&frame).unwrap();
                if seen.src.port() == 80 && seen.flags == ACK {
                    acks.borrow_mut().push(frame.sent_at().unwrap());
                }
                let _ = internet.deliver(frame);
            }
        };
        let config = StackConfig::default().delayed_ack(delayed_ack);
        Lab::new(1).config(config).path(path).run(async |net| {
            let (_a, mut b) = net.connect(AT[0]).await;
            net.sleep(secs(1)).await;
            let start = net.now();
            b.write_all(b"x").await.unwrap();
            net.sleep(secs(1)).await;
            let acks: Vec<_> = acks.borrow().iter().map(|&at| at - start).collect();
            assert_eq!(acks, [expected]);
        });
    }
}

#[test]
#[should_panic(expected = "nobody has slept for 30 days")]
fn two_sides_that_only_write_are_told_of_without_a_simulation() {
    let clock = VirtualClock::new();
    let internet = Internet::builder().clock(&clock).build();
    let [server, client] = [SERVER, CLIENT]
        .map(|addrs| internet.new_stack_with(MTU_ETHERNET, addrs.map(ip), StackConfig::small()).unwrap());
    let talk = async {
        let listener = server.listen_tcp(AT[0]).unwrap();
        let (mut a, mut b) = connect(&listener, &client).await;
        let data = noise(1, 1 << 20);
        zip(a.write_all(&data), b.write_all(&data)).await
    };
    // They would probe each other's window every other minute, for ever.
    let _ = clock.block_on(internet.route_until(talk, Internet::deliver));
}
