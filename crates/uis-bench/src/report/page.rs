//! The page: facts, charts, the whole table. No script, no font, nothing from elsewhere.

use std::fmt::Write;

use super::plots;
use super::svg::{self, escape};
use super::{Entry, Report};
use crate::case::Summary;
use crate::compare::{Change, Verdict, percent};
use crate::table::{number, with_unit};

const STYLE: &str = include_str!("page.css");

const ABOUT: &str = "TCP/IP stacks and the internet between them in one process, beside what a bare pair of \
                     smoltcp interfaces and this machine’s kernel do in the same minutes.";

/// How to read the table.
const READING: &str = "Faint lines are further figures of the line above. “0.80 × smoltcp 40.0” means: 0.80 times what \
                       the yardstick does, which is 40.0; the yardsticks run in turns with uis. <em>smoltcp</em> is \
                       two bare interfaces and two queues on one thread, without sockets that wait; <em>kernel</em> \
                       is the machine’s loopback, with its own large packets whatever the MTU of the line.";

/// How to read its changes.
const CHANGES: &str =
    " A coloured change is beyond chance: every run of one is beyond every run of the other.";

pub(super) fn page(report: &Report) -> String {
    let facts: String = report
        .facts
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)))
        .collect();
    let charts: String = plots::all(&report.entries)
        .iter()
        .map(|plot| {
            let class = if plot.wide { " class=\"wide\"" } else { "" };
            format!("<figure{class}>{}</figure>\n", plot.svg.inline())
        })
        .collect();
    let charts = match charts.as_str() {
        "" => String::new(),
        charts => format!("<h2>Charts</h2>\n<div class=\"charts\">\n{charts}</div>\n"),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>uis: benchmarks</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n<h1>uis: benchmarks</h1>\n\
         <p class=\"dim\">{ABOUT}</p>\n<dl>\n{facts}</dl>\n{charts}{}</main>\n</body>\n</html>\n",
        svg::STYLE,
        table(report),
    )
}

fn table(report: &Report) -> String {
    let compared = report.earlier.is_some();
    let figures = match report.runs {
        1 => "Each figure is of one run.".to_owned(),
        runs => format!("Each figure is the median of {runs} runs."),
    };
    let (changes, more) = match compared {
        true => (CHANGES, "<th class=\"n\">before</th><th class=\"n\">change</th>"),
        false => ("", ""),
    };
    let mut text = format!(
        "<h2>All figures</h2>\n<p>{figures} {READING}{changes}</p>\n<div class=\"scroll\"><table>\n<thead><tr>\
         <th>what</th><th class=\"n\">figure</th><th class=\"n\">lowest – highest</th><th>beside</th>{more}</tr>\
         </thead>\n<tbody>\n",
    );
    let columns = if compared { 6 } else { 4 };
    let changes = report.earlier.as_ref().map(|earlier| earlier.changes(&report.rows()));
    let mut changes = changes.unwrap_or_default().into_iter();
    for (name, about) in &report.scenarios {
        let entries: Vec<_> = report.entries.iter().filter(|entry| entry.scenario == *name).collect();
        if entries.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "<tr><th colspan=\"{columns}\" scope=\"colgroup\">{}<span>{}</span></th></tr>",
            escape(name),
            escape(about)
        );
        for entry in entries {
            let changes: Vec<_> = changes.by_ref().take(entry.rows.len()).collect();
            lines(&mut text, entry, compared.then_some(&changes));
        }
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

/// A line for each figure of the case itself, whose rows are the first ones.
fn lines(text: &mut String, entry: &Entry, changes: Option<&Vec<Option<Change>>>) {
    for (at, (metric, summary)) in entry.metrics.iter().zip(&entry.own.metrics).enumerate() {
        let (class, label) = if at == 0 { ("first", entry.label.as_str()) } else { ("sub", metric.name) };
        let spread = match summary.runs {
            1 => String::new(),
            _ => format!("{} – {}", number(summary.min), number(summary.max)),
        };
        let beside: Vec<_> = entry
            .others
            .iter()
            .filter_map(|(name, other)| beside(name, summary, other.as_ref()?.metrics.get(at)?))
            .collect();
        let _ = write!(
            text,
            "<tr><td class=\"{class}\">{}</td><td class=\"n\">{}</td><td class=\"n dim\">{spread}</td><td>{}</td>",
            escape(label),
            escape(&with_unit(metric, summary.value)),
            beside.join(" &ensp; ")
        );
        if let Some(changes) = changes {
            let _ = write!(text, "{}", change(changes.get(at).copied().flatten()));
        }
        text.push_str("</tr>\n");
    }
}

fn beside(name: &str, own: &Summary, other: &Summary) -> Option<String> {
    let ratio = own.ratio_to(other)?;
    let (name, value) = (escape(name), number(other.value));
    Some(format!("<span>{ratio:.2} × <span class=\"dim\">{name} {value}</span></span>"))
}

fn change(change: Option<Change>) -> String {
    let Some(change) = change else {
        return "<td class=\"n dim\">–</td><td class=\"n dim\">new</td>".into();
    };
    let class = match change.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Within => "dim",
    };
    format!(
        "<td class=\"n dim\">{}</td><td class=\"n {class}\">{}</td>",
        number(change.before),
        percent(change.by)
    )
}
