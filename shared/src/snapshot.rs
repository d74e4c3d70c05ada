//! The registry: one line per table. From it come [`Snapshot`], [`Topic`], and everything that must visit all tables.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::delta::{Table, TableDelta, apply, diff};
use crate::domain::{
    agent::*, cgroup::*, confinement::*, container::*, device::*, dns::*, engine::*, event::*, finding::*,
    host::*, mount::*, namespace::*, network::*, process::*, source::*,
};
use crate::wire::WireError;

macro_rules! tables {
    ($( $(#[$doc:meta])* $field:ident / $topic:ident : $key:ty => $row:ty ),* $(,)?) => {
        /// Everything known at one instant, table by table.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Snapshot {
            $( $(#[$doc])* pub $field: Table<$key, $row>, )*
        }

        /// Names a table; what a client subscribes to. The discriminant is the id on the wire: only append.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Topic { $( $(#[$doc])* $topic, )* }

        impl Topic {
            /// All tables in the order of the registry.
            pub const ALL: &'static [Self] = &[ $( Self::$topic, )* ];

            /// Stable name, as in `snapshot --tables` and JSON.
            pub fn name(self) -> &'static str {
                match self { $( Self::$topic => stringify!($field), )* }
            }
        }

        impl Snapshot {
            /// Number of rows of a table.
            pub fn len(&self, topic: Topic) -> usize {
                match topic { $( Topic::$topic => self.$field.len(), )* }
            }

            /// The whole table, encoded.
            ///
            /// # Errors
            /// Only when a row cannot be serialized, which no row type here can cause.
            pub fn encode_full(&self, topic: Topic) -> Result<Vec<u8>, WireError> {
                match topic { $( Topic::$topic => full(&self.$field), )* }
            }

            /// What changed in a table since `before`, encoded; `None` when nothing did.
            ///
            /// # Errors
            /// As [`Snapshot::encode_full`].
            pub fn encode_delta(&self, before: &Self, topic: Topic) -> Result<Option<Vec<u8>>, WireError> {
                match topic { $( Topic::$topic => changes(&before.$field, &self.$field), )* }
            }

            /// Puts an encoded table (`full`) or difference into this snapshot.
            ///
            /// # Errors
            /// When the bytes are not what they should be; the snapshot is unchanged then.
            pub fn apply(&mut self, topic: Topic, full: bool, bytes: &[u8]) -> Result<(), WireError> {
                match topic { $( Topic::$topic => put(&mut self.$field, full, bytes), )* }
            }

            /// Takes one table over from another snapshot, sharing its rows.
            pub fn copy_table(&mut self, from: &Self, topic: Topic) {
                match topic { $( Topic::$topic => self.$field.clone_from(&from.$field), )* }
            }

            /// The rows of a table as JSON objects: the key's fields and the row's in one object.
            ///
            /// # Errors
            /// As [`Snapshot::encode_full`].
            pub fn rows_json(&self, topic: Topic) -> Result<Vec<serde_json::Value>, WireError> {
                match topic { $( Topic::$topic => rows(self.$field.iter()), )* }
            }
        }

        /// An encoded table or difference as JSON, `{"full", "changed": […], "removed": […]}`, for debugging.
        ///
        /// # Errors
        /// When the bytes are not what they should be.
        pub fn table_json(topic: Topic, is_full: bool, bytes: &[u8]) -> Result<serde_json::Value, WireError> {
            match topic { $( Topic::$topic => {
                let delta: TableDelta<$key, $row> = postcard::from_bytes(bytes)?;
                Ok(serde_json::json!({
                    "full": is_full,
                    "changed": rows(delta.changed.iter().map(|(k, v)| (k, v)))?,
                    "removed": delta.removed,
                }))
            } )* }
        }
    };
}

tables! {
    /// What the host is.
    host / Host: Single => Host,
    /// How busy the host is.
    host_stat / HostStat: Single => HostStat,
    /// Each core.
    cpu / Cpu: CpuKey => CpuStat,
    /// Who the processes are.
    process / Process: ProcessKey => Process,
    /// What the processes do.
    process_stat / ProcessStat: ProcessKey => ProcessStat,
    /// Threads of processes that have several.
    thread / Thread: ThreadKey => Thread,
    /// Processes that ended.
    exited_process / ExitedProcess: ExitKey => ExitedProcess,
    /// Who the containers are.
    container / Container: ContainerKey => Container,
    /// What the containers use.
    container_stat / ContainerStat: ContainerKey => ContainerStat,
    /// Engines.
    engine / Engine: EngineKey => Engine,
    /// What happened.
    event / Event: EventKey => Event,
    /// Where all this comes from and what it misses.
    source / Source: SourceKey => Source,
    /// What the agent costs.
    agent / Agent: Single => AgentStat,
    /// Network namespaces.
    netns / Netns: NetnsKey => Netns,
    /// Network interfaces.
    link / Link: LinkKey => Link,
    /// What passes over them.
    link_stat / LinkStat: LinkKey => LinkStat,
    /// Who answers for which address.
    neighbour / Neighbour: NeighbourKey => Neighbour,
    /// Where packets go.
    route / Route: RouteKey => Route,
    /// Sockets and whose they are.
    socket / Socket: SocketKey => Socket,
    /// How they fare.
    socket_stat / SocketStat: SocketKey => SocketStat,
    /// TCP connections that ended.
    closed_socket / ClosedSocket: ClosedSocketKey => ClosedSocket,
    /// Who talks to whom, per link.
    flow / Flow: FlowKey => Flow,
    /// What passes in flows.
    flow_stat / FlowStat: FlowKey => FlowStat,
    /// How well packets are captured.
    capture / Capture: Single => Capture,
    /// Rules that translate addresses.
    nat_rule / NatRule: NatRuleKey => NatRule,
    /// Ports through which containers are reached, hop by hop.
    published_port / PublishedPort: PublishedPortKey => PublishedPort,
    /// Connections that are translated.
    translation / Translation: TranslationKey => Translation,
    /// What confines containers, and whether that is what was declared.
    confinement / Confinement: ContainerKey => Confinement,
    /// Mounts in each mount namespace.
    mount / Mount: MountKey => Mount,
    /// Control groups.
    cgroup / Cgroup: CgroupKey => Cgroup,
    /// What holds for containers.
    limit / Limit: ContainerKey => Limit,
    /// What they use of it.
    limit_stat / LimitStat: ContainerKey => LimitStat,
    /// Whom the kernel killed for memory.
    oom_kill / OomKill: OomKillKey => OomKill,
    /// Namespaces of all kinds.
    namespace / Namespace: NamespaceKey => Namespace,
    /// How far containers are apart from the host, per kind of namespace.
    isolation / Isolation: IsolationKey => Isolation,
    /// What somebody should know.
    finding / Finding: FindingKey => Finding,
    /// How containers find names.
    resolver / Resolver: ResolverKey => Resolver,
    /// What containers get for names.
    dns_name / DnsName: DnsNameKey => DnsName,
    /// What the processes ask of files and wait for.
    process_io / ProcessIo: ProcessKey => ProcessIo,
    /// Block devices.
    device / Device: DeviceKey => Device,
    /// What passed them.
    device_stat / DeviceStat: DeviceKey => DeviceStat,
    /// How full the file systems of mounts are.
    mount_use / MountUse: MountKey => MountUse,
    /// What the processes of each container ask of files and wait for.
    container_io / ContainerIo: ContainerKey => ContainerIo,
    /// Who waited uninterruptibly in the last minutes.
    waiter / Waiter: ProcessKey => Waiter,
    /// Who makes the host wait for block devices.
    io_case / IoCase: Single => IoCase,
    /// Names that are asked for on the wire.
    dns_seen / DnsSeen: DnsSeenKey => DnsSeen,
    /// Who asks which server there.
    dns_client / DnsClient: DnsClientKey => DnsClient,
    /// What passed each block device for each container.
    container_device_io / ContainerDeviceIo: ContainerDeviceKey => ContainerDeviceIo,
    /// What processes wait for, by delay accounting.
    process_delay / ProcessDelay: ProcessKey => ProcessDelay,
}

impl Topic {
    /// The id on the wire.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The table with that id; `None` for one this version does not know.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The table with that name; `None` for one this version does not know.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.name() == name)
    }
}

/// A set of tables: what a client wants, holds, or a snapshot really contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TopicSet(u64);

// One bit per table: the 65th table must widen the type, not fall out of the set.
const _: () = assert!(Topic::ALL.len() <= 64);

impl TopicSet {
    /// No table.
    pub const EMPTY: Self = Self(0);
    /// Every table this version knows.
    pub const ALL: Self = Self(u64::MAX >> (64 - Topic::ALL.len()));

    /// The tables with these ids; ids this version does not know are ignored.
    pub fn from_ids(ids: &[u8]) -> Self {
        ids.iter().filter_map(|id| Topic::from_id(*id)).collect()
    }

    /// Whether it holds no table.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it holds the table.
    pub fn contains(self, topic: Topic) -> bool {
        self.0 >> topic.id() & 1 == 1
    }

    /// Adds a table.
    pub fn insert(&mut self, topic: Topic) {
        self.0 |= 1 << topic.id();
    }

    /// Takes a table out.
    pub fn remove(&mut self, topic: Topic) {
        self.0 &= !(1 << topic.id());
    }

    /// Its tables in the order of the registry.
    pub fn iter(self) -> impl Iterator<Item = Topic> {
        Topic::ALL.iter().copied().filter(move |t| self.contains(*t))
    }
}

impl FromIterator<Topic> for TopicSet {
    fn from_iter<I: IntoIterator<Item = Topic>>(topics: I) -> Self {
        let mut set = Self::EMPTY;
        topics.into_iter().for_each(|t| set.insert(t));
        set
    }
}

/// Union.
impl std::ops::BitOr for TopicSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Intersection.
impl std::ops::BitAnd for TopicSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What is in the left set alone.
impl std::ops::Sub for TopicSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

fn full<K: Ord + Clone + Serialize, V: Serialize>(table: &Table<K, V>) -> Result<Vec<u8>, WireError> {
    let changed = table.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(postcard::to_stdvec(&TableDelta { changed, removed: Vec::new() })?)
}

fn changes<K: Ord + Clone + Serialize, V: PartialEq + Serialize>(
    before: &Table<K, V>,
    after: &Table<K, V>,
) -> Result<Option<Vec<u8>>, WireError> {
    let delta = diff(before, after);
    if delta.is_empty() { Ok(None) } else { Ok(Some(postcard::to_stdvec(&delta)?)) }
}

fn put<K: Ord + Clone + DeserializeOwned, V: DeserializeOwned>(
    table: &mut Table<K, V>,
    full: bool,
    bytes: &[u8],
) -> Result<(), WireError> {
    let delta: TableDelta<K, V> = postcard::from_bytes(bytes)?;
    if full {
        *table = Table::new();
    }
    apply(table, delta);
    Ok(())
}

fn rows<'a, K: Serialize + 'a, V: Serialize + 'a>(
    table: impl Iterator<Item = (&'a K, &'a V)>,
) -> Result<Vec<serde_json::Value>, WireError> {
    table.map(|(k, v)| merge(&[serde_json::to_value(k)?, serde_json::to_value(v)?])).collect()
}

/// One JSON object with the fields of all `parts`; parts that are not objects (unit keys) add nothing.
///
/// # Errors
/// None today; the signature lets callers chain it.
pub fn merge(parts: &[serde_json::Value]) -> Result<serde_json::Value, WireError> {
    let mut all = serde_json::Map::new();
    for part in parts {
        if let Some(object) = part.as_object() {
            all.extend(object.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
    }
    Ok(serde_json::Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_sets_are_sets() {
        let two: TopicSet = [Topic::Process, Topic::Agent].into_iter().collect();
        assert_eq!(TopicSet::ALL.iter().count(), Topic::ALL.len());
        assert_eq!(two.iter().collect::<Vec<_>>(), [Topic::Process, Topic::Agent]);
        assert_eq!((TopicSet::ALL - two).iter().count(), Topic::ALL.len() - 2);
        assert_eq!(TopicSet::from_ids(&[Topic::Process.id(), 200, Topic::Agent.id()]), two);
        assert!((two & (TopicSet::ALL - two)).is_empty() && (two | TopicSet::ALL) == TopicSet::ALL);
        let mut one = two;
        one.remove(Topic::Agent);
        assert!(one.contains(Topic::Process) && !one.contains(Topic::Agent));
    }
}
