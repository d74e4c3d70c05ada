//! Dumps of the kernel's netfilter (nf_tables, connection tracking) over netlink, as bytes: one socket in the caller's network
//! namespace, closed on drop.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use super::netlink_frame::{DUMP, DUMP_INTERRUPTED, HEAD_BYTES, messages};

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_GET`.
pub(crate) const GET_CONNECTIONS: u16 = 0x0101;
/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_GETRULE`.
pub(crate) const GET_RULES: u16 = 0x0a07;

const RECEIVE_BYTES: usize = 64 << 10;
/// `struct nfgenmsg`, behind the head of each message.
const NETFILTER_HEAD_BYTES: usize = 4;
/// A table that changes while it is dumped is asked for again this often; then what came is taken.
const ATTEMPTS: usize = 3;

/// A socket to the netfilter of the namespace in which it was made.
pub(crate) struct NetfilterSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

/// How a datagram went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Progress {
    done: bool,
    interrupted: bool,
    /// Whoever takes has enough: the rest is not read.
    enough: bool,
}

impl NetfilterSocket {
    /// Opens one in this thread's network namespace.
    ///
    /// # Errors
    /// As `socket(2)`; `EPROTONOSUPPORT` without netfilter in the kernel.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, buffer: vec![0; RECEIVE_BYTES] })
    }

    /// Asks for a table of all families and gives family and attributes of each entry to `take` until that returns false. It
    /// begins anew from [`Default`] when the table changed meanwhile. The socket goes with it: what was not read is in there.
    ///
    /// # Errors
    /// What the kernel answers: `EPERM` without CAP_NET_ADMIN, `EINVAL` or `EOPNOTSUPP` for what it does not have.
    pub(crate) fn dump<T: Default>(
        mut self,
        request: u16,
        mut take: impl FnMut(&mut T, u8, &[u8]) -> bool,
    ) -> io::Result<T> {
        let mut all = T::default();
        for _attempt in 0..ATTEMPTS {
            all = T::default();
            if !self.ask(request, &mut |family, attributes| take(&mut all, family, attributes))? {
                break;
            }
        }
        Ok(all)
    }

    /// True when the table changed before all was taken.
    fn ask(&mut self, request: u16, take: &mut impl FnMut(u8, &[u8]) -> bool) -> io::Result<bool> {
        let mut message = [0_u8; HEAD_BYTES + NETFILTER_HEAD_BYTES];
        let length = (HEAD_BYTES + NETFILTER_HEAD_BYTES) as u32;
        for (at, byte) in length.to_ne_bytes().iter().chain(&request.to_ne_bytes()).enumerate() {
            message[at] = *byte;
        }
        message[6..8].copy_from_slice(&DUMP.to_ne_bytes());
        self.socket.send(&message, 0)?;
        let mut interrupted = false;
        loop {
            let n = self.socket.recv(&mut &mut self.buffer[..], 0)?;
            let progress = entries(self.buffer.get(..n).unwrap_or_default(), take)?;
            if progress.enough {
                return Ok(false);
            }
            interrupted |= progress.interrupted;
            if progress.done {
                return Ok(interrupted);
            }
        }
    }
}

/// Takes the entries of one datagram, as far as they are wanted.
fn entries(bytes: &[u8], take: &mut impl FnMut(u8, &[u8]) -> bool) -> io::Result<Progress> {
    let mut progress = Progress::default();
    for message in messages(bytes) {
        progress.interrupted |= message.flags & DUMP_INTERRUPTED != 0;
        if message.ends()? {
            progress.done = true;
            return Ok(progress);
        }
        if let Some((head, attributes)) = message.payload.split_first_chunk::<NETFILTER_HEAD_BYTES>()
            && !take(head[0], attributes)
        {
            progress.enough = true;
            return Ok(progress);
        }
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::netlink_frame::attribute;
    use proptest::prelude::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEAD_BYTES + body.len()) as u32;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEAD_BYTES, 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn entries_are_taken_until_the_end() {
        let mut bytes = message(0x0a06, &[2, 0, 0, 0, 5, 0, 1, 0, b'x', 0, 0, 0]);
        bytes.extend(message(libc::NLMSG_DONE as u16, &0_i32.to_ne_bytes()));
        let mut seen = Vec::new();
        let progress = entries(&bytes, &mut |family, attributes| {
            seen.push((family, attribute(attributes, 1).map(<[u8]>::to_vec)));
            true
        });
        assert!(progress.unwrap().done);
        assert_eq!(seen, [(2, Some(b"x".to_vec()))]);
    }

    #[test]
    fn who_has_enough_is_given_no_more() {
        let bytes = message(0x0100, &[2, 0, 0, 0]).repeat(5);
        let mut seen = 0;
        let progress = entries(&bytes, &mut |_, _| {
            seen += 1;
            seen < 3
        });
        let progress = progress.unwrap();
        assert_eq!((seen, progress.enough, progress.done), (3, true, false));
    }

    #[test]
    fn a_refusal_is_an_error() {
        for kind in [libc::NLMSG_ERROR, libc::NLMSG_DONE] {
            let bytes = message(kind as u16, &(-libc::EPERM).to_ne_bytes());
            let error = entries(&bytes, &mut |_, _| true).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, length in 0_u32..80, kind in 0_u16..9) {
            let mut framed = bytes;
            framed.resize(framed.len().max(HEAD_BYTES), 0);
            framed[..4].copy_from_slice(&length.to_ne_bytes());
            framed[4..6].copy_from_slice(&kind.to_ne_bytes());
            // A length of nothing must not be read for ever.
            let _ = entries(&framed, &mut |_, _| true);
        }
    }
}
