//! Marks of findings on things of a table or a drawing: how many, how grave, and the way to them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity, Subject};
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::snapshot::Snapshot;

use super::address::Address;
use super::finding::sign;

/// What a thing is marked with: what is found of it that asks for more than a glance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The gravest.
    pub worst: Severity,
    /// How many.
    pub count: usize,
    /// Which rules were met.
    pub rules: BTreeSet<Rule>,
    /// By whom, as people call them.
    pub names: BTreeSet<String>,
}

impl Mark {
    fn add(&mut self, rule: Rule, row: &Finding) {
        self.worst = self.worst.max(row.severity);
        self.count += 1;
        self.rules.insert(rule);
        self.names.insert(row.name.clone());
    }

    /// Both together.
    pub fn join(mut self, other: &Self) -> Self {
        self.worst = self.worst.max(other.worst);
        self.count += other.count;
        self.rules.extend(&other.rules);
        self.names.extend(other.names.iter().cloned());
        self
    }

    /// `▲ 2`.
    pub fn text(&self) -> String {
        format!("{} {}", sign(self.worst).0, self.count)
    }

    /// Its place in an order: the gravest are the heaviest.
    pub fn weight(&self) -> f64 {
        let grave = Severity::ALL.iter().rev().position(|severity| *severity == self.worst);
        grave.unwrap_or_default() as f64 * 1e6 + self.count as f64
    }

    /// On hover: what is the case.
    pub fn about(&self) -> String {
        let titles: Vec<&str> = self.rules.iter().map(|rule| rule.text().title).collect();
        titles.join("; ")
    }

    /// Where they are told.
    pub fn link(&self) -> String {
        let rules: Vec<&str> = self.rules.iter().map(|rule| rule.text().name).collect();
        let mut filter = format!("rule:{}", rules.join(","));
        if let (1, Some(name)) = (self.names.len(), self.names.first()) {
            filter.push_str(&format!(" name=\"{}\"", name.replace('"', "")));
        }
        let mut address = Address::parse("?view=findings");
        address.set("f", Some(filter));
        address.to_query()
    }
}

/// What is marked on a drawing of many things.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// By container, with what is found of its processes, links and namespaces.
    pub containers: BTreeMap<String, Mark>,
    /// By link.
    pub links: BTreeMap<LinkKey, Mark>,
    /// By network namespace: what belongs to no container, of the namespace itself and of links in it.
    pub namespaces: BTreeMap<u64, Mark>,
    /// By network namespace, of the namespace itself.
    pub own: BTreeMap<u64, Mark>,
}

impl Marks {
    /// Of all findings but those that are merely good to know.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut marks = Self::default();
        for (key, row) in snapshot.finding.iter().filter(|(_, row)| row.severity > Severity::Info) {
            let netns = match &key.subject {
                Subject::Link(link) => {
                    marks.links.entry(*link).or_default().add(key.rule, row);
                    Some(link.netns)
                }
                Subject::Namespace { kind, inode } if kind == "net" => {
                    marks.own.entry(*inode).or_default().add(key.rule, row);
                    Some(*inode)
                }
                Subject::Host
                | Subject::Container { .. }
                | Subject::Process(_)
                | Subject::Namespace { .. }
                | Subject::Engine { .. } => None,
            };
            match (&row.container, netns) {
                (Some(id), _) => marks.containers.entry(id.clone()).or_default().add(key.rule, row),
                (None, Some(netns)) => marks.namespaces.entry(netns).or_default().add(key.rule, row),
                (None, None) => {}
            }
        }
        marks
    }

    /// Of some containers and network namespaces together; `None` when nothing is found of any.
    pub fn together<'a>(
        &self,
        containers: impl IntoIterator<Item = &'a String>,
        namespaces: impl IntoIterator<Item = &'a u64>,
    ) -> Option<Mark> {
        let of_containers = containers.into_iter().filter_map(|id| self.containers.get(id));
        let all = of_containers.chain(namespaces.into_iter().filter_map(|netns| self.namespaces.get(netns)));
        all.fold(None, |sum: Option<Mark>, mark| Some(sum.unwrap_or_default().join(mark)))
    }
}

/// Whether a finding is about a network namespace itself.
pub fn is_of_netns(key: &FindingKey, netns: u64) -> bool {
    matches!(&key.subject, Subject::Namespace { kind, inode } if kind == "net" && *inode == netns)
}

/// The mark of one thing, in a table.
pub fn mark_of(snapshot: &Snapshot, is_it: impl Fn(&FindingKey) -> bool) -> Option<Mark> {
    let own = snapshot.finding.iter().filter(|(key, row)| row.severity > Severity::Info && is_it(key));
    own.fold(None, |sum: Option<Mark>, (key, row)| {
        let mut mark = sum.unwrap_or_default();
        mark.add(key.rule, row);
        Some(mark)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::filter::Query;
    use crate::store::finding::{FIELDS, passing};

    #[test]
    fn things_of_a_drawing_are_marked_each_once_and_a_mark_leads_to_its_findings() {
        let mut s = Snapshot::default();
        let key = LinkKey { netns: 7, ifindex: 3 };
        let web = || Subject::Container { id: "w".into() };
        for (rule, severity) in [
            (Rule::NoMemoryLimit, Severity::Info),
            (Rule::HostLike, Severity::Trouble),
            (Rule::Throttled, Severity::Attention),
        ] {
            let row = Finding { severity, container: Some("w".into()), ..Finding::default() };
            s.finding.insert(FindingKey { rule, subject: web() }, Arc::new(row));
        }
        for (rule, subject, container) in [
            (Rule::LinkLoses, Subject::Link(key), None),
            (Rule::LinkLoses, Subject::Link(LinkKey { netns: 8, ifindex: 2 }), Some("w")),
            (Rule::EmptyNamespace, Subject::Namespace { kind: "net".into(), inode: 9 }, None),
            (Rule::EmptyNamespace, Subject::Namespace { kind: "mnt".into(), inode: 10 }, None),
        ] {
            let container = container.map(str::to_owned);
            let row = Finding {
                severity: Severity::Attention,
                container,
                name: "eth0".into(),
                ..Finding::default()
            };
            s.finding.insert(FindingKey { rule, subject }, Arc::new(row));
        }
        let marks = Marks::of(&s);
        assert_eq!(marks.containers["w"].count, 3);
        assert_eq!(marks.links.len(), 2);
        assert_eq!(marks.namespaces.keys().collect::<Vec<_>>(), [&7, &9]);
        assert_eq!(marks.own.keys().collect::<Vec<_>>(), [&9]);
        let both = marks.together(&["w".to_owned(), "none".to_owned()], &[7]).unwrap();
        assert_eq!((both.text().as_str(), both.rules.len()), ("▲ 4", 3));
        assert_eq!(marks.together(&[], &[6]), None);
        let one = mark_of(&s, |k| k.subject == Subject::Link(key)).unwrap();
        assert_eq!(Some(&one), marks.links.get(&key));
        let filter = Address::parse(&one.link()).get("f").map(str::to_owned).unwrap();
        let (query, problems) = Query::parse(&filter, &FIELDS);
        assert!(problems.is_empty(), "{filter}");
        assert!(passing(&s, &query).iter().all(|key| key.rule == Rule::LinkLoses));
        assert_eq!(passing(&s, &query).len(), 2);
        let (query, _) = Query::parse("container:w", &FIELDS);
        assert_eq!(passing(&s, &query).len(), 4);
    }
}
