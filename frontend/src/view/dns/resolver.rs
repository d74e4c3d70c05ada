//! How each container finds names: its resolv.conf, its hosts file, its order of lookup.

use glasshull_shared::dns_export::of_container;
use glasshull_shared::domain::dns::{DnsRecord, ResolverKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "resolvers",
    title: "Resolvers",
    noun: "containers that run",
    placeholder: "api  server:127.0.0.11  options:ndots",
    empty: "No container runs.",
    topics: &[Topic::Resolver, Topic::DnsName, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("container", false),
    parent: None,
    keys: |s| s.resolver.keys().map(|key| LineKey::Resolver(key.container.clone())).collect(),
    datum,
};

static COLUMNS: [Column; 8] = [
    Column::text("container", "Container", 150, "whose").narrow(110).grow(),
    Column::text("server", "Asks", 150, "nameserver of its resolv.conf, in their order").narrow(120),
    Column::text(
        "behind",
        "Behind it",
        150,
        "what stands behind an engine's resolver, where the engine tells",
    )
    .grow(),
    Column::text("search", "Search", 130, "what is appended to names").spare(3),
    Column::text(
        "options",
        "Options",
        110,
        "ndots:5 asks for a name with few dots in each search domain first",
    )
    .spare(2),
    Column::text("order", "Order", 100, "hosts: of its nsswitch.conf; images with musl have none").spare(4),
    Column::number("hosts", "Hosts", 70, "names in its hosts file"),
    Column::number("names", "Names", 70, "names its engine answers for, asked here"),
];

const FIELDS: [Field; 7] = [
    Field { name: "container", kind: Is::Text, help: "whose" },
    Field { name: "server", kind: Is::Text, help: "address" },
    Field { name: "behind", kind: Is::Text, help: "address" },
    Field { name: "search", kind: Is::Text, help: "domain" },
    Field { name: "options", kind: Is::Text, help: "ndots:5" },
    Field { name: "order", kind: Is::Text, help: "files dns" },
    Field { name: "names", kind: Is::Number, help: "how many" },
];

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Resolver(id) = key else { return Datum::default() };
    let Some(row) = s.resolver.get(&ResolverKey { container: id.clone() }) else { return Datum::default() };
    let list = |all: &[String]| Datum::text(unit::printable(&all.join(" ")));
    match column {
        "container" => Datum::text(unit::printable(&container_name(s, id))).tone("strong"),
        "server" => match &row.hidden {
            Some(why) => Datum::unknown(why),
            None => list(&row.nameservers),
        },
        "behind" => list(&row.upstreams),
        "search" => list(&row.search),
        "options" => list(&row.options),
        "order" => Datum::maybe(row.lookup_order.as_deref().map(unit::printable)),
        "hosts" => Datum::count(row.hosts.iter().map(|line| line.names.len() as u64).sum()),
        "names" => {
            let names: std::collections::BTreeSet<&str> = of_container(&s.dns_name, id)
                .filter(|(key, _)| key.record != DnsRecord::Ptr)
                .map(|(key, _)| key.name.as_str())
                .collect();
            Datum::count(names.len() as u64)
        }
        _ => Datum::default(),
    }
}
