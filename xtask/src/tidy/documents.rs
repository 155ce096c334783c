//! What the documents say of the rest, and of each other.

use std::collections::BTreeSet;

use super::Tree;
use crate::workspace::Member;

const README: &str = "README.md";

/// Where every crate for others has its line.
const CRATE_LISTS: [&str; 2] = [README, "docs/architecture.md"];

/// Where the example list may be.
const EXAMPLE_LISTS: [&str; 2] = [README, "examples/README.md"];

pub(super) fn check(tree: &Tree, members: &[Member], msrv: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for path in CRATE_LISTS {
        let Some(text) = tree.text(path) else {
            findings.push(format!("{path} is not there"));
            continue;
        };
        for member in members.iter().filter(|member| member.is_public() && !names(text, member.name())) {
            findings.push(format!("{path} does not name the crate {}", member.name()));
        }
    }
    findings.extend(tree.text(README).map(|text| rust_version(text, msrv)).unwrap_or_default());
    let lists: Vec<&str> = EXAMPLE_LISTS.iter().filter_map(|path| tree.text(path)).collect();
    for example in members.iter().flat_map(Member::examples) {
        if !lists.iter().any(|text| names(text, &example.name)) {
            findings.push(format!(
                "{} do not name the example {}",
                EXAMPLE_LISTS.join(" and "),
                example.name
            ));
        }
    }
    findings.extend(links_and_orphans(tree));
    findings
}

/// The README names the manifest's minimum Rust version, and no other.
fn rust_version(readme: &str, msrv: &str) -> Vec<String> {
    let named: BTreeSet<&str> = readme.lines().filter_map(named_version).collect();
    if named.is_empty() {
        return vec![format!("{README} does not say that Rust {msrv} is needed")];
    }
    let others = named.into_iter().filter(|version| *version != msrv);
    others.map(|other| format!("{README} says Rust {other}, the manifest {msrv}")).collect()
}

/// The `1.…` that soon follows the word Rust or MSRV: "Rust 1.91", "rust-version 1.91", "MSRV: **1.91**".
fn named_version(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    let after = ["rust", "msrv"].iter().filter_map(|word| Some(lower.find(word)? + word.len())).min()?;
    let rest = &line[after..];
    let at = rest.find("1.").filter(|at| *at < 24)?;
    let version = rest[at..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?.trim_end_matches('.');
    (version.len() > 2).then_some(version)
}

/// Whether `name` is in the text as a word of its own: `uis-stack` does not name `uis`.
fn names(text: &str, name: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(continues) && !after.is_some_and(continues)
    })
}

/// Every link between our files leads somewhere, and to every document below `docs/` leads a link.
fn links_and_orphans(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let mut linked = BTreeSet::new();
    for (path, text) in tree.with_extension(&["md"]) {
        for link in links(text) {
            let Some(target) = resolve(path, link) else { continue };
            if !tree.has(&target) {
                findings.push(format!("{path}: the link to {link} leads nowhere"));
            }
            if target != path {
                linked.insert(target);
            }
        }
    }
    for (path, _) in tree.with_extension(&["md"]) {
        if path.starts_with("docs/") && !linked.contains(path) {
            findings.push(format!("{path}: no document links to it"));
        }
    }
    findings
}

/// The targets of a Markdown text's links: `[…](target)` and `[…]: target`, but not in code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every other piece between backticks is code, but for those around a whole link's text.
        for (at, _) in line.match_indices("](") {
            let is_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            if !is_code && !target.is_empty() {
                found.push(target);
            }
        }
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            found.push(target.split_whitespace().next().unwrap_or_default());
        }
    }
    found
}

/// The path that a link from the document at `from` leads to; `None` when it leads out of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let link = link.split('#').next().unwrap_or_default();
    if link.is_empty() || link.contains(':') || link.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            // Above the root are the pages of whoever shows the repository.
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_names_the_right_rust() {
        for line in
            ["Needs Rust 1.91 or newer.", "MSRV: **1.91**", "![](badge/rust-1.91-blue)", "rustc 1.91."]
        {
            assert_eq!(rust_version(line, "1.91"), [""; 0], "{line}");
        }
        assert_eq!(rust_version("Rust 1.85", "1.91"), ["README.md says Rust 1.85, the manifest 1.91"]);
        assert_eq!(rust_version("Rust", "1.91"), ["README.md does not say that Rust 1.91 is needed"]);
        assert_eq!(rust_version("Rust 1.91\nRust 1.9", "1.91").len(), 1);
    }

    #[test]
    fn names_are_whole_words() {
        assert!(names("| `uis` | the facade |", "uis"));
        assert!(names("cargo run --example tcp_download", "tcp_download"));
        assert!(!names("uis-stack and luis", "uis"));
        assert!(!names("tcp_download_ipv4", "tcp_download"));
    }

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](a.md#top) and [b](b.md \"title\"), [`c`](c.md), `[d](d.md)`\n\
                    ```rust\nx[0](e.md)\n```\n[f]: f.md\n";
        assert_eq!(links(text), ["a.md#top", "b.md", "c.md", "f.md"]);
    }

    #[test]
    fn links_resolve_from_where_they_are() {
        assert_eq!(resolve("docs/a.md", "b.md#c").as_deref(), Some("docs/b.md"));
        assert_eq!(resolve("docs/a.md", "../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolve("README.md", "./docs/").as_deref(), Some("docs"));
        for outside in ["https://www.rust-lang.org", "#here", "../../actions", "mailto:x@example.org"] {
            assert_eq!(resolve("docs/a.md", outside), None, "{outside}");
        }
    }

    #[test]
    fn orphans_and_dead_links_are_found() {
        let tree = Tree::from([
            (README, "[design](docs/design.md), [gone](docs/gone.md)"),
            ("docs/design.md", "[why](why.md)"),
            ("docs/why.md", "[up](../README.md)"),
            ("docs/alone.md", "[me](alone.md)"),
        ]);
        let findings = links_and_orphans(&tree);
        assert_eq!(
            findings,
            ["README.md: the link to docs/gone.md leads nowhere", "docs/alone.md: no document links to it",]
        );
    }

    #[test]
    fn examples_and_crates_are_named() {
        let text = "[package]\nname = \"x\"\n[[example]]\nname = \"shown\"\n[[example]]\nname = \"hidden\"\n";
        let members = [Member::new("examples".into(), text.into()).unwrap()];
        let architecture = ("docs/architecture.md", "the crate y");
        let tree = Tree::from([(README, "Rust 1.91"), ("examples/README.md", "`shown`"), architecture]);
        assert_eq!(
            check(&tree, &members, "1.91"),
            [
                "README.md does not name the crate x",
                "docs/architecture.md does not name the crate x",
                "README.md and examples/README.md do not name the example hidden",
                "docs/architecture.md: no document links to it",
            ]
        );
    }
}
