//! `cargo xtask tidy`: what no compiler checks. The README tells the truth, documents find each other,
//! manifests agree, and nothing was left lying about.

mod documents;
mod manifests;
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::workspace::Workspace;
use crate::{Outcome, run};

/// The text files of the repository by their paths, which have `/` between their parts.
pub(crate) struct Tree(BTreeMap<String, String>);

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    if let Some(argument) = arguments.first() {
        return Err(format!("tidy: no such argument: {argument}"));
    }
    let tree = Tree::read(workspace)?;
    let mut findings = Vec::new();
    findings.extend(sources::check(&tree));
    findings.extend(manifests::check(&tree, workspace.members()));
    findings.extend(documents::check(&tree, workspace.members(), workspace.msrv()?));
    match findings.len() {
        0 => {
            println!("{} files are tidy", tree.0.len());
            Ok(())
        }
        _ => Err(findings.join("\n")),
    }
}

impl Tree {
    /// What git knows, and what it would know after `git add`.
    fn read(workspace: &Workspace) -> Result<Self, String> {
        let mut command = Command::new("git");
        command.current_dir(workspace.root());
        command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let mut files = BTreeMap::new();
        for path in run::output(command)?.split('\0').filter(|path| !path.is_empty()) {
            // What was deleted, or is no text, has nothing to check.
            if let Ok(text) = fs::read_to_string(workspace.root().join(path)) {
                files.insert(path.to_owned(), text);
            }
        }
        Ok(Self(files))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether this is a file, or a folder of files.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty() || self.0.keys().any(|file| file == path || file.starts_with(&folder))
    }

    /// The files whose names end in `.` and one of `extensions`.
    fn with_extension<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let files = self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(|(path, _)| {
            path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
        })
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_there_when_a_file_is_in_them() {
        let tree = Tree::from([("docs/a.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/") && tree.has("docs/a.md"));
        assert!(!tree.has("doc") && !tree.has("docs/a"));
    }
}
