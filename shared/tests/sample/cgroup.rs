//! Representative rows of the tables of control groups.

use glasshull_shared::domain::cgroup::{
    Bound, Cap, Cgroup, Freezer, IoLimit, Limit, LimitStat, OomKill, OomSource, Settings,
};

use super::{AT, ID};

pub(super) fn path() -> String {
    format!("/docker/{ID}")
}

pub(super) fn cgroup() -> Cgroup {
    Cgroup {
        parent: Some("/docker".into()),
        controllers: vec!["cpu".into(), "memory".into()],
        container: Some(ID.into()),
        freezer: Some(Freezer::Frozen),
        self_frozen: Some(true),
        processes: Some(3),
        descendants: 2,
        own: settings(),
    }
}

fn settings() -> Settings {
    let limit = limit();
    Settings {
        cpu_quota_nanos: Cap::Set(50_000_000),
        cpu_period_nanos: limit.cpu_period_nanos,
        cpu_shares: limit.cpu_shares,
        cpu_weight: limit.cpu_weight,
        cpuset_cpus: limit.cpuset_cpus,
        cpuset_mems: limit.cpuset_mems,
        memory_max_bytes: Cap::Set(64 << 20),
        memory_high_bytes: Cap::Unlimited,
        memory_soft_bytes: Cap::Set(48 << 20),
        memory_low_bytes: limit.memory_low_bytes,
        memory_min_bytes: limit.memory_min_bytes,
        swap_max_bytes: Cap::Unknown,
        memory_swap_max_bytes: Cap::Set(128 << 20),
        pids_max: Cap::Set(32),
        io: limit.io,
        oom_kill_disable: limit.oom_kill_disable,
        oom_group: limit.oom_group,
    }
}

fn set<T>(value: T, from: &str) -> Bound<T> {
    Bound::Set { value, from: from.into() }
}

pub(super) fn limit() -> Limit {
    Limit {
        cgroup: path(),
        cpu_cores: set(0.5, "/docker"),
        cpu_quota_nanos: Some(50_000_000),
        cpu_period_nanos: Some(100_000_000),
        cpu_shares: Some(1024),
        cpu_weight: Some(100),
        cpuset_cpus: Some("0-1".into()),
        cpuset_mems: Some("0".into()),
        memory_max_bytes: set(64 << 20, "/docker"),
        memory_high_bytes: Bound::Unlimited,
        memory_soft_bytes: set(48 << 20, &path()),
        memory_low_bytes: Some(7),
        memory_min_bytes: Some(0),
        swap_max_bytes: Bound::Unknown,
        memory_swap_max_bytes: set(128 << 20, &path()),
        pids_max: set(32, &path()),
        io: Some(vec![IoLimit {
            device: "8:0".into(),
            read_bytes_per_sec: Some(1 << 20),
            write_bytes_per_sec: Some(2 << 20),
            read_per_sec: Some(100),
            write_per_sec: Some(200),
            from: path(),
        }]),
        oom_kill_disable: Some(true),
        oom_group: Some(false),
    }
}

pub(super) fn limit_stat() -> LimitStat {
    LimitStat {
        anon_bytes: Some(1),
        file_bytes: Some(2),
        shmem_bytes: Some(3),
        kernel_bytes: Some(4),
        slab_bytes: Some(5),
        sock_bytes: Some(6),
        swap_bytes: Some(7),
        memory_peak_bytes: Some(8),
        memory_limit_hits: Some(9),
        memory_high_hits: Some(10),
        ooms: Some(11),
        under_oom: Some(true),
        pids_limit_hits: Some(12),
    }
}

pub(super) fn oom_kill() -> OomKill {
    OomKill {
        at: AT,
        container: Some(ID.into()),
        cgroup: Some(path()),
        limit_cgroup: Some("/docker".into()),
        global: Some(false),
        pid: Some(4321),
        comm: Some("eater".into()),
        uid: Some(1000),
        anon_bytes: Some(16 << 20),
        count: 1,
        sources: vec![OomSource::KernelLog, OomSource::Counter],
    }
}
