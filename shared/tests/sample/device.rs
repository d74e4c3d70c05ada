//! Representative rows of a block device, and of a case.

use glasshull_shared::domain::device::{
    CaseKind, CaseLink, Device, DeviceKey, DeviceKind, DeviceStat, IoCase,
};
use glasshull_shared::domain::mount::MountKey;

pub(super) fn key() -> DeviceKey {
    DeviceKey { major_minor: "253:0".into() }
}

pub(super) fn row() -> Device {
    Device {
        name: "dm-0".into(),
        kind: DeviceKind::Dm,
        parents: vec!["sda2".into()],
        size_bytes: Some(1 << 40),
        model: None,
        scheduler: Some("none".into()),
        rotational: Some(false),
        read_only: Some(false),
        dm_name: Some("vg-root".into()),
        dm_uuid: Some("LVM-1".into()),
        backing_file: None,
        content: Some("ext4".into()),
        label: Some("root".into()),
        uuid: Some("12-34".into()),
    }
}

pub(super) fn stat() -> DeviceStat {
    DeviceStat {
        reads: 1,
        writes: 1000,
        write_bytes: 4_096_000,
        flushes: Some(7),
        in_flight: 2,
        writes_per_sec: Some(10.5),
        write_await_secs: Some(0.001),
        queue_length: Some(0.2),
        utilization_ratio: Some(0.5),
        ..DeviceStat::default()
    }
}

pub(super) fn case() -> IoCase {
    let link = CaseLink {
        kind: CaseKind::File,
        name: "journal".into(),
        device: Some(key()),
        mount: Some(MountKey { mntns: Some(4_026_531_841), mount: 30 }),
        container: Some(super::ID.into()),
        process: Some(super::process_key()),
        path: Some("/data/journal".into()),
        host_path: Some("/srv/journal".into()),
        fd: Some(5),
        fstype: Some("ext4".into()),
        wait_ratio: Some(0.5),
        pressure_ratio: Some(0.6),
        queue_length: Some(1.5),
        await_secs: Some(0.25),
        read_bytes_per_sec: Some(1.5),
        write_bytes_per_sec: Some(2.5),
        size_per_sec: Some(3.5),
        position_per_sec: Some(4.5),
        blocked: true,
        unblamed: false,
        evidence: "it grows".into(),
        doubt: "others may write it too".into(),
    };
    IoCase { since: super::AT, links: vec![link] }
}
