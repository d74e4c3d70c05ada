//! Published ports, rules and translations against `iptables-save`, `nft` and `conntrack`, in namespaces of the test's own and
//! for containers of the lab; no rule is made in the host's namespace.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number, same};
use crate::flow::{captured, captures};
use crate::network::{inode, run};
use crate::runner::Context;

const TABLES: [&str; 4] =
    ["--tables", "nat_rule,published_port,translation,netns,link,container,source", "--interval", "500ms"];

/// A router between a client and a server, each a named namespace; gone when dropped.
pub(crate) struct Router {
    names: [String; 3],
    server: Option<Child>,
}

impl Router {
    /// 10.79.1.2 (client) – 10.79.1.1 router 10.79.2.1 – 10.79.2.2 (server).
    pub(crate) fn lay() -> Result<Self> {
        let id = std::process::id();
        let router = Self { names: ["r", "c", "s"].map(|end| format!("gh{id}nat{end}")), server: None };
        for name in &router.names {
            run(&["ip", "netns", "add", name])?;
            run(&["ip", "-n", name, "link", "set", "lo", "up"])?;
        }
        let [middle, client, server] = &router.names;
        for (near, end, net) in [("toc", client, "10.79.1"), ("tos", server, "10.79.2")] {
            let pair = ["link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", end];
            run(&[&["ip", "-n", middle][..], &pair].concat())?;
            run(&["ip", "-n", middle, "address", "add", &format!("{net}.1/24"), "dev", near])?;
            run(&["ip", "-n", end, "address", "add", &format!("{net}.2/24"), "dev", "eth0"])?;
            run(&["ip", "-n", middle, "link", "set", near, "up"])?;
            run(&["ip", "-n", end, "link", "set", "eth0", "up"])?;
            run(&["ip", "-n", end, "route", "add", "default", "via", &format!("{net}.1")])?;
        }
        router.inside(0, &["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])?;
        Ok(router)
    }

    /// Runs a command in one of them; 0 is the router.
    pub(crate) fn inside(&self, at: usize, words: &[&str]) -> Result<String> {
        let output = Command::new("ip").args(["netns", "exec", &self.names[at]]).args(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}", words.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Inode of the router's.
    pub(crate) fn netns(&self) -> Result<u64> {
        inode(&format!("/run/netns/{}", self.names[0]))
    }

    /// Has a TCP port of the router lead elsewhere.
    pub(crate) fn publish(&self, program: &str, port: &str, to: &str) -> Result<()> {
        let rule = ["-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", port, "-j", "DNAT"];
        self.inside(0, &[&[program][..], &rule, &["--to-destination", to]].concat()).map(drop)
    }

    fn serve(&mut self) -> Result<()> {
        let child = Command::new("ip")
            .args(["netns", "exec", &self.names[2], "busybox", "httpd", "-f", "-p", "80", "-h", "/etc/apt"])
            .stdin(Stdio::null())
            .spawn()?;
        self.server = Some(child);
        let up = || self.inside(2, &["ss", "-ltn"]).is_ok_and(|text| text.contains(":80 "));
        ensure!(wait_until(Duration::from_secs(10), up), "the server does not listen");
        Ok(())
    }

    fn fetch(&self, port: u16) -> Result<()> {
        let url = format!("http://10.79.1.1:{port}/");
        // Whatever it answers: that it answers is what counts.
        let output = Command::new("ip")
            .args(["netns", "exec", &self.names[1], "curl", "-s", "-m", "5", "-o", "/dev/null", &url])
            .output()?;
        ensure!(output.status.success(), "no answer through port {port}");
        Ok(())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn take(context: &Context) -> Result<Snapshot> {
    context.agent.snapshot_with(&context.endpoint(), &TABLES)
}

fn rows<'a>(snapshot: &'a Snapshot, table: &str, netns: u64) -> Result<Vec<&'a Value>> {
    Ok(snapshot.rows(table)?.iter().filter(|row| row["netns"] == netns).collect())
}

fn port_row(snapshot: &Snapshot, netns: u64, port: u64) -> Result<&Value> {
    let all = rows(snapshot, "published_port", netns)?;
    let found = all.into_iter().find(|row| row["host_port"] == port);
    found.with_context(|| format!("port {port} is not told: {:?}", snapshot.rows("published_port")))
}

/// `chain, packets, bytes, target, what it becomes` of what `iptables-save -t nat -c` prints: `[7:420] -A PREROUTING … -j DNAT
/// --to-destination …`.
fn saved(text: &str) -> BTreeSet<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('['));
    let rule = |line: &str| {
        let (counters, rest) = line.split_once("] -A ")?;
        let (packets, bytes) = counters.split_once(':')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let after = |option: &str| {
            words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1)).copied()
        };
        let target = after("-j")?;
        if !["DNAT", "SNAT", "MASQUERADE", "REDIRECT"].contains(&target) {
            return None;
        }
        let to = ["--to-destination", "--to-source", "--to-ports"].into_iter().find_map(after);
        let all = [words.first().copied()?, packets, bytes, target, to.unwrap_or("-")];
        Some(all.map(str::to_owned).to_vec())
    };
    lines.filter_map(rule).collect()
}

fn told(rows: &[&Value], origin: &str, family: &str) -> BTreeSet<Vec<String>> {
    let of = |row: &&&Value| row["origin"] == origin && row["family"] == family;
    let text = |value: &Value| value.as_str().unwrap_or("-").trim_start_matches(':').to_owned();
    let rule = |row: &&Value| {
        let kind = text(&row["kind"]).to_uppercase();
        vec![
            text(&row["chain"]),
            row["packets"].to_string(),
            row["bytes"].to_string(),
            kind,
            text(&row["to"]),
        ]
    };
    rows.iter().filter(of).map(rule).collect()
}

/// Rules of both kinds of iptables with their counters, and of `nft`.
pub(crate) fn rules(context: &mut Context) -> Result<()> {
    let router = Router::lay()?;
    for program in ["iptables-nft", "iptables-legacy"] {
        router.publish(program, "8080", "10.79.2.2:80")?;
        let masquerade =
            ["-t", "nat", "-A", "POSTROUTING", "-s", "10.79.2.0/24", "-o", "toc", "-j", "MASQUERADE"];
        router.inside(0, &[&[program][..], &masquerade].concat())?;
        let redirect = ["-t", "nat", "-A", "OUTPUT", "-p", "udp", "--dport", "53", "-j", "REDIRECT"];
        router.inside(0, &[&[program][..], &redirect, &["--to-ports", "5353"]].concat())?;
    }
    let v6 =
        ["-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "443", "-j", "DNAT", "--to-destination"];
    router.inside(0, &[&["ip6tables-legacy"][..], &v6, &["[fd79::2]:443"]].concat())?;
    router.inside(0, &["nft", "add", "table", "inet", "own"])?;
    let chain = "add chain inet own out { type nat hook postrouting priority 90; }";
    router.inside(0, &["nft", chain])?;
    router.inside(0, &["nft", "add rule inet own out ip saddr 10.79.9.0/24 counter snat ip to 10.79.1.9"])?;
    let snapshot = take(context)?;
    let told_here = rows(&snapshot, "nat_rule", router.netns()?)?;
    for (program, origin, family) in [
        ("iptables-nft-save", "nftables", "ip"),
        ("iptables-legacy-save", "legacy", "ip"),
        ("ip6tables-legacy-save", "legacy", "ip6"),
    ] {
        let truth = saved(&router.inside(0, &[program, "-t", "nat", "-c"])?);
        ensure!(!truth.is_empty(), "{program} lists nothing");
        let told = told(&told_here, origin, family);
        ensure!(told == truth, "{program} lists {truth:?}, told are {told:?}");
    }
    let own = told_here.iter().find(|row| row["table"] == "own").context("the rule of nft is not told")?;
    same(own, "to", &json!("10.79.1.9"))?;
    same(own, "source", &json!("10.79.9.0/24"))?;
    same(own, "packets", &json!(0))
}

/// A fetch through a rule raises its counter; the connection is translated as `conntrack -L` says.
pub(crate) fn fetched(context: &mut Context) -> Result<()> {
    let mut router = Router::lay()?;
    router.publish("iptables", "8080", "10.79.2.2:80")?;
    router.serve()?;
    let netns = router.netns()?;
    let count = |snapshot: &Snapshot| {
        let row = port_row(snapshot, netns, 8080)?;
        let hop = row["hops"].as_array().and_then(|hops| hops.iter().find(|hop| hop["kind"] == "rule"));
        number(hop.context("no rule among the hops")?, "packets")
    };
    let before = count(&take(context)?)?;
    router.fetch(8080)?;
    let snapshot = take(context)?;
    let after = count(&snapshot)?;
    ensure!(after == before + 1, "the rule counted {before} packets, then {after}");
    let row = port_row(&snapshot, netns, 8080)?;
    same(row, "dead", &Value::Null)?;
    let last = row["hops"].as_array().and_then(|hops| hops.last()).context("no hop")?;
    ensure!(last["kind"] == "listener" && last["text"].as_str().is_some_and(|t| t.contains(":80")), "{last}");
    let listed = router.inside(0, &["conntrack", "-L"])?;
    let told = rows(&snapshot, "translation", netns)?;
    let row = told.iter().find(|row| row["destination"] == "10.79.1.1:8080").context("no translation")?;
    same(row, "reply_source", &json!("10.79.2.2:80"))?;
    let source = row["source"].as_str().and_then(|s| s.strip_prefix("10.79.1.2:")).context("source")?;
    let line =
        listed.lines().find(|line| line.contains(&format!("sport={source} "))).context(listed.clone())?;
    ensure!(line.contains("src=10.79.2.2") && line.contains("sport=80 "), "conntrack says {line}");
    ensure!(row["state"].as_str().is_some_and(|state| line.contains(state)), "{line} against {row}");
    Ok(())
}

/// A rule whose target has gone, and forwarding that is off.
pub(crate) fn dead(context: &mut Context) -> Result<()> {
    let router = Router::lay()?;
    router.publish("iptables", "8081", "10.79.2.9:80")?;
    router.publish("iptables", "8082", "192.0.2.7:80")?;
    let netns = router.netns()?;
    let snapshot = take(context)?;
    let stale =
        |row: &Value| row["dead"].as_str().is_some_and(|why| why.starts_with("stale rule: 10.79.2.9"));
    let row = port_row(&snapshot, netns, 8081)?;
    ensure!(stale(row), "{}", brief(row));
    let told = rows(&snapshot, "nat_rule", netns)?;
    ensure!(told.iter().any(|row| stale(row)), "{told:?}");
    // Nobody can tell what is far away.
    same(port_row(&snapshot, netns, 8082)?, "dead", &Value::Null)?;
    router.inside(0, &["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"])?;
    let snapshot = take(context)?;
    let row = port_row(&snapshot, netns, 8082)?;
    ensure!(row["dead"].as_str().is_some_and(|why| why.contains("ip_forward is 0")), "{}", brief(row));
    Ok(())
}

/// A port that docker-proxy passes on, with its listener; then its server is stopped.
pub(crate) fn proxied(context: &mut Context) -> Result<()> {
    let name = "published";
    let serve = "httpd -p 80 -h /www; sleep 600";
    let start = ["run", "--detach", "--name", name, "--network", "lab", "--publish", "127.0.0.1::80"];
    context.lab.docker(&[&start[..], &[IMAGE, "sh", "-c", serve]].concat())?;
    let outcome = proxied_by(context, name);
    let removed = context.lab.docker(&["rm", "--force", name]);
    outcome.and(removed.map(drop))
}

fn proxied_by(context: &Context, name: &str) -> Result<()> {
    let inspected = context.lab.inspect(name)?;
    let port = inspected["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].as_str().context("port")?;
    let port: u64 = port.parse()?;
    let init = inspected["State"]["Pid"].as_u64().context("pid")?;
    let netns = inode("/proc/self/ns/net")?;
    let find = |snapshot: &Snapshot| port_row(snapshot, netns, port).cloned();
    let row = find(&take(context)?)?;
    same(&row, "container", &inspected["Id"])?;
    same(&row, "dead", &Value::Null)?;
    let hops = row["hops"].as_array().context("hops")?;
    let kinds: Vec<&str> = hops.iter().filter_map(|hop| hop["kind"].as_str()).collect();
    ensure!(kinds == ["host_port", "proxy", "bridge", "veth", "listener"], "{kinds:?}");
    let comm =
        |pid: &Value| std::fs::read_to_string(format!("/proc/{pid}/comm")).map(|t| t.trim().to_owned());
    ensure!(comm(&hops[1]["pid"])? == "docker-proxy", "{}", hops[1]);
    ensure!(comm(&hops[4]["pid"])? == "httpd", "{}", hops[4]);
    ensure!(hops[4]["pid"] != init, "the listener is not the container's first process");
    context.lab.docker(&["exec", name, "sh", "-c", "kill $(pidof httpd)"])?;
    let row = find(&take(context)?)?;
    ensure!(row["dead"].as_str().is_some_and(|why| why.starts_with("no listener")), "{}", brief(&row));
    Ok(())
}

/// A flow through a published port and a masquerade has the same true ends on both sides.
pub(crate) fn true_ends(context: &mut Context) -> Result<()> {
    let mut router = Router::lay()?;
    router.serve()?;
    router.publish("iptables-nft", "8080", "10.79.2.2:80")?;
    router.inside(0, &["iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-o", "tos", "-j", "MASQUERADE"])?;
    // A capture needs somebody in the namespace.
    let somebody = Command::new("ip")
        .args(["netns", "exec", &router.names[0], "sleep", "60"])
        .stdin(Stdio::null())
        .spawn()?;
    let _somebody = glasshull_e2e::traffic::Ended(somebody);
    // One on each link: lo, toc and tos.
    let open = || captures(&router.names[0]) >= 3;
    let snapshot = captured(context, "6s", open, || router.fetch(8080))?;
    let flows = rows(&snapshot, "flow", router.netns()?)?;
    let with = |field: &str, end: &str| {
        let mut found = flows.iter().filter(|row| row["protocol"] == "tcp" && row[field] == end);
        found.next().copied().with_context(|| format!("no flow with {field} {end}: {flows:?}"))
    };
    let outside = with("destination", "10.79.1.1:8080")?;
    same(outside, "true_destination", &json!("10.79.2.2:80"))?;
    same(outside, "true_source", &Value::Null)?;
    let inside = with("destination", "10.79.2.2:80")?;
    ensure!(inside["source"].as_str().is_some_and(|end| end.starts_with("10.79.2.1:")), "{}", brief(inside));
    same(inside, "true_source", &outside["source"])?;
    same(inside, "true_destination", &Value::Null)
}
