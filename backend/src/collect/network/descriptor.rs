//! Sockets that a process has open, by inode: the links in its `/proc/PID/fd` (`socket:[4711]`). For who looks for owners.

use std::fs;
use std::io;

use crate::sys::root::Root;

/// Inodes of the sockets among the first `at_most` descriptors of a process, in the kernel's order; one that it has twice comes
/// twice.
///
/// # Errors
/// `ENOENT` when the process has gone, `EACCES` without CAP_SYS_PTRACE over it.
pub(super) fn sockets(
    root: &Root,
    pid: u32,
    at_most: usize,
) -> io::Result<impl Iterator<Item = u64> + use<>> {
    let entries = fs::read_dir(root.proc_path(format!("{pid}/fd")))?.flatten().take(at_most);
    Ok(entries.filter_map(|entry| fs::read_link(entry.path()).ok().and_then(|link| inode_of(link.to_str()?))))
}

fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_other_things_are_no_sockets() {
        for link in ["socket:[x]", "pipe:[4]", "/tmp/socket:[4]", "socket:[4"] {
            assert_eq!(inode_of(link), None);
        }
    }

    #[test]
    fn a_socket_of_ours_is_among_those_we_have_open() {
        use std::os::fd::AsRawFd;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = inode_of(link.to_str().unwrap()).unwrap();
        let pid = std::process::id();
        assert!(sockets(&Root::host(), pid, usize::MAX).unwrap().any(|open| open == inode));
        assert_eq!(sockets(&Root::host(), pid, 0).unwrap().count(), 0);
        assert!(sockets(&Root::host(), 0, 1).is_err());
    }
}
