//! Where things are: the checkout and cargo's target directory, as cargo itself tells.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::exec;

/// The two directories everything else is relative to.
pub(crate) struct Place {
    /// The checkout: folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, whatever configuration it comes from.
    pub(crate) target: PathBuf,
}

impl Place {
    /// Asks `cargo metadata`, so that `CARGO_TARGET_DIR` and cargo's configuration count.
    pub(crate) fn find() -> Result<Self> {
        // xtask may be called from any folder: its own manifest says which workspace is meant.
        // Cargo tells it afresh with every start; what was compiled in is wrong once the folder has moved.
        let home =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let manifest = Path::new(&home).join("Cargo.toml");
        let text = exec::read(
            exec::cargo()
                .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
                .arg(manifest),
        )?;
        let value: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
        let folder = |key: &str| {
            value[key].as_str().map(PathBuf::from).with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// Target directory of the wasm builds: another compiler may write it, so it is kept apart.
    pub(crate) fn wasm_target(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// The app as the agent embeds it.
    pub(crate) fn app_dist(&self) -> PathBuf {
        self.root.join("frontend/dist")
    }

    /// The agent's binary of a profile's folder (`debug` or `release`).
    pub(crate) fn agent(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("glasshull")
    }
}
