//! `glasshull veth [WHAT]`: each veth pair in one row, from the container's link to the bridge port on the host.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::network::{Link, LinkKey, LinkStat, NetnsKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{columns, print_line, tell};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect;
use crate::config::{Common, Veth};

const HEADINGS: [&str; 9] =
    ["CONTAINER", "LINK", "ADDRESS", "MAC", "HOST LINK", "BRIDGE", "NETWORK", "RECEIVES", "SENDS"];

/// One pair: `inside` is the end in the namespace that is not the host's (of two such, the first).
struct Pair<'a> {
    inside: (LinkKey, &'a Link),
    stat: LinkStat,
    /// Name of the container, of the namespace, or its inode.
    whose: String,
    /// The other end, unless it is hidden.
    outside: Option<(LinkKey, &'a Link)>,
    bridge: Option<&'a str>,
}

/// Looks up and prints.
///
/// # Errors
/// When links cannot be read, or nothing matches what was asked for.
pub(crate) async fn run(common: Common, args: Veth) -> Result<ExitCode> {
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand =
        [Topic::Process, Topic::Container, Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Source];
    let sample = sample_twice(&mut live, &wake, demand.into_iter().collect(), args.interval).await;
    let snapshot = &sample.snapshot;
    let source = snapshot.source.iter().find(|(key, _)| key.name == collect::NETWORK.name);
    let trouble = source.filter(|(_, row)| row.state != SourceState::Ok).map(|(_, row)| row);
    let reason = trouble.and_then(|row| row.reason.as_deref()).unwrap_or("links cannot be read");
    if trouble.is_some_and(|row| row.state != SourceState::Limited) {
        bail!("{reason}");
    }
    let mut pairs = pairs(snapshot);
    if let Some(what) = &args.what {
        pairs.retain(|pair| pair.matches(what));
        if pairs.is_empty() {
            bail!(
                "no veth pair has {what:?}: try a container, address, MAC, link or network; without it all are listed"
            );
        }
    }
    if args.json {
        print_line(&json!(pairs.iter().map(Pair::json).collect::<Vec<_>>()).to_string())?;
    } else {
        print_line(table(&pairs).trim_end())?;
    }
    if trouble.is_some() {
        tell(reason);
    }
    Ok(ExitCode::SUCCESS)
}

fn pairs(snapshot: &Snapshot) -> Vec<Pair<'_>> {
    let is_host = |netns| snapshot.netns.get(&NetnsKey { netns }).is_some_and(|row| row.host);
    let end = |netns: Option<u64>, ifindex: Option<u32>| {
        let key = LinkKey { netns: netns?, ifindex: ifindex? };
        snapshot.link.get(&key).map(|row| (key, &**row))
    };
    let mut pairs = Vec::new();
    for (key, row) in snapshot.link.iter().filter(|(_, row)| row.kind == "veth") {
        let other = end(row.peer_netns, row.peer_ifindex);
        // Each pair once: from the inside; of two ends on the same side, from the first.
        let inner = !is_host(key.netns);
        let turned = other.is_some_and(|(there, _)| match (inner, !is_host(there.netns)) {
            (false, true) => true,
            (true, false) => false,
            (true, true) | (false, false) => there < *key,
        });
        if turned {
            continue;
        }
        let bridge = other.and_then(|(there, row)| end(Some(there.netns), row.master));
        pairs.push(Pair {
            inside: (*key, row),
            stat: snapshot.link_stat.get(key).map(|s| **s).unwrap_or_default(),
            whose: whose(snapshot, key.netns, row),
            outside: other,
            bridge: bridge.map(|(_, row)| row.name.as_str()),
        });
    }
    pairs.sort_by(|a, b| (&a.whose, a.inside.0).cmp(&(&b.whose, b.inside.0)));
    pairs
}

fn whose(snapshot: &Snapshot, netns: u64, link: &Link) -> String {
    let named = |id: &String| {
        let row = snapshot.container.get(&ContainerKey { id: id.clone() });
        row.map_or_else(|| unit::short_id(id).to_owned(), |row| row.name.clone())
    };
    let row = snapshot.netns.get(&NetnsKey { netns });
    let here = || match row {
        Some(row) if row.host => "(host)".to_owned(),
        Some(row) => {
            row.name.as_ref().map_or_else(|| format!("netns {netns}"), |name| format!("netns {name}"))
        }
        None => format!("netns {netns}"),
    };
    link.container.as_ref().map_or_else(here, named)
}

impl Pair<'_> {
    /// Whether any of its names is, or any address begins with, what was asked for.
    fn matches(&self, what: &str) -> bool {
        let (key, row) = self.inside;
        let outside = self.outside.map(|(_, row)| row);
        let same = |text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case(what));
        let id = row.container.as_deref().is_some_and(|id| what.len() >= 4 && id.starts_with(what));
        let address = row.addresses.iter().any(|a| a == what || a.split('/').next() == Some(what));
        let texts = [
            Some(self.whose.as_str()),
            row.mac.as_deref(),
            outside.and_then(|o| o.mac.as_deref()),
            outside.map(|o| o.name.as_str()),
            self.bridge,
            row.network.as_deref(),
        ];
        id || address || texts.into_iter().any(same) || key.netns.to_string() == what
    }

    fn json(&self) -> Value {
        let (key, row) = self.inside;
        let end = |key: LinkKey, row: &Link| {
            json!({"netns": key.netns, "ifindex": key.ifindex, "name": row.name, "mac": row.mac,
                   "addresses": row.addresses, "state": row.state, "mtu": row.mtu, "master": row.master})
        };
        json!({
            "container": row.container,
            "name": self.whose,
            "network": row.network,
            "inside": end(key, row),
            "outside": self.outside.map(|(key, row)| end(key, row)),
            "bridge": self.bridge,
            "stat": self.stat,
        })
    }

    fn cells(&self) -> [String; 9] {
        let (key, row) = self.inside;
        let rate = |rate: Option<f32>| unit::or_unknown(rate.map(|r| unit::bytes_per_sec(f64::from(r))));
        let text = |text: Option<&str>| unit::or_unknown(text.map(str::to_owned));
        let outside = self.outside.map(|(key, row)| format!("{} #{}", row.name, key.ifindex));
        [
            self.whose.clone(),
            format!("{} #{}", row.name, key.ifindex),
            text(row.addresses.first().map(String::as_str)),
            text(row.mac.as_deref()),
            unit::or_unknown(outside),
            text(self.bridge),
            text(row.network.as_deref()),
            rate(self.stat.rx_bytes_per_sec),
            rate(self.stat.tx_bytes_per_sec),
        ]
    }
}

/// Aligned columns; rates to the right.
fn table(pairs: &[Pair<'_>]) -> String {
    if pairs.is_empty() {
        return "no veth pair on this host".into();
    }
    let rows: Vec<[String; 9]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(pairs.iter().map(Pair::cells)).collect();
    columns(&rows, 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::Netns;

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        for (netns, host) in [(1, true), (2, false)] {
            s.netns.insert(NetnsKey { netns }, Arc::new(Netns { host, ..Netns::default() }));
        }
        let mut add = |netns, ifindex, row: Link| s.link.insert(LinkKey { netns, ifindex }, Arc::new(row));
        let veth = |name: &str, peer: (u64, u32)| Link {
            name: name.into(),
            kind: "veth".into(),
            peer_netns: Some(peer.0),
            peer_ifindex: Some(peer.1),
            container: Some("abcdef012345".into()),
            network: Some("front".into()),
            ..Link::default()
        };
        add(1, 9, Link { name: "br0".into(), kind: "bridge".into(), ..Link::default() });
        add(1, 5, Link { master: Some(9), ..veth("vethx", (2, 2)) });
        let addresses = vec!["10.0.0.2/24".to_owned()];
        add(2, 2, Link { addresses, mac: Some("02:aa".into()), ..veth("eth0", (1, 5)) });
        s
    }

    #[test]
    fn a_pair_is_one_row_seen_from_the_container() {
        let snapshot = snapshot();
        let pairs = pairs(&snapshot);
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].cells()[1..7], ["eth0 #2", "10.0.0.2/24", "02:aa", "vethx #5", "br0", "front"]);
    }

    #[test]
    fn it_is_found_by_any_of_its_names() {
        let snapshot = snapshot();
        let pair = &pairs(&snapshot)[0];
        for what in ["10.0.0.2", "10.0.0.2/24", "02:AA", "vethx", "br0", "front", "abcdef", "2"] {
            assert!(pair.matches(what), "{what}");
        }
        for what in ["", "10.0.0", "abc", "eth", "web"] {
            assert!(!pair.matches(what), "{what}");
        }
    }
}
