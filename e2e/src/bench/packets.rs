//! Packets accounted per second, beside `tcpdump -w /dev/null` and, where it is installed, bandwhich on the same traffic: each on one
//! core, in a namespace of their own, one after the other at each rate, while the other cores send.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::lab::process::{ProcessRef, wait_until};
use crate::traffic::{self, Ended, NOBODY, Wire};

/// Packets per second that are tried; 0 is as many as can be sent.
const RATES: [u64; 6] = [50_000, 100_000, 200_000, 400_000, 550_000, 0];
/// How long is sent at each rate.
const SECONDS: u64 = 5;
/// Bytes in each datagram.
const SIZE: &str = "64";
/// Flows.
const PORTS: &str = "1000";
/// The core of who counts.
const CORE: &str = "0";
/// Datagrams sent in one call, so that the sender is faster than who counts.
const AT_ONCE: &str = "16";

/// What one program made of one rate.
#[derive(Debug, Clone, Copy, Serialize)]
struct Counted {
    /// Packets sent per second.
    sent_per_sec: f64,
    /// Packets it counted.
    packets: u64,
    /// Packets the kernel dropped for it.
    dropped: u64,
    /// CPU time it used beyond what it uses without traffic, nanoseconds.
    cpu_nanos: u64,
}

impl Counted {
    /// CPU time for 100,000 packets, milliseconds.
    fn millis_per_100k(&self) -> f64 {
        self.cpu_nanos as f64 / 1e6 / (self.packets.max(1) as f64 / 1e5)
    }
}

/// What bandwhich made of one rate: it tells no packets and no drops, but bytes.
#[derive(Debug, Clone, Copy, Serialize)]
struct Told {
    /// Bytes that it told, per packet sent: fewer than at a low rate, and it lost some.
    bytes_per_packet: f64,
    /// CPU time, nanoseconds.
    cpu_nanos: u64,
    /// Packets sent.
    sent: u64,
}

/// All programs at one rate.
#[derive(Debug, Clone, Copy, Serialize)]
struct Rate {
    /// The agent.
    agent: Counted,
    /// tcpdump.
    tcpdump: Counted,
    /// `None` where it is not installed.
    bandwhich: Option<Told>,
}

/// Measures all rates and tells them as Markdown. `traffic` is the program whose command `traffic` sends.
///
/// # Errors
/// When a program is missing or fails, or without root.
pub fn packets(agent: &Path, traffic: &Path, tell: impl Fn(&str)) -> Result<String> {
    let wire = Wire::lay("b")?;
    let still = agent_at(&wire, agent, None)?.1;
    let mut rates = Vec::new();
    for rate in RATES {
        tell(&format!(
            "packets: {} per second",
            if rate == 0 { "as many as can be".into() } else { rate.to_string() }
        ));
        let flood = || flood(&wire, traffic, rate);
        let (mut counted, cpu) = agent_at(&wire, agent, Some(&flood))?;
        counted.cpu_nanos = cpu.saturating_sub(still);
        let bandwhich = has_bandwhich().then(|| bandwhich_at(&wire, &flood)).transpose()?;
        rates.push(Rate { agent: counted, tcpdump: tcpdump_at(&wire, &flood)?, bandwhich });
    }
    table(&rates)
}

fn table(rates: &[Rate]) -> Result<String> {
    let mut text = String::from(
        "| sent/s | glasshull: packets | dropped | CPU per 100,000 | sent/s | tcpdump: packets | dropped | CPU per 100,000 |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Rate { agent, tcpdump, .. } in rates {
        for one in [agent, tcpdump] {
            let cpu = one.millis_per_100k();
            write!(text, "| {:.0} | {} | {} | {cpu:.1} ms ", one.sent_per_sec, one.packets, one.dropped)?;
        }
        text.push_str("|\n");
    }
    let others: Vec<Told> = rates.iter().filter_map(|rate| rate.bandwhich).collect();
    if !others.is_empty() {
        text.push_str("\n| sent/s | bandwhich: bytes told per packet sent | CPU per 100,000 sent |\n| ---: | ---: | ---: |\n");
    }
    for told in others {
        let (rate, cpu) =
            (told.sent / SECONDS, told.cpu_nanos as f64 / 1e6 / (told.sent.max(1) as f64 / 1e5));
        writeln!(text, "| {rate} | {:.1} | {cpu:.1} ms |", told.bytes_per_packet)?;
    }
    let best = |of: fn(&Rate) -> Counted| {
        let whole = rates.iter().map(of).filter(|one| one.dropped == 0);
        whole.map(|one| one.sent_per_sec).fold(0.0, f64::max)
    };
    let (ours, theirs) = (best(|rate| rate.agent), best(|rate| rate.tcpdump));
    let reached = ours >= 500_000.0 || ours >= 0.8 * theirs;
    writeln!(
        text,
        "\nMost without a drop: glasshull {ours:.0}/s, tcpdump {theirs:.0}/s; to reach: 500,000/s or 0.8 × tcpdump: {}",
        if reached { "reached" } else { "missed" }
    )?;
    Ok(text)
}

/// Sends, and gives how many per second and how many in all.
fn flood(wire: &Wire, traffic: &Path, rate: u64) -> Result<(f64, u64)> {
    let mut command = Wire::inside(&wire.near, traffic);
    command.args(["traffic", "flood", NOBODY, &SECONDS.to_string(), SIZE, PORTS, &rate.to_string(), AT_ONCE]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (sent, took) = said.trim().split_once(' ').context("the sender says nothing")?;
    let sent: u64 = sent.parse()?;
    Ok((sent as f64 / took.parse::<f64>()?, sent))
}

type Flood<'a> = &'a dyn Fn() -> Result<(f64, u64)>;

/// The agent's count while it is sent, and its CPU time from beginning to end.
fn agent_at(wire: &Wire, program: &Path, flood: Option<Flood<'_>>) -> Result<(Counted, u64)> {
    let out = tempfile::NamedTempFile::new()?;
    let capture = format!("{}s", SECONDS + 4);
    let mut command = Wire::inside(&wire.near, "setpriv");
    // What it may not enter it does not capture: the namespaces of others have traffic of their own.
    let alone = "-sys_admin,-sys_ptrace";
    command.arg(format!("--bounding-set={alone}")).arg(format!("--inh-caps={alone}"));
    command.args(["taskset", "-c", CORE]).arg(program);
    command.args([
        "snapshot",
        "--json",
        "--capture",
        &capture,
        "--tables",
        "capture",
        "--engine",
        "unix:///none",
    ]);
    let mut running = Ended(command.stdout(out.reopen()?).spawn()?);
    let (sent_per_sec, sent) = while_it_counts(wire, flood)?;
    let pid = running.0.id();
    let cpu = cpu_until_end(pid);
    ensure!(running.0.wait()?.success(), "the agent failed");
    let json: Value = serde_json::from_reader(out.reopen()?)?;
    let row = &json["tables"]["capture"][0];
    let number = |name: &str| row[name].as_u64().with_context(|| format!("no {name} in {row}"));
    let counted =
        Counted { sent_per_sec, packets: number("packets")?, dropped: number("dropped")?, cpu_nanos: 0 };
    ensure!(counted.packets + counted.dropped >= sent, "{sent} sent, {counted:?}");
    Ok((counted, cpu))
}

fn tcpdump_at(wire: &Wire, flood: Flood<'_>) -> Result<Counted> {
    let said = tempfile::NamedTempFile::new()?;
    let mut command = Wire::inside(&wire.near, "taskset");
    command.args(["-c", CORE, "tcpdump", "-ni", "any", "-s", "128", "-w", "/dev/null"]);
    let mut running = Ended(command.stderr(said.reopen()?).stdout(Stdio::null()).spawn()?);
    let (sent_per_sec, _) = while_it_counts(wire, Some(flood))?;
    let cpu_nanos = stop(&mut running)?;
    let text = std::fs::read_to_string(said.path())?;
    let number = |what: &str| {
        let line = text.lines().find(|line| line.contains(what)).with_context(|| text.clone())?;
        Ok::<u64, anyhow::Error>(line.split(' ').next().unwrap_or_default().parse()?)
    };
    Ok(Counted {
        sent_per_sec,
        packets: number("packets captured")?,
        dropped: number("dropped by kernel")?,
        cpu_nanos,
    })
}

/// Ends a program as Ctrl-C does; the CPU time it has used, nanoseconds.
fn stop(running: &mut Ended) -> Result<u64> {
    let pid = running.0.id();
    let gone = "the program beside us has ended by itself";
    let cpu_nanos = cpu_now(pid).context(gone)?;
    ProcessRef::of(pid).context(gone)?.signal(rustix::process::Signal::INT)?;
    running.0.wait()?;
    Ok(cpu_nanos)
}

fn has_bandwhich() -> bool {
    let output = std::process::Command::new("bandwhich").arg("--version").stdout(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}

fn bandwhich_at(wire: &Wire, flood: Flood<'_>) -> Result<Told> {
    let said = tempfile::NamedTempFile::new()?;
    let mut command = Wire::inside(&wire.near, "taskset");
    command.args(["-c", CORE, "bandwhich", "--raw", "--no-resolve", "--addresses"]);
    let mut running =
        Ended(command.stdin(Stdio::null()).stdout(said.reopen()?).stderr(Stdio::null()).spawn()?);
    let (_, sent) = while_it_counts(wire, Some(flood))?;
    // It tells once a second.
    std::thread::sleep(Duration::from_millis(1500));
    let cpu_nanos = stop(&mut running)?;
    let text = std::fs::read_to_string(said.path())?;
    // `remote_address: <1> 10.0.0.2 up/down Bps: 12/0 connections: 3`
    let bytes = |line: &str| {
        let (up, down) = line.split_once("Bps: ")?.1.split(' ').next()?.split_once('/')?;
        Some(up.parse::<u64>().ok()? + down.parse::<u64>().ok()?)
    };
    let told: u64 = text.lines().filter(|line| line.starts_with("remote_address")).filter_map(bytes).sum();
    ensure!(told > 0, "bandwhich told nothing: {}", text.chars().take(400).collect::<String>());
    Ok(Told { bytes_per_packet: told as f64 / sent.max(1) as f64, cpu_nanos, sent })
}

/// Sends when a capture is open in the namespace.
fn while_it_counts(wire: &Wire, flood: Option<Flood<'_>>) -> Result<(f64, u64)> {
    let open = || {
        let output = Wire::inside(&wire.near, "cat").arg("/proc/net/packet").output();
        output.is_ok_and(|o| traffic::captures(&String::from_utf8_lossy(&o.stdout)) > 0)
    };
    ensure!(wait_until(Duration::from_secs(10), open), "no capture was opened");
    std::thread::sleep(Duration::from_millis(300));
    let sent = flood.map_or(Ok((0.0, 0)), |flood| flood())?;
    // What still lies in the ring.
    std::thread::sleep(Duration::from_millis(500));
    Ok(sent)
}

/// CPU time of a process now. Source: `/proc/PID/schedstat` of all its threads.
fn cpu_now(pid: u32) -> Option<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Some(tasks.flatten().filter_map(|task| of(task.path())).sum())
}

/// CPU time of a process as last seen before it ended.
fn cpu_until_end(pid: u32) -> u64 {
    let mut last = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    // A zombie has no threads to read: the sum falls to nothing.
    while Instant::now() < deadline {
        match cpu_now(pid) {
            Some(now) if now >= last => last = now,
            Some(_) | None => break,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    last
}
