//! The rules of legacy iptables, as bytes, by `getsockopt` in the caller's network namespace.
#![expect(unsafe_code, reason = "getsockopt with the kernel's own structures has no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketType, socket};

/// `XT_TABLE_MAXNAMELEN`.
const NAME_BYTES: usize = 32;
/// `struct ipt_getinfo`, the same for IPv6.
pub(crate) const INFO_BYTES: usize = 84;
/// `struct ipt_get_entries` before its entries, which are aligned to eight bytes.
const ENTRIES_HEAD_BYTES: usize = 40;
/// `IPT_SO_GET_INFO`, `IP6T_SO_GET_INFO`.
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES`, `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: libc::c_int = 65;
/// Bytes of entries that are asked for: the kernel gives all or none. Some 100,000 rules.
const ENTRIES_AT_MOST: usize = 32 << 20;
/// Where `struct ipt_getinfo` has the number of entries; their size follows.
const ENTRIES: usize = INFO_BYTES - 8;
/// A table that changes between the two questions is asked for again.
const ATTEMPTS: usize = 3;

/// A table as the kernel gives it.
#[derive(Debug)]
pub(crate) struct RawTable {
    /// `struct ipt_getinfo`.
    pub info: [u8; INFO_BYTES],
    /// Its entries one after the other.
    pub entries: Vec<u8>,
}

/// What became of the question for a table.
#[derive(Debug)]
pub(crate) enum Asked {
    /// All of it.
    Table(RawTable),
    /// Not asked for: it would take too much room.
    TooLarge {
        /// How many entries it has, also those that end chains.
        entries: u32,
    },
}

/// Reads a table. To ask for one that does not exist would make it: look into `ip_tables_names` before.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN, `ENOPROTOOPT` without legacy iptables in the kernel.
pub(crate) fn table(name: &str, v6: bool) -> io::Result<Asked> {
    let (family, level) =
        if v6 { (AddressFamily::INET6, libc::IPPROTO_IPV6) } else { (AddressFamily::INET, libc::IPPROTO_IP) };
    // Any socket of the family will do; a raw one, as iptables takes, would need CAP_NET_RAW besides.
    let socket = socket(family, SocketType::DGRAM, None)?;
    let mut last = io::Error::from(io::ErrorKind::Interrupted);
    for _attempt in 0..ATTEMPTS {
        let mut info = [0_u8; INFO_BYTES];
        put_name(&mut info, name);
        ask(&socket, level, GET_INFO, &mut info)?;
        let size = info.last_chunk::<4>().map_or(0, |size| u32::from_ne_bytes(*size) as usize);
        if size > ENTRIES_AT_MOST {
            return Ok(Asked::TooLarge { entries: entries_of(&info) });
        }
        let mut entries = vec![0_u8; ENTRIES_HEAD_BYTES + size];
        put_name(&mut entries, name);
        if let Some(field) = entries.get_mut(NAME_BYTES..NAME_BYTES + 4) {
            field.copy_from_slice(&u32::try_from(size).unwrap_or(0).to_ne_bytes());
        }
        match ask(&socket, level, GET_ENTRIES, &mut entries) {
            Ok(()) => {
                let entries = entries.split_off(ENTRIES_HEAD_BYTES);
                return Ok(Asked::Table(RawTable { info, entries }));
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// How many entries a table has, by its info.
pub(crate) fn entries_of(info: &[u8; INFO_BYTES]) -> u32 {
    info.get(ENTRIES..).and_then(<[u8]>::first_chunk).map_or(0, |entries| u32::from_ne_bytes(*entries))
}

fn put_name(buffer: &mut [u8], name: &str) {
    // The last byte stays 0.
    for (to, from) in buffer.iter_mut().take(NAME_BYTES - 1).zip(name.bytes()) {
        *to = from;
    }
}

fn ask(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, buffer: &mut [u8]) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(io::Error::other)?;
    // SAFETY: the buffer is valid for reads and writes of `length` bytes, which the kernel does not exceed; it keeps
    // neither pointer.
    let answer = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut length)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
