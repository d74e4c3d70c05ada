//! What a lab knows of itself: where its parts lie ([`Layout`]) and what runs ([`State`]), kept as `lab.json` in its
//! directory so that another process can go on with it or take it down after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::process::ProcessRef;

/// Longest lab directory: names of unix sockets below it must fit 108 bytes.
const DIR_MAX: usize = 60;

/// Paths and names that follow from the lab's directory alone.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The lab's directory, absolute.
    pub dir: PathBuf,
}

impl Layout {
    /// Of an existing directory.
    ///
    /// # Errors
    /// When it does not exist, or its path is too long or not UTF-8.
    pub fn new(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().with_context(|| format!("lab directory {}", dir.display()))?;
        match dir.to_str() {
            Some(text) if text.len() <= DIR_MAX => Ok(Self { dir }),
            Some(text) => bail!("{text}: longer than {DIR_MAX} bytes, unix sockets below it would not fit"),
            None => bail!("{}: not UTF-8", dir.display()),
        }
    }

    /// A path in the lab's directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.join(name).to_string_lossy().into_owned()
    }

    /// `unix://…` of the engine's API.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.text("docker.sock"))
    }

    /// Name of the scene's bridge, of 15 bytes at most and another one for each directory (FNV-1a).
    pub fn bridge(&self) -> String {
        let hash =
            self.text("").bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        format!("gh{hash:08x}")
    }

    fn state_file(&self) -> PathBuf {
        self.join("lab.json")
    }

    /// Whether a lab was ever begun here; nothing else may be swept.
    pub fn is_lab(&self) -> bool {
        self.state_file().exists()
    }
}

/// One container of the scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabContainer {
    /// The engine's full id.
    pub id: String,
    /// Pid of its init on the host; `None` when it does not run.
    pub init_pid: Option<u32>,
    /// `ADDRESS:PORT` on the host of its first published port; `None` when none is published.
    pub published: Option<String>,
}

/// A running (or stopped) lab, as printed by `glasshull-lab up` and kept in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The lab's directory.
    pub dir: PathBuf,
    /// Path of the engine's socket.
    pub socket: PathBuf,
    /// The same as `glasshull --engine` takes it.
    pub endpoint: String,
    /// Pid of dockerd; `None` while it is stopped.
    pub dockerd_pid: Option<u32>,
    /// Pid of the lab's own containerd; `None` before it was started.
    pub containerd_pid: Option<u32>,
    /// Which scene: `small` or `bench`.
    pub scene: String,
    /// Image of all its containers.
    pub image: String,
    /// Bridge of the user network `lab`.
    pub bridge: String,
    /// Whether containers survive the engine.
    pub live_restore: bool,
    /// By name.
    pub containers: BTreeMap<String, LabContainer>,
    /// Files and directories the engine makes outside its directory and that were not there before, deepest first.
    pub made: Vec<PathBuf>,
    /// The engine's processes with their start times.
    pub engine: Vec<ProcessRef>,
}

impl State {
    /// Reads `lab.json`.
    ///
    /// # Errors
    /// When it is missing or not what it should be.
    pub fn load(layout: &Layout) -> Result<Self> {
        let file = layout.state_file();
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("understand {}", file.display()))
    }

    /// Writes `lab.json` so that a reader sees the old or the new one, never half.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        let file = layout.state_file();
        let new = layout.join("lab.json.new");
        fs::write(&new, self.to_json()?).with_context(|| format!("write {}", new.display()))?;
        fs::rename(&new, &file).with_context(|| format!("write {}", file.display()))
    }

    /// The JSON object that `up` prints, with a line end.
    ///
    /// # Errors
    /// Never with the types here.
    pub fn to_json(&self) -> Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// The running engine process with this pid.
    pub fn engine_process(&self, pid: Option<u32>) -> Option<ProcessRef> {
        self.engine.iter().find(|p| Some(p.pid) == pid).copied()
    }
}
