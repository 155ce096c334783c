//! What happens when the writer is slow, stuck, failing or panicking.

mod common;

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Faulty, Gated, after};
use uis_pcap::{DEFAULT_BUFFER, PcapTrace};

fn fail<T>(message: &'static str) -> io::Result<T> {
    Err(io::Error::new(ErrorKind::StorageFull, message))
}

#[test]
fn a_full_buffer_counts_what_does_not_fit() {
    let (writer, gate, memory) = Gated::new();
    let trace = PcapTrace::builder().buffer(3).build(writer);
    gate.wait(); // stuck with the header
    for n in 0..5 {
        trace.dump(&[n]);
    }
    assert_eq!(trace.dropped(), 2);
    drop(gate);
    trace.close().unwrap();
    let kept: Vec<_> = memory.records().iter().map(|record| record.data[0]).collect();
    assert_eq!(kept, [0, 1, 2]);
    assert_eq!(trace.dropped(), 2);
}

#[test]
fn packets_being_written_take_room_until_they_are() {
    let (writer, gate, memory) = Gated::new();
    let trace = PcapTrace::builder().buffer(2).build(writer);
    gate.wait();
    gate.pass();
    trace.dump(&[0]);
    gate.wait(); // stuck with the first packet
    trace.dump(&[1]);
    trace.dump(&[2]); // does not fit
    assert_eq!(trace.dropped(), 1);
    gate.pass();
    gate.wait(); // stuck with the second: the first has made room
    trace.dump(&[3]);
    assert_eq!(trace.dropped(), 1);
    drop(gate);
    trace.close().unwrap();
    let kept: Vec<_> = memory.records().iter().map(|record| record.data[0]).collect();
    assert_eq!(kept, [0, 1, 3]);
}

#[test]
fn a_buffer_of_zero_is_the_default() {
    let (writer, gate, _) = Gated::new();
    let trace = PcapTrace::builder().buffer(0).build(writer);
    gate.wait();
    for _ in 0..DEFAULT_BUFFER + 1 {
        trace.dump(&[0x45]);
    }
    assert_eq!(trace.dropped(), 1);
    drop(gate);
    trace.close().unwrap();
}

#[test]
fn a_patient_capture_is_complete() {
    let (writer, gate, memory) = Gated::new();
    let trace = PcapTrace::builder().buffer(1).patience(Duration::MAX).build(writer);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..100 {
                trace.dump(&[n]);
            }
        });
        // One write for the header and one for each packet, since only one of them fits.
        for _ in 0..101 {
            gate.wait();
            gate.pass();
        }
    });
    trace.close().unwrap();
    assert_eq!((trace.dropped(), memory.records().len()), (0, 100));
}

#[test]
fn failures_are_reported_by_close() {
    // (what the writer takes before it fails, packets, of which are lost)
    for (name, bytes, lost) in
        [("header", 0, 1), ("half a header", 7, 1), ("packet", 24, 1), ("half a packet", 30, 1)]
    {
        let (writer, gone) = Faulty::new(after(bytes, || fail("disk full")), || Ok(()));
        let trace = PcapTrace::new(writer, 0);
        trace.dump(&[0x45; 20]);
        let error = trace.close().unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::StorageFull, "disk full".into()), "{name}");
        assert_eq!(trace.dropped(), lost, "{name}");
        gone.try_recv().expect("close closes the writer, failed or not");
    }
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    let (writer, _) = Faulty::new(after(24, || Ok(0)), || Ok(()));
    let trace = PcapTrace::new(writer, 0);
    trace.dump(&[0x45; 20]);
    assert_eq!(trace.close().unwrap_err().kind(), ErrorKind::WriteZero);
}

#[test]
fn a_failing_flush_is_reported_by_close() {
    let (writer, _) = Faulty::new(|buf| Ok(buf.len()), || fail("flush"));
    assert_eq!(PcapTrace::new(writer, 0).close().unwrap_err().to_string(), "flush");
}

#[test]
fn the_first_error_is_reported_and_once() {
    let mut failures = ["first", "second"].into_iter();
    let (writer, _) =
        Faulty::new(after(24, move || fail(failures.next().unwrap_or("later"))), || fail("flush"));
    let trace = PcapTrace::new(writer, 0);
    trace.dump(&[0x45; 20]);
    assert_eq!(trace.close().unwrap_err().to_string(), "first");
    trace.close().unwrap();
    trace.clone().close().unwrap();
}

#[test]
fn an_interrupted_write_is_tried_again() {
    let mut interrupted = false;
    let (writer, _) = Faulty::new(
        move |buf| {
            interrupted = !interrupted;
            if interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(buf.len()) }
        },
        || Ok(()),
    );
    let trace = PcapTrace::new(writer, 0);
    trace.dump(&[0x45; 20]);
    trace.close().unwrap();
    assert_eq!(trace.dropped(), 0);
}

#[test]
fn packets_after_an_error_are_counted() {
    let (writer, gone) = Faulty::new(after(0, || fail("disk full")), || Ok(()));
    let trace = PcapTrace::new(writer, 0);
    gone.recv().unwrap();
    trace.dump(&[0x45]);
    trace.dump(&[0x45]);
    assert_eq!(trace.dropped(), 2);
    trace.close().unwrap_err();
}

#[test]
fn packets_after_close_are_counted() {
    let trace = PcapTrace::new(io::sink(), 0);
    trace.dump(&[0x45]);
    trace.close().unwrap();
    assert_eq!(trace.dropped(), 0);
    trace.dump(&[0x45]);
    trace.clone().dump(&[0x45]);
    assert_eq!(trace.dropped(), 2);
    trace.close().unwrap();
}

#[test]
fn a_panicking_writer_is_an_error_and_others_go_on() {
    let (writer, gone) = Faulty::new(after(24, || panic!("out of {}", "paper")), || Ok(()));
    let trace = PcapTrace::new(writer, 0);
    trace.dump(&[0x45]);
    gone.recv().unwrap();
    let clone = trace.clone();
    thread::spawn(move || clone.dump(&[0x45])).join().expect("the panic stays with the writer");
    assert_eq!(trace.dropped(), 2);
    let error = trace.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("out of paper"), "{error}");
    trace.close().unwrap();
}

#[test]
fn a_writer_that_panics_when_dropped_is_an_error() {
    struct PanicsOnDrop;
    impl Write for PanicsOnDrop {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("not closed");
        }
    }
    let trace = PcapTrace::new(PanicsOnDrop, 0);
    assert!(trace.close().unwrap_err().to_string().contains("not closed"));
    drop(PcapTrace::new(PanicsOnDrop, 0)); // and this one is nobody's to know
}

#[test]
fn concurrent_closes_share_one_error() {
    let (writer, _) = Faulty::new(after(0, || fail("disk full")), || Ok(()));
    let trace = PcapTrace::new(writer, 0);
    let threads: [_; 4] = std::array::from_fn(|_| {
        let trace = trace.clone();
        thread::spawn(move || trace.close())
    });
    let failed = threads.map(|thread| thread.join().unwrap().is_err());
    assert_eq!(failed.into_iter().filter(|failed| *failed).count(), 1);
}

/// A writer that does something to its own trace, once it has been given it.
struct Reflexive<F> {
    trace: Arc<Mutex<Option<PcapTrace>>>,
    act: F,
    done: Sender<ErrorKind>,
}

impl<F: FnMut(PcapTrace) -> ErrorKind> Write for Reflexive<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let trace = self.trace.lock().unwrap().take();
        if let Some(trace) = trace {
            let _ = self.done.send((self.act)(trace));
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_may_not_close_its_own_capture() {
    let (done, kind) = mpsc::channel();
    let slot = Arc::new(Mutex::new(None));
    let act = |trace: PcapTrace| trace.close().unwrap_err().kind();
    let trace = PcapTrace::new(Reflexive { trace: slot.clone(), act, done }, 0);
    *slot.lock().unwrap() = Some(trace.clone());
    trace.dump(&[0x45]);
    assert_eq!(kind.recv().unwrap(), ErrorKind::Deadlock);
    trace.close().unwrap();
    assert_eq!(trace.dropped(), 0);
}

#[test]
fn the_last_handle_may_be_dropped_by_the_writer() {
    let (done, dropped) = mpsc::channel();
    let slot = Arc::new(Mutex::new(None));
    let (may_drop, last) = mpsc::channel::<()>();
    let act = move |trace: PcapTrace| {
        let _ = last.recv();
        drop(trace);
        ErrorKind::Other
    };
    let trace = PcapTrace::new(Reflexive { trace: slot.clone(), act, done }, 0);
    *slot.lock().unwrap() = Some(trace.clone());
    trace.dump(&[0x45]);
    // The writer holds a handle, so that dropping this one closes nothing.
    drop(trace);
    drop(may_drop);
    dropped.recv().unwrap();
}
