//! The counts on record: a table in a document, between two marks, for people and for this program.

use std::fs;
use std::io;
use std::path::Path;

const BEGIN: &str = "<!-- instruction counts: written by `cargo xtask bench --callgrind --bless` -->\n";
const BUILD: &str = "Counted with ";
const END: &str = "<!-- end of the instruction counts -->\n";

/// What this program was built with, and for.
pub(super) const BUILT_WITH: &str = concat!(env!("UIS_BENCH_RUSTC"), " for ", env!("UIS_BENCH_TARGET"));

/// The document, and the lines of its table.
#[derive(Debug)]
pub(super) struct Record {
    before: String,
    lines: Vec<Line>,
    /// What it was built with: see [`BUILT_WITH`].
    build: Option<String>,
    after: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    name: String,
    count: u64,
    unit: String,
}

impl Record {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(named)?;
        Self::parse(&text).ok_or_else(|| named(io::Error::other("the marks of the table are not there")))
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.text())
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// What the counts on record were built with, if that is not what this program was.
    pub(super) fn other_build(&self) -> Option<&str> {
        self.build.as_deref().filter(|build| *build != BUILT_WITH)
    }

    /// Instructions for one unit of this work.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.lines.iter().find(|line| line.name == name).map(|line| line.count)
    }

    pub(super) fn set(&mut self, name: &str, count: u64, unit: &str) {
        let line = Line { name: name.into(), count, unit: unit.into() };
        match self.lines.iter_mut().find(|line| line.name == name) {
            Some(known) => *known = line,
            None => self.lines.push(line),
        }
    }

    /// Forgets all other work and what it was built with, and puts these in this order.
    pub(super) fn keep_only<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let find = |name: &str| self.lines.iter().find(|line| line.name == name).cloned();
        self.lines = names.filter_map(find).collect();
        self.build = Some(BUILT_WITH.into());
    }

    fn parse(text: &str) -> Option<Self> {
        let (before, rest) = text.split_once(BEGIN)?;
        let (table, after) = rest.split_once(END)?;
        let line = |text: &str| {
            let mut cells = text.trim_matches('|').split('|').map(str::trim);
            let (name, count, unit) = (cells.next()?, cells.next()?, cells.next()?);
            let name = name.strip_prefix('`')?.strip_suffix('`')?.into();
            Some(Line { name, count: count.replace(',', "").parse().ok()?, unit: unit.into() })
        };
        let lines = table.lines().filter_map(line).collect();
        let build = table.lines().find_map(|line| line.strip_prefix(BUILD)?.strip_suffix('.'));
        Some(Self { before: before.into(), lines, build: build.map(str::to_owned), after: after.into() })
    }

    fn text(&self) -> String {
        let line = |Line { name, count, unit }: &Line| {
            format!("| `{name}` | {} | {unit} |\n", crate::table::thousands(*count))
        };
        let lines: String = self.lines.iter().map(line).collect();
        let build = self.build.as_ref().map(|build| format!("\n{BUILD}{build}.\n")).unwrap_or_default();
        format!(
            "{}{BEGIN}\n| work | instructions | for each |\n|---|---|---|\n{lines}{build}\n{END}{}",
            self.before, self.after
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::parse(&format!("# Title\n\n{BEGIN}{END}\nThe end.\n")).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_and_the_rest_stays() {
        let mut record = record();
        record.set("b", 1_234_567, "byte");
        record.set("a", 7, "mile");
        record.set("b", 2_345_678, "byte there");
        let text = record.text();
        assert!(text.contains("| `b` | 2,345,678 | byte there |\n| `a` | 7 | mile |\n"), "{text}");
        assert!(text.starts_with("# Title\n") && text.ends_with("\nThe end.\n"), "{text}");
        let again = Record::parse(&text).unwrap();
        assert_eq!((again.count("a"), again.count("b"), again.count("c")), (Some(7), Some(2_345_678), None));
        assert_eq!(again.text(), text);
    }

    #[test]
    fn what_is_no_more_is_forgotten_and_the_order_is_the_programs() {
        let mut record = record();
        for name in ["gone", "b", "a"] {
            record.set(name, 1, "unit");
        }
        record.keep_only(["a", "b", "never counted"].into_iter());
        let names: Vec<_> = record.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let again = Record::parse(&record.text()).unwrap();
        assert_eq!((again.other_build(), again.build.as_deref()), (None, Some(BUILT_WITH)));
        let elsewhere = record.text().replace(" for ", " not for ");
        assert!(Record::parse(&elsewhere).unwrap().other_build().is_some());
    }

    #[test]
    fn a_document_without_the_marks_is_refused() {
        assert!(Record::parse("# Title\n").is_none());
        assert!(Record::parse(BEGIN).is_none());
    }
}
