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

    /// Name of the first network's bridge, another one for each directory. What the lab and its tests make on the host
    /// besides begins with it, which is how it is found and removed; names of links have room for 15 bytes.
    pub fn bridge(&self) -> String {
        format!("gh{:08x}", self.hash())
    }

    /// Name of the second network's bridge.
    pub fn back_bridge(&self) -> String {
        format!("{}b", self.bridge())
    }

    /// The second network's IPv6 subnet, of the unique local ones.
    pub fn subnet_v6(&self) -> String {
        let hash = self.hash();
        format!("fd67:6868:{:x}:{:x}::/64", hash >> 16, hash & 0xffff)
    }

    /// Name of the namespace at the edge, as `ip netns` knows it.
    pub fn edge(&self) -> String {
        format!("{}-edge", self.bridge())
    }

    /// The host's end of the edge's veth pair.
    pub fn edge_link(&self) -> String {
        format!("{}e", self.bridge())
    }

    /// FNV-1a of the directory.
    fn hash(&self) -> u32 {
        self.text("").bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
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

/// A user network of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabNetwork {
    /// Its bridge on the host.
    pub bridge: String,
    /// Its subnets, with prefix length.
    pub subnets: Vec<String>,
}

/// A namespace made with `ip netns`, a veth pair from it into a bridge of the lab, and links of many kinds inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Its name.
    pub netns: String,
    /// The host's end of its veth pair; the other one is `lan0`.
    pub link: String,
    /// Addresses of `lan0`, with prefix length.
    pub addresses: Vec<String>,
    /// Kinds of links that this kernel does not make; the others are there as `br0`, `mac0`, `vx0`, `tun0`.
    pub missing: Vec<String>,
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
    /// What names of links and namespaces of this lab begin with; what has such a name goes with the lab.
    pub stem: String,
    /// User networks of the engine by name; `lab` is always there.
    pub networks: BTreeMap<String, LabNetwork>,
    /// What hangs on its second network and is no container; `None` in other scenes than `small`.
    pub edge: Option<Edge>,
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
