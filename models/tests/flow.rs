//! A connection that several threads use: the order of what is sent, and who is woken.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use shuttle::future::block_on;
use shuttle::thread;
use uis_models::{InOrder, Lab, model};

/// `State::sending`: who finds somebody sending leaves it to them.
#[test]
fn segments_of_two_writers_do_not_overtake_each_other() {
    model(|| {
        let lab = Lab::new(1024);
        let (_listener, _a, b) = lab.connect();
        let writers = [1, 2].map(|byte| {
            let mut b = b.clone();
            thread::spawn(move || block_on(b.write_all(&[byte; 2000])).unwrap())
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let mut sent = InOrder::default();
        while let Some(frame) = lab.in_flight.try_recv() {
            sent.note(&frame, "10.0.0.2");
        }
        assert_eq!(sent.bytes.len(), 4000, "something was left in the outbox");
    });
}

/// The one who delivers an acknowledgment sends as well.
#[test]
fn nor_do_those_that_an_acknowledgment_calls_forth() {
    model(|| {
        let lab = Lab::new(1024);
        let (_listener, mut a, b) = lab.connect();
        let writer = {
            let mut b = b.clone();
            thread::spawn(move || (0..3).for_each(|n| block_on(b.write_all(&[n; 1000])).unwrap()))
        };
        let mut sent = InOrder::default();
        let mut route = || lab.settle_in_view_of(&mut sent, "10.0.0.2");
        (0..5).for_each(|_| route());
        writer.join().unwrap();
        route();
        assert_eq!(sent.bytes.len(), 3000);
        let mut got = vec![0; 3000];
        block_on(a.read_exact(&mut got)).unwrap();
        assert!(got.is_sorted(), "the bytes are not in order");
    });
}

/// `State::full` and the waker that waits for room: no segment stays behind, without any help of a timer.
#[test]
fn a_full_network_is_waited_for() {
    model(|| {
        let lab = Lab::new(3);
        let (_listener, mut a, b) = lab.connect();
        let writers = [1, 2].map(|byte| {
            let mut b = b.clone();
            thread::spawn(move || block_on(b.write_all(&[byte; 1800])).unwrap())
        });
        let mut sent = InOrder::default();
        let mut route = || lab.settle_in_view_of(&mut sent, "10.0.0.2");
        (0..5).for_each(|_| route());
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        route();
        assert_eq!(sent.bytes.len(), 3600, "something waits, and nobody will wake it");
        block_on(a.read_exact(&mut [0; 3600])).unwrap();
    });
}

/// `State::readers`: each of two readers is woken for data and for the end.
#[test]
fn two_readers_miss_nothing() {
    model(|| {
        let lab = Lab::new(1024);
        let (_listener, a, mut b) = lab.connect();
        let readers = [(); 2].map(|()| {
            let mut a = a.clone();
            thread::spawn(move || {
                let (mut buf, mut got) = ([0; 700], 0);
                loop {
                    match block_on(a.read(&mut buf)).unwrap() {
                        0 => break got,
                        n => got += n,
                    }
                }
            })
        });
        block_on(b.write_all(&[7; 1000])).unwrap();
        lab.settle();
        block_on(b.close()).unwrap();
        lab.settle();
        let got: usize = readers.map(|reader| reader.join().unwrap()).iter().sum();
        assert_eq!(got, 1000);
    });
}

/// `State::writers`: what does not fit is written when the reader has made room.
#[test]
fn two_writers_who_wait_for_the_reader_are_woken() {
    model(|| {
        let lab = Lab::new(1024);
        let (_listener, mut a, b) = lab.connect();
        // Twice what the buffers of both ends hold.
        let len = 2 * (4096 + 4096);
        let writers = [1, 2].map(|byte| {
            let mut b = b.clone();
            thread::spawn(move || block_on(b.write_all(&vec![byte; len])).unwrap())
        });
        let router = {
            let (internet, in_flight) = (lab.internet.clone(), lab.in_flight.clone());
            thread::spawn(move || {
                while let Some(frame) = block_on(in_flight.recv()) {
                    let _ = internet.deliver(frame);
                }
            })
        };
        block_on(a.read_exact(&mut vec![0; 2 * len])).unwrap();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        lab.internet.close();
        router.join().unwrap();
    });
}

/// The backlog: of two who accept, each gets one.
#[test]
fn two_acceptors_get_one_each() {
    model(|| {
        let lab = Lab::new(1024);
        let (listener, _a, _b) = lab.connect();
        let acceptors = [(); 2].map(|()| {
            let listener = listener.clone();
            thread::spawn(move || block_on(listener.accept()).unwrap().1)
        });
        let dialled = [(); 2].map(|()| {
            let client = lab.client.clone();
            thread::spawn(move || block_on(client.dial_tcp("10.0.0.1:80")).unwrap())
        });
        let router = {
            let (internet, in_flight) = (lab.internet.clone(), lab.in_flight.clone());
            thread::spawn(move || {
                while let Some(frame) = block_on(in_flight.recv()) {
                    let _ = internet.deliver(frame);
                }
            })
        };
        let mut accepted = acceptors.map(|acceptor| acceptor.join().unwrap());
        let mut dialled = dialled.map(|dial| dial.join().unwrap().local_addr().unwrap());
        accepted.sort();
        dialled.sort();
        assert_eq!(accepted, dialled);
        lab.internet.close();
        router.join().unwrap();
    });
}
