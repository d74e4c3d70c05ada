//! Driver of a network link: `ETHTOOL_GDRVINFO`, which needs no permission.
#![expect(unsafe_code, reason = "no crate of ours wraps SIOCETHTOOL")]

use std::ffi::{c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use glasshull_shared::unit::printable_bytes;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

const ETHTOOL_GDRVINFO: u32 = 3;
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const TEXT_BYTES: usize = 32;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; TEXT_BYTES],
    version: [u8; TEXT_BYTES],
    firmware: [u8; TEXT_BYTES],
    bus: [u8; TEXT_BYTES],
    expansion_rom: [u8; TEXT_BYTES],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// Asks about links of the network namespace it was made in.
pub(crate) struct Ethtool {
    socket: OwnedFd,
}

/// What drives a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Driver {
    /// Its name; `None` when the link has none.
    pub name: Option<String>,
    /// Its version: for drivers of the kernel's own tree usually that of the kernel; `None` when it has none.
    pub version: Option<String>,
}

impl Ethtool {
    /// Opens a socket in this thread's network namespace.
    ///
    /// # Errors
    /// As `socket(2)`.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket })
    }

    /// Driver of the link with this name; nothing when it does not tell or there is no such link.
    pub(crate) fn driver(&self, link: &str) -> Driver {
        let mut info = DriverInfo {
            command: ETHTOOL_GDRVINFO,
            driver: [0; TEXT_BYTES],
            version: [0; TEXT_BYTES],
            firmware: [0; TEXT_BYTES],
            bus: [0; TEXT_BYTES],
            expansion_rom: [0; TEXT_BYTES],
            reserved: [0; 12],
            counts: [0; 5],
        };
        let mut name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
        // The last byte stays 0; a longer name is none that the kernel has.
        if link.len() >= name.len() {
            return Driver::default();
        }
        for (to, from) in name.iter_mut().zip(link.bytes()) {
            *to = from.cast_signed();
        }
        let data = (&raw mut info).cast::<c_char>();
        let mut request =
            libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data } };
        // SAFETY: `request` is a whole ifreq whose data points to `info`, which has the layout the command asks for and
        // lives until after the call; the kernel writes nothing else.
        let result: c_int = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if result != 0 {
            return Driver::default();
        }
        Driver { name: text(&info.driver), version: text(&info.version) }
    }
}

/// Text up to the first 0; `None` when it is empty or `N/A`, as some drivers say.
fn text(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    (!text.is_empty() && text != b"N/A").then(|| printable_bytes(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(size_of::<DriverInfo>(), 196);
    }

    #[test]
    fn a_link_that_is_not_there_has_no_driver() {
        let ethtool = Ethtool::open().unwrap();
        for name in ["", "no-such-link", "a-name-longer-than-any", "lo\0x", "../etc"] {
            assert_eq!(ethtool.driver(name), Driver::default(), "{name:?}");
        }
    }

    #[test]
    fn a_driver_is_the_one_sysfs_names() {
        let ethtool = Ethtool::open().unwrap();
        for entry in std::fs::read_dir("/sys/class/net").unwrap().flatten() {
            let Ok(link) = std::fs::read_link(entry.path().join("device/driver")) else { continue };
            let named = ethtool.driver(&entry.file_name().to_string_lossy()).name;
            assert_eq!(named.as_deref(), link.file_name().unwrap().to_str());
        }
    }

    #[test]
    fn texts_end_at_their_zero() {
        assert_eq!(text(b"veth\0\0junk").as_deref(), Some("veth"));
        assert_eq!((text(b"\0"), text(b"N/A\0")), (None, None));
        assert_eq!(text(&[b'x'; TEXT_BYTES]).map(|t| t.len()), Some(TEXT_BYTES));
    }
}
