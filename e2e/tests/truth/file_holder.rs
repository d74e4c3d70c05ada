//! Who holds files on a file system of our own (ext4 on a loop device) against `fuser -vm`, against `umount`, and against what was
//! written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use glasshull_shared::domain::file::HeldPlace;
use glasshull_shared::wire::{Answer, ClientMessage, Question};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, fraction, number, same};
use crate::mount_use::Mounted;
use crate::network::control::ask;
use crate::network::run;
use crate::runner::Context;

/// Name of the container.
const NAME: &str = "file-holders";
/// Has its output grow by 4 KiB some fifty times a second.
const GROW: &str = "exec >grows; cd /; while :; do head -c 4096 /dev/zero; sleep 0.02; done";

/// Processes that hold a file system in every way; gone when dropped.
struct Scene<'a> {
    context: &'a Context,
    disk: Mounted,
    /// What each of the host's processes does, and which it is.
    held: BTreeMap<&'static str, Ended>,
    /// Init of the container, which has the file system as a volume.
    inside: u32,
}

impl<'a> Scene<'a> {
    fn up(context: &'a Context) -> Result<Self> {
        let disk = Mounted::ext4(context)?;
        let folder = disk.folder.clone();
        let library = library()?;
        fs::copy("/bin/busybox", folder.join("busybox"))?;
        fs::copy(&library, folder.join(library.file_name().context("a library without a name")?))?;
        fs::write(folder.join("read"), [7; 5000])?;
        let place = folder.to_str().context("an odd path")?;
        let mut scene = Self { context, disk, held: BTreeMap::new(), inside: 0 };
        let mut start = |name, line: &str, library: &str| -> Result<()> {
            let mut command = Command::new("setpriv");
            command
                .args(["--pdeathsig", "KILL", "sh", "-c", line])
                .current_dir(place)
                .env("LD_LIBRARY_PATH", library)
                .env("PLACE", place);
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            scene.held.insert(name, Ended(child));
            Ok(())
        };
        start("files", "exec 5>written 6<read 7<. ; cd /; exec sleep 600", "")?;
        start("cwd", "exec sleep 600", "")?;
        start("program", "cd /; exec \"$PLACE/busybox\" sleep 600", "")?;
        start("root", "exec chroot . /busybox sleep 600", "")?;
        start("mapped", "cd /; exec sleep 600", place)?;
        start("grows", GROW, "")?;
        start("nothing", "cd /; exec sleep 600", "")?;
        let volume = format!("{place}:/data");
        let line = "exec 7>>/data/inside; exec sleep 600";
        let words =
            ["run", "--detach", "--name", NAME, "--network", "none", "--stop-timeout", "0", "--volume"];
        context.lab.docker(&[&words[..], &[&volume, IMAGE, "sh", "-c", line]].concat())?;
        let pid = context.lab.inspect(NAME)?["State"]["Pid"].as_u64().context("no pid")?;
        scene.inside = u32::try_from(pid)?;
        let sleeps = |pid: u32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"sleep\x00600\x00"))
        };
        let settled = || {
            let mut all = scene.held.iter().filter(|(name, _)| **name != "grows").map(|(_, one)| one.0.id());
            all.all(sleeps) && sleeps(scene.inside)
        };
        ensure!(wait_until(Duration::from_secs(20), settled), "the scene does not come to rest");
        Ok(scene)
    }

    fn pid(&self, name: &str) -> Result<u32> {
        Ok(self.held.get(name).with_context(|| format!("nobody does {name}"))?.0.id())
    }

    fn folder(&self) -> Result<&str> {
        self.disk.folder.to_str().context("an odd path")
    }

    fn device(&self) -> Result<String> {
        let device = fs::metadata(&self.disk.folder)?.dev();
        Ok(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
    }

    fn told(&self, place: &str, interval: &str) -> Result<(Snapshot, BTreeMap<u32, Value>)> {
        let args = ["--tables", "file_holder", "--holders", place, "--interval", interval];
        let snapshot = self.context.agent.snapshot_with(&self.context.endpoint(), &args)?;
        let rows = snapshot.rows("file_holder")?.iter();
        let rows =
            rows.map(|row| Ok((u32::try_from(number(row, "pid")?)?, row.clone()))).collect::<Result<_>>()?;
        Ok((snapshot, rows))
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let _ = self.context.lab.docker(&["rm", "--force", "--volumes", NAME]);
        for one in self.held.values_mut() {
            let _ = one.0.kill();
            let _ = one.0.wait();
        }
        // What the growing one started ends a moment later.
        wait_until(Duration::from_secs(5), || run(&["umount", self.folder().unwrap_or_default()]).is_ok());
    }
}

/// The C library of this very program.
fn library() -> Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let path =
        maps.lines().find_map(|line| line.split_once('/').filter(|(_, path)| path.contains("libc.so")));
    Ok(Path::new("/").join(path.context("this program has no C library")?.1))
}

/// Pids and letters of `fuser -vm`.
fn fuser(place: &str) -> Result<BTreeMap<u32, String>> {
    // It writes pids to the one stream and what stands around them to the other.
    let line = "exec fuser -vm \"$0\" 2>&1";
    let output = Command::new("sh").args(["-c", line, place]).env("LC_ALL", "C").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at =
            words.iter().position(|word| word.len() == 5 && word.chars().all(|c| "cefFrm.".contains(c)))?;
        Some((words.get(at.checked_sub(1)?)?.parse().ok()?, (*words.get(at)?).to_owned()))
    };
    let found: BTreeMap<_, _> = text.lines().filter_map(line).collect();
    ensure!(!found.is_empty(), "fuser says {text}");
    Ok(found)
}

/// The same processes as `fuser -vm`, held in the same ways; by mount point, device number and over the wire.
pub(crate) fn as_fuser(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let before = fuser(scene.folder()?)?;
    let (snapshot, rows) = scene.told(scene.folder()?, "100ms")?;
    let after = fuser(scene.folder()?)?;
    let steady = |pid: &u32| before.contains_key(pid) && after.contains_key(pid);
    for (pid, letters) in before.iter().filter(|(pid, _)| steady(pid)) {
        let row = rows.get(pid).with_context(|| format!("{pid} holds {letters}, which is not told"))?;
        let has = |letter: char| letters.contains(letter);
        for (field, letter) in [("cwd", 'c'), ("exe", 'e'), ("root", 'r')] {
            same(row, field, &json!(has(letter))).with_context(|| format!("fuser says {letters}"))?;
        }
        ensure!((number(row, "written")? > 0) == has('F'), "{letters}: {}", brief(row));
        ensure!((number(row, "descriptors")? > 0) == (has('f') || has('F')), "{letters}: {}", brief(row));
        ensure!((number(row, "mapped")? > 0) <= has('m'), "{letters}: {}", brief(row));
    }
    // What the growing one starts lives too short for fuser.
    let lives = |pid: &&u32| Path::new(&format!("/proc/{pid}")).exists();
    // And a newer one tells of the very mount alone: not of who has the file system through a mount of its own.
    let there = rows.iter().filter(|(_, row)| row["here"] != 0).map(|(pid, _)| pid);
    let unknown = there.filter(|pid| !before.contains_key(pid) && !after.contains_key(pid));
    let strangers: Vec<_> = unknown.filter(lives).collect();
    ensure!(strangers.is_empty(), "fuser knows no {strangers:?}");
    ensure!(!rows.contains_key(&scene.pid("nothing")?), "one that holds nothing is told");

    let row = |name: &str| Ok::<_, anyhow::Error>(&rows[&scene.pid(name)?]);
    same(row("files")?, "descriptors", &json!(3))?;
    same(row("files")?, "written", &json!(1))?;
    same(row("files")?, "here", &json!(3))?;
    same(row("files")?, "largest", &json!(scene.disk.folder.join("read")))?;
    same(row("files")?, "largest_bytes", &json!(5000))?;
    same(row("cwd")?, "cwd", &json!(true))?;
    same(row("program")?, "exe", &json!(true))?;
    same(row("program")?, "mapped", &json!(0))?;
    same(row("root")?, "root", &json!(true))?;
    same(row("mapped")?, "mapped", &json!(1))?;
    let inside = rows.get(&scene.inside).context("the container is not told")?;
    same(inside, "container", &json!(context.lab.inspect(NAME)?["Id"]))?;
    same(inside, "here", &json!(0))?;
    same(inside, "largest", &json!("/data/inside"))?;
    same(inside, "largest_host", &json!(scene.disk.folder.join("inside")))?;
    ensure!(
        snapshot.document()["holders"]["looked_at"].as_u64() > Some(10),
        "{}",
        snapshot.document()["holders"]
    );

    let steady: BTreeSet<u32> = scene
        .held
        .iter()
        .filter(|(name, _)| !["grows", "nothing"].contains(name))
        .map(|(_, one)| one.0.id())
        .collect();
    let (_, by_number) = scene.told(&scene.device()?, "100ms")?;
    ensure!(steady.iter().all(|pid| by_number.contains_key(pid)), "by number: {:?}", by_number.keys());
    same(&by_number[&scene.pid("files")?], "here", &Value::Null)?;
    let served = context.agent.serve(&context.endpoint())?;
    let question = Question::Holders(HeldPlace { device: scene.device()?, mount: None });
    let answer = ask(served.address, ClientMessage::Ask { id: 7, question })?;
    let Answer::Holders(found) = answer else { bail!("no answer about holders: {answer:?}") };
    let found = found.open()?;
    ensure!(steady.iter().all(|pid| found.rows.iter().any(|row| row.pid == *pid)), "{:?}", found.rows);
    // Where the agent is confined more than another process, that one hides its files, from fuser too.
    ensure!(
        found.missing.iter().all(|line| line.contains("holds more than the agent")),
        "{:?}",
        found.missing
    );
    Ok(())
}

/// Those who are on the very mount keep it from being unmounted, and nobody else does; what is mounted beneath it is said.
pub(crate) fn umount(context: &mut Context) -> Result<()> {
    let mut scene = Scene::up(context)?;
    let below = scene.disk.folder.join("below");
    fs::create_dir(&below)?;
    run(&["mount", "-t", "tmpfs", "below", below.to_str().context("an odd path")?])?;
    let (snapshot, rows) = scene.told(scene.folder()?, "100ms")?;
    let others = snapshot.document()["holders"]["others"].to_string();
    run(&["umount", below.to_str().context("an odd path")?])?;
    ensure!(others.contains("mounted beneath it") && others.contains("/below"), "{others}");
    let umount = |scene: &Scene<'_>| {
        let umount = Command::new("umount").arg(&scene.disk.folder).stderr(Stdio::null()).status()?;
        Ok::<_, anyhow::Error>(umount.success())
    };
    ensure!(!umount(&scene)?, "it is not busy");
    let busy: Vec<u32> =
        rows.iter().filter(|(_, row)| row["here"].as_u64() > Some(0)).map(|(pid, _)| *pid).collect();
    ensure!(busy.len() >= 6, "{busy:?}");
    for (name, one) in &mut scene.held {
        if *name != "nothing" {
            ensure!(busy.contains(&one.0.id()), "{name} is not among those on the mount");
        }
        if busy.contains(&one.0.id()) {
            one.0.kill()?;
            one.0.wait()?;
        }
    }
    // What the growing one started ends a moment later.
    ensure!(wait_until(Duration::from_secs(10), || umount(&scene).is_ok_and(|done| done)), "still busy");
    ensure!(Path::new(&format!("/proc/{}", scene.inside)).exists(), "the container has ended");
    Ok(())
}

/// What is written there is told as a rate, and comes first.
pub(crate) fn growth(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    // Long enough for many writes: size and position are read one after the other.
    let (_, rows) = scene.told(scene.folder()?, "2s")?;
    let row = &rows[&scene.pid("grows")?];
    let (grows, moves) = (fraction(row, "size_per_sec")?, fraction(row, "position_per_sec")?);
    // 4 KiB a time, some forty a second; under load fewer.
    ensure!(grows > 4096.0 && grows < 4e5 && (grows / moves - 1.0).abs() < 0.2, "{}", brief(row));
    same(&rows[&scene.pid("files")?], "size_per_sec", &json!(0.0))?;
    same(&rows[&scene.pid("files")?], "position_per_sec", &json!(0.0))
}

/// What is no place, and what is hidden, is told in a line.
pub(crate) fn refused(context: &mut Context) -> Result<()> {
    let answer =
        context.agent.call(&["snapshot", "--json", "--tables", "file_holder", "--holders", "/nowhere"])?;
    ensure!(
        !answer.success && answer.err.contains("no mount point") && answer.err.lines().count() == 1,
        "{}",
        answer.err
    );
    let answer = context.agent.call(&["snapshot", "--json", "--tables", "file_holder"])?;
    ensure!(!answer.success && answer.err.contains("--holders"), "{}", answer.err);
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let args = ["snapshot", "--json", "--tables", "file_holder", "--holders", "/"];
    let answer = context.agent.call_by(&nobody, &args)?;
    ensure!(answer.success && answer.err.contains("CAP_SYS_PTRACE"), "{}", answer.err);
    Ok(())
}
