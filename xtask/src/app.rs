//! The browser's app: Rust → wasm → hashed files and a page in `frontend/dist`, which the agent embeds.

mod bundle;
mod fingerprint;
mod page;
mod split;

use std::fs;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

pub(crate) use bundle::{LATER, files_below};

use crate::exec::{line, run};
use crate::place::Place;
use crate::say;
use crate::wasm::{TARGET, Toolchain};

/// Builds the app into `frontend/dist` unless nothing has changed since the last time.
pub(crate) fn build(place: &Place, dev: bool) -> Result<()> {
    fs::create_dir_all(place.app_dist())?;
    let profile = if dev { "dev" } else { "app" };
    let fingerprint = fingerprint::Fingerprint::take(place, profile)?;
    if fingerprint.is_current(place) {
        return Ok(());
    }
    let toolchain = Toolchain::ready(place)?;
    let mut cargo = toolchain.cargo(place, "rustc");
    cargo.args(["--package", "glasshull-app", "--bin", "glasshull-app", "--profile", profile]);
    if !dev {
        crate::dist::forget_paths(&mut cargo, &["--cfg=erase_components"]);
    }
    // For the program alone: its dependencies are compiled as ever.
    cargo.args(["--", split::LINK_ARG]);
    say::timed("compiling the app for the browser", || run(&mut cargo).with_context(|| line(&cargo)))?;
    say::timed("bundling the app", || {
        let folder = if dev { "debug" } else { "app" };
        let wasm = place.wasm_target().join(TARGET).join(folder).join("glasshull-app.wasm");
        let bound = place.wasm_target().join("bound");
        if bound.exists() {
            fs::remove_dir_all(&bound)?;
        }
        let first = split::split(&wasm, &bound, dev)?;
        bind(&first, &bound, dev)?;
        let files = bundle::gather(&bound, &place.root)?;
        bundle::write(&place.app_dist(), &files)?;
        fingerprint.keep(place, files.keys())
    })
}

/// wasm-bindgen: the wasm that cargo made → wasm and its JavaScript half.
fn bind(wasm: &std::path::Path, bound: &std::path::Path, dev: bool) -> Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("app")
        .web(true)?
        .typescript(false)
        // The page names the hashed wasm; a default path would be a second, wrong name for it.
        .omit_default_module_path(true)
        // Chunks import memory and table of the first part, and name what they need by the linker's names.
        .keep_lld_exports(true)
        .demangle(false)
        .keep_debug(dev)
        .remove_name_section(!dev)
        .remove_producers_section(!dev)
        .generate(bound)
        .with_context(|| format!("wasm-bindgen cannot read {}", wasm.display()))
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
