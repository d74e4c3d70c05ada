//! Names as containers resolve them: what a cell says, the names × containers matrix, and what a shell would ask. Pure.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::dns::{
    DnsCounts, DnsName, DnsNameKey, DnsOddity, DnsRecord, DnsSeen, DnsSeenKey, DnsSource, DnsStatus,
    Resolver, ResolverKey,
};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use super::flow::ELSEWHERE;
use super::lookup::container_name;
use super::network::netns_name;
use super::shell::{Command, command, quote};

/// Columns of the matrix drawn at most: more is a job for the filter.
pub const CONTAINERS: usize = 16;
/// Rows of the matrix drawn at most.
pub const NAMES: usize = 200;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Said {
    /// Addresses, or the kind of failure.
    pub text: String,
    /// `data-tone`.
    pub tone: &'static str,
    /// How it came about, and what is odd.
    pub title: String,
}

/// How grave it is, 0 for nothing: names with the gravest come first.
pub fn gravity(row: &DnsName) -> u8 {
    let mark = row.marks.iter().map(|mark| match mark.oddity {
        DnsOddity::Stale => 4,
        DnsOddity::Conflict => 3,
        DnsOddity::Ambiguous | DnsOddity::Shadowed => 2,
    });
    let silent = match row.status {
        DnsStatus::Timeout | DnsStatus::Lied | DnsStatus::Unreachable | DnsStatus::ServFail => 4,
        DnsStatus::Refused | DnsStatus::Failed => 3,
        DnsStatus::Pending
        | DnsStatus::NoError
        | DnsStatus::NoData
        | DnsStatus::NxDomain
        | DnsStatus::NotAsked => 0,
    };
    mark.chain([silent]).max().unwrap_or_default()
}

/// One answer in words.
pub fn said(key: &DnsNameKey, row: &DnsName) -> Said {
    let text = match row.status {
        DnsStatus::NoError if !row.answers.is_empty() => row.answers.join(" "),
        DnsStatus::NoError | DnsStatus::NoData => format!("no {}", key.record.name()),
        DnsStatus::NxDomain => "NXDOMAIN".into(),
        DnsStatus::Pending => "asking…".into(),
        DnsStatus::ServFail => "SERVFAIL".into(),
        DnsStatus::NotAsked => "not asked".into(),
        DnsStatus::Refused
        | DnsStatus::Timeout
        | DnsStatus::Lied
        | DnsStatus::Unreachable
        | DnsStatus::Failed => row.status.name().into(),
    };
    let tone = match (gravity(row), row.status) {
        (4.., _) => "trouble",
        (1.., _) => "attention",
        (0, DnsStatus::NoError) => "",
        (0, _) => "quiet",
    };
    let from = match (row.source, &row.server) {
        (DnsSource::Hosts, _) => "from its hosts file".to_owned(),
        (DnsSource::Dns, Some(server)) => format!("{} by {server}", key.record.name()),
        (DnsSource::Dns, None) => key.record.name().to_owned(),
    };
    let ttl = row.ttl_secs.map(|ttl| format!("TTL {ttl} s"));
    let latency = row.latency_secs.map(unit::latency_secs);
    let marks = row.marks.iter().map(|mark| format!("{}: {}", mark.oddity.name(), mark.evidence));
    let title: Vec<String> = [Some(from), ttl, latency].into_iter().flatten().chain(marks).collect();
    Said { text, tone, title: title.join("\n") }
}

/// Who asks on the wire: a container, the host, a namespace, or somebody elsewhere.
pub fn asker(snapshot: &Snapshot, netns: Option<u64>, container: Option<&str>) -> String {
    match (container, netns) {
        (Some(id), _) => container_name(snapshot, id),
        (None, Some(netns)) => netns_name(snapshot, netns),
        (None, None) => ELSEWHERE.to_owned(),
    }
}

/// What went wrong, and how much that weighs: what nobody could answer more than any number of names that do not exist.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wrong {
    /// `3 timeout, 20 NXDOMAIN`; empty when nothing did.
    pub text: String,
    /// Larger is worse.
    pub weight: f64,
}

/// Of questions seen on the wire.
pub fn wrong(counts: &DnsCounts) -> Wrong {
    let kinds = [
        (counts.timeouts, "timeout"),
        (counts.servfail, "SERVFAIL"),
        (counts.refused, "REFUSED"),
        (counts.failed, "failed"),
        (counts.nxdomain, "NXDOMAIN"),
        (counts.truncated, "truncated"),
    ];
    let told = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", unit::count(*n)));
    let weight = counts.failures() as f64 * 1e9 + counts.nxdomain as f64;
    Wrong { text: told.collect::<Vec<_>>().join(", "), weight }
}

/// What a container asks on the wire, most first; what its engine passes on is not its own.
pub fn asked_most<'a>(snapshot: &'a Snapshot, id: &str) -> Vec<(&'a DnsSeenKey, &'a DnsSeen)> {
    let own = snapshot.dns_seen.iter().map(|(key, row)| (key, &**row));
    let mut own: Vec<_> =
        own.filter(|(_, row)| row.container.as_deref() == Some(id) && !row.forwarded).collect();
    own.sort_by_key(|(_, row)| std::cmp::Reverse(row.counts.queries));
    own
}

/// Names × containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matrix {
    /// Ids and names of the columns, by name.
    pub containers: Vec<(String, String)>,
    /// The rows, the oddest first.
    pub rows: Vec<MatrixRow>,
    /// Names that are not drawn.
    pub more_names: usize,
    /// Containers that are not drawn.
    pub more_containers: usize,
}

/// What each container gets for a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatrixRow {
    /// The name.
    pub name: String,
    /// By column; `None` where that container is not asked for it.
    pub cells: Vec<Option<Said>>,
}

/// One row of the table.
type Answer<'a> = (&'a DnsNameKey, &'a DnsName);

/// Answers for one name by the container that gets them.
type ByContainer<'a> = BTreeMap<&'a str, Vec<Answer<'a>>>;

/// The matrix of some answers, the oddest names first, short ids last. Addresses of both families stand in one cell; that a name has no IPv6 address is not worth a word.
pub fn matrix<'a>(snapshot: &Snapshot, keys: impl Iterator<Item = &'a DnsNameKey>) -> Matrix {
    let mut cells: BTreeMap<&str, ByContainer<'_>> = BTreeMap::new();
    let forward = keys.filter(|key| matches!(key.record, DnsRecord::A | DnsRecord::Aaaa));
    for key in forward {
        let Some(row) = snapshot.dns_name.get(key) else { continue };
        cells.entry(&key.name).or_default().entry(&key.container).or_default().push((key, row));
    }
    let whose: BTreeSet<&str> = cells.values().flat_map(BTreeMap::keys).copied().collect();
    let mut containers: Vec<(String, String)> =
        whose.into_iter().map(|id| (id.to_owned(), container_name(snapshot, id))).collect();
    containers.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    let more_containers = containers.len().saturating_sub(CONTAINERS);
    containers.truncate(CONTAINERS);
    let grave =
        |by: &ByContainer<'_>| by.values().flatten().map(|(_, row)| gravity(row)).max().unwrap_or_default();
    let mut names: Vec<_> = cells.into_iter().collect();
    let ids: BTreeSet<&str> = snapshot.container.keys().map(|key| unit::short_id(&key.id)).collect();
    // Short ids are names that nobody types: they come last.
    names.sort_by_key(|(name, by)| (std::cmp::Reverse(grave(by)), ids.contains(name)));
    let more_names = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let rows = names.into_iter().map(|(name, by)| MatrixRow {
        name: name.to_owned(),
        cells: containers.iter().map(|(id, _)| by.get(id.as_str()).map(|all| both(all))).collect(),
    });
    Matrix { rows: rows.collect(), containers, more_names, more_containers }
}

/// A and AAAA as one.
fn both(all: &[Answer<'_>]) -> Said {
    let worth =
        |(key, row): &&Answer<'_>| key.record == DnsRecord::A || !row.answers.is_empty() || gravity(row) > 0;
    let mut said: Vec<(u8, Said)> =
        all.iter().filter(worth).map(|(key, row)| (gravity(row), said(key, row))).collect();
    // An IPv6 address alone is no failure of the name.
    if said.len() > 1 && all.iter().any(|(_, row)| !row.answers.is_empty()) {
        let empty = |(gravity, said): &(u8, Said)| *gravity == 0 && said.tone == "quiet";
        said.retain(|one| !empty(one));
    }
    // Both may have failed in the same way.
    said.dedup_by(|a, b| a.1.text == b.1.text);
    let tone = said.iter().max_by_key(|(gravity, _)| *gravity).map_or("quiet", |(_, one)| one.tone);
    let join = |part: fn(&Said) -> &str, with: &str| {
        said.iter().map(|(_, one)| part(one)).collect::<Vec<_>>().join(with)
    };
    Said { text: join(|one| &one.text, " "), tone, title: join(|one| &one.title, "\n") }
}

/// How a container finds names.
pub fn resolver<'a>(snapshot: &'a Snapshot, id: &str) -> Option<&'a Resolver> {
    snapshot.resolver.get(&ResolverKey { container: id.to_owned() }).map(|row| &**row)
}

/// Whom it asks, with what stands behind an engine's resolver.
pub fn servers(row: &Resolver) -> String {
    let behind = match &row.upstreams[..] {
        [] => String::new(),
        upstreams => format!(" (behind it {})", upstreams.join(" ")),
    };
    format!("{}{behind}", row.nameservers.join(" "))
}

/// The commands about a container's names.
pub fn shell_lines(id: &str, engine: Option<&str>, row: &Resolver, name: Option<&str>) -> Vec<Command> {
    let (pid, short) = (row.pid, quote(unit::short_id(id)));
    let asked = engine.map(|endpoint| format!("--engine {} ", quote(endpoint))).unwrap_or_default();
    let mut lines = vec![command(
        "how it finds names",
        format!("head -n 20 /proc/{pid}/root/etc/resolv.conf /proc/{pid}/root/etc/hosts"),
        "the same files",
    )];
    if let (Some(name), Some(server)) = (name, row.nameservers.first()) {
        lines.push(command(
            "what a name leads to there",
            format!("nsenter -t {pid} -n busybox nslookup {} {}", quote(name), quote(server)),
            "the same question over UDP from inside its network namespace",
        ));
    }
    lines.push(command(
        "all its names, as lines for /etc/hosts",
        format!("glasshull dns {asked}{short} --format hosts"),
        "what this page shows",
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::dns::DnsMark;
    use std::sync::Arc;

    fn snapshot(rows: &[(&str, &str, DnsRecord, &[&str])]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (container, name, record, answers) in rows {
            let key = DnsNameKey { container: (*container).into(), name: (*name).into(), record: *record };
            let answers: Vec<String> = answers.iter().map(|&one| one.to_owned()).collect();
            let status = if answers.is_empty() { DnsStatus::NxDomain } else { DnsStatus::NoError };
            snapshot.dns_name.insert(key, Arc::new(DnsName { answers, status, ..DnsName::default() }));
        }
        snapshot
    }

    fn texts(row: &MatrixRow) -> Vec<&str> {
        row.cells.iter().map(|cell| cell.as_ref().map_or("", |said| said.text.as_str())).collect()
    }

    #[test]
    fn each_container_has_its_own_answer_and_the_oddest_name_comes_first() {
        let mut s = snapshot(&[
            ("a", "api", DnsRecord::A, &["10.1.0.3"]),
            ("a", "db", DnsRecord::A, &["10.1.0.2"]),
            ("a", "db", DnsRecord::Aaaa, &["fd00::2"]),
            ("b", "db", DnsRecord::A, &["10.2.0.2"]),
            ("b", "db", DnsRecord::Aaaa, &[]),
            ("b", "10.2.0.2", DnsRecord::Ptr, &["db.b"]),
        ]);
        let odd = DnsNameKey { container: "b".into(), name: "db".into(), record: DnsRecord::A };
        if let Some(row) = s.dns_name.get_mut(&odd) {
            let mark = DnsMark { oddity: DnsOddity::Conflict, evidence: "a gets 10.1.0.2".into() };
            Arc::make_mut(row).marks.push(mark);
        }
        let drawn = matrix(&s, s.dns_name.keys());
        let ids: Vec<&str> = drawn.containers.iter().map(|(id, _)| id.as_str()).collect();
        let names: Vec<&str> = drawn.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((&ids[..], &names[..]), (&["a", "b"][..], &["db", "api"][..]));
        assert_eq!(texts(&drawn.rows[0]), ["10.1.0.2 fd00::2", "10.2.0.2"]);
        assert_eq!(texts(&drawn.rows[1]), ["10.1.0.3", ""]);
        let cell = drawn.rows[0].cells[1].clone().unwrap_or_default();
        assert_eq!((cell.tone, cell.title.ends_with("conflict: a gets 10.1.0.2")), ("attention", true));
    }

    #[test]
    fn short_ids_come_last_and_one_failure_is_said_once() {
        let mut s = snapshot(&[
            ("a", "0123456789ab", DnsRecord::A, &["10.1.0.2"]),
            ("a", "web", DnsRecord::A, &[]),
            ("a", "web", DnsRecord::Aaaa, &[]),
        ]);
        let id = glasshull_shared::domain::container::ContainerKey { id: "0123456789ab".repeat(5) };
        s.container.insert(id, Arc::default());
        for record in [DnsRecord::A, DnsRecord::Aaaa] {
            let key = DnsNameKey { container: "a".into(), name: "web".into(), record };
            if let Some(row) = s.dns_name.get_mut(&key) {
                Arc::make_mut(row).status = DnsStatus::Refused;
            }
        }
        let drawn = matrix(&s, s.dns_name.keys());
        let rows: Vec<_> = drawn.rows.iter().map(|row| (row.name.as_str(), texts(row))).collect();
        assert_eq!(rows, [("web", vec!["refused"]), ("0123456789ab", vec!["10.1.0.2"])]);
    }

    #[test]
    fn a_crowd_is_cut_and_counted() {
        let rows: Vec<(String, String)> =
            (0..300).map(|n| (format!("c{}", n % 40), format!("n{n}"))).collect();
        let rows: Vec<_> = rows
            .iter()
            .map(|(container, name)| (container.as_str(), name.as_str(), DnsRecord::A, &["10.0.0.1"][..]))
            .collect();
        let s = snapshot(&rows);
        let drawn = matrix(&s, s.dns_name.keys());
        assert_eq!((drawn.rows.len(), drawn.more_names), (NAMES, 100));
        assert_eq!((drawn.containers.len(), drawn.more_containers), (CONTAINERS, 40 - CONTAINERS));
    }

    #[test]
    fn a_name_that_is_nowhere_is_said_so() {
        let s = snapshot(&[("a", "gone", DnsRecord::A, &[]), ("a", "gone", DnsRecord::Aaaa, &[])]);
        assert_eq!(texts(&matrix(&s, s.dns_name.keys()).rows[0]), ["NXDOMAIN"]);
    }

    #[test]
    fn hostile_words_stay_words() {
        let row = Resolver { pid: 7, nameservers: vec!["$(reboot)".into()], ..Resolver::default() };
        let lines = shell_lines("c0ffee", Some("unix:///a b"), &row, Some("x;y"));
        let all: Vec<&str> = lines.iter().map(|line| line.command.as_str()).collect();
        assert!(all.contains(&"nsenter -t 7 -n busybox nslookup 'x;y' '$(reboot)'"), "{all:?}");
        assert!(all.iter().any(|line| line.contains("--engine 'unix:///a b' c0ffee")), "{all:?}");
    }
}
