//! What all families of netlink have in common: messages in a datagram, attributes in a message, how an answer ends. By offset and
//! with a look at each length; no bytes panic.

use std::io;

/// `struct nlmsghdr`.
pub(crate) const HEAD_BYTES: usize = 16;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
pub(crate) const DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: the table changed meanwhile.
pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What it is, by family.
    pub kind: u16,
    /// `NLM_F_…`.
    pub flags: u16,
    /// What follows the head.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// Whether it ends the answer.
    ///
    /// # Errors
    /// What the kernel answers instead.
    pub(crate) fn ends(&self) -> io::Result<bool> {
        if !matches!(self.kind, NLMSG_ERROR | NLMSG_DONE) {
            return Ok(false);
        }
        // Both begin with a negative errno, or 0; an old kernel's end of a dump is empty.
        match self.payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code)) {
            code if code < 0 => Err(io::Error::from_raw_os_error(code.saturating_neg())),
            _ => Ok(true),
        }
    }
}

/// The messages of a datagram, until one that is cut short.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let head = bytes.first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let payload = bytes.get(HEAD_BYTES..length)?;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let flags = u16::from_ne_bytes([head[6], head[7]]);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, payload })
    })
}

/// Number and content of each attribute (`struct nlattr`), until one that is cut short.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are no part of the number.
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let head = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let body = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[2], head[3]]) & KIND, body))
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

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEAD_BYTES + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEAD_BYTES, 0);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn messages_are_read_one_behind_the_other_until_one_is_cut_short() {
        let whole = [message(20, b"first"), message(21, b""), message(22, b"last")].concat();
        let kinds = |bytes: &[u8]| messages(bytes).map(|m| (m.kind, m.payload.to_vec())).collect::<Vec<_>>();
        let all = [(20, b"first".to_vec()), (21, vec![]), (22, b"last".to_vec())];
        assert_eq!(kinds(&whole), all);
        assert_eq!(kinds(&whole[..whole.len() - 1]), all[..2]);
        assert_eq!(kinds(&whole[..20]), []);
    }

    #[test]
    fn an_end_is_one_and_a_refusal_is_an_error() {
        let ends = |kind, payload: &[u8]| Message { kind, flags: 0, payload }.ends();
        assert!(!ends(20, &(-1_i32).to_ne_bytes()).unwrap());
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            assert!(ends(kind, &0_i32.to_ne_bytes()).unwrap() && ends(kind, b"").unwrap());
            let refused = ends(kind, &(-libc::EPERM).to_ne_bytes()).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        }
    }

    #[test]
    fn attributes_are_found_by_number_without_their_flags() {
        let bytes = [5, 0, 1, 0x80, b'x', 0, 0, 0, 4, 0, 2, 0, 9, 0, 3, 0, b'c'];
        assert_eq!(attribute(&bytes, 1), Some(&b"x"[..]));
        assert_eq!(attribute(&bytes, 2), Some(&b""[..]));
        assert_eq!(attribute(&bytes, 3), None, "it is cut short");
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
            messages(&framed).for_each(|message| drop(message.ends()));
        }
    }
}
