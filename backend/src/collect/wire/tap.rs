//! The packets of one look: from the socket, within the limits, without the dashboard's own, cut down to what may be seen.

use std::net::SocketAddr;
use std::sync::Arc;

use glasshull_shared::domain::wire::{Ended, Limits, Refusal, Start, WireStat};
use glasshull_shared::unit;

use super::packet::{Ends, Form, Packet};
use super::place;
use crate::sys::clock;
use crate::sys::netns::Target;
use crate::sys::root::Root;
use crate::sys::wiretap::{Begins, Failure, Wiretap};

/// Bytes taken of each packet when only headers are: no header is longer (SLL2, IPv6 with extensions, TCP with options).
const HEADERS_BYTES: u32 = 256;
/// Bytes taken of each packet with payload: cards and links pass on up to 64 KiB at once.
const PACKET_BYTES: u32 = 256 << 10;
/// Characters of a filter; libpcap's compiler is recursive.
const FILTER_AT_MOST: usize = 2000;
/// Between two looks at whether anybody else keeps the namespace alive, nanoseconds.
const CHECK_NANOS: u64 = 500_000_000;
const NANOS: u64 = 1_000_000_000;

/// Whether an address and port are an end of the dashboard itself.
pub(crate) type IsOwn = Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>;

/// An open tap with its limits.
pub(super) struct Tap {
    wiretap: Wiretap,
    root: Root,
    target: Target,
    /// It looks into the agent's own namespace: only there loopback is ours.
    at_home: bool,
    ifindex: Option<u32>,
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
    /// A packet was taken.
    Taken,
    /// None for a moment, or one that is nobody's business.
    Quiet,
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
    /// Opens it.
    pub(super) fn open(start: &Start, is_own: IsOwn) -> Result<Self, Refusal> {
        if start.filter.len() > FILTER_AT_MOST {
            return Err(Refusal::Filter(format!("longer than {FILTER_AT_MOST} characters")));
        }
        let root = Root::host();
        let target = place::find(&root, start.netns);
        let own = std::fs::metadata(root.proc_path("self/ns/net"));
        let at_home = own.is_ok_and(|meta| std::os::unix::fs::MetadataExt::ino(&meta) == start.netns);
        let wiretap = Wiretap::open(&target, start.ifindex, snaplen(start.payload), &start.filter)
            .map_err(|failure| refusal(failure, start))?;
        let now = clock::monotonic();
        Ok(Self {
            wiretap,
            root,
            target,
            at_home,
            ifindex: start.ifindex,
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
    pub(super) fn begins(&self) -> Begins {
        self.wiretap.begins()
    }

    /// Bytes taken of each packet.
    pub(super) fn snaplen(&self) -> u32 {
        snaplen(self.payload)
    }

    /// Packets that passed the filter, and those of them that were lost.
    pub(super) fn counts(&mut self) -> (u64, u64) {
        self.wiretap.counts()
    }

    /// How it is doing.
    pub(super) fn stat(&mut self) -> WireStat {
        let (_, dropped) = self.wiretap.counts();
        WireStat { dropped, elapsed_nanos: clock::monotonic().saturating_sub(self.began), ..self.stat }
    }

    /// Hands the next packet to `take`; waits a moment at most.
    pub(super) fn next(&mut self, take: impl FnOnce(Taken<'_>)) -> Step {
        if let Some(ended) = self.ended(clock::monotonic()) {
            return Step::Ended(ended);
        }
        let begins = self.wiretap.begins();
        let seen = match self.wiretap.next() {
            Ok(Some(seen)) => seen,
            Ok(None) => return Step::Quiet,
            Err(error) => {
                tracing::debug!(%error, "a tap broke off");
                return Step::Ended(Ended::Gone);
            }
        };
        let form = match (begins, self.ifindex) {
            (Begins::Ethernet, Some(ifindex)) => Form::Ethernet(ifindex),
            (Begins::Ip, Some(ifindex)) => Form::Raw(ifindex),
            (Begins::Sll2, _) | (Begins::Ethernet | Begins::Ip, None) => Form::Sll2,
        };
        let Some(packet) = Packet::parse(form, seen.bytes, seen.length) else { return Step::Quiet };
        if packet.ends().is_some_and(|ends| is_dashboards(&ends, self.at_home, &self.is_own)) {
            return Step::Quiet;
        }
        let end = if self.payload { seen.bytes.len() } else { packet.headers_length() };
        let bytes = seen.bytes.get(..end).unwrap_or(seen.bytes);
        let room = self.limits.bytes.saturating_sub(self.stat.bytes) as usize;
        if bytes.len() > room {
            self.full = Some(Ended::Bytes);
            return Step::Ended(Ended::Bytes);
        }
        self.stat.packets += 1;
        self.stat.bytes += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.stat.wire_bytes += u64::from(seen.length);
        take(Taken { at: seen.at, form, bytes, length: seen.length });
        Step::Taken
    }

    /// Whether it must end, and why.
    fn ended(&mut self, now: u64) -> Option<Ended> {
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

fn refusal(failure: Failure, start: &Start) -> Refusal {
    match failure {
        Failure::Filter(text) => Refusal::Filter(unit::printable(&text)),
        Failure::Permission => Refusal::Permission(
            "looking into a wire needs CAP_NET_RAW, and CAP_SYS_ADMIN and CAP_SYS_PTRACE in other namespaces: run as root".into(),
        ),
        Failure::Gone => Refusal::Gone(match start.ifindex {
            Some(ifindex) => format!("link {ifindex} of network namespace {} has gone", start.netns),
            None => format!("network namespace {} has gone, or finding it needs CAP_SYS_PTRACE", start.netns),
        }),
        Failure::Other(text) => Refusal::Failed(unit::printable(&text)),
    }
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
