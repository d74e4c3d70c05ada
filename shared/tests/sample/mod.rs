//! One representative row of every table, every field with a value of its own, for the tests of the wire.

mod cgroup;
mod confinement;
mod device;
mod dns;
pub(crate) mod file;
mod finding;
mod flow;
pub(crate) mod map;
mod namespace;
mod nat;
mod network;
mod socket;

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::cgroup::{CgroupKey, OomKillKey};
use glasshull_shared::domain::container::{
    Container, ContainerDeviceIo, ContainerDeviceKey, ContainerIo, ContainerKey, ContainerStat,
    ContainerState, Health, KnownFrom, Port, Runtime,
};
use glasshull_shared::domain::engine::{Engine, EngineKey, EngineState};
use glasshull_shared::domain::event::{Event, EventKey, EventKind};
use glasshull_shared::domain::file::{FileFate, HostFile, Layer};
use glasshull_shared::domain::host::{
    CgroupMode, CpuKey, CpuRatios, CpuStat, CpuTimes, Host, HostStat, Memory, Psi, PsiLine,
};
use glasshull_shared::domain::network::{ClosedSocketKey, NetnsKey};
use glasshull_shared::domain::process::{
    ExitKey, ExitedProcess, IoClass, IoPriority, MemoryDetail, NamespaceLink, Process, ProcessDelay,
    ProcessDetail, ProcessIo, ProcessKey, ProcessStat, ProcessState, Thread, ThreadKey, Waiter,
};
use glasshull_shared::domain::source::{Source, SourceKey, SourceState};
use glasshull_shared::snapshot::Snapshot;

const ID: &str = "0f3c5a9e1b7d0f3c5a9e1b7d0f3c5a9e1b7d0f3c5a9e1b7d0f3c5a9e1b7d0f3c";
const AT: u64 = 1_760_000_000_123_456_789;

/// A snapshot with one row in each table.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        host: [(Single, Arc::new(host()))].into(),
        host_stat: [(Single, Arc::new(host_stat()))].into(),
        cpu: [(CpuKey { cpu: 1 }, Arc::new(CpuStat { times: times(), ratio: Some(ratios()) }))].into(),
        process: [(process_key(), Arc::new(process()))].into(),
        process_stat: [(process_key(), Arc::new(process_stat()))].into(),
        thread: [(ThreadKey { pid: 4321, start_time: 987_654, tid: 4322 }, Arc::new(thread()))].into(),
        exited_process: [(ExitKey { sequence: 17 }, Arc::new(exited()))].into(),
        container: [(ContainerKey { id: ID.into() }, Arc::new(container()))].into(),
        container_stat: [(ContainerKey { id: ID.into() }, Arc::new(container_stat()))].into(),
        engine: [(EngineKey { endpoint: "unix:///run/docker.sock".into() }, Arc::new(engine()))].into(),
        event: [(EventKey { sequence: 3 }, Arc::new(event()))].into(),
        source: [(SourceKey { name: "process".into() }, Arc::new(source()))].into(),
        agent: [(Single, Arc::new(agent()))].into(),
        netns: [(NetnsKey { netns: network::WEB }, Arc::new(network::netns()))].into(),
        link: [(network::link_key(), Arc::new(network::link()))].into(),
        link_stat: [(network::link_key(), Arc::new(network::link_stat()))].into(),
        neighbour: [(network::neighbour_key(), Arc::new(network::neighbour()))].into(),
        route: [(network::route_key(), Arc::new(network::route()))].into(),
        socket: [(socket::socket_key(), Arc::new(socket::socket()))].into(),
        socket_stat: [(socket::socket_key(), Arc::new(socket::socket_stat()))].into(),
        closed_socket: [(ClosedSocketKey { sequence: 5 }, Arc::new(socket::closed_socket()))].into(),
        flow: [(flow::key(), Arc::new(flow::flow()))].into(),
        flow_stat: [(flow::key(), Arc::new(flow::stat()))].into(),
        capture: [(Single, Arc::new(flow::capture()))].into(),
        nat_rule: [(nat::rule_key(), Arc::new(nat::rule()))].into(),
        published_port: [(nat::port_key(), Arc::new(nat::port()))].into(),
        translation: [(nat::translation_key(), Arc::new(nat::translation()))].into(),
        confinement: [(ContainerKey { id: ID.into() }, Arc::new(confinement::confinement()))].into(),
        mount: [(confinement::mount_key(), Arc::new(confinement::mount()))].into(),
        cgroup: [(CgroupKey { path: cgroup::path() }, Arc::new(cgroup::cgroup()))].into(),
        limit: [(ContainerKey { id: ID.into() }, Arc::new(cgroup::limit()))].into(),
        limit_stat: [(ContainerKey { id: ID.into() }, Arc::new(cgroup::limit_stat()))].into(),
        oom_kill: [(OomKillKey { sequence: 2 }, Arc::new(cgroup::oom_kill()))].into(),
        finding: [(finding::key(), Arc::new(finding::row()))].into(),
        namespace: [(namespace::namespace_key(), Arc::new(namespace::namespace()))].into(),
        isolation: [(namespace::isolation_key(), Arc::new(namespace::isolation()))].into(),
        resolver: [(dns::resolver_key(), Arc::new(dns::resolver()))].into(),
        dns_name: [(dns::dns_name_key(), Arc::new(dns::dns_name()))].into(),
        process_io: [(process_key(), Arc::new(process_io()))].into(),
        device: [(device::key(), Arc::new(device::row()))].into(),
        device_stat: [(device::key(), Arc::new(device::stat()))].into(),
        waiter: [(process_key(), Arc::new(waiter()))].into(),
        container_io: [(ContainerKey { id: ID.into() }, Arc::new(container_io()))].into(),
        mount_use: [(confinement::mount_key(), Arc::new(confinement::mount_use()))].into(),
        io_case: [(Single, Arc::new(device::case()))].into(),
        dns_seen: [(dns::seen_key(), Arc::new(dns::seen()))].into(),
        dns_client: [(dns::client_key(), Arc::new(dns::client()))].into(),
        process_delay: [(process_key(), Arc::new(process_delay()))].into(),
        container_device_io: [(container_device_key(), Arc::new(container_device_io()))].into(),
    }
}

pub(crate) fn process_key() -> ProcessKey {
    ProcessKey { pid: 4321, start_time: 987_654 }
}

fn host() -> Host {
    Host {
        hostname: "lab".into(),
        kernel: "6.1.0-42-amd64".into(),
        architecture: "x86_64".into(),
        os: Some("Debian GNU/Linux 12 (bookworm)".into()),
        boot_at: AT - 86_400_000_000_000,
        cpus: 2,
        cgroup_mode: CgroupMode::Hybrid,
        ticks_per_sec: 100,
        agent_version: "0.1.0".into(),
        agent_pid: Some(777),
        capabilities: vec!["CAP_SYS_PTRACE".into()],
        args_masked: true,
    }
}

fn times() -> CpuTimes {
    CpuTimes {
        user_nanos: 1,
        nice_nanos: 2,
        system_nanos: 3,
        idle_nanos: 4,
        iowait_nanos: 5,
        irq_nanos: 6,
        softirq_nanos: 7,
        steal_nanos: 8,
        guest_nanos: 9,
    }
}

fn ratios() -> CpuRatios {
    CpuRatios {
        user: 0.25,
        nice: 0.0625,
        system: 0.125,
        idle: 0.5,
        iowait: 0.03125,
        irq: 0.015_625,
        softirq: 0.007_812_5,
        steal: 0.003_906_25,
        guest: 0.001_953_125,
    }
}

fn psi(first: f32, full: bool) -> Psi {
    let line = |avg10_ratio: f32| PsiLine {
        avg10_ratio,
        avg60_ratio: avg10_ratio / 2.0,
        avg300_ratio: avg10_ratio / 4.0,
        total_nanos: 1_000,
    };
    Psi { some: line(first), full: full.then(|| line(first / 8.0)) }
}

fn host_stat() -> HostStat {
    HostStat {
        uptime_secs: 86_400,
        cpu: times(),
        cpu_ratio: Some(ratios()),
        load: [0.5, 0.25, 0.125],
        runnable: 2,
        threads: 300,
        blocked: 1,
        memory: Memory {
            total_bytes: 8 << 30,
            free_bytes: 1 << 30,
            available_bytes: 4 << 30,
            used_bytes: 4 << 30,
            shared_bytes: 64 << 20,
            buff_cache_bytes: 3 << 30,
            swap_total_bytes: 1 << 30,
            swap_used_bytes: 1 << 20,
        },
        psi_cpu: Some(psi(0.5, false)),
        psi_memory: Some(psi(0.25, true)),
        psi_io: None,
        forks: 123_456,
        forks_per_sec: Some(12.5),
        context_switches: 9_876_543,
        context_switches_per_sec: Some(1024.0),
        short_lived: Some(50),
        short_lived_per_sec: Some(2.5),
    }
}

fn process() -> Process {
    Process {
        ppid: 1,
        comm: "postgres".into(),
        cmdline: Some("postgres -D /var/lib/postgresql".into()),
        uid: Some(999),
        euid: Some(998),
        user: Some("postgres".into()),
        tty: Some("pts/0".into()),
        started_at: AT,
        pid_in_ns: Some(1),
        kernel_thread: false,
        cgroup: Some(format!("/docker/{ID}")),
        container: Some(ID.into()),
    }
}

fn process_stat() -> ProcessStat {
    ProcessStat {
        state: ProcessState::D,
        cpu_nanos: 7_540_000_000,
        cpu_ratio: Some(1.5),
        rss_bytes: 64 << 20,
        virtual_bytes: 1 << 30,
        threads: 3,
        priority: -2,
        nice: -5,
        read_bytes: Some(4096),
        write_bytes: Some(8192),
        read_bytes_per_sec: Some(512.0),
        write_bytes_per_sec: None,
        wait_channel: Some("io_schedule".into()),
    }
}

fn process_io() -> ProcessIo {
    ProcessIo {
        read_bytes: Some(8192),
        write_bytes: Some(12_288),
        rchar_bytes: Some(10_001),
        wchar_bytes: Some(20_002),
        read_syscalls: Some(303),
        write_syscalls: Some(404),
        cancelled_write_bytes: Some(4096),
        block_wait_nanos: Some(50_000_000),
        priority: Some(IoPriority { class: IoClass::BestEffort, level: 4 }),
        read_bytes_per_sec: Some(0.5),
        write_bytes_per_sec: Some(0.75),
        rchar_bytes_per_sec: Some(1.5),
        wchar_bytes_per_sec: Some(2.5),
        read_syscalls_per_sec: Some(3.5),
        write_syscalls_per_sec: None,
        block_wait_ratio: Some(0.25),
    }
}

fn thread() -> Thread {
    Thread {
        comm: "wal writer".into(),
        state: ProcessState::Traced,
        cpu_nanos: 10_000_000,
        cpu_ratio: Some(0.01),
        wait_channel: Some("do_epoll_wait".into()),
    }
}

fn exited() -> ExitedProcess {
    ExitedProcess {
        pid: 5000,
        ppid: Some(4321),
        comm: Some("true".into()),
        cmdline: Some("/bin/true".into()),
        container: Some(ID.into()),
        exit_code: Some(3),
        signal: Some(9),
        lifetime_nanos: Some(1_500_000),
        exited_at: AT,
        short_lived: true,
    }
}

fn container() -> Container {
    Container {
        name: "shop-web-1".into(),
        image: Some("nginx:1.27".into()),
        runtime: Runtime::Podman,
        engine: Some("unix:///run/podman/podman.sock".into()),
        state: ContainerState::Restarting,
        exit_code: Some(137),
        oom_killed: Some(true),
        health: Some(Health::Unhealthy),
        created_at: Some(AT),
        started_at: Some(AT + 1),
        finished_at: Some(AT + 2),
        init_pid: Some(4321),
        restart_count: Some(4),
        command: Some("nginx -g 'daemon off;'".into()),
        compose_project: Some("shop".into()),
        compose_service: Some("web".into()),
        ports: vec![Port {
            host_address: Some("0.0.0.0".into()),
            host_port: Some(8080),
            container_port: 80,
            protocol: "tcp".into(),
        }],
        labels: BTreeMap::from([("role".into(), "<b>\u{202e}web</b>".into())]),
        network_mode: Some("bridge".into()),
        networks: vec![("shop_default".into(), "172.18.0.2".into())],
        cgroup: Some(format!("/docker/{ID}")),
        pod: Some("pod-1".into()),
        parent: Some("kind".into()),
        known_from: vec![KnownFrom::Engine, KnownFrom::State],
    }
}

fn waiter() -> Waiter {
    Waiter {
        comm: "jbd2/vda-8".into(),
        container: Some(ID.into()),
        ended: true,
        waits: true,
        since_secs: 1_700_000_000,
        strip: vec![0, 5, 255],
        channels: vec![("io_schedule".into(), 7)],
        stack: vec!["folio_wait_bit".into()],
    }
}

fn container_io() -> ContainerIo {
    ContainerIo {
        processes: 7,
        waiting: 2,
        read_bytes_per_sec: Some(1.5),
        write_bytes_per_sec: Some(2.5),
        rchar_bytes_per_sec: Some(3.5),
        wchar_bytes_per_sec: Some(4.5),
        block_wait_ratio: Some(0.75),
    }
}

fn process_delay() -> ProcessDelay {
    ProcessDelay {
        cpu_wait_nanos: 1,
        block_wait_nanos: 2,
        swap_wait_nanos: 3,
        reclaim_wait_nanos: 4,
        thrashing_wait_nanos: 5,
        cpu_wait_ratio: Some(0.25),
        block_wait_ratio: Some(0.5),
        swap_wait_ratio: Some(0.75),
        reclaim_wait_ratio: Some(1.0),
        thrashing_wait_ratio: Some(1.25),
    }
}

fn container_device_key() -> ContainerDeviceKey {
    ContainerDeviceKey { container: ID.into(), major_minor: "254:0".into() }
}

fn container_device_io() -> ContainerDeviceIo {
    ContainerDeviceIo {
        device: Some("vda".into()),
        read_bytes: Some(1),
        write_bytes: Some(2),
        reads: Some(3),
        writes: Some(4),
        discard_bytes: Some(5),
        discards: Some(6),
        read_bytes_per_sec: Some(1.5),
        write_bytes_per_sec: Some(2.5),
        reads_per_sec: Some(3.5),
        writes_per_sec: Some(4.5),
        discard_bytes_per_sec: Some(5.5),
        discards_per_sec: Some(6.5),
    }
}

fn container_stat() -> ContainerStat {
    ContainerStat {
        cpu_nanos: Some(5_000_000_000),
        cpu_ratio: Some(0.75),
        cpu_limit_cores: Some(1.5),
        cpu_periods: Some(100),
        cpu_throttled_periods: Some(7),
        cpu_throttled_nanos: Some(70_000_000),
        cpu_throttled_ratio: Some(0.07),
        memory_bytes: Some(100 << 20),
        memory_usage_bytes: Some(200 << 20),
        memory_limit_bytes: Some(512 << 20),
        oom_kills: Some(1),
        pids: Some(12),
        pids_limit: Some(100),
        processes: Some(5),
        read_bytes: Some(1),
        write_bytes: Some(2),
        read_bytes_per_sec: Some(3.0),
        write_bytes_per_sec: Some(4.0),
        psi_cpu: Some(psi(0.5, true)),
        psi_memory: None,
        psi_io: Some(psi(0.125, true)),
        short_lived: Some(9),
        short_lived_per_sec: Some(0.5),
    }
}

fn engine() -> Engine {
    Engine {
        state: EngineState::Hanging,
        product: Some("docker".into()),
        version: Some("28.1.1".into()),
        api_version: Some("1.49".into()),
        reason: Some("no answer for 5 s".into()),
        answered_at: Some(AT),
        containers: 11,
    }
}

fn event() -> Event {
    Event { at: AT, kind: EventKind::OomKill, container: Some(ID.into()), text: "web was killed".into() }
}

fn source() -> Source {
    Source {
        state: SourceState::Limited,
        tables: vec!["process".into(), "process_stat".into()],
        reason: Some("disk figures of other users are hidden".into()),
        capability: Some("CAP_SYS_PTRACE".into()),
        remedy: Some("run as root".into()),
        misses: Some("processes that end between two ticks".into()),
        collected_at: Some(AT),
    }
}

fn agent() -> AgentStat {
    AgentStat {
        cpu_nanos: 1_000_000,
        cpu_ratio: Some(0.004),
        rss_bytes: 20 << 20,
        clients: 2,
        sent_bytes: 4242,
        sent_bytes_per_sec: Some(1500.0),
        tick_nanos: 2_000_000,
    }
}

pub(crate) fn process_detail() -> ProcessDetail {
    ProcessDetail {
        exe: Some(HostFile {
            path: "/usr/bin/postgres".into(),
            host_path: Some("/var/lib/docker/overlay2/x/merged/usr/bin/postgres".into()),
            layer_path: Some("/var/lib/docker/overlay2/y/diff/usr/bin/postgres".into()),
            layer: Some(Layer::Lower(2)),
            device: Some("254:1".into()),
            inode: Some(123_456),
            fate: FileFate::Replaced,
        }),
        cwd: Some("/var/lib/postgresql".into()),
        root: Some("/var/lib/docker/overlay2/x/merged".into()),
        memory: Some(MemoryDetail {
            rss_bytes: 5,
            pss_bytes: 4,
            shared_bytes: 3,
            private_bytes: 2,
            swap_bytes: 1,
        }),
        ns_pids: vec![4321, 1],
        namespaces: vec![NamespaceLink { kind: "net".into(), inode: 4_026_531_840, same_as_agent: false }],
        cgroups: vec!["0::/docker/x".into()],
        parents: vec![(1, "systemd".into())],
        open_files: Some(42),
        oom_score_adj: Some(-500),
        wait_channel: Some("ep_poll".into()),
        context_switches: Some((1000, 20)),
        confinement: Some(confinement::effective()),
        missing: vec!["exe: CAP_SYS_PTRACE".into()],
    }
}
