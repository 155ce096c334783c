//! What the figures depend on: the machine and the build.

use std::fs;
use std::io;
use std::thread;
use std::time::SystemTime;

/// Machine and build, each with its name.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let plural = if cores == 1 { "" } else { "s" };
    let revision = match env!("UIS_BENCH_REVISION") {
        "" => String::new(),
        revision => format!(", revision {revision}"),
    };
    let mut facts = vec![
        (
            "machine",
            format!(
                "{}, {cores} core{plural} usable, {}",
                processor().unwrap_or_else(|| std::env::consts::ARCH.into()),
                kernel().unwrap_or_else(|| std::env::consts::OS.into()),
            ),
        ),
        (
            "build",
            format!(
                "uis {}, {}, opt-level {}{revision}",
                env!("CARGO_PKG_VERSION"),
                env!("UIS_BENCH_RUSTC"),
                env!("UIS_BENCH_OPT_LEVEL"),
            ),
        ),
    ];
    if cfg!(debug_assertions) {
        facts.push(("WARNING", "this is a debug build: its figures mean nothing".into()));
    }
    facts
}

/// The time of day, in UTC, as people write it.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let minutes = since.as_secs() / 60;
    let [year, month, day] = date(minutes / (24 * 60));
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

/// The date so many days after the first of January of 1970, by counting: it is done once.
fn date(mut days: u64) -> [u64; 3] {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    [year, month, days + 1]
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
    fn machine_and_build_are_named() {
        let facts = all();
        assert_eq!([facts[0].0, facts[1].0], ["machine", "build"]);
        assert!(facts[0].1.contains("core") && facts[1].1.contains("opt-level"), "{facts:?}");
    }

    #[test]
    fn days_are_dates() {
        for (days, expect) in [
            (0, [1970, 1, 1]),
            (30, [1970, 1, 31]),
            (31, [1970, 2, 1]),
            (11_016, [2000, 2, 29]),
            (11_017, [2000, 3, 1]),
            (20_453, [2025, 12, 31]),
        ] {
            assert_eq!(date(days), expect);
        }
        assert!(now().ends_with(" UTC"));
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
