//! The table on the terminal.

use std::io;

use crate::case::{Case, Measured, Metric, Summary};

/// How wide the left column is.
const LABEL: usize = 50;

/// How to read what follows.
pub(crate) fn legend(runs: usize) -> String {
    let figures = match runs {
        1 => "Each figure is of one run.".to_owned(),
        _ => format!("Each figure is the median of {runs} runs, with (lowest – highest)."),
    };
    format!(
        "{figures}\n\
         \"0.80 × smoltcp 40.0\" means: 0.80 times what the yardstick does, which is 40.0. The yardsticks run in turns with\n\
         uis, in this same process:\n\
         \x20 smoltcp  two bare smoltcp interfaces and two queues between them, on one thread; no sockets, no waiting\n\
         \x20 kernel   this machine's loopback, with its own large packets, whatever the MTU of the line\n\
         \"one thread\" has server, client and router on one core; \"threads\" has one for each of the three; \"tokio tasks\" has a\n\
         task for each, on tokio's runtime of several threads.\n"
    )
}

/// The lines of one case.
pub(crate) fn lines(case: &Case, measured: &Measured) -> String {
    let mut text = String::new();
    for (at, (metric, summary)) in case.metrics.iter().zip(&measured.subject.metrics).enumerate() {
        let label = if at == 0 { format!("  {}", case.label) } else { format!("    {}", metric.name) };
        let value = with_unit(metric, summary.value);
        let bounds = match summary.runs {
            1 => String::new(),
            _ => format!("({} – {})", number(summary.min), number(summary.max)),
        };
        let compared: Vec<String> = case
            .yardsticks
            .iter()
            .zip(&measured.yardsticks)
            .filter_map(|(known, values)| match values {
                Ok(values) => comparison(known.name, summary, values.metrics.get(at)?),
                Err(error) if at == 0 => Some(format!("{} failed: {error}", known.name)),
                Err(_) => None,
            })
            .collect();
        let line = format!("{label:LABEL$}{value:>15}  {bounds:23}  {}", compared.join("   "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The line of a case that has no figures.
pub(crate) fn failure(case: &Case, error: &io::Error) -> String {
    let label = format!("  {}", case.label);
    let what = if error.kind() == io::ErrorKind::OutOfMemory { "left out" } else { "FAILED" };
    format!("{label:LABEL$}{what}: {error}\n")
}

fn comparison(name: &str, summary: &Summary, yardstick: &Summary) -> Option<String> {
    let ratio = summary.ratio_to(yardstick)?;
    Some(format!("{ratio:.2} × {name} {}", number(yardstick.value)))
}

pub(crate) fn with_unit(metric: &Metric, value: f64) -> String {
    match metric.unit {
        "ratio" => number(value),
        "1/s" => format!("{}/s", number(value)),
        unit => format!("{} {unit}", number(value)),
    }
}

/// A whole number, its thousands apart.
pub(crate) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that matter; thousands apart.
pub(crate) fn number(value: f64) -> String {
    if value >= 1_000.0 {
        thousands(value.round() as u64)
    } else if value == 0.0 || value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::case::tests::case;
    use crate::case::{FAIRNESS, THROUGHPUT};
    use crate::meter::Span;

    #[test]
    fn numbers_are_short_and_readable() {
        for (value, text) in [
            (0.0, "0"),
            (0.456, "0.46"),
            (9.876, "9.88"),
            (34.56, "34.6"),
            (999.4, "999"),
            (1_000.0, "1,000"),
            (512_345.6, "512,346"),
            (12_345_678.0, "12,345,678"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_line_has_figure_bounds_and_comparison() {
        let mut case = case(&[30.0, 20.0, 40.0], &[60.0, 60.0, 60.0]);
        let measured = case.measure(Span::of(Duration::from_millis(1)), 3, |_, _| {}).unwrap();
        assert_eq!(
            lines(&case, &measured),
            "  one thread, MTU 1500, 1 flow                        30.0 Gbit/s  (20.0 – 40.0)            0.50 × smoltcp 60.0\n"
        );
    }

    #[test]
    fn further_metrics_are_lines_below_and_errors_are_told_once() {
        let mut case = case(&[], &[]);
        case.metrics = &[THROUGHPUT, FAIRNESS];
        case.subject = Box::new(|_| Ok([1.0, 0.5].into()));
        let measured = case.measure(Span::of(Duration::from_millis(1)), 1, |_, _| {}).unwrap();
        let text = lines(&case, &measured);
        assert_eq!(text.matches("smoltcp failed: used up").count(), 1, "{text}");
        let second = text.lines().nth(1).unwrap();
        assert!(second.starts_with("    slowest : fastest flow ") && second.ends_with(" 0.50"), "{second:?}");
        assert!(failure(&case, &io::Error::other("no luck")).ends_with("FAILED: no luck\n"));
    }
}
