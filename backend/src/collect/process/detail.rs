//! All that is known of one process, read when somebody selects it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use glasshull_shared::domain::file::HostFile;
use glasshull_shared::domain::process::{
    MemoryDetail, NamespaceLink, ProcessDetail, ProcessKey, ProcessState,
};
use glasshull_shared::unit::printable_bytes as printable;
use procfs::FromRead;
use procfs::process::{SmapsRollup, Status};

use super::stat;
use crate::sys::capability;
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// The namespaces of a process in the order `lsns` knows them.
const NAMESPACES: [&str; 8] = ["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"];
/// A chain of parents is never longer on a sane host; protects from a loop while pids change under us.
const PARENTS_AT_MOST: usize = 64;

/// Reads the details of a process; `exe` is its program as found by the caller.
///
/// # Errors
/// A sentence for people when the process is gone or its pid belongs to another one now.
pub(crate) fn read(root: &Root, key: ProcessKey, exe: Option<HostFile>) -> Result<ProcessDetail, String> {
    let file = |name: &str| root.proc_path(format!("{}/{name}", key.pid));
    let mut buffer = Vec::new();
    let ended = || super::ended(key.pid);
    read_once(&file("stat"), &mut buffer, super::STAT_BYTES).map_err(|_| ended())?;
    let now = stat::parse(&buffer).ok_or_else(ended)?;
    if now.start_time != key.start_time {
        return Err(super::reused(key.pid));
    }
    let (parents, state) = (parents(root, now.ppid), now.state);
    let kernel_thread = now.flags & 0x0020_0000 != 0;
    let text = |name: &str| std::fs::read_to_string(file(name)).ok();
    let link =
        |name: &str| std::fs::read_link(file(name)).ok().map(|p| printable(p.as_os_str().as_encoded_bytes()));
    // comm in it may be no UTF-8.
    let status = std::fs::read(file("status")).ok();
    let status = status.and_then(|bytes| Status::from_read(String::from_utf8_lossy(&bytes).as_bytes()).ok());
    let mut detail = ProcessDetail {
        exe,
        cwd: link("cwd"),
        root: link("root").filter(|r| r != "/"),
        memory: memory(root, key.pid),
        ns_pids: status
            .as_ref()
            .and_then(|s| s.nspid.clone())
            .unwrap_or_default()
            .iter()
            .map(|p| p.unsigned_abs())
            .collect(),
        namespaces: namespaces(root, key.pid),
        cgroups: text("cgroup").unwrap_or_default().lines().map(str::to_owned).collect(),
        parents,
        open_files: std::fs::read_dir(file("fd")).ok().map(|d| u32::try_from(d.count()).unwrap_or(u32::MAX)),
        oom_score_adj: text("oom_score_adj").and_then(|t| t.trim().parse().ok()),
        wait_channel: text("wchan").filter(|w| w != "0" && !w.is_empty()),
        context_switches: status
            .and_then(|s| Some((s.voluntary_ctxt_switches?, s.nonvoluntary_ctxt_switches?))),
        confinement: None, // the caller's: another collector reads it
        missing: Vec::new(),
    };
    if state == ProcessState::Z {
        let released =
            "memory, files and most namespaces are released already: its parent has not waited for it";
        detail.missing = vec![format!("it has ended (zombie); {released}")];
    } else if !kernel_thread {
        detail.missing = missing(&detail);
    }
    // What was read meanwhile must be of the same process.
    if super::is_still(root, key) { Ok(detail) } else { Err(ended()) }
}

fn missing(detail: &ProcessDetail) -> Vec<String> {
    let parts = [
        (detail.exe.is_none(), "host path of the binary", "CAP_SYS_PTRACE"),
        (detail.namespaces.is_empty(), "namespaces", "CAP_SYS_PTRACE"),
        (detail.memory.is_none(), "exact memory (PSS)", "CAP_SYS_PTRACE"),
        (detail.open_files.is_none(), "open files", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"),
    ];
    let missing = parts.into_iter().filter(|(is_missing, ..)| *is_missing);
    missing.map(|(_, what, needs)| format!("{what}: {}", why_refused(needs))).collect()
}

/// Why the kernel hides a part of a process. Only what is missing makes us look at what we hold.
pub(super) fn why_refused(needs: &str) -> String {
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if capability::effective(&own).iter().any(|held| held == "CAP_SYS_PTRACE") {
        "the kernel refuses it: the process holds more than the agent".to_owned()
    } else {
        format!("needs {needs}")
    }
}

/// Ancestors from the nearest on, with their names.
fn parents(root: &Root, mut pid: u32) -> Vec<(u32, String)> {
    let mut chain = Vec::new();
    let mut buffer = Vec::new();
    while pid != 0 && chain.len() < PARENTS_AT_MOST {
        if read_once(&root.proc_path(format!("{pid}/stat")), &mut buffer, super::STAT_BYTES).is_err() {
            break;
        }
        let Some(stat) = stat::parse(&buffer) else { break };
        chain.push((pid, printable(stat.comm)));
        pid = stat.ppid;
    }
    chain
}

fn namespaces(root: &Root, pid: u32) -> Vec<NamespaceLink> {
    let link = |kind: &str| {
        let theirs = root.proc_path(format!("{pid}/ns/{kind}"));
        let inode = std::fs::metadata(theirs).ok()?.ino();
        let own = std::fs::metadata(root.proc_path(format!("self/ns/{kind}"))).map(|m| m.ino());
        Some(NamespaceLink { kind: kind.to_owned(), inode, same_as_agent: own.ok() == Some(inode) })
    };
    NAMESPACES.into_iter().filter_map(link).collect()
}

fn memory(root: &Root, pid: u32) -> Option<MemoryDetail> {
    let rollup = SmapsRollup::from_file(root.proc_path(format!("{pid}/smaps_rollup"))).ok()?;
    let map: &HashMap<String, u64> = &rollup.memory_map_rollup.0.first()?.extension.map;
    let sum = |names: &[&str]| names.iter().filter_map(|n| map.get(*n)).sum();
    Some(MemoryDetail {
        rss_bytes: sum(&["Rss"]),
        pss_bytes: sum(&["Pss"]),
        shared_bytes: sum(&["Shared_Clean", "Shared_Dirty"]),
        private_bytes: sum(&["Private_Clean", "Private_Dirty"]),
        swap_bytes: sum(&["Swap"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_details_are_complete_and_a_reused_pid_is_refused() {
        let root = Root::host();
        let mut buffer = Vec::new();
        let pid = std::process::id();
        read_once(&root.proc_path(format!("{pid}/stat")), &mut buffer, 4096).unwrap();
        let key = ProcessKey { pid, start_time: stat::parse(&buffer).unwrap().start_time };
        let detail = read(&root, key, None).unwrap();
        let memory = detail.memory.unwrap();
        assert!(memory.rss_bytes >= memory.pss_bytes && memory.pss_bytes > 0);
        assert!(detail.namespaces.iter().all(|n| n.same_as_agent) && !detail.namespaces.is_empty());
        assert!(!detail.parents.is_empty());
        let other = ProcessKey { start_time: 1, ..key };
        assert!(read(&root, other, None).unwrap_err().contains("another process"));
    }
}
