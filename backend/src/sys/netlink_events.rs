//! What changes in the kernel's routing tables, told as it changes: rtnetlink's multicast groups, of the caller's network
//! namespace and of all that have an id there (`NETLINK_LISTEN_ALL_NSID`: the other end of a veth pair gives one). The
//! socket is in the caller's namespace alone, so it keeps no other alive.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::netlink_frame::messages;

/// Groups of `rtnetlink.h`: links, neighbours, addresses and routes of IPv4 and IPv6.
const GROUPS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// Room for a burst of some thousand messages between two looks.
const RECEIVE_BUFFER_BYTES: libc::c_int = 1 << 20;
/// One datagram of events holds one message, which is never near this long.
const DATAGRAM_BYTES: usize = 16 << 10;

/// What changed, by table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Changed {
    /// Links or their addresses.
    pub links: bool,
    /// Neighbours.
    pub neighbours: bool,
    /// Routes.
    pub routes: bool,
}

impl Changed {
    /// More came than there was room for: anything may have changed.
    const ALL: Self = Self { links: true, neighbours: true, routes: true };

    /// Whether anything did.
    pub(crate) fn any(self) -> bool {
        self.links || self.neighbours || self.routes
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            links: self.links || other.links,
            neighbours: self.neighbours || other.neighbours,
            routes: self.routes || other.routes,
        }
    }
}

/// A socket that hears of changes.
pub(crate) struct RouteEvents {
    socket: Socket,
    buffer: Vec<u8>,
}

impl RouteEvents {
    /// Begins to listen in this thread's network namespace.
    ///
    /// # Errors
    /// As `socket(2)` and `setsockopt(2)`. That other namespaces are not heard for lack of CAP_NET_BROADCAST is no error.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        match socket.set_listen_all_namespaces(true) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            other => other?,
        }
        socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES)?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM_BYTES] })
    }

    /// Waits until something comes, `stop` becomes readable or time is over.
    ///
    /// # Errors
    /// As `poll(2)`.
    pub(crate) fn wait(&self, stop: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
        use std::os::fd::AsFd as _;
        let socket = &self.socket;
        let mut fds =
            [PollFd::new(socket, PollFlags::IN), PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes all that has come; never waits.
    ///
    /// # Errors
    /// When the socket itself fails.
    pub(crate) fn take(&mut self) -> io::Result<Changed> {
        let mut changed = Changed::default();
        loop {
            match self.socket.recv(&mut &mut self.buffer[..], 0) {
                Ok(n) => changed = changed.and(read(self.buffer.get(..n).unwrap_or_default())),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(changed),
                    Some(libc::ENOBUFS) => changed = Changed::ALL,
                    Some(libc::EINTR) => {}
                    Some(_) | None => return Err(error),
                },
            }
        }
    }
}

impl std::fmt::Debug for RouteEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouteEvents({})", self.socket.as_raw_fd())
    }
}

/// What the messages of a datagram tell of.
fn read(bytes: &[u8]) -> Changed {
    let mut changed = Changed::default();
    for message in messages(bytes) {
        // Every message of these groups begins with its address family. A bridge tells its own side of links and
        // neighbours (its forwarding table, which learns all the time): nothing we show.
        let of_bridge =
            message.payload.first().is_some_and(|family| libc::c_int::from(*family) == libc::AF_BRIDGE);
        match message.kind {
            _ if of_bridge => {}
            libc::RTM_NEWLINK | libc::RTM_DELLINK | libc::RTM_NEWADDR | libc::RTM_DELADDR => {
                changed.links = true
            }
            libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => changed.neighbours = true,
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => changed.routes = true,
            _ => {}
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::netlink_frame::HEAD_BYTES;
    use proptest::prelude::*;
    use std::os::fd::AsFd as _;

    fn message(kind: u16, family: u8) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[..4].copy_from_slice(&20_u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[16] = family;
        bytes
    }

    #[test]
    fn each_message_tells_of_its_table_and_a_bridges_own_side_of_none() {
        let inet = libc::AF_INET as u8;
        let links = Changed { links: true, ..Changed::default() };
        for (kind, family, changed) in [
            (libc::RTM_NEWLINK, 0, links),
            (libc::RTM_DELADDR, inet, links),
            (libc::RTM_NEWNEIGH, inet, Changed { neighbours: true, ..Changed::default() }),
            (libc::RTM_NEWNEIGH, libc::AF_BRIDGE as u8, Changed::default()),
            (libc::RTM_DELROUTE, inet, Changed { routes: true, ..Changed::default() }),
            (libc::RTM_NEWNSID, 0, Changed::default()),
        ] {
            assert_eq!(read(&message(kind, family)), changed, "{kind} {family}");
        }
        let both = [message(libc::RTM_NEWLINK, 0), message(libc::RTM_NEWROUTE, inet)].concat();
        assert_eq!(read(&both), Changed { neighbours: false, ..Changed::ALL });
    }

    #[test]
    fn nothing_comes_while_nothing_changes_and_a_stop_ends_the_wait() {
        let mut events = RouteEvents::listen().unwrap();
        let stop = rustix::event::eventfd(1, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        events.wait(stop.as_fd(), None).unwrap();
        events.take().unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, length in 0_u32..80, kind in 0_u16..130) {
            let _ = read(&bytes);
            let mut framed = bytes;
            framed.resize(framed.len().max(HEAD_BYTES), 0);
            framed[..4].copy_from_slice(&length.to_ne_bytes());
            framed[4..6].copy_from_slice(&kind.to_ne_bytes());
            let _ = read(&framed);
        }
    }
}
