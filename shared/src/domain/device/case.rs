//! The case of disk waits: who makes the host wait, for what file, on which device. A chain from the symptom to the file, each
//! link with its evidence and what could be wrong with it. Made by `model::io_case` of other tables, and of the open files of the
//! one or two processes it suspects.

use serde::{Deserialize, Serialize};

use super::DeviceKey;
use crate::domain::mount::MountKey;
use crate::domain::process::ProcessKey;
use crate::unit;

/// What a link of the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseKind {
    /// The host that waits.
    #[default]
    Host,
    /// The block device at which requests queue.
    Device,
    /// What lies on it: a partition, a device-mapper volume, a file that serves as a disk.
    Volume,
    /// The file system and where it is mounted.
    Mount,
    /// The container of the process.
    Container,
    /// The process; one of the kernel's own when nobody else can be blamed.
    Process,
    /// The file that moves.
    File,
}

impl CaseKind {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Device => "device",
            Self::Volume => "volume",
            Self::Mount => "mount",
            Self::Container => "container",
            Self::Process => "process",
            Self::File => "file",
        }
    }
}

/// One step from the symptom to the cause. What it names stands in the key that is not `None`; figures that mean nothing for its
/// kind, or are unknown, are `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CaseLink {
    /// What it is.
    pub kind: CaseKind,
    /// As people call it: the host's name, `sda`, a mountpoint, a container, a command, a path. Bounded, safe to print.
    pub name: String,
    /// Of a device or volume, or the one that a mount or file is on.
    pub device: Option<DeviceKey>,
    /// Of a mount; `None` when its namespace is not listed.
    pub mount: Option<MountKey>,
    /// Of a container, or the one a process is in.
    pub container: Option<String>,
    /// Of a process, or the one that holds a file; `None` when nobody can be blamed.
    pub process: Option<ProcessKey>,
    /// Of a file, as its process sees it, or the file that serves as a disk, as the host sees it.
    pub path: Option<String>,
    /// Of a file: where that lies on the host.
    pub host_path: Option<String>,
    /// Of a file: number of the descriptor.
    pub fd: Option<u32>,
    /// Of a mount: its type of file system.
    pub fstype: Option<String>,
    /// Share of time: of a host, CPUs idle for a block device; of a device or volume, at least one request on its way; of a
    /// process, waiting for block I/O.
    pub wait_ratio: Option<f32>,
    /// Of a host: share of the last 10 seconds in which at least one task was stalled for I/O.
    pub pressure_ratio: Option<f32>,
    /// Of a device or volume: requests on their way on average.
    pub queue_length: Option<f32>,
    /// Of a device or volume: how long the requests that were most of the work took on average.
    pub await_secs: Option<f32>,
    /// Bytes read: of a device or volume by the device, of a process or container from storage.
    pub read_bytes_per_sec: Option<f32>,
    /// Bytes written; as above.
    pub write_bytes_per_sec: Option<f32>,
    /// Of a file: how fast it grows.
    pub size_per_sec: Option<f32>,
    /// Of a file: how fast the place of the next read or write moves on.
    pub position_per_sec: Option<f32>,
    /// Of a process: it waits uninterruptibly.
    pub blocked: bool,
    /// No process can be blamed: this link tells why.
    pub unblamed: bool,
    /// What it is concluded from, with the kernel's source; one line.
    pub evidence: String,
    /// What could be wrong with it; one line.
    pub doubt: String,
}

/// The case. No row while the host waits for no block device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IoCase {
    /// Since when the host waits, as far as somebody looked; nanoseconds since the epoch.
    pub since: u64,
    /// From the symptom to the cause; what cannot be told is left out.
    pub links: Vec<CaseLink>,
}

impl IoCase {
    /// The whole chain as one sentence.
    pub fn sentence(&self) -> String {
        self.links.iter().map(CaseLink::phrase).collect::<Vec<_>>().join(" → ")
    }

    /// The first link of that kind.
    pub fn link(&self, kind: CaseKind) -> Option<&CaseLink> {
        self.links.iter().find(|link| link.kind == kind)
    }
}

impl CaseLink {
    /// Its part of the sentence.
    pub fn phrase(&self) -> String {
        let name = &self.name;
        match self.kind {
            CaseKind::Host => self.host_phrase(),
            CaseKind::Device => format!("{name}{}", self.load()),
            CaseKind::Volume | CaseKind::Mount => name.clone(),
            CaseKind::Container => format!("container {name}"),
            CaseKind::Process if self.unblamed => match self.process {
                Some(key) => format!("no process to blame: the kernel's {name} ({})", key.pid),
                None => "no process to blame".to_owned(),
            },
            CaseKind::Process => match self.process {
                Some(key) => format!("pid {} {name}", key.pid),
                None => name.clone(),
            },
            CaseKind::File => format!("file {name}{}", self.pace()),
        }
    }

    fn host_phrase(&self) -> String {
        let share = |ratio: Option<f32>| ratio.map(|ratio| unit::percent(ratio.into()));
        match (share(self.wait_ratio), share(self.pressure_ratio)) {
            (iowait, Some(psi)) if self.pressure_ratio > self.wait_ratio => {
                let iowait = unit::or_unknown(iowait);
                format!("host stalled for I/O {psi} (iowait {iowait})")
            }
            (iowait, _) => format!("host waits {}", unit::or_unknown(iowait)),
        }
    }

    /// ` 97 % busy, await 210 ms`.
    fn load(&self) -> String {
        let busy = self.wait_ratio.map(|ratio| format!(" {} busy", unit::percent(ratio.into())));
        let each = self.await_secs.map(unit::latency_secs);
        let each = each.map(|each| format!(", await {each}"));
        format!("{}{}", busy.unwrap_or_default(), each.unwrap_or_default())
    }

    /// ` growing 18 MB/s`.
    fn pace(&self) -> String {
        let rate = |per_sec: Option<f32>| {
            per_sec.filter(|rate| *rate > 0.0).map(|rate| unit::bytes_per_sec(rate.into()))
        };
        match (rate(self.size_per_sec), rate(self.position_per_sec)) {
            (Some(grows), _) => format!(" growing {grows}"),
            (None, Some(moves)) => format!(" moving on {moves}"),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_one_sentence() {
        let link = |kind, name: &str| CaseLink { kind, name: name.into(), ..CaseLink::default() };
        let process = Some(ProcessKey { pid: 16528, start_time: 1 });
        let links = vec![
            CaseLink { wait_ratio: Some(0.48), pressure_ratio: Some(0.3), ..link(CaseKind::Host, "h") },
            CaseLink { wait_ratio: Some(0.97), await_secs: Some(0.21), ..link(CaseKind::Device, "sda") },
            link(CaseKind::Volume, "vg-root"),
            link(CaseKind::Mount, "/srv"),
            link(CaseKind::Container, "db"),
            CaseLink { process, ..link(CaseKind::Process, "bonnie++") },
            CaseLink { size_per_sec: Some(18e6), ..link(CaseKind::File, "Bonnie.16528") },
        ];
        let mut case = IoCase { since: 1, links };
        assert_eq!(
            case.sentence(),
            "host waits 48.0 % → sda 97.0 % busy, await 210 ms → vg-root → /srv → container db → \
             pid 16528 bonnie++ → file Bonnie.16528 growing 18.0 MB/s"
        );
        case.links[0].pressure_ratio = Some(0.9);
        assert!(case.sentence().starts_with("host stalled for I/O 90.0 % (iowait 48.0 %)"));
        case.links[5] = CaseLink { unblamed: true, process, ..link(CaseKind::Process, "[kworker/0:1]") };
        assert!(case.sentence().contains("no process to blame: the kernel's [kworker/0:1] (16528)"));
    }
}
