//! Builds the wasm32 standard library once from the compiler's own sources and puts it where that
//! compiler looks for it. Afterwards a plain `cargo build --target` works, without `-Z`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{TARGET, distribution::identity, lib_folder};
use crate::app::hash;
use crate::exec::{run, succeeds};
use crate::need::{root_prefix, with_prefix};
use crate::place::Place;
use crate::say;

/// Tells that a library was put there by us and for which compiler.
const STAMP: &str = "built-by-glasshull-xtask";

/// Makes sure that `rustc` has a library it can use; `there` says whether it has one at all.
pub(super) fn ensure(place: &Place, rustc: &Path, cargo: Command, there: bool) -> Result<()> {
    let stamp = hash(identity(rustc)?.as_bytes());
    let folder = lib_folder(rustc)?;
    let target_folder = folder.parent().context("the library folder has no parent")?;
    let ours = fs::read_to_string(target_folder.join(STAMP)).is_ok_and(|text| text.trim() == stamp);
    // A library that somebody else put there is asked whether it works: after an update it does not.
    if there && (ours || compiles(place, rustc)) {
        return Ok(());
    }
    let what =
        format!("building the standard library for {TARGET}, once for this compiler (about half a minute)");
    say::timed(&what, || {
        let staged = build(place, cargo, &stamp)?;
        copy(&staged, target_folder)
    })?;
    if !compiles(place, rustc) {
        bail!("{} still cannot build for {TARGET} with the library in {}", rustc.display(), folder.display());
    }
    Ok(())
}

/// Whether `rustc` can use its library: asked with an empty crate, up to its metadata.
fn compiles(place: &Place, rustc: &Path) -> bool {
    let source = work_folder(place).join("src/lib.rs");
    let mut command = Command::new(rustc);
    command.args(["--target", TARGET, "--crate-type", "lib", "--emit", "metadata", "--out-dir"]);
    command.arg(work_folder(place)).arg(&source).env_remove("LD_LIBRARY_PATH");
    write_empty_crate(place).is_ok() && succeeds(&mut command)
}

fn work_folder(place: &Place) -> PathBuf {
    place.target.join("wasm-std")
}

/// An empty crate in a workspace of its own, because the target directory lies inside ours.
fn write_empty_crate(place: &Place) -> Result<()> {
    let work = work_folder(place);
    fs::create_dir_all(work.join("src"))?;
    let manifest = "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(work.join("Cargo.toml"), manifest)?;
    fs::write(work.join("src/lib.rs"), "//! Empty: only its standard library is wanted.\n")?;
    Ok(())
}

/// Builds an empty crate with `-Zbuild-std` and gathers the libraries; gives the folder to copy.
fn build(place: &Place, mut cargo: Command, stamp: &str) -> Result<PathBuf> {
    write_empty_crate(place)?;
    let work = work_folder(place);
    let target = work.join("target");
    run(cargo
        .args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort,panic_unwind,test"])
        .current_dir(&work)
        // The sources are of a stable release; build-std is behind the gate of nightly.
        .env("RUSTC_BOOTSTRAP", "1")
        // Fat LTO of the app reads the bitcode.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", &target))?;
    let staged = work.join("staged");
    if staged.exists() {
        fs::remove_dir_all(&staged)?;
    }
    fs::create_dir_all(staged.join("lib"))?;
    gather(&target.join(TARGET).join("release/deps"), &staged.join("lib"))?;
    fs::write(staged.join(STAMP), format!("{stamp}\n"))?;
    Ok(staged)
}

/// Copies the rlibs of the standard library out of a deps folder.
fn gather(deps: &Path, to: &Path) -> Result<()> {
    let mut found_std = false;
    for entry in fs::read_dir(deps)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".rlib") || name.starts_with("libempty") {
            continue;
        }
        found_std |= name.starts_with("libstd-");
        fs::copy(&path, to.join(name))?;
    }
    if !found_std {
        bail!("the build left no standard library in {}", deps.display());
    }
    Ok(())
}

/// Replaces the compiler's folder in one rename, so that nobody sees half a library.
fn copy(staged: &Path, to: &Path) -> Result<()> {
    let Some(prefix) = root_prefix() else {
        bail!(
            "writing {to} needs root and there is no usable sudo. As root, then start again:\n  \
             rm -rf {to} && cp -r {staged} {to}",
            to = to.display(),
            staged = staged.display()
        );
    };
    let mut command = Command::new("sh");
    command.args([
        "-euc",
        "rm -rf \"$2.new\"; cp -r \"$1\" \"$2.new\"; rm -rf \"$2\"; mv \"$2.new\" \"$2\"",
        "sh",
    ]);
    command.arg(staged).arg(to);
    run(&mut with_prefix(&prefix, command))
}
