//! Namespaces, links, neighbours and routes against `ip` run inside each namespace: as they are, while they change, and
//! with less than root's rights.

pub(crate) mod cables;
pub(crate) mod change;
pub(crate) mod control;
pub(crate) mod count;
pub(crate) mod event;
pub(crate) mod link;
pub(crate) mod pair;
pub(crate) mod rights;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::agent::{Snapshot, number};
use crate::runner::Context;

const TABLES: [&str; 4] =
    ["--tables", "netns,link,neighbour,route,container,process,source", "--interval", "1s"];

/// `ip -j ARGS`, inside a namespace when a prefix leads there.
fn ip(prefix: &[String], args: &[&str]) -> Result<Vec<Value>> {
    let words = prefix.iter().map(String::as_str).chain(["ip", "-j"]).chain(args.iter().copied());
    let text = run(&words.collect::<Vec<_>>())?;
    // Without anything to list `ip` prints nothing at all.
    if text.trim().is_empty() { Ok(Vec::new()) } else { Ok(serde_json::from_str(&text)?) }
}

/// Runs a command that must succeed, and returns its output.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    let (program, args) = words.split_first().context("no program")?;
    let output = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", words.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A namespace to look into: how to get there, and its inode.
pub(crate) struct Place {
    /// What it is called here.
    pub(crate) name: String,
    /// Words before a command that is to run in it.
    pub(crate) prefix: Vec<String>,
    /// Its inode.
    pub(crate) netns: u64,
}

impl Place {
    /// The host's own.
    pub(crate) fn host() -> Result<Self> {
        Ok(Self { name: "host".into(), prefix: Vec::new(), netns: inode("/proc/self/ns/net")? })
    }

    /// That of a container of the lab.
    pub(crate) fn container(context: &Context, name: &str) -> Result<Self> {
        let pid = context.lab.inspect(name)?["State"]["Pid"].as_u64().context("no pid")?;
        Self::process(name, pid)
    }

    fn process(name: &str, pid: u64) -> Result<Self> {
        let prefix = ["nsenter".to_owned(), format!("--net=/proc/{pid}/ns/net")].into();
        Ok(Self { name: name.into(), prefix, netns: inode(&format!("/proc/{pid}/ns/net"))? })
    }

    fn named(name: &str) -> Result<Self> {
        let prefix = ["ip", "netns", "exec", name].map(str::to_owned).into();
        Ok(Self { name: name.into(), prefix, netns: inode(&format!("/run/netns/{name}"))? })
    }

    /// The host, the lab's edge, and every running container's namespace once.
    fn all(context: &Context) -> Result<Vec<Self>> {
        let edge = context.lab.state().edge.as_ref().context("the lab has no edge")?;
        let mut places = vec![Self::host()?, Self::named(&edge.netns)?];
        for (name, container) in &context.lab.state().containers {
            let Some(pid) = container.init_pid else { continue };
            let place = Self::process(name, u64::from(pid))?;
            if places.iter().all(|known| known.netns != place.netns) {
                places.push(place);
            }
        }
        ensure!(places.len() > 12, "the lab has {} namespaces", places.len());
        Ok(places)
    }

    /// Rows of a table that are of this namespace.
    fn rows<'a>(&self, snapshot: &'a Snapshot, table: &str) -> Result<Vec<&'a Value>> {
        Ok(snapshot.rows(table)?.iter().filter(|row| row["netns"] == self.netns).collect())
    }

    /// Ifindex of each link by its name.
    fn links(&self) -> Result<BTreeMap<String, u64>> {
        let links = ip(&self.prefix, &["link"])?;
        let pair = |link: &Value| {
            Ok((link["ifname"].as_str().context("ifname")?.to_owned(), number(link, "ifindex")?))
        };
        links.iter().map(pair).collect()
    }
}

pub(crate) fn inode(path: &str) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| path.to_owned())?.ino())
}

fn row(snapshot: &Snapshot, netns: u64, ifindex: u64) -> Result<&Value> {
    let found = snapshot.rows("link")?.iter().find(|r| r["netns"] == netns && r["ifindex"] == ifindex);
    found.with_context(|| format!("no row for link {ifindex} of netns {netns}"))
}
