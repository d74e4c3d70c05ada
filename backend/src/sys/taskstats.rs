//! How long the threads of a process waited, as the kernel adds it up: `TASKSTATS` over generic netlink, for `process_delay`.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

use super::netlink_frame::{self, HEAD_BYTES};

/// `struct genlmsghdr`.
const GENERIC_HEAD_BYTES: usize = 4;
/// An answer is a few hundred bytes; newer kernels tell more.
const RECEIVE_BYTES: usize = 8 << 10;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and its attributes.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `TASKSTATS_CMD_GET`, what it takes and what it answers.
const GET: u8 = 1;
const ASKED_TGID: u16 = 2;
const AGGREGATE_TGID: u16 = 5;
const STATS: u16 = 3;

/// Linux 6.14 alone put new fields in the midst of the others.
const OTHER_LAYOUT: u16 = 15;

/// What all threads of a process waited for, those that ended too: nanoseconds since each began. `struct taskstats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Delays {
    /// For a CPU, able to run.
    pub cpu: u64,
    /// For block I/O that it asked for itself.
    pub block: u64,
    /// For pages to come back from swap.
    pub swap: u64,
    /// Freeing memory itself, because there was none.
    pub reclaim: u64,
    /// For pages of files that were thrown out a moment ago.
    pub thrashing: u64,
}

/// Asks about one process after the other.
pub(crate) struct TaskstatsSocket {
    socket: Socket,
    family: u16,
    sequence: u32,
    buffer: Vec<u8>,
}

impl TaskstatsSocket {
    /// Opens a socket and finds out what the kernel calls the family.
    ///
    /// # Errors
    /// As `socket(2)`; `ENOENT` from a kernel that was built without it.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut all = Self { socket, family: CONTROL, sequence: 0, buffer: vec![0; RECEIVE_BYTES] };
        let answer = all.ask(GET_FAMILY, FAMILY_NAME, b"TASKSTATS\0")?;
        let id = netlink_frame::attributes(answer).find(|(kind, _)| *kind == FAMILY_ID);
        let id = id.and_then(|(_, bytes)| Some(u16::from_ne_bytes(*bytes.first_chunk()?)));
        all.family = id.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        Ok(all)
    }

    /// What a process waited for; `None` when it has ended. All but the wait for a CPU is 0 while the kernel does not count.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN`; `Unsupported` from Linux 6.14; what the kernel answers.
    pub(crate) fn of_process(&mut self, pid: u32) -> io::Result<Option<Delays>> {
        match self.ask(GET, ASKED_TGID, &pid.to_ne_bytes()) {
            Ok(answer) => delays(answer).map(Some),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a command with one attribute; the attributes of the answer.
    fn ask(&mut self, command: u8, attribute: u16, value: &[u8]) -> io::Result<&[u8]> {
        self.sequence = self.sequence.wrapping_add(1);
        let attribute_bytes = 4 + value.len();
        let length = HEAD_BYTES + GENERIC_HEAD_BYTES + attribute_bytes.next_multiple_of(4);
        let mut message = Vec::with_capacity(length);
        message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        message.extend(self.family.to_ne_bytes());
        message.extend(REQUEST.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]); // port: the kernel fills it
        message.extend([command, 1, 0, 0]);
        message.extend(u16::try_from(attribute_bytes).unwrap_or(u16::MAX).to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(value);
        message.resize(length, 0);
        self.socket.send(&message, 0)?;
        // One datagram answers: the kernel works while we send.
        let n = self.socket.recv(&mut &mut self.buffer[..], 0)?;
        let message = netlink_frame::messages(self.buffer.get(..n).unwrap_or_default()).next();
        let message = message.ok_or(io::ErrorKind::InvalidData)?;
        if message.ends()? {
            return Ok(&[]);
        }
        Ok(message.payload.get(GENERIC_HEAD_BYTES..).unwrap_or_default())
    }
}

/// Of the attributes of an answer.
fn delays(answer: &[u8]) -> io::Result<Delays> {
    let within = |bytes, wanted| {
        netlink_frame::attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, inside)| inside)
    };
    let stats = within(answer, AGGREGATE_TGID).and_then(|inside| within(inside, STATS)).unwrap_or_default();
    let version = stats.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
    if version == Some(OTHER_LAYOUT) {
        let why = "taskstats of version 15 (Linux 6.14) have their fields elsewhere";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    // 4.20 is the first to count thrashing.
    let at = |place: usize| Some(u64::from_ne_bytes(*stats.get(place..)?.first_chunk()?));
    let all = || {
        let (reclaim, thrashing) = (at(320)?, at(336).unwrap_or_default());
        Some(Delays { cpu: at(24)?, block: at(40)?, swap: at(56)?, reclaim, thrashing })
    };
    all().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, inside: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + inside.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(inside);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn delays_stand_at_their_places_and_a_short_answer_has_none() {
        let mut stats = vec![0; 400];
        for (place, value) in [(24, 1_u64), (40, 2), (56, 3), (320, 4), (336, 5)] {
            stats[place..place + 8].copy_from_slice(&value.to_ne_bytes());
        }
        let answer = |stats: &[u8]| {
            let inside = [attribute(2, &7_u32.to_ne_bytes()), attribute(STATS, stats)].concat();
            attribute(AGGREGATE_TGID, &inside)
        };
        let expected = Delays { cpu: 1, block: 2, swap: 3, reclaim: 4, thrashing: 5 };
        assert_eq!(delays(&answer(&stats)).unwrap(), expected);
        assert_eq!(delays(&answer(&stats[..328])).unwrap(), Delays { thrashing: 0, ..expected });
        for length in 0..answer(&stats).len() {
            assert!(delays(&answer(&stats)[..length]).is_err());
        }
        assert_eq!(delays(&answer(&stats[..60])).unwrap_err().kind(), io::ErrorKind::InvalidData);
        stats[..2].copy_from_slice(&OTHER_LAYOUT.to_ne_bytes());
        assert_eq!(delays(&answer(&stats)).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn the_kernel_answers_about_this_process_and_not_about_one_that_is_not_there() {
        let mut socket = match TaskstatsSocket::open() {
            Ok(socket) => socket,
            Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::ENOENT)),
        };
        match socket.of_process(std::process::id()) {
            Ok(own) => {
                assert!(own.is_some());
                assert_eq!(socket.of_process(u32::MAX >> 1).unwrap(), None);
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
    }
}
