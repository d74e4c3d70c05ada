//! Mounts of all containers and of the host, one a row.

use glasshull_shared::domain::mount::MountOrigin;
use glasshull_shared::snapshot::{Snapshot, Topic};

use super::LineKey;
use crate::store::filter::{Field, Kind as Is};
use crate::store::lookup::container_name;
use crate::store::mount::is_engine_socket;
use crate::view::sheet::{Datum, Sheet};
use crate::widget::table::{Column, Kind};

pub(super) static SHEET: Sheet<LineKey> = Sheet {
    id: "mounts",
    title: "Mounts",
    noun: "mounts",
    placeholder: "container:web origin:\"host path\" access:writable host:docker.sock",
    empty: "No mount can be read.",
    topics: &[Topic::Mount, Topic::Container],
    columns: &COLUMNS,
    fields: &FIELDS,
    order: ("container", false),
    parent: None,
    keys,
    datum,
};

static COLUMNS: [Column; 10] = [
    Column::text("container", "In", 120, "container, or the host").narrow(100).grow(),
    Column::text("mountpoint", "Mountpoint", 190, "where, as it is seen there")
        .kind(Kind::Code)
        .narrow(150)
        .grow(),
    Column::text("origin", "What", 108, "what it is to the container"),
    Column::text("access", "Access", 86, "whether it can be written to"),
    Column::text("host", "On the host", 240, "the same on the host").kind(Kind::Code).grow(),
    Column::text("fstype", "Type", 80, "type of file system").spare(1),
    Column::text("source", "Source", 110, "what is mounted").kind(Kind::Code).spare(2),
    Column::text("propagation", "Propagation", 106, "whether later mounts below it are passed on").spare(3),
    Column::text("options", "Options", 170, "of the mount").kind(Kind::Code).spare(4),
    Column::text("beneath", "Hidden", 80, "beneath another mount: nobody can reach it").spare(5),
];

const FIELDS: [Field; 11] = [
    Field { name: "container", kind: Is::Text, help: "container or host" },
    Field { name: "id", kind: Is::Text, help: "the container's id" },
    Field { name: "mountpoint", kind: Is::Text, help: "where" },
    Field { name: "origin", kind: Is::Text, help: "root own runtime volume \"host path\"" },
    Field { name: "access", kind: Is::Word, help: "read-only writable" },
    Field { name: "host", kind: Is::Text, help: "path on the host" },
    Field { name: "fstype", kind: Is::Word, help: "overlay ext4 tmpfs" },
    Field { name: "source", kind: Is::Text, help: "device or name" },
    Field { name: "propagation", kind: Is::Text, help: "shared private slave" },
    Field { name: "options", kind: Is::Text, help: "nosuid noexec" },
    Field { name: "beneath", kind: Is::Word, help: "yes: another mount lies over it" },
];

/// By mountpoint, which is the order within each container.
fn keys(s: &Snapshot) -> Vec<LineKey> {
    let mut rows: Vec<_> = s.mount.iter().collect();
    rows.sort_by(|(_, a), (_, b)| a.mountpoint.cmp(&b.mountpoint));
    rows.into_iter().map(|(key, _)| LineKey::Mount(*key)).collect()
}

fn datum(s: &Snapshot, key: &LineKey, column: &str) -> Datum {
    let LineKey::Mount(key) = key else { return Datum::default() };
    let Some(row) = s.mount.get(key) else { return Datum::default() };
    match column {
        "container" => match &row.container {
            Some(id) => Datum::text(container_name(s, id)).tone("strong"),
            None if row.host => Datum::text("host"),
            None => Datum::text(format!("namespace of pid {}", row.pid)),
        },
        "id" => Datum::maybe(row.container.as_ref()),
        "mountpoint" => Datum::text(&row.mountpoint).title(&row.mountpoint),
        "origin" if row.origin == MountOrigin::Host => Datum::default(),
        "origin" if row.from_host.as_ref().is_some_and(|from| is_engine_socket(s, &from.path)) => {
            Datum::text("engine socket")
                .tone("trouble")
                .title("who may speak there may do all that the engine may")
        }
        "origin" => {
            let host = row.origin == MountOrigin::HostPath && !row.read_only;
            Datum::text(row.origin.name()).tone(if host { "attention" } else { "" })
        }
        "access" => Datum::text(if row.read_only { "read-only" } else { "writable" })
            .tone(if row.read_only { "quiet" } else { "" }),
        "host" => Datum::maybe(row.from_host.as_ref().map(|from| from.path.as_str())),
        "fstype" => Datum::text(&row.fstype),
        "source" => Datum::text(&row.source),
        "propagation" => Datum::text(&row.propagation),
        "options" => {
            Datum::text(&row.options).title(format!("{}; file system: {}", row.options, row.super_options))
        }
        "beneath" if row.overmounted => {
            Datum::text("yes").tone("attention").title("another mount lies over it")
        }
        _ => Datum::default(),
    }
}
