//! The lab: a Docker engine of its own in a temporary directory with a scene of real containers. Made for the tests,
//! the benchmark and the browser specs; nothing of the host's own engine, network or firewall is touched.
//!
//! [`Lab::up`] makes it, [`Lab::open`] finds one again by its directory, [`Lab::down`] removes every trace, also of a
//! lab whose engine or whose maker was killed. Needs root, `dockerd`, `containerd`, `runc`, `docker`, busybox-static
//! and a C compiler.

mod engine;
mod image;
mod network;
pub mod process;
pub mod scene;
mod start;
mod state;
mod sweep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use serde_json::Value;

pub use image::IMAGE;
pub use state::{Edge, LabContainer, LabNetwork, Layout, State};

use process::ProcessRef;
use scene::ContainerSpec;

/// What runs in the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// No container at all.
    Empty,
    /// One container for each thing the agent must tell apart.
    Small,
    /// Many quiet processes.
    Bench {
        /// Number of containers.
        containers: u32,
        /// Processes in all of them together.
        processes: u32,
    },
}

impl Scene {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Small => "small",
            Self::Bench { .. } => "bench",
        }
    }

    fn waves(self) -> Vec<Vec<ContainerSpec>> {
        match self {
            Self::Empty => Vec::new(),
            Self::Small => scene::small(),
            Self::Bench { containers, processes } => scene::bench(containers, processes),
        }
    }
}

/// How a lab is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory, new or empty; see [`fresh_dir`].
    pub dir: PathBuf,
    /// What runs in it.
    pub scene: Scene,
    /// Whether containers survive the engine (`dockerd --live-restore`).
    pub live_restore: bool,
}

/// A lab that exists. Dropping the value leaves it running: call [`Lab::down`].
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    state: State,
}

impl Lab {
    /// Why no lab can be made here; empty when one can. Each entry says what to do.
    pub fn obstacles() -> Vec<String> {
        let mut missing = Vec::new();
        if !rustix::process::geteuid().is_root() {
            missing.push("not root: a Docker engine needs it".to_owned());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        for (program, package) in [
            ("dockerd", "docker.io"),
            ("docker", "docker.io or docker-cli"),
            ("containerd", "containerd"),
            ("runc", "runc"),
            ("cc", "gcc libc6-dev"),
            ("tar", "tar"),
            ("setsid", "util-linux"),
            ("ip", "iproute2"),
        ] {
            if !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
                missing.push(format!("no {program} in PATH: install {package}"));
            }
        }
        if !Path::new("/bin/busybox").is_file() {
            missing.push("no /bin/busybox: install busybox-static".to_owned());
        }
        missing
    }

    /// Starts the engine, makes the image and runs the scene. After a failure nothing is left.
    ///
    /// # Errors
    /// When something is missing on this machine or a step fails; the message says which.
    pub fn up(options: &Options) -> Result<Self> {
        let missing = Self::obstacles();
        if !missing.is_empty() {
            bail!("cannot make a lab here: {}", missing.join("; "));
        }
        let layout = Layout::new(make_dir(&options.dir)?)?;
        let state = State {
            dir: layout.dir.clone(),
            socket: layout.join("docker.sock"),
            endpoint: layout.endpoint(),
            dockerd_pid: None,
            containerd_pid: None,
            scene: options.scene.name().to_owned(),
            image: IMAGE.to_owned(),
            stem: layout.bridge(),
            networks: BTreeMap::new(),
            edge: None,
            live_restore: options.live_restore,
            containers: BTreeMap::new(),
            made: sweep::not_there_yet(),
            engine: Vec::new(),
        };
        state.save(&layout)?;
        let mut lab = Self { layout, state };
        match lab.build(options.scene) {
            Ok(()) => Ok(lab),
            Err(e) => match lab.down() {
                Ok(()) => Err(e),
                Err(left) => Err(e.context(format!("and it could not be taken down: {left:#}"))),
            },
        }
    }

    fn build(&mut self, scene: Scene) -> Result<()> {
        let layout = self.layout.clone();
        std::thread::scope(|scope| {
            let staged = scope.spawn(|| image::stage(&layout)); // compiles while the engine starts
            let started = self.start_engine();
            staged.join().map_err(|_| anyhow!("staging the image panicked"))?.context("make the image")?;
            started
        })?;
        let small = scene == Scene::Small;
        self.state.networks = std::thread::scope(|scope| {
            let networks = scope.spawn(|| network::create(&layout, small));
            image::import(&layout).context("make the image")?;
            networks.join().map_err(|_| anyhow!("making networks panicked"))?.context("make the networks")
        })?;
        for wave in scene.waves() {
            start::all(&layout, wave)?;
        }
        if small {
            self.docker(&["pause", "paused"])?;
            let back = self.state.networks.get(scene::BACK).context("no second network")?;
            self.state.edge = Some(network::make_edge(&layout, back).context("make the edge")?);
            self.await_ends()?;
        }
        self.refresh()
    }

    /// Finds a lab again by its directory.
    ///
    /// # Errors
    /// When there is none or `lab.json` is damaged ([`Lab::remove`] still removes it then).
    pub fn open(dir: &Path) -> Result<Self> {
        let layout = Layout::new(dir)?;
        let state = State::load(&layout)?;
        Ok(Self { layout, state })
    }

    /// What is known of it; as fresh as the last call that changed it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A container of the scene by name.
    ///
    /// # Errors
    /// When the scene has none of this name.
    pub fn container(&self, name: &str) -> Result<&LabContainer> {
        self.state.containers.get(name).with_context(|| format!("no container {name} in the lab"))
    }

    /// Runs one `docker` command on the lab's engine and returns its output.
    ///
    /// # Errors
    /// When it fails; the message holds what it said.
    pub fn docker(&self, args: &[&str]) -> Result<String> {
        engine::docker(&self.layout, args)
    }

    /// Runs a program in a container (`docker exec`) and returns its output.
    ///
    /// # Errors
    /// When it cannot be run or fails.
    pub fn exec(&self, container: &str, command: &[&str]) -> Result<String> {
        self.docker(&[&["exec", container], command].concat())
    }

    /// Has a container send exactly so many bytes over one TCP connection to `sink`, and waits until they have arrived.
    /// `address`: one of the sink's, or its name on the network `back`.
    ///
    /// # Errors
    /// When it is not on that network, or another number of bytes arrived.
    pub fn send(&self, from: &str, address: &str, bytes: u64) -> Result<()> {
        let said = self.exec(from, &["send", address, scene::SINK_PORT, &bytes.to_string()])?;
        if said.trim().parse() != Ok(bytes) {
            bail!("{from} sent {bytes} bytes, {} arrived", said.trim());
        }
        Ok(())
    }

    /// `docker inspect` of one container.
    ///
    /// # Errors
    /// When there is none or the engine does not answer.
    pub fn inspect(&self, container: &str) -> Result<Value> {
        let text = self.docker(&["inspect", "--type", "container", container])?;
        let mut all: Vec<Value> = serde_json::from_str(&text).context("understand docker inspect")?;
        all.pop().with_context(|| format!("docker inspect {container} told nothing"))
    }

    /// Starts a container that makes 50 short-lived processes a second, for so long.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn spawn(&mut self, seconds: u32) -> Result<()> {
        let _ = self.docker(&["rm", "--force", "spawner"]); // of an earlier call
        start::one(&self.layout, &scene::spawner(seconds))?;
        self.refresh()
    }

    /// Removes the container that [`Lab::spawn`] started.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn despawn(&mut self) -> Result<()> {
        self.docker(&["rm", "--force", "spawner"])?;
        self.refresh()
    }

    /// Ends dockerd: by SIGKILL, or `gracefully` by SIGTERM. containerd and, with live-restore, the containers go on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn engine_stop(&mut self, gracefully: bool) -> Result<()> {
        let process =
            self.state.engine_process(self.state.dockerd_pid).context("the engine is not running")?;
        process.signal(if gracefully { Signal::TERM } else { Signal::KILL })?;
        if !process.wait_gone(Duration::from_secs(30)) {
            bail!("dockerd (pid {}) does not end", process.pid);
        }
        self.state.engine.retain(|p| *p != process);
        self.state.dockerd_pid = None;
        self.state.save(&self.layout)
    }

    /// Starts the engine again on the same directories. Without `live_restore` it ends containers that still run.
    ///
    /// # Errors
    /// When it runs already or does not come up.
    pub fn engine_start(&mut self, live_restore: bool) -> Result<()> {
        if self.state.engine_process(self.state.dockerd_pid).is_some_and(|p| p.is_alive()) {
            bail!("the engine runs already");
        }
        self.state.live_restore = live_restore;
        self.start_engine()?;
        self.refresh()
    }

    fn start_engine(&mut self) -> Result<()> {
        self.state.engine.retain(ProcessRef::is_alive);
        if self.state.engine_process(self.state.containerd_pid).is_none() {
            let process = engine::start_containerd(&self.layout)?;
            self.state.containerd_pid = Some(process.pid);
            self.state.engine.push(process);
        }
        let process = engine::start_dockerd(&self.layout, self.state.live_restore)?;
        self.state.dockerd_pid = Some(process.pid);
        self.state.engine.push(process);
        self.state.save(&self.layout)
    }

    /// Reads the containers anew from the engine and writes `lab.json`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn refresh(&mut self) -> Result<()> {
        let ids = self.docker(&["ps", "--all", "--quiet", "--no-trunc"])?;
        let mut args = vec!["inspect", "--type", "container"];
        args.extend(ids.split_ascii_whitespace());
        self.state.containers.clear();
        if args.len() > 3 {
            let all: Vec<Value> =
                serde_json::from_str(&self.docker(&args)?).context("understand docker inspect")?;
            self.state.containers = all.iter().filter_map(start::known).collect();
        }
        self.state.save(&self.layout)
    }

    /// Waits for the containers of the small scene that end by themselves. The engine may still miss the OOM kill on a
    /// busy machine; then it happens once more.
    fn await_ends(&self) -> Result<()> {
        for _ in 0..5 {
            self.docker(&["wait", "exited", "oomed"])?;
            if self.inspect("oomed")?["State"]["OOMKilled"] == true {
                return Ok(());
            }
            self.docker(&["start", "oomed"])?;
        }
        bail!("the kernel does not end the container `oomed`, or the engine does not notice")
    }

    /// Starts a watcher that takes the lab down when the process `owner` has ended, however it ended. `lab_program` is
    /// the path of `glasshull-lab`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn guard(&self, lab_program: &Path, owner: u32) -> Result<()> {
        // In a session of its own: what ends the owner (Ctrl-C, a closed terminal) must not end the guard.
        Command::new("setsid")
            .arg(lab_program)
            .args(["guard", "--owner", &owner.to_string(), "--dir"])
            .arg(&self.layout.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(|_| ())
            .context("start the guard")
    }

    /// Takes everything down and removes the directory.
    ///
    /// # Errors
    /// When something could not be removed.
    pub fn down(self) -> Result<()> {
        sweep::sweep(&self.layout, Some(&self.state))
    }

    /// As [`Lab::down`] for a lab known only by its directory, also with a damaged `lab.json`.
    ///
    /// # Errors
    /// When the directory holds no lab, or something could not be removed.
    pub fn remove(dir: &Path) -> Result<()> {
        let layout = Layout::new(dir)?;
        if !layout.is_lab() {
            bail!("{} holds no lab (no lab.json)", dir.display());
        }
        sweep::sweep(&layout, State::load(&layout).ok().as_ref())
    }
}

/// Makes a directory for a lab in the system's temporary directory, open to nobody else.
///
/// # Errors
/// When that is not possible.
pub fn fresh_dir() -> Result<PathBuf> {
    let made = tempfile::Builder::new().prefix("glasshull-lab-").tempdir().context("make a directory")?;
    Ok(made.keep())
}

/// Makes the lab's directory; it must not hold anything yet.
fn make_dir(dir: &Path) -> Result<&Path> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    if dir.read_dir()?.next().is_some() {
        bail!("{} is not empty", dir.display());
    }
    Ok(dir)
}
