//! One engine's task: connect, list, inspect, then follow events; on any fault say so and come back with patience.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary, EventMessage, SystemVersion};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use glasshull_shared::domain::container::Runtime;
use glasshull_shared::domain::engine::{EngineKey, EngineState};
use glasshull_shared::domain::event::EventKind;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Options;
use super::board::Board;
use super::endpoint::Endpoint;
use super::fault::Fault;
use super::inspect::{self, Origin};
use super::{declared, names};
use super::{transport, trust};
use crate::sys::clock::now_nanos;

/// Inspections under way at the same time.
const PARALLEL: usize = 8;
/// Actions worth an answer; Docker filters them for us, which keeps `docker exec` storms away.
const ACTIONS: [&str; 13] = [
    "create",
    "start",
    "die",
    "pause",
    "unpause",
    "rename",
    "oom",
    "health_status",
    "update",
    "destroy",
    "restart",
    "stop",
    "remove",
];

/// Watches one engine until the task is aborted.
pub(super) async fn watch(endpoint: Endpoint, board: Arc<Board>, options: Options) {
    let path = match endpoint.path {
        Ok(path) => path,
        Err(why) => return report(&board, &endpoint.key, &Fault::failed(why), None),
    };
    board.change(&endpoint.key, |engine, _| engine.state = EngineState::Connecting);
    board.trust(&endpoint.key, endpoint.given);
    let mut pause = options.back_off.0;
    loop {
        let mut session = Session {
            key: &endpoint.key,
            path: &path,
            given: endpoint.given,
            board: &board,
            options: &options,
            origin: Origin { endpoint: endpoint.key.endpoint.clone(), runtime: Runtime::Unknown },
            answered_at: None,
            connected: false,
            work: FuturesUnordered::new(),
            inspecting: BTreeMap::new(),
            queue: VecDeque::new(),
            touched: BTreeSet::new(),
            unseen: BTreeSet::new(),
        };
        let Err(fault) = session.run().await;
        let (answered_at, connected) = (session.answered_at, session.connected);
        tracing::debug!(engine = endpoint.key.endpoint, reason = fault.reason, "engine lost");
        report(&board, &endpoint.key, &fault, answered_at);
        pause = if connected { options.back_off.0 } else { (pause * 2).min(options.back_off.1) };
        sleep(pause).await;
    }
}

/// Puts a fault on the board; the containers stay as they were.
fn report(board: &Board, key: &EngineKey, fault: &Fault, answered_at: Option<u64>) {
    board.change(key, |engine, book| {
        if engine.state == EngineState::Connected {
            let word = if fault.state == EngineState::Hanging { "does not answer" } else { "is gone" };
            book.note(EventKind::EngineDown, None, format!("{} {word}", key.endpoint));
        }
        engine.state = fault.state;
        engine.reason = Some(fault.reason.clone());
        engine.answered_at = answered_at.or(engine.answered_at);
    });
}

/// Never returned: a session ends by a fault only.
enum Never {}

/// What a request beside the event stream came back with.
enum Answer {
    Inspected(String, Result<Box<ContainerInspectResponse>, Failure>),
    Listed(Result<Vec<ContainerSummary>, Failure>),
    Pinged(Result<(), Failure>),
}

/// How a request can fail.
enum Failure {
    Deadline,
    Engine(Error),
}

/// One connection's life.
struct Session<'a> {
    key: &'a EngineKey,
    path: &'a Path,
    /// A person named it: then it is believed whoever it is.
    given: bool,
    board: &'a Board,
    options: &'a Options,
    origin: Origin,
    /// Last good answer of this session, nanoseconds since the epoch.
    answered_at: Option<u64>,
    /// It got as far as following events.
    connected: bool,
    work: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Inspections under way; true when an event came meanwhile, so that the answer is already old.
    inspecting: BTreeMap<String, bool>,
    queue: VecDeque<String>,
    /// Containers with events since the last list was asked for.
    touched: BTreeSet<String>,
    /// Listed but not inspected with success: tried again after the next list.
    unseen: BTreeSet<String>,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<Never, Fault> {
        let docker = self.connect().await?;
        let mut events = std::pin::pin!(docker.events(Some(self.events_wanted())));
        let list =
            limited(self.options.deadline, listing(&docker)).await.map_err(|f| self.fault(&f, "list"))?;
        self.take_list(list);
        self.board.change(self.key, |engine, book| {
            engine.state = EngineState::Connected;
            engine.reason = None;
            engine.answered_at = Some(now_nanos());
            book.note(EventKind::EngineUp, None, format!("{} answers", self.key.endpoint));
        });
        self.connected = true;
        let mut heartbeat = patient(self.options.heartbeat);
        let mut relist = patient(self.options.relist);
        // Both fire at once when made; list and version were just answered.
        heartbeat.tick().await;
        relist.tick().await;
        loop {
            self.fill(&docker);
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take_event(event),
                    Some(Err(error)) => return Err(Fault::of_request(&error, self.path)),
                    None => return Err(Fault::failed("ended the stream of events; trying again")),
                },
                Some(answer) = self.work.next() => self.take_answer(answer)?,
                _ = heartbeat.tick() => self.ask(Box::pin(ping(docker.clone(), self.options.deadline))),
                _ = relist.tick() => {
                    self.touched.clear();
                    let (docker, deadline) = (docker.clone(), self.options.deadline);
                    self.ask(async move { Answer::Listed(limited(deadline, listing(&docker)).await) }.boxed());
                }
            }
        }
    }

    /// Connects, agrees on the API version and learns which product it is.
    async fn connect(&mut self) -> Result<Docker, Fault> {
        // A connection of our own first: its errno says what is wrong better than the client library does.
        if let Some(trusted) = trust::of(self.options, self.path, self.given).await? {
            self.board.trust(self.key, trusted);
        }
        let docker = transport::client(self.path, transport::MOST_BYTES)
            .map_err(|error| Fault::of_request(&error, self.path))?;
        let (docker, version) = limited(self.options.deadline, async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok((docker, version))
        })
        .await
        .map_err(|failure| self.fault(&failure, "version"))?;
        self.answered_at = Some(now_nanos());
        let product = product(&version);
        self.origin.runtime = if product == "podman" { Runtime::Podman } else { Runtime::Docker };
        let api_version = docker.client_version().to_string();
        self.board.change(self.key, |engine, _| {
            engine.product = Some(product.to_owned());
            engine.version = version.version;
            engine.api_version = Some(api_version);
        });
        Ok(docker)
    }

    fn events_wanted(&self) -> bollard::query_parameters::EventsOptions {
        let mut filters: HashMap<&str, Vec<&str>> = HashMap::from([("type", vec!["container"])]);
        if self.origin.runtime == Runtime::Docker {
            filters.insert("event", ACTIONS.to_vec());
        }
        // The stream begins when it is first polled, after the list: "since" brings what happened in between.
        let now = now_nanos();
        let since = format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000);
        EventsOptionsBuilder::new().since(&since).filters(&filters).build()
    }

    fn take_event(&mut self, event: EventMessage) {
        let id = event.actor.as_ref().and_then(|actor| actor.id.clone());
        let inspect = self.board.change(self.key, |_, book| book.apply_event(event, &self.origin));
        if let Some(id) = id {
            // A removal makes an answer under way old too: it must not bring the row back.
            if let Some(again) = self.inspecting.get_mut(&id) {
                *again = true;
            }
            self.touched.insert(id);
        }
        if let Some(id) = inspect {
            self.want(id);
        }
    }

    fn take_answer(&mut self, answer: Answer) -> Result<(), Fault> {
        match answer {
            Answer::Inspected(id, result) => return self.take_inspection(id, result),
            Answer::Listed(Ok(list)) => self.take_list(list),
            // A state this client does not know spoils a whole list; events still reach us.
            Answer::Listed(Err(Failure::Engine(Error::JsonDataError { message, .. }))) => {
                tracing::debug!(engine = self.key.endpoint, message, "list not understood");
            }
            Answer::Pinged(Ok(())) => self.answered_at = Some(now_nanos()),
            Answer::Listed(Err(failure)) => return Err(self.fault(&failure, "list")),
            Answer::Pinged(Err(failure)) => return Err(self.fault(&failure, "ping")),
        }
        Ok(())
    }

    fn take_list(&mut self, list: Vec<ContainerSummary>) {
        let touched = std::mem::take(&mut self.touched);
        let listed: BTreeSet<String> = list.iter().filter_map(|summary| summary.id.clone()).collect();
        self.unseen.retain(|id| listed.contains(id));
        let stale = self.board.change(self.key, |_, book| book.apply_list(list, &self.origin, &touched));
        self.unseen.extend(stale);
        for id in self.unseen.clone() {
            self.want(id);
        }
    }

    fn take_inspection(
        &mut self,
        id: String,
        result: Result<Box<ContainerInspectResponse>, Failure>,
    ) -> Result<(), Fault> {
        if self.inspecting.remove(&id) == Some(true) {
            self.want(id);
            return Ok(());
        }
        match result {
            Ok(answer) => {
                self.unseen.remove(&id);
                let (declared, told) = (declared::of(&answer), names::of(&id, &answer));
                let row = inspect::row(&id, *answer, &self.origin);
                self.board.change(self.key, |_, book| book.apply_inspect(&id, row, declared, told));
            }
            Err(Failure::Engine(Error::DockerResponseServerError { status_code: 404, .. })) => {
                self.unseen.remove(&id);
                self.board.change(self.key, |_, book| book.remove(&id));
            }
            // One container that is locked or not understood must not cost us the engine.
            Err(
                Failure::Deadline
                | Failure::Engine(Error::JsonDataError { .. } | Error::DockerResponseServerError { .. }),
            ) => {
                self.unseen.insert(id);
            }
            Err(failure @ Failure::Engine(_)) => return Err(self.fault(&failure, "inspect")),
        }
        Ok(())
    }

    /// Wants an inspection, now or after the one under way.
    fn want(&mut self, id: String) {
        if let Some(again) = self.inspecting.get_mut(&id) {
            *again = true;
        } else if !self.queue.contains(&id) {
            self.queue.push_back(id);
        }
    }

    /// Starts wanted inspections up to the limit.
    fn fill(&mut self, docker: &Docker) {
        while self.inspecting.len() < PARALLEL
            && let Some(id) = self.queue.pop_front()
        {
            self.inspecting.insert(id.clone(), false);
            let (docker, deadline) = (docker.clone(), self.options.deadline);
            self.ask(
                async move {
                    let result = limited(deadline, docker.inspect_container(&id, None)).await;
                    Answer::Inspected(id, result.map(Box::new))
                }
                .boxed(),
            );
        }
    }

    fn ask(&mut self, request: BoxFuture<'static, Answer>) {
        self.work.push(request);
    }

    fn fault(&self, failure: &Failure, what: &str) -> Fault {
        match failure {
            Failure::Deadline => {
                Fault::hanging(&format!("{what}, {} s", self.options.deadline.as_secs_f32()))
            }
            Failure::Engine(error) => Fault::of_request(error, self.path),
        }
    }
}

async fn limited<T>(
    deadline: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match timeout(deadline, request).await {
        Ok(result) => result.map_err(Failure::Engine),
        Err(_) => Err(Failure::Deadline),
    }
}

async fn listing(docker: &Docker) -> Result<Vec<ContainerSummary>, Error> {
    docker.list_containers(Some(ListContainersOptionsBuilder::new().all(true).build())).await
}

async fn ping(docker: Docker, deadline: Duration) -> Answer {
    Answer::Pinged(limited(deadline, docker.ping()).await.map(|_| ()))
}

/// A timer that does not make up for lost ticks.
fn patient(period: Duration) -> tokio::time::Interval {
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// Podman's Docker-compatible answer names itself among its components.
fn product(version: &SystemVersion) -> &'static str {
    let podman = version.components.iter().flatten().any(|c| c.name.to_ascii_lowercase().contains("podman"));
    if podman { "podman" } else { "docker" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_told_from_their_components() {
        let of = |name: &str| {
            let json = serde_json::json!({"Components": [{"Name": name, "Version": "5"}]});
            product(&serde_json::from_value(json).unwrap())
        };
        assert_eq!((of("Podman Engine"), of("Engine")), ("podman", "docker"));
        assert_eq!(product(&SystemVersion::default()), "docker");
    }
}
