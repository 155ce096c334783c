//! A download while every packet is captured into a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use uis::PcapTrace;

use super::bulk::{self, values};
use super::{Scenario, case};
use crate::args::Options;
use crate::case::{Case, MISSED, THROUGHPUT, Taken};
use crate::lab::{self, Drive};
use crate::meter::Span;
use crate::net::Net;

pub(crate) const CAPTURE: Scenario = Scenario {
    name: "capture",
    about: "the same download of one flow, every packet also written to a pcap file; beside the same without",
    cases,
};

/// Longer than any packet.
const WHOLE: u32 = 262_144;

fn cases(options: &Options) -> Vec<Case> {
    let net = Net::usual(options);
    let snap_lens = options.pcap_snaplen.map_or(vec![WHOLE, 256], |n| vec![n]);
    let one = |(drive, snap_len): (Drive, u32)| {
        let file = options.pcap_file.clone();
        let subject = move |span| captured(drive, net, span, file.as_deref(), snap_len);
        let kept = match snap_len {
            WHOLE => "whole packets".to_owned(),
            n => format!("first {n} bytes"),
        };
        let mode = format!("{}, {kept}", drive.name());
        let mut case = case("capture", &mode, net, 1, &[THROUGHPUT, MISSED], Box::new(subject));
        case.label = format!("{mode}, MTU {}", net.mtu);
        case.against("no capture", net.mtu, move |span| {
            bulk::uis(drive, net, 1, span, lab::deliver).map(|reading| values(reading).first())
        })
    };
    let drives: &[Drive] =
        if options.quick { &[Drive::OneThread] } else { &[Drive::OneThread, Drive::Threads] };
    drives
        .iter()
        .flat_map(|&drive| snap_lens.iter().map(move |&snap_len| (drive, snap_len)))
        .map(one)
        .collect()
}

/// Throughput, then how many packets are not in the capture.
fn captured(drive: Drive, net: Net, span: Span, file: Option<&Path>, snap_len: u32) -> io::Result<Taken> {
    let trace = match file {
        Some(path) => PcapTrace::create(path, snap_len)?,
        None => PcapTrace::new(nameless_file()?, snap_len),
    };
    let tap = trace.clone();
    let reading = bulk::uis(drive, net, 1, span, move |internet, frame| {
        tap.dump(frame.packet());
        lab::deliver(internet, frame);
    })?;
    trace.close()?;
    Ok([values(reading).values[0], trace.dropped() as f64].into())
}

/// A real file, beside the program (so on the disk where things are built), that nobody has to remove: not even
/// an interrupted run leaves it behind.
fn nameless_file() -> io::Result<Unnamed> {
    let program = std::env::current_exe()?;
    let path = program.with_file_name(format!("uis-bench-{}.pcap", process::id()));
    let file = File::create(&path)?;
    // Some systems keep the name of a file that is open; then it is removed when it is closed.
    let path = fs::remove_file(&path).err().map(|_| path);
    Ok(Unnamed { file: Some(file), path })
}

struct Unnamed {
    file: Option<File>,
    path: Option<PathBuf>,
}

impl io::Write for Unnamed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        drop(self.file.take());
        if let Some(path) = &self.path {
            // Nobody to tell.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::latency::Histogram;
    use crate::meter::Reading;
    use crate::meter::tests::patiently;

    #[test]
    fn a_file_that_is_asked_for_is_a_capture_and_stays() {
        let path = std::env::temp_dir().join(format!("uis-bench-capture-{}.pcap", process::id()));
        let net = Net::usual(&Options::default());
        patiently(|span| {
            let values = captured(Drive::OneThread, net, span, Some(&path), 96)?;
            let lanes = vec![(values.values[0] * 1e9) as u64];
            Ok(Reading { lanes, elapsed: span.window, times: Histogram::default() })
        });
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // The header, and one record of 16 + at most 96 bytes at least.
        assert!(bytes.len() > 24 + 16 + 40, "{}", bytes.len());
    }

    #[test]
    fn the_file_takes_bytes_and_leaves_nothing() {
        let mut file = nameless_file().unwrap();
        file.write_all(b"packets").unwrap();
        file.flush().unwrap();
        drop(file);
        let program = std::env::current_exe().unwrap();
        assert!(!program.with_file_name(format!("uis-bench-{}.pcap", process::id())).exists());
    }
}
