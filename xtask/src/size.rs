//! What a browser downloads before the app runs, as brotli: the app's files → sizes against the budget.

use std::fs;
use std::io::Write;

use anyhow::Result;

use crate::place::Place;
use crate::{app, need, say};

/// The most that wasm, JavaScript and styles together may weigh.
const BUDGET_BYTES: u64 = 350_000;

/// Builds the app as shipped, prints each file's weight and says so above the budget.
pub(crate) fn run(place: &Place) -> Result<()> {
    need::ensure(need::Purpose::Build)?;
    app::build(place, false)?;
    measure(place)
}

/// Prints the weight of what is in `frontend/dist`.
pub(crate) fn measure(place: &Place) -> Result<()> {
    let mut total = 0;
    let mut paths = app::files_below(&place.app_dist())?;
    paths.retain(|path| {
        path.extension().is_some_and(|kind| ["wasm", "js", "css"].iter().any(|one| kind == *one))
    });
    for path in paths {
        let content = fs::read(&path)?;
        let packed = brotli_bytes(&content)?;
        total += packed;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = say::bytes(u64::try_from(content.len())?);
        say::result(&format!("{name:<28} {plain:>10} {:>10} brotli", say::bytes(packed)))?;
    }
    let verdict = format!("{} brotli of at most {}", say::bytes(total), say::bytes(BUDGET_BYTES));
    say::result(&format!("{:<28} {verdict:>10}", "wasm + js + css"))?;
    if total > BUDGET_BYTES {
        // A target to work towards, said aloud; it stops nobody from testing.
        say::note(&format!("MISSED: the app weighs more than it should: {verdict}"));
    }
    Ok(())
}

/// Length after the strongest compression, as the agent serves it.
fn brotli_bytes(content: &[u8]) -> Result<u64> {
    let mut packer = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, 11, 22);
    packer.write_all(content)?;
    Ok(u64::try_from(packer.into_inner().len())?)
}
