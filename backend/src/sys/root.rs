//! Where the host's file trees are: the real ones, or a fixture's.

use std::path::{Path, PathBuf};

/// The trees collectors read. Everything they open goes through here, so that a fixture can stand in.
#[derive(Debug, Clone)]
pub struct Root {
    prefix: PathBuf,
}

impl Root {
    /// This host.
    pub fn host() -> Self {
        Self { prefix: PathBuf::from("/") }
    }

    /// A tree with `proc/`, `sys/`, `run/`… below `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { prefix: dir.into() }
    }

    /// Whether this is the real host: netlink and system calls make sense only then.
    pub fn is_host(&self) -> bool {
        self.prefix == Path::new("/")
    }

    /// The place of an absolute path in this tree.
    pub fn host_path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.prefix.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// `/proc/…` in this tree.
    pub fn proc_path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.host_path("/proc").join(below)
    }
}
