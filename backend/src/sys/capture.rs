//! Packets from the kernel: an `AF_PACKET` ring (TPACKET_V3) behind libpcap, on one link or on all of a network namespace.
//!
//! An open capture pins its namespace: whoever holds one closes it when the last process there has gone. Not in immediate mode,
//! the kernel hands over whole blocks: a tenth of the cost per packet, at the price of [`Options::patience`].
#![expect(unsafe_code, reason = "two symbols that libpcap's archive wants from D-Bus are defined here")]

mod length;

use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pcap::{Active, Linktype, Precision};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::netns::{self, Target};
use length::{attach, lengths};

/// `DLT_LINUX_SLL2`: a head of 20 bytes that names the link each packet was seen on.
pub(crate) const LINUX_SLL2: i32 = 276;

/// Length of that head.
const SLL2_BYTES: u32 = 20;
/// `DLT_EN10MB`.
const ETHERNET: i32 = 1;
const ETHERNET_BYTES: u32 = 14;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Device {
    /// All links of the namespace, also those made later; packets begin with a head of [`LINUX_SLL2`].
    Any,
    /// The link of this name.
    Link(String),
}

/// How to look.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where.
    pub device: Device,
    /// Bytes of each packet that are copied.
    pub snaplen: u32,
    /// Bytes instead of packets from or to port 53 or an engine's resolver, over UDP or TCP; goes without `filter` alone.
    pub dns_snaplen: Option<u32>,
    /// Size of the ring, locked memory of the kernel; blocks are 128 KiB.
    pub buffer_bytes: u32,
    /// How long the kernel may keep packets until a block is full.
    pub patience: Duration,
    /// Hand over each packet at once: for people who look at single packets.
    pub immediate: bool,
    /// Filter as tcpdump takes it; names in it are looked up, which may ask a name server.
    pub filter: Option<String>,
}

impl Options {
    /// Bytes that are copied at most.
    fn longest(&self) -> u32 {
        // The head of what is cooked comes on top.
        self.dns_snaplen.map_or(self.snaplen, |longer| longer + SLL2_BYTES).max(self.snaplen)
    }
}

/// Why there is no capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CaptureError {
    /// CAP_NET_RAW is missing.
    Refused,
    /// The filter is none, as libpcap tells it.
    Filter(String),
    /// The namespace or the link has gone, or cannot be entered; anything else that libpcap says.
    Failed(String),
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused => f.write_str("capturing packets needs CAP_NET_RAW"),
            Self::Filter(why) => write!(f, "filter: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CaptureError {}

/// A packet in the ring; valid until the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet<'a> {
    /// When it passed, nanoseconds since the epoch.
    pub at: u64,
    /// Its whole length with the head of the capture's link type, bytes.
    pub len: u32,
    /// What was copied of it.
    pub data: &'a [u8],
}

/// What the kernel counted for a capture since its filter stands, without one since the opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Packets that passed the filter, dropped ones among them; those of `lo` twice.
    pub received: u64,
    /// Packets for which the ring had no room.
    pub dropped: u64,
}

/// An open capture.
pub(crate) struct PacketCapture {
    handle: pcap::Capture<Active>,
    link_type: i32,
    counts: Counts,
    /// libpcap counts in 32 bits, which wrap.
    last: (u32, u32),
}

impl PacketCapture {
    /// Opens one in this thread's network namespace.
    ///
    /// # Errors
    /// As [`CaptureError`] lists them.
    pub(crate) fn open(options: &Options) -> Result<Self, CaptureError> {
        let mut capture = Self::handle(options)?;
        capture.set(options)?;
        Ok(capture)
    }

    /// One without a filter.
    fn handle(options: &Options) -> Result<Self, CaptureError> {
        let name = match &options.device {
            Device::Any => "any",
            Device::Link(name) if is_no_link(name) => {
                return Err(CaptureError::Failed(format!("libpcap takes {name} for no network link")));
            }
            Device::Link(name) => name,
        };
        let failed = |error: pcap::Error| refusal_or(error, CaptureError::Failed);
        let mut handle = pcap::Capture::from_device(name)
            .map_err(failed)?
            .snaplen(i32::try_from(options.longest()).unwrap_or(i32::MAX))
            .buffer_size(i32::try_from(options.buffer_bytes).unwrap_or(i32::MAX))
            .timeout(i32::try_from(options.patience.as_millis()).unwrap_or(i32::MAX).max(1))
            .immediate_mode(options.immediate)
            .precision(Precision::Nano)
            .open()
            .map_err(failed)?;
        if options.device == Device::Any {
            handle.set_datalink(Linktype(LINUX_SLL2)).map_err(failed)?;
        }
        let link_type = handle.get_datalink().0;
        let handle = handle.setnonblock().map_err(failed)?;
        Ok(Self { handle, link_type, counts: Counts::default(), last: (0, 0) })
    }

    /// Lets only what passes the filter in; without one says how much of which packet is copied. Once, before anything is counted.
    fn set(&mut self, options: &Options) -> Result<(), CaptureError> {
        if let Some(filter) = &options.filter {
            self.handle.filter(filter, true).map_err(|error| CaptureError::Filter(text(&error)))?;
            // Between the opening and here the kernel counted all packets.
            self.last = self.stats()?;
            return Ok(());
        }
        let Some(longer) = options.dns_snaplen else { return Ok(()) };
        // What was cooked begins with the network's own head, here as there.
        let at = if self.link_type == ETHERNET { ETHERNET_BYTES } else { 0 };
        attach(self.handle.as_fd(), &lengths(at, options.snaplen, longer))
            .map_err(|error| CaptureError::Failed(format!("attach a program to the capture: {error}")))
    }

    /// Opens one in another namespace, which it pins from now on.
    ///
    /// # Errors
    /// As [`Self::open`]; when the namespace cannot be entered.
    pub(crate) fn open_in(target: &Target, options: &Options) -> Result<Self, CaptureError> {
        let opened = netns::visit(std::slice::from_ref(target), |_| Ok(Self::handle(options)));
        let only =
            opened.and_then(|mut all| all.pop().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())));
        let mut capture = only.map_err(|error| CaptureError::Failed(error.to_string()))??;
        // Here, not in there: names in a filter are asked of the host's resolver, never of one in the container.
        capture.set(options)?;
        Ok(capture)
    }

    /// What packets begin with: a `DLT_` number.
    pub(crate) fn link_type(&self) -> i32 {
        self.link_type
    }

    /// Takes what is there, at most so many packets, without waiting; gives how many came.
    ///
    /// # Errors
    /// When the link has gone or was set down: close it.
    pub(crate) fn drain(
        &mut self,
        at_most: usize,
        mut take: impl FnMut(Packet<'_>),
    ) -> Result<usize, CaptureError> {
        for taken in 0..at_most {
            match self.handle.next_packet() {
                Ok(packet) => {
                    let ts = packet.header.ts;
                    let secs = u64::try_from(ts.tv_sec).unwrap_or(0);
                    // In nanosecond precision that field holds nanoseconds.
                    let at = secs * 1_000_000_000 + u64::try_from(ts.tv_usec).unwrap_or(0);
                    take(Packet { at, len: packet.header.len, data: packet.data });
                }
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => return Ok(taken),
                Err(error) => return Err(CaptureError::Failed(text(&error))),
            }
        }
        Ok(at_most)
    }

    /// What the kernel counted, as [`Counts`] says.
    ///
    /// # Errors
    /// When the link has gone.
    pub(crate) fn counts(&mut self) -> Result<Counts, CaptureError> {
        let (received, dropped) = self.stats()?;
        self.counts.received += u64::from(received.wrapping_sub(self.last.0));
        self.counts.dropped += u64::from(dropped.wrapping_sub(self.last.1));
        self.last = (received, dropped);
        Ok(self.counts)
    }

    /// Packets received and dropped since the opening.
    fn stats(&mut self) -> Result<(u32, u32), CaptureError> {
        let stat = self.handle.stats().map_err(|error| CaptureError::Failed(text(&error)))?;
        Ok((stat.received, stat.dropped))
    }
}

/// Tells a thread that reads packets to end, also while it waits.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    bell: Arc<OwnedFd>,
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// One that nobody has asked for yet.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { bell: Arc::new(bell), asked: Arc::default() })
    }

    /// Asks.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        // The bell stays rung: who comes to wait later does not wait.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }

    /// Ends one [`wait`] without asking.
    pub(crate) fn wake(&self) {
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }

    /// Whether somebody asked.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

impl AsFd for PacketCapture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Waits until one of the captures has something, one of `ends` is readable, `stop` is asked for, or the time is over. True when it
/// was one of `ends`.
///
/// # Errors
/// As `poll(2)`.
pub(crate) fn wait<'a>(
    captures: impl Iterator<Item = &'a PacketCapture>,
    ends: &[BorrowedFd<'a>],
    stop: &'a Stop,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut fds: Vec<PollFd<'_>> = ends
        .iter()
        .copied()
        .chain(captures.map(AsFd::as_fd))
        .chain(std::iter::once(stop.bell.as_fd()))
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    if !stop.asked() {
        let _ = rustix::io::read(&*stop.bell, &mut [0_u8; 8]);
    }
    Ok(fds.iter().take(ends.len()).any(|fd| !fd.revents().is_empty()))
}

/// Names by which libpcap opens other things than links; a container may call a link so.
fn is_no_link(name: &str) -> bool {
    ["any", "bluetooth", "dbus", "nflog", "nfqueue", "usbmon"].iter().any(|other| name.starts_with(other))
}

fn refusal_or(error: pcap::Error, other: fn(String) -> CaptureError) -> CaptureError {
    let text = text(&error);
    let refused = ["CAP_NET_RAW", "not permitted", "permission"].iter().any(|word| text.contains(word));
    if refused { CaptureError::Refused } else { other(text) }
}

/// What libpcap says, without the crate's own words.
fn text(error: &pcap::Error) -> String {
    if let pcap::Error::PcapError(why) = error { why.clone() } else { error.to_string() }
}

/// Takes the place of libpcap's capture of D-Bus messages, which an archive built with it would pull libdbus in for.
#[unsafe(no_mangle)]
unsafe extern "C" fn dbus_findalldevs(_devices: *mut c_void, _error: *mut c_char) -> c_int {
    0
}

/// As above: no device is a message bus.
#[unsafe(no_mangle)]
unsafe extern "C" fn dbus_create(
    _device: *const c_char,
    _error: *mut c_char,
    is_ours: *mut c_int,
) -> *mut c_void {
    // SAFETY: libpcap passes a pointer to a local of its own, or none.
    if let Some(is_ours) = unsafe { is_ours.as_mut() } {
        *is_ours = 0;
    }
    std::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn on(device: Device, filter: &str) -> Options {
        Options {
            device,
            snaplen: 128,
            dns_snaplen: None,
            buffer_bytes: 512 << 10,
            patience: Duration::from_millis(20),
            immediate: false,
            filter: Some(filter.into()),
        }
    }

    /// A thousand bytes to each of these; how many of them were copied, by the port they came from.
    fn copied(device: Device, to: &[&str]) -> Option<Vec<usize>> {
        let options = Options { dns_snaplen: Some(1600), filter: None, ..on(device, "") };
        let mut capture = opened(&options)?;
        let ports: Vec<[u8; 2]> = to
            .iter()
            .map(|to| {
                let any = if to.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
                let socket = UdpSocket::bind(any).unwrap();
                socket.send_to(&[7; 1000], to).unwrap();
                socket.local_addr().unwrap().port().to_be_bytes()
            })
            .collect();
        let stop = Stop::new().unwrap();
        let mut seen = vec![0; ports.len()];
        for _ in 0..100 {
            wait([&capture].into_iter(), &[], &stop, Some(Duration::from_millis(50))).unwrap();
            let drained = capture.drain(1000, |packet| {
                for (port, seen) in ports.iter().zip(&mut seen) {
                    let is_from = |at: usize| packet.data.get(at..at + 2) == Some(port);
                    // Behind either head and IPv4 or IPv6.
                    if packet.len > 1000 && [14 + 20, 14 + 40, 20 + 20, 20 + 40].into_iter().any(is_from) {
                        *seen = packet.data.len();
                    }
                }
            });
            drained.unwrap();
            if seen.iter().all(|bytes| *bytes > 0) {
                break;
            }
        }
        Some(seen)
    }

    #[test]
    fn packets_about_names_are_copied_whole_and_others_by_their_heads() {
        let to = ["127.0.0.11:4711", "127.0.0.1:9", "127.0.0.3:53", "[::1]:9", "[::1]:53"];
        let Some(on_lo) = copied(Device::Link("lo".into()), &to) else { return };
        assert_eq!(on_lo, [14 + 28 + 1000, 128, 14 + 28 + 1000, 128, 14 + 48 + 1000]);
        let cooked = copied(Device::Any, &to).unwrap();
        assert_eq!(cooked, [20 + 28 + 1000, 20 + 128, 20 + 28 + 1000, 20 + 128, 20 + 48 + 1000]);
    }

    /// `None` where the tests run without CAP_NET_RAW, which is then what opening says.
    fn opened(options: &Options) -> Option<PacketCapture> {
        match PacketCapture::open(options) {
            Ok(capture) => Some(capture),
            Err(error) => {
                assert_eq!(error, CaptureError::Refused);
                None
            }
        }
    }

    #[test]
    fn a_datagram_on_lo_is_seen_once_and_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let Some(mut capture) = opened(&on(Device::Any, &format!("udp dst port {}", to.port()))) else {
            return;
        };
        assert_eq!(capture.link_type(), LINUX_SLL2);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"hello", to).unwrap();
        let stop = Stop::new().unwrap();
        let mut seen = Vec::new();
        for _ in 0..100 {
            wait([&capture].into_iter(), &[], &stop, Some(Duration::from_millis(50))).unwrap();
            capture.drain(10, |packet| seen.push((packet.len, packet.data.to_vec()))).unwrap();
            if !seen.is_empty() {
                break;
            }
        }
        // The head, IPv4, UDP and the text.
        assert_eq!(seen.iter().map(|(len, _)| *len).collect::<Vec<_>>(), [20 + 20 + 8 + 5]);
        assert!(seen[0].1.ends_with(b"hello"));
        // The kernel counts the copy on its way out of lo, too, which libpcap leaves out.
        assert_eq!(capture.counts(), Ok(Counts { received: 2, dropped: 0 }));
    }

    #[test]
    fn what_is_no_filter_is_told_and_no_link_is_no_capture() {
        let error = PacketCapture::open(&on(Device::Any, "tcp prot 80")).err().unwrap();
        assert!(
            matches!(&error, CaptureError::Filter(why) if why.contains("syntax"))
                || error == CaptureError::Refused
        );
        let error = PacketCapture::open(&on(Device::Link("none-such".into()), "")).err().unwrap();
        assert!(matches!(error, CaptureError::Failed(_) | CaptureError::Refused), "{error}");
    }

    #[test]
    fn a_link_with_the_name_of_another_device_opens_nothing() {
        for name in ["any", "usbmon0", "nflog"] {
            assert!(matches!(
                PacketCapture::open(&on(Device::Link(name.into()), "")).err(),
                Some(CaptureError::Failed(_))
            ));
        }
    }

    #[test]
    fn who_is_asked_to_stop_does_not_wait() {
        let stop = Stop::new().unwrap();
        assert!(!stop.asked());
        stop.ask();
        wait(std::iter::empty(), &[], &stop, None).unwrap();
        wait(std::iter::empty(), &[], &stop, None).unwrap();
        assert!(stop.asked());
    }
}
