//! What `snapshot` adds of one process or place: no table of the wire, since a client asks for it by name. From the agent's looks to rows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::file::{HeldPlace, OpenFiles};
use glasshull_shared::domain::process::{Process, ProcessKey};
use glasshull_shared::snapshot::{Topic, merge};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::agent::live::Live;
use crate::agent::{file_holders, memory_maps, open_files, sample_twice};
use crate::collect;
use crate::command::tell;
use crate::command::who::find_container;
use crate::config::Snapshot as Args;
use crate::sys::root::Root;

/// Names of these tables, each with what it is of and the option that asks for it.
pub(super) const LOOKED: [(&str, &str); 3] = [
    (OPEN_FILE, "one process or container: say which with --files PID or --files CONTAINER"),
    (MEMORY_MAP, "one process: say which with --maps PID"),
    (FILE_HOLDER, "one file system: say which with --holders MOUNTPOINT or --holders MAJOR:MINOR"),
];
const OPEN_FILE: &str = "open_file";
const MEMORY_MAP: &str = "memory_map";
const FILE_HOLDER: &str = "file_holder";

/// The looks that are asked for; of those that rates are made from the first one.
pub(super) struct Looks {
    files: Option<Files>,
    maps: Option<ProcessKey>,
    holders: Option<HeldPlace>,
}

/// Whose open files are asked for, with what each held at first.
struct Files {
    /// `None`: of one process.
    container: Option<ContainerKey>,
    of: Vec<(ProcessKey, OpenFiles)>,
    /// Processes that hide what they hold, or ended, a sentence each.
    missing: Vec<String>,
}

/// The tables that are asked for.
pub(super) fn asked(args: &Args) -> Vec<&'static str> {
    let all = [
        args.files.as_ref().map(|_| OPEN_FILE),
        args.maps.map(|_| MEMORY_MAP),
        args.holders.as_ref().map(|_| FILE_HOLDER),
    ];
    all.into_iter().flatten().collect()
}

impl Looks {
    /// Finds what is meant, and looks for the first time; a container among those that `live` knows.
    ///
    /// # Errors
    /// A process or container that is not there, ended or is hidden; a place that is none.
    pub(super) async fn begin(args: &Args, live: &mut Live, wake: &Notify) -> Result<Self> {
        let find = |pid: Option<u32>| pid.map(|pid| collect::process::holder(&Root::host(), pid)).transpose();
        let maps = find(args.maps).map_err(anyhow::Error::msg)?;
        let place = |text: &String| collect::process::file_holder::find(&Root::host(), text);
        let holders = args.holders.as_ref().map(place).transpose().map_err(anyhow::Error::msg)?;
        let files = match &args.files {
            Some(subject) => Some(Files::begin(subject, live, wake).await?),
            None => None,
        };
        Ok(Self { files, maps, holders })
    }

    /// Looks again and puts tables, and what they lack, into the document.
    ///
    /// # Errors
    /// As [`Looks::begin`].
    pub(super) async fn add(self, json: &mut Value) -> Result<()> {
        if let Some(files) = self.files {
            let (table, about) = files.end().await?;
            json["tables"][OPEN_FILE] = table;
            json["files"] = about;
        }
        if let Some(key) = self.maps {
            let now = beside(move || memory_maps(key)).await?;
            say(MEMORY_MAP, &now.missing);
            json["tables"][MEMORY_MAP] = Value::Array(rows(key, &now.rows)?);
            let sums =
                json!({ "all": now.all, "rest": now.rest, "rollup": now.rollup, "missing": now.missing });
            json["maps"] = merge(&[serde_json::to_value(key)?, sums])?;
        }
        if let Some(place) = self.holders {
            let asked = place.clone();
            let mut now = beside(move || file_holders(&asked)).await?;
            say(FILE_HOLDER, &now.missing);
            json["tables"][FILE_HOLDER] = serde_json::to_value(std::mem::take(&mut now.rows))?;
            let mut rest = serde_json::to_value(now)?;
            if let Some(rest) = rest.as_object_mut() {
                rest.remove("rows"); // they are the table
            }
            json["holders"] = merge(&[serde_json::to_value(place)?, rest])?;
        }
        Ok(())
    }
}

impl Files {
    async fn begin(subject: &str, live: &mut Live, wake: &Notify) -> Result<Self> {
        if let Ok(pid) = subject.parse() {
            let key = collect::process::holder(&Root::host(), pid).map_err(anyhow::Error::msg)?;
            let of = vec![(key, beside(move || open_files(key)).await?)];
            return Ok(Self { container: None, of, missing: Vec::new() });
        }
        let demand = [Topic::Process, Topic::Container, Topic::Engine, Topic::Source].into_iter().collect();
        let sample = sample_twice(live, wake, demand, Duration::ZERO).await;
        let container = find_container(&sample.snapshot, subject)?.0.clone();
        let own = |(_, row): &(&ProcessKey, &Arc<Process>)| row.container.as_ref() == Some(&container.id);
        let keys: Vec<ProcessKey> = sample.snapshot.process.iter().filter(own).map(|(key, _)| *key).collect();
        if keys.is_empty() {
            bail!(
                "{subject}: no process of it runs that we can see: of nobody can be told what it holds open"
            );
        }
        let (mut of, mut missing) = (Vec::new(), Vec::new());
        for key in keys {
            match beside(move || open_files(key)).await {
                Ok(files) => of.push((key, files)),
                Err(why) => missing.push(format!("process {}: {why}", key.pid)),
            }
        }
        // Hidden, all of them: no empty table.
        if let (true, Some(why)) = (of.is_empty(), missing.first()) {
            bail!("{subject}: {why}");
        }
        Ok(Self { container: Some(container), of, missing })
    }

    /// Looks again: the table, and what it lacks.
    async fn end(mut self) -> Result<(Value, Value)> {
        let (mut table, mut left_out, mut looked) = (Vec::new(), 0, 0);
        for (key, before) in &self.of {
            let key = *key;
            let mut now = match beside(move || open_files(key)).await {
                Ok(now) => now,
                Err(why) if self.container.is_some() => {
                    self.missing.push(format!("process {}: {why}", key.pid));
                    continue;
                }
                Err(why) => return Err(why),
            };
            now.rate(before);
            looked += 1;
            left_out += now.left_out;
            let whose = |line: String| match self.container {
                Some(_) => format!("process {}: {line}", key.pid),
                None => line,
            };
            self.missing.extend(now.missing.into_iter().map(whose));
            table.extend(rows(key, &now.rows)?);
        }
        if let (0, Some(why)) = (looked, self.missing.last()) {
            bail!("{why}");
        }
        say(OPEN_FILE, &self.missing);
        let whose = match (self.container, self.of.first()) {
            (Some(container), _) => json!({ "container": container.id }),
            (None, Some((key, _))) => serde_json::to_value(key)?,
            (None, None) => json!({}),
        };
        let lacks = json!({ "left_out": left_out, "missing": self.missing });
        Ok((Value::Array(table), merge(&[whose, lacks])?))
    }
}

/// Beside the tick: a look may take its time.
async fn beside<T: Send + 'static>(look: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T> {
    let looked = tokio::task::spawn_blocking(look).await.context("the reader's thread failed")?;
    looked.map_err(anyhow::Error::msg)
}

fn say(table: &str, missing: &[String]) {
    missing.iter().for_each(|line| tell(&format!("{table}: {line}")));
}

fn rows(key: ProcessKey, rows: &[impl Serialize]) -> Result<Vec<Value>> {
    let key = serde_json::to_value(key)?;
    rows.iter().map(|row| Ok(merge(&[key.clone(), serde_json::to_value(row)?])?)).collect()
}
