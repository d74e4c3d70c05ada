//! Sockets of our own process in our own namespace: the kernel must tell of them what we know.

use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// For what the kernel tells a moment later, also on a busy host.
const SOON: Duration = Duration::from_secs(30);

type Place = (Vec<Target>, BTreeMap<u64, Vec<ProcessKey>>, Table<ProcessKey, Process>);

fn own() -> Place {
    use std::os::unix::fs::MetadataExt;
    let path = std::path::PathBuf::from("/proc/self/ns/net");
    let inode = std::fs::metadata(&path).unwrap().ino();
    let key = ProcessKey { pid: std::process::id(), start_time: 1 };
    let processes = Table::from([(key, Arc::new(Process::default()))]);
    (vec![Target { inode, paths: vec![path] }], BTreeMap::from([(inode, vec![key])]), processes)
}

fn read(reader: &mut SocketReader, listen: bool) -> SocketReading {
    let (targets, members, processes) = own();
    let places = Places { targets: &targets, members: &members, hidden: &[] };
    reader.read(places, &processes, listen).unwrap()
}

fn find(reading: &SocketReading, is_it: impl Fn(&Socket) -> bool) -> Option<(&SocketKey, &Socket)> {
    reading.socket.iter().map(|(key, row)| (key, &**row)).find(|(_, row)| is_it(row))
}

#[test]
fn our_own_sockets_are_told_with_their_owner() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = tempfile::tempdir().unwrap().keep().join("a.sock");
    let _unix = UnixListener::bind(&path).unwrap();
    let address = tcp.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&[1; 1234]).unwrap();
    let (mut served, _) = tcp.accept().unwrap();
    served.read_exact(&mut [0; 1000]).unwrap();
    let mut reader = SocketReader::new(Root::host());
    let mut reading = read(&mut reader, false);
    // Both ends together are one connection; one end alone may be that of others of this host, or of UDP.
    let from = client.local_addr().unwrap().to_string();
    let ends = |row: &Socket, local: &str, remote: &str| {
        row.protocol == SocketProtocol::Tcp && row.local == local && row.remote.as_deref() == Some(remote)
    };
    let is_client = |row: &Socket| ends(row, &from, &address.to_string());
    let is_served = |row: &Socket| ends(row, &address.to_string(), &from);
    // What was sent counts when the other end has acknowledged it, which may take a moment on a busy host.
    let acknowledged = |reading: &SocketReading| {
        find(reading, is_client).is_some_and(|(key, _)| reading.stat[key].sent_bytes > Some(0))
    };
    for _ in 0..1000 {
        if acknowledged(&reading) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
        reading = read(&mut reader, false);
    }
    // What it accepted has the same end.
    let listens = |row: &Socket| row.local == address.to_string() && row.state == SocketState::Listen;
    let own = |row: &Socket| reader.holders()[&row.inode.unwrap()][0].pid == std::process::id();
    assert!(own(find(&reading, listens).unwrap().1));
    let (key, connected) = find(&reading, is_client).unwrap();
    assert_eq!((reading.stat[key].sent_bytes, own(connected)), (Some(1234), true));
    let stat = &reading.stat[find(&reading, is_served).unwrap().0];
    assert_eq!((stat.received_bytes, stat.receive_queue_bytes), (Some(1234), Some(234)));
    let bound = udp.local_addr().unwrap().to_string();
    let is_udp = |row: &Socket| row.protocol == SocketProtocol::Udp && row.local == bound;
    assert!(own(find(&reading, is_udp).unwrap().1));
    assert!(own(find(&reading, |row| row.local == path.to_string_lossy()).unwrap().1));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn each_short_connection_is_told_with_its_bytes() {
    const CONNECTIONS: usize = 150;
    let mut reader = SocketReader::new(Root::host());
    read(&mut reader, true);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for n in 0..CONNECTIONS {
        let mut client = TcpStream::connect(address).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        client.write_all(&vec![1; n + 1]).unwrap();
        served.read_exact(&mut vec![0; n + 1]).unwrap();
        drop(client);
        assert_eq!(served.read(&mut [0; 8]).unwrap(), 0);
    }
    let remote = address.to_string();
    let mut sent = BTreeSet::new();
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        let reading = read(&mut reader, true);
        assert_eq!(reading.closed.missed, 0);
        let ours = reading.closed.ends.into_iter().filter(|(row, _)| row.remote == remote);
        sent.extend(ours.filter_map(|(row, _)| row.sent_bytes));
        if sent.len() == CONNECTIONS {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sent, (1..=CONNECTIONS as u64).collect());
}

#[test]
fn nobody_listens_where_no_process_is() {
    let mut reader = SocketReader::new(Root::host());
    let (targets, mut members, processes) = own();
    let inode = targets[0].inode;
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    members.insert(inode, vec![ProcessKey { pid: child.id(), start_time: 1 }]);
    let places = Places { targets: &targets, members: &members, hidden: &[] };
    reader.read(places, &processes, true).unwrap();
    let open =
        |reader: &SocketReader| reader.closed.as_ref().is_some_and(|closed| closed.open().contains(&inode));
    assert!(open(&reader));
    child.kill().unwrap(); // not waited for: a zombie is in no namespace
    let until = Instant::now() + SOON;
    while open(&reader) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!open(&reader), "the listener outlived the last process, without another reading");
    child.wait().unwrap();
}

fn rows(states: &[(SocketState, u64)]) -> Vec<Row> {
    let row = |(state, cookie): &(SocketState, u64)| Row {
        cookie: *cookie,
        socket: Socket { state: *state, ..Socket::default() },
        stat: SocketStat::default(),
    };
    states.iter().map(row).collect()
}

#[test]
fn of_too_many_the_most_telling_stay() {
    use SocketState::{Established, Listen, TimeWait};
    let mut few = rows(&[(TimeWait, 1), (Established, 9), (Established, 3), (Listen, 8), (TimeWait, 2)]);
    assert_eq!((cut(&mut few, 5), few.len()), (0, 5));
    assert_eq!(cut(&mut few, 3), 2);
    assert_eq!(few.iter().map(|row| row.cookie).collect::<Vec<_>>(), [8, 3, 9]);
}

#[test]
fn all_together_are_bounded_and_small_namespaces_stay_whole() {
    let large: Vec<_> = (0..SHOWN_AT_MOST as u64).map(|n| (SocketState::Established, n)).collect();
    let mut all: BTreeMap<u64, Vec<Row>> = (0..20).map(|netns| (netns, rows(&large))).collect();
    all.insert(99, rows(&[(SocketState::Listen, 1)]));
    let mut left_out = 0;
    limit(&mut all, &mut left_out);
    let shown: usize = all.values().map(Vec::len).sum();
    assert!(shown <= ALL_AT_MOST && shown > ALL_AT_MOST / 4, "{shown}");
    assert_eq!((left_out, all[&99].len()), (20 * SHOWN_AT_MOST + 1 - shown, 1));
}
