//! What a process's memory consists of, region by region, read on demand for one process ([`MemoryMaps`]).

use serde::{Deserialize, Serialize};

/// What a region of memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// A part of a file.
    File,
    /// What `brk` grows.
    Heap,
    /// The stack of its first thread; those of others are anonymous.
    Stack,
    /// Memory without a file, also with a name by `prctl`, and huge pages without one.
    #[default]
    Anonymous,
    /// Shared memory: `memfd`, System V, `/dev/shm`, shared and anonymous.
    Shared,
    /// Of a device.
    Device,
    /// What the kernel maps into each process: `[vdso]`, `[vvar]`, `[vsyscall]`.
    Vdso,
    /// What has a name of the kernel's that says nothing more: rings, sockets.
    Other,
}

impl MapKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Heap => "heap",
            Self::Stack => "stack",
            Self::Anonymous => "anonymous",
            Self::Shared => "shared memory",
            Self::Device => "device",
            Self::Vdso => "vdso",
            Self::Other => "other",
        }
    }
}

/// One region, as a line of `pmap -X`. Figures are `None` when the kernel does not tell them. Source: `/proc/PID/smaps`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryMap {
    /// Address of its first byte.
    pub start: u64,
    /// Address behind its last one.
    pub end: u64,
    /// `end − start`: what is reserved, of which nothing need be there.
    pub size_bytes: u64,
    /// What may be done, and whether writes are its own: `r-xp`.
    pub permissions: String,
    /// Where in the file it begins.
    pub offset_bytes: u64,
    /// Device of the file's inode, `major:minor`; `None` without a file.
    pub device: Option<String>,
    /// Inode number; `None` without a file.
    pub inode: Option<u64>,
    /// Path inside the process's mount namespace, or the kernel's name (`[heap]`); empty for anonymous memory. Of a deleted file
    /// the path it had.
    pub path: String,
    /// The same file on the host; `None` for what has no path and where no mount of the host shows it.
    pub host_path: Option<String>,
    /// What it is.
    pub kind: MapKind,
    /// No name leads to the file any more; `None` without a file. By the link count, else, where that may not be asked, by the ending
    /// ` (deleted)`, which a file may also be called.
    pub deleted: Option<bool>,
    /// What of it is in memory, also when others have it mapped as well; without pages of hugetlbfs.
    pub rss_bytes: Option<u64>,
    /// The same, each page divided by the number of those who have it mapped.
    pub pss_bytes: Option<u64>,
    /// Pages that nobody else has mapped and that were changed: what it costs alone, and what must be swapped to be freed.
    pub private_dirty_bytes: Option<u64>,
    /// What of it is in swap.
    pub swap_bytes: Option<u64>,
    /// What of it belongs to no file, also in a private mapping of one that was written to.
    pub anonymous_bytes: Option<u64>,
    /// What may not be swapped (`mlock`).
    pub locked_bytes: Option<u64>,
    /// In huge pages: transparent ones and those of hugetlbfs.
    pub huge_bytes: Option<u64>,
}

/// Regions added up. A figure is `None` when no region tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemorySum {
    /// How many regions; `None` when the kernel added up.
    pub regions: Option<u64>,
    /// As in [`MemoryMap`]; `None` when the kernel added up.
    pub size_bytes: Option<u64>,
    /// As in [`MemoryMap`], and so on.
    pub rss_bytes: Option<u64>,
    /// Each region's is cut to whole kilobytes; the kernel's own sum is cut once.
    pub pss_bytes: Option<u64>,
    /// Changed and its own.
    pub private_dirty_bytes: Option<u64>,
    /// In swap.
    pub swap_bytes: Option<u64>,
    /// Of no file.
    pub anonymous_bytes: Option<u64>,
    /// Locked.
    pub locked_bytes: Option<u64>,
    /// In huge pages.
    pub huge_bytes: Option<u64>,
}

/// A process's memory. It was read a page of text at a time: of one that maps and unmaps meanwhile it is no single instant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryMaps {
    /// By address; of very many those with most in memory and swap.
    pub rows: Vec<MemoryMap>,
    /// All regions that were read, also those not listed.
    pub all: MemorySum,
    /// Those that were read and are not listed.
    pub rest: MemorySum,
    /// The kernel's own sum, read right after; `None` where it has none (before Linux 4.14). Source: `/proc/PID/smaps_rollup`.
    pub rollup: Option<MemorySum>,
    /// What could not be read, and why, a sentence each.
    pub missing: Vec<String>,
}

impl MemorySum {
    /// Adds a region.
    pub fn add(&mut self, row: &MemoryMap) {
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or_default().saturating_add(more));
            }
        };
        add(&mut self.regions, Some(1));
        add(&mut self.size_bytes, Some(row.size_bytes));
        add(&mut self.rss_bytes, row.rss_bytes);
        add(&mut self.pss_bytes, row.pss_bytes);
        add(&mut self.private_dirty_bytes, row.private_dirty_bytes);
        add(&mut self.swap_bytes, row.swap_bytes);
        add(&mut self.anonymous_bytes, row.anonymous_bytes);
        add(&mut self.locked_bytes, row.locked_bytes);
        add(&mut self.huge_bytes, row.huge_bytes);
    }

    /// All of these together.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a MemoryMap>) -> Self {
        let mut sum = Self::default();
        rows.into_iter().for_each(|row| sum.add(row));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_unknown_only_when_no_region_tells() {
        let row = |rss, swap| MemoryMap {
            size_bytes: 8192,
            rss_bytes: rss,
            swap_bytes: swap,
            ..MemoryMap::default()
        };
        let sum = MemorySum::of(&[row(Some(4096), None), row(None, None), row(Some(u64::MAX), Some(0))]);
        assert_eq!((sum.regions, sum.size_bytes), (Some(3), Some(24_576)));
        assert_eq!((sum.rss_bytes, sum.swap_bytes, sum.pss_bytes), (Some(u64::MAX), Some(0), None));
        assert_eq!(MemorySum::of([]), MemorySum::default());
    }
}
