//! A thread that reads packets from its captures into its accounts, and tells them when asked. Nothing is shared: the way of a
//! packet has no lock. In other namespaces it watches who is there, and closes what it has open with the last process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use glasshull_shared::domain::dns::DnsHeard;
use glasshull_shared::domain::network::{LinkKey, Protocol};

use super::super::presence::Presence;
use super::decode::{Decoded, End, Family, decode};
use super::dns::book::Book;
use super::dns::concerns;
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
    /// Who asks for names.
    pub(super) dns: Vec<DnsHeard>,
    /// Questions for names that were not followed for lack of room.
    pub(super) dns_left_out: u64,
    /// Captures that ended by themselves, and why.
    pub(super) closed: Vec<(LinkKey, String)>,
    /// Captures that were closed because nobody is in their namespace any more.
    pub(super) left: Vec<LinkKey>,
}

enum Request {
    Take(Sender<Taken>),
    Own(Own),
    Members(BTreeMap<u64, Vec<u32>>),
}

/// What the thread works on.
struct State {
    taps: Vec<Tap>,
    ledger: Ledger,
    book: Book,
    own: Own,
    /// Dropped by captures that are closed.
    dropped: u64,
    closed: Vec<(LinkKey, String)>,
    /// Who is in the namespaces of `taps`; none for our own, which we are in ourselves.
    present: BTreeMap<u64, Presence>,
    left: Vec<LinkKey>,
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
        let (closed, present, left) = (Vec::new(), BTreeMap::new(), Vec::new());
        let book = Book::default();
        Self::resume(name, State { taps, ledger, book, own, dropped: 0, closed, present, left })
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
        let is_kept = |netns, ifindex| {
            taps.iter().any(|t| t.on.netns == netns && (t.on.ifindex == ifindex || t.on.ifindex == 0))
        };
        state.ledger.keep_links(is_kept);
        state.book.keep_links(is_kept);
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

    /// Tells which processes are in the namespaces of the captures: with the last of them a capture is closed at once.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn members(&self, members: BTreeMap<u64, Vec<u32>>) -> io::Result<()> {
        self.send(Request::Members(members))
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
                Request::Members(members) => watch(&mut state, members),
            }
        }
        if stop.asked() {
            return state;
        }
        let ends: Vec<BorrowedFd<'_>> = state.present.values().filter_map(Presence::end).collect();
        if busy && ends.is_empty() {
            continue;
        }
        // However much comes, an end is not overlooked.
        let timeout = busy.then_some(Duration::ZERO);
        match wait(state.taps.iter().map(|tap| &tap.capture), &ends, stop, timeout) {
            Ok(true) => leave(&mut state),
            Ok(false) => {}
            Err(_) => return state,
        }
    }
}

/// Begins to watch these processes instead of those told before: one may have gone to another namespace.
fn watch(state: &mut State, mut members: BTreeMap<u64, Vec<u32>>) {
    let places: BTreeSet<u64> = state.taps.iter().map(|tap| tap.on.netns).collect();
    let presence = |netns: u64| (netns, Presence::new(members.remove(&netns).unwrap_or_default()));
    state.present = places.into_iter().map(presence).collect();
    leave(state);
}

/// Closes the captures in namespaces that nobody is in any more. What they saw is told until the next change.
fn leave(state: &mut State) {
    let State { taps, dropped: lost, left, present, .. } = state;
    present.retain(|netns, presence| {
        let lives = presence.lives();
        if !lives {
            let gone = |tap: &mut Tap| tap.on.netns == *netns;
            for mut tap in taps.extract_if(.., gone) {
                *lost += dropped(&mut tap);
                left.push(tap.on);
            }
        }
        lives
    });
}

/// Takes a batch from each capture; true when one may have more.
fn read(state: &mut State) -> bool {
    let mut busy = false;
    let State { taps, ledger, book, own, dropped: lost, closed, .. } = state;
    taps.retain_mut(|tap| {
        let (on, loopback, link_type) = (tap.on, tap.loopback, tap.capture.link_type());
        let drained =
            tap.capture.drain(BATCH, |packet| match decode(link_type, packet.data, packet.len, loopback) {
                Some(decoded) if own.port != 0 && own.is(&decoded) => {}
                Some(mut decoded) => {
                    if on.ifindex != 0 {
                        decoded.ifindex = on.ifindex;
                    }
                    if concerns(&decoded) {
                        let here = LinkKey { netns: on.netns, ifindex: decoded.ifindex };
                        book.enter(here, &decoded, packet.data, packet.at);
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
    let now = clock::now_nanos();
    state.ledger.sweep(now);
    state.book.sweep(now);
    let open: u64 = state.taps.iter_mut().map(dropped).sum();
    let ledger = &state.ledger;
    Taken {
        flows: ledger.flows().map(|(pair, account)| (*pair, *account)).collect(),
        packets: ledger.packets,
        malformed: ledger.malformed,
        left_out: ledger.left_out,
        dropped: state.dropped + open,
        dns: state.book.heard(),
        dns_left_out: state.book.left_out,
        closed: std::mem::take(&mut state.closed),
        left: std::mem::take(&mut state.left),
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
            inner: 0,
        };
        assert!(own.is(&packet(end(1, 7070), end(1, 40000))));
        assert!(own.is(&packet(end(1, 40000), end(1, 7070))));
        assert!(!own.is(&packet(end(1, 40000), end(2, 7070))));
        assert!(!own.is(&Decoded { protocol: Protocol::Udp, ..packet(end(1, 7070), end(1, 40000)) }));
    }

    /// A capture in a network namespace that nobody but a process of ours is in; `None` where that is not permitted.
    fn alone() -> Option<(std::process::Child, Tap)> {
        use crate::sys::capture::Device;
        use crate::sys::netns::Target;
        use std::os::unix::fs::MetadataExt;
        use std::process::{Command, Stdio};
        let mut child = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let path = std::path::PathBuf::from(format!("/proc/{}/ns/net", child.id()));
        let inode = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |meta| meta.ino());
        let own = inode(std::path::Path::new("/proc/self/ns/net"));
        while inode(&path) == own {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let netns = inode(&path);
        let target = Target { inode: netns, paths: vec![path] };
        let capture = PacketCapture::open_in(&target, &super::super::options(Device::Any, 512 << 10));
        let on = LinkKey { netns, ifindex: 1 };
        match capture {
            Ok(capture) => Some((child, Tap { on, loopback: true, capture })),
            Err(_) => {
                child.kill().unwrap();
                child.wait().unwrap();
                None
            }
        }
    }

    #[test]
    fn a_capture_is_closed_with_the_last_process_of_its_namespace_whether_or_not_somebody_asks() {
        let Some((mut child, tap)) = alone() else {
            return eprintln!("not run: network namespaces or packets are not permitted here");
        };
        let on = tap.on;
        let reader = Reader::start("flow test", vec![tap], 16, Own::default()).unwrap();
        reader.members([(on.netns, vec![child.id()])].into()).unwrap();
        assert!(reader.take().unwrap().left.is_empty(), "somebody is there");
        child.kill().unwrap();
        child.wait().unwrap();
        let left = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            Some(reader.take().unwrap().left).filter(|left| !left.is_empty())
        });
        assert_eq!(left, Some(vec![on]));
    }
}
