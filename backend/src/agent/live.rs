//! The live source: has the parts read what somebody needs, in the order they need one another, and makes the snapshot of
//! a tick.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::device::CaseKind;
use glasshull_shared::domain::event::EventKind;
use glasshull_shared::domain::host::Host;
use glasshull_shared::domain::network::{Flow, NetnsKey};
use glasshull_shared::domain::source::{Source, SourceKey};
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::wire::Answer;
use tokio::sync::Notify;

use super::part::cgroup::CgroupPart;
use super::part::confinement::ConfinementPart;
use super::part::container::ContainerPart;
use super::part::device::DevicePart;
use super::part::dns::DnsPart;
use super::part::finding::{self, FindingPart};
use super::part::flow::FlowPart;
use super::part::host::HostPart;
use super::part::io_case::IoCasePart;
use super::part::mount::MountPart;
use super::part::namespace::NamespacePart;
use super::part::nat::NatPart;
use super::part::network::NetworkPart;
use super::part::process::{ProcessPart, Setting};
use super::part::socket::SocketPart;
use super::part::{sees_all, traces};
use super::source::{Troubles, sources};
use crate::collect;
use crate::collect::cgroup::{CgroupReader, Extra};
use crate::collect::container::Engines;
use crate::config::Common;
use crate::model;
use crate::sys::root::Root;
use crate::sys::{clock, heap};

/// A snapshot and what of it means something.
#[derive(Debug)]
pub(crate) struct Sample {
    /// All tables; those not in `collected` are from before or empty.
    pub snapshot: Arc<Snapshot>,
    /// Tables that were read for this sample.
    pub collected: TopicSet,
    /// Instant the reading was finished, nanoseconds since the epoch.
    pub at: u64,
    /// Measured time since the sample before; `None` for the first one and between ticks.
    pub interval_nanos: Option<u64>,
}

/// What clients cost, as the serving side counts it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Serving {
    /// Clients connected.
    pub clients: u32,
    /// Bytes sent since start.
    pub sent_bytes: u64,
}

/// The live source.
pub(crate) struct Live {
    root: Root,
    common: Common,
    identity: Arc<Host>,
    wake: Arc<Notify>,
    host: HostPart,
    process: ProcessPart,
    container: ContainerPart,
    cgroup: CgroupPart,
    network: NetworkPart,
    socket: SocketPart,
    flow: FlowPart,
    finding: FindingPart,
    control: bool,
    nat: NatPart,
    mount: MountPart,
    namespace: NamespacePart,
    confinement: ConfinementPart,
    dns: DnsPart,
    device: DevicePart,
    io_case: IoCasePart,
    troubles: Troubles,
    containers_only: bool,
    last: Arc<Snapshot>,
    ticks: u64,
    last_tick: Option<u64>,
}

impl Live {
    /// A source that has read nothing yet. `wake` is notified when news should be published at once.
    ///
    /// # Errors
    /// When the host's `/proc` cannot be read at all.
    pub(crate) fn new(common: Common, wake: Arc<Notify>) -> Result<Self> {
        let root = Root::host();
        let mut identity = collect::host::read_identity(&root, common.mask_args)?;
        let cgroups = CgroupReader::new(root.clone());
        identity.cgroup_mode = cgroups.mode();
        Ok(Self {
            host: HostPart::default(),
            process: ProcessPart::new(Setting::new(root.clone(), &identity, common.mask_args)),
            container: ContainerPart::new(root.clone(), cgroups, common.mask_args),
            cgroup: CgroupPart::new(root.clone()),
            socket: SocketPart::new(root.clone(), sees_all(&identity)),
            flow: FlowPart::new(root.clone()),
            finding: FindingPart::new(root.clone()),
            network: NetworkPart::new(root.clone(), &identity, Arc::clone(&wake)),
            nat: NatPart::new(root.clone()),
            mount: MountPart::new(root.clone(), traces(&identity)),
            namespace: NamespacePart::new(root.clone(), traces(&identity)),
            confinement: ConfinementPart::new(root.clone()),
            dns: DnsPart::new(root.clone(), Arc::clone(&wake)),
            device: DevicePart::new(root.clone()),
            io_case: IoCasePart::new(Arc::clone(&wake)),
            root,
            common,
            identity: Arc::new(identity),
            wake,
            control: false,
            troubles: Troubles::default(),
            containers_only: false,
            last: Arc::default(),
            ticks: 0,
            last_tick: None,
        })
    }

    /// Whether samples leave out processes that are neither a container's nor the kernel's.
    pub(crate) fn containers_only(&mut self, only: bool) {
        self.containers_only = only;
    }

    /// Tells where the dashboard is served: its own stream is no traffic to show.
    pub(crate) fn served_at(&mut self, address: SocketAddr) {
        self.flow.served_at(address);
    }

    /// From now on orders are carried out, or refused.
    pub(crate) fn allow_control(&mut self, allowed: bool) {
        self.control = allowed;
    }

    /// Whether orders are carried out.
    pub(crate) fn controls(&self) -> bool {
        self.control
    }

    /// The tables as of the last tick or news.
    pub(crate) fn last(&self) -> &Snapshot {
        &self.last
    }

    /// Puts something that was done into the events; shown with the next tick or news.
    pub(crate) fn note(&mut self, kind: EventKind, container: &str, text: String) {
        self.container.note(kind, container, clock::now_nanos(), text);
        self.wake.notify_one();
    }

    /// From now on hears of changes of the network as they happen. What takes only two samples does without.
    pub(crate) fn listen(&mut self) {
        self.network.listen();
    }

    /// What the host is.
    pub(crate) fn host(&self) -> &Host {
        &self.identity
    }

    /// How the engines are doing, without reading anything else.
    pub(crate) fn engines(&self) -> Option<&Engines> {
        self.container.engines()
    }

    /// What is asked in containers.
    pub(crate) fn dns(&self) -> &DnsPart {
        &self.dns
    }

    /// Has names asked for again that are asked for anyway.
    pub(crate) fn ask_names_again(&mut self) -> Answer {
        self.dns.ask_again()
    }

    /// Whether answers about names, file systems or open files are on their way that were asked for these tables.
    pub(crate) fn is_waiting(&self, demand: TopicSet) -> bool {
        let names = demand.contains(Topic::DnsName) && self.dns.is_waiting();
        let files = collect::IO_CASE.needed(demand) && self.io_case.is_waiting();
        names || files || (collect::MOUNT_USE.needed(demand) && self.mount.usage.is_waiting())
    }

    /// Nobody watches: gives back descriptors, threads and connections. Counters begin afresh with the next watcher.
    pub(crate) fn release(&mut self) {
        self.host = HostPart::default();
        self.process.release();
        self.container.release();
        self.cgroup.release();
        self.network.release();
        self.socket.release();
        self.flow.release();
        self.nat.release();
        self.mount.release();
        self.namespace.release();
        self.confinement.release();
        self.dns.release();
        self.device.release();
        self.io_case.release();
        self.finding.release();
        self.last = Arc::default();
        self.last_tick = None;
        heap::give_back();
    }

    /// Begins what works in the background for these tables. Needs a tokio runtime.
    pub(crate) fn prepare(&mut self, demand: TopicSet) {
        if collect::ENGINE.needed(demand) {
            self.container.prepare(&self.common, &self.wake);
        }
        self.process.prepare(demand, self.ticks, &mut self.troubles);
    }

    /// Reads everything these tables need.
    pub(crate) fn tick(&mut self, demand: TopicSet, serving: Serving) -> Sample {
        let began = clock::monotonic();
        self.prepare(demand);
        self.ticks += 1;
        let mut next = Snapshot::clone(&self.last);
        next.host = [(Single, Arc::clone(&self.identity))].into();
        let turn = self.finding.turn(demand, &self.last, began);
        self.read(&mut next, demand, turn, (began, serving));
        let interval_nanos = self.last_tick.replace(began).map(|last| began.saturating_sub(last));
        self.finish(next, demand, interval_nanos)
    }

    /// Has the parts read what is subscribed to, and at their turn what findings are made from.
    fn read(
        &mut self,
        next: &mut Snapshot,
        subscribed: TopicSet,
        turn: Option<finding::Turn>,
        (began, serving): (u64, Serving),
    ) {
        let demand = turn.map_or(subscribed, |turn| subscribed | turn.tables);
        // Parts that read at some ticks only must not miss their turn.
        let every = self.ticks;
        let ticks = |of: collect::Collector| match turn {
            Some(turn) if of.needed(turn.tables) => 0,
            _ => every,
        };
        let troubles = &mut self.troubles;
        if collect::HOST.needed(demand) {
            let short_lived = self.process.short_lived();
            self.host.read(&self.root, next, began, short_lived, troubles);
        }
        if collect::PROCESS.needed(demand) {
            let now = (began, self.container.told());
            let changed = self.process.read(next, now, (demand, ticks(collect::PROCESS)), troubles);
            self.container.take_processes(self.process.rows(), changed, next);
        }
        if collect::THREAD.needed(demand) {
            self.process.read_threads(next, troubles);
        }
        if collect::PROCESS_IO.needed(demand) {
            self.process.read_io(next, demand, troubles);
        }
        if demand.contains(Topic::ContainerIo) {
            next.container_io = model::io::by_container(&next.process, &next.process_stat, &next.process_io);
        }
        if collect::WAITER.needed(demand) {
            self.process.read_waiters(next, troubles);
        } else {
            self.process.stop_waiters();
        }
        self.container.take_engines(self.process.rows(), next);
        if collect::DEVICE.needed(demand) {
            self.device.read(next, began, troubles);
        }
        if collect::CGROUP.needed(demand) {
            let extra = Extra {
                limits: demand.contains(Topic::LimitStat),
                devices: collect::CONTAINER_DEVICE_IO.needed(demand),
            };
            self.container.read_cgroups(&self.process, next, extra, troubles);
        }
        if collect::LIMIT.needed(demand) {
            self.cgroup.read_limits(&self.container, next, ticks(collect::LIMIT), troubles);
        }
        if collect::KERNEL_LOG.needed(demand) {
            self.cgroup.read_kills(&mut self.container, next, demand, troubles);
        }
        if collect::NETWORK.needed(demand) {
            let ticks = ticks(collect::NETWORK);
            self.network.read(self.process.rows(), next, (demand, ticks), troubles);
        } else {
            self.network.deafen();
        }
        if collect::SOCKET.needed(demand) {
            let found = self.network.found();
            self.socket.read(found, self.process.rows(), next, demand, troubles);
        } else {
            self.socket.release(); // it listens in other namespaces
        }
        if collect::NAT.needed(demand) {
            let ticks = ticks(collect::NAT);
            self.nat.read(&self.network.found().targets, next, (demand, ticks), troubles);
        }
        if collect::FLOW.needed(demand) {
            let with_sockets = collect::SOCKET.needed(demand);
            self.flow.read(self.network.found(), next, with_sockets, troubles);
        } else {
            self.flow.rest(next);
        }
        if collect::MOUNT.needed(demand) {
            self.mount.read(self.process.rows(), &self.container, next, (demand, began), troubles);
        } else {
            self.mount.release(); // it watches other namespaces
        }
        if collect::NAMESPACE.needed(demand) {
            self.namespace.read(self.process.rows(), &self.container, next, troubles);
        }
        if collect::IO_CASE.needed(demand) {
            self.io_case.read(next, began, troubles);
        } else {
            self.io_case.release(); // its suspects are of another time
        }
        if collect::CONFINEMENT.needed(demand) {
            self.confinement.read(&self.container, next, troubles);
        }
        if collect::DNS.needed(demand) {
            self.dns.read(&self.container, next, demand, troubles);
        } else {
            self.dns.release(); // it asks in other namespaces
        }
        if let Some(turn) = turn {
            self.finding.judge(turn, &mut self.container, next, began);
        }
        next.source = self.sources(subscribed);
        if collect::OWN_COST.needed(demand) {
            self.host.read_own_cost(next, began, serving);
        }
    }

    /// Takes over what the engines told since, and reads what changed in the network, without reading anything else: for
    /// news between two ticks.
    pub(crate) fn news(&mut self, demand: TopicSet) -> Sample {
        let mut next = Snapshot::clone(&self.last);
        self.container.take_engines(self.process.rows(), &mut next);
        if collect::NETWORK.needed(demand) {
            self.network.news(self.process.rows(), &mut next);
        }
        if collect::DNS.needed(demand) {
            self.dns.read(&self.container, &mut next, demand, &mut self.troubles);
        }
        if collect::MOUNT_USE.needed(demand) {
            self.mount.usage.take(&mut next, &mut self.troubles);
        }
        if collect::IO_CASE.needed(demand) {
            self.io_case.take(&mut next, &mut self.troubles);
        }
        next.source = self.sources(demand);
        self.finish(next, demand, None)
    }

    /// How well what these tables need works.
    fn sources(&self, subscribed: TopicSet) -> Table<SourceKey, Source> {
        // What is read now and then is not off in between.
        let judged = if subscribed.contains(Topic::Finding) { finding::needed() } else { TopicSet::EMPTY };
        sources(subscribed | judged, &self.troubles)
    }

    fn finish(&mut self, next: Snapshot, collected: TopicSet, interval_nanos: Option<u64>) -> Sample {
        // What is left out of the sample is still known: the next tick relates ends of processes to it.
        self.last = Arc::new(next);
        let mut snapshot = Arc::clone(&self.last);
        if self.containers_only {
            leave_out_host(Arc::make_mut(&mut snapshot));
        }
        let collected = self.finding.told(collected);
        Sample { snapshot, collected, at: clock::now_nanos(), interval_nanos }
    }
}

/// Drops what tells of the host's own processes.
fn leave_out_host(next: &mut Snapshot) {
    next.process.retain(|_, row| row.container.is_some() || row.kernel_thread);
    let kept = &next.process;
    next.process_stat.retain(|key, _| kept.contains_key(key));
    next.thread.retain(|key, _| kept.contains_key(&key.process()));
    next.process_io.retain(|key, _| kept.contains_key(key));
    next.process_delay.retain(|key, _| kept.contains_key(key));
    next.io_case.retain(|_, row| row.link(CaseKind::Container).is_some());
    next.exited_process.retain(|_, row| row.container.is_some());
    // Its links stay: cables of containers end in them.
    let hosts = |netns| next.netns.get(&NetnsKey { netns }).is_some_and(|row| row.host);
    next.neighbour.retain(|key, _| !hosts(key.netns));
    next.route.retain(|key, _| !hosts(key.netns));
    next.socket.retain(|key, row| row.container.is_some() || !hosts(key.netns));
    let sockets = &next.socket;
    next.socket_stat.retain(|key, _| sockets.contains_key(key));
    next.closed_socket.retain(|_, row| row.container.is_some() || !hosts(row.netns));
    let ends = |row: &Flow| row.source_container.is_some() || row.destination_container.is_some();
    next.flow.retain(|_, row| ends(row));
    let kept = &next.flow;
    next.flow_stat.retain(|key, _| kept.contains_key(key));
    next.dns_seen.retain(|_, row| row.container.is_some());
    next.dns_client.retain(|_, row| row.container.is_some());
    next.cgroup.retain(|_, row| row.container.is_some() || row.descendants > 0);
    next.oom_kill.retain(|_, row| row.container.is_some());
    next.nat_rule.retain(|key, row| row.container.is_some() || !hosts(key.netns));
    next.published_port.retain(|key, _| key.container.is_some() || !hosts(key.netns));
    next.translation.retain(|key, row| row.container.is_some() || !hosts(key.netns));
    next.mount.retain(|_, row| row.container.is_some());
    let mounts = &next.mount;
    next.mount_use.retain(|key, _| mounts.contains_key(key));
    next.finding.retain(|_, row| row.container.is_some());
    next.isolation.retain(|key, _| key.container.is_some());
}
