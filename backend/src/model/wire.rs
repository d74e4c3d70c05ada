//! What belongs to a look into a wire: which links it sees, and whose the addresses are that pass. Pure, from the tables of the
//! network and of containers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::network::{Link, LinkKey, Netns, NetnsKey};
use glasshull_shared::domain::wire::{Refusal, Start};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

/// Names told at most: a host with more addresses is served with the first of them.
const NAMES_AT_MOST: usize = 4096;

/// What a look is told about where it looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scene {
    /// What is looked at, for people and for the name of a file.
    pub title: String,
    /// Numbers and names of the links seen.
    pub links: Vec<(u32, String)>,
    /// Addresses and whose they are.
    pub names: Vec<(IpAddr, String)>,
}

/// The scene of a look.
///
/// # Errors
/// When there is no such namespace or link.
pub(crate) fn scene(snapshot: &Snapshot, start: &Start) -> Result<Scene, Refusal> {
    let netns = start.netns;
    let Some(row) = snapshot.netns.get(&NetnsKey { netns }) else {
        return Err(Refusal::Gone(format!("there is no network namespace {netns}")));
    };
    let whose = match row.containers.first().filter(|_| !row.host) {
        Some(id) => container_name(snapshot, id),
        None if row.host => "host".to_owned(),
        None => row.name.clone().unwrap_or_else(|| format!("netns {netns}")),
    };
    let wanted = |key: &LinkKey| key.netns == netns && start.ifindex.is_none_or(|one| one == key.ifindex);
    let links: Vec<_> = snapshot
        .link
        .iter()
        .filter(|(key, _)| wanted(key))
        .map(|(key, row)| (key.ifindex, row.name.clone()))
        .collect();
    let title = match (start.ifindex, links.first()) {
        (None, _) => whose,
        (Some(_), Some((_, name))) => format!("{name} in {whose}"),
        (Some(ifindex), None) => {
            return Err(Refusal::Gone(format!("there is no link {ifindex} in network namespace {netns}")));
        }
    };
    Ok(Scene { title, links, names: names(snapshot) })
}

/// Where to look for what a person calls it: a container, a namespace's name, a link of the host, or `host` for all of its links.
/// `None` when nothing has that name.
pub(crate) fn find(snapshot: &Snapshot, what: &str) -> Option<Start> {
    let host = || snapshot.netns.iter().find(|(_, row)| row.host).map(|(key, _)| key.netns);
    let at = |netns, ifindex| Some(Start { netns, ifindex, ..Start::default() });
    let is_meant =
        |id: &String| container_name(snapshot, id) == what || (what.len() >= 4 && id.starts_with(what));
    let meant = |row: &Netns| row.name.as_deref() == Some(what) || row.containers.iter().any(is_meant);
    if let Some((key, _)) = snapshot.netns.iter().find(|(_, row)| meant(row)) {
        return at(key.netns, None);
    }
    if what == "host" {
        return at(host()?, None);
    }
    let (key, _) = snapshot.link.iter().find(|(key, row)| row.name == what && Some(key.netns) == host())?;
    at(key.netns, Some(key.ifindex))
}

/// Each address with its container; those of the host with the link they are on.
fn names(snapshot: &Snapshot) -> Vec<(IpAddr, String)> {
    let mut names = BTreeMap::new();
    for (key, link) in &snapshot.link {
        let Some(name) = owner(snapshot, *key, link) else { continue };
        for address in &link.addresses {
            let bare = address.split('/').next().and_then(|a| a.parse::<IpAddr>().ok());
            // Loopback is everybody's.
            if let Some(address) = bare.filter(|a| !a.is_loopback())
                && names.len() < NAMES_AT_MOST
            {
                names.entry(address).or_insert_with(|| name.clone());
            }
        }
    }
    names.into_iter().collect()
}

fn owner(snapshot: &Snapshot, key: LinkKey, link: &Link) -> Option<String> {
    let row = snapshot.netns.get(&NetnsKey { netns: key.netns })?;
    if row.host {
        return Some(format!("host-{}", link.name));
    }
    match row.containers.first() {
        Some(id) => Some(container_name(snapshot, id)),
        None => row.name.clone(),
    }
}

fn container_name(snapshot: &Snapshot, id: &str) -> String {
    let row = snapshot.container.get(&ContainerKey { id: id.to_owned() });
    let name = row.map(|row| row.name.as_str()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| unit::short_id(id)).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use glasshull_shared::domain::container::Container;

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        let web = Container { name: "web".into(), ..Container::default() };
        s.container.insert(ContainerKey { id: "w".into() }, Arc::new(web));
        let mut netns = |netns, row| s.netns.insert(NetnsKey { netns }, Arc::new(row));
        netns(1, Netns { host: true, ..Netns::default() });
        netns(2, Netns { containers: vec!["w".into()], ..Netns::default() });
        let mut link = |netns, ifindex, name: &str, address: &str| {
            let row = Link { name: name.into(), addresses: vec![address.into()], ..Link::default() };
            s.link.insert(LinkKey { netns, ifindex }, Arc::new(row));
        };
        link(1, 3, "br0", "172.18.0.1/16");
        link(2, 1, "lo", "127.0.0.1/8");
        link(2, 2, "eth0", "172.18.0.2/16");
        s
    }

    #[test]
    fn addresses_are_called_by_who_has_them() {
        let scene = scene(&snapshot(), &Start { netns: 2, ..Start::default() }).unwrap();
        assert_eq!(scene.title, "web");
        assert_eq!(scene.links, [(1, "lo".into()), (2, "eth0".into())]);
        let name = |text: &str, name: &str| (text.parse::<IpAddr>().unwrap(), name.to_owned());
        assert_eq!(scene.names, [name("172.18.0.1", "host-br0"), name("172.18.0.2", "web")]);
    }

    #[test]
    fn places_are_found_by_what_people_call_them() {
        let s = snapshot();
        let found = |what| find(&s, what).map(|start| (start.netns, start.ifindex));
        assert_eq!(found("web"), Some((2, None)));
        assert_eq!(found("br0"), Some((1, Some(3))));
        assert_eq!(found("host"), Some((1, None)));
        assert_eq!((found("eth0"), found("w"), found("")), (None, None, None));
    }

    #[test]
    fn one_link_is_one_link_and_none_is_told() {
        let one =
            |netns, ifindex| scene(&snapshot(), &Start { netns, ifindex: Some(ifindex), ..Start::default() });
        let scene = one(1, 3).unwrap();
        assert_eq!((scene.title.as_str(), scene.links.len()), ("br0 in host", 1));
        assert!(matches!(one(1, 4), Err(Refusal::Gone(_))) && matches!(one(9, 3), Err(Refusal::Gone(_))));
    }
}
