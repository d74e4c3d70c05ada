//! Rules about names that are asked for on the wire: judged while packets are captured, which no finding asks for.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::dns::{DnsSeen, DnsSeenKey, ResolverKey};
use glasshull_shared::domain::finding::{Evidence, Severity};
use glasshull_shared::unit::printable;

use super::network::{magnitude, of_netns};
use super::{Draft, Facts, evidence};

/// Fewer in a minute are a mistake, no storm.
const STORM: u64 = 100;
/// Fewer questions in vain are not worth a word.
const IN_VAIN: u64 = 20;
/// What was asked before is over.
const LATELY_NANOS: u64 = 60_000_000_000;
/// Names and endings told.
const NAMED: usize = 3;
const SOURCE: &str = "dns_seen table";

/// About whoever asks: a container, else a namespace.
fn of_asker(
    facts: &Facts<'_>,
    netns: u64,
    container: Option<&String>,
    severity: Severity,
    told: Vec<Evidence>,
) -> Draft {
    match container {
        Some(id) => Draft::of_container(facts, &ContainerKey { id: id.clone() }, severity, told),
        None => of_netns(facts, netns, severity, told).blank("glasshull", "glasshull"),
    }
}

/// Who asks, and names with their rows; those that an engine passes on are somebody's own already.
fn own<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (u64, &'a DnsSeenKey, &'a DnsSeen)> + use<'a> {
    let rows = facts.snapshot.dns_seen.iter().filter(|(_, row)| !row.forwarded);
    rows.filter_map(|(key, row)| Some((key.netns?, key, &**row)))
}

/// More than a hundred within the last minute, and more than half of all.
pub(super) fn nxdomain_storm(facts: &Facts<'_>) -> Vec<Draft> {
    let mut grown: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut owners = BTreeMap::new();
    for (key, row) in &facts.snapshot.dns_client {
        let (Some(netns), Some([queries, nxdomain])) = (key.netns, facts.watch.questions.growth(key)) else {
            continue;
        };
        let sum = grown.entry(netns).or_default();
        *sum = (sum.0 + queries, sum.1 + nxdomain);
        owners.insert(netns, row.container.as_ref());
    }
    grown.retain(|_, (queries, nxdomain)| *nxdomain > STORM && *nxdomain > *queries / 2);
    let draft = |(netns, (_, nxdomain)): (u64, (u64, u64))| {
        let many = format!("{} NXDOMAIN", magnitude(nxdomain));
        let mut told = vec![evidence("within a minute", many, "dns_client table")];
        let names = own(facts).filter(|(of, _, row)| *of == netns && row.counts.nxdomain > 0);
        let mut names: Vec<_> = names.map(|(_, key, row)| (row.counts.nxdomain, key)).collect();
        names.sort_by_key(|(count, key)| (std::cmp::Reverse(*count), *key));
        told.extend(names.into_iter().take(NAMED).map(|(_, key)| {
            let asked = format!("{} of {}", key.record, printable(&key.server));
            evidence(printable(&key.name), asked, SOURCE)
        }));
        of_asker(facts, netns, owners.get(&netns).copied().flatten(), Severity::Attention, told)
    };
    grown.into_iter().map(draft).collect()
}

#[derive(Default)]
struct Search<'a> {
    container: Option<&'a String>,
    in_vain: u64,
    /// Names that were found without what was appended.
    found: BTreeSet<&'a str>,
    endings: BTreeMap<&'a str, u64>,
}

/// Names that do not exist, but do without their last labels: what a search list appends.
pub(super) fn ndots_amplification(facts: &Facts<'_>) -> Vec<Draft> {
    let lately = |row: &DnsSeen| facts.now.saturating_sub(row.asked_at) <= LATELY_NANOS;
    let mut answered: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for (netns, key, row) in own(facts).filter(|(.., row)| row.counts.answers > 0 && lately(row)) {
        *answered.entry((netns, &key.name)).or_default() += row.counts.answers + row.counts.nodata;
    }
    let mut searches: BTreeMap<u64, Search<'_>> = BTreeMap::new();
    for (netns, key, row) in own(facts).filter(|(.., row)| row.counts.nxdomain > 0 && lately(row)) {
        let dots = key.name.match_indices('.').map(|(at, _)| at);
        // The longest: `a.b` of `a.b.example.org`, though there be an `a`.
        let mut bare = dots.filter_map(|at| key.name.split_at_checked(at));
        let Some((name, ending)) = bare.rfind(|(name, _)| answered.contains_key(&(netns, *name))) else {
            continue;
        };
        let search = searches.entry(netns).or_default();
        search.container = row.container.as_ref();
        search.in_vain += row.counts.nxdomain;
        search.found.insert(name);
        *search.endings.entry(ending).or_default() += row.counts.nxdomain;
    }
    searches.retain(|netns, search| {
        let found: u64 = search.found.iter().filter_map(|name| answered.get(&(*netns, *name))).sum();
        search.in_vain >= IN_VAIN && search.in_vain >= found
    });
    searches.into_iter().map(|(netns, search)| searched(facts, netns, search)).collect()
}

fn searched(facts: &Facts<'_>, netns: u64, search: Search<'_>) -> Draft {
    let many = format!("{} questions", magnitude(search.in_vain));
    let mut told = vec![evidence("in vain", many, SOURCE)];
    let mut endings: Vec<_> = search.endings.into_iter().collect();
    endings.sort_by_key(|(ending, count)| (std::cmp::Reverse(*count), *ending));
    let endings = endings.into_iter().take(NAMED).map(|(ending, _)| ending);
    told.extend(endings.map(|ending| evidence("appended", printable(ending), SOURCE)));
    let found = search.found.iter().take(NAMED).map(|name| printable(name));
    told.push(evidence("found without", found.collect::<Vec<_>>().join(", "), SOURCE));
    let resolver = search.container.and_then(|id| {
        let key = ResolverKey { container: id.clone() };
        facts.snapshot.resolver.get(&key).filter(|row| !row.options.is_empty())
    });
    told.extend(
        resolver.map(|row| evidence("options", printable(&row.options.join(" ")), "/etc/resolv.conf")),
    );
    of_asker(facts, netns, search.container, Severity::Info, told)
}
