//! Names against the engine's inspect and `nslookup` run inside each namespace; each export used by the program it is for. Two
//! projects, each with a `db` on a network of its own, and a tool on both: no name leaves the machine.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, same};
use crate::network::run;
use crate::runner::Context;

const TABLES: [&str; 4] = ["--tables", "dns_name,resolver,container", "--interval", "1s"];
/// Name, networks, what it is called there besides.
const CONTAINERS: [(&str, &[&str], &str); 5] = [
    ("names-a-db", &["names-a"], "db"),
    ("names-a-api", &["names-a"], "api"),
    ("names-b-db", &["names-b"], "db"),
    ("names-b-api", &["names-b"], "api"),
    ("names-tool", &["names-a", "names-b"], "tool"),
];
/// Serves one page, which names the container.
pub(crate) const SERVE: &str =
    "mkdir -p /tmp/w; hostname > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";

/// The scene; taken down when it is dropped.
pub(crate) struct Scene<'a> {
    context: &'a Context,
}

impl<'a> Scene<'a> {
    pub(crate) fn up(context: &'a Context) -> Result<Self> {
        let scene = Self { context };
        for (number, network) in ["names-a", "names-b"].into_iter().enumerate() {
            let bridge = format!("com.docker.network.bridge.name={}n{number}", context.lab.state().stem);
            context.lab.docker(&["network", "create", "--opt", &bridge, network])?;
        }
        for (name, networks, alias) in CONTAINERS {
            let start = ["run", "-d", "--name", name, "--hostname", name, "--stop-timeout", "0"];
            let place = ["--network", networks[0], "--network-alias", alias, "--dns", "127.0.0.1"];
            context.lab.docker(&[&start[..], &place, &[IMAGE, "sh", "-c", SERVE]].concat())?;
            for more in &networks[1..] {
                context.lab.docker(&["network", "connect", "--alias", alias, more, name])?;
            }
        }
        Ok(scene)
    }

    fn id(&self, name: &str) -> Result<String> {
        let inspect = self.context.lab.inspect(name)?;
        Ok(inspect["Id"].as_str().context("no id")?.to_owned())
    }

    pub(crate) fn pid(&self, name: &str) -> Result<String> {
        Ok(self.context.lab.inspect(name)?["State"]["Pid"].to_string())
    }

    pub(crate) fn address(&self, name: &str, network: &str) -> Result<String> {
        let inspect = self.context.lab.inspect(name)?;
        let address = &inspect["NetworkSettings"]["Networks"][network]["IPAddress"];
        Ok(address.as_str().filter(|a| !a.is_empty()).context("no address")?.to_owned())
    }

    /// What busybox's `nslookup` gets in the container's network namespace.
    fn nslookup(&self, inside: &str, name: &str) -> Result<BTreeSet<String>> {
        let pid = self.pid(inside)?;
        let text = run(&["nsenter", "-t", &pid, "-n", "busybox", "nslookup", "-type=a", name, "127.0.0.11"])?;
        let after = text.lines().skip_while(|line| !line.starts_with("Name:"));
        Ok(after.filter_map(|line| line.strip_prefix("Address:")).map(|a| a.trim().to_owned()).collect())
    }

    fn take(&self) -> Result<Snapshot> {
        self.context.agent.snapshot_with(&self.context.endpoint(), &TABLES)
    }

    /// `glasshull dns` about a container.
    fn dns(&self, words: &[&str]) -> Result<String> {
        let endpoint = self.context.endpoint();
        let answer = self.context.agent.call(&[&["dns", "--engine", &endpoint], words].concat())?;
        ensure!(answer.success, "glasshull dns {}: {}", words.join(" "), answer.err);
        Ok(answer.out)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        // What was never made cannot be removed, and all else must be.
        for (name, ..) in CONTAINERS {
            let _ = self.context.lab.docker(&["rm", "--force", name]);
        }
        for network in ["names-a", "names-b"] {
            let _ = self.context.lab.docker(&["network", "rm", network]);
        }
    }
}

fn row<'a>(snapshot: &'a Snapshot, id: &str, name: &str, record: &str) -> Result<&'a Value> {
    let mut rows = snapshot.rows("dns_name")?.iter();
    let found = rows.find(|row| row["container"] == id && row["name"] == name && row["record"] == record);
    found.with_context(|| format!("no row for {name} {record}"))
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn oddities(row: &Value) -> BTreeSet<String> {
    let marks = row["marks"].as_array().into_iter().flatten();
    marks.filter_map(|mark| mark["oddity"].as_str().map(str::to_owned)).collect()
}

/// Every answer is that of `nslookup` at the same place, and the addresses are those the engine gave.
pub(crate) fn answers(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let snapshot = scene.take()?;
    for (inside, network) in [("names-a-api", "names-a"), ("names-b-api", "names-b")] {
        let id = scene.id(inside)?;
        let db = format!("{network}-db");
        let address = scene.address(&db, network)?;
        for name in ["db", db.as_str(), &format!("{db}.{network}")] {
            let row = row(&snapshot, &id, name, "A")?;
            same(row, "status", &json!("noerror")).with_context(|| brief(row))?;
            same(row, "answers", &json!([address]))?;
            same(row, "expected", &json!([address]))?;
            ensure!(
                row["ttl_secs"].is_u64() && row["latency_secs"].as_f64().is_some_and(|s| s > 0.0),
                "{row}"
            );
            ensure!(scene.nslookup(inside, name)? == strings(&row["answers"]), "nslookup differs: {row}");
        }
        let db_row = row(&snapshot, &id, "db", "A")?;
        ensure!(oddities(db_row) == BTreeSet::from(["conflict".to_owned()]), "{db_row}");
        same(row(&snapshot, &id, "db", "AAAA")?, "status", &json!("nodata"))?;
        let back = row(&snapshot, &id, &address, "PTR")?;
        ensure!(strings(&back["answers"]).contains(&format!("{db}.{network}")), "{back}");
        // What is on the other network alone is not asked here: the question would leave.
        let other = if network == "names-a" { "names-b-db" } else { "names-a-db" };
        ensure!(row(&snapshot, &id, other, "A").is_err(), "{other} was asked in {inside}");
    }
    let tool = scene.id("names-tool")?;
    let both = row(&snapshot, &tool, "db", "A")?;
    ensure!(oddities(both).contains("ambiguous"), "{both}");
    ensure!(
        scene.nslookup("names-tool", "names-b-db")?
            == strings(&row(&snapshot, &tool, "names-b-db", "A")?["answers"])
    );
    let mut resolvers = snapshot.rows("resolver")?.iter();
    let resolver = resolvers.find(|row| row["container"] == *tool).context("no resolver")?;
    same(resolver, "nameservers", &json!(["127.0.0.11"]))?;
    ensure!(strings(&resolver["upstreams"]).iter().any(|one| one.contains("127.0.0.1")), "{resolver}");
    Ok(())
}

/// What is printed for curl and for a hosts file is taken by curl and by the C library.
pub(crate) fn exports(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let address = scene.address("names-a-db", "names-a")?;
    for (form, more) in [("curl", &["--port", "8080"][..]), ("connect-to", &[])] {
        let text = scene.dns(&[&["names-a-api", "db", "--format", form], more].concat())?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let url = ["--noproxy", "*", "-fsS", "--max-time", "20", "http://db:8080/"];
        let page = run(&[&["curl"], &words[..], &url].concat())?;
        ensure!(page.trim() == "names-a-db", "{form} led to {page}");
    }
    let lines = scene.dns(&["names-a-api", "db", "names-a-db.names-a", "--format", "hosts"])?;
    let file = tempfile_in(context, "names-hosts", &lines)?;
    for name in ["db", "names-a-db.names-a"] {
        let look = format!("mount --bind {file} /etc/hosts && getent hosts {name}");
        let told = run(&["unshare", "--mount", "sh", "-c", &look])?;
        ensure!(told.split_whitespace().next() == Some(&address), "getent says {told}");
    }
    fs::remove_file(&file)?;
    let env = scene.dns(&["names-a-api", "db", "--format", "env"])?;
    ensure!(run(&["sh", "-c", &format!("{env}\necho $DB")])?.trim() == address, "{env}");
    let json: Value = serde_json::from_str(&scene.dns(&["names-a-api", "db", "--json"])?)?;
    let mut rows = json["names"].as_array().into_iter().flatten();
    ensure!(rows.any(|row| row["record"] == "A" && row["answers"] == json!([address])), "{json}");
    Ok(())
}

/// A name without an answer is told and makes the command fail, the others are printed all the same; names come by standard
/// input too. The lab's resolver passes on to 127.0.0.1 of the container, where nobody listens: nothing leaves.
pub(crate) fn failures(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let endpoint = context.endpoint();
    let answer = context.agent.call(&[
        "dns",
        "--engine",
        &endpoint,
        "names-a-api",
        "nobody.invalid",
        "db",
        "--format",
        "hosts",
    ])?;
    ensure!(!answer.success && answer.err.contains("no answer for nobody.invalid"), "{}", answer.err);
    ensure!(answer.out.trim().ends_with("\tdb") && answer.out.lines().count() == 1, "{}", answer.out);
    let line = format!(
        "echo 'db api' | {} dns --engine {endpoint} names-a-api - --format hosts",
        context.agent.program().display()
    );
    let told = run(&["sh", "-c", &line])?;
    ensure!(told.lines().count() == 2, "{told}");
    // Dead: a resolver nobody listens at.
    let pid = scene.pid("names-a-api")?;
    let conf = format!("/proc/{pid}/root/etc/resolv.conf");
    fs::write(&conf, "nameserver 127.0.0.77\n").context("rewriting resolv.conf")?;
    let dead = context.agent.call(&["dns", "--engine", &endpoint, "names-a-api", "db"])?;
    ensure!(!dead.success && dead.err.contains("nobody listens at 127.0.0.77"), "{}", dead.err);
    Ok(())
}

/// While names are watched a container stops: its network namespace ends with it.
pub(crate) fn not_pinned(context: &mut Context) -> Result<()> {
    let scene = Scene::up(context)?;
    let pid = scene.pid("names-b-db")?;
    let file = format!("/proc/{pid}/root/etc/resolv.conf");
    // Silent: the question waits for its whole time, which the stop must cut short.
    fs::write(&file, "nameserver 127.0.0.78\n")?;
    let listen = "$s = IO::Socket::INET->new(LocalAddr => '127.0.0.78:53', Proto => 'udp') or die; sleep 300";
    let silent = ["-t", &pid, "-n", "perl", "-MIO::Socket::INET", "-e", listen];
    let mut listener = Ended(Command::new("nsenter").args(silent).spawn()?);
    // Before it is bound, nobody listens there, and whoever asks is told so at once.
    let bound = || {
        run(&["nsenter", "-t", &pid, "-n", "ss", "-Hlun"]).is_ok_and(|text| text.contains("127.0.0.78:53 "))
    };
    ensure!(wait_until(Duration::from_secs(20), bound), "the silent resolver does not begin");
    let inode = fs::read_link(format!("/proc/{pid}/ns/net"))?;
    let endpoint = context.endpoint();
    let mut asking = Command::new(context.agent.program())
        .args(["dns", "--engine", &endpoint, "names-b-db", "db", "--timeout", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(asking.try_wait()?.is_none(), "it did not wait for the silent resolver");
    listener.0.kill()?;
    listener.0.wait()?;
    context.lab.docker(&["kill", "names-b-db"])?;
    let gone = wait_until(Duration::from_secs(20), || matches!(asking.try_wait(), Ok(Some(_))));
    let _ = asking.kill();
    asking.wait()?;
    ensure!(gone, "still asking in {} after the container has gone", inode.display());
    Ok(())
}

fn tempfile_in(context: &Context, name: &str, text: &str) -> Result<String> {
    let path = context.lab.state().dir.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}
