//! The oldest compiler and the oldest dependencies that the manifests allow must really do.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::ci::checked;
use crate::workspace::{Workspace, read};
use crate::{Outcome, run};

/// The manifest's `rust-version` is enough for every dependency; for our own code, clippy's `incompatible_msrv` sees to
/// it. Where that very toolchain is installed, it gets to compile all.
pub(crate) fn newest(workspace: &Workspace) -> Outcome {
    let msrv = workspace.msrv()?;
    let mut command = run::cargo(workspace);
    command.args(["metadata", "--format-version", "1", "--all-features", "--locked"]);
    let wanting = demanding(&run::output(command)?, version(msrv));
    if !wanting.is_empty() {
        return Err(format!("Rust {msrv} is not enough for: {}", wanting.join(", ")));
    }
    if !is_installed(msrv) {
        println!("Rust {msrv} is not installed: only the dependencies' demands are checked");
        return Ok(());
    }
    let mut command = of_toolchain(msrv, workspace.root());
    command.args(["check", "--workspace", "--all-features", "--locked"]);
    // Beside what the usual compiler has built, which this one would build anew, and then that one again.
    command.arg("--target-dir").arg(workspace.target().join(format!("rust-{msrv}")));
    checked(command)
}

/// The crates for others compile with the oldest versions of the dependencies that their manifests name. Only nightly
/// cargo can choose these. It does so in a copy, where there is no `Cargo.lock` to change.
pub(crate) fn oldest(workspace: &Workspace) -> Outcome {
    if !is_installed("nightly") {
        println!("no nightly toolchain is installed: the oldest versions are not checked");
        return Ok(());
    }
    let copy = workspace.target().join("old-versions");
    let _ = fs::remove_dir_all(&copy);
    let public = || workspace.members().iter().filter(|member| member.is_public());
    for member in public() {
        copy_folder(&workspace.root().join(&member.folder), &copy.join(&member.folder))?;
    }
    let manifest = read(&workspace.root().join("Cargo.toml"))?;
    let members: Vec<_> = public().map(|member| format!("{:?}", member.folder)).collect();
    write(&copy.join("Cargo.toml"), &with_members(&manifest, &members.join(", ")))?;

    let mut command = of_toolchain("nightly", &copy);
    command.args(["check", "--workspace", "--all-features", "-Z", "direct-minimal-versions"]);
    command.arg("--target-dir").arg(workspace.target().join("old"));
    checked(command)
}

/// The root manifest with these members and no others.
fn with_members(manifest: &str, members: &str) -> String {
    let lines = manifest.lines().map(|line| match line.split('=').next().unwrap_or_default().trim() {
        "members" => format!("members = [{members}]\n"),
        "default-members" | "exclude" => String::new(),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn copy_folder(from: &Path, to: &Path) -> Outcome {
    let fail = |error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(fail)?;
    for entry in fs::read_dir(from).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn is_installed(toolchain: &str) -> bool {
    run::is_there("cargo", &[&format!("+{toolchain}"), "--version"])
}

/// The cargo of another toolchain than the one that has started us, which says so to its children.
fn of_toolchain(toolchain: &str, folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    for inherited in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(inherited);
    }
    command.current_dir(folder).arg(format!("+{toolchain}"));
    command
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

    #[test]
    fn the_copy_has_other_members() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"xtask\"]\nexclude = [\"fuzz\"]\n[a]\nb = 1\n";
        assert_eq!(with_members(manifest, "\"x\""), "[workspace]\nmembers = [\"x\"]\n[a]\nb = 1\n");
    }
}
