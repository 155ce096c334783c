//! The table in `docs/robustness.md`: what is in it, and what should be.

use std::path::PathBuf;
use std::time::Duration;

use crate::path::{Case, Run};

const HEADING: &str =
    "| loss | round trip | buffers | a stack | its longest stall | smoltcp | its longest stall |";

/// A line of the table, as text.
pub type Row = Vec<String>;

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/robustness.md"))
}

/// The rows of the document.
pub fn documented() -> Vec<Row> {
    let text = std::fs::read_to_string(file()).expect("the document is there");
    let rows = text.lines().skip_while(|line| *line != HEADING).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// Replaces the rows of the document.
pub fn accept(rows: &[Row]) {
    let text = std::fs::read_to_string(file()).expect("the document is there");
    let (before, rest) = text.split_once(HEADING).expect("the table is there");
    let behind = rest.split_once("\n\n").map_or("", |(_, behind)| behind);
    std::fs::write(file(), format!("{before}{}\n{behind}", show(rows))).expect("the document can be written");
}

/// The table as it is in the document.
pub fn show(rows: &[Row]) -> String {
    let rows: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    format!("{HEADING}\n|---|---|---|---|---|---|---|\n{rows}")
}

/// The cells that say what a row is about.
pub fn subject(case: &Case) -> Row {
    vec![
        format!("{} %", case.loss as f64 / 10.0),
        format!("{} ms", case.rtt.as_micros() as f64 / 1000.0),
        format!("{} KiB", case.buffer >> 10),
    ]
}

/// The cells for what was measured.
pub fn cells(run: &Run) -> Row {
    vec![goodput(run.kilobits_per_second), stall(run.stall)]
}

/// In Mbit/s, with three digits.
fn goodput(kilobits: u64) -> String {
    match kilobits {
        0..10_000 => format!("{:.2}", kilobits as f64 / 1e3),
        10_000..100_000 => format!("{:.1}", kilobits as f64 / 1e3),
        _ => format!("{:.0}", kilobits as f64 / 1e3),
    }
}

fn stall(stall: Duration) -> String {
    match stall.as_millis() {
        0 => "< 1 ms".into(),
        ms => format!("{ms} ms"),
    }
}
