//! Changes arrive by netlink events: they are there long before the next tick, and a storm of them leaves nothing behind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::domain::source::SourceKey;
use glasshull_shared::snapshot::{Snapshot as Tables, Topic};

use super::{Place, run};
use crate::runner::Context;
use crate::watch::Watch;

const TOPICS: [Topic; 6] =
    [Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Neighbour, Topic::Container, Topic::Source];
/// Longer than all that happens between two ticks here may take.
const INTERVAL: Duration = Duration::from_secs(60);

/// Links named so in this namespace.
fn named<'a>(tables: &'a Tables, netns: u64, stem: &'a str) -> impl Iterator<Item = &'a LinkKey> {
    let links = tables.link.iter().filter(move |(key, row)| key.netns == netns && row.name.starts_with(stem));
    links.map(|(key, _)| key)
}

/// A link made and removed on the host and in a container, its address and its state: each is told while the next tick is
/// still far.
pub(crate) fn links(context: &mut Context) -> Result<()> {
    let (host, web) = (Place::host()?, Place::container(context, "web")?);
    let name = format!("{}x", context.lab.state().stem);
    let (netns, inside) = (host.netns, web.netns);
    let args = ["--interval", &format!("{}s", INTERVAL.as_secs())];
    let known = move |tables: &Tables| tables.link.keys().any(|key| key.netns == inside);
    let watch = Watch::start_with(context, &args, &TOPICS, known, |_| Ok(()))?;
    // The second sample comes soon after the first; from then on ticks are far apart.
    watch.wait("rates", |tables| tables.link_stat.values().any(|row| row.rx_bytes_per_sec.is_some()))?;
    let source = SourceKey { name: "network".into() };
    watch.wait("a source that works", |tables| {
        tables
            .source
            .get(&source)
            .is_some_and(|row| row.reason.as_ref().is_none_or(|r| !r.contains("next tick")))
    })?;
    let begun = std::time::Instant::now();
    let _made = Made(name.clone());
    run(&["ip", "link", "add", &name, "type", "veth", "peer", "name", &format!("{name}p")])?;
    watch.wait("the new link", |tables| named(tables, netns, &name).count() == 2)?;
    run(&["ip", "address", "add", "10.99.7.1/32", "dev", &name])?;
    let has = |tables: &Tables, address: &str| {
        tables.link.iter().any(|(key, row)| {
            key.netns == netns && row.name == name && row.addresses.iter().any(|a| a == address)
        })
    };
    watch.wait("its address", |tables| has(tables, "10.99.7.1/32"))?;
    run(&["ip", "link", "set", &name, "up"])?;
    watch.wait("its state", |tables| {
        tables.link.iter().any(|(key, row)| key.netns == netns && row.name == name && row.up)
    })?;
    let enter = web.prefix.join(" ");
    run(&["sh", "-c", &format!("{enter} ip link add {name}i type veth peer name {name}j")])?;
    watch.wait("the link in the container", |tables| named(tables, inside, &name).count() == 2)?;
    run(&["sh", "-c", &format!("{enter} ip link delete {name}i")])?;
    watch.wait("its end", |tables| named(tables, inside, &name).count() == 0)?;
    run(&["ip", "link", "delete", &name])?;
    watch.wait("the end of the link", |tables| named(tables, netns, &name).count() == 0)?;
    ensure!(begun.elapsed() < INTERVAL, "a tick may have told it: {:?}", begun.elapsed());
    watch.complaints()
}

/// Removes a link that a failed test left.
struct Made(String);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = run(&["ip", "link", "delete", &self.0]);
    }
}

/// Links come and go twenty times a second for some seconds: afterwards there is no ghost of them, and the agent has read a
/// few times a second, not once for each.
pub(crate) fn storm(context: &mut Context) -> Result<()> {
    let host = Place::host()?;
    let (netns, stem) = (host.netns, format!("{}s", context.lab.state().stem));
    let interval = format!("{}s", INTERVAL.as_secs());
    let known = move |tables: &Tables| tables.link.keys().any(|key| key.netns == netns);
    let watch = Watch::start_with(context, &["--interval", &interval], &TOPICS, known, |_| Ok(()))?;
    watch.wait("rates", |tables| tables.link_stat.values().any(|row| row.rx_bytes_per_sec.is_some()))?;
    let (before, begun) = (watch.ticks(), std::time::Instant::now());
    // No name is longer than 15 letters.
    let far = format!("{}t", context.lab.state().stem);
    let pair = format!("ip link add {stem}$i type veth peer name {far}$i; ip link delete {stem}$i");
    run(&["sh", "-c", &format!("for i in $(seq 100); do {pair}; sleep 0.03; done")])?;
    let took = begun.elapsed().as_secs_f64();
    let read = watch.ticks() - before;
    ensure!(read > 2, "{read} readings while links came and went");
    // Engines and other links of this host may tell news of their own.
    ensure!((read as f64) < took * 12.0, "{read} readings in {took:.1} s");
    watch.wait("all of them gone", |tables| {
        let told = tables.link.keys().filter(|key| key.netns == netns).map(|key| u64::from(key.ifindex));
        let (mut told, mut truth) = (told.collect::<Vec<_>>(), host.links().unwrap_or_default());
        truth.retain(|_, ifindex| *ifindex > 0);
        let mut truth: Vec<u64> = truth.into_values().collect();
        told.sort_unstable();
        truth.sort_unstable();
        told == truth && [&stem, &far].iter().all(|name| named(tables, netns, name).count() == 0)
    })?;
    watch.wait("no counters of what is gone", |tables| {
        tables.link_stat.keys().all(|key| tables.link.contains_key(key))
    })?;
    watch.complaints().context("after the storm")
}
