//! The lab's networks: the engine's user networks, on bridges of our own names, and the *edge*: a namespace as `ip netns`
//! makes them, with a veth pair into a bridge of the lab and links of the kinds that no container here has. All names
//! follow from the lab's directory, so that [`super::sweep`] removes them also when nothing else is known.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::engine::docker;
use super::scene::{BACK, NETWORK};
use super::state::{Edge, LabNetwork, Layout};

/// Host part of the edge's addresses: far from those that the engine gives out, which begin at the start of a subnet.
const EDGE_HOST: u64 = 0xff_fa;

/// Makes the network that every scene has and, when `all`, the second one, which has IPv6 where the kernel has it.
///
/// # Errors
/// When the engine refuses.
pub(super) fn create(layout: &Layout, all: bool) -> Result<BTreeMap<String, LabNetwork>> {
    let mut made = BTreeMap::new();
    made.insert(NETWORK.to_owned(), create_one(layout, NETWORK, &layout.bridge(), None)?);
    if all {
        let subnet = has_ipv6().then(|| layout.subnet_v6());
        made.insert(BACK.to_owned(), create_one(layout, BACK, &layout.back_bridge(), subnet.as_deref())?);
    }
    Ok(made)
}

fn create_one(layout: &Layout, name: &str, bridge: &str, subnet_v6: Option<&str>) -> Result<LabNetwork> {
    let option = format!("com.docker.network.bridge.name={bridge}");
    let mut args = vec!["network", "create", "--opt", &option];
    args.extend(subnet_v6.into_iter().flat_map(|subnet| ["--ipv6", "--subnet", subnet]));
    args.push(name);
    docker(layout, &args)?;
    let inspected: Value = serde_json::from_str(&docker(layout, &["network", "inspect", name])?)
        .context("understand docker network inspect")?;
    let configs = inspected[0]["IPAM"]["Config"].as_array().cloned().unwrap_or_default();
    let subnets = configs.iter().filter_map(|c| c["Subnet"].as_str().map(str::to_owned));
    Ok(LabNetwork { bridge: bridge.to_owned(), subnets: subnets.collect() })
}

/// Whether this kernel lets links have IPv6 addresses.
fn has_ipv6() -> bool {
    let off = std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    off.is_ok_and(|text| text.trim() == "0")
}

/// Makes the edge on the second network's bridge.
///
/// # Errors
/// When a namespace or a veth pair cannot be made. Kinds of links that this kernel does not have are told in the answer.
pub(super) fn make_edge(layout: &Layout, network: &LabNetwork) -> Result<Edge> {
    let (netns, outside) = (layout.edge(), layout.edge_link());
    ip(&["netns", "add", &netns])?;
    ip(&["link", "add", &outside, "type", "veth", "peer", "name", "lan0", "netns", &netns])?;
    ip(&["link", "set", &outside, "master", &network.bridge, "up"])?;
    let inside = |words: &str| {
        let args = ["-n", &netns].into_iter().chain(words.split(' '));
        ip(&args.collect::<Vec<_>>())
    };
    let addresses: Vec<String> = network.subnets.iter().filter_map(|s| high_address(s, EDGE_HOST)).collect();
    for address in &addresses {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        inside(&format!("address add {address} dev lan0{nodad}"))?;
    }
    for link in ["lo", "lan0"] {
        inside(&format!("link set {link} up"))?;
    }
    let mut missing = Vec::new();
    for (kind, words) in [
        ("bridge", "link add br0 type bridge"),
        ("macvlan", "link add mac0 link lan0 type macvlan mode bridge"),
        ("vxlan", "link add vx0 type vxlan id 7 dstport 4789 dev lan0"),
        ("tun", "tuntap add tun0 mode tun"),
    ] {
        if inside(words).is_err() {
            missing.push(kind.to_owned());
        }
    }
    let has = |kind: &str| !missing.iter().any(|m| m == kind);
    if has("bridge") {
        inside("link set br0 up")?;
    }
    if has("bridge") && has("vxlan") {
        inside("link set vx0 master br0 up")?;
    }
    Ok(Edge { netns, link: outside, addresses, missing })
}

/// The address with this host part in a subnet, with its prefix length; `None` when that is no subnet.
fn high_address(subnet: &str, host: u64) -> Option<String> {
    let (base, prefix) = subnet.split_once('/')?;
    let length: u32 = prefix.parse().ok()?;
    let address = match base.parse().ok()? {
        IpAddr::V4(base) => {
            let mask = u32::MAX.checked_shr(length).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() | (host as u32 & mask)))
        }
        IpAddr::V6(base) => {
            let mask = u128::MAX.checked_shr(length).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() | (u128::from(host) & mask)))
        }
    };
    Some(format!("{address}/{prefix}"))
}

/// Removes every namespace and link that has a name of this lab (tests give such names to theirs), and the host ends of
/// veths on its bridges. What is not there is no failure.
pub(super) fn remove(layout: &Layout) {
    let stem = layout.bridge();
    for name in names_in("/run/netns").iter().filter(|name| name.starts_with(&format!("{stem}-"))) {
        let _ = ip(&["netns", "delete", name]);
    }
    let (mut bridges, mut links) = (Vec::new(), Vec::new());
    for name in names_in("/sys/class/net").into_iter().filter(|name| name.starts_with(&stem)) {
        let ports = names_in(&format!("/sys/class/net/{name}/brif"));
        (if ports.is_empty() { &mut links } else { &mut bridges }).push(name);
        links.extend(ports);
    }
    for name in links.into_iter().chain(bridges) {
        // A veth whose netns or other end has just gone goes by itself: that it is not found is no failure.
        if Path::new("/sys/class/net").join(&name).exists() {
            let _ = ip(&["link", "delete", &name]);
        }
    }
}

fn names_in(dir: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Runs `ip`.
fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("run ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_is_far_from_the_engines_addresses_and_inside_the_subnet() {
        assert_eq!(high_address("172.19.0.0/16", EDGE_HOST).as_deref(), Some("172.19.255.250/16"));
        assert_eq!(high_address("192.168.32.0/20", EDGE_HOST).as_deref(), Some("192.168.47.250/20"));
        assert_eq!(high_address("fd67:6868:1:2::/64", EDGE_HOST).as_deref(), Some("fd67:6868:1:2::fffa/64"));
        assert_eq!(high_address("nonsense", EDGE_HOST), None);
    }
}
