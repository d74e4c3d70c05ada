//! What was measured, as one JSON object or as Markdown tables for `docs/bench.md`.

use std::fmt::{self, Write as _};
use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::Serialize;

use super::target::{Target, targets};
use super::{
    Bundle, CONTAINERS, Cost, DOCKER_STATS, MAP, NOBODY, NamespaceCost, ONE, Options, Paint, Phase,
    TracedCalls,
};
use crate::lab::Lab;
use crate::lab::process::pids;

/// A figure, or why there is none.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured<T> {
    /// The figure.
    Got(T),
    /// Why it could not be measured.
    #[serde(rename = "not_measured")]
    Not(String),
}

impl<T> Measured<T> {
    pub(super) fn of(result: Result<T>) -> Self {
        result.map_or_else(|error| Self::Not(format!("{error:#}")), Self::Got)
    }

    /// The figure.
    pub fn got(&self) -> Option<&T> {
        match self {
            Self::Got(value) => Some(value),
            Self::Not(_) => None,
        }
    }

    pub(super) fn map<U>(&self, f: impl FnOnce(&T) -> U) -> Measured<U> {
        match self {
            Self::Got(value) => Measured::Got(f(value)),
            Self::Not(why) => Measured::Not(why.clone()),
        }
    }

    pub(super) fn show(&self, f: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Got(value) => f(value),
            Self::Not(why) => format!("not measured: {}", why.replace(['|', '\n'], " ")),
        }
    }
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the processor, as `/proc/cpuinfo` has it.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// What `glasshull --version` prints.
    pub agent: String,
    /// Containers of the lab.
    pub containers: usize,
    /// Processes of the whole host, the lab's and kernel threads included.
    pub host_processes: usize,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, processor, cores, agent, containers, host_processes } = self;
        write!(f, "{agent} on Linux {kernel}, {cores} × {processor}. Lab: {containers} containers; ")?;
        write!(f, "{host_processes} processes on the host")
    }
}

/// All that one run measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// The agent's pid.
    pub agent_pid: u32,
    /// Seconds each phase was measured for.
    pub phase_secs: u64,
    /// Seconds the lab took to come up.
    pub lab_secs: f64,
    /// What made the busy lab busy.
    pub load: String,
    /// What was to be reached.
    pub targets: Vec<Target>,
    /// Phase by phase.
    pub phases: Vec<Phase>,
    /// System calls with one client on all processes.
    pub calls: Measured<TracedCalls>,
    /// Finding all namespaces, beside `lsns`.
    pub namespaces: Measured<NamespaceCost>,
    /// First paint.
    pub paint: Measured<Paint>,
    /// Size of the app.
    pub bundle: Measured<Bundle>,
}

impl Report {
    pub(super) fn begin(options: &Options, lab: &Lab, agent_pid: u32) -> Self {
        let not = || "not reached".to_owned();
        Self {
            machine: machine(options, lab),
            agent_pid,
            phase_secs: options.phase.as_secs(),
            lab_secs: 0.0,
            load: String::new(),
            targets: Vec::new(),
            phases: Vec::new(),
            calls: Measured::Not(not()),
            namespaces: Measured::Not(not()),
            paint: Measured::Not(not()),
            bundle: Measured::Not(not()),
        }
    }

    pub(super) fn judge(&mut self) {
        self.targets = targets(self);
    }

    /// Whether every target was measured and reached.
    pub fn is_all_reached(&self) -> bool {
        self.targets.iter().all(|t| t.is_reached() == Some(true))
    }

    /// As one JSON object with a line end.
    ///
    /// # Errors
    /// Never with the types here.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// As Markdown.
    ///
    /// # Errors
    /// Never: writing into a string does not fail.
    pub fn to_markdown(&self) -> Result<String> {
        let mut text = String::new();
        writeln!(
            text,
            "{}; up in {:.0} s. Each phase: {} s.\n",
            self.machine, self.lab_secs, self.phase_secs
        )?;
        self.write_targets(&mut text)?;
        self.write_phases(&mut text)?;
        self.write_engines(&mut text)?;
        self.write_wire(&mut text)?;
        self.write_rest(&mut text)?;
        Ok(text)
    }

    fn write_targets(&self, text: &mut String) -> Result<()> {
        writeln!(text, "| target | at most | measured | |\n|---|---:|---:|---|")?;
        for target in &self.targets {
            let verdict = match target.is_reached() {
                Some(true) => "reached",
                Some(false) => "**missed**",
                None => "**not measured**",
            };
            let with_unit = |number: String| format!("{number} {}", target.unit).trim_end().to_owned();
            let (limit, value) =
                (with_unit(target.limit.to_string()), target.value.show(|v| with_unit(figure(*v))));
            writeln!(text, "| {} | {limit} | {value} | {verdict} |", target.name)?;
        }
        Ok(writeln!(text)?)
    }

    fn write_phases(&self, text: &mut String) -> Result<()> {
        writeln!(
            text,
            "CPU is a share of one core; `top -b -d 1` ran in the same seconds. Calls are those `/proc/PID/io` counts \
             (read, write and kin). \"All\" is what the whole host kept busy, in cores.\n\n\
             | lab | watching | CPU | `top` | ÷ | RSS now, peak | calls/s | switches/s | wire/client | ticks | first rows | all |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for phase in &self.phases {
            writeln!(text, "{}", phase_line(phase))?;
        }
        if !self.load.is_empty() {
            writeln!(text, "\nBusy lab: {}.", self.load)?;
        }
        Ok(writeln!(text)?)
    }

    /// `docker stats` shows what the Containers view shows; both make the engine work.
    fn write_engines(&self, text: &mut String) -> Result<()> {
        let phase = |name: &str| self.phases.iter().find(|p| p.name == name && !p.busy);
        let (Some(ground), Some(stats), Some(ours)) = (phase(NOBODY), phase(DOCKER_STATS), phase(CONTAINERS))
        else {
            return Ok(());
        };
        let added = |phase: &Phase| match (&phase.engine, &ground.engine) {
            (Some(with), Some(without)) => percent(with.cpu_ratio - without.cpu_ratio),
            (_, _) => "not measured".to_owned(),
        };
        let client = stats.docker_stats.as_ref().map_or_else(String::new, |c| c.show(cpu));
        writeln!(
            text,
            "| watching all containers | CPU of the program | CPU added to the engine |\n|---|---:|---:|"
        )?;
        writeln!(text, "| `docker stats` | {client} | {} |", added(stats))?;
        writeln!(text, "| Glasshull | {} | {} |\n", cpu(&ours.agent), added(ours))?;
        Ok(())
    }

    fn write_wire(&self, text: &mut String) -> Result<()> {
        writeln!(text, "What one client receives, bytes per second before compression:\n")?;
        for phase in self.phases.iter().filter(|p| [ONE, CONTAINERS, MAP].contains(&p.name)) {
            let Some(traffic) = &phase.traffic else { continue };
            let tables: Vec<String> =
                traffic.tables.iter().map(|(name, b)| format!("{name} {b:.0}")).collect();
            writeln!(text, "- {} lab, {}: {}", lab_name(phase), phase.name, tables.join(", "))?;
        }
        Ok(writeln!(text)?)
    }

    fn write_rest(&self, text: &mut String) -> Result<()> {
        let calls = self.calls.show(|traced| {
            let ticks = traced.ticks.max(1) as f64;
            let each = |n: u64| n as f64 / ticks;
            let names: Vec<String> =
                traced.calls.by_name.iter().map(|(name, n)| format!("{name} {:.0}", each(*n))).collect();
            format!(
                "{:.0} for {} processes ({})",
                each(traced.calls.total),
                traced.processes,
                names.join(", ")
            )
        });
        writeln!(
            text,
            "- System calls per tick, one client on all processes (strace, apart from the phases): {calls}"
        )?;
        let namespaces = self.namespaces.show(|n| {
            format!(
                "{:.1} ms of CPU the first time, {:.2} ms at each tick, for {} of them; one run of lsns {:.1} ms",
                n.first_millis, n.tick_millis, n.namespaces, n.lsns_millis
            )
        });
        writeln!(text, "- Finding all namespaces, beyond watching processes: {namespaces}")?;
        let paint = self.paint.show(|p| {
            format!(
                "{:.0} ms, first live row {:.0} ms (median of {})",
                p.first_paint_millis, p.first_row_millis, p.loads
            )
        });
        writeln!(text, "- First paint in Chromium: {paint}")?;
        let bundle = self.bundle.show(|b| {
            let files: Vec<String> =
                b.files.iter().map(|(n, bytes)| format!("{n} {:.1}", *bytes as f64 / 1e3)).collect();
            let kilo = |bytes: u64| bytes as f64 / 1e3;
            let (first, all) = (kilo(b.first_bytes), kilo(b.total_bytes));
            format!("{first:.1} kB at once, {all:.1} kB with what comes later ({})", files.join(", "))
        });
        Ok(writeln!(text, "- App, brotli: {bundle}")?)
    }
}

fn phase_line(phase: &Phase) -> String {
    let ratio = phase.against_top().got().map_or_else(|| "–".to_owned(), |r| figure(*r));
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let none = || "–".to_owned();
    let wire =
        phase.traffic.as_ref().map_or_else(none, |t| format!("{:.2} kB/s", t.bytes_per_sec_each / 1e3));
    let ticks = phase.traffic.as_ref().map_or_else(none, |t| match (t.holes, t.missed) {
        (0, 0) => t.ticks.to_string(),
        (holes, missed) => format!("{} ({holes} lost, {missed} left out)", t.ticks),
    });
    let rows = phase.first_rows_secs.map_or_else(none, |s| format!("{:.0} ms", s * 1e3));
    format!(
        "| {} | {} | {} | {} | {ratio} | {:.1}, {:.1} MB | {:.0} | {:.0} | {wire} | {ticks} | {rows} | {:.2} |",
        lab_name(phase),
        phase.name,
        cpu(&phase.agent),
        phase.top.show(cpu),
        megabytes(phase.memory.rss_bytes),
        megabytes(phase.memory.peak_bytes),
        phase.agent.io_calls_per_sec,
        phase.agent.switches_per_sec,
        phase.host_busy_cores,
    )
}

fn lab_name(phase: &Phase) -> &'static str {
    if phase.busy { "busy" } else { "idle" }
}

/// CPU as a share of one core; `≈` where a clock tick is the finest step.
pub(super) fn cpu(cost: &Cost) -> String {
    format!("{}{}", if cost.exact { "" } else { "≈ " }, percent(cost.cpu_ratio))
}

fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

/// Three significant digits, roughly.
pub(super) fn figure(value: f64) -> String {
    if value.abs() < 1.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}

/// Where it is measured.
pub(super) fn machine(options: &Options, lab: &Lab) -> Machine {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = file("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let version = Command::new(&options.agent).arg("--version").output();
    Machine {
        kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
        processor: model.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        agent: version
            .map_or_else(|_| "glasshull".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned()),
        containers: lab.state().containers.len(),
        host_processes: pids().len(),
    }
}
