//! Names: fills `resolver` and `dns_name`. Answers come from a thread beside the tick.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::dns::{
    DnsName, DnsNameKey, DnsOddity, DnsRecord, DnsStatus, Resolver, ResolverKey,
};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::unit::printable;
use glasshull_shared::wire::{Answer, NAMES_AT_ONCE, Packed};
use tokio::sync::Notify;

use super::confinement::inits;
use super::container::ContainerPart;
use super::keep_rows;
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::dns::{Job, Worker};
use crate::model::dns::{Known, Plan, may_be_asked, plans, questions, relate, told};
use crate::sys::clock;
use crate::sys::root::Root;

/// An answer older than this is asked for again, whatever its time to live: engines give 600 s to names that change at any moment.
const FRESH_NANOS: u64 = 30_000_000_000;
/// The same for what contradicts the engine: as a container goes, its resolver's answer may be a moment behind the engine's word.
const DOUBTED_NANOS: u64 = 2_000_000_000;
/// How often in a row that is done.
const DOUBTS: u8 = 3;
/// Questions handed over at once; those of more containers wait for the next tick.
const QUESTIONS_PER_TICK: usize = 2000;
/// Readings after which the files of a container are looked at again: no event tells of them.
const RECHECK: u64 = 10;

/// Who asks again sooner gets what is there: a button held down is no reason to ask a resolver without pause.
const AGAIN_NANOS: u64 = 2_000_000_000;

/// A name and the record wanted of it.
type Ask = (String, DnsRecord);

/// When a container was asked, and what for.
struct Asked {
    at: u64,
    by: Plan,
    /// Times in a row because the answers contradicted the engine.
    doubts: u8,
}

/// Names to ask once; takes seconds where a resolver is silent.
pub(crate) struct Inquiry {
    job: Job,
    names: Vec<String>,
    plan: Plan,
    resolver: Arc<Resolver>,
}

impl Inquiry {
    /// Asks.
    pub(crate) fn answer(self) -> Answer {
        let outcome = collect::dns::run(&self.job);
        if let Some(why) = outcome.refused {
            return Answer::Failed(format!("its network namespace cannot be entered: {why}"));
        }
        let rows = told(&self.job.container, &self.names, &self.plan, &self.resolver, outcome.rows);
        let rows: Vec<_> = rows.into_iter().map(|(key, row)| (key, DnsName::clone(&row))).collect();
        Answer::Names(Packed::new(&rows))
    }
}

/// Readings of resolvers, and answers.
pub(crate) struct DnsPart {
    root: Root,
    wake: Arc<Notify>,
    readings: u64,
    /// Init and telling of the engines that the resolvers were read for.
    read_for: Option<(u64, Vec<(String, ProcessKey)>)>,
    resolvers: Table<ResolverKey, Resolver>,
    plans: BTreeMap<String, Plan>,
    answered: Table<DnsNameKey, DnsName>,
    /// When each container was asked last, and by which plan: with another address for a name the answer may be another.
    asked: BTreeMap<String, Asked>,
    /// Containers whose answers are on their way.
    under_way: BTreeSet<String>,
    /// Containers that get something else than their engine says.
    doubted: BTreeSet<String>,
    worker: Option<Worker>,
    refused: Option<String>,
}

impl DnsPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root, wake: Arc<Notify>) -> Self {
        Self {
            root,
            wake,
            readings: 0,
            read_for: None,
            resolvers: Table::new(),
            plans: BTreeMap::new(),
            answered: Table::new(),
            asked: BTreeMap::new(),
            under_way: BTreeSet::new(),
            doubted: BTreeSet::new(),
            worker: None,
            refused: None,
        }
    }

    /// Forgets what was read and asks nothing more.
    pub(crate) fn release(&mut self) {
        if self.readings > 0 {
            *self = Self::new(self.root.clone(), Arc::clone(&self.wake));
        }
    }

    /// Whether answers are on their way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.waiting() > 0)
    }

    /// What there is to ask in a container.
    pub(crate) fn plan(&self, container: &str) -> Option<&Plan> {
        self.plans.get(container)
    }

    /// Has all that is older than a moment asked for again.
    pub(crate) fn ask_again(&mut self) -> Answer {
        if self.worker.is_none() {
            return Answer::Done("no container has a resolver to ask, or nobody watches names".into());
        }
        let now = clock::monotonic();
        self.asked.retain(|_, asked| now.saturating_sub(asked.at) < AGAIN_NANOS);
        self.wake.notify_one();
        Answer::Done("asked again".into())
    }

    /// Names that a person wants to know of, to be asked in a container.
    ///
    /// # Errors
    /// When they cannot be asked there; says why.
    pub(crate) fn inquiry(&self, container: &str, names: &[String]) -> Result<Inquiry, String> {
        if let Some(name) = names.iter().find(|name| !may_be_asked(name)) {
            return Err(format!("{:?} is no name that a host may have", printable(name)));
        }
        if names.is_empty() || names.len() > NAMES_AT_ONCE {
            return Err(format!("give one to {NAMES_AT_ONCE} names"));
        }
        let key = ResolverKey { container: container.to_owned() };
        let resolver = self.resolvers.get(&key).ok_or("it does not run: nobody asks there")?;
        let plan = self.plan(container).cloned().unwrap_or_default();
        let job = Job::new(container, resolver, questions(names, &plan, resolver));
        let job = job.ok_or("its network namespace is hidden; it takes CAP_SYS_PTRACE")?;
        Ok(Inquiry { job, names: names.to_vec(), plan, resolver: Arc::clone(resolver) })
    }

    /// Reads resolvers, takes answers and asks what is due; `next` must have its processes and containers joined already.
    pub(crate) fn read(
        &mut self,
        container: &ContainerPart,
        next: &mut Snapshot,
        demand: TopicSet,
        troubles: &mut Troubles,
    ) {
        self.readings += 1;
        let changed = self.read_resolvers(container, next);
        next.resolver = self.resolvers.clone();
        if changed {
            self.plans = plans(self.known(container, next));
        }
        let mut came = false;
        if demand.contains(Topic::DnsName) {
            came = self.take();
            self.ask(troubles);
        } else {
            self.stop_asking();
        }
        if changed || came {
            let rows = relate(self.known(container, next), &self.plans, &self.answered);
            let stale = |row: &DnsName| row.marks.iter().any(|mark| mark.oddity == DnsOddity::Stale);
            let doubted = rows.iter().filter(|(_, row)| stale(row)).map(|(key, _)| key.container.clone());
            self.doubted = doubted.collect();
            next.dns_name = keep_rows(rows, &next.dns_name);
        }
        self.tell(troubles);
    }

    fn known<'a>(&'a self, container: &'a ContainerPart, next: &'a Snapshot) -> Known<'a> {
        Known { containers: &next.container, told: container.names(), resolvers: &self.resolvers }
    }

    fn read_resolvers(&mut self, container: &ContainerPart, next: &Snapshot) -> bool {
        let inits = inits(container.members(), &next.process);
        let whose = inits.iter().map(|(key, (init, _))| (key.id.clone(), *init));
        let read_for = Some((container.told(), whose.collect::<Vec<_>>()));
        if self.read_for == read_for && !self.readings.is_multiple_of(RECHECK) {
            return false;
        }
        let read = inits.iter().map(|(key, (init, _))| {
            let mut row = collect::dns::read_resolver(&self.root, init.pid);
            if let Some(told) = container.names().get(key).filter(|_| row.upstreams.is_empty()) {
                row.upstreams.clone_from(&told.servers);
            }
            (ResolverKey { container: key.id.clone() }, Arc::new(row))
        });
        let resolvers = keep_rows(read.collect(), &self.resolvers);
        let changed = self.read_for != read_for || resolvers != self.resolvers;
        self.resolvers = resolvers;
        self.read_for = read_for;
        changed
    }

    /// Takes over what came.
    fn take(&mut self) -> bool {
        let Some(worker) = &mut self.worker else { return false };
        let done = worker.take();
        let came = !done.is_empty();
        if worker.waiting() == 0 {
            self.under_way.clear();
        }
        for (job, outcome) in done {
            self.under_way.remove(&job.container);
            let asked: BTreeSet<&Ask> = job.questions.iter().collect();
            // A name that was no alias before may be one now, and the other way round.
            self.answered.retain(|key, _| {
                key.container != job.container
                    || (key.record != DnsRecord::Cname && asked.contains(&(key.name.clone(), key.record)))
            });
            self.answered.extend(outcome.rows);
            if outcome.refused.is_some() {
                self.refused = outcome.refused;
            }
        }
        let plans = &self.plans;
        self.answered.retain(|key, _| plans.contains_key(&key.container));
        self.asked.retain(|container, _| plans.contains_key(container));
        came
    }

    /// What was on its way is asked again by the next who wants to know.
    fn stop_asking(&mut self) {
        for container in std::mem::take(&mut self.under_way) {
            self.asked.remove(&container);
        }
        self.worker = None;
    }

    /// Hands over what is new or no longer fresh; nothing where answers are on their way.
    fn ask(&mut self, troubles: &mut Troubles) {
        let now = clock::monotonic();
        let mut jobs: Vec<Job> = Vec::new();
        let mut count = 0;
        for (container, plan) in &self.plans {
            let before = self.asked.get(container).filter(|asked| asked.by == *plan);
            let doubts = before.filter(|_| self.doubted.contains(container)).map(|asked| asked.doubts);
            let lasts = if doubts.is_some_and(|n| n < DOUBTS) { DOUBTED_NANOS } else { FRESH_NANOS };
            let fresh = before.is_some_and(|asked| now.saturating_sub(asked.at) < lasts)
                || self.under_way.contains(container);
            let key = ResolverKey { container: container.clone() };
            let Some(resolver) = self.resolvers.get(&key).filter(|_| !fresh && !plan.questions.is_empty())
            else {
                continue;
            };
            count += plan.questions.len();
            if !jobs.is_empty() && count > QUESTIONS_PER_TICK {
                break;
            }
            let job = Job::new(container, resolver, plan.questions.clone());
            // The others of resolv.conf would be asked across the network.
            jobs.extend(job.map(|job| Job { servers: plan.servers.clone(), ..job }));
            let doubts = doubts.map_or(0, |n| n.saturating_add(1));
            self.asked.insert(container.clone(), Asked { at: now, by: plan.clone(), doubts });
        }
        if jobs.is_empty() {
            return;
        }
        if self.worker.is_none() {
            match Worker::start(Arc::clone(&self.wake)) {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => return troubles.stale(collect::DNS, format!("no thread to ask on: {error}")),
            }
        }
        self.refused = None;
        self.under_way.extend(jobs.iter().map(|job| job.container.clone()));
        if self.worker.as_mut().is_some_and(|worker| !worker.order(jobs)) {
            self.stop_asking();
        }
    }

    fn tell(&self, troubles: &mut Troubles) {
        let hidden = self.resolvers.values().find_map(|row| row.hidden.clone());
        let left_out: usize = self.plans.values().map(|plan| plan.left_out).sum();
        let failed = self.answered.values().any(|row| row.status == DnsStatus::Failed);
        let (reason, capability) = match (&self.refused, hidden) {
            (Some(why), _) if failed => {
                (format!("network namespaces cannot be entered: {why}"), Some("CAP_SYS_ADMIN"))
            }
            (_, Some(why)) => (why, Some("CAP_SYS_PTRACE")),
            (_, None) if left_out > 0 => {
                (format!("{left_out} more names are known than are asked for"), None)
            }
            (_, None) => return troubles.none(collect::DNS),
        };
        troubles.set(
            collect::DNS,
            Trouble {
                state: SourceState::Limited,
                reason,
                capability: capability.map(str::to_owned),
                remedy: capability.map(grant),
                collected_at: None,
            },
        );
    }
}
