//! The browser's side of the benchmark: what it downloads, and how long until it shows something.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::Options;

/// How long Chromium may take for all page loads.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a browser downloads.
#[derive(Debug, Clone, Serialize)]
pub struct Bundle {
    /// Files and their bytes, brotli-compressed as the agent serves them.
    pub files: Vec<(String, u64)>,
    /// Those that a page needs at once.
    pub first_bytes: u64,
    /// All of them.
    pub total_bytes: u64,
}

/// Where `cargo xtask` puts what a page fetches when it is needed.
const LATER: &str = "later/";

/// Weighs the app's wasm, JavaScript and styles.
pub(super) fn bundle(dist: &Path) -> Result<Bundle> {
    let mut files = Vec::new();
    list(dist, &mut files);
    files.retain(|f| f.extension().is_some_and(|e| ["wasm", "js", "css"].iter().any(|kind| e == *kind)));
    if files.is_empty() {
        bail!("the app is not built");
    }
    files.sort();
    let weigh = |file: &PathBuf| -> Result<(String, u64)> {
        let name = file.strip_prefix(dist)?.display().to_string();
        let mut packer = brotli::CompressorWriter::new(Vec::new(), 4096, 11, 24);
        packer.write_all(&fs::read(file).with_context(|| format!("read {}", file.display()))?)?;
        Ok((name, packer.into_inner().len() as u64))
    };
    let files = files.iter().map(weigh).collect::<Result<Vec<_>>>()?;
    let total_bytes = files.iter().map(|(_, bytes)| bytes).sum();
    let at_once = files.iter().filter(|(name, _)| !name.starts_with(LATER));
    let first_bytes = at_once.map(|(_, bytes)| bytes).sum();
    Ok(Bundle { files, first_bytes, total_bytes })
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()) {
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

/// How long until a browser shows something; each the median of several loads with an empty cache.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Paint {
    /// Navigation to the first text or picture, milliseconds (`first-contentful-paint`).
    pub first_paint_millis: f64,
    /// Navigation to the first row of live data, milliseconds.
    pub first_row_millis: f64,
    /// Loads.
    pub loads: u32,
}

/// Loads the page in headless Chromium; `text` is something only live data bring.
pub(super) async fn paint(options: &Options, address: SocketAddr, text: &str) -> Result<Paint> {
    if !options.spec.join("node_modules/@playwright/test").is_dir() {
        bail!("Playwright is not there (run the browser specs once)");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let chromium = std::env::split_paths(&path).map(|dir| dir.join("chromium")).find(|file| file.is_file());
    let chromium = chromium.context("no chromium in PATH")?;
    if !page(address).await?.contains(".wasm") {
        bail!("the agent has no app built in");
    }
    let output = Command::new("node")
        .arg("first-paint.mjs")
        .arg(format!("http://{address}/"))
        .arg(chromium)
        .arg(text)
        .current_dir(&options.spec)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.context("Chromium took too long")?.context("start node")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.lines().find(|l| !l.trim().is_empty()).unwrap_or("the page did not load"));
    }
    serde_json::from_slice(&output.stdout).context("understand what the page measured")
}

/// The page itself.
async fn page(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_app_needs_to_run_is_weighed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(bundle(dir.path()).unwrap_err().to_string().contains("not built"));
        fs::create_dir(dir.path().join("view")).unwrap();
        fs::create_dir(dir.path().join("later")).unwrap();
        for (name, bytes) in [
            ("a.wasm", 5000),
            ("later/d.wasm", 4000),
            ("view/b.css", 3000),
            ("c.js.map", 9000),
            ("index.html", 10),
        ] {
            fs::write(dir.path().join(name), "x".repeat(bytes)).unwrap();
        }
        let bundle = bundle(dir.path()).unwrap();
        let names: Vec<_> = bundle.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.wasm", "later/d.wasm", "view/b.css"]);
        assert!(bundle.first_bytes > 0 && bundle.first_bytes < bundle.total_bytes, "{bundle:?}");
        assert!(bundle.total_bytes > 0 && bundle.total_bytes < 8000, "{bundle:?}");
    }
}
