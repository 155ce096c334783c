//! `cargo xtask ci`: everything that must hold before a change lands. What CI runs and what one runs at
//! home are the same.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;
use crate::{Outcome, captures, run, tidy};

/// No single command of a step takes nearly as long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// A check with a name.
struct Step {
    name: &'static str,
    /// Left out by `--fast`.
    slow: bool,
    check: fn(&Workspace) -> Outcome,
}

const STEPS: [Step; 11] = [
    Step { name: "format", slow: false, check: format },
    Step { name: "tidy", slow: false, check: |workspace| tidy::run(workspace, &[]) },
    Step { name: "lints", slow: false, check: lints },
    Step { name: "tests", slow: false, check: tests },
    Step { name: "replay", slow: true, check: replay },
    Step { name: "docs", slow: true, check: docs },
    Step { name: "features", slow: true, check: features },
    Step { name: "rust version", slow: true, check: rust_version },
    Step { name: "captures", slow: true, check: |workspace| captures::run(workspace, &[]) },
    Step { name: "instructions", slow: true, check: instructions },
    Step { name: "dependencies", slow: true, check: dependencies },
];

/// Runs all steps, the failed ones notwithstanding, and ends with a table of them.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let fast = match arguments {
        [] => false,
        [argument] if argument == "--fast" => true,
        other => return Err(format!("ci: no such arguments: {}", other.join(" "))),
    };
    let began = Instant::now();
    let mut table = Vec::new();
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| !(fast && step.slow)) {
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

fn format(workspace: &Workspace) -> Outcome {
    cargo(workspace, &["fmt", "--all", "--check"])
}

fn lints(workspace: &Workspace) -> Outcome {
    cargo(workspace, &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

fn tests(workspace: &Workspace) -> Outcome {
    cargo(workspace, &["test", "--workspace", "--all-features"])
}

/// Optimized, the same seed still gives the same packets: the test that compares them with those on record has run in a
/// debug build, as one of the tests.
fn replay(workspace: &Workspace) -> Outcome {
    let mut command = run::cargo(workspace);
    command.args(["test", "--release", "--package", "uis-sim", "--test", "pinned"]);
    // Without what takes long to compile and changes no result.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    checked(command)
}

fn docs(workspace: &Workspace) -> Outcome {
    let mut command = run::cargo(workspace);
    command.args(["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
    checked(command)
}

/// Every crate for others compiles alone: with nothing, with its defaults, with each feature by itself. In
/// a build of the workspace, what one crate forgets to ask for another may have asked for.
fn features(workspace: &Workspace) -> Outcome {
    let mut failures = Vec::new();
    for member in workspace.members().iter().filter(|member| member.is_public()) {
        let features = member.features();
        let mut choices = vec![vec!["--no-default-features"]];
        if !features.is_empty() {
            choices.push(vec![]);
        }
        choices.extend(features.iter().map(|feature| vec!["--no-default-features", "--features", *feature]));
        for choice in choices {
            let mut command = run::cargo(workspace);
            // Clippy, for it denies the warnings of this crate without building its dependencies anew.
            command.args(["clippy", "--quiet", "--package", member.name()]).args(&choice);
            command.args(["--", "-D", "warnings"]);
            println!("{} {}", member.name(), choice.join(" "));
            failures.extend(run::within(LIMIT, command).err());
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The manifest's `rust-version` is enough for every dependency; for our own code, clippy's
/// `incompatible_msrv` sees to it. Where that very toolchain is installed, it gets to compile all.
fn rust_version(workspace: &Workspace) -> Outcome {
    let msrv = workspace.msrv()?;
    let mut command = run::cargo(workspace);
    command.args(["metadata", "--format-version", "1", "--all-features", "--locked"]);
    let wanting = demanding(&run::output(command)?, version(msrv));
    if !wanting.is_empty() {
        return Err(format!("Rust {msrv} is not enough for: {}", wanting.join(", ")));
    }
    let toolchain = format!("+{msrv}");
    if run::is_there("cargo", &[&toolchain, "--version"]) {
        let mut command = Command::new("cargo");
        // As `cargo xtask` was started by another toolchain's cargo, which says so to its children.
        command.current_dir(workspace.root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        command.env_remove("RUSTC").env_remove("RUSTDOC").args([
            &toolchain,
            "check",
            "--workspace",
            "--all-features",
        ]);
        checked(command)
    } else {
        println!("Rust {msrv} is not installed: only the dependencies' demands are checked");
        Ok(())
    }
}

/// The packages of `cargo metadata` that need a newer Rust. Reads just the two fields of each that matter,
/// which come in this order, rather than have a JSON parser compiled for it.
fn demanding(metadata: &str, msrv: [u32; 2]) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata.split("\"manifest_path\":\"").skip(1) {
        let field = |name: &str| Some(package.split_once(name)?.1.split('"').next().unwrap_or_default());
        let Some(needed) = field("\"rust_version\":\"") else { continue };
        if version(needed) > msrv {
            let manifest = package.split('"').next().unwrap_or_default();
            let name = manifest.rsplit(['/', '\\']).nth(1).unwrap_or(manifest);
            found.push(format!("{name} ({needed})"));
        }
    }
    found
}

/// Major and minor.
fn version(text: &str) -> [u32; 2] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0)]
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

fn checked(command: Command) -> Outcome {
    println!("{}", run::show(&command));
    run::within(LIMIT, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_need_a_newer_rust_are_found() {
        let package = |name: &str, version: &str| {
            format!(
                "{{\"name\":\"{name}\",\"manifest_path\":\"/r/{name}-1.0.0/Cargo.toml\",\"rust_version\":{version}}}"
            )
        };
        let metadata =
            [package("old", "\"1.63\""), package("any", "null"), package("new", "\"1.92.0\"")].join(",");
        assert_eq!(demanding(&metadata, version("1.91")), ["new-1.0.0 (1.92.0)"]);
        assert_eq!(demanding(&metadata, version("1.92")), [""; 0]);
        assert_eq!(demanding(&metadata, version("1.9")), ["old-1.0.0 (1.63)", "new-1.0.0 (1.92.0)"]);
    }
}
