//! `cargo xtask semver`: what has changed in the public interface since the last release, and whether the version says
//! so.

use std::process::Command;

use crate::ci::checked;
use crate::workspace::Workspace;
use crate::{Outcome, run};

/// Compares with the newest tag that looks like a release, or with the given one.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let baseline = match arguments {
        [] => {
            let mut command = Command::new("git");
            command.current_dir(workspace.root()).args(["tag", "--list", "--merged", "HEAD"]);
            let Ok(tags) = run::output(command) else {
                println!("this is no clone of the repository: no release to compare with");
                return Ok(());
            };
            newest(&tags)
        }
        [tag] => Some(tag.clone()),
        more => return Err(format!("semver: one tag at most: {}", more.join(" "))),
    };
    let Some(baseline) = baseline else {
        println!("there is no release yet (no tag like v0.1.0): nothing to compare with");
        return Ok(());
    };
    let mut there = run::cargo(workspace);
    there.args(["semver-checks", "--version"]);
    if run::output(there).is_err() {
        println!("cargo-semver-checks is not installed: the interface is not compared with {baseline}");
        return Ok(());
    }
    let mut command = run::cargo(workspace);
    command.args(["semver-checks", "check-release", "--baseline-rev", &baseline, "--all-features"]);
    for member in workspace.members().iter().filter(|member| member.is_public()) {
        command.args(["--package", member.name()]);
    }
    checked(command)
}

/// The newest release among these tags: `v` and three numbers.
fn newest(tags: &str) -> Option<String> {
    let release = |tag: &str| {
        let numbers: Vec<u64> =
            tag.strip_prefix('v')?.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        Some((<[u64; 3]>::try_from(numbers).ok()?, tag.to_owned()))
    };
    tags.lines().filter_map(release).max().map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_found_by_its_numbers() {
        let newest = |tags| newest(tags).unwrap_or_default();
        assert_eq!(newest("v0.9.0\nv0.10.0\nv0.2.11\n"), "v0.10.0");
        assert_eq!(newest("v1.0\nv2.0.0-rc1\nnightly\nv0.1.0\n"), "v0.1.0");
        assert_eq!(newest("snapshot\n"), "");
    }
}
