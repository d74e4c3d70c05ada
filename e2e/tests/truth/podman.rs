//! Podman's containers, against `podman ps`, `inspect` and `top`: a storage and a service of our own, with `runc`, on images from the
//! lab's busybox. Its default limits are lowered to what may be set without CAP_SYS_RESOURCE, its networks are none and the host's:
//! what CNI makes stays on the host. (`crun` refuses to run where cgroup v2 holds a controller beside v1.)

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, same};
use crate::network::run;
use crate::runner::Context;

/// For the service.
const PATIENCE: Duration = Duration::from_secs(60);
const IMAGE: &str = "localhost/glasshull-podman:1";
const CONF: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
    [engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"runc\"\nevents_logger = \"file\"\nlock_type = \"file\"\n";

/// A Podman of our own; all that it made is taken away with it.
struct Podman {
    dir: PathBuf,
    service: Option<Ended>,
    /// Groups that were there before stay.
    groups: Vec<PathBuf>,
}

impl Podman {
    fn up(context: &Context) -> Result<Self> {
        let dir = context.lab.state().dir.join("podman");
        fs::create_dir_all(dir.join("image/bin"))?;
        fs::write(dir.join("containers.conf"), CONF)?;
        let groups = fs::read_dir("/sys/fs/cgroup")?.flatten().map(|entry| entry.path());
        let groups = groups.chain([PathBuf::from("/sys/fs/cgroup")]).map(|at| at.join("libpod_parent"));
        let mut podman = Self { dir, service: None, groups: groups.filter(|at| !at.exists()).collect() };
        podman.import()?;
        let socket = podman.socket();
        let mut command =
            podman.command(&["system", "service", "--time", "0", &format!("unix://{}", text(&socket)?)]);
        podman.service = Some(Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?));
        ensure!(wait_until(Duration::from_secs(20), || socket.exists()), "its service does not listen");
        Ok(podman)
    }

    fn import(&self) -> Result<()> {
        let (root, tar) = (self.dir.join("image"), self.dir.join("image.tar"));
        fs::copy("/bin/busybox", root.join("bin/busybox"))?;
        for name in ["sh", "sleep"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
        }
        run(&["tar", "-C", text(&root)?, "-cf", text(&tar)?, "."])?;
        self.call(&["import", text(&tar)?, IMAGE]).map(drop)
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("podman.sock")
    }

    fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        for (flag, folder) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(flag).arg(self.dir.join(folder));
        }
        command.args(["--storage-driver", "vfs"]).args(args).stdin(Stdio::null());
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        command
    }

    /// What it prints. Monitors of containers keep the descriptors: into a file.
    fn call(&self, args: &[&str]) -> Result<String> {
        let (out, said) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
        let mut command = self.command(args);
        let status = command.stdout(out.reopen()?).stderr(said.reopen()?).status().context("run podman")?;
        ensure!(status.success(), "podman {}: {}", args.join(" "), fs::read_to_string(said.path())?);
        Ok(fs::read_to_string(out.path())?.trim().to_owned())
    }

    /// Makes a container that sleeps, and gives its id.
    fn sleeper(&self, words: &[&str]) -> Result<String> {
        self.call(&[words, &[IMAGE, "sleep", "600"]].concat())
    }

    fn inspect(&self, name: &str) -> Result<Value> {
        let told: Value = serde_json::from_str(&self.call(&["inspect", "--type", "container", name])?)?;
        Ok(told[0].clone())
    }

    /// A snapshot once the service has answered: its first answer takes seconds.
    fn heard(&self, context: &Context) -> Result<Snapshot> {
        let until = Instant::now() + PATIENCE;
        loop {
            let snapshot = self.snapshot(context, &self.endpoint())?;
            let mut engines = snapshot.rows("engine")?.iter();
            let heard =
                engines.any(|row| row["endpoint"] == self.endpoint().as_str() && row["state"] == "connected");
            if heard || Instant::now() > until {
                return Ok(snapshot);
            }
        }
    }

    fn snapshot(&self, context: &Context, endpoint: &str) -> Result<Snapshot> {
        context.agent.snapshot_with(endpoint, &["--tables", "container,process,engine", "--interval", "3s"])
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.call(&["rm", "--all", "--force", "--time", "0"]);
        let _ = self.call(&["pod", "rm", "--all", "--force"]);
        let _ = self.call(&["rmi", "--all", "--force"]);
        self.service = None;
        self.groups.iter().for_each(|group| remove_group(group));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes a control group that is empty, with those below.
fn remove_group(group: &Path) {
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    below
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .for_each(|entry| remove_group(&entry.path()));
    let _ = fs::remove_dir(group);
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("an odd path")
}

/// What the agent says of a container is what Podman inspects.
fn compare(podman: &Podman, snapshot: &Snapshot, listed: &Value) -> Result<()> {
    let (id, name) =
        (listed["Id"].as_str().context("no id")?, listed["Names"][0].as_str().context("no name")?);
    let (row, truth) = (snapshot.container(id)?, podman.inspect(id)?);
    same(row, "name", &json!(name))?;
    same(row, "state", &listed["State"])?;
    same(row, "runtime", &json!("podman"))?;
    let pid = truth["State"]["Pid"].as_u64().filter(|pid| *pid > 0);
    same(row, "init_pid", &json!(pid))?;
    if listed["State"] == "exited" {
        same(row, "exit_code", &truth["State"]["ExitCode"])?;
    }
    let Some(_) = pid else { return Ok(()) };
    let pod = listed["Pod"].as_str().filter(|pod| !pod.is_empty());
    same(row, "pod", &json!(pod))?;
    let told = podman.call(&["top", id, "hpid"])?;
    let mut theirs: Vec<u32> = told.lines().skip(1).filter_map(|line| line.trim().parse().ok()).collect();
    theirs.sort_unstable();
    let ours = snapshot.pids_of(id)?;
    ensure!(!theirs.is_empty() && ours == theirs, "{name}: {ours:?}, podman top: {theirs:?}");
    Ok(())
}

/// Running ones on a network of their own and on the host's, two of a pod, one that was only made and one that ended; with the
/// service and, as far as they run, without.
pub(crate) fn as_podman(context: &mut Context) -> Result<()> {
    let podman = Podman::up(context)?;
    podman.sleeper(&["run", "--detach", "--name", "pod-own", "--network", "none"])?;
    podman.sleeper(&["run", "--detach", "--name", "pod-host", "--network", "host"])?;
    podman.sleeper(&["create", "--name", "pod-made", "--network", "none"])?;
    podman.call(&[
        "run",
        "--detach",
        "--name",
        "pod-ended",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "exit 3",
    ])?;
    podman.call(&["wait", "pod-ended"])?;
    let infra = ["--infra-image", IMAGE, "--infra-command", "/bin/sleep 600"];
    podman.call(&[&["pod", "create", "--name", "pair", "--network", "none"][..], &infra].concat())?;
    podman.sleeper(&["run", "--detach", "--name", "pod-member", "--pod", "pair"])?;
    let listed: Value =
        serde_json::from_str(&podman.call(&["ps", "--all", "--no-trunc", "--format", "json"])?)?;
    let listed = listed.as_array().context("podman ps lists nothing")?;
    ensure!(listed.len() == 6, "podman ps lists {}", listed.len());
    let snapshot = podman.heard(context)?;
    let engine = snapshot.rows("engine")?.iter().find(|row| row["endpoint"] == podman.endpoint().as_str());
    let engine = engine.context("no row of the engine")?;
    same(engine, "state", &json!("connected"))?;
    same(engine, "product", &json!("podman"))?;
    same(engine, "containers", &json!(listed.len()))?;
    listed.iter().try_for_each(|one| compare(&podman, &snapshot, one))?;
    let host = snapshot.rows("container")?.iter().find(|row| row["name"] == "pod-host");
    same(host.context("no pod-host")?, "network_mode", &json!("host"))?;
    only_listed(&snapshot, listed)?;
    let alone = podman.snapshot(context, "unix:///nonexistent")?;
    for one in listed.iter().filter(|one| one["State"] == "running") {
        let row = alone.container(one["Id"].as_str().unwrap_or_default())?;
        same(row, "init_pid", &one["Pid"])?;
        same(row, "state", &json!("running"))?;
        same(row, "pod", &json!(one["Pod"].as_str().filter(|pod| !pod.is_empty())))?;
    }
    only_listed(&alone, listed)
}

/// Neither a pod's group nor a monitor is taken for a container.
fn only_listed(snapshot: &Snapshot, listed: &[Value]) -> Result<()> {
    let known = |row: &Value| listed.iter().any(|one| one["Id"] == row["id"]);
    let more = snapshot.rows("container")?.iter().find(|row| row["runtime"] == "podman" && !known(row));
    ensure!(more.is_none(), "podman lists no such container: {}", more.map(brief).unwrap_or_default());
    Ok(())
}

/// The rule is met as long as the container is there.
pub(crate) fn privileged(context: &mut Context) -> Result<()> {
    let podman = Podman::up(context)?;
    let id =
        podman.sleeper(&["run", "--detach", "--name", "pod-free", "--network", "none", "--privileged"])?;
    let bound = podman.sleeper(&["run", "--detach", "--name", "pod-bound", "--network", "none"])?;
    let judge = || {
        let told = context.agent.call(&["findings", "--json", "--engine", &podman.endpoint()])?;
        let told: Value = serde_json::from_str(told.out.trim())?;
        let all = told["findings"].as_array().context("no findings")?.iter();
        Ok::<_, anyhow::Error>(all.filter(|row| row["rule"] == "privileged").cloned().collect::<Vec<_>>())
    };
    podman.heard(context)?;
    let until = Instant::now() + PATIENCE;
    // The engine may be slower than the first judgement.
    let mut raised = judge()?;
    while raised.is_empty() && Instant::now() < until {
        raised = judge()?;
    }
    let of = |id: &str| raised.iter().find(|row| row["container"] == id);
    let told = of(&id).with_context(|| format!("it is not raised: {raised:?}"))?;
    same(told, "severity", &json!("trouble"))?;
    let count = fs::read_to_string(format!("/proc/{}/status", podman.inspect(&id)?["State"]["Pid"]))?;
    let bits = count.lines().find_map(|line| line.strip_prefix("CapBnd:")).context("no CapBnd")?;
    let bits = u64::from_str_radix(bits.trim(), 16)?.count_ones();
    ensure!(
        told["evidence"].to_string().contains(&format!("{bits} in its bounding set")),
        "{bits} capabilities: {}",
        brief(told)
    );
    ensure!(of(&bound).is_none(), "raised of one that is not privileged");
    podman.call(&["rm", "--force", "--time", "0", "pod-free"])?;
    let raised = judge()?;
    ensure!(raised.iter().all(|row| row["container"] != id.as_str()), "it is gone: {raised:?}");
    Ok(())
}
