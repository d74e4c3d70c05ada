//! Names, asked inside a container's network namespace of that container's own resolver. Which names, the caller decides: one
//! that the resolver does not know leaves the host.

mod ask;
mod conf;
mod message;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use glasshull_shared::delta::Table;
use glasshull_shared::domain::dns::{DnsName, DnsNameKey, DnsRecord, DnsSource, DnsStatus, Resolver};

pub(crate) use self::conf::read as read_resolver;
pub(crate) use self::worker::Worker;
use crate::sys::clock::now_nanos;
use crate::sys::netns::{Target, visit};

/// How long one server may take for one answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// Rounds through the servers.
const ATTEMPTS: usize = 2;
/// Nothing more is asked in a job after this time: whoever waits for it has a limit too.
const JOB_AT_MOST: Duration = Duration::from_secs(6);
/// Silent questions after which a resolver that has answered none is not asked any more in this job.
const DEAD_AFTER: usize = 2;
/// The same for one that has: an engine's is silent about names that nobody behind it answers for.
const SILENT_AT_MOST: usize = 16;

/// What to ask in one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Id of the container.
    pub(crate) container: String,
    /// A process of it, and the namespace that must be found through it.
    pub(crate) pid: u32,
    /// Inode of the network namespace.
    pub(crate) netns: u64,
    /// Whom to ask, as resolv.conf writes them.
    pub(crate) servers: Vec<String>,
    /// What, those first that are sure to be answered: they tell whether the resolver lives.
    pub(crate) questions: Vec<(String, DnsRecord)>,
    /// How long one server may take for one answer.
    pub(crate) patience: Duration,
}

impl Job {
    /// A job for a container with this resolver; `None` when its namespace is hidden.
    pub(crate) fn new(
        container: &str,
        resolver: &Resolver,
        questions: Vec<(String, DnsRecord)>,
    ) -> Option<Self> {
        Some(Self {
            container: container.to_owned(),
            pid: resolver.pid,
            netns: resolver.netns?,
            servers: resolver.nameservers.clone(),
            questions,
            patience: PATIENCE,
        })
    }

    /// Only through the process: a bind mount would lead to a namespace that nobody is in any more.
    fn target(&self) -> Target {
        Target { inode: self.netns, paths: vec![PathBuf::from(format!("/proc/{}/ns/net", self.pid))] }
    }
}

/// What came of a job.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rows, without what the engine says and without marks. Of a container that went meanwhile those that came before.
    pub(crate) rows: Table<DnsNameKey, DnsName>,
    /// Why the namespace could not be entered; not told when it has gone.
    pub(crate) refused: Option<String>,
}

/// Asks all questions, one after the other, on a thread in the namespace.
pub(crate) fn run(job: &Job) -> Outcome {
    run_until(job, &|| false)
}

/// The same until `enough` says that nobody wants to know any more.
fn run_until(job: &Job, enough: &(dyn Fn() -> bool + Sync)) -> Outcome {
    let done = visit(&[job.target()], |_| Ok(answers(job, enough)));
    let result = done.and_then(|mut results| results.pop().unwrap_or_else(|| Ok(Table::new())));
    let error = match result {
        Ok(rows) => return Outcome { rows, refused: None },
        Err(error) => error,
    };
    let gone = error.kind() == std::io::ErrorKind::NotFound
        || matches!(error.raw_os_error(), Some(libc::ESTALE | libc::ESRCH));
    if gone {
        return Outcome::default();
    }
    let failed = DnsName { status: DnsStatus::Failed, ..DnsName::default() };
    let rows = job.questions.iter().map(|(name, record)| (key(job, name, *record), failed.clone().into()));
    Outcome { rows: rows.collect(), refused: Some(error.to_string()) }
}

fn key(job: &Job, name: &str, record: DnsRecord) -> DnsNameKey {
    DnsNameKey { container: job.container.clone(), name: name.to_owned(), record }
}

fn answers(job: &Job, enough: &dyn Fn() -> bool) -> Table<DnsNameKey, DnsName> {
    let servers: Vec<SocketAddr> = job.servers.iter().filter_map(|text| server(text)).collect();
    let path = format!("/proc/{}/ns/net", job.pid);
    let there =
        || std::fs::metadata(&path).is_ok_and(|net| std::os::unix::fs::MetadataExt::ino(&net) == job.netns);
    let alive = || !enough() && there();
    let mut rows = Table::new();
    let began = Instant::now();
    let (mut silent, mut heard) = (0, 0);
    for (name, record) in &job.questions {
        let enough = if heard == 0 { DEAD_AFTER } else { SILENT_AT_MOST };
        // A resolver that answers may be asked hundreds of names; it is silence that takes the time.
        let late = silent > 0 && began.elapsed() > JOB_AT_MOST;
        if servers.is_empty() || silent >= enough || late {
            let left = DnsName { status: DnsStatus::NotAsked, ..DnsName::default() };
            rows.insert(key(job, name, *record), left.into());
            continue;
        }
        let asked_at = now_nanos();
        let Some((reply, server, took)) = one(&servers, name, *record, job.patience, &alive) else { break };
        let came = !matches!(reply.status, DnsStatus::Timeout | DnsStatus::Lied | DnsStatus::Unreachable);
        *(if came { &mut heard } else { &mut silent }) += 1;
        let row = DnsName {
            ttl_secs: reply.ttl_secs,
            latency_secs: came.then_some(took.as_secs_f32()),
            source: DnsSource::Dns,
            server: Some(server.ip().to_string()),
            asked_at: Some(asked_at),
            ..DnsName::default()
        };
        if !reply.chain.is_empty() {
            let alias = DnsName { answers: reply.chain, status: DnsStatus::NoError, ..row.clone() };
            rows.insert(key(job, name, DnsRecord::Cname), alias.into());
        }
        let row = DnsName { answers: reply.answers, status: reply.status, ..row };
        rows.insert(key(job, name, *record), row.into());
    }
    rows
}

/// The first answer of the servers in their order, as the C libraries ask them; else what the last one did. `None` when the
/// container has gone.
fn one(
    servers: &[SocketAddr],
    name: &str,
    record: DnsRecord,
    patience: Duration,
    alive: &dyn Fn() -> bool,
) -> Option<(message::Reply, SocketAddr, Duration)> {
    let mut last = None;
    for server in (0..ATTEMPTS).flat_map(|_| servers) {
        let began = Instant::now();
        let reply = ask::ask(*server, name, record, patience, alive)?;
        let settled = matches!(reply.status, DnsStatus::NoError | DnsStatus::NoData | DnsStatus::NxDomain);
        last = Some((reply, *server, began.elapsed()));
        if settled {
            break;
        }
    }
    last
}

/// Port 53 of an address; one with a zone (`fe80::1%eth0`) is left out: whose link that is, is the container's to say.
fn server(text: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn job(servers: &[&str], names: usize) -> Job {
        Job {
            container: "aa".into(),
            pid: std::process::id(),
            netns: std::fs::metadata("/proc/self/ns/net").unwrap().ino(),
            servers: servers.iter().map(|server| (*server).into()).collect(),
            questions: (0..names).map(|n| (format!("n{n}"), DnsRecord::A)).collect(),
            patience: Duration::from_secs(5), // a refusal comes at once
        }
    }

    #[test]
    fn three_hundred_names_of_a_dead_resolver_cost_the_wait_for_two() {
        // Nobody listens at port 53 of this address, which never leaves the host.
        let rows = run(&job(&["127.99.99.99"], 300)).rows;
        let of = |wanted: DnsStatus| rows.values().filter(|row| row.status == wanted).count();
        assert_eq!((rows.len(), of(DnsStatus::NotAsked)), (300, 300 - DEAD_AFTER));
        assert_eq!(of(DnsStatus::Unreachable), DEAD_AFTER);
    }

    #[test]
    fn without_a_resolver_nothing_is_asked() {
        let rows = run(&job(&["fe80::1%eth0", "garbage"], 2)).rows;
        assert!(rows.len() == 2 && rows.values().all(|row| row.status == DnsStatus::NotAsked));
    }

    #[test]
    fn who_has_gone_has_no_rows_and_no_trouble() {
        let gone = Job { netns: 1, ..job(&["127.0.0.1"], 3) };
        let outcome = run(&gone);
        assert!(outcome.rows.is_empty() && outcome.refused.is_none());
    }
}
