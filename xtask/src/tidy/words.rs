//! Rules on single files: how they begin, how long they are, what they may not say.

use super::{Problem, exceptions, rust, source::Source};
use crate::say;

/// Lines above which a file is looked at, and above which it must be cut.
const LONG: usize = 400;
const TOO_LONG: usize = 500;

/// Where `unsafe` may stand.
const UNSAFE_HOME: &str = "backend/src/sys/";

/// Registries that a lock file or manifest may name; a mirror of one machine is no use on another.
const REGISTRIES: &[&str] = &["https://github.com/rust-lang/crates.io-index", "https://registry.npmjs.org/"];

/// Folders of one person's machine. Split, so that this file does not name them itself.
const HOMES: &[&str] = &[concat!("/ho", "me/"), concat!("/ro", "ot/")];

/// Checks each file by itself.
pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources {
        problems.extend(beginning(source));
        problems.extend(length(source));
        problems.extend(unsafe_code(source));
        problems.extend(open_ends(source));
        problems.extend(homes(source));
        problems.extend(registries(source));
    }
    problems
}

/// Every Rust file says first what it is.
fn beginning(source: &Source) -> Option<Problem> {
    let silent = source.is("rs") && !source.text.starts_with("//!");
    silent.then(|| Problem::new(&source.path, 1, "does not begin with `//!`: what, from where, to where"))
}

fn length(source: &Source) -> Option<Problem> {
    if !["rs", "ts", "css"].iter().any(|kind| source.is(kind)) {
        return None;
    }
    let lines = source.text.lines().count();
    if lines > LONG && lines <= TOO_LONG {
        say::note(&format!("{}: {lines} lines: look for the seam", source.path));
    }
    (lines > TOO_LONG).then(|| Problem::new(&source.path, 0, format!("{lines} lines: find the seam")))
}

fn unsafe_code(source: &Source) -> Vec<Problem> {
    if !source.is("rs") || source.path.starts_with(UNSAFE_HOME) {
        return Vec::new();
    }
    let code = rust::code_only(&source.text);
    let found = rust::tokens(&code).into_iter().filter(|token| token.text == "unsafe");
    found
        .map(|token| Problem::new(&source.path, token.line, format!("unsafe outside {UNSAFE_HOME}")))
        .collect()
}

/// Work left for later names who will do it: `TODO(name)`.
fn open_ends(source: &Source) -> Vec<Problem> {
    let mark = concat!("TO", "DO");
    let anonymous = |line: &str| {
        line.match_indices(mark).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = &line[at + mark.len()..];
            let is_word = !before.is_some_and(char::is_alphanumeric)
                && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            let named = after.strip_prefix('(').and_then(|name| name.find(')')).is_some_and(|end| end > 0);
            is_word && !named
        })
    };
    // The rule itself has to be written down somewhere.
    let is_prose = source.is("md") || source.path == "xtask/src/tidy/words.rs";
    let found = source.lines().filter(|(_, line)| !is_prose && anonymous(line));
    found.map(|(number, _)| Problem::new(&source.path, number, format!("{mark} without a name"))).collect()
}

/// Fixtures and lock files show other machines; everything else must not depend on one.
fn homes(source: &Source) -> Vec<Problem> {
    if source.path.contains("/fixtures/") || source.path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let excused = |word: &str| {
        exceptions::WORDS.iter().any(|&(path, excused, _)| source.path.starts_with(path) && excused == word)
    };
    let mut problems = Vec::new();
    for (number, line) in source.lines() {
        for home in HOMES.iter().filter(|home| stands_alone(line, home) && !excused(home)) {
            problems.push(Problem::new(
                &source.path,
                number,
                format!("names {home}, a folder of one machine"),
            ));
        }
    }
    problems
}

/// Whether `home` begins a path in `line`, and is not the middle of one such as `/proc/1/root/etc`.
fn stands_alone(line: &str, home: &str) -> bool {
    line.match_indices(home)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}]*>)$".contains(c)))
}

/// Addresses in lock files and manifests lead to the public registries.
fn registries(source: &Source) -> Vec<Problem> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let keys: &[&str] = match name {
        "Cargo.lock" => &["source = \"registry+"],
        "package-lock.json" => &["\"resolved\": \""],
        ".npmrc" => &["registry="],
        _ => return Vec::new(),
    };
    let stranger = |line: &str| {
        keys.iter().any(|key| {
            let address = line.trim_start().strip_prefix(key);
            address.is_some_and(|address| !REGISTRIES.iter().any(|registry| address.starts_with(registry)))
        })
    };
    let found = source.lines().filter(|(_, line)| stranger(line));
    found
        .map(|(number, _)| Problem::new(&source.path, number, "leads to a registry of one machine"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, text: &str) -> Vec<String> {
        check(&[Source { path: path.to_owned(), text: text.to_owned() }])
            .iter()
            .map(|problem| problem.what.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn rust_begins_with_its_purpose() {
        assert_eq!(told("a.rs", "fn main() {}"), ["does not"]);
        assert!(told("a.rs", "//! A.\n").is_empty());
    }

    #[test]
    fn five_hundred_lines_are_the_end() {
        assert!(told("a.css", &"\n".repeat(500)).is_empty());
        assert_eq!(told("a.css", &"\n".repeat(501)), ["501 lines:"]);
        assert!(told("a.json", &"\n".repeat(501)).is_empty());
    }

    #[test]
    fn unsafe_lives_in_sys() {
        assert_eq!(told("backend/src/agent.rs", "//!\nunsafe { x() }"), ["unsafe outside"]);
        assert!(told("backend/src/sys/a.rs", "//!\nunsafe { x() }").is_empty());
        assert!(
            told("backend/src/agent.rs", "//! unsafe\n// unsafe\nlet a = \"unsafe\"; allow(unsafe_code)")
                .is_empty()
        );
    }

    #[test]
    fn open_ends_have_an_owner() {
        let mark = concat!("TO", "DO");
        assert_eq!(told("a.css", &format!("/* {mark}: later */")).len(), 1);
        assert_eq!(told("a.css", &format!("/* {mark}() later */")).len(), 1);
        assert!(told("a.css", &format!("/* {mark}(ada): later */ .{mark}S")).is_empty());
    }

    #[test]
    fn no_machine_of_ones_own() {
        let root = concat!("/ro", "ot/");
        assert_eq!(told(".ci/run", &format!("cd {root}x")), [format!("names {root},")]);
        assert!(told("backend/src/a.css", &format!("/proc/1{root}etc /proc/{{pid}}{root}etc")).is_empty());
        assert!(told("backend/fixtures/a/cmdline", &format!("{root}x")).is_empty());
    }

    #[test]
    fn lock_files_lead_to_public_registries() {
        let good = "  \"resolved\": \"https://registry.npmjs.org/a/-/a-1.tgz\",";
        assert!(told("e2e/spec/package-lock.json", good).is_empty());
        assert_eq!(
            told("e2e/spec/package-lock.json", "\"resolved\": \"http://10.0.0.9/a.tgz\""),
            ["leads to"]
        );
        assert!(
            told("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"")
                .is_empty()
        );
    }
}
