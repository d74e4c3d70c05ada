//! Joins of the network that several views need: whose a namespace is, what is at the other end of a link.

use glasshull_shared::domain::network::{Link, LinkKey, NetnsKey};
use glasshull_shared::domain::source::{Source, SourceKey};
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::lookup::container_name;
use super::shell::{Command, command, quote};

/// Why links are not known as they should be; `None` when nothing is amiss.
pub fn trouble(snapshot: &Snapshot) -> Option<String> {
    snapshot.source.get(&SourceKey { name: "network".into() })?.reason.clone()
}

/// Why a table is not known as it should be: what the source that fills it says; `None` when nothing is amiss.
pub fn trouble_of(snapshot: &Snapshot, topic: Topic) -> Option<String> {
    let fills = |row: &Source| row.tables.iter().any(|table| table == topic.name());
    snapshot.source.values().filter(|row| fills(row)).find_map(|row| row.reason.clone())
}

/// A link by its key.
pub fn link(snapshot: &Snapshot, key: LinkKey) -> Option<&Link> {
    snapshot.link.get(&key).map(|row| &**row)
}

/// What people call a network namespace: its containers (owner first), `host`, its name of `ip netns`, or its inode.
pub fn netns_name(snapshot: &Snapshot, netns: u64) -> String {
    let Some(row) = snapshot.netns.get(&NetnsKey { netns }) else { return format!("netns {netns}") };
    if row.host {
        return "host".into();
    }
    match (row.containers.split_first(), &row.name) {
        (Some((owner, [])), _) => container_name(snapshot, owner),
        (Some((owner, rest)), _) => format!("{} +{}", container_name(snapshot, owner), rest.len()),
        (None, Some(name)) => name.clone(),
        (None, None) => format!("netns {netns}"),
    }
}

/// The other end of a pair, or the link it rides on.
pub fn other_end(row: &Link) -> Option<LinkKey> {
    let end = |netns: Option<u64>, ifindex: Option<u32>| Some(LinkKey { netns: netns?, ifindex: ifindex? });
    end(row.peer_netns, row.peer_ifindex).or_else(|| end(row.lower_netns, row.lower_ifindex))
}

/// `veth12ab in host`.
pub fn end_name(snapshot: &Snapshot, key: LinkKey) -> String {
    let name = link(snapshot, key).map_or_else(|| format!("#{}", key.ifindex), |row| row.name.clone());
    format!("{name} in {}", netns_name(snapshot, key.netns))
}

/// The commands about a link.
pub fn shell_lines(snapshot: &Snapshot, key: LinkKey) -> Vec<Command> {
    let Some(row) = link(snapshot, key) else { return Vec::new() };
    let Some(inside) = prefix(snapshot, key.netns) else { return Vec::new() };
    let name = quote(&row.name);
    let mut lines = vec![
        command("the link and its counters", format!("{inside}ip -d -s link show dev {name}"), "RTM_GETLINK"),
        command("its addresses", format!("{inside}ip address show dev {name}"), "RTM_GETADDR"),
        command("who answers on it", format!("{inside}ip neighbour show dev {name}"), "RTM_GETNEIGH"),
        command("routes that leave by it", format!("{inside}ip route show dev {name}"), "RTM_GETROUTE"),
    ];
    let watch = format!("{inside}tcpdump -ni {name} -c 20");
    lines.push(command("what passes, twenty packets", watch, "AF_PACKET through libpcap, heads only"));
    if row.kind == "bridge" {
        let ports = format!("{inside}ip -br link show master {name}");
        lines.push(command("its ports", ports, "RTM_GETLINK IFLA_MASTER"));
    }
    if let Some((end, there)) = other_end(row).and_then(|end| Some((end, prefix(snapshot, end.netns)?)))
        && let Some(other) = link(snapshot, end)
    {
        let show = format!("{there}ip -d -s link show dev {}", quote(&other.name));
        lines.push(command("the other end", show, "RTM_GETLINK IFLA_LINK, IFLA_LINK_NETNSID"));
    }
    lines
}

/// The commands that look into a wire.
pub fn wire_lines(snapshot: &Snapshot, netns: u64, ifindex: Option<u32>, filter: &str) -> Vec<Command> {
    let Some(inside) = prefix(snapshot, netns) else { return Vec::new() };
    let name = match ifindex.map(|ifindex| link(snapshot, LinkKey { netns, ifindex })) {
        Some(Some(row)) => quote(&row.name),
        Some(None) => return Vec::new(),
        None => "any".into(),
    };
    let filter = if filter.is_empty() { String::new() } else { format!(" {}", quote(filter)) };
    let file = format!("{inside}tcpdump -ni {name} -w wire.pcap{filter}");
    vec![
        command("what passes", format!("{inside}tcpdump -ni {name}{filter}"), "AF_PACKET by libpcap"),
        command("the same for Wireshark", file, "AF_PACKET by libpcap"),
    ]
}

/// What a command line begins with to see a namespace from the host; `None` when there is no way in by name.
pub(super) fn prefix(snapshot: &Snapshot, netns: u64) -> Option<String> {
    let row = snapshot.netns.get(&NetnsKey { netns })?;
    match (row.host, &row.name, row.pid) {
        (true, ..) => Some(String::new()),
        (false, _, Some(pid)) => Some(format!("nsenter -t {pid} -n ")),
        (false, Some(name), None) => Some(format!("ip netns exec {} ", quote(name))),
        (false, None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::{Container, ContainerKey};
    use glasshull_shared::domain::network::Netns;
    use std::sync::Arc;

    #[test]
    fn a_namespace_is_called_by_who_owns_it() {
        let mut s = Snapshot::default();
        let web = Container { name: "web".into(), ..Container::default() };
        s.container.insert(ContainerKey { id: "w".into() }, Arc::new(web));
        let mut add = |netns, row: Netns| s.netns.insert(NetnsKey { netns }, Arc::new(row));
        add(1, Netns { host: true, containers: vec!["w".into()], ..Netns::default() });
        add(2, Netns { containers: vec!["w".into()], ..Netns::default() });
        add(3, Netns { containers: vec!["w".into(), "x".into()], ..Netns::default() });
        add(4, Netns { name: Some("blue".into()), ..Netns::default() });
        add(5, Netns::default());
        let names = [1, 2, 3, 4, 5, 6].map(|netns| netns_name(&s, netns));
        assert_eq!(names, ["host", "web", "web +1", "blue", "netns 5", "netns 6"]);
    }

    #[test]
    fn commands_enter_the_namespace_they_are_about() {
        let mut s = Snapshot::default();
        for (netns, row) in [
            (1, Netns { host: true, pid: Some(1), ..Netns::default() }),
            (2, Netns { pid: Some(42), ..Netns::default() }),
            (3, Netns { name: Some("a b".into()), ..Netns::default() }),
            (4, Netns::default()),
        ] {
            s.netns.insert(NetnsKey { netns }, Arc::new(row));
            let row = Link { name: "eth0".into(), ..Link::default() };
            s.link.insert(LinkKey { netns, ifindex: 2 }, Arc::new(row));
        }
        let first = |netns| shell_lines(&s, LinkKey { netns, ifindex: 2 }).first().map(|l| l.command.clone());
        assert_eq!(first(1).unwrap(), "ip -d -s link show dev eth0");
        assert_eq!(first(2).unwrap(), "nsenter -t 42 -n ip -d -s link show dev eth0");
        assert_eq!(first(3).unwrap(), "ip netns exec 'a b' ip -d -s link show dev eth0");
        assert_eq!(first(4), None);
    }
}
