//! Clients of the agent: any number, all in this process, which read and throw away; the first one decodes every
//! frame, follows the tables as a browser would and notices a hole in the sequence.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use glasshull_shared::snapshot::Topic;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ws::{Client, Follower};

/// How long the first table may take; a slow machine needs a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the page's frame shows whatever the view is, with the badge of findings, for which the agent judges.
const FRAME: [Topic; 8] = [
    Topic::Host,
    Topic::HostStat,
    Topic::Source,
    Topic::Engine,
    Topic::Agent,
    Topic::Event,
    Topic::Container,
    Topic::Finding,
];

/// Tables of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Screen {
    /// All processes.
    Processes,
    /// All containers.
    Containers,
    /// The map of the network.
    Map,
    /// The isolation matrix and all namespaces.
    Namespaces,
    /// Disk: processes by I/O.
    Disk,
    /// Disk: containers by I/O.
    DiskContainers,
    /// Disk: who waits uninterruptibly.
    DiskWaits,
    /// Disk: how full file systems are.
    DiskMounts,
    /// Disk: block devices alone.
    DiskDevices,
}

/// What each table of Disk has above it: the case, the stack of devices, how much the host waits.
const DISK: [Topic; 4] = [Topic::IoCase, Topic::Device, Topic::DeviceStat, Topic::HostStat];

impl Screen {
    /// What a browser on that screen subscribes to.
    pub fn topics(self) -> Vec<Topic> {
        let own: &[Topic] = match self {
            Self::Processes => &[Topic::Process, Topic::ProcessStat],
            Self::Containers => &[Topic::ContainerStat],
            Self::Map => &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::ContainerStat],
            Self::Namespaces => &[Topic::Namespace, Topic::Isolation],
            Self::Disk => &[Topic::ProcessIo, Topic::Process, Topic::ProcessStat],
            Self::DiskContainers => &[Topic::ContainerIo, Topic::ContainerStat, Topic::ContainerDeviceIo],
            Self::DiskWaits => &[Topic::Waiter],
            Self::DiskMounts => &[Topic::MountUse, Topic::Mount],
            Self::DiskDevices => &[],
        };
        let above: &[Topic] = match self {
            Self::Disk | Self::DiskContainers | Self::DiskWaits | Self::DiskMounts | Self::DiskDevices => {
                &DISK
            }
            Self::Processes | Self::Containers | Self::Map | Self::Namespaces => &[],
        };
        FRAME.iter().chain(own).chain(above).copied().collect()
    }

    /// The table that tells that the screen has something to show.
    fn main_table(self) -> Topic {
        match self {
            Self::Processes => Topic::ProcessStat,
            Self::Containers => Topic::ContainerStat,
            Self::Map => Topic::LinkStat,
            Self::Namespaces => Topic::Namespace,
            Self::Disk => Topic::ProcessIo,
            Self::DiskContainers => Topic::ContainerIo,
            Self::DiskMounts => Topic::Mount,
            // Often nobody waits.
            Self::DiskWaits | Self::DiskDevices => Topic::DeviceStat,
        }
    }
}

/// Connected clients; dropping the value disconnects them.
#[derive(Debug)]
pub(super) struct Crowd {
    received: Vec<Arc<AtomicU64>>,
    follower: Arc<Mutex<Follower>>,
    fault: Arc<Mutex<Option<String>>>,
    /// From the first client's connecting to its first rows, seconds.
    pub(super) first_rows_secs: f64,
    _tasks: JoinSet<()>,
}

/// What the clients have received up to now.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    at: Instant,
    received: u64,
    ticks: u64,
    holes: u64,
    missed: u64,
    table_bytes: Vec<u64>,
}

/// What they received between two marks.
#[derive(Debug, Clone, Serialize)]
pub struct Traffic {
    /// Clients.
    pub clients: usize,
    /// Bytes per second and client, as TCP payload.
    pub bytes_per_sec_each: f64,
    /// Ticks the first client received.
    pub ticks: u64,
    /// Ticks missing in its sequence that the agent did not announce.
    pub holes: u64,
    /// Ticks the agent left out because the first client was slow.
    pub missed: u64,
    /// Bytes per second of each table before compression, largest first; tables without any are left out.
    pub tables: Vec<(&'static str, f64)>,
}

impl Crowd {
    /// Connects `clients` clients that all watch a screen, and waits until the first one has rows.
    ///
    /// # Errors
    /// When one cannot connect, or nothing comes.
    pub(super) async fn watch(address: SocketAddr, clients: usize, screen: Screen) -> Result<Self> {
        let (follower, fault): (Arc<Mutex<Follower>>, Arc<Mutex<Option<String>>>) = Default::default();
        let mut received = Vec::new();
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        let first = Client::connect(address, &screen.topics()).await?;
        received.push(first.received());
        tasks.spawn(follow(first, Arc::clone(&follower), Arc::clone(&fault)));
        for _ in 1..clients {
            let client = Client::connect(address, &screen.topics()).await?;
            received.push(client.received());
            tasks.spawn(throw_away(client, Arc::clone(&fault)));
        }
        let mut crowd = Self { received, follower, fault, first_rows_secs: 0.0, _tasks: tasks };
        let rows = async {
            while crowd.follower().snapshot.len(screen.main_table()) == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if timeout(PATIENCE, rows).await.is_err() {
            bail!("no rows of {screen:?} within {PATIENCE:?}{}", crowd.fault().unwrap_or_default());
        }
        crowd.first_rows_secs = began.elapsed().as_secs_f64();
        Ok(crowd)
    }

    /// What has been received up to now.
    ///
    /// # Errors
    /// When a client lost its connection or received what is no frame.
    pub(super) fn mark(&self) -> Result<Mark> {
        if let Some(fault) = self.fault() {
            bail!("a client of the bench: {fault}");
        }
        let follower = self.follower();
        Ok(Mark {
            at: Instant::now(),
            received: self.received.iter().map(|n| n.load(Ordering::Relaxed)).sum(),
            ticks: follower.ticks,
            holes: follower.holes,
            missed: follower.missed,
            table_bytes: follower.table_bytes.clone(),
        })
    }

    /// What was received since a mark.
    ///
    /// # Errors
    /// As [`Crowd::mark`].
    pub(super) fn since(&self, before: &Mark) -> Result<Traffic> {
        let now = self.mark()?;
        let per_sec = |bytes: u64| bytes as f64 / now.at.duration_since(before.at).as_secs_f64();
        let before_of = before.table_bytes.iter().chain(std::iter::repeat(&0));
        let grown = now.table_bytes.iter().zip(before_of).map(|(now, was)| now.saturating_sub(*was));
        let mut tables: Vec<_> = Topic::ALL
            .iter()
            .zip(grown)
            .filter(|(_, n)| *n > 0)
            .map(|(t, n)| (t.name(), per_sec(n)))
            .collect();
        tables.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Traffic {
            clients: self.received.len(),
            bytes_per_sec_each: per_sec(now.received - before.received) / self.received.len() as f64,
            ticks: now.ticks - before.ticks,
            holes: now.holes - before.holes,
            missed: now.missed - before.missed,
            tables,
        })
    }

    /// Rows of a table as the first client knows them.
    pub(super) fn rows(&self, topic: Topic) -> usize {
        self.follower().snapshot.len(topic)
    }

    fn follower(&self) -> std::sync::MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn follow(mut client: Client, follower: Arc<Mutex<Follower>>, fault: Arc<Mutex<Option<String>>>) {
    let result: Result<()> = async {
        while let Some(frame) = client.next().await? {
            follower.lock().unwrap_or_else(PoisonError::into_inner).take(&frame)?;
        }
        bail!("the agent closed the connection")
    }
    .await;
    note(&fault, result);
}

async fn throw_away(mut client: Client, fault: Arc<Mutex<Option<String>>>) {
    let result: Result<()> = async {
        while client.next().await?.is_some() {}
        bail!("the agent closed the connection")
    }
    .await;
    note(&fault, result);
}

fn note(fault: &Mutex<Option<String>>, result: Result<()>) {
    if let Err(error) = result {
        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error:#}"));
    }
}
