//! The columns of the container table and what each cell says.

use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use glasshull_shared::domain::host::Psi;
use glasshull_shared::unit;

use crate::store::finding::sign;
use crate::store::history::{CONTAINER_SAMPLES, History};
use crate::store::word;
use crate::widget::meter::tone_of_fill;
use crate::widget::sparkline;
use crate::widget::table::{Cell, Column, Kind};

use super::record::{Row, is_up};

const STOPPED: &str = "it does not run";
const NO_FILE: &str = "its control group does not tell: the controller is not mounted or not delegated";
const FIRST: &str = "first sample: a rate needs two";

/// All columns.
pub(super) static COLUMNS: [Column; 21] = [
    Column::text("name", "Name", 130, "container's name; its id while nobody told one").narrow(72).grow(),
    Column::text("state", "State", 135, "life cycle, with exit code and whether the OOM killer ended it")
        .narrow(86),
    Column::text(
        "findings",
        "Findings",
        78,
        "what somebody should look at: ▲ trouble, ● attention; the inspector tells",
    )
    .spare(1),
    Column::text("image", "Image", 126, "image reference as the user gave it")
        .kind(Kind::Code)
        .spare(2)
        .grow(),
    Column::text("runtime", "Runtime", 84, "who runs it").extra(),
    Column::text("project", "Project", 96, "compose project").extra(),
    Column::text("health", "Health", 92, "outcome of the image's health check").spare(4),
    Column::number(
        "cpu_ratio",
        "CPU %",
        88,
        "share of one core / its limit; bar: of its limit, or of one core; red: throttled",
    )
    .kind(Kind::Meter)
    .narrow(69),
    Column::number("cpu_line", "2 min", 84, "cpu over the last two minutes").kind(Kind::Spark).spare(3),
    Column::number("memory_bytes", "Memory", 130, "working set (usage without inactive file cache) / limit")
        .kind(Kind::Meter)
        .narrow(118),
    Column::number("pids", "Tasks", 80, "tasks (threads count) / pids.max").kind(Kind::Meter),
    Column::number("read", "Read/s", 78, "bytes read from block devices"),
    Column::number("write", "Write/s", 78, "bytes written to block devices"),
    Column::number("psi_cpu", "PSI cpu", 64, "some task waited for a cpu, mean of 10 s: cpu.pressure")
        .extra(),
    Column::number("psi_memory", "PSI mem", 66, "some task waited for memory, mean of 10 s: memory.pressure")
        .extra(),
    Column::number("psi_io", "PSI io", 66, "some task waited for a disk, mean of 10 s: io.pressure"),
    Column::number("uptime", "Up", 136, "time since its present run began, or since it ended"),
    Column::number("restart_count", "Restarts", 68, "how often the engine restarted it").extra(),
    Column::text("id", "Id", 112, "engine's id").kind(Kind::Code).extra(),
    Column::text("project_service", "Service", 96, "compose service").extra(),
    Column::text("ports", "Ports", 136, "host port → container port").kind(Kind::Code).grow(),
];

/// The cells of one container.
pub(super) fn cells(row: &Row<'_>, history: &History, columns: &[&'static Column]) -> Vec<Cell> {
    columns.iter().map(|column| cell(row, history, column.id)).collect()
}

fn cell(row: &Row<'_>, history: &History, column: &str) -> Cell {
    let who = row.who;
    match column {
        "name" => Cell::new(&who.name).class("strong"),
        "state" => state(row),
        "findings" => match row.found {
            Some((worst, count)) => {
                let (shape, tone) = sign(worst);
                Cell::new(format!("{shape} {count}")).class(tone).title(format!(
                    "{count} findings ask for attention, the gravest is {}: the inspector tells them",
                    worst.name()
                ))
            }
            None => Cell::default(),
        },
        "image" => who.image.as_ref().map_or_else(|| Cell::unknown("no engine told"), Cell::new),
        "runtime" => Cell::new(who.runtime.name()),
        "project" => optional(who.compose_project.as_ref()),
        "project_service" => optional(who.compose_service.as_ref()),
        "health" => {
            word::health(who.health).map_or_else(Cell::default, |w| Cell::new(w.line()).class(w.tone))
        }
        "uptime" => match row.uptime() {
            Some(nanos) => Cell::new(unit::duration(nanos)),
            None if is_up(who) => Cell::unknown("nobody told when it was started"),
            None => ended(row),
        },
        "restart_count" => match who.restart_count {
            Some(0) => Cell::new("0").class("quiet"),
            Some(n) => Cell::new(n.to_string()).class("attention"),
            None => Cell::unknown("no engine told"),
        },
        "id" => Cell::new(unit::short_id(row.id)).title(row.id),
        "ports" if who.ports.is_empty() && !is_up(who) => Cell::unknown(STOPPED),
        "ports" => Cell::new(who.ports.iter().map(word::port).collect::<Vec<_>>().join(" ")),
        // No text: it would be taken for a path.
        "cpu_line" if !is_up(who) => Cell::default().title(STOPPED),
        _ if !is_up(who) => Cell::unknown(STOPPED),
        "cpu_line" => line(row, history),
        _ => row
            .uses
            .map_or_else(|| Cell::unknown("its control group was not read"), |uses| figure(uses, column)),
    }
}

fn state(row: &Row<'_>) -> Cell {
    let word = word::container_state(row.who);
    let cell = Cell::new(word.line()).class(word.tone);
    match row.who.exit_code.and_then(word::exit_meaning) {
        Some(meaning) => cell.title(format!("{}: {meaning}", word.text)),
        None => cell,
    }
}

fn ended(row: &Row<'_>) -> Cell {
    match row.who.finished_at.filter(|at| *at > 0) {
        Some(at) => {
            let ago = unit::duration(row.now.saturating_sub(at));
            Cell::new(format!("{ago} ago")).class("quiet").title(format!("ended {ago} ago"))
        }
        None => Cell::unknown("it never ran, or nobody told when it ended"),
    }
}

fn figure(uses: &ContainerStat, column: &str) -> Cell {
    match column {
        "cpu_ratio" => cpu(uses),
        "memory_bytes" => memory(uses),
        "pids" => pids(uses),
        "read" => rate(uses.read_bytes, uses.read_bytes_per_sec),
        "write" => rate(uses.write_bytes, uses.write_bytes_per_sec),
        "psi_cpu" => pressure(uses.psi_cpu),
        "psi_memory" => pressure(uses.psi_memory),
        "psi_io" => pressure(uses.psi_io),
        _ => Cell::default(),
    }
}

fn cpu(uses: &ContainerStat) -> Cell {
    let Some(ratio) = uses.cpu_ratio else {
        return Cell::unknown(if uses.cpu_nanos.is_some() { FIRST } else { NO_FILE });
    };
    let limit = uses.cpu_limit_cores;
    // With a limit the bar ends at it; without one a full bar is one core, which is no limit.
    let filled = uses.cpu_fill().unwrap_or(ratio);
    let throttled = uses.cpu_throttled_ratio.unwrap_or(0.0);
    let mut title = match limit {
        Some(cores) => format!("{} of one core, limit {cores:.2} cores", unit::percent(f64::from(ratio))),
        None => format!("{} of one core, no limit", unit::percent(f64::from(ratio))),
    };
    if throttled > 0.0 {
        title.push_str(&format!(", throttled {} of its periods", unit::percent(f64::from(throttled))));
    }
    let tone = if throttled > 0.0 {
        "trouble"
    } else if limit.is_some() {
        tone_of_fill(filled)
    } else if ratio < 0.0005 {
        "quiet"
    } else {
        ""
    };
    let mut text = unit::percent_figure(f64::from(ratio));
    if let Some(cores) = limit {
        let limit = unit::percent_figure(f64::from(cores));
        text.push_str(&format!(" / {}", limit.trim_end_matches(".0")));
    }
    Cell::new(text).class(tone).title(title).bar(filled, limit.map(|_| 1.0))
}

fn memory(uses: &ContainerStat) -> Cell {
    let Some(bytes) = uses.memory_bytes else { return Cell::unknown(NO_FILE) };
    let kills = uses.oom_kills.filter(|n| *n > 0);
    let text =
        uses.memory_limit_bytes.map_or_else(|| unit::bytes(bytes), |limit| unit::bytes_of(bytes, limit));
    let text = if kills.is_some() { format!("✕ {text}") } else { text };
    let mut title = format!("working set {}", unit::bytes(bytes));
    if let Some(usage) = uses.memory_usage_bytes {
        title.push_str(&format!(", {} with page cache", unit::bytes(usage)));
    }
    title.push_str(
        &uses.memory_limit_bytes.map_or(", no limit".into(), |l| format!(", limit {}", unit::bytes(l))),
    );
    if let Some(n) = kills {
        title.push_str(&format!(", {n} killed by the OOM killer"));
    }
    let filled = uses.memory_fill();
    let tone = if kills.is_some() { "trouble" } else { filled.map_or("", tone_of_fill) };
    let cell = Cell::new(text).class(tone).title(title);
    filled.map_or(cell.clone(), |f| cell.bar(f, Some(1.0)))
}

fn pids(uses: &ContainerStat) -> Cell {
    let Some(pids) = uses.pids else { return Cell::unknown(NO_FILE) };
    match uses.pids_limit.filter(|l| *l > 0) {
        Some(limit) => {
            let filled = pids as f32 / limit as f32;
            Cell::new(format!("{pids} / {}", unit::count(limit.into())))
                .class(tone_of_fill(filled))
                .bar(filled, Some(1.0))
        }
        None => Cell::new(pids.to_string()).title("no limit"),
    }
}

fn rate(total: Option<u64>, per_sec: Option<f32>) -> Cell {
    match per_sec {
        Some(r) if r < 0.5 => Cell::new(unit::bytes_per_sec(0.0)).class("quiet"),
        Some(r) => Cell::new(unit::bytes_per_sec(f64::from(r))),
        None => Cell::unknown(if total.is_some() { FIRST } else { NO_FILE }),
    }
}

fn pressure(psi: Option<Psi>) -> Cell {
    let Some(psi) = psi else { return Cell::unknown("pressure is told by control groups v2 only") };
    let ratio = psi.some.avg10_ratio;
    let tone = match ratio {
        r if r >= 0.4 => "trouble",
        r if r >= 0.1 => "attention",
        r if r < 0.0005 => "quiet",
        _ => "",
    };
    Cell::new(unit::percent_figure(f64::from(ratio))).class(tone)
}

fn line(row: &Row<'_>, history: &History) -> Cell {
    let key = ContainerKey { id: row.id.to_owned() };
    let samples = || history.container(&key).map(|s| s.cpu_ratio);
    let max = samples().flatten().fold(0.0, f32::max);
    let top = sparkline::nice_top(max, 0.1);
    Cell::new(sparkline::path(samples(), CONTAINER_SAMPLES, top))
        .title(format!("cpu over the last two minutes, upper edge {}", unit::percent(f64::from(top))))
}

/// Labels are free text: what would steer the drawing of it is shown as an escape.
fn optional(text: Option<&String>) -> Cell {
    text.map_or_else(Cell::default, |t| Cell::new(unit::printable(t)))
}
