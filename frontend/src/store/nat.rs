//! Published ports and address translation as views and the inspector say them: the way of a packet in one line, and what a
//! person would type to see the same.

use glasshull_shared::domain::network::{
    Hop, HopKind, NatOrigin, NatRuleKey, PublishedPort, PublishedPortKey,
};
use glasshull_shared::snapshot::Snapshot;

use super::network::prefix;
use super::shell::{Command, command};

/// `127.0.0.1:8080/tcp → DNAT to 172.18.0.2:80 → lab0 → veth12 ⇄ eth0 → httpd (1234) 0.0.0.0:80`.
pub fn way(row: &PublishedPort) -> String {
    // That it forwards is as it should be.
    let quiet = |hop: &&Hop| hop.kind != HopKind::Routing || hop.dead.is_some();
    let text = |hop: &Hop| if hop.dead.is_some() { format!("✕ {}", hop.text) } else { hop.text.clone() };
    row.hops.iter().filter(quiet).map(text).collect::<Vec<_>>().join(" → ")
}

/// The published ports of a container.
pub fn ports_of<'a>(
    snapshot: &'a Snapshot,
    container: &'a str,
) -> impl Iterator<Item = (&'a PublishedPortKey, &'a PublishedPort)> {
    let of = move |key: &&PublishedPortKey| key.container.as_deref() == Some(container);
    snapshot.published_port.iter().filter(move |(key, _)| of(key)).map(|(key, row)| (key, &**row))
}

/// The rule behind a hop: the one that says the same there.
fn rule_of<'a>(snapshot: &'a Snapshot, key: &PublishedPortKey) -> Option<&'a NatRuleKey> {
    let port = key.host_port.to_string();
    let rules = snapshot.nat_rule.iter().filter(|(at, _)| at.netns == key.netns);
    let mut same = rules.filter(|(_, row)| {
        row.protocol.as_ref() == Some(&key.protocol) && row.port.as_ref() == Some(&port) && row.to.is_some()
    });
    same.find(|(_, row)| row.container == key.container).map(|(at, _)| at)
}

/// The commands about a published port.
pub fn shell_lines(snapshot: &Snapshot, key: &PublishedPortKey, row: &PublishedPort) -> Vec<Command> {
    let Some(outside) = prefix(snapshot, key.netns) else { return Vec::new() };
    let (protocol, port) = (&key.protocol, key.host_port);
    let mut lines = Vec::new();
    if let Some(rule) = rule_of(snapshot, key) {
        lines.extend(rule_lines(&outside, rule));
        lines.push(command(
            "connections through it now",
            format!("{outside}conntrack -L -p {protocol} --orig-port-dst {port}"),
            "IPCTNL_MSG_CT_GET",
        ));
    }
    let flag = if protocol == "udp" { "-lunp" } else { "-ltnp" };
    lines.push(command(
        "who has the port on this side",
        format!("{outside}ss {flag} sport = :{port}"),
        "/proc/net/tcp · /proc/PID/fd",
    ));
    let inside = row.hops.iter().find(|hop| hop.kind == HopKind::Listener).and_then(|hop| hop.netns);
    if let Some(inside) = inside.and_then(|netns| prefix(snapshot, netns)) {
        lines.push(command(
            "who listens inside",
            format!("{inside}ss {flag} sport = :{}", row.container_port),
            "/proc/PID/net/tcp · /proc/PID/fd",
        ));
    }
    if row.hops.iter().any(|hop| hop.kind == HopKind::Routing) {
        let show = format!("{outside}sysctl net.ipv4.ip_forward");
        lines.push(command("whether packets are passed on", show, "/proc/sys/net/ipv4/ip_forward"));
    }
    lines
}

fn rule_lines(outside: &str, rule: &NatRuleKey) -> [Command; 1] {
    let (family, table, chain) = (&rule.family, &rule.table, &rule.chain);
    let line = match rule.origin {
        NatOrigin::Nftables => format!("{outside}nft list chain {family} {table} {chain}"),
        NatOrigin::Legacy if family == "ip6" => {
            format!("{outside}ip6tables-legacy -t {table} -L {chain} -n -v --line-numbers")
        }
        NatOrigin::Legacy => format!("{outside}iptables-legacy -t {table} -L {chain} -n -v --line-numbers"),
    };
    let reads = match rule.origin {
        NatOrigin::Nftables => "NFT_MSG_GETRULE",
        NatOrigin::Legacy => "IPT_SO_GET_ENTRIES",
    };
    [command("its rule and counter", line, reads)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_names_each_hop_and_marks_the_dead() {
        let hop = |kind, text: &str, dead: Option<&str>| Hop {
            kind,
            text: text.into(),
            dead: dead.map(str::to_owned),
            ..Hop::default()
        };
        let hops = vec![
            hop(HopKind::HostPort, "0.0.0.0:80/tcp", None),
            hop(HopKind::Routing, "ip_forward 1", None),
            hop(HopKind::Bridge, "lab0", None),
            hop(HopKind::Listener, ":80", Some("no listener")),
        ];
        let row = PublishedPort { hops, ..PublishedPort::default() };
        assert_eq!(way(&row), "0.0.0.0:80/tcp → lab0 → ✕ :80");
    }
}
