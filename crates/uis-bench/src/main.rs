//! The benchmarks of uis, as `cargo xtask bench` launches them.
//!
//! A [scenario] has cases. A [case] has a subject, which is uis, and yardsticks: a
//! [bare pair of smoltcp interfaces](bare), the [kernel's loopback](kernel), or uis itself without the very thing
//! that the case is about. Each is run in its turn under a [meter], which cuts a window out of the middle of
//! the run; the figures become lines of a [table], [rows] of JSON and a [page](report),
//! which can be [compared](compare) with those of an earlier run.
//!
//! Where the time says little, on a busy machine, [instructions](callgrind) are counted.

mod args;
mod bare;
mod callgrind;
mod case;
mod compare;
mod facts;
mod kernel;
mod lab;
mod latency;
mod meter;
mod net;
mod progress;
mod report;
mod rows;
mod scenario;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use args::{Command, Options};
use case::Case;
use compare::Earlier;
use meter::Span;
use progress::Progress;
use report::{Entry, Report};

/// Bytes of a write of a bulk transfer, of uis and the yardsticks alike.
const WRITE: usize = 64 << 10;
/// Bytes that a reader of a bulk transfer has room for.
const READ: usize = 64 << 10;

/// How long a window is, unless asked otherwise.
const WINDOW: Duration = Duration::from_millis(500);
/// The same in a hurry.
const QUICK_WINDOW: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => io::stdout().write_all(args::HELP.as_bytes()).map(|()| true),
        Ok(Command::Resident(what)) => scenario::weigh(what).map(|bytes| {
            println!("{bytes}");
            true
        }),
        Ok(Command::Fixed { work, count }) => callgrind::work(&work, count).map(|()| true),
        Ok(Command::Callgrind { only, bless }) => callgrind::run(&only, bless, &mut io::stdout().lock()),
        Ok(Command::Run(options)) => run(&options, &mut io::stdout().lock()),
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // `cargo xtask bench | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what the options ask for. False if a case has failed.
fn run(options: &Options, out: &mut impl Write) -> io::Result<bool> {
    let asked: Vec<_> = scenario::ALL
        .iter()
        .map(|scenario| (scenario, scenario::asked(scenario, options)))
        .filter(|(_, cases)| !cases.is_empty())
        .collect();
    if asked.is_empty() {
        let names: Vec<_> = scenario::ALL.iter().map(|scenario| scenario.name).collect();
        let text = format!("nothing has that in its name; there are {}, see --list", names.join(", "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if options.list {
        asked.iter().flat_map(|(_, cases)| cases).try_for_each(|case| writeln!(out, "{}", case.name()))?;
        return Ok(true);
    }

    let usual = if options.quick { QUICK_WINDOW } else { WINDOW };
    let span = Span::of(options.duration.unwrap_or(usual));
    let earlier = options.compare.as_deref().map(Earlier::read).transpose()?;
    let mut facts = facts::all();
    facts.push((
        "windows",
        format!("{} of {:?} each, after a warm-up of {:?}", options.runs, span.window, span.warm_up),
    ));
    for (name, value) in &facts {
        writeln!(out, "{name:8} {value}")?;
    }
    write!(out, "\n{}", table::legend(options.runs))?;

    let planned = |case: &Case| case.seconds(span, options.runs);
    let mut progress = Progress::new(asked.iter().flat_map(|(_, cases)| cases).map(planned).sum());
    let scenarios = asked.iter().map(|(scenario, _)| (scenario.name, scenario.about)).collect();
    let mut report = Report { facts, runs: options.runs, scenarios, entries: Vec::new(), earlier };
    report.facts.insert(0, ("taken", facts::now()));
    // Files that cannot be written are better known before than after.
    write_files(options, &report)?;
    let mut sound = true;
    for (scenario, cases) in asked {
        writeln!(out, "\n{}: {}", scenario.name, scenario.about)?;
        for mut case in cases {
            let (name, seconds) = (case.name(), planned(&case));
            let show = |done, turns| progress.show(&name, seconds, done as f64 / turns as f64);
            let measured = case.measure(span, options.runs, show);
            progress.done(seconds);
            match measured {
                Ok(measured) => {
                    write!(out, "{}", table::lines(&case, &measured))?;
                    report.entries.push(Entry::new(case, measured));
                }
                Err(error) => {
                    write!(out, "{}", table::failure(&case, &error))?;
                    // A small machine is no failure.
                    sound &= error.kind() == io::ErrorKind::OutOfMemory;
                }
            }
            out.flush()?;
        }
        // After each scenario: whoever interrupts it has what was measured until then.
        write_files(options, &report)?;
    }
    if let Some(earlier) = &report.earlier {
        write!(out, "{}", earlier.report(&report.rows()))?;
    }
    Ok(sound)
}

/// The files that the options ask for.
fn write_files(options: &Options, report: &Report) -> io::Result<()> {
    if let Some(path) = &options.json {
        rows::write_json(path, &report.rows())?;
    }
    if let Some(path) = &options.html {
        report.write_html(path)?;
    }
    if let Some(folder) = &options.svg {
        report.write_svgs(folder)?;
    }
    Ok(())
}
