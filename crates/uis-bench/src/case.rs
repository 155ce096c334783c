//! A case: one line of the table, measured beside its yardsticks.
//!
//! Subject and yardsticks take turns (subject, yardstick, subject, yardstick, …), so that a machine that gets
//! slower or faster meanwhile does so for both. What is reported is the median of the turns.

use std::fmt;
use std::io;

use crate::latency::Histogram;
use crate::meter::{Reading, Span};

/// Measures once, for one window.
pub(crate) type Probe = Box<dyn FnMut(Span) -> io::Result<Taken>>;

/// What came out of one window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Taken {
    /// One value for each metric of the case, in their order; a yardstick may know the first few only.
    pub(crate) values: Vec<f64>,
    /// How long single things took, where that was looked at.
    pub(crate) times: Histogram,
}

impl<const N: usize> From<[f64; N]> for Taken {
    fn from(values: [f64; N]) -> Self {
        Self { values: values.into(), times: Histogram::default() }
    }
}

impl Taken {
    /// How much a second.
    pub(crate) fn rate(reading: Reading) -> Self {
        [reading.per_second()].into()
    }

    /// How much a second, and how long one took: [`LATENCIES`].
    pub(crate) fn latencies(reading: Reading) -> Self {
        let mut values = vec![reading.per_second()];
        values.extend([0.5, 0.99].iter().map_while(|&share| reading.times.within(share)));
        Self { values, times: reading.times }
    }

    /// The first value alone.
    pub(crate) fn first(mut self) -> Self {
        self.values.truncate(1);
        self
    }
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

/// Payload that arrived.
pub(crate) const THROUGHPUT: Metric = Metric { name: "throughput", unit: "Gbit/s" };
/// How even the flows were served.
pub(crate) const FAIRNESS: Metric = Metric { name: "slowest : fastest flow", unit: "ratio" };
/// Requests answered, one after the other.
pub(crate) const ROUND_TRIPS: Metric = Metric { name: "round trips", unit: "1/s" };
/// Half of the requests took no longer than this.
pub(crate) const MEDIAN: Metric = Metric { name: "half within", unit: "µs" };
/// Of a hundred requests one took longer than this.
pub(crate) const SLOW: Metric = Metric { name: "99 % within", unit: "µs" };
/// What [`Taken::latencies`] gives.
pub(crate) const LATENCIES: &[Metric] = &[ROUND_TRIPS, MEDIAN, SLOW];
/// Connections made and closed again.
pub(crate) const SET_UPS: Metric = Metric { name: "connections", unit: "1/s" };
/// Packets that a capture had no room for.
pub(crate) const MISSED: Metric = Metric { name: "not captured", unit: "packets" };
/// Resident memory.
pub(crate) const MEMORY: Metric = Metric { name: "memory per pair", unit: "kB" };

/// One line of the table.
pub(crate) struct Case {
    pub(crate) scenario: &'static str,
    pub(crate) mode: String,
    /// What the table shows on the left.
    pub(crate) label: String,
    pub(crate) mtu: u32,
    pub(crate) flows: usize,
    pub(crate) metrics: &'static [Metric],
    pub(crate) subject: Probe,
    pub(crate) yardsticks: Vec<Yardstick>,
    /// About how long a turn takes: so many windows with their warm-up, and so many seconds besides.
    pub(crate) lasts: (f64, f64),
}

/// What a case is compared with. The first one of a case is its main one.
pub(crate) struct Yardstick {
    pub(crate) name: &'static str,
    pub(crate) mtu: u32,
    pub(crate) probe: Probe,
}

impl Case {
    /// Adds a yardstick.
    pub(crate) fn against(
        mut self,
        name: &'static str,
        mtu: u32,
        probe: impl FnMut(Span) -> io::Result<Taken> + 'static,
    ) -> Self {
        self.yardsticks.push(Yardstick { name, mtu, probe: Box::new(probe) });
        self
    }

    /// Says about how long a turn takes: so many windows with their warm-up, and so many seconds besides.
    pub(crate) fn lasting(mut self, windows: f64, seconds: f64) -> Self {
        self.lasts = (windows, seconds);
        self
    }

    /// About how many seconds all turns take.
    pub(crate) fn seconds(&self, span: Span, runs: usize) -> f64 {
        let (windows, seconds) = self.lasts;
        let turn = (span.warm_up + span.window).as_secs_f64() * windows + seconds + 0.02;
        turn * (runs * (1 + self.yardsticks.len())) as f64
    }

    /// What `--only` looks into and `--list` prints.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.scenario, self.label)
    }

    /// Measures subject and yardsticks in turns, each `runs` times. `progress` is told how many of how many
    /// turns are done.
    ///
    /// # Errors
    ///
    /// The subject's. A yardstick that fails is left out, with its error.
    pub(crate) fn measure(
        &mut self,
        span: Span,
        runs: usize,
        mut progress: impl FnMut(usize, usize),
    ) -> io::Result<Measured> {
        let turns = runs * (1 + self.yardsticks.len());
        let mut done = 0;
        let mut subject = Vec::new();
        let mut yardsticks: Vec<io::Result<Vec<Taken>>> =
            self.yardsticks.iter().map(|_| Ok(Vec::new())).collect();
        for _ in 0..runs {
            progress(done, turns);
            subject.push(again(&mut self.subject, span)?);
            done += 1;
            for (yardstick, values) in self.yardsticks.iter_mut().zip(&mut yardsticks) {
                progress(done, turns);
                if let Ok(known) = values {
                    match again(&mut yardstick.probe, span) {
                        Ok(more) => known.push(more),
                        Err(error) => *values = Err(error),
                    }
                }
                done += 1;
            }
        }
        progress(turns, turns);
        let yardsticks = yardsticks.into_iter().map(|values| values.map(|values| Measure::of(&values)));
        Ok(Measured { subject: Measure::of(&subject), yardsticks: yardsticks.collect() })
    }
}

/// Measures; in ever longer windows where a busy machine has left no time for anything to be counted.
fn again(probe: &mut Probe, span: Span) -> io::Result<Taken> {
    for times in [1, 4] {
        match probe(span.times(times)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
    probe(span.times(16))
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// What came out for the subject and for each yardstick.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) subject: Measure,
    pub(crate) yardsticks: Vec<io::Result<Measure>>,
}

/// All windows of one thing together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measure {
    /// For each metric its summary over the runs.
    pub(crate) metrics: Vec<Summary>,
    pub(crate) times: Histogram,
}

impl Measure {
    fn of(runs: &[Taken]) -> Self {
        let known = runs.iter().map(|run| run.values.len()).min().unwrap_or(0);
        let metric = |metric| Summary::of(runs.iter().map(|run: &Taken| run.values[metric]).collect());
        let mut times = Histogram::default();
        runs.iter().for_each(|run| times.merge(&run.times));
        Self { metrics: (0..known).filter_map(metric).collect(), times }
    }
}

/// Several measurements of one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The median; of an even number the mean of the middle two.
    pub(crate) value: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
}

impl Summary {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let runs = values.len();
        let value = (values[(runs - 1) / 2] + values[runs / 2]) / 2.0;
        Some(Self { value, min, max, runs })
    }

    /// In another unit.
    pub(crate) fn scaled(&self, by: f64) -> Self {
        Self { value: self.value * by, min: self.min * by, max: self.max * by, runs: self.runs }
    }

    /// This over `yardstick`; none if that is 0.
    pub(crate) fn ratio_to(&self, yardstick: &Self) -> Option<f64> {
        (yardstick.value != 0.0).then(|| self.value / yardstick.value)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    /// A case whose subject and first yardstick give these values in turn.
    pub(crate) fn case(subject: &[f64], yardstick: &[f64]) -> Case {
        let given = |values: &[f64]| {
            let mut values: Vec<f64> = values.iter().rev().copied().collect();
            move |_| values.pop().map(|value| Taken::from([value])).ok_or_else(|| io::Error::other("used up"))
        };
        let case = Case {
            scenario: "bulk",
            mode: "one thread".into(),
            label: "one thread, MTU 1500, 1 flow".into(),
            mtu: 1_500,
            flows: 1,
            metrics: &[THROUGHPUT],
            subject: Box::new(given(subject)),
            yardsticks: Vec::new(),
            lasts: (1.0, 0.0),
        };
        case.against("smoltcp", 9_000, given(yardstick))
    }

    fn span() -> Span {
        Span::of(Duration::from_millis(1))
    }

    #[test]
    fn the_median_and_its_bounds_are_reported() {
        let measured = case(&[3.0, 1.0, 2.0], &[4.0, 8.0, 4.0]).measure(span(), 3, |_, _| {}).unwrap();
        assert_eq!(measured.subject.metrics, [Summary { value: 2.0, min: 1.0, max: 3.0, runs: 3 }]);
        let yardstick = measured.yardsticks[0].as_ref().unwrap().metrics[0];
        assert_eq!(yardstick, Summary { value: 4.0, min: 4.0, max: 8.0, runs: 3 });
        assert_eq!(measured.subject.metrics[0].ratio_to(&yardstick), Some(0.5));
        let even = Summary::of(vec![4.0, 1.0, 2.0, 9.0]).unwrap();
        assert_eq!(even.value, 3.0);
        assert_eq!(even.ratio_to(&Summary::of(vec![0.0]).unwrap()), None);
    }

    #[test]
    fn subject_and_yardstick_take_turns() {
        let order = Rc::new(RefCell::new(String::new()));
        let note = |letter| {
            let order = order.clone();
            move |_| {
                order.borrow_mut().push(letter);
                Ok([1.0].into())
            }
        };
        let mut case = Case { subject: Box::new(note('u')), yardsticks: Vec::new(), ..case(&[], &[]) }
            .against("a", 1, note('a'))
            .against("b", 1, note('b'));
        let mut progress = Vec::new();
        case.measure(span(), 2, |done, turns| progress.push((done, turns))).unwrap();
        assert_eq!(*order.borrow(), "uabuab");
        assert_eq!(progress.first(), Some(&(0, 6)));
        assert_eq!(progress.last(), Some(&(6, 6)));
    }

    #[test]
    fn a_window_without_anything_in_it_is_opened_again_and_longer() {
        let mut windows = Vec::new();
        let mut empty: Probe = Box::new(move |span| {
            windows.push(span.window.as_millis());
            match windows[..] {
                [1, 4, 16] => Ok([7.0].into()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        assert_eq!(again(&mut empty, span()).unwrap().values, [7.0]);
        let mut never: Probe = Box::new(|_| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(again(&mut never, span()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_broken_yardstick_does_not_take_the_case_with_it() {
        let measured = case(&[1.0, 1.0], &[1.0]).measure(span(), 2, |_, _| {}).unwrap();
        assert_eq!(measured.subject.metrics[0].runs, 2);
        assert!(measured.yardsticks[0].is_err());
        assert!(case(&[1.0], &[1.0, 1.0]).measure(span(), 2, |_, _| {}).is_err());
    }
}
