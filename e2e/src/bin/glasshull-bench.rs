//! `glasshull-bench`: makes the bench lab, measures the agent in it beside `top` and `docker stats`, prints what was
//! reached as Markdown or JSON, and takes everything down again. `cargo xtask bench` builds what it needs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use glasshull_e2e::bench::{self, Report};
use glasshull_e2e::lab::process::ProcessRef;
use glasshull_e2e::lab::{Lab, Options, Scene, fresh_dir};
use glasshull_e2e::traffic::{self, Work};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Measures what the agent costs: CPU, system calls, memory and bytes on the wire with nobody, one and a hundred
/// watching a lab of real containers, beside `top -b -d 1` and `docker stats` in the same seconds.
///
/// Needs root. Progress goes to stderr, the result to stdout. Exits with 0 also when a target is missed.
#[derive(Parser)]
#[command(name = "glasshull-bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    helper: Option<Helper>,
    #[command(flatten)]
    bench: Bench,
}

#[derive(Args)]
struct Bench {
    /// Containers of the lab
    #[arg(long, default_value_t = 100)]
    containers: u32,
    /// Processes in all of them together
    #[arg(long, default_value_t = 2000)]
    processes: u32,
    /// How long each of the ten phases is measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print one JSON object instead of Markdown
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a target is missed or could not be measured
    #[arg(long)]
    strict: bool,
    /// New or empty directory for the lab [default: a fresh /tmp/glasshull-lab-…]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Measure only how many packets per second are accounted, beside tcpdump; no lab
    #[arg(long)]
    packets: bool,
    /// Measure only what the view Disk costs, beside iotop and iostat: each of its tables, idle and while containers write
    #[arg(long, conflicts_with_all = ["packets", "map", "json"])]
    disk: bool,
    /// Leave the lab running
    #[arg(long)]
    keep_lab: bool,
    /// Measure only the frames per second of the map, on made hosts: needs no lab and no root
    #[arg(long)]
    map: bool,
    /// The agent's program, as released [default: $GLASSHULL_BIN]
    #[arg(long)]
    agent: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Helper {
    /// Write the recording of a made host that the map is measured on, to look at with `glasshull replay`
    Made {
        /// File to write
        file: PathBuf,
        /// Containers of the host
        #[arg(long, default_value_t = 200)]
        containers: u32,
    },
    /// Wait until a process has ended, then take the lab down
    #[command(hide = true)]
    Guard {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        owner: u32,
    },
    /// Send the traffic that is counted
    #[command(hide = true)]
    Traffic {
        #[command(subcommand)]
        work: Work,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.helper {
        Some(Helper::Guard { dir, owner }) => guard(dir, *owner).map(|()| true),
        Some(Helper::Made { file, containers }) => bench::host::record(file, *containers).map(|()| true),
        Some(Helper::Traffic { work }) => traffic::run(work).map(|()| true),
        None => measure(&cli.bench),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "glasshull-bench: {text}");
}

/// Takes the lab down when the bench was killed.
fn guard(dir: &Path, owner: u32) -> Result<()> {
    let owner = ProcessRef::of(owner);
    while owner.is_some_and(|o| o.is_alive()) && dir.exists() {
        std::thread::sleep(Duration::from_millis(500));
    }
    if dir.exists() { Lab::remove(dir) } else { Ok(()) }
}

/// Says whether the exit code is to be 0.
fn measure(args: &Bench) -> Result<bool> {
    let agent = args.agent.clone().or_else(|| std::env::var_os("GLASSHULL_BIN").map(PathBuf::from));
    let agent = agent.context("which agent? Set GLASSHULL_BIN or --agent, or use `cargo xtask bench`")?;
    if !agent.is_file() {
        bail!("{}: no such program", agent.display());
    }
    if args.map {
        let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        let (text, reached) = bench::frames::run(&agent, &spec, tell)?;
        std::io::stdout().write_all(text.as_bytes()).context("print")?;
        return Ok(!args.strict || reached);
    }
    if args.packets {
        let text = bench::packets(&agent, &std::env::current_exe()?, tell)?;
        std::io::stdout().write_all(text.as_bytes()).context("print")?;
        return Ok(true);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // From here on signals wait for us, so that nothing is left half made.
    let mut stop = runtime.block_on(async { Stop::new() })?;
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => fresh_dir()?,
    };
    tell(&format!(
        "lab of {} containers, {} processes in {}",
        args.containers,
        args.processes,
        dir.display()
    ));
    let began = Instant::now();
    let scene = Scene::Bench { containers: args.containers, processes: args.processes };
    let lab = Lab::up(&Options { dir, scene, live_restore: true })?;
    let lab_secs = began.elapsed().as_secs_f64();
    tell(&format!("the lab is up after {lab_secs:.0} s"));
    if !args.keep_lab {
        lab.guard(&std::env::current_exe()?, std::process::id())?;
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = home.parent().context("the checkout is gone")?;
    let options = bench::Options {
        agent,
        phase: Duration::from_secs(args.seconds),
        app: root.join("frontend/dist"),
        spec: home.join("spec"),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = outcome(args, &options, &lab, lab_secs) => result,
            () = stop.asked() => bail!("interrupted"),
        }
    });
    drop(runtime);
    let down = if args.keep_lab {
        tell(&format!("the lab stays: glasshull-lab down --dir {}", lab.state().dir.display()));
        Ok(())
    } else {
        tell("taking the lab down");
        lab.down().context("the lab could not be taken down")
    };
    let (text, reached) = result?;
    std::io::stdout().write_all(text.as_bytes()).context("print")?;
    down?;
    Ok(!args.strict || reached)
}

/// What was measured in the lab, to be printed, and whether what was to be reached is.
async fn outcome(args: &Bench, options: &bench::Options, lab: &Lab, lab_secs: f64) -> Result<(String, bool)> {
    if args.disk {
        return bench::disk(options, lab, tell).await;
    }
    let report = Report { lab_secs, ..bench::run(options, lab, tell).await? };
    let text = if args.json { report.to_json()? } else { report.to_markdown()? };
    Ok((text, report.is_all_reached()))
}

/// Ctrl-C, or a polite kill.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
