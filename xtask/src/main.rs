//! The chores of uis, run as `cargo xtask COMMAND`.
//!
//! - `ci` is everything that must hold before a change lands, in one command: CI runs this very one.
//! - `tidy` checks the repository itself: its documents, manifests and sources against each other.
//! - `models` runs small programs of several threads in many orders of these.
//! - `captures` runs the examples and takes the packets that they captured apart.
//! - `semver` compares the public interface with that of a release.
//! - `bench` launches the benchmarks, optimized.
//!
//! Kept light: what compiles before a chore can start is a wait for everybody.

mod captures;
mod ci;
mod run;
mod semver;
mod tidy;
mod versions;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const HELP: &str = "\
usage: cargo xtask COMMAND [ARGUMENTS]

  ci [--fast|STEP...]   all that must hold: format, tidy, lints, tests, tests optimized, models, docs, features, the oldest
                        compiler and dependencies, captures, instructions, licences, semver; --fast is the first four
  tidy                  README, manifests, documents and sources agree with each other
  models                try out in which order threads may come; UIS_MODEL_RUNS=N tries more
  captures [FILE...]    run every example and check the packets it captured; or check these pcap files
  semver [TAG]          whether the version says what has changed in the public interface since this release, or the
                        last one; needs cargo-semver-checks
  bench [ARGUMENTS]     run the benchmarks; `cargo xtask bench --help` lists their arguments
  help                  this text
";

/// What a chore ends with: nothing, or what is wrong, for a person to read.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, arguments) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome = match command {
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "ci" => Workspace::find().and_then(|workspace| ci::run(&workspace, arguments)),
        "tidy" => Workspace::find().and_then(|workspace| tidy::run(&workspace, arguments)),
        "models" => Workspace::find().and_then(|workspace| ci::models(&workspace)),
        "semver" => Workspace::find().and_then(|workspace| semver::run(&workspace, arguments)),
        "captures" => Workspace::find().and_then(|workspace| captures::run(&workspace, arguments)),
        "bench" => Workspace::find().and_then(|workspace| bench(&workspace, arguments)),
        other => Err(format!("no such command: {other}\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn bench(workspace: &Workspace, arguments: &[String]) -> Outcome {
    // Where the caller stands, so that the files named in the arguments are where they say.
    let mut command = run::cargo(workspace);
    command.args(["run", "--release", "--quiet", "--package", "uis-bench", "--manifest-path"]);
    command.arg(workspace.root().join("Cargo.toml")).arg("--").args(arguments);
    command.current_dir(std::env::current_dir().map_err(|error| format!("no current directory: {error}"))?);
    run::to_the_end(command)
}
