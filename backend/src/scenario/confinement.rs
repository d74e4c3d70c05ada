//! What confines the container of a fixture, and its mounts, as a live host would have them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::confinement::{CapSet, DeviceControl, Effective, Seccomp};
use glasshull_shared::domain::mount::{Mount, MountKey, MountOrigin};

use super::{processes, read};
use crate::collect::cgroup::CgroupReader;
use crate::collect::confinement::effective;
use crate::collect::mount::MountReader;
use crate::model::mount::join_mounts;
use crate::sys::root::Root;

/// Pid of the container's init in both trees.
const INIT: u32 = 201;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn held(name: &str) -> Effective {
    let root = Root::at(&folder(name));
    let cgroups = CgroupReader::new(root.clone());
    effective(&root, INIT, &|pid| cgroups.devices(pid)).unwrap()
}

fn mounts(name: &str) -> Table<MountKey, Mount> {
    let folder = folder(name);
    let mut all = processes(&Root::at(&folder));
    let told = read(&folder);
    for (key, row) in &mut all {
        let container = told.processes[&key.pid.to_string()].as_str().map(str::to_owned);
        std::sync::Arc::make_mut(row).container = container;
    }
    let init: BTreeSet<_> = all.keys().filter(|key| key.pid == INIT).copied().collect();
    let mut reader = MountReader::new(Root::at(&folder));
    reader.read(&all, &init);
    let mut mounts = reader.mounts();
    join_mounts(&mut mounts, &all, &Table::new());
    mounts
}

#[test]
fn a_container_is_confined_as_its_files_tell() {
    let held = held("docker-hybrid");
    assert_eq!(held.capabilities.unwrap().bounding, CapSet::ENGINE_DEFAULT);
    assert_eq!((held.seccomp, held.no_new_privs), (Some(Seccomp::Filter), Some(true)));
    assert_eq!((held.host_users, held.root_uid, held.euid_inside), (Some(false), Some(100_000), Some(0)));
    assert_eq!((held.read_only_root, held.oom_score_adj), (Some(true), Some(500)));
    assert_eq!(held.lsm_label.as_deref(), Some("docker-default (enforce)"));
    assert_eq!((held.device_control, held.devices.len()), (DeviceControl::CgroupV1, 2));
    assert_eq!(held.rlimits[1].hard, Some(524_288));
}

#[test]
fn its_mounts_lead_to_the_host() {
    let mounts = mounts("docker-hybrid");
    let told = |id| &**mounts.iter().find(|(key, _)| key.mount == id).unwrap().1;
    let from = |id| told(id).from_host.as_ref().map(|from| (from.path.as_str(), from.writable));
    assert_eq!(from(700), Some(("/var/lib/docker/overlay2/aa/merged", false)));
    assert_eq!(from(705), Some(("/srv/big disk/films", true)));
    assert_eq!(from(706), Some(("/run/docker.sock", true)));
    assert_eq!((from(701), from(702), told(701).origin), (None, None, MountOrigin::Own));
    assert_eq!((told(704).origin, told(705).origin), (MountOrigin::Runtime, MountOrigin::HostPath));
    assert_eq!(told(705).mountpoint, "/media/my films");
    assert_eq!((told(22).host, told(22).propagation.as_str()), (true, "shared"));
    assert_eq!(told(700).overlay.as_ref().map(|overlay| overlay.lower.len()), Some(2));
    let hidden: Vec<u32> =
        mounts.iter().filter(|(_, row)| row.overmounted).map(|(key, _)| key.mount).collect();
    assert_eq!(hidden, [707, 708]);
}

#[test]
fn what_is_broken_is_unknown_and_the_rest_is_told() {
    let held = held("broken");
    assert_eq!((held.capabilities, held.seccomp, held.no_new_privs), (None, None, None));
    assert_eq!((held.oom_score_adj, held.lsm_label.clone(), held.rlimits.len()), (None, None, 0));
    assert_eq!((held.host_users, held.root_uid), (Some(false), None));
    let mounts = mounts("broken");
    let ids: Vec<u32> = mounts.keys().map(|key| key.mount).collect();
    assert_eq!(ids, [700, 701, 704, 705], "lines of another form are left out");
    let ours = mounts.values().filter(|row| row.container.is_some());
    assert!(ours.clone().all(|row| row.from_host.is_none()), "the host's mounts are not known");
    assert_eq!(ours.filter(|row| row.overlay.as_ref().is_some_and(|o| o.lower.is_empty())).count(), 1);
}
