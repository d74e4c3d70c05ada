//! A container's names as a file: `GET /dns/CONTAINER?format=hosts&provider=sslip.io&port=80,443`, the same address as long as
//! the container has its name. From the hub's tables to scripts; what is known once somebody asks takes a moment.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use glasshull_shared::dns_export::{
    Form, PORTS, PROVIDER, Wish, export, is_host_name, of_container, with_addresses,
};
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
/// More make no sense in one command.
const PORTS_AT_MOST: usize = 20;

/// Query of the address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct What {
    format: Option<String>,
    provider: Option<String>,
    /// Separated by commas.
    port: Option<String>,
}

impl What {
    fn wish(&self) -> Result<Wish, String> {
        let word = self.format.as_deref().unwrap_or("hosts");
        let known = || Form::ALL.map(Form::name).join(", ");
        let form = Form::from_name(word).ok_or_else(|| format!("format is one of {}", known()))?;
        let provider = self.provider.clone().unwrap_or_else(|| PROVIDER.into());
        if !is_host_name(&provider) {
            return Err("provider is the name of a domain, as sslip.io".into());
        }
        let ports = match &self.port {
            None => PORTS.to_vec(),
            Some(text) => {
                let ports: Result<Vec<u16>, _> = text.split(',').map(|port| port.trim().parse()).collect();
                ports
                    .ok()
                    .filter(|ports| ports.len() <= PORTS_AT_MOST && !ports.contains(&0))
                    .ok_or("port is a list as 80,443")?
            }
        };
        Ok(Wish { form, provider, ports })
    }
}

/// Answers.
pub(super) async fn names(
    Path(subject): Path<String>,
    Query(what): Query<What>,
    State(sockets): State<Sockets>,
) -> Response {
    let wish = match what.wish() {
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
    let id = match subject::find(&snapshot.container, &subject) {
        Ok((key, _)) => key.id.clone(),
        Err(why) => return (StatusCode::NOT_FOUND, format!("{}\n", printable(&why))).into_response(),
    };
    if !snapshot.resolver.contains_key(&ResolverKey { container: id.clone() }) {
        return (StatusCode::CONFLICT, "it does not run: nobody asks there\n").into_response();
    }
    // A script would write an empty file over a good one.
    let pending = of_container(&snapshot.dns_name, &id).any(|(_, row)| row.status == DnsStatus::Pending);
    let silent = snapshot.engine.values().any(|row| row.state != EngineState::Connected);
    if pending || (of_container(&snapshot.dns_name, &id).next().is_none() && silent) {
        return (StatusCode::SERVICE_UNAVAILABLE, "names are not known yet; ask again\n").into_response();
    }
    let kind = if wish.form == Form::Json { "application/json" } else { "text/plain; charset=utf-8" };
    let head = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    (head, text(&snapshot, &id, &wish)).into_response()
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
            let known = subject::find(&snapshot.container, subject);
            let told = !snapshot.engine.is_empty()
                && snapshot.engine.values().all(|row| row.state == EngineState::Connected);
            let settled = match known {
                Ok((key, _)) => is_settled(&snapshot, &key.id),
                // All engines have told, and none knows it.
                Err(_) => told && began.elapsed() > ENGINES_TELL,
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

/// Its resolver was read, and what was asked of it answered. One without names to ask for is known only by its patience.
fn is_settled(snapshot: &Snapshot, id: &str) -> bool {
    let mut own = of_container(&snapshot.dns_name, id).peekable();
    own.peek().is_some() && own.all(|(_, row)| row.status != DnsStatus::Pending)
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
    use glasshull_shared::domain::dns::{DnsName, DnsNameKey};

    use super::*;

    fn wish(format: &str, port: Option<&str>) -> Result<Wish, String> {
        What { format: Some(format.into()), port: port.map(Into::into), provider: None }.wish()
    }

    #[test]
    fn what_is_no_form_no_port_and_no_domain_is_refused_with_what_is_one() {
        assert!(wish("zone", None).unwrap_err().contains("hosts"));
        assert!(wish("curl", Some("80,http")).unwrap_err().contains("80,443"));
        assert!(wish("curl", Some("0")).is_err() && wish("curl", Some(&"1,".repeat(30))).is_err());
        let provider = Some("a\nb".to_owned());
        assert!(What { provider, ..What::default() }.wish().unwrap_err().contains("domain"));
        assert_eq!(wish("curl", Some("80, 8080")).unwrap().ports, [80, 8080]);
        assert_eq!(What::default().wish().unwrap().form, Form::Hosts);
    }

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
        let text = text(&snapshot, "c", &What::default().wish().unwrap());
        assert!(text.starts_with("10.0.0.2\tdb\n# "), "{text}");
        assert!(text.contains("# gone: no answer: nxdomain\n"), "{text}");
        assert!(text.lines().all(|line| line.starts_with('#') || line == "10.0.0.2\tdb"), "{text}");
        assert!(is_settled(&snapshot, "c") && !is_settled(&snapshot, "d"));
    }
}
