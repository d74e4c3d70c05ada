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

/// Cuts `wasm` up: loader and chunks go into `folder`, for `dev` with the names of their functions. Gives the part that
/// wasm-bindgen goes on with.
pub(super) fn split(wasm: &Path, folder: &Path, dev: bool) -> Result<PathBuf> {
    let whole = fs::read(wasm).with_context(|| wasm.display().to_string())?;
    let first = wasm.with_extension("first.wasm");
    let mut options = wasm_split_cli_support::Options::new(&whole);
    options.output_dir = folder;
    options.main_out_path = &first;
    options.link_name = LOADER;
    options.main_module = GLUE;
    let made = wasm_split_cli_support::transform(options)
        .map_err(|why| anyhow!("{} cannot be split: {why:#}", wasm.display()))?;
    for chunk in made.split_modules.iter().filter(|_| !dev) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one function that returns 1, its number written in five bytes as the linker does, then a section
    /// for people.
    const LOOSE: &[u8] = b"\0asm\x01\0\0\0\
        \x01\x05\x01\x60\0\x01\x7f\
        \x03\x02\x01\0\
        \x07\x05\x01\x01f\0\0\
        \x0a\x0a\x01\x08\0\x41\x81\x80\x80\x80\0\x0b\
        \0\x08\x06peoplex";

    #[test]
    fn a_chunk_loses_names_and_room_and_keeps_what_it_does() {
        let packed = pack(LOOSE).unwrap();
        assert!(packed.len() < LOOSE.len(), "{packed:?}");
        let holds = |part: &[u8]| packed.windows(part.len()).any(|found| found == part);
        assert!(!holds(b"people"));
        assert!(holds(b"\x07\x05\x01\x01f\0\0"), "the export went: {packed:?}");
        assert!(holds(b"\0\x41\x01\x0b"), "the code is another: {packed:?}");
    }

    #[test]
    fn what_was_linked_without_relocations_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wasm = folder.path().join("app.wasm");
        fs::write(&wasm, LOOSE).unwrap();
        assert!(split(&wasm, &folder.path().join("bound"), false).is_err());
        assert!(split(&folder.path().join("none.wasm"), folder.path(), false).is_err());
    }
}
