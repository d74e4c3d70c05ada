//! Which path of each line of `/proc/PID/cgroup` is the container's own.

use glasshull_shared::cgroup_path;
use glasshull_shared::domain::container::ContainerKey;

/// (controllers, own path) per line; controllers are empty for v2. Lines that lead to another container's cgroup
/// are left out: what they count is not this container's.
pub(super) fn own_paths<'a>(proc_pid_cgroup: &'a str, key: &ContainerKey) -> Vec<(&'a str, &'a str)> {
    cgroup_path::lines(proc_pid_cgroup)
        .filter_map(|(_, controllers, path)| Some((controllers, own_path(path, key)?)))
        .collect()
}

fn own_path<'a>(path: &'a str, key: &ContainerKey) -> Option<&'a str> {
    let found = cgroup_path::parse(path);
    if let Some(found) = &found
        && found.id == key.id
    {
        return Some(found.path);
    }
    cgroup_path::unnamed(path, found.map_or("", |found| found.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_own_cgroup_is_found_and_no_other() {
        let own = |path: &str, id: &str| own_path(path, &ContainerKey { id: id.into() }).map(str::to_owned);
        let docker = format!("/docker/{A}");
        assert_eq!(own(&format!("{docker}/system.slice/x.service"), A), Some(docker.clone()));
        assert_eq!(own("/web/init.scope", "web"), Some("/web".into()));
        assert_eq!(own(&format!("{docker}/web"), "web"), Some(format!("{docker}/web")));
        assert_eq!(own(&docker, "web"), None, "that would be the outer container's");
        assert_eq!(own("/", "web"), None);
        assert_eq!(own("/user.slice/session-2.scope", "web"), None, "that is the login's");
    }
}
