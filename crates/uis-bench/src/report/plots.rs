//! Which figures go into which chart.

use super::Entry;
use super::charts::{self, Group, Named};
use super::svg::Svg;
use crate::case::Summary;
use crate::latency::Histogram;

/// A chart, and the name of its file.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(super) name: &'static str,
    pub(super) svg: Svg,
    /// As wide as two others.
    pub(super) wide: bool,
}

/// All charts for which there are figures.
pub(super) fn all(entries: &[Entry]) -> Vec<Plot> {
    let wide = |name, svg: Option<Svg>| svg.map(|svg| Plot { name, svg, wide: true });
    let half = |name, svg: Option<Svg>| svg.map(|svg| Plot { name, svg, wide: false });
    let plots = [
        wide("overview", overview(entries)),
        half("flows", flows(entries)),
        half("mtus", mtus(entries)),
        half("latency-tcp", latencies(entries, "tcp round trips", "TCP round trips of a byte, one thread")),
        half("latency-udp", latencies(entries, "udp round trips", "UDP round trips of a byte, one thread")),
        half("latency-threads", between_threads(entries)),
        half("idle", idle(entries)),
        wide("paths", paths(entries)),
    ];
    plots.into_iter().flatten().collect()
}

/// The colour of a yardstick.
fn class(name: &str) -> &'static str {
    match name {
        "smoltcp" => "c1",
        "kernel" => "c2",
        _ => "c3",
    }
}

/// The first entry of a scenario with this mode, MTU and number of flows.
fn find<'a>(
    entries: &'a [Entry],
    scenario: &str,
    mode: &str,
    mtu: Option<u32>,
    flows: usize,
) -> Option<&'a Entry> {
    entries.iter().find(|entry| {
        entry.scenario == scenario
            && entry.mode == mode
            && entry.flows == flows
            && mtu.is_none_or(|mtu| entry.mtu == mtu)
    })
}

/// One of the usual cases beside its yardsticks.
fn overview(entries: &[Entry]) -> Option<Svg> {
    let group = |heading: &str, unit, entry: Option<&Entry>| {
        let (scale, unit) = unit;
        let entry = entry?;
        let scaled = |summary: &Summary| summary.scaled(scale);
        let own = Named { name: "uis".into(), class: "c0", of: scaled(entry.figure(None)?) };
        let others = entry.others.iter().filter_map(|(name, _)| {
            Some(Named { name: name.to_string(), class: class(name), of: scaled(entry.figure(Some(name))?) })
        });
        let bars: Vec<_> = std::iter::once(own).chain(others).collect();
        (bars.len() > 1).then(|| Group { heading: heading.into(), unit, bars })
    };
    let bulk = |mtu, flows| find(entries, "bulk", "one thread", Some(mtu), flows);
    let usual = |scenario, flows| find(entries, scenario, "one thread", None, flows);
    let (gbits, thousands) = ((1.0, "Gbit/s"), (1e-3, "thousand/s"));
    let groups = [
        group("Bulk, MTU 1500, 1 flow", gbits, bulk(1_500, 1)),
        group("TCP round trips of a byte", thousands, usual("tcp round trips", 1)),
        group("Bulk, MTU 1500, 100 flows", gbits, bulk(1_500, 100)),
        group("UDP round trips of a byte", thousands, usual("udp round trips", 1)),
        group("Bulk, MTU 65535, 1 flow", gbits, bulk(65_535, 1)),
        group("Connections, one after the other", thousands, usual("set-ups", 1)),
    ];
    let groups: Vec<_> = groups.into_iter().flatten().collect();
    (!groups.is_empty()).then(|| charts::bars("On one thread, beside the yardsticks", 2, &groups))
}

/// A curve for each of `modes` of uis and one for each yardstick of the first of them.
fn curves(
    entries: &[Entry],
    modes: &[(&str, &'static str)],
    pick: impl Fn(&[Entry], &str, usize) -> Option<usize>,
    places: usize,
) -> Vec<Named<Vec<Option<Summary>>>> {
    let mut series = Vec::new();
    let line = |mode: &str, who: Option<&str>| -> Vec<Option<Summary>> {
        let at = |place| entries[pick(entries, mode, place)?].figure(who).copied();
        (0..places).map(at).collect()
    };
    for &(mode, class) in modes {
        series.push(Named { name: format!("uis, {mode}"), class, of: line(mode, None) });
    }
    for name in ["smoltcp", "kernel"] {
        series.push(Named { name: name.into(), class: class(name), of: line(modes[0].0, Some(name)) });
    }
    series.retain(|one| one.of.iter().flatten().count() > 1);
    series
}

fn flows(entries: &[Entry]) -> Option<Svg> {
    let bulk = |entry: &&Entry| entry.scenario == "bulk" && entry.mtu == 1_500;
    let mut known: Vec<usize> = entries.iter().filter(bulk).map(|entry| entry.flows).collect();
    known.sort_unstable();
    known.dedup();
    let modes = [("one thread", "c0"), ("threads", "c4"), ("tokio tasks", "c5")];
    let pick = |entries: &[Entry], mode: &str, place: usize| {
        let wanted = find(entries, "bulk", mode, Some(1_500), known[place])?;
        entries.iter().position(|entry| std::ptr::eq(entry, wanted))
    };
    let series = curves(entries, &modes, pick, known.len());
    let places: Vec<_> = known.iter().map(|&flows| crate::table::thousands(flows as u64)).collect();
    (known.len() > 1 && !series.is_empty()).then(|| {
        charts::curves(
            "Throughput by flows, MTU 1500",
            "Gbit/s, all flows together",
            "flows",
            &places,
            &series,
        )
    })
}

fn mtus(entries: &[Entry]) -> Option<Svg> {
    let bulk = |entry: &&Entry| entry.scenario == "bulk" && entry.flows == 1;
    let mut known: Vec<u32> = entries.iter().filter(bulk).map(|entry| entry.mtu).collect();
    known.sort_unstable();
    known.dedup();
    let modes = [("one thread", "c0"), ("one thread, IPv6", "c4")];
    let pick = |entries: &[Entry], mode: &str, place: usize| {
        let wanted = find(entries, "bulk", mode, Some(known[place]), 1)?;
        entries.iter().position(|entry| std::ptr::eq(entry, wanted))
    };
    let series = curves(entries, &modes, pick, known.len());
    let places: Vec<_> = known.iter().map(u32::to_string).collect();
    (known.len() > 1 && !series.is_empty()).then(|| {
        charts::curves(
            "Throughput by MTU, one flow",
            "Gbit/s",
            "MTU (the kernel has its own)",
            &places,
            &series,
        )
    })
}

/// What idle connections cost the one that is busy.
fn idle(entries: &[Entry]) -> Option<Svg> {
    let beside = |entry: &&Entry| entry.scenario == "idle" && entry.mode == "one thread";
    let known: Vec<&Entry> = entries.iter().filter(beside).collect();
    let line = |who| known.iter().map(|entry| Some(entry.figure(who)?.scaled(1e-3))).collect::<Vec<_>>();
    let series = [
        Named { name: "beside idle connections".into(), class: "c0", of: line(None) },
        Named { name: "alone, at the same time".into(), class: "c3", of: line(Some("alone")) },
    ];
    let places: Vec<_> = known.iter().map(|entry| crate::table::thousands(entry.flows as u64)).collect();
    (known.len() > 1).then(|| {
        charts::curves(
            "TCP round trips beside idle connections",
            "thousand/s",
            "idle connections",
            &places,
            &series,
        )
    })
}

fn latencies(entries: &[Entry], scenario: &str, title: &str) -> Option<Svg> {
    let entry = find(entries, scenario, "one thread", None, 1)?;
    let others = entry.others.iter().map(|(name, _)| (*name, class(name), entry.times_of(Some(name))));
    histogram(title, std::iter::once(("uis", "c0", entry.times_of(None))).chain(others))
}

fn between_threads(entries: &[Entry]) -> Option<Svg> {
    let of = |mode| find(entries, "tcp round trips", mode, None, 1);
    let (threads, tokio) = (of("threads")?, of("tokio tasks"));
    let series = [
        ("uis, threads", "c0", threads.times_of(None)),
        ("uis, tokio tasks", "c5", tokio.and_then(|tokio| tokio.times_of(None))),
        ("kernel, threads", "c2", threads.times_of(Some("kernel"))),
    ];
    histogram("TCP round trips of a byte, between threads", series.into_iter())
}

fn histogram<'a>(
    title: &str,
    series: impl Iterator<Item = (&'a str, &'static str, Option<&'a Histogram>)>,
) -> Option<Svg> {
    let series = series.filter_map(|(name, class, times)| {
        let of = times.filter(|times| times.total() > 0)?.clone();
        Some(Named { name: name.into(), class, of })
    });
    let series: Vec<_> = series.collect();
    (!series.is_empty()).then(|| charts::histogram(title, &series))
}

/// Lossy and slow paths, real and virtual.
fn paths(entries: &[Entry]) -> Option<Svg> {
    let group = |heading: &str, of: &str, class| {
        let chosen = entries.iter().filter(|entry| entry.scenario == "paths" && entry.mode.starts_with(of));
        let bars = chosen.filter_map(|entry| {
            let name = entry.mode.strip_prefix(of)?.trim_start_matches(", ").to_owned();
            Some(Named { name, class, of: *entry.figure(None)? })
        });
        Group { heading: heading.into(), unit: "Gbit/s", bars: bars.collect() }
    };
    let groups = [
        group("In real time, one thread", "one thread", "c0"),
        group("In virtual time, by the virtual clock", "virtual time", "c4"),
    ];
    let groups: Vec<_> = groups.into_iter().filter(|group| !group.bars.is_empty()).collect();
    (!groups.is_empty()).then(|| charts::bars("Over lossy and slow paths, one flow", 2, &groups))
}
