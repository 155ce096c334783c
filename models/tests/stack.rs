//! A stack that several threads use while it opens, closes and is dropped.

use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use shuttle::future::block_on;
use shuttle::thread;
use uis_models::{Lab, model, poll};

/// No order of the locks makes two threads wait for each other, and whoever waits is told.
#[test]
fn closing_amid_writes_reads_dials_and_deliveries() {
    model(|| {
        let lab = Lab::new(64);
        let (listener, a, b) = lab.connect();
        let writer = {
            let mut b = b.clone();
            // More than the buffers hold, so it ends by the close if not before.
            thread::spawn(move || block_on(b.write_all(&[1; 20_000])).unwrap_err())
        };
        let reader = {
            let mut b = b.clone();
            thread::spawn(move || block_on(b.read(&mut [0; 10])).unwrap_err())
        };
        let dialler = {
            let server = lab.server.clone();
            thread::spawn(move || drop(poll(&mut server.dial_tcp("10.0.0.2:81"))))
        };
        let closer = {
            let client = lab.client.clone();
            thread::spawn(move || client.close())
        };
        lab.settle();
        closer.join().unwrap();
        writer.join().unwrap();
        reader.join().unwrap();
        dialler.join().unwrap();
        assert_eq!(lab.client.stats().connections, 0);
        drop((a, listener));
        lab.server.close();
        assert_eq!(lab.server.stats().connections, 0);
    });
}

/// The last handles are dropped by several threads at once: the stack ends, and its address is free again.
#[test]
fn the_last_handles_go_at_once() {
    model(|| {
        let lab = Lab::new(64);
        let (listener, a, b) = lab.connect();
        drop((a, b, listener));
        lab.settle();
        let vnic = lab.server.vnic().clone();
        let socket = lab.server.listen_udp("10.0.0.1:53").unwrap();
        let clone = lab.server.clone();
        let Lab { clock, internet, in_flight, server, client } = lab;
        let threads = [
            thread::spawn(move || drop(server)),
            thread::spawn(move || drop(clone)),
            thread::spawn(move || drop(socket)),
        ];
        while let Some(frame) = in_flight.try_recv() {
            let _ = internet.deliver(frame);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        clock.advance(Duration::from_secs(100)); // TIME-WAIT, if it was this side's
        assert!(vnic.is_closed());
        internet.new_stack(1500, ["10.0.0.1".parse().unwrap()]).unwrap();
        drop(client);
    });
}

/// A timer that is armed while another one fires is not forgotten: what was lost is sent again.
#[test]
fn what_is_lost_is_sent_again_whenever_the_time_moved() {
    model(|| {
        let lab = Lab::new(64);
        let (_listener, _a, b) = lab.connect();
        let writers = [1, 2].map(|byte| {
            let mut b = b.clone();
            thread::spawn(move || block_on(b.write_all(&[byte; 10])).unwrap())
        });
        lab.clock.advance(Duration::from_millis(100));
        lab.clock.advance(Duration::from_millis(100));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        while lab.in_flight.try_recv().is_some() {}
        lab.clock.advance(Duration::from_secs(3));
        assert!(lab.in_flight.try_recv().is_some(), "nothing is sent again");
    });
}

/// A listener closes while handshakes complete: nobody waits for ever, and no flow is left.
#[test]
fn a_listener_closes_while_connections_arrive() {
    model(|| {
        let lab = Lab::new(64);
        let listener = lab.server.listen_tcp("10.0.0.1:80").unwrap();
        let mut dials = [(); 2].map(|()| Box::pin(lab.client.dial_tcp("10.0.0.1:80")));
        dials.iter_mut().for_each(|dial| assert!(poll(dial).is_pending()));
        let acceptor = {
            let listener = listener.clone();
            thread::spawn(move || while block_on(listener.accept()).is_ok() {})
        };
        let closer = thread::spawn(move || listener.close());
        lab.settle();
        closer.join().unwrap();
        acceptor.join().unwrap();
        lab.settle();
        drop(dials);
        lab.settle();
        lab.clock.advance(Duration::from_secs(200));
        lab.settle();
        assert_eq!((lab.server.stats().connections, lab.client.stats().connections), (0, 0));
    });
}
