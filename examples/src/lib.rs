//! What the examples share: where their captures go.

use std::path::Path;
use std::{fs, io};

use uis::{Internet, PcapTrace};

/// A capture below the workspace's `target/pcap`, on the time of `internet`.
///
/// # Errors
///
/// When the file cannot be created.
pub fn capture(internet: &Internet, name: &str) -> io::Result<PcapTrace> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pcap");
    fs::create_dir_all(&folder)?;
    PcapTrace::builder().clock(internet.clock()).create(folder.join(name).with_extension("pcap"))
}

/// The programs of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
