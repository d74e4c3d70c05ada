//! Which compiler builds for wasm32-unknown-unknown: the one in use when it has the standard library,
//! else the distribution's, else the one in use after rustup has fetched the library.

mod distribution;
mod std_lib;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::exec::{cargo, read, run, succeeds, which};
use crate::place::Place;
use crate::say;

/// The one target of the app.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A cargo and rustc that can build for `TARGET`.
pub(crate) enum Toolchain {
    /// The cargo that runs xtask, and its rustc.
    InUse,
    /// The distribution's, below /usr/bin, whatever stands before it on the `PATH`.
    Distribution,
}

impl Toolchain {
    /// Finds one, and installs what is missing to get there.
    pub(crate) fn ready(place: &Place) -> Result<Self> {
        if has_std(&rustc_in_use()) {
            return Ok(Self::InUse);
        }
        let rustup_may_fetch = std::env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0");
        if rustup_may_fetch && which("rustup").is_some() {
            say::timed(&format!("rustup adds the standard library for {TARGET}"), || {
                run(Command::new("rustup").args(["target", "add", TARGET]))
            })?;
            if has_std(&rustc_in_use()) {
                return Ok(Self::InUse);
            }
            // cargo is not rustup's here: its rustc gained nothing.
        }
        distribution::ready(place)?;
        Ok(Self::Distribution)
    }

    /// A cargo command for `TARGET` in the target directory kept for wasm.
    pub(crate) fn cargo(&self, place: &Place, verb: &str) -> Command {
        let mut command = match self {
            Self::InUse => cargo(),
            Self::Distribution => distribution::cargo(verb == "clippy"),
        };
        command
            .arg(verb)
            .args(["--target", TARGET])
            .env("CARGO_TARGET_DIR", place.wasm_target())
            .current_dir(&place.root);
        command
    }

    /// Adds clippy where the toolchain comes without it.
    pub(crate) fn ensure_clippy(&self) -> Result<()> {
        match self {
            Self::InUse if succeeds(cargo().args(["clippy", "--version"])) => Ok(()),
            Self::InUse => bail!("cargo clippy is missing: rustup component add clippy"),
            Self::Distribution => distribution::ensure_clippy(),
        }
    }
}

/// The rustc beside the cargo that runs us: the very pair, past any shim.
pub(crate) fn rustc_in_use() -> PathBuf {
    if let Some(rustc) = std::env::var_os("RUSTC") {
        return rustc.into();
    }
    let beside = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
    beside.filter(|rustc| rustc.exists()).unwrap_or_else(|| "rustc".into())
}

/// Whether this rustc has a standard library for `TARGET`, of its own version or not.
fn has_std(rustc: &Path) -> bool {
    lib_folder(rustc).is_ok_and(|lib| {
        let entries = lib.read_dir().into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

/// Where this rustc looks for libraries of `TARGET`, whether they are there or not.
fn lib_folder(rustc: &Path) -> Result<PathBuf> {
    let printed = read(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]))?;
    Ok(printed.trim().into())
}
