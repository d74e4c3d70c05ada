//! How much of each packet the kernel copies for a capture: a program of classic BPF on libpcap's socket. Given to
//! [`super::PacketCapture`].
#![expect(unsafe_code, reason = "a program is attached to a socket")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use glasshull_shared::domain::dns::ENGINE_RESOLVER;

const ENGINE: u32 = ENGINE_RESOLVER.to_bits();
const DNS_PORT: u32 = 53;

/// A program for the kernel that says how much of each packet is copied: `longer` of UDP and TCP from or to port 53 or an
/// engine's resolver, `shorter` of all others. The head of IP is `at` bytes in. No load may fail, it would drop the packet: what
/// is too short to be read is none of these.
pub(super) fn lengths(at: u32, shorter: u32, longer: u32) -> Vec<libc::sock_filter> {
    const LENGTH: u16 = 0x80;
    const WORD: u16 = 0x20;
    const HALF: u16 = 0x28;
    const BYTE: u16 = 0x30;
    /// At the place in the register.
    const HALF_THERE: u16 = 0x48;
    const REGISTER: u16 = 0x01;
    /// Four times the low half of a byte, into the register: the length of an IPv4 head.
    const REGISTER_HEAD: u16 = 0xb1;
    const LESS: u16 = 0x14;
    const GO: u16 = 0x05;
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    const AT_LEAST_REGISTER: u16 = 0x3d;
    const HAS_BITS: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the Ethertype, also where there is no Ethernet.
    const ETHERTYPE: u32 = 0xffff_f000;
    const TCP: u32 = 6;
    const UDP: u32 = 17;
    const SHORT: u8 = 29;
    const LONG: u8 = 30;
    // Place, code, operand, places to go to when it is so and when not.
    let lines: [(u8, u16, u32, u8, u8); 31] = [
        (0, LENGTH, 0, 0, 0),
        (1, AT_LEAST, at + 28, 2, SHORT),
        (2, WORD, ETHERTYPE, 0, 0),
        (3, EQUAL, 0x0800, 5, 4),
        (4, EQUAL, 0x86dd, 16, SHORT),
        (5, BYTE, at + 9, 0, 0),
        (6, EQUAL, UDP, 8, 7),
        (7, EQUAL, TCP, 8, SHORT),
        (8, HALF, at + 6, 0, 0),
        (9, HAS_BITS, 0x1fff, SHORT, 10), // not the first piece
        (10, WORD, at + 12, 0, 0),
        (11, EQUAL, ENGINE, LONG, 12),
        (12, WORD, at + 16, 0, 0),
        (13, EQUAL, ENGINE, LONG, 14),
        (14, REGISTER_HEAD, at, 0, 0),
        (15, GO, 6, 0, 0), // to 22
        (16, LENGTH, 0, 0, 0),
        (17, AT_LEAST, at + 44, 18, SHORT),
        (18, BYTE, at + 6, 0, 0),
        (19, EQUAL, UDP, 21, 20),
        (20, EQUAL, TCP, 21, SHORT),
        (21, REGISTER, 40, 0, 0),
        (22, LENGTH, 0, 0, 0),
        (23, LESS, at + 4, 0, 0),
        (24, AT_LEAST_REGISTER, 0, 25, SHORT),
        (25, HALF_THERE, at, 0, 0),
        (26, EQUAL, DNS_PORT, LONG, 27),
        (27, HALF_THERE, at + 2, 0, 0),
        (28, EQUAL, DNS_PORT, LONG, SHORT),
        (SHORT, RETURN, shorter, 0, 0),
        (LONG, RETURN, longer, 0, 0),
    ];
    let program = lines.map(|(place, code, k, so, not)| {
        let distance = |to: u8| to.saturating_sub(place + 1);
        libc::sock_filter { code, jt: distance(so), jf: distance(not), k }
    });
    program.to_vec()
}

/// Has the kernel run a program over each packet before it is copied.
pub(super) fn attach(socket: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which outlives the call; it only reads it.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
