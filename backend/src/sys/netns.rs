//! Working inside other network namespaces without ever leaving a thread behind in one.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace to go to: its inode and paths that lead to it (`/run/netns/NAME`, `/proc/PID/ns/net`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Inode in `nsfs` that a path must lead to: a pid may be in use again.
    pub inode: u64,
    /// Where to open it: the first that still leads there counts. One process may be gone while the namespace lives on.
    pub paths: Vec<PathBuf>,
}

impl Target {
    /// Opens the namespace.
    ///
    /// # Errors
    /// That of the last path: `ENOENT` or `ESTALE` when the namespace has gone, `EACCES` without CAP_SYS_PTRACE over the
    /// process the path leads through.
    pub(crate) fn open(&self) -> io::Result<File> {
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for path in &self.paths {
            match File::open(path).and_then(|file| Ok((file.metadata()?.ino(), file))) {
                Ok((inode, file)) if inode == self.inode => return Ok(file),
                Ok(_) => error = rustix::io::Errno::STALE.into(),
                Err(other) => error = other,
            }
        }
        Err(error)
    }
}

/// Calls `work` once in each namespace, one after the other, on a thread of its own that ends afterwards: no other code
/// ever runs on a thread that was elsewhere. What `work` opens and keeps beyond the call
/// pins the namespace: only who closes it with the last process there may do so (`collect::network::socket::closed`).
///
/// # Errors
/// For the whole: when no thread can be made. Per target: `ENOENT` or `ESTALE` when the namespace has gone, `EPERM` without
/// CAP_SYS_ADMIN, `EACCES` without CAP_SYS_PTRACE over the process the path leads through.
pub(crate) fn visit<T: Send>(
    targets: &[Target],
    work: impl Fn(&Target) -> io::Result<T> + Send,
) -> io::Result<Vec<io::Result<T>>> {
    std::thread::scope(|scope| {
        let visitor =
            move || targets.iter().map(|target| enter(target).and_then(|()| work(target))).collect();
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, visitor)?;
        thread.join().map_err(|_| io::Error::other("reading a network namespace failed unexpectedly"))
    })
}

fn enter(target: &Target) -> io::Result<()> {
    // Where we are already needs no permission: an ordinary user sees the agent's own namespace.
    if std::fs::metadata("/proc/thread-self/ns/net").is_ok_and(|here| here.ino() == target.inode) {
        return Ok(());
    }
    let namespace = target.open()?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Target {
        let path = PathBuf::from("/proc/thread-self/ns/net");
        Target { inode: std::fs::metadata(&path).unwrap().ino(), paths: vec![path] }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        let wrong = Target { inode: 1, ..own() };
        let gone = Target { inode: 2, paths: vec!["/proc/0/ns/net".into()] };
        let results = visit(&[wrong, gone], |_| Ok(())).unwrap();
        let errors: Vec<_> = results.into_iter().map(|r| r.unwrap_err()).collect();
        assert_eq!(errors[0].raw_os_error(), Some(libc::ESTALE));
        assert_eq!(errors[1].kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_path_that_has_gone_leaves_the_others() {
        let mut target = own();
        target.paths.insert(0, "/proc/0/ns/net".into());
        target.paths.insert(1, "/proc/self/ns/mnt".into());
        assert!(target.open().is_ok());
    }

    #[test]
    fn the_caller_stays_where_it_is_whatever_becomes_of_the_visit() {
        let before = own().inode;
        let _ = visit(&[own()], |target| Ok(target.inode)).unwrap();
        assert_eq!(own().inode, before);
    }
}
