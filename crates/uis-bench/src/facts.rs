//! What the figures depend on: the machine and the build.

use std::fs;
use std::io;
use std::thread;

/// The header above the figures.
pub(crate) fn header() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let plural = if cores == 1 { "" } else { "s" };
    let revision = match env!("UIS_BENCH_REVISION") {
        "" => String::new(),
        revision => format!(", revision {revision}"),
    };
    let mut text = format!(
        "machine  {}, {cores} core{plural} usable, {}\nbuild    uis {}, {}, opt-level {}{revision}\n",
        processor().unwrap_or_else(|| std::env::consts::ARCH.into()),
        kernel().unwrap_or_else(|| std::env::consts::OS.into()),
        env!("CARGO_PKG_VERSION"),
        env!("UIS_BENCH_RUSTC"),
        env!("UIS_BENCH_OPT_LEVEL"),
    );
    if cfg!(debug_assertions) {
        text.push_str("WARNING  this is a debug build: its figures mean nothing\n");
    }
    text
}

/// The MTU of the kernel's loopback interface.
pub(crate) fn loopback_mtu() -> u32 {
    let known = fs::read_to_string("/sys/class/net/lo/mtu").ok();
    known.and_then(|text| text.trim().parse().ok()).unwrap_or(65_536)
}

/// How many bytes of this process are in memory.
///
/// # Errors
///
/// `Unsupported` where the system does not say so.
pub(crate) fn resident_bytes() -> io::Result<u64> {
    let unknown = || io::Error::new(io::ErrorKind::Unsupported, "this system does not tell resident memory");
    bytes("/proc/self/status", "VmRSS:").ok_or_else(unknown)
}

/// How many bytes programs may still use, where the system says so.
pub(crate) fn available_bytes() -> Option<u64> {
    bytes("/proc/meminfo", "MemAvailable:")
}

/// The field of this name, which is in kB.
fn bytes(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let field = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = field.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kernel() -> Option<String> {
    let read = |name| fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
    Some(format!("{} {}", read("ostype")?.trim(), read("osrelease")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_machine_and_build() {
        let text = header();
        assert!(text.starts_with("machine  ") && text.contains("\nbuild    uis 0."), "{text}");
        assert!(text.contains("core") && text.contains("opt-level"), "{text}");
    }

    #[test]
    fn memory_that_is_used_is_resident() {
        let Ok(before) = resident_bytes() else { return };
        assert!(available_bytes().is_some_and(|bytes| bytes > 0));
        let block = vec![1_u8; 64 << 20];
        let after = resident_bytes().expect("it was known before");
        assert!(after >= before + (32 << 20), "{before} {after}");
        assert_eq!(block[block.len() - 1], 1);
    }
}
