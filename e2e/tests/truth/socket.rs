//! Sockets against `ss` run inside each namespace, and connections that ended against what was sent over them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number, same};
use crate::network::{Place, run};
use crate::runner::Context;

/// Containers of the lab whose namespace the tests look into.
const LOOKED_INTO: [&str; 5] = ["web", "db", "client-1", "pod-a", "limited"];
const TABLES: [&str; 4] = ["--tables", "socket,closed_socket,container", "--interval", "1s"];

/// What `ss ARGS` prints in a namespace, line by line.
fn ss(place: &Place, args: &[&str]) -> Result<Vec<String>> {
    let mut words = place.prefix.iter().map(String::as_str).chain(["ss"]).chain(args.iter().copied());
    let output = Command::new(words.next().context("no program")?).args(words).output().context("run ss")?;
    ensure!(output.status.success(), "ss in {}: {}", place.name, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// A line of `ss -Htuane`: by its cookie the very socket that is in the table.
#[derive(Debug, PartialEq)]
struct Line {
    protocol: String,
    state: String,
    local: String,
    remote: Value,
    pids: BTreeSet<u64>,
}

/// As the table writes an end: `*` is any IPv6 address, a link's name is told by number.
fn end(text: &str) -> String {
    let (address, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let address = if address == "*" { "[::]" } else { address };
    format!("{}:{port}", address.split('%').next().unwrap_or_default())
}

fn inet(place: &Place) -> Result<BTreeMap<u64, Line>> {
    let mut sockets = BTreeMap::new();
    for text in ss(place, &["-Htunape"])? {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let field = |at: usize| fields.get(at).copied().with_context(|| text.clone());
        let remote = match field(5)? {
            "*:*" | "0.0.0.0:*" | "[::]:*" => Value::Null,
            remote => json!(end(remote)),
        };
        let cookie =
            fields.iter().find_map(|field| field.strip_prefix("sk:")).with_context(|| text.clone())?;
        let pids =
            text.split("pid=").skip(1).filter_map(|rest| rest.split(',').next()?.parse().ok()).collect();
        let line = Line {
            protocol: field(0)?.to_owned(),
            state: field(1)?.to_owned(),
            local: end(field(4)?),
            remote,
            pids,
        };
        sockets.insert(u64::from_str_radix(cookie, 16)?, line);
    }
    Ok(sockets)
}

fn rows(snapshot: &Snapshot, netns: u64) -> Result<Vec<&Value>> {
    Ok(snapshot.rows("socket")?.iter().filter(|row| row["netns"] == netns).collect())
}

/// TCP and UDP: ends, states and processes, and none too many.
pub(crate) fn as_ss(context: &mut Context) -> Result<()> {
    let mut places = vec![Place::host()?];
    for name in LOOKED_INTO {
        places.push(Place::container(context, name)?);
    }
    let before = places.iter().map(inet).collect::<Result<Vec<_>>>()?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let after = places.iter().map(inet).collect::<Result<Vec<_>>>()?;
    let (mut compared, mut owned) = (0, 0);
    for ((place, before), after) in places.iter().zip(&before).zip(&after) {
        let told = rows(&snapshot, place.netns)?;
        // Connections come and go: those that were there all the time must be told, as they were all the time.
        for (cookie, was) in before.iter().filter(|(cookie, was)| after.get(cookie) == Some(was)) {
            let row = told.iter().find(|row| row["cookie"] == *cookie);
            let row = row.with_context(|| format!("{}: no row for {was:?}", place.name))?;
            same(row, "protocol", &json!(was.protocol))?;
            same(row, "state", &json!(was.state))?;
            same(row, "local", &json!(was.local))?;
            same(row, "remote", &was.remote)?;
            if was.pids.is_empty() {
                same(row, "pid", &Value::Null)?;
            } else {
                ensure!(was.pids.contains(&number(row, "pid")?), "{was:?} is told as {}", brief(row));
                ensure!(number(row, "more_holders")? + 1 == was.pids.len() as u64, "{was:?}: {}", brief(row));
                owned += 1;
            }
            compared += 1;
        }
        let listening = |state: &Value| *state == "LISTEN";
        let told = told.iter().filter(|row| row["protocol"] == "tcp" && listening(&row["state"])).count();
        let there = after.values().filter(|line| line.state == "LISTEN").count();
        ensure!(told == there, "{}: {there} listen, told are {told}", place.name);
    }
    ensure!(compared > 10 && owned > 5, "only {compared} sockets ({owned} owned) were there to compare");
    let web = context.lab.container("web")?.id.clone();
    let server = rows(&snapshot, places[1].netns)?.into_iter().find(|row| row["local"] == "[::]:80");
    let server = server.context("the web server's socket")?;
    same(server, "container", &json!(web))?;
    same(server, "comm", &json!("httpd"))?;
    // The engine answers names inside the container: the socket is there, the process is not of the container.
    let of_engine =
        |row: &&Value| row["local"].as_str().is_some_and(|local| local.starts_with("127.0.0.11:"));
    let resolver = rows(&snapshot, places[1].netns)?.into_iter().find(of_engine).context("no resolver")?;
    same(resolver, "comm", &json!("dockerd"))?;
    same(resolver, "container", &Value::Null)
}

/// Unix sockets by inode: path and state.
pub(crate) fn unix_as_ss(context: &mut Context) -> Result<()> {
    let place = Place::host()?;
    let all = || {
        let lines = ss(&place, &["-Hxa"])?;
        let line = |text: &String| {
            let fields: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
            // Names of agents and shells may hold blanks; their lines are left out.
            let [kind, state, _, _, path, inode, _, peer, ..] = &fields[..] else { return None };
            let path = if path == "*" { String::new() } else { path.clone() };
            let peer = peer.parse::<u64>().ok().filter(|peer| *peer != 0);
            Some((inode.parse::<u64>().ok()?, (kind.clone(), state.clone(), path, peer)))
        };
        Ok::<BTreeMap<_, _>, anyhow::Error>(lines.iter().filter_map(line).collect())
    };
    let before = all()?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let after = all()?;
    let told = rows(&snapshot, place.netns)?;
    let mut compared = 0;
    for (inode, was) in before.iter().filter(|(inode, was)| after.get(inode) == Some(was)) {
        let row = told.iter().find(|row| row["protocol"] == "unix" && row["inode"] == *inode);
        let row = row.with_context(|| format!("no row for {was:?}"))?;
        let (kind, state, path, peer) = was;
        let short = match row["kind"].as_str() {
            Some("stream") => "u_str",
            Some("dgram") => "u_dgr",
            _ => "u_seq",
        };
        ensure!(short == kind, "{was:?} is {}", brief(row));
        same(row, "state", &json!(state))?;
        same(row, "local", &json!(path))?;
        same(row, "peer_inode", &json!(peer))?;
        compared += 1;
    }
    ensure!(compared > 10, "only {compared} unix sockets were there to compare");
    let engine = context.endpoint();
    let socket = told.iter().find(|row| row["local"] == engine.trim_start_matches("unix://"));
    same(socket.context("the engine's socket")?, "comm", &json!("dockerd"))
}

/// An ordinary user sees the sockets of containers, from `/proc`, and is told what is hidden and what would show it.
pub(crate) fn without_rights(context: &mut Context) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("glasshull");
    std::fs::copy(context.agent.program(), &program)?;
    for path in [dir.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    nobody.args(["snapshot", "--json", "--engine", "unix:///nonexistent"]);
    let output = nobody.args(["--tables", "socket,source"]).current_dir("/").output()?;
    ensure!(output.status.success(), "as nobody: {}", String::from_utf8_lossy(&output.stderr));
    let snapshot = Snapshot::parse(&String::from_utf8(output.stdout)?)?;
    let web = json!(context.lab.container("web")?.id);
    let told = snapshot.rows("socket")?;
    // No engine told of the container: its control group did.
    let server = told.iter().find(|row| row["container"] == web && row["local"] == "[::]:80");
    let server = server.context("the web server's socket")?;
    same(server, "state", &json!("LISTEN"))?;
    same(server, "pid", &Value::Null)?;
    let netns = number(server, "netns")?;
    let place = Place::container(context, "web")?;
    let listening =
        |row: &&Value| row["netns"] == netns && row["state"] == "LISTEN" && row["protocol"] == "tcp";
    let (told, there) = (told.iter().filter(listening).count(), ss(&place, &["-Htln"])?.len());
    ensure!(told == there, "{there} listen in web, told are {told}");
    let source = snapshot.rows("source")?.iter().find(|row| row["name"] == "socket").context("source")?;
    same(source, "state", &json!("limited"))?;
    let capability = source["capability"].as_str().context("capability")?;
    ensure!(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"].iter().all(|c| capability.contains(c)), "{}", brief(source));
    Ok(())
}

/// Inodes of the sockets that listen for ends of connections, of what `/proc/net/netlink` says.
fn listeners(netlink: &str) -> BTreeSet<String> {
    let fields = netlink.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    // Protocol 4 is sock_diag, the groups are a mask in hexadecimal: 1 and 3.
    let listens = fields.filter(|fields| fields.get(1) == Some(&"4") && fields.get(3) == Some(&"00000005"));
    listens.filter_map(|fields| Some((*fields.last()?).to_owned())).collect()
}

/// Connections of 5 ms: each is told from both ends, with the very bytes.
pub(crate) fn short_connections(context: &mut Context) -> Result<()> {
    const CONNECTIONS: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Ours stays: whose it is may be looked up after the last connection.
    let serving = listener.try_clone()?;
    let server = std::thread::spawn(move || {
        for n in 0..CONNECTIONS {
            let (mut served, _) = serving.accept()?;
            let mut asked = Vec::new();
            served.read_to_end(&mut asked)?;
            served.write_all(&vec![b'y'; 2 * n])?;
        }
        Ok::<_, std::io::Error>(())
    });
    let heard = || std::fs::read_to_string("/proc/self/net/netlink").map(|text| listeners(&text));
    let before = heard()?;
    let client = std::thread::spawn(move || {
        // The agent listens from its first sample on.
        let listens = || heard().is_ok_and(|now| !now.is_subset(&before));
        let listens = wait_until(Duration::from_secs(20), listens);
        // Whether or not: the server waits for them.
        for n in 0..CONNECTIONS {
            let mut client = TcpStream::connect(address)?;
            client.write_all(&vec![b'x'; n + 1])?;
            std::thread::sleep(Duration::from_millis(5));
            client.shutdown(std::net::Shutdown::Write)?;
            client.read_to_end(&mut Vec::new())?;
        }
        if listens { Ok(()) } else { Err(std::io::Error::other("the agent does not listen")) }
    });
    let more = ["--tables", "closed_socket", "--interval", "15s"];
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &more)?;
    for side in [server, client] {
        side.join().map_err(|_| anyhow::anyhow!("a side panicked"))??;
    }
    let told = |end: &str| -> Result<BTreeSet<(u64, u64)>> {
        let ours = snapshot.rows("closed_socket")?.iter().filter(|row| row[end] == address.to_string());
        ours.map(|row| Ok((number(row, "sent_bytes")?, number(row, "received_bytes")?))).collect()
    };
    let asked = |n: u64| (n + 1, 2 * n);
    let clients: BTreeSet<_> = (0..CONNECTIONS as u64).map(asked).collect();
    let servers: BTreeSet<_> = clients.iter().map(|(sent, received)| (*received, *sent)).collect();
    ensure!(told("remote")? == clients, "ends of the client: {:?}", told("remote")?);
    ensure!(told("local")? == servers, "ends of the server: {:?}", told("local")?);
    let mut mine = snapshot.rows("closed_socket")?.iter().filter(|row| row["local"] == address.to_string());
    mine.try_for_each(|row| same(row, "pid", &json!(std::process::id())))
}

/// What a client container fetched every second, told from both containers.
pub(crate) fn closed_in_containers(context: &mut Context) -> Result<()> {
    let more = ["--tables", "closed_socket,container", "--interval", "12s"];
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &more)?;
    let id = |name: &str| Ok::<_, anyhow::Error>(json!(context.lab.container(name)?.id));
    let (web, client) = (id("web")?, id("client-1")?);
    let address = context.lab.inspect("client-1")?["NetworkSettings"]["Networks"]["lab"]["IPAddress"].clone();
    let address = address.as_str().context("address")?;
    let told = snapshot.rows("closed_socket")?;
    let fetches: Vec<&Value> = told
        .iter()
        .filter(|row| {
            row["container"] == client && row["remote"].as_str().is_some_and(|r| r.ends_with(":80"))
        })
        .collect();
    ensure!(fetches.len() >= 3, "{} fetches of client-1 in 12 s", fetches.len());
    for fetch in fetches {
        let local = fetch["local"].as_str().context("local")?;
        ensure!(local.starts_with(address), "{local} is not of {address}");
        let far = |row: &&Value| {
            row["remote"]
                .as_str()
                .is_some_and(|remote| remote.replace("::ffff:", "").replace(['[', ']'], "") == local)
        };
        // The last one may have ended at one side alone.
        let Some(served) = told.iter().find(far) else { continue };
        same(served, "container", &web)?;
        same(served, "sent_bytes", &fetch["received_bytes"])?;
        same(served, "received_bytes", &fetch["sent_bytes"])?;
        ensure!(
            number(fetch, "sent_bytes")? > 20 && number(fetch, "received_bytes")? > 50,
            "{}",
            brief(fetch)
        );
    }
    Ok(())
}

/// A process that is killed when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// While the agent listens for ends of connections in it, a namespace ends with its last process all the same.
pub(crate) fn not_pinned(context: &mut Context) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("watch.ghrec");
    let mut watching = Command::new(context.agent.program());
    watching.args(["record", "--for", "90s", "--engine", &context.endpoint()]).arg(&file);
    let mut watching = Running(watching.stdout(std::process::Stdio::null()).spawn()?);
    for round in 0..3 {
        let mut inside = Running(Command::new("unshare").args(["--net", "sleep", "300"]).spawn()?);
        let pid = inside.0.id().to_string();
        let link = format!("gh{}p{round}", std::process::id());
        let entered = || {
            std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
                != std::fs::read_link("/proc/self/ns/net").ok()
        };
        ensure!(wait_until(Duration::from_secs(5), entered), "unshare made no namespace");
        run(&["ip", "link", "add", &link, "type", "veth", "peer", "name", "v1", "netns", &pid])?;
        let lo = format!("--net=/proc/{pid}/ns/net");
        run(&["nsenter", &lo, "ip", "link", "set", "lo", "up"])?;
        // Long enough for several ticks: by then the agent listens there.
        let listens = || {
            let text = std::process::Command::new("nsenter").args([&lo, "cat", "/proc/net/netlink"]).output();
            text.is_ok_and(|output| !listeners(&String::from_utf8_lossy(&output.stdout)).is_empty())
        };
        ensure!(wait_until(Duration::from_secs(20), listens), "the agent does not listen in the namespace");
        inside.0.kill()?;
        inside.0.wait()?;
        let gone = || !std::path::Path::new(&format!("/sys/class/net/{link}")).exists();
        let ended = wait_until(Duration::from_secs(20), gone);
        ensure!(watching.0.try_wait()?.is_none(), "the agent ended by itself");
        if !ended {
            let _ = run(&["ip", "link", "delete", &link]);
        }
        ensure!(ended, "{link} outlived the last process of the other end's namespace");
    }
    Ok(())
}
