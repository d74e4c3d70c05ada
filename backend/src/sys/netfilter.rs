//! Dumps of the kernel's netfilter (nf_tables, connection tracking) over netlink, as bytes: one socket in the caller's network
//! namespace, closed on drop.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_GET`.
pub(crate) const GET_CONNECTIONS: u16 = 0x0101;
/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_GETRULE`.
pub(crate) const GET_RULES: u16 = 0x0a07;

const RECEIVE_BYTES: usize = 64 << 10;
/// `struct nlmsghdr`, then `struct nfgenmsg`.
const HEAD_BYTES: usize = 16;
const NETFILTER_HEAD_BYTES: usize = 4;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: the table changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
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
fn entries(mut bytes: &[u8], take: &mut impl FnMut(u8, &[u8]) -> bool) -> io::Result<Progress> {
    let mut progress = Progress::default();
    while let Some(head) = bytes.first_chunk::<HEAD_BYTES>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        progress.interrupted |= u16::from_ne_bytes([head[6], head[7]]) & DUMP_INTERRUPTED != 0;
        let Some(body) = bytes.get(HEAD_BYTES..length) else { break };
        match kind {
            NLMSG_ERROR | NLMSG_DONE => {
                let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                if code < 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                progress.done = true;
                return Ok(progress);
            }
            _ => {
                if let Some((head, attributes)) = body.split_first_chunk::<NETFILTER_HEAD_BYTES>()
                    && !take(head[0], attributes)
                {
                    progress.enough = true;
                    return Ok(progress);
                }
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(progress)
}

/// Number and content of each netlink attribute; ends at the first that is cut off.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are no part of the number.
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let head = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & KIND;
        let body = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attribute with that number.
pub(crate) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, body)| body)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        bytes.extend(message(NLMSG_DONE, &0_i32.to_ne_bytes()));
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
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let bytes = message(kind, &(-libc::EPERM).to_ne_bytes());
            let error = entries(&bytes, &mut |_, _| true).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, length in 0_u32..80, kind in 0_u16..9) {
            let _ = attributes(&bytes).count();
            let mut framed = bytes;
            framed.resize(framed.len().max(HEAD_BYTES), 0);
            framed[..4].copy_from_slice(&length.to_ne_bytes());
            framed[4..6].copy_from_slice(&kind.to_ne_bytes());
            // A length of nothing must not be read for ever.
            let _ = entries(&framed, &mut |_, _| true);
        }
    }
}
