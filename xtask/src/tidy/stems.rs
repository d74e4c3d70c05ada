//! The same stem everywhere: each domain of `shared` has its twin at every stage, or a reason not to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Problem, exceptions};

/// Where a stem's twins live: the exceptions' word for the place, and the files that count.
pub(super) const PLACES: &[(&str, &[&str])] = &[
    ("collect", &["backend/src/collect/*.rs", "backend/src/collect/*"]),
    ("view", &["frontend/src/view/*.rs", "frontend/src/view/*"]),
    ("style", &["style/view/*.css"]),
    ("spec", &["e2e/spec/*.spec.ts"]),
];

/// Checks every stem against every place.
pub(super) fn check(root: &Path, exceptions: &[exceptions::Twin]) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let stems = stems(root)?;
    for stem in &stems {
        for &(place, patterns) in PLACES {
            let there = patterns.iter().any(|pattern| root.join(pattern.replace('*', stem)).exists());
            let excused = exceptions.iter().any(|one| one.stem == stem && one.place == place);
            let path = format!("shared/src/domain/{stem}.rs");
            match (there, excused) {
                (false, false) => {
                    let wanted = patterns.first().unwrap_or(&"").replace('*', stem);
                    let what = format!(
                        "{stem} has no {wanted}: add it, or the reason to xtask/src/tidy/exceptions.rs"
                    );
                    problems.push(Problem::new(&path, 0, what));
                }
                (true, true) => {
                    let what = format!("{stem} has its {place} now: remove the exception");
                    problems.push(Problem::new("xtask/src/tidy/exceptions.rs", 0, what));
                }
                (true, false) | (false, true) => {}
            }
        }
    }
    for one in exceptions.iter().filter(|one| !stems.contains(one.stem)) {
        let what = format!("there is no domain {}: remove the exception ({})", one.stem, one.reason);
        problems.push(Problem::new("xtask/src/tidy/exceptions.rs", 0, what));
    }
    Ok(problems)
}

/// Names of the domains.
fn stems(root: &Path) -> Result<BTreeSet<String>> {
    let folder = root.join("shared/src/domain");
    let mut stems = BTreeSet::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if let Some(stem) = path.file_stem().filter(|stem| *stem != "mod") {
            stems.insert(stem.to_string_lossy().into_owned());
        }
    }
    Ok(stems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use exceptions::Twin;

    #[test]
    fn a_missing_twin_a_needless_and_a_dead_exception_are_told() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            "shared/src/domain/disk.rs",
            "backend/src/collect/disk/mod.rs",
            "frontend/src/view/disk.rs",
            "style/view/disk.css",
        ];
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let told = |exceptions: &[Twin]| {
            let problems = check(root.path(), exceptions).unwrap();
            problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>()
        };
        assert!(matches!(&told(&[])[..], [one] if one.contains("e2e/spec/disk.spec.ts")));
        let spec = Twin { stem: "disk", place: "spec", reason: "" };
        let style = Twin { stem: "disk", place: "style", reason: "" };
        let gone = Twin { stem: "gone", place: "spec", reason: "" };
        assert!(told(&[spec]).is_empty());
        assert!(matches!(&told(&[spec, style])[..], [one] if one.contains("style now")));
        assert!(matches!(&told(&[spec, gone])[..], [one] if one.contains("no domain gone")));
    }
}
