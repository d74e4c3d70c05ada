//! Block devices: fills `device` and `device_stat`.

use glasshull_shared::domain::device::{DeviceKey, DeviceStat};
use glasshull_shared::snapshot::Snapshot;

use super::{Raw, keep_rows};
use crate::agent::source::Troubles;
use crate::collect;
use crate::collect::device::DeviceReader;
use crate::sys::root::Root;

/// Readings of block devices.
pub(crate) struct DevicePart {
    root: Root,
    reader: DeviceReader,
    stat: Raw<DeviceKey, DeviceStat>,
}

impl DevicePart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { reader: DeviceReader::new(root.clone()), root, stat: Raw::default() }
    }

    /// Forgets what was read.
    pub(crate) fn release(&mut self) {
        *self = Self::new(self.root.clone());
    }

    /// Reads all devices. `now` is monotonic.
    pub(crate) fn read(&mut self, next: &mut Snapshot, now: u64, troubles: &mut Troubles) {
        match self.reader.read() {
            Ok(reading) => {
                next.device = keep_rows(reading.device, &next.device);
                self.stat.show(now, reading.stat, &mut next.device_stat);
                troubles.none(collect::DEVICE);
            }
            Err(error) => troubles.stale(collect::DEVICE, format!("reading /proc/diskstats: {error}")),
        }
    }
}
