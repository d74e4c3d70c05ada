//! Requests to the kernel's routing tables over netlink: one socket in the caller's network namespace, closed on drop.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// The kernel fills what it is offered, up to 32 KiB.
const RECEIVE_BYTES: usize = 64 << 10;
/// A table that changes while it is dumped is asked for again this often; then what came is taken.
const ATTEMPTS: usize = 3;
/// `NLM_F_DUMP_INTR`: the table changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `struct nlmsghdr`.
const HEAD_BYTES: usize = 16;

/// A socket to the routing tables of the namespace in which it was made.
pub(crate) struct RouteSocket {
    socket: Socket,
    buffer: Vec<u8>,
    torn: bool,
}

/// What a dump gave.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// Messages in the kernel's order.
    pub messages: Vec<RouteNetlinkMessage>,
    /// Messages of a form we do not know; left out.
    pub unknown: usize,
    interrupted: bool,
}

impl RouteSocket {
    /// Opens one in this thread's network namespace.
    ///
    /// # Errors
    /// As `socket(2)`.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, buffer: vec![0; RECEIVE_BYTES], torn: false })
    }

    /// Asks for a whole table.
    ///
    /// # Errors
    /// What the kernel answers: `EPERM`, `EOPNOTSUPP` for a table it does not have.
    pub(crate) fn dump(&mut self, request: &RouteNetlinkMessage) -> io::Result<Dump> {
        let mut dump = Dump::default();
        for _attempt in 0..ATTEMPTS {
            dump = self.ask(request.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if !dump.interrupted {
                return Ok(dump);
            }
        }
        self.torn = true;
        Ok(dump)
    }

    /// Whether a table changed while it was dumped, at each attempt: something may be missing.
    pub(crate) fn torn(&self) -> bool {
        self.torn
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn get(&mut self, request: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
        Ok(self.ask(request, NLM_F_REQUEST)?.messages.pop())
    }

    /// Name of a link; `None` when there is none of this number.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn link_name(&mut self, ifindex: u32) -> io::Result<Option<String>> {
        match self.get(RouteNetlinkMessage::GetLink(link_message(ifindex))) {
            Ok(Some(RouteNetlinkMessage::NewLink(link))) => {
                let name = |a| if let LinkAttribute::IfName(name) = a { Some(name) } else { None };
                Ok(link.attributes.into_iter().find_map(name))
            }
            Ok(_) => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a link up or down: the only thing that we ever change.
    ///
    /// # Errors
    /// What the kernel answers: `EPERM` without CAP_NET_ADMIN, `ENODEV` when it is gone.
    pub(crate) fn set_link(&mut self, ifindex: u32, up: bool) -> io::Result<()> {
        let mut message = link_message(ifindex);
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.ask(RouteNetlinkMessage::SetLink(message), NLM_F_REQUEST | NLM_F_ACK).map(drop)
    }

    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<Dump> {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut dump = Dump::default();
        loop {
            let n = self.socket.recv(&mut &mut self.buffer[..], 0)?;
            let done = take(self.buffer.get(..n).unwrap_or_default(), &mut dump)?;
            if done || flags & NLM_F_DUMP != NLM_F_DUMP {
                return Ok(dump);
            }
        }
    }
}

fn link_message(ifindex: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message
}

/// Takes the messages of one datagram in; true when it ends the answer.
///
/// # Errors
/// What the kernel answers.
pub(crate) fn take(mut bytes: &[u8], dump: &mut Dump) -> io::Result<bool> {
    while let Some(head) = bytes.first_chunk::<HEAD_BYTES>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let flags = u16::from_ne_bytes([head[6], head[7]]);
        let Some(message) = bytes.get(..length).filter(|m| m.len() >= HEAD_BYTES) else { break };
        dump.interrupted |= flags & DUMP_INTERRUPTED != 0;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message).map(|m| m.payload) {
            Ok(NetlinkPayload::InnerMessage(message)) => dump.messages.push(message),
            Ok(NetlinkPayload::Done(done)) if done.code < 0 => {
                return Err(io::Error::from_raw_os_error(done.code.saturating_neg()));
            }
            Ok(NetlinkPayload::Done(_)) => return Ok(true),
            Ok(NetlinkPayload::Error(error)) => match error.code {
                Some(code) => return Err(io::Error::from_raw_os_error(code.get().abs())),
                None => return Ok(true),
            },
            Ok(NetlinkPayload::Overrun(_)) => dump.interrupted = true,
            Ok(_) => {}
            Err(_) => dump.unknown += 1,
        }
        let aligned = length.next_multiple_of(4);
        bytes = bytes.get(aligned..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::link::LinkMessage;
    use proptest::prelude::*;

    #[test]
    fn the_kernel_lists_lo() {
        use netlink_packet_route::link::LinkAttribute;
        let mut socket = RouteSocket::open().unwrap();
        let dump = socket.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default())).unwrap();
        let names = dump
            .messages
            .iter()
            .filter_map(|m| if let RouteNetlinkMessage::NewLink(link) = m { Some(link) } else { None });
        assert!(names.flat_map(|l| &l.attributes).any(|a| *a == LinkAttribute::IfName("lo".into())));
        assert_eq!(dump.unknown, 0);
    }

    #[test]
    fn a_refusal_inside_done_is_an_error() {
        let mut bytes = [0_u8; 20];
        bytes[..4].copy_from_slice(&20_u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&3_u16.to_ne_bytes());
        bytes[16..].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        let error = take(&bytes, &mut Dump::default()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, length in 0_u32..80, kind in 0_u16..130) {
            let _ = take(&bytes, &mut Dump::default());
            let mut framed = bytes;
            framed.resize(framed.len().max(HEAD_BYTES), 0);
            framed[..4].copy_from_slice(&length.to_ne_bytes());
            framed[4..6].copy_from_slice(&kind.to_ne_bytes());
            let _ = take(&framed, &mut Dump::default());
        }
    }
}
