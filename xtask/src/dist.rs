//! `cargo xtask dist`: the agent with its app as one file that needs nothing of the host but its kernel.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec::{self, cargo, read};
use crate::place::Place;
use crate::{app, elf, need, say};

/// Where the binary is put.
pub(crate) fn shipped(place: &Place) -> PathBuf {
    place.root.join("dist/glasshull")
}

/// Builds `dist/glasshull` and prints its path, size and SHA-256.
pub(crate) fn run(place: &Place) -> Result<()> {
    need::ensure(need::Purpose::Build)?;
    app::build(place, false)?;
    let target = host_target()?;
    let mut build = cargo();
    // A named target keeps the flags away from build scripts and procedural macros,
    // which are loaded by the compiler and cannot be static.
    build
        .args(["build", "--release", "--package", "glasshull", "--target", &target])
        .current_dir(&place.root);
    forget_paths(&mut build, &["-Ctarget-feature=+crt-static"]);
    say::timed("building the static agent", || exec::run(&mut build))?;
    let built = place.target.join(&target).join("release/glasshull");
    if !elf::is_static(&built)? {
        bail!("{} asks for a dynamic loader: it would not start elsewhere", built.display());
    }
    let shipped = shipped(place);
    // Renamed into place: a copy that is running keeps its file.
    let fresh = shipped.with_extension("new");
    fs::create_dir_all(place.root.join("dist"))?;
    fs::copy(&built, &fresh)?;
    fs::rename(&fresh, &shipped)?;
    let content = fs::read(&shipped)?;
    say::result(&format!(
        "{}\n{} ({} bytes)",
        shipped.display(),
        say::bytes(content.len() as u64),
        content.len()
    ))?;
    say::result(&format!("sha256 {}", app::hash(&content)))?;
    Ok(())
}

/// The host's own target: static programs are built for the machine's kind, with glibc or musl as it has.
fn host_target() -> Result<String> {
    let version = read(Command::new(crate::wasm::rustc_in_use()).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Sets the compiler flags of a build with `--target`: `flags`, and short names for the sources of
/// dependencies, so that what is shipped does not tell whose home it was built in.
pub(crate) fn forget_paths(build: &mut Command, flags: &[&str]) {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::path::absolute(std::env::home_dir()?).ok()?.join(".cargo")));
    let mut words: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    words.extend(home.map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    // The encoded form takes paths with spaces.
    build.env("CARGO_ENCODED_RUSTFLAGS", words.join("\x1f"));
}
