//! What the kernel holds for a process that confines it: `/proc/PID/status`, `limits`, `attr/current`, `uid_map`,
//! `oom_score_adj` and the root in `mountinfo`. All of it anybody may read. Which devices it may use the cgroup tells, which
//! the caller asks.
//!
//! Read for a container's init when it appears or executes another program, and at its turn again: `prlimit`, `capset`
//! and a write to `oom_score_adj` raise no event.

mod limits;
mod status;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::{DeviceControl, Effective};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::unit::printable_bytes;

use crate::sys::mountinfo;
use crate::sys::procfile::read_whole;
use crate::sys::root::Root;
use crate::sys::text::cut;

/// Readings after which an unchanged process is read again.
const RECHECK: u64 = 10;
/// Larger than any file read; a longer one (groups, mounts) is cut.
const FILE_BYTES: usize = 1 << 20;

/// Says which devices a process may use.
pub(crate) type DevicesOf<'a> = &'a dyn Fn(u32) -> (DeviceControl, Vec<String>);

/// Reads and remembers.
pub(crate) struct ConfinementReader {
    root: Root,
    reading: u64,
    entries: BTreeMap<ContainerKey, Entry>,
}

struct Entry {
    process: ProcessKey,
    /// As it was when it was read: another allocation may be another program.
    row: Arc<Process>,
    effective: Arc<Effective>,
}

impl ConfinementReader {
    /// A reader that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { root, reading: 0, entries: BTreeMap::new() }
    }

    /// What holds for these processes, each the init of a container. One that vanished meanwhile is left out.
    pub(crate) fn read(
        &mut self,
        inits: &BTreeMap<ContainerKey, (ProcessKey, Arc<Process>)>,
        devices: DevicesOf<'_>,
    ) -> Table<ContainerKey, Effective> {
        self.reading += 1;
        self.entries
            .retain(|key, entry| inits.get(key).is_some_and(|(process, _)| *process == entry.process));
        for (key, (process, row)) in inits {
            let turn = (self.reading + u64::from(process.pid)).is_multiple_of(RECHECK);
            let known = self.entries.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.row, row));
            if known && !turn {
                continue;
            }
            let Some(effective) = effective(&self.root, process.pid, devices) else { continue };
            let before = self.entries.get(key).filter(|entry| *entry.effective == effective);
            let effective = before.map_or_else(|| Arc::new(effective), |entry| Arc::clone(&entry.effective));
            self.entries.insert(key.clone(), Entry { process: *process, row: Arc::clone(row), effective });
        }
        self.entries.iter().map(|(key, entry)| (key.clone(), Arc::clone(&entry.effective))).collect()
    }
}

/// What holds for one process; `None` when it is gone.
pub(crate) fn effective(root: &Root, pid: u32, devices: DevicesOf<'_>) -> Option<Effective> {
    let mut buffer = Vec::new();
    let file = |name: &str, buffer: &mut Vec<u8>| {
        read_whole(&root.proc_path(format!("{pid}/{name}")), buffer, FILE_BYTES).is_ok()
    };
    let mut held = Effective::default();
    if !file("status", &mut buffer) {
        return None;
    }
    status::take(&buffer, &mut held);
    if file("limits", &mut buffer) {
        held.rlimits = limits::read(&buffer);
    }
    if file("oom_score_adj", &mut buffer) {
        held.oom_score_adj = std::str::from_utf8(&buffer).ok().and_then(|text| text.trim().parse().ok());
    }
    if file("uid_map", &mut buffer) {
        let map = users::map(&buffer);
        held.host_users = users::is_whole(&map);
        held.root_uid = users::outside(&map, 0);
        held.euid_inside = held.euid.and_then(|uid| users::inside(&map, uid));
    }
    // EINVAL: no security module labels processes.
    held.lsm_label =
        file("attr/current", &mut buffer).then(|| label(&buffer)).filter(|text| !text.is_empty());
    if file("mountinfo", &mut buffer) {
        let roots = mountinfo::lines(&buffer).filter(|line| line.mountpoint == b"/");
        let read_only = |line: mountinfo::MountLine<'_>| {
            mountinfo::has_option(line.options, b"ro") || mountinfo::has_option(line.super_options, b"ro")
        };
        held.read_only_root = roots.last().map(read_only); // a later one lies over the earlier
    }
    (held.device_control, held.devices) = devices(pid);
    Some(held)
}

fn label(text: &[u8]) -> String {
    let end = text.iter().rposition(|b| !matches!(b, 0 | b'\n')).map_or(0, |at| at + 1);
    cut(printable_bytes(text.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_devices(_: u32) -> (DeviceControl, Vec<String>) {
        (DeviceControl::Unknown, Vec::new())
    }

    fn own() -> Effective {
        effective(&Root::host(), std::process::id(), &no_devices).unwrap()
    }

    #[test]
    fn our_own_confinement_is_what_system_calls_tell() {
        let own = own();
        assert_eq!(own.euid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(own.egid, Some(rustix::process::getegid().as_raw()));
        let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let told = own.rlimits.iter().find(|limit| limit.name == "nofile").unwrap();
        assert_eq!((told.soft, told.hard), (nofile.current, nofile.maximum));
        assert_eq!(own.rlimits.len(), 16);
        let caps = own.capabilities.unwrap();
        assert!(caps.effective.without(caps.permitted).is_empty());
        assert!(own.oom_score_adj.is_some() && own.read_only_root.is_some() && own.seccomp.is_some());
    }

    #[test]
    fn a_process_is_read_again_when_its_row_is_another_or_at_its_turn() {
        let mut reader = ConfinementReader::new(Root::host());
        let reads = std::cell::Cell::new(0);
        let devices = |_| {
            reads.set(reads.get() + 1);
            (DeviceControl::Bpf, Vec::new())
        };
        let process = ProcessKey { pid: std::process::id(), start_time: 1 };
        let inits = |row: &Arc<Process>| {
            BTreeMap::from([(ContainerKey { id: "a".into() }, (process, Arc::clone(row)))])
        };
        let row = Arc::new(Process::default());
        for _ in 0..RECHECK {
            assert_eq!(reader.read(&inits(&row), &devices).len(), 1);
        }
        assert!((1..=2).contains(&reads.get()), "{}", reads.get());
        let before = reads.get();
        reader.read(&inits(&Arc::new(Process::default())), &devices);
        assert_eq!(reads.get(), before + 1);
        assert!(reader.read(&BTreeMap::new(), &devices).is_empty());
    }

    #[test]
    fn what_is_gone_or_broken_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("proc/7");
        std::fs::create_dir_all(folder.join("attr")).unwrap();
        let root = Root::at(dir.path());
        assert_eq!(effective(&root, 7, &no_devices), None);
        for (name, text) in [
            ("status", &b"CapEff:\tzz\nSeccomp:\t9\nNoNewPrivs:\t\nUid:\n\xff\xfe"[..]),
            ("limits", b"Limit\nMax open files\nMax cpu time   x y\n\xff"),
            ("oom_score_adj", b"none"),
            ("uid_map", b"0 0\n- - -\n"),
            ("attr/current", b"\0\n"),
            ("mountinfo", b"\xff\n1 2"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        assert_eq!(effective(&root, 7, &no_devices), Some(Effective::default()));
    }

    #[test]
    fn labels_end_where_the_text_does() {
        assert_eq!(label(b"docker-default (enforce)\n"), "docker-default (enforce)");
        assert_eq!(
            label(b"system_u:system_r:container_t:s0:c1,c2\0"),
            "system_u:system_r:container_t:s0:c1,c2"
        );
        assert_eq!(label(b"\0\n"), "");
    }
}
