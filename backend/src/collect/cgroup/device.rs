//! Which devices a process may use: the list of the devices controller, which only cgroup v1 has. With v2 programs decide
//! that are attached to the cgroup and cannot be read back as a list.

use std::fs;

use glasshull_shared::cgroup_path;
use glasshull_shared::domain::confinement::DeviceControl;

use super::CgroupReader;

/// Rules shown of one container.
const RULES_AT_MOST: usize = 256;

impl CgroupReader {
    /// Who decides for a process, and the list where there is one. Source: `devices.list` of its cgroup.
    pub(crate) fn devices(&self, pid: u32) -> (DeviceControl, Vec<String>) {
        let unknown = (DeviceControl::Unknown, Vec::new());
        if !self.mounts.has_v1("devices") {
            let unified = self.mounts.has_v2();
            return if unified { (DeviceControl::Bpf, Vec::new()) } else { unknown };
        }
        // Who has ended is in the root of v1's hierarchies, whose list is everything.
        let stat = fs::read(self.root.proc_path(format!("{pid}/stat"))).unwrap_or_default();
        let after = stat.iter().rposition(|b| *b == b')').and_then(|close| stat.get(close + 2));
        if after.is_some_and(|state| matches!(state, b'Z' | b'X')) {
            return unknown;
        }
        let Ok(text) = fs::read(self.root.proc_path(format!("{pid}/cgroup"))) else { return unknown };
        let text = String::from_utf8_lossy(&text);
        let mut lines = cgroup_path::lines(&text);
        let path = lines.find(|(_, names, _)| names.split(',').any(|name| name == "devices"));
        let list = path
            .and_then(|(_, _, path)| self.mounts.v1_dir("devices", path))
            .and_then(|dir| fs::read(dir.join("devices.list")).ok());
        match list {
            Some(list) => (DeviceControl::CgroupV1, rules(&list)),
            None => unknown,
        }
    }
}

fn rules(list: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(list);
    let rules = text.lines().map(str::trim).filter(|line| !line.is_empty() && line.is_ascii());
    rules.take(RULES_AT_MOST).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_lines() {
        assert_eq!(rules(b"c 1:3 rwm\nb *:* m\n\n\xff\n"), ["c 1:3 rwm", "b *:* m"]);
        assert_eq!(rules(b"a *:* rwm\n").len(), 1);
        assert_eq!(rules("c 1:3 rwm\n".repeat(1000).as_bytes()).len(), RULES_AT_MOST);
    }
}
