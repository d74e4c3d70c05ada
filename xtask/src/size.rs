//! What a browser downloads, as brotli: the app's files → what every page needs at once against the budget, each chunk
//! that comes later, and all together.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};

use crate::place::Place;
use crate::{app, need, say};

/// The most that wasm, JavaScript and styles of the first download together may weigh.
const BUDGET_BYTES: u64 = 350_000;

/// Builds the app as shipped and prints each file's weight; fails above the budget.
pub(crate) fn run(place: &Place) -> Result<()> {
    need::ensure(need::Purpose::Build)?;
    app::build(place, false)?;
    measure(place)
}

/// Prints the weight of what is in `frontend/dist`; fails above the budget.
pub(crate) fn measure(place: &Place) -> Result<()> {
    let (first, later) = weigh(&place.app_dist())?;
    print(&first)?;
    let at_once = sum(&first);
    let verdict = format!("{} brotli of at most {}", say::bytes(at_once), say::bytes(BUDGET_BYTES));
    say::result(&format!("{:<32} {verdict}", "first download"))?;
    print(&later)?;
    say::result(&format!("{:<32} {} brotli", "comes later", say::bytes(sum(&later))))?;
    say::result(&format!("{:<32} {} brotli", "all of it", say::bytes(at_once + sum(&later))))?;
    check(at_once)
}

/// One file and its bytes.
struct Weight {
    name: String,
    plain: u64,
    brotli: u64,
}

/// Wasm, scripts and styles below `dist`: those of the first download, and those that come later.
fn weigh(dist: &Path) -> Result<(Vec<Weight>, Vec<Weight>)> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for path in app::files_below(dist)? {
        if !path.extension().is_some_and(|kind| ["wasm", "js", "css"].iter().any(|one| kind == *one)) {
            continue;
        }
        let content = fs::read(&path)?;
        let name = path.strip_prefix(dist)?;
        let list = if name.starts_with(app::LATER) { &mut later } else { &mut first };
        list.push(Weight {
            name: name.to_string_lossy().into_owned(),
            plain: u64::try_from(content.len())?,
            brotli: brotli_bytes(&content)?,
        });
    }
    Ok((first, later))
}

fn print(files: &[Weight]) -> Result<()> {
    for Weight { name, plain, brotli } in files {
        say::result(&format!("{name:<32} {:>10} {:>10} brotli", say::bytes(*plain), say::bytes(*brotli)))?;
    }
    Ok(())
}

fn sum(files: &[Weight]) -> u64 {
    files.iter().map(|file| file.brotli).sum()
}

fn check(at_once: u64) -> Result<()> {
    if at_once > BUDGET_BYTES {
        bail!(
            "the first download weighs {}, more than {}: let a part of it come later, as `later!` in frontend/src/view/mod.rs does",
            say::bytes(at_once),
            say::bytes(BUDGET_BYTES),
        );
    }
    Ok(())
}

/// Length after the strongest compression, as the agent serves it.
fn brotli_bytes(content: &[u8]) -> Result<u64> {
    let mut packer = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, 11, 22);
    packer.write_all(content)?;
    Ok(u64::try_from(packer.into_inner().len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_is_not_of_the_first_download() {
        let dist = tempfile::tempdir().unwrap();
        fs::create_dir_all(dist.path().join(app::LATER)).unwrap();
        for (name, length) in
            [("app.wasm", 3000), ("app.js", 200), ("later/map.wasm", 5000), ("index.html", 9000)]
        {
            fs::write(dist.path().join(name), vec![b'x'; length]).unwrap();
        }
        let (first, later) = weigh(dist.path()).unwrap();
        let names = |files: &[Weight]| files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&first), ["app.js", "app.wasm"]);
        assert_eq!(names(&later), ["later/map.wasm"]);
        assert!(later.iter().all(|file| file.plain == 5000 && file.brotli < 100));
    }

    #[test]
    fn more_than_the_budget_is_a_failure() {
        assert!(check(BUDGET_BYTES).is_ok() && check(BUDGET_BYTES + 1).is_err());
    }
}
