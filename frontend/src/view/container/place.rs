//! Containers where they are: those of a pod together, those that run in another container under it. Pure.

use std::collections::{BTreeMap, HashSet};

use crate::widget::table::Line;

use super::record::{LineKey, Row};

/// A container in a container in a container…: deeper ones are listed beside each other.
const DEEPEST: u8 = 8;

/// Labels that tell the name of a pod and which of its containers this is.
const POD_NAME: &str = "io.kubernetes.pod.name";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// What a pod is called: its name where a container of it tells, else its id.
pub(super) fn pod_name<'a>(pod: &'a str, mut members: impl Iterator<Item = &'a Row<'a>>) -> &'a str {
    let named =
        members.find(|row| row.who.pod.as_deref() == Some(pod) && row.who.labels.contains_key(POD_NAME));
    named.and_then(|row| row.who.labels.get(POD_NAME)).map_or(pod, String::as_str)
}

/// The lines of rows that are in their order already, and the number of containers in each pod.
pub(super) fn placed(
    rows: &[Row<'_>],
    closed: &HashSet<LineKey>,
    line: impl Fn(&Row<'_>, u8) -> Line<LineKey>,
) -> (Vec<Line<LineKey>>, BTreeMap<String, usize>) {
    let ids: HashSet<&str> = rows.iter().map(|row| row.id).collect();
    let mut inside: BTreeMap<Option<&str>, Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        let parent = row.who.parent.as_deref().filter(|parent| *parent != row.id && ids.contains(parent));
        inside.entry(parent).or_default().push(row);
    }
    let mut drawing = Drawing { inside, closed, line, lines: Vec::new(), pods: BTreeMap::new() };
    drawing.below(None, 0);
    // Rows that name each other as parents have no top.
    while let Some(parent) = drawing.inside.keys().next().copied() {
        drawing.below(parent, 0);
    }
    (drawing.lines, drawing.pods)
}

struct Drawing<'a, F> {
    inside: BTreeMap<Option<&'a str>, Vec<&'a Row<'a>>>,
    closed: &'a HashSet<LineKey>,
    line: F,
    lines: Vec<Line<LineKey>>,
    pods: BTreeMap<String, usize>,
}

impl<'a, F: Fn(&Row<'_>, u8) -> Line<LineKey>> Drawing<'a, F> {
    /// What is directly in `parent`: pods, then containers of none.
    fn below(&mut self, parent: Option<&'a str>, depth: u8) {
        let rows = self.inside.remove(&parent).unwrap_or_default();
        let mut pods: BTreeMap<&str, Vec<&'a Row<'a>>> = BTreeMap::new();
        let (podded, alone): (Vec<&'a Row<'a>>, Vec<&'a Row<'a>>) =
            rows.into_iter().partition(|row| row.who.pod.is_some());
        for row in podded {
            pods.entry(row.who.pod.as_deref().unwrap_or_default()).or_default().push(row);
        }
        for (pod, mut members) in pods {
            // The one that holds the pod's namespaces.
            members.sort_by_key(|row| row.who.labels.get(CONTAINER_NAME).is_none_or(|name| name != "POD"));
            self.pods.insert(pod.to_owned(), members.len());
            let key = LineKey::Pod(pod.to_owned());
            let open = !self.closed.contains(&key);
            self.lines.push(Line { depth, ..Line::group(key, open) });
            for row in members {
                self.container(row, depth.saturating_add(1), open);
            }
        }
        for row in alone {
            self.container(row, depth, true);
        }
    }

    fn container(&mut self, row: &'a Row<'a>, depth: u8, shown: bool) {
        let mut line = (self.line)(row, depth);
        let filled = self.inside.contains_key(&Some(row.id));
        let open = shown && !(filled && self.closed.contains(&line.key));
        line.open = filled.then_some(open);
        if shown {
            self.lines.push(line);
        }
        if open {
            self.below(Some(row.id), depth.saturating_add(1).min(DEEPEST));
        } else {
            self.hide(row.id);
        }
    }

    /// What is beneath a closed line is not shown, and must not turn up elsewhere either.
    fn hide(&mut self, parent: &'a str) {
        for row in self.inside.remove(&Some(parent)).unwrap_or_default() {
            self.hide(row.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::Container;

    fn container(pod: Option<&str>, parent: Option<&str>, name: &str) -> Container {
        let labels = [(CONTAINER_NAME.to_owned(), name.to_owned()), (POD_NAME.to_owned(), "shop".to_owned())];
        Container {
            pod: pod.map(Into::into),
            parent: parent.map(Into::into),
            labels: if pod.is_some() { labels.into() } else { BTreeMap::new() },
            ..Container::default()
        }
    }

    fn drawn(all: &[(&str, Container)], closed: &[LineKey]) -> Vec<String> {
        let rows: Vec<_> =
            all.iter().map(|(id, who)| Row { id, who, uses: None, found: None, now: 0 }).collect();
        let line = |row: &Row<'_>, depth| Line { depth, ..Line::row(LineKey::Container(row.id.to_owned())) };
        let (lines, _) = placed(&rows, &closed.iter().cloned().collect(), line);
        let text = |line: Line<LineKey>| match line.key {
            LineKey::Container(id) => format!("{}{id}", "-".repeat(line.depth.into())),
            LineKey::Pod(pod) => format!("{}[{pod}]", "-".repeat(line.depth.into())),
            LineKey::Project(_) => String::new(),
        };
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn pods_and_engines_in_containers_are_seen() {
        let all = [
            ("app", container(Some("p1"), Some("node"), "app")),
            ("node", container(None, None, "")),
            ("pause", container(Some("p1"), Some("node"), "POD")),
            ("web", container(None, None, "")),
        ];
        assert_eq!(drawn(&all, &[]), ["node", "-[p1]", "--pause", "--app", "web"]);
        assert_eq!(drawn(&all, &[LineKey::Container("node".into())]), ["node", "web"]);
        assert_eq!(drawn(&all, &[LineKey::Pod("p1".into())]), ["node", "-[p1]", "web"]);
        let rows: Vec<_> =
            all.iter().map(|(id, who)| Row { id, who, uses: None, found: None, now: 0 }).collect();
        assert_eq!((pod_name("p1", rows.iter()), pod_name("p2", rows.iter())), ("shop", "p2"));
    }

    #[test]
    fn parents_that_are_hidden_or_in_a_ring_lose_nobody() {
        let all = [("a", container(None, Some("b"), "")), ("b", container(None, Some("a"), ""))];
        let mut ring = drawn(&all, &[]);
        ring.sort();
        assert_eq!(ring.len(), 2);
        assert_eq!(drawn(&[("a", container(None, Some("gone"), ""))], &[]), ["a"]);
    }
}
