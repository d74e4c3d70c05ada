//! Who listens in a namespace, from `/proc/PID/net/{tcp,tcp6,udp,udp6}` of a process in it, which needs no permission; and
//! which process has the socket open, looked for once per socket.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::descriptor;
use crate::sys::root::Root;

/// `TCP_LISTEN`, and the state of an UDP socket that is not connected.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";
/// Descriptors of a process that are looked at.
const DESCRIPTORS_AT_MOST: usize = 4096;
/// Sockets of a table that are looked at. Who listens stands before all connections in that of TCP.
const SOCKETS_AT_MOST: usize = 65_536;

/// A socket that takes what comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Address it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Process that has it open; `None` when it is not among those asked about or hidden.
    pub pid: Option<u32>,
}

/// What to look for in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Whose namespace it is.
    pub netns: u64,
    /// A process in it.
    pub pid: u32,
    /// Protocol and port.
    pub ports: Vec<(String, u16)>,
    /// Processes that may have the socket open.
    pub candidates: Vec<u32>,
}

/// Finds listeners and remembers whose they are.
pub(super) struct Finder {
    root: Root,
    owners: HashMap<u64, u32>,
}

impl Finder {
    pub(super) fn new(root: Root) -> Self {
        Self { root, owners: HashMap::new() }
    }

    /// Listeners on the ports asked about; `None` when the namespace's sockets cannot be read.
    pub(super) fn find(&mut self, asks: &[Ask]) -> HashMap<u64, Vec<Listener>> {
        let mut all: HashMap<u64, Vec<Listener>> = HashMap::new();
        let mut owners = HashMap::new();
        for ask in asks {
            let Some(found) = sockets(&self.root, ask) else { continue };
            let mut whose: HashMap<u64, u32> = HashMap::with_capacity(found.len());
            let candidates: HashSet<u32> = ask.candidates.iter().copied().collect();
            let known = |inode| self.owners.get(inode).filter(|pid| candidates.contains(pid));
            whose.extend(found.iter().filter_map(|(_, inode)| Some((*inode, *known(inode)?))));
            // Nobody then may be somebody now: a server that was just handed the socket.
            let unknown = found.iter().map(|(_, inode)| *inode).filter(|inode| !whose.contains_key(inode));
            let open = |pid| descriptor::sockets(&self.root, pid, DESCRIPTORS_AT_MOST).into_iter().flatten();
            whose.extend(owners_of(unknown.collect(), &ask.candidates, open));
            let row = |(row, inode): (Listener, u64)| Listener { pid: whose.get(&inode).copied(), ..row };
            all.insert(ask.netns, found.into_iter().map(row).collect());
            owners.extend(whose);
        }
        self.owners = owners;
        all
    }
}

fn sockets(root: &Root, ask: &Ask) -> Option<Vec<(Listener, u64)>> {
    let wanted: HashSet<(&str, u16)> = ask.ports.iter().map(|(of, port)| (of.as_str(), *port)).collect();
    let mut all = Vec::new();
    for (file, protocol, state) in [
        ("tcp", "tcp", LISTENS),
        ("tcp6", "tcp", LISTENS),
        ("udp", "udp", UNCONNECTED),
        ("udp6", "udp", UNCONNECTED),
    ] {
        if !ask.ports.iter().any(|(wanted, _)| wanted == protocol) {
            continue;
        }
        match File::open(root.proc_path(format!("{}/net/{file}", ask.pid))) {
            Ok(table) => {
                // Line by line: of a table of any length only who listens there is held.
                for line in BufReader::new(table).lines().skip(1).take(SOCKETS_AT_MOST) {
                    let found = socket(&line.ok()?, protocol, state);
                    all.extend(found.filter(|(row, _)| wanted.contains(&(row.protocol, row.port))));
                }
            }
            // Without IPv6 there is no such file.
            Err(_) if file.ends_with('6') => {}
            Err(_) => return None,
        }
    }
    Some(all)
}

/// A line of `/proc/net/tcp`: `0: 0100007F:1F90 00000000:0000 0A … inode …`.
fn socket(line: &str, protocol: &'static str, state: &str) -> Option<(Listener, u64)> {
    let mut words = line.split_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != state {
        return None;
    }
    let inode = words.nth(5)?.parse().ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0_u8; 16];
            for (i, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(8 * i)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((Listener { protocol, address, port, pid: None }, inode))
}

/// Who has these sockets open: the first of the candidates, each of which is looked at once at most.
fn owners_of<I: Iterator<Item = u64>>(
    mut wanted: HashSet<u64>,
    candidates: &[u32],
    mut open: impl FnMut(u32) -> I,
) -> HashMap<u64, u32> {
    let mut owners = HashMap::with_capacity(wanted.len());
    for pid in candidates {
        if wanted.is_empty() {
            break;
        }
        owners.extend(open(*pid).filter(|inode| wanted.remove(inode)).map(|inode| (inode, *pid)));
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_net_tcp_is_read() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4242 1 0 100";
        let (row, inode) = socket(line, "tcp", LISTENS).unwrap();
        assert_eq!((row.address.to_string().as_str(), row.port, inode), ("127.0.0.1", 8080, 4242));
        assert!(socket(&line.replace(" 0A ", " 01 "), "tcp", LISTENS).is_none());
        assert!(socket("0: zz:1 x 0A", "tcp", LISTENS).is_none());
    }

    #[test]
    fn our_own_listener_is_found_with_its_pid() {
        let listener =
            std::net::TcpListener::bind("[::1]:0").or_else(|_| std::net::TcpListener::bind("127.0.0.1:0"));
        let local = listener.as_ref().unwrap().local_addr().unwrap();
        let pid = std::process::id();
        let ask = Ask { netns: 1, pid, ports: vec![("tcp".into(), local.port())], candidates: vec![pid] };
        let found = Finder::new(Root::host()).find(&[ask]);
        // Another test may have the number at another address.
        let row = found[&1].iter().find(|row| row.address == local.ip()).unwrap();
        assert_eq!(row.pid, Some(pid));
    }

    #[test]
    fn each_candidate_is_looked_at_once_for_all_sockets_together() {
        let mut looked = Vec::new();
        let mut find = |wanted: std::ops::Range<u64>, candidates: &[u32]| {
            looked.clear();
            let open = |pid: u32| {
                looked.push(pid);
                // Ten each, and the last of the one before.
                let first = u64::from(pid) * 10;
                (first.saturating_sub(1)..first + 10).rev()
            };
            (owners_of(wanted.collect(), candidates, open), looked.clone())
        };
        let all: Vec<u32> = (0..50).collect();
        let (owners, looked) = find(0..10_000, &all);
        assert_eq!((owners.len(), looked.len()), (500, 50));
        assert!(owners.iter().all(|(inode, pid)| u64::from(*pid) == inode / 10), "the first that has it");
        let (owners, looked) = find(20..30, &all);
        assert_eq!((owners.len(), looked), (10, vec![0, 1, 2]), "nobody is asked in vain");
        assert!(find(0..0, &all).1.is_empty());
    }

    #[test]
    fn a_table_that_does_not_end_is_read_to_the_bound() {
        use std::fmt::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("proc/7/net");
        std::fs::create_dir_all(&folder).unwrap();
        let mut table = String::from("  sl  local_address\n");
        for n in 0..=SOCKETS_AT_MOST {
            writeln!(table, "0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 {n}").unwrap();
        }
        std::fs::write(folder.join("tcp"), table).unwrap();
        let ask = Ask { netns: 1, pid: 7, ports: vec![("tcp".into(), 8080)], candidates: vec![] };
        let found = Finder::new(Root::at(dir.path())).find(std::slice::from_ref(&ask));
        assert_eq!(found[&1].len(), SOCKETS_AT_MOST);
        std::fs::remove_file(folder.join("tcp")).unwrap();
        assert!(Finder::new(Root::at(dir.path())).find(&[ask]).is_empty(), "unreadable, not empty");
    }
}
