//! How many descriptors we may keep open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one and returns it. Many processes are cheap to watch only through
/// kept descriptors; without the raise most hosts allow 1024.
pub(crate) fn raise_open_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, wanted).is_ok() {
            limit.current = limit.maximum;
        }
    }
    // `None` is "unlimited".
    limit.current.map_or(1 << 20, |n| usize::try_from(n).unwrap_or(1 << 20))
}
