//! `cargo xtask ci`: everything that must hold before a change lands. What CI runs and what one runs at
//! home are the same.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;
use crate::{Outcome, captures, run, semver, tidy, versions};

/// No single command of a step takes nearly as long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// What an optimized simulation gets through in half a minute.
const OPTIMIZED_SEEDS: &str = "0..1000";

/// A check with a name.
struct Step {
    name: &'static str,
    /// Left out by `--fast`.
    slow: bool,
    check: fn(&Workspace) -> Outcome,
}

static STEPS: [Step; 14] = [
    Step { name: "format", slow: false, check: format },
    Step { name: "tidy", slow: false, check: |workspace| tidy::run(workspace, &[]) },
    Step { name: "lints", slow: false, check: lints },
    Step { name: "tests", slow: false, check: tests },
    Step { name: "optimized", slow: true, check: optimized },
    Step { name: "models", slow: true, check: models },
    Step { name: "docs", slow: true, check: docs },
    Step { name: "features", slow: true, check: features },
    Step { name: "rust version", slow: true, check: versions::newest },
    Step { name: "old versions", slow: true, check: versions::oldest },
    Step { name: "captures", slow: true, check: |workspace| captures::run(workspace, &[]) },
    Step { name: "instructions", slow: true, check: instructions },
    Step { name: "dependencies", slow: true, check: dependencies },
    Step { name: "semver", slow: true, check: |workspace| semver::run(workspace, &[]) },
];

/// Runs all steps, or those named, the failed ones notwithstanding, and ends with a table of them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let chosen: Vec<&Step> = match arguments {
        [] => STEPS.iter().collect(),
        [argument] if argument == "--fast" => STEPS.iter().filter(|step| !step.slow).collect(),
        names => names.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
    };
    let began = Instant::now();
    let mut table = Vec::new();
    let mut failed = Vec::new();
    for step in chosen {
        println!("\n=== {}", step.name);
        let began = Instant::now();
        let outcome = (step.check)(workspace);
        let seconds = began.elapsed().as_secs_f32();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        if let Err(message) = outcome {
            println!("{}", message.trim_end());
            failed.push(step.name);
        }
        println!("=== {}: {word}, {seconds:.1} s", step.name);
        table.push(format!("{:14} {seconds:7.1} s  {word}", step.name));
    }
    println!("\n{}\n{:14} {:7.1} s", table.join("\n"), "all", began.elapsed().as_secs_f32());
    println!("checks: {} passed, {} failed", table.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn named(name: &str) -> Result<&'static Step, String> {
    let names = || STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
    STEPS
        .iter()
        .find(|step| step.name == name)
        .ok_or_else(|| format!("ci: no step {name:?} among {}", names()))
}

fn format(workspace: &Workspace) -> Outcome {
    cargo(workspace, &["fmt", "--all", "--check"])
}

fn lints(workspace: &Workspace) -> Outcome {
    cargo(workspace, &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

fn tests(workspace: &Workspace) -> Outcome {
    cargo(workspace, &["test", "--workspace", "--all-features"])
}

/// What a user's program would have of it, without overflow checks and assertions: the simulation again, on more seeds;
/// and the same seed still gives the packets on record, with which the tests have compared those of a debug build. The
/// table of goodputs is the same too, with smoltcp's figures, for which a debug build is too slow.
fn optimized(workspace: &Workspace) -> Outcome {
    let mut command = run::cargo(workspace);
    command.args(["test", "--release", "--package", "uis", "--package", "uis-sim", "--all-features"]);
    command
        .args(["--test", "simulation", "--test", "pinned", "--test", "goodput"])
        .env("UIS_SEEDS", OPTIMIZED_SEEDS);
    // Without what takes long to compile and changes no result.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    checked(command)
}

/// What threads may do to each other. In a workspace of its own, as all crates are built with other locks there.
pub(crate) fn models(workspace: &Workspace) -> Outcome {
    let mut command = run::cargo(workspace);
    command.args(["test", "--manifest-path", "models/Cargo.toml", "--tests", "--no-fail-fast"]);
    command.arg("--target-dir").arg(workspace.target().join("models"));
    checked(command)
}

fn docs(workspace: &Workspace) -> Outcome {
    let mut command = run::cargo(workspace);
    command.args(["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
    checked(command)
}

/// Every crate for others compiles alone, with each set of its features, and its tests with none and with all of them. In a
/// build of the workspace, what one crate forgets to ask for another may have asked for.
fn features(workspace: &Workspace) -> Outcome {
    let mut failures = Vec::new();
    for member in workspace.members().iter().filter(|member| member.is_public()) {
        let all = member.features();
        for set in power_set(&all) {
            let features = set.join(",");
            // What a test needs and forgets to say shows with none. With each set of them it would take minutes.
            let targets = if set.is_empty() || set.len() == all.len() { "--all-targets" } else { "--lib" };
            let mut command = run::cargo(workspace);
            // Clippy, for it denies the warnings of this crate without building its dependencies anew.
            command.args(["clippy", "--quiet", "--package", member.name(), targets, "--no-default-features"]);
            command.args(["--features", &features, "--", "-D", "warnings"]);
            println!("{} [{features}] {targets}", member.name());
            failures.extend(run::within(LIMIT, command).err());
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// All subsets. The number of features is small, or this will be too much, and the step's time will say so.
fn power_set<'a>(features: &[&'a str]) -> Vec<Vec<&'a str>> {
    features.iter().fold(vec![vec![]], |mut sets, feature| {
        let with = sets.iter().map(|set| set.iter().chain([feature]).copied().collect());
        let with: Vec<_> = with.collect();
        sets.extend(with);
        sets
    })
}

/// No count of instructions has grown much. Those on record are of one architecture.
fn instructions(workspace: &Workspace) -> Outcome {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) || !run::is_there("valgrind", &["--version"]) {
        println!("there is no valgrind, or not the machine that it counted on: instructions are not counted");
        return Ok(());
    }
    cargo(workspace, &["run", "--release", "--quiet", "--package", "uis-bench", "--", "--callgrind"])
}

/// Licences, sources and bans, as `deny.toml` has them. The advisories come from the network, which need
/// not be there.
fn dependencies(workspace: &Workspace) -> Outcome {
    let mut there = run::cargo(workspace);
    there.args(["deny", "--version"]);
    if run::output(there).is_err() {
        println!("cargo-deny is not installed: licences and sources are not checked");
        return Ok(());
    }
    cargo(
        workspace,
        &["deny", "--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"],
    )?;
    let mut command = run::cargo(workspace);
    command.args(["deny", "--all-features", "check", "advisories"]);
    match run::output(command) {
        Err(failure) if failure.contains("failed to fetch advisory database") => {
            println!("the advisory database is out of reach: advisories are not checked");
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    let mut command = run::cargo(workspace);
    command.args(arguments);
    checked(command)
}

pub(crate) fn checked(command: Command) -> Outcome {
    println!("{}", run::show(&command));
    run::within(LIMIT, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_names_of_their_own() {
        for step in &STEPS {
            assert!(std::ptr::eq(named(step.name).unwrap(), step), "{}", step.name);
        }
        assert!(named("lint").err().unwrap().ends_with("semver"));
    }

    #[test]
    fn every_set_of_features_is_there_once() {
        assert_eq!(power_set(&[]), [[""; 0]]);
        let sets = power_set(&["a", "b", "c"]);
        let shown: Vec<_> = sets.iter().map(|set| set.concat()).collect();
        assert_eq!(shown, ["", "a", "b", "ab", "c", "ac", "bc", "abc"]);
    }
}
