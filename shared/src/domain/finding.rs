//! Findings: what a rule saw on this host that somebody should know ([`Finding`]), and what the rules are ([`Rule`]). Raised by
//! `model::finding` from the other tables; the texts of a rule are known to both sides and do not travel.

mod catalogue;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::LinkKey;
use super::process::ProcessKey;

pub use catalogue::{Rule, RuleText};

/// How much a finding matters. In the order of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; usual on a host where people develop.
    #[default]
    Info,
    /// Somebody should look at it.
    Attention,
    /// Something is broken, or somebody could own the host by it.
    Trouble,
}

impl Severity {
    /// Gravest first.
    pub const ALL: [Self; 3] = [Self::Trouble, Self::Attention, Self::Info];

    /// As in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Attention => "attention",
            Self::Trouble => "trouble",
        }
    }

    /// The severity of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// What a finding is about. Keys of other tables, so that it leads to the thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The host as a whole.
    Host,
    /// A container.
    Container {
        /// Its id.
        id: String,
    },
    /// A process of the host or of a container.
    Process(ProcessKey),
    /// A network interface.
    Link(LinkKey),
    /// A namespace.
    Namespace {
        /// `net`, `mnt`, `pid`… as in `/proc/PID/ns`.
        kind: String,
        /// Inode in `nsfs`.
        inode: u64,
    },
    /// An engine.
    Engine {
        /// Its endpoint.
        endpoint: String,
    },
}

impl Subject {
    /// What kind of thing, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Container { .. } => "container",
            Self::Process(_) => "process",
            Self::Link(_) => "link",
            Self::Namespace { .. } => "namespace",
            Self::Engine { .. } => "engine",
        }
    }
}

/// Identifies a finding: one rule, one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingKey {
    /// The rule that was met.
    pub rule: Rule,
    /// By what.
    pub subject: Subject,
}

/// One fact that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// What: `network namespace`.
    pub label: String,
    /// How it is, for people: `the host's`.
    pub value: String,
    /// Kernel file or table it came from: `/proc/4711/status CapBnd`.
    pub source: String,
}

/// A rule that was met.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters here: at most what its rule allows.
    pub severity: Severity,
    /// What people call the subject: `web`, `httpd (4711)`, `eth0 in web`.
    pub name: String,
    /// Container the subject is or belongs to; `None` on the host.
    pub container: Option<String>,
    /// What it rests on; never empty.
    pub evidence: Vec<Evidence>,
    /// Instant it was first seen, nanoseconds since the epoch.
    pub raised_at: u64,
    /// What the blanks of the rule's check and mend lines are filled with (`pid`, `id`, `link`…), as words of a shell.
    pub blanks: BTreeMap<String, String>,
}

impl Finding {
    /// How to check it by hand: the rule's line with this finding's pids and names.
    pub fn check(&self, rule: Rule) -> String {
        fill(rule.text().check, &self.blanks)
    }

    /// How to mend it, likewise.
    pub fn mend(&self, rule: Rule) -> String {
        fill(rule.text().mend, &self.blanks)
    }
}

/// Puts words into the blanks (`{pid}`) of a line; a blank without a word stays, in capitals: `PID`.
fn fill(line: &str, blanks: &BTreeMap<String, String>) -> String {
    let mut filled = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let blank = after.split_once('}').filter(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase()));
        let Some((blank, after)) = blank else {
            filled.push('{'); // a brace of the line itself: awk's, a Go template's
            rest = after;
            continue;
        };
        match blanks.get(blank) {
            Some(word) => filled.push_str(word),
            None => filled.push_str(&blank.to_uppercase()),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_filled_and_those_without_a_word_stay_in_sight() {
        let blanks = [("pid".to_owned(), "42".to_owned())].into();
        assert_eq!(
            fill("cat /proc/{pid}/status; ip link show {link}", &blanks),
            "cat /proc/42/status; ip link show LINK"
        );
        for own in ["a { b", "awk '{print $2}'", "docker inspect --format '{{.State.ExitCode}}'"] {
            assert_eq!(fill(own, &blanks), own);
        }
        // A word is not looked into again, whatever a container put there.
        let hostile = [("link".to_owned(), "{pid}".to_owned()), ("pid".to_owned(), "1".to_owned())].into();
        assert_eq!(fill("{link}", &hostile), "{pid}");
    }

    #[test]
    fn severities_are_known_by_name_and_ordered_by_weight() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_name(severity.name()), Some(severity));
        }
        assert!(Severity::Trouble > Severity::Attention && Severity::Attention > Severity::Info);
        assert_eq!(Severity::from_name("red"), None);
    }
}
