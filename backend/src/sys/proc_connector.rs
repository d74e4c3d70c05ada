//! The kernel's process events (`NETLINK_CONNECTOR`, `CN_IDX_PROC`): fork, exec, exit as they happen.
//!
//! Works in the initial network, user and pid namespaces only; needs CAP_NET_ADMIN before Linux 6.6.
#![expect(unsafe_code, reason = "netlink connector sockets are not wrapped by rustix")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const EVENT_FORK: u32 = 1;
const EVENT_EXEC: u32 = 2;
const EVENT_EXIT: u32 = 0x8000_0000;
/// `struct nlmsghdr` and `struct cn_msg`.
const HEAD_BYTES: usize = 16 + 20;
/// Room for a burst of some ten thousand events between two wake-ups.
const RECEIVE_BUFFER_BYTES: libc::c_int = 4 << 20;

/// One event. Pids are thread group ids in the initial pid namespace; instants are nanoseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcEvent {
    /// A process (not a thread) was made.
    Fork {
        /// Maker.
        parent: u32,
        /// New process.
        child: u32,
        /// When.
        at: u64,
    },
    /// A process replaced its program.
    Exec {
        /// Which.
        pid: u32,
    },
    /// A process ended.
    Exit {
        /// Which.
        pid: u32,
        /// Its parent; `None` on kernels that do not tell (before 4.18).
        parent: Option<u32>,
        /// Wait status: signal in the low 7 bits, exit code above bit 8.
        status: u32,
        /// When.
        at: u64,
    },
}

/// A socket that receives process events.
#[derive(Debug)]
pub(crate) struct ProcConnector {
    socket: OwnedFd,
}

/// What a wait brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Events were appended.
    Events,
    /// Nothing came within the timeout.
    Nothing,
    /// The kernel dropped events because we were too slow: look at all processes again.
    Overrun,
}

impl ProcConnector {
    /// Begins to listen.
    ///
    /// # Errors
    /// `EOPNOTSUPP` outside the initial pid or user namespace, where the kernel ignores listeners without a word, `EPERM` without CAP_NET_ADMIN before 6.6, `ECONNREFUSED` outside the initial network namespace,
    /// `EPROTONOSUPPORT` on kernels without CONFIG_PROC_EVENTS.
    pub(crate) fn listen() -> io::Result<Self> {
        if !in_initial_namespaces() {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        // SAFETY: plain socket(2); the result is checked before it becomes an OwnedFd.
        let raw = unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, libc::NETLINK_CONNECTOR)
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is a descriptor we just opened and nobody else owns.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        bind(&socket)?;
        enlarge_buffer(&socket);
        send_listen(&socket)?;
        Ok(Self { socket })
    }

    /// Waits for events and appends what came to `events`.
    ///
    /// # Errors
    /// When the socket itself fails.
    pub(crate) fn wait(&self, timeout: Duration, events: &mut Vec<ProcEvent>) -> io::Result<Received> {
        let mut poll = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec::try_from(timeout).ok();
        match rustix::event::poll(&mut poll, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Received::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = [0_u8; 16 << 10];
        let mut got = Received::Nothing;
        loop {
            let flags = rustix::net::RecvFlags::DONTWAIT;
            match rustix::net::recv(&self.socket, &mut buffer, flags) {
                Ok((n, _)) => {
                    events.extend(parse(buffer.get(..n).unwrap_or_default()));
                    got = Received::Events;
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(got),
                Err(rustix::io::Errno::NOBUFS) => return Ok(Received::Overrun),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether our pid and user namespaces are those of the host. Their inodes are fixed (`proc_ns.h`: `PROC_PID_INIT_INO`,
/// `PROC_USER_INIT_INO`); where `/proc` does not tell, the kernel shall decide.
fn in_initial_namespaces() -> bool {
    use std::os::unix::fs::MetadataExt;
    let initial = [("/proc/self/ns/pid", 0xEFFF_FFFC_u64), ("/proc/self/ns/user", 0xEFFF_FFFD)];
    initial.iter().all(|(path, inode)| std::fs::metadata(path).map_or(true, |meta| meta.ino() == *inode))
}

fn bind(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: sockaddr_nl is plain data for which all zeroes is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = CN_IDX_PROC;
    // SAFETY: the pointer and length describe `address`, which lives across the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_nl>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Best effort: FORCE needs CAP_NET_ADMIN, the plain option is cut to `rmem_max`.
fn enlarge_buffer(socket: &OwnedFd) {
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        // SAFETY: the pointer and length describe a c_int that lives across the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                std::ptr::from_ref(&RECEIVE_BUFFER_BYTES).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result == 0 {
            return;
        }
    }
}

/// Asks for fork, exec and exit alone where the kernel can filter (6.6), else for all events.
fn send_listen(socket: &OwnedFd) -> io::Result<()> {
    let filtered = [PROC_CN_MCAST_LISTEN, EVENT_FORK | EVENT_EXEC | EVENT_EXIT];
    send(socket, &filtered).or_else(|_| send(socket, &filtered[..1]))
}

fn send(socket: &OwnedFd, words: &[u32]) -> io::Result<()> {
    let data: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let mut message = Vec::with_capacity(HEAD_BYTES + data.len());
    let total = (HEAD_BYTES + data.len()) as u32;
    message.extend(total.to_ne_bytes());
    message.extend((libc::NLMSG_DONE as u16).to_ne_bytes());
    message.extend([0; 2]); // flags
    message.extend([0; 8]); // sequence, port: the kernel fills them
    message.extend(CN_IDX_PROC.to_ne_bytes());
    message.extend(CN_VAL_PROC.to_ne_bytes());
    message.extend([0; 8]); // seq, ack
    message.extend((data.len() as u16).to_ne_bytes());
    message.extend([0; 2]); // flags
    message.extend(data);
    rustix::net::send(socket, &message, rustix::net::SendFlags::empty())?;
    Ok(())
}

/// Events of a datagram; anything cut short or unknown ends it quietly.
fn parse(mut datagram: &[u8]) -> Vec<ProcEvent> {
    let mut events = Vec::new();
    while let Some(len) = word(datagram, 0) {
        let len = len as usize;
        let Some(message) = datagram.get(..len).filter(|m| m.len() >= HEAD_BYTES) else { break };
        events.extend(event(message.get(HEAD_BYTES..).unwrap_or_default()));
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    events
}

/// A `struct proc_event`: what, cpu, timestamp, then data by kind. Thread events give `None`.
fn event(data: &[u8]) -> Option<ProcEvent> {
    let at = u64::from_ne_bytes(*data.get(8..)?.first_chunk::<8>()?);
    let field = |n: usize| word(data, 16 + 4 * n);
    match word(data, 0)? {
        EVENT_FORK => {
            let (parent, child, child_tgid) = (field(1)?, field(2)?, field(3)?);
            (child == child_tgid).then_some(ProcEvent::Fork { parent, child, at })
        }
        EVENT_EXEC => Some(ProcEvent::Exec { pid: field(1)? }),
        EVENT_EXIT => {
            let (pid, tgid, status) = (field(0)?, field(1)?, field(2)?);
            let parent = field(5).filter(|p| *p != 0);
            (pid == tgid).then_some(ProcEvent::Exit { pid, parent, status, at })
        }
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(words: &[u32], at: u64) -> Vec<u8> {
        let mut event: Vec<u8> = [words[0], 0].iter().flat_map(|w| w.to_ne_bytes()).collect();
        event.extend(at.to_ne_bytes());
        event.extend(words[1..].iter().flat_map(|w| w.to_ne_bytes()));
        let mut all = vec![0; HEAD_BYTES];
        all[..4].copy_from_slice(&((HEAD_BYTES + event.len()) as u32).to_ne_bytes());
        all.extend(event);
        all
    }

    #[test]
    fn a_fork_of_a_process_is_told_from_a_new_thread() {
        let process = datagram(&[EVENT_FORK, 10, 10, 20, 20], 7);
        assert_eq!(parse(&process), [ProcEvent::Fork { parent: 10, child: 20, at: 7 }]);
        assert_eq!(parse(&datagram(&[EVENT_FORK, 10, 10, 21, 20], 7)), []);
    }

    #[test]
    fn an_exit_tells_status_and_parent_where_the_kernel_does() {
        let full = datagram(&[EVENT_EXIT, 20, 20, 3 << 8, 17, 10, 10], 9);
        assert_eq!(parse(&full), [ProcEvent::Exit { pid: 20, parent: Some(10), status: 3 << 8, at: 9 }]);
        let old = datagram(&[EVENT_EXIT, 20, 20, 9, 17], 9);
        assert_eq!(parse(&old), [ProcEvent::Exit { pid: 20, parent: None, status: 9, at: 9 }]);
    }

    #[test]
    fn cut_and_hostile_datagrams_give_nothing() {
        let full = datagram(&[EVENT_EXIT, 20, 20, 3 << 8, 17, 10, 10], 9);
        for len in 0..HEAD_BYTES + 16 {
            assert_eq!(parse(&full[..len]), []);
        }
        assert_eq!(parse(&[0xff; 64]), []);
        assert_eq!(parse(&[0; 64]), []);
    }
}
