//! The network, from rtnetlink inside each network namespace. Fills `netns`, `link`, `link_stat`, `neighbour`, `route`, all
//! without relations; whose namespace and which peer is joined by `model::network`.
//!
//! Namespaces are entered by a short-lived thread; nothing is kept open in between (but by [`socket`] and [`flow`], which
//! watch for its end), so none outlives its last process on our account. The agent's own namespace needs no permission; others need CAP_SYS_ADMIN, and CAP_SYS_PTRACE to be found.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "netlink attributes are open sets: what we do not read is left out"
)]

mod descriptor;
pub(crate) mod flow;
mod link;
pub(crate) mod listen;
mod namespace;
pub(crate) mod nat;
mod neighbour;
mod presence;
mod route;
pub(crate) mod socket;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{
    Link, LinkKey, LinkStat, Neighbour, NeighbourKey, Netns, NetnsKey, Route, RouteKey,
};
use glasshull_shared::domain::process::{Process, ProcessKey};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use crate::sys::netlink::RouteSocket;
use crate::sys::netns::{self, Target};
use crate::sys::root::Root;
use namespace::Namespaces;

/// What a link says of the link below or across: its number (`IFLA_LINK`), and the namespace that is in; `None` when it could
/// not be found out.
pub(crate) type Across = (u32, Option<u64>);

/// One reading of all namespaces.
#[derive(Debug, Default)]
pub(crate) struct NetworkReading {
    /// Namespaces, without containers.
    pub netns: Table<NetnsKey, Netns>,
    /// Which processes are in which: for the join with containers.
    pub members: BTreeMap<u64, Vec<ProcessKey>>,
    /// Links, without relations.
    pub link: Table<LinkKey, Link>,
    /// What links point to.
    pub across: BTreeMap<LinkKey, Across>,
    /// Counters; rates are still `None`.
    pub link_stat: Table<LinkKey, LinkStat>,
    /// Neighbour tables.
    pub neighbour: Table<NeighbourKey, Neighbour>,
    /// Routing tables `main` and `default`.
    pub route: Table<RouteKey, Route>,
    /// Namespaces that are there but could not be read now: what was known of them still holds.
    pub failed: Vec<u64>,
    /// Namespaces that nobody is in who was in one of this inode before: the kernel gives the number of one that ended to the next.
    pub renewed: Vec<u64>,
    /// Processes whose namespace may not be asked for.
    pub hidden: Vec<ProcessKey>,
    /// How to get into each: for who reads more there.
    pub targets: Vec<Target>,
    /// What could not be read, for a person; at most one line per reason.
    pub notices: Vec<String>,
}

/// Which tables somebody needs besides links.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Want {
    /// Neighbour tables.
    pub neighbours: bool,
    /// Routing tables.
    pub routes: bool,
}

/// Reads all namespaces again and again.
pub(crate) struct NetworkReader {
    namespaces: Namespaces,
    /// (namespace, nsid there) → inode. Ids are never given to another namespace while the first one lives.
    nsids: HashMap<(u64, i32), u64>,
    /// Who was in each namespace at the last reading, and which names kept it.
    known: BTreeMap<u64, Vec<ProcessKey>>,
    named: BTreeMap<u64, Vec<PathBuf>>,
}

/// What one namespace told.
#[derive(Debug, Default)]
struct Told {
    links: Vec<link::LinkRow>,
    neighbours: Vec<(NeighbourKey, Neighbour)>,
    routes: Vec<(RouteKey, Route)>,
    /// Ids that other namespaces have in this one.
    nsids: Vec<(i32, u64)>,
    ip_forward: Option<bool>,
    unknown: usize,
    /// Something may be missing.
    torn: bool,
}

impl NetworkReader {
    /// A reader that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            namespaces: Namespaces::new(root),
            nsids: HashMap::new(),
            known: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// Reads the network namespaces of these processes and those with a name.
    ///
    /// # Errors
    /// When the agent's own namespace cannot be read, or no thread can be made. A namespace that vanishes meanwhile is no
    /// error; one that is hidden gets a row that says so.
    pub(crate) fn read(
        &mut self,
        processes: &Table<ProcessKey, Process>,
        want: Want,
    ) -> io::Result<NetworkReading> {
        let mut found = self.namespaces.read(processes)?;
        let mut reading = NetworkReading { hidden: found.hidden, ..NetworkReading::default() };
        let own = self.namespaces.own();
        reading.renewed = self.renewed(&found.members, std::mem::take(&mut found.named));
        let (mut failures, mut torn) = (BTreeMap::<String, Vec<u64>>::new(), 0);
        let told = netns::visit(&found.targets, |target| ask(target, want, &found.targets, &self.nsids))?;
        for (target, told) in found.targets.iter().zip(told) {
            let netns = target.inode;
            let members = found.members.remove(&netns).unwrap_or_default();
            let mut row = Netns {
                host: netns == own,
                name: found.names.remove(&netns),
                pid: members.first().map(|key| key.pid),
                processes: u32::try_from(members.len()).unwrap_or(u32::MAX),
                ..Netns::default()
            };
            match told {
                Ok(told) => {
                    torn += usize::from(told.torn);
                    row.ip_forward = told.ip_forward;
                    self.nsids.extend(told.nsids.iter().map(|(id, inode)| ((netns, *id), *inode)));
                    self.take(netns, told, &mut reading);
                }
                Err(error) if netns == own => return Err(error),
                Err(error) if has_gone(&error) => continue,
                Err(error) => match refusal(&error) {
                    Some(why) => row.hidden = Some(why.to_owned()),
                    None => {
                        failures.entry(error.to_string()).or_default().push(netns);
                        reading.failed.push(netns);
                    }
                },
            }
            reading.netns.insert(NetnsKey { netns }, Arc::new(row));
            reading.members.insert(netns, members);
        }
        self.nsids.retain(|(at, _), to| {
            let lives = |netns: &u64| reading.netns.contains_key(&NetnsKey { netns: *netns });
            lives(at) && lives(to)
        });
        reading.targets = found.targets;
        reading.notices.extend(failures.into_iter().map(|(why, places)| match places[..] {
            [one] => format!("network namespace {one}: {why}"),
            _ => format!("{} network namespaces: {why}", places.len()),
        }));
        if torn > 0 {
            let what =
                "network namespaces changed each time they were read: links may be missing until they rest";
            reading.notices.push(format!("{torn} {what}"));
        }
        Ok(reading)
    }

    /// Which namespaces have none of those who were in one of their inode, and no name that it had; forgets what was known of
    /// their ids.
    fn renewed(
        &mut self,
        members: &BTreeMap<u64, Vec<ProcessKey>>,
        named: BTreeMap<u64, Vec<PathBuf>>,
    ) -> Vec<u64> {
        let kept = |netns: &u64| {
            let before = self.named.get(netns).map_or(&[][..], Vec::as_slice);
            named.get(netns).is_some_and(|now| now.iter().any(|path| before.contains(path)))
        };
        let is_new = |(netns, now): (&u64, &Vec<ProcessKey>)| {
            let before = self.known.get(netns).filter(|before| !before.is_empty())?;
            let same = now.is_empty() || now.iter().any(|key| before.contains(key)) || kept(netns);
            (!same).then_some(*netns)
        };
        let renewed: Vec<u64> = members.iter().filter_map(is_new).collect();
        self.nsids.retain(|(at, _), to| !renewed.contains(at) && !renewed.contains(to));
        self.known.clone_from(members);
        self.named = named;
        renewed
    }

    fn take(&self, netns: u64, told: Told, reading: &mut NetworkReading) {
        if told.unknown > 0 {
            reading.notices.push(format!("{} netlink messages of a form we do not know", told.unknown));
        }
        for row in told.links {
            let key = LinkKey { netns, ifindex: row.ifindex };
            if let Some((ifindex, nsid)) = row.across {
                let there = match nsid {
                    Some(id) => self.nsids.get(&(netns, id)).copied(),
                    None => Some(netns),
                };
                reading.across.insert(key, (ifindex, there));
            }
            reading.link.insert(key, Arc::new(row.link));
            reading.link_stat.insert(key, Arc::new(row.stat));
        }
        reading.neighbour.extend(told.neighbours.into_iter().map(|(key, row)| (key, Arc::new(row))));
        reading.route.extend(told.routes.into_iter().map(|(key, row)| (key, Arc::new(row))));
    }
}

/// Asks the namespace this thread is in.
fn ask(target: &Target, want: Want, all: &[Target], known: &HashMap<(u64, i32), u64>) -> io::Result<Told> {
    let mut socket = RouteSocket::open()?;
    let mut told = Told::default();
    (told.links, told.unknown) = link::dump(&mut socket)?;
    if want.neighbours {
        told.neighbours = neighbour::dump(&mut socket, target.inode)?;
    }
    if want.routes {
        told.routes = route::dump(&mut socket, target.inode)?;
    }
    let unknown = |row: &link::LinkRow| {
        row.across.and_then(|(_, nsid)| nsid).is_some_and(|id| !known.contains_key(&(target.inode, id)))
    };
    if told.links.iter().any(unknown) {
        told.nsids = nsids(&mut socket, all);
    }
    // /proc/sys/net shows the namespace of the thread that reads it.
    let ip_forward = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").ok();
    told.torn = socket.torn();
    told.ip_forward = ip_forward.map(|text| text.trim() != "0");
    Ok(told)
}

/// Which id each namespace has here; those without one are not seen by any link here.
fn nsids(socket: &mut RouteSocket, all: &[Target]) -> Vec<(i32, u64)> {
    let id = |target: &Target| {
        let namespace = target.open().ok()?;
        let fd = u32::try_from(namespace.as_raw_fd()).ok()?;
        let mut request = NsidMessage::default();
        request.attributes.push(NsidAttribute::Fd(fd));
        let RouteNetlinkMessage::NewNsId(answer) =
            socket.get(RouteNetlinkMessage::GetNsId(request)).ok()??
        else {
            return None;
        };
        answer.attributes.iter().find_map(|attribute| match attribute {
            NsidAttribute::Id(id) if *id >= 0 => Some((*id, target.inode)),
            _ => None,
        })
    };
    all.iter().filter_map(id).collect()
}

/// Whether an error means that the namespace ended between finding and reading it.
fn has_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(error.raw_os_error(), Some(libc::ESTALE | libc::ESRCH | libc::EINVAL))
}

/// What we lack to read a namespace; `None` for errors that are no refusal (out of descriptors or memory).
fn refusal(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error() {
        Some(libc::EPERM) => Some("entering needs CAP_SYS_ADMIN"),
        Some(libc::EACCES) => Some("finding it needs CAP_SYS_PTRACE"),
        Some(_) | None => None,
    }
}
