//! The agent as it is shipped: the static binary in the final stage of `Dockerfile`, run as a container in the lab's
//! engine with the powers `compose.yaml` gives it, must show what it shows on the host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::agent::Snapshot;
use crate::runner::Context;

/// Tag of the image made here; it dies with the lab.
const IMAGE: &str = "glasshull-shipped:1";

/// Containers that run all the time.
const RUNNING: [&str; 8] = ["web", "db", "worker", "limited", "hostnet", "paused", "zombie", "stopped"];

/// Those of them that start short processes now and then (health checks, `dd`), so that two samples differ.
const LIVELY: [&str; 2] = ["web", "db"];

/// Builds the image from `GLASSHULL_DIST` and compares; without that variable it says so and passes.
pub(crate) fn as_container(context: &mut Context) -> Result<()> {
    let Some(binary) = std::env::var_os("GLASSHULL_DIST").map(PathBuf::from) else {
        eprintln!("    not run: GLASSHULL_DIST names no static binary (cargo xtask dist makes one)");
        return Ok(());
    };
    build(context, &binary)?;
    let socket = context.endpoint();
    let mount = format!("{}:/run/docker.sock:ro", socket.trim_start_matches("unix://"));
    let arguments = [
        "run",
        "--rm",
        "--read-only",
        "--user",
        "0:0",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "SYS_PTRACE",
        "--cap-add",
        "DAC_READ_SEARCH",
        "--cap-add",
        "NET_ADMIN",
        "--cap-add",
        "SYS_ADMIN",
        "--cap-add",
        "NET_RAW",
        "--cap-add",
        "SYSLOG",
        "--security-opt",
        "no-new-privileges",
        "--pid",
        "host",
        "--network",
        "host",
        "--cgroupns",
        "host",
        "--device",
        "/dev/kmsg:/dev/kmsg:r",
        "--volume",
        &mount,
        "--volume",
        "/sys/fs/cgroup:/sys/fs/cgroup:ro",
        IMAGE,
        "--engine",
        "unix:///run/docker.sock",
        "snapshot",
        "--json",
        "--tables",
        "process,container,link,limit,oom_kill",
    ];
    let inside = context.lab.docker(&arguments)?;
    let inside = Snapshot::parse(&inside)?;
    let outside = context.agent.snapshot(&socket)?;
    let oomed = &context.lab.container("oomed")?.id;
    let victim = |snapshot: &Snapshot| -> Result<Value> {
        let row = snapshot.rows("oom_kill")?.iter().find(|row| row["container"] == oomed.as_str());
        Ok(row.context("no kill in oomed")?["pid"].clone())
    };
    let (theirs, ours) = (victim(&inside)?, victim(&outside)?);
    ensure!(theirs == ours && ours.is_u64(), "victims: {theirs} inside, {ours} outside");
    let limits = |snapshot: &Snapshot| Ok::<_, anyhow::Error>(snapshot.rows("limit")?.len());
    ensure!(limits(&inside)? > 10, "limits of {} containers are told inside", limits(&inside)?);
    for name in RUNNING {
        let id = &context.lab.container(name)?.id;
        let (theirs, ours) = (inside.container(id)?, outside.container(id)?);
        for field in
            ["name", "image", "state", "runtime", "init_pid", "memory_limit_bytes", "pids_limit", "cgroup"]
        {
            ensure!(
                theirs[field] == ours[field],
                "{name}.{field}: {} inside, {} outside",
                theirs[field],
                ours[field]
            );
        }
        ensure!(
            theirs["memory_bytes"].is_number(),
            "{name}: no memory from in there: {}",
            theirs["memory_bytes"]
        );
        let (theirs, ours) = (inside.pids_of(id)?, outside.pids_of(id)?);
        ensure!(LIVELY.contains(&name) || theirs == ours, "{name}: pids {theirs:?} inside, {ours:?} outside");
    }
    links(&inside, &outside)?;
    hosts_processes(&inside, &outside)
}

/// The links of all namespaces are seen from in there, too, with their other ends.
fn links(inside: &Snapshot, outside: &Snapshot) -> Result<()> {
    let veths = |snapshot: &Snapshot| {
        let rows =
            snapshot.rows("link")?.iter().filter(|row| row["kind"] == "veth" && row["container"].is_string());
        let ends = rows
            .map(|row| ["netns", "ifindex", "peer_netns", "peer_ifindex"].map(|field| row[field].as_u64()));
        Ok::<_, anyhow::Error>(ends.collect::<BTreeSet<_>>())
    };
    let (theirs, ours) = (veths(inside)?, veths(outside)?);
    ensure!(ours.len() > 5 && theirs == ours, "veth ends: {theirs:?} inside, {ours:?} outside");
    Ok(())
}

/// The host's own processes are seen from in there, too.
fn hosts_processes(inside: &Snapshot, outside: &Snapshot) -> Result<()> {
    let own = |row: &&Value| row["container"].is_null() && row["kernel_thread"] == false;
    let (theirs, ours) =
        (inside.rows("process")?.iter().filter(own), outside.rows("process")?.iter().filter(own));
    let ours: Vec<&Value> = ours.map(|r| &r["pid"]).collect();
    let shared = theirs.filter(|r| ours.contains(&&r["pid"])).count();
    ensure!(
        shared * 2 > ours.len(),
        "only {shared} of the host's {} own processes are seen inside",
        ours.len()
    );
    Ok(())
}

/// The final stage alone, as `docker build --target prebuilt .` in a checkout would make it.
fn build(context: &Context, binary: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Dockerfile");
    std::fs::copy(dockerfile, folder.path().join("Dockerfile")).context("copy the Dockerfile")?;
    std::fs::create_dir(folder.path().join("dist"))?;
    std::fs::copy(binary, folder.path().join("dist/glasshull"))
        .with_context(|| format!("copy {}", binary.display()))?;
    let folder = folder.path().to_str().context("a folder with a strange name")?;
    context.lab.docker(&["build", "--target", "prebuilt", "--tag", IMAGE, folder])?;
    Ok(())
}
