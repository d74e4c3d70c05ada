//! Whether anybody is still in a network namespace. From the processes known to be there, of which one that lives is watched by
//! its pidfd: that becomes readable the moment it ends. For what keeps a namespace alive and must go with its last process,
//! there and then, not at the next tick: the captures of [`super::flow`], the listeners of [`super::socket`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use glasshull_shared::domain::process::ProcessKey;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Processes of a namespace that are told, so that another is known when one ends.
const TOLD_AT_MOST: usize = 16;

/// Who is in a namespace, as far as was told.
#[derive(Debug)]
pub(super) struct Presence {
    /// Processes known to be in it, of which the first that lives is watched.
    members: Vec<u32>,
    watched: Watched,
}

#[derive(Debug)]
enum Watched {
    /// Readable when it has ended.
    Process(OwnedFd),
    /// The kernel has no pidfds (before 5.3), or no descriptor is free: the next tick tells.
    Blind,
    /// Nobody yet, or none that lives.
    Nobody,
}

/// The processes to tell, of all of a namespace, oldest first.
pub(super) fn told(members: &[ProcessKey]) -> Vec<u32> {
    members.iter().take(TOLD_AT_MOST).map(|key| key.pid).collect()
}

impl Presence {
    /// These processes are in it; nobody is watched yet.
    pub(super) fn new(members: Vec<u32>) -> Self {
        Self { members, watched: Watched::Nobody }
    }

    /// Sees to it that a process is watched; false when none lives any more.
    pub(super) fn lives(&mut self) -> bool {
        if let Watched::Process(process) = &self.watched
            && !has_ended(process)
        {
            return true;
        }
        self.watched = Watched::Nobody;
        while let Some(pid) = self.members.first().copied() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            match pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
                Some(Ok(process)) if !has_ended(&process) => {
                    self.watched = Watched::Process(process);
                    return true;
                }
                None | Some(Ok(_) | Err(Errno::SRCH)) => {
                    self.members.remove(0);
                }
                Some(Err(_)) => {
                    self.watched = Watched::Blind;
                    return true;
                }
            }
        }
        false
    }

    /// What becomes readable when it is time to ask [`Self::lives`] again; `None` while nobody is watched.
    pub(super) fn end(&self) -> Option<BorrowedFd<'_>> {
        match &self.watched {
            Watched::Process(process) => Some(process.as_fd()),
            Watched::Blind | Watched::Nobody => None,
        }
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn sleeper() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_namespace_lives_until_the_last_known_process_has_ended() {
        let (first, second) = (sleeper(), sleeper());
        let mut presence = Presence::new(vec![first.id(), second.id()]);
        assert!(presence.end().is_none(), "nobody is watched before somebody asks");
        assert!(presence.lives());
        end(first);
        let ended = PollFd::from_borrowed_fd(presence.end().unwrap(), PollFlags::IN);
        assert_eq!(poll(&mut [ended], None), Ok(1), "the end is told without asking");
        assert!(presence.lives(), "the second is there");
        end(second);
        assert!(!presence.lives() && presence.end().is_none());
        assert!(!Presence::new(Vec::new()).lives());
    }
}
