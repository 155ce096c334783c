//! Three kinds of charts, of figures that are already chosen.

use super::svg::{Anchor, Svg, text_width};
use crate::case::Summary;
use crate::latency::Histogram;
use crate::table::number;

/// The width of a chart, two of which fit beside each other.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;

/// Something of a colour.
#[derive(Debug, Clone)]
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) class: &'static str,
    pub(super) of: T,
}

/// Bars that have a scale of their own, under a heading.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) unit: &'static str,
    pub(super) bars: Vec<Named<Summary>>,
}

/// Groups of horizontal bars, in so many columns.
pub(super) fn bars(title: &str, columns: usize, groups: &[Group]) -> Svg {
    const BAR: f64 = 17.0;
    const GAP: f64 = 36.0;
    let longest = groups.iter().flat_map(|group| &group.bars).map(|bar| text_width(&bar.name));
    let names = longest.fold(0.0, f64::max) + 8.0;
    let column = (2.0 * WIDTH + GAP + GAP) / columns as f64 - GAP;
    let tallest = groups.iter().map(|group| group.bars.len()).max().unwrap_or(0) as f64;
    let row = 26.0 + (BAR + 4.0) * tallest + 16.0;
    let rows = groups.len().div_ceil(columns) as f64;
    let mut svg = Svg::new(2.0 * WIDTH + GAP, 34.0 + rows * row, title);
    for (at, group) in groups.iter().enumerate() {
        let left = (at % columns) as f64 * (column + GAP);
        let top = 34.0 + (at / columns) as f64 * row;
        svg.text(left, top + 12.0, "head", Anchor::Start, &group.heading);
        svg.text(left + column, top + 12.0, "dim", Anchor::End, group.unit);
        // Room for the figure behind the longest bar.
        let room = column - names - 64.0;
        let most = group.bars.iter().map(|bar| bar.of.max).fold(f64::MIN_POSITIVE, f64::max);
        for (nth, bar) in group.bars.iter().enumerate() {
            let (y, x) = (top + 24.0 + nth as f64 * (BAR + 4.0), left + names);
            let scaled = |value: f64| value / most * room;
            let hint = hint(&bar.name, &bar.of, group.unit);
            svg.text(x - 8.0, y + 12.5, "dim", Anchor::End, &bar.name);
            svg.rect(&format!("fill {}", bar.class), [x, y], [scaled(bar.of.value).max(1.0), BAR], &hint);
            if bar.of.runs > 1 {
                let middle = y + BAR / 2.0;
                svg.line("whisker", [x + scaled(bar.of.min), middle], [x + scaled(bar.of.max), middle]);
            }
            svg.text(x + scaled(bar.of.max) + 6.0, y + 12.5, "head", Anchor::Start, &number(bar.of.value));
        }
    }
    svg
}

/// Curves over a few places that are evenly apart, whatever they stand for.
pub(super) fn curves(
    title: &str,
    unit: &str,
    below: &str,
    places: &[String],
    series: &[Named<Vec<Option<Summary>>>],
) -> Svg {
    let (left, right, top, bottom) = (48.0, WIDTH - 16.0, 52.0, HEIGHT - 88.0);
    let all = series.iter().flat_map(|series| series.of.iter().flatten());
    let (steps, most) = ticks(all.map(|summary| summary.max).fold(0.0, f64::max));
    let x = |at: usize| {
        let apart = (right - left) / places.len().max(1) as f64;
        left + apart * (at as f64 + 0.5)
    };
    let y = |value: f64| bottom - value / most * (bottom - top);
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    svg.text(0.0, 38.0, "dim", Anchor::Start, unit);
    for step in steps {
        svg.line(if step == 0.0 { "axis" } else { "rule" }, [left, y(step)], [right, y(step)]);
        svg.text(left - 8.0, y(step) + 4.0, "dim", Anchor::End, &plain(step));
    }
    for (at, place) in places.iter().enumerate() {
        svg.text(x(at), bottom + 18.0, "", Anchor::Middle, place);
    }
    svg.text((left + right) / 2.0, bottom + 36.0, "dim", Anchor::Middle, below);
    for (nth, one) in series.iter().enumerate() {
        let known = one.of.iter().enumerate().filter_map(|(at, summary)| Some((at, summary.as_ref()?)));
        // A little beside each other, or the spreads would hide each other.
        let x = |at| x(at) + (nth as f64 - (series.len() as f64 - 1.0) / 2.0) * 5.0;
        let points: Vec<_> = known.clone().map(|(at, summary)| [x(at), y(summary.value)]).collect();
        let dashed = if one.class == "c2" || one.class == "c1" { " dashed" } else { "" };
        svg.path(&format!("curve{dashed} {}", one.class), &points);
        for (at, summary) in known {
            svg.line(&format!("spread {}", one.class), [x(at), y(summary.min)], [x(at), y(summary.max)]);
            let hint = format!("{}: {}", places[at], hint(&one.name, summary, unit));
            svg.dot(&format!("fill {}", one.class), [x(at), y(summary.value)], &hint);
        }
    }
    let names: Vec<_> = series.iter().map(|one| (one.name.as_str(), one.class)).collect();
    svg.legend(HEIGHT - 24.0, &names);
    svg
}

/// How long things took, over a time axis of powers.
pub(super) fn histogram(title: &str, series: &[Named<Histogram>]) -> Svg {
    let (left, right, top, bottom) = (4.0, WIDTH - 16.0, 44.0, HEIGHT - 88.0);
    // Few take very long, and those would press the others together.
    let ends = series.iter().filter_map(|one| Some([one.of.within(0.002)?, one.of.within(0.995)?]));
    let [from, to] = ends.fold([f64::INFINITY, 0.0_f64], |[from, to], [a, b]| [from.min(a), to.max(b)]);
    let [from, to] = [from * 0.8, to * 1.25];
    let x = |micros: f64| {
        let share = (micros / from).ln() / (to / from).ln();
        left + share.clamp(0.0, 1.0) * (right - left)
    };
    // A bucket of twice the width holds twice as many: what is drawn is how many there are by its width on the axis.
    let density = |([low, high], share): &([f64; 2], f64)| share / (high / low.max(1e-4)).ln();
    let highest = |one: &Named<Histogram>| one.of.bars().iter().map(density).fold(0.0, f64::max);
    let most = series.iter().map(highest).fold(f64::MIN_POSITIVE, f64::max);
    let y = |density: f64| bottom - density / most * (bottom - top);
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    // As many round times as there is room for.
    let digits: &[f64] = if to / from < 100.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let times = (-3..8).flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)));
    for micros in times.filter(|&micros| from < micros && micros < to) {
        svg.line("rule", [x(micros), top], [x(micros), bottom]);
        svg.text(x(micros), bottom + 18.0, "", Anchor::Middle, &duration(micros));
    }
    svg.line("axis", [left, bottom], [right, bottom]);
    svg.text((left + right) / 2.0, bottom + 36.0, "dim", Anchor::Middle, "how long a round trip takes");
    for one in series {
        let mut points = vec![[x(one.of.within(0.0).unwrap_or(from)), bottom]];
        for bar @ ([low, high], _) in &one.of.bars() {
            if *low >= to || *high <= from {
                continue;
            }
            points.extend([[x(*low), y(density(bar))], [x(*high), y(density(bar))]]);
        }
        points.push([points[points.len() - 1][0], bottom]);
        svg.path(&format!("area {}", one.class), &points);
    }
    let names: Vec<_> = series
        .iter()
        .map(|one| {
            let median = one.of.within(0.5).map(duration).unwrap_or_default();
            (format!("{}, median {median}", one.name), one.class)
        })
        .collect();
    let names: Vec<_> = names.iter().map(|(name, class)| (name.as_str(), *class)).collect();
    svg.legend(HEIGHT - 24.0, &names);
    svg
}

fn hint(name: &str, summary: &Summary, unit: &str) -> String {
    let Summary { value, min, max, runs } = *summary;
    match runs {
        1 => format!("{name}: {} {unit}", number(value)),
        _ => format!("{name}: {} {unit} ({} – {} in {runs} runs)", number(value), number(min), number(max)),
    }
}

/// Round values from 0 to above `most`: about four, and the last of them.
fn ticks(most: f64) -> (Vec<f64>, f64) {
    let most = if most > 0.0 { most } else { 1.0 };
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| step * 5.0 >= most);
    let step = step.unwrap_or(10.0 * power);
    let count = (most / step).ceil() as u32;
    ((0..=count).map(|at| f64::from(at) * step).collect(), f64::from(count) * step)
}

/// Without digits that say nothing.
fn plain(value: f64) -> String {
    let text = if value >= 1_000.0 { number(value) } else { format!("{value:.2}") };
    match text.split_once('.') {
        Some((_, rest)) if rest.chars().all(|c| c == '0') => {
            text.split('.').next().unwrap_or_default().into()
        }
        Some(_) => text.trim_end_matches('0').into(),
        None => text,
    }
}

fn duration(micros: f64) -> String {
    match micros {
        _ if micros < 0.9999 => format!("{} ns", plain((micros * 1e3).round())),
        _ if micros < 10.0 => format!("{} µs", plain((micros * 10.0).round() / 10.0)),
        _ if micros < 999.9 => format!("{} µs", plain(micros.round())),
        _ => format!("{} ms", plain((micros / 100.0).round() / 10.0)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::Recorder;

    fn summary(value: f64) -> Summary {
        Summary { value, min: value * 0.9, max: value * 1.1, runs: 3 }
    }

    #[test]
    fn axes_have_round_steps() {
        assert_eq!(ticks(38.0), (vec![0.0, 10.0, 20.0, 30.0, 40.0], 40.0));
        assert_eq!(ticks(0.9).1, 1.0);
        assert_eq!(ticks(5_100.0).0, [0.0, 2_000.0, 4_000.0, 6_000.0]);
        assert_eq!(ticks(0.0).1, 1.0);
    }

    #[test]
    fn figures_of_axes_are_short() {
        for (value, text) in [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (10.0, "10"), (4_000.0, "4,000")] {
            assert_eq!(plain(value), text);
        }
        for (micros, text) in
            [(0.5, "500 ns"), (1.0, "1 µs"), (1.55, "1.6 µs"), (12.3, "12 µs"), (2_000.0, "2 ms")]
        {
            assert_eq!(duration(micros), text);
        }
    }

    #[test]
    fn charts_show_what_there_is_and_bear_what_there_is_not() {
        let bar = |name: &str| Named { name: name.into(), class: "c0", of: summary(2.0) };
        let group = Group { heading: "Bulk".into(), unit: "Gbit/s", bars: vec![bar("uis"), bar("kernel")] };
        let text = bars("All", 2, &[group.clone(), group]).inline();
        assert_eq!(text.matches("<rect").count(), 4);
        assert!(text.contains("uis: 2.00 Gbit/s (1.80 – 2.20 in 3 runs)"), "{text}");

        let series = Named { name: "uis".into(), class: "c0", of: vec![Some(summary(3.0)), None] };
        let text = curves("By flows", "Gbit/s", "flows", &["1".into(), "10".into()], &[series]).inline();
        assert_eq!(text.matches("<circle").count(), 1);
        assert!(!curves("", "", "", &[], &[]).inline().contains("NaN"));

        let recorder = Recorder::default();
        (1_000..1_500).for_each(|nanos| recorder.add(Duration::from_nanos(nanos)));
        let series = Named { name: "uis".into(), class: "c0", of: recorder.read() };
        let text = histogram("Times", &[series]).inline();
        assert!(text.contains("median 1.3 µs") && text.contains("area c0"), "{text}");
        assert!(!text.contains("NaN"), "{text}");
    }
}
