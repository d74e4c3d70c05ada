//! Where the host's file systems are: `/` in real life, a fixture's folder in tests.

use std::path::{Path, PathBuf};

/// The root below which host paths are looked up.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    base: PathBuf,
    /// The proc file system.
    pub(crate) proc: PathBuf,
}

impl Root {
    /// The host itself.
    pub(crate) fn host() -> Self {
        Self::at(Path::new("/"))
    }

    /// A tree with `proc`, `sys`, `run`… below `base`.
    pub(crate) fn at(base: &Path) -> Self {
        Self { base: base.to_owned(), proc: base.join("proc") }
    }

    /// A path below `/proc`, given without it: `self/mountinfo`.
    pub(crate) fn proc_path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.proc.join(relative)
    }

    /// Where an absolute path of the host is found: itself, or below the fixture's folder.
    pub(crate) fn host_path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.base.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_paths_stay_and_fixture_paths_move() {
        assert_eq!(Root::host().host_path("/run/x"), Path::new("/run/x"));
        assert_eq!(Root::host().proc_path("self/mountinfo"), Path::new("/proc/self/mountinfo"));
        assert_eq!(Root::at(Path::new("/fx")).host_path("/sys/fs/cgroup"), Path::new("/fx/sys/fs/cgroup"));
    }
}
