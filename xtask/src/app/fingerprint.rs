//! Whether the app in `frontend/dist` is still the one its sources would give: path, size and time of
//! every input in one hash, so that a start with nothing changed costs milliseconds.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use anyhow::Result;

use super::{bundle::files_below, hash};
use crate::place::Place;

/// Files and folders the app is made of; what xtask does with them counts too.
const INPUTS: &[&str] =
    &["Cargo.lock", "Cargo.toml", ".cargo", "frontend", "shared", "style", "xtask/src/app", "xtask/src/wasm"];

/// State of all inputs at one time.
pub(super) struct Fingerprint(String);

impl Fingerprint {
    /// Takes it for one profile.
    pub(super) fn take(place: &Place, profile: &str) -> Result<Self> {
        let mut list = format!("{profile}\n");
        let dist = place.app_dist();
        for input in INPUTS.iter().map(|input| place.root.join(input)) {
            let files = if input.is_dir() { files_below(&input)? } else { vec![input] };
            for file in files.iter().filter(|file| !file.starts_with(&dist)) {
                // A link or lock of an editor may vanish meanwhile: then it is no input.
                let Ok(meta) = file.metadata() else { continue };
                let nanos = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                writeln!(list, "{} {} {nanos}", file.display(), meta.len())?;
            }
        }
        Ok(Self(hash(list.as_bytes())))
    }

    /// Whether `frontend/dist` was made from these inputs and all its files are still there.
    pub(super) fn is_current(&self, place: &Place) -> bool {
        let Ok(kept) = fs::read_to_string(file(place)) else { return false };
        let mut lines = kept.lines();
        lines.next() == Some(self.0.as_str()) && lines.all(|name| place.app_dist().join(name).is_file())
    }

    /// Remembers that `frontend/dist` now holds the files `names` made from these inputs.
    pub(super) fn keep<'a>(&'a self, place: &Place, names: impl Iterator<Item = &'a String>) -> Result<()> {
        let lines: Vec<&str> = std::iter::once(&self.0).chain(names).map(String::as_str).collect();
        Ok(fs::write(file(place), lines.join("\n"))?)
    }
}

fn file(place: &Place) -> PathBuf {
    place.wasm_target().join("app.fingerprint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_a_lost_file_and_another_profile_all_count() {
        let root = tempfile::tempdir().unwrap();
        let place = Place { root: root.path().to_owned(), target: root.path().join("target") };
        fs::create_dir_all(place.wasm_target()).unwrap();
        fs::create_dir_all(place.app_dist()).unwrap();
        let source = root.path().join("frontend/app.rs");
        let built = place.app_dist().join("app.js");
        fs::write(&source, "one").unwrap();
        let first = Fingerprint::take(&place, "app").unwrap();
        assert!(!first.is_current(&place));
        fs::write(&built, "").unwrap();
        first.keep(&place, [&"app.js".to_owned()].into_iter()).unwrap();
        assert!(Fingerprint::take(&place, "app").unwrap().is_current(&place));
        assert!(!Fingerprint::take(&place, "dev").unwrap().is_current(&place));
        fs::remove_file(&built).unwrap();
        assert!(!first.is_current(&place));
        fs::write(&built, "").unwrap();
        fs::write(&source, "three").unwrap();
        assert!(!Fingerprint::take(&place, "app").unwrap().is_current(&place));
    }
}
