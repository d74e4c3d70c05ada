//! Whether a process ran since we last looked, from `/proc/PID/schedstat`: time on CPU, time waiting for one, and number
//! of turns of its main thread. A third of the cost of `stat`.
//!
//! A process that did not run changed neither its state, nor its times, nor its I/O. What others do to it meanwhile
//! (renice, reclaim, a new parent, a wake-up that has not got a CPU yet) is seen when it runs or at its re-check.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::sys::procfile;
use crate::sys::root::Root;

/// No `schedstat` is longer.
const SCHEDSTAT_BYTES: usize = 128;

/// What is known of a process's sleep.
#[derive(Debug)]
pub(super) enum Sleeper {
    /// Not looked at yet.
    New,
    /// Watched: the kept file and what it said last.
    Watching(OwnedFd, Vec<u8>),
    /// The kernel does not count here, or hides it.
    Unknown,
}

impl Sleeper {
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }

    pub(super) fn is_watching(&self) -> bool {
        matches!(self, Self::Watching(..))
    }

    /// Begins to watch; true when a descriptor is kept from now on. `counts`: whether zeroes are those of one that did not run yet.
    pub(super) fn watch(&mut self, path: &Path, counts: bool, buffer: &mut Vec<u8>) -> bool {
        let opened = procfile::open_kept(path);
        let opened = opened.and_then(|fd| procfile::reread(&fd, buffer, SCHEDSTAT_BYTES).map(|()| fd));
        *self = match opened {
            Ok(fd) if counts || tells(buffer) => Self::Watching(fd, buffer.clone()),
            Ok(_) | Err(_) => Self::Unknown,
        };
        self.is_watching()
    }

    /// Whether it did not run since the last call. False when unknown or gone.
    pub(super) fn slept(&mut self, buffer: &mut Vec<u8>) -> bool {
        let Self::Watching(fd, last) = self else { return false };
        if procfile::reread(fd, buffer, SCHEDSTAT_BYTES).is_err() {
            return false;
        }
        let same = last == buffer;
        if !same {
            last.clone_from(buffer);
        }
        same
    }
}

/// Whether the kernel counts what processes ran: it counted ours.
pub(super) fn counts(root: &Root) -> bool {
    let mut buffer = Vec::new();
    let read = procfile::read_once(&root.proc_path("self/schedstat"), &mut buffer, SCHEDSTAT_BYTES);
    read.is_ok() && tells(&buffer)
}

/// Kernels without the counters print zeroes for everybody.
fn tells(schedstat: &[u8]) -> bool {
    schedstat.first().is_some_and(|b| *b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_is_told_from_sleeping_and_zeroes_from_counters() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("schedstat");
        let mut buffer = Vec::new();
        let mut watch = |text: &str, counts| {
            std::fs::write(&file, text).unwrap();
            let mut sleeper = Sleeper::New;
            sleeper.watch(&file, counts, &mut buffer);
            sleeper
        };
        assert!(!watch("0 0 0\n", false).is_watching());
        assert!(watch("0 0 0\n", true).is_watching(), "it did not run yet");
        assert!(counts(&Root::host()), "the tests ran");
        assert!(!counts(&Root::at(dir.path())), "nothing to go by");
        let mut sleeper = watch("77 5 3\n", false);
        let mut buffer = Vec::new();
        assert!(sleeper.slept(&mut buffer));
        std::fs::write(&file, "78 5 4\n").unwrap();
        assert!(!sleeper.slept(&mut buffer));
        assert!(sleeper.slept(&mut buffer));
    }
}
