//! Whose a control group is, and what holds for each container: its own limits and those of the groups above it.

use std::collections::BTreeMap;
use std::sync::Arc;

use glasshull_shared::cgroup_path;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::cgroup::{Bound, Cap, Cgroup, CgroupKey, Limit, Settings};
use glasshull_shared::domain::container::ContainerKey;

/// Groups followed upwards, at most.
const MOST_LEVELS: usize = 64;

/// The group of each container by controller, below the mounted hierarchies.
pub(crate) type Groups = BTreeMap<ContainerKey, Vec<(&'static str, String)>>;

/// Says of each group whose it is: the innermost container at or above it, by where containers are; else by its name.
pub(crate) fn join_groups(groups: &mut Table<CgroupKey, Cgroup>, of: &Groups) {
    let own: BTreeMap<&str, &str> = of
        .iter()
        .flat_map(|(key, paths)| paths.iter().map(|(_, path)| (path.as_str(), key.id.as_str())))
        .filter(|(path, _)| path.len() > 1)
        .collect();
    for (key, row) in groups.iter_mut() {
        let at = ancestors(&key.path).find_map(|path| own.get(path).map(|id| (*id).to_owned()));
        let named = cgroup_path::parse(&key.path);
        // A name below the known one is a container in that container which nobody else told of.
        let named = named.filter(|found| {
            at.is_none() || found.parent.is_some() && found.parent == at || own.contains_key(found.path)
        });
        Arc::make_mut(row).container = named.map(|found| found.id).or(at);
    }
}

/// `/a/b`, `/a`, `/`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| above(path)).take(MOST_LEVELS)
}

fn above(path: &str) -> Option<&str> {
    let (above, _) = path.rsplit_once('/').filter(|_| path.len() > 1)?;
    Some(if above.is_empty() { "/" } else { above })
}

/// What holds for each container.
pub(crate) fn limits(groups: &Table<CgroupKey, Cgroup>, of: &Groups) -> Table<ContainerKey, Limit> {
    let known = of.iter().filter(|(_, paths)| !paths.is_empty());
    known.map(|(key, paths)| (key.clone(), Arc::new(limit(groups, paths)))).collect()
}

fn limit(groups: &Table<CgroupKey, Cgroup>, paths: &[(&'static str, String)]) -> Limit {
    let path_of = |controller: &str| paths.iter().find(|(name, _)| *name == controller).map(|(_, path)| path);
    let levels = |controller: &str| -> Vec<(&str, &Settings)> {
        let path = path_of(controller).map_or("", String::as_str);
        let found = ancestors(path).filter_map(|path| groups.get_key_value(&CgroupKey { path: path.into() }));
        found.map(|(key, row)| (key.path.as_str(), &row.own)).collect()
    };
    let empty = Settings::default();
    let own_of =
        |levels: &[(&str, &Settings)]| levels.first().map_or(empty.clone(), |(_, own)| (*own).clone());
    let (cpu, memory, pids) = (levels("cpu"), levels("memory"), levels("pids"));
    let (own_cpu, own_memory) = (own_of(&cpu), own_of(&memory));
    let own_set = own_of(&levels("cpuset"));
    let (cpu_cores, cpu_level) = cpu_bound(&cpu);
    let io = levels("io");
    Limit {
        cgroup: path_of("memory")
            .or_else(|| paths.first().map(|(_, path)| path))
            .cloned()
            .unwrap_or_default(),
        cpu_cores,
        cpu_quota_nanos: cpu_level.and_then(|own| set(own.cpu_quota_nanos)),
        cpu_period_nanos: cpu_level.and_then(|own| own.cpu_period_nanos),
        cpu_shares: own_cpu.cpu_shares,
        cpu_weight: own_cpu.cpu_weight,
        cpuset_cpus: own_set.cpuset_cpus,
        cpuset_mems: own_set.cpuset_mems,
        memory_max_bytes: lowest(&memory, |own| own.memory_max_bytes),
        memory_high_bytes: lowest(&memory, |own| own.memory_high_bytes),
        memory_soft_bytes: lowest(memory.get(..1).unwrap_or_default(), |own| own.memory_soft_bytes),
        memory_low_bytes: own_memory.memory_low_bytes,
        memory_min_bytes: own_memory.memory_min_bytes,
        swap_max_bytes: lowest(&memory, |own| own.swap_max_bytes),
        memory_swap_max_bytes: lowest(&memory, |own| own.memory_swap_max_bytes),
        pids_max: lowest(&pids, |own| own.pids_max),
        io: io.iter().any(|(_, own)| own.io.is_some()).then(|| {
            let mut all: Vec<_> = io.iter().filter_map(|(_, own)| own.io.clone()).flatten().collect();
            all.sort();
            all
        }),
        oom_kill_disable: own_memory.oom_kill_disable,
        oom_group: own_memory.oom_group,
    }
}

fn set<T>(cap: Cap<T>) -> Option<T> {
    match cap {
        Cap::Set(value) => Some(value),
        Cap::Unknown | Cap::Unlimited => None,
    }
}

/// The lowest on the way up; of equal ones that of the lower group, which holds by itself.
fn lowest<T: PartialOrd + Copy>(levels: &[(&str, &Settings)], of: impl Fn(&Settings) -> Cap<T>) -> Bound<T> {
    let mut bound = Bound::Unknown;
    for (path, own) in levels {
        match of(own) {
            Cap::Unknown => {}
            Cap::Unlimited => {
                if bound == Bound::Unknown {
                    bound = Bound::Unlimited;
                }
            }
            Cap::Set(value) => {
                if bound.value().is_none_or(|lowest| value < lowest) {
                    bound = Bound::Set { value, from: (*path).to_owned() };
                }
            }
        }
    }
    bound
}

/// Quotas compare by what they allow per time, not by themselves.
fn cpu_bound<'a>(levels: &[(&str, &'a Settings)]) -> (Bound<f32>, Option<&'a Settings>) {
    let cores = |own: &Settings| match own.cpu_quota_nanos {
        Cap::Set(quota) => own
            .cpu_period_nanos
            .filter(|period| *period > 0)
            .map_or(Cap::Unknown, |period| Cap::Set((quota as f64 / period as f64) as f32)),
        Cap::Unlimited => Cap::Unlimited,
        Cap::Unknown => Cap::Unknown,
    };
    let bound = lowest(levels, cores);
    let level = bound.from().and_then(|from| levels.iter().find(|(path, _)| *path == from));
    let level = level.map(|(_, own)| *own);
    (bound, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, Settings)]) -> Table<CgroupKey, Cgroup> {
        let row = |own: &Settings| Arc::new(Cgroup { own: own.clone(), ..Cgroup::default() });
        rows.iter().map(|(path, own)| (CgroupKey { path: (*path).into() }, row(own))).collect()
    }

    fn of(id: &str, path: &str) -> Groups {
        let all = ["cpu", "memory", "pids", "io", "cpuset"].map(|controller| (controller, path.to_owned()));
        [(ContainerKey { id: id.into() }, all.to_vec())].into()
    }

    fn memory(max: Cap<u64>) -> Settings {
        Settings { memory_max_bytes: max, ..Settings::default() }
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_holds_and_names_its_group() {
        let groups = table(&[
            ("/", memory(Cap::Unknown)),
            ("/pod", memory(Cap::Set(10))),
            ("/pod/a", memory(Cap::Set(20))),
            ("/pod/b", memory(Cap::Set(10))),
            ("/free", memory(Cap::Unlimited)),
            ("/nothing", memory(Cap::Unknown)),
        ]);
        let max = |path| limits(&groups, &of("c", path)).values().next().unwrap().memory_max_bytes.clone();
        assert_eq!(max("/pod/a"), Bound::Set { value: 10, from: "/pod".into() });
        assert_eq!(max("/pod/b"), Bound::Set { value: 10, from: "/pod/b".into() });
        assert_eq!(max("/free"), Bound::Unlimited);
        assert_eq!(max("/nothing"), Bound::Unknown);
        assert_eq!(max("/gone"), Bound::Unknown);
    }

    #[test]
    fn quotas_compare_by_cores() {
        let cpu = |quota, period| Settings {
            cpu_quota_nanos: Cap::Set(quota),
            cpu_period_nanos: Some(period),
            ..Settings::default()
        };
        let groups = table(&[("/", Settings::default()), ("/p", cpu(50, 1000)), ("/p/a", cpu(10, 100))]);
        let row = limits(&groups, &of("c", "/p/a")).values().next().unwrap().clone();
        assert_eq!(row.cpu_cores, Bound::Set { value: 0.05, from: "/p".into() });
        assert_eq!((row.cpu_quota_nanos, row.cpu_period_nanos), (Some(50), Some(1000)));
        let torn = table(&[("/p", cpu(50, 0))]);
        assert_eq!(limits(&torn, &of("c", "/p")).values().next().unwrap().cpu_cores, Bound::Unknown);
    }

    #[test]
    fn what_protects_is_the_groups_own() {
        let soft =
            |n| Settings { memory_soft_bytes: Cap::Set(n), memory_low_bytes: Some(n), ..Settings::default() };
        let groups = table(&[("/p", soft(1)), ("/p/a", soft(2))]);
        let row = limits(&groups, &of("c", "/p/a")).values().next().unwrap().clone();
        assert_eq!((row.memory_soft_bytes.value(), row.memory_low_bytes), (Some(2), Some(2)));
    }

    #[test]
    fn groups_belong_to_the_innermost_container() {
        let (outer, inner) = ("a".repeat(64), "b".repeat(64));
        let nested = format!("/docker/{outer}/docker/{inner}");
        let paths = [
            "/",
            "/docker",
            &format!("/docker/{outer}"),
            &format!("/docker/{outer}/x"),
            &nested,
            "/web",
            "/web/sub",
        ];
        let mut groups = table(&paths.map(|path| (path, Settings::default())));
        let mut of = of(&outer, &format!("/docker/{outer}"));
        of.extend(self::of("web", "/web"));
        join_groups(&mut groups, &of);
        let whose = |path: &str| groups.get(&CgroupKey { path: path.into() }).unwrap().container.as_deref();
        assert_eq!((whose("/"), whose("/docker"), whose("/web/sub")), (None, None, Some("web")));
        assert_eq!(whose(&format!("/docker/{outer}/x")), Some(outer.as_str()));
        assert_eq!(whose(&nested), Some(inner.as_str()));
    }
}
