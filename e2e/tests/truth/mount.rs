//! Mounts against `findmnt` in each namespace; what lies beneath what, and what of the host is mounted in, against the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, same};
use crate::network::run;
use crate::runner::Context;

const TABLES: [&str; 4] = ["--tables", "mount,container,source", "--interval", "200ms"];
const COLUMNS: &str = "ID,PARENT,TARGET,SOURCE,FSTYPE,VFS-OPTIONS,FS-OPTIONS,PROPAGATION,MAJ:MIN,FSROOT";

fn snapshot(context: &Context) -> Result<Snapshot> {
    context.agent.snapshot_with(&context.endpoint(), &TABLES)
}

/// What `findmnt` tells of the namespace of a process, by the mount's id.
fn findmnt(pid: u32) -> Result<BTreeMap<u64, Value>> {
    let text = run(&["findmnt", "-N", &pid.to_string(), "-J", "-l", "-v", "-o", COLUMNS])?;
    let all: Value = serde_json::from_str(&text)?;
    let rows = all["filesystems"].as_array().context("no file systems")?;
    rows.iter().map(|row| Ok((row["id"].as_u64().context("no id")?, row.clone()))).collect()
}

fn rows_of(snapshot: &Snapshot, is: impl Fn(&Value) -> bool) -> Result<BTreeMap<u64, &Value>> {
    let rows = snapshot.rows("mount")?.iter().filter(|row| is(row));
    rows.map(|row| Ok((row["mount"].as_u64().context("no id")?, row))).collect()
}

fn compare(told: &BTreeMap<u64, &Value>, truth: &BTreeMap<u64, Value>) -> Result<()> {
    let ids = |all: Vec<&u64>| all.into_iter().copied().collect::<Vec<_>>();
    let (ours, theirs) = (ids(told.keys().collect()), ids(truth.keys().collect()));
    ensure!(ours == theirs, "mounts {ours:?}, findmnt says {theirs:?}");
    for (id, row) in told {
        let truth = &truth[id];
        for (field, column) in [
            ("parent", "parent"),
            ("mountpoint", "target"),
            ("source", "source"),
            ("fstype", "fstype"),
            ("options", "vfs-options"),
            ("super_options", "fs-options"),
            ("propagation", "propagation"),
            ("device", "maj:min"),
            ("root", "fsroot"),
        ] {
            same(row, field, &truth[column])?;
        }
    }
    Ok(())
}

/// Every mount with all it has, in each container and on the host.
pub(crate) fn as_findmnt(context: &mut Context) -> Result<()> {
    let mut compared = 0;
    let snapshot = snapshot(context)?;
    for (name, container) in &context.lab.state().containers {
        let Some(pid) = container.init_pid else { continue };
        let told = rows_of(&snapshot, |row| row["container"] == *container.id)?;
        compare(&told, &findmnt(pid)?).with_context(|| name.clone())?;
        compared += told.len();
    }
    ensure!(compared > 100, "only {compared} mounts compared");
    // On the host others may mount meanwhile.
    let told = rows_of(&snapshot, |row| row["host"] == true)?;
    let truth = findmnt(1)?;
    let common: BTreeMap<u64, &Value> = told.into_iter().filter(|(id, _)| truth.contains_key(id)).collect();
    let truth: BTreeMap<u64, Value> = truth.into_iter().filter(|(id, _)| common.contains_key(id)).collect();
    ensure!(common.len() > 5, "only {} of the host's", common.len());
    compare(&common, &truth).context("host")
}

fn one<'a>(
    context: &Context,
    snapshot: &'a Snapshot,
    name: &str,
    mountpoint: &str,
) -> Result<Vec<&'a Value>> {
    let id = &context.lab.container(name)?.id;
    let rows = rows_of(snapshot, |row| row["container"] == **id && row["mountpoint"] == mountpoint)?;
    ensure!(!rows.is_empty(), "nothing at {mountpoint} of {name}");
    Ok(rows.into_values().collect())
}

/// Of two mounts on one folder the first is hidden, and nothing else is.
pub(crate) fn overmounted(context: &mut Context) -> Result<()> {
    let snapshot = snapshot(context)?;
    let at = one(context, &snapshot, "exposed", "/srv")?;
    let hidden: Vec<_> = at.iter().map(|row| (row["source"].clone(), row["overmounted"].clone())).collect();
    ensure!(hidden == [(json!("beneath"), json!(true)), (json!("above"), json!(false))], "{hidden:?}");
    let id = &context.lab.container("exposed")?.id;
    let all = rows_of(&snapshot, |row| row["container"] == **id && row["overmounted"] == true)?;
    ensure!(all.len() == 1, "{} are hidden", all.len());
    Ok(())
}

/// A file put down on one side is found on the other, where the row says so.
pub(crate) fn from_host(context: &mut Context) -> Result<()> {
    let snapshot = snapshot(context)?;
    let dir = context.lab.state().dir.clone();
    let from = |name: &str, mountpoint: &str| -> Result<(String, bool, Value)> {
        let row = *one(context, &snapshot, name, mountpoint)?.last().context("no row")?;
        let path =
            row["from_host"]["path"].as_str().with_context(|| format!("not of the host: {}", brief(row)))?;
        let writable = row["from_host"]["writable"].as_bool().context("no word on writing")?;
        Ok((path.to_owned(), writable, row["origin"].clone()))
    };
    let (shared, writable, origin) = from("exposed", "/shared")?;
    ensure!(
        Path::new(&shared) == dir.join("shared") && writable && origin == "host_path",
        "{shared} {writable} {origin}"
    );
    fs::write(Path::new(&shared).join("note"), "from the host")?;
    ensure!(context.lab.exec("exposed", &["cat", "/shared/note"])? == "from the host", "another file");

    let (socket, writable, _) = from("exposed", "/run/docker.sock")?;
    ensure!(Path::new(&socket) == dir.join("docker.sock") && writable, "{socket} {writable}");
    let (host, writable, origin) = from("hostlike", "/host")?;
    ensure!(host == "/" && !writable && origin == "host_path", "{host} {writable} {origin}");
    let refused = context.lab.exec("hostlike", &["touch", "/host/tmp/glasshull-must-not-be"]);
    ensure!(refused.is_err(), "it could be written");
    let (volume, writable, origin) = from("db", "/data")?;
    ensure!(
        Path::new(&volume).join("journal").exists() && writable && origin == "volume",
        "{volume} {origin}"
    );
    let (hosts, _, origin) = from("web", "/etc/hosts")?;
    ensure!(fs::read_to_string(&hosts)? == context.lab.exec("web", &["cat", "/etc/hosts"])?, "{hosts}");
    ensure!(origin == "runtime", "{origin}");

    // The root: through the mounted overlay, and in the layer that is written to.
    context.lab.exec("web", &["sh", "-c", "echo here > /tmp/note"])?;
    let (root, writable, origin) = from("web", "/")?;
    ensure!(
        fs::read_to_string(format!("{root}/tmp/note"))? == "here\n" && writable && origin == "root",
        "{root}"
    );
    let row = *one(context, &snapshot, "web", "/")?.first().context("no root")?;
    let upper = row["overlay"]["upper"].as_str().with_context(|| format!("no upper: {}", brief(row)))?;
    ensure!(fs::read_to_string(format!("{upper}/tmp/note"))? == "here\n", "not in {upper}");
    let lower = row["overlay"]["lower"].as_array().context("no lower")?;
    ensure!(lower.iter().all(|dir| dir.as_str().is_some_and(|dir| !dir.is_empty())), "{lower:?}");
    Ok(())
}

/// Without rights it is hidden which processes share a namespace; mounts of containers are all the same told.
pub(crate) fn without_rights(context: &mut Context) -> Result<()> {
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let args =
        ["snapshot", "--json", "--engine", "unix:///nonexistent", TABLES[0], TABLES[1], TABLES[2], TABLES[3]];
    let answer = context.agent.call_by(&nobody, &args)?;
    ensure!(answer.success, "{}", answer.err);
    let snapshot = Snapshot::parse(&answer.out)?;
    let web = context.lab.container("web")?;
    let told = rows_of(&snapshot, |row| row["container"] == *web.id)?;
    compare(&told, &findmnt(web.init_pid.context("no init")?)?)?;
    ensure!(told.values().all(|row| row["mntns"].is_null()), "an inode that is hidden");
    ensure!(
        told.values().any(|row| row["mountpoint"] == "/" && row["from_host"]["path"].is_string()),
        "no host path"
    );
    let source = snapshot.rows("source")?.iter().find(|row| row["name"] == "mount").context("no source")?;
    same(source, "state", &json!("limited"))?;
    same(source, "capability", &json!("CAP_SYS_PTRACE"))
}
