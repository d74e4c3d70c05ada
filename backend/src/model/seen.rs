//! Who asks for names on the wire: what links show, by the address that asks, becomes what containers ask; and the names that they
//! were told become the names of the addresses they talk to. Pure.
//!
//! Several namespaces may hear the same: what the asker's own shows goes before what the host shows, and that before all others.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::dns::{
    DnsClient, DnsClientKey, DnsHeard, DnsSeen, DnsSeenKey, DnsTally, ENGINE_RESOLVER, record_name,
};
use glasshull_shared::domain::network::{Flow, FlowKey};

use super::flow::{Addresses, HOST, Named, address};

const ENGINE: IpAddr = IpAddr::V4(ENGINE_RESOLVER);
/// What that is called.
const ENGINE_NAME: &str = "engine";

/// Who asks whom.
type Pair = (Option<u64>, IpAddr);
/// A name and the number of a kind of record.
type Asked<'a> = (&'a str, u16);

/// What is known of a client until all of it is.
#[derive(Default)]
struct Sum<'a> {
    container: Option<String>,
    server: Named,
    tally: DnsTally,
    outstanding: u32,
    left_out: u64,
    names: BTreeMap<Asked<'a>, NameSum<'a>>,
}

#[derive(Default)]
struct NameSum<'a> {
    tally: DnsTally,
    addresses: &'a [IpAddr],
    ttl_secs: Option<u32>,
}

/// Both tables from what was heard; rates are still `None`.
pub(crate) fn join_seen(
    heard: &[DnsHeard],
    addresses: &Addresses<'_>,
) -> (Table<DnsSeenKey, DnsSeen>, Table<DnsClientKey, DnsClient>) {
    // Nobody knows any more who asked on a link that has gone.
    let heard: Vec<&DnsHeard> = heard.iter().filter(|row| addresses.has_link(row.on)).collect();
    let askers: Vec<_> = heard.iter().map(|row| addresses.asker(row.on, row.client)).collect();
    // Lower is better.
    let rank = |row: &DnsHeard, asker: Option<u64>| {
        (asker != Some(row.on.netns), addresses.host() != Some(row.on.netns), row.on.netns)
    };
    let mut best = HashMap::new();
    for (row, (asker, _)) in heard.iter().zip(&askers) {
        let rank = rank(row, *asker);
        best.entry((*asker, row.client, row.server))
            .and_modify(|least| *least = rank.min(*least))
            .or_insert(rank);
    }
    let mut sums: BTreeMap<Pair, Sum<'_>> = BTreeMap::new();
    for (row, (asker, container)) in heard.iter().zip(&askers) {
        if best.get(&(*asker, row.client, row.server)) != Some(&rank(row, *asker)) {
            continue;
        }
        let sum = sums.entry((*asker, row.server)).or_insert_with(|| Sum {
            container: container.clone(),
            server: server(addresses, row),
            ..Sum::default()
        });
        sum.tally.add(&row.tally);
        sum.outstanding += row.outstanding;
        sum.left_out += row.queries_left_out;
        for name in &row.names {
            let known = sum.names.entry((&name.name, name.record)).or_default();
            let is_newer = name.tally.answered_at >= known.tally.answered_at;
            if !name.addresses.is_empty() && (is_newer || known.addresses.is_empty()) {
                (known.addresses, known.ttl_secs) = (&name.addresses, name.ttl_secs);
            }
            known.tally.add(&name.tally);
        }
    }
    tables(&sums)
}

fn server(addresses: &Addresses<'_>, row: &DnsHeard) -> Named {
    if row.server == ENGINE {
        return (None, Some(ENGINE_NAME.to_owned()));
    }
    addresses.name(row.on, &row.server.to_string())
}

fn tables(sums: &BTreeMap<Pair, Sum<'_>>) -> (Table<DnsSeenKey, DnsSeen>, Table<DnsClientKey, DnsClient>) {
    let (mut seen, mut clients) = (Table::new(), Table::new());
    for ((netns, server), sum) in sums {
        // What the engine was asked as well, it asks for the container.
        let of_engine = (*server != ENGINE).then(|| sums.get(&(*netns, ENGINE))).flatten();
        let by_engine = |asked: &Asked<'_>| of_engine.is_some_and(|engine| engine.names.contains_key(asked));
        for (asked, name) in &sum.names {
            let key = DnsSeenKey {
                netns: *netns,
                server: server.to_string(),
                name: asked.0.to_owned(),
                record: record_name(asked.1),
            };
            let row = row(name, sum.container.clone(), by_engine(asked));
            seen.insert(key, Arc::new(row));
        }
        let key = DnsClientKey { netns: *netns, server: server.to_string() };
        let forwarded = !sum.names.is_empty() && sum.names.keys().all(by_engine);
        clients.insert(key, Arc::new(client(sum, forwarded)));
    }
    (seen, clients)
}

fn row(name: &NameSum<'_>, container: Option<String>, forwarded: bool) -> DnsSeen {
    let [latency_secs, latency_mean_secs, latency_max_secs] = latencies(&name.tally);
    DnsSeen {
        container,
        counts: name.tally.counts,
        queries_per_sec: None,
        latency_secs,
        latency_mean_secs,
        latency_max_secs,
        addresses: name.addresses.iter().map(IpAddr::to_string).collect(),
        ttl_secs: name.ttl_secs,
        forwarded,
        asked_at: name.tally.asked_at,
        answered_at: (name.tally.answered_at > 0).then_some(name.tally.answered_at),
    }
}

fn client(sum: &Sum<'_>, forwarded: bool) -> DnsClient {
    let [latency_secs, latency_mean_secs, latency_max_secs] = latencies(&sum.tally);
    let counts = sum.tally.counts;
    let finished = counts.finished();
    DnsClient {
        container: sum.container.clone(),
        server_container: sum.server.0.clone(),
        server_name: sum.server.1.clone(),
        counts,
        failure_ratio: (finished > 0).then(|| (counts.failures() as f64 / finished as f64) as f32),
        latency_secs,
        latency_mean_secs,
        latency_max_secs,
        outstanding: sum.outstanding,
        names: u32::try_from(sum.names.len()).unwrap_or(u32::MAX),
        queries_left_out: sum.left_out,
        forwarded,
        asked_at: sum.tally.asked_at,
        ..DnsClient::default()
    }
}

/// Last, mean and longest, in seconds.
fn latencies(tally: &DnsTally) -> [Option<f32>; 3] {
    let secs = |nanos: f64| (tally.answered > 0).then_some((nanos / 1e9) as f32);
    let mean = tally.latency_sum_nanos as f64 / tally.answered.max(1) as f64;
    [secs(tally.latency_last_nanos as f64), secs(mean), secs(tally.latency_max_nanos as f64)]
}

/// Gives ends that have no name the one whose answer told the other end that address, with a dot behind it: no name of anything
/// here ends so.
pub(crate) fn join_names(
    flows: &mut Table<FlowKey, Flow>,
    seen: &Table<DnsSeenKey, DnsSeen>,
    addresses: &Addresses<'_>,
) {
    /// When a name was told last, and which.
    type Told<'a> = (Option<u64>, &'a str);
    // By who was told: a container, else the host.
    let mut told: HashMap<(Option<&str>, IpAddr), Told<'_>> = HashMap::new();
    for (key, row) in seen {
        if row.container.is_none() && (key.netns.is_none() || key.netns != addresses.host()) {
            continue;
        }
        for address in row.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok()) {
            let of_somebody = !address.is_loopback() && !address.is_unspecified();
            let known = told.entry((row.container.as_deref(), address)).or_default();
            if of_somebody && row.answered_at > known.0 {
                *known = (row.answered_at, &key.name);
            }
        }
    }
    let named = |who: (&Option<String>, &Option<String>), end: &str| {
        let who = match who {
            (Some(id), _) => Some(id.as_str()),
            (None, Some(name)) if name == HOST => None,
            (None, _) => return None,
        };
        let (_, name) = told.get(&(who, address(end)?)).filter(|(at, _)| at.is_some())?;
        Some(format!("{name}."))
    };
    if told.is_empty() {
        return;
    }
    for (key, row) in flows.iter_mut() {
        let is_nameless =
            |container: &Option<String>, name: &Option<String>| container.is_none() && name.is_none();
        let (source, destination) = row.ends(key);
        let name = if is_nameless(&row.destination_container, &row.destination_name) {
            named((&row.source_container, &row.source_name), destination).map(|name| (false, name))
        } else if is_nameless(&row.source_container, &row.source_name) {
            named((&row.destination_container, &row.destination_name), source).map(|name| (true, name))
        } else {
            None
        };
        match name {
            Some((true, name)) => Arc::make_mut(row).source_name = Some(name),
            Some((false, name)) => Arc::make_mut(row).destination_name = Some(name),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::{Container, ContainerKey};
    use glasshull_shared::domain::dns::{DnsCounts, DnsHeardName};
    use glasshull_shared::domain::network::{Link, LinkKey, Netns, NetnsKey, Protocol};

    const HOST_NS: u64 = 1;
    const WEB_NS: u64 = 2;
    const VETH: LinkKey = LinkKey { netns: HOST_NS, ifindex: 7 };

    type Scene = (Table<NetnsKey, Netns>, Table<LinkKey, Link>, Table<ContainerKey, Container>);

    /// web behind a veth, and something without a container behind another.
    fn scene() -> Scene {
        let link = |address: &str, peer: Option<(u64, u32)>| {
            let addresses = [address].into_iter().filter(|a| !a.is_empty()).map(str::to_owned).collect();
            let (peer_netns, peer_ifindex) = peer.unzip();
            Arc::new(Link { kind: "veth".into(), addresses, peer_netns, peer_ifindex, ..Link::default() })
        };
        let key = |netns, ifindex| LinkKey { netns, ifindex };
        let links = [
            (VETH, link("", Some((WEB_NS, 2)))),
            (key(HOST_NS, 8), link("", Some((3, 2)))),
            (key(WEB_NS, 1), link("127.0.0.1/8", None)),
            (key(HOST_NS, 3), link("10.0.0.1/24", None)),
            (key(WEB_NS, 2), link("10.0.0.2/24", Some((HOST_NS, 7)))),
            (key(3, 2), link("10.0.0.3/24", Some((HOST_NS, 8)))),
        ];
        let netns = |host, ids: &[&str]| {
            let containers = ids.iter().map(|id| (*id).to_owned()).collect();
            Arc::new(Netns { host, containers, ..Netns::default() })
        };
        let netns = [(1, netns(true, &[])), (2, netns(false, &["web-id"])), (3, netns(false, &[]))];
        let web = Arc::new(Container { name: "web".into(), ..Container::default() });
        (
            netns.into_iter().map(|(netns, row)| (NetnsKey { netns }, row)).collect(),
            links.into(),
            [(ContainerKey { id: "web-id".into() }, web)].into(),
        )
    }

    fn heard(on: LinkKey, client: &str, server: &str, name: &str, told: &[&str], at: u64) -> DnsHeard {
        let counts = DnsCounts { queries: 2, answers: 1, timeouts: 1, ..DnsCounts::default() };
        let tally = DnsTally {
            counts,
            answered: 1,
            latency_sum_nanos: 2_000_000,
            latency_last_nanos: 2_000_000,
            latency_max_nanos: 2_000_000,
            asked_at: at,
            answered_at: at,
        };
        let name = DnsHeardName {
            name: name.into(),
            record: 1,
            tally,
            addresses: told.iter().map(|a| a.parse().unwrap()).collect(),
            ttl_secs: Some(60),
        };
        let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
        DnsHeard { on, client, server, tally, outstanding: 1, queries_left_out: 3, names: vec![name] }
    }

    fn joined(heard: &[DnsHeard]) -> (Table<DnsSeenKey, DnsSeen>, Table<DnsClientKey, DnsClient>) {
        let (netns, links, containers) = scene();
        join_seen(heard, &Addresses::new(&netns, &links, &containers))
    }

    fn askers(clients: &Table<DnsClientKey, DnsClient>) -> Vec<(Option<u64>, Option<&str>)> {
        clients.iter().map(|(key, row)| (key.netns, row.container.as_deref())).collect()
    }

    #[test]
    fn who_asks_is_found_by_address_behind_the_link_that_shows_it() {
        let lo = LinkKey { netns: WEB_NS, ifindex: 1 };
        let other = LinkKey { netns: HOST_NS, ifindex: 8 };
        for (on, client, asker) in [
            (VETH, "10.0.0.2", (Some(WEB_NS), Some("web-id"))),
            (lo, "127.0.0.1", (Some(WEB_NS), Some("web-id"))),
            (other, "10.0.0.3", (Some(3), None)),
            (VETH, "10.0.0.1", (Some(HOST_NS), None)),
            (VETH, "192.0.2.9", (None, None)),
        ] {
            let (_, clients) = joined(&[heard(on, client, "10.0.0.53", "web", &[], 1)]);
            assert_eq!(askers(&clients), [asker], "{client}");
        }
        let gone = LinkKey { netns: HOST_NS, ifindex: 99 };
        assert!(joined(&[heard(gone, "10.0.0.2", "10.0.0.53", "web", &[], 1)]).1.is_empty());
        let (seen, clients) = joined(&[heard(lo, "127.0.0.1", "127.0.0.11", "db", &["10.0.0.9"], 7)]);
        let (key, row) = seen.iter().next().unwrap();
        assert_eq!((key.server.as_str(), key.name.as_str(), key.record.as_str()), ("127.0.0.11", "db", "A"));
        assert_eq!((row.counts.queries, row.latency_secs, row.answered_at), (2, Some(0.002), Some(7)));
        assert_eq!(row.addresses, ["10.0.0.9"]);
        let client = clients.values().next().unwrap();
        assert_eq!(client.server_name.as_deref(), Some("engine"));
        assert_eq!((client.failure_ratio, client.outstanding, client.queries_left_out), (Some(0.5), 1, 3));
    }

    #[test]
    fn what_several_namespaces_hear_counts_once_as_the_asker_s_own_has_it() {
        let inside = LinkKey { netns: WEB_NS, ifindex: 2 };
        let mut rows = vec![
            heard(VETH, "10.0.0.2", "10.0.0.53", "web", &[], 1),
            heard(inside, "10.0.0.2", "10.0.0.53", "web", &[], 1),
        ];
        rows[1].tally.counts.queries = 9;
        let (_, clients) = joined(&rows);
        assert_eq!(clients.values().map(|row| row.counts.queries).collect::<Vec<_>>(), [9]);
        // Two addresses of one container that ask the same are one.
        let rows = [
            heard(VETH, "10.0.0.2", "10.0.0.53", "web", &[], 1),
            heard(LinkKey { netns: WEB_NS, ifindex: 1 }, "127.0.0.1", "10.0.0.53", "web", &[], 1),
        ];
        assert_eq!(joined(&rows).1.values().map(|row| row.counts.queries).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn what_the_engine_passes_on_is_no_question_of_the_container() {
        let lo = LinkKey { netns: WEB_NS, ifindex: 1 };
        let rows = [
            heard(lo, "127.0.0.1", "127.0.0.11", "out", &[], 1),
            heard(VETH, "10.0.0.2", "10.0.0.53", "out", &[], 1),
            heard(VETH, "10.0.0.2", "10.0.0.54", "own", &[], 1),
        ];
        let (seen, clients) = joined(&rows);
        let told = |server: &str| seen.iter().find(|(key, _)| key.server == server).unwrap().1.forwarded;
        assert_eq!([told("127.0.0.11"), told("10.0.0.53"), told("10.0.0.54")], [false, true, false]);
        let of = |server: &str| clients.iter().find(|(key, _)| key.server == server).unwrap().1.forwarded;
        assert_eq!([of("127.0.0.11"), of("10.0.0.53"), of("10.0.0.54")], [false, true, false]);
    }

    fn named(source: &str, destination: &str, row: Flow, rows: &[DnsHeard]) -> Flow {
        let (netns, links, containers) = scene();
        let addresses = Addresses::new(&netns, &links, &containers);
        let key = FlowKey {
            netns: HOST_NS,
            link_ifindex: 7,
            protocol: Protocol::Tcp,
            source: source.into(),
            destination: destination.into(),
        };
        let mut flows = Table::from([(key.clone(), Arc::new(row))]);
        join_names(&mut flows, &join_seen(rows, &addresses).0, &addresses);
        Flow::clone(&flows[&key])
    }

    #[test]
    fn an_address_is_called_by_the_name_whose_answer_told_it_to_the_other_end() {
        let lo = LinkKey { netns: WEB_NS, ifindex: 1 };
        let told = [
            heard(lo, "127.0.0.1", "127.0.0.11", "old.example", &["192.0.2.9"], 1),
            heard(VETH, "10.0.0.2", "10.0.0.53", "shop.example", &["192.0.2.9", "2001:db8::9"], 5),
            heard(
                LinkKey { netns: HOST_NS, ifindex: 3 },
                "10.0.0.1",
                "10.0.0.53",
                "the.host",
                &["192.0.2.9"],
                9,
            ),
        ];
        let web = || Flow { source_container: Some("web-id".into()), ..Flow::default() };
        let name = |flow: Flow| flow.destination_name;
        let to = |destination: &str| name(named("10.0.0.2:41000", destination, web(), &told));
        assert_eq!(to("192.0.2.9:443").as_deref(), Some("shop.example."));
        assert_eq!(to("[2001:db8::9]:443").as_deref(), Some("shop.example."));
        assert_eq!(to("192.0.2.10:443"), None);
        // Who was told something else, or nothing.
        let host = Flow { source_name: Some("host".into()), ..Flow::default() };
        assert_eq!(name(named("10.0.0.1:1", "192.0.2.9:443", host, &told)).as_deref(), Some("the.host."));
        let other = Flow { source_container: Some("db-id".into()), ..Flow::default() };
        assert_eq!(name(named("10.0.0.4:1", "192.0.2.9:443", other, &told)), None);
        assert_eq!(name(named("10.0.0.4:1", "192.0.2.9:443", Flow::default(), &told)), None);
        // A better name stays, and who comes from there is called the same.
        let known = Flow { destination_name: Some("db.front".into()), ..web() };
        assert_eq!(name(named("10.0.0.2:1", "192.0.2.9:443", known, &told)).as_deref(), Some("db.front"));
        let back = Flow { destination_container: Some("web-id".into()), ..Flow::default() };
        let back = named("192.0.2.9:443", "10.0.0.2:80", back, &told);
        assert_eq!(back.source_name.as_deref(), Some("shop.example."));
    }
}
