//! What one control group's own files allow, per hierarchy. A file that is missing says nothing; one that cannot be read is
//! told and says nothing either: that is not "no limit".

use std::path::Path;

use glasshull_shared::domain::cgroup::{Cap, Freezer, IoLimit, Settings};

use super::limit::{V1_NO_LIMIT, text};
use super::parse::{cap, keyed, number};

/// Block devices listed of one group, at most.
const MOST_DEVICES: usize = 64;
/// Longest list of cores kept.
const LONGEST_SET: usize = 256;

/// One group's directory in one hierarchy.
pub(super) struct Files<'a> {
    pub(super) dir: &'a Path,
    /// As the tree names the group.
    pub(super) path: &'a str,
    pub(super) notices: &'a mut Vec<String>,
}

impl Files<'_> {
    /// The text of a file; `None` when it is missing or cannot be read.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let path = self.dir.join(name);
        text(&path).unwrap_or_else(|error| {
            // v2: groups made for threads do not tell their processes; the files of others tell.
            if error.raw_os_error() != Some(libc::EOPNOTSUPP) {
                self.notices.push(format!("{}: {error}", path.display()));
            }
            None
        })
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| number(&text))
    }

    fn cap(&mut self, name: &str) -> Cap<u64> {
        match self.text(name).and_then(|text| cap(&text)) {
            Some(Cap::Set(n)) if n >= V1_NO_LIMIT => Cap::Unlimited,
            cap => cap.unwrap_or_default(),
        }
    }

    fn set(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let known = text.trim().chars().filter(|c| c.is_ascii_digit() || matches!(c, '-' | ','));
        Some(known.take(LONGEST_SET).collect())
    }

    /// Files of a v1 hierarchy.
    pub(super) fn v1(&mut self, controller: &str, own: &mut Settings) {
        match controller {
            "cpu" => {
                own.cpu_quota_nanos = micros(self.cap("cpu.cfs_quota_us"));
                own.cpu_period_nanos = self.number("cpu.cfs_period_us").and_then(|n| n.checked_mul(1000));
                own.cpu_shares = self.number("cpu.shares");
            }
            "cpuset" => {
                own.cpuset_cpus = self.set("cpuset.effective_cpus");
                own.cpuset_mems = self.set("cpuset.effective_mems");
            }
            "memory" => {
                own.memory_max_bytes = self.cap("memory.limit_in_bytes");
                own.memory_soft_bytes = self.cap("memory.soft_limit_in_bytes");
                own.memory_swap_max_bytes = self.cap("memory.memsw.limit_in_bytes");
                let control = self.text("memory.oom_control");
                own.oom_kill_disable =
                    control.and_then(|text| keyed(&text, "oom_kill_disable")).map(|n| n != 0);
            }
            "pids" => own.pids_max = tasks(self.cap("pids.max")),
            "blkio" => own.io = self.throttle(),
            _ => {}
        }
    }

    /// Files of the v2 tree, as far as its controllers are switched on.
    pub(super) fn v2(&mut self, own: &mut Settings) {
        if let Some(text) = self.text("cpu.max") {
            let (quota, period) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
            own.cpu_quota_nanos = micros(cap(quota).unwrap_or_default());
            own.cpu_period_nanos = number(period).and_then(|n| n.checked_mul(1000));
        }
        set_if(&mut own.cpu_weight, self.number("cpu.weight"));
        set_if(&mut own.cpuset_cpus, self.set("cpuset.cpus.effective"));
        set_if(&mut own.cpuset_mems, self.set("cpuset.mems.effective"));
        if let Some(max) = self.known("memory.max") {
            own.memory_max_bytes = max;
            own.memory_high_bytes = self.cap("memory.high");
            own.memory_low_bytes = self.protected("memory.low");
            own.memory_min_bytes = self.protected("memory.min");
            own.swap_max_bytes = self.cap("memory.swap.max");
            own.oom_group = self.number("memory.oom.group").map(|n| n != 0);
        }
        if let Some(max) = self.known("pids.max") {
            own.pids_max = tasks(max);
        }
        if let Some(text) = self.text("io.max") {
            own.io = Some(text.lines().take(MOST_DEVICES).filter_map(|l| io_max(l, self.path)).collect());
        }
    }

    fn known(&mut self, name: &str) -> Option<Cap<u64>> {
        Some(self.cap(name)).filter(|cap| *cap != Cap::Unknown)
    }

    /// `max` protects everything.
    fn protected(&mut self, name: &str) -> Option<u64> {
        match self.cap(name) {
            Cap::Unknown => None,
            Cap::Unlimited => Some(u64::MAX),
            Cap::Set(n) => Some(n),
        }
    }

    /// v1: a file per kind of limit, a line `8:0 1048576` per device.
    fn throttle(&mut self) -> Option<Vec<IoLimit>> {
        let mut all: Vec<IoLimit> = Vec::new();
        let kinds: [(&str, Field); 4] = [
            ("blkio.throttle.read_bps_device", |l| &mut l.read_bytes_per_sec),
            ("blkio.throttle.write_bps_device", |l| &mut l.write_bytes_per_sec),
            ("blkio.throttle.read_iops_device", |l| &mut l.read_per_sec),
            ("blkio.throttle.write_iops_device", |l| &mut l.write_per_sec),
        ];
        let mut known = false;
        for (name, field) in kinds {
            let Some(text) = self.text(name) else { continue };
            known = true;
            for line in text.lines().take(MOST_DEVICES) {
                let Some((device, Some(n))) = line.split_once(' ').map(|(d, n)| (d, number(n))) else {
                    continue;
                };
                if let Some(limit) = all.iter_mut().find(|limit| limit.device == device) {
                    *field(limit) = Some(n);
                } else if is_device(device) {
                    let mut limit =
                        IoLimit { device: device.into(), from: self.path.into(), ..IoLimit::default() };
                    *field(&mut limit) = Some(n);
                    all.push(limit);
                }
            }
        }
        all.sort();
        known.then_some(all)
    }

    /// v1 and v2 say it in different files. `None` twice where no freezer acts.
    pub(super) fn freezer(&mut self, v2: bool) -> (Option<Freezer>, Option<bool>) {
        if v2 {
            let frozen = self.text("cgroup.events").and_then(|text| keyed(&text, "frozen"));
            let own = self.number("cgroup.freeze").map(|n| n == 1);
            let state = frozen.map(|n| match (n, own) {
                (1, _) => Freezer::Frozen,
                (_, Some(true)) => Freezer::Freezing,
                (_, Some(false) | None) => Freezer::Thawed,
            });
            return (state, own);
        }
        let state = self.text("freezer.state").and_then(|text| match text.trim() {
            "THAWED" => Some(Freezer::Thawed),
            "FREEZING" => Some(Freezer::Freezing),
            "FROZEN" => Some(Freezer::Frozen),
            _ => None,
        });
        (state, self.number("freezer.self_freezing").map(|n| n == 1))
    }

    /// Processes in the group itself.
    pub(super) fn processes(&mut self) -> Option<u32> {
        self.text("cgroup.procs").and_then(|text| u32::try_from(text.lines().count()).ok())
    }
}

/// One of the four numbers of a limit.
type Field = fn(&mut IoLimit) -> &mut Option<u64>;

fn set_if<T>(field: &mut Option<T>, found: Option<T>) {
    if found.is_some() {
        *field = found;
    }
}

fn micros(cap: Cap<u64>) -> Cap<u64> {
    match cap {
        Cap::Set(n) => n.checked_mul(1000).map_or(Cap::Unlimited, Cap::Set),
        Cap::Unknown | Cap::Unlimited => cap,
    }
}

fn tasks(cap: Cap<u64>) -> Cap<u32> {
    match cap {
        Cap::Set(n) => u32::try_from(n).map_or(Cap::Unlimited, Cap::Set),
        Cap::Unlimited => Cap::Unlimited,
        Cap::Unknown => Cap::Unknown,
    }
}

/// Whether it reads `8:16`.
pub(super) fn is_device(text: &str) -> bool {
    text.len() <= 16 && text.split_once(':').is_some_and(|(a, b)| number(a).is_some() && number(b).is_some())
}

/// `8:16 rbps=2097152 wbps=max riops=max wiops=120`.
fn io_max(line: &str, from: &str) -> Option<IoLimit> {
    let (device, fields) = line.split_once(' ')?;
    let field = |key: &str| fields.split(' ').find_map(|field| number(field.strip_prefix(key)?));
    let limit = IoLimit {
        device: device.into(),
        read_bytes_per_sec: field("rbps="),
        write_bytes_per_sec: field("wbps="),
        read_per_sec: field("riops="),
        write_per_sec: field("wiops="),
        from: from.into(),
    };
    let any = [limit.read_bytes_per_sec, limit.write_bytes_per_sec, limit.read_per_sec, limit.write_per_sec];
    (is_device(device) && any.iter().any(Option::is_some)).then_some(limit)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with<T>(files: &[(&str, &str)], read: impl FnOnce(&mut Files<'_>) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut notices = Vec::new();
        let told = read(&mut Files { dir: folder.path(), path: "/a", notices: &mut notices });
        assert!(notices.is_empty(), "{notices:?}");
        told
    }

    #[test]
    fn v1_files_are_told_from_missing_ones() {
        let files = [
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.soft_limit_in_bytes", "4096\n"),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"),
            ("blkio.throttle.read_bps_device", "8:0 1048576\n254:1 7\n"),
            ("blkio.throttle.write_iops_device", "8:0 20\nx 1\n"),
            ("pids.max", "7\n"),
        ];
        let own = with(&files, |files| {
            let mut own = Settings::default();
            ["cpu", "memory", "blkio", "pids", "cpuset", "unheard-of"]
                .iter()
                .for_each(|c| files.v1(c, &mut own));
            own
        });
        assert_eq!((own.cpu_quota_nanos, own.cpu_period_nanos), (Cap::Unlimited, Some(100_000_000)));
        assert_eq!((own.memory_max_bytes, own.memory_soft_bytes), (Cap::Unlimited, Cap::Set(4096)));
        assert_eq!((own.memory_swap_max_bytes, own.oom_kill_disable), (Cap::Unknown, Some(true)));
        assert_eq!((own.pids_max, own.cpuset_cpus), (Cap::Set(7), None));
        let io = own.io.unwrap();
        assert_eq!((io.len(), io[0].device.as_str(), io[1].device.as_str()), (2, "254:1", "8:0"));
        assert_eq!((io[1].read_bytes_per_sec, io[1].write_per_sec), (Some(1_048_576), Some(20)));
    }

    #[test]
    fn v2_files_are_told_from_missing_ones() {
        let files = [
            ("cpu.max", "10000 100000\n"),
            ("cpu.weight", "100\n"),
            ("cpuset.cpus.effective", "0-1,3\n"),
            ("memory.max", "max\n"),
            ("memory.high", "4096\n"),
            ("memory.low", "max\n"),
            ("io.max", "8:16 rbps=2097152 wbps=max riops=max wiops=120\n8:0 rbps=max wbps=max\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("cgroup.freeze", "1\n"),
            ("cgroup.procs", "1\n2\n"),
        ];
        let (own, freezer, processes) = with(&files, |files| {
            let mut own = Settings::default();
            files.v2(&mut own);
            (own, files.freezer(true), files.processes())
        });
        assert_eq!((own.cpu_quota_nanos, own.cpu_period_nanos), (Cap::Set(10_000_000), Some(100_000_000)));
        assert_eq!((own.memory_max_bytes, own.memory_high_bytes), (Cap::Unlimited, Cap::Set(4096)));
        assert_eq!((own.memory_low_bytes, own.memory_min_bytes), (Some(u64::MAX), None));
        assert_eq!((own.pids_max, own.cpuset_cpus.as_deref()), (Cap::Unknown, Some("0-1,3")));
        let io = own.io.unwrap();
        assert_eq!(
            (io.len(), io[0].read_bytes_per_sec, io[0].write_bytes_per_sec),
            (1, Some(2_097_152), None)
        );
        assert_eq!((freezer, processes), ((Some(Freezer::Freezing), Some(true)), Some(2)));
    }

    #[test]
    fn garbage_is_unknown() {
        for garbage in ["", "x", "-7", "max max", "99999999999999999999999", "\u{202e}"] {
            let own = with(&[("cpu.max", garbage), ("memory.max", garbage), ("io.max", garbage)], |files| {
                let mut own = Settings::default();
                files.v2(&mut own);
                own
            });
            assert_eq!((own.memory_max_bytes, own.io.as_deref()), (Cap::Unknown, Some(&[][..])), "{garbage}");
            assert!(matches!(own.cpu_quota_nanos, Cap::Unknown | Cap::Unlimited), "{garbage}");
        }
    }
}
