//! These figures beside those of an earlier run.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::rows::Row;
use crate::table::number;

/// The rows of an earlier run.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    rows: Vec<Row>,
    /// How many could not be read.
    unreadable: usize,
}

/// How a figure has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    pub(crate) before: f64,
    /// 0.1 for a tenth more.
    pub(crate) by: f64,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// The worst run of now beats the best one of then.
    Better,
    /// The other way round.
    Worse,
    /// The runs overlap, or there is but one of them.
    Within,
}

impl Verdict {
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Within => "",
        }
    }
}

impl Earlier {
    /// Reads what `--json` has written.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not an array of JSON. Rows that are unlike ours are left out.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(named)?;
        Self::parse(&text).map_err(|error| named(error.into()))
    }

    #[cfg(test)]
    pub(crate) fn of(rows: Vec<Row>) -> Self {
        Self { rows, unreadable: 0 }
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let values: Vec<serde_json::Value> = serde_json::from_str(text)?;
        let all = values.len();
        let rows: Vec<Row> = values.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect();
        Ok(Self { unreadable: all - rows.len(), rows })
    }

    /// What has become of each of these figures: none for those that were not measured then.
    pub(crate) fn changes(&self, now: &[Row]) -> Vec<Option<Change>> {
        // A yardstick that several cases have in common is there several times, in the same order.
        let mut used = vec![false; self.rows.len()];
        let find = |now: &Row| {
            let same =
                |(at, then): (usize, &Row)| !used[at] && then.key() == now.key() && then.unit == now.unit;
            let at = self.rows.iter().enumerate().position(same)?;
            used[at] = true;
            Some(change(&self.rows[at], now))
        };
        now.iter().map(find).collect()
    }

    /// A line for each row that both have, and the names of the others.
    pub(crate) fn report(&self, now: &[Row]) -> String {
        let mut text =
            format!("\n{:56}{:>12}{:>12}{:>9}\n", "compared with the earlier run", "before", "now", "change");
        let mut new = 0;
        for (row, change) in now.iter().zip(self.changes(now)) {
            let Some(change) = change else {
                new += 1;
                continue;
            };
            let line = format!(
                "  {:54}{:>12}{:>12}{:>9}  {}",
                name(row),
                number(change.before),
                number(row.value),
                percent(change.by),
                change.verdict.mark()
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let gone: Vec<_> =
            self.rows.iter().filter(|then| now.iter().all(|now| now.key() != then.key())).collect();
        let _ = writeln!(
            text,
            "\n\"better\" and \"WORSE\": every run of one is beyond every run of the other. Else the change may be\n\
             chance; so may it be where the yardsticks have changed as much.\n\
             Not in the earlier run: {new}. Not in this one: {}. Not understood: {}.",
            gone.len(),
            self.unreadable
        );
        text
    }
}

fn change(then: &Row, now: &Row) -> Change {
    let verdict = match (now.min > then.max, now.max < then.min) {
        _ if now.runs < 2 || then.runs < 2 => Verdict::Within,
        (false, false) => Verdict::Within,
        (more, _) if more == less_is_better(&now.unit) => Verdict::Worse,
        _ => Verdict::Better,
    };
    let by = if then.value == now.value { 0.0 } else { now.value / then.value - 1.0 };
    Change { before: then.value, by, verdict }
}

/// "+3.1 %"; plainer where a per cent means little.
pub(crate) fn percent(by: f64) -> String {
    if !by.is_finite() {
        "new".into()
    } else if by.abs() >= 10.0 {
        format!("× {:.0}", by + 1.0)
    } else {
        format!("{:+.1} %", by * 100.0)
    }
}

/// What is shorter, smaller or rarer where it is good.
fn less_is_better(unit: &str) -> bool {
    matches!(unit, "µs" | "s" | "kB" | "packets")
}

fn name(row: &Row) -> String {
    let Row { scenario, mode, mtu, flows, metric, .. } = row;
    let name = format!("{scenario}, {mode}, {mtu}, {flows}: {metric}");
    match name.char_indices().nth(53) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mode: &str, unit: &str, [min, value, max]: [f64; 3]) -> Row {
        Row {
            scenario: "bulk".into(),
            mode: mode.into(),
            mtu: 1_500,
            flows: 1,
            metric: "throughput".into(),
            unit: unit.into(),
            value,
            min,
            max,
            runs: 3,
            yardstick: None,
            ratio: None,
        }
    }

    #[test]
    fn what_overlaps_is_no_verdict_and_what_does_not_is() {
        let then = Earlier::of(vec![row("a", "Gbit/s", [9.0, 10.0, 11.0])]);
        let verdict = |unit: &str, figures| {
            let then = Earlier::of(vec![Row { unit: unit.into(), ..then.rows[0].clone() }]);
            then.changes(&[row("a", unit, figures)])[0].unwrap().verdict
        };
        assert_eq!(verdict("Gbit/s", [10.5, 12.0, 13.0]), Verdict::Within);
        assert_eq!(verdict("Gbit/s", [11.5, 12.0, 13.0]), Verdict::Better);
        assert_eq!(verdict("Gbit/s", [7.0, 8.0, 8.5]), Verdict::Worse);
        assert_eq!(verdict("µs", [11.5, 12.0, 13.0]), Verdict::Worse);
        assert_eq!(verdict("kB", [7.0, 8.0, 8.5]), Verdict::Better);
        let once = Row { runs: 1, ..row("a", "Gbit/s", [20.0; 3]) };
        let change = then.changes(&[once])[0].unwrap();
        assert_eq!((change.verdict, change.by, change.before), (Verdict::Within, 1.0, 10.0));
    }

    #[test]
    fn missing_rows_are_counted_and_others_compared() {
        let then =
            Earlier::of(vec![row("both", "Gbit/s", [1.0, 2.0, 3.0]), row("gone", "Gbit/s", [1.0, 2.0, 3.0])]);
        let now = [row("both", "Gbit/s", [5.0, 5.0, 5.0]), row("new", "Gbit/s", [1.0, 2.0, 3.0])];
        let text = then.report(&now);
        let line = text.lines().find(|line| line.contains("both")).unwrap();
        assert!(line.contains("2.00") && line.contains("5.00"), "{line}");
        assert!(line.contains("+150.0 %") && line.ends_with("better"), "{line}");
        assert!(text.contains("Not in the earlier run: 1. Not in this one: 1. Not understood: 0."), "{text}");
        assert!(Earlier::default().report(&[]).contains("Not in this one: 0"));
    }

    #[test]
    fn rows_of_one_name_are_compared_in_their_order() {
        let kernel = |value| row("kernel: one thread", "Gbit/s", [value; 3]);
        let changes =
            Earlier::of(vec![kernel(1.0), kernel(2.0)]).changes(&[kernel(2.0), kernel(2.0), kernel(2.0)]);
        let by: Vec<_> = changes.into_iter().map(|change| Some(change?.by)).collect();
        assert_eq!(by, [Some(1.0), Some(0.0), None]);
    }

    #[test]
    fn rows_of_another_make_are_left_out() {
        let good = serde_json::to_string(&row("a", "Gbit/s", [1.0; 3])).unwrap();
        let text = format!(r#"[{good}, {{"scenario": 7}}, null, 3]"#);
        let earlier = Earlier::parse(&text).unwrap();
        assert_eq!((earlier.rows.len(), earlier.unreadable), (1, 3));
        assert_eq!(Earlier::parse("[]").unwrap().rows, []);
        assert!(Earlier::parse("{}").is_err() && Earlier::parse("").is_err());
    }

    #[test]
    fn changes_are_short() {
        assert_eq!(percent(0.0), "+0.0 %");
        assert_eq!(percent(-0.031), "-3.1 %");
        assert_eq!(percent(41.0), "× 42");
        assert_eq!(percent(f64::INFINITY), "new");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Earlier::read(Path::new("/does/not/exist.json")).unwrap_err();
        assert!(error.to_string().contains("exist.json"), "{error}");
    }
}
