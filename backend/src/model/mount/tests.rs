//! Mount tables as kernels tell them, and such as none would.

use super::*;

const HOST: u64 = 1;
const INSIDE: u64 = 2;

/// Lines `namespace id parent device root mountpoint fstype [ro]`.
fn table(text: &str) -> Table<MountKey, Mount> {
    let row = |line: &str| {
        let f: Vec<&str> = line.split_whitespace().collect();
        let mntns = f[0].parse().unwrap();
        let key = MountKey { mntns: Some(mntns), mount: f[1].parse().unwrap() };
        let row = Mount {
            host: mntns == HOST,
            pid: if mntns == HOST { 1 } else { 40 },
            parent: f[2].parse().unwrap(),
            device: f[3].into(),
            root: f[4].into(),
            mountpoint: f[5].into(),
            fstype: f[6].into(),
            read_only: f.get(7) == Some(&"ro"),
            ..Mount::default()
        };
        (key, Arc::new(row))
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

fn hidden(text: &str) -> Vec<u32> {
    let table = table(text);
    let hidden = overmounted(&table);
    table.keys().zip(hidden).filter(|(_, hidden)| *hidden).map(|(key, _)| key.mount).collect()
}

/// Id, what it is, and path on the host with whether it is writable.
type Told = (u32, MountOrigin, Option<(String, bool)>);

fn joined(text: &str, declared: Declared) -> Vec<Told> {
    let mut mounts = table(text);
    let process = Process { container: Some("c0ffee".into()), ..Process::default() };
    let processes = Table::from([(ProcessKey { pid: 40, start_time: 9 }, Arc::new(process))]);
    let declared = Table::from([(ContainerKey { id: "c0ffee".into() }, Arc::new(declared))]);
    join_mounts(&mut mounts, &processes, &declared);
    let inside = mounts.iter().filter(|(key, _)| key.mntns == Some(INSIDE));
    inside
        .map(|(key, row)| {
            assert_eq!(row.container.as_deref(), Some("c0ffee"));
            let from = row.from_host.as_ref().map(|from| (from.path.clone(), from.writable));
            (key.mount, row.origin, from)
        })
        .collect()
}

#[test]
fn a_mount_on_the_same_place_hides_what_was_there_and_all_below_it() {
    let text = "
        2 10 5 0:9 / / overlay
        2 11 10 0:20 / /data tmpfs
        2 12 11 0:21 / /data/sub tmpfs
        2 13 11 0:22 / /data tmpfs
        2 14 13 0:23 / /data/sub tmpfs
        2 15 10 0:24 / /other tmpfs";
    assert_eq!(hidden(text), [11, 12]);
}

#[test]
fn a_mount_above_hides_what_is_deeper_on_the_same_mount() {
    let text = "
        2 10 5 0:9 / / overlay
        2 11 10 0:20 / /a/b tmpfs
        2 12 11 0:21 / /a/b/c tmpfs
        2 13 10 0:22 / /a tmpfs
        2 14 13 0:23 / /a/b tmpfs
        2 15 10 0:24 / /ab tmpfs";
    assert_eq!(hidden(text), [11, 12], "/ab is beside /a, not below it");
}

#[test]
fn the_first_root_lies_under_the_one_that_is_used() {
    let text = "
        1 1 1 0:1 / / rootfs
        1 20 1 8:1 / / ext4
        1 21 20 0:5 / /proc proc";
    assert_eq!(hidden(text), [1]);
}

#[test]
fn what_no_kernel_tells_is_survived() {
    assert_eq!(hidden("2 10 11 0:9 / / a\n2 11 10 0:9 / /x b"), Vec::<u32>::new());
    assert_eq!(hidden("2 10 10 0:9 / / a"), Vec::<u32>::new());
    assert_eq!(hidden("2 10 99 0:9 / relative a\n2 11 99 0:9 / / b"), Vec::<u32>::new());
    let chain: String = (1..3000).map(|id| format!("2 {id} {} 0:9 / /{id} a\n", id - 1)).collect();
    assert!(hidden(&chain).is_empty());
    assert_eq!(above("/a/b").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
    assert_eq!((above("/").count(), above("").count(), above("x").count()), (1, 1, 1));
}

const TREE: &str = "
    1 20 1 8:1 / / ext4
    1 21 20 0:40 / /run tmpfs
    1 22 20 8:1 /srv /export ext4
    1 23 20 0:61 / /var/lib/docker/overlay2/l1/merged overlay
    1 24 20 0:5 / /proc proc
    1 25 20 0:62 / /var/lib/docker/containers/c0ffee/mounts/shm tmpfs
    2 30 29 0:61 / / overlay
    2 31 30 0:70 / /proc proc
    2 32 30 0:71 / /dev tmpfs
    2 33 32 0:62 / /dev/shm tmpfs
    2 34 30 8:1 /var/lib/docker/containers/c0ffee/hosts /etc/hosts ext4
    2 35 30 8:1 /var/lib/docker/volumes/data/_data /data ext4
    2 36 30 8:1 /etc /host-etc ext4 ro
    2 37 30 0:40 /docker.sock /run/docker.sock tmpfs
    2 38 30 8:1 /srv/files /files ext4";

#[test]
fn what_of_the_host_is_mounted_in_is_found_over_devices() {
    let told = joined(TREE, Declared::default());
    let from = |path: &str, writable| Some((path.to_owned(), writable));
    assert_eq!(
        told,
        [
            (30, MountOrigin::Root, from("/var/lib/docker/overlay2/l1/merged", true)),
            (31, MountOrigin::Own, None),
            (32, MountOrigin::Own, None),
            (33, MountOrigin::Runtime, from("/var/lib/docker/containers/c0ffee/mounts/shm", true)),
            (34, MountOrigin::Runtime, from("/var/lib/docker/containers/c0ffee/hosts", true)),
            (35, MountOrigin::Volume, from("/var/lib/docker/volumes/data/_data", true)),
            (36, MountOrigin::HostPath, from("/etc", false)),
            (37, MountOrigin::HostPath, from("/run/docker.sock", true)),
            (38, MountOrigin::HostPath, from("/export/files", true)),
        ]
    );
}

#[test]
fn what_was_declared_decides_what_a_mount_is() {
    let mount = |kind: &str, source: &str, destination: &str| DeclaredMount {
        kind: kind.into(),
        source: source.into(),
        destination: destination.into(),
        ..DeclaredMount::default()
    };
    let declared = Declared {
        mounts: vec![
            mount("bind", "/", "/host"),
            mount("volume", "/vols/x", "/x"),
            mount("tmpfs", "", "/tmp"),
        ],
        ..Declared::default()
    };
    let text = "
        1 20 1 8:1 / / ext4
        1 24 20 0:5 / /proc proc
        2 30 29 0:61 / / overlay
        2 31 30 8:1 / /host ext4
        2 32 31 0:5 / /host/proc proc
        2 33 30 8:1 /vols/x /x ext4
        2 34 30 0:80 / /tmp tmpfs
        2 35 30 0:5 /sys /proc/sys proc ro
        2 36 30 8:1 /etc /hostile ext4";
    let told: Vec<_> = joined(text, declared).into_iter().map(|(id, origin, _)| (id, origin)).collect();
    use MountOrigin::{HostPath, Own, Root, Volume};
    // That the whole host was asked for at one place does not make /proc/sys a part of it.
    let expected =
        [(30, Root), (31, HostPath), (32, HostPath), (33, Volume), (34, Own), (35, Own), (36, HostPath)];
    assert_eq!(told, expected);
}

#[test]
fn the_hosts_own_shared_memory_is_the_hosts() {
    let text = "1 20 1 8:1 / / ext4\n1 21 20 0:23 / /dev/shm tmpfs\n2 30 29 0:61 / / overlay\n2 31 30 0:23 / /dev/shm tmpfs";
    let told = joined(text, Declared::default());
    assert_eq!(told[1], (31, MountOrigin::HostPath, Some(("/dev/shm".into(), true))));
}

#[test]
fn without_the_hosts_mounts_nothing_is_said_to_be_of_the_host() {
    let told = joined("2 30 29 0:61 / / overlay\n2 36 30 8:1 /etc /host-etc ext4", Declared::default());
    assert_eq!(told, [(30, MountOrigin::Root, None), (36, MountOrigin::Own, None)]);
}
