//! Flows against what was sent and what the kernel counted on the very links, in namespaces of our own and in the lab.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::{self, Ended, FAR, FAR6, NOBODY, Wire};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number, same};
use crate::runner::{Context, attempts};

const TRAFFIC: &str = env!("CARGO_BIN_EXE_glasshull-traffic");
const PORT: &str = "7979";
const TABLES: &str = "flow,link,netns,source";
/// The kernel says a word of its own now and then (router solicitation in a link's first seconds, probes of neighbours some
/// seconds after traffic), between our reading and the agent's; a busy machine may drop a packet.
const ATTEMPTS: usize = 8;

/// A wire with somebody at each end, as captures demand.
struct Scene {
    wire: Wire,
    _somebody: Ended,
    _sink: Ended,
}

impl Scene {
    fn make(tag: &str) -> Result<Self> {
        let wire = Wire::lay(tag)?;
        let somebody = Ended(Wire::inside(&wire.near, "sleep").arg("600").spawn()?);
        let mut sink = Wire::inside(&wire.far, TRAFFIC);
        let mut sink = Ended(sink.args(["sink", PORT]).stdout(Stdio::piped()).spawn()?);
        let mut said = std::io::BufReader::new(sink.0.stdout.take().context("no stdout")?);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line)?;
        ensure!(line.trim() == "ready", "the sink says {line:?}");
        Ok(Self { wire, _somebody: somebody, _sink: sink })
    }

    fn send(&self, words: &[&str]) -> Result<()> {
        send(&self.wire.near, words)
    }
}

fn send(from: &str, words: &[&str]) -> Result<()> {
    let output = Wire::inside(from, TRAFFIC).args(words).output()?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Packet sockets of a namespace that take packets.
pub(crate) fn captures(netns: &str) -> usize {
    let output = Wire::inside(netns, "cat").arg("/proc/net/packet").output();
    output.map_or(0, |o| traffic::captures(&String::from_utf8_lossy(&o.stdout)))
}

/// Counters of all links of a namespace: packets and bytes, both ways.
fn counters(netns: &str) -> Result<BTreeMap<u64, (u64, u64)>> {
    let output = Command::new("ip").args(["-n", netns, "-j", "-s", "link"]).output()?;
    let links: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let read = |link: &Value| {
        let sum = |name| {
            Ok::<_, anyhow::Error>(
                number(&link["stats64"]["rx"], name)? + number(&link["stats64"]["tx"], name)?,
            )
        };
        Ok((number(link, "ifindex")?, (sum("packets")?, sum("bytes")?)))
    };
    links.iter().map(read).collect()
}

fn inode(netns: &str) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(Path::new("/run/netns").join(netns))?.ino())
}

/// Captures for some seconds while `work` runs, which begins when the captures are open.
pub(crate) fn captured(
    context: &Context,
    seconds: &str,
    open: impl Fn() -> bool,
    work: impl FnOnce() -> Result<()>,
) -> Result<Snapshot> {
    std::thread::scope(|scope| {
        let endpoint = context.endpoint();
        let more = ["--capture", seconds, "--tables", TABLES];
        let agent = scope.spawn(move || context.agent.snapshot_with(&endpoint, &more));
        ensure!(wait_until(Duration::from_secs(20), open), "the captures were not opened");
        let worked = work();
        let snapshot = agent.join().map_err(|_| anyhow::anyhow!("the snapshot panicked"))??;
        worked.map(|()| snapshot)
    })
}

fn flows(snapshot: &Snapshot, netns: u64, link: u64) -> Result<Vec<&Value>> {
    let here = |row: &&Value| row["netns"] == netns && row["link_ifindex"] == link;
    Ok(snapshot.rows("flow")?.iter().filter(here).collect())
}

fn flow<'a>(flows: &[&'a Value], protocol: &str, to: &str) -> Result<&'a Value> {
    let fits = |row: &&&Value| row["protocol"] == protocol && row["destination"] == to;
    let mut found = flows.iter().filter(fits);
    let row = found.next().with_context(|| format!("no {protocol} flow to {to} among {}", flows.len()))?;
    ensure!(found.next().is_none(), "two {protocol} flows to {to}");
    Ok(row)
}

/// TCP, UDP, IPv6, ICMP and loopback: each packet is in a flow, at both ends of the wire, and in no more.
pub(crate) fn known_transfer(context: &mut Context) -> Result<()> {
    let scene = Scene::make("t")?;
    attempts(ATTEMPTS, || transfer(context, &scene))
}

const BYTES: u64 = 3_000_000;

fn transfer(context: &Context, scene: &Scene) -> Result<()> {
    let (near, far) = (scene.wire.near.as_str(), scene.wire.far.as_str());
    let mut between = Vec::new();
    let open = || captures(near) >= 2 && captures(far) >= 2;
    let snapshot = captured(context, "5s", open, || {
        let before = (counters(near)?, counters(far)?);
        scene.send(&["tcp", &format!("{FAR}:{PORT}"), &BYTES.to_string()])?;
        scene.send(&["udp", &format!("{FAR}:{PORT}"), "1000", "100"])?;
        scene.send(&["udp", &format!("[{FAR6}]:{PORT}"), "500", "1200"])?;
        let ping = Wire::inside(near, "busybox").args(["ping", "-c", "5", "-A", FAR]).output()?;
        ensure!(ping.status.success(), "ping: {}", String::from_utf8_lossy(&ping.stderr));
        send(far, &["udp", &format!("127.0.0.1:{PORT}"), "300", "50"])?;
        let after = (counters(near)?, counters(far)?);
        between = vec![(near, before.0, after.0), (far, before.1, after.1)];
        Ok(())
    })?;
    same(&snapshot.rows("capture")?[0], "dropped", &json!(0))?;
    for (name, before, after) in &between {
        for (link, (packets, bytes)) in after {
            let (packets_before, bytes_before) = before.get(link).context("a new link")?;
            // On lo each packet is counted as sent and as received.
            let twice = if *link == 1 { 2 } else { 1 };
            let (packets, bytes) = ((packets - packets_before) / twice, (bytes - bytes_before) / twice);
            let rows = flows(&snapshot, inode(name)?, *link)?;
            let sum = |field| rows.iter().map(|row| number(row, field)).sum::<Result<u64>>();
            let (seen, counted) = (sum("packets")?, sum("bytes")?);
            ensure!(seen == packets, "{name} link {link}: flows have {seen} packets, the link {packets}");
            let off = counted.abs_diff(bytes) as f64 / bytes.max(1) as f64;
            ensure!(off < 0.01, "{name} link {link}: flows have {counted} bytes, the link {bytes}");
        }
    }
    let v0 = between[0].2.keys().copied().find(|link| *link != 1).context("no v0")?;
    let there = flows(&snapshot, inode(near)?, v0)?;
    let tcp = flow(&there, "tcp", &format!("{FAR}:{PORT}"))?;
    ensure!(number(tcp, "sent_bytes")? >= BYTES, "{}", brief(tcp));
    ensure!(number(tcp, "sent_bytes")? <= BYTES + BYTES / 20, "{}", brief(tcp));
    same(tcp, "state", &json!("closed"))?;
    same(tcp, "opening_seen", &json!(true))?;
    let udp = flow(&there, "udp", &format!("{FAR}:{PORT}"))?;
    same(udp, "sent_packets", &json!(1000))?;
    same(udp, "bytes", &json!(1000 * (100 + 8 + 20 + 14)))?;
    let six = flow(&there, "udp", &format!("[{FAR6}]:{PORT}"))?;
    same(six, "bytes", &json!(500 * (1200 + 8 + 40 + 14)))?;
    let ping = flow(&there, "icmp", FAR)?;
    same(ping, "sent_packets", &json!(5))?;
    same(ping, "received_packets", &json!(5))?;
    let lo = flows(&snapshot, inode(far)?, 1)?;
    same(flow(&lo, "udp", &format!("127.0.0.1:{PORT}"))?, "packets", &json!(300))?;
    Ok(())
}

/// The lab's own clients: containers and names at both ends, also on loopback inside a pod.
pub(crate) fn named_ends(context: &mut Context) -> Result<()> {
    let snapshot = captured(context, "4s", || true, || Ok(()))?;
    let id = |name: &str| Ok::<_, anyhow::Error>(context.lab.inspect(name)?["Id"].clone());
    let (client, web) = (id("client-1")?, id("web")?);
    let talks = |row: &&Value| row["source_container"] == client && row["destination_container"] == web;
    let rows: Vec<&Value> = snapshot.rows("flow")?.iter().filter(talks).collect();
    let row = rows.first().context("client-1 was not seen to talk to web")?;
    same(row, "source_name", &json!("client-1.lab"))?;
    same(row, "destination_name", &json!("web.lab"))?;
    ensure!(row["destination"].as_str().is_some_and(|to| to.ends_with(":80")), "{}", brief(row));
    // On both cables; who opened is the same on each.
    let links: std::collections::BTreeSet<u64> =
        rows.iter().filter_map(|r| r["link_ifindex"].as_u64()).collect();
    ensure!(links.len() >= 2, "seen on {links:?} alone");
    let pod = id("pod-a")?;
    let inside = |row: &&Value| row["source_container"] == pod && row["destination"] == "127.0.0.1:8080";
    let row = snapshot.rows("flow")?.iter().find(inside).context("nothing on the pod's loopback")?;
    same(row, "destination_container", &pod)?;
    Ok(())
}

/// More flows than there is room for, as fast as they can be sent: what is left out and dropped is said.
pub(crate) fn flood(context: &mut Context) -> Result<()> {
    let scene = Scene::make("f")?;
    let near = scene.wire.near.as_str();
    let mut sent = 0;
    let snapshot = captured(
        context,
        "6s",
        || captures(near) >= 2,
        || {
            let output =
                Wire::inside(near, TRAFFIC).args(["flood", NOBODY, "2", "60", "40000", "0"]).output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            sent = said.split(' ').next().unwrap_or_default().parse().context(said)?;
            Ok(())
        },
    )?;
    let capture = &snapshot.rows("capture")?[0];
    let (packets, dropped) = (number(capture, "packets")?, number(capture, "dropped")?);
    ensure!(packets + dropped >= sent, "{sent} sent, {packets} accounted and {dropped} dropped");
    ensure!(number(capture, "flows")? <= 57_344 + 14_336, "{capture}");
    ensure!(snapshot.rows("flow")?.len() <= 8192, "{} rows", snapshot.rows("flow")?.len());
    ensure!(number(capture, "flows_left_out")? > 0 && number(capture, "packets_left_out")? > 0, "{capture}");
    let source = snapshot.rows("source")?.iter().find(|row| row["name"] == "flow").context("no source")?;
    same(source, "state", &json!("limited"))
}

/// Without the capability the table is empty, and says why and what to do; links are there all the same.
pub(crate) fn without_net_raw(context: &mut Context) -> Result<()> {
    let program = context.agent.program().to_owned();
    let output = Command::new("setpriv")
        .args(["--inh-caps=-net_raw", "--bounding-set=-net_raw"])
        .arg(program)
        .args(["snapshot", "--json", "--capture", "1s", "--tables", TABLES, "--engine", &context.endpoint()])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let snapshot = Snapshot::parse(&String::from_utf8(output.stdout)?)?;
    ensure!(snapshot.rows("flow")?.is_empty() && !snapshot.rows("link")?.is_empty(), "flows without rights");
    let said = snapshot.rows("capture")?[0]["error"].as_str().unwrap_or_default();
    ensure!(said.contains("CAP_NET_RAW"), "the capture says {said:?}");
    let source = snapshot.rows("source")?.iter().find(|row| row["name"] == "flow").context("no source")?;
    same(source, "capability", &json!("CAP_NET_RAW"))?;
    ensure!(source["remedy"].as_str().is_some_and(|text| text.contains("cap_net_raw")), "{source}");
    Ok(())
}

/// While flows are watched, a namespace ends with its last process, and so does its capture.
pub(crate) fn ends(context: &mut Context) -> Result<()> {
    let scene = Scene::make("e")?;
    let (near, far) = (scene.wire.near.clone(), scene.wire.far.clone());
    let link = format!("gh{}e", std::process::id());
    let laid = Command::new("ip")
        .args(["link", "add", &link, "type", "veth", "peer", "name", "v9", "netns", &near])
        .output()?;
    ensure!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
    let served = context.agent.serve(&context.endpoint())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let topics = [glasshull_shared::snapshot::Topic::Flow, glasshull_shared::snapshot::Topic::Capture];
    let mut client = runtime.block_on(glasshull_e2e::ws::Client::connect(served.address, &topics))?;
    let mut follower = glasshull_e2e::ws::Follower::default();
    let mut until = |done: &dyn Fn(&glasshull_shared::snapshot::Snapshot) -> bool| {
        for _ in 0..40 {
            let frame = runtime.block_on(client.next())?.context("the agent has closed")?;
            follower.take(&frame)?;
            if done(&follower.snapshot) {
                return Ok(());
            }
        }
        bail!("not within forty ticks")
    };
    let (gone, stays) = (inode(&near)?, inode(&far)?);
    let captured = |s: &glasshull_shared::snapshot::Snapshot, netns: u64| {
        s.capture.values().any(|row| row.namespaces.contains(&netns))
    };
    until(&|s| captured(s, gone) && captured(s, stays)).context("both are captured")?;
    // Our own stream is not among the flows.
    let own = format!(":{}", served.address.port());
    until(&|s| !s.flow.keys().any(|key| key.source.ends_with(&own) || key.destination.ends_with(&own)))?;
    drop(scene);
    until(&|s| !captured(s, gone) && !captured(s, stays))
        .context("captures of ended namespaces are closed")?;
    // The near end of its link goes when nothing holds the namespace any longer.
    let shown = || Command::new("ip").args(["link", "show", "dev", &link]).output();
    ensure!(
        wait_until(Duration::from_secs(10), || shown().is_ok_and(|o| !o.status.success())),
        "a namespace outlived its end"
    );
    Ok(())
}

/// Between two readings, which are far apart here, a namespace ends with its last process all the same.
pub(crate) fn ends_at_once(context: &mut Context) -> Result<()> {
    let link = format!("gh{}o", std::process::id());
    let mut somebody = Ended(Command::new("unshare").args(["--net", "sleep", "600"]).spawn()?);
    let pid = somebody.0.id().to_string();
    let own = fs::read_link("/proc/self/ns/net")?;
    let moved = || fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|there| there != own);
    ensure!(wait_until(Duration::from_secs(10), moved), "no namespace of its own");
    let inside = |words: &[&str]| {
        let done = Command::new("nsenter").args(["--net", "--target", &pid, "ip"]).args(words).output()?;
        ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(done.stdout)
    };
    inside(&["link", "set", "lo", "up"])?;
    let laid = Command::new("ip")
        .args(["link", "add", &link, "type", "veth", "peer", "name", "v9", "netns", &pid])
        .output()?;
    ensure!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
    let open = || {
        fs::read_to_string(format!("/proc/{pid}/net/packet")).is_ok_and(|text| traffic::captures(&text) > 0)
    };
    let shown = || Command::new("ip").args(["link", "show", "dev", &link]).output();
    let began = Instant::now();
    captured(context, "20s", open, || {
        somebody.0.kill()?;
        somebody.0.wait()?;
        // The near end of its link goes when nothing holds the namespace any longer.
        let gone = wait_until(Duration::from_secs(9), || shown().is_ok_and(|o| !o.status.success()));
        ensure!(gone, "a capture outlived the last process of its namespace");
        ensure!(began.elapsed() < Duration::from_secs(19), "the second reading may have closed it");
        Ok(())
    })
    .map(drop)
}
