//! What several views show of sockets: whose they are, in which order people look for them. Pure.

use glasshull_shared::domain::network::{
    ClosedSocket, ClosedSocketKey, NetnsKey, Socket, SocketKey, SocketProtocol, SocketState, port_of,
};
use glasshull_shared::snapshot::Snapshot;

/// Place of a socket among others, as a person looks for them: the network before the host's own business, who listens
/// before who is connected, what is over last.
pub fn rank(row: &Socket) -> u8 {
    let state = match row.state {
        SocketState::Listen => 0,
        SocketState::Unconnected => 1,
        SocketState::Established => 2,
        SocketState::SynSent => 3,
        SocketState::SynRecv => 4,
        SocketState::CloseWait => 5,
        SocketState::FinWait1 => 6,
        SocketState::FinWait2 => 7,
        SocketState::LastAck => 8,
        SocketState::Closing => 9,
        SocketState::TimeWait => 10,
    };
    state + if row.protocol == SocketProtocol::Unix { 20 } else { 0 }
}

/// Colour of a state; its word says the same.
pub fn tone(state: SocketState) -> &'static str {
    match state {
        SocketState::Listen => "strong",
        SocketState::Established => "fine",
        SocketState::SynSent
        | SocketState::SynRecv
        | SocketState::CloseWait
        | SocketState::FinWait1
        | SocketState::FinWait2
        | SocketState::LastAck
        | SocketState::Closing => "attention",
        SocketState::TimeWait | SocketState::Unconnected => "quiet",
    }
}

/// `httpd 4242`; the name alone is of many.
pub fn process_text(comm: Option<&str>, pid: Option<u32>) -> Option<String> {
    pid.map(|pid| format!("{} {pid}", comm.unwrap_or_default()).trim_start().to_owned())
}

/// All sockets in the order of [`rank`] among equals: protocol, namespace, port.
pub fn in_order(snapshot: &Snapshot) -> Vec<SocketKey> {
    let mut keys: Vec<(SocketProtocol, u64, Option<u16>, SocketKey)> = snapshot
        .socket
        .iter()
        .map(|(key, row)| (row.protocol, key.netns, port_of(&row.local), *key))
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(.., key)| key).collect()
}

/// Sockets of a container: those of its processes, and those of its namespace that are of no other container.
pub fn of_container(snapshot: &Snapshot, id: &str) -> Vec<SocketKey> {
    let mut keys = in_order(snapshot);
    keys.retain(|key| {
        let owner = snapshot.socket.get(key).and_then(|row| row.container.as_deref());
        is_of(snapshot, id, key.netns, owner)
    });
    keys.sort_by_key(|key| snapshot.socket.get(key).map(|row| rank(row)));
    keys
}

/// Connections of a container that ended, latest first.
pub fn closed_of<'a>(
    snapshot: &'a Snapshot,
    id: &'a str,
) -> impl Iterator<Item = (ClosedSocketKey, &'a ClosedSocket)> {
    let own = move |row: &ClosedSocket| is_of(snapshot, id, row.netns, row.container.as_deref());
    snapshot.closed_socket.iter().rev().filter(move |(_, row)| own(row)).map(|(key, row)| (*key, &**row))
}

fn is_of(snapshot: &Snapshot, id: &str, netns: u64, owner: Option<&str>) -> bool {
    match owner {
        Some(owner) => owner == id,
        None => snapshot
            .netns
            .get(&NetnsKey { netns })
            .is_some_and(|row| !row.host && row.containers.iter().any(|container| container == id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::Netns;
    use std::sync::Arc;

    fn add(s: &mut Snapshot, netns: u64, local: &str, state: SocketState, owner: Option<&str>) {
        let cookie = s.socket.len() as u64;
        let container = owner.map(str::to_owned);
        let row = Socket { local: local.into(), state, container, ..Socket::default() };
        s.socket.insert(SocketKey { netns, cookie }, Arc::new(row));
    }

    fn snapshot() -> Snapshot {
        let mut s = Snapshot::default();
        let netns = |host, containers: &[&str]| {
            let containers = containers.iter().map(|c| (*c).to_owned()).collect();
            Arc::new(Netns { host, containers, ..Netns::default() })
        };
        s.netns.insert(NetnsKey { netns: 1 }, netns(true, &["hostnet"]));
        s.netns.insert(NetnsKey { netns: 2 }, netns(false, &["a", "b"]));
        add(&mut s, 2, "10.0.0.2:80", SocketState::TimeWait, None);
        add(&mut s, 2, "0.0.0.0:8080", SocketState::Listen, Some("a"));
        add(&mut s, 2, "0.0.0.0:80", SocketState::Listen, Some("a"));
        add(&mut s, 2, "0.0.0.0:81", SocketState::Listen, Some("b"));
        add(&mut s, 1, "0.0.0.0:22", SocketState::Listen, None);
        add(&mut s, 1, "0.0.0.0:9000", SocketState::Listen, Some("hostnet"));
        s
    }

    #[test]
    fn a_container_has_its_own_and_what_is_nobodys_in_its_namespace() {
        let s = snapshot();
        let of = |id| of_container(&s, id).iter().map(|key| s.socket[key].local.clone()).collect::<Vec<_>>();
        assert_eq!(of("a"), ["0.0.0.0:80", "0.0.0.0:8080", "10.0.0.2:80"]);
        assert_eq!(of("b"), ["0.0.0.0:81", "10.0.0.2:80"]);
        assert_eq!(of("hostnet"), ["0.0.0.0:9000"]);
    }

    #[test]
    fn unix_sockets_come_after_the_network() {
        let row = |protocol, state| Socket { protocol, state, ..Socket::default() };
        let mut rows = [
            row(SocketProtocol::Unix, SocketState::Listen),
            row(SocketProtocol::Tcp, SocketState::TimeWait),
            row(SocketProtocol::Udp, SocketState::Unconnected),
            row(SocketProtocol::Tcp, SocketState::Listen),
        ];
        rows.sort_by_key(rank);
        let order: Vec<_> = rows.iter().map(|row| (row.protocol.name(), row.state.name())).collect();
        let wanted = [("tcp", "LISTEN"), ("udp", "UNCONN"), ("tcp", "TIME-WAIT"), ("unix", "LISTEN")];
        assert_eq!(order, wanted);
    }

    #[test]
    fn a_process_is_called_by_name_and_number() {
        assert_eq!(process_text(Some("httpd"), Some(7)).as_deref(), Some("httpd 7"));
        assert_eq!(process_text(None, Some(7)).as_deref(), Some("7"));
        assert_eq!(process_text(None, None), None);
    }
}
