//! OOM kills as the kernel's log tells them: `/dev/kmsg`, read without waiting through a descriptor that is kept.
//!
//! Lines that programs wrote into the log are not believed. Can miss: what the ring has overwritten.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use glasshull_shared::domain::cgroup::{OomKill, OomSource};
use glasshull_shared::unit::printable;

use crate::sys::clock;
use crate::sys::root::Root;

/// Records looked at in one reading, at most: the ring of a usual kernel holds fewer.
const MOST_RECORDS: usize = 20_000;
/// The kernel gives a whole record or none.
const BUFFER: usize = 8192;
/// Longest path kept.
const LONGEST_PATH: usize = 512;

/// The log; opened at the first reading.
#[derive(Debug)]
pub(crate) struct KernelLog {
    root: Root,
    file: Option<File>,
    /// Number of the last record seen; kept when the file is given back, so that nothing is told twice.
    last: Option<u64>,
    told: Told,
}

/// What the lines before the one that names the victim said.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    pid: Option<u32>,
    comm: Option<String>,
    uid: Option<u32>,
    cgroup: Option<String>,
    limit_cgroup: Option<String>,
}

impl KernelLog {
    /// Nothing is opened yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { root, file: None, last: None, told: Told::default() }
    }

    /// Gives the descriptor back.
    pub(crate) fn release(&mut self) {
        self.file = None;
    }

    /// Kills since the last reading; at the first, all that the log still holds.
    ///
    /// # Errors
    /// When the log is not there or may not be read (CAP_SYSLOG).
    pub(crate) fn read(&mut self) -> io::Result<Vec<OomKill>> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(self.root.host_path("/dev/kmsg"))?,
        };
        // Stamps count from the start of the host, as this clock does but for times of sleep.
        let started_at = clock::now_nanos().saturating_sub(clock::monotonic());
        let mut buffer = vec![0; BUFFER];
        let mut kills = Vec::new();
        for _ in 0..MOST_RECORDS {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    let record = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                    kills.extend(self.record(&record, started_at));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What comes next was overwritten; the next read goes on behind the gap.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file = Some(file);
        Ok(kills)
    }

    /// `6,12934,20082836433,-;text`: priority, number, microseconds, flags; then lines of properties.
    fn record(&mut self, record: &str, started_at: u64) -> Option<OomKill> {
        let (head, text) = record.split_once(';')?;
        let mut head = head.split(',');
        let priority: u32 = head.next()?.parse().ok()?;
        let number: u64 = head.next()?.parse().ok()?;
        let micros: u64 = head.next()?.parse().ok()?;
        if self.last.is_some_and(|last| number <= last) {
            return None;
        }
        self.last = Some(number);
        // From 8 on: a program's, not the kernel's.
        if priority >= 8 {
            return None;
        }
        let text = text.split('\n').next()?;
        if let Some(told) = about(text) {
            self.told = told;
            return None;
        }
        let mut kill = killed(text)?;
        // The others of a group that is killed together share where, not who.
        let told = &self.told;
        if told.pid.is_none() || told.pid == kill.pid {
            kill.comm = told.comm.clone().or(kill.comm);
            kill.uid = kill.uid.or(told.uid);
        }
        kill.cgroup.clone_from(&told.cgroup);
        kill.limit_cgroup = told.limit_cgroup.clone().filter(|_| kill.global == Some(false));
        kill.at = started_at.saturating_add(micros.saturating_mul(1000));
        Some(kill)
    }
}

/// `oom-kill:constraint=…,oom_memcg=/a,task_memcg=/a/b,task=NAME,pid=1,uid=0`, since 5.0; before,
/// `Task in /a/b killed as a result of limit of /a`.
fn about(text: &str) -> Option<Told> {
    if let Some(rest) = text.strip_prefix("Task in ") {
        let (cgroup, limit) = rest.split_once(" killed as a result of limit of ")?;
        return Some(Told { cgroup: path(cgroup), limit_cgroup: path(limit), ..Told::default() });
    }
    let rest = text.strip_prefix("oom-kill:")?;
    // A name may hold anything: what follows it is found from the end.
    let (rest, uid) = rest.rsplit_once(",uid=")?;
    let (rest, pid) = rest.rsplit_once(",pid=")?;
    let (before, comm) = rest.split_once(",task=")?;
    let (before, cgroup) = before.rsplit_once(",task_memcg=")?;
    let limit = before.rsplit_once(",oom_memcg=").map(|(_, limit)| limit);
    Some(Told {
        pid: pid.parse().ok(),
        comm: Some(name(comm)),
        uid: uid.parse().ok(),
        cgroup: path(cgroup),
        limit_cgroup: limit.and_then(path),
    })
}

/// `Memory cgroup out of memory: Killed process 15317 (eater) total-vm:18748kB, anon-rss:15872kB, …, UID:0 …`.
fn killed(text: &str) -> Option<OomKill> {
    let (why, rest) = text.split_once("Killed process ")?;
    let global = !why.starts_with("Memory cgroup");
    let (pid, rest) = rest.split_once(' ')?;
    let (comm, figures) = rest.strip_prefix('(')?.rsplit_once(") total-vm:")?;
    let field = |key: &str| figures.split([',', ' ']).find_map(|field| field.strip_prefix(key));
    Some(OomKill {
        global: Some(global),
        pid: Some(pid.trim_end_matches(',').parse().ok()?),
        comm: Some(name(comm)),
        uid: field("UID:").and_then(|uid| uid.parse().ok()),
        anon_bytes: field("anon-rss:")
            .and_then(|n| n.strip_suffix("kB")?.parse::<u64>().ok()?.checked_mul(1024)),
        count: 1,
        sources: vec![OomSource::KernelLog],
        ..OomKill::default()
    })
}

/// The kernel keeps 15 bytes of a name; escaped in the log.
fn name(text: &str) -> String {
    printable(&text.chars().take(64).collect::<String>())
}

fn path(text: &str) -> Option<String> {
    text.starts_with('/').then(|| printable(&text.chars().take(LONGEST_PATH).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: &str = "6,10,20082836433,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=e7,mems_allowed=0,\
         oom_memcg=/docker/e7,task_memcg=/docker/e7/in,task=eater,pid=15317,uid=1000\n";
    const KILLED: &str = "3,11,20082836449,-;Memory cgroup out of memory: Killed process 15317 (eater) \
         total-vm:18748kB, anon-rss:15872kB, file-rss:808kB, shmem-rss:0kB, UID:1000 pgtables:72kB oom_score_adj:0\n";

    fn log() -> KernelLog {
        KernelLog::new(Root::host())
    }

    #[test]
    fn two_lines_make_one_kill() {
        let mut log = log();
        assert_eq!(log.record(ABOUT, 5), None);
        let kill = log.record(KILLED, 5).unwrap();
        assert_eq!((kill.pid, kill.comm.as_deref(), kill.uid), (Some(15317), Some("eater"), Some(1000)));
        assert_eq!(
            (kill.cgroup.as_deref(), kill.limit_cgroup.as_deref()),
            (Some("/docker/e7/in"), Some("/docker/e7"))
        );
        assert_eq!(
            (kill.at, kill.anon_bytes, kill.global),
            (20_082_836_449_005, Some(15872 << 10), Some(false))
        );
        assert_eq!(log.record(KILLED, 5), None, "it is told once");
        let other = KILLED.replace("3,11,", "3,12,").replace("15317 (eater)", "15318 (child)");
        let other = log.record(&other, 5).unwrap();
        assert_eq!((other.comm.as_deref(), other.cgroup.as_deref()), (Some("child"), Some("/docker/e7/in")));
    }

    #[test]
    fn a_host_without_memory_and_older_kernels_are_understood() {
        let mut log = log();
        let about = "6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
             task_memcg=/user.slice,task=tail,pid=7,uid=0";
        assert_eq!(log.record(about, 0), None);
        let kill = log
            .record("3,2,1,-;Out of memory: Killed process 7 (tail) total-vm:1kB, anon-rss:2kB", 0)
            .unwrap();
        assert_eq!(
            (kill.global, kill.limit_cgroup, kill.cgroup.as_deref()),
            (Some(true), None, Some("/user.slice"))
        );
        let mut log = super::tests::log();
        assert_eq!(log.record("6,1,1,-;Task in /docker/a killed as a result of limit of /docker", 0), None);
        let kill =
            log.record("3,2,1,-;Memory cgroup out of memory: Killed process 8 (x) total-vm:1kB", 0).unwrap();
        assert_eq!((kill.pid, kill.limit_cgroup.as_deref()), (Some(8), Some("/docker")));
    }

    #[test]
    fn a_hostile_name_changes_nothing_but_the_name() {
        let told = about("oom-kill:constraint=C,oom_memcg=/a,task_memcg=/a,task=x,pid=1,uid=0,pid=99,uid=5")
            .unwrap();
        assert_eq!((told.pid, told.uid, told.comm.as_deref()), (Some(99), Some(5), Some("x,pid=1,uid=0")));
        let kill = killed(
            "Memory cgroup out of memory: Killed process 9 (a) total-vm:1) total-vm:2kB, anon-rss:3kB",
        )
        .unwrap();
        assert_eq!((kill.comm.as_deref(), kill.anon_bytes), (Some("a) total-vm:1"), Some(3072)));
        let mut log = log();
        assert_eq!(log.record(&KILLED.replace("3,11,", "12,11,"), 0), None, "a program wrote this");
    }

    #[test]
    fn garbage_is_nothing() {
        let mut log = log();
        for line in [
            "",
            ";",
            "x,y,z;oom-kill:",
            "1,2;3",
            "6,5,5,-;oom-kill:,pid=,uid=",
            "6,6,6,-;Killed process x (y) total-vm:",
        ] {
            assert_eq!(log.record(line, u64::MAX), None, "{line}");
        }
        assert_eq!(log.told, Told::default());
    }

    #[test]
    fn the_real_log_is_read_without_waiting() {
        let mut log = log();
        match log.read() {
            Ok(first) => {
                let again = log.read().unwrap();
                assert!(again.iter().all(|kill| !first.contains(kill)), "each is told once: {again:?}");
            }
            Err(error) => assert!(
                matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound),
                "{error}"
            ),
        }
    }
}
