//! The host: `/proc/stat`, `meminfo`, `loadavg`, `uptime`, `pressure/*`, uname. Fills `host`, `host_stat` and `cpu`.

use std::sync::Arc;

use anyhow::{Context, Result};
use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::host::{CpuKey, CpuStat, CpuTimes, Host, HostStat, Memory, Psi};
use procfs::{CpuTime, FromRead, KernelStats, LoadAverage, Meminfo};

use crate::sys::capability;
use crate::sys::root::Root;

/// One reading of the host's load; rates are still `None`.
#[derive(Debug, Default)]
pub(crate) struct HostReading {
    /// Load of the whole host.
    pub stat: Table<Single, HostStat>,
    /// Each core.
    pub cpu: Table<CpuKey, CpuStat>,
}

/// Reads what the host is, all but how it mounts control groups. Parts that cannot be read are left at their defaults.
///
/// # Errors
/// When `/proc/stat` cannot be read: without boot time and tick length nothing else can be told.
pub(crate) fn read_identity(root: &Root, args_masked: bool) -> Result<Host> {
    let (stat, _) = kernel_stats(root)?;
    let uname = rustix::system::uname();
    let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    let status = std::fs::read_to_string(root.proc_path("self/status")).unwrap_or_default();
    Ok(Host {
        hostname: text(uname.nodename()),
        kernel: text(uname.release()),
        architecture: text(uname.machine()),
        os: os_name(root),
        boot_at: stat.btime * 1_000_000_000,
        cpus: u32::try_from(stat.cpu_time.len()).unwrap_or(0),
        ticks_per_sec: u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        agent_pid: own_pid(&status),
        capabilities: capability::effective(&status),
        args_masked,
        ..Host::default()
    })
}

/// Reads how busy the host is.
///
/// # Errors
/// When `/proc/stat` or `/proc/meminfo` cannot be read or parsed; the others are left unknown.
pub(crate) fn read_load(root: &Root) -> Result<HostReading> {
    let (stat, cores) = kernel_stats(root)?;
    let memory = Meminfo::from_file(root.proc_path("meminfo")).context("reading /proc/meminfo")?;
    let load = LoadAverage::from_file(root.proc_path("loadavg")).ok();
    let uptime = std::fs::read_to_string(root.proc_path("uptime")).unwrap_or_default();
    let row = HostStat {
        uptime_secs: uptime.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0),
        cpu: cpu_times(&stat.total),
        load: load.as_ref().map_or([0.0; 3], |l| [l.one, l.five, l.fifteen]),
        runnable: load.as_ref().map_or(0, |l| l.cur),
        threads: load.as_ref().map_or(0, |l| l.max),
        blocked: stat.procs_blocked.unwrap_or(0),
        memory: memory_of(&memory),
        psi_cpu: psi(root, "cpu"),
        psi_memory: psi(root, "memory"),
        psi_io: psi(root, "io"),
        forks: stat.processes,
        context_switches: stat.ctxt,
        ..HostStat::default()
    };
    let core = |(cpu, time): (&u32, &CpuTime)| {
        (CpuKey { cpu: *cpu }, Arc::new(CpuStat { times: cpu_times(time), ratio: None }))
    };
    Ok(HostReading {
        stat: [(Single, Arc::new(row))].into(),
        cpu: cores.iter().zip(&stat.cpu_time).map(core).collect(),
    })
}

/// The counters, and the numbers of the cores in the order of theirs: a core that is offline has no line.
fn kernel_stats(root: &Root) -> Result<(KernelStats, Vec<u32>)> {
    use procfs::FromReadSI;
    let path = root.proc_path("stat");
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let number = |line: &[u8]| {
        std::str::from_utf8(line.strip_prefix(b"cpu")?.split(|b| *b == b' ').next()?).ok()?.parse().ok()
    };
    let cores = text.split(|b| *b == b'\n').filter_map(number).collect();
    let stats = KernelStats::from_read(text.as_slice(), procfs::current_system_info())
        .with_context(|| format!("parsing {}", path.display()))?;
    Ok((stats, cores))
}

/// The kernel counts guests within user and nice; `top` and we tell them apart.
fn cpu_times(t: &CpuTime) -> CpuTimes {
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let (guest, guest_nice) = (t.guest.unwrap_or(0), t.guest_nice.unwrap_or(0));
    CpuTimes {
        user_nanos: t.user.saturating_sub(guest) * tick,
        nice_nanos: t.nice.saturating_sub(guest_nice) * tick,
        system_nanos: t.system * tick,
        idle_nanos: t.idle * tick,
        iowait_nanos: t.iowait.unwrap_or(0) * tick,
        irq_nanos: t.irq.unwrap_or(0) * tick,
        softirq_nanos: t.softirq.unwrap_or(0) * tick,
        steal_nanos: t.steal.unwrap_or(0) * tick,
        guest_nanos: (guest + guest_nice) * tick,
    }
}

fn memory_of(m: &Meminfo) -> Memory {
    let available = m.mem_available.unwrap_or(m.mem_free);
    Memory {
        total_bytes: m.mem_total,
        free_bytes: m.mem_free,
        available_bytes: available,
        used_bytes: m.mem_total.saturating_sub(available),
        shared_bytes: m.shmem.unwrap_or(0),
        buff_cache_bytes: m.buffers + m.cached + m.s_reclaimable.unwrap_or(0),
        swap_total_bytes: m.swap_total,
        swap_used_bytes: m.swap_total.saturating_sub(m.swap_free),
    }
}

fn psi(root: &Root, resource: &str) -> Option<Psi> {
    let path = root.proc_path(format!("pressure/{resource}"));
    let text = std::fs::read_to_string(path).ok()?;
    Psi::parse(&text)
}

fn os_name(root: &Root) -> Option<String> {
    let text = std::fs::read_to_string(root.host_path("/etc/os-release")).ok()?;
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// Our pid as `/proc` numbers it, unless we see several pid namespaces and so cannot be sure whose numbers these are.
fn own_pid(status: &str) -> Option<u32> {
    let mut pids = status.lines().find_map(|l| l.strip_prefix("NSpid:"))?.split_ascii_whitespace();
    pids.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_answers() {
        let host = read_identity(&Root::host(), false).unwrap();
        assert!(host.cpus > 0 && host.boot_at > 0 && host.ticks_per_sec > 0);
        let load = read_load(&Root::host()).unwrap();
        assert_eq!(load.cpu.len(), host.cpus as usize);
        assert!(load.stat[&Single].memory.total_bytes > 0);
    }
}
