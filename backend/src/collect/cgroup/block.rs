//! Block I/O of one control group, device by device: `blkio.throttle.io_service_bytes` and `io_serviced` of v1, `io.stat` of v2.
//! Devices are known by number alone; what their names are, the model joins.

use std::collections::BTreeMap;

use glasshull_shared::domain::container::ContainerDeviceIo;

use super::parse::number;
use super::setting::is_device;

/// Devices of one group, at most.
const MOST_DEVICES: usize = 256;

/// Counters by `major:minor`; rates and names are `None`.
pub(super) type ByDevice = BTreeMap<String, ContainerDeviceIo>;

/// One of the counters.
type Field = fn(&mut ContainerDeviceIo) -> &mut Option<u64>;

/// What a word of a line of v1 counts: in bytes, and in requests.
const V1: [(&str, Field, Field); 3] = [
    ("Read", |row| &mut row.read_bytes, |row| &mut row.reads),
    ("Write", |row| &mut row.write_bytes, |row| &mut row.writes),
    ("Discard", |row| &mut row.discard_bytes, |row| &mut row.discards),
];

const V2: [(&str, Field); 6] = [
    ("rbytes", |row| &mut row.read_bytes),
    ("wbytes", |row| &mut row.write_bytes),
    ("rios", |row| &mut row.reads),
    ("wios", |row| &mut row.writes),
    ("dbytes", |row| &mut row.discard_bytes),
    ("dios", |row| &mut row.discards),
];

/// Lines of `8:0 Read 4096`; `Sync`, `Async` and `Total` are the same requests once more.
pub(super) fn v1(text: &str, bytes: bool, rows: &mut ByDevice) {
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(device), Some(word), Some(n)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Some((_, of_bytes, of_requests)) = V1.iter().find(|(name, ..)| *name == word) else { continue };
        if let (Some(row), Some(n)) = (row_of(rows, device), number(n)) {
            *(if bytes { of_bytes } else { of_requests })(row) = Some(n);
        }
    }
}

/// Lines of `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`, with keys of other policies (`cost.vrate=…`) in between.
/// Some kernels write devices that did nothing without a line end, before the next: a number alone begins a device.
pub(super) fn v2(text: &str, rows: &mut ByDevice) {
    for line in text.lines() {
        let mut device = None;
        for field in line.split_ascii_whitespace() {
            let Some((key, value)) = field.split_once('=') else {
                device = Some(field);
                continue;
            };
            let Some((_, counter)) = V2.iter().find(|(name, _)| *name == key) else { continue };
            if let (Some(device), Some(n)) = (device, number(value))
                && let Some(row) = row_of(rows, device)
            {
                *counter(row) = Some(n);
            }
        }
    }
}

/// `None` for what is no device, and beyond the last that is kept.
fn row_of<'a>(rows: &'a mut ByDevice, device: &str) -> Option<&'a mut ContainerDeviceIo> {
    if !is_device(device) || (rows.len() >= MOST_DEVICES && !rows.contains_key(device)) {
        return None;
    }
    Some(rows.entry(device.to_owned()).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &ByDevice) -> Vec<(&str, [Option<u64>; 6])> {
        let counters = |row: &ContainerDeviceIo| {
            [row.read_bytes, row.write_bytes, row.reads, row.writes, row.discard_bytes, row.discards]
        };
        rows.iter().map(|(device, row)| (device.as_str(), counters(row))).collect()
    }

    fn of_v2(text: &str) -> ByDevice {
        let mut rows = ByDevice::new();
        v2(text, &mut rows);
        rows
    }

    #[test]
    fn v1_tells_bytes_and_requests_in_two_files() {
        let bytes = "7:0 Read 524288\n7:0 Write 2097152\n7:0 Sync 2621440\n7:0 Async 0\n7:0 Discard 0\n7:0 Total 2621440\n\
                     254:0 Read 4096\n254:0 Write 0\n254:0 Total 4096\nTotal 2625536\n";
        let requests = "7:0 Read 8\n7:0 Write 32\n7:0 Sync 40\n7:0 Discard 0\n7:0 Total 40\nTotal 40\n";
        let mut rows = ByDevice::new();
        v1(bytes, true, &mut rows);
        v1(requests, false, &mut rows);
        let loop0 = [Some(524_288), Some(2_097_152), Some(8), Some(32), Some(0), Some(0)];
        // Before Linux 4.18 no word tells of discards.
        let vda = [Some(4096), Some(0), None, None, None, None];
        assert_eq!(told(&rows), [("254:0", vda), ("7:0", loop0)]);
    }

    #[test]
    fn where_v1_counts_nothing_there_is_no_row() {
        let mut rows = ByDevice::new();
        v1("Total 0\n", true, &mut rows);
        v1("", false, &mut rows);
        assert!(rows.is_empty());
    }

    #[test]
    fn v2_tells_all_in_a_line_and_what_it_does_not_know_is_passed_over() {
        let rows = of_v2(
            "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=7 dios=1 cost.vrate=100.00 cost.usage=12 depth=4 use=3\n\
             8:0 cost.usage=1 rbytes=90 wbytes=2\n",
        );
        let sdb = [Some(1_459_200), Some(314_773_504), Some(192), Some(353), Some(7), Some(1)];
        let sda = [Some(90), Some(2), None, None, None, None];
        assert_eq!(told(&rows), [("8:0", sda), ("8:16", sdb)]);
    }

    #[test]
    fn devices_without_a_line_end_are_told_apart() {
        let rows = of_v2("7:7 7:6 7:5 8:0 rbytes=5 wbytes=6 rios=1 wios=1 dbytes=0 dios=0\n253:0 \n");
        assert_eq!(told(&rows), [("8:0", [Some(5), Some(6), Some(1), Some(1), Some(0), Some(0)])]);
    }

    #[test]
    fn garbage_is_no_device_and_no_number() {
        let broken = [
            "",
            "\n",
            "x",
            "(unknown) rbytes=5",
            "rbytes=5 wbytes=6",
            "8:0",
            "8:0 rbytes=",
            "8:0 rbytes=-1 wbytes=max",
            "8:0 rbytes=99999999999999999999999",
            "a:b rbytes=5",
            "8: rbytes=5",
            "\u{fffd}:0 rbytes=5",
            "8:0000000000000000000000000 rbytes=5",
            "8:0 =5 rbytes",
            "8:0:1 rbytes=5",
        ];
        for text in broken {
            assert!(of_v2(text).values().all(|row| *row == ContainerDeviceIo::default()), "{text}");
        }
        for text in [
            "8:0 Read",
            "8:0 Read -1",
            "8:0 read 5",
            "Read 8:0 5",
            "x:y Read 5",
            "8:0 Total 5",
            "8:0 Read 5x",
        ] {
            let mut rows = ByDevice::new();
            v1(text, true, &mut rows);
            assert!(rows.values().all(|row| *row == ContainerDeviceIo::default()), "{text}");
        }
    }

    #[test]
    fn endless_devices_are_bounded() {
        let text: String = (0..10_000).map(|n| format!("8:{n} rbytes=1\n")).collect();
        assert_eq!(of_v2(&text).len(), MOST_DEVICES);
    }
}
