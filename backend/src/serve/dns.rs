//! A container's names as a file: `GET /dns/CONTAINER?format=hosts&provider=sslip.io&port=80,443`, the same address as long as
//! the container has its name. From the hub's tables to scripts; what is known once somebody asks takes a moment.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use glasshull_shared::dns_export::{Form, Wish, export, of_container, with_addresses};
use glasshull_shared::domain::container::{Container, ContainerState, KnownFrom};
use glasshull_shared::domain::dns::{DnsRecord, DnsStatus, ResolverKey};
use glasshull_shared::domain::engine::EngineState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::unit::printable;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::hub::Hub;
use super::server::Sockets;
use super::wire::stopped;
use glasshull_shared::subject;

/// How long engines and resolvers may take before what is there is given.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a list of containers may take behind an engine's first word.
const ENGINES_TELL: Duration = Duration::from_millis(1500);
/// How often it is looked whether answers are there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Query of the address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct What {
    format: Option<String>,
    provider: Option<String>,
    /// Separated by commas.
    port: Option<String>,
}

/// Answers.
pub(super) async fn names(
    Path(subject): Path<String>,
    Query(what): Query<What>,
    State(sockets): State<Sockets>,
) -> Response {
    let wish = Wish::parse(what.format.as_deref(), what.provider.as_deref(), what.port.as_deref());
    let wish = match wish {
        Ok(wish) => wish,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    let mut stop = sockets.stop.clone();
    let known = tokio::select! {
        known = settled(&sockets.hub, &subject) => known,
        () = stopped(&mut stop) => None,
    };
    let Some(snapshot) = known else {
        return (StatusCode::SERVICE_UNAVAILABLE, "names are not known yet; ask again\n").into_response();
    };
    let (id, row) = match subject::find(&snapshot.container, &subject) {
        Ok((key, row)) => (key.id.clone(), row),
        Err(why) => return (StatusCode::NOT_FOUND, format!("{}\n", printable(&why))).into_response(),
    };
    if let Some(hindered) = hindered(&snapshot, &id, row) {
        return hindered.into_response();
    }
    let kind = if wish.form == Form::Json { "application/json" } else { "text/plain; charset=utf-8" };
    let head = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    (head, text(&snapshot, &id, &wish)).into_response()
}

/// Why there are no names to give: a script would write an empty or an old file over a good one.
fn hindered(snapshot: &Snapshot, id: &str, row: &Container) -> Option<(StatusCode, &'static str)> {
    // Right after its end its resolver may still be known.
    if is_stopped(row) || !snapshot.resolver.contains_key(&ResolverKey { container: id.to_owned() }) {
        return Some((StatusCode::CONFLICT, "it does not run: nobody asks there\n"));
    }
    let mut names = of_container(&snapshot.dns_name, id).peekable();
    let silent = snapshot.engine.values().any(|row| row.state != EngineState::Connected);
    let unknown = names.peek().is_none() && silent;
    let pending = names.any(|(_, row)| row.status == DnsStatus::Pending);
    (unknown || pending).then_some((StatusCode::SERVICE_UNAVAILABLE, "names are not known yet; ask again\n"))
}

/// The tables once every name of the container is answered, or what there is when patience ends; `None` without any.
async fn settled(hub: &Arc<Hub>, subject: &str) -> Option<Arc<Snapshot>> {
    let topics: TopicSet = [Topic::Engine, Topic::Container, Topic::Process, Topic::Resolver, Topic::DnsName]
        .into_iter()
        .collect();
    let began = Instant::now();
    let until = began + PATIENCE;
    // Collected as long as this lives.
    let _wanted = hub.subscribe(topics);
    let mut last = None;
    while Instant::now() < until {
        if let Some(snapshot) = hub.latest(topics) {
            let settled = match subject::find(&snapshot.container, subject) {
                Ok((key, row)) => is_settled(&snapshot, &key.id, row, began.elapsed()),
                // All engines have told, and none knows it.
                Err(_) => is_told(&snapshot) && began.elapsed() > ENGINES_TELL,
            };
            if settled {
                return Some(snapshot);
            }
            last = Some(snapshot);
        }
        sleep(LOOK_EVERY).await;
    }
    last
}

/// Whether every engine has said what there is.
fn is_told(snapshot: &Snapshot) -> bool {
    !snapshot.engine.is_empty()
        && snapshot.engine.values().all(|row| row.state == EngineState::Connected)
        && snapshot.container.values().all(|row| is_inspected(row))
}

/// What only an engine's second word tells, with its networks and names; who does not run has none.
fn is_inspected(row: &Container) -> bool {
    let of_engine = row.known_from.contains(&KnownFrom::Engine);
    !of_engine || is_stopped(row) || row.network_mode.is_some()
}

fn is_stopped(row: &Container) -> bool {
    use ContainerState::{Created, Dead, Exited, Removing};
    matches!(row.state, Created | Dead | Exited | Removing)
}

/// Nobody asks where nothing runs. Else its resolver was read, and what was asked of it answered.
fn is_settled(snapshot: &Snapshot, id: &str, row: &Container, since: Duration) -> bool {
    if is_stopped(row) {
        return true;
    }
    // An engine may still say that it is its own.
    let known = row.known_from.contains(&KnownFrom::Engine) || since > ENGINES_TELL;
    let is_read = snapshot.resolver.contains_key(&ResolverKey { container: id.to_owned() });
    let pending = of_container(&snapshot.dns_name, id).any(|(_, row)| row.status == DnsStatus::Pending);
    known && is_told(snapshot) && is_read && !pending
}

/// The names in the form wanted; what it cannot say, or has no answer, as a comment where the form has comments.
fn text(snapshot: &Snapshot, id: &str, wish: &Wish) -> String {
    let named = with_addresses(of_container(&snapshot.dns_name, id));
    let out = export(wish, &named);
    let mut text = out.text;
    if !matches!(wish.form, Form::HostAliases | Form::Hosts | Form::Env) {
        return text;
    }
    for (name, why) in out.left_out {
        let _ = writeln!(text, "# {}: left out: {why}", printable(&name));
    }
    let silent = of_container(&snapshot.dns_name, id)
        .filter(|(key, _)| key.record == DnsRecord::A && !named.iter().any(|one| one.name == key.name));
    for (key, row) in silent {
        let _ = writeln!(text, "# {}: no answer: {}", printable(&key.name), row.status.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use glasshull_shared::domain::container::ContainerKey;
    use glasshull_shared::domain::dns::{DnsName, DnsNameKey};
    use glasshull_shared::domain::engine::{Engine, EngineKey};

    use super::*;

    #[test]
    fn names_without_an_answer_stand_as_comments_and_hostile_ones_stay_in_their_line() {
        let mut snapshot = Snapshot::default();
        let mut add = |name: &str, answers: &[&str], status| {
            let key = DnsNameKey { container: "c".into(), name: name.into(), record: DnsRecord::A };
            let answers = answers.iter().map(|&one| one.to_owned()).collect();
            snapshot.dns_name.insert(key, Arc::new(DnsName { answers, status, ..DnsName::default() }));
        };
        add("db", &["10.0.0.2"], DnsStatus::NoError);
        add("gone", &[], DnsStatus::NxDomain);
        add("x\n10.0.0.9 bank", &["10.0.0.3"], DnsStatus::NoError);
        let text = text(&snapshot, "c", &Wish::parse(None, None, None).unwrap());
        assert!(text.starts_with("10.0.0.2\tdb\n# "), "{text}");
        assert!(text.contains("# gone: no answer: nxdomain\n"), "{text}");
        assert!(text.lines().all(|line| line.starts_with('#') || line == "10.0.0.2\tdb"), "{text}");
    }

    #[test]
    fn who_does_not_run_is_no_reason_to_wait_and_who_is_not_inspected_is_one() {
        let mut snapshot = Snapshot::default();
        let mut row = Container { known_from: vec![KnownFrom::Engine], ..Container::default() };
        let settled = |snapshot: &Snapshot, row: &Container| is_settled(snapshot, "c", row, Duration::ZERO);
        row.state = ContainerState::Exited;
        assert!(settled(&snapshot, &row), "at once, whatever else is not known yet");
        row.state = ContainerState::Running;
        let engine = Engine { state: EngineState::Connected, ..Engine::default() };
        snapshot.engine.insert(EngineKey { endpoint: "e".into() }, Arc::new(engine));
        snapshot.resolver.insert(ResolverKey { container: "c".into() }, Arc::default());
        snapshot.container.insert(ContainerKey { id: "c".into() }, Arc::new(row.clone()));
        assert!(!settled(&snapshot, &row), "its networks are not known yet");
        row.network_mode = Some("app".into());
        snapshot.container.insert(ContainerKey { id: "c".into() }, Arc::new(row.clone()));
        assert!(settled(&snapshot, &row), "without any name as well");
        let key = DnsNameKey { container: "c".into(), name: "db".into(), record: DnsRecord::A };
        snapshot.dns_name.insert(key.clone(), Arc::default());
        assert!(!settled(&snapshot, &row), "asked, but not answered");
        let status =
            |row: &Container, snapshot: &Snapshot| hindered(snapshot, "c", row).map(|(status, _)| status);
        assert_eq!(status(&row, &snapshot), Some(StatusCode::SERVICE_UNAVAILABLE));
        let answered = DnsName { status: DnsStatus::NxDomain, ..DnsName::default() };
        snapshot.dns_name.insert(key, Arc::new(answered));
        assert!(settled(&snapshot, &row));
        assert_eq!(status(&row, &snapshot), None);
        row.state = ContainerState::Exited;
        assert_eq!(status(&row, &snapshot), Some(StatusCode::CONFLICT), "though its resolver is still known");
        row.state = ContainerState::Running;
        snapshot.dns_name.clear();
        assert_eq!(status(&row, &snapshot), None, "it has no names");
        row.known_from = vec![KnownFrom::Cgroup];
        assert!(!settled(&snapshot, &row) && is_settled(&snapshot, "c", &row, ENGINES_TELL * 2));
        let away = Engine { state: EngineState::Connecting, ..Engine::default() };
        snapshot.engine.insert(EngineKey { endpoint: "e".into() }, Arc::new(away));
        assert_eq!(status(&row, &snapshot), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}
