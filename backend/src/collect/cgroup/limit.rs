//! Effective limits: the lowest of a cgroup's own and its ancestors' as far as they are mounted.

use std::fs;
use std::path::Path;

use glasshull_shared::domain::container::ContainerStat;

use super::mount::{Controller, Dir};
use super::parse::number;

/// v1 writes "no limit" as the largest number of whole pages.
const V1_NO_LIMIT: u64 = 1 << 62;

/// The limits that hold for one container; `None` = no limit or unknown.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Limits {
    memory_bytes: Option<u64>,
    pids: Option<u32>,
    cores: Option<f32>,
}

impl Limits {
    pub(super) fn read(dirs: &[Dir]) -> Self {
        let mut limits = Self::default();
        for dir in dirs {
            for level in dir.path.ancestors().take_while(|level| level.starts_with(&dir.top)) {
                limits.lower(dir, level);
            }
        }
        limits
    }

    fn lower(&mut self, dir: &Dir, level: &Path) {
        let text = |name: &str| fs::read_to_string(level.join(name)).ok();
        match (dir.controller, dir.v2) {
            (Controller::Memory, v2) => {
                let own = text(if v2 { "memory.max" } else { "memory.limit_in_bytes" });
                let own = own.and_then(|t| number(&t)).filter(|n| *n < V1_NO_LIMIT);
                self.memory_bytes = min(self.memory_bytes, own);
            }
            (Controller::Pids, _) => {
                let own = text("pids.max").and_then(|t| number(&t)).and_then(|n| u32::try_from(n).ok());
                self.pids = min(self.pids, own);
            }
            (Controller::Cpu, true) => {
                let own = text("cpu.max").and_then(|t| {
                    let (quota, period) = t.trim().split_once(' ')?;
                    cores(number(quota)?, number(period)?)
                });
                self.lower_cores(own);
            }
            (Controller::Cpu, false) => {
                // −1 is "no limit" and no number for us.
                let quota = text("cpu.cfs_quota_us").and_then(|t| number(&t));
                let period = text("cpu.cfs_period_us").and_then(|t| number(&t));
                self.lower_cores(quota.zip(period).and_then(|(quota, period)| cores(quota, period)));
            }
            (Controller::Cpuacct | Controller::Io | Controller::Freezer | Controller::Unified, _) => {}
        }
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

fn min<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn cores(quota: u64, period: u64) -> Option<f32> {
    (quota > 0 && period > 0).then(|| (quota as f64 / period as f64) as f32)
}
