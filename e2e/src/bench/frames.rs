//! Frames per second of the map in headless Chromium, on made hosts of several sizes.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::host;

/// Sizes of the hosts, and the frames per second wanted there.
const HOSTS: [(u32, f64); 2] = [(200, 60.0), (1000, 30.0)];
/// Ways to look: query and what it is.
const LOOKS: [(&str, &str); 3] = [
    ("?view=map", "bundled, as it comes"),
    ("?view=map&group=none", "each container by itself"),
    ("?view=map&group=none&talk=1", "each by itself, with talk"),
];
/// A little less than wanted is the clock of the browser, not the map.
const NEARLY: f64 = 0.95;

/// What the browser counted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Counted {
    /// Frames drawn per second (`requestAnimationFrame`).
    frames_per_sec: f64,
    /// The longest time between two frames, milliseconds.
    longest_millis: f64,
    /// The same on an empty page: what this machine's browser can do at all.
    empty_frames_per_sec: f64,
    /// Frames per second while the map is scrolled.
    scrolling_frames_per_sec: f64,
    /// Boxes in the page.
    boxes: u32,
}

/// Measures all hosts and looks and writes a table; true when every target was reached.
///
/// # Errors
/// When a recording cannot be made or played, or Chromium does not start.
pub fn run(agent: &Path, spec: &Path, tell: impl Fn(&str)) -> Result<(String, bool)> {
    let dir = tempfile::tempdir()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let chromium = std::env::split_paths(&path).map(|dir| dir.join("chromium")).find(|file| file.is_file());
    let chromium = chromium.context("no chromium in PATH")?;
    let mut text = String::from(
        "| containers | look | wanted | frames/s | longest | scrolling | empty page | boxes in the page | |\n|---:|---|---:|---:|---:|---:|---:|---:|---|\n",
    );
    let mut all = true;
    for (containers, wanted) in HOSTS {
        let file = dir.path().join(format!("{containers}.ghrec"));
        host::record(&file, containers)?;
        let player = Player::start(agent, &file)?;
        for (query, what) in LOOKS {
            tell(&format!("{containers} containers, {what}"));
            let got = count(spec, &chromium, &format!("http://{}/{query}", player.address))?;
            // A browser without a screen may not reach 60 with nothing on the page.
            let reached = got.frames_per_sec >= wanted.min(got.empty_frames_per_sec) * NEARLY;
            all &= reached;
            text += &format!(
                "| {containers} | {what} | {wanted:.0} | {:.1} | {:.0} ms | {:.1} | {:.1} | {} | {} |\n",
                got.frames_per_sec,
                got.longest_millis,
                got.scrolling_frames_per_sec,
                got.empty_frames_per_sec,
                got.boxes,
                if reached { "reached" } else { "**missed**" },
            );
        }
    }
    Ok((text, all))
}

fn count(spec: &Path, chromium: &Path, url: &str) -> Result<Counted> {
    let output = Command::new("node")
        .arg("map-frames.mjs")
        .arg(url)
        .arg(chromium)
        .current_dir(spec)
        .stdin(Stdio::null())
        .output()
        .context("start node")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.lines().find(|l| !l.trim().is_empty()).unwrap_or("the map was not drawn"));
    }
    serde_json::from_slice(&output.stdout).context("understand what the page counted")
}

/// The agent playing a recording; ends when dropped.
struct Player {
    child: Child,
    address: SocketAddr,
}

impl Player {
    fn start(agent: &Path, file: &Path) -> Result<Self> {
        let mut child = Command::new(agent)
            .arg("replay")
            .arg(file)
            .args(["--bind", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the agent")?;
        let printed = child.stdout.take().map(BufReader::new);
        let address = printed.into_iter().flat_map(|p| p.lines()).find_map(|line| {
            line.ok()?.split_once("http://")?.1.split('/').next()?.parse::<SocketAddr>().ok()
        });
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the agent told no address");
        };
        Ok(Self { child, address })
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_prints_is_understood() {
        let printed = r#"{"frames_per_sec":59.9,"longest_millis":20,"empty_frames_per_sec":60,"scrolling_frames_per_sec":41.5,"boxes":24}"#;
        let counted: Counted = serde_json::from_str(printed).unwrap();
        assert!((counted.frames_per_sec - 59.9).abs() < 1e-9 && counted.boxes == 24);
    }
}
