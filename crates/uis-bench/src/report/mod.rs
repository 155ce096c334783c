//! What is left of a run: the figures, for files that people look at.

mod charts;
mod page;
mod plots;
mod svg;

use std::fs;
use std::io;
use std::path::Path;

use crate::case::{Case, Measure, Measured, Metric, Summary};
use crate::compare::Earlier;
use crate::latency::Histogram;
use crate::rows::{self, Row};

/// A case with its figures.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) scenario: &'static str,
    pub(crate) mode: String,
    pub(crate) label: String,
    pub(crate) mtu: u32,
    pub(crate) flows: usize,
    metrics: &'static [Metric],
    own: Measure,
    others: Vec<(&'static str, Option<Measure>)>,
    /// The same as rows.
    pub(crate) rows: Vec<Row>,
}

impl Entry {
    pub(crate) fn new(case: Case, measured: Measured) -> Self {
        let rows = rows::rows(&case, &measured);
        let names = case.yardsticks.iter().map(|yardstick| yardstick.name);
        let others = names.zip(measured.yardsticks.into_iter().map(Result::ok)).collect();
        Self {
            scenario: case.scenario,
            mode: case.mode,
            label: case.label,
            mtu: case.mtu,
            flows: case.flows,
            metrics: case.metrics,
            own: measured.subject,
            others,
            rows,
        }
    }

    /// All figures: of the case itself, or of the yardstick of this name.
    fn measure(&self, who: Option<&str>) -> Option<&Measure> {
        match who {
            None => Some(&self.own),
            Some(who) => self.others.iter().find(|(name, _)| *name == who)?.1.as_ref(),
        }
    }

    /// The first figure.
    fn figure(&self, who: Option<&str>) -> Option<&Summary> {
        self.measure(who)?.metrics.first()
    }

    /// How long single things took.
    fn times_of(&self, who: Option<&str>) -> Option<&Histogram> {
        Some(&self.measure(who)?.times)
    }
}

/// A run, and what it is described with.
#[derive(Debug)]
pub(crate) struct Report {
    /// Name and value: of the machine, the build, the run.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) runs: usize,
    /// The headings, and what they say about their cases.
    pub(crate) scenarios: Vec<(&'static str, &'static str)>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) earlier: Option<Earlier>,
}

impl Report {
    /// The rows of all entries.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.entries.iter().flat_map(|entry| entry.rows.iter().cloned()).collect()
    }

    /// One page that needs nothing besides itself.
    pub(crate) fn write_html(&self, path: &Path) -> io::Result<()> {
        write(path, &page::page(self))
    }

    /// Each chart as a file of its own.
    pub(crate) fn write_svgs(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        plots::all(&self.entries)
            .iter()
            .try_for_each(|plot| write(&folder.join(plot.name).with_extension("svg"), &plot.svg.alone()))
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::case::tests::case;
    use crate::meter::Span;

    fn entry(flows: usize, figures: &[f64]) -> Entry {
        let mut case = Case { flows, ..case(figures, &[4.0, 4.0, 5.0]) };
        let measured = case.measure(Span::of(Duration::from_millis(1)), 3, |_, _| {}).unwrap();
        Entry::new(case, measured)
    }

    fn report() -> Report {
        Report {
            facts: vec![("machine", "a <fast> & quiet one".into())],
            runs: 3,
            scenarios: vec![("bulk", "a download"), ("idle", "not measured")],
            entries: vec![entry(1, &[2.0, 1.0, 3.0]), entry(10, &[1.0, 1.0, 1.0])],
            earlier: None,
        }
    }

    /// Every element that is opened is closed, in its turn.
    fn check_nesting(text: &str) {
        let mut open = Vec::new();
        for tag in text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{text}");
            } else if !tag.ends_with('/') && !["meta", "link", "!DOCTYPE"].contains(&name) {
                open.push(name);
            }
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn the_page_has_everything_and_needs_nothing() {
        let text = page::page(&report());
        check_nesting(&text);
        assert!(text.contains("a &lt;fast&gt; &amp; quiet one"), "{text}");
        assert!(
            text.contains("2.00 Gbit/s") && text.contains("0.50 × <span class=\"dim\">smoltcp 4.00"),
            "{text}"
        );
        assert!(text.contains("Throughput by flows") && !text.contains("not measured"), "{text}");
        for foreign in ["<script", "src=", "@import", "url(", "https:"] {
            assert!(!text.contains(foreign), "{foreign} in {text}");
        }
    }

    #[test]
    fn changes_have_columns_of_their_own() {
        let mut report = report();
        let rows = report.entries[0].rows.clone();
        assert!(!page::page(&report).contains("before"));
        report.earlier = Some(Earlier::of(rows));
        let text = page::page(&report);
        check_nesting(&text);
        assert!(text.contains("+0.0 %") && text.contains(">new<"), "{text}");
    }

    #[test]
    fn files_are_written_and_those_that_cannot_be_are_named() {
        let folder = std::env::temp_dir().join(format!("uis-bench-report-{}", std::process::id()));
        let report = report();
        report.write_svgs(&folder).unwrap();
        report.write_html(&folder.join("page.html")).unwrap();
        let flows = fs::read_to_string(folder.join("flows.svg")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        check_nesting(&flows);
        assert!(flows.contains("<style>") && flows.contains("uis, one thread"), "{flows}");
        let error = report.write_html(Path::new("/does/not/exist.html")).unwrap_err();
        assert!(error.to_string().contains("exist.html"), "{error}");
    }
}
