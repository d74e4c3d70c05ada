//! Neighbour and routing tables against `ip neighbour` and `ip route`, IPv4 and IPv6, in every namespace.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::cables::Cables;
use super::{Place, TABLES, ip};
use crate::agent::{Snapshot, brief, number, same};
use crate::runner::Context;

/// `ip neighbour` in each namespace: the same entries, with hardware address and state.
pub(crate) fn neighbours(context: &mut Context) -> Result<()> {
    let cables = Cables::lay(context)?;
    let mut places = Place::all(context)?;
    places.push(Place::named(&cables.far)?);
    let before = places.iter().map(entries).collect::<Result<Vec<_>>>()?;
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    let mut states = BTreeSet::new();
    for (place, before) in places.iter().zip(&before) {
        let after = entries(place)?;
        let told = place.rows(&snapshot, "neighbour")?;
        let key = |row: &Value| {
            Ok::<_, anyhow::Error>((
                number(row, "ifindex")?,
                row["address"].as_str().unwrap_or_default().to_owned(),
            ))
        };
        for (entry, was) in before {
            let Some(is) = after.get(entry) else { continue };
            let row = told.iter().find(|row| key(row).is_ok_and(|key| key == *entry));
            let row = row.with_context(|| format!("{}: no row for {}", place.name, brief(was)))?;
            if was["lladdr"] == is["lladdr"] {
                same(row, "mac", &was["lladdr"])?;
            }
            same(row, "router", &Value::Bool(was.get("router").is_some()))?;
            if was["state"] == is["state"] {
                same(row, "state", &was["state"][0])?;
                states.insert(was["state"][0].to_string());
            }
        }
        // On the host others' may have come and gone in between.
        for row in told.into_iter().filter(|_| place.name != "host") {
            let key = key(row)?;
            ensure!(
                before.contains_key(&key) || after.contains_key(&key),
                "{} has no such neighbour: {}",
                place.name,
                brief(row)
            );
        }
    }
    for state in ["REACHABLE", "STALE", "FAILED", "PERMANENT"] {
        ensure!(states.iter().any(|s| s.contains(state)), "no neighbour was {state}, only {states:?}");
    }
    Ok(())
}

/// Neighbours of a namespace by ifindex and address.
fn entries(place: &Place) -> Result<BTreeMap<(u64, String), Value>> {
    let links = place.links()?;
    let mut all = BTreeMap::new();
    for entry in ip(&place.prefix, &["neighbour"])? {
        // A link may have gone since.
        let Some(ifindex) = links.get(entry["dev"].as_str().context("dev")?) else { continue };
        all.insert((*ifindex, entry["dst"].as_str().context("dst")?.to_owned()), entry);
    }
    Ok(all)
}

/// `ip route` in each namespace: the same routes, each with table, way, metric, source, protocol and kind.
pub(crate) fn routes(context: &mut Context) -> Result<()> {
    let cables = Cables::lay(context)?;
    let mut places = Place::all(context)?;
    places.extend([Place::named(&cables.near)?, Place::named(&cables.far)?]);
    let mut compared = 0;
    for place in &places {
        compared += compare(context, place).with_context(|| place.name.clone())?;
    }
    ensure!(compared > 60, "only {compared} routes were there to compare");
    Ok(())
}

/// Until `ip` says the same before and after: addresses settle for some seconds after a link has come.
fn compare(context: &Context, place: &Place) -> Result<usize> {
    for _ in 0..10 {
        let before = ways(place)?;
        let snapshot = context
            .agent
            .snapshot_with(&context.endpoint(), &["--tables", "route", "--interval", "100ms"])?;
        if before != ways(place)? {
            continue;
        }
        let told = told(&snapshot, place)?;
        let (missing, extra): (Vec<_>, Vec<_>) =
            (before.difference(&told).collect(), told.difference(&before).collect());
        ensure!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, not there {extra:?}");
        return Ok(told.len());
    }
    anyhow::bail!("its routes do not come to rest")
}

/// Destination, gateway, ifindex, metric, table; kind, protocol, source.
type Way = (String, Option<String>, u64, u64, u64, [String; 3]);

/// One entry for each way, as the agent tells it.
fn told(snapshot: &Snapshot, place: &Place) -> Result<BTreeSet<Way>> {
    let text = |row: &Value, field: &str| row[field].as_str().map(str::to_owned);
    let way = |row: &&Value| {
        Ok((
            text(row, "destination").context("destination")?,
            text(row, "gateway"),
            number(row, "ifindex")?,
            number(row, "metric")?,
            number(row, "table")?,
            ["kind", "protocol", "source"].map(|field| text(row, field).unwrap_or_default()),
        ))
    };
    place.rows(snapshot, "route")?.iter().map(way).collect()
}

/// The same of `ip route` and `ip -6 route`, of all tables but those the kernel keeps for itself.
fn ways(place: &Place) -> Result<BTreeSet<Way>> {
    let links = place.links()?;
    let mut ways = BTreeSet::new();
    for family in ["-4", "-6"] {
        for route in ip(&place.prefix, &[family, "-d", "route", "show", "table", "all"])? {
            let table = match route["table"].as_str() {
                None | Some("main") => 254,
                Some("local" | "unspec") => continue,
                Some("default") => 253,
                Some(number) => number.parse()?,
            };
            let bits = if family == "-4" { 32 } else { 128 };
            let to = route["dst"].as_str().context("dst")?;
            let whole =
                if to == "default" || to.contains('/') { to.to_owned() } else { format!("{to}/{bits}") };
            let text = |field: &str, otherwise: &str| route[field].as_str().unwrap_or(otherwise).to_owned();
            let rest = [text("type", "unicast"), text("protocol", "boot"), text("prefsrc", "")];
            let hops = route["nexthops"].as_array().cloned().unwrap_or_else(|| vec![route.clone()]);
            for hop in hops {
                let gateway =
                    hop["gateway"].as_str().or_else(|| hop["via"]["host"].as_str()).map(str::to_owned);
                let ifindex = hop["dev"].as_str().and_then(|dev| links.get(dev)).copied().unwrap_or(0);
                let metric = route["metric"].as_u64().unwrap_or(0);
                ways.insert((whole.clone(), gateway, ifindex, metric, table, rest.clone()));
            }
        }
    }
    Ok(ways)
}
