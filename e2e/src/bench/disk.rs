//! The view Disk beside `iotop -b -d 1` and `iostat -x 1` in the same seconds: each of its tables watched by one client, in the lab at
//! rest, and while containers write past the page cache.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use super::child::{self, Agent, Running};
use super::crowd::{Crowd, Screen};
use super::meter::{self, Cost, Reading};
use super::report::{Measured, cpu, figure, machine};
use super::{Options, SETTLE};
use crate::lab::{IMAGE, Lab};

/// What a page may cost, as a share of what iotop does.
const AT_MOST: f64 = 0.5;
/// Containers that write in the second half.
const WRITERS: u32 = 2;
/// What each does: bursts, so that the host waits now and then and is not all used up.
const WRITES: &str =
    "while :; do dd if=/dev/zero of=/burst bs=64k count=64 oflag=direct conv=notrunc; sleep 0.2; done";

/// The tables of the view, the one it opens with first.
const SCREENS: [(&str, Screen); 5] = [
    ("Processes", Screen::Disk),
    ("Containers", Screen::DiskContainers),
    ("Who waits", Screen::DiskWaits),
    ("File systems", Screen::DiskMounts),
    ("Devices", Screen::DiskDevices),
];

/// A program beside the agent.
struct Beside {
    name: &'static str,
    running: Result<Running>,
}

/// What one table cost.
struct Line {
    lab: &'static str,
    name: &'static str,
    agent: Cost,
    beside: Vec<Measured<Cost>>,
    peak_bytes: u64,
    bytes_per_sec: f64,
    ticks: u64,
}

impl Line {
    fn ratio(&self) -> Measured<f64> {
        let iotop = self.beside.first();
        iotop.map_or_else(
            || Measured::Not("iotop did not run".into()),
            |theirs| theirs.map(|theirs| self.agent.cpu_ratio / theirs.cpu_ratio.max(f64::MIN_POSITIVE)),
        )
    }
}

/// Measures, and tells it as Markdown; whether what was to be reached is.
///
/// # Errors
/// When the agent does not start or ends, or a client loses it. That another program is missing is only noted.
pub async fn disk(options: &Options, lab: &Lab, tell: impl Fn(&str)) -> Result<(String, bool)> {
    let agent = child::agent(&options.agent, lab).context("start the agent")?;
    let programs = [
        ("iotop -b -d 1", &["iotop", "-b", "-d", "1"][..]),
        ("iotop -P", &["iotop", "-b", "-P", "-d", "1"]),
        ("iostat -x 1", &["iostat", "-x", "1"]),
        ("pidstat -d 1", &["pidstat", "-d", "1"]),
    ];
    let beside = programs.map(|(name, words)| Beside { name, running: child::quiet(words) });
    let mut lines = Vec::new();
    for lab_is in ["idle", "writing"] {
        if lab_is == "writing" {
            write(lab).context("start writers")?;
        }
        for (name, screen) in SCREENS {
            tell(&format!("{lab_is} lab, Disk: {name}: {} s", options.phase.as_secs()));
            let line = measure(&agent, &beside, (lab_is, name, screen), options.phase).await;
            lines.push(line.with_context(|| format!("{lab_is} lab, {name}"))?);
        }
    }
    table(options, lab, &beside, &lines)
}

fn write(lab: &Lab) -> Result<()> {
    for n in 0..WRITERS {
        let name = format!("disk-writer-{n}");
        lab.docker(&["run", "--detach", "--name", &name, "--network", "none", IMAGE, "sh", "-c", WRITES])?;
    }
    Ok(())
}

async fn measure(
    agent: &Agent,
    beside: &[Beside],
    (lab, name, screen): (&'static str, &'static str, Screen),
    time: Duration,
) -> Result<Line> {
    let crowd = Crowd::watch(agent.address, 1, screen).await?;
    tokio::time::sleep(SETTLE).await;
    let pid = agent.running.pid();
    meter::forget_peak(pid)?;
    let mark = crowd.mark()?;
    let take = |of: &Beside| of.running.as_ref().ok().and_then(|running| Reading::take(running.pid()).ok());
    let theirs: Vec<_> = beside.iter().map(take).collect();
    let before = Reading::take(pid).context("the agent ended")?;
    tokio::time::sleep(time).await;
    let cost = Reading::take(pid).context("the agent ended")?.since(&before);
    let cost_of = |(of, before): (&Beside, &Option<Reading>)| match (&of.running, before, take(of)) {
        (Ok(_), Some(before), Some(now)) => Measured::Got(now.since(before)),
        (Err(error), ..) => Measured::Not(format!("{error:#}")),
        (Ok(_), ..) => Measured::Not("it ended".into()),
    };
    let traffic = crowd.since(&mark)?;
    Ok(Line {
        lab,
        name,
        agent: cost,
        beside: beside.iter().zip(&theirs).map(cost_of).collect(),
        peak_bytes: meter::memory(pid)?.peak_bytes,
        bytes_per_sec: traffic.bytes_per_sec_each,
        ticks: traffic.ticks,
    })
}

fn table(options: &Options, lab: &Lab, beside: &[Beside], lines: &[Line]) -> Result<(String, bool)> {
    let mut text = format!(
        "{}. Each line: {} s, all programs in the same \
         seconds. Writing: {WRITERS} containers write 4 MiB past the page cache, then rest 0.2 s. CPU is a share of one core.\n\n",
        machine(options, lab),
        options.phase.as_secs()
    );
    let names: Vec<String> = beside.iter().map(|of| format!("`{}`", of.name)).collect();
    writeln!(
        text,
        "| lab | Disk: | Glasshull | {} | ÷ `iotop` | peak RSS | wire | ticks |",
        names.join(" | ")
    )?;
    writeln!(text, "|---|---|---:|{}---:|---:|---:|---:|", "---:|".repeat(beside.len()))?;
    for line in lines {
        let theirs: Vec<String> = line.beside.iter().map(|cost| cost.show(cpu)).collect();
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.1} MB | {:.2} kB/s | {} |",
            line.lab,
            line.name,
            cpu(&line.agent),
            theirs.join(" | "),
            line.ratio().show(|ratio| figure(*ratio)),
            line.peak_bytes as f64 / 1e6,
            line.bytes_per_sec / 1e3,
            line.ticks
        )?;
    }
    let worst = lines.iter().filter_map(|line| Some((line, *line.ratio().got()?)));
    let worst = worst.max_by(|a, b| a.1.total_cmp(&b.1));
    let reached = worst.as_ref().is_some_and(|(_, ratio)| *ratio <= AT_MOST);
    match worst {
        Some((line, ratio)) => writeln!(
            text,
            "\nThe dearest table ({}, {} lab) costs {} of what `iotop -b -d 1` does; to reach: {AT_MOST}: {}",
            line.name,
            line.lab,
            figure(ratio),
            if reached { "reached" } else { "**missed**" }
        )?,
        None => writeln!(text, "\niotop did not run: not compared")?,
    }
    Ok((text, reached))
}
