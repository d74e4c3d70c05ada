//! The containers of one engine: takes lists, events and inspections, and says what changed.
//!
//! Events change a row at once with what they carry; the inspection that follows fills in the rest. The timeline is
//! made from changes of rows, not from events, so what happened while the engine was away is told as well.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bollard::models::{ContainerSummary, EventMessage};
use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::Declared;
use glasshull_shared::domain::container::{Container, ContainerKey, ContainerState, Health};
use glasshull_shared::domain::dns::Told;
use glasshull_shared::domain::event::EventKind;

use super::EngineEvent;
use super::inspect::{Origin, labels, listed_state, named, row_of_summary};
use crate::sys::clock::now_nanos;
use crate::sys::text::cut;

/// Rows and changes not yet taken.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: Table<ContainerKey, Container>,
    /// Of those that were inspected.
    declared: Table<ContainerKey, Declared>,
    /// Of the same.
    told: Table<ContainerKey, Told>,
    /// A list was taken once: from then on new rows are news.
    listed: bool,
    changed: bool,
    events: Vec<EngineEvent>,
}

impl Book {
    pub(super) fn containers(&self) -> &Table<ContainerKey, Container> {
        &self.rows
    }

    pub(super) fn declared(&self) -> &Table<ContainerKey, Declared> {
        &self.declared
    }

    /// What names they have.
    pub(super) fn told(&self) -> &Table<ContainerKey, Told> {
        &self.told
    }

    /// Whether rows changed, and what is to be told, since the last call.
    pub(super) fn take_changes(&mut self) -> (bool, Vec<EngineEvent>) {
        (std::mem::take(&mut self.changed), std::mem::take(&mut self.events))
    }

    /// Adds a line to the timeline.
    pub(super) fn note(&mut self, kind: EventKind, container: Option<&str>, text: String) {
        let text = text.chars().take(300).collect();
        self.events.push(EngineEvent {
            at: now_nanos(),
            kind,
            container: container.map(str::to_owned),
            text,
        });
    }

    /// Takes a complete list; returns whom to inspect: new containers and those whose state differs. Ids in `touched`
    /// had an event after the list was asked for: the list is too old for them.
    pub(super) fn apply_list(
        &mut self,
        list: Vec<ContainerSummary>,
        origin: &Origin,
        touched: &BTreeSet<String>,
    ) -> Vec<String> {
        let mut stale = Vec::new();
        let mut present = BTreeSet::new();
        for mut summary in list {
            let Some(id) = summary.id.take() else { continue };
            present.insert(id.clone());
            if touched.contains(&id) {
                continue;
            }
            match self.get(&id) {
                None => {
                    self.put(&id, row_of_summary(&id, summary, origin), self.listed);
                    stale.push(id);
                }
                Some(row) if row.state != listed_state(&summary) => stale.push(id),
                Some(_) => {}
            }
        }
        let gone = |key: &&ContainerKey| !present.contains(&key.id) && !touched.contains(&key.id);
        let gone: Vec<String> = self.rows.keys().filter(gone).map(|key| key.id.clone()).collect();
        for id in gone {
            self.remove(&id);
        }
        self.listed = true;
        stale
    }

    /// Takes an event; returns the id to inspect, if it is worth it.
    pub(super) fn apply_event(&mut self, event: EventMessage, origin: &Origin) -> Option<String> {
        let action = event.action?;
        let actor = event.actor?;
        let id = actor.id.filter(|id| !id.is_empty())?;
        let attributes = actor.attributes.unwrap_or_default();
        let at = event.time_nano.and_then(|at| u64::try_from(at).ok()).filter(|at| *at > 0);
        if matches!(action.as_str(), "destroy" | "remove") {
            self.remove(&id);
            return None;
        }
        let mut row = match self.get(&id) {
            Some(row) => Container::clone(row),
            None => of_attributes(&id, &attributes, origin),
        };
        match action.split(':').next().unwrap_or_default() {
            "create" => row.state = ContainerState::Created,
            "start" => start(&mut row, at),
            "die" | "died" => die(&mut row, at, &attributes),
            "pause" => row.state = ContainerState::Paused,
            "unpause" => row.state = ContainerState::Running,
            "rename" => {
                if let Some(name) = attributes.get("name") {
                    row.name = cut(name.trim_start_matches('/').to_owned());
                }
            }
            "oom" => {
                let text = format!("{}: the kernel killed a process for memory", row.name);
                self.note(EventKind::OomKill, Some(&id), text);
            }
            "health_status" | "update" | "restart" | "stop" | "init" => {}
            // exec, attach, top, kill…: say nothing about the container itself.
            _ => return None,
        }
        self.put(&id, row, true);
        Some(id)
    }

    /// Takes the answer of an inspection.
    pub(super) fn apply_inspect(&mut self, id: &str, row: Container, declared: Declared, told: Told) {
        let news = self.listed;
        self.put(id, row, news);
        if self.declared.get(&key(id)).is_none_or(|before| **before != declared) {
            self.declared.insert(key(id), Arc::new(declared));
            self.changed = true;
        }
        if self.told.get(&key(id)).is_none_or(|before| **before != told) {
            self.told.insert(key(id), Arc::new(told));
            self.changed = true;
        }
    }

    /// Forgets a container.
    pub(super) fn remove(&mut self, id: &str) {
        self.declared.remove(&key(id));
        self.told.remove(&key(id));
        if let Some(row) = self.rows.remove(&key(id)) {
            self.changed = true;
            if row.state.is_up() {
                self.note(EventKind::ContainerDied, Some(id), format!("{} ended", row.name));
            }
            self.note(EventKind::ContainerRemoved, Some(id), format!("{} was removed", row.name));
        }
    }

    fn get(&self, id: &str) -> Option<&Arc<Container>> {
        self.rows.get(&key(id))
    }

    fn put(&mut self, id: &str, row: Container, news: bool) {
        let before = self.get(id).cloned();
        if before.as_deref() == Some(&row) {
            return;
        }
        if news {
            self.tell(id, before.as_deref(), &row);
        }
        self.rows.insert(key(id), Arc::new(row));
        self.changed = true;
    }

    /// What a change of a row means to people.
    fn tell(&mut self, id: &str, before: Option<&Container>, row: &Container) {
        use ContainerState::{Created, Dead, Exited, Paused, Removing, Restarting, Running, Unknown};
        let was = before.map_or(Created, |before| before.state);
        let name = &row.name;
        match (was, row.state) {
            (Running, Running) | (Paused, Paused) => {}
            (Paused, Running) => {
                self.note(EventKind::ContainerUnpaused, Some(id), format!("{name} was unpaused"))
            }
            (_, Running) => self.note(EventKind::ContainerStarted, Some(id), format!("{name} started")),
            (_, Paused) => self.note(EventKind::ContainerPaused, Some(id), format!("{name} was paused")),
            (Running | Paused, Exited | Dead | Restarting | Created) => {
                let text = match row.exit_code {
                    Some(code) => format!("{name} exited with code {code}"),
                    None => format!("{name} ended"),
                };
                self.note(EventKind::ContainerDied, Some(id), text);
            }
            (_, Exited | Dead | Restarting | Created | Removing | Unknown) => {}
        }
        // A health that was not known before is no news: the list does not tell it, the first inspection does.
        let before = before.and_then(|before| before.health);
        if let (Some(before), Some(health)) = (before, row.health)
            && before != health
            && health != Health::Starting
        {
            let word = if health == Health::Healthy { "healthy" } else { "unhealthy" };
            self.note(EventKind::HealthChanged, Some(id), format!("{name} is {word}"));
        }
    }
}

fn key(id: &str) -> ContainerKey {
    ContainerKey { id: id.to_owned() }
}

/// Event attributes are the labels plus `name` and `image`.
fn of_attributes(id: &str, attributes: &HashMap<String, String>, origin: &Origin) -> Container {
    let mut rest = attributes.clone();
    let image = rest.remove("image").map(cut);
    let name = rest.remove("name").unwrap_or_default();
    for extra in ["exitCode", "execDuration", "signal", "oldName", "containerExitCode"] {
        rest.remove(extra);
    }
    Container { image, ..named(id, &name, labels(rest), origin) }
}

fn start(row: &mut Container, at: Option<u64>) {
    row.state = ContainerState::Running;
    row.started_at = at;
    row.finished_at = None;
    row.exit_code = None;
    row.oom_killed = None;
    row.init_pid = None; // the inspection tells it
}

fn die(row: &mut Container, at: Option<u64>, attributes: &HashMap<String, String>) {
    let code = attributes.get("exitCode").or_else(|| attributes.get("containerExitCode"));
    row.state = ContainerState::Exited;
    row.finished_at = at;
    row.exit_code = code.and_then(|code| code.parse().ok());
    row.init_pid = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        serde_json::from_value(serde_json::json!({
            "Type": "container", "Action": action, "timeNano": 1_709_210_097_000_000_000_u64,
            "Actor": {"ID": "aa", "Attributes": attributes.iter().copied().collect::<HashMap<_, _>>()}
        }))
        .unwrap()
    }

    fn list(rows: &[(&str, &str)]) -> Vec<ContainerSummary> {
        let one = |(id, state): &(&str, &str)| serde_json::json!({"Id": id, "Names": [format!("/{id}")], "State": state});
        serde_json::from_value(rows.iter().map(one).collect()).unwrap()
    }

    fn told(book: &mut Book) -> Vec<String> {
        book.take_changes().1.into_iter().map(|e| e.text).collect()
    }

    #[test]
    fn a_life_told_by_events() {
        let (mut book, origin) = (Book::default(), Origin::default());
        book.apply_list(Vec::new(), &origin, &BTreeSet::new());
        let seen = [("name", "web"), ("image", "web:1"), ("team", "shop")];
        assert_eq!(book.apply_event(event("create", &seen), &origin).as_deref(), Some("aa"));
        book.apply_event(event("start", &[]), &origin);
        let row = Arc::clone(book.get("aa").unwrap());
        assert_eq!((row.state, row.image.as_deref()), (ContainerState::Running, Some("web:1")));
        assert_eq!((row.labels["team"].as_str(), row.started_at), ("shop", Some(1_709_210_097_000_000_000)));
        assert_eq!(book.apply_event(event("exec_start: sh", &[]), &origin), None);
        book.apply_event(event("pause", &[]), &origin);
        book.apply_event(event("unpause", &[]), &origin);
        book.apply_event(event("oom", &[]), &origin);
        book.apply_event(event("die", &[("exitCode", "137")]), &origin);
        assert_eq!(book.get("aa").unwrap().exit_code, Some(137));
        book.apply_event(event("destroy", &[]), &origin);
        assert!(book.containers().is_empty());
        assert_eq!(
            told(&mut book),
            [
                "web started",
                "web was paused",
                "web was unpaused",
                "web: the kernel killed a process for memory",
                "web exited with code 137",
                "web was removed",
            ]
        );
    }

    #[test]
    fn what_happened_unheard_is_told_by_the_next_list() {
        let (mut book, origin) = (Book::default(), Origin::default());
        let stale = book.apply_list(list(&[("aa", "running"), ("bb", "exited")]), &origin, &BTreeSet::new());
        assert_eq!(stale, ["aa", "bb"]);
        assert!(told(&mut book).is_empty(), "what was there before us is no news");
        let stale = book.apply_list(list(&[("aa", "exited"), ("cc", "running")]), &origin, &BTreeSet::new());
        assert_eq!(stale, ["aa", "cc"]);
        let ended = Container { state: ContainerState::Exited, name: "aa".into(), ..Container::default() };
        book.apply_inspect("aa", ended.clone(), Declared::default(), Told::default());
        book.apply_inspect("aa", ended, Declared::default(), Told::default());
        assert_eq!(told(&mut book), ["cc started", "bb was removed", "aa ended"]);
    }

    #[test]
    fn a_list_older_than_an_event_does_not_undo_it() {
        let (mut book, origin) = (Book::default(), Origin::default());
        book.apply_list(Vec::new(), &origin, &BTreeSet::new());
        book.apply_event(event("start", &[("name", "web")]), &origin);
        let touched = BTreeSet::from(["aa".to_owned()]);
        book.apply_list(Vec::new(), &origin, &touched);
        assert_eq!(book.get("aa").unwrap().state, ContainerState::Running);
    }

    #[test]
    fn events_without_an_id_are_ignored() {
        let mut book = Book::default();
        assert_eq!(book.apply_event(EventMessage::default(), &Origin::default()), None);
        assert_eq!(book.take_changes(), (false, Vec::new()));
    }
}
