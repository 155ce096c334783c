//! What is in the file.

mod common;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use common::{Gated, Memory, read};
use pcap_file::pcap::PcapReader;
use pcap_file::{DataLink, TsResolution};
use uis_clock::{SharedClock, SystemClock, VirtualClock};
use uis_pcap::{PcapTrace, Precision};

/// A path of the test's own, removed at its end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("uis-pcap-{}-{name}.pcap", std::process::id())))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

#[test]
fn a_file_reads_back_as_raw_ip_with_nanoseconds() {
    let file = TempFile::new("reads-back");
    let trace = PcapTrace::create(&file.0, 1500).unwrap();
    trace.dump_at(at(1, 2), &[0x45; 1500]);
    trace.dump_at(at(3, 999_999_999), &[0x60; 40]);
    trace.close().unwrap();

    let bytes = fs::read(&file.0).unwrap();
    let mut reader = PcapReader::new(&bytes[..]).unwrap();
    let header = reader.header();
    assert_eq!(header.datalink, DataLink::RAW);
    assert_eq!(header.ts_resolution, TsResolution::NanoSecond);
    assert_eq!(header.snaplen, 1500);
    let first = reader.next_packet().unwrap().unwrap();
    assert_eq!((first.timestamp, &*first.data), (Duration::new(1, 2), &[0x45; 1500][..]));
    let second = reader.next_packet().unwrap().unwrap();
    assert_eq!((second.timestamp, &*second.data), (Duration::new(3, 999_999_999), &[0x60; 40][..]));
    assert!(reader.next_packet().is_none());
}

#[test]
fn a_capture_of_nothing_is_a_header() {
    let memory = Memory::default();
    PcapTrace::new(memory.clone(), 0).close().unwrap();
    assert_eq!(memory.bytes().len(), 24);
    assert_eq!(memory.records(), []);
}

#[test]
fn a_file_that_cannot_be_created_is_an_error_at_once() {
    let file = TempFile::new("no-such-directory");
    let error = PcapTrace::create(file.0.join("x.pcap"), 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn packets_stay_in_order_over_many_chunks() {
    let memory = Memory::default();
    let trace = PcapTrace::builder().buffer(5_000).build(memory.clone());
    for n in 0..5_000_u32 {
        trace.dump(&[&n.to_be_bytes()[..], &[0; 96]].concat());
    }
    trace.close().unwrap();
    assert_eq!(trace.dropped(), 0);
    let numbers: Vec<_> =
        memory.records().iter().map(|r| u32::from_be_bytes(r.data[..4].try_into().unwrap())).collect();
    assert_eq!(numbers, Vec::from_iter(0..5_000));
}

#[test]
fn clones_share_a_capture_between_threads() {
    let memory = Memory::default();
    let trace = PcapTrace::builder().buffer(2_000).build(memory.clone());
    let threads = [0x40_u8, 0x60].map(|family| {
        let trace = trace.clone();
        thread::spawn(move || (0..1_000_u16).for_each(|n| trace.dump(&[family, (n >> 8) as u8, n as u8])))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    trace.close().unwrap();
    assert_eq!(trace.dropped(), 0);
    for family in [0x40, 0x60] {
        let numbers: Vec<_> = memory
            .records()
            .iter()
            .filter(|record| record.data[0] == family)
            .map(|record| u16::from_be_bytes([record.data[1], record.data[2]]))
            .collect();
        assert_eq!(numbers, Vec::from_iter(0..1_000));
    }
}

#[test]
fn a_snapped_packet_keeps_its_length() {
    let memory = Memory::default();
    let trace = PcapTrace::new(memory.clone(), 64);
    for len in [63, 64, 65, 70_000_u32, 0] {
        trace.dump(&vec![0x45; len as usize]);
    }
    trace.close().unwrap();
    let lengths: Vec<_> = memory.records().iter().map(|r| (r.data.len(), r.original_len)).collect();
    assert_eq!(lengths, [(63, 63), (64, 64), (64, 65), (64, 70_000), (0, 0)]);
}

#[test]
fn no_snap_length_keeps_the_largest_ip_packet() {
    let memory = Memory::default();
    let trace = PcapTrace::new(memory.clone(), 0);
    trace.dump(&[0x45; 65_535]);
    trace.close().unwrap();
    assert_eq!(memory.records()[0].data.len(), 65_535);
}

#[test]
fn microseconds_on_request() {
    let memory = Memory::default();
    let trace = PcapTrace::builder().precision(Precision::Microseconds).build(memory.clone());
    trace.dump_at(at(5, 123_456_789), &[0x45]);
    trace.close().unwrap();
    let bytes = memory.bytes();
    assert_eq!(PcapReader::new(&bytes[..]).unwrap().header().ts_resolution, TsResolution::MicroSecond);
    assert_eq!((read(&bytes)[0].seconds, read(&bytes)[0].fraction), (5, 123_456));
}

#[test]
fn packets_are_stamped_by_the_virtual_clock() {
    let time = VirtualClock::starting_at(at(1_000_000_000, 0));
    let memory = Memory::default();
    let trace = PcapTrace::builder().clock(time.handle()).build(memory.clone());
    trace.dump(&[1]);
    time.advance(Duration::from_micros(1_500));
    trace.dump(&[2]);
    time.advance(Duration::from_secs(3_600));
    trace.dump(&[3]);
    trace.close().unwrap();
    let times: Vec<_> = memory.records().iter().map(|record| record.time()).collect();
    let expected = [(1_000_000_000, 0), (1_000_000_000, 1_500_000), (1_000_003_600, 1_500_000)];
    assert_eq!(times, expected.map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds)));
}

#[test]
fn a_stamp_is_when_the_packet_was_dumped_not_when_it_was_written() {
    let time = VirtualClock::starting_at(at(7, 0));
    let (writer, gate, memory) = Gated::new();
    let trace = PcapTrace::builder().clock(time.handle()).build(writer);
    gate.wait();
    trace.dump(&[1]);
    time.advance(Duration::from_secs(3_600));
    drop(gate);
    trace.close().unwrap();
    assert_eq!(memory.records()[0].time(), Duration::from_secs(7));
}

#[test]
fn packets_are_stamped_by_the_system_clock_by_default() {
    let clock = SharedClock::from(SystemClock::new());
    let now = || clock.system_time(clock.now()).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let memory = Memory::default();
    let trace = PcapTrace::new(memory.clone(), 0);
    let before = now();
    trace.dump(&[0x45]);
    let after = now();
    trace.close().unwrap();
    let stamp = memory.records()[0].time();
    assert!(before <= stamp && stamp <= after, "{before:?} {stamp:?} {after:?}");
}

#[test]
fn a_capture_can_be_watched_while_it_grows() {
    let (writer, gate, memory) = Gated::new();
    let trace = PcapTrace::new(writer, 0);
    gate.wait();
    gate.pass();
    trace.dump(&[0x45; 20]);
    gate.wait(); // the packet comes to the writer although the capture is neither full nor closed
    drop(gate);
    trace.close().unwrap();
    assert_eq!(memory.records().len(), 1);
}

#[test]
fn dropping_the_last_handle_completes_the_file() {
    let file = TempFile::new("dropped");
    let trace = PcapTrace::create(&file.0, 0).unwrap();
    let clone = trace.clone();
    drop(trace);
    for _ in 0..100 {
        clone.dump(&[0x45; 1_000]);
    }
    drop(clone);
    assert_eq!(read(&fs::read(&file.0).unwrap()).len(), 100);
}
