//! A thread that reads packets from its captures into its accounts, and tells them when asked. Nothing is shared: the way of a
//! packet has no lock.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use glasshull_shared::domain::network::{LinkKey, Protocol};

use super::decode::{Decoded, End, Family, decode};
use super::ledger::{Account, Ledger, Pair};
use crate::sys::capture::{PacketCapture, Stop, wait};
use crate::sys::clock;

/// Packets taken from one capture before the others and questions have their turn.
const BATCH: usize = 2048;
/// A thread that does not answer for so long hangs.
const ANSWER: Duration = Duration::from_secs(2);

/// A capture and what it is on.
pub(super) struct Tap {
    /// The link; number 0 is all of the namespace.
    pub(super) on: LinkKey,
    /// Whether it is `lo` alone.
    pub(super) loopback: bool,
    pub(super) capture: PacketCapture,
}

/// Where the dashboard itself is served: its stream would watch itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Own {
    pub(super) port: u16,
    pub(super) addresses: Vec<IpAddr>,
}

impl Own {
    fn is(&self, packet: &Decoded) -> bool {
        let has = |end: &End| {
            let address = match packet.family {
                Family::V4 => {
                    let [a, b, c, d, ..] = end.address;
                    IpAddr::from([a, b, c, d])
                }
                Family::V6 => IpAddr::from(end.address),
                Family::Mac => return false,
            };
            end.port == self.port && self.addresses.contains(&address)
        };
        packet.protocol == Protocol::Tcp && (has(&packet.from) || has(&packet.to))
    }
}

/// What the accounts say.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) flows: Vec<(Pair, Account)>,
    pub(super) packets: u64,
    pub(super) malformed: u64,
    pub(super) left_out: u64,
    pub(super) dropped: u64,
    /// Captures that ended by themselves, and why.
    pub(super) closed: Vec<(LinkKey, String)>,
}

enum Request {
    Take(Sender<Taken>),
    Own(Own),
}

/// What the thread works on.
struct State {
    taps: Vec<Tap>,
    ledger: Ledger,
    own: Own,
    /// Dropped by captures that are closed.
    dropped: u64,
    closed: Vec<(LinkKey, String)>,
}

/// The thread.
pub(super) struct Reader {
    stop: Stop,
    requests: Sender<Request>,
    thread: Option<JoinHandle<State>>,
}

impl Reader {
    /// Begins to read, with accounts of at most so many flows.
    ///
    /// # Errors
    /// When there are no descriptors or threads left.
    pub(super) fn start(name: &str, taps: Vec<Tap>, flows: usize, own: Own) -> io::Result<Self> {
        let ledger = Ledger::new(flows);
        Self::resume(name, State { taps, ledger, own, dropped: 0, closed: Vec::new() })
    }

    fn resume(name: &str, state: State) -> io::Result<Self> {
        let stop = Stop::new()?;
        let (requests, inbox) = channel();
        let bell = stop.clone();
        let thread =
            std::thread::Builder::new().name(name.into()).spawn(move || run(state, &inbox, &bell))?;
        Ok(Self { stop, requests, thread: Some(thread) })
    }

    /// Closes captures that shall not be kept and adds others; packets wait meanwhile.
    ///
    /// # Errors
    /// As [`Self::start`]; when the thread has failed.
    pub(super) fn change(
        mut self,
        name: &str,
        keep: impl Fn(&LinkKey) -> bool,
        added: Vec<Tap>,
    ) -> io::Result<Self> {
        self.stop.ask();
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        let Some(mut state) = ended else { return Err(io::Error::other("the capturing thread failed")) };
        state.taps.retain_mut(|tap| {
            let kept = keep(&tap.on);
            if !kept {
                state.dropped += dropped(tap);
            }
            kept
        });
        state.taps.extend(added);
        let taps = &state.taps;
        state.ledger.keep_links(|netns, ifindex| {
            taps.iter().any(|t| t.on.netns == netns && (t.on.ifindex == ifindex || t.on.ifindex == 0))
        });
        Self::resume(name, state)
    }

    /// Asks for the accounts.
    ///
    /// # Errors
    /// When the thread does not answer.
    pub(super) fn take(&self) -> io::Result<Taken> {
        let (reply, answer) = channel();
        self.send(Request::Take(reply))?;
        answer.recv_timeout(ANSWER).map_err(|_| io::Error::other("the capturing thread does not answer"))
    }

    /// Tells what not to account.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn leave_out(&self, own: Own) -> io::Result<()> {
        self.send(Request::Own(own))
    }

    fn send(&self, request: Request) -> io::Result<()> {
        self.requests.send(request).map_err(|_| io::Error::other("the capturing thread has ended"))?;
        self.stop.wake();
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            // Its captures are closed before we return: nothing pins a namespace any longer.
            let _ = thread.join();
        }
    }
}

fn run(mut state: State, inbox: &Receiver<Request>, stop: &Stop) -> State {
    loop {
        let busy = read(&mut state);
        while let Ok(request) = inbox.try_recv() {
            match request {
                // Who asked may have given up.
                Request::Take(reply) => drop(reply.send(take(&mut state))),
                Request::Own(own) => state.own = own,
            }
        }
        if stop.asked() {
            return state;
        }
        if !busy && wait(state.taps.iter().map(|tap| &tap.capture), stop, None).is_err() {
            return state;
        }
    }
}

/// Takes a batch from each capture; true when one may have more.
fn read(state: &mut State) -> bool {
    let mut busy = false;
    let State { taps, ledger, own, dropped: lost, closed } = state;
    taps.retain_mut(|tap| {
        let (on, loopback, link_type) = (tap.on, tap.loopback, tap.capture.link_type());
        let drained =
            tap.capture.drain(BATCH, |packet| match decode(link_type, packet.data, packet.len, loopback) {
                Some(decoded) if own.port != 0 && own.is(&decoded) => {}
                Some(mut decoded) => {
                    if on.ifindex != 0 {
                        decoded.ifindex = on.ifindex;
                    }
                    ledger.enter(on.netns, decoded, packet.at);
                }
                None => ledger.malformed += 1,
            });
        match drained {
            Ok(taken) => {
                busy |= taken == BATCH;
                true
            }
            Err(error) => {
                *lost += dropped(tap);
                closed.push((on, error.to_string()));
                false
            }
        }
    });
    busy
}

fn take(state: &mut State) -> Taken {
    state.ledger.sweep(clock::now_nanos());
    let open: u64 = state.taps.iter_mut().map(dropped).sum();
    let ledger = &state.ledger;
    Taken {
        flows: ledger.flows().map(|(pair, account)| (*pair, *account)).collect(),
        packets: ledger.packets,
        malformed: ledger.malformed,
        left_out: ledger.left_out,
        dropped: state.dropped + open,
        closed: std::mem::take(&mut state.closed),
    }
}

fn dropped(tap: &mut Tap) -> u64 {
    tap.capture.counts().map_or(0, |counts| counts.dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::Protocol;

    #[test]
    fn the_stream_of_the_dashboard_is_told_from_others_on_the_same_port() {
        let own = Own { port: 7070, addresses: vec![[127, 0, 0, 1].into()] };
        let end = |last: u8, port| {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[127, 0, 0, last]);
            End { address, port }
        };
        let packet = |from, to| Decoded {
            ifindex: 1,
            bytes: 60,
            protocol: Protocol::Tcp,
            family: Family::V4,
            from,
            to,
            opener: super::super::decode::Opener::Unknown,
            flags: 16,
            fragment: super::super::decode::Fragment::Whole,
        };
        assert!(own.is(&packet(end(1, 7070), end(1, 40000))));
        assert!(own.is(&packet(end(1, 40000), end(1, 7070))));
        assert!(!own.is(&packet(end(1, 40000), end(2, 7070))));
        assert!(!own.is(&Decoded { protocol: Protocol::Udp, ..packet(end(1, 7070), end(1, 40000)) }));
    }
}
