//! Instruction counts: fixed work under valgrind's callgrind, compared with what is on record.
//!
//! A count moves by less than a thousandth from run to run, whatever else the machine does, so that a change of one
//! per cent can be seen where the time moves by ten. It is not the time: a miss in the cache, a contended lock
//! and a wake-up across cores count nothing. Valgrind runs one thread at a time on a processor of its own making, so memory
//! is copied by the routines that the C library picks for that one, and the system's clock is read by a system call,
//! which counts but a few instructions.

mod clock;
mod record;
mod work;

pub(crate) use work::run as work;

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::args::FIXED;
use record::{BUILT_WITH, Record};
use work::{ALL, Work};

/// More than this over what is on record is a failure.
const GROWTH: f64 = 0.10;

/// For the C library: no copying by `rep movsb`, which counts an instruction for each byte.
const TUNABLES: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// The document that has the counts on record.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance.md");

/// Counts the work that has one of `only` in its name, or all of it. False if a count has grown too much.
///
/// # Errors
///
/// Valgrind is not there or fails, the work fails, or the document cannot be read or written.
pub(crate) fn run(only: &[String], bless: bool, out: &mut impl Write) -> io::Result<bool> {
    let chosen = |work: &&Work| only.is_empty() || only.iter().any(|only| work.name.contains(only));
    let chosen: Vec<_> = ALL.iter().filter(chosen).collect();
    if chosen.is_empty() {
        let names: Vec<_> = ALL.iter().map(|work| work.name).collect();
        return Err(io::Error::other(format!(
            "nothing has that in its name; there are {}",
            names.join(", ")
        )));
    }
    let mut record = Record::read(Path::new(DOCUMENT))?;
    writeln!(out, "{:22}{:>14}{:>14}{:>9}  for each", "work", "instructions", "on record", "change")?;
    let mut grown = Vec::new();
    for work in chosen {
        let count = count(work)?;
        let known = record.count(work.name);
        let change = known.map(|known| count as f64 / known as f64 - 1.0);
        writeln!(
            out,
            "{:22}{count:>14}{:>14}{:>9}  {}",
            work.name,
            known.map_or("-".into(), |known| known.to_string()),
            change.map_or("new".into(), |change| format!("{:+.1} %", change * 100.0)),
            work.unit
        )?;
        out.flush()?;
        if change.is_some_and(|change| change > GROWTH) {
            grown.push(work.name);
        }
        record.set(work.name, count, work.unit);
    }
    if bless {
        record.keep_only(ALL.iter().map(|work| work.name));
        record.write(Path::new(DOCUMENT))?;
        writeln!(out, "\nThese are on record now, in docs/performance.md.")?;
        return Ok(true);
    }
    if let Some(build) = record.other_build() {
        writeln!(out, "\nThose on record were built with {build},\nthese with {BUILT_WITH}.")?;
    }
    if !grown.is_empty() {
        writeln!(
            out,
            "\nMore than {:.0} % over what is on record: {}.\n\
             `valgrind --tool=callgrind PROGRAM {FIXED} WORK,COUNT` and callgrind_annotate show where they are spent.\n\
             If they are worth it, `cargo xtask bench --callgrind --bless` puts them on record.",
            GROWTH * 100.0,
            grown.join(", ")
        )?;
    }
    Ok(grown.is_empty())
}

/// Instructions for one unit of the work.
fn count(work: &Work) -> io::Result<u64> {
    // Both at once: what else runs makes no difference.
    let (less, more) = (start(work, work.less)?, start(work, work.more));
    let less = collected(less);
    let difference = collected(more?)?.saturating_sub(less?);
    let units = (work.more - work.less) as u64;
    Ok((difference + units / 2) / units)
}

fn start(work: &Work, count: usize) -> io::Result<Child> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.env("GLIBC_TUNABLES", TUNABLES);
    command.arg(std::env::current_exe()?).args([FIXED, &format!("{},{count}", work.name)]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(
            "instructions are counted by valgrind, which is not installed; on Debian, `apt-get install valgrind`",
        ),
        _ => error,
    })
}

/// What valgrind says it has counted.
fn collected(child: Child) -> io::Result<u64> {
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let known = parse(&text).filter(|_| output.status.success());
    known.ok_or_else(|| io::Error::other(format!("valgrind: {}\n{}", output.status, text.trim())))
}

/// The number in "==1234== Collected : 56789".
fn parse(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("==") && line.contains("Collected"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        let text = "==7== Callgrind\n==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(parse(text), Some(123_456));
        assert_eq!(parse("==7== Events    : Ir\n"), None);
    }

    #[test]
    fn all_work_is_on_record() {
        let record = Record::read(Path::new(DOCUMENT)).unwrap();
        for work in ALL {
            assert!(record.count(work.name).is_some_and(|count| count > 0), "{} is not", work.name);
        }
    }
}
