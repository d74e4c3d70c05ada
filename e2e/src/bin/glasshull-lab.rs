//! `glasshull-lab`: brings the lab up and down from the shell, for people, `cargo xtask`, and the browser specs.
//! Prints one JSON object (that of `lab.json`) where there is something to tell.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use glasshull_e2e::lab::process::ProcessRef;
use glasshull_e2e::lab::{Lab, Options, Scene, fresh_dir};

/// A Docker engine of its own, in a directory of its own, with real containers to look at.
///
/// Nothing of the machine's own engine, bridges or firewall is touched. Needs root, dockerd, containerd, runc, docker,
/// busybox-static and a C compiler. Everything in it ends by itself after two hours; `down` removes every trace.
#[derive(Parser)]
#[command(name = "glasshull-lab", version, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLE: &str = "Example:
  glasshull-lab up --dir /tmp/lab
  glasshull --engine unix:///tmp/lab/docker.sock
  docker -H unix:///tmp/lab/docker.sock ps
  glasshull-lab down --dir /tmp/lab";

#[derive(Subcommand)]
enum Action {
    /// Start an engine and a scene, print what runs as JSON, and leave it running
    Up(Up),
    /// Remove a lab: containers, engine, mounts, devices, directory; also one that was killed half-way
    Down(At),
    /// Kill dockerd (SIGKILL); containers go on
    EngineStop {
        #[command(flatten)]
        at: At,
        /// Ask with SIGTERM instead: without live-restore it then ends its containers
        #[arg(long)]
        graceful: bool,
    },
    /// Start dockerd again on the same directories
    EngineStart {
        #[command(flatten)]
        at: At,
        /// Without it dockerd ends the containers that survived it
        #[arg(long)]
        no_live_restore: bool,
    },
    /// Start the container `spawner`: 50 short-lived processes a second
    Spawn {
        #[command(flatten)]
        at: At,
        /// For how long
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Print the lab's JSON with the containers as they are now
    Show(At),
    /// Wait until a process has ended, then take the lab down
    #[command(hide = true)]
    Guard {
        #[command(flatten)]
        at: At,
        #[arg(long)]
        owner: u32,
    },
}

#[derive(Args)]
struct At {
    /// Directory of the lab, as `up` printed it
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Args)]
struct Up {
    /// New or empty directory for all of it [default: a fresh /tmp/glasshull-lab-…]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What runs in it
    #[arg(long, value_enum, default_value_t = SceneName::Small)]
    scene: SceneName,
    /// Containers of the bench scene
    #[arg(long, default_value_t = 100)]
    containers: u32,
    /// Processes of the bench scene, in all containers together
    #[arg(long, default_value_t = 2000)]
    processes: u32,
    /// Let containers end with the engine
    #[arg(long)]
    no_live_restore: bool,
    /// Take the lab down by itself when the process with this pid has ended
    #[arg(long, value_name = "PID")]
    owner: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SceneName {
    /// One container for each thing the agent must tell apart
    Small,
    /// Many quiet processes, see --containers and --processes
    Bench,
    /// The engine and its image only
    Empty,
}

fn main() -> ExitCode {
    match run(Cli::parse().action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "glasshull-lab: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    match action {
        Action::Up(up) => print(&bring_up(&up)?),
        Action::Down(at) => Lab::remove(&at.dir),
        Action::EngineStop { at, graceful } => Lab::open(&at.dir)?.engine_stop(graceful),
        Action::EngineStart { at, no_live_restore } => {
            let mut lab = Lab::open(&at.dir)?;
            lab.engine_start(!no_live_restore)?;
            print(&lab)
        }
        Action::Spawn { at, seconds } => {
            let mut lab = Lab::open(&at.dir)?;
            lab.spawn(seconds)?;
            print(&lab)
        }
        Action::Show(at) => {
            let mut lab = Lab::open(&at.dir)?;
            lab.refresh()?;
            print(&lab)
        }
        Action::Guard { at, owner } => {
            let owner = ProcessRef::of(owner);
            while owner.is_some_and(|o| o.is_alive()) && at.dir.exists() {
                std::thread::sleep(Duration::from_millis(500));
            }
            if at.dir.exists() { Lab::remove(&at.dir) } else { Ok(()) }
        }
    }
}

fn bring_up(up: &Up) -> Result<Lab> {
    let scene = match up.scene {
        SceneName::Empty => Scene::Empty,
        SceneName::Small => Scene::Small,
        SceneName::Bench => Scene::Bench { containers: up.containers, processes: up.processes },
    };
    let dir = match &up.dir {
        Some(dir) => dir.clone(),
        None => fresh_dir()?,
    };
    // Said before it takes its time, so that an interrupted lab can be taken down.
    writeln!(std::io::stderr(), "glasshull-lab: making a lab in {}", dir.display())?;
    let lab = Lab::up(&Options { dir, scene, live_restore: !up.no_live_restore })?;
    if let Some(owner) = up.owner {
        lab.guard(&std::env::current_exe()?, owner)?;
    }
    Ok(lab)
}

fn print(lab: &Lab) -> Result<()> {
    std::io::stdout().write_all(lab.state().to_json()?.as_bytes()).context("print")
}
