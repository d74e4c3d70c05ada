//! Rows of the container table against `docker inspect` and the cgroup files.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use serde_json::{Value, json};

use crate::agent::{brief, fraction, number, same};
use crate::host::{cgroup, keyed, number_in};
use crate::runner::Context;

/// All containers of the engine and no other, with what rarely changes.
pub(crate) fn as_inspect(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let snapshot = context.agent.snapshot(&endpoint)?;
    let all = context.lab.state().containers.keys().cloned().collect::<Vec<_>>();
    ensure!(all.len() >= 21, "the lab has {} containers", all.len());
    let told = snapshot.rows("container")?.iter().filter(|r| r["engine"] == endpoint.as_str()).count();
    ensure!(told == all.len(), "the engine has {} containers, the agent knows {told}", all.len());
    for name in &all {
        let truth = context.lab.inspect(name)?;
        let row = snapshot.container(truth["Id"].as_str().context("no id")?)?;
        let state = &truth["State"];
        let init = state["Pid"].as_u64().filter(|p| *p != 0);
        let labels = &truth["Config"]["Labels"];
        for (field, value) in [
            ("name", json!(name)),
            ("image", truth["Config"]["Image"].clone()),
            ("runtime", json!("docker")),
            ("state", state["Status"].clone()),
            ("init_pid", json!(init)),
            ("restart_count", truth["RestartCount"].clone()),
            ("compose_project", labels["com.docker.compose.project"].clone()),
            ("compose_service", labels["com.docker.compose.service"].clone()),
            ("network_mode", truth["HostConfig"]["NetworkMode"].clone()),
            ("created_at", json!(epoch_nanos(&truth["Created"])?)),
            ("started_at", json!(epoch_nanos(&state["StartedAt"])?)),
        ] {
            same(row, field, &value).with_context(|| name.clone())?;
        }
        if init.is_some() {
            same(row, "exit_code", &Value::Null)?;
            ensure!(number(row, "pids")? > 0, "{name} runs without processes: {}", brief(row));
        }
    }
    Ok(())
}

/// Nanoseconds since the epoch of a time as Docker writes it; `None` for its year 1, which means never.
fn epoch_nanos(time: &Value) -> Result<Option<u64>> {
    let time = time.as_str().context("no time")?;
    if time.starts_with("0001-") {
        return Ok(None);
    }
    let output = Command::new("date").args(["--date", time, "+%s%N"]).output().context("run date")?;
    Ok(Some(String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| time.to_owned())?))
}

/// Exit codes, the OOM flag, and the time of the end.
pub(crate) fn ends(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    for (name, code, oom) in [("exited", 3, false), ("oomed", 137, true)] {
        let truth = context.lab.inspect(name)?;
        ensure!(
            truth["State"]["ExitCode"] == code && truth["State"]["OOMKilled"] == oom,
            "the scene differs: {name}"
        );
        let row = snapshot.container(&context.lab.container(name)?.id)?;
        same(row, "state", &json!("exited"))?;
        same(row, "exit_code", &json!(code))?;
        same(row, "oom_killed", &json!(oom))?;
        same(row, "finished_at", &json!(epoch_nanos(&truth["State"]["FinishedAt"])?))?;
    }
    Ok(())
}

/// Published ports and addresses.
pub(crate) fn ports_and_networks(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let web = context.lab.container("web")?;
    let published = web.published.as_deref().context("web is not published")?;
    let (address, port) = published.split_once(':').context("address and port")?;
    let row = snapshot.container(&web.id)?;
    let truth = json!([{
        "host_address": address,
        "host_port": port.parse::<u16>()?,
        "container_port": 80,
        "protocol": "tcp",
    }]);
    same(row, "ports", &truth)?;
    for name in ["web", "client-1", "pod-a", "sink", "proxy"] {
        let inspected = context.lab.inspect(name)?;
        let networks = inspected["NetworkSettings"]["Networks"].as_object().context("no networks")?;
        let truth: Vec<_> = networks.iter().map(|(network, at)| json!([network, at["IPAddress"]])).collect();
        same(snapshot.container(&context.lab.container(name)?.id)?, "networks", &json!(truth))?;
    }
    let shared = format!("container:{}", context.lab.container("pod-a")?.id);
    same(snapshot.container(&context.lab.container("pod-b")?.id)?, "network_mode", &json!(shared))
}

/// Labels with markup, direction marks, quotes and 4 kB of text.
pub(crate) fn labels(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    for name in ["hostile", "web", "zombie"] {
        let truth = context.lab.inspect(name)?["Config"]["Labels"].clone();
        same(snapshot.container(&context.lab.container(name)?.id)?, "labels", &truth)?;
    }
    Ok(())
}

/// `healthy` once Docker says so; nothing for a container without a check.
pub(crate) fn health(context: &mut Context) -> Result<()> {
    let healthy = wait_until(Duration::from_secs(60), || {
        context.lab.inspect("web").is_ok_and(|w| w["State"]["Health"]["Status"] == "healthy")
    });
    ensure!(healthy, "the web server of the lab does not get healthy");
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    same(snapshot.container(&context.lab.container("web")?.id)?, "health", &json!("healthy"))?;
    same(snapshot.container(&context.lab.container("db")?.id)?, "health", &Value::Null)
}

/// Limits as given, use as the cgroup's files tell before and after.
pub(crate) fn limits(context: &mut Context) -> Result<()> {
    let container = context.lab.container("limited")?.clone();
    let init = container.init_pid.context("no init")?;
    let before = CpuUse::read(init)?;
    let snapshot = context.agent.snapshot(&context.endpoint())?;
    let after = CpuUse::read(init)?;
    let row = snapshot.container(&container.id)?;

    let host = context.lab.inspect("limited")?["HostConfig"].clone();
    same(row, "memory_limit_bytes", &host["Memory"])?;
    same(row, "pids_limit", &host["PidsLimit"])?;
    let cores = fraction(row, "cpu_limit_cores")?;
    ensure!((cores - 0.05).abs() < 1e-6, "cpu_limit_cores is {cores}");

    for (field, low, high) in [
        ("cpu_nanos", before.nanos, after.nanos),
        ("cpu_periods", before.periods, after.periods),
        ("cpu_throttled_periods", before.throttled_periods, after.throttled_periods),
        ("cpu_throttled_nanos", before.throttled_nanos, after.throttled_nanos),
    ] {
        let told = number(row, field)?;
        ensure!((low..=high).contains(&told), "{field}: {low} ≤ {told} ≤ {high}");
    }
    let ratio = fraction(row, "cpu_ratio")?;
    ensure!(ratio > 0.0 && ratio < 0.15, "cpu_ratio of a container limited to 0.05 is {ratio}");
    let throttled = fraction(row, "cpu_throttled_ratio")?;
    ensure!(throttled > 0.0 && throttled <= 1.0, "cpu_throttled_ratio is {throttled}");
    let (pids, _) = cgroup(init, "pids")?;
    same(row, "pids", &json!(number_in(&pids.join("pids.current"))?))?;
    let memory = number(row, "memory_bytes")?;
    ensure!((16 << 20..=64 << 20).contains(&memory), "the spinner holds 16 MiB, memory_bytes is {memory}");

    let free = snapshot.container(&context.lab.container("db")?.id)?;
    for field in ["memory_limit_bytes", "cpu_limit_cores", "pids_limit"] {
        same(free, field, &Value::Null)?;
    }
    Ok(())
}

/// Counters of CPU use and throttling of a process's cgroup, v1 or v2.
struct CpuUse {
    nanos: u64,
    periods: u64,
    throttled_periods: u64,
    throttled_nanos: u64,
}

impl CpuUse {
    fn read(pid: u32) -> Result<Self> {
        let (cpu, v2) = cgroup(pid, "cpu")?;
        let stat = cpu.join("cpu.stat").to_string_lossy().into_owned();
        let field = |name: &str| -> Result<u64> { Ok(keyed(&stat, name)?.parse()?) };
        let (nanos, throttled_nanos) = if v2 {
            (field("usage_usec")? * 1000, field("throttled_usec")? * 1000)
        } else {
            (number_in(&cgroup(pid, "cpuacct")?.0.join("cpuacct.usage"))?, field("throttled_time")?)
        };
        Ok(Self {
            nanos,
            periods: field("nr_periods")?,
            throttled_periods: field("nr_throttled")?,
            throttled_nanos,
        })
    }
}
