//! Who began since we last asked, without a list of `/proc`: the kernel gives pids out in turn and tells the last one in `loadavg`,
//! so that only those since then can be new. Given to [`super::ProcessReader`] and [`super::waiter`], to which a list of thousands is
//! dearer than most of the rest.
//!
//! Who restores processes gives pids out as it likes (`clone3` with `set_tid`), and `loadavg` may be another's than `/proc` (lxcfs):
//! who goes by this lists now and then all the same, and says so when the list shows what was not told.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// No `loadavg` is longer.
const LOADAVG_BYTES: usize = 128;
/// Pids that are tried one by one.
const TRIED_AT_MOST: u32 = 1024;

/// What is known of those that began.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Born {
    /// These and nobody else; not that they still live.
    These(Vec<u32>),
    /// Perhaps somebody: list them.
    Unknown,
}

/// What `loadavg` said when it was read last.
#[derive(Debug)]
pub(super) struct Births {
    root: Root,
    /// Pids in there are those that the kernel takes from us.
    ours: bool,
    /// The pid given out last.
    last: Option<u32>,
    /// The highest pid of one that a list showed after [`Births::since`] told the last one.
    ahead: u32,
    /// Pids that had nobody the last time: who is between the number and the life when we ask is found the next time.
    again: Vec<u32>,
    buffer: Vec<u8>,
}

impl Births {
    /// Nobody was asked about yet.
    pub(super) fn new(root: Root) -> Self {
        // `self` names us by the numbers of the pid namespace that `/proc` was mounted for, `loadavg` counts those of ours.
        let link = std::fs::read_link(root.proc_path("self"));
        let ours = link.is_ok_and(|link| link.to_str() == Some(&std::process::id().to_string()));
        Self { root, ours, last: None, ahead: 0, again: Vec::new(), buffer: Vec::new() }
    }

    /// Who began since the last call. The first call knows nothing.
    pub(super) fn since(&mut self) -> Born {
        if !self.ours {
            return Born::Unknown;
        }
        let read = read_once(&self.root.proc_path("loadavg"), &mut self.buffer, LOADAVG_BYTES);
        let now = read.ok().and_then(|()| last_pid(&self.buffer));
        let (again, ahead) = (std::mem::take(&mut self.again), std::mem::take(&mut self.ahead));
        match (std::mem::replace(&mut self.last, now), now) {
            // A counter that stays behind is made up (gVisor).
            (Some(then), Some(now)) if then <= now && now < ahead => {
                self.ours = false;
                Born::Unknown
            }
            // After the highest pid they begin anew with low ones.
            (Some(then), Some(now)) if then <= now && now - then <= TRIED_AT_MOST => {
                self.alive(again, then + 1..=now)
            }
            _ => Born::Unknown,
        }
    }

    /// A list showed this pid, which nobody told of.
    pub(super) fn overlooked(&mut self, pid: u32) {
        match self.last {
            // Of those that began after the last call nothing could be told.
            Some(last) if pid > last => self.ahead = self.ahead.max(pid),
            Some(_) if !self.again.contains(&pid) => self.ours = false,
            Some(_) | None => {}
        }
    }

    /// Which of these are processes, not threads.
    fn alive(&mut self, again: Vec<u32>, new: impl Iterator<Item = u32>) -> Born {
        let mut found = Vec::new();
        for (pid, first) in again.into_iter().map(|pid| (pid, false)).chain(new.map(|pid| (pid, true))) {
            let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
            match pidfd_open(id, PidfdFlags::empty()) {
                Ok(_) => found.push(pid),
                // Nobody; a thread (`ENOENT` since Linux 6.16, `EINVAL` before).
                Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) if first => self.again.push(pid),
                Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => {}
                // Before 5.3; no descriptor to spare; forbidden by a filter of system calls.
                Err(_) => return Born::Unknown,
            }
        }
        Born::These(found)
    }
}

/// The pid given out last: `0.10 0.20 0.30 1/100 4711`.
fn last_pid(line: &[u8]) -> Option<u32> {
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_began_is_named_and_a_thread_is_not() {
        let mut births = Births::new(Root::host());
        assert_eq!(births.since(), Born::Unknown, "the first call knows nothing");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
            let _ = ended.recv();
        });
        let thread_id = told.recv().unwrap();
        // Others begin meanwhile; after the highest pid they begin anew, which is told as not known.
        if let Born::These(pids) = births.since() {
            assert!(pids.contains(&child.id()), "{pids:?}");
            assert!(!pids.contains(&thread_id), "{pids:?}");
        }
        if let Born::These(pids) = births.since() {
            assert!(!pids.contains(&child.id()), "named once");
        }
        drop(end);
        thread.join().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn of_another_namespace_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        let mut births = Births::new(Root::at(dir.path()));
        for text in ["0.10 0.20 0.30 1/100 7\n", "0.90 0.20 0.30 5/100 7\n", "garbage\n", ""] {
            std::fs::write(dir.path().join("proc/loadavg"), text).unwrap();
            assert_eq!(births.since(), Born::Unknown, "{text}");
        }
        assert_eq!(last_pid(b"0.10 0.20 0.30 1/100 4711\n"), Some(4711));
        assert_eq!(last_pid(b"0.10 0.20 0.30 1/100"), None);
        assert_eq!(last_pid(b"0.10 0.20 0.30 1/100 -7"), None);
    }

    #[test]
    fn what_was_not_told_of_is_believed_no_longer() {
        let mut births = Births::new(Root::host());
        births.since();
        let mut known = births.since() != Born::Unknown;
        for _ in 0..100 {
            // A storm of others, or a pid that begins anew.
            known = known || births.since() != Born::Unknown;
        }
        assert!(known, "nothing is ever known here");
        let last = births.last.unwrap();
        births.overlooked(last + 1);
        assert!(births.ours, "it began after we asked");
        births.ahead = 0;
        births.again.push(last);
        births.overlooked(last);
        assert!(births.ours, "it is asked about once more");
        births.again.clear();
        births.overlooked(last);
        assert_eq!(births.since(), Born::Unknown);
        births.ours = true;
        births.since();
        births.overlooked(u32::MAX);
        assert_eq!(births.since(), Born::Unknown, "the counter stays behind");
        assert!(!births.ours || births.last < Some(last));
    }
}
