//! Seeds: from the environment, one after another, and twice.

use std::any::Any;
use std::ops::Range;
use std::panic::resume_unwind;
use std::process::{ExitCode, Termination};

use crate::journal::Tape;
use crate::simulation::Run;
use crate::{Sim, Simulation};

/// The environment variable that takes the place of every seed.
const SEED: &str = "UIS_SEED";
/// That of the seeds that a sweep tries.
const SEEDS: &str = "UIS_SEEDS";
/// That of the part of its seeds that a sweep tries.
const PARTITION: &str = "UIS_SEED_PARTITION";

/// Of the seeds that fail, how many a sweep names.
const NAMED: usize = 50;

/// Seeds.
impl Simulation {
    /// Runs the program twice with the same seed, compares all packets with their times, and returns what the second
    /// run returned.
    ///
    /// A program is deterministic if it draws from [`Sim::rng`], waits on [`Sim::clock`], keeps to one thread, and lets no
    /// randomly ordered map decide anything. What it does beside the network is not compared.
    ///
    /// The first 160 bytes of each packet are kept in memory for this.
    ///
    /// # Panics
    ///
    /// If the runs differ; then the first packet that is not the same is shown, as it was in either run. And as
    /// [`run`](Self::run).
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// Simulation::builder().seed(7).build().check_deterministic(async |sim| {
    ///     let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
    ///     let listener = server.listen_tcp("10.0.0.1:80")?;
    ///     sim.spawn(async move { listener.accept().await });
    ///     client.dial_tcp("10.0.0.1:80").await
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// One that asks for the real time is not:
    ///
    /// ```should_panic
    /// use std::time::{Duration, SystemTime};
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().check_deterministic(async |sim| {
    ///     let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    ///     sim.sleep(Duration::from_nanos(since_1970.subsec_nanos().into())).await;
    ///     sim.host("10.0.0.2")?.dial_tcp("10.0.0.1:80").await
    /// });
    /// ```
    #[track_caller]
    pub fn check_deterministic<R>(&self, program: impl AsyncFn(Sim) -> R) -> R {
        let seed = seed_or(self.settings.seed);
        let first = self.run_once(seed, Tape::Record(Vec::new()), &program);
        let expected = match first {
            Run { outcome: Ok(Ok(_)), shared, .. } => shared.journal.lock().take_prints(),
            failed => return unwrap(failed), // which does not return
        };
        let second = self.run_once(seed, Tape::Compare(expected, None), &program);
        let difference = second.shared.journal.lock().difference();
        // A second run that failed where the first did not has differed before: which is what is to be known.
        if let Some(difference) = difference {
            panic!("two runs with the same seed are not alike: {difference}\n{}", hint(seed));
        }
        unwrap(second)
    }

    /// Runs the program with one seed after the other, all of them, and then names those with which it failed: by a
    /// panic, by a deadlock or a limit, or by what it returned.
    ///
    /// - `UIS_SEED=17` runs this seed only, so that a failure can be looked at.
    /// - `UIS_SEEDS=0..100000` runs these instead of `seeds`.
    /// - `UIS_SEED_PARTITION=2/5` runs the second of five parts of the seeds, so that five machines share a sweep: each seed
    ///   is run by one of them.
    ///
    /// It is one test, which `cargo nextest run --partition` gives to one machine. [`sweep!`](crate::sweep) makes several of
    /// it.
    ///
    /// # Panics
    ///
    /// At the end, if it failed with some seed. All is printed to stderr of the first that failed, a line of the others.
    ///
    /// ```
    /// use uis_sim::Simulation;
    ///
    /// Simulation::new().for_each_seed(0..20, async |sim| {
    ///     let mut rng = sim.rng();
    ///     assert!(rng.below(10) < 10);
    /// });
    /// ```
    #[doc(alias("sweep", "fuzz"))]
    #[track_caller]
    pub fn for_each_seed<R: Termination>(&self, seeds: Range<u64>, program: impl AsyncFn(Sim) -> R) {
        self.sweep(Plan::of_environment(seeds), program);
    }

    #[track_caller]
    pub(crate) fn sweep<R: Termination>(&self, plan: Plan, program: impl AsyncFn(Sim) -> R) {
        let mut failed = Vec::new();
        let mut tried = 0_u64;
        for seed in plan.seeds() {
            tried += 1;
            let run = self.run_once(seed, Tape::Off, &program);
            let (why, all) = match run.outcome {
                Ok(Ok(value)) => match value.report() {
                    ExitCode::SUCCESS => continue,
                    _ => ("the program returned an error".to_owned(), hint(seed)),
                },
                Ok(Err(stuck)) => {
                    let text = stuck.to_string();
                    (text.lines().next().unwrap_or_default().to_owned(), text)
                }
                Err(payload) => (message(&*payload).to_owned(), run.report),
            };
            if failed.is_empty() {
                eprint!("{all}");
            }
            if failed.len() < NAMED {
                eprintln!("seed {seed} fails: {}", why.lines().next().unwrap_or_default());
            }
            failed.push(seed);
        }
        if !failed.is_empty() {
            let named: Vec<String> = failed.iter().take(NAMED).map(u64::to_string).collect();
            let more = if failed.len() > NAMED { ", …" } else { "" };
            panic!(
                "{} of {tried} seeds fail: {}{more}\nthe first: {}",
                failed.len(),
                named.join(", "),
                hint(failed[0])
            );
        }
    }
}

/// Runs the program with one seed after the other, as [`Simulation::for_each_seed`] does, with the default settings.
///
/// # Panics
///
/// At the end, if it failed with some seed.
///
/// ```
/// use std::time::Duration;
///
/// uis_sim::for_each_seed(0..20, async |sim| {
///     let mut rng = sim.rng();
///     sim.set_router(move |internet, frame| {
///         internet.deliver_after(frame, rng.duration(Duration::ZERO..Duration::from_millis(300)))
///     });
///     let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
///     let listener = server.listen_tcp("10.0.0.1:80")?;
///     sim.spawn(async move { listener.accept().await });
///     client.dial_tcp("10.0.0.1:80").await?;
///     std::io::Result::Ok(())
/// });
/// ```
#[track_caller]
pub fn for_each_seed<R: Termination>(seeds: Range<u64>, program: impl AsyncFn(Sim) -> R) {
    Simulation::new().for_each_seed(seeds, program);
}

/// What the run returned; or it fails, as [`Simulation::run`] does.
#[track_caller]
pub(crate) fn unwrap<R>(run: Run<R>) -> R {
    match run.outcome {
        Ok(Ok(value)) => value,
        Ok(Err(stuck)) => panic!("{stuck}"),
        Err(payload) => {
            eprint!("{}", run.report);
            resume_unwind(payload)
        }
    }
}

/// What a panic says.
fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a text",
    }
}

/// How to run this seed again.
pub(crate) fn hint(seed: u64) -> String {
    // A test runs on a thread that has its name.
    let thread = std::thread::current();
    let test = thread.name().filter(|&name| name != "main").unwrap_or("(this test)");
    format!("seed {seed}; to see it again: {SEED}={seed} cargo test {test}\n")
}

/// The seed of the environment, or else `seed`.
#[track_caller]
pub(crate) fn seed_or(seed: u64) -> u64 {
    std::env::var(SEED).map_or(seed, |text| number(SEED, &text))
}

/// A number, decimal or with `0x`.
#[track_caller]
fn number(variable: &str, text: &str) -> u64 {
    let parsed = match text.trim().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.trim().parse(),
    };
    parsed.unwrap_or_else(|_| panic!("{variable}={text}: {text:?} is no number of 64 bits"))
}

/// Which seeds a sweep tries.
#[derive(Debug)]
pub(crate) struct Plan {
    seeds: Range<u64>,
    /// The first one is as many after the start, and then each so many.
    skip: u64,
    step: u64,
}

impl Plan {
    /// These seeds, or what the environment says.
    #[track_caller]
    pub(crate) fn of_environment(seeds: Range<u64>) -> Self {
        let variable = |name| std::env::var(name).ok();
        Self::new(seeds, variable(SEED), variable(SEEDS), variable(PARTITION))
    }

    /// Part number `part` of `of`, counted from 0. One single seed belongs to one of them.
    pub(crate) fn part(self, part: u64, of: u64) -> Self {
        let Self { seeds, skip, step } = self;
        if seeds.end.checked_sub(seeds.start) == Some(1) {
            let is_here = seeds.start % of == part;
            let end = if is_here { seeds.end } else { seeds.start };
            return Self { seeds: seeds.start..end, skip, step };
        }
        Self { seeds, skip: skip + step * part, step: step * of }
    }

    #[track_caller]
    fn new(
        default: Range<u64>,
        seed: Option<String>,
        seeds: Option<String>,
        partition: Option<String>,
    ) -> Self {
        if let Some(seed) = seed {
            let seed = number(SEED, &seed);
            return Self { seeds: seed..seed.saturating_add(1), skip: 0, step: 1 };
        }
        let seeds = seeds.map_or(default, |text| match text.split_once("..") {
            Some((from, to)) => number(SEEDS, from)..number(SEEDS, to),
            None => panic!("{SEEDS}={text}: it should be FROM..TO"),
        });
        let (part, of) = partition.map_or((1, 1), |text| match text.split_once('/') {
            Some((part, of)) => (number(PARTITION, part), number(PARTITION, of)),
            None => panic!("{PARTITION}={text}: it should be PART/PARTS"),
        });
        assert!((1..=of).contains(&part), "{PARTITION}={part}/{of}: parts are counted from 1");
        Self { seeds, skip: part - 1, step: of }
    }

    fn seeds(&self) -> impl Iterator<Item = u64> {
        let Range { start, end } = self.seeds;
        let first = start.checked_add(self.skip);
        std::iter::successors(first, |seed| seed.checked_add(self.step)).take_while(move |&seed| seed < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: Option<&str>, seeds: Option<&str>, partition: Option<&str>) -> Vec<u64> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Plan::new(0..10, owned(seed), owned(seeds), owned(partition)).seeds().collect()
    }

    #[test]
    fn the_environment_chooses_the_seeds() {
        assert_eq!(plan(None, None, None), (0..10).collect::<Vec<_>>());
        assert_eq!(plan(Some("17"), Some("1..3"), Some("2/2")), [17]);
        assert_eq!(plan(Some("0x11"), None, None), [17]);
        assert_eq!(plan(None, Some("5..8"), None), [5, 6, 7]);
        assert_eq!(plan(None, Some("8..5"), None), [0; 0]);
    }

    #[test]
    fn each_seed_is_in_one_part() {
        let mut all: Vec<u64> =
            ["1/3", "2/3", "3/3"].iter().flat_map(|part| plan(None, None, Some(part))).collect();
        assert_eq!(plan(None, None, Some("2/3")), [1, 4, 7]);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(plan(None, Some("0..2"), Some("3/3")), [0; 0]);
    }

    #[test]
    fn parts_of_parts() {
        let part =
            |n| Plan::new(0..10, None, None, Some("2/2".into())).part(n, 3).seeds().collect::<Vec<_>>();
        assert_eq!([0, 1, 2].map(part), [vec![1, 7], vec![3, 9], vec![5]]);
        let single =
            |n| Plan::new(0..10, Some("17".into()), None, None).part(n, 3).seeds().collect::<Vec<_>>();
        assert_eq!([0, 1, 2].map(single), [vec![], vec![], vec![17]]);
    }

    #[test]
    #[should_panic = "UIS_SEED=seven: \"seven\" is no number of 64 bits"]
    fn a_seed_is_a_number() {
        plan(Some("seven"), None, None);
    }

    #[test]
    #[should_panic = "UIS_SEED_PARTITION=0/3: parts are counted from 1"]
    fn parts_are_counted_from_1() {
        plan(None, None, Some("0/3"));
    }

    #[test]
    fn the_last_seed_ends_a_sweep() {
        let plan = Plan::new(u64::MAX - 1..u64::MAX, None, None, None);
        assert_eq!(plan.seeds().collect::<Vec<_>>(), [u64::MAX - 1]);
    }
}
