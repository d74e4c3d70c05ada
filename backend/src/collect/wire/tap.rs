//! The packets of one look: from the socket, within the limits, without the dashboard's own, cut down to what may be seen.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::domain::wire::{Ended, Limits, Refusal, Start, WireStat};
use glasshull_shared::unit;

use super::packet::{Ends, Form, Packet};
use super::place;
use crate::sys::capture::{self, CaptureError, Counts, Device, LINUX_SLL2, Options, PacketCapture, Stop};
use crate::sys::clock;
use crate::sys::netns::Target;
use crate::sys::root::Root;

/// Bytes taken of each packet when only headers are: no header is longer (SLL2, IPv6 with extensions, TCP with options).
const HEADERS_BYTES: u32 = 256;
/// Bytes taken of each packet with payload: cards and links pass on up to 64 KiB at once.
const PACKET_BYTES: u32 = 256 << 10;
/// Characters of a filter; libpcap's compiler is recursive.
const FILTER_AT_MOST: usize = 2000;
/// Ring in the kernel, bytes.
const RING_BYTES: u32 = 4 << 20;
/// How long the kernel may keep packets back, and how long a turn waits for some.
const PATIENCE: Duration = Duration::from_millis(50);
/// Packets taken in one turn: limits, orders and readers have theirs in between.
const TURN: usize = 256;
/// `DLT_EN10MB` and `DLT_RAW` of `pcap-linktype(7)`.
const ETHERNET: i32 = 1;
const RAW: i32 = 12;
/// Between two looks at whether anybody else keeps the namespace alive, nanoseconds.
const CHECK_NANOS: u64 = 500_000_000;
const NANOS: u64 = 1_000_000_000;

/// Whether an address and port are an end of the dashboard itself.
pub(crate) type IsOwn = Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>;

/// An open tap with its limits.
pub(super) struct Tap {
    capture: PacketCapture,
    stop: Stop,
    form: Form,
    root: Root,
    target: Target,
    /// It looks into the agent's own namespace: only there loopback is ours.
    at_home: bool,
    payload: bool,
    limits: Limits,
    is_own: IsOwn,
    began: u64,
    checked: u64,
    stat: WireStat,
    /// A packet came for which there was no room.
    full: Option<Ended>,
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// More may come.
    On,
    /// No more will come.
    Ended(Ended),
}

/// A packet that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    /// When the kernel saw it, nanoseconds since the epoch.
    pub(super) at: u64,
    /// How its bytes begin.
    pub(super) form: Form,
    /// Those that may be seen.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire.
    pub(super) length: u32,
}

impl Tap {
    /// Opens it; `links` names the link that is looked at.
    pub(super) fn open(start: &Start, links: &[(u32, String)], is_own: IsOwn) -> Result<Self, Refusal> {
        if start.filter.len() > FILTER_AT_MOST {
            return Err(Refusal::Filter(format!("longer than {FILTER_AT_MOST} characters")));
        }
        let root = Root::host();
        let target = place::find(&root, start.netns);
        let own = std::fs::metadata(root.proc_path("self/ns/net"));
        let at_home = own.is_ok_and(|meta| meta.ino() == start.netns);
        let device = match start.ifindex {
            None => Device::Any,
            Some(ifindex) => {
                let name = links.iter().find(|(number, _)| *number == ifindex).map(|(_, name)| name.clone());
                Device::Link(name.ok_or_else(|| gone(start))?)
            }
        };
        let options = Options {
            device,
            snaplen: snaplen(start.payload),
            dns_snaplen: None,
            buffer_bytes: RING_BYTES,
            patience: PATIENCE,
            immediate: false,
            filter: Some(start.filter.clone()),
        };
        let capture = PacketCapture::open_in(&target, &options).map_err(|error| refusal(error, start))?;
        let form = match (capture.link_type(), start.ifindex) {
            (LINUX_SLL2, _) | (_, None) => Form::Sll2,
            (ETHERNET, Some(ifindex)) => Form::Ethernet(ifindex),
            (RAW, Some(ifindex)) => Form::Raw(ifindex),
            (other, Some(_)) => {
                return Err(Refusal::Failed(format!("links of type {other} are not understood")));
            }
        };
        let stop = Stop::new().map_err(|error| Refusal::Failed(error.to_string()))?;
        let now = clock::monotonic();
        Ok(Self {
            capture,
            stop,
            form,
            root,
            target,
            at_home,
            payload: start.payload,
            limits: start.limits.bounded(),
            is_own,
            began: now,
            checked: now,
            stat: WireStat::default(),
            full: None,
        })
    }

    /// How its packets begin.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Bytes taken of each packet.
    pub(super) fn snaplen(&self) -> u32 {
        snaplen(self.payload)
    }

    /// Packets that passed the filter, and those of them that were lost; zero once the link has gone.
    pub(super) fn counts(&mut self) -> Counts {
        self.capture.counts().unwrap_or_default()
    }

    /// How it is doing.
    pub(super) fn stat(&mut self) -> WireStat {
        let dropped = self.counts().dropped;
        WireStat { dropped, elapsed_nanos: clock::monotonic().saturating_sub(self.began), ..self.stat }
    }

    /// Hands the packets that are there to `take`; waits a moment for some.
    pub(super) fn turn(&mut self, mut take: impl FnMut(Taken<'_>)) -> Step {
        if let Some(ended) = self.ended(clock::monotonic()) {
            return Step::Ended(ended);
        }
        let waited = capture::wait(std::iter::once(&self.capture), &[], &self.stop, Some(PATIENCE));
        let Self { capture, stat, limits, full, form, payload, at_home, is_own, .. } = self;
        let taken = waited.map_err(|error| CaptureError::Failed(error.to_string())).and_then(|_| {
            capture.drain(TURN, |seen| {
                let Some(packet) = Packet::parse(*form, seen.data, seen.len) else { return };
                if packet.ends().is_some_and(|ends| is_dashboards(&ends, *at_home, is_own)) {
                    return;
                }
                let end = if *payload { seen.data.len() } else { packet.headers_length() };
                let bytes = seen.data.get(..end).unwrap_or(seen.data);
                if bytes.len() > limits.bytes.saturating_sub(stat.bytes) as usize {
                    *full = full.or(Some(Ended::Bytes));
                }
                if full.is_some() || stat.packets >= limits.packets {
                    return;
                }
                stat.packets += 1;
                stat.bytes += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                stat.wire_bytes += u64::from(seen.len);
                take(Taken { at: seen.at, form: *form, bytes, length: seen.len });
            })
        });
        match taken {
            Ok(_) => Step::On,
            Err(error) => {
                tracing::debug!(%error, "a tap broke off");
                Step::Ended(Ended::Gone)
            }
        }
    }

    /// Why there is nothing more to come at this instant; `None` while there is.
    pub(super) fn ended(&mut self, now: u64) -> Option<Ended> {
        if self.full.is_some() {
            return self.full;
        }
        if self.stat.packets >= self.limits.packets {
            return Some(Ended::Packets);
        }
        if now.saturating_sub(self.began) >= u64::from(self.limits.secs) * NANOS {
            return Some(Ended::Time);
        }
        if now.saturating_sub(self.checked) > CHECK_NANOS {
            self.checked = now;
            if !place::is_alive(&self.root, &mut self.target) {
                return Some(Ended::Gone);
            }
        }
        None
    }
}

fn snaplen(payload: bool) -> u32 {
    if payload { PACKET_BYTES } else { HEADERS_BYTES }
}

/// Whether a packet is part of the dashboard's own stream: shown, it would cause the next one. Loopback is ours at home alone.
fn is_dashboards(ends: &Ends, at_home: bool, is_own: &IsOwn) -> bool {
    let ours = |end: SocketAddr| (at_home || !end.ip().is_loopback()) && is_own(end);
    ends.tcp && (ours(ends.source) || ours(ends.destination))
}

fn refusal(error: CaptureError, start: &Start) -> Refusal {
    let missing = "looking into a wire needs CAP_NET_RAW, in other namespaces CAP_SYS_ADMIN and CAP_SYS_PTRACE too: \
        run glasshull as root";
    match error {
        CaptureError::Filter(text) => Refusal::Filter(unit::printable(&text)),
        CaptureError::Refused => Refusal::Permission(missing.into()),
        CaptureError::Failed(text)
            if ["ermission", "not permitted"].iter().any(|word| text.contains(word)) =>
        {
            Refusal::Permission(missing.into())
        }
        CaptureError::Failed(text) if ["No such", "not found"].iter().any(|word| text.contains(word)) => {
            gone(start)
        }
        CaptureError::Failed(text) => Refusal::Failed(unit::printable(&text)),
    }
}

fn gone(start: &Start) -> Refusal {
    Refusal::Gone(match start.ifindex {
        Some(ifindex) => format!("link {ifindex} of network namespace {} has gone", start.netns),
        None => format!("network namespace {} has gone, or finding it needs CAP_SYS_PTRACE", start.netns),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboards_own_stream_is_told_from_others() {
        let own: IsOwn = Arc::new(|end| end.port() == 7070);
        let ends = |tcp, from: &str, to: &str| Ends {
            tcp,
            source: from.parse().unwrap(),
            destination: to.parse().unwrap(),
        };
        let there = ends(true, "127.0.0.1:9", "127.0.0.1:7070");
        assert!(is_dashboards(&there, true, &own));
        assert!(!is_dashboards(&there, false, &own), "another namespace has a loopback of its own");
        assert!(is_dashboards(&ends(true, "10.0.0.1:7070", "10.0.0.9:5"), false, &own));
        assert!(!is_dashboards(&ends(false, "10.0.0.1:7070", "10.0.0.9:5"), true, &own));
        assert!(!is_dashboards(&ends(true, "10.0.0.1:7071", "10.0.0.9:5"), true, &own));
    }
}
