//! How full the file systems of mounts are: through which mount each is best asked, how fast it grows, and the same figures for
//! all its mounts. Pure; mounts come from `model::mount`, figures from `collect::mount`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::mount::{Mount, MountKey, MountUse};

/// The kernel's own that hold no data: nobody asks them.
const WITHOUT_DATA: [&str; 17] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "fusectl",
    "mqueue",
    "nsfs",
    "proc",
    "rpc_pipefs",
    "securityfs",
    "sysfs",
    "tracefs",
];
/// Those that another machine or a program answers for, beside all of FUSE.
const ANSWERED_FOR: [&str; 15] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "smb3", "virtiofs",
];
/// Mounts through which a file system is tried.
const WAYS_AT_MOST: usize = 3;
/// How far looks go back from which growth is made.
const WINDOW: u64 = 60_000_000_000;
/// Mounts on the way to one, as a bound for loops, which the kernel never tells.
const DEEPEST: usize = 256;

/// How to ask a file system.
#[derive(Debug, Default)]
pub(crate) struct Target<'a> {
    /// Mounts that lead to it, the best first; none when other mounts lie over all of them.
    pub(crate) ways: Vec<(&'a MountKey, &'a Mount)>,
    /// On each of these ways something may hang for good.
    pub(crate) apart: bool,
    /// Every mount of it with the process it was read through: when all are others, so is the file system.
    pub(crate) mounts: BTreeSet<(MountKey, u32)>,
}

/// All file systems with data, by `major:minor`. `mounts` must be joined already.
pub(crate) fn targets(mounts: &Table<MountKey, Mount>) -> BTreeMap<&str, Target<'_>> {
    let mut ranked: BTreeMap<&str, Vec<Ranked<'_>>> = BTreeMap::new();
    let mut risks = HashMap::new();
    for (key, row) in mounts.iter().filter(|(_, row)| !WITHOUT_DATA.contains(&row.fstype.as_str())) {
        let rank = (row.overmounted, may_hang(mounts, key, &mut risks), !row.host, row.mountpoint.len());
        ranked.entry(&row.device).or_default().push((rank, key, row));
    }
    ranked.into_iter().map(|(device, all)| (device, target(all))).collect()
}

/// A mount with what makes it a worse way than another.
type Ranked<'a> = ((bool, bool, bool, usize), &'a MountKey, &'a Mount);

fn target(mut all: Vec<Ranked<'_>>) -> Target<'_> {
    all.sort_by_key(|(rank, key, _)| (*rank, **key));
    let apart = all.first().is_some_and(|((_, apart, ..), ..)| *apart);
    // One of each namespace: who may not enter there need not try another mount.
    let mut tried = BTreeSet::new();
    let good = all
        .iter()
        .filter(|((covered, risky, ..), _, row)| !covered && *risky == apart && tried.insert(row.pid));
    Target {
        ways: good.take(WAYS_AT_MOST).map(|(_, key, row)| (*key, *row)).collect(),
        apart,
        mounts: all.iter().map(|(_, key, row)| (**key, row.pid)).collect(),
    }
}

/// Whether a mount, or one on the way to it from the root, is answered for by somebody who may not answer.
fn may_hang(mounts: &Table<MountKey, Mount>, key: &MountKey, known: &mut HashMap<MountKey, bool>) -> bool {
    let (mut chain, mut at) = (Vec::new(), *key);
    let found = loop {
        if let Some(found) = known.get(&at) {
            break *found;
        }
        let Some(row) = mounts.get(&at).filter(|_| chain.len() < DEEPEST) else { break false };
        chain.push(at);
        if row.fstype.starts_with("fuse") || ANSWERED_FOR.contains(&row.fstype.as_str()) {
            break true;
        }
        if row.parent == at.mount {
            break false;
        }
        at.mount = row.parent;
    };
    known.extend(chain.into_iter().map(|key| (key, found)));
    found
}

/// What a file system told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Monotonic instant of the look.
    pub(crate) at: u64,
    /// Its own id: another one is another file system.
    pub(crate) identity: u64,
    /// Its figures, without growth.
    pub(crate) figures: MountUse,
}

/// What is known of a file system.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// As in [`Target::mounts`], when it was seen last.
    mounts: BTreeSet<(MountKey, u32)>,
    identity: u64,
    /// Instants of looks and the bytes in use then, the oldest first.
    used: VecDeque<(u64, u64)>,
    row: Option<Arc<MountUse>>,
}

impl History {
    /// Whether these may be mounts of the same file system; if so, they are remembered.
    pub(crate) fn follow(&mut self, mounts: &BTreeSet<(MountKey, u32)>) -> bool {
        let same = !self.mounts.is_disjoint(mounts);
        if same && self.mounts != *mounts {
            self.mounts.clone_from(mounts);
        }
        same
    }

    /// One of which nothing is known yet.
    pub(crate) fn of(mounts: BTreeSet<(MountKey, u32)>) -> Self {
        Self { mounts, ..Self::default() }
    }

    /// Takes an answer.
    pub(crate) fn answered(&mut self, Answer { at, identity, mut figures }: Answer) {
        if identity != self.identity {
            self.used.clear();
        }
        self.identity = identity;
        let Some(used) = figures.used_bytes else {
            self.used.clear();
            self.row = Some(Arc::new(figures));
            return;
        };
        self.used.push_back((at, used));
        // The newest of those that are old enough stays: it is what the window begins with.
        while self.used.get(1).is_some_and(|(next, _)| at.saturating_sub(*next) >= WINDOW) {
            self.used.pop_front();
        }
        let growth = self.used.front().and_then(|(since, before)| {
            let nanos = at.checked_sub(*since).filter(|nanos| *nanos > 0)?;
            Some((used as f64 - *before as f64) * 1e9 / nanos as f64)
        });
        figures.growth_bytes_per_sec = growth.map(|growth| growth as f32);
        let left = growth.filter(|growth| *growth > 0.0).zip(figures.available_bytes);
        figures.full_in_secs = left.map(|(growth, available)| (available as f64 / growth) as f32);
        self.row = Some(Arc::new(figures));
    }

    /// A look brought nothing: the figures stay, their growth is not known any more.
    pub(crate) fn failed(&mut self, why: String, hung: bool) {
        let before = self.row.as_deref().cloned().unwrap_or_default();
        let row =
            MountUse { growth_bytes_per_sec: None, full_in_secs: None, hung, failure: Some(why), ..before };
        self.row = Some(Arc::new(row));
    }

    /// Its row, the same for each of its mounts.
    pub(crate) fn row(&self) -> Option<&Arc<MountUse>> {
        self.row.as_ref()
    }
}

/// A row for each mount whose file system has told something.
pub(crate) fn rows(
    mounts: &Table<MountKey, Mount>,
    known: &BTreeMap<String, History>,
) -> Table<MountKey, MountUse> {
    let told = |(key, row): (&MountKey, &Arc<Mount>)| {
        let asked = !WITHOUT_DATA.contains(&row.fstype.as_str());
        let found = known.get(&row.device).filter(|_| asked)?.row()?;
        Some((*key, Arc::clone(found)))
    };
    mounts.iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(mntns: u64, mount: u32) -> MountKey {
        MountKey { mntns: Some(mntns), mount }
    }

    /// `mntns mount parent device fstype mountpoint`.
    fn table(lines: &[&str]) -> Table<MountKey, Mount> {
        let row = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse().unwrap();
            let row = Mount {
                parent: number(2),
                device: words[3].into(),
                fstype: words[4].into(),
                mountpoint: words[5].into(),
                host: words[0] == "1",
                pid: number(0),
                overmounted: words.contains(&"beneath"),
                ..Mount::default()
            };
            (key(words[0].parse().unwrap(), number(1)), Arc::new(row))
        };
        lines.iter().map(row).collect()
    }

    fn ways<'a>(targets: &BTreeMap<&str, Target<'a>>, device: &str) -> (Vec<&'a str>, bool) {
        let target = &targets[device];
        (target.ways.iter().map(|(_, row)| &*row.mountpoint).collect(), target.apart)
    }

    #[test]
    fn each_file_system_is_asked_once_by_its_best_way() {
        let mounts = table(&[
            "1 20 1 8:1 ext4 /",
            "1 21 20 0:5 proc /proc",
            "1 22 20 8:1 ext4 /var/lib/somewhere",
            "1 23 20 8:2 xfs /data beneath",
            "2 30 9 0:44 overlay /",
            "2 31 30 8:1 ext4 /etc/hosts",
            "2 32 30 8:2 xfs /volume",
            "2 33 30 0:45 tmpfs /dev",
            "2 34 33 0:46 tmpfs /dev/shm beneath",
        ]);
        let targets = targets(&mounts);
        assert_eq!(targets.keys().copied().collect::<Vec<_>>(), ["0:44", "0:45", "0:46", "8:1", "8:2"]);
        assert!(targets["0:46"].ways.is_empty() && targets["0:46"].mounts.len() == 1);
        assert_eq!(ways(&targets, "8:1"), (vec!["/", "/etc/hosts"], false));
        assert_eq!(ways(&targets, "8:2"), (vec!["/volume"], false), "what lies beneath is no way");
        assert_eq!(targets["8:2"].mounts.len(), 2);
    }

    #[test]
    fn what_may_hang_on_the_way_is_asked_apart() {
        let mounts = table(&[
            "1 20 1 8:1 ext4 /",
            "1 21 20 0:50 nfs4 /srv",
            "1 22 21 0:51 tmpfs /srv/cache",
            "1 23 20 0:52 fuse.sshfs /mnt",
            "2 30 9 0:53 fuse.fuse-overlayfs /",
            "2 31 30 0:54 tmpfs /dev",
            "2 32 30 8:1 ext4 /etc/hosts",
            "3 40 41 0:55 ext4 /a",
            "3 41 40 0:56 ext4 /b",
        ]);
        let targets = targets(&mounts);
        for device in ["0:50", "0:51", "0:52", "0:53", "0:54"] {
            assert!(targets[device].apart, "{device}");
        }
        assert_eq!(ways(&targets, "8:1"), (vec!["/"], false), "not through the container's root");
        assert!(!targets["0:55"].apart && !targets["0:56"].apart, "a loop ends");
    }

    fn answer(at: u64, used: u64) -> Answer {
        let figures = MountUse {
            used_bytes: Some(used),
            available_bytes: Some(6000),
            asked_at: Some(at),
            ..MountUse::default()
        };
        Answer { at, identity: 1, figures }
    }

    fn growth(history: &History) -> (Option<f32>, Option<f32>) {
        let row = history.row().unwrap();
        (row.growth_bytes_per_sec, row.full_in_secs)
    }

    #[test]
    fn growth_is_that_of_the_last_minute() {
        let mut history = History::default();
        history.answered(answer(SECOND, 1000));
        assert_eq!(growth(&history), (None, None), "one look is none");
        history.answered(answer(11 * SECOND, 2000));
        assert_eq!(growth(&history), (Some(100.0), Some(60.0)));
        for n in 2..=12 {
            history.answered(answer((1 + 10 * n) * SECOND, 2000));
        }
        assert_eq!(growth(&history), (Some(0.0), None), "what does not grow is never full");
        assert!(history.used.len() <= 7, "{:?}", history.used);
        history.answered(answer(131 * SECOND, 1400));
        assert_eq!(growth(&history), (Some(-10.0), None));
    }

    #[test]
    fn another_file_system_under_the_same_number_begins_anew() {
        let mut history = History::default();
        history.answered(answer(SECOND, 1000));
        history.answered(Answer { identity: 2, ..answer(2 * SECOND, 9000) });
        assert_eq!(growth(&history), (None, None));
        let none = MountUse { used_bytes: None, ..answer(0, 0).figures };
        history.answered(Answer { at: 3 * SECOND, identity: 2, figures: none });
        history.answered(Answer { identity: 2, ..answer(4 * SECOND, 9000) });
        assert_eq!(growth(&history), (None, None), "one that counted nothing in between");

        let mut history = History::of([(key(1, 20), 1)].into());
        assert!(history.follow(&[(key(1, 20), 1), (key(2, 30), 7)].into()), "one was added");
        assert!(history.follow(&[(key(2, 30), 7)].into()), "one was taken away");
        assert!(
            !history.follow(&[(key(2, 30), 8)].into()),
            "ids are used again by a container that restarts"
        );
    }

    #[test]
    fn a_failure_keeps_the_figures_and_says_why() {
        let mut history = History::default();
        history.failed("no answer".into(), true);
        let row = history.row().unwrap();
        assert_eq!((row.used_bytes, row.hung, row.failure.as_deref()), (None, true, Some("no answer")));
        history.answered(answer(SECOND, 1000));
        history.answered(answer(2 * SECOND, 1500));
        history.failed("no answer".into(), true);
        let row = history.row().unwrap();
        assert_eq!((row.used_bytes, row.asked_at, row.hung), (Some(1500), Some(2 * SECOND), true));
        assert_eq!(growth(&history), (None, None));
        history.answered(answer(3 * SECOND, 2000));
        assert_eq!((growth(&history).0, history.row().unwrap().hung), (Some(500.0), false));
    }

    #[test]
    fn all_mounts_of_a_file_system_share_one_row() {
        let mounts = table(&[
            "1 20 1 8:1 ext4 /",
            "2 31 30 8:1 ext4 /etc/hosts",
            "2 33 30 0:45 tmpfs /dev",
            "2 34 30 0:5 proc /proc",
        ]);
        let mut known: BTreeMap<String, History> = BTreeMap::new();
        for device in ["8:1", "0:5"] {
            known.entry(device.into()).or_default().answered(answer(SECOND, 10));
        }
        let rows = rows(&mounts, &known);
        assert_eq!(rows.keys().map(|key| key.mount).collect::<Vec<_>>(), [20, 31]);
        assert!(Arc::ptr_eq(&rows[&key(1, 20)], &rows[&key(2, 31)]));
    }
}
