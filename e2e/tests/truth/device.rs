//! Block devices against `/proc/diskstats`, `lsblk` and what `dd` wrote past the page cache, on a loop device of our own; and
//! what control groups count at it for a container.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::traffic::{Ended, EndedGroup};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, fraction, number, same};
use crate::network::run;
use crate::runner::{Context, attempts};

/// Bytes of one write.
const BLOCK: u64 = 64 << 10;
/// Writes of one `dd`.
const COUNT: u64 = 256;
/// Blocks of the device: those a steady writer fills in one round while it is watched.
const PACED: u64 = 2048;
/// Readings that may be disturbed: iostat's seconds begin a moment before or after ours, and a busy machine stalls the writer.
const ATTEMPTS: usize = 6;

/// A loop device over a file of the lab's; taken away when it is dropped.
struct Loop {
    node: String,
    file: PathBuf,
}

impl Loop {
    fn up(context: &Context) -> Result<Self> {
        let file = context.lab.state().dir.join("device.img");
        fs::File::create(&file)?.set_len(BLOCK * PACED)?;
        let node = run(&["losetup", "--find", "--show", &file.display().to_string()])?.trim().to_owned();
        Ok(Self { node, file })
    }

    fn name(&self) -> &str {
        self.node.trim_start_matches("/dev/")
    }

    fn dd(&self, times: u64) -> Command {
        let mut command = Command::new("sh");
        let line = format!(
            "for i in $(seq {times}); do dd if=/dev/zero of={} bs={BLOCK} count={COUNT} oflag=direct conv=notrunc; done",
            self.node
        );
        command.args(["-c", &line]).stderr(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Fields 4 and later of our line in `/proc/diskstats`.
    fn counters(&self) -> Result<Vec<u64>> {
        let text = fs::read_to_string("/proc/diskstats")?;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = text.lines().map(words).find(|words| words.get(2).is_some_and(|name| name == self.name()));
        Ok(line.context("no line")?.iter().skip(3).filter_map(|word| word.parse().ok()).collect())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run(&["losetup", "--detach", &self.node]);
        let _ = fs::remove_file(&self.file);
    }
}

fn take(context: &Context, interval: &str) -> Result<Snapshot> {
    context.agent.snapshot_with(&context.endpoint(), &["--tables", "device", "--interval", interval])
}

fn row<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Value> {
    let found = snapshot.rows("device")?.iter().find(|row| row["name"] == name);
    found.with_context(|| format!("no row for {name}"))
}

/// Figures of the same seconds as `iostat -x` has them, under a writer at a steady pace.
pub(crate) fn as_iostat(context: &mut Context) -> Result<()> {
    let device = Loop::up(context)?;
    let line = format!(
        "while :; do for i in $(seq {PACED}); do head -c {BLOCK} /dev/zero; sleep 0.01; done | dd of={} bs={BLOCK} iflag=fullblock oflag=direct; done",
        device.node
    );
    let _writer = EndedGroup::start(Command::new("sh").args(["-c", &line]).stderr(Stdio::null()))?;
    attempts(ATTEMPTS, || compare_with_iostat(context, &device))
}

fn compare_with_iostat(context: &Context, device: &Loop) -> Result<()> {
    let iostat = Command::new("iostat")
        .args(["-d", "-x", "-y", "-o", "JSON", device.name(), "5", "1"])
        .env("S_TIME_FORMAT", "ISO")
        .stdout(Stdio::piped())
        .spawn()?;
    let snapshot = take(context, "5s");
    let told: Value = serde_json::from_slice(&iostat.wait_with_output()?.stdout)?;
    let theirs = &told["sysstat"]["hosts"][0]["statistics"][0]["disk"][0];
    let snapshot = snapshot?;
    let ours = row(&snapshot, device.name())?;
    // Their unit, how ours becomes it, and how far apart for what is rounded or was seen in slightly other seconds.
    let figures = [
        ("w/s", "writes_per_sec", 1.0, 0.5),
        ("wkB/s", "write_bytes_per_sec", 1.0 / 1024.0, 20.0),
        ("wareq-sz", "write_request_bytes", 1.0 / 1024.0, 0.1),
        ("w_await", "write_await_secs", 1000.0, 0.05),
        ("aqu-sz", "queue_length", 1.0, 0.02),
        ("util", "utilization_ratio", 100.0, 1.0),
        ("r/s", "reads_per_sec", 1.0, 0.1),
        ("wrqm/s", "write_merges_per_sec", 1.0, 0.1),
    ];
    ensure!(theirs["w/s"].as_f64().is_some_and(|writes| writes > 10.0), "nobody writes: {theirs}");
    for (their, our, factor, slack) in figures {
        let theirs = theirs[their].as_f64().with_context(|| format!("no {their} in {theirs}"))?;
        let ours = ours[our].as_f64().with_context(|| format!("no {our} in {ours}"))? * factor;
        ensure!((ours - theirs).abs() <= 0.03 * theirs + slack, "{our}: {ours}, iostat's {their}: {theirs}");
    }
    Ok(())
}

/// Names, numbers, sizes and what each lies on are those of `lsblk`; empty loop devices are in neither.
pub(crate) fn as_lsblk(context: &mut Context) -> Result<()> {
    let device = Loop::up(context)?;
    let snapshot = take(context, "200ms")?;
    let told: Value = serde_json::from_str(&run(&[
        "lsblk",
        "--json",
        "--bytes",
        "--list",
        "--output",
        "NAME,MAJ:MIN,SIZE,PKNAME,RO,TYPE",
    ])?)?;
    let listed = told["blockdevices"].as_array().context("lsblk lists nothing")?;
    let with_size = listed.iter().filter(|line| line["size"].as_u64().is_some_and(|size| size > 0));
    let mut compared = 0;
    for line in with_size {
        let name = line["name"].as_str().context("no name")?;
        let row = row(&snapshot, name)?;
        same(row, "size_bytes", &line["size"])?;
        same(row, "read_only", &line["ro"])?;
        ensure!(row["major_minor"] == json!(line["maj:min"].as_str().unwrap_or_default().trim()), "{row}");
        if let Some(parent) = line["pkname"].as_str() {
            ensure!(
                row["parents"].as_array().is_some_and(|all| all.iter().any(|one| one == parent)),
                "{row}"
            );
        }
        compared += 1;
    }
    ensure!(compared >= 2, "lsblk told of {compared} devices");
    let own = row(&snapshot, device.name())?;
    same(own, "kind", &json!("loop"))?;
    same(own, "backing_file", &json!(fs::canonicalize(&device.file)?))?;
    Ok(())
}

/// Counters are the kernel's, rates those of what `dd` writes, and nothing is told of a device at rest.
pub(crate) fn figures(context: &mut Context) -> Result<()> {
    let device = Loop::up(context)?;
    let before = device.counters()?;
    ensure!(device.dd(1).status()?.success(), "dd failed");
    let at_rest = take(context, "1s")?;
    let now = device.counters()?;
    let quiet = row(&at_rest, device.name())?;
    ensure!(quiet["write_bytes"].as_u64() == now.get(6).map(|sectors| sectors * 512), "{quiet}");
    let written = now.get(6).zip(before.get(6)).map(|(now, before)| (now - before) * 512);
    ensure!(written == Some(BLOCK * COUNT), "dd wrote {written:?}");
    for (field, at) in [("reads", 0), ("writes", 4), ("write_merges", 5), ("in_flight", 8)] {
        same(quiet, field, &json!(now.get(at)))?;
    }
    for (field, at) in [("write_nanos", 7), ("busy_nanos", 9), ("queue_nanos", 10)] {
        same(quiet, field, &json!(now.get(at).map(|millis| millis * 1_000_000)))?;
    }
    same(quiet, "write_bytes_per_sec", &json!(0.0))?;
    same(quiet, "utilization_ratio", &json!(0.0))?;
    same(quiet, "write_await_secs", &Value::Null)?;
    let _writer = Ended(device.dd(4000).spawn()?);
    let at_work = take(context, "2s")?;
    let busy = row(&at_work, device.name())?;
    let figure = |name: &str| busy[name].as_f64().with_context(|| format!("no {name} in {busy}"));
    let (bytes, writes) = (figure("write_bytes_per_sec")?, figure("writes_per_sec")?);
    ensure!(writes > 1.0 && figure("write_await_secs")? > 0.0, "{busy}");
    ensure!((bytes / writes / figure("write_request_bytes")? - 1.0).abs() < 0.01, "{busy}");
    ensure!(
        (figure("write_request_bytes")? / BLOCK as f64 - 1.0).abs() < 0.01,
        "dd writes {BLOCK} each: {busy}"
    );
    let share = figure("utilization_ratio")?;
    ensure!(share > 0.0 && share <= 1.0, "{busy}");
    // Little's law, by which iostat's figures hang together.
    let (queue, law) = (figure("queue_length")?, writes * figure("write_await_secs")?);
    ensure!((queue - law).abs() <= 0.1 * law + 0.02, "aqu-sz {queue}, w/s × w_await {law}");
    let told = context.agent.call(&["io", "--engine", &context.endpoint(), "--json"])?;
    let told: Value = serde_json::from_str(&told.out)?;
    let listed = told["devices"].as_array().into_iter().flatten();
    let named = listed.filter(|row| row["name"] == device.name()).count();
    ensure!(named == 1, "glasshull io does not tell of {}", device.name());
    Ok(())
}

/// Name of the container that writes to the device.
const WRITER: &str = "device-writer";
/// Bytes it may write in a second: a limit has the kernel count, also where v1 otherwise does not.
const ALLOWED: u64 = 8 << 20;

/// A container that has the device as `/dev/disk`; taken away when it is dropped.
struct Writer<'a> {
    context: &'a Context,
    id: String,
}

impl<'a> Writer<'a> {
    fn up(context: &'a Context, device: &Loop) -> Result<Self> {
        let (node, limit) = (format!("{}:/dev/disk", device.node), format!("{}:{ALLOWED}", device.node));
        let start = ["run", "--detach", "--name", WRITER, "--network", "none", "--stop-timeout", "0"];
        let more = ["--device", &node, "--device-write-bps", &limit, IMAGE, "sleep", "3600"];
        let id = context.lab.docker(&[&start[..], &more[..]].concat())?;
        Ok(Self { context, id: id.trim().to_owned() })
    }

    fn dd(&self, line: &str) -> Result<()> {
        let line = format!("exec dd bs={BLOCK} count={COUNT} {line}");
        self.context.lab.docker(&["exec", WRITER, "sh", "-c", &line]).map(drop)
    }

    fn row<'s>(&self, snapshot: &'s Snapshot, number: &str) -> Result<&'s Value> {
        let mut rows = snapshot.rows("container_device_io")?.iter();
        let found = rows.find(|row| row["container"] == self.id.as_str() && row["major_minor"] == number);
        found.with_context(|| format!("no row of {WRITER} at {number}"))
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let _ = self.context.lab.docker(&["rm", "--force", WRITER]);
    }
}

/// What a container writes and reads past the page cache is counted for it, at that device, with its rate; of whom nothing is
/// counted there is no row, and that is said.
pub(crate) fn of_container(context: &mut Context) -> Result<()> {
    let device = Loop::up(context)?;
    let writer = Writer::up(context, &device)?;
    let number_of = fs::read_to_string(format!("/sys/block/{}/dev", device.name()))?.trim().to_owned();
    let take = |interval: &str| {
        let tables = "container_device_io,container,source";
        context.agent.snapshot_with(&context.endpoint(), &["--tables", tables, "--interval", interval])
    };
    writer.dd("if=/dev/zero of=/dev/disk oflag=direct conv=notrunc")?;
    writer.dd("if=/dev/disk of=/dev/null iflag=direct")?;
    writer.dd("if=/dev/disk of=/dev/null iflag=direct")?;
    let snapshot = take("1s")?;
    let row = writer.row(&snapshot, &number_of)?;
    same(row, "device", &json!(device.name()))?;
    let wanted = BLOCK * COUNT;
    let near = |told: u64, truth: u64| told.abs_diff(truth) * 100 <= truth;
    ensure!(near(number(row, "write_bytes")?, wanted), "{wanted} were written: {}", brief(row));
    ensure!(near(number(row, "read_bytes")?, 2 * wanted), "{} were read: {}", 2 * wanted, brief(row));
    // The kernel may cut a request in parts, never join two of dd's.
    ensure!(number(row, "writes")? >= COUNT && number(row, "reads")? >= 2 * COUNT, "{}", brief(row));
    same(row, "write_bytes_per_sec", &json!(0.0))?;
    uncounted(&snapshot)?;
    // Twice what is allowed in two seconds, and no more passes.
    let line = "while :; do dd if=/dev/zero of=/dev/disk bs=64k count=256 oflag=direct conv=notrunc; done";
    context.lab.docker(&["exec", "--detach", WRITER, "sh", "-c", line])?;
    let at_work = take("3s")?;
    let row = writer.row(&at_work, &number_of)?;
    let (bytes, writes) = (fraction(row, "write_bytes_per_sec")?, fraction(row, "writes_per_sec")?);
    ensure!(bytes > 0.0 && bytes < 1.5 * ALLOWED as f64, "{ALLOWED} are allowed: {}", brief(row));
    ensure!(bytes / writes <= BLOCK as f64 * 1.01, "dd writes {BLOCK} at once: {}", brief(row));
    same(row, "read_bytes_per_sec", &json!(0.0))
}

/// Containers that run without a row are counted in the source's reason.
fn uncounted(snapshot: &Snapshot) -> Result<()> {
    let running = snapshot.rows("container")?.iter().filter(|row| row["pids"].is_u64());
    let rows = snapshot.rows("container_device_io")?;
    let without = running.clone().filter(|row| row["read_bytes"].is_null()).collect::<Vec<_>>();
    for container in &without {
        ensure!(rows.iter().all(|row| row["container"] != container["id"]), "{}", brief(container));
    }
    let source = snapshot.rows("source")?.iter().find(|row| row["name"] == "container_device_io");
    let source = source.context("no row of the source")?;
    let said = source["reason"].as_str().unwrap_or_default();
    let count = format!("of {} of {} containers", without.len(), running.count());
    ensure!(without.is_empty() == said.is_empty(), "{} are not counted: {source}", without.len());
    ensure!(without.is_empty() || said.starts_with(&count), "{count}: {source}");
    Ok(())
}
