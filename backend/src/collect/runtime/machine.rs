//! systemd-machined's registry: `/run/systemd/machines/NAME`, written for nspawn and whoever registers there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use glasshull_shared::domain::container::Runtime;

use super::state::Plain;
use crate::sys::root::Root;

/// Registered containers by name; virtual machines are left out.
pub(super) fn read(root: &Root) -> BTreeMap<String, Plain> {
    let entries = fs::read_dir(root.host_path("/run/systemd/machines")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            // `unit:NAME` are links back from units.
            let name = entry.file_name().into_string().ok().filter(|name| !name.contains(':'))?;
            let text = fs::read(entry.path()).ok()?;
            Some((name, parse(&String::from_utf8_lossy(&text))?))
        })
        .collect()
}

fn parse(text: &str) -> Option<Plain> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    if value("CLASS").is_some_and(|class| class != "container") {
        return None;
    }
    let service = value("SERVICE").unwrap_or_default();
    let runtime = if service.contains("lxc") { Runtime::Lxc } else { Runtime::Nspawn };
    Some(Plain {
        runtime,
        init_pid: Some(value("LEADER")?.trim().parse().ok()?),
        init_start: None,
        created_at: value("REALTIME").and_then(|micros| micros.parse::<u64>().ok()?.checked_mul(1000)),
        bundle: None::<PathBuf>,
        created_only: false,
        exit_code: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_taken_and_virtual_machines_left() {
        let web = "# private\nNAME=web\nCLASS=container\nSERVICE=systemd-nspawn\nLEADER=4711\nREALTIME=1700000000000000\n";
        let web = parse(web).unwrap();
        assert_eq!(
            (web.runtime, web.init_pid, web.created_at),
            (Runtime::Nspawn, Some(4711), Some(1_700_000_000_000_000_000))
        );
        assert!(parse("NAME=vm\nCLASS=vm\nLEADER=1\n").is_none());
        assert!(parse("LEADER=x\n").is_none() && parse("").is_none());
    }
}
