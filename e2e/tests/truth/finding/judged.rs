//! A running agent that judges at each tick, and containers of a case's own.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::lab::{IMAGE, Lab};
use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity, Subject};
use glasshull_shared::snapshot::{Snapshot, Topic};

use crate::runner::Context;
use crate::watch::Watch;

/// An agent whose client wants all that rules look at: then they are judged at each tick.
pub(super) struct Judged(Watch);

/// A finding as it was told.
pub(super) struct Told {
    pub(super) key: FindingKey,
    pub(super) row: Finding,
}

impl Told {
    /// The value of a piece of evidence.
    pub(super) fn value(&self, label: &str) -> Result<&str> {
        let found = self.row.evidence.iter().find(|one| one.label == label);
        found
            .map(|one| one.value.as_str())
            .with_context(|| format!("no {label:?} in {:?}", self.row.evidence))
    }

    /// Demands a severity.
    pub(super) fn is(self, severity: Severity) -> Result<Self> {
        ensure!(self.row.severity == severity, "{:?} instead of {severity:?}", self.row.severity);
        Ok(self)
    }
}

impl Judged {
    /// Starts it on the lab's engine, with more arguments.
    pub(super) fn start(context: &Context, more: &[&str]) -> Result<Self> {
        let mut topics: Vec<Topic> = Rule::ALL.iter().flat_map(|rule| rule.text().needs).copied().collect();
        topics.extend([Topic::Finding, Topic::Event, Topic::ContainerStat]);
        topics.sort_unstable();
        topics.dedup();
        Ok(Self(Watch::start_with(context, more, &topics, |_| false, |_| Ok(()))?))
    }

    /// Waits until the tables say something.
    pub(super) fn wait(&self, what: &str, done: impl FnMut(&Snapshot) -> bool) -> Result<()> {
        self.0.wait(what, done)
    }

    /// Waits until a rule is met by something.
    pub(super) fn raised(&self, rule: Rule, by: &dyn Fn(&FindingKey, &Finding) -> bool) -> Result<Told> {
        let mut told = None;
        self.wait(rule.name(), |tables| {
            told = told_of(tables, rule, by);
            told.is_some()
        })?;
        let told = told.context("what was told is gone")?;
        ensure!(!told.row.evidence.is_empty(), "{} without evidence", rule.name());
        Ok(told)
    }

    /// Waits until it is met no more.
    pub(super) fn cleared(&self, told: &Told) -> Result<()> {
        let name = told.key.rule.name();
        self.wait(&format!("the end of {name}"), |tables| !tables.finding.contains_key(&told.key))
    }

    /// The same for rules about the last minute: what was so in it takes as long to be past.
    pub(super) fn cleared_after_its_minute(&self, told: &Told) -> Result<()> {
        // Each wait is half a minute; only the last must not be in vain.
        let _ = self.cleared(told);
        let _ = self.cleared(told);
        self.cleared(told)
    }

    /// Lets it judge what is there now, and demands that a rule is not met.
    pub(super) fn quiet(&self, rule: Rule, by: &dyn Fn(&FindingKey, &Finding) -> bool) -> Result<()> {
        let enough = self.0.ticks() + 3;
        let came = wait_until(Duration::from_secs(30), || self.0.ticks() >= enough);
        ensure!(came, "no more ticks");
        let mut told = None;
        self.wait("a look", |tables| {
            told = told_of(tables, rule, by);
            true
        })?;
        let told = told.map(|told| told.row.evidence);
        ensure!(told.is_none(), "{} where all is well: {told:?}", rule.name());
        Ok(())
    }
}

fn told_of(tables: &Snapshot, rule: Rule, by: &dyn Fn(&FindingKey, &Finding) -> bool) -> Option<Told> {
    let mut found = tables.finding.iter().filter(|(key, row)| key.rule == rule && by(key, row));
    found.next().map(|(key, row)| Told { key: key.clone(), row: Finding::clone(row) })
}

/// Of a container, or of something in it.
pub(super) fn of_container(id: &str) -> impl Fn(&FindingKey, &Finding) -> bool + '_ {
    move |_, row| row.container.as_deref() == Some(id)
}

/// Of one thing.
pub(super) fn of(subject: Subject) -> impl Fn(&FindingKey, &Finding) -> bool {
    move |key, _| key.subject == subject
}

/// Of a network namespace.
pub(super) fn of_netns(inode: u64) -> impl Fn(&FindingKey, &Finding) -> bool {
    of(Subject::Namespace { kind: "net".into(), inode })
}

/// A container of a case's own; removed when dropped.
pub(super) struct Own<'a> {
    lab: &'a Lab,
    /// Its name, which is also the finding's.
    pub(super) name: &'static str,
    pub(super) id: String,
}

impl<'a> Own<'a> {
    /// Starts it.
    pub(super) fn run(
        context: &'a Context,
        name: &'static str,
        options: &[&str],
        command: &[&str],
    ) -> Result<Self> {
        let start = [&["run", "--detach", "--name", name][..], options, &[IMAGE], command].concat();
        // From here on it is removed, also when it could be made and not started.
        let mut own = Self { lab: &context.lab, name, id: String::new() };
        context.lab.docker(&start)?.trim().clone_into(&mut own.id);
        Ok(own)
    }

    /// Its init on the host.
    pub(super) fn init(&self) -> Result<u32> {
        let pid = self.lab.inspect(self.name)?["State"]["Pid"].as_u64().context("no pid")?;
        Ok(u32::try_from(pid)?)
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let _ = self.lab.docker(&["rm", "--force", "--volumes", self.name]);
    }
}
