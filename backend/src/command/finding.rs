//! `glasshull findings`: what somebody should know about this host, for people and, by its exit code, for scripts.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::finding::{Finding, FindingKey, Rule, Severity};
use glasshull_shared::domain::source::{Source, SourceState};
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet, merge};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::who::find_container;
use super::{print_line, tell};
use crate::agent::live::Live;
use crate::agent::{findings_need, sample_twice};
use crate::config::{Common, Findings as Args};

/// Something is at or above the level that was asked for.
const SOME: u8 = 1;
/// It could not be looked: what `grep` and `diff` say then, too.
const FAILED: u8 = 2;

/// Judges and prints. An error is told here, since its exit code differs from that of other commands.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) async fn run(common: Common, args: Args) -> Result<ExitCode> {
    match look(common, &args).await {
        Ok(code) => Ok(code),
        Err(error) => {
            tell(&format!("{error:#}"));
            Ok(ExitCode::from(FAILED))
        }
    }
}

async fn look(common: Common, args: &Args) -> Result<ExitCode> {
    if let Some(rule) = args.explain {
        print_line(explain(rule).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let mut demand = findings_need();
    for topic in [Topic::Finding, Topic::Source, Topic::Container, Topic::Process] {
        demand.insert(topic);
    }
    let sample = sample_twice(&mut live, &wake, demand, args.watch).await;
    let snapshot = &sample.snapshot;
    let only = args.container.as_deref().map(|name| find_container(snapshot, name)).transpose()?;
    let found = chosen(snapshot, args.min, only.map(|(key, _)| key));
    if args.json {
        print_line(&document(&found, snapshot)?.to_string())?;
    } else {
        print_line(text(&found, snapshot, args.min).trim_end())?;
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME) })
}

type Row<'a> = (&'a FindingKey, &'a Finding);

/// What is grave enough, gravest first, then by rule.
fn chosen<'a>(snapshot: &'a Snapshot, min: Severity, only: Option<&ContainerKey>) -> Vec<Row<'a>> {
    let all = snapshot.finding.iter().map(|(key, row)| (key, &**row));
    let fits = |row: &Finding| only.is_none_or(|key| row.container.as_ref() == Some(&key.id));
    let mut found: Vec<Row<'_>> = all.filter(|(_, row)| row.severity >= min && fits(row)).collect();
    found.sort_by(|a, b| (b.1.severity, a.0).cmp(&(a.1.severity, b.0)));
    found
}

fn document(found: &[Row<'_>], snapshot: &Snapshot) -> Result<Value> {
    let row = |(key, row): &Row<'_>| {
        let lines = json!({"check": row.check(key.rule), "mend": row.mend(key.rule)});
        let text = json!({"title": key.rule.text().title, "meaning": key.rule.text().meaning});
        merge(&[json!(key), json!(row), lines, text])
    };
    let rows = found.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let unseen: Vec<Value> = unseen(snapshot)
        .map(|(name, row)| json!({"source": name, "reason": row.reason, "capability": row.capability}))
        .collect();
    Ok(json!({"findings": rows, "unseen": unseen}))
}

/// Sources of rules that see less than they could: what is not found there may be so all the same.
fn unseen(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &Source)> {
    let needed: TopicSet = findings_need();
    snapshot.source.iter().map(|(key, row)| (key.name.as_str(), &**row)).filter(move |(_, row)| {
        let lacks = matches!(row.state, SourceState::Limited | SourceState::Stale | SourceState::Missing);
        lacks && row.tables.iter().filter_map(|name| Topic::from_name(name)).any(|t| needed.contains(t))
    })
}

fn text(found: &[Row<'_>], snapshot: &Snapshot, min: Severity) -> String {
    let mut out = String::new();
    for severity in Severity::ALL {
        let mut rule = None;
        for (key, row) in found.iter().filter(|(_, row)| row.severity == severity) {
            if rule.is_none() {
                let _ = writeln!(out, "{}", severity.name().to_uppercase());
            }
            if rule != Some(key.rule) {
                let _ = writeln!(out, "  {}  ({})", key.rule.text().title, key.rule.name());
                rule = Some(key.rule);
            }
            let told: Vec<String> =
                row.evidence.iter().map(|one| format!("{}: {}", one.label, one.value)).collect();
            let _ = writeln!(out, "    {:<24} {}", row.name, told.join("; "));
            let _ = writeln!(out, "    {:<24} $ {}", "", row.check(key.rule));
        }
    }
    if found.is_empty() {
        let all = Rule::ALL.len();
        let _ = writeln!(out, "nothing of {} or more: {all} rules were looked at", min.name());
    } else {
        let _ = writeln!(out, "\nwhat a finding means and how to mend it: glasshull findings --explain RULE");
    }
    for (name, row) in unseen(snapshot) {
        let reason = row.reason.as_deref().unwrap_or("not all can be seen");
        let _ = writeln!(out, "not seen whole: {name}: {reason}");
    }
    out
}

fn explain(rule: Rule) -> String {
    let text = rule.text();
    let tables: Vec<&str> = text.needs.iter().map(|topic| topic.name()).collect();
    format!(
        "{}: {}\n\nseverity   {} at most\nlooks at   {}\n\n{}\n\ncheck      {}\nmend       {}\n",
        text.name,
        text.title,
        text.severity.name(),
        tables.join(", "),
        text.meaning,
        text.check,
        text.mend
    )
}

/// For the command line: the rules by name.
pub(crate) fn parse_rule(name: &str) -> Result<Rule, String> {
    Rule::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        format!("no rule of that name; there are: {}", names.join(", "))
    })
}

/// For the command line: the severities by name.
pub(crate) fn parse_severity(name: &str) -> Result<Severity, String> {
    Severity::from_name(name).ok_or_else(|| "info, attention or trouble, please".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::Container;
    use glasshull_shared::domain::finding::{Evidence, Subject};
    use glasshull_shared::domain::source::SourceKey;

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        for (id, rule, severity) in [
            ("a", Rule::NoMemoryLimit, Severity::Info),
            ("b", Rule::Throttled, Severity::Attention),
            ("a", Rule::EngineSocket, Severity::Trouble),
        ] {
            let container = ContainerKey { id: id.into() };
            let named = Container { name: format!("name-{id}"), ..Container::default() };
            s.container.insert(container, Arc::new(named));
            let key = FindingKey { rule, subject: Subject::Container { id: id.into() } };
            let told = Evidence { label: "what".into(), value: "so".into(), source: "file".into() };
            let row = Finding {
                severity,
                name: format!("name-{id}"),
                container: Some(id.into()),
                evidence: vec![told],
                ..Finding::default()
            };
            s.finding.insert(key, Arc::new(row));
        }
        s
    }

    #[test]
    fn the_gravest_come_first_and_the_level_and_the_container_choose() {
        let s = snapshot();
        let rules = |min, only: Option<&ContainerKey>| {
            chosen(&s, min, only).into_iter().map(|(key, _)| key.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules(Severity::Info, None), [Rule::EngineSocket, Rule::Throttled, Rule::NoMemoryLimit]);
        assert_eq!(rules(Severity::Attention, None), [Rule::EngineSocket, Rule::Throttled]);
        let b = ContainerKey { id: "b".into() };
        assert_eq!(rules(Severity::Info, Some(&b)), [Rule::Throttled]);
        assert_eq!(rules(Severity::Trouble, Some(&b)), []);
    }

    #[test]
    fn scripts_get_what_the_contract_says() {
        let s = snapshot();
        let json = document(&chosen(&s, Severity::Trouble, None), &s).unwrap();
        let row = &json["findings"][0];
        assert_eq!((&row["rule"], &row["severity"]), (&json!("engine_socket"), &json!("trouble")));
        assert_eq!(row["subject"]["container"]["id"], "a");
        assert_eq!(row["evidence"][0]["value"], "so");
        assert!(row["check"].is_string() && row["mend"].is_string());
    }

    #[test]
    fn what_cannot_be_seen_is_said_also_when_nothing_is_found() {
        let mut s = Snapshot::default();
        let hidden = Source {
            state: SourceState::Limited,
            tables: vec!["mount".into()],
            reason: Some("mounts of 3 are hidden".into()),
            ..Source::default()
        };
        s.source.insert(SourceKey { name: "mount".into() }, Arc::new(hidden.clone()));
        let other = Source { tables: vec!["flow".into()], ..hidden };
        s.source.insert(SourceKey { name: "flow".into() }, Arc::new(other));
        let told = text(&[], &s, Severity::Attention);
        assert!(told.starts_with("nothing of attention or more"), "{told}");
        assert!(told.contains("mount: mounts of 3 are hidden") && !told.contains("flow"), "{told}");
    }

    #[test]
    fn the_list_of_rules_in_the_docs_is_that_of_the_catalogue() {
        let row = |rule: &Rule| {
            let text = rule.text();
            format!("| `{}` | {} | {} |\n", text.name, text.severity.name(), text.title)
        };
        let rows: String = Rule::ALL.iter().map(row).collect();
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/findings.md");
        let docs = std::fs::read_to_string(&file).unwrap();
        let (head, _) = docs.split_once("| --- |").unwrap();
        let wanted = format!("{head}| --- | --- | --- |\n{rows}");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, wanted).unwrap();
        } else {
            assert!(docs == wanted, "docs/findings.md differs from the catalogue: run with BLESS=1");
        }
    }

    #[test]
    fn a_rule_is_explained_by_name() {
        assert_eq!(parse_rule("forwarding-off"), Ok(Rule::ForwardingOff));
        assert!(parse_rule("x").unwrap_err().contains("host_like"));
        assert!(explain(Rule::ForwardingOff).contains("reload of sysctl"));
    }
}
