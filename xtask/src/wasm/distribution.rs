//! The distribution's Rust, for machines where nothing is fetched through rustup.
//! Debian ships a recent one for its browsers, with sources but without wasm32 libraries.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{has_std, std_lib};
use crate::exec::{read, which};
use crate::need::{Package, install};
use crate::place::Place;

/// Where the packages put their programs; not taken from the `PATH`, where rustup's shims may stand first.
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const CARGO_CLIPPY: &str = "/usr/bin/cargo-clippy";
/// The linker of rustc's wasm targets: a link into the LLVM it was built with.
const RUST_LLD: &str = "/usr/bin/rust-lld";

/// A file and the package that brings it.
const PACKAGES: &[(&str, &str, &str)] = &[
    (RUSTC, "rustc-web", "a Rust compiler that may build for wasm32 here"),
    (CARGO, "cargo-web", "its cargo"),
    (
        "/usr/lib/rustlib/src/rust/library/std/src/lib.rs",
        "rust-web-src",
        "sources of the wasm32 standard library",
    ),
    (RUST_LLD, "rust-web-llvm", "its linker for wasm32"),
];

/// Installs what is missing and builds the standard library once.
pub(super) fn ready(place: &Place) -> Result<()> {
    if !Path::new(RUSTC).exists() && which("apt-get").is_none() {
        bail!(
            "rustc has no standard library for {target}. Install it, then start again:\n  \
             with rustup: rustup target add {target}\n  \
             Fedora: dnf install rust-std-static-{target}\n  \
             Arch: pacman -S rust-wasm\n  \
             Alpine: apk add rust-wasm",
            target = super::TARGET
        );
    }
    let absent = |file: &str| std::fs::symlink_metadata(file).is_err();
    let missing: Vec<Package> =
        PACKAGES.iter().filter(|(file, ..)| absent(file)).map(|&(_, apt, why)| package(apt, why)).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if !Path::new(RUST_LLD).exists() {
        install(&[lld_package()?])?;
    }
    std_lib::ensure(place, Path::new(RUSTC), cargo(false), has_std(Path::new(RUSTC)))
}

/// The distribution's cargo (or its clippy), freed of what rustup and the cargo above us have set.
pub(super) fn cargo(clippy: bool) -> Command {
    // `cargo clippy` would look through CARGO_HOME/bin first and find rustup's: call the right one directly.
    let mut command = Command::new(if clippy { CARGO_CLIPPY } else { CARGO });
    command.env("CARGO", CARGO).env("RUSTC", RUSTC);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "LD_LIBRARY_PATH", "RUSTDOC", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(name);
    }
    command
}

/// Clippy of the same version.
pub(super) fn ensure_clippy() -> Result<()> {
    if Path::new(CARGO_CLIPPY).exists() {
        return Ok(());
    }
    install(&[package("rust-web-clippy", "lints of the app as it is compiled for the browser")])
}

fn package(apt: &'static str, why: &'static str) -> Package {
    // Only reached where apt is: other distributions have the library in their own packages.
    Package { apt, dnf: apt, pacman: apt, why }
}

/// The lld that the linker's link points to: its version follows the compiler's.
fn lld_package() -> Result<Package> {
    let link = std::fs::read_link(RUST_LLD).with_context(|| format!("{RUST_LLD} is no link"))?;
    let version = link
        .to_str()
        .and_then(llvm_version)
        .with_context(|| format!("{RUST_LLD} points to {}, which names no LLVM version", link.display()))?;
    let name = format!("lld-{version}");
    // Names of packages are constants everywhere else; this one lives as long as the program.
    Ok(package(name.leak(), "the linker itself"))
}

fn llvm_version(link: &str) -> Option<u32> {
    let (_, after) = link.rsplit_once("llvm-").or_else(|| link.rsplit_once("lld-"))?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What names this compiler: version, commit, host and LLVM.
pub(super) fn identity(rustc: &Path) -> Result<String> {
    read(Command::new(rustc).arg("-vV"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_version_is_in_its_link() {
        assert_eq!(llvm_version("../lib/llvm-22/bin/lld"), Some(22));
        assert_eq!(llvm_version("../bin/lld-19"), Some(19));
        assert_eq!(llvm_version("/usr/bin/ld"), None);
    }
}
