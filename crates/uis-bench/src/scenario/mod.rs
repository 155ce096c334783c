//! What is measured. A scenario is a file here and a line in [`ALL`].

mod bulk;
mod capture;
mod idle;
mod paths;
mod resident;
mod round_trips;
mod set_ups;
mod stacks;

pub(crate) use idle::connect_idle;
pub(crate) use resident::{Resident, weigh};
pub(crate) use set_ups::{accept_and_close, dial_and_close};

use crate::args::Options;
use crate::case::{Case, Metric, Probe};
use crate::net::Net;

/// A heading of the table, and the cases below it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What the figures below the heading are.
    pub(crate) about: &'static str,
    pub(crate) cases: fn(&Options) -> Vec<Case>,
}

/// All of them, in the order of the table.
pub(crate) const ALL: &[Scenario] = &[
    bulk::BULK,
    capture::CAPTURE,
    paths::PATHS,
    round_trips::TCP,
    round_trips::UDP,
    set_ups::SET_UPS,
    idle::IDLE,
    stacks::STACKS,
];

/// The cases of a scenario that the options ask for.
pub(crate) fn asked(scenario: &Scenario, options: &Options) -> Vec<Case> {
    let mut cases = (scenario.cases)(options);
    cases
        .retain(|case| options.only.is_empty() || options.only.iter().any(|only| case.name().contains(only)));
    if !options.yardsticks {
        cases.iter_mut().for_each(|case| case.yardsticks.clear());
    }
    cases
}

/// A case without yardsticks. The mode of the family that is usual does not name it.
fn case(
    scenario: &'static str,
    mode: &str,
    net: Net,
    flows: usize,
    metrics: &'static [Metric],
    subject: Probe,
) -> Case {
    let family = net.family();
    let with_family = format!("{mode}, {family}");
    Case {
        scenario,
        mode: if family == "IPv6" { with_family.clone() } else { mode.to_owned() },
        label: with_family,
        mtu: net.mtu,
        flows,
        metrics,
        subject,
        yardsticks: Vec::new(),
        lasts: (1.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::meter::Span;

    fn names(options: &Options) -> Vec<String> {
        ALL.iter().flat_map(|scenario| asked(scenario, options)).map(|case| case.name()).collect()
    }

    #[test]
    fn no_two_cases_have_the_same_name() {
        for quick in [false, true] {
            let mut names = names(&Options { quick, ..Options::default() });
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }

    #[test]
    fn every_case_is_of_its_scenario() {
        for scenario in ALL {
            let cases = (scenario.cases)(&Options::default());
            assert!(!cases.is_empty());
            assert!(cases.iter().all(|case| case.scenario == scenario.name), "{}", scenario.name);
        }
    }

    #[test]
    fn quick_is_quick() {
        for (quick, window, limit) in [(true, crate::QUICK_WINDOW, 100.0), (false, crate::WINDOW, 600.0)] {
            let options = Options { quick, ..Options::default() };
            let cases = ALL.iter().flat_map(|scenario| asked(scenario, &options));
            let seconds: f64 = cases.map(|case| case.seconds(Span::of(window), options.runs)).sum();
            assert!(seconds < limit, "{quick}: {seconds}");
        }
    }

    #[test]
    fn options_choose() {
        let options = Options::default();
        let only = |only: &str| names(&Options { only: vec![only.into()], ..options.clone() });
        assert!(only("udp").iter().all(|name| name.starts_with("udp")) && !only("udp").is_empty());
        assert!(only("threads").iter().all(|name| name.contains("threads")) && !only("threads").is_empty());
        assert_eq!(only("no such thing"), [""; 0]);
        let quick = names(&Options { quick: true, ..options.clone() });
        assert!(quick.len() < names(&options).len());
        let one = names(&Options { mtu: Some(4_000), flows: Some(3), ..options.clone() });
        let bulk: Vec<_> = one.iter().filter(|name| name.starts_with("bulk")).collect();
        assert!(!bulk.is_empty());
        assert!(bulk.iter().all(|name| name.contains("MTU 4000") && name.contains("3 flows")), "{bulk:?}");
        let path = Options { loss: Some(0.05), delay: Some(Duration::from_millis(3)), ..options.clone() };
        let paths: Vec<_> = names(&path).into_iter().filter(|name| name.starts_with("paths")).collect();
        assert!(paths.len() >= 2 && paths.iter().all(|name| name.contains("5 % loss, 3 ms")), "{paths:?}");
        let alone = Options { yardsticks: false, ..options };
        assert!(ALL.iter().all(|s| asked(s, &alone).iter().all(|case| case.yardsticks.is_empty())));
    }
}
