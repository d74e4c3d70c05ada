//! Effective limits: the lowest of a cgroup's own and its ancestors' as far as they are mounted.

use std::fs;
use std::io;
use std::path::Path;

use glasshull_shared::domain::container::ContainerStat;

use super::mount::{Controller, Dir};
use super::parse::number;

/// v1 writes "no limit" as the largest number of whole pages.
pub(super) const V1_NO_LIMIT: u64 = 1 << 62;

/// The limits that hold for one container; `None` = no limit.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Limits {
    memory_bytes: Option<u64>,
    pids: Option<u32>,
    cores: Option<f32>,
}

impl Limits {
    /// Reads them.
    ///
    /// # Errors
    /// When a file is there but cannot be read: what it says is then unknown, not "no limit".
    pub(super) fn read(dirs: &[Dir]) -> io::Result<Self> {
        let mut limits = Self::default();
        for dir in dirs {
            for level in dir.path.ancestors().take_while(|level| level.starts_with(&dir.top)) {
                limits.lower(dir, level)?;
            }
        }
        Ok(limits)
    }

    fn lower(&mut self, dir: &Dir, level: &Path) -> io::Result<()> {
        let text = |name: &str| text(&level.join(name));
        match (dir.controller, dir.v2) {
            (Controller::Memory, v2) => {
                let own = text(if v2 { "memory.max" } else { "memory.limit_in_bytes" })?;
                let own = own.and_then(|t| number(&t)).filter(|n| *n < V1_NO_LIMIT);
                self.memory_bytes = min(self.memory_bytes, own);
            }
            (Controller::Pids, _) => {
                let own = text("pids.max")?.and_then(|t| number(&t)).and_then(|n| u32::try_from(n).ok());
                self.pids = min(self.pids, own);
            }
            (Controller::Cpu, true) => {
                let own = text("cpu.max")?.and_then(|t| {
                    let (quota, period) = t.trim().split_once(' ')?;
                    cores(number(quota)?, number(period)?)
                });
                self.lower_cores(own);
            }
            (Controller::Cpu, false) => {
                // −1 is "no limit" and no number for us.
                let quota = text("cpu.cfs_quota_us")?.and_then(|t| number(&t));
                let period = text("cpu.cfs_period_us")?.and_then(|t| number(&t));
                self.lower_cores(quota.zip(period).and_then(|(quota, period)| cores(quota, period)));
            }
            (
                Controller::Cpuacct
                | Controller::Cpuset
                | Controller::Io
                | Controller::Freezer
                | Controller::Unified,
                _,
            ) => {}
        }
        Ok(())
    }

    fn lower_cores(&mut self, own: Option<f32>) {
        self.cores = match (self.cores, own) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Writes the limits into a row.
    pub(super) fn put(&self, stat: &mut ContainerStat) {
        stat.memory_limit_bytes = self.memory_bytes;
        stat.pids_limit = self.pids;
        stat.cpu_limit_cores = self.cores;
    }
}

/// A file's text; `None` when there is none: the root of a hierarchy has no limits, and a cgroup may just have gone.
pub(super) fn text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn min<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn cores(quota: u64, period: u64) -> Option<f32> {
    (quota > 0 && period > 0).then(|| (quota as f64 / period as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(text: Option<&[u8]>) -> io::Result<Limits> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            fs::write(folder.path().join("memory.max"), text).unwrap();
        }
        let (path, top) = (folder.path().to_owned(), folder.path().to_owned());
        Limits::read(&[Dir { controller: Controller::Memory, v2: true, path, top }])
    }

    #[test]
    fn what_cannot_be_read_is_no_missing_limit() {
        assert_eq!(memory(Some(b"4096\n")).unwrap().memory_bytes, Some(4096));
        assert_eq!(memory(Some(b"max\n")).unwrap().memory_bytes, None);
        assert_eq!(memory(None).unwrap().memory_bytes, None);
        assert!(memory(Some(b"\xff\n")).is_err());
    }
}
