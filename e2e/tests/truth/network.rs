//! Namespaces, links, neighbours and routes against `ip` run inside each namespace.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number, same};
use crate::runner::Context;

/// Containers of the lab whose namespace the tests look into.
const LOOKED_INTO: [&str; 6] = ["web", "db", "worker", "client-1", "pod-a", "limited"];
const TABLES: [&str; 4] = ["--tables", "netns,link,neighbour,route,container", "--interval", "1s"];

/// `ip -j ARGS`, inside a namespace when a prefix leads there.
fn ip(prefix: &[String], args: &[&str]) -> Result<Vec<Value>> {
    let mut words = prefix.iter().map(String::as_str).chain(["ip", "-j"]).chain(args.iter().copied());
    let output = Command::new(words.next().context("no program")?).args(words).output().context("run ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{prefix:?} ip {args:?}: {said}");
    let text = String::from_utf8_lossy(&output.stdout);
    // Without anything to list `ip` prints nothing at all.
    if text.trim().is_empty() { Ok(Vec::new()) } else { Ok(serde_json::from_str(&text)?) }
}

/// A namespace to look into: how to get there, and its inode.
struct Place {
    name: String,
    prefix: Vec<String>,
    netns: u64,
}

impl Place {
    fn host() -> Result<Self> {
        Ok(Self { name: "host".into(), prefix: Vec::new(), netns: inode("/proc/self/ns/net")? })
    }

    fn container(context: &Context, name: &str) -> Result<Self> {
        let pid = context.lab.inspect(name)?["State"]["Pid"].as_u64().context("no pid")?;
        let prefix = ["nsenter".to_owned(), format!("--net=/proc/{pid}/ns/net")].into();
        Ok(Self { name: name.into(), prefix, netns: inode(&format!("/proc/{pid}/ns/net"))? })
    }

    fn named(name: &str) -> Result<Self> {
        let prefix = ["ip", "netns", "exec", name].map(str::to_owned).into();
        Ok(Self { name: name.into(), prefix, netns: inode(&format!("/run/netns/{name}"))? })
    }
}

pub(crate) fn inode(path: &str) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(path).with_context(|| path.to_owned())?.ino())
}

/// Two named namespaces with links of many kinds between and in them; gone when dropped.
struct Cables {
    near: String,
    far: String,
}

impl Cables {
    fn lay() -> Result<Self> {
        let id = std::process::id();
        let cables = Self { near: format!("gh{id}near"), far: format!("gh{id}far") };
        for name in [&cables.near, &cables.far] {
            run(&["ip", "netns", "add", name])?;
        }
        let near = |args: &[&str]| run(&[&["ip", "-n", &cables.near], args].concat());
        near(&["link", "add", "br0", "type", "bridge"])?;
        near(&[
            "link",
            "add",
            "v0",
            "mtu",
            "1400",
            "type",
            "veth",
            "peer",
            "name",
            "v1",
            "netns",
            &cables.far,
        ])?;
        near(&["link", "set", "v0", "master", "br0"])?;
        near(&["address", "add", "10.77.0.1/24", "dev", "br0"])?;
        near(&["link", "set", "v0", "alias", "to the <far> side"])?;
        near(&["link", "add", "mac0", "link", "v0", "type", "macvlan", "mode", "bridge"]).or_else(|_| {
            near(&["link", "add", "mac0", "link", "br0", "type", "macvlan", "mode", "bridge"])
        })?;
        near(&["link", "add", "vx0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", "br0"])?;
        near(&["tuntap", "add", "tun0", "mode", "tun"])?;
        for link in ["lo", "br0", "v0"] {
            near(&["link", "set", link, "up"])?;
        }
        run(&["ip", "-n", &cables.far, "address", "add", "10.77.0.2/24", "dev", "v1"])?;
        run(&["ip", "-n", &cables.far, "address", "add", "fd77::2/64", "dev", "v1", "nodad"])?;
        run(&["ip", "-n", &cables.far, "link", "set", "v1", "up"])?;
        run(&["ip", "-n", &cables.far, "route", "add", "blackhole", "10.78.0.0/16"])?;
        run(&["ip", "-n", &cables.far, "route", "add", "default", "via", "10.77.0.1"])?;
        run(&[
            "ip",
            "-n",
            &cables.far,
            "neighbour",
            "add",
            "10.77.0.9",
            "lladdr",
            "02:00:00:00:00:09",
            "dev",
            "v1",
        ])?;
        Ok(cables)
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (program, args) = words.split_first().context("no program")?;
    let output = Command::new(program).args(args).output()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn row(snapshot: &Snapshot, netns: u64, ifindex: u64) -> Result<&Value> {
    let found = snapshot.rows("link")?.iter().find(|r| r["netns"] == netns && r["ifindex"] == ifindex);
    found.with_context(|| format!("no row for link {ifindex} of netns {netns}"))
}

/// Name, kind, state, MTU, MAC, addresses, master, other end and counters of every link in every namespace.
pub(crate) fn links(context: &mut Context) -> Result<()> {
    let cables = Cables::lay()?;
    let mut places = vec![Place::host()?, Place::named(&cables.near)?, Place::named(&cables.far)?];
    for name in LOOKED_INTO {
        places.push(Place::container(context, name)?);
    }
    let before = all_links(&places)?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let after = all_links(&places)?;
    let mut compared = 0;
    for ((netns, ifindex), was) in &before {
        // Links of others may come and go meanwhile.
        let Some(is) = after.get(&(*netns, *ifindex)) else { continue };
        let told = row(&snapshot, *netns, *ifindex)?;
        compare(told, was, is).with_context(|| brief(was))?;
        compared += 1;
    }
    ensure!(compared > 20, "only {compared} links were there to compare");
    let known =
        |place: &Place| snapshot.rows("link").map(|r| r.iter().filter(|r| r["netns"] == place.netns).count());
    for place in places.iter().skip(1) {
        let there = before.keys().filter(|(netns, _)| *netns == place.netns).count();
        ensure!(known(place)? == there, "{} has {there} links, told are {}", place.name, known(place)?);
    }
    Ok(())
}

type Links = BTreeMap<(u64, u64), Value>;

fn all_links(places: &[Place]) -> Result<Links> {
    let mut all = Links::new();
    for place in places {
        let addresses = ip(&place.prefix, &["address"])?;
        for mut link in ip(&place.prefix, &["-d", "-s", "link"])? {
            let found = addresses.iter().find(|a| a["ifindex"] == link["ifindex"]);
            link["addr_info"] = found.map_or(json!([]), |a| a["addr_info"].clone());
            all.insert((place.netns, number(&link, "ifindex")?), link);
        }
    }
    Ok(all)
}

fn compare(told: &Value, was: &Value, is: &Value) -> Result<()> {
    same(told, "name", &was["ifname"])?;
    same(told, "mtu", &was["mtu"])?;
    if was["operstate"] == is["operstate"] {
        let state = was["operstate"].as_str().context("operstate")?.to_lowercase();
        same(told, "state", &json!(state))?;
    }
    if let Some(kind) = was["linkinfo"]["info_kind"].as_str() {
        same(told, "kind", &json!(kind))?;
    }
    same(told, "alias", &was["ifalias"])?;
    if was["link_type"] == "ether" {
        same(told, "mac", &was["address"])?;
    }
    let mut addresses = Vec::new();
    for family in ["inet", "inet6"] {
        for a in was["addr_info"].as_array().into_iter().flatten().filter(|a| a["family"] == family) {
            addresses.push(format!("{}/{}", a["local"].as_str().unwrap_or_default(), a["prefixlen"]));
        }
    }
    if was["addr_info"] == is["addr_info"] {
        same(told, "addresses", &json!(addresses))?;
    }
    if let Some(across) = was["link_index"].as_u64() {
        let field = if told["kind"] == "veth" { "peer_ifindex" } else { "lower_ifindex" };
        same(told, field, &json!(across))?;
    }
    for (field, side, name) in [
        ("rx_bytes", "rx", "bytes"),
        ("tx_bytes", "tx", "bytes"),
        ("rx_packets", "rx", "packets"),
        ("tx_packets", "tx", "packets"),
        ("rx_dropped", "rx", "dropped"),
        ("tx_errors", "tx", "errors"),
    ] {
        let (low, high) = (number(&was["stats64"][side], name)?, number(&is["stats64"][side], name)?);
        let value = number(told, field)?;
        ensure!((low..=high).contains(&value), "{field} is {value}, ip says {low} before and {high} after");
    }
    Ok(())
}

/// From the container's link to the host's, its bridge and back; the engine's network; who is called what.
pub(crate) fn pairs(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let host = Place::host()?;
    let host_links = ip(&[], &["-d", "link"])?;
    for name in ["web", "db", "worker", "client-1"] {
        let place = Place::container(context, name)?;
        let inspected = context.lab.inspect(name)?;
        let id = inspected["Id"].clone();
        let eth0 =
            ip(&place.prefix, &["link"])?.into_iter().find(|l| l["ifname"] == "eth0").context("no eth0")?;
        let (inside, across) = (number(&eth0, "ifindex")?, number(&eth0, "link_index")?);
        let near = row(&snapshot, place.netns, inside)?;
        let far = row(&snapshot, host.netns, across)?;
        for (row, peer, ifindex) in [(near, host.netns, across), (far, place.netns, inside)] {
            same(row, "peer_netns", &json!(peer))?;
            same(row, "peer_ifindex", &json!(ifindex))?;
            same(row, "container", &id)?;
            same(row, "network", &json!("lab"))?;
        }
        let port = host_links.iter().find(|l| l["ifindex"] == across).context("no such link")?;
        let bridge = host_links.iter().find(|l| l["ifname"] == port["master"]).context("no bridge")?;
        same(far, "master", &bridge["ifindex"])?;
        same(row(&snapshot, host.netns, number(bridge, "ifindex")?)?, "network", &json!("lab"))?;
        let address =
            inspected["NetworkSettings"]["Networks"]["lab"]["IPAddress"].as_str().context("address")?;
        let found = context.agent.json(&["veth", address, "--json", "--engine", &context.endpoint()])?;
        ensure!(found.as_array().is_some_and(|f| f.len() == 1), "veth {address} finds {found}");
        ensure!(found[0]["name"] == name, "{address} is of {name}, veth says {}", found[0]["name"]);
        ensure!(found[0]["outside"]["ifindex"] == across, "veth {address}: {found}");
    }
    let nobody = context.agent.call(&["veth", "10.254.254.254", "--engine", &context.endpoint()])?;
    ensure!(!nobody.success && nobody.err.contains("no veth pair"), "veth says {}", nobody.err);
    Ok(())
}

/// Who shares a namespace, and which has only a name.
pub(crate) fn namespaces(context: &mut Context) -> Result<()> {
    let cables = Cables::lay()?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let find = |netns: u64| {
        let found = snapshot.rows("netns")?.iter().find(|r| r["netns"] == netns);
        found.with_context(|| format!("no row for netns {netns}"))
    };
    let id = |name: &str| Ok::<_, anyhow::Error>(context.lab.inspect(name)?["Id"].clone());
    let pod = Place::container(context, "pod-a")?;
    same(find(pod.netns)?, "containers", &json!([id("pod-a")?, id("pod-b")?]))?;
    let host = find(Place::host()?.netns)?;
    same(host, "host", &json!(true))?;
    ensure!(
        host["containers"].as_array().is_some_and(|c| c.contains(&id("hostnet").unwrap_or_default())),
        "{host}"
    );
    let named = find(inode(&format!("/run/netns/{}", cables.near))?)?;
    same(named, "name", &json!(cables.near))?;
    same(named, "pid", &Value::Null)?;
    Ok(())
}

/// `ip neighbour` and `ip route` in a container's and in a named namespace.
pub(crate) fn neighbours_and_routes(context: &mut Context) -> Result<()> {
    let cables = Cables::lay()?;
    for place in [Place::container(context, "web")?, Place::named(&cables.far)?] {
        let before = ip(&place.prefix, &["neighbour"])?;
        let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
        let after = ip(&place.prefix, &["neighbour"])?;
        let rows = |table| {
            let rows = snapshot.rows(table)?.iter().filter(|r| r["netns"] == place.netns);
            Ok::<_, anyhow::Error>(rows.collect::<Vec<_>>())
        };
        let told = rows("neighbour")?;
        for was in &before {
            let Some(is) = after.iter().find(|is| is["dst"] == was["dst"]) else { continue };
            let row = told.iter().find(|r| r["address"] == was["dst"]).with_context(|| brief(was))?;
            same(row, "mac", &was["lladdr"])?;
            if was["state"] == is["state"] {
                same(row, "state", &was["state"][0])?;
            }
        }
        ensure!(!told.is_empty(), "{} has no neighbour", place.name);
        let mut routes = ip(&place.prefix, &["route"])?;
        routes.extend(ip(&place.prefix, &["-6", "route"])?);
        let told = rows("route")?;
        ensure!(
            told.len() == routes.len(),
            "{}: {} routes, told are {}",
            place.name,
            routes.len(),
            told.len()
        );
        for route in &routes {
            let to = route["dst"].as_str().context("dst")?;
            let row = told.iter().find(|r| {
                let shown = r["destination"].as_str().unwrap_or_default();
                shown == to || shown.strip_suffix("/32") == Some(to) || shown.strip_suffix("/128") == Some(to)
            });
            let row = row.with_context(|| brief(route))?;
            same(row, "gateway", &route["gateway"])?;
            // What `ip route` does not name was made by `boot`.
            same(row, "protocol", route.get("protocol").unwrap_or(&json!("boot")))?;
            same(row, "kind", route.get("type").unwrap_or(&json!("unicast")))?;
        }
    }
    Ok(())
}

/// Namespaces with links come and go some twenty times a second while the agent reads: nothing else is lost, no snapshot
/// fails, and no namespace outlives its end on our account.
pub(crate) fn churn(context: &mut Context) -> Result<()> {
    let stem = format!("gh{}c", std::process::id());
    // Names of their own: the kernel takes a namespace's links down some time after its end.
    let round = format!(
        "n={stem}$i; ip netns add $n && ip link add $n type veth peer name v1 netns $n; ip netns delete $n"
    );
    let script = format!("for i in $(seq 120); do {round}; sleep 0.02; done");
    let mut churning = Command::new("sh").args(["-c", &script]).spawn().context("run sh")?;
    let web = Place::container(context, "web")?;
    let host = Place::host()?;
    for _ in 0..3 {
        let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
        for place in [&host, &web] {
            let lo = row(&snapshot, place.netns, 1)?;
            same(lo, "name", &json!("lo"))?;
        }
    }
    ensure!(churning.wait()?.success(), "the churn failed");
    let left = || {
        let links = ip(&[], &["link"]).unwrap_or_default();
        links.into_iter().find(|link| link["ifname"].as_str().is_some_and(|name| name.starts_with(&stem)))
    };
    ensure!(
        wait_until(Duration::from_secs(20), || left().is_none()),
        "a link outlived its namespace: {:?}",
        left()
    );
    Ok(())
}
