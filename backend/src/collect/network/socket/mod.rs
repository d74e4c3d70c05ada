//! Sockets of every network namespace: `sock_diag` inside each; `/proc/PID/net` where that is refused or the kernel lacks it.
//! Fills `socket`, `socket_stat`, `closed_socket`, all without relations; whose socket it is is joined by `model::socket`.
//!
//! Nothing but the listeners of [`closed`] is kept open in between, and these go with the namespace's last process.

mod closed;
mod hidden;
mod inet;
mod local;
mod owner;
mod proc_net;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{Socket, SocketKey, SocketProtocol, SocketStat, SocketState};
use glasshull_shared::domain::process::{Process, ProcessKey};

use super::presence::told;
use crate::sys::netns::{self, Target};
use crate::sys::root::Root;
use crate::sys::sock_diag::{DestroyListener, dump};
use closed::{ClosedReading, ClosedSockets};
use hidden::HiddenPlaces;
use owner::Owners;

/// Sockets shown of one namespace.
const SHOWN_AT_MOST: usize = 4096;
/// Sockets shown in all.
const ALL_AT_MOST: usize = 32_768;
/// Sockets of one kind read of one namespace: the dump is broken off then.
const READ_AT_MOST: usize = 50_000;
/// Namespaces in which ends of connections are listened for: two descriptors each.
const LISTENERS_AT_MOST: usize = 512;
/// Processes of a hidden namespace through whose `/proc` it is tried to be read.
const WAYS_AT_MOST: usize = 4;

/// A table of sockets: how to ask for it, and where `/proc` has it.
struct Kind {
    protocol: SocketProtocol,
    family: i32,
    file: &'static str,
}

const KINDS: [Kind; 8] = [
    Kind { protocol: SocketProtocol::Tcp, family: libc::AF_INET, file: "tcp" },
    Kind { protocol: SocketProtocol::Tcp, family: libc::AF_INET6, file: "tcp6" },
    Kind { protocol: SocketProtocol::Udp, family: libc::AF_INET, file: "udp" },
    Kind { protocol: SocketProtocol::Udp, family: libc::AF_INET6, file: "udp6" },
    Kind { protocol: SocketProtocol::Raw, family: libc::AF_INET, file: "raw" },
    Kind { protocol: SocketProtocol::Raw, family: libc::AF_INET6, file: "raw6" },
    Kind { protocol: SocketProtocol::Unix, family: libc::AF_UNIX, file: "unix" },
    Kind { protocol: SocketProtocol::Packet, family: libc::AF_PACKET, file: "packet" },
];

/// A socket as its namespace tells it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    cookie: u64,
    socket: Socket,
    stat: SocketStat,
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// How to get into each namespace.
    pub targets: &'a [Target],
    /// Which processes are in which, oldest first.
    pub members: &'a BTreeMap<u64, Vec<ProcessKey>>,
    /// Processes whose namespace may not be asked for.
    pub hidden: &'a [ProcessKey],
}

/// One reading of all namespaces.
#[derive(Debug, Default)]
pub(crate) struct SocketReading {
    /// Sockets, without owners.
    pub socket: Table<SocketKey, Socket>,
    /// Counters; rates are still `None`.
    pub stat: Table<SocketKey, SocketStat>,
    /// Connections that ended since the last reading.
    pub closed: ClosedReading,
    /// Processes in namespaces that have no row in `netns`, because they are hidden.
    pub hidden_places: BTreeMap<u64, Vec<ProcessKey>>,
    /// Namespaces that are there but could not be read now: what was known of them still holds.
    pub failed: Vec<u64>,
    /// Namespaces that may not be entered, read from `/proc`.
    pub from_files: usize,
    /// Processes whose descriptors may not be read.
    pub hidden_processes: usize,
    /// Sockets there are beyond those shown; at least.
    pub left_out: usize,
    /// What could not be read, for a person; at most one line per reason.
    pub notices: Vec<String>,
}

/// Reads all namespaces again and again.
pub(crate) struct SocketReader {
    root: Root,
    owners: Owners,
    hidden: HiddenPlaces,
    closed: Option<ClosedSockets>,
}

/// What one namespace told.
#[derive(Debug, Default)]
struct Told {
    rows: Vec<Row>,
    left_out: usize,
    broken: usize,
    listener: Option<io::Result<DestroyListener>>,
}

impl SocketReader {
    /// A reader that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        let (owners, hidden) = (Owners::new(root.clone()), HiddenPlaces::new(root.clone()));
        Self { owners, hidden, closed: None, root }
    }

    /// Who has which socket open, by inode, oldest first.
    pub(crate) fn holders(&self) -> &HashMap<u64, Vec<ProcessKey>> {
        self.owners.holders()
    }

    /// Reads the sockets of these namespaces, and what ended in them when somebody wants to know.
    ///
    /// # Errors
    /// When no thread can be made. A namespace that vanishes meanwhile is no error.
    pub(crate) fn read(
        &mut self,
        places: Places<'_>,
        processes: &Table<ProcessKey, Process>,
        listen: bool,
    ) -> io::Result<SocketReading> {
        let mut reading = SocketReading::default();
        let wanted = self.prepare_listening(places, listen, &mut reading);
        let root = &self.root;
        let told = netns::visit(places.targets, |target| ask(root, wanted.contains(&target.inode)))?;
        let mut rows: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
        for (target, told) in places.targets.iter().zip(told) {
            let told = match told {
                Ok(told) => told,
                Err(error) if super::has_gone(&error) => continue,
                Err(error) => {
                    let members = places.members.get(&target.inode).map(Vec::as_slice).unwrap_or_default();
                    match self.read_files(members, &mut reading) {
                        Some(told) => told,
                        None => {
                            // A namespace that is hidden for good was never shown.
                            if super::refusal(&error).is_none() {
                                reading
                                    .notices
                                    .push(format!("sockets of namespace {}: {error}", target.inode));
                                reading.failed.push(target.inode);
                            }
                            continue;
                        }
                    }
                }
            };
            self.listen(target.inode, told.listener, places, &mut reading);
            take(&mut rows, target.inode, told.rows, (told.left_out, told.broken), &mut reading);
        }
        reading.hidden_places = self.hidden.read(places.hidden);
        for (place, members) in std::mem::take(&mut reading.hidden_places) {
            if let Some(told) = self.read_files(&members, &mut reading) {
                take(&mut rows, place, told.rows, (told.left_out, told.broken), &mut reading);
            }
            reading.hidden_places.insert(place, members);
        }
        limit(&mut rows, &mut reading.left_out);
        self.find_owners(&rows, places, processes, &mut reading);
        for (netns, rows) in rows {
            for row in rows {
                let key = SocketKey { netns, cookie: row.cookie };
                reading.socket.insert(key, Arc::new(row.socket));
                reading.stat.insert(key, Arc::new(row.stat));
            }
        }
        Ok(reading)
    }

    fn find_owners(
        &mut self,
        rows: &BTreeMap<u64, Vec<Row>>,
        places: Places<'_>,
        processes: &Table<ProcessKey, Process>,
        reading: &mut SocketReading,
    ) {
        let inodes = rows
            .iter()
            .flat_map(|(netns, rows)| rows.iter().filter_map(|row| Some((row.socket.inode?, *netns))));
        self.owners.read(&inodes.collect(), places.members, processes);
        reading.hidden_processes = self.owners.hidden();
    }

    /// Sockets through the `/proc` of one of these processes.
    fn read_files(&self, members: &[ProcessKey], reading: &mut SocketReading) -> Option<Told> {
        let folders = members.iter().take(WAYS_AT_MOST);
        let mut tables = folders.map(|key| hidden::tables(&self.root.proc_path(format!("{}/net", key.pid))));
        let (rows, broken) = tables.find_map(Result::ok)?;
        reading.from_files += 1;
        let mut told = Told { rows, broken, ..Told::default() };
        told.left_out = cut(&mut told.rows, SHOWN_AT_MOST);
        Some(told)
    }

    /// Begins or ends to listen; tells in which namespaces a listener is to be opened.
    fn prepare_listening(
        &mut self,
        places: Places<'_>,
        listen: bool,
        reading: &mut SocketReading,
    ) -> BTreeSet<u64> {
        if !listen {
            self.closed = None;
            return BTreeSet::new();
        }
        if self.closed.is_none() {
            match ClosedSockets::start() {
                Ok(closed) => self.closed = Some(closed),
                Err(error) => reading.notices.push(format!("listening for closed connections: {error}")),
            }
        }
        let Some(closed) = &self.closed else { return BTreeSet::new() };
        closed.members(places.members.iter().map(|(netns, members)| (*netns, told(members))).collect());
        reading.closed = closed.read();
        if let Some(error) = reading.closed.failed.take() {
            reading.notices.push(format!("listening for closed connections: {error}"));
            self.closed = None;
            return BTreeSet::new();
        }
        let open = closed.open();
        let room = LISTENERS_AT_MOST.saturating_sub(open.len());
        let new = places.targets.iter().map(|target| target.inode);
        let new: Vec<u64> =
            new.filter(|netns| !open.contains(netns) && places.members.contains_key(netns)).collect();
        if new.len() > room {
            let more = new.len() - room;
            reading.notices.push(format!("closed connections of {more} namespaces are not listened for"));
        }
        new.into_iter().take(room).collect()
    }

    fn listen(
        &self,
        netns: u64,
        listener: Option<io::Result<DestroyListener>>,
        places: Places<'_>,
        reading: &mut SocketReading,
    ) {
        let Some((closed, listener)) = self.closed.as_ref().zip(listener) else { return };
        match listener {
            Ok(listener) => {
                let members = places.members.get(&netns).map(Vec::as_slice).unwrap_or_default();
                closed.add(netns, listener, told(members));
            }
            Err(error) => reading.notices.push(format!("listening for closed connections: {error}")),
        }
    }
}

/// Takes in what a namespace told.
fn take(
    all: &mut BTreeMap<u64, Vec<Row>>,
    netns: u64,
    rows: Vec<Row>,
    (left_out, broken): (usize, usize),
    reading: &mut SocketReading,
) {
    reading.left_out += left_out;
    if broken > 0 {
        reading.notices.push(format!("{broken} sockets of a form we do not know"));
    }
    all.insert(netns, rows);
}

/// Asks the namespace this thread is in.
fn ask(root: &Root, listen: bool) -> io::Result<Told> {
    // First of all: what ends from now on is heard.
    let mut told = Told { listener: listen.then(DestroyListener::open), ..Told::default() };
    for kind in &KINDS {
        let before = told.rows.len();
        if let Err(error) = ask_for(kind, &mut told) {
            told.rows.truncate(before);
            // /proc/thread-self/net shows the namespace of the thread that reads it.
            match hidden::table(&root.proc_path(format!("thread-self/net/{}", kind.file))) {
                Ok(text) => {
                    let (rows, broken) = proc_net::rows(&text, kind.protocol);
                    told.rows.extend(rows);
                    told.broken += broken;
                }
                // The kernel has neither: no such sockets.
                Err(_) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(_) => return Err(error),
            }
        }
    }
    told.left_out += cut(&mut told.rows, SHOWN_AT_MOST);
    Ok(told)
}

fn ask_for(kind: &Kind, told: &mut Told) -> io::Result<()> {
    let protocol = kind.protocol;
    let request = match protocol {
        SocketProtocol::Unix => local::unix_request(),
        SocketProtocol::Packet => local::packet_request(),
        SocketProtocol::Tcp | SocketProtocol::Udp | SocketProtocol::Raw => {
            inet::request(kind.family.to_le_bytes()[0], protocol)
        }
    };
    let most = told.rows.len() + READ_AT_MOST;
    dump(&request, |message| {
        let row = match protocol {
            SocketProtocol::Unix => local::unix(message),
            SocketProtocol::Packet => local::packet(message),
            SocketProtocol::Tcp | SocketProtocol::Udp | SocketProtocol::Raw => inet::row(message, protocol),
        };
        match row {
            Some(row) => told.rows.push(row),
            None => told.broken += 1,
        }
        if told.rows.len() >= most {
            told.left_out += 1;
        }
        told.rows.len() < most
    })
}

/// Keeps the most telling: who listens, then who is connected, then what is over; of the same sort the oldest, so that the
/// same ones stay. Tells how many it left out.
fn cut(rows: &mut Vec<Row>, most: usize) -> usize {
    let left_out = rows.len().saturating_sub(most);
    if left_out > 0 {
        rows.sort_by_key(|row| (rank(row.socket.state), row.cookie));
        rows.truncate(most);
    }
    left_out
}

fn rank(state: SocketState) -> u8 {
    match state {
        SocketState::Listen | SocketState::Unconnected => 0,
        SocketState::TimeWait => 2,
        SocketState::Established
        | SocketState::SynSent
        | SocketState::SynRecv
        | SocketState::FinWait1
        | SocketState::FinWait2
        | SocketState::CloseWait
        | SocketState::LastAck
        | SocketState::Closing => 1,
    }
}

/// Cuts the largest namespaces until all together are few enough.
fn limit(rows: &mut BTreeMap<u64, Vec<Row>>, left_out: &mut usize) {
    let mut most = SHOWN_AT_MOST;
    while most > 1 && rows.values().map(Vec::len).sum::<usize>() > ALL_AT_MOST {
        most /= 2;
        *left_out += rows.values_mut().map(|rows| cut(rows, most)).sum::<usize>();
    }
}

#[cfg(test)]
mod tests;
