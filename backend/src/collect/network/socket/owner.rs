//! Which processes have a socket open: `/proc/PID/fd`, whose links name the inode (`socket:[4711]`).
//!
//! Reading all descriptors of a host is dear, so it is done only when a socket appears that nobody is known to have: first
//! in the processes of its namespace, then in those that have sockets already, then in the rest, some at every reading. The
//! owner is not always in the namespace: an engine listens in those of its containers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{Process, ProcessKey};

use super::super::descriptor;
use crate::sys::root::Root;

/// Processes whose descriptors are read at one reading.
const PROCESSES_AT_ONCE: usize = 1000;
/// Descriptors read of one process.
const DESCRIPTORS_AT_MOST: usize = 16_384;
/// Members of a namespace up to which all are looked at, so that all holders are known; of more, until one is found.
const SMALL: usize = 256;
/// Readings after which what was not found is looked for again, and who holds what is read anew.
const RECHECK: u64 = 30;

/// Finds and remembers.
pub(super) struct Owners {
    root: Root,
    reading: u64,
    /// Inode → who has it open, oldest first.
    holders: HashMap<u64, Vec<ProcessKey>>,
    /// The same the other way round.
    held: HashMap<ProcessKey, Vec<u64>>,
    /// Nobody was found, with the reading at which that was clear.
    nobody: HashMap<u64, u64>,
    /// The search that goes on.
    search: Option<Search>,
    /// Processes whose descriptors may not be read.
    hidden: HashSet<ProcessKey>,
}

#[derive(Debug, Default)]
struct Search {
    wanted: BTreeSet<u64>,
    /// Looked at whatever was found before.
    near: VecDeque<ProcessKey>,
    /// Looked at until nothing is wanted any more.
    far: VecDeque<ProcessKey>,
    /// Times that a socket was compared with those wanted.
    #[cfg(test)]
    compared: usize,
}

impl Search {
    /// Some are known already: whose they are is told.
    fn strike_known(&mut self, holders: &HashMap<u64, Vec<ProcessKey>>) {
        #[cfg(test)]
        (self.compared += self.wanted.len());
        self.wanted.retain(|inode| !holders.contains_key(inode));
    }

    /// Somebody has this one.
    fn strike(&mut self, inode: u64) {
        #[cfg(test)]
        (self.compared += 1);
        self.wanted.remove(&inode);
    }
}

impl Owners {
    pub(super) fn new(root: Root) -> Self {
        Self {
            root,
            reading: 0,
            holders: HashMap::new(),
            held: HashMap::new(),
            nobody: HashMap::new(),
            search: None,
            hidden: HashSet::new(),
        }
    }

    /// Who holds what, as of the last search.
    pub(super) fn holders(&self) -> &HashMap<u64, Vec<ProcessKey>> {
        &self.holders
    }

    /// Processes of others whose descriptors are hidden.
    pub(super) fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// Looks for the holders of what is new. `sockets` are the inodes there are, each with its namespace.
    pub(super) fn read(
        &mut self,
        sockets: &HashMap<u64, u64>,
        members: &BTreeMap<u64, Vec<ProcessKey>>,
        processes: &Table<ProcessKey, Process>,
    ) {
        self.reading += 1;
        self.forget(sockets, processes);
        self.refresh(sockets);
        if self.search.is_none() {
            self.search = self.begin(sockets, members, processes);
        }
        let Some(mut search) = self.search.take() else { return };
        // Once, not for each process: what one has is struck out below.
        search.strike_known(&self.holders);
        for _ in 0..PROCESSES_AT_ONCE {
            let next = search.near.pop_front();
            let next = next.or_else(|| if search.wanted.is_empty() { None } else { search.far.pop_front() });
            let Some(process) = next else {
                self.nobody.extend(search.wanted.iter().map(|inode| (*inode, self.reading)));
                return;
            };
            self.look(process, sockets).into_iter().for_each(|inode| search.strike(inode));
        }
        self.search = Some(search);
    }

    /// Drops processes and sockets that are gone. A socket all of whose holders ended is looked for again: another process
    /// may have got it.
    fn forget(&mut self, sockets: &HashMap<u64, u64>, processes: &Table<ProcessKey, Process>) {
        self.hidden.retain(|process| processes.contains_key(process));
        let ended: Vec<ProcessKey> =
            self.held.keys().filter(|process| !processes.contains_key(process)).copied().collect();
        ended.into_iter().for_each(|process| self.take_away(process));
        self.holders.retain(|inode, _| sockets.contains_key(inode));
        self.held.retain(|_, inodes| {
            inodes.retain(|inode| sockets.contains_key(inode));
            !inodes.is_empty()
        });
        let since = self.reading.saturating_sub(RECHECK);
        self.nobody.retain(|inode, reading| *reading > since && sockets.contains_key(inode));
    }

    /// Reads some of the holders anew: descriptors are closed, passed on and inherited without a word.
    fn refresh(&mut self, sockets: &HashMap<u64, u64>) {
        let turn = |process: &ProcessKey| (self.reading + u64::from(process.pid)).is_multiple_of(RECHECK);
        let due: Vec<ProcessKey> = self.held.keys().filter(|process| turn(process)).copied().collect();
        for process in due.into_iter().take(PROCESSES_AT_ONCE) {
            self.look(process, sockets);
        }
    }

    fn begin(
        &self,
        sockets: &HashMap<u64, u64>,
        members: &BTreeMap<u64, Vec<ProcessKey>>,
        processes: &Table<ProcessKey, Process>,
    ) -> Option<Search> {
        let unknown = |inode: &u64| !self.holders.contains_key(inode) && !self.nobody.contains_key(inode);
        let wanted: BTreeSet<u64> = sockets.keys().filter(|inode| unknown(inode)).copied().collect();
        if wanted.is_empty() {
            return None;
        }
        let places: BTreeSet<u64> = wanted.iter().filter_map(|inode| sockets.get(inode)).copied().collect();
        let mut search = Search { wanted, ..Search::default() };
        let mut taken = HashSet::new();
        let mut far: Vec<ProcessKey> = Vec::new();
        for members in places.iter().filter_map(|netns| members.get(netns)) {
            let to: &mut dyn FnMut(ProcessKey) = if members.len() <= SMALL {
                &mut |process| search.near.push_back(process)
            } else {
                &mut |process| far.push(process)
            };
            members.iter().filter(|process| taken.insert(**process)).for_each(|process| to(*process));
        }
        far.sort_by_key(|process| !self.held.contains_key(process)); // stable
        let others = processes.iter().filter(|(process, row)| !row.kernel_thread && !taken.contains(process));
        let mut others: Vec<ProcessKey> = others.map(|(process, _)| *process).collect();
        others.sort_by_key(|process| !self.held.contains_key(process));
        search.far = far.into_iter().chain(others).filter(|process| !self.hidden.contains(process)).collect();
        Some(search)
    }

    /// Reads the descriptors of one process; gives the sockets that were not known to be its.
    fn look(&mut self, process: ProcessKey, sockets: &HashMap<u64, u64>) -> Vec<u64> {
        let mut found = Vec::new();
        let open = match descriptor::sockets(&self.root, process.pid, DESCRIPTORS_AT_MOST) {
            Ok(open) => open,
            Err(error) => {
                if error.kind() == std::io::ErrorKind::PermissionDenied {
                    self.hidden.insert(process);
                }
                return found;
            }
        };
        self.hidden.remove(&process);
        self.take_away(process);
        for inode in open.filter(|inode| sockets.contains_key(inode)) {
            let holders = self.holders.entry(inode).or_default();
            if let Err(at) = holders.binary_search_by_key(&age(&process), age) {
                holders.insert(at, process);
                self.held.entry(process).or_default().push(inode);
                found.push(inode);
            }
            self.nobody.remove(&inode);
        }
        found
    }

    /// What it held it holds no more.
    fn take_away(&mut self, process: ProcessKey) {
        for inode in self.held.remove(&process).unwrap_or_default() {
            if let Some(holders) = self.holders.get_mut(&inode) {
                holders.retain(|holder| *holder != process);
                if holders.is_empty() {
                    self.holders.remove(&inode);
                }
            }
        }
    }
}

/// Oldest first.
fn age(process: &ProcessKey) -> (u64, u32) {
    (process.start_time, process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    const WEB: u64 = 7;

    fn key(pid: u32) -> ProcessKey {
        ProcessKey { pid, start_time: u64::from(pid) }
    }

    /// A `/proc` in which these processes have these sockets open.
    fn tree(open: &[(u32, &[u64])]) -> (tempfile::TempDir, Table<ProcessKey, Process>) {
        let dir = tempfile::tempdir().unwrap();
        let mut processes = Table::new();
        for (pid, inodes) in open {
            let folder = dir.path().join(format!("proc/{pid}/fd"));
            fs::create_dir_all(&folder).unwrap();
            symlink("/dev/null", folder.join("0")).unwrap();
            for (fd, inode) in inodes.iter().enumerate() {
                symlink(format!("socket:[{inode}]"), folder.join((fd + 3).to_string())).unwrap();
            }
            processes.insert(key(*pid), Arc::new(Process::default()));
        }
        (dir, processes)
    }

    fn sockets(inodes: &[u64]) -> HashMap<u64, u64> {
        inodes.iter().map(|inode| (*inode, WEB)).collect()
    }

    #[test]
    fn all_holders_in_the_namespace_and_one_elsewhere_are_found() {
        let (dir, processes) = tree(&[(10, &[1]), (11, &[1, 2]), (90, &[3]), (91, &[])]);
        let mut owners = Owners::new(Root::at(dir.path()));
        let members = BTreeMap::from([(WEB, vec![key(11), key(10)])]);
        owners.read(&sockets(&[1, 2, 3]), &members, &processes);
        assert_eq!(owners.holders()[&1], [key(10), key(11)]);
        assert_eq!((owners.holders()[&2][0], owners.holders()[&3][0]), (key(11), key(90)));
        assert!(owners.search.is_none(), "nothing is left to look for");
    }

    #[test]
    fn who_ended_is_no_holder_and_its_socket_is_looked_for_again() {
        let (dir, mut processes) = tree(&[(10, &[1]), (11, &[])]);
        let mut owners = Owners::new(Root::at(dir.path()));
        let members = BTreeMap::from([(WEB, vec![key(10), key(11)])]);
        owners.read(&sockets(&[1]), &members, &processes);
        assert_eq!(owners.holders()[&1], [key(10)]);
        processes.remove(&key(10));
        symlink("socket:[1]", dir.path().join("proc/11/fd/9")).unwrap();
        owners.read(&sockets(&[1]), &BTreeMap::from([(WEB, vec![key(11)])]), &processes);
        assert_eq!(owners.holders()[&1], [key(11)]);
        owners.read(&sockets(&[]), &BTreeMap::new(), &processes);
        assert!(owners.holders().is_empty() && owners.held.is_empty());
    }

    #[test]
    fn what_nobody_has_is_not_looked_for_at_every_reading() {
        let (dir, processes) = tree(&[(10, &[])]);
        let mut owners = Owners::new(Root::at(dir.path()));
        owners.read(&sockets(&[1]), &BTreeMap::new(), &processes);
        assert_eq!((owners.nobody.len(), owners.search.is_none()), (1, true));
        symlink("socket:[1]", dir.path().join("proc/10/fd/9")).unwrap();
        let mut readings = 0;
        while owners.holders().is_empty() && readings < 2 * RECHECK {
            readings += 1;
            owners.read(&sockets(&[1]), &BTreeMap::new(), &processes);
        }
        assert_eq!(readings, RECHECK);
    }

    #[test]
    fn each_socket_is_compared_once_however_many_are_wanted() {
        const PROCESSES: u32 = 40;
        const EACH: u64 = 5;
        const NOBODYS: u64 = 3000;
        let has = |pid: u32| (0..EACH).map(|n| u64::from(pid) * 100 + n).collect::<Vec<u64>>();
        let inodes: Vec<Vec<u64>> = (1..=PROCESSES).map(has).collect();
        let open: Vec<(u32, &[u64])> = (1..=PROCESSES).zip(inodes.iter().map(Vec::as_slice)).collect();
        let (dir, processes) = tree(&open);
        let mut owners = Owners::new(Root::at(dir.path()));
        let all: Vec<u64> = inodes.concat().into_iter().chain(1_000_000..1_000_000 + NOBODYS).collect();
        let (sockets, members) = (sockets(&all), BTreeMap::new());
        let mut search = owners.begin(&sockets, &members, &processes).unwrap();
        // Some processes are left for later, or the search is over and forgotten.
        search.far.extend((0..PROCESSES_AT_ONCE as u32).map(|n| key(1_000_000 + n)));
        owners.search = Some(search);
        owners.read(&sockets, &members, &processes);
        assert_eq!(owners.holders().len(), inodes.concat().len());
        let compared = owners.search.unwrap().compared;
        assert_eq!(compared, all.len() + inodes.concat().len());
    }
}
