//! What runs in the lab: the list of containers of each scene, in waves (a wave starts when the one before it runs).
//! Everything in it ends by itself after two hours.

/// Seconds after which everything in a scene has ended.
const LIFE_SECS: u32 = 7200;

/// A container to start: options of `docker run` and its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// Options of `docker run` besides `--detach` and `--name`.
    pub options: Vec<String>,
    /// Command and arguments.
    pub command: Vec<String>,
    /// Made only, never started.
    pub create_only: bool,
    /// A further network and what it is called there.
    pub also: Option<(String, String)>,
}

impl ContainerSpec {
    fn new(name: &str, network: &str, command: &[&str]) -> Self {
        Self {
            name: name.into(),
            options: vec!["--network".into(), network.into()],
            command: command.iter().map(|s| (*s).into()).collect(),
            create_only: false,
            also: None,
        }
    }

    fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|s| (*s).into()));
        self
    }

    fn label(self, name: &str, value: &str) -> Self {
        self.with(&["--label", &format!("{name}={value}")])
    }

    /// As `docker compose` would have labelled it.
    fn compose(self, project: &str, service: &str, number: u32) -> Self {
        self.label("com.docker.compose.project", project)
            .label("com.docker.compose.service", service)
            .label("com.docker.compose.container-number", &number.to_string())
    }
}

/// Name of the user network of every scene.
pub const NETWORK: &str = "lab";

/// Name of the second user network of the small scene; it has IPv6 where the kernel has it.
pub const BACK: &str = "back";

/// Where the sink listens, TCP and UDP.
pub const SINK_PORT: &str = "9000";

/// The scene of the tests: one container for each thing the agent must tell apart.
pub fn small() -> Vec<Vec<ContainerSpec>> {
    let mut first = shop();
    first.extend(oddities());
    first.extend(talkers());
    first.extend(confined());
    first.push(ContainerSpec::new(
        "pod-a",
        NETWORK,
        &["timeout", &life(), "httpd", "-f", "-p", "8080", "-h", "/www"],
    ));
    let second = vec![
        client(1),
        client(2),
        ContainerSpec::new(
            "pod-b",
            "container:pod-a",
            &["sh", "-c", &fetch_loop("http://127.0.0.1:8080/", 2)],
        ),
        ContainerSpec::new("chatter", BACK, &["sh", "-c", CHATTER]),
    ];
    vec![first, second]
}

fn life() -> String {
    LIFE_SECS.to_string()
}

/// Busybox's own `-T` crashes in Debian's static build.
fn fetch_loop(url: &str, pause_secs: u32) -> String {
    let rounds = LIFE_SECS / pause_secs;
    format!(
        "i=0; while [ $i -lt {rounds} ]; do timeout 5 wget -q -O /dev/null {url}; i=$((i+1)); sleep {pause_secs}; done"
    )
}

fn client(number: u32) -> ContainerSpec {
    ContainerSpec::new(&format!("client-{number}"), NETWORK, &["sh", "-c", &fetch_loop("http://web/", 1)])
        .compose("shop", "client", number)
}

/// A small application in the manner of compose.
fn shop() -> Vec<ContainerSpec> {
    vec![
        ContainerSpec::new("web", NETWORK, &["timeout", &life(), "httpd", "-f", "-p", "80", "-h", "/www"])
            .compose("shop", "web", 1)
            .with(&["--publish", "127.0.0.1::80", "--health-interval", "3s", "--health-timeout", "5s"])
            .with(&["--health-cmd", "wget -q -O /dev/null http://127.0.0.1/"]),
        ContainerSpec::new("db", NETWORK, &["writer", "/data/journal", "2"])
            .compose("shop", "db", 1)
            .with(&["--volume", "db-data:/data"]),
        ContainerSpec::new("worker", NETWORK, &["worker"]).compose("shop", "worker", 1),
    ]
}

/// Ten datagrams a second, and two connections a second that live 5 ms each.
const CHATTER: &str = "brief store 9000 500 5 0 & exec chatter store 9000 100 120";

/// Who is on the second network: one that takes what is sent, and one between both networks, with a name in each.
fn talkers() -> Vec<ContainerSpec> {
    let mut proxy =
        ContainerSpec::new("proxy", NETWORK, &["timeout", &life(), "httpd", "-f", "-p", "80", "-h", "/www"])
            .with(&["--network-alias", "api"]);
    proxy.also = Some((BACK.into(), "cache".into()));
    vec![proxy, ContainerSpec::new("sink", BACK, &["sink", SINK_PORT]).with(&["--network-alias", "store"])]
}

/// Process states, limits and faults, one container each.
fn oddities() -> Vec<ContainerSpec> {
    let alone = |name: &str, command: &[&str]| ContainerSpec::new(name, "none", command);
    vec![
        alone("zombie", &["zombie"]),
        alone("stopped", &["stopped"]),
        alone("dstate", &["dstate"]),
        alone("paused", &["worker"]),
        alone("exited", &["sh", "-c", "exit 3"]),
        alone("oomed", &["sh", "-c", OOMED]).with(&["--memory", "16m"]),
        alone("limited", &["spinner", "16"]).with(&[
            "--memory",
            "64m",
            "--pids-limit",
            "32",
            "--cpus",
            "0.05",
        ]),
        ContainerSpec::new("hostnet", "host", &["idle", "on-the-host-network"]),
        hostile(),
        alone("deleted", &["sh", "-c", DELETED]),
        ContainerSpec { create_only: true, ..alone("created", &["idle"]) },
    ]
}

/// The engine notes the OOM kill only when it hears of it before the container's end, hence the pause.
const OOMED: &str = "eater 64; code=$?; sleep 1; exit $code";

/// Runs two copies of a program from the container's writable layer, then deletes the one and replaces the other.
const DELETED: &str = "cp /bin/actor /srv/gone; cp /bin/actor /srv/swapped; keeper /srv/gone /srv/swapped & \
    until pidof gone >/dev/null && pidof swapped >/dev/null; do sleep 0.1; done; \
    rm /srv/gone; cp /bin/busybox /srv/new; mv /srv/new /srv/swapped; wait";

/// What stands in options for the lab's directory, which is not known before it is made.
pub(super) const DIR: &str = "@LAB@";

/// More confined than usual, less confined, and hardly at all.
fn confined() -> Vec<ContainerSpec> {
    vec![
        ContainerSpec::new("confined", "none", &["idle", "behind-bars"])
            .with(&["--read-only", "--tmpfs", "/tmp", "--security-opt", "no-new-privileges"])
            .with(&["--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--user", "1000:1000"])
            .with(&["--ulimit", "nofile=256:512", "--ulimit", "core=0", "--oom-score-adj", "500"]),
        ContainerSpec::new("exposed", "none", &["sh", "-c", OVERMOUNT])
            .with(&["--cap-add", "SYS_ADMIN", "--cap-drop", "MKNOD", "--security-opt", "seccomp=unconfined"])
            .with(&["--volume", &format!("{DIR}/docker.sock:/run/docker.sock")])
            .with(&["--volume", &format!("{DIR}/shared:/shared")]),
        ContainerSpec::new("hostlike", "host", &["idle", "as-good-as-the-host"])
            .with(&["--pid", "host", "--ipc", "host", "--uts", "host"])
            .with(&["--mount", "type=bind,source=/,destination=/host,readonly,bind-nonrecursive"]),
    ]
}

/// Two file systems on one folder: the first lies beneath the second.
const OVERMOUNT: &str =
    "mount -t tmpfs -o size=64k beneath /srv && mount -t tmpfs -o size=64k above /srv && exec idle";

/// Label values that break pages, terminals and buffers that trust them.
fn hostile() -> ContainerSpec {
    ContainerSpec::new("hostile", "none", &["hostile"])
        .label("script", "<script>alert(1)</script>")
        .label("rtl", "\u{202e}gnp.exe\u{2066}x\u{2069}")
        .label("long", &"x".repeat(4096))
        .label("quotes", "\"'`${HOME}`'\"; </td>&amp;\u{1b}[31m")
        .label("<img/src=x/onerror=alert(2)>", "name")
}

/// Many short-lived processes: 50 each second.
pub fn spawner(seconds: u32) -> ContainerSpec {
    ContainerSpec::new("spawner", "none", &["spawner", "50", &seconds.to_string()])
}

/// The scene of the benchmark: `processes` spread over `containers`, nearly all asleep, one in fifty using 1 % of a
/// core.
pub fn bench(containers: u32, processes: u32) -> Vec<Vec<ContainerSpec>> {
    let containers = containers.max(1);
    let share = |total: u32, i: u32| total / containers + u32::from(i < total % containers);
    let specs = (0..containers).map(|i| {
        let children = share(processes, i).saturating_sub(1);
        let busy = share(processes / 50, i).min(children);
        ContainerSpec::new(
            &format!("bench-{i:03}"),
            NETWORK,
            &["crowd", &children.to_string(), &busy.to_string()],
        )
        .compose(&format!("bench-{}", i % 10), &format!("service-{}", i / 10), 1)
    });
    vec![specs.collect()]
}
