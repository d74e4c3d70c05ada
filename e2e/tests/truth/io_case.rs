//! Who makes the host wait, in scenes of our own: on a loop device with ext4, in containers, and on a host at rest. What is named
//! must be what we started: `dd` by its pid, the device by its number, the file by its path.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::traffic::Ended;
use serde_json::{Value, json};

use crate::agent::{brief, same};
use crate::network::run;
use crate::runner::Context;

/// Size of the device. A file of this size, half a kilobyte at a time, keeps `dd` at work for long enough.
const SIZE: u64 = 600 << 20;
/// Name of the container.
const NAME: &str = "io-case";
/// Pressure is a mean over 10 s, and others may be at work too.
const PATIENCE: Duration = Duration::from_secs(60);
/// From this share on the host waits.
const WAITS: f64 = 0.05;

/// ext4 on a loop device; taken away when it is dropped.
struct Disk {
    node: String,
    image: PathBuf,
    folder: PathBuf,
}

impl Disk {
    fn up(context: &Context) -> Result<Self> {
        let dir = &context.lab.state().dir;
        let (image, folder) = (dir.join("case.img"), dir.join("case of waits"));
        fs::File::create(&image)?.set_len(SIZE)?;
        fs::create_dir_all(&folder)?;
        run(&["mkfs.ext4", "-q", "-F", text(&image)?])?;
        let node = run(&["losetup", "--find", "--show", text(&image)?])?.trim().to_owned();
        let disk = Self { node, image, folder };
        run(&["mount", &disk.node, text(&disk.folder)?])?;
        Ok(disk)
    }

    /// `major:minor`, as the kernel numbers it.
    fn number(&self) -> Result<Value> {
        number(fs::metadata(&self.folder)?.dev())
    }

    fn file(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.folder).stderr(Stdio::null()).status();
        let _ = run(&["losetup", "--detach", &self.node]);
        let _ = fs::remove_dir(&self.folder);
        let _ = fs::remove_file(&self.image);
    }
}

/// A container; taken away when it is dropped.
struct Container<'a>(&'a Context, String);

impl<'a> Container<'a> {
    fn up(context: &'a Context, more: &[&str], line: &str) -> Result<Self> {
        let start = ["run", "--detach", "--name", NAME, "--network", "none", "--stop-timeout", "0"];
        let id = context.lab.docker(&[&start[..], more, &[IMAGE, "sh", "-c", line]].concat())?;
        Ok(Self(context, id.trim().to_owned()))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.0.lab.docker(&["rm", "--force", "--volumes", NAME]);
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("an odd path")
}

fn number(device: u64) -> Result<Value> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(json!({ "major_minor": format!("{major}:{minor}") }))
}

/// `dd` with these words, until it is dropped.
fn dd(words: &[String]) -> Result<Ended> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "dd"]).args(words);
    Ok(Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

fn ask(context: &Context) -> Result<Value> {
    context.agent.json(&["io", "--json", "--engine", &context.endpoint()])
}

/// Asks until the case is as it should be; else why the last one was not.
fn told(context: &Context, fits: impl Fn(&Value) -> Result<()>) -> Result<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = ask(context)?;
        match fits(&told["case"]) {
            Ok(()) => return Ok(told),
            Err(why) if Instant::now() > until => {
                return Err(why.context(format!("host {}, case {}", told["host"], told["case"]["sentence"])));
            }
            Err(_) => {}
        }
    }
}

fn links<'a>(case: &'a Value, kind: &str) -> Vec<&'a Value> {
    case["links"].as_array().into_iter().flatten().filter(|link| link["kind"] == kind).collect()
}

fn link<'a>(case: &'a Value, kind: &str) -> Result<&'a Value> {
    links(case, kind).first().copied().with_context(|| format!("no {kind} in {}", brief(case)))
}

/// The device is in the chain, as what requests queue at or as what lies on that.
fn has_device(case: &Value, number: &Value) -> Result<()> {
    let mut all = links(case, "device").into_iter().chain(links(case, "volume"));
    ensure!(all.any(|link| link["device"] == *number), "{number} is not in {}", case["sentence"]);
    Ok(())
}

fn has_process(case: &Value, pid: u32) -> Result<()> {
    let link = link(case, "process")?;
    ensure!(link["process"]["pid"] == pid, "not {pid} but {}", brief(link));
    same(link, "unblamed", &json!(false))
}

/// The container `db`, whose writer syncs each second; it stands still until the value is dropped.
struct Paused<'a>(&'a Context);

impl<'a> Paused<'a> {
    fn db(context: &'a Context) -> Result<Self> {
        context.lab.docker(&["pause", "db"])?;
        Ok(Self(context))
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        let _ = self.0.lab.docker(&["unpause", "db"]);
    }
}

/// On a host whose own figures are below what counts as waiting there is no case.
pub(crate) fn idle(context: &mut Context) -> Result<()> {
    let _paused = Paused::db(context)?;
    let until = Instant::now() + 2 * PATIENCE;
    while Instant::now() < until {
        let (pressure, before) = (pressure()?, cpu_times()?);
        let told = ask(context)?;
        let after = cpu_times()?;
        let share = |at: usize| (after[at] - before[at]) as f64;
        let iowait = share(4) / (0..after.len()).map(share).sum::<f64>().max(1.0);
        // A margin: its seconds are not quite ours.
        if pressure.max(self::pressure()?) < WAITS * 0.8 && iowait < WAITS * 0.5 {
            ensure!(told["case"].is_null(), "at rest: {}", told["case"]["sentence"]);
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("the host is never at rest")
}

/// `avg10` of the line `some`, as a share.
fn pressure() -> Result<f64> {
    let text = fs::read_to_string("/proc/pressure/io")?;
    let figure = text.split_whitespace().find_map(|word| word.strip_prefix("avg10="));
    Ok(figure.context("no avg10")?.parse::<f64>()? / 100.0)
}

/// The first eight figures of all CPUs together.
fn cpu_times() -> Result<Vec<u64>> {
    let text = fs::read_to_string("/proc/stat")?;
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let times = words.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    ensure!(times.len() == 8, "{text}");
    Ok(times)
}

/// `dd oflag=direct` to a file: loop device, mount, pid and path are ours, and the sentence comes first.
pub(crate) fn direct_writer(context: &mut Context) -> Result<()> {
    let disk = Disk::up(context)?;
    let (device, file) = (disk.number()?, disk.file());
    let writer =
        dd(&["if=/dev/zero".into(), format!("of={}", text(&file)?), "bs=512".into(), "oflag=direct".into()])?;
    told(context, |case| {
        has_device(case, &device)?;
        same(link(case, "mount")?, "name", &json!(disk.folder))?;
        has_process(case, writer.0.id())?;
        let row = link(case, "file")?;
        same(row, "path", &json!(file))?;
        same(row, "host_path", &json!(file))?;
        ensure!(
            row["size_per_sec"].as_f64().is_some_and(|rate| rate > 1000.0),
            "it does not grow: {}",
            brief(row)
        );
        ensure!(links(case, "container").is_empty(), "it is in no container: {}", brief(case));
        let all = case["links"].as_array().context("no links")?;
        let empty = |link: &Value| {
            ["evidence", "doubt"].iter().any(|word| link[word].as_str().is_none_or(str::is_empty))
        };
        ensure!(!all.iter().any(empty), "a link without evidence or doubt: {case}");
        Ok(())
    })?;
    let answer = context.agent.call(&["io", "--engine", &context.endpoint()])?;
    let first = answer.out.lines().next().unwrap_or_default();
    ensure!(
        first.starts_with("host ") && first.contains(" → "),
        "the sentence does not come first: {}",
        answer.out
    );
    Ok(())
}

/// `dd iflag=direct` from a file.
pub(crate) fn reader(context: &mut Context) -> Result<()> {
    let disk = Disk::up(context)?;
    let (device, file) = (disk.number()?, disk.file());
    let fill = ["if=/dev/zero".into(), format!("of={}", text(&file)?), "bs=1M".into(), "count=500".into()];
    ensure!(dd(&[&fill[..], &["conv=fsync".into()]].concat())?.0.wait()?.success(), "dd failed");
    let reader =
        dd(&[format!("if={}", text(&file)?), "of=/dev/null".into(), "bs=512".into(), "iflag=direct".into()])?;
    told(context, |case| {
        has_device(case, &device)?;
        has_process(case, reader.0.id())?;
        let row = link(case, "file")?;
        same(row, "path", &json!(file))?;
        ensure!(
            row["position_per_sec"].as_f64().is_some_and(|rate| rate > 1000.0),
            "it rests: {}",
            brief(row)
        );
        Ok(())
    })?;
    Ok(())
}

/// `dd oflag=direct` to the device: its node is the file.
pub(crate) fn raw_writer(context: &mut Context) -> Result<()> {
    let disk = Disk::up(context)?;
    let device = disk.number()?;
    run(&["umount", text(&disk.folder)?])?;
    let writer =
        dd(&["if=/dev/zero".into(), format!("of={}", disk.node), "bs=512".into(), "oflag=direct".into()])?;
    told(context, |case| {
        has_device(case, &device)?;
        has_process(case, writer.0.id())?;
        same(link(case, "file")?, "path", &json!(disk.node))
    })?;
    Ok(())
}

/// A container whose `dd conv=fsync` writes to its own layer, again and again.
pub(crate) fn own_layer(context: &mut Context) -> Result<()> {
    let line = "while dd if=/dev/zero of=/big bs=64k count=8000 conv=fsync; do :; done";
    let container = Container::up(context, &[], line)?;
    let inspect = context.lab.inspect(NAME)?;
    let upper = inspect["GraphDriver"]["Data"]["UpperDir"].as_str().map(str::to_owned);
    let device = upper.as_deref().map(|upper| number(fs::metadata(upper)?.dev())).transpose()?;
    told(context, |case| {
        same(link(case, "container")?, "container", &json!(container.1))?;
        same(link(case, "container")?, "name", &json!(NAME))?;
        let process = link(case, "process")?;
        same(process, "name", &json!("dd"))?;
        same(process, "container", &json!(container.1))?;
        same(link(case, "file")?, "path", &json!("/big"))?;
        device.as_ref().map_or(Ok(()), |device| has_device(case, device))
    })?;
    Ok(())
}

/// A container that may write two megabytes a second to a volume on the loop device.
pub(crate) fn throttled(context: &mut Context) -> Result<()> {
    let disk = Disk::up(context)?;
    let (device, volume) = (disk.number()?, format!("{}:/data", text(&disk.folder)?));
    let limit = format!("{}:2mb", disk.node);
    let line = "exec dd if=/dev/zero of=/data/big bs=64k oflag=direct";
    let container = Container::up(context, &["--volume", &volume, "--device-write-bps", &limit], line)?;
    let pid = context.lab.inspect(NAME)?["State"]["Pid"].as_u64().context("no pid")?;
    told(context, |case| {
        has_device(case, &device)?;
        same(link(case, "mount")?, "name", &json!(disk.folder))?;
        same(link(case, "container")?, "container", &json!(container.1))?;
        has_process(case, u32::try_from(pid)?)?;
        let row = link(case, "file")?;
        same(row, "path", &json!("/data/big"))?;
        same(row, "host_path", &json!(disk.folder.join("big")))
    })?;
    Ok(())
}
