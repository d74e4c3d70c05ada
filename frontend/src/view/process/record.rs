//! A process as the filter and the sort orders see it.

use std::collections::HashMap;

use glasshull_shared::domain::process::{Process, ProcessKey, ProcessStat};
use glasshull_shared::snapshot::Snapshot;

use crate::store::filter::{Field, Kind, Record, Value};
use crate::store::word::letter;
use crate::widget::table::order::SortKey;

/// What the filter box of this view understands.
pub(super) const FIELDS: [Field; 18] = [
    Field { name: "name", kind: Kind::Text, help: "command name" },
    Field { name: "cmd", kind: Kind::Text, help: "command line" },
    Field { name: "container", kind: Kind::Text, help: "container's name or id; * for any" },
    Field { name: "user", kind: Kind::Text, help: "user's name, or uid" },
    Field { name: "state", kind: Kind::Word, help: "R S D Z T I" },
    Field { name: "pid", kind: Kind::Number, help: "pid on the host" },
    Field { name: "nspid", kind: Kind::Number, help: "pid inside its container" },
    Field { name: "ppid", kind: Kind::Number, help: "parent's pid" },
    Field { name: "cpu", kind: Kind::Percent, help: "share of one core" },
    Field { name: "mem", kind: Kind::Bytes, help: "resident memory" },
    Field { name: "vsz", kind: Kind::Bytes, help: "virtual size" },
    Field { name: "threads", kind: Kind::Number, help: "number of threads" },
    Field { name: "nice", kind: Kind::Number, help: "nice value" },
    Field { name: "age", kind: Kind::Seconds, help: "time since its start" },
    Field { name: "read", kind: Kind::Rate, help: "from block devices" },
    Field { name: "write", kind: Kind::Rate, help: "to block devices" },
    Field { name: "tty", kind: Kind::Text, help: "terminal; * for any" },
    Field { name: "wchan", kind: Kind::Text, help: "what a D process waits in" },
];

/// One process with what it does and the name of its container.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) key: ProcessKey,
    pub(super) who: &'a Process,
    pub(super) does: Option<&'a ProcessStat>,
    /// Name, or id while nobody told a name; `None` on the host.
    pub(super) container: Option<&'a str>,
    /// Instant of the tick, nanoseconds since the epoch.
    pub(super) now: u64,
}

/// All processes. `names` maps the ids of containers to their names.
pub(super) fn rows<'a>(
    snapshot: &'a Snapshot,
    names: &HashMap<&'a str, &'a str>,
    now: u64,
) -> impl Iterator<Item = Row<'a>> {
    snapshot.process.iter().map(move |(key, who)| {
        let id = who.container.as_deref();
        Row {
            key: *key,
            who,
            does: snapshot.process_stat.get(key).map(|s| &**s),
            container: id.map(|id| names.get(id).copied().unwrap_or(id)),
            now,
        }
    })
}

impl Row<'_> {
    fn number(&self, f: impl FnOnce(&ProcessStat) -> Option<f64>) -> Option<f64> {
        self.does.and_then(f)
    }

    /// What the table sorts by for a column.
    pub(super) fn sort_key(&self, column: &str) -> SortKey {
        let of = |f: fn(&ProcessStat) -> f64| SortKey::number(self.does.map(f));
        match column {
            "pid" => SortKey::Number(f64::from(self.key.pid)),
            "pid_in_ns" => SortKey::number(self.who.pid_in_ns.map(f64::from)),
            "ppid" => SortKey::Number(f64::from(self.who.ppid)),
            "user" => SortKey::text(self.who.user.as_deref()),
            "state" => SortKey::number(self.does.map(|d| f64::from(d.state as u8))),
            "cpu_ratio" => SortKey::number(self.number(|d| d.cpu_ratio.map(f64::from))),
            "rss_bytes" => of(|d| d.rss_bytes as f64),
            "virtual_bytes" => of(|d| d.virtual_bytes as f64),
            "threads" => of(|d| f64::from(d.threads)),
            "priority" => of(|d| f64::from(d.priority)),
            "nice" => of(|d| f64::from(d.nice)),
            // Ticks tell apart what nanoseconds of one boot do not, and never change with the clock.
            "started_at" => SortKey::Number(self.key.start_time as f64),
            "cpu_nanos" => of(|d| d.cpu_nanos as f64),
            "read" => SortKey::number(self.number(|d| d.read_bytes_per_sec.map(f64::from))),
            "write" => SortKey::number(self.number(|d| d.write_bytes_per_sec.map(f64::from))),
            "tty" => SortKey::text(self.who.tty.as_deref()),
            "wait_channel" => SortKey::text(self.does.and_then(|d| d.wait_channel.as_deref())),
            "container" => SortKey::text(self.container),
            "cmdline" => SortKey::text(self.who.cmdline.as_deref()),
            _ => SortKey::text(Some(&self.who.comm)),
        }
    }
}

impl Record for Row<'_> {
    fn value(&self, field: &str) -> Value<'_> {
        let stat = |f: fn(&ProcessStat) -> Option<f64>| Value::maybe_number(self.does.and_then(f));
        match field {
            "name" => Value::text(&self.who.comm),
            "cmd" => Value::maybe_text(self.who.cmdline.as_deref()),
            "container" => match (self.container, self.who.container.as_deref()) {
                (Some(name), Some(id)) if name != id => Value::Text(format!("{name} {id}").into()),
                (name, _) => Value::maybe_text(name),
            },
            "user" => match (&self.who.user, self.who.euid.or(self.who.uid)) {
                (Some(user), _) => Value::text(user),
                (None, Some(uid)) => Value::Text(uid.to_string().into()),
                (None, None) => Value::Unknown,
            },
            "state" => Value::maybe_text(self.does.map(|d| letter(d.state))),
            "pid" => Value::Number(f64::from(self.key.pid)),
            "nspid" => Value::maybe_number(self.who.pid_in_ns.map(f64::from)),
            "ppid" => Value::Number(f64::from(self.who.ppid)),
            "cpu" => stat(|d| d.cpu_ratio.map(f64::from)),
            "mem" => stat(|d| Some(d.rss_bytes as f64)),
            "vsz" => stat(|d| Some(d.virtual_bytes as f64)),
            "threads" => stat(|d| Some(f64::from(d.threads))),
            "nice" => stat(|d| Some(f64::from(d.nice))),
            "age" => Value::Number(self.now.saturating_sub(self.who.started_at) as f64 / 1e9),
            "read" => stat(|d| d.read_bytes_per_sec.map(f64::from)),
            "write" => stat(|d| d.write_bytes_per_sec.map(f64::from)),
            "tty" => Value::maybe_text(self.who.tty.as_deref()),
            "wchan" => Value::maybe_text(self.does.and_then(|d| d.wait_channel.as_deref())),
            _ => Value::Unknown,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let id = self.who.container.as_deref();
        let rest = [self.who.cmdline.as_deref(), self.who.user.as_deref(), self.container, id];
        std::iter::once(self.who.comm.as_str()).chain(rest.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::filter::Query;

    #[test]
    fn every_field_has_a_value_somewhere() {
        let who = Process {
            comm: "nginx".into(),
            cmdline: Some("nginx -g".into()),
            user: Some("www".into()),
            tty: Some("pts/0".into()),
            pid_in_ns: Some(1),
            container: Some("abc".into()),
            ..Process::default()
        };
        let does = ProcessStat {
            cpu_ratio: Some(0.5),
            read_bytes_per_sec: Some(1.0),
            write_bytes_per_sec: Some(1.0),
            wait_channel: Some("io_schedule".into()),
            ..ProcessStat::default()
        };
        let key = ProcessKey { pid: 1, start_time: 1 };
        let row = Row { key, who: &who, does: Some(&does), container: Some("web"), now: 0 };
        for field in FIELDS {
            assert_ne!(row.value(field.name), Value::Unknown, "{}", field.name);
        }
        for text in ["container:web container:abc state:s cpu>49", "www", "abc"] {
            assert!(Query::parse(text, &FIELDS).0.matches(&row), "{text}");
        }
    }

    #[test]
    fn every_column_but_the_first_is_sorted_by_its_own_value() {
        let who = Process { comm: "zzz".into(), ..Process::default() };
        let row =
            Row { key: ProcessKey { pid: 1, start_time: 1 }, who: &who, does: None, container: None, now: 0 };
        for column in super::super::columns::COLUMNS.iter().skip(1) {
            assert_ne!(row.sort_key(column.id), SortKey::Text("zzz".into()), "{}", column.id);
        }
    }
}
