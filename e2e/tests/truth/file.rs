//! Open files against `lsof -F`, on the host and in a container of our own, against `stat` through the kernel's links, and
//! against what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::wire::{Answer, ClientMessage, Question};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, fraction, number, same};
use crate::host::{Stat, child_named, children, only_child};
use crate::lsof::{Line, lsof};
use crate::network::control::ask;
use crate::runner::Context;

/// Name of the container.
const NAME: &str = "open-files";
/// Bytes of the file that is deleted while open.
const GONE: u64 = 32 << 20;
/// Opens files in every way a shell can, deletes one, reads to the middle of another, and stays so.
const HOLD: &str = "mkfifo pipe; exec 3<. 4</etc/passwd 5>>journal 6>gone 7<>both 8<>pipe 9>'odd (deleted)'; rm gone; \
    head -c 33554432 /dev/zero >&6; read line <&4; echo begun >&5; sleep 600";
/// Has `dd` write 64 KiB some fifty times a second.
const GROW: &str = "while :; do head -c 65536 /dev/zero; sleep 0.02; done | dd of=grows bs=64k";

/// Opens files on a file system whose server it then stops, directly and below an overlay.
const DEAD: &str = "mkdir low up work m up2 work2 top; echo hello >low/f; \
    fuse-overlayfs -f -o lowerdir=low,upperdir=up,workdir=work m >&2 & until [ -e m/f ]; do sleep 0.05; done; \
    mount -t overlay -o lowerdir=$PWD/m,upperdir=$PWD/up2,workdir=$PWD/work2 overlay top; \
    exec 3<m/f 4<top/f 5<m 6>>m/new; echo some >&6; sleep 2; kill -STOP $!; echo dead; sleep 600";

/// Processes that hold files: a shell of the host's and one in a container; gone when dropped.
struct Scene<'a> {
    context: &'a Context,
    folder: PathBuf,
    shell: Ended,
}

impl<'a> Scene<'a> {
    fn up(context: &'a Context) -> Result<Self> {
        let folder = context.lab.state().dir.join("open-files");
        fs::create_dir_all(&folder)?;
        let shell = Ended(shell(&folder, HOLD)?);
        let scene = Self { context, folder, shell };
        let start = ["run", "--detach", "--name", NAME, "--network", "none", "--stop-timeout", "0"];
        let place = ["--volume", "open-files:/data", "--workdir", "/data"];
        let inside = format!("({GROW}) & (cd /srv && ({HOLD}))");
        context.lab.docker(&[&start[..], &place, &[IMAGE, "sh", "-c", &inside]].concat())?;
        Ok(scene)
    }

    /// The shell of the host's, when it has come to rest.
    fn on_host(&self) -> Result<u32> {
        at_rest(self.shell.0.id())
    }

    /// The shell in the container, which has its files in the writable layer.
    fn in_container(&self) -> Result<u32> {
        let init = self.init()?;
        let mut found = Err(anyhow::anyhow!("no shell holds files"));
        wait_until(Duration::from_secs(20), || {
            let holds = |pid: &u32| fs::read_link(format!("/proc/{pid}/fd/9")).is_ok();
            let all = children(init).unwrap_or_default();
            let deeper = all.iter().flat_map(|pid| children(*pid).unwrap_or_default());
            // What a shell starts has its files too: the shell comes first. For its last command it forks no other.
            found = [init]
                .into_iter()
                .chain(all.iter().copied())
                .chain(deeper)
                .find(holds)
                .context("no shell holds files");
            found.is_ok()
        });
        at_rest(found?)
    }

    fn init(&self) -> Result<u32> {
        let pid = self.context.lab.inspect(NAME)?["State"]["Pid"].as_u64().context("no pid")?;
        Ok(u32::try_from(pid)?)
    }

    /// The `dd` in the container.
    fn writer(&self) -> Result<u32> {
        let init = self.init()?;
        let mut found = Err(anyhow::anyhow!("no dd"));
        wait_until(Duration::from_secs(20), || {
            let all = children(init).unwrap_or_default();
            found = all.into_iter().find_map(|pid| child_named(pid, "dd").ok()).context("no dd");
            found.is_ok()
        });
        found
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let _ = self.context.lab.docker(&["rm", "--force", "--volumes", NAME]);
        let _ = self.context.lab.docker(&["volume", "rm", "open-files"]);
        let _ = self.shell.0.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn shell(folder: &Path, line: &str) -> Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "sh", "-c", line]).current_dir(folder);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// The same pid, once it has written all it will.
fn at_rest(pid: u32) -> Result<u32> {
    let done = || fs::metadata(format!("/proc/{pid}/fd/5")).is_ok_and(|file| file.len() > 0);
    ensure!(wait_until(Duration::from_secs(20), done), "{pid} never comes to rest");
    Ok(pid)
}

/// Open files of a process as the agent tells them, by the names of [`lsof`].
fn told(context: &Context, pid: u32, interval: &str) -> Result<BTreeMap<String, Value>> {
    let pid = pid.to_string();
    let args = ["--tables", "open_file", "--files", &pid, "--interval", interval];
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &args)?;
    let rows = snapshot.rows("open_file")?.iter().map(|row| {
        let name = match row["held_as"].as_str().context("held_as")? {
            "descriptor" => number(row, "fd")?.to_string(),
            "cwd" => "cwd".to_owned(),
            "root" => "rtd".to_owned(),
            "exe" => "txt".to_owned(),
            "mem" => format!("mem {}", number(row, "inode")?),
            other => bail!("held as {other}"),
        };
        Ok((name, row.clone()))
    });
    rows.collect()
}

fn compare(row: &Value, line: &Line) -> Result<()> {
    let kind = match line.kind.as_str() {
        "REG" if line.name.starts_with('/') => "file",
        "DIR" => "dir",
        "CHR" => "char",
        "BLK" => "block",
        "FIFO" => "pipe",
        "unix" | "IPv4" | "IPv6" | "sock" | "netlink" | "raw" | "pack" => "socket",
        _ => "anon",
    };
    same(row, "kind", &json!(kind))?;
    let mode = match line.access.as_str() {
        "r" => json!("read"),
        "w" => json!("write"),
        "u" => json!("read_write"),
        _ => Value::Null,
    };
    ensure!(row["mode"] == mode || row["mode"] == "path", "mode is {}, lsof says {mode}", row["mode"]);
    for (bit, name) in [(0o2000, "O_APPEND"), (0o4000, "O_NONBLOCK"), (0o40000, "O_DIRECT")] {
        let has = row["flags"].as_array().is_some_and(|all| all.iter().any(|flag| flag == name));
        ensure!(has == (line.flags & bit != 0), "{name}: {} but {:o}", row["flags"], line.flags);
    }
    let device = format!("{}:{}", rustix::fs::major(line.device), rustix::fs::minor(line.device));
    match kind {
        "socket" | "anon" => return Ok(()), // lsof has its own words for these
        _ => same(row, "device", &json!(device))?,
    }
    same(row, "inode", &json!(line.inode))?;
    if kind == "file" || kind == "dir" {
        same(row, "size_bytes", &json!(line.size))?;
        let deleted = line.links == Some(0);
        same(row, "deleted", &json!(deleted))?;
        let name = if deleted { line.name.trim_end_matches(" (deleted)") } else { &line.name };
        same(row, "path", &json!(name))?;
    }
    if kind == "file" && row["held_as"] == "descriptor" {
        same(row, "position", &json!(line.offset))?;
    }
    Ok(())
}

/// Every file of each process: a shell of the host's, one in a container, and the engine with its sockets and polls.
pub(crate) fn as_lsof(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let engine = context.lab.state().dockerd_pid.context("no dockerd")?;
    let mut kinds = BTreeSet::new();
    for pid in [scene.on_host()?, scene.in_container()?, engine] {
        let before = lsof(pid)?;
        let told = told(context, pid, "100ms")?;
        let after = lsof(pid)?;
        let steady = before.iter().filter(|(fd, line)| after.get(*fd) == Some(line));
        let mut compared = 0;
        for (fd, line) in steady {
            let row = told.get(fd).with_context(|| format!("{pid} has {fd}: {line:?}, which is not told"))?;
            compare(row, line).with_context(|| format!("{pid}, {fd}: lsof {line:?}, told {}", brief(row)))?;
            kinds.insert(row["kind"].to_string());
            compared += 1;
        }
        ensure!(compared >= 10, "{pid}: only {compared} compared");
        let stranger = told.keys().find(|fd| !before.contains_key(*fd) && !after.contains_key(*fd));
        ensure!(stranger.is_none() || pid == engine, "{pid}: lsof knows no {stranger:?}");
    }
    for kind in ["file", "dir", "char", "pipe", "socket", "anon"] {
        ensure!(kinds.contains(&format!("{kind:?}")), "no {kind} was compared: {kinds:?}");
    }
    Ok(())
}

fn of_top(context: &Context) -> Result<BTreeSet<u64>> {
    let text = context.lab.docker(&["top", NAME, "-o", "pid"])?;
    Ok(text.lines().skip(1).filter_map(|line| line.trim().parse().ok()).collect())
}

/// Of a container, named as a person does: each of its processes with the descriptors that it has.
pub(crate) fn of_container(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let holder = scene.in_container()?;
    let engine = context.endpoint();
    let id = context.lab.inspect(NAME)?["Id"].as_str().context("no id")?.to_owned();
    for subject in [NAME, &id[..12]] {
        let args = ["--tables", "open_file", "--files", subject, "--interval", "100ms"];
        let before = of_top(context)?;
        let snapshot = context.agent.snapshot_with(&engine, &args)?;
        let rows = snapshot.rows("open_file")?;
        let pids: BTreeSet<u64> = rows.iter().filter_map(|row| row["pid"].as_u64()).collect();
        // The writer's are made anew all the time.
        let after = of_top(context)?;
        let steady: BTreeSet<u64> = before.intersection(&after).copied().collect();
        ensure!(steady.len() >= 3 && steady.is_subset(&pids), "{steady:?} of which are told {pids:?}");
        let own = fs::read_dir(format!("/proc/{holder}/fd"))?.count();
        let told = rows.iter().filter(|row| row["pid"] == holder && row["held_as"] == "descriptor").count();
        ensure!(told == own, "{holder} has {own} descriptors, told are {told}");
        same(&snapshot.document()["files"], "container", &json!(id))?;
    }
    let args = ["snapshot", "--json", "--files", "nobody-is-called-so", "--engine", &engine];
    let answer = context.agent.call(&args)?;
    ensure!(!answer.success && answer.err.contains("nobody-is-called-so"), "{}", answer.err);
    let args = ["snapshot", "--json", "--files", "exited", "--engine", &engine];
    let answer = context.agent.call(&args)?;
    ensure!(
        !answer.success && answer.err.contains("no process of it runs that we can see"),
        "{}",
        answer.err
    );
    Ok(())
}

/// The space a deleted file holds, and what is only called so.
pub(crate) fn deleted(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    for pid in [scene.on_host()?, scene.in_container()?] {
        let told = told(context, pid, "100ms")?;
        let gone = told.get("6").context("no descriptor 6")?;
        let truth = fs::metadata(format!("/proc/{pid}/fd/6"))?;
        ensure!(truth.nlink() == 0 && truth.blocks() * 512 >= GONE, "the scene deletes nothing: {truth:?}");
        same(gone, "deleted", &json!(true))?;
        same(gone, "size_bytes", &json!(GONE))?;
        same(gone, "position", &json!(GONE))?;
        same(gone, "held_bytes", &json!(truth.blocks() * 512))?;
        ensure!(gone["path"].as_str().is_some_and(|path| path.ends_with("/gone")), "{}", brief(gone));
        let liar = told.get("9").context("no descriptor 9")?;
        same(liar, "deleted", &json!(false))?;
        ensure!(
            liar["path"].as_str().is_some_and(|path| path.ends_with("/odd (deleted)")),
            "{}",
            brief(liar)
        );
    }
    Ok(())
}

/// A path on the host leads to the very inode, that in the layer to the same bytes.
pub(crate) fn host_path(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.in_container()?;
    let upper = context.lab.inspect(NAME)?["GraphDriver"]["Data"]["UpperDir"].clone();
    let upper = fs::canonicalize(upper.as_str().context("no upper directory")?)?;
    let mut rows = told(context, pid, "100ms")?;
    rows.extend(told(context, scene.writer()?, "100ms")?.remove("1").map(|row| ("volume".to_owned(), row)));
    for name in ["cwd", "txt", "3", "4", "5", "7", "9", "volume"] {
        let row = rows.get(name).with_context(|| format!("no {name}"))?;
        let host = row["host_path"].as_str().with_context(|| brief(row))?;
        let found = fs::metadata(host).with_context(|| host.to_owned())?;
        ensure!(Some(found.ino()) == row["inode"].as_u64(), "{host} is another file than {}", brief(row));
        ensure!(!host.starts_with("/proc"), "{host} is no path of the host");
    }
    for name in ["5", "7", "9"] {
        let row = &rows[name];
        let layer = row["layer_path"].as_str().with_context(|| brief(row))?;
        ensure!(fs::canonicalize(layer)?.starts_with(&upper), "{layer} is not in the upper layer");
        ensure!(fs::read(layer)? == fs::read(format!("/proc/{pid}/fd/{name}"))?, "{layer} holds other bytes");
    }
    let passwd = rows["4"]["layer_path"].as_str().context("no layer of /etc/passwd")?;
    ensure!(!fs::canonicalize(passwd)?.starts_with(&upper), "{passwd} is in the image");
    same(&rows["volume"], "path", &json!("/data/grows"))?;
    same(&rows["volume"], "layer_path", &Value::Null)
}

/// A client of the dashboard is told the same, and that a pid has gone to another process.
pub(crate) fn asked(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.in_container()?;
    let served = context.agent.serve(&context.endpoint())?;
    let ask = |start_time| {
        let question = Question::Files(ProcessKey { pid, start_time });
        ask(served.address, ClientMessage::Ask { id: 7, question })
    };
    let start_time = Stat::read(pid)?.start_time;
    let Answer::Files(files) = ask(start_time)? else { bail!("no answer about files") };
    let files = files.open()?;
    let told = told(context, pid, "100ms")?;
    ensure!(
        files.rows.len() == told.len() && files.left_out == 0,
        "{} rows, {}",
        files.rows.len(),
        told.len()
    );
    for row in files.rows.iter().filter(|row| row.fd.is_some()) {
        let fd = row.fd.unwrap_or_default().to_string();
        let truth = told.get(&fd).with_context(|| format!("no descriptor {fd}"))?;
        let Value::Object(row) = serde_json::to_value(row)? else { bail!("no object") };
        for (field, value) in row.iter().filter(|(field, _)| !field.ends_with("_per_sec")) {
            same(truth, field, value)?;
        }
    }
    let Answer::Failed(why) = ask(start_time + 1)? else { bail!("told of another process") };
    ensure!(why.contains("another process"), "{why}");
    Ok(())
}

/// What `dd` writes in a container is told as growth: no more than grew around the two looks, and most of it.
pub(crate) fn growth(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let dd = scene.writer()?;
    let size = || Ok::<_, anyhow::Error>(fs::metadata(format!("/proc/{dd}/fd/1"))?.len());
    let before = size()?;
    let told = told(context, dd, "2s")?;
    let grown = (size()? - before) as f64;
    let row = told.get("1").context("no descriptor 1")?;
    let (by_size, by_position) =
        (fraction(row, "size_per_sec")? * 2.0, fraction(row, "position_per_sec")? * 2.0);
    ensure!(by_size <= grown * 1.05 && by_size >= grown * 0.3, "{by_size} of {grown} bytes: {}", brief(row));
    // Position and size are read one after the other, and it writes in between.
    ensure!((by_size / by_position - 1.0).abs() < 0.2, "position and size part: {}", brief(row));
    let at_rest = &self::told(context, scene.on_host()?, "200ms")?["5"];
    same(at_rest, "size_per_sec", &json!(0.0))?;
    same(at_rest, "position_per_sec", &json!(0.0))
}

/// Files of a server that is stopped, and of an overlay above it: told from what the kernel remembers, where `stat` hangs.
pub(crate) fn dead_server(context: &mut Context) -> Result<()> {
    let folder = context.lab.state().dir.join("dead-server");
    fs::create_dir_all(&folder)?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", DEAD]).current_dir(&folder);
    let mut scene = Ended(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let mut line = String::new();
    BufReader::new(scene.0.stdout.take().context("no stdout")?).read_line(&mut line)?;
    ensure!(line == "dead\n", "the server of the scene does not come up");
    let pid = only_child(scene.0.id())?.to_string();
    let stat = Command::new("timeout").args(["3", "stat", "-L", &format!("/proc/{pid}/fd/3")]).output()?;
    ensure!(
        stat.status.code() == Some(124),
        "it is not dead: stat says {}",
        String::from_utf8_lossy(&stat.stdout)
    );
    let endpoint = context.endpoint();
    let args = ["snapshot", "--json", "--engine", &endpoint, "--tables", "open_file", "--files", &pid];
    let answer = context.agent.call_by(&["nsenter", "--mount", "--target", &pid], &args)?;
    ensure!(answer.success, "{}", answer.err);
    let snapshot = Snapshot::parse(&answer.out)?;
    for (fd, path, size) in [(3, "m/f", 6), (4, "top/f", 6), (6, "m/new", 5)] {
        let row = snapshot.rows("open_file")?.iter().find(|row| row["fd"] == fd);
        let (row, path) = (row.with_context(|| format!("no {fd}"))?, folder.join(path));
        same(row, "path", &json!(path))?;
        same(row, "host_path", &json!(path))?;
        same(row, "size_bytes", &json!(size))?;
        same(row, "layer_path", &Value::Null)?;
    }
    ensure!(answer.err.contains("does not answer"), "what hangs is not said: {}", answer.err);
    drop(scene);
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Who has ended, is not there, or is hidden is told in a line, with an exit code.
pub(crate) fn refused(context: &mut Context) -> Result<()> {
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    // Its shell waits for it, so that it is gone when it ends: between the two looks.
    let short = Command::new("sh").args(["-c", "sleep 4 & echo $!; wait"]).stdout(Stdio::piped()).spawn()?;
    let mut short = Ended(short);
    let mut line = String::new();
    BufReader::new(short.0.stdout.take().context("no stdout")?).read_line(&mut line)?;
    let cases: [(&[&str], u32, &str); 3] = [
        (&[], line.trim().parse()?, "has ended"),
        (&[], 4_194_303, "no process 4194303"),
        (&nobody, context.lab.state().dockerd_pid.context("no dockerd")?, "CAP_SYS_PTRACE"),
    ];
    for (by, pid, what) in cases {
        let pid = pid.to_string();
        let args = ["snapshot", "--json", "--tables", "open_file", "--files", &pid, "--interval", "8s"];
        let answer = context.agent.call_by(by, &args)?;
        ensure!(!answer.success && answer.out.is_empty(), "told of {pid}: {}", answer.out);
        ensure!(answer.err.contains(what) && answer.err.lines().count() == 1, "{what}: {}", answer.err);
    }
    let answer = context.agent.call(&["snapshot", "--json", "--tables", "open_file"])?;
    ensure!(!answer.success && answer.err.contains("--files PID"), "{}", answer.err);
    Ok(())
}
