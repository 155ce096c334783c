//! The results as rows, and the rows as JSON.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::case::{Case, Measured, Metric, Summary};

/// One figure. The yardsticks' own figures are rows as well: their mode begins with their name, and they are
/// themselves compared with nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) mode: String,
    pub(crate) mtu: u32,
    pub(crate) flows: usize,
    pub(crate) metric: String,
    pub(crate) unit: String,
    /// The median of the runs.
    pub(crate) value: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
    /// The name of the case's main yardstick.
    pub(crate) yardstick: Option<String>,
    /// The value over the yardstick's.
    pub(crate) ratio: Option<f64>,
}

impl Row {
    /// What two runs have in common when they have measured the same.
    pub(crate) fn key(&self) -> (&str, &str, u32, usize, &str) {
        (&self.scenario, &self.mode, self.mtu, self.flows, &self.metric)
    }
}

/// The rows of a case: its own, then those of its yardsticks.
pub(crate) fn rows(case: &Case, measured: &Measured) -> Vec<Row> {
    let row = |mode: String, mtu, metric: &Metric, summary: &Summary| Row {
        scenario: case.scenario.into(),
        mode,
        mtu,
        flows: case.flows,
        metric: metric.name.into(),
        unit: metric.unit.into(),
        value: summary.value,
        min: summary.min,
        max: summary.max,
        runs: summary.runs,
        yardstick: None,
        ratio: None,
    };
    let mut rows = Vec::new();
    for (at, (metric, summary)) in case.metrics.iter().zip(&measured.subject.metrics).enumerate() {
        let main = case.yardsticks.iter().zip(&measured.yardsticks).next();
        let main =
            main.and_then(|(known, values)| Some((known.name, values.as_ref().ok()?.metrics.get(at)?)));
        let ratio = main.and_then(|(_, yardstick)| summary.ratio_to(yardstick));
        let yardstick = ratio.and(main).map(|(name, _)| name.to_owned());
        rows.push(Row { yardstick, ratio, ..row(case.mode.clone(), case.mtu, metric, summary) });
    }
    for (known, values) in case.yardsticks.iter().zip(&measured.yardsticks) {
        for (metric, summary) in case.metrics.iter().zip(values.iter().flat_map(|values| &values.metrics)) {
            rows.push(row(format!("{}: {}", known.name, case.mode), known.mtu, metric, summary));
        }
    }
    rows
}

/// Writes all rows as one JSON array, a row to a line.
pub(crate) fn write_json(path: &Path, rows: &[Row]) -> io::Result<()> {
    let lines = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let text = if lines.is_empty() { "[]\n".into() } else { format!("[\n{}\n]\n", lines.join(",\n")) };
    fs::write(path, text)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::case::tests::case;
    use crate::meter::Span;

    fn measured() -> (Case, Measured) {
        let mut case = case(&[2.0, 1.0, 3.0], &[4.0, 4.0, 5.0]);
        let measured = case.measure(Span::of(Duration::from_millis(1)), 3, |_, _| {}).unwrap();
        (case, measured)
    }

    #[test]
    fn a_case_and_its_yardstick_are_a_row_each() {
        let (case, measured) = measured();
        let rows = rows(&case, &measured);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].mode.as_str(), rows[0].mtu, rows[0].value), ("one thread", 1_500, 2.0));
        assert_eq!((rows[0].yardstick.as_deref(), rows[0].ratio), (Some("smoltcp"), Some(0.5)));
        assert_eq!((rows[1].mode.as_str(), rows[1].mtu, rows[1].value), ("smoltcp: one thread", 9_000, 4.0));
        assert_eq!((rows[1].yardstick.as_deref(), rows[1].ratio), (None, None));
    }

    #[test]
    fn json_has_the_promised_fields_in_their_order() {
        let (case, measured) = measured();
        let rows = rows(&case, &measured);
        let path = std::env::temp_dir().join(format!("uis-bench-rows-{}.json", std::process::id()));
        write_json(&path, &rows).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        write_json(&path, &[]).unwrap();
        let empty = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();

        assert_eq!(
            text.lines().nth(1).unwrap(),
            r#"{"scenario":"bulk","mode":"one thread","mtu":1500,"flows":1,"metric":"throughput","#
                .to_owned()
                + r#""unit":"Gbit/s","value":2.0,"min":1.0,"max":3.0,"runs":3,"yardstick":"smoltcp","ratio":0.5},"#
        );
        assert_eq!(serde_json::from_str::<Vec<Row>>(&text).unwrap(), rows);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.as_array().unwrap().len(), 2);
        assert_eq!(parsed[1]["ratio"], serde_json::Value::Null);
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&empty).unwrap().len(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write_json(Path::new("/does/not/exist.json"), &[]).unwrap_err();
        assert!(error.to_string().contains("exist.json"), "{error}");
    }
}
