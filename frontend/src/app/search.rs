//! What the search box finds: views, containers, links, processes, findings. Pure: a snapshot and words in, hits out.

use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::finding::{Finding, FindingKey};
use glasshull_shared::domain::network::{Link, LinkKey};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;

use crate::store::Selection;
use crate::store::finding::selection;
use crate::store::network::netns_name;
use crate::view::View;

/// No more than these are shown.
const HITS: usize = 14;

/// Where a hit leads.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    /// To a view, by its id.
    View(&'static str),
    /// Opens the inspector.
    Select(Selection),
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    /// Where it leads.
    pub(super) target: Target,
    /// What it is.
    pub(super) kind: &'static str,
    /// What a shell would call it.
    pub(super) name: String,
    /// What tells it from others of that name.
    pub(super) detail: String,
}

/// How well a text fits, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Exact,
    Start,
    Name,
    Detail,
}

/// The best hits for some words, all of which must occur. Without words: the views.
pub(super) fn find(snapshot: &Snapshot, views: &'static [View], query: &str) -> Vec<Hit> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    // One list per fit, in this order: views before containers before links before processes, each in the order of its keys.
    let mut hits: [Vec<Hit>; 4] = Default::default();
    let mut add = |found: Option<(Fit, Hit)>| {
        if let Some((fit, hit)) = found
            && let Some(list) = hits.get_mut(fit as usize)
        {
            list.push(hit);
        }
    };
    views.iter().for_each(|row| add(view(&words, row)));
    if !words.is_empty() {
        snapshot.container.iter().for_each(|(key, row)| add(container(&words, key, row)));
        snapshot.link.iter().for_each(|(key, row)| add(link(snapshot, &words, *key, row)));
        snapshot.process.iter().for_each(|(key, row)| add(process(snapshot, &words, *key, row)));
        snapshot.finding.iter().for_each(|(key, row)| add(finding(&words, key, row)));
    }
    hits.into_iter().flatten().take(HITS).collect()
}

fn view(words: &[String], row: &'static View) -> Option<(Fit, Hit)> {
    let fit = fit(words, &[row.title], &[row.id])?;
    let detail = format!("g {}", row.key);
    Some((fit, Hit { target: Target::View(row.id), kind: "view", name: row.title.into(), detail }))
}

fn container(words: &[String], key: &ContainerKey, row: &Container) -> Option<(Fit, Hit)> {
    let image = row.image.as_deref().unwrap_or_default();
    let project = row.compose_project.as_deref().unwrap_or_default();
    let fit = fit(words, &[&row.name, &key.id], &[image, project])?;
    let detail = format!("{} {} {image}", unit::short_id(&key.id), row.state.name());
    let target = Target::Select(Selection::Container(key.id.clone()));
    Some((fit, Hit { target, kind: "container", name: row.name.clone(), detail: detail.trim().into() }))
}

fn link(snapshot: &Snapshot, words: &[String], key: LinkKey, row: &Link) -> Option<(Fit, Hit)> {
    let mac = row.mac.as_deref().unwrap_or_default();
    let network = row.network.as_deref().unwrap_or_default();
    let addresses = row.addresses.join(" ");
    let fit = fit(words, &[&row.name, &addresses, mac], &[network])?;
    let detail = format!("in {} {addresses}", netns_name(snapshot, key.netns));
    Some((
        fit,
        Hit { target: Target::Select(Selection::Link(key)), kind: "link", name: row.name.clone(), detail },
    ))
}

fn process(snapshot: &Snapshot, words: &[String], key: ProcessKey, row: &Process) -> Option<(Fit, Hit)> {
    let pid = key.pid.to_string();
    let inside = row.pid_in_ns.map(|p| p.to_string()).unwrap_or_default();
    let cmdline = row.cmdline.as_deref().unwrap_or_default();
    let fit = fit(words, &[&pid, &row.comm], &[cmdline, &inside])?;
    let container = row.container.as_ref().map(|id| ContainerKey { id: id.clone() });
    let container = container.and_then(|key| snapshot.container.get(&key)).map(|c| c.name.as_str());
    let detail = match container {
        Some(name) => format!("in {name} · {cmdline}"),
        None => cmdline.to_owned(),
    };
    let name = format!("{pid} {}", row.comm);
    Some((fit, Hit { target: Target::Select(Selection::Process(key)), kind: "process", name, detail }))
}

/// By its rule and whom it was met by; leads to whom, or to all findings.
fn finding(words: &[String], key: &FindingKey, row: &Finding) -> Option<(Fit, Hit)> {
    let text = key.rule.text();
    let fit = fit(words, &[text.name, text.title], &[&row.name, row.severity.name(), "finding"])?;
    let target = selection(&key.subject).map_or(Target::View("findings"), Target::Select);
    let detail = format!("{} {}", key.subject.kind(), row.name);
    Some((fit, Hit { target, kind: "finding", name: text.title.into(), detail }))
}

/// How well the words fit: each must occur somewhere, the worst of them counts.
fn fit(words: &[String], names: &[&str], details: &[&str]) -> Option<Fit> {
    let mut worst = Fit::Exact;
    for word in words {
        let name = names.iter().filter_map(|name| fit_name(word, name)).min();
        let detail = || details.iter().any(|text| contains(text, word)).then_some(Fit::Detail);
        worst = worst.max(name.or_else(detail)?);
    }
    Some(worst)
}

fn fit_name(word: &str, name: &str) -> Option<Fit> {
    let name = name.to_lowercase();
    if name == word {
        Some(Fit::Exact)
    } else if name.starts_with(word) {
        Some(Fit::Start)
    } else {
        name.contains(word).then_some(Fit::Name)
    }
}

/// Whether a text holds a word given in small letters; ASCII texts are not copied for it.
fn contains(text: &str, word: &str) -> bool {
    if text.is_ascii() && !word.is_empty() {
        text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    } else {
        text.to_lowercase().contains(word)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use glasshull_shared::domain::finding::{Rule, Severity, Subject};

    use super::*;
    use crate::view::VIEWS;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let id = "8a3facb9324e".to_owned() + &"0".repeat(52);
        let web = Container { name: "web-1".into(), image: Some("nginx:1.27".into()), ..Default::default() };
        snapshot.container.insert(ContainerKey { id: id.clone() }, Arc::new(web));
        for (pid, comm, cmdline, container) in [
            (1, "systemd", "/sbin/init", None),
            (812, "nginx", "nginx: master process", Some(id.clone())),
            (8120, "sh", "sh -c 'sleep 812'", None),
        ] {
            let row = Process {
                comm: comm.into(),
                cmdline: Some(cmdline.into()),
                pid_in_ns: Some(1),
                container,
                ..Default::default()
            };
            snapshot.process.insert(ProcessKey { pid, start_time: 5 }, Arc::new(row));
        }
        snapshot
    }

    fn names(query: &str) -> Vec<String> {
        find(&snapshot(), VIEWS, query).into_iter().map(|hit| hit.name).collect()
    }

    #[test]
    fn a_pid_is_found_before_what_merely_holds_its_digits() {
        assert_eq!(names("812"), ["812 nginx", "8120 sh"]);
    }

    #[test]
    fn containers_are_found_by_name_id_and_image() {
        for query in ["web-1", "8a3fac", "NGINX:1.27"] {
            assert_eq!(names(query).first().map(String::as_str), Some("web-1"), "{query}");
        }
    }

    #[test]
    fn findings_are_found_by_rule_and_by_whom_they_met() {
        let mut s = snapshot();
        let key = FindingKey { rule: Rule::HostLike, subject: Subject::Container { id: "8a3f".into() } };
        let row = Finding { name: "web-1".into(), severity: Severity::Trouble, ..Finding::default() };
        s.finding.insert(key, Arc::new(row));
        for query in [Rule::HostLike.text().name, "finding web-1", "trouble"] {
            let hits = find(&s, VIEWS, query);
            let hit = hits.iter().find(|hit| hit.kind == "finding").unwrap();
            assert_eq!(hit.target, Target::Select(Selection::Container("8a3f".into())), "{query}");
        }
    }

    #[test]
    fn all_words_must_occur() {
        assert_eq!(names("nginx master"), ["812 nginx"]);
        assert!(names("nginx nowhere").is_empty());
    }

    #[test]
    fn a_process_names_its_container() {
        let hits = find(&snapshot(), VIEWS, "812");
        assert_eq!(hits[0].detail, "in web-1 · nginx: master process");
    }

    #[test]
    fn without_words_the_views_are_offered() {
        assert_eq!(names("  ").len(), VIEWS.len());
    }
}
