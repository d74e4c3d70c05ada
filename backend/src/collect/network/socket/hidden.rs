//! Namespaces that may not be entered nor even be named: their processes' `/proc/PID/net` shows their sockets to everybody.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use glasshull_shared::domain::process::ProcessKey;

use super::{KINDS, Row, proc_net};
use crate::sys::procfile::read_once;
use crate::sys::root::Root;

/// Bytes read of one table; some hundred thousand sockets.
const TABLE_BYTES_AT_MOST: usize = 32 << 20;

/// Which processes share a namespace that is hidden.
pub(super) struct HiddenPlaces {
    root: Root,
    of: HashMap<ProcessKey, Option<u64>>,
}

impl HiddenPlaces {
    pub(super) fn new(root: Root) -> Self {
        Self { root, of: HashMap::new() }
    }

    /// Processes by the inode of their `/proc/PID/net/dev`: there is one for each namespace, and it is told to everybody.
    /// Those of the agent's own namespace are left out.
    pub(super) fn read(&mut self, hidden: &[ProcessKey]) -> BTreeMap<u64, Vec<ProcessKey>> {
        let inode = |process: &str| {
            let path = self.root.proc_path(format!("{process}/net/dev"));
            fs::metadata(path).ok().map(|meta| meta.ino())
        };
        let own = inode("self");
        let mut of = HashMap::with_capacity(hidden.len());
        let mut places: BTreeMap<u64, Vec<ProcessKey>> = BTreeMap::new();
        for key in hidden {
            let place = self.of.get(key).copied().unwrap_or_else(|| inode(&key.pid.to_string()));
            of.insert(*key, place);
            if let Some(place) = place.filter(|place| Some(*place) != own) {
                places.entry(place).or_default().push(*key);
            }
        }
        self.of = of;
        places
    }
}

/// All tables below a `net` folder of `/proc`: rows, and the number of lines that could not be read.
///
/// # Errors
/// When the TCP table cannot be read: the process has gone, or the folder is hidden.
pub(super) fn tables(folder: &Path) -> io::Result<(Vec<Row>, usize)> {
    let (mut rows, mut broken) = (Vec::new(), 0);
    for (at, kind) in KINDS.iter().enumerate() {
        match table(&folder.join(kind.file)) {
            Ok(text) => {
                let (found, unread) = proc_net::rows(&text, kind.protocol);
                rows.extend(found);
                broken += unread;
            }
            Err(error) if at == 0 => return Err(error),
            Err(_) => {} // no IPv6, no packet sockets
        }
    }
    Ok((rows, broken))
}

/// A table as text.
pub(super) fn table(path: &Path) -> io::Result<String> {
    let mut buffer = Vec::new();
    read_once(path, &mut buffer, TABLE_BYTES_AT_MOST)?;
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::{SocketProtocol, SocketState};

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
    }

    #[test]
    fn the_tables_of_a_container_are_read_by_anybody() {
        let (rows, broken) = tables(&fixture("docker-hybrid/proc/201/net")).unwrap();
        assert_eq!(broken, 0);
        let of = |protocol| rows.iter().filter(move |row| row.socket.protocol == protocol);
        let told: Vec<(&str, SocketState)> =
            of(SocketProtocol::Tcp).map(|row| (row.socket.local.as_str(), row.socket.state)).collect();
        assert!(told.contains(&("127.0.0.11:39967", SocketState::Listen)), "{told:?}");
        assert!(told.contains(&("[::]:80", SocketState::Listen)), "{told:?}");
        assert!(told.contains(&("172.18.0.2:80", SocketState::TimeWait)), "{told:?}");
        assert_eq!(of(SocketProtocol::Udp).count(), 2);
        assert_eq!(of(SocketProtocol::Unix).filter(|row| row.socket.local == "/run/app.sock").count(), 1);
    }

    #[test]
    fn broken_tables_give_what_can_be_read_and_count_the_rest() {
        let (rows, broken) = tables(&fixture("broken/proc/201/net")).unwrap();
        let told: Vec<&str> = rows.iter().map(|row| row.socket.local.as_str()).collect();
        assert_eq!((told, broken), (vec!["127.0.0.1:80", "/run/whole.sock"], 7));
        assert_eq!(tables(&fixture("broken/proc/300/net")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn who_is_in_our_own_namespace_is_not_hidden() {
        let mut places = HiddenPlaces::new(Root::host());
        let own = ProcessKey { pid: std::process::id(), start_time: 1 };
        assert!(places.read(&[own]).is_empty());
        assert_eq!(places.of.len(), 1);
        assert!(places.read(&[]).is_empty() && places.of.is_empty());
    }
}
