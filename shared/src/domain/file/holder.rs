//! Who holds files on a file system: why it cannot be unmounted, who reads and writes there. Read on demand for one place.

use serde::{Deserialize, Serialize};

use super::super::process::ProcessKey;

/// A file system, or a block device and the file system on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct HeldPlace {
    /// `major:minor` of the file system, which for one on a block device is that device's.
    pub device: String,
    /// Id of a mount of it, of which is told who is on that very mount.
    pub mount: Option<u64>,
}

/// What a process holds there, as a line of `fuser -vm`. Source: `/proc/PID/fd`, `cwd`, `root`, `exe`, `maps`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FileHolder {
    /// Process id on the host.
    pub pid: u32,
    /// With the pid the key of the process.
    pub start_time: u64,
    /// Command name.
    pub comm: String,
    /// Id of its container, as far as its control group tells; `None` on the host.
    pub container: Option<String>,
    /// Open descriptors there, also of directories.
    pub descriptors: u32,
    /// Those of them that may write.
    pub written: u32,
    /// Descriptors of the block device itself.
    pub nodes: u32,
    /// Different files mapped into its memory, without its program.
    pub mapped: u32,
    /// Its working directory is there.
    pub cwd: bool,
    /// Its root directory.
    pub root: bool,
    /// Its program.
    pub exe: bool,
    /// How much of all this is on the very mount that was asked for: this is what keeps it from being unmounted, while the rest came
    /// through other mounts of the same file system. `None` when no mount was asked for, and where the kernel does not tell (before
    /// Linux 5.8; mapped files count only with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE).
    pub here: Option<u32>,
    /// The largest of the open files, as the process calls it; `None` when it has none open.
    pub largest: Option<String>,
    /// The same on the host; `None` when not found.
    pub largest_host: Option<String>,
    /// Its length.
    pub largest_bytes: Option<u64>,
    /// How fast it goes on in them, each file once, by the descriptor that moves most; `None` when it ended between two looks.
    pub position_per_sec: Option<f32>,
    /// How fast they grow, each file once; below 0 when they shrink. A process that shares a file with others has its growth too.
    pub size_per_sec: Option<f32>,
}

/// Who holds something there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FileHolders {
    /// Who moves and grows most first, then who holds most.
    pub rows: Vec<FileHolder>,
    /// What holds it besides processes: mounts beneath it, loop devices and swap whose files lie there, a sentence each.
    pub others: Vec<String>,
    /// Processes looked at.
    pub looked_at: u64,
    /// Descriptors of all processes looked at.
    pub descriptors: u64,
    /// Processes not looked at: too many, or no time.
    pub left_out: u64,
    /// What could not be read, and why, a sentence each.
    pub missing: Vec<String>,
}

impl FileHolder {
    /// Which process.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_time: self.start_time }
    }

    /// Bytes per second by which it goes on or its files grow, the faster of both.
    pub fn pace(&self) -> f32 {
        self.position_per_sec.unwrap_or_default().max(self.size_per_sec.unwrap_or_default().abs())
    }

    /// All it holds.
    pub fn holds(&self) -> u32 {
        let folders = [self.cwd, self.root, self.exe].into_iter().map(u32::from).sum::<u32>();
        [self.nodes, self.mapped, folders].into_iter().fold(self.descriptors, u32::saturating_add)
    }
}

impl FileHolders {
    /// Who moves most first, then who holds most, then the oldest.
    pub fn sort(&mut self) {
        self.rows.sort_by(|a, b| {
            let by_pace = b.pace().total_cmp(&a.pace());
            by_pace.then(b.holds().cmp(&a.holds())).then(a.key().cmp(&b.key()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_moves_comes_before_who_holds_most() {
        let row = |pid, descriptors, size_per_sec| FileHolder {
            pid,
            descriptors,
            size_per_sec,
            ..FileHolder::default()
        };
        let mut holders = FileHolders {
            rows: vec![row(1, 9, None), row(2, 1, Some(-5.0)), row(3, 2, Some(0.0)), row(4, 9, Some(2.0))],
            ..FileHolders::default()
        };
        holders.sort();
        assert_eq!(holders.rows.iter().map(|row| row.pid).collect::<Vec<_>>(), [2, 4, 1, 3]);
        let all = FileHolder { cwd: true, exe: true, mapped: 3, nodes: u32::MAX, ..row(5, 1, None) };
        assert_eq!((all.holds(), row(1, 9, None).holds()), (u32::MAX, 9));
    }
}
