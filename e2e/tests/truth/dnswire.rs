//! Names on the wire against what was asked: a container that asks its engine's own resolver, which passes on to one of ours on the
//! host, and that asks ours itself over IPv4 and IPv6. Ours knows one name, denies all others but one, to which it says nothing: no
//! question leaves the machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number, same};
use crate::network::run;
use crate::runner::Context;

const NAME: &str = "dnswire-asker";
const KNOWN: &str = "known.dnswire.test";
const NOWHERE: &str = "nowhere.dnswire.test";
const SILENT: &str = "silent.dnswire.test";
const ENGINE: &str = "127.0.0.11";

/// How often each name was asked for.
type Asked = Arc<Mutex<BTreeMap<String, u64>>>;

/// A resolver of ours, at some addresses of the host; gone when dropped.
struct Resolver {
    stop: Arc<AtomicBool>,
    asked: Asked,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Resolver {
    fn start(at: &[IpAddr], answer: [u8; 4]) -> Result<Self> {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Asked::default());
        let mut threads = Vec::new();
        for address in at {
            let bind = || UdpSocket::bind(SocketAddr::new(*address, 53));
            // An IPv6 address of a bridge that came up a moment ago is not ours before nobody else has claimed it.
            wait_until(Duration::from_secs(10), || bind().is_ok());
            let socket = bind().with_context(|| format!("{address}:53"))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            threads.push(std::thread::spawn(move || {
                let mut buffer = [0; 1500];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                    if let Some(reply) = reply(&buffer[..length], answer, &asked) {
                        let _ = socket.send_to(&reply, from);
                    }
                }
            }));
        }
        Ok(Self { stop, asked, threads })
    }

    fn times(&self, name: &str) -> u64 {
        self.asked.lock().map_or(0, |asked| asked.get(name).copied().unwrap_or(0))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What it says to a question, which has no more than one name.
fn reply(question: &[u8], answer: [u8; 4], asked: &Asked) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    while let Some(length) = question.get(at).map(|length| usize::from(*length)).filter(|length| *length > 0)
    {
        labels.push(String::from_utf8_lossy(question.get(at + 1..=at + length)?).into_owned());
        at += 1 + length;
    }
    let name = labels.join(".").to_lowercase();
    *asked.lock().ok()?.entry(name.clone()).or_default() += 1;
    let end = at + 5;
    let is_a = question.get(at + 1..at + 3)? == [0, 1];
    let (code, answers) = match name.as_str() {
        SILENT => return None,
        KNOWN if is_a => (0, 1),
        KNOWN => (0, 0),
        _ => (3, 0),
    };
    let mut reply = question.get(..2)?.to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    reply.extend(question.get(12..end)?);
    if answers == 1 {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4]);
        reply.extend(answer);
    }
    Some(reply)
}

/// The container; removed when dropped.
struct Asker<'a> {
    context: &'a Context,
    id: String,
    pid: String,
}

impl<'a> Asker<'a> {
    fn up(context: &'a Context, network: &str, server: &str) -> Result<Self> {
        let start =
            ["run", "-d", "--name", NAME, "--network", network, "--dns", server, "--stop-timeout", "0"];
        context.lab.docker(&[&start[..], &[IMAGE, "sleep", "300"]].concat())?;
        let inspect = context.lab.inspect(NAME)?;
        let id = inspect["Id"].as_str().context("no id")?.to_owned();
        Ok(Self { context, id, pid: inspect["State"]["Pid"].to_string() })
    }

    /// Busybox's `nslookup`, which asks once; that there is no such name is no error here.
    fn ask(&self, times: u64, kind: &str, name: &str, server: &str) -> Result<()> {
        let kind = format!("-type={kind}");
        let words = ["--target", &self.pid, "--net", "busybox", "nslookup", &kind, name, server];
        for _ in 0..times {
            let done = std::process::Command::new("nsenter").args(words).output()?;
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            ensure!(said.contains("Address") || said.contains("NXDOMAIN"), "{name} of {server}: {said}");
        }
        Ok(())
    }

    /// One datagram to a port of an address.
    fn send(&self, bytes: &[u8], address: &str, port: &str) -> Result<()> {
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let line = format!("printf '{escaped}' > /dev/udp/{address}/{port}");
        run(&["nsenter", "--target", &self.pid, "--net", "bash", "-c", &line]).map(drop)
    }

    /// Packet sockets in its namespace that take packets.
    fn captures(&self) -> usize {
        let read = || run(&["nsenter", "--target", &self.pid, "--net", "cat", "/proc/net/packet"]);
        read().map_or(0, |text| traffic::captures(&text))
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let _ = self.context.lab.docker(&["rm", "--force", NAME]);
    }
}

/// A question for the IPv4 address of a name.
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0x47, 0x11, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// The addresses of a link of the host.
fn addresses(link: &str) -> Result<Vec<IpAddr>> {
    let links: Value = serde_json::from_str(&run(&["ip", "-j", "address", "show", "dev", link])?)?;
    let all = links[0]["addr_info"].as_array().context("no addresses")?.iter();
    let global = all.filter(|one| one["scope"] == "global").filter_map(|one| one["local"].as_str());
    Ok(global.filter_map(|address| address.parse().ok()).collect())
}

fn row<'a>(snapshot: &'a Snapshot, id: &str, server: &str, name: &str, record: &str) -> Result<&'a Value> {
    let is = |row: &&Value| {
        row["container"] == id && row["server"] == server && row["name"] == name && row["record"] == record
    };
    snapshot
        .rows("dns_seen")?
        .iter()
        .find(is)
        .with_context(|| format!("no row for {name} {record} of {server}"))
}

fn counts(row: &Value, expected: &[(&str, u64)]) -> Result<()> {
    let counts = row["counts"].as_object().context("no counts")?;
    for (field, value) in counts {
        let wanted = expected.iter().find(|(name, _)| name == field).map_or(0, |(_, n)| *n);
        ensure!(*value == wanted, "{field} is {value}, asked was {wanted}: {}", brief(row));
    }
    Ok(())
}

/// What was asked is counted once and exactly, with what came of it, also where the engine passes it on.
pub(crate) fn asked(context: &mut Context) -> Result<()> {
    let context = &*context;
    let network = context.lab.state().networks.get("back").context("no second network")?;
    let own = addresses(&network.bridge)?;
    let four = own.iter().find(|address| address.is_ipv4()).copied().context("no IPv4 address")?;
    let six = own.iter().find(|address| address.is_ipv6()).copied();
    let IpAddr::V4(gateway) = four else { return Ok(()) };
    // In its network, where nobody has it: what is sent there ends as a question for its hardware address.
    let [a, b, ..] = gateway.octets();
    let nobody = [a, b, 255, 247];
    let resolver = Resolver::start(&own, nobody)?;
    let (server, nobody) = (four.to_string(), IpAddr::from(nobody).to_string());
    let asker = Asker::up(context, "back", &server)?;
    let snapshot = captured(context, &asker, || {
        asker.send(&question(SILENT), &server, "53")?;
        asker.ask(5, "a", "sink", ENGINE)?;
        asker.ask(3, "a", KNOWN, ENGINE)?;
        asker.ask(4, "a", NOWHERE, ENGINE)?;
        asker.ask(2, "a", KNOWN, &server)?;
        asker.ask(6, "aaaa", NOWHERE, &server)?;
        if let Some(six) = six {
            asker.ask(7, "a", KNOWN, &six.to_string())?;
        }
        asker.send(b"hello", &nobody, "9")
    })?;
    let row = |server: &str, name: &str, record: &str| row(&snapshot, &asker.id, server, name, record);
    let sink = row(ENGINE, "sink", "A")?;
    counts(sink, &[("queries", 5), ("answers", 5)])?;
    let inspect = context.lab.inspect("sink")?;
    same(sink, "addresses", &json!([inspect["NetworkSettings"]["Networks"]["back"]["IPAddress"]]))?;
    let known = row(ENGINE, KNOWN, "A")?;
    counts(known, &[("queries", 3), ("answers", 3)])?;
    same(known, "addresses", &json!([nobody]))?;
    same(known, "ttl_secs", &json!(77))?;
    same(known, "forwarded", &json!(false))?;
    let latency = known["latency_secs"].as_f64().context("no latency")?;
    ensure!(latency > 0.0 && latency < 5.0, "{}", brief(known));
    counts(row(ENGINE, NOWHERE, "A")?, &[("queries", 4), ("nxdomain", 4)])?;
    counts(row(&server, NOWHERE, "AAAA")?, &[("queries", 6), ("nxdomain", 6)])?;
    counts(row(&server, SILENT, "A")?, &[("queries", 1), ("timeouts", 1)])?;
    if let Some(six) = six {
        counts(row(&six.to_string(), KNOWN, "A")?, &[("queries", 7), ("answers", 7)])?;
    }
    totals(&snapshot, &asker, &server)?;
    // On its cable: the engine's questions and its own, as many as our resolver was asked.
    let of_six = if six.is_some() { 7 } else { 0 };
    let passed = resolver.times(KNOWN) - of_six;
    ensure!(passed == 5, "our resolver was asked {passed} times for {KNOWN}");
    counts(row(&server, KNOWN, "A")?, &[("queries", 5), ("answers", 5)])?;
    let is_talk = |row: &&Value| {
        row["source_container"] == asker.id.as_str()
            && row["destination"].as_str().is_some_and(|to| to.starts_with(&nobody))
    };
    let talk = snapshot.rows("flow")?.iter().find(is_talk).context("no flow to the address that was told")?;
    same(talk, "destination_name", &json!(format!("{KNOWN}.")))
}

/// All that it asked its engine's resolver.
fn totals(snapshot: &Snapshot, asker: &Asker<'_>, server: &str) -> Result<()> {
    let of = |server: &str| {
        let is = |row: &&Value| row["container"] == asker.id.as_str() && row["server"] == server;
        snapshot.rows("dns_client")?.iter().find(is).with_context(|| format!("it asked {server}"))
    };
    let engine = of(ENGINE)?;
    counts(engine, &[("queries", 12), ("answers", 8), ("nxdomain", 4)])?;
    same(engine, "names", &json!(3))?;
    same(engine, "outstanding", &json!(0))?;
    same(engine, "server_name", &json!("engine"))?;
    let ours = of(server)?;
    same(ours, "server_name", &json!("host"))?;
    ensure!(number(&ours["counts"], "timeouts")? == 1, "{}", brief(ours));
    Ok(())
}

/// Captures while `work` runs, which begins when its namespace is captured.
fn captured(context: &Context, asker: &Asker<'_>, work: impl FnOnce() -> Result<()>) -> Result<Snapshot> {
    std::thread::scope(|scope| {
        let endpoint = context.endpoint();
        // Long enough for the one that nobody answers.
        let more = ["--capture", "14s", "--tables", "dns_seen,dns_client,flow,netns,source"];
        let agent = scope.spawn(move || context.agent.snapshot_with(&endpoint, &more));
        ensure!(
            wait_until(Duration::from_secs(20), || asker.captures() > 0),
            "its namespace was not captured"
        );
        let worked = work();
        let snapshot = agent.join().map_err(|_| anyhow::anyhow!("the snapshot panicked"))??;
        worked.map(|()| snapshot)
    })
}
