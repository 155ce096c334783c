//! What the examples share: where their captures go.

use std::path::{Path, PathBuf};
use std::{fs, io};

use uis::{Internet, PcapTrace};

/// A capture below the workspace's `target/pcap`, on the time of `internet`.
///
/// # Errors
///
/// When the file cannot be created.
pub fn capture(internet: &Internet, name: &str) -> io::Result<PcapTrace> {
    PcapTrace::builder().clock(internet.clock()).create(capture_path(name)?)
}

/// Where the capture of an example belongs.
///
/// # Errors
///
/// When the folder cannot be created.
pub fn capture_path(name: &str) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pcap");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(name).with_extension("pcap"))
}

/// The programs of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
