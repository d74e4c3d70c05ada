//! Files out of containers and images against `docker cp`, `stat` inside and the engine's own list of containers: a running and
//! a stopped one, an image that holds a single file, an engine that dies and a reader that goes away in the midst.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use serde_json::Value;

use crate::agent::Served;
use crate::network::run;
use crate::runner::Context;

const NAME: &str = "files-web";
const SCRATCH: &str = "files-scratch:1";
/// A link, a hard link, a pipe, odd modes, an odd name, a tree, a volume, and a file that takes its time.
const MAKE: &str = r#"mkdir -p /scene/tree/below && cd /scene && printf 'a line\n' > plain && chmod 4751 plain &&
    ln -s plain link && ln -s /scene/tree away && ln plain second && mkfifo pipe && chown 1000:50 tree && chmod 1777 tree &&
    printf x > "$(printf 'odd\n\033[2Jname')" && printf deep > tree/below/file && cp odd* tree/ && touch -d '2001-02-03 04:05:06' plain &&
    printf vol > /volume/inside && truncate -s 256M big && exec sleep 3600"#;
/// As long as nothing hangs, everything is done long before.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// The scene; taken down when it is dropped.
struct Scene<'a> {
    context: &'a Context,
    served: Option<Served>,
}

impl<'a> Scene<'a> {
    fn up(context: &'a Context) -> Result<Self> {
        let served =
            context.agent.serve_with(&context.endpoint(), &["--allow-files", "--files-limit", "300MiB"])?;
        let scene = Self { context, served: Some(served) };
        let start =
            ["run", "-d", "--name", NAME, "--stop-timeout", "0", "--network", "none", "--volume", "/volume"];
        context.lab.docker(&[&start[..], &[IMAGE, "sh", "-c", MAKE]].concat())?;
        let ready = || context.lab.exec(NAME, &["test", "-s", "/scene/big"]).is_ok();
        ensure!(wait_until(HANGS_AFTER, ready), "the files are not made");
        Ok(scene)
    }

    /// Leaves everything as it is for [`Scene::again`], while the engine is dealt with.
    fn keep(mut self) -> Result<Served> {
        self.served.take().context("kept twice")
    }

    fn again(context: &'a Context, served: Served) -> Self {
        Self { context, served: Some(served) }
    }

    fn address(&self) -> Result<SocketAddr> {
        Ok(self.served.as_ref().context("not served")?.address)
    }

    /// An image of one file, without any program.
    fn import(&self) -> Result<()> {
        let dir = self.file("scratch");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("only"), "the only file\n")?;
        let tar = self.file("scratch.tar");
        run(&["tar", "-C", &dir.display().to_string(), "-cf", &tar.display().to_string(), "only"])?;
        self.context.lab.docker(&["import", &tar.display().to_string(), SCRATCH]).map(drop)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.context.lab.state().dir.join(format!("files-{name}"))
    }

    /// Status and body of `/files/…`.
    fn get(&self, place: &str) -> Result<(String, Vec<u8>)> {
        let url = format!("http://{}/files/{place}", self.address()?);
        let out = self.file("answer");
        let words = ["curl", "--noproxy", "*", "-sS", "--max-time", "60", "-w", "%{http_code}", "-o"];
        let status = run(&[&words[..], &[&out.display().to_string(), &url]].concat())?;
        Ok((status, fs::read(&out).unwrap_or_default()))
    }

    fn list(&self, place: &str) -> Result<Value> {
        let (status, body) = self.get(place)?;
        ensure!(status == "200", "{place}: {status} {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    /// What `glasshull files` prints.
    fn files(&self, words: &[&str]) -> Result<String> {
        let endpoint = self.context.endpoint();
        let answer = self.context.agent.call(&[&["files", "--engine", &endpoint], words].concat())?;
        ensure!(answer.success, "glasshull files {}: {}", words.join(" "), answer.err);
        Ok(answer.out)
    }

    /// What `docker cp` writes to standard output.
    fn cp(&self, what: &str) -> Result<Vec<u8>> {
        let output =
            Command::new("docker").args(["-H", &self.context.endpoint(), "cp", what, "-"]).output()?;
        ensure!(output.status.success(), "docker cp: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    }

    /// Containers of ours that the engine still has.
    fn leftovers(&self) -> Result<String> {
        let filter =
            ["ps", "--all", "--filter", "label=glasshull.files", "--format", "{{.Names}} {{.State}}"];
        Ok(self.context.lab.docker(&filter)?.trim().to_owned())
    }

    /// A transfer of which the first bytes are here, and which nobody reads on.
    fn begin(&self, place: &str) -> Result<TcpStream> {
        let address = self.address()?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(HANGS_AFTER))?;
        write!(stream, "GET /files/{place} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut first = [0; 1000];
        stream.read_exact(&mut first)?;
        let head = String::from_utf8_lossy(&first);
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        ensure!(head.contains("content-length: 268435456\r\n"), "{head}");
        Ok(stream)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if self.served.is_none() {
            return;
        }
        // What was never made cannot be removed, and all else must be.
        let _ = self.context.lab.docker(&["rm", "--force", "--volumes", NAME]);
        let _ = self.context.lab.docker(&["image", "rm", "--force", SCRATCH]);
    }
}

/// The entries of a list by name.
fn entries(list: &Value) -> BTreeMap<String, Value> {
    let all = list["entries"].as_array().into_iter().flatten();
    all.filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), entry.clone()))).collect()
}

/// Names, kinds, modes, owners, sizes and times are those that `stat` tells inside, over HTTP and in the terminal, and stay when
/// the container is stopped; a link leads on.
pub(crate) fn list(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let list = scene.list(&format!("{NAME}?path=/scene"))?;
    let all = entries(&list);
    ensure!(list["kind"] == "directory" && list["incomplete"].is_null() && list["of"] == NAME, "{list}");
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    ensure!(
        names == ["away", "big", "link", "odd\n\u{1b}[2Jname", "pipe", "plain", "second", "tree"],
        "{names:?}"
    );
    for (name, kind) in [
        ("away", "symlink"),
        ("big", "file"),
        ("link", "symlink"),
        ("pipe", "fifo"),
        ("plain", "file"),
        ("tree", "directory"),
    ] {
        let stat =
            scene.context.lab.exec(NAME, &["stat", "-c", "%a %u %g %s %Y", &format!("/scene/{name}")])?;
        let words: Vec<&str> = stat.split_whitespace().collect();
        let row = &all[name];
        ensure!(row["kind"] == kind, "{row}");
        ensure!(row["mode"] == u32::from_str_radix(words[0], 8)?, "{row}: {stat}");
        ensure!(
            row["uid"] == words[1].parse::<u64>()? && row["gid"] == words[2].parse::<u64>()?,
            "{row}: {stat}"
        );
        let size = if kind == "file" { Value::from(words[3].parse::<u64>()?) } else { Value::Null };
        ensure!(row["size_bytes"] == size, "{row}: {stat}");
        let secs = row["modified_at"].as_u64().context("no time")? / 1_000_000_000;
        ensure!(secs.to_string() == words[4], "{row}: {stat}");
    }
    ensure!(all["link"]["link"] == "plain" && all["away"]["link"] == "/scene/tree", "{list}");
    // Which of two names comes as the link is the archive's affair; /scene/plain comes first.
    ensure!(all["second"]["kind"] == "hard_link" && all["second"]["size_bytes"].is_null(), "{list}");
    let led = scene.list(&format!("{NAME}?path=/scene/away"))?;
    ensure!(led["path"] == "/scene/tree" && entries(&led).contains_key("below"), "{led}");
    let root = scene.list(&format!("{NAME}?path=/"))?;
    let top = entries(&root);
    ensure!(["bin", "etc", "scene", "volume"].iter().all(|name| top.contains_key(*name)), "{root}");
    ensure!(!top.contains_key("plain") && top["bin"]["kind"] == "directory", "{root}");
    let told: Value = serde_json::from_str(&scene.files(&[NAME, "/scene", "--json"])?)?;
    ensure!(told == list, "the command tells {told}, not {list}");
    let text = scene.files(&[NAME, "/scene"])?;
    ensure!(text.contains("-rwsr-x--x  0     0    7 B") && text.contains("odd\\n\\u{1b}[2Jname"), "{text}");
    scene.context.lab.docker(&["stop", NAME])?;
    let stopped = scene.list(&format!("{NAME}?path=/scene"))?;
    ensure!(stopped == list, "stopped: {stopped}, not {list}");
    let volume = scene.list(&format!("{NAME}?path=/volume"))?;
    ensure!(entries(&volume)["inside"]["size_bytes"] == 3, "{volume}");
    Ok(())
}

/// Trees are byte by byte the tar that `docker cp` writes, files what is in it; running and stopped.
pub(crate) fn as_docker_cp(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let copy = scene.file("copy");
    for stopped in [false, true] {
        if stopped {
            scene.context.lab.docker(&["stop", NAME])?;
        }
        for path in ["/scene/tree", "/etc", "/scene/plain", "/volume"] {
            let truth = scene.cp(&format!("{NAME}:{path}"))?;
            let (status, tar) = scene.get(&format!("{NAME}?path={path}&format=tar"))?;
            ensure!(
                status == "200" && tar == truth,
                "{path}: {status}, {} of {} bytes",
                tar.len(),
                truth.len()
            );
        }
        let program = fs::read("/bin/busybox")?;
        // `sh` is a link to it.
        let (status, file) = scene.get(&format!("{NAME}?path=/bin/sh&format=file"))?;
        ensure!(status == "200" && file == program, "{status}: {} of {} bytes", file.len(), program.len());
        ensure!(scene.files(&[NAME, "/scene/link", "--to", "-"])? == "a line\n");
        let words = [NAME, "/etc", "--to", &copy.display().to_string()];
        scene.files(&words)?;
        ensure!(fs::read(&copy)? == scene.cp(&format!("{NAME}:/etc"))?, "the copy differs");
        let again = scene.files(&words);
        ensure!(again.is_err_and(|why| format!("{why:#}").contains("File exists")), "overwritten");
        fs::remove_file(&copy)?;
    }
    Ok(())
}

/// Nothing is started, and nothing is left: neither of this nor of a process that died; what only looks like ours stays.
pub(crate) fn image(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    scene.import()?;
    let lab = &scene.context.lab;
    // As a process that is no more would have left it, and as an image's own label could make another one look.
    let owner = format!("{}:999999999:1:0123456789abcdef", inode("/proc/self/ns/pid")?);
    let label = format!("glasshull.files={owner}");
    lab.docker(&["create", "--name", "glasshull-files-0123456789abcdef", "--label", &label, IMAGE, "true"])?;
    lab.docker(&["create", "--name", "files-other", "--label", &label, IMAGE, "true"])?;
    let since = run(&["date", "+%s.%N"])?;
    let list = scene.list(&format!("image/{SCRATCH}?path=/"))?;
    let mut all = entries(&list);
    // What an engine puts into every container before it starts.
    all.retain(|name, _| !["dev", "etc", "proc", "sys", ".dockerenv"].contains(&name.as_str()));
    ensure!(all.len() == 1 && all["only"]["size_bytes"] == 14, "{list}");
    ensure!(list["of"] == SCRATCH && list["container"].is_null(), "{list}");
    let (status, only) = scene.get(&format!("image/{SCRATCH}?path=/only&format=file"))?;
    ensure!(status == "200" && only == b"the only file\n", "{status}");
    ensure!(scene.files(&["--image", SCRATCH, "/only", "--to", "-"])? == "the only file\n");
    // The last bytes are there before the engine is as it was.
    let alone = || scene.leftovers().is_ok_and(|left| left == "files-other created");
    let is_alone = wait_until(HANGS_AFTER, alone);
    let left = scene.leftovers()?;
    lab.docker(&["rm", "files-other"])?;
    ensure!(is_alone, "left behind: {left}");
    let until = run(&["date", "+%s.%N"])?;
    let events =
        lab.docker(&["events", "--since", since.trim(), "--until", until.trim(), "--format", "{{.Action}}"])?;
    ensure!(events.contains("create") && events.contains("destroy"), "{events}");
    ensure!(!events.lines().any(|action| action == "start"), "something was started: {events}");
    Ok(())
}

fn inode(path: &str) -> Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::ino(&fs::metadata(path)?))
}

/// Each refusal has its status and says what would help.
pub(crate) fn refused(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    for (place, code, why) in [
        (format!("{NAME}?path=/scene/nothing/here"), "404", "/scene is there, with away, big and more"),
        (format!("{NAME}?path=/scene/tree/nothing"), "404", "with below, odd\\n\\u{1b}[2Jname"),
        (format!("{NAME}?path=/scene/plain/x"), "404", "/scene/plain is no directory"),
        (format!("{NAME}?path=etc"), "400", "must be absolute"),
        (NAME.to_owned(), "400", "must be absolute"),
        (format!("{NAME}?path=/scene/tree&format=file"), "400", "is a directory"),
        (format!("{NAME}?path=/scene/pipe&format=file"), "400", "no regular file"),
        (format!("{NAME}?path=/etc&format=zip"), "400", "list, tar, file"),
        ("nobody?path=/etc".to_owned(), "404", NAME),
        ("image/no-such-image?path=/etc".to_owned(), "404", IMAGE),
        ("image/a//b?path=/etc".to_owned(), "400", "no reference"),
    ] {
        let (status, body) = scene.get(&place)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        ensure!(status == code && body.contains(why), "{place}: {status} {body}");
        ensure!(body.lines().count() == 1 && !body.contains('\u{1b}'), "{place}: {body:?}");
    }
    // Upwards there is only the root.
    ensure!(scene.list(&format!("{NAME}?path=/../../../../scene/../etc"))?["path"] == "/etc");
    scene.context.lab.exec(NAME, &["truncate", "-s", "400M", "/scene/big"])?;
    let (status, body) = scene.get(&format!("{NAME}?path=/scene/big&format=file"))?;
    let body = String::from_utf8_lossy(&body).into_owned();
    ensure!(status == "413" && body.contains("400 MiB") && body.contains("--files-limit"), "{status} {body}");
    let list = scene.list(&format!("{NAME}?path=/scene"))?;
    ensure!(list["incomplete"].as_str().is_some_and(|why| why.contains("300 MiB")), "{list}");
    let url = format!("http://{}/files/{NAME}?path=/scene&format=tar", scene.address()?);
    let tree = Command::new("curl")
        .args(["--noproxy", "*", "-s", "--max-time", "60", "-o", "/dev/null", &url])
        .status()?;
    ensure!(tree.code() == Some(18), "a tree above the limit looks whole to curl: {tree}");
    let url = format!("http://{}/files/{NAME}?path=/etc", scene.address()?);
    let ask = ["curl", "--noproxy", "*", "-s", "--max-time", "20", "-w", "%{http_code}"];
    let other = run(&[&ask[..], &["-H", "Sec-Fetch-Site: cross-site", &url]].concat())?;
    ensure!(other.ends_with("403") && other.contains("other sites"), "{other}");
    let closed = scene.context.agent.serve(&scene.context.endpoint())?;
    let url = format!("http://{}/files/{NAME}?path=/etc", closed.address);
    let said = run(&[&ask[..], &[&url]].concat())?;
    ensure!(said.ends_with("403") && said.contains("--allow-files"), "{said}");
    Ok(())
}

/// A client that goes, and a server that is ended: the container made for an image goes, too.
pub(crate) fn left(context: &mut Context) -> Result<()> {
    let mut scene = Scene::up(context)?;
    scene.context.lab.docker(&["commit", NAME, SCRATCH])?;
    let place = format!("image/{SCRATCH}?path=/scene/big&format=file");
    let stream = scene.begin(&place)?;
    ensure!(scene.leftovers()?.starts_with("glasshull-files-"), "nothing was made");
    drop(stream);
    let gone = || scene.leftovers().is_ok_and(|left| left.is_empty());
    ensure!(wait_until(HANGS_AFTER, gone), "left behind: {}", scene.leftovers()?);
    let mut stream = scene.begin(&place)?;
    scene.served.as_mut().context("not served")?.end()?;
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    ensure!(end.is_err() || rest.len() < 256 << 20, "the transfer looks whole");
    let gone = || scene.leftovers().is_ok_and(|left| left.is_empty());
    ensure!(wait_until(HANGS_AFTER, gone), "left behind: {}", scene.leftovers()?);
    // A copy in the terminal, in the midst: Ctrl-C, though nobody reads on, and a reader that goes.
    for interrupted in [true, false] {
        let mut child = Command::new(scene.context.agent.program())
            .args([
                "files",
                "--engine",
                &scene.context.endpoint(),
                "--image",
                SCRATCH,
                "/scene/big",
                "--to",
                "-",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut out = child.stdout.take().context("no output")?;
        out.read_exact(&mut [0; 100])?;
        ensure!(scene.leftovers()?.starts_with("glasshull-files-"), "nothing was made");
        if interrupted {
            rustix::process::kill_process(
                rustix::process::Pid::from_child(&child),
                rustix::process::Signal::INT,
            )?;
            ended(&mut child)?;
        }
        drop(out);
        ended(&mut child)?;
        ensure!(scene.leftovers()?.is_empty(), "left behind: {}", scene.leftovers()?);
    }
    Ok(())
}

fn ended(child: &mut Child) -> Result<()> {
    let ended = wait_until(HANGS_AFTER, || child.try_wait().is_ok_and(|status| status.is_some()));
    if !ended {
        child.kill()?;
    }
    ensure!(ended, "it does not end");
    Ok(())
}

/// In the midst of a file of an image: the client sees that it is not whole, and what was made is removed at the next use.
pub(crate) fn engine_dies(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    scene.context.lab.docker(&["commit", NAME, SCRATCH])?;
    let mut stream = scene.begin(&format!("image/{SCRATCH}?path=/scene/big&format=file"))?;
    ensure!(scene.leftovers()?.starts_with("glasshull-files-"), "nothing was made");
    let served = scene.keep()?;
    context.lab.engine_stop(false)?;
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    context.lab.engine_start(true)?;
    let scene = Scene::again(context, served);
    ensure!(end.is_err() || rest.len() < 256 << 20, "the transfer looks whole");
    ensure!(!scene.leftovers()?.is_empty(), "what was made is gone by itself: nothing is tested");
    let mut answer = (String::new(), Vec::new());
    let answers = || {
        answer = scene.get(&format!("image/{SCRATCH}?path=/scene/plain&format=file")).unwrap_or_default();
        answer.0 == "200"
    };
    ensure!(wait_until(HANGS_AFTER, answers), "{} {}", answer.0, String::from_utf8_lossy(&answer.1));
    ensure!(answer.1 == b"a line\n");
    let gone = || scene.leftovers().is_ok_and(|left| left.is_empty());
    ensure!(wait_until(HANGS_AFTER, gone), "left behind: {}", scene.leftovers()?);
    Ok(())
}
