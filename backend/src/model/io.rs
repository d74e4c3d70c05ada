//! I/O of processes added up by container, and the names of devices whose I/O control groups count.

use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{ContainerDeviceIo, ContainerDeviceKey, ContainerIo, ContainerKey};
use glasshull_shared::domain::device::{Device, DeviceKey};
use glasshull_shared::domain::process::{Process, ProcessIo, ProcessKey, ProcessStat, ProcessState};

/// A row for each container that has processes with I/O that is known.
pub(crate) fn by_container(
    process: &Table<ProcessKey, Process>,
    stat: &Table<ProcessKey, ProcessStat>,
    io: &Table<ProcessKey, ProcessIo>,
) -> Table<ContainerKey, ContainerIo> {
    let mut rows = std::collections::BTreeMap::<&str, ContainerIo>::new();
    for (key, io) in io {
        let Some(id) = process.get(key).and_then(|row| row.container.as_deref()) else { continue };
        let sum = rows.entry(id).or_default();
        sum.processes += 1;
        sum.waiting += u32::from(stat.get(key).is_some_and(|row| row.state == ProcessState::D));
        add(&mut sum.read_bytes_per_sec, io.read_bytes_per_sec);
        add(&mut sum.write_bytes_per_sec, io.write_bytes_per_sec);
        add(&mut sum.rchar_bytes_per_sec, io.rchar_bytes_per_sec);
        add(&mut sum.wchar_bytes_per_sec, io.wchar_bytes_per_sec);
        add(&mut sum.block_wait_ratio, io.block_wait_ratio);
    }
    rows.into_iter().map(|(id, row)| (ContainerKey { id: id.to_owned() }, row.into())).collect()
}

/// Names the devices that control groups know by number.
pub(crate) fn name_devices(
    rows: &mut Table<ContainerDeviceKey, ContainerDeviceIo>,
    devices: &Table<DeviceKey, Device>,
) {
    for (key, row) in rows {
        let device = devices.get(&DeviceKey { major_minor: key.major_minor.clone() });
        Arc::make_mut(row).device = device.map(|device| device.name.clone());
    }
}

/// What is unknown of one process (it was started a moment ago) takes nothing from what is known of the others.
fn add(sum: &mut Option<f32>, one: Option<f32>) {
    if let Some(one) = one {
        *sum = Some(sum.unwrap_or_default() + one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_name_of_its_number_and_none_when_it_is_gone() {
        let key = |number: &str| ContainerDeviceKey { container: "a".into(), major_minor: number.into() };
        let row =
            || Arc::new(ContainerDeviceIo { device: Some("old".into()), ..ContainerDeviceIo::default() });
        let mut rows: Table<_, _> = [(key("254:0"), row()), (key("7:0"), row())].into();
        let vda = Device { name: "vda".into(), ..Device::default() };
        let devices = [(DeviceKey { major_minor: "254:0".into() }, Arc::new(vda))].into();
        name_devices(&mut rows, &devices);
        let names: Vec<_> = rows.values().map(|row| row.device.as_deref()).collect();
        assert_eq!(names, [Some("vda"), None]);
    }

    #[test]
    fn processes_of_a_container_are_added_up_and_unknown_stays_unknown() {
        let key = |pid| ProcessKey { pid, start_time: 1 };
        let of =
            |container: Option<&str>| Process { container: container.map(Into::into), ..Process::default() };
        let process: Table<_, _> = [(1, Some("a")), (2, Some("a")), (3, Some("b")), (4, None)]
            .into_iter()
            .map(|(pid, container)| (key(pid), of(container).into()))
            .collect();
        let waits = ProcessStat { state: ProcessState::D, ..ProcessStat::default() };
        let stat: Table<_, _> = [(key(2), waits.into())].into_iter().collect();
        let io = |written| ProcessIo { write_bytes_per_sec: written, ..ProcessIo::default() };
        let io: Table<_, _> = [(1, Some(1.0)), (2, Some(2.0)), (3, None), (4, Some(9.0))]
            .into_iter()
            .map(|(pid, written)| (key(pid), io(written).into()))
            .collect();
        let rows = by_container(&process, &stat, &io);
        let told: Vec<_> = rows
            .iter()
            .map(|(key, row)| (key.id.as_str(), row.processes, row.waiting, row.write_bytes_per_sec))
            .collect();
        assert_eq!(told, [("a", 2, 1, Some(3.0)), ("b", 1, 0, None)]);
        assert_eq!(rows.values().map(|row| row.read_bytes_per_sec).collect::<Vec<_>>(), [None, None]);
    }
}
