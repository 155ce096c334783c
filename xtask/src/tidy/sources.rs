//! What sources should be free of.

use super::Tree;

/// From here on a file has to say why it is so long.
const LONG: usize = 800;

/// How a file says so, in a comment at its top.
const REASON: &str = "Long because";

/// In how many of its first lines.
const TOP: usize = 30;

/// What is put down in order to be taken up again. In two parts, or this file would find itself.
const LEFTOVERS: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
];

/// What waits for real. Where that is what a test is about, a comment on the line or above it says "real time".
const WAITS: [&str; 3] =
    [concat!("thread::", "sleep("), concat!("Timer::", "after("), concat!("Timer::", "interval(")];

/// What a comment on such a wait says.
const REAL_TIME: &str = "real time";

/// Folders at the root of a developer's machine, which mean nothing on another.
const MACHINE_FOLDERS: [&str; 4] = ["work", "root", "tmp", "home"];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(&["rs"]) {
        findings.extend(too_long(path, text));
        // The chores and the measurements are not tests.
        if !path.starts_with("xtask/") && !path.starts_with("crates/uis-bench/") {
            findings.extend(real_waits(path, text));
        }
    }
    for (path, text) in tree.with_extension(&["rs", "toml", "md"]) {
        for (number, line) in (1..).zip(text.lines()) {
            let found = LEFTOVERS.iter().filter(|word| has_word(line, word));
            findings.extend(found.map(|word| format!("{path}:{number}: {}", word.trim_end_matches('('))));
        }
    }
    for (path, text) in &tree.0 {
        for (number, line) in (1..).zip(text.lines()) {
            if names_a_machine(line) {
                findings.push(format!("{path}:{number}: a path of one machine: {}", line.trim()));
            }
        }
    }
    findings
}

/// The lines that wait for real and do not say why.
fn real_waits(path: &str, text: &str) -> Vec<String> {
    let mut above = "";
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let told = [above, line].iter().any(|line| line.contains("//") && line.contains(REAL_TIME));
        if !told && WAITS.iter().any(|wait| line.contains(wait)) {
            findings.push(format!(
                "{path}:{number}: waits for real, and no comment says that it tests {REAL_TIME}"
            ));
        }
        above = line;
    }
    findings
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let has_reason = || text.lines().take(TOP).any(|line| line.starts_with("//") && line.contains(REASON));
    (lines > LONG && !has_reason()).then(|| {
        format!("{path}: {lines} lines, over {LONG}: split it, or say \"{REASON} …\" in a comment at its top")
    })
}

/// Whether `word` is in `line`, and not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        // A macro's name ends with its parenthesis already.
        !before.is_some_and(continues) && (word.ends_with('(') || !after.is_some_and(continues))
    })
}

/// Whether there is an absolute path below one of the [`MACHINE_FOLDERS`].
fn names_a_machine(line: &str) -> bool {
    line.match_indices('/').any(|(at, _)| {
        let below = line[at + 1..].split_once('/').map(|(folder, _)| folder);
        let is_absolute = !line[..at].ends_with(|c: char| c.is_ascii_alphabetic());
        is_absolute && below.is_some_and(|folder| MACHINE_FOLDERS.contains(&folder))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_waits_say_why() {
        let wait = concat!("thread::", "sleep(MS);");
        let findings = real_waits("a.rs", &format!("x\n{wait}\n{wait} // real time\n{wait}\n"));
        assert_eq!(findings.len(), 1, "the line below the comment is told of as well: {findings:?}");
        assert!(findings[0].starts_with("a.rs:2: waits for real"), "{findings:?}");
        assert!(real_waits("a.rs", &format!("// the kernel's is real time\n{wait}")).is_empty());
        assert!(real_waits("a.rs", "clock.sleep(MS)").is_empty());
    }

    #[test]
    fn long_files_give_a_reason() {
        let long = "x\n".repeat(LONG + 1);
        assert!(too_long("a.rs", &long).is_some_and(|finding| finding.starts_with("a.rs: 801 lines")));
        assert_eq!(too_long("a.rs", &format!("//! Long because it is one table.\n{long}")), None);
        assert_eq!(too_long("a.rs", &"x\n".repeat(LONG)), None);
    }

    #[test]
    fn leftovers_are_whole_words() {
        let [to_do, fix_me, _, macro_call, ..] = LEFTOVERS;
        assert!(has_word(&format!("// {to_do}: later"), to_do));
        assert!(has_word(&format!("({fix_me})"), fix_me));
        assert!(has_word(&format!("    {macro_call})"), macro_call));
        assert!(!has_word(&format!("{to_do}S"), to_do));
        assert!(!has_word(&format!("MAS{to_do}N"), to_do));
        assert!(!has_word(&format!("my_{macro_call}"), macro_call));
    }

    #[test]
    fn paths_of_a_machine_are_absolute() {
        let path = |start: &str, rest: &str| format!("see {start}/{rest}/file");
        for folder in MACHINE_FOLDERS {
            assert!(names_a_machine(&path("", folder)), "{folder}");
            assert!(!names_a_machine(&path("here", folder)), "{folder}");
            assert!(!names_a_machine(&path("", &format!("{folder}er"))), "{folder}");
        }
        assert!(!names_a_machine("either/or and /usr/bin"));
    }

    #[test]
    fn findings_say_where() {
        let text = format!("fn main() {{\n    {}1);\n}}\n", LEFTOVERS[5]);
        let tree = Tree::from([("src/a.rs", &*text), ("a.txt", &*text)]);
        assert_eq!(check(&tree), [format!("src/a.rs:2: {}", LEFTOVERS[5].trim_end_matches('('))]);
    }
}
