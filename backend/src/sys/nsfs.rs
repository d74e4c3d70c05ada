//! What the kernel tells of a namespace that is open: the ioctls of `nsfs`; the network namespace of another process's socket;
//! the host name in a uts namespace. Every descriptor opened here is closed before it returns: nothing is kept alive.
#![expect(unsafe_code, reason = "no crate of ours wraps the ioctls of nsfs and SIOCGSKNS")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use glasshull_shared::unit::printable_bytes;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const NS_GET_USERNS: libc::Ioctl = 0xb701;
const NS_GET_PARENT: libc::Ioctl = 0xb702;
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// Namespaces that lie above one, at most: the kernel nests 32 deep.
const MOST_LEVELS: usize = 34;

/// A namespace and those it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Related {
    /// Which one.
    pub key: NamespaceKey,
    /// Inode of the one it is nested in; `None` for the outermost that may be seen and for kinds that do not nest.
    pub parent: Option<u64>,
    /// Inode of the user namespace that owns it; `None` beyond the agent's own.
    pub owner: Option<u64>,
    /// Who made it; only of user namespaces.
    pub creator_uid: Option<u32>,
}

/// The namespace a path leads to, with all that are above it and that own it, itself first.
///
/// # Errors
/// As `open(2)`, and `ESTALE` when the path leads to another namespace than `wanted`.
pub(crate) fn relate(path: &Path, wanted: NamespaceKey) -> io::Result<Vec<Related>> {
    let first = File::open(path)?;
    if first.metadata()?.ino() != wanted.inode || kind_of(&first)? != wanted.kind {
        return Err(rustix::io::Errno::STALE.into());
    }
    let mut found: Vec<Related> = Vec::new();
    let mut open = vec![first];
    while let Some(namespace) = open.pop().filter(|_| found.len() < MOST_LEVELS) {
        let key = NamespaceKey { kind: kind_of(&namespace)?, inode: namespace.metadata()?.ino() };
        if found.iter().any(|one| one.key == key) {
            continue;
        }
        let nests = matches!(key.kind, NamespaceKind::Pid | NamespaceKind::User);
        let parent = if nests { lead(&namespace, NS_GET_PARENT).ok() } else { None };
        // The owner of a user namespace is the one it is nested in.
        let owner = lead(&namespace, NS_GET_USERNS).ok();
        let inode = |file: &Option<File>| file.as_ref().and_then(|file| Some(file.metadata().ok()?.ino()));
        let creator_uid = if key.kind == NamespaceKind::User { owner_uid(&namespace) } else { None };
        found.push(Related { key, parent: inode(&parent), owner: inode(&owner), creator_uid });
        open.extend(parent);
        open.extend(owner);
    }
    Ok(found)
}

fn kind_of(namespace: &File) -> io::Result<NamespaceKind> {
    // SAFETY: NS_GET_NSTYPE takes no argument and writes no memory; the descriptor is open for the length of the call.
    let flag = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) };
    match flag {
        libc::CLONE_NEWNS => Ok(NamespaceKind::Mnt),
        libc::CLONE_NEWUTS => Ok(NamespaceKind::Uts),
        libc::CLONE_NEWIPC => Ok(NamespaceKind::Ipc),
        libc::CLONE_NEWPID => Ok(NamespaceKind::Pid),
        libc::CLONE_NEWNET => Ok(NamespaceKind::Net),
        libc::CLONE_NEWUSER => Ok(NamespaceKind::User),
        libc::CLONE_NEWCGROUP => Ok(NamespaceKind::Cgroup),
        libc::CLONE_NEWTIME => Ok(NamespaceKind::Time),
        -1 => Err(io::Error::last_os_error()),
        other => Err(io::Error::other(format!("a kind of namespace this version does not know: {other:#x}"))),
    }
}

fn lead(namespace: &File, request: libc::Ioctl) -> io::Result<File> {
    // SAFETY: both requests take no argument and write no memory; they return a new descriptor or -1.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), request) };
    owned(fd)
}

fn owned(fd: libc::c_int) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else closes it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn owner_uid(namespace: &File) -> Option<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the kernel writes one uid_t to where the pointer leads; it lives until after the call.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) };
    (result == 0).then_some(uid)
}

/// Inodes of the network namespaces of these sockets of a process, `None` for one that cannot be asked. The sockets are open in the
/// agent only while they are asked.
///
/// # Errors
/// `ESRCH` when the process is gone, `ENOSYS` before Linux 5.6. Each socket by itself: `EPERM` without CAP_SYS_PTRACE over the process or
/// CAP_NET_ADMIN over its namespace.
pub(crate) fn netns_of_sockets(pid: u32, fds: &[u32]) -> io::Result<Vec<Option<u64>>> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let ask = |fd: &u32| {
        let fd = i32::try_from(*fd).ok()?;
        let socket = pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok()?;
        // SAFETY: SIOCGSKNS takes no argument and writes no memory; it returns a new descriptor or -1.
        let namespace = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) };
        Some(owned(namespace).ok()?.metadata().ok()?.ino())
    };
    Ok(fds.iter().map(ask).collect())
}

/// Host names in the uts namespaces these paths lead to, with their inodes; asked on a thread that ends afterwards. `None` for one that has gone or
/// may not be entered (CAP_SYS_ADMIN).
///
/// # Errors
/// When no thread can be made.
pub(crate) fn hostnames(paths: &[impl AsRef<Path> + Sync]) -> io::Result<Vec<Option<(u64, String)>>> {
    let ask = |path: &Path| {
        let namespace = File::open(path).ok()?;
        let inode = namespace.metadata().ok()?.ino();
        let here = std::fs::metadata("/proc/thread-self/ns/uts").ok()?.ino();
        if here != inode {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::HostNameAndNISDomainName))
                .ok()?;
        }
        Some((inode, printable_bytes(rustix::system::uname().nodename().to_bytes())))
    };
    std::thread::scope(|scope| {
        let visitor = move || paths.iter().map(|path| ask(path.as_ref())).collect();
        let thread = std::thread::Builder::new().name("uts".into()).spawn_scoped(scope, visitor)?;
        thread.join().map_err(|_| io::Error::other("asking for host names failed unexpectedly"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(kind: NamespaceKind) -> (std::path::PathBuf, NamespaceKey) {
        let path = std::path::PathBuf::from(format!("/proc/self/ns/{}", kind.name()));
        let inode = std::fs::metadata(&path).unwrap().ino();
        (path, NamespaceKey { kind, inode })
    }

    #[test]
    fn our_own_namespaces_are_of_the_kind_their_links_say_and_owned() {
        for kind in NamespaceKind::ALL {
            let (path, key) = own(kind);
            let Ok(found) = relate(&path, key) else {
                assert_eq!(kind, NamespaceKind::Time, "only kernels before 5.6 lack one");
                continue;
            };
            assert_eq!(found[0].key, key);
            let user = own(NamespaceKind::User).1.inode;
            let owner = found[0].owner;
            assert!(
                kind == NamespaceKind::User || owner == Some(user) || owner.is_none(),
                "{kind:?} {owner:?}"
            );
            assert_eq!(found[0].creator_uid.is_some(), kind == NamespaceKind::User);
        }
    }

    #[test]
    fn a_path_that_leads_to_another_is_refused() {
        let (path, key) = own(NamespaceKind::Uts);
        let wrong = NamespaceKey { inode: 1, ..key };
        assert_eq!(relate(&path, wrong).unwrap_err().raw_os_error(), Some(libc::ESTALE));
        let wrong = NamespaceKey { kind: NamespaceKind::Ipc, ..key };
        assert_eq!(relate(&path, wrong).unwrap_err().raw_os_error(), Some(libc::ESTALE));
        assert!(relate(Path::new("/proc/self/status"), key).is_err());
    }

    #[test]
    fn a_socket_of_ours_is_in_our_network_and_a_file_in_none() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = File::open("/proc/self/status").unwrap();
        let fds = [socket.as_raw_fd().cast_unsigned(), file.as_raw_fd().cast_unsigned(), 1 << 20];
        let found = netns_of_sockets(std::process::id(), &fds).unwrap();
        let own = own(NamespaceKind::Net).1.inode;
        // An ordinary user lacks CAP_NET_ADMIN.
        assert!(found[0] == Some(own) || found[0].is_none() && !rustix::process::geteuid().is_root());
        assert_eq!(found[1..], [None, None]);
    }

    #[test]
    fn our_host_name_is_the_one_we_have_and_the_caller_stays() {
        let path = Path::new("/proc/self/ns/uts");
        let found = hostnames(&[path, Path::new("/proc/0/ns/uts")]).unwrap();
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert_eq!(found[0].as_ref().map(|(_, name)| name), Some(&name));
        assert_eq!(found[1], None);
    }
}
