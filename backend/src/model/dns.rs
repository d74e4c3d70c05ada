//! Which names a container may be asked for without one leaving the host, and what is odd about the answers: compared with
//! what the engine says and with what other containers get. Pure; answers come from `collect::dns`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::dns_export::is_host_name;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::dns::{
    DnsMark, DnsName, DnsNameKey, DnsOddity, DnsRecord, DnsSource, DnsStatus, ENGINE_RESOLVER, Resolver,
    ResolverKey, Told, ToldNetwork,
};
use glasshull_shared::unit::short_id;

/// Questions in one container: the rest of a crowded network is left out.
const QUESTIONS_AT_MOST: usize = 1000;
/// What Podman's resolver takes for its own whatever the network.
const PODMANS_DOMAIN: &str = "dns.podman";
/// Others named in one mark.
const NAMED_AT_MOST: usize = 3;

/// What names are judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// All containers.
    pub(crate) containers: &'a Table<ContainerKey, Container>,
    /// What engines tell of their names.
    pub(crate) told: &'a Table<ContainerKey, Told>,
    /// How each finds names.
    pub(crate) resolvers: &'a Table<ResolverKey, Resolver>,
}

/// What is to be asked in one container, and what the engine says to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// Addresses by name: (address, name of the container that has it).
    pub(crate) expected: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The questions.
    pub(crate) questions: Vec<(String, DnsRecord)>,
    /// Questions there would be more.
    pub(crate) left_out: usize,
    /// The engine's own resolvers among the container's: only these are asked without a person's wish.
    pub(crate) servers: Vec<String>,
}

/// Plans by container. Only containers whose resolver is the engine's own have one: it answers itself for these names, while
/// another server would be asked across the network.
pub(crate) fn plans(known: Known<'_>) -> BTreeMap<String, Plan> {
    let members = members(known);
    let mut plans = BTreeMap::new();
    for (key, resolver) in known.resolvers {
        let id = ContainerKey { id: key.container.clone() };
        let Some(told) = known.told.get(&id) else { continue };
        let engines = |server: &&String| is_engines(server, told);
        if resolver.nameservers.first().is_some_and(|server| is_engines(server, told)) {
            let servers = resolver.nameservers.iter().filter(engines).cloned().collect();
            plans.insert(key.container.clone(), Plan { servers, ..plan(told, resolver, &members) });
        }
    }
    plans
}

/// Who is on which network, by id and name: those that run alone, since the engine passes on the names of others.
type Members<'a> = BTreeMap<&'a str, Vec<Member<'a>>>;

#[derive(Debug, Clone, Copy)]
struct Member<'a> {
    id: &'a str,
    name: &'a str,
    there: &'a ToldNetwork,
}

fn members<'a>(known: Known<'a>) -> Members<'a> {
    let mut members = Members::new();
    for (key, told) in known.told {
        let Some(row) = known.containers.get(key) else { continue };
        if row.state.is_up() {
            for network in &told.networks {
                let member = Member { id: &key.id, name: &row.name, there: network };
                members.entry(&network.id).or_default().push(member);
            }
        }
    }
    members
}

/// Docker's listens on 127.0.0.11 inside; Podman's on the network's own address on this host. Another on loopback (systemd's, a
/// dnsmasq, in a container on the host's network) may pass questions on.
fn is_engines(server: &str, told: &Told) -> bool {
    is_dockers(server)
        || told.networks.iter().any(|network| network.gateways.iter().any(|gateway| gateway == server))
}

fn is_dockers(server: &str) -> bool {
    server.parse() == Ok(ENGINE_RESOLVER)
}

fn plan(told: &Told, resolver: &Resolver, members: &Members<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut addresses = BTreeSet::new();
    for network in &told.networks {
        for member in members.get(network.id.as_str()).into_iter().flatten() {
            if member.there.names.is_empty() {
                continue; // the default bridge
            }
            for name in names(member, network, resolver).into_iter().filter(|name| is_host_name(name)) {
                let expected = plan.expected.entry(name).or_default();
                expected.extend(member.there.addresses.iter().map(|a| (a.clone(), member.name.to_owned())));
            }
            addresses.extend(member.there.addresses.iter().filter(|a| a.parse::<IpAddr>().is_ok()).cloned());
        }
    }
    let forward = plan
        .expected
        .keys()
        .flat_map(|name| [DnsRecord::A, DnsRecord::Aaaa].map(|record| (name.clone(), record)));
    let back = addresses.into_iter().map(|address| (address, DnsRecord::Ptr));
    plan.questions = forward.chain(back).collect();
    plan.left_out = plan.questions.len().saturating_sub(QUESTIONS_AT_MOST);
    plan.questions.truncate(QUESTIONS_AT_MOST);
    plan
}

/// What a container may call another on a network they share. Docker answers for each name with the network's behind it as well
/// (`service.project_default`), Podman with its own domain: each would pass on the other's.
fn names(member: &Member<'_>, network: &ToldNetwork, resolver: &Resolver) -> Vec<String> {
    let by_docker = resolver.nameservers.first().is_some_and(|server| is_dockers(server));
    let domain = if by_docker {
        Some(network.network.as_str())
    } else {
        resolver.search.iter().map(String::as_str).find(|domain| *domain == PODMANS_DOMAIN)
    };
    // By an id nobody asks with more behind it.
    let called = member.there.names.iter().filter(|name| *name != short_id(member.id));
    let whole = called.map(String::as_str).chain([member.name]);
    let whole =
        domain.into_iter().flat_map(|domain| whole.clone().map(move |name| format!("{name}.{domain}")));
    let links = network.links.iter().filter(|(whom, _)| whom == member.name).map(|(_, alias)| alias);
    member.there.names.iter().chain(links).cloned().chain(whole).collect()
}

/// The rows to show: a row for each question of a plan, `answered` or not yet, and for what hosts files say, which nobody is asked
/// for; with marks.
pub(crate) fn relate(
    known: Known<'_>,
    plans: &BTreeMap<String, Plan>,
    answered: &Table<DnsNameKey, DnsName>,
) -> Table<DnsNameKey, DnsName> {
    let mut rows = Table::new();
    for (container, plan) in plans {
        let resolver = known.resolvers.get(&ResolverKey { container: container.clone() }).map(|row| &**row);
        for (name, record) in &plan.questions {
            let key = DnsNameKey { container: container.clone(), name: name.clone(), record: *record };
            let row = answered.get(&key).map(|row| DnsName::clone(row)).unwrap_or_default();
            rows.insert(key.clone(), judged(&key, row, plan.expected.get(name), resolver).into());
            let alias = DnsNameKey { record: DnsRecord::Cname, ..key };
            rows.extend(answered.get(&alias).map(|row| (alias, Arc::clone(row))));
        }
    }
    for (key, resolver) in known.resolvers {
        let expected = plans.get(&key.container).map(|plan| &plan.expected);
        for name in resolver.names_in_hosts() {
            for record in [DnsRecord::A, DnsRecord::Aaaa] {
                let key = DnsNameKey { container: key.container.clone(), name: name.to_owned(), record };
                if !rows.contains_key(&key) && !resolver.in_hosts(name, record).is_empty() {
                    let of_name = expected.and_then(|expected| expected.get(name));
                    let row = judged(&key, DnsName::default(), of_name, Some(resolver));
                    rows.insert(key, row.into());
                }
            }
        }
    }
    mark_conflicts(known, plans, &mut rows);
    rows
}

/// Whether a resolver may be asked for it: a name that a host may have, maybe with the root's dot, or an address.
pub(crate) fn may_be_asked(name: &str) -> bool {
    is_host_name(name.strip_suffix('.').unwrap_or(name)) || name.parse::<IpAddr>().is_ok()
}

/// An address is asked for its names, anything else for its addresses.
pub(crate) fn records(name: &str) -> impl Iterator<Item = DnsRecord> + use<> {
    let is_address = name.parse::<IpAddr>().is_ok();
    let records: &[_] = if is_address { &[DnsRecord::Ptr] } else { &[DnsRecord::A, DnsRecord::Aaaa] };
    records.iter().copied()
}

/// What to ask for some names, those first that the engine is sure to know. What only the hosts file tells is asked of nobody, as
/// the container's programs would not.
pub(crate) fn questions(names: &[String], plan: &Plan, resolver: &Resolver) -> Vec<(String, DnsRecord)> {
    let local = |name: &String| {
        [DnsRecord::A, DnsRecord::Aaaa].iter().any(|record| !resolver.in_hosts(name, *record).is_empty())
    };
    let sure = |name: &&String| plan.expected.contains_key(*name);
    let others = names.iter().filter(|name| !sure(name) && !local(name) && may_be_asked(name));
    let asked = names.iter().filter(sure).chain(others);
    asked.flat_map(|name| records(name).map(|record| (name.clone(), record))).collect()
}

/// The answers to [`questions`] with what the hosts file and the engine say: a row for each name and record.
pub(crate) fn told(
    container: &str,
    names: &[String],
    plan: &Plan,
    resolver: &Resolver,
    mut rows: Table<DnsNameKey, DnsName>,
) -> Table<DnsNameKey, DnsName> {
    for name in names {
        for record in records(name) {
            let key = DnsNameKey { container: container.to_owned(), name: name.clone(), record };
            let row = rows.get(&key).map(|row| DnsName::clone(row));
            let row = row.unwrap_or(DnsName { status: DnsStatus::NotAsked, ..DnsName::default() });
            let row = judged(&key, row, plan.expected.get(name), Some(resolver));
            rows.insert(key, row.into());
        }
    }
    rows
}

/// A row with what the hosts file and the engine say.
fn judged(
    key: &DnsNameKey,
    mut row: DnsName,
    expected: Option<&BTreeSet<(String, String)>>,
    resolver: Option<&Resolver>,
) -> DnsName {
    let of_family = |address: &str| match key.record {
        DnsRecord::A => !address.contains(':'),
        DnsRecord::Aaaa => address.contains(':'),
        DnsRecord::Cname | DnsRecord::Ptr => false,
    };
    let told: Vec<_> = expected.into_iter().flatten().filter(|(address, _)| of_family(address)).collect();
    row.expected = told.iter().map(|(address, _)| address.clone()).collect();
    let other = row.answers.iter().any(|answer| !row.expected.contains(answer));
    let gone = matches!(row.status, DnsStatus::NxDomain | DnsStatus::NoData);
    if !row.expected.is_empty() && ((row.status == DnsStatus::NoError && other) || gone) {
        let got = if gone { row.status.name().to_owned() } else { row.answers.join(" ") };
        row.marks.push(mark(DnsOddity::Stale, format!("{got}; the engine says {}", row.expected.join(" "))));
    }
    let owners: BTreeSet<&str> = told.iter().map(|(_, owner)| owner.as_str()).collect();
    if owners.len() > 1 {
        let named: Vec<String> = told.iter().map(|(address, owner)| format!("{owner} {address}")).collect();
        row.marks.push(mark(DnsOddity::Ambiguous, some(&named)));
    }
    let in_hosts = resolver.map(|one| one.in_hosts(&key.name, key.record)).unwrap_or_default();
    if !in_hosts.is_empty() {
        // One that is on two networks has two addresses, of which DNS tells one.
        let leads = |all: &[String]| -> BTreeSet<String> {
            all.iter().map(|address| owner(expected, address).unwrap_or(address).to_owned()).collect()
        };
        if row.status == DnsStatus::NoError && leads(&row.answers) != leads(&in_hosts) {
            row.marks.push(mark(DnsOddity::Shadowed, format!("DNS says {}", row.answers.join(" "))));
        }
        row.source = DnsSource::Hosts;
        row.status = DnsStatus::NoError;
        row.answers = in_hosts;
        row.ttl_secs = None;
    }
    row
}

/// The container that has this address by the engine's word.
fn owner<'a>(expected: Option<&'a BTreeSet<(String, String)>>, address: &str) -> Option<&'a str> {
    let owner = expected?.iter().find(|(one, _)| one == address);
    owner.map(|(_, owner)| owner.as_str())
}

fn mark(oddity: DnsOddity, evidence: String) -> DnsMark {
    DnsMark { oddity, evidence }
}

fn some(all: &[String]) -> String {
    let more = all.len().saturating_sub(NAMED_AT_MOST);
    let named = all.get(..NAMED_AT_MOST.min(all.len())).unwrap_or_default().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// Who is behind a name → an answer and the containers that get it.
type Gets = BTreeMap<BTreeSet<String>, (String, Vec<String>)>;

/// Marks names that lead to different containers. One that is on two networks has two addresses, but is the same.
fn mark_conflicts(known: Known<'_>, plans: &BTreeMap<String, Plan>, rows: &mut Table<DnsNameKey, DnsName>) {
    let whose = |container: &str, name: &str, answer: &String| {
        let expected = plans.get(container).and_then(|plan| plan.expected.get(name));
        owner(expected, answer).unwrap_or(answer).to_owned()
    };
    let mut seen: BTreeMap<(&str, DnsRecord), Gets> = BTreeMap::new();
    let called = |id: &str| {
        let row = known.containers.get(&ContainerKey { id: id.to_owned() });
        row.map_or_else(|| id.to_owned(), |row| row.name.clone())
    };
    let is_own = |container: &str, address: &String| {
        let told = known.told.get(&ContainerKey { id: container.to_owned() });
        let networks = told.into_iter().flat_map(|told| &told.networks);
        networks.flat_map(|network| &network.addresses).any(|own| own == address)
    };
    let comparable = |key: &DnsNameKey, row: &DnsName| {
        // Each calls itself by its host name, as others may.
        let of_itself =
            row.source == DnsSource::Hosts && row.answers.iter().all(|a| is_own(&key.container, a));
        row.status == DnsStatus::NoError && matches!(key.record, DnsRecord::A | DnsRecord::Aaaa) && !of_itself
    };
    let behind = |key: &DnsNameKey, row: &DnsName| -> BTreeSet<String> {
        row.answers.iter().map(|answer| whose(&key.container, &key.name, answer)).collect()
    };
    for (key, row) in rows.iter().filter(|(key, row)| comparable(key, row)) {
        let by = seen.entry((&key.name, key.record)).or_default();
        let entry = by.entry(behind(key, row)).or_insert_with(|| (row.answers.join(" "), Vec::new()));
        entry.1.push(called(&key.container));
    }
    seen.retain(|_, by| by.len() > 1);
    let marks: Vec<(DnsNameKey, DnsMark)> = rows
        .iter()
        .filter(|(key, row)| comparable(key, row))
        .filter_map(|(key, row)| {
            let own = behind(key, row);
            let others = seen.get(&(key.name.as_str(), key.record))?;
            // Who shares another's network may know its addresses and no names for them: the same answer is no conflict then.
            let bare = |who: &BTreeSet<String>| row.answers.iter().all(|answer| who.contains(answer));
            let same = row.answers.join(" ");
            let differs = |other: &BTreeSet<String>, answer: &String| {
                other.is_disjoint(&own) && !(*answer == same && (bare(other) || bare(&own)))
            };
            let others = others.iter().filter(|(other, (answer, _))| differs(other, answer));
            let told: Vec<String> =
                others.map(|(_, (answer, who))| format!("{} gets {answer}", some(who))).collect();
            (!told.is_empty()).then(|| (key.clone(), mark(DnsOddity::Conflict, some(&told))))
        })
        .collect();
    for (key, mark) in marks {
        if let Some(row) = rows.get_mut(&key) {
            Arc::make_mut(row).marks.push(mark);
        }
    }
}

#[cfg(test)]
mod tests;
