//! Links, namespaces and containers that come and go while the agent reads and while somebody watches.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_shared::domain::network::{LinkKey, NeighbourKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot as Tables, Topic};
use serde_json::json;

use super::cables::Cables;
use super::{Place, TABLES, inode, ip, row};
use crate::agent::{number, same};
use crate::runner::Context;
use crate::watch::Watch;

/// What is watched.
const TOPICS: [Topic; 7] = [
    Topic::Netns,
    Topic::Link,
    Topic::LinkStat,
    Topic::Neighbour,
    Topic::Route,
    Topic::Container,
    Topic::Source,
];

/// Namespaces with links come and go some twenty times a second while the agent reads: nothing else is lost, no snapshot
/// fails, and no namespace outlives its end on our account.
pub(crate) fn churn(context: &mut Context) -> Result<()> {
    let stem = format!("{}-c", context.lab.state().stem);
    let link = format!("{}c", context.lab.state().stem);
    // Names of their own: the kernel takes a namespace's links down some time after its end.
    let round = format!(
        "n={stem}$i l={link}$i; ip netns add $n && ip link add $l type veth peer name v1 netns $n; ip netns delete $n"
    );
    let mut churning = shell(&format!("for i in $(seq 120); do {round}; sleep 0.02; done"))?;
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
        links.into_iter().find(|l| l["ifname"].as_str().is_some_and(|name| name.starts_with(&link)))
    };
    ensure!(
        wait_until(Duration::from_secs(60), || left().is_none()),
        "a link outlived its namespace: {:?}",
        left()
    );
    Ok(())
}

/// Veth pairs come and go twenty times a second on the host and in a container while somebody watches: at no tick is
/// anything lost that stays, and afterwards nothing is left of what went.
pub(crate) fn links_while_watched(context: &mut Context) -> Result<()> {
    let web = Place::container(context, "web")?;
    let host = Place::host()?;
    let stay = vec![
        key(host.netns, 1),
        key(web.netns, 1),
        key(web.netns, *web.links()?.get("eth0").context("no eth0")?),
        key(
            host.netns,
            *host.links()?.get(&context.lab.state().networks["lab"].bridge).context("no bridge")?,
        ),
    ];
    let begun = stay.clone();
    let watch = Watch::start(
        context,
        &TOPICS,
        move |tables| begun.iter().all(|key| tables.link.contains_key(key)),
        move |tables| {
            for key in &stay {
                ensure!(tables.link.contains_key(key), "link {key:?} is lost");
                ensure!(tables.link_stat.contains_key(key), "counters of {key:?} are lost");
            }
            well(tables)
        },
    )?;
    let stem = &context.lab.state().stem;
    let enter = web.prefix.join(" ");
    let here = format!("ip link add {stem}l$i type veth peer name {stem}m$i; ip link delete {stem}l$i");
    let inside = format!("{enter} ip link add l$i type veth peer name m$i; {enter} ip link delete l$i");
    let before = watch.ticks();
    let mut churning = shell(&format!("for i in $(seq 160); do {here}; {inside}; sleep 0.03; done"))?;
    ensure!(churning.wait()?.success(), "the churn failed");
    ensure!(watch.ticks() > before + 1, "{} ticks while links came and went", watch.ticks() - before);
    for place in [host, web] {
        // The engine's own, on a host with others, may still change: until both agree.
        watch.wait(&format!("the links of {} as ip tells them", place.name), |tables| {
            let truth: Vec<u64> = place.links().unwrap_or_default().into_values().collect();
            let told =
                tables.link.keys().filter(|key| key.netns == place.netns).map(|key| u64::from(key.ifindex));
            let (mut told, mut truth) = (told.collect::<Vec<_>>(), truth);
            told.sort_unstable();
            truth.sort_unstable();
            told == truth
        })?;
    }
    Ok(())
}

/// A container restarted while somebody watches: its new namespace and veth pair are told with container and network, of
/// the old ones nothing is left, and at no tick is another container's link lost.
pub(crate) fn restart_while_watched(context: &mut Context) -> Result<()> {
    let name = "client-2";
    let other = Place::container(context, "web")?;
    let stays = key(other.netns, *other.links()?.get("eth0").context("no eth0")?);
    let before = Place::container(context, name)?;
    let watch = Watch::start(
        context,
        &TOPICS,
        move |tables| tables.link.contains_key(&stays),
        move |tables| {
            ensure!(tables.link.contains_key(&stays), "the link of web is lost");
            well(tables)
        },
    )?;
    let id = context.lab.inspect(name)?["Id"].as_str().context("no id")?.to_owned();
    let known = |tables: &Tables, netns: u64| {
        let mut links = tables.link.iter().filter(|(key, _)| key.netns == netns);
        links.any(|(_, row)| {
            row.container.as_ref() == Some(&id)
                && row.network.as_deref() == Some("lab")
                && row.peer_ifindex.is_some()
        })
    };
    watch.wait("the container's link", |tables| known(tables, before.netns))?;
    context.lab.docker(&["restart", "--time", "0", name])?;
    context.lab.refresh()?;
    let after = Place::container(context, name)?;
    watch.wait("the new link", |tables| known(tables, after.netns))?;
    if after.netns != before.netns {
        watch.wait("the end of the old link", |tables| {
            tables.link.keys().all(|key| key.netns != before.netns)
                && tables.netns.keys().all(|key| key.netns != before.netns)
        })?;
    }
    let inside =
        ip(&after.prefix, &["link"])?.into_iter().find(|l| l["ifname"] == "eth0").context("no eth0")?;
    let (ifindex, across) = (number(&inside, "ifindex")?, number(&inside, "link_index")?);
    let host = inode("/proc/self/ns/net")?;
    watch.wait("both ends as ip tells them", |tables| {
        let row = |key: LinkKey| tables.link.get(&key);
        let ends = row(key(after.netns, ifindex)).zip(row(key(host, across)));
        ends.is_some_and(|(near, far)| {
            near.peer_netns == Some(host)
                && near.peer_ifindex.map(u64::from) == Some(across)
                && far.peer_netns == Some(after.netns)
                && far.peer_ifindex.map(u64::from) == Some(ifindex)
        })
    })
}

/// An address that another hardware address answers for of a sudden is marked, with the one before.
pub(crate) fn changed_mac(context: &mut Context) -> Result<()> {
    let cables = Cables::lay(context)?;
    let far = Place::named(&cables.far)?;
    let ifindex = u32::try_from(*far.links()?.get("v1").context("no v1")?)?;
    let watch = Watch::start(context, &TOPICS, |_| true, well)?;
    let key = NeighbourKey { netns: far.netns, ifindex, address: "10.77.0.9".into() };
    let before = Some("02:00:00:00:00:09");
    watch.wait("the neighbour", |t| t.neighbour.get(&key).is_some_and(|row| row.mac.as_deref() == before))?;
    cables.far("neighbour replace 10.77.0.9 lladdr 02:00:00:00:00:0a dev v1")?;
    watch.wait("the mark", |tables| {
        // 10.77.0.10 has the same one.
        tables.neighbour.get(&key).is_some_and(|row| {
            row.mac.as_deref() == Some("02:00:00:00:00:0a")
                && row.mac_before.as_deref() == before
                && row.addresses_of_mac == 2
        })
    })
}

fn key(netns: u64, ifindex: u64) -> LinkKey {
    LinkKey { netns, ifindex: u32::try_from(ifindex).unwrap_or_default() }
}

/// The source of the network never fails, and never shows less than all of it.
fn well(tables: &Tables) -> Result<()> {
    let row = tables.source.iter().find(|(key, _)| key.name == "network").map(|(_, row)| row);
    let row = row.context("the network's source is not told")?;
    ensure!(row.state == SourceState::Ok, "the network is {:?}: {:?}", row.state, row.reason);
    Ok(())
}

fn shell(script: &str) -> Result<std::process::Child> {
    Command::new("sh").args(["-c", script]).spawn().context("run sh")
}
