//! Links with kinds, addresses, masters, other ends and counters against `ip -d -s link` and `ip address`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::cables::Cables;
use super::{Place, TABLES, inode, ip, row};
use crate::agent::{Snapshot, brief, number, same};
use crate::runner::Context;

/// Kinds that the lab and the cables have together; a kernel may lack some of those that the edge has.
const KINDS: [&str; 7] = ["loopback", "physical", "bridge", "veth", "macvlan", "vxlan", "tun"];

/// Kinds of which `IFLA_LINK` is the other end.
const PAIRS: [&str; 2] = ["veth", "netkit"];

/// Links by namespace and ifindex, with their addresses, as `ip` tells them.
pub(super) type Links = BTreeMap<(u64, u64), Value>;

/// Name, kind, state, MTU, MAC, addresses, master, other end and counters of every link in every namespace.
pub(crate) fn links(context: &mut Context) -> Result<()> {
    let cables = Cables::lay(context)?;
    let mut places = Place::all(context)?;
    places.extend([Place::named(&cables.near)?, Place::named(&cables.far)?]);
    let before = all(&places)?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let after = all(&places)?;
    let kinds = compare_all(&snapshot, &places, (&before, &after), true)?;
    let edge = context.lab.state().edge.as_ref().context("the lab has no edge")?;
    let host = Place::host()?.links()?;
    let physical = host.keys().any(|name| Path::new("/sys/class/net").join(name).join("device").exists());
    for kind in KINDS.into_iter().filter(|kind| *kind != "physical" || physical) {
        let missing = edge.missing.iter().any(|missing| missing == kind);
        ensure!(missing || kinds.contains(kind), "no {kind} was there to compare, only {kinds:?}");
    }
    Ok(())
}

/// Compares all links of some namespaces, and says which kinds there were. `whole`: other namespaces are not hidden, so that
/// ends in them must be known.
pub(super) fn compare_all(
    snapshot: &Snapshot,
    places: &[Place],
    (before, after): (&Links, &Links),
    whole: bool,
) -> Result<BTreeSet<String>> {
    let mut kinds = BTreeSet::new();
    for (key, was) in before {
        // Links of others may come, go and move meanwhile.
        let Some(is) = after.get(key).filter(|is| settled(was, is)) else { continue };
        let told = row(snapshot, key.0, key.1)?;
        compare(told, was, is).with_context(|| brief(was))?;
        relations(told, was, before, whole).with_context(|| brief(was))?;
        kinds.insert(told["kind"].as_str().unwrap_or_default().to_owned());
    }
    // On the host others' may have come and gone in between.
    for place in places.iter().filter(|place| place.name != "host") {
        for told in place.rows(snapshot, "link")? {
            let key = (place.netns, number(told, "ifindex")?);
            let there = before.contains_key(&key) || after.contains_key(&key);
            ensure!(there, "{} has no such link: {}", place.name, brief(told));
        }
    }
    Ok(kinds)
}

/// Whether a link was the same before and after: what `ip` tells of it besides counters, state and addresses.
fn settled(was: &Value, is: &Value) -> bool {
    let same = |field: &str| was[field] == is[field];
    ["ifname", "mtu", "master", "link", "link_index", "link_netnsid", "address", "ifalias", "flags"]
        .into_iter()
        .all(same)
}

/// What `ip` says of the links of some namespaces.
pub(super) fn all(places: &[Place]) -> Result<Links> {
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
    let up = was["flags"].as_array().is_some_and(|flags| flags.contains(&json!("UP")));
    same(told, "up", &json!(up))?;
    let kind = match (was["linkinfo"]["info_kind"].as_str(), was["link_type"].as_str()) {
        (Some(kind), _) => kind,
        (None, Some("loopback")) => "loopback",
        (None, _) => "physical",
    };
    same(told, "kind", &json!(kind))?;
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
    for (field, side, name) in [
        ("rx_bytes", "rx", "bytes"),
        ("tx_bytes", "tx", "bytes"),
        ("rx_packets", "rx", "packets"),
        ("tx_packets", "tx", "packets"),
        ("rx_errors", "rx", "errors"),
        ("tx_errors", "tx", "errors"),
        ("rx_dropped", "rx", "dropped"),
        ("tx_dropped", "tx", "dropped"),
    ] {
        let (low, high) = (number(&was["stats64"][side], name)?, number(&is["stats64"][side], name)?);
        let value = number(told, field)?;
        ensure!((low..=high).contains(&value), "{field} is {value}, ip says {low} before and {high} after");
    }
    Ok(())
}

/// Master, other end, and link below. `ip` names what is in the same namespace and numbers what is in another one.
fn relations(told: &Value, was: &Value, links: &Links, whole: bool) -> Result<()> {
    let netns = number(told, "netns")?;
    let here = |name: &Value| {
        let mut links = links.iter().filter(|((place, _), link)| *place == netns && link["ifname"] == *name);
        links.next().map(|((_, ifindex), _)| *ifindex)
    };
    same(told, "master", &json!(here(&was["master"])))?;
    // A vxlan tells the link it sends over among its own data alone.
    let below = [&was["link"], &was["linkinfo"]["info_data"]["link"]].into_iter().find_map(here);
    let across = was["link_index"].as_u64().or(below);
    let (to, place) = if PAIRS.contains(&told["kind"].as_str().unwrap_or_default()) {
        ("peer_ifindex", "peer_netns")
    } else {
        ("lower_ifindex", "lower_netns")
    };
    if !whole && !was["link_netnsid"].is_null() {
        return Ok(());
    }
    same(told, to, &json!(across))?;
    let Some(across) = across else { return same(told, place, &Value::Null) };
    if was["link_netnsid"].is_null() {
        return same(told, place, &json!(netns));
    }
    let Some(far) = links.get(&(number(told, place)?, across)) else { return Ok(()) };
    if to == "peer_ifindex" {
        let back = far["link_index"].as_u64();
        ensure!(back == Some(number(told, "ifindex")?), "the other end points elsewhere: {}", brief(far));
    }
    Ok(())
}

/// Drivers of physical links, as sysfs names them; virtual ones have none.
pub(crate) fn drivers(context: &mut Context) -> Result<()> {
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let host = inode("/proc/self/ns/net")?;
    for told in snapshot.rows("link")? {
        if told["kind"] != "physical" {
            same(told, "driver", &Value::Null)?;
            same(told, "driver_version", &Value::Null)?;
        } else if told["netns"] == host {
            let name = told["name"].as_str().context("name")?;
            let link = Path::new("/sys/class/net").join(name).join("device/driver");
            let driver = std::fs::read_link(link).ok();
            let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
            ensure!(driver.is_none() || told["driver"] == json!(driver), "{driver:?} drives {}", brief(told));
        }
    }
    Ok(())
}
