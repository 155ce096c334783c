//! Writers that can be looked into, held up and made to fail; and the reading back of what was written.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pcap_file::pcap::PcapReader;

/// A record as read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seconds: u32,
    pub(crate) fraction: u32,
    pub(crate) original_len: u32,
    pub(crate) data: Vec<u8>,
}

impl Record {
    /// The time stamp, of a file in nanoseconds.
    pub(crate) fn time(&self) -> Duration {
        Duration::new(self.seconds.into(), self.fraction)
    }
}

/// Reads a capture back, to its end.
pub(crate) fn read(file: &[u8]) -> Vec<Record> {
    let mut reader = PcapReader::new(file).expect("a pcap header");
    let mut records = Vec::new();
    // The raw records: the other reader refuses packets that were snapped.
    while let Some(record) = reader.next_raw_packet() {
        let record = record.expect("whole records");
        records.push(Record {
            seconds: record.ts_sec,
            fraction: record.ts_frac,
            original_len: record.orig_len,
            data: record.data.into_owned(),
        });
    }
    records
}

/// A writer into memory that the test keeps hold of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        read(&self.bytes())
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that stands still in each `write` until the test lets it go on.
#[derive(Debug)]
pub(crate) struct Gated {
    memory: Memory,
    entered: Sender<()>,
    go: Receiver<()>,
}

/// The test's end of a [`Gated`] writer; dropping it opens the gate for good.
#[derive(Debug)]
pub(crate) struct Gate {
    entered: Receiver<()>,
    go: Sender<()>,
}

impl Gated {
    pub(crate) fn new() -> (Self, Gate, Memory) {
        let (entered, was_entered) = mpsc::channel();
        let (may_go, go) = mpsc::channel();
        let memory = Memory::default();
        let gated = Self { memory: memory.clone(), entered, go };
        (gated, Gate { entered: was_entered, go: may_go }, memory)
    }
}

impl Gate {
    /// Returns once the writer stands in a `write` that it was not seen in yet.
    pub(crate) fn wait(&self) {
        self.entered.recv().expect("a writer");
    }

    /// Lets one `write` go on.
    pub(crate) fn pass(&self) {
        self.go.send(()).expect("a writer");
    }
}

impl Write for Gated {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // An error here means that the test has dropped the gate: go on.
        let _ = self.entered.send(());
        let _ = self.go.recv();
        self.memory.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer made of two closures, which tells when it is dropped.
pub(crate) struct Faulty<W, F> {
    pub(crate) write: W,
    pub(crate) flush: F,
    pub(crate) gone: Sender<()>,
}

impl<W, F> Faulty<W, F>
where
    W: FnMut(&[u8]) -> io::Result<usize>,
    F: FnMut() -> io::Result<()>,
{
    pub(crate) fn new(write: W, flush: F) -> (Self, Receiver<()>) {
        let (gone, is_gone) = mpsc::channel();
        (Self { write, flush, gone }, is_gone)
    }
}

impl<W, F> Write for Faulty<W, F>
where
    W: FnMut(&[u8]) -> io::Result<usize>,
    F: FnMut() -> io::Result<()>,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (self.write)(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.flush)()
    }
}

impl<W, F> Drop for Faulty<W, F> {
    fn drop(&mut self) {
        // Nobody listening is fine.
        let _ = self.gone.send(());
    }
}

/// For [`Faulty`]: takes `bytes` bytes, then does `then`.
pub(crate) fn after(
    mut bytes: usize,
    mut then: impl FnMut() -> io::Result<usize>,
) -> impl FnMut(&[u8]) -> io::Result<usize> {
    move |buf| {
        if bytes == 0 {
            return then();
        }
        let taken = buf.len().min(bytes);
        bytes -= taken;
        Ok(taken)
    }
}
