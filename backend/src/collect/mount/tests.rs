//! On real mount namespaces (as root), and on what has another form.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

/// A process in a mount namespace of its own, made without privilege through a user namespace where needed.
struct Made(Child);

impl Made {
    /// Runs `script` there; `None` where that is not permitted.
    fn new(script: &str) -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let namespaces: &[&str] = if root { &["-m"] } else { &["-m", "-U", "-r"] };
        let able = Command::new("unshare").args(namespaces).arg("true").stderr(Stdio::null()).status();
        if !able.is_ok_and(|status| status.success()) {
            return None;
        }
        let child = Command::new("unshare").args(namespaces).args(["sh", "-c", script]).spawn().unwrap();
        Some(Self(child))
    }

    fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.0.id(), start_time: 1 }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn table(keys: &[ProcessKey]) -> Table<ProcessKey, Process> {
    keys.iter().map(|key| (*key, Arc::new(Process::default()))).collect()
}

/// A reading with its mounts.
#[derive(Debug)]
struct Seen {
    mounts: Table<MountKey, Mount>,
    reading: MountReading,
}

fn read(reader: &mut MountReader, keys: &[ProcessKey], preferred: &[ProcessKey]) -> Seen {
    let reading = reader.read(&table(keys), &preferred.iter().copied().collect());
    Seen { mounts: reader.mounts(), reading }
}

/// Reads until `enough` holds of a reading.
fn read_until(reader: &mut MountReader, key: ProcessKey, enough: impl Fn(&Seen) -> bool) -> Seen {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = read(reader, &[key], &[key]);
        if enough(&seen) {
            return seen;
        }
        assert!(Instant::now() < until, "{seen:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has(seen: &Seen, mountpoint: &str) -> bool {
    seen.mounts.values().any(|row| row.mountpoint == mountpoint)
}

#[test]
fn our_own_mounts_are_those_of_the_file() {
    let mut reader = MountReader::new(Root::host());
    let key = ProcessKey { pid: std::process::id(), start_time: 1 };
    let seen = read(&mut reader, &[key], &[]);
    let text = std::fs::read("/proc/self/mountinfo").unwrap();
    assert_eq!(seen.mounts.len(), crate::sys::mountinfo::lines(&text).count());
    let inode = inode_of(&Root::host(), key.pid).unwrap();
    assert!(seen.mounts.keys().all(|key| key.mntns == Some(inode)));
    assert!(seen.reading.changed && seen.reading.hidden == 0);
    assert!(read(&mut reader, &[], &[]).mounts.is_empty());
}

#[test]
fn a_change_is_told_by_the_kernel_and_what_did_not_change_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = dir.path().to_str().unwrap();
    let script = format!("read line < {path}/go; mount -t tmpfs glasshull-test {path}; exec sleep 60");
    let go = Path::new(path).join("go");
    Command::new("mkfifo").args(["-m", "666"]).arg(&go).status().unwrap();
    let Some(made) = Made::new(&script) else { return };
    let mut reader = MountReader::new(Root::host());
    let own = inode_of(&Root::host(), std::process::id());
    let elsewhere = |seen: &Seen| seen.mounts.keys().all(|key| key.mntns != own);
    read_until(&mut reader, made.key(), |seen| elsewhere(seen) && seen.reading.unwatched == 0);
    let talk = (0..20).filter(|_| read(&mut reader, &[made.key()], &[]).reading.changed).count();
    assert_eq!(talk, 0, "nothing changed, and yet some readings say so");
    let before = reader.reading;
    std::fs::write(&go, "\n").unwrap();
    read_until(&mut reader, made.key(), |seen| seen.reading.changed && has(seen, path));
    assert!(reader.places.values().all(|place| place.process == Some(made.key())));
    assert!(reader.reading > before);
}

#[test]
fn a_namespace_is_let_go_when_its_process_ends() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(mut made) = Made::new("exec sleep 60") else { return };
    let key = made.key();
    let mut reader = MountReader::new(Root::host());
    let own = inode_of(&Root::host(), std::process::id());
    let moved = |seen: &Seen| seen.mounts.keys().all(|key| key.mntns != own);
    read_until(&mut reader, key, |seen| moved(seen) && seen.reading.unwatched == 0);
    let held = || {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        links.filter(|link| link == &Path::new("/proc").join(format!("{}/mountinfo", key.pid))).count()
    };
    assert_eq!(held(), 1);
    made.0.kill().unwrap();
    made.0.wait().unwrap();
    // No reading asks for it: the thread hears of the end by itself.
    let until = Instant::now() + Duration::from_secs(20);
    while held() != 0 {
        assert!(Instant::now() < until, "the descriptor keeps the namespace alive");
        std::thread::sleep(Duration::from_millis(2));
    }
    // At its turn for a re-check its end would be noticed, and its mounts go with it.
    while (reader.reading + 1 + u64::from(key.pid)).is_multiple_of(RECHECK_SOON) {
        reader.reading += 1;
    }
    let failed = read(&mut reader, &[key], &[]);
    assert!(moved(&failed) && !failed.mounts.is_empty(), "a failure is stale, never empty");
    assert!(read(&mut reader, &[], &[]).mounts.is_empty());
}

#[test]
fn the_hosts_namespace_is_told_once_also_where_links_are_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let proc = dir.path().join("proc");
    let put = |pid: u32, mounts: &str, namespace: Option<&str>| {
        let folder = proc.join(pid.to_string());
        std::fs::create_dir_all(folder.join("ns")).unwrap();
        std::fs::write(folder.join("mountinfo"), mounts).unwrap();
        if let Some(text) = namespace {
            std::os::unix::fs::symlink(text, folder.join("ns/mnt")).unwrap();
        }
    };
    let host = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n21 20 0:5 / /proc rw - proc proc rw\n";
    put(1, host, None);
    put(30, host, Some("mnt:[4026531841]"));
    put(40, "90 70 0:44 / / rw - overlay overlay rw,lowerdir=/l\n", None);
    put(41, "90 70 0:44 / / rw - overlay overlay rw,lowerdir=/l\n", None);
    put(50, "nonsense\n", Some("mnt:[7]"));
    put(60, "", Some("mnt:[8]"));
    let keys: Vec<ProcessKey> =
        [1, 30, 40, 41, 50, 60].map(|pid| ProcessKey { pid, start_time: u64::from(pid) }).to_vec();
    let mut reader = MountReader::new(Root::at(dir.path()));
    let seen = read(&mut reader, &keys, &[keys[2]]);
    let told: Vec<_> = seen.mounts.iter().map(|(key, row)| (key.mntns, key.mount, row.host)).collect();
    let host = Some(4_026_531_841);
    assert_eq!(told, [(None, 90, false), (host, 20, true), (host, 21, true)]);
    assert_eq!(seen.reading.hidden, 3, "pid 41 is neither asked nor told");
}
