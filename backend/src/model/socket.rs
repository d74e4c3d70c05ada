//! Whose sockets are: processes that have them open, containers, names of the other ends of unix sockets; and connections that
//! ended, related to what was known of them. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{
    ClosedSocket, ClosedSocketKey, Netns, NetnsKey, Socket, SocketKey, SocketProtocol, SocketState,
    address_of, port_of,
};
use glasshull_shared::domain::process::{Process, ProcessKey};

/// Closed connections that are kept.
pub(crate) const CLOSED_KEPT: usize = 1000;

/// An end, as far as the event tells it, with the bytes confirmed beyond those sent: our SYN and FIN, as far as they were.
pub(crate) type End = (ClosedSocket, Option<u64>);

/// The only container of each namespace that has exactly one and is not the host's: whose a socket without a process is.
pub(crate) fn only_containers(
    netns: &Table<NetnsKey, Netns>,
    hidden: &BTreeMap<u64, Vec<ProcessKey>>,
    processes: &Table<ProcessKey, Process>,
) -> BTreeMap<u64, String> {
    let mut only = BTreeMap::new();
    for (key, row) in netns.iter().filter(|(_, row)| !row.host) {
        if let [one] = &row.containers[..] {
            only.insert(key.netns, one.clone());
        }
    }
    for (place, members) in hidden {
        let mut ids = members.iter().map(|key| processes.get(key).and_then(|row| row.container.as_ref()));
        if let Some(Some(first)) = ids.next()
            && ids.all(|id| id == Some(first))
        {
            only.insert(*place, first.clone());
        }
    }
    only
}

/// Sets process, container and, of unix sockets, the name of the other end. `holders` are who has an inode open, oldest
/// first.
pub(crate) fn join_sockets(
    sockets: &mut Table<SocketKey, Socket>,
    holders: &HashMap<u64, Vec<ProcessKey>>,
    processes: &Table<ProcessKey, Process>,
    only: &BTreeMap<u64, String>,
) {
    let unix = sockets.values().filter(|row| row.protocol == SocketProtocol::Unix && !row.local.is_empty());
    let names: HashMap<u64, String> = unix.filter_map(|row| Some((row.inode?, row.local.clone()))).collect();
    for (key, row) in sockets.iter_mut() {
        let row = Arc::make_mut(row);
        row.remote = row.peer_inode.and_then(|peer| names.get(&peer).cloned()).or(row.remote.take());
        let holders = row.inode.and_then(|inode| holders.get(&inode)).map(Vec::as_slice).unwrap_or_default();
        let Some((process, found)) = owner(holders, processes) else {
            row.container = only.get(&key.netns).cloned();
            continue;
        };
        row.pid = Some(process.pid);
        row.start_time = Some(process.start_time);
        row.comm = Some(found.comm.clone());
        row.more_holders = u32::try_from(holders.len().saturating_sub(1)).unwrap_or(u32::MAX);
        row.container.clone_from(&found.container);
    }
}

/// The oldest holder; init comes last: it holds what it opens for others.
fn owner<'a>(
    holders: &[ProcessKey],
    processes: &'a Table<ProcessKey, Process>,
) -> Option<(ProcessKey, &'a Process)> {
    let known = |key: &ProcessKey| Some((*key, &**processes.get(key)?));
    let others = holders.iter().filter(|key| key.pid != 1);
    others.chain(holders).find_map(known)
}

/// The connections that ended, newest kept.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// The newest ends.
    pub table: Table<ClosedSocketKey, ClosedSocket>,
    /// Where the ends of a connection are in the table.
    of_ends: HashMap<(String, String), u64>,
    sequence: u64,
}

/// What is known when connections end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Sockets as they were shown last, with owners.
    pub(crate) before: &'a Table<SocketKey, Socket>,
    /// Sockets as they are.
    pub(crate) now: &'a Table<SocketKey, Socket>,
    /// As [`only_containers`] tells them.
    pub(crate) only: &'a BTreeMap<u64, String>,
}

impl Closed {
    /// Takes in what ended.
    pub(crate) fn join_ends(&mut self, ends: impl IntoIterator<Item = End>, known: Known<'_>) {
        let mut ends = ends.into_iter().peekable();
        if ends.peek().is_none() {
            return;
        }
        // Who listened at the last tick may have ended with its connections.
        let listeners = listeners(known.now.iter().chain(known.before));
        for (mut end, beyond) in ends {
            let key = SocketKey { netns: end.netns, cookie: end.cookie };
            let seen = known.before.get(&key).or_else(|| known.now.get(&key)).map(|row| &**row);
            let listener = listener_of(&end, &listeners);
            let owner = seen.filter(|row| row.pid.is_some()).or(listener);
            if let Some(owner) = owner {
                (end.pid, end.start_time) = (owner.pid, owner.start_time);
                end.comm.clone_from(&owner.comm);
                end.container.clone_from(&owner.container);
            } else {
                end.container = known.only.get(&end.netns).cloned();
            }
            let has_fin = seen.is_some_and(|row| row.state.other_end_closed())
                || beyond.is_some_and(|beyond| beyond >= if listener.is_some() { 1 } else { 2 });
            self.keep(end, has_fin);
        }
    }

    /// `has_fin`: the other end's FIN most likely came, and is among the bytes received.
    fn keep(&mut self, mut end: ClosedSocket, has_fin: bool) {
        self.sequence += 1;
        let (local, remote) = (plain(&end.local), plain(&end.remote));
        let twin = self.of_ends.get(&(remote.clone(), local.clone())).copied();
        let twin = twin.and_then(|sequence| self.table.get_mut(&ClosedSocketKey { sequence }));
        if let Some(twin) = twin.filter(|twin| received_of(&end, twin.sent_bytes).is_some()) {
            // Both ends are of this host: each knows what it sent.
            end.received_bytes = twin.sent_bytes;
            if let Some(exact) =
                end.sent_bytes.filter(|sent| twin.received_bytes.is_some_and(|n| n.abs_diff(*sent) == 1))
            {
                Arc::make_mut(twin).received_bytes = Some(exact);
            }
        } else if has_fin {
            end.received_bytes = end.received_bytes.map(|received| received.saturating_sub(1));
        }
        self.of_ends.insert((local, remote), self.sequence);
        self.table.insert(ClosedSocketKey { sequence: self.sequence }, Arc::new(end));
        while self.table.len() > CLOSED_KEPT
            && let Some((key, gone)) = self.table.pop_first()
        {
            let ends = (plain(&gone.local), plain(&gone.remote));
            if self.of_ends.get(&ends) == Some(&key.sequence) {
                self.of_ends.remove(&ends);
            }
        }
    }
}

/// An end without the mark of IPv4 in an IPv6 socket: the other end may be none.
fn plain(end: &str) -> String {
    match end.strip_prefix("[::ffff:").and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.contains('.') => format!("{address}{port}"),
        Some(_) | None => end.to_owned(),
    }
}

/// What the other end sent, when that is what came here, with or without the FIN.
fn received_of(end: &ClosedSocket, sent: Option<u64>) -> Option<u64> {
    let (received, sent) = (end.received_bytes?, sent?);
    (received == sent || received == sent + 1).then_some(sent)
}

/// Who listens, by namespace and port.
fn listeners<'a>(
    sockets: impl Iterator<Item = (&'a SocketKey, &'a Arc<Socket>)>,
) -> HashMap<(u64, u16), Vec<&'a Socket>> {
    let mut listeners: HashMap<(u64, u16), Vec<&Socket>> = HashMap::new();
    let listening = |row: &Socket| row.state == SocketState::Listen && row.protocol == SocketProtocol::Tcp;
    for (key, row) in sockets.filter(|(_, row)| listening(row)) {
        if let Some(port) = port_of(&row.local) {
            listeners.entry((key.netns, port)).or_default().push(row);
        }
    }
    listeners
}

/// The socket that accepted a connection: it listens at this end, or at every address.
fn listener_of<'a>(
    end: &ClosedSocket,
    listeners: &HashMap<(u64, u16), Vec<&'a Socket>>,
) -> Option<&'a Socket> {
    let there = listeners.get(&(end.netns, port_of(&end.local)?))?;
    let at = |row: &&&Socket| row.local == end.local;
    let any = |row: &&&Socket| matches!(address_of(&row.local), Some("0.0.0.0" | "::"));
    there.iter().find(at).or_else(|| there.iter().find(any)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: u64 = 2;
    const CLIENT: u64 = 3;

    fn key(netns: u64, cookie: u64) -> SocketKey {
        SocketKey { netns, cookie }
    }

    fn process(pid: u32) -> ProcessKey {
        ProcessKey { pid, start_time: u64::from(pid) }
    }

    fn processes(all: &[(u32, Option<&str>)]) -> Table<ProcessKey, Process> {
        let row = |pid: u32, container: Option<&str>| Process {
            comm: format!("p{pid}"),
            container: container.map(str::to_owned),
            ..Process::default()
        };
        all.iter().map(|(pid, container)| (process(*pid), Arc::new(row(*pid, *container)))).collect()
    }

    fn only() -> BTreeMap<u64, String> {
        [(WEB, "web".to_owned()), (CLIENT, "client".to_owned())].into()
    }

    fn socket(local: &str, state: SocketState, inode: Option<u64>) -> Arc<Socket> {
        Arc::new(Socket { local: local.into(), state, inode, ..Socket::default() })
    }

    #[test]
    fn the_oldest_process_owns_and_decides_the_container() {
        let mut sockets = Table::from([
            (key(WEB, 1), socket("0.0.0.0:80", SocketState::Listen, Some(11))),
            (key(WEB, 2), socket("127.0.0.11:9", SocketState::Listen, Some(12))),
            (key(WEB, 3), socket("10.0.0.2:80", SocketState::TimeWait, None)),
        ]);
        let holders =
            HashMap::from([(11, vec![process(1), process(20), process(21)]), (12, vec![process(9)])]);
        let processes = processes(&[(1, None), (9, None), (20, Some("web")), (21, Some("web"))]);
        join_sockets(&mut sockets, &holders, &processes, &only());
        let row = &sockets[&key(WEB, 1)];
        assert_eq!((row.pid, row.comm.as_deref(), row.more_holders), (Some(20), Some("p20"), 2));
        assert_eq!(row.container.as_deref(), Some("web"));
        let engine = &sockets[&key(WEB, 2)];
        assert_eq!(
            (engine.pid, &engine.container),
            (Some(9), &None),
            "the engine's, in the container's namespace"
        );
        let over = &sockets[&key(WEB, 3)];
        assert_eq!((over.pid, over.container.as_deref()), (None, Some("web")));
    }

    #[test]
    fn a_namespace_of_several_or_of_the_host_says_nothing_of_whose() {
        let row = |host, containers: &[&str]| {
            let containers = containers.iter().map(|c| (*c).to_owned()).collect();
            Arc::new(Netns { host, containers, ..Netns::default() })
        };
        let netns = Table::from([
            (NetnsKey { netns: 1 }, row(true, &["hostnet"])),
            (NetnsKey { netns: WEB }, row(false, &["web"])),
            (NetnsKey { netns: 4 }, row(false, &["pod-a", "pod-b"])),
        ]);
        let processes = processes(&[(5, Some("x")), (6, Some("x")), (7, None)]);
        let hidden = BTreeMap::from([(8, vec![process(5), process(6)]), (9, vec![process(5), process(7)])]);
        let only = only_containers(&netns, &hidden, &processes);
        assert_eq!(only, [(WEB, "web".to_owned()), (8, "x".to_owned())].into());
    }

    #[test]
    fn a_unix_socket_is_called_what_its_other_end_is() {
        let unix = |local: &str, inode, peer| {
            let protocol = SocketProtocol::Unix;
            Arc::new(Socket { protocol, local: local.into(), inode, peer_inode: peer, ..Socket::default() })
        };
        let mut sockets = Table::from([
            (key(WEB, 1), unix("/run/x.sock", Some(11), Some(12))),
            (key(CLIENT, 2), unix("", Some(12), Some(11))),
        ]);
        join_sockets(&mut sockets, &HashMap::new(), &Table::new(), &only());
        assert_eq!(sockets[&key(CLIENT, 2)].remote.as_deref(), Some("/run/x.sock"));
        assert_eq!(sockets[&key(WEB, 1)].remote, None);
    }

    fn end(netns: u64, cookie: u64, ends: (&str, &str), bytes: (u64, u64)) -> ClosedSocket {
        ClosedSocket {
            netns,
            cookie,
            local: ends.0.into(),
            remote: ends.1.into(),
            sent_bytes: Some(bytes.0),
            received_bytes: Some(bytes.1),
            ..ClosedSocket::default()
        }
    }

    fn last(closed: &Closed) -> &ClosedSocket {
        closed.table.last_key_value().unwrap().1
    }

    #[test]
    fn two_ends_of_this_host_know_the_bytes_exactly() {
        let mut closed = Closed::default();
        let (none, only) = (Table::new(), only());
        let known = Known { before: &none, now: &none, only: &only };
        let (server, client) = ("10.0.0.2:80", "10.0.0.3:9999");
        let mapped = ("[::ffff:10.0.0.2]:80", "[::ffff:10.0.0.3]:9999");
        // The client closed first and never saw the server's FIN; the server counted the client's.
        closed.join_ends([(end(CLIENT, 7, (client, server), (100, 500)), Some(2))], known);
        assert_eq!(last(&closed).received_bytes, Some(499), "a guess until the other end tells");
        closed.join_ends([(end(WEB, 8, mapped, (500, 101)), Some(1))], known);
        assert_eq!(last(&closed).received_bytes, Some(100));
        let first = closed.table.first_key_value().unwrap().1;
        assert_eq!((first.received_bytes, first.container.as_deref()), (Some(500), Some("client")));
    }

    #[test]
    fn the_fin_is_no_byte_when_it_most_likely_came() {
        let listener =
            |local: &str| Table::from([(key(WEB, 1), socket(local, SocketState::Listen, Some(11)))]);
        let (none, only) = (Table::new(), only());
        let ends = ("10.0.0.2:80", "192.0.2.1:9999");
        for (listens, beyond, received) in [
            ("0.0.0.0:80", Some(1), 100),  // accepted, our FIN confirmed
            ("0.0.0.0:80", Some(0), 101),  // reset
            ("10.0.0.9:80", Some(1), 101), // opened here, reset
            ("10.0.0.9:80", Some(2), 100), // opened here, our FIN confirmed
            ("0.0.0.0:80", None, 101),
        ] {
            let now = listener(listens);
            let mut closed = Closed::default();
            let known = Known { before: &none, now: &now, only: &only };
            closed.join_ends([(end(WEB, 8, ends, (1, 101)), beyond)], known);
            assert_eq!(last(&closed).received_bytes, Some(received), "{listens} {beyond:?}");
        }
    }

    #[test]
    fn whose_it_was_is_known_from_its_row_or_from_who_listens() {
        let owned = |local: &str, state, pid| {
            let row = Socket {
                pid: Some(pid),
                container: Some("web".into()),
                ..Socket::clone(&socket(local, state, None))
            };
            Arc::new(row)
        };
        let before = Table::from([(key(WEB, 8), owned("10.0.0.2:80", SocketState::Established, 21))]);
        let now = Table::from([(key(WEB, 1), owned("[::]:80", SocketState::Listen, 20))]);
        let only = only();
        let known = Known { before: &before, now: &now, only: &only };
        let ends = ("10.0.0.2:80", "192.0.2.1:9999");
        let mut closed = Closed::default();
        closed.join_ends([(end(WEB, 8, ends, (0, 0)), None)], known);
        assert_eq!(last(&closed).pid, Some(21));
        closed.join_ends([(end(WEB, 9, ends, (0, 0)), None)], known);
        assert_eq!(last(&closed).pid, Some(20));
        closed.join_ends([(end(CLIENT, 9, ends, (0, 0)), None)], known);
        assert_eq!((last(&closed).pid, last(&closed).container.as_deref()), (None, Some("client")));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let (none, only) = (Table::new(), BTreeMap::new());
        let known = Known { before: &none, now: &none, only: &only };
        let mut closed = Closed::default();
        let many = (0..1500).map(|n| (end(WEB, n, (&format!("10.0.0.2:{n}"), "10.0.0.3:80"), (0, 0)), None));
        closed.join_ends(many.collect::<Vec<_>>(), known);
        assert_eq!((closed.table.len(), closed.of_ends.len()), (CLOSED_KEPT, CLOSED_KEPT));
        assert_eq!(closed.table.last_key_value().unwrap().0.sequence, 1500);
    }
}
