//! Sockets over netlink (`NETLINK_SOCK_DIAG`): dumps, and the kernel's word when a TCP connection is gone. What the messages
//! say is read by `collect::network::socket`.
#![expect(unsafe_code, reason = "SO_MEMINFO is not wrapped by rustix")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::netlink_frame::{self, DUMP, HEAD_BYTES};

/// The kernel fills what it is offered, up to 32 KiB.
const RECEIVE_BYTES: usize = 64 << 10;
/// Room for some ten thousand ends between two wake-ups; used only when they come.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Datagrams read from one listener before the others get their turn.
const DATAGRAMS_AT_ONCE: usize = 256;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `SKNLGRP_INET_TCP_DESTROY`, `SKNLGRP_INET6_TCP_DESTROY`.
const TCP_DESTROY: [u32; 2] = [1, 3];
/// `SK_MEMINFO_DROPS`: its place in what `SO_MEMINFO` gives.
const MEMINFO_DROPS: usize = 8;

/// Asks in this thread's network namespace for all sockets that `request` (a `…_diag_req`) describes; each answer is handed
/// to `take` until that returns false.
///
/// # Errors
/// What the kernel answers: `ENOENT` when it has no diagnosis for that family or protocol.
pub(crate) fn dump(request: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    // A socket per dump: one that is broken off must not leave the rest of its answer to the next.
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let length = HEAD_BYTES + request.len();
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    message.extend([0; 8]); // sequence, port: the kernel fills them
    message.extend(request);
    socket.send(&message, 0)?;
    let mut buffer = vec![0; RECEIVE_BYTES];
    loop {
        let n = socket.recv(&mut &mut buffer[..], 0)?;
        if !messages(buffer.get(..n).unwrap_or_default(), &mut take)? {
            return Ok(());
        }
    }
}

/// Hands the payloads of one datagram to `take`; false when it ends the answer or `take` has enough.
fn messages(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    for message in netlink_frame::messages(bytes) {
        if message.ends()? || (message.kind == SOCK_DIAG_BY_FAMILY && !take(message.payload)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hears of every TCP connection of one namespace that is gone. Keeps the namespace alive while it is open.
#[derive(Debug)]
pub(crate) struct DestroyListener {
    socket: Socket,
}

impl DestroyListener {
    /// Begins to listen in this thread's network namespace.
    ///
    /// # Errors
    /// As `socket(2)`; `ENOENT` on kernels that do not tell (before 4.2).
    pub(crate) fn open() -> io::Result<Self> {
        Self::open_with(RECEIVE_BUFFER_BYTES)
    }

    fn open_with(buffer_bytes: usize) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        let listener = Self { socket };
        // Best effort: FORCE needs CAP_NET_ADMIN, the plain option is cut to `rmem_max`.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&listener, buffer_bytes).is_err() {
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&listener, buffer_bytes);
        }
        for group in TCP_DESTROY {
            listener.socket.add_membership(group)?;
        }
        Ok(listener)
    }

    /// Hands what came to `take`, without waiting.
    ///
    /// # Errors
    /// When the socket itself fails. That messages were lost is no error: [`DestroyListener::lost`] counts them.
    pub(crate) fn read(&self, buffer: &mut Vec<u8>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        buffer.resize(RECEIVE_BYTES, 0);
        for _ in 0..DATAGRAMS_AT_ONCE {
            match rustix::net::recv(self, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((n, _)) => {
                    let mut all = |payload: &[u8]| {
                        take(payload);
                        true
                    };
                    let _ = messages(buffer.get(..n).unwrap_or_default(), &mut all);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Messages the kernel could not put in because we were too slow, since it was opened; `None` on kernels that do not
    /// count (before 4.12).
    pub(crate) fn lost(&self) -> Option<u32> {
        let mut info = [0_u32; MEMINFO_DROPS + 1];
        let mut length = size_of_val(&info) as libc::socklen_t;
        // SAFETY: pointer and length describe `info`, of which the kernel writes at most that much.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        (result == 0 && length as usize == size_of_val(&info)).then(|| info[MEMINFO_DROPS])
    }
}

impl AsFd for DestroyListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> (io::Result<bool>, Vec<Vec<u8>>) {
        let mut got = Vec::new();
        let result = messages(bytes, &mut |payload: &[u8]| {
            got.push(payload.to_vec());
            true
        });
        (result, got)
    }

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEAD_BYTES + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_datagram_holds_several_messages_and_the_end() {
        let mut bytes = message(SOCK_DIAG_BY_FAMILY, b"one.5");
        bytes.extend(message(SOCK_DIAG_BY_FAMILY, b"two"));
        assert!(matches!(all(&bytes), (Ok(true), got) if got == [b"one.5".to_vec(), b"two".to_vec()]));
        bytes.extend(message(libc::NLMSG_DONE as u16, &[0; 4]));
        assert!(matches!(all(&bytes), (Ok(false), got) if got.len() == 2));
    }

    #[test]
    fn a_refusal_is_an_error_wherever_it_stands() {
        for kind in [libc::NLMSG_ERROR, libc::NLMSG_DONE] {
            let (result, _) = all(&message(kind as u16, &(-libc::ENOENT).to_ne_bytes()));
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOENT));
        }
    }

    #[test]
    fn a_reader_that_has_enough_ends_it() {
        let mut bytes = message(SOCK_DIAG_BY_FAMILY, b"one");
        bytes.extend(message(SOCK_DIAG_BY_FAMILY, b"two"));
        let mut seen = 0;
        let more = messages(&bytes, &mut |_: &[u8]| {
            seen += 1;
            false
        });
        assert!(matches!((more, seen), (Ok(false), 1)));
    }

    #[test]
    fn a_listener_has_lost_nothing_yet() {
        let listener = DestroyListener::open().unwrap();
        assert_eq!(listener.lost(), Some(0));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_is_heard() {
        let listener = DestroyListener::open_with(4096).unwrap();
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
            drop((client, server.accept().unwrap()));
        }
        // The kernel tells of them a little later.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while listener.lost() == Some(0) && std::time::Instant::now() < patience {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut heard = 0;
        listener.read(&mut Vec::new(), |_| heard += 1).unwrap();
        assert!(heard > 0 && listener.lost() > Some(0), "{heard} heard, {:?} lost", listener.lost());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, length in 0_u32..80, kind in 0_u16..30) {
            let _ = all(&bytes);
            let mut framed = bytes;
            framed.resize(framed.len().max(HEAD_BYTES), 0);
            framed[..4].copy_from_slice(&length.to_ne_bytes());
            framed[4..6].copy_from_slice(&kind.to_ne_bytes());
            let _ = all(&framed);
        }
    }
}
