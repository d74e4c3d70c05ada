//! Limits as views and the inspector say them: whose each is, and what a person would type to see the same.

use glasshull_shared::domain::cgroup::{Bound, IoLimit, Limit, Resource};
use glasshull_shared::domain::host::CgroupMode;
use glasshull_shared::unit;

use super::shell::{Command, command, quote};

/// The group that sets the limit of a resource.
pub fn source_of(limit: &Limit, resource: Resource) -> Option<&str> {
    match resource {
        Resource::Cpu => limit.cpu_cores.from(),
        Resource::Memory => limit.memory_max_bytes.from(),
        Resource::Swap => limit.swap_max_bytes.from().or_else(|| limit.memory_swap_max_bytes.from()),
        Resource::Pids => limit.pids_max.from(),
    }
}

/// `64 MiB, its own`, `64 MiB from /docker`, `no limit`; `None` when it is not known.
pub fn bound_text<T: Copy>(bound: &Bound<T>, own: &str, write: impl Fn(T) -> String) -> Option<String> {
    match bound {
        Bound::Unknown => None,
        Bound::Unlimited => Some("no limit".into()),
        Bound::Set { value, from } if from == own => Some(format!("{}, its own", write(*value))),
        Bound::Set { value, from } => Some(format!("{} from {from}", write(*value))),
    }
}

/// `8:0 r 1 MB/s w 120/s`.
pub fn io_text(io: &IoLimit) -> String {
    let rate = |n: Option<u64>| n.map(|n| unit::bytes_per_sec(n as f64));
    let times = |n: Option<u64>| n.map(|n| unit::per_sec(n as f64));
    let parts = [
        ("r", rate(io.read_bytes_per_sec)),
        ("r", times(io.read_per_sec)),
        ("w", rate(io.write_bytes_per_sec)),
        ("w", times(io.write_per_sec)),
    ];
    let parts = parts.into_iter().filter_map(|(name, n)| Some(format!("{name} {}", n?)));
    format!("{} {}", io.device, parts.collect::<Vec<_>>().join(" "))
}

/// The commands about the limits of a container.
pub fn shell_lines(limit: &Limit, mode: CgroupMode) -> Vec<Command> {
    let old = matches!(mode, CgroupMode::V1 | CgroupMode::Hybrid);
    let every = |controller: &str, name: &str| {
        let top = if old { format!("/sys/fs/cgroup/{controller}") } else { "/sys/fs/cgroup".to_owned() };
        let file = |path: &str| quote(&format!("{top}{}/{name}", path.trim_end_matches('/')));
        let paths = std::iter::successors(Some(limit.cgroup.as_str()), |path| {
            path.rsplit_once('/').map(|(above, _)| above).filter(|above| !above.is_empty())
        });
        // With one file alone grep would leave out its name.
        format!("grep -H . {}", paths.map(file).collect::<Vec<_>>().join(" "))
    };
    let (memory, pids, cpu) = if old {
        ("memory.limit_in_bytes", "pids.max", "cpu.cfs_quota_us")
    } else {
        ("memory.max", "pids.max", "cpu.max")
    };
    let stat = if old { "/sys/fs/cgroup/cpu" } else { "/sys/fs/cgroup" };
    vec![
        command("memory limits, from its own upwards", every("memory", memory), "the same files"),
        command("task limits, likewise", every("pids", pids), "the same files"),
        command("cpu quotas, likewise", every("cpu", cpu), "the same files"),
        command(
            "how often its quota ran out",
            format!("cat {}", quote(&format!("{stat}{}/cpu.stat", limit.cgroup))),
            "cpu.stat nr_throttled",
        ),
        command("the tree of control groups", "systemd-cgls --no-pager", "directories of /sys/fs/cgroup"),
        command(
            "whom the kernel killed for memory",
            "dmesg -T | grep -iE 'oom-kill|killed process'",
            "/dev/kmsg",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_asked_for_on_every_level() {
        let limit = Limit { cgroup: "/docker/a b".into(), ..Limit::default() };
        let lines = shell_lines(&limit, CgroupMode::Hybrid);
        let memory = "grep -H . '/sys/fs/cgroup/memory/docker/a b/memory.limit_in_bytes' \
                      /sys/fs/cgroup/memory/docker/memory.limit_in_bytes";
        assert_eq!(lines[0].command, memory);
        let lines = shell_lines(&limit, CgroupMode::V2);
        assert!(lines[0].command.ends_with("/sys/fs/cgroup/docker/memory.max"), "{}", lines[0].command);
    }

    #[test]
    fn a_limit_says_whose_it_is() {
        let set = Bound::Set { value: 1024, from: "/a".into() };
        assert_eq!(bound_text(&set, "/a", unit::bytes).as_deref(), Some("1.0 KiB, its own"));
        assert_eq!(bound_text(&set, "/a/b", unit::bytes).as_deref(), Some("1.0 KiB from /a"));
        assert_eq!(bound_text(&Bound::<u64>::Unknown, "/a", unit::bytes), None);
    }
}
