//! Containers by what passes block devices for them, by their control groups.

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;

use super::LineKey;
use super::block::measure;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::Column;

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "containers",
    title: "Containers by I/O",
    noun: "containers that run",
    placeholder: "db  written>1M  project:shop",
    empty: "No container runs.",
    topics: &[Topic::ContainerStat, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("storage", true),
    keys,
    datum,
};

static COLUMNS: [Column; 9] = [
    Column::text("name", "Name", 170, "the engine's name").narrow(120).grow(),
    Column::text("project", "Project", 110, "compose project").spare(2),
    Column::number("storage", "Disk", 100, "bytes per second from and to block devices together").narrow(82),
    Column::number("read", "Read", 100, "from block devices: blkio.throttle.io_service_bytes or io.stat")
        .narrow(82),
    Column::number("written", "Written", 100, "to block devices: as above").narrow(82),
    Column::number(
        "pressure",
        "Pressure %",
        92,
        "share of the last 10 s some task of it waited for I/O: io.pressure",
    )
    .spare(4),
    Column::number("read_total", "Read, total", 104, "since its control group was made").spare(1),
    Column::number("written_total", "Written, total", 114, "since its control group was made").spare(1),
    Column::text("image", "Image", 160, "as the engine names it").spare(3),
];

const FIELDS: [Field; 6] = [
    Field { name: "name", kind: Is::Text, help: "the engine's name" },
    Field { name: "project", kind: Is::Text, help: "compose project" },
    Field { name: "image", kind: Is::Text, help: "image" },
    Field { name: "storage", kind: Is::Rate, help: "read and written together" },
    Field { name: "read", kind: Is::Rate, help: "from block devices" },
    Field { name: "written", kind: Is::Rate, help: "to block devices" },
];

fn keys(s: &Snapshot) -> Vec<LineKey> {
    s.container_stat.keys().map(|key| LineKey::Container(key.id.clone())).collect()
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Container(id) = key else { return Datum::default() };
    let key = ContainerKey { id: id.clone() };
    let row = s.container.get(&key);
    let Some(stat) = s.container_stat.get(&key) else { return Datum::default() };
    let total = |n: Option<u64>| {
        n.map_or_else(|| Datum::unknown("not counted"), |n| Datum::measure(n as f64, unit::bytes(n)))
    };
    match column {
        "name" => Datum::text(unit::printable(&container_name(s, id))).tone("strong").title(id),
        "project" => Datum::maybe(row.and_then(|row| row.compose_project.as_deref()).map(unit::printable)),
        "image" => Datum::maybe(row.and_then(|row| row.image.as_deref()).map(unit::printable)),
        "storage" => {
            let both =
                stat.read_bytes_per_sec.zip(stat.write_bytes_per_sec).map(|(read, write)| read + write);
            measure(both, unit::bytes_per_sec)
        }
        "read" => measure(stat.read_bytes_per_sec, unit::bytes_per_sec),
        "written" => measure(stat.write_bytes_per_sec, unit::bytes_per_sec),
        "read_total" => total(stat.read_bytes),
        "written_total" => total(stat.write_bytes),
        "pressure" => {
            let some = stat.psi_io.map(|psi| psi.some.avg10_ratio);
            some.map_or_else(
                || Datum::unknown("no io.pressure for its control group"),
                |share| measure(Some(share), unit::percent_figure),
            )
        }
        _ => Datum::default(),
    }
}
