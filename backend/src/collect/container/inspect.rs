//! An engine's `inspect` and list answers as [`Container`] rows. `Config.Env` is read past and never taken over.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerInspectResponse, ContainerState as State, ContainerStateStatusEnum as Status, ContainerSummary,
    HealthStatusEnum, NetworkSettings, PortBinding,
};
use glasshull_shared::domain::container::{Container, ContainerState, Health, KnownFrom, Port, Runtime};
use glasshull_shared::unit::{printable, short_id};

use crate::sys::clock::parse_rfc3339;
use crate::sys::text::cut;

/// Most labels of one container.
const MOST_LABELS: usize = 500;

/// Who told: goes into each row.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    /// Endpoint of the engine.
    pub(super) endpoint: String,
    /// Docker or Podman, from the version answer.
    pub(super) runtime: Runtime,
}

/// The row of an inspected container.
pub(super) fn row(id: &str, answer: ContainerInspectResponse, origin: &Origin) -> Container {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let network_mode = answer.host_config.and_then(|host| host.network_mode);
    let network = answer.network_settings.unwrap_or_default();
    let labels = labels(config.labels.unwrap_or_default());
    let name = answer.name.unwrap_or_default();
    let command: Vec<String> = answer.path.into_iter().chain(answer.args.unwrap_or_default()).collect();
    let mut row = Container {
        image: config.image.or(answer.image).as_deref().map(shown),
        command: Some(shown(&command.join(" "))).filter(|command| !command.is_empty()),
        created_at: answer.created.as_deref().and_then(parse_rfc3339),
        restart_count: answer.restart_count.and_then(|n| u32::try_from(n).ok()),
        ports: ports(&network, config.exposed_ports.unwrap_or_default()),
        network_mode: network_mode.filter(|mode| !mode.is_empty()).as_deref().map(shown),
        networks: networks(network),
        ..named(id, &name, labels, origin)
    };
    set_state(&mut row, &state);
    row
}

/// What the list alone tells; the rest follows by inspection.
pub(super) fn row_of_summary(id: &str, summary: ContainerSummary, origin: &Origin) -> Container {
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    Container {
        image: summary.image.as_deref().map(shown),
        state: state_of_summary(summary.state),
        ..named(id, &name, labels(summary.labels.unwrap_or_default()), origin)
    }
}

/// A row with name, labels and origin only.
pub(super) fn named(id: &str, name: &str, labels: BTreeMap<String, String>, origin: &Origin) -> Container {
    let name = name.trim_start_matches('/');
    let label = |keys: [&str; 2]| keys.iter().find_map(|key| labels.get(*key)).map(|text| shown(text));
    Container {
        name: if name.is_empty() { short_id(id).to_owned() } else { shown(name) },
        runtime: origin.runtime,
        engine: Some(origin.endpoint.clone()),
        compose_project: label(["com.docker.compose.project", "io.podman.compose.project"]),
        compose_service: label(["com.docker.compose.service", "io.podman.compose.service"]),
        labels,
        known_from: vec![KnownFrom::Engine],
        ..Container::default()
    }
}

/// What is printed on terminals too: without what would steer them.
fn shown(text: &str) -> String {
    cut(printable(text))
}

/// Labels cut to what is worth showing.
pub(super) fn labels(all: HashMap<String, String>) -> BTreeMap<String, String> {
    let sorted: BTreeMap<String, String> = all.into_iter().collect();
    sorted.into_iter().take(MOST_LABELS).map(|(key, value)| (cut(key), cut(value))).collect()
}

fn set_state(row: &mut Container, state: &State) {
    let running = state.running.unwrap_or(false) || state.paused.unwrap_or(false);
    row.state = match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        Some(Status::RUNNING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting,
        Some(Status::REMOVING) => ContainerState::Removing,
        Some(Status::EXITED) => ContainerState::Exited,
        Some(Status::DEAD) => ContainerState::Dead,
        Some(Status::EMPTY) | None if running => ContainerState::Running,
        Some(Status::EMPTY) | None => ContainerState::Unknown,
    };
    row.started_at = state.started_at.as_deref().and_then(parse_rfc3339);
    row.oom_killed = state.oom_killed;
    row.health = state.health.as_ref().and_then(|health| health_of(health.status));
    if row.state.is_up() {
        row.init_pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        row.oom_killed = None; // it speaks of the last end, and this run has not ended
    } else if row.started_at.is_some() {
        row.finished_at = state.finished_at.as_deref().and_then(parse_rfc3339);
        row.exit_code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    }
}

fn health_of(status: Option<HealthStatusEnum>) -> Option<Health> {
    match status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
    }
}

fn state_of_summary(state: Option<bollard::models::ContainerSummaryStateEnum>) -> ContainerState {
    // The word is the same as in inspect; only the generated type differs.
    match state.map(|s| s.to_string()).as_deref() {
        Some("created") => ContainerState::Created,
        Some("running" | "stopping") => ContainerState::Running,
        Some("paused") => ContainerState::Paused,
        Some("restarting") => ContainerState::Restarting,
        Some("removing") => ContainerState::Removing,
        Some("exited") => ContainerState::Exited,
        Some("dead") => ContainerState::Dead,
        Some(_) | None => ContainerState::Unknown,
    }
}

/// The state the list tells, to see whether a row is out of date.
pub(super) fn listed_state(summary: &ContainerSummary) -> ContainerState {
    state_of_summary(summary.state)
}

/// Published ports, then exposed ones that are not published; sorted, without repeats.
fn ports(network: &NetworkSettings, exposed: Vec<String>) -> Vec<Port> {
    let mut ports = Vec::new();
    for (inside, bindings) in network.ports.iter().flatten() {
        match bindings.as_deref() {
            Some([]) | None => ports.extend(port(inside, None)),
            Some(bindings) => ports.extend(bindings.iter().filter_map(|b| port(inside, Some(b)))),
        }
    }
    for port in exposed.iter().filter_map(|inside| port(inside, None)) {
        let known = |p: &Port| p.container_port == port.container_port && p.protocol == port.protocol;
        if !ports.iter().any(known) {
            ports.push(port);
        }
    }
    ports.sort();
    ports.dedup();
    ports
}

/// `80/tcp` and where it is published.
fn port(inside: &str, binding: Option<&PortBinding>) -> Option<Port> {
    let (number, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
    let host_port = binding.and_then(|b| b.host_port.as_deref()).and_then(|p| p.parse().ok());
    let host_address = binding.filter(|_| host_port.is_some()).and_then(|b| b.host_ip.clone());
    Some(Port {
        host_address: host_address.map(|a| if a.is_empty() { "0.0.0.0".to_owned() } else { shown(&a) }),
        host_port,
        container_port: number.parse().ok()?,
        protocol: shown(protocol),
    })
}

fn networks(network: NetworkSettings) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = network
        .networks
        .unwrap_or_default()
        .into_iter()
        .map(|(name, end)| {
            let v4 = end.ip_address.filter(|a| !a.is_empty());
            let address = v4.or(end.global_ipv6_address).unwrap_or_default();
            (shown(&name), shown(&address))
        })
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(json: serde_json::Value) -> Container {
        let origin = Origin { endpoint: "unix:///x".into(), runtime: Runtime::Docker };
        row("0123", serde_json::from_value(json).unwrap(), &origin)
    }

    #[test]
    fn a_running_container() {
        let row = inspect(serde_json::json!({
            "Name": "/web", "Path": "httpd", "Args": ["-f", "-p", "80"], "RestartCount": 2, "Image": "sha256:abc",
            "Created": "2024-02-29T12:34:56.5Z",
            "State": {"Status": "running", "Running": true, "Pid": 4711, "ExitCode": 0, "OOMKilled": true,
                      "StartedAt": "2024-02-29T12:34:57Z", "FinishedAt": "0001-01-01T00:00:00Z",
                      "Health": {"Status": "healthy"}},
            "Config": {"Image": "web:1", "Env": ["PASSWORD=secret"], "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
                       "Labels": {"com.docker.compose.project": "shop", "big": "é".repeat(5000)}},
            "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "443/tcp": null},
                                "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}
        }));
        assert_eq!((row.name.as_str(), row.image.as_deref()), ("web", Some("web:1")));
        assert_eq!((row.state, row.init_pid, row.exit_code), (ContainerState::Running, Some(4711), None));
        assert_eq!((row.health, row.oom_killed), (Some(Health::Healthy), None));
        assert_eq!(row.command.as_deref(), Some("httpd -f -p 80"));
        assert_eq!(row.compose_project.as_deref(), Some("shop"));
        let ports: Vec<_> =
            row.ports.iter().map(|p| (p.host_port, p.container_port, p.protocol.as_str())).collect();
        assert_eq!(ports, [(None, 53, "udp"), (None, 443, "tcp"), (Some(8080), 80, "tcp")]);
        assert_eq!(row.networks, [("bridge".into(), "172.17.0.2".into())]);
        assert_eq!(row.labels["big"].len(), 4096);
        assert_eq!(row.started_at, Some(1_709_210_097_000_000_000));
        let everything = serde_json::to_string(&row).unwrap();
        assert!(!everything.contains("secret"), "environment must not be taken over");
    }

    #[test]
    fn an_ended_and_a_new_container() {
        let ended = inspect(serde_json::json!({
            "State": {"Status": "exited", "Pid": 0, "ExitCode": 137, "OOMKilled": true,
                      "StartedAt": "2024-02-29T12:34:57Z", "FinishedAt": "2024-02-29T12:34:58Z"}
        }));
        assert_eq!(
            (ended.state, ended.exit_code, ended.oom_killed),
            (ContainerState::Exited, Some(137), Some(true))
        );
        assert_eq!((ended.init_pid, ended.finished_at), (None, Some(1_709_210_098_000_000_000)));
        let new = inspect(serde_json::json!({
            "State": {"Status": "created", "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z"}
        }));
        assert_eq!((new.state, new.exit_code, new.started_at), (ContainerState::Created, None, None));
        assert_eq!(new.name, "0123");
        assert_eq!(inspect(serde_json::json!({})).state, ContainerState::Unknown);
    }
}
