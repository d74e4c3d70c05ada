//! The packets of one look as a pcapng file, sent while it grows. On a thread of its own, until a limit, until it is stopped or
//! until nobody takes it any more.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use glasshull_shared::domain::wire::{Refusal, Start, WireStat};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::packet::Packet;
use super::pcapng::Pcapng;
use super::tap::{IsOwn, Step, Tap};
use crate::sys::clock;

/// Parts are sent when they are this long, bytes.
const PART_BYTES: usize = 64 << 10;
/// A part that is shorter is sent after this time, nanoseconds.
const PART_NANOS: u64 = 500_000_000;
/// How often the counters are written although nothing passes: a connection that is silent would be cut off.
const ALIVE_NANOS: u64 = 20_000_000_000;
/// Between two looks at whether a slow reader has room again.
const SLOW_READER: Duration = Duration::from_millis(20);

/// What the file tells besides packets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    /// Name of the host.
    pub host: String,
    /// Numbers and names of the links.
    pub links: Vec<(u32, String)>,
    /// Addresses and whose they are.
    pub names: Vec<(IpAddr, String)>,
}

/// Who is told of a file, and who may end it.
pub(crate) struct Reader {
    /// Learns whether it has begun.
    pub told: oneshot::Sender<Result<(), Refusal>>,
    /// Gets the file; dropping the other end ends it there, without its last block.
    pub file: Sender<Bytes>,
    /// A word here ends it as a limit would; that nobody can say it any more changes nothing.
    pub stop: oneshot::Receiver<()>,
}

/// Writes as `start` says; tells how much that was, once the file is whole.
pub(crate) fn save(start: &Start, labels: Labels, is_own: IsOwn, reader: Reader) -> Option<WireStat> {
    let Reader { told, file, mut stop } = reader;
    let mut tap = match Tap::open(start, &labels.links, is_own) {
        Ok(tap) => tap,
        Err(refusal) => {
            drop(told.send(Err(refusal)));
            return None;
        }
    };
    if told.send(Ok(())).is_err() {
        return None;
    }
    let mut pcapng = Pcapng::new(tap.form(), tap.snaplen(), &start.filter, labels.links);
    let mut part = pcapng.begin(&labels.host, &labels.names);
    let began = clock::now_nanos();
    let (mut sent_at, mut alive_at) = (0, clock::monotonic());
    'look: loop {
        let step = tap.turn(|taken| {
            if let Some(packet) = Packet::parse(taken.form, taken.bytes, taken.length) {
                part.extend(pcapng.packet(packet.ifindex, taken.at, packet.way, taken.bytes, taken.length));
            }
        });
        let now = clock::monotonic();
        if part.is_empty() && now.saturating_sub(alive_at) >= ALIVE_NANOS {
            part = pcapng.end(began, clock::now_nanos(), tap.counts());
        }
        let due = part.len() >= PART_BYTES || now.saturating_sub(sent_at) >= PART_NANOS;
        if due && !part.is_empty() {
            (sent_at, alive_at) = (now, now);
            // A slow reader is waited for, but not beyond the end: what passes meanwhile the kernel counts as lost.
            let mut waiting = Some(Bytes::from(std::mem::take(&mut part)));
            while let Some(ready) = waiting.take() {
                match file.try_send(ready) {
                    Ok(()) => {}
                    Err(TrySendError::Closed(_)) => return None,
                    Err(TrySendError::Full(back)) if tap.ended(clock::monotonic()).is_some() => {
                        part = back.to_vec();
                        break 'look;
                    }
                    Err(TrySendError::Full(back)) => {
                        std::thread::sleep(SLOW_READER);
                        waiting = Some(back);
                    }
                }
            }
        } else if file.is_closed() {
            return None;
        }
        if step != Step::On || stop.try_recv().is_ok() {
            break;
        }
    }
    let (counts, stat) = (tap.counts(), tap.stat());
    // From here on the namespace may end.
    drop(tap);
    part.extend(pcapng.end(began, clock::now_nanos(), counts));
    file.blocking_send(part.into()).is_ok().then_some(stat)
}
