//! Containers whose resolver is one of the lab's, which does what names say: each outcome is told as what it is, as `dig` tells it
//! in the same namespace. No question leaves the machine: the resolver refuses what is not its own, and asks nobody.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::resolver::{ADDRESSES, CHAIN_TTL};
use glasshull_e2e::traffic::Ended;
use serde_json::{Value, json};

use crate::agent::{Answer, same};
use crate::dns::SERVE;
use crate::network::run;
use crate::runner::Context;

const NETWORK: &str = "names-r";
/// By `--dns`, so behind the engine's own; by a resolv.conf of its own; what both are to find; and where the resolver listens.
const CONTAINERS: [&str; 4] = ["names-asks", "names-direct", "names-web", "names-resolver"];
const TRAFFIC: &str = env!("CARGO_BIN_EXE_glasshull-traffic");

/// The scene; taken down when it is dropped.
pub(crate) struct Scene<'a> {
    context: &'a Context,
    address: String,
    /// What the resolver prints: each question.
    log: PathBuf,
    _resolver: Ended,
}

/// Takes the scene down, also one that was made half-way.
struct Down<'a>(&'a Context);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        // What was never made cannot be removed, and all else must be.
        for name in CONTAINERS {
            let _ = self.0.lab.docker(&["rm", "--force", name]);
        }
        let _ = self.0.lab.docker(&["network", "rm", NETWORK]);
    }
}

impl<'a> Scene<'a> {
    fn up(context: &'a Context) -> Result<(Self, Down<'a>)> {
        let down = Down(context);
        let state = context.lab.state();
        let bridge = format!("com.docker.network.bridge.name={}n2", state.stem);
        context.lab.docker(&["network", "create", "--opt", &bridge, NETWORK])?;
        let start = |name: &str, more: &[&str], command: &str| {
            let words = ["run", "-d", "--name", name, "--hostname", name, "--stop-timeout", "0"];
            let place = ["--network", NETWORK];
            context.lab.docker(&[&words[..], &place, more, &[IMAGE, "sh", "-c", command]].concat())
        };
        start("names-resolver", &["--dns", "127.0.0.1"], "exec sleep 600")?;
        let (pid, address) = (pid(context, "names-resolver")?, address(context, "names-resolver")?);
        let log = state.dir.join("names-questions");
        let mut resolver = Command::new("nsenter");
        resolver.args(["-t", &pid, "-n", TRAFFIC, "resolver", &address]).stdin(Stdio::null());
        let resolver = Ended(resolver.stdout(File::create(&log)?).spawn()?);
        let ready = || fs::read_to_string(&log).is_ok_and(|text| text.starts_with("ready\n"));
        ensure!(wait_until(Duration::from_secs(20), ready), "the resolver does not begin");
        start("names-asks", &["--dns", &address], "exec sleep 600")?;
        start("names-web", &["--dns", &address, "--network-alias", "db"], SERVE)?;
        let conf = state.dir.join("names-resolv.conf");
        fs::write(&conf, format!("nameserver {address}\n"))?;
        let mounted = format!("{}:/etc/resolv.conf:ro", conf.display());
        start("names-direct", &["-v", &mounted], "exec sleep 600")?;
        Ok((Self { context, address, log, _resolver: resolver }, down))
    }

    /// What was asked, each once: `udp A nx.lab.test`.
    fn asked(&self) -> Result<BTreeSet<String>> {
        Ok(fs::read_to_string(&self.log)?.lines().skip(1).map(str::to_owned).collect())
    }

    /// `glasshull dns` in a container.
    fn call(&self, inside: &str, words: &[&str]) -> Result<Answer> {
        let endpoint = self.context.endpoint();
        self.context.agent.call(&[&["dns", "--engine", &endpoint, inside], words].concat())
    }

    /// Its rows, whether all were answered or not.
    fn rows(&self, inside: &str, words: &[&str]) -> Result<Rows> {
        let answer = self.call(inside, &[words, &["--json"]].concat())?;
        let document: Value = serde_json::from_str(&answer.out).with_context(|| answer.err.clone())?;
        Ok(Rows(document["names"].as_array().cloned().context("no names")?))
    }

    fn dig(&self, name: &str, kind: &str) -> Result<Dug> {
        let pid = pid(self.context, "names-direct")?;
        let server = format!("@{}", self.address);
        let how = ["+noall", "+comments", "+answer", "+noedns", "+nocookie", "+time=20", "+tries=1"];
        let words = [&["nsenter", "-t", &pid, "-n", "dig", &server, name, kind][..], &how].concat();
        Ok(Dug::of(&run(&words)?))
    }
}

fn pid(context: &Context, name: &str) -> Result<String> {
    Ok(context.lab.inspect(name)?["State"]["Pid"].to_string())
}

fn address(context: &Context, name: &str) -> Result<String> {
    let inspect = context.lab.inspect(name)?;
    let address = &inspect["NetworkSettings"]["Networks"][NETWORK]["IPAddress"];
    Ok(address.as_str().filter(|a| !a.is_empty()).context("no address")?.to_owned())
}

struct Rows(Vec<Value>);

impl Rows {
    fn row(&self, name: &str, record: &str) -> Result<&Value> {
        let mut rows = self.0.iter();
        let found = rows.find(|row| row["name"] == name && row["record"] == record);
        found.with_context(|| format!("no row for {name} {record}"))
    }
}

fn answers(row: &Value) -> BTreeSet<String> {
    row["answers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

/// What `dig` prints: the code of the header, and of each record its time to live, kind and value.
#[derive(Debug, Default)]
struct Dug {
    status: String,
    records: Vec<(u64, String, String)>,
}

impl Dug {
    fn of(text: &str) -> Self {
        let mut dug = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some((_, rest)) = line.split_once("status: ") {
                dug.status = rest.split(',').next().unwrap_or_default().to_lowercase();
            } else if let [_, ttl, "IN", kind, value] = words[..] {
                let ttl = ttl.parse().unwrap_or_default();
                dug.records.push((ttl, kind.to_owned(), value.trim_end_matches('.').to_owned()));
            }
        }
        dug
    }

    fn values(&self, kind: &str) -> Vec<String> {
        self.records.iter().filter(|record| record.1 == kind).map(|record| record.2.clone()).collect()
    }
}

/// Status, addresses, aliases and time to live are those of `dig`, asked at the same place.
pub(crate) fn as_dig(context: &mut Context) -> Result<()> {
    let (scene, _down) = Scene::up(context)?;
    let names = ["a-300", "a-0", "chain-3", "nodata", "nx", "servfail", "refused", "cut-60", "db-10-0-0-2"];
    let names: Vec<String> = names.iter().map(|name| format!("{name}.lab.test")).collect();
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = scene.rows("names-direct", &[&words[..], &["--timeout", "20s"]].concat())?;
    for name in &words {
        for record in ["A", "AAAA"] {
            let (row, dug) = (rows.row(name, record)?, scene.dig(name, record)?);
            let found = dug.values(record);
            ensure!(answers(row) == found.iter().cloned().collect(), "{row} is not what dig says: {dug:?}");
            let empty = dug.status == "noerror" && found.is_empty();
            same(row, "status", &json!(if empty { "nodata" } else { dug.status.as_str() }))?;
            let shortest = dug.records.iter().map(|record| record.0).min();
            same(row, "ttl_secs", &json!(shortest))?;
            same(row, "server", &json!(scene.address))?;
        }
    }
    let chain = rows.row("chain-3.lab.test", "CNAME")?;
    same(chain, "answers", &json!(scene.dig("chain-3.lab.test", "A")?.values("CNAME")))?;
    same(rows.row("chain-3.lab.test", "A")?, "ttl_secs", &json!(CHAIN_TTL[1]))?;
    let cut = rows.row("cut-60.lab.test", "A")?;
    ensure!(answers(cut).len() == 60, "{cut}");
    ensure!(scene.asked()?.contains("tcp A cut-60.lab.test"), "what was cut off was not asked over TCP");
    // An address is asked for its name.
    let back = ADDRESSES[0].to_string();
    let rows = scene.rows("names-direct", &[&back])?;
    same(rows.row(&back, "PTR")?, "answers", &json!(["a-60.lab.test"]))
}

/// A delay is in the latency; silence and each lie are told as what they are, and a truth among lies is found.
pub(crate) fn bad_ones(context: &mut Context) -> Result<()> {
    const DELAY_MILLIS: u32 = 700;
    let (scene, _down) = Scene::up(context)?;
    let slow = format!("slow-{DELAY_MILLIS}.lab.test");
    let rows = scene.rows("names-direct", &[&slow, "at-last.lab.test", "--timeout", "20s"])?;
    let row = rows.row(&slow, "A")?;
    let latency = row["latency_secs"].as_f64().context("no latency")?;
    ensure!(latency >= f64::from(DELAY_MILLIS) / 1000.0, "{row}");
    for name in [slow.as_str(), "at-last.lab.test"] {
        ensure!(answers(rows.row(name, "A")?) == ADDRESSES.map(|a| a.to_string()).into(), "{name}");
    }
    // A lie must come in time, also on a busy machine; of silence there is always enough.
    for (name, patience, status, why) in [
        ("dead.lab.test", "500ms", "timeout", "did not answer in time"),
        ("liar-id.lab.test", "3s", "lied", "no answers to the question"),
        ("liar-question.lab.test", "3s", "lied", "no answers to the question"),
        ("liar-garbage.lab.test", "3s", "lied", "no answers to the question"),
        ("torn.lab.test", "3s", "lied", "no answers to the question"),
    ] {
        let answer = scene.call("names-direct", &[name, "--timeout", patience, "--json"])?;
        ensure!(!answer.success && answer.err.contains(why), "{name}: {}", answer.err);
        let document: Value = serde_json::from_str(&answer.out)?;
        let rows = Rows(document["names"].as_array().cloned().context("no names")?);
        let row = rows.row(name, "A")?;
        same(row, "status", &json!(status)).with_context(|| name.to_owned())?;
        ensure!(answers(row).is_empty() && row["latency_secs"].is_null(), "{row}");
    }
    Ok(())
}

/// Behind the engine's resolver answers are the same. Unasked, nothing reaches the resolver that `--dns` names, nor does what the
/// engine knows itself; hosts files are asked first.
pub(crate) fn behind_the_engine(context: &mut Context) -> Result<()> {
    let (scene, _down) = Scene::up(context)?;
    let tables = ["--tables", "dns_name,resolver,container", "--interval", "1s"];
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &tables)?;
    let id = context.lab.inspect("names-asks")?["Id"].clone();
    let rows: Vec<Value> =
        snapshot.rows("dns_name")?.iter().filter(|row| row["container"] == id).cloned().collect();
    let web = address(context, "names-web")?;
    for name in ["db", "names-web", "db.names-r", "names-web.names-r"] {
        let row = rows.iter().find(|row| row["name"] == name && row["record"] == "A").context(name)?;
        same(row, "answers", &json!([web])).with_context(|| name.to_owned())?;
        // Another network of the lab has a db, too.
        ensure!(name == "db" || row["marks"] == json!([]), "{row}");
    }
    ensure!(scene.asked()?.is_empty(), "asked unasked: {:?}", scene.asked()?);
    let direct = context.lab.inspect("names-direct")?["Id"].clone();
    let mut own = snapshot.rows("dns_name")?.iter().filter(|row| row["container"] == direct);
    let own = own.next().context("its own host name is in its hosts file")?;
    same(own, "source", &json!("hosts"))?;
    same(own, "answers", &json!([address(context, "names-direct")?]))?;

    let words = ["a-300.lab.test", "chain-2.lab.test", "nx.lab.test", "db", "--timeout", "20s"];
    let rows = scene.rows("names-asks", &words)?;
    let row = rows.row("a-300.lab.test", "A")?;
    ensure!(answers(row) == ADDRESSES.map(|a| a.to_string()).into(), "{row}");
    same(row, "server", &json!("127.0.0.11"))?;
    same(rows.row("nx.lab.test", "A")?, "status", &json!("nxdomain"))?;
    same(rows.row("chain-2.lab.test", "CNAME")?, "answers", &json!(["chain-1.lab.test", "a-30.lab.test"]))?;
    same(rows.row("db", "A")?, "answers", &json!([web]))?;
    let asked = scene.asked()?;
    ensure!(asked.contains("udp A a-300.lab.test"), "{asked:?}");
    ensure!(
        !asked.iter().any(|line| line.ends_with(" db")),
        "what the engine knows was passed on: {asked:?}"
    );
    Ok(())
}

/// glibc finds a container by an alias that leads to a name which holds the address, in the container's network and in a namespace
/// made by hand; without the file it does not.
pub(crate) fn aliases(context: &mut Context) -> Result<()> {
    let (scene, _down) = Scene::up(context)?;
    let web = address(context, "names-web")?;
    let dashed = format!("{}.lab.test", web.replace('.', "-"));
    let words = ["db", "--format", "hostaliases", "--provider", "lab.test"];
    let text = scene.call("names-asks", &words)?.out;
    ensure!(text.lines().any(|line| line == format!("db {dashed}")), "{text}");
    let file = context.lab.state().dir.join("names-aliases").display().to_string();
    fs::write(&file, &text)?;
    let variable = format!("HOSTALIASES={file}");
    let endpoint = context.endpoint();
    let program = context.agent.program().display().to_string();
    let enter = [program.as_str(), "enter", "--engine", &endpoint, "names-direct", "--", "env"];
    let without = Command::new(enter[0]).args(&enter[1..]).args(["getent", "ahostsv4", "db"]).output()?;
    ensure!(!without.status.success(), "db is known without the file: {without:?}");
    for how in ["ahostsv4", "hosts"] {
        let told = run(&[&enter[..], &[&variable, "getent", how, "db"]].concat())?;
        ensure!(told.split_whitespace().next() == Some(&web), "getent {how} says {told}");
    }
    ensure!(scene.asked()?.contains(&format!("udp A {dashed}")), "{:?}", scene.asked()?);
    let page = [&variable, "curl", "--noproxy", "*", "-fsS", "--max-time", "20", "http://db:8080/"];
    ensure!(run(&[&enter[..], &page].concat())?.trim() == "names-web", "curl");
    // As `ip netns exec` would, with a resolv.conf laid over the host's.
    let pid = pid(context, "names-direct")?;
    let conf = context.lab.state().dir.join("names-resolv.conf");
    let look = format!("mount --bind {} /etc/resolv.conf && {variable} getent hosts db", conf.display());
    let told = run(&["nsenter", "-t", &pid, "-n", "unshare", "--mount", "sh", "-c", &look])?;
    ensure!(told.split_whitespace().next() == Some(&web), "getent says {told}");

    // The same from the page, where scripts fetch it; a stopped container is told at once as such.
    let served = context.agent.serve(&endpoint)?;
    let at = |rest: &str| format!("http://{}/dns/{rest}", served.address);
    let fetch = |rest: &str| run(&["curl", "--noproxy", "*", "-sS", "--max-time", "40", &at(rest)]);
    let fetched = fetch("names-asks?format=hostaliases&provider=lab.test")?;
    ensure!(fetched.lines().any(|line| line == format!("db {dashed}")), "{fetched}");
    context.lab.docker(&["stop", "names-web"])?;
    let told = || fetch("names-web").is_ok_and(|said| said.contains("does not run"));
    ensure!(wait_until(Duration::from_secs(20), told), "{}", fetch("names-web")?);
    Ok(())
}

/// Hundreds of names on standard input, those that nobody may be called, and a resolver whose host goes in the middle.
pub(crate) fn faults(context: &mut Context) -> Result<()> {
    let (scene, _down) = Scene::up(context)?;
    let endpoint = context.endpoint();
    let names: String = (0..300).map(|n| format!("n{n}-10-1-{}-{}.lab.test\n", n / 250, n % 250)).collect();
    let file = context.lab.state().dir.join("names-many");
    let ask = |text: &[u8]| -> Result<std::process::Output> {
        fs::write(&file, text)?;
        let mut command = Command::new(context.agent.program());
        command.args(["dns", "--engine", &endpoint, "names-direct", "-", "--format", "hosts"]);
        Ok(command.stdin(File::open(&file)?).output()?)
    };
    let many = ask(names.as_bytes())?;
    let out = String::from_utf8_lossy(&many.stdout).into_owned();
    ensure!(many.status.success() && out.lines().count() == 300, "{} lines", out.lines().count());
    ensure!(out.contains("10.1.1.49\tn299-10-1-1-49.lab.test"), "{out}");
    let before = scene.asked()?;
    let long = format!("{}.lab.test", "x".repeat(300));
    let hostile =
        ["a\u{202e}b.lab.test", "<script>alert(1)</script>", "nu\0l.lab.test", &long, "-v.lab.test", "a..b"];
    let told = ask([&hostile[..], &["a-1.lab.test"]].concat().join("\n").as_bytes())?;
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    ensure!(out.lines().count() == 3 && out.lines().all(|line| line.ends_with("\ta-1.lab.test")), "{out}");
    ensure!(err.matches("no name that a host may have").count() == hostile.len(), "{err}");
    ensure!(!err.contains(['\0', '\u{202e}', '\u{1b}']), "{err:?}");
    let asked: Vec<_> = scene.asked()?.difference(&before).cloned().collect();
    ensure!(asked.iter().all(|line| line.ends_with(" a-1.lab.test")), "{asked:?}");
    // It stops while it asks: what came before is told, and the question ends with the namespace.
    let mut asking = Command::new(context.agent.program())
        .args([
            "dns",
            "--engine",
            &endpoint,
            "names-direct",
            "a-2.lab.test",
            "dead.lab.test",
            "--timeout",
            "60s",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let reached = || scene.asked().is_ok_and(|asked| asked.contains("udp A dead.lab.test"));
    ensure!(wait_until(Duration::from_secs(30), reached), "the silent name is not asked for");
    context.lab.docker(&["kill", "names-direct"])?;
    let ended = wait_until(Duration::from_secs(20), || matches!(asking.try_wait(), Ok(Some(_))));
    let _ = asking.kill(); // it may have ended
    let status = asking.wait()?;
    ensure!(ended && !status.success(), "still asking after the container has gone, or content: {status}");
    Ok(())
}
