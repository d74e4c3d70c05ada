//! Who listens in a namespace, from `/proc/PID/net/{tcp,tcp6,udp,udp6}` of a process in it, which needs no permission; and
//! which process has the socket open, looked for once per socket.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::root::Root;

/// `TCP_LISTEN`, and the state of an UDP socket that is not connected.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";
/// Descriptors of a process that are looked at.
const DESCRIPTORS_AT_MOST: usize = 4096;

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
    owners: HashMap<u64, Option<u32>>,
}

impl Finder {
    pub(super) fn new(root: Root) -> Self {
        Self { root, owners: HashMap::new() }
    }

    /// Listeners on the ports asked about; `None` when the namespace's sockets cannot be read.
    pub(super) fn find(&mut self, asks: &[Ask]) -> HashMap<u64, Vec<Listener>> {
        let mut all = HashMap::new();
        let mut owners = HashMap::new();
        for ask in asks {
            let Some(found) = sockets(&self.root, ask) else { continue };
            let mut rows: Vec<Listener> = Vec::with_capacity(found.len());
            for (mut row, inode) in found {
                let owner = || owner(&self.root, inode, &ask.candidates);
                // Nobody then may be somebody now: a server that was just handed the socket.
                let known = self.owners.get(&inode).copied().flatten();
                row.pid = known.filter(|pid| ask.candidates.contains(pid)).or_else(owner);
                owners.insert(inode, row.pid);
                rows.push(row);
            }
            all.insert(ask.netns, rows);
        }
        self.owners = owners;
        all
    }
}

fn sockets(root: &Root, ask: &Ask) -> Option<Vec<(Listener, u64)>> {
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
        match fs::read_to_string(root.proc_path(format!("{}/net/{file}", ask.pid))) {
            Ok(text) => all.extend(text.lines().skip(1).filter_map(|line| socket(line, protocol, state))),
            // Without IPv6 there is no such file.
            Err(_) if file.ends_with('6') => {}
            Err(_) => return None,
        }
    }
    all.retain(|(row, _)| ask.ports.iter().any(|(p, port)| p == row.protocol && *port == row.port));
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

fn owner(root: &Root, inode: u64, candidates: &[u32]) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let has = |pid: &u32| {
        let Ok(entries) = fs::read_dir(root.proc_path(format!("{pid}/fd"))) else { return false };
        let mut links = entries.flatten().take(DESCRIPTORS_AT_MOST);
        links.any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))
    };
    candidates.iter().copied().find(|pid| has(pid))
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
        let row = &found[&1][0];
        assert_eq!((row.address, row.pid), (local.ip(), Some(pid)));
    }
}
