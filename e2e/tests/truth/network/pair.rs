//! Veth pairs from both ends, with bridge, network and container, in the snapshot and in `glasshull veth`; who shares a
//! namespace.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Place, TABLES, inode, ip, row};
use crate::agent::{brief, number, same};
use crate::network::cables::Cables;
use crate::runner::Context;

/// From each link of a container to the host's, its bridge and back; the engine's network; who is called what.
pub(crate) fn pairs(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let snapshot = context.agent.snapshot_with(&endpoint, &TABLES)?;
    let host = Place::host()?;
    let host_links = ip(&[], &["-d", "link"])?;
    let mut found = 0;
    for name in ["web", "db", "worker", "client-1", "sink", "chatter", "proxy"] {
        let place = Place::container(context, name)?;
        let inspected = context.lab.inspect(name)?;
        let networks = inspected["NetworkSettings"]["Networks"].as_object().context("no networks")?;
        for (network, at) in networks {
            let address = at["IPAddress"].as_str().context("address")?;
            let inside = ip(&place.prefix, &["address"])?.into_iter().find(|link| {
                let addresses = link["addr_info"].as_array().into_iter().flatten();
                addresses.into_iter().any(|a| a["local"] == address)
            });
            let inside = inside.with_context(|| format!("{name} has no link with {address}"))?;
            let (ifindex, across) = (number(&inside, "ifindex")?, number(&inside, "link_index")?);
            let near = row(&snapshot, place.netns, ifindex)?;
            let far = row(&snapshot, host.netns, across)?;
            for (row, peer, ifindex) in [(near, host.netns, across), (far, place.netns, ifindex)] {
                same(row, "peer_netns", &json!(peer))?;
                same(row, "peer_ifindex", &json!(ifindex))?;
                same(row, "container", &inspected["Id"])?;
                same(row, "network", &json!(network))?;
            }
            same(near, "mac", &at["MacAddress"])?;
            let port = host_links.iter().find(|l| l["ifindex"] == across).context("no such link")?;
            let bridge = host_links.iter().find(|l| l["ifname"] == port["master"]).context("no bridge")?;
            same(bridge, "ifname", &json!(context.lab.state().networks[network].bridge))?;
            same(far, "master", &bridge["ifindex"])?;
            same(row(&snapshot, host.netns, number(bridge, "ifindex")?)?, "network", &json!(network))?;
            for what in [Some(address), at["GlobalIPv6Address"].as_str().filter(|six| !six.is_empty())] {
                let Some(what) = what else { continue };
                let told = context.agent.json(&["veth", what, "--json", "--engine", &endpoint])?;
                ensure!(told.as_array().is_some_and(|t| t.len() == 1), "veth {what} finds {told}");
                ensure!(told[0]["name"] == *name, "{what} is of {name}, veth says {}", told[0]["name"]);
                ensure!(told[0]["outside"]["ifindex"] == across, "veth {what}: {told}");
                ensure!(told[0]["bridge"] == bridge["ifname"], "veth {what}: {told}");
            }
            found += 1;
        }
    }
    ensure!(found == 8, "{found} pairs, the container between both networks has two");
    Ok(())
}

/// `glasshull veth CONTAINER` lists the very links that `ip` lists inside, and nothing of others.
pub(crate) fn veth_command(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    for name in ["proxy", "sink", "pod-a"] {
        let place = Place::container(context, name)?;
        // By the id: another lab on this host has the same names.
        let id = &context.lab.container(name)?.id;
        let told = context.agent.json(&["veth", id, "--json", "--engine", &endpoint])?;
        let mut told: Vec<u64> =
            told.as_array().into_iter().flatten().filter_map(|p| p["inside"]["ifindex"].as_u64()).collect();
        told.sort_unstable();
        let links = ip(&place.prefix, &["-d", "link"])?;
        let mut truth: Vec<u64> = links
            .iter()
            .filter(|l| l["linkinfo"]["info_kind"] == "veth")
            .filter_map(|l| l["ifindex"].as_u64())
            .collect();
        truth.sort_unstable();
        ensure!(told == truth, "veth {name}: links {told:?}, ip says {truth:?}");
    }
    let edge = context.lab.state().edge.as_ref().context("the lab has no edge")?;
    for what in [&edge.link, edge.addresses.first().context("an edge without address")?] {
        let told = context.agent.json(&["veth", what, "--json", "--engine", &endpoint])?;
        ensure!(
            told[0]["inside"]["name"] == "lan0" && told[0]["outside"]["name"] == edge.link,
            "veth {what}: {told}"
        );
        ensure!(told[0]["network"] == "back" && told[0]["container"].is_null(), "veth {what}: {told}");
    }
    let nobody = context.agent.call(&["veth", "10.254.254.254", "--engine", &endpoint])?;
    ensure!(!nobody.success && nobody.err.contains("no veth pair"), "veth says {}", nobody.err);
    Ok(())
}

/// Who shares a namespace, and which has only a name.
pub(crate) fn namespaces(context: &mut Context) -> Result<()> {
    let cables = Cables::lay(context)?;
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
    let inside = host["containers"].as_array().context("containers")?;
    ensure!(inside.contains(&id("hostnet")?), "{}", brief(host));
    for name in [&cables.near, &cables.far] {
        let named = find(inode(&format!("/run/netns/{name}"))?)?;
        same(named, "name", &json!(name))?;
        same(named, "pid", &Value::Null)?;
        same(named, "hidden", &Value::Null)?;
    }
    for place in Place::all(context)? {
        let forward = super::run(
            &[
                &place.prefix.iter().map(String::as_str).collect::<Vec<_>>()[..],
                &["cat", "/proc/sys/net/ipv4/ip_forward"],
            ]
            .concat(),
        )?;
        same(find(place.netns)?, "ip_forward", &json!(forward.trim() != "0"))?;
    }
    Ok(())
}
