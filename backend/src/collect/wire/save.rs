//! The packets of one look as a pcapng file, sent while it grows. On a thread of its own, until a limit or until nobody takes
//! it any more.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use glasshull_shared::domain::wire::{Refusal, Start};
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

/// Writes as `start` says. `told` learns whether it has begun; dropping the other end of `file` ends it.
pub(crate) fn save(
    start: &Start,
    labels: Labels,
    is_own: IsOwn,
    told: oneshot::Sender<Result<(), Refusal>>,
    file: &Sender<Bytes>,
) {
    let mut tap = match Tap::open(start, &labels.links, is_own) {
        Ok(tap) => tap,
        Err(refusal) => return drop(told.send(Err(refusal))),
    };
    if told.send(Ok(())).is_err() {
        return;
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
                    Err(TrySendError::Closed(_)) => return,
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
            return;
        }
        if let Step::Ended(_) = step {
            break;
        }
    }
    let counts = tap.counts();
    // From here on the namespace may end.
    drop(tap);
    part.extend(pcapng.end(began, clock::now_nanos(), counts));
    // Whoever has gone does not miss it.
    let _ = file.blocking_send(part.into());
}
