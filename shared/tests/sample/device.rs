//! Representative rows of a block device.

use glasshull_shared::domain::device::{Device, DeviceKey, DeviceKind, DeviceStat};

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
