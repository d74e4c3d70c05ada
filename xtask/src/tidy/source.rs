//! The text files of the checkout, without what is built or fetched.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// One text file.
pub(super) struct Source {
    /// Path below the checkout, with `/`.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

impl Source {
    /// Whether the name ends in `.kind`.
    pub(super) fn is(&self, kind: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == kind)
    }

    /// Lines with their numbers, counted from one.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Reads every text file below `root` that .gitignore does not name (its lines are folders below the root).
pub(super) fn read_all(root: &Path) -> Result<Vec<Source>> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let mut left_out: Vec<_> = ignored
        .lines()
        .filter_map(|line| line.trim().strip_prefix('/'))
        .map(|name| root.join(name))
        .collect();
    left_out.push(root.join(".git"));
    let mut sources = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let is_link = path.is_symlink();
            if left_out.contains(&path) || is_link {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                // What is not UTF-8 is a picture, a recording or a fixture.
                sources.push(Source { path: path.strip_prefix(root)?.to_string_lossy().into_owned(), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_and_what_is_no_text_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        put(".gitignore", b"/target\n");
        put("target/debug/a.rs", b"");
        put("src/a.rs", b"one\ntwo");
        put("src/b.png", b"\xff\xd8");
        let sources = read_all(root.path()).unwrap();
        let paths: Vec<_> = sources.iter().map(|source| source.path.as_str()).collect();
        assert_eq!(paths, [".gitignore", "src/a.rs"]);
        assert!(sources[1].is("rs"));
        assert_eq!(sources[1].lines().last(), Some((2, "two")));
    }
}
