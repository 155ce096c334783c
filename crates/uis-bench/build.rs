//! Hands the build's facts to the program, which prints them above its figures.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let opt_level = env::var("OPT_LEVEL").unwrap_or_else(|_| "unknown".into());
    println!("cargo:rustc-env=UIS_BENCH_OPT_LEVEL={opt_level}");
    let target = env::var("TARGET").unwrap_or_else(|_| "an unknown target".into());
    println!("cargo:rustc-env=UIS_BENCH_TARGET={target}");

    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = output(&rustc, &["--version"]).unwrap_or_else(|| "an unknown rustc".into());
    println!("cargo:rustc-env=UIS_BENCH_RUSTC={version}");

    // The log of HEAD grows with each commit. No git, or no repository, is not an error.
    if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo:rerun-if-changed={log}");
    }
    let revision = output("git", &["rev-parse", "--short=10", "HEAD"]).unwrap_or_default();
    println!("cargo:rustc-env=UIS_BENCH_REVISION={revision}");
}

/// The first line that a command prints, if it succeeds and prints anything.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
