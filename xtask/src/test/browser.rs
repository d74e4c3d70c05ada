//! The browser specs: Playwright from npm, driving the Chromium that the system has.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::app::hash;
use crate::exec::{run as run_command, watch, which};
use crate::place::Place;
use crate::say;

/// Runs the specs whose file path matches `filter`, or all of them.
pub(super) fn run(place: &Place, filter: Option<&str>, seen: &mut dyn FnMut(&str)) -> Result<()> {
    let folder = place.root.join("e2e/spec");
    install(&folder)?;
    let chromium = which("chromium").context("no chromium")?;
    let mut specs = Command::new("npx");
    // A filter names tests of any kind: that no spec has the name is no failure.
    specs.args(["--no-install", "playwright", "test", "--pass-with-no-tests"]).args(filter);
    specs
        .current_dir(&folder)
        .env("GLASSHULL_BIN", place.agent("debug"))
        .env("GLASSHULL_LAB_BIN", place.target.join("debug/glasshull-lab"))
        .env("GLASSHULL_CHROMIUM", chromium)
        .env("PLAYWRIGHT_HTML_OPEN", "never")
        .stdin(Stdio::null());
    watch(&mut specs, seen)
}

/// Fetches what the lock file names, unless that is what was fetched last.
fn install(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let wanted = hash(&fs::read(&lock).with_context(|| lock.display().to_string())?);
    let stamp = folder.join("node_modules/.fetched-for");
    if fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == wanted) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder);
    // The system's Chromium is used.
    npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    say::timed("fetching Playwright", || run_command(&mut npm))?;
    Ok(fs::write(stamp, wanted)?)
}
