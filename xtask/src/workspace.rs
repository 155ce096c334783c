//! What the manifests say: the members of the workspace, their features and examples.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The workspace that this program was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    manifest: Table,
    members: Vec<Member>,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its folder, relative to the root, with `/` between the parts.
    pub(crate) folder: String,
    /// The text of its manifest; the comments matter to `tidy`.
    pub(crate) text: String,
    manifest: Table,
}

/// An `[[example]]` entry.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) name: String,
    /// Relative to the package's folder.
    pub(crate) path: String,
}

impl Workspace {
    /// Reads all manifests.
    pub(crate) fn find() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask has a folder above");
        let manifest = parse(&read(&root.join("Cargo.toml"))?, "Cargo.toml")?;
        let patterns = strings(at(&manifest, &["workspace", "members"]));
        let mut members = Vec::new();
        for folder in folders(root, &patterns)? {
            let text = read(&root.join(&folder).join("Cargo.toml"))?;
            members.push(Member::new(folder, text)?);
        }
        Ok(Self { root: root.into(), manifest, members })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The minimum supported Rust version, as it is written: "1.91".
    pub(crate) fn msrv(&self) -> Result<&str, String> {
        let msrv = at(&self.manifest, &["workspace", "package", "rust-version"]).and_then(Value::as_str);
        msrv.ok_or_else(|| "Cargo.toml: no rust-version in [workspace.package]".into())
    }

    /// Where cargo builds.
    pub(crate) fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => self.root.join(target),
            None => self.root.join("target"),
        }
    }
}

impl Member {
    pub(crate) fn new(folder: String, text: String) -> Result<Self, String> {
        let manifest = parse(&text, &format!("{folder}/Cargo.toml"))?;
        Ok(Self { folder, text, manifest })
    }

    pub(crate) fn name(&self) -> &str {
        at(&self.manifest, &["package", "name"]).and_then(Value::as_str).unwrap_or(&self.folder)
    }

    pub(crate) fn description(&self) -> Option<&str> {
        at(&self.manifest, &["package", "description"]).and_then(Value::as_str)
    }

    /// Whether it is for others to use.
    pub(crate) fn is_public(&self) -> bool {
        at(&self.manifest, &["package", "publish"]).and_then(Value::as_bool) != Some(false)
    }

    /// Whether `key` is taken from the workspace, as in `key.workspace = true`.
    pub(crate) fn inherits(&self, keys: &[&str]) -> bool {
        at(&self.manifest, keys).and_then(|value| value.get("workspace")).and_then(Value::as_bool)
            == Some(true)
    }

    /// The names of its features, in order, without `default`.
    pub(crate) fn features(&self) -> Vec<&str> {
        let features = at(&self.manifest, &["features"]).and_then(Value::as_table);
        let names = features.into_iter().flat_map(Table::keys).map(String::as_str);
        names.filter(|name| *name != "default").collect()
    }

    pub(crate) fn examples(&self) -> Vec<Example> {
        let entries = at(&self.manifest, &["example"]).and_then(Value::as_array);
        let examples = entries.into_iter().flatten().filter_map(|entry| {
            let name = entry.get("name")?.as_str()?.to_owned();
            let path = entry.get("path").and_then(Value::as_str);
            let path = path.map_or_else(|| format!("examples/{name}.rs"), str::to_owned);
            Some(Example { name, path })
        });
        examples.collect()
    }
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str, name: &str) -> Result<Table, String> {
    text.parse().map_err(|error| format!("{name}: {error}"))
}

fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let values = value.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The member folders that `patterns` name: a folder, or all of those in one (`crates/*`).
fn folders(root: &Path, patterns: &[String]) -> Result<Vec<String>, String> {
    let mut folders = Vec::new();
    for pattern in patterns {
        let Some(parent) = pattern.strip_suffix("/*") else {
            folders.push(pattern.clone());
            continue;
        };
        let fail = |error| format!("{parent}: {error}");
        for entry in fs::read_dir(root.join(parent)).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.path().join("Cargo.toml").is_file() {
                folders.push(format!("{parent}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> Member {
        Member::new("crates/x".into(), text.into()).unwrap()
    }

    #[test]
    fn this_workspace_is_read() {
        let workspace = Workspace::find().unwrap();
        let names: Vec<_> = workspace.members().iter().map(Member::name).collect();
        assert!(names.contains(&"uis") && names.contains(&"xtask"), "{names:?}");
        assert_eq!(workspace.msrv().unwrap(), env!("CARGO_PKG_RUST_VERSION"));
    }

    #[test]
    fn members_tell_what_their_manifest_says() {
        let member = member(
            "[package]\nname = \"x\"\nedition.workspace = true\n[features]\ndefault = [\"a\"]\na = []\nb = []\n\
             [lints]\nworkspace = true",
        );
        assert_eq!(member.name(), "x");
        assert_eq!(member.description(), None);
        assert!(member.is_public());
        assert_eq!(member.features(), ["a", "b"]);
        assert!(member.inherits(&["lints"]) && member.inherits(&["package", "edition"]));
        assert!(!member.inherits(&["package", "license"]));
    }

    #[test]
    fn unpublished_members_are_not_public() {
        assert!(!member("[package]\nname = \"x\"\npublish = false").is_public());
    }

    #[test]
    fn examples_are_read_from_their_entries() {
        let member = member("[[example]]\nname = \"a\"\npath = \"a.rs\"\n[[example]]\nname = \"b\"");
        let examples = member.examples();
        let paths: Vec<_> = examples.iter().map(|example| &*example.path).collect();
        assert_eq!(paths, ["a.rs", "examples/b.rs"]);
    }
}
