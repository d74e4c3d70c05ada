//! Findings: rules over the tables. A rule is a line of [`RULES`]: its texts are in the catalogue of `shared`, its condition is a
//! function of this folder. What it needs to see over time is in [`Watch`]. Pure.
//!
//! A rule never fires on what is not known: `None` is not bad.

mod confinement;
mod container;
mod dns;
mod limit;
mod network;
mod process;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::event::EventKind;
use glasshull_shared::domain::finding::{Evidence, Finding, FindingKey, Rule, Severity, Subject};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::shell::quote;
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit::{printable, short_id};

pub(crate) use watch::Watch;

/// Findings of one rule at most: a host in great trouble must not flood the page.
const AT_MOST: usize = 200;
/// Pieces of evidence of one finding at most.
const EVIDENCE_AT_MOST: usize = 12;

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Nanoseconds since the epoch.
    pub now: u64,
    /// The tables.
    pub snapshot: &'a Snapshot,
    /// What was seen over time.
    pub watch: &'a Watch,
    /// Processes whose binary was deleted, with the path it had.
    pub deleted: &'a BTreeMap<ProcessKey, String>,
}

/// A rule and its condition.
struct Check {
    rule: Rule,
    find: fn(&Facts<'_>) -> Vec<Draft>,
}

/// All rules.
const RULES: &[Check] = &[
    Check { rule: Rule::HostLike, find: confinement::host_like },
    Check { rule: Rule::Privileged, find: confinement::privileged },
    Check { rule: Rule::DangerousCapability, find: confinement::dangerous_capability },
    Check { rule: Rule::EngineSocket, find: confinement::engine_socket },
    Check { rule: Rule::WritableHostPath, find: confinement::writable_host_path },
    Check { rule: Rule::RootWithoutUserns, find: confinement::root_without_userns },
    Check { rule: Rule::NotAsDeclared, find: confinement::not_as_declared },
    Check { rule: Rule::NoMemoryLimit, find: limit::no_memory_limit },
    Check { rule: Rule::OomKillDisabled, find: limit::oom_kill_disabled },
    Check { rule: Rule::OomKill, find: limit::oom_kill },
    Check { rule: Rule::Throttled, find: limit::throttled },
    Check { rule: Rule::PidsNearLimit, find: limit::pids_near_limit },
    Check { rule: Rule::Zombies, find: process::zombies },
    Check { rule: Rule::DeletedBinary, find: process::deleted_binary },
    Check { rule: Rule::StuckInD, find: process::stuck_in_d },
    Check { rule: Rule::RestartLoop, find: container::restart_loop },
    Check { rule: Rule::EngineSilent, find: container::engine_silent },
    Check { rule: Rule::ForwardingOff, find: network::forwarding_off },
    Check { rule: Rule::NeighbourTrouble, find: network::neighbour_trouble },
    Check { rule: Rule::LinkLoses, find: network::link_loses },
    Check { rule: Rule::StaleDnat, find: network::stale_dnat },
    Check { rule: Rule::EmptyNamespace, find: network::empty_namespace },
    Check { rule: Rule::DnsNxdomainStorm, find: dns::nxdomain_storm },
    Check { rule: Rule::DnsNdotsAmplification, find: dns::ndots_amplification },
];

/// A finding before it has an age.
#[derive(Debug, Clone, PartialEq)]
struct Draft {
    subject: Subject,
    name: String,
    container: Option<String>,
    severity: Severity,
    evidence: Vec<Evidence>,
    blanks: BTreeMap<String, String>,
}

impl Draft {
    fn new(subject: Subject, name: impl Into<String>, severity: Severity, evidence: Vec<Evidence>) -> Self {
        Self { subject, name: name.into(), container: None, severity, evidence, blanks: BTreeMap::new() }
    }

    /// About a container, with what its check lines need.
    fn of_container(
        facts: &Facts<'_>,
        key: &ContainerKey,
        severity: Severity,
        evidence: Vec<Evidence>,
    ) -> Self {
        let row = facts.snapshot.container.get(key);
        let name = row.map_or_else(|| short_id(&key.id).to_owned(), |row| printable(&row.name));
        let mut draft = Self::new(Subject::Container { id: key.id.clone() }, name, severity, evidence);
        draft.container = Some(key.id.clone());
        draft = draft.blank("id", quote(short_id(&key.id)));
        let Some(row) = row else { return draft };
        for (name, option) in [("docker", "-H"), ("glasshull", "--engine")] {
            let asks = row.engine.as_deref().map(|endpoint| format!("{name} {option} {}", quote(endpoint)));
            draft = draft.blank(name, asks.unwrap_or_else(|| name.to_owned()));
        }
        if let Some(pid) = row.init_pid {
            draft = draft.blank("pid", pid.to_string());
        }
        match &row.cgroup {
            Some(path) => draft.blank("cgroup", quote(path)),
            None => draft,
        }
    }

    fn blank(mut self, name: &str, word: impl Into<String>) -> Self {
        self.blanks.insert(name.to_owned(), word.into());
        self
    }

    fn row(mut self, raised_at: u64) -> Finding {
        let more = self.evidence.len().saturating_sub(EVIDENCE_AT_MOST);
        self.evidence.truncate(EVIDENCE_AT_MOST);
        if more > 0 {
            self.evidence.push(evidence("and more", more.to_string(), "not listed here"));
        }
        Finding {
            severity: self.severity,
            name: self.name,
            container: self.container,
            evidence: self.evidence,
            raised_at,
            blanks: self.blanks,
        }
    }
}

fn evidence(label: impl Into<String>, value: impl Into<String>, source: impl Into<String>) -> Evidence {
    Evidence { label: label.into(), value: value.into(), source: source.into() }
}

/// Containers that run, by their key.
fn running<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a ContainerKey, &'a Container)> + use<'a> {
    facts.snapshot.container.iter().map(|(key, row)| (key, &**row)).filter(|(_, row)| row.init_pid.is_some())
}

/// All findings now; one that was there before keeps its instant, and its allocation when nothing else changed.
pub(crate) fn find(facts: &Facts<'_>, before: &Table<FindingKey, Finding>) -> Table<FindingKey, Finding> {
    let mut found = Table::new();
    for check in RULES {
        for draft in (check.find)(facts).into_iter().take(AT_MOST) {
            let key = FindingKey { rule: check.rule, subject: draft.subject.clone() };
            let known = before.get(&key);
            let row = draft.row(known.map_or(facts.now, |row| row.raised_at));
            let row = known.filter(|known| ***known == row).cloned().unwrap_or_else(|| Arc::new(row));
            found.insert(key, row);
        }
    }
    found
}

/// What came and went, for the timeline: kind, container, words. What is only good to know is no event.
pub(crate) fn changes(
    before: &Table<FindingKey, Finding>,
    now: &Table<FindingKey, Finding>,
) -> Vec<(EventKind, Option<String>, String)> {
    let mut told = Vec::new();
    let mut tell = |kind, from: &Table<FindingKey, Finding>, to: &Table<FindingKey, Finding>| {
        let gone = from.iter().filter(|(key, row)| row.severity > Severity::Info && !to.contains_key(*key));
        told.extend(gone.map(|(key, row)| {
            let ends = if kind == EventKind::FindingCleared { " no longer" } else { "" };
            (kind, row.container.clone(), format!("{}{ends}: {}", row.name, key.rule.text().title))
        }));
    };
    tell(EventKind::FindingRaised, now, before);
    tell(EventKind::FindingCleared, before, now);
    told
}
