//! `cargo xtask captures`: runs the examples and looks at the packets they captured, with a checker of our
//! own and, where it is installed, with tshark.

mod check;
mod streams;
mod tshark;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::workspace::{Example, Workspace};
use crate::{Outcome, run};

/// The package of the examples.
const PACKAGE: &str = "uis-examples";

/// An example shows one thing and is done.
const LIMIT: Duration = Duration::from_secs(60);

/// Of the problems of one capture, how many are told.
const TOLD: usize = 10;

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    if let Some(option) = arguments.iter().find(|argument| argument.starts_with('-')) {
        return Err(format!("captures: no such option: {option}"));
    }
    let files = if arguments.is_empty() {
        run_examples(workspace)?
    } else {
        arguments.iter().map(PathBuf::from).collect()
    };
    let by_tshark = tshark::is_there();
    if !by_tshark {
        println!("tshark is not installed: the captures are checked without it");
    }
    let mut wrong = 0;
    for file in &files {
        let (summary, problems) = look_at(file, by_tshark);
        println!("{}: {summary}", file.display());
        for problem in problems.iter().take(TOLD) {
            println!("  {problem}");
        }
        if problems.len() > TOLD {
            println!("  … and {} more", problems.len() - TOLD);
        }
        wrong += usize::from(!problems.is_empty());
    }
    match wrong {
        0 => Ok(()),
        _ => Err(format!("{wrong} of {} captures are not right", files.len())),
    }
}

/// Runs every example, and returns the captures that they made.
fn run_examples(workspace: &Workspace) -> Result<Vec<PathBuf>, String> {
    let members = workspace.members().iter();
    let examples: Vec<Example> =
        members.filter(|member| member.name() == PACKAGE).flat_map(|member| member.examples()).collect();
    if examples.is_empty() {
        println!("{PACKAGE} has no examples");
        return Ok(Vec::new());
    }
    let folders = capture_folders(workspace);
    // Those of an earlier run prove nothing.
    for file in captures_in(&folders)? {
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let mut build = run::cargo(workspace);
    build.args(["build", "--quiet", "--package", PACKAGE, "--examples", "--all-features"]);
    run::to_the_end(build)?;

    let mut failures = Vec::new();
    let mut known = 0;
    for example in &examples {
        println!("--- {}", example.name);
        // All features, as they were built; no feature changes what another does.
        let mut command = run::cargo(workspace);
        command.args(["run", "--quiet", "--package", PACKAGE, "--all-features", "--example", &example.name]);
        if let Err(failure) = run::within(LIMIT, command) {
            failures.push(failure);
        }
        let captures = captures_in(&folders)?.len();
        if captures == known {
            println!("(no capture)");
        }
        known = captures;
    }
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    let files = captures_in(&folders)?;
    if files.is_empty() { Err("no example has made a capture".into()) } else { Ok(files) }
}

/// Where examples put their captures: below the root, whatever the target folder, or below that.
fn capture_folders(workspace: &Workspace) -> Vec<PathBuf> {
    let mut folders = vec![workspace.root().join("target/pcap"), workspace.target().join("pcap")];
    folders.dedup();
    folders
}

fn captures_in(folders: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let fail = |error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_some_and(|extension| extension == "pcap") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What is in a capture, and what is wrong with it.
fn look_at(file: &Path, by_tshark: bool) -> (String, Vec<String>) {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => return ("not read".into(), vec![error.to_string()]),
    };
    let (summary, mut problems) = check::check(&bytes);
    if by_tshark {
        match tshark::check(file) {
            Ok(found) => problems.extend(found),
            Err(failure) => problems.push(failure),
        }
    }
    (summary.to_string(), problems)
}
