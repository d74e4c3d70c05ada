//! The mounts of a container or process as the tree that `findmnt` draws. Pure.

use std::collections::BTreeMap;

use glasshull_shared::domain::mount::{Mount, MountKey, MountOrigin};
use glasshull_shared::snapshot::Snapshot;

/// Lines drawn at most.
pub const LINES: usize = 300;

/// One mount in words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MountLine {
    /// Identifies it.
    pub mount: u32,
    /// `major:minor` of its file system.
    pub device: String,
    /// How many mounts it is on, counted from the root.
    pub depth: usize,
    /// Where.
    pub mountpoint: String,
    /// What it is to the container; empty outside of one.
    pub origin: &'static str,
    /// `data-tone` of that.
    pub tone: &'static str,
    /// Whether it can be written to.
    pub writable: bool,
    /// Nobody can reach it.
    pub overmounted: bool,
    /// Path on the host; empty when it shows nothing of the host's.
    pub host_path: String,
    /// Type, source, and the part of it that is mounted.
    pub what: String,
    /// Options of mount and file system.
    pub options: String,
    /// `shared`, `private,slave`…
    pub propagation: String,
    /// Layers of an overlay, topmost first, each with its name.
    pub layers: Vec<(&'static str, String)>,
}

/// Whose mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Of the namespace with this inode.
    Namespace(u64),
    /// Of a container.
    Container(&'a str),
    /// Of the host.
    Host,
}

/// The tree, parents before children, children by mountpoint; and how many more there are.
pub fn tree(snapshot: &Snapshot, whose: Whose<'_>) -> (Vec<MountLine>, usize) {
    let is = |key: &MountKey, row: &Mount| match whose {
        Whose::Namespace(inode) => key.mntns == Some(inode),
        Whose::Container(id) => row.container.as_deref() == Some(id),
        Whose::Host => row.host,
    };
    let own: BTreeMap<MountKey, &Mount> =
        snapshot.mount.iter().filter(|(key, row)| is(key, row)).map(|(key, row)| (*key, &**row)).collect();
    let mut children: BTreeMap<MountKey, Vec<MountKey>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (key, row) in &own {
        let parent = MountKey { mntns: key.mntns, mount: row.parent };
        if parent != *key && own.contains_key(&parent) {
            children.entry(parent).or_default().push(*key);
        } else {
            roots.push(*key);
        }
    }
    let path = |key: &MountKey| own.get(key).map_or("", |row| row.mountpoint.as_str());
    let order =
        |keys: &mut Vec<MountKey>| keys.sort_by(|a, b| path(b).cmp(path(a)).then(b.mount.cmp(&a.mount)));
    children.values_mut().for_each(order);
    order(&mut roots);
    // A stack instead of recursion: whoever mounts decides how deep it goes.
    let mut stack: Vec<(MountKey, usize)> = roots.into_iter().map(|key| (key, 0)).collect();
    let mut lines = Vec::new();
    while let Some((key, depth)) = stack.pop() {
        if let Some(row) = own.get(&key).filter(|_| lines.len() < LINES) {
            lines.push(line(snapshot, key, row, depth));
        }
        stack.extend(children.remove(&key).unwrap_or_default().into_iter().map(|child| (child, depth + 1)));
    }
    let more = own.len().saturating_sub(lines.len());
    (lines, more)
}

/// What of the host is mounted in, what can be written to first.
pub fn from_host(snapshot: &Snapshot, id: &str) -> Vec<MountLine> {
    let of_host = |row: &Mount| matches!(row.origin, MountOrigin::HostPath | MountOrigin::Volume);
    let own = snapshot.mount.iter().filter(|(_, row)| row.container.as_deref() == Some(id) && of_host(row));
    let mut lines: Vec<MountLine> = own.map(|(key, row)| line(snapshot, *key, row, 0)).collect();
    lines.sort_by(|a, b| b.writable.cmp(&a.writable).then_with(|| a.mountpoint.cmp(&b.mountpoint)));
    lines.truncate(LINES);
    lines
}

/// Whether a path of the host is the socket of an engine: who may speak there may do all on the host that the engine may.
pub fn is_engine_socket(snapshot: &Snapshot, path: &str) -> bool {
    let usual = ["/docker.sock", "/podman.sock", "/containerd.sock", "/crio.sock"];
    let known = |endpoint: &str| endpoint.strip_prefix("unix://") == Some(path);
    usual.iter().any(|name| path.ends_with(name)) || snapshot.engine.keys().any(|key| known(&key.endpoint))
}

fn line(snapshot: &Snapshot, key: MountKey, row: &Mount, depth: usize) -> MountLine {
    let socket = row.from_host.as_ref().is_some_and(|from| is_engine_socket(snapshot, &from.path));
    let (origin, tone) = match (row.origin, row.read_only) {
        (MountOrigin::HostPath, _) if socket => ("engine socket", "trouble"),
        (MountOrigin::Host, _) => ("", ""),
        (MountOrigin::HostPath, false) => (row.origin.name(), "attention"),
        (MountOrigin::HostPath | MountOrigin::Volume | MountOrigin::Root, _) => (row.origin.name(), ""),
        (MountOrigin::Own | MountOrigin::Runtime, _) => (row.origin.name(), "quiet"),
    };
    // Which part of its file system it shows is said by the host's path, where there is one.
    let part =
        if row.root == "/" || row.from_host.is_some() { String::new() } else { format!(" [{}]", row.root) };
    let layers = row.overlay.iter().flat_map(|overlay| {
        let upper = overlay.upper.iter().map(|dir| ("upper", dir.clone()));
        let lower = overlay.lower.iter().map(|dir| ("lower", dir.clone()));
        upper.chain(lower).chain(overlay.work.iter().map(|dir| ("work", dir.clone())))
    });
    // The layers stand by themselves.
    let of_layer =
        |option: &&str| !["lowerdir", "upperdir", "workdir"].iter().any(|name| option.starts_with(name));
    let super_options = row.super_options.split(',').filter(of_layer).collect::<Vec<_>>().join(",");
    MountLine {
        mount: key.mount,
        device: row.device.clone(),
        depth,
        mountpoint: row.mountpoint.clone(),
        origin,
        tone,
        writable: !row.read_only,
        overmounted: row.overmounted,
        host_path: row.from_host.as_ref().map(|from| from.path.clone()).unwrap_or_default(),
        what: format!("{} {}{part}", row.fstype, row.source),
        options: format!("{} · {super_options}", row.options),
        propagation: row.propagation.clone(),
        layers: layers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::mount::{FromHost, Overlay};
    use std::sync::Arc;

    fn snapshot(rows: &[(u32, u32, &str)]) -> Snapshot {
        let row = |(mount, parent, point): &(u32, u32, &str)| {
            let row = Mount {
                container: Some("c".into()),
                parent: *parent,
                mountpoint: (*point).into(),
                ..Mount::default()
            };
            (MountKey { mntns: Some(5), mount: *mount }, Arc::new(row))
        };
        Snapshot { mount: rows.iter().map(row).collect(), ..Snapshot::default() }
    }

    #[test]
    fn children_stand_below_their_parents_in_order() {
        let snapshot = snapshot(&[
            (10, 1, "/"),
            (11, 10, "/proc"),
            (12, 10, "/dev"),
            (13, 12, "/dev/pts"),
            (14, 12, "/dev"),
        ]);
        let (lines, more) = tree(&snapshot, Whose::Container("c"));
        let told: Vec<_> = lines.iter().map(|l| (l.mount, l.depth)).collect();
        assert_eq!((told, more), (vec![(10, 0), (12, 1), (14, 2), (13, 2), (11, 1)], 0));
        assert_eq!(tree(&snapshot, Whose::Namespace(5)).0.len(), 5);
        assert!(
            tree(&snapshot, Whose::Host).0.is_empty() && tree(&snapshot, Whose::Container("d")).0.is_empty()
        );
    }

    #[test]
    fn loops_and_crowds_end() {
        assert!(tree(&snapshot(&[(1, 2, "/a"), (2, 1, "/b")]), Whose::Container("c")).0.is_empty());
        let many: Vec<_> = (1..=1000).map(|id| (id, id - 1, "/x")).collect();
        let (lines, more) = tree(&snapshot(&many), Whose::Container("c"));
        assert_eq!((lines.len(), more), (LINES, 1000 - LINES));
    }

    #[test]
    fn layers_and_the_hosts_path_stand_by_themselves() {
        let overlay = Overlay {
            lower: vec!["/l0".into(), "/l1".into()],
            upper: Some("/u".into()),
            work: Some("/w".into()),
        };
        let row = Mount {
            container: Some("c".into()),
            super_options: "rw,lowerdir=/l0:/l1,upperdir=/u,workdir=/w,xino=off".into(),
            options: "rw".into(),
            root: "/part".into(),
            fstype: "overlay".into(),
            source: "overlay".into(),
            overlay: Some(overlay),
            origin: MountOrigin::HostPath,
            from_host: Some(FromHost { path: "/m".into(), writable: true }),
            ..Mount::default()
        };
        let line = line(&Snapshot::default(), MountKey { mntns: None, mount: 1 }, &row, 0);
        assert_eq!((line.options.as_str(), line.what.as_str()), ("rw · rw,xino=off", "overlay overlay"));
        assert_eq!(line.layers.len(), 4);
        assert_eq!((line.tone, line.host_path.as_str()), ("attention", "/m"));
        let mut snapshot = Snapshot::default();
        assert!(
            is_engine_socket(&snapshot, "/run/docker.sock") && !is_engine_socket(&snapshot, "/run/my.sock")
        );
        let key = glasshull_shared::domain::engine::EngineKey { endpoint: "unix:///run/my.sock".into() };
        snapshot.engine.insert(key, Arc::default());
        assert!(is_engine_socket(&snapshot, "/run/my.sock"));
    }
}
