//! The rarer facts of a process: `/proc/PID/status`, `cmdline`, `cgroup`, `wchan`, and the user's name.

use glasshull_shared::cgroup_path;
use glasshull_shared::domain::process::{Process, ProcessKey, ProcessState};
use glasshull_shared::unit::printable_bytes as printable;

use super::Scale;
use super::stat::Stat;
use super::user::UserNames;
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// `PF_KTHREAD` of the kernel's `sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;
/// Longest command line we keep.
const CMDLINE_BYTES: usize = 4096;
const FILE_BYTES: usize = 64 << 10;

pub(super) struct IdentityReader {
    root: Root,
    scale: Scale,
    mask_args: bool,
    users: UserNames,
    buffer: Vec<u8>,
    /// The `cgroup` file of the last process read, when it was read.
    cgroups: Option<String>,
}

impl IdentityReader {
    pub(super) fn new(root: Root, scale: Scale, mask_args: bool) -> Self {
        let users = UserNames::new(root.clone());
        Self { root, scale, mask_args, users, buffer: Vec::with_capacity(8 << 10), cgroups: None }
    }

    /// Reads the identity; `before` (the same program's row) lets what cannot change without exec be taken over.
    pub(super) fn read(&mut self, key: ProcessKey, stat: &Stat<'_>, before: Option<&Process>) -> Process {
        let kernel_thread = stat.flags & PF_KTHREAD != 0;
        let mut row = Process {
            ppid: stat.ppid,
            comm: printable(stat.comm),
            tty: tty_name(stat.tty),
            started_at: self.scale.boot_at + self.scale.nanos(key.start_time),
            kernel_thread,
            ..Process::default()
        };
        self.read_status(key.pid, &mut row);
        self.cgroups = None;
        row.cgroup = match before {
            Some(before) if kernel_thread => before.cgroup.clone(),
            // v1 moves who exits to the root of each hierarchy, before its parent has waited for it.
            Some(before) if matches!(stat.state, ProcessState::Z | ProcessState::X) => before.cgroup.clone(),
            _ => self.read_cgroup(key.pid),
        };
        row.cmdline = if kernel_thread { Some(String::new()) } else { self.read_cmdline(key.pid) };
        let container = row.cgroup.as_deref().and_then(cgroup_path::parse).map(|c| c.id.clone());
        row.user = row.euid.and_then(|uid| self.users.name(uid, key.pid, container.as_deref()));
        row
    }

    /// `/proc/PID/cgroup` of the process whose identity was read last; `None` when it stands as it was.
    pub(super) fn cgroups(&self) -> Option<&str> {
        self.cgroups.as_deref()
    }

    /// Kernel function the process waits in; `None` when it runs or the kernel hides it.
    pub(super) fn wait_channel(&mut self, pid: u32) -> Option<String> {
        read_once(&self.root.proc_path(format!("{pid}/wchan")), &mut self.buffer, 256).ok()?;
        let name = printable(&self.buffer);
        (!name.is_empty() && name != "0").then_some(name)
    }

    fn read_status(&mut self, pid: u32, row: &mut Process) {
        let path = self.root.proc_path(format!("{pid}/status"));
        if read_once(&path, &mut self.buffer, FILE_BYTES).is_err() {
            return;
        }
        let field = |name: &[u8]| {
            self.buffer
                .split(|b| *b == b'\n')
                .find_map(|l| l.strip_prefix(name))
                .and_then(|v| std::str::from_utf8(v).ok())
        };
        if let Some(mut uids) = field(b"Uid:").map(str::split_ascii_whitespace) {
            row.uid = uids.next().and_then(|u| u.parse().ok());
            row.euid = uids.next().and_then(|u| u.parse().ok());
        }
        row.pid_in_ns =
            field(b"NSpid:").and_then(|v| v.split_ascii_whitespace().last()).and_then(|p| p.parse().ok());
    }

    fn read_cgroup(&mut self, pid: u32) -> Option<String> {
        read_once(&self.root.proc_path(format!("{pid}/cgroup")), &mut self.buffer, FILE_BYTES).ok()?;
        let text = self.cgroups.insert(String::from_utf8_lossy(&self.buffer).into_owned());
        cgroup_path::deepest(text).map(str::to_owned)
    }

    fn read_cmdline(&mut self, pid: u32) -> Option<String> {
        if self.mask_args {
            return None;
        }
        read_once(&self.root.proc_path(format!("{pid}/cmdline")), &mut self.buffer, CMDLINE_BYTES).ok()?;
        while self.buffer.last() == Some(&0) {
            self.buffer.pop();
        }
        for byte in &mut self.buffer {
            if *byte == 0 {
                *byte = b' ';
            }
        }
        Some(printable(&self.buffer))
    }
}

/// What `ps` prints for a terminal's device number; `None` for none.
fn tty_name(device: u32) -> Option<String> {
    // new_encode_dev: major in bits 8..20, minor in 0..8 and 20..32.
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match (major, minor) {
        (0, 0) => None,
        (4, 0..64) => Some(format!("tty{minor}")),
        (4, 64..) => Some(format!("ttyS{}", minor - 64)),
        (5, 1) => Some("console".into()),
        (136..144, _) => Some(format!("pts/{}", minor + (major - 136) * (1 << 20))),
        _ => Some(format!("{major}:{minor}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_have_the_names_ps_prints() {
        assert_eq!(tty_name(0), None);
        assert_eq!(tty_name(34816).as_deref(), Some("pts/0"));
        assert_eq!(tty_name(136 << 8 | 44 | 1 << 20).as_deref(), Some("pts/300"));
        assert_eq!(tty_name(4 << 8 | 1).as_deref(), Some("tty1"));
        assert_eq!(tty_name(4 << 8 | 65).as_deref(), Some("ttyS1"));
        assert_eq!(tty_name(204 << 8 | 64).as_deref(), Some("204:64"));
    }
}
