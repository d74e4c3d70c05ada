//! How much of each limit a container uses and what is left: the same for the views, the command line and findings.

use super::{Limit, LimitStat};
use crate::domain::container::ContainerStat;

/// What can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// CPU time of a period.
    Cpu,
    /// Memory.
    Memory,
    /// Swap, with memory on v1.
    Swap,
    /// Tasks.
    Pids,
}

impl Resource {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Pids => "pids",
        }
    }
}

/// Use against a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Of what.
    pub resource: Resource,
    /// Used, in the resource's unit: cores, bytes, tasks.
    pub used: f64,
    /// Allowed, in the same unit.
    pub limit: f64,
}

impl Room {
    /// Used share, 0 and up; a limit of 0 is always reached.
    pub fn fill(&self) -> f64 {
        if self.limit > 0.0 { self.used / self.limit } else { 1.0 }
    }

    /// What is left, never below 0.
    pub fn left(&self) -> f64 {
        (self.limit - self.used).max(0.0)
    }
}

/// The limits of a container with their use, the fullest first. What has no limit, or whose use is not known, is left out.
/// Memory counts without inactive page cache, which goes before anybody is killed.
pub fn rooms(limit: &Limit, stat: &ContainerStat, more: Option<&LimitStat>) -> Vec<Room> {
    let room = |resource, used: Option<f64>, limit: Option<f64>| {
        Some(Room { resource, used: used?, limit: limit.filter(|limit| limit.is_finite())? })
    };
    let bytes = |n: Option<u64>| n.map(|n| n as f64);
    let swap = more.and_then(|more| more.swap_bytes);
    // v1 limits the sum; with no more swap than memory allows, memory tells the same.
    let sum = swap.zip(stat.memory_bytes).map(|(swap, memory)| swap.saturating_add(memory));
    let apart = limit.memory_swap_max_bytes.value().filter(|n| Some(*n) != limit.memory_max_bytes.value());
    let mut all: Vec<Room> = [
        room(Resource::Cpu, stat.cpu_ratio.map(f64::from), limit.cpu_cores.value().map(f64::from)),
        room(Resource::Memory, bytes(stat.memory_bytes), bytes(limit.memory_max_bytes.value())),
        // No swap allowed is a choice, not a shortage.
        room(Resource::Swap, bytes(swap), bytes(limit.swap_max_bytes.value().filter(|n| *n > 0)))
            .or_else(|| room(Resource::Swap, bytes(sum), bytes(apart))),
        room(Resource::Pids, stat.pids.map(f64::from), limit.pids_max.value().map(f64::from)),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by(|a, b| b.fill().total_cmp(&a.fill()));
    all
}

#[cfg(test)]
mod tests {
    use super::super::Bound;
    use super::*;

    #[test]
    fn the_fullest_comes_first_and_what_is_unknown_not_at_all() {
        let set = |value| Bound::Set { value, from: "/a".into() };
        let limit = Limit {
            memory_max_bytes: set(1000),
            cpu_cores: Bound::Set { value: 0.5, from: "/".into() },
            pids_max: Bound::Set { value: 0, from: "/a".into() },
            swap_max_bytes: set(0),
            memory_swap_max_bytes: set(1000),
            ..Limit::default()
        };
        let stat = ContainerStat {
            memory_bytes: Some(1200),
            cpu_ratio: Some(0.1),
            pids: Some(0),
            ..ContainerStat::default()
        };
        let more = LimitStat { swap_bytes: Some(10), ..LimitStat::default() };
        let rooms = rooms(&limit, &stat, Some(&more));
        let order: Vec<_> = rooms.iter().map(|room| room.resource).collect();
        assert_eq!(order, [Resource::Memory, Resource::Pids, Resource::Cpu]);
        assert_eq!((rooms[0].left(), rooms[0].fill(), rooms[1].fill()), (0.0, 1.2, 1.0));
    }

    #[test]
    fn swap_beyond_memory_counts_on_both_layouts() {
        let set = |value| Bound::Set { value, from: "/a".into() };
        let stat = ContainerStat { memory_bytes: Some(100), ..ContainerStat::default() };
        let more = LimitStat { swap_bytes: Some(50), ..LimitStat::default() };
        let v1 = Limit { memory_swap_max_bytes: set(300), ..Limit::default() };
        let v2 = Limit { swap_max_bytes: set(100), ..Limit::default() };
        assert_eq!(rooms(&v1, &stat, Some(&more))[0].fill(), 0.5);
        assert_eq!(rooms(&v2, &stat, Some(&more))[0].fill(), 0.5);
        assert!(rooms(&v1, &stat, None).is_empty() && rooms(&Limit::default(), &stat, None).is_empty());
    }
}
