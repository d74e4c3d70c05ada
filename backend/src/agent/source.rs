//! How well each collector works, as rows of the `source` table: what a permission or the kernel hides is named with
//! what would show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::source::{Source, SourceKey, SourceState};
use glasshull_shared::snapshot::TopicSet;

use crate::collect::{COLLECTORS, Collector};
use crate::sys::clock;

/// What a collector reported of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trouble {
    /// How bad.
    pub state: SourceState,
    /// What is wrong.
    pub reason: String,
    /// Capability that would help.
    pub capability: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
    /// Last good reading.
    pub collected_at: Option<u64>,
}

/// Troubles by collector; a collector without one works.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<&'static str, Trouble>);

impl Troubles {
    /// This collector works.
    pub(crate) fn none(&mut self, of: Collector) {
        self.0.remove(of.name);
    }

    /// This collector has this trouble.
    pub(crate) fn set(&mut self, of: Collector, trouble: Trouble) {
        self.0.insert(of.name, trouble);
    }

    /// It reads less than it could, for a reason that no capability mends.
    pub(crate) fn limited(&mut self, of: Collector, reason: String) {
        self.set(of, Trouble { state: SourceState::Limited, reason, ..Trouble::default() });
    }

    /// It failed; its rows are those of the last good reading, whose instant stays with the first failure after it.
    pub(crate) fn stale(&mut self, of: Collector, reason: String) {
        let before = self.0.get(of.name).filter(|t| t.state == SourceState::Stale);
        // The failure is seen at the first tick after the last good one.
        let collected_at = before.map_or_else(|| Some(clock::now_nanos()), |t| t.collected_at);
        self.set(of, Trouble { state: SourceState::Stale, reason, collected_at, ..Trouble::default() });
    }
}

/// The `source` table.
pub(crate) fn sources(demand: TopicSet, troubles: &Troubles) -> Table<SourceKey, Source> {
    COLLECTORS
        .iter()
        .map(|c| (SourceKey { name: c.name.to_owned() }, Arc::new(row(c, demand, troubles))))
        .collect()
}

fn row(collector: &Collector, demand: TopicSet, troubles: &Troubles) -> Source {
    let mut row = Source {
        state: if collector.needed(demand) { SourceState::Ok } else { SourceState::Off },
        tables: collector.fills.iter().map(|t| t.name().to_owned()).collect(),
        misses: collector.misses.map(str::to_owned),
        ..Source::default()
    };
    if let Some(trouble) = troubles.0.get(collector.name).filter(|_| row.state == SourceState::Ok) {
        row.state = trouble.state;
        row.reason = Some(trouble.reason.clone());
        row.capability.clone_from(&trouble.capability);
        row.remedy.clone_from(&trouble.remedy);
        row.collected_at = trouble.collected_at;
    }
    row
}

/// How to get a capability, whatever way the agent was started.
pub(crate) fn grant(capability: &str) -> String {
    let short = capability.trim_start_matches("CAP_").to_lowercase();
    format!(
        "run glasshull as root, or: setcap cap_{short}+ep glasshull; in a container: --cap-add {}",
        short.to_uppercase()
    )
}
