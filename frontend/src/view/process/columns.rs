//! The columns of the process table and what each cell says.

use glasshull_shared::domain::process::{Process, ProcessStat, ProcessState};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use crate::store::lookup::process_of_pid;
use crate::store::word::{letter, process_tone};
use crate::widget::table::{Cell, Column, Kind};

use super::record::Row;

/// What the tasks of a paused container wait in under control groups v1.
const FREEZER: &str = "__refrigerator";
const NO_IO: &str = "not permitted: CAP_SYS_PTRACE would show it; or the first sample";

/// All columns.
pub(super) static COLUMNS: [Column; 20] = [
    Column::text("comm", "Name", 152, "command name, at most 15 bytes: /proc/PID/stat field 2").narrow(88),
    Column::number("pid", "PID", 72, "process id on the host").ascending().narrow(66),
    Column::number("pid_in_ns", "PID inside", 84, "pid in its own pid namespace: /proc/PID/status NSpid")
        .ascending()
        .spare(6),
    Column::number("ppid", "PPID", 74, "parent's pid on the host: /proc/PID/stat field 4")
        .ascending()
        .extra(),
    Column::text("user", "User", 80, "effective user, by the container's own passwd where readable").spare(2),
    Column::text(
        "state",
        "S",
        34,
        "R running, S sleeping, D waiting, Z zombie, T stopped: /proc/PID/stat field 3",
    )
    .kind(Kind::Code)
    .narrow(32),
    Column::text("wait_channel", "Waits in", 98, "kernel function a D process waits in: /proc/PID/wchan")
        .kind(Kind::Code)
        .spare(5),
    Column::number(
        "cpu_ratio",
        "CPU %",
        74,
        "share of one core over the last interval; 200 = two cores full",
    )
    .narrow(70),
    Column::number("rss_bytes", "RSS", 84, "resident memory: /proc/PID/stat field 24").narrow(82),
    Column::number("virtual_bytes", "VSZ", 84, "virtual size: /proc/PID/stat field 23").extra(),
    Column::number("threads", "Thr", 46, "threads: /proc/PID/stat field 20").spare(7),
    Column::number("priority", "PR", 44, "kernel priority, as top: /proc/PID/stat field 18")
        .ascending()
        .extra(),
    Column::number("nice", "NI", 40, "nice value: /proc/PID/stat field 19").ascending().extra(),
    Column::number("started_at", "Start", 78, "when it was started").spare(8),
    Column::number(
        "cpu_nanos",
        "TIME+",
        78,
        "cpu time of all its threads since start: minutes, seconds, hundredths",
    )
    .spare(4),
    Column::number("read", "Read/s", 76, "bytes fetched from block devices: /proc/PID/io read_bytes")
        .spare(3),
    Column::number("write", "Write/s", 78, "bytes sent towards block devices: /proc/PID/io write_bytes")
        .spare(3),
    Column::text("tty", "TTY", 66, "controlling terminal").extra(),
    Column::text("container", "Container", 108, "the container it runs in").spare(1),
    Column::text("cmdline", "Command", 190, "arguments: /proc/PID/cmdline").kind(Kind::Code).grow(),
];

/// The cells of one process.
pub(super) fn cells(
    snapshot: &Snapshot,
    row: &Row<'_>,
    zone_nanos: i64,
    columns: &[&'static Column],
) -> Vec<Cell> {
    columns.iter().map(|column| cell(snapshot, row, zone_nanos, column.id)).collect()
}

fn cell(snapshot: &Snapshot, row: &Row<'_>, zone_nanos: i64, column: &str) -> Cell {
    let who = row.who;
    match column {
        "comm" => name(row),
        "pid" => Cell::new(row.key.pid.to_string()),
        "pid_in_ns" => inside(row),
        "ppid" => Cell::new(who.ppid.to_string()),
        "user" => user(who),
        "tty" => optional(who.tty.as_deref(), "no controlling terminal"),
        "started_at" => {
            let local = |at: u64| at.saturating_add_signed(zone_nanos);
            Cell::new(unit::since(local(who.started_at), local(row.now)))
                .title(unit::date_time(local(who.started_at)))
        }
        "container" => match row.container {
            Some(name) => Cell::new(unit::short_id(name)),
            None if who.kernel_thread => Cell::new("kernel").class("quiet"),
            None => Cell::new("host").class("quiet"),
        },
        "cmdline" => command(snapshot, row),
        _ => match row.does {
            Some(does) => figure(does, column),
            None => Cell::unknown("not read yet"),
        },
    }
}

fn figure(does: &ProcessStat, column: &str) -> Cell {
    match column {
        "state" => state(does),
        "wait_channel" => waits(does),
        "cpu_ratio" => match does.cpu_ratio {
            Some(r) => zero_is_quiet(unit::percent_figure(f64::from(r)), r < 0.0005),
            None => Cell::unknown("first sample: a rate needs two"),
        },
        "rss_bytes" => zero_is_quiet(unit::bytes(does.rss_bytes), does.rss_bytes == 0),
        "virtual_bytes" => zero_is_quiet(unit::bytes(does.virtual_bytes), does.virtual_bytes == 0),
        "threads" => zero_is_quiet(does.threads.to_string(), does.threads <= 1),
        "priority" => Cell::new(if does.priority < -99 { "rt".into() } else { does.priority.to_string() }),
        "nice" => zero_is_quiet(does.nice.to_string(), does.nice == 0),
        "cpu_nanos" => zero_is_quiet(unit::cpu_time(does.cpu_nanos), does.cpu_nanos == 0),
        "read" => rate(does.read_bytes_per_sec),
        "write" => rate(does.write_bytes_per_sec),
        _ => Cell::default(),
    }
}

fn name(row: &Row<'_>) -> Cell {
    let cell = Cell::new(&row.who.comm);
    if row.who.kernel_thread { cell.class("quiet") } else { cell }
}

fn state(does: &ProcessStat) -> Cell {
    let (letter, meaning) = (letter(does.state), does.state.meaning());
    match does.wait_channel.as_deref() {
        Some(FREEZER) => {
            Cell::new(letter).class("attention").title(format!("frozen with its container, in {FREEZER}"))
        }
        Some(channel) => {
            Cell::new(letter).class(process_tone(does.state)).title(format!("{meaning}, in {channel}"))
        }
        None => Cell::new(letter).class(process_tone(does.state)).title(meaning),
    }
}

fn waits(does: &ProcessStat) -> Cell {
    match does.wait_channel.as_deref() {
        Some(FREEZER) => Cell::new(FREEZER).class("attention").title("frozen with its container"),
        Some(channel) => Cell::new(channel).class("trouble"),
        None if does.state == ProcessState::D => Cell::unknown("hidden by the kernel"),
        None => Cell::default(),
    }
}

fn inside(row: &Row<'_>) -> Cell {
    match row.who.pid_in_ns {
        Some(pid) if row.who.container.is_none() && pid == row.key.pid => {
            Cell::new(pid.to_string()).class("quiet")
        }
        Some(pid) => Cell::new(pid.to_string()),
        None => Cell::unknown("not readable: the process is gone, or the kernel is older than 4.1"),
    }
}

fn user(who: &Process) -> Cell {
    match (&who.user, who.euid.or(who.uid)) {
        (Some(user), Some(uid)) => Cell::new(user).title(format!("{user}, uid {uid}")),
        (Some(user), None) => Cell::new(user),
        (None, Some(uid)) => Cell::new(uid.to_string()).title("no passwd names this uid"),
        (None, None) => Cell::unknown("/proc/PID/status could not be read"),
    }
}

fn command(snapshot: &Snapshot, row: &Row<'_>) -> Cell {
    let who = row.who;
    if row.does.is_some_and(|d| d.state == ProcessState::Z) {
        let parent =
            process_of_pid(snapshot, who.ppid).map_or(String::new(), |(_, p)| format!(" ({})", p.comm));
        let text = format!("zombie: parent {}{parent} has not waited for it", who.ppid);
        return Cell::new(text).class("special");
    }
    match &who.cmdline {
        Some(line) if !line.is_empty() => Cell::new(line),
        Some(_) => Cell::new(format!("[{}]", who.comm)).class("quiet"),
        None => Cell::unknown("command lines are masked, or this one could not be read"),
    }
}

fn rate(bytes_per_sec: Option<f32>) -> Cell {
    match bytes_per_sec {
        Some(r) => zero_is_quiet(unit::bytes_per_sec(f64::from(r)), r < 0.5),
        None => Cell::unknown(NO_IO),
    }
}

fn optional(text: Option<&str>, why: &str) -> Cell {
    text.map_or_else(|| Cell::unknown(why), Cell::new)
}

fn zero_is_quiet(text: String, zero: bool) -> Cell {
    Cell::new(text).class(if zero { "quiet" } else { "" })
}
