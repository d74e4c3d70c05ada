//! How full file systems are against `df` and `findmnt`, on file systems of our own: ext4 on a loop device, tmpfs, and one that
//! hangs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use glasshull_shared::snapshot::{Snapshot as Tables, Topic};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, fraction, number, same};
use crate::network::run;
use crate::runner::Context;
use crate::watch::Watch;

/// Size of our file systems.
const SIZE: u64 = 32 << 20;
const TRAFFIC: &str = env!("CARGO_BIN_EXE_glasshull-traffic");
const COLUMNS: &str = "size,used,avail,itotal,iused";

/// A mount of ours; taken away when it is dropped.
pub(crate) struct Mounted {
    /// Where.
    pub(crate) folder: PathBuf,
    /// File of the loop device.
    image: Option<PathBuf>,
}

impl Mounted {
    fn folder(context: &Context, name: &str) -> Result<PathBuf> {
        // A name that mountinfo escapes.
        let folder = context.lab.state().dir.join(format!("use of {name}"));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// With ext4 on a loop device.
    pub(crate) fn ext4(context: &Context) -> Result<Self> {
        let folder = Self::folder(context, "ext4")?;
        let image = context.lab.state().dir.join("use.img");
        fs::File::create(&image)?.set_len(SIZE)?;
        let mounted = Self { folder, image: Some(image.clone()) };
        run(&["mkfs.ext4", "-q", "-F", text(&image)?])?;
        run(&["mount", "-o", "loop", text(&image)?, text(&mounted.folder)?])?;
        Ok(mounted)
    }

    fn tmpfs(context: &Context) -> Result<Self> {
        let folder = Self::folder(context, "tmpfs")?;
        let options = format!("size={SIZE},nr_inodes=1000");
        run(&["mount", "-t", "tmpfs", "-o", &options, "use of tmpfs", text(&folder)?])?;
        Ok(Self { folder, image: None })
    }

    fn write(&self, name: &str, bytes: u64) -> Result<()> {
        fs::write(self.folder.join(name), vec![7; usize::try_from(bytes)?])?;
        run(&["sync", "-f", text(&self.folder)?])?;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Its loop device goes with it.
        let _ = Command::new("umount").arg(&self.folder).stderr(Stdio::null()).status();
        let _ = fs::remove_dir(&self.folder);
        let _ = self.image.as_ref().map(fs::remove_file);
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("an odd path")
}

fn take(context: &Context, interval: &str) -> Result<Snapshot> {
    let tables = ["--tables", "mount,container,source", "--interval", interval];
    context.agent.snapshot_with(&context.endpoint(), &tables)
}

/// The row of a mountpoint of the host, or of one that only another namespace has.
fn row_at<'a>(snapshot: &'a Snapshot, folder: &Path) -> Result<&'a Value> {
    let is = |row: &&Value| row["mountpoint"] == json!(folder) && row["overmounted"] == false;
    let all: Vec<&Value> = snapshot.rows("mount")?.iter().filter(is).collect();
    let found = all.iter().find(|row| row["host"] == true).or_else(|| all.first());
    found.copied().with_context(|| format!("no row for {}", folder.display()))
}

/// What `df` tells, by way of other words: those of a namespace.
fn df(prefix: &[&str], folder: &Path) -> Result<Vec<u64>> {
    let output = format!("--output={COLUMNS}");
    let words = [prefix, &["df", "-B1", &output, text(folder)?]].concat();
    let told = run(&words)?;
    let line = told.lines().nth(1).context("no second line")?;
    line.split_whitespace().map(|word| word.parse().with_context(|| told.clone())).collect()
}

fn compare(row: &Value, truth: &[u64]) -> Result<()> {
    for (field, truth) in
        ["size_bytes", "used_bytes", "available_bytes", "inodes", "inodes_used"].iter().zip(truth)
    {
        same(row, field, &json!(truth))?;
    }
    same(row, "failure", &Value::Null)?;
    same(row, "hung", &json!(false))
}

/// Every figure of `df` for ext4 and tmpfs, with files in them; and the size of whatever else `df` lists.
pub(crate) fn as_df(context: &mut Context) -> Result<()> {
    let (ext4, tmpfs) = (Mounted::ext4(context)?, Mounted::tmpfs(context)?);
    for mounted in [&ext4, &tmpfs] {
        mounted.write("one", 3 << 20)?;
        mounted.write("two", 12_345)?;
    }
    let snapshot = take(context, "200ms")?;
    for (mounted, fstype) in [(&ext4, "ext4"), (&tmpfs, "tmpfs")] {
        let row = row_at(&snapshot, &mounted.folder)?;
        compare(row, &df(&[], &mounted.folder)?)?;
        ensure!(number(row, "used_bytes")? >= 3 << 20 && number(row, "inodes_used")? >= 2, "{}", brief(row));
        let told = run(&[
            "findmnt",
            "-J",
            "-b",
            "-o",
            "SOURCE,FSTYPE,MAJ:MIN,SIZE,USED,AVAIL",
            text(&mounted.folder)?,
        ])?;
        let told: Value = serde_json::from_str(&told)?;
        let truth = &told["filesystems"][0];
        ensure!(truth["fstype"] == fstype, "{truth}");
        for (field, column) in [("source", "source"), ("fstype", "fstype"), ("device", "maj:min")] {
            same(row, field, &truth[column])?;
        }
        for (field, column) in [("size_bytes", "size"), ("used_bytes", "used"), ("available_bytes", "avail")]
        {
            let bytes = truth[column].as_u64().or_else(|| truth[column].as_str()?.parse().ok());
            ensure!(row[field].as_u64() == bytes, "{field} of {}, findmnt says {truth}", brief(row));
        }
    }
    let told = run(&["df", "-B1", "--output=size,target"])?;
    let mut compared = 0;
    for line in told.lines().skip(1) {
        let Some((size, target)) = line.trim().split_once(' ') else { bail!("df says {line:?}") };
        same(row_at(&snapshot, Path::new(target.trim()))?, "size_bytes", &json!(size.parse::<u64>()?))?;
        compared += 1;
    }
    ensure!(compared >= 3, "df lists {compared}");
    Ok(())
}

/// A tmpfs in a mount namespace of its own, and what containers have: their `/dev/shm` is what Docker makes of 64 MiB, their root
/// what `df` says of it inside.
pub(crate) fn elsewhere(context: &mut Context) -> Result<()> {
    let folder = Mounted::folder(context, "elsewhere")?;
    let script = format!(
        "mount -t tmpfs -o size={SIZE},nr_inodes=77 elsewhere '{0}' && head -c 5000000 /dev/zero > '{0}/file' && echo ready && exec sleep 100",
        text(&folder)?
    );
    let child = ready(Command::new("unshare").args(["-m", "sh", "-c", &script]))?;
    let pid = child.0.id().to_string();
    let snapshot = take(context, "200ms")?;
    let row = row_at(&snapshot, &folder)?;
    same(row, "source", &json!("elsewhere"))?;
    compare(row, &df(&["nsenter", "-m", "-t", &pid], &folder)?)?;
    ensure!(df(&[], &folder)? != df(&["nsenter", "-m", "-t", &pid], &folder)?, "it is mounted here, too");

    let id = &context.lab.container("web")?.id;
    let of_web = |mountpoint: &str| {
        let is = |row: &&Value| row["container"] == **id && row["mountpoint"] == mountpoint;
        snapshot.rows("mount")?.iter().find(is).with_context(|| format!("no {mountpoint} of web"))
    };
    same(of_web("/dev/shm")?, "size_bytes", &json!(64 << 20))?;
    same(of_web("/dev/shm")?, "used_bytes", &json!(0))?;
    let init = context.lab.container("web")?.init_pid.context("no init")?;
    let root = df(&[], Path::new(&format!("/proc/{init}/root")))?;
    same(of_web("/")?, "size_bytes", &json!(root.first()))?;
    same(of_web("/proc")?, "size_bytes", &Value::Null)?;
    drop(child);
    Ok(fs::remove_dir(folder)?)
}

/// Starts a program and waits until it says that it is ready.
fn ready(command: &mut Command) -> Result<Ended> {
    let mut child = Ended(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().context("no stdout")?).read_line(&mut line)?;
    ensure!(line == "ready\n", "it says {line:?}");
    Ok(child)
}

/// What is written between two looks is the growth, and when it is full follows from what is left.
pub(crate) fn growth(context: &mut Context) -> Result<()> {
    const WRITTEN: u64 = 8 << 20;
    const SECS: u64 = 10;
    let tmpfs = Mounted::tmpfs(context)?;
    let (snapshot, took) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(SECS / 2)); // in the middle of the interval
            tmpfs.write("more", WRITTEN)
        });
        let began = Instant::now();
        let snapshot = take(context, &format!("{SECS}s"));
        let took = began.elapsed();
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        snapshot.map(|snapshot| (snapshot, took))
    })?;
    let row = row_at(&snapshot, &tmpfs.folder)?;
    let growth = fraction(row, "growth_bytes_per_sec")?;
    // Looks are as far apart as the ticks that order them, but for the start of a thread; and no farther than the call took.
    let (least, most) = (WRITTEN as f64 / took.as_secs_f64() * 0.95, WRITTEN as f64 / SECS as f64 * 1.1);
    ensure!((least..=most).contains(&growth), "{growth}, not {least} to {most} a second: {}", brief(row));
    let full = number(row, "available_bytes")? as f64 / growth;
    ensure!((fraction(row, "full_in_secs")? / full - 1.0).abs() < 0.001, "full in {full}: {}", brief(row));
    Ok(())
}

/// Looks in a process of their own that are there for a device.
fn left_behind(device: &str) -> usize {
    let is_one = |entry: fs::DirEntry| {
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = words.split(|byte| *byte == 0).skip(1);
        (words.next() == Some(b"look-apart") && words.next() == Some(device.as_bytes())).then_some(())
    };
    fs::read_dir("/proc").map_or(0, |all| all.flatten().filter_map(is_one).count())
}

/// One whose server is silent is told as such; all else is told as ever, and the program ends although its question does not.
pub(crate) fn hung(context: &mut Context) -> Result<()> {
    let (tmpfs, folder) = (Mounted::tmpfs(context)?, Mounted::folder(context, "hung")?);
    tmpfs.write("one", 1 << 20)?;
    let server = ready(Command::new("unshare").args(["-m", TRAFFIC, "mute", text(&folder)?]))?;
    let snapshot = take(context, "200ms")?;
    let row = row_at(&snapshot, &folder)?;
    same(row, "fstype", &json!("fuse.mute"))?;
    same(row, "hung", &json!(true))?;
    ensure!(row["failure"].is_string() && row["size_bytes"].is_null(), "{}", brief(row));
    compare(row_at(&snapshot, &tmpfs.folder)?, &df(&[], &tmpfs.folder)?)?;
    let source =
        snapshot.rows("source")?.iter().find(|row| row["name"] == "mount_use").context("no source")?;
    same(source, "state", &json!("limited"))?;
    // Who asked is still in the kernel, in a process of its own; it ends with what holds it.
    let device = row["device"].as_str().context("no device")?.to_owned();
    ensure!(left_behind(&device) == 1, "{} look at {device}", left_behind(&device));
    drop(server);
    ensure!(wait_until(Duration::from_secs(10), || left_behind(&device) == 0), "one stays behind");
    Ok(fs::remove_dir(folder)?)
}

/// While it hangs, ticks and looks at all else go on, and it is asked no second time; when it has gone, so has its row.
pub(crate) fn hung_while_watched(context: &mut Context) -> Result<()> {
    const WRITTEN: u64 = 3 << 20;
    let (tmpfs, folder) = (Mounted::tmpfs(context)?, Mounted::folder(context, "hung")?);
    let told = |tables: &Tables, folder: &Path| {
        let row = tables.mount.iter().find(|(_, row)| Path::new(&row.mountpoint) == folder)?;
        Some((row.1.device.clone(), tables.mount_use.get(row.0)?.clone()))
    };
    let topics = [Topic::Link, Topic::Mount, Topic::MountUse, Topic::HostStat];
    let watch = Watch::start(context, &topics, |_| false, |_| Ok(()))?;
    watch.wait("the first figures", |tables| told(tables, &tmpfs.folder).is_some())?;
    let server = ready(Command::new("unshare").args(["-m", TRAFFIC, "mute", text(&folder)?]))?;
    let mut device = String::new();
    watch.wait("one that hangs", |tables| {
        let hung = told(tables, &folder).filter(|(_, row)| row.hung);
        hung.is_some_and(|(number, _)| {
            device = number;
            true
        })
    })?;
    let ticks = watch.ticks();
    tmpfs.write("more", WRITTEN)?;
    watch.wait("what was written elsewhere", |tables| {
        told(tables, &tmpfs.folder)
            .is_some_and(|(_, row)| row.used_bytes >= Some(WRITTEN) && row.growth_bytes_per_sec > Some(0.0))
    })?;
    watch.wait("that it hangs still", |tables| told(tables, &folder).is_some_and(|(_, row)| row.hung))?;
    ensure!(wait_until(Duration::from_secs(20), || watch.ticks() >= ticks + 3), "no more ticks");
    ensure!(left_behind(&device) == 1, "{} look at {device}", left_behind(&device));
    drop(server);
    watch.wait("its end", |tables| told(tables, &folder).is_none())?;
    ensure!(wait_until(Duration::from_secs(10), || left_behind(&device) == 0), "one stays behind");
    drop(watch);
    Ok(fs::remove_dir(folder)?)
}
