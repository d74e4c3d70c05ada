//! The wasm that cargo linked with its relocations → what every page needs, and chunks that come later.
//!
//! Where to cut stands in the app: `later!`. The loader is JavaScript that fetches a chunk and ties it to the running
//! wasm; it comes from `wasm_split_cli_support`, which also moves code that several chunks need into chunks of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// The linker must leave its relocations in the wasm: by them the code is taken apart.
pub(super) const LINK_ARG: &str = "-Clink-arg=--emit-relocs";

/// The loader as the wasm imports it; beside the chunks.
pub(super) const LOADER: &str = "./split.js";

/// The glue as the loader imports it.
pub(super) const GLUE: &str = "./app.js";

/// Cuts `wasm` up: loader and chunks go into `folder`. Gives the part that wasm-bindgen goes on with.
pub(super) fn split(wasm: &Path, folder: &Path) -> Result<PathBuf> {
    let whole = fs::read(wasm).with_context(|| wasm.display().to_string())?;
    let first = wasm.with_extension("first.wasm");
    let mut options = wasm_split_cli_support::Options::new(&whole);
    options.output_dir = folder;
    options.main_out_path = &first;
    options.link_name = LOADER;
    options.main_module = GLUE;
    let made = wasm_split_cli_support::transform(options)
        .map_err(|why| anyhow!("{} cannot be split: {why:#}", wasm.display()))?;
    for chunk in &made.split_modules {
        let packed = pack(&fs::read(chunk)?).with_context(|| chunk.display().to_string())?;
        fs::write(chunk, packed)?;
    }
    Ok(first)
}

/// Takes names and tools out of a chunk and the room out of its numbers, which the linker leaves for relocations.
fn pack(chunk: &[u8]) -> Result<Vec<u8>> {
    let mut config = walrus::ModuleConfig::new();
    config.generate_name_section(false).generate_producers_section(false);
    let mut module = config.parse(chunk)?;
    let rest: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in rest {
        module.customs.delete(id);
    }
    Ok(module.emit_wasm())
}
