//! Whole hosts in small: every folder of `fixtures/` is read as a live host would be, and must give its `expect.json`.
//!
//! `expect.json` holds `cgroup_mode`, `containers` (id → fields of the row that must be so; no other container may
//! appear), `stats` and `limits` (id → fields), `devices` (`ID MAJOR:MINOR` → fields; where it stands, no other may appear), `groups` (path → fields), `processes` (pid → container id or null) and `notices` (texts that must occur).
//! All paths of the host are looked up below the folder. What a tree leaves out, that host does not have.

mod confinement;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{
    ContainerDeviceIo, ContainerDeviceKey, ContainerKey, ContainerStat,
};
use glasshull_shared::domain::process::{Process, ProcessKey};
use serde_json::Value;

use crate::collect::cgroup::{CgroupReader, Extra};
use crate::collect::runtime::RuntimeReader;
use crate::model::cgroup::{Groups, join_groups, limits};
use crate::model::join::{Joined, Known, join_containers};
use crate::sys::root::Root;

/// What one host gives, as JSON.
struct Told {
    cgroup_mode: Value,
    containers: BTreeMap<String, Value>,
    stats: BTreeMap<String, Value>,
    devices: BTreeMap<String, Value>,
    limits: BTreeMap<String, Value>,
    groups: BTreeMap<String, Value>,
    processes: BTreeMap<String, Value>,
    notices: Vec<String>,
}

/// As much of the process collector as containers need.
fn processes(root: &Root) -> Table<ProcessKey, Process> {
    let mut all = Table::new();
    for entry in fs::read_dir(&root.proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let text = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let stat = text("stat");
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        let inside = text("status")
            .lines()
            .find_map(|l| l.strip_prefix("NSpid:")?.split_whitespace().next_back()?.parse().ok());
        let process = Process {
            ppid: u32::try_from(number(1)).unwrap_or(0),
            comm: head.split_once('(').map_or("", |(_, comm)| comm).to_owned(),
            started_at: number(19).saturating_mul(10_000_000),
            pid_in_ns: inside,
            cgroup: cgroup_path::deepest(&text("cgroup")).map(str::to_owned),
            ..Process::default()
        };
        all.insert(ProcessKey { pid, start_time: number(19) }, Arc::new(process));
    }
    all
}

fn read(folder: &Path) -> Told {
    let root = Root::at(folder);
    let mut all = processes(&root);
    let mut runtime = RuntimeReader::new(root.clone());
    let mut cgroup = CgroupReader::new(root);
    let found = runtime.read(&all);
    assert_eq!(runtime.read(&all), found, "a second look at an unchanged host tells the same");
    let mut joined = Joined::default();
    let (engines, told) = (Table::new(), Table::new());
    let mut join = |all: &mut Table<_, _>, frozen: &BTreeSet<ContainerKey>| {
        let known = Known { engines: &engines, containers: &told, runtime: &found, frozen };
        (join_containers(known, all, &mut joined), joined.members().clone())
    };
    let (_, members) = join(&mut all.clone(), &BTreeSet::new());
    let mut reading = cgroup.read(&members, Extra { limits: true, devices: true });
    let (containers, _) = join(&mut all, &reading.frozen);
    joined.put_counts(&mut reading.stats);
    let own: Groups = cgroup.groups().map(|(key, paths)| (key.clone(), paths.to_vec())).collect();
    let mut tree = cgroup.tree();
    join_groups(&mut tree.groups, &own);
    let limits = limits(&tree.groups, &own);
    let json = |table: &Table<ContainerKey, ContainerStat>| {
        table.iter().map(|(key, row)| (key.id.clone(), serde_json::to_value(row).unwrap())).collect()
    };
    Told {
        cgroup_mode: serde_json::to_value(cgroup.mode()).unwrap(),
        containers: containers
            .iter()
            .map(|(k, row)| (k.id.clone(), serde_json::to_value(row).unwrap()))
            .collect(),
        stats: json(&reading.stats),
        devices: by_device(&reading.devices),
        limits: limits.iter().map(|(k, row)| (k.id.clone(), serde_json::to_value(row).unwrap())).collect(),
        groups: tree
            .groups
            .iter()
            .map(|(k, row)| (k.path.clone(), serde_json::to_value(row).unwrap()))
            .collect(),
        processes: all
            .iter()
            .map(|(k, row)| (k.pid.to_string(), Value::from(row.container.clone())))
            .collect(),
        notices: reading.notices,
    }
}

/// Rows by container and device, `ID MAJOR:MINOR`.
fn by_device(table: &Table<ContainerDeviceKey, ContainerDeviceIo>) -> BTreeMap<String, Value> {
    let named = |key: &ContainerDeviceKey| format!("{} {}", key.container, key.major_minor);
    table.iter().map(|(key, row)| (named(key), serde_json::to_value(row).unwrap())).collect()
}

/// Each expected field must be as said; fields not mentioned are free.
fn compare(what: &str, expected: &Value, told: &BTreeMap<String, Value>, faults: &mut Vec<String>) {
    let none = serde_json::Map::new();
    for (id, fields) in expected.as_object().unwrap_or(&none) {
        let Some(row) = told.get(id) else {
            faults.push(format!("{what} {id} is missing"));
            continue;
        };
        let Some(fields) = fields.as_object() else {
            if row != fields {
                faults.push(format!("{what} {id}: expected {fields}, got {row}"));
            }
            continue;
        };
        for (field, value) in fields {
            let got = row.get(field).unwrap_or(&Value::Null);
            if !same(got, value) {
                faults.push(format!("{what} {id} {field}: expected {value}, got {got}"));
            }
        }
    }
}

/// Equal, numbers with a fraction nearly so: rows hold them in single precision.
fn same(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(k, b)| a.get(k).is_some_and(|a| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() => {
            a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-6)
        }
        (got, expected) => got == expected,
    }
}

#[test]
fn every_fixture_gives_what_it_must() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut folders: Vec<_> =
        fs::read_dir(&fixtures).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    let mut faults = Vec::new();
    let mut seen = 0;
    for folder in folders {
        let Ok(text) = fs::read(folder.join("expect.json")) else { continue };
        seen += 1;
        let expected: Value = serde_json::from_slice(&text).unwrap();
        let told = read(&folder);
        let mut here = Vec::new();
        if told.cgroup_mode != expected["cgroup_mode"] {
            here.push(format!("cgroup_mode: expected {}, got {}", expected["cgroup_mode"], told.cgroup_mode));
        }
        compare("container", &expected["containers"], &told.containers, &mut here);
        compare("stat", &expected["stats"], &told.stats, &mut here);
        compare("device of", &expected["devices"], &told.devices, &mut here);
        if let Some(wanted) = expected["devices"].as_object() {
            let more = told.devices.keys().filter(|at| !wanted.contains_key(*at));
            here.extend(more.map(|at| format!("{at} is too much")));
        }
        compare("limit", &expected["limits"], &told.limits, &mut here);
        compare("cgroup", &expected["groups"], &told.groups, &mut here);
        compare("process", &expected["processes"], &told.processes, &mut here);
        let wanted = expected["containers"].as_object().unwrap();
        here.extend(
            told.containers
                .keys()
                .filter(|id| !wanted.contains_key(*id))
                .map(|id| format!("{id} is too much")),
        );
        for notice in expected["notices"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !told.notices.iter().any(|n| n.contains(notice)) {
                here.push(format!("no notice says {notice:?}: {:?}", told.notices));
            }
        }
        // Every environment in the trees holds this word.
        here.extend(
            told.containers
                .values()
                .filter(|r| r.to_string().contains("secret"))
                .map(|r| format!("leaks {r}")),
        );
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        faults.extend(here.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(seen >= 13, "only {seen} fixtures found in {}", fixtures.display());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
