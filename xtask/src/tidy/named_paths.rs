//! Every path that the map of the code names exists.

use std::path::Path;

use super::{Problem, source::Source};

/// The map.
const MAP: &str = "ARCHITECTURE.md";

/// Made by builds: named in the map, absent in a fresh checkout.
const BUILT: &[&str] = &["frontend/dist", "dist", "target", "e2e/spec/out", "e2e/spec/node_modules"];

/// Checks the words in backticks that look like paths of this repository.
pub(super) fn check(root: &Path, sources: &[Source]) -> Vec<Problem> {
    let Some(map) = sources.iter().find(|source| source.path == MAP) else {
        return vec![Problem::new(MAP, 0, "is missing")];
    };
    let mut problems = Vec::new();
    for (line, text) in map.lines() {
        // Between backticks: every second piece.
        for word in text.split('`').skip(1).step_by(2).filter(|word| is_path(root, word)) {
            let word = word.trim_end_matches('/');
            let built = BUILT.iter().any(|built| Path::new(word).starts_with(built));
            if !built && !root.join(word).exists() {
                problems.push(Problem::new(MAP, line, format!("names {word}, which does not exist")));
            }
        }
    }
    problems
}

/// A word with a slash that begins with one of our folders, or the name of a file as it lies in the root.
fn is_path(root: &Path, word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if word.is_empty() || !word.chars().all(plain) {
        return false;
    }
    match word.split_once('/') {
        Some((first, _)) => !first.is_empty() && root.join(first).is_dir(),
        None => [".md", ".toml", ".yaml"].iter().any(|end| word.ends_with(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_ours_must_exist() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("shared/src")).unwrap();
        let told = |text: &str| {
            let map = Source { path: MAP.to_owned(), text: text.to_owned() };
            check(root.path(), &[map]).iter().map(|problem| problem.line).collect::<Vec<_>>()
        };
        let text = "`shared/src` `shared/src/`\n`shared/src/gone.rs` shared/no\n`/proc/stat` `a/b` `shared/<stem>.rs`\n`NOPE.md`";
        assert_eq!(told(text), [2, 4]);
        assert_eq!(check(root.path(), &[]).len(), 1);
    }
}
