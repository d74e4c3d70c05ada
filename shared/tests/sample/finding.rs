//! A finding.

use glasshull_shared::domain::finding::{Evidence, Finding, FindingKey, Rule, Severity, Subject};

use super::ID;

pub(super) fn key() -> FindingKey {
    FindingKey { rule: Rule::EngineSocket, subject: Subject::Container { id: ID.into() } }
}

pub(super) fn row() -> Finding {
    Finding {
        severity: Severity::Trouble,
        name: "web".into(),
        container: Some(ID.into()),
        evidence: vec![Evidence {
            label: "mounted at /run/docker.sock".into(),
            value: "/run/docker.sock of the host".into(),
            source: "/proc/4711/mountinfo".into(),
        }],
        raised_at: 1_700_000_000_123_456_789,
        blanks: [("pid".into(), "4711".into())].into(),
    }
}
