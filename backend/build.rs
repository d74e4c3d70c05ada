//! Embeds the browser app: compresses what lies in `frontend/dist` and writes the list of it for `serve::asset`.
//!
//! From `cargo xtask`, which builds the app into that folder, to `$OUT_DIR/assets.rs`. The folder is git-ignored; an
//! empty one makes an agent that tells how to build the app, so that a plain `cargo build` works.
//!
//! Not memory-serve: it compresses with gzip and unpacks brotli at every start of the agent, and browsers ask for
//! gzip alone over plain HTTP to another host; and in debug builds it serves files of the source tree.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compressed forms are kept only when they save at least a tenth.
const WORTH_IT: f64 = 0.9;

fn main() -> Result<(), Box<dyn Error>> {
    let dist = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../frontend/dist");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    prefer_static_libpcap(&out)?;
    // A path that does not exist would run this again and again; where the tree is read-only, it may.
    let _ = fs::create_dir_all(&dist);
    println!("cargo::rerun-if-changed={}", dist.display());

    let mut files = Vec::new();
    list(&dist, &mut files);
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        embed(&dist, file, &out, &mut code)?;
    }
    code.push(']');
    write_if_changed(&out.join("assets.rs"), code.as_bytes())?;
    Ok(())
}

/// Links libpcap into the agent, so that it starts on hosts without it: the linker takes what it finds first, and this
/// folder holds the archive alone. Where the distribution ships none, the shared library is what there is.
fn prefer_static_libpcap(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
    let archive = match std::env::var_os("LIBPCAP_LIBDIR") {
        Some(folder) => PathBuf::from(folder).join("libpcap.a"),
        None => {
            let answer = Command::new("cc").arg("-print-file-name=libpcap.a").output();
            answer.map(|a| String::from_utf8_lossy(&a.stdout).trim().into()).unwrap_or_default()
        }
    };
    // The compiler echoes the bare name of a file it does not know.
    if archive.is_absolute() && archive.is_file() {
        let folder = out.join("libpcap");
        fs::create_dir_all(&folder)?;
        fs::copy(&archive, folder.join("libpcap.a"))?;
        println!("cargo::rerun-if-changed={}", archive.display());
        println!("cargo::rustc-link-search=native={}", folder.display());
    }
    Ok(())
}

/// All files below a folder; a folder that cannot be read has none.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Writes one entry of the list, and the forms of the file beside it under names made of its content.
fn embed(dist: &Path, file: &Path, out: &Path, code: &mut String) -> Result<(), Box<dyn Error>> {
    let Some(kind) = content_type(file) else { return Ok(()) };
    let bytes = fs::read(file)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    let etag = format!("{:016x}", hasher.finish());
    write_if_changed(&out.join(&etag), &bytes)?;
    let brotli = compressed(&out.join(format!("{etag}.br")), bytes.len(), || brotli(&bytes))?;
    let gzip = compressed(&out.join(format!("{etag}.gz")), bytes.len(), || gzip(&bytes))?;
    let route = file
        .strip_prefix(dist)?
        .components()
        .fold(String::new(), |route, part| route + "/" + &part.as_os_str().to_string_lossy());
    let include = |name: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))");
    let optional = |there: bool, suffix: &str| match there {
        true => format!("Some({})", include(&format!("{etag}.{suffix}"))),
        false => "None".into(),
    };
    writeln!(
        code,
        "Asset {{ path: {route:?}, content_type: {kind:?}, etag: {etag:?}, plain: {}, brotli: {}, gzip: {} }},",
        include(&etag),
        optional(brotli, "br"),
        optional(gzip, "gz"),
    )?;
    Ok(())
}

/// Makes a compressed form unless it is there from an earlier run; false when it is not worth keeping.
fn compressed(
    path: &Path,
    plain: usize,
    make: impl FnOnce() -> std::io::Result<Vec<u8>>,
) -> std::io::Result<bool> {
    if !path.exists() {
        fs::write(path, make()?)?;
    }
    Ok((fs::metadata(path)?.len() as f64) < plain as f64 * WORTH_IT)
}

fn brotli(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    // The best form takes seconds: only for what is shipped.
    let quality = if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") { 11 } else { 5 };
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, quality, 24);
    writer.write_all(bytes)?;
    Ok(writer.into_inner())
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
}

/// `None` for files that are not part of the app: source maps, forms compressed by others.
fn content_type(file: &Path) -> Option<&'static str> {
    Some(match file.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// Leaves the time of an unchanged file alone, so that nothing is compiled again for it.
fn write_if_changed(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match fs::read(path) {
        Ok(there) if there == bytes => Ok(()),
        Ok(_) | Err(_) => fs::write(path, bytes),
    }
}
