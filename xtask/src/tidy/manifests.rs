//! What manifests have in common.

use super::Tree;
use crate::workspace::Member;

/// What every package takes from the workspace.
const INHERITED: [&[&str]; 5] = [
    &["package", "version"],
    &["package", "edition"],
    &["package", "rust-version"],
    &["package", "license"],
    &["lints"],
];

/// What those for others to use take as well.
const INHERITED_BY_PUBLIC: [&[&str]; 2] = [&["package", "keywords"], &["package", "categories"]];

pub(super) fn check(tree: &Tree, members: &[Member]) -> Vec<String> {
    members.iter().flat_map(|member| check_member(tree, member)).collect()
}

fn check_member(tree: &Tree, member: &Member) -> Vec<String> {
    let manifest = format!("{}/Cargo.toml", member.folder);
    let mut findings = Vec::new();
    if member.is_public() && member.description().is_none_or(str::is_empty) {
        findings.push(format!("{manifest}: no description"));
    }
    let public = INHERITED_BY_PUBLIC.iter().filter(|_| member.is_public());
    for keys in INHERITED.iter().chain(public).filter(|keys| !member.inherits(keys)) {
        findings.push(format!("{manifest}: {} is not the workspace's", keys.join(".")));
    }
    for feature in uncommented_features(&member.text) {
        findings.push(format!("{manifest}: no comment says what the feature {feature} is for"));
    }
    let examples = member.examples();
    for example in &examples {
        let path = format!("{}/{}", member.folder, example.path);
        if !tree.has(&path) {
            findings.push(format!("{manifest}: {path}, of the example {}, is not there", example.name));
        }
    }
    // Where examples have entries, a file that has none is never compiled.
    if !examples.is_empty() {
        for (path, _) in tree.with_extension(&["rs"]) {
            let Some(file) = path.strip_prefix(&format!("{}/", member.folder)) else { continue };
            if !file.contains('/')
                && file != "build.rs"
                && examples.iter().all(|example| example.path != file)
            {
                findings.push(format!("{manifest}: {path} is no example's path"));
            }
        }
    }
    findings
}

/// The features, but for `default`, that have no comment above them.
fn uncommented_features(manifest: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut in_features, mut commented) = (false, false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_features = line == "[features]";
        } else if in_features
            && let Some((name, _)) = line.split_once('=')
            && !commented
            && name.trim() != "default"
            && !line.starts_with('#')
        {
            found.push(name.trim());
        }
        commented = line.starts_with('#');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIDY: &str = "\
[package]
name = \"x\"
description = \"X\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
keywords.workspace = true
categories.workspace = true

[features]
default = [\"a\"]
# Adds a.
a = []

[lints]
workspace = true
";

    fn findings(manifest: &str, files: Tree) -> Vec<String> {
        check_member(&files, &Member::new("x".into(), manifest.into()).unwrap())
    }

    #[test]
    fn a_tidy_manifest_has_no_findings() {
        assert_eq!(findings(TIDY, Tree::from([])), [""; 0]);
    }

    #[test]
    fn each_missing_piece_is_found() {
        for (piece, finding) in [
            ("description = \"X\"\n", "no description"),
            ("edition.workspace = true\n", "package.edition is not the workspace's"),
            ("keywords.workspace = true\n", "package.keywords is not the workspace's"),
            ("[lints]\nworkspace = true\n", "lints is not the workspace's"),
            ("# Adds a.\n", "no comment says what the feature a is for"),
        ] {
            assert_eq!(
                findings(&TIDY.replace(piece, ""), Tree::from([])),
                [format!("x/Cargo.toml: {finding}")]
            );
        }
    }

    #[test]
    fn those_of_our_own_need_less() {
        let manifest = TIDY.replace("description = \"X\"\n", "publish = false\n");
        assert_eq!(findings(&manifest.replace("keywords.workspace = true\n", ""), Tree::from([])), [""; 0]);
    }

    #[test]
    fn examples_and_their_entries_agree() {
        let manifest = format!("{TIDY}\n[[example]]\nname = \"a\"\npath = \"a.rs\"\n");
        let tree = Tree::from([("x/a.rs", ""), ("x/src/lib.rs", "")]);
        assert_eq!(findings(&manifest, tree), [""; 0]);
        let tree = Tree::from([("x/b.rs", "")]);
        let found = findings(&manifest, tree);
        assert_eq!(found[0], "x/Cargo.toml: x/a.rs, of the example a, is not there");
        assert_eq!(found[1], "x/Cargo.toml: x/b.rs is no example's path");
    }
}
