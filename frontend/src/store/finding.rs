//! Findings as several views need them: how many, of what, and where a subject is shown. Pure.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity, Subject};
use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::Selection;
use super::filter::{Field, Kind, Query, Record, Value};
use super::lookup::container_name;

/// How many of trouble, attention and info.
pub fn counts<'a>(rows: impl Iterator<Item = &'a Finding>) -> [usize; 3] {
    let mut all = [0; 3];
    let [trouble, attention, info] = &mut all;
    for row in rows {
        match row.severity {
            Severity::Trouble => *trouble += 1,
            Severity::Attention => *attention += 1,
            Severity::Info => *info += 1,
        }
    }
    all
}

/// Shape and tone of a severity.
pub fn sign(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Trouble => ("▲", "trouble"),
        Severity::Attention => ("●", "attention"),
        Severity::Info => ("○", "quiet"),
    }
}

/// What is shown together of these: the gravest first, then in the order of the catalogue.
pub fn groups(snapshot: &Snapshot, some: &BTreeSet<FindingKey>) -> Vec<(Severity, Rule)> {
    let shown = snapshot.finding.iter().filter(|(key, _)| some.contains(key));
    let mut groups: Vec<_> = shown.map(|(key, row)| (row.severity, key.rule)).collect();
    groups.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    groups.dedup();
    groups
}

/// The findings of one group, by name.
pub fn of_group(snapshot: &Snapshot, (severity, rule): (Severity, Rule)) -> Vec<(FindingKey, Finding)> {
    let own = snapshot.finding.iter().filter(|(key, row)| key.rule == rule && row.severity == severity);
    let mut own: Vec<_> = own.map(|(key, row)| (key.clone(), Finding::clone(row))).collect();
    own.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    own
}

/// What the filter box of findings understands.
pub const FIELDS: [Field; 6] = [
    Field { name: "rule", kind: Kind::Text, help: "name or title of the rule" },
    Field { name: "severity", kind: Kind::Word, help: "trouble attention info" },
    Field { name: "name", kind: Kind::Text, help: "whom it was met by" },
    Field { name: "container", kind: Kind::Text, help: "name or id of the container it belongs to" },
    Field { name: "kind", kind: Kind::Word, help: "host container process link namespace engine" },
    Field { name: "evidence", kind: Kind::Text, help: "what it rests on" },
];

/// A finding as the filter sees it.
struct Sought<'a> {
    key: &'a FindingKey,
    row: &'a Finding,
    evidence: String,
    /// Name and id.
    container: Option<String>,
}

impl Record for Sought<'_> {
    fn value(&self, field: &str) -> Value<'_> {
        let text = self.key.rule.text();
        match field {
            "rule" => Value::Text(format!("{} {}", text.name, text.title).into()),
            "severity" => Value::Text(self.row.severity.name().into()),
            "name" => Value::Text(self.row.name.as_str().into()),
            "container" => Value::maybe_text(self.container.as_deref()),
            "kind" => Value::Text(self.key.subject.kind().into()),
            "evidence" => Value::Text(self.evidence.as_str().into()),
            _ => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let text = self.key.rule.text();
        [text.name, text.title, &self.row.name, &self.evidence].into_iter()
    }
}

/// Those that pass a filter.
pub fn passing(snapshot: &Snapshot, query: &Query) -> BTreeSet<FindingKey> {
    let passes = |key: &FindingKey, row: &Finding| {
        let evidence = row.evidence.iter().map(|one| format!("{} {}", one.label, one.value));
        let evidence = evidence.collect::<Vec<_>>().join(" ");
        let container = row.container.as_ref().map(|id| format!("{} {id}", container_name(snapshot, id)));
        query.matches(&Sought { key, row, evidence, container })
    };
    let own = snapshot.finding.iter().filter(|(key, row)| passes(key, row));
    own.map(|(key, _)| key.clone()).collect()
}

/// What is selected to see a subject; `None` for what the inspector does not show.
pub fn selection(subject: &Subject) -> Option<Selection> {
    Some(match subject {
        Subject::Host => Selection::Host,
        Subject::Container { id } => Selection::Container(id.clone()),
        Subject::Process(key) => Selection::Process(*key),
        Subject::Link(key) => Selection::Link(*key),
        Subject::Engine { endpoint } => Selection::Engine(endpoint.clone()),
        Subject::Namespace { kind, inode } => {
            let kind = NamespaceKind::from_name(kind)?;
            Selection::Namespace(NamespaceKey { kind, inode: *inode })
        }
    })
}

/// What is found of a selected thing, the gravest first; of a container also what is found of its processes and links.
pub fn of_selection(snapshot: &Snapshot, selected: &Selection) -> Vec<(FindingKey, Finding)> {
    let of_host = |subject: &Subject| {
        let host = |kind: &str, inode: u64| {
            kind == "net" && snapshot.netns.iter().any(|(key, row)| key.netns == inode && row.host)
        };
        matches!(subject, Subject::Namespace { kind, inode } if host(kind, *inode))
    };
    let about = |key: &FindingKey, row: &Finding| {
        selection(&key.subject).as_ref() == Some(selected)
            || matches!(selected, Selection::Container(id) if row.container.as_ref() == Some(id))
            || (*selected == Selection::Host && of_host(&key.subject))
    };
    let mut own: Vec<_> = snapshot
        .finding
        .iter()
        .filter(|(key, row)| about(key, row))
        .map(|(key, row)| (key.clone(), Finding::clone(row)))
        .collect();
    own.sort_by(|a, b| b.1.severity.cmp(&a.1.severity).then(a.0.cmp(&b.0)));
    own
}

/// Gravest severity and number of what asks for more than a glance, by container.
pub fn by_container(snapshot: &Snapshot) -> BTreeMap<ContainerKey, (Severity, usize)> {
    let mut all: BTreeMap<ContainerKey, (Severity, usize)> = BTreeMap::new();
    for row in snapshot.finding.values().filter(|row| row.severity > Severity::Info) {
        if let Some(id) = &row.container {
            let (worst, count) = all.entry(ContainerKey { id: id.clone() }).or_default();
            *worst = (*worst).max(row.severity);
            *count += 1;
        }
    }
    all
}

/// As [`by_container`], of one.
pub fn of_container(snapshot: &Snapshot, id: &str) -> Option<(Severity, usize)> {
    let own = snapshot.finding.values().filter(|row| row.container.as_deref() == Some(id));
    let grave = own.map(|row| row.severity).filter(|severity| *severity > Severity::Info);
    grave.fold(None, |all, severity| {
        let (worst, count) = all.unwrap_or((severity, 0));
        Some((worst.max(severity), count + 1))
    })
}

/// Rules that could not be judged whole, and why: their tables come from a source that lacks something.
pub fn unseen(snapshot: &Snapshot) -> Vec<(String, String, Vec<&'static str>)> {
    let lacks = |state| matches!(state, SourceState::Limited | SourceState::Stale | SourceState::Missing);
    let rows = snapshot.source.iter().filter(|(_, row)| lacks(row.state)).filter_map(|(key, row)| {
        let tables: Vec<Topic> = row.tables.iter().filter_map(|name| Topic::from_name(name)).collect();
        let rules = Rule::ALL.iter().filter(|rule| rule.text().needs.iter().any(|t| tables.contains(t)));
        let rules: Vec<_> = rules.map(|rule| rule.text().title).collect();
        let why =
            [row.reason.clone(), row.remedy.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        (!rules.is_empty()).then(|| (key.name.clone(), why, rules))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        let web = || Subject::Container { id: "w".into() };
        let link = Subject::Namespace { kind: "net".into(), inode: 7 };
        for (rule, subject, severity, container) in [
            (Rule::NoMemoryLimit, web(), Severity::Info, Some("w")),
            (Rule::HostLike, web(), Severity::Trouble, Some("w")),
            (Rule::Throttled, web(), Severity::Attention, Some("w")),
            (Rule::EmptyNamespace, link, Severity::Info, None),
        ] {
            let row = Finding { severity, container: container.map(str::to_owned), ..Finding::default() };
            s.finding.insert(FindingKey { rule, subject }, Arc::new(row));
        }
        s
    }

    #[test]
    fn the_gravest_stand_first() {
        let s = snapshot();
        let all = passing(&s, &Query::parse("", &FIELDS).0);
        let rules: Vec<_> = groups(&s, &all).into_iter().map(|(_, rule)| rule).collect();
        assert_eq!(rules, [Rule::HostLike, Rule::Throttled, Rule::NoMemoryLimit, Rule::EmptyNamespace]);
        assert_eq!(counts(s.finding.values().map(|row| &**row)), [1, 1, 2]);
        let own = of_selection(&s, &Selection::Container("w".into()));
        assert_eq!(own.len(), 3);
        assert_eq!(own[0].0.rule, Rule::HostLike);
    }

    #[test]
    fn a_filter_finds_by_rule_severity_kind_and_words() {
        let s = snapshot();
        let found = |text: &str| {
            let (query, problems) = Query::parse(text, &FIELDS);
            assert!(problems.is_empty(), "{text}");
            passing(&s, &query).into_iter().map(|key| key.rule).collect::<Vec<_>>()
        };
        assert_eq!(found("severity:trouble"), [Rule::HostLike]);
        assert_eq!(found("kind:namespace"), [Rule::EmptyNamespace]);
        assert_eq!(found(Rule::Throttled.text().name), [Rule::Throttled]);
        assert_eq!(
            found(&format!("rule:{} severity:info", Rule::NoMemoryLimit.text().name)),
            [Rule::NoMemoryLimit]
        );
        assert!(found("nothing-like-that").is_empty());
    }

    #[test]
    fn a_container_is_marked_by_its_gravest_and_not_for_what_is_good_to_know() {
        let marks = by_container(&snapshot());
        assert_eq!(marks.values().collect::<Vec<_>>(), [&(Severity::Trouble, 2)]);
        assert_eq!(of_container(&snapshot(), "w"), Some((Severity::Trouble, 2)));
        assert_eq!(of_container(&snapshot(), "other"), None);
    }
}
