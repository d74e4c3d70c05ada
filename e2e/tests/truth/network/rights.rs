//! Less than root's rights: what is hidden is said with the capability that would show it, what is not hidden stays true.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::link::{all, compare_all};
use super::{Place, TABLES, ip};
use crate::agent::{Snapshot, brief, same};
use crate::runner::Context;

/// The agent without CAP_NET_RAW, without CAP_SYS_ADMIN, and without both.
pub(crate) fn dropped(context: &mut Context) -> Result<()> {
    for (caps, closed) in [("-net_raw", false), ("-sys_admin", true), ("-net_raw,-sys_admin", true)] {
        let prefix = ["setpriv", "--bounding-set", caps, "--inh-caps", caps];
        without(context, &prefix, closed).with_context(|| caps.to_owned())?;
    }
    Ok(())
}

fn without(context: &Context, prefix: &[&str], closed: bool) -> Result<()> {
    let host = [Place::host()?];
    let before = all(&host)?;
    let snapshot = snapshot(context, prefix)?;
    let after = all(&host)?;
    // Our own namespace needs no permission at all.
    compare_all(&snapshot, &host, (&before, &after), false)?;
    for table in ["route", "neighbour"] {
        let family = ip(&[], &[if table == "route" { "route" } else { "neighbour" }])?;
        ensure!(family.is_empty() || !host[0].rows(&snapshot, table)?.is_empty(), "no {table} of the host");
    }
    let id = &context.lab.container("web")?.id;
    same(snapshot.container(id)?, "state", &json!("running"))?;
    ensure!(!snapshot.pids_of(id)?.is_empty(), "no process in web");
    let web = Place::container(context, "web")?;
    let source = source(&snapshot)?;
    let told = web.rows(&snapshot, "netns")?;
    let told = told.first().context("web's namespace is not told at all")?;
    same(told, "containers", &json!([id]))?;
    if closed {
        same(told, "hidden", &json!("entering needs CAP_SYS_ADMIN"))?;
        same(source, "state", &json!("limited"))?;
        same(source, "capability", &json!("CAP_SYS_ADMIN"))?;
        ensure!(source["reason"].as_str().is_some_and(|r| r.contains("hidden")), "{}", brief(source));
        ensure!(web.rows(&snapshot, "link")?.is_empty(), "links of a closed namespace");
    } else {
        same(told, "hidden", &Value::Null)?;
        ensure!(web.rows(&snapshot, "link")?.len() > 1, "no links of web");
    }
    // What is shown of pairs says what it lacks.
    let answer = context.agent.call_by(prefix, &["veth", "--engine", &context.endpoint()])?;
    ensure!(answer.success && !answer.err.contains("panicked"), "veth: {}", answer.err);
    ensure!(answer.err.contains("hidden") == closed, "veth says {:?}", answer.err);
    Ok(())
}

/// An ordinary user: of its own namespace everything, of the others that they are hidden.
pub(crate) fn nobody(context: &mut Context) -> Result<()> {
    // The build's directory may be closed to others.
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let program = folder.path().join("glasshull");
    fs::copy(context.agent.program(), &program)?;
    let program = program.to_str().context("a path that is no text")?;
    let endpoint = context.endpoint();
    let mut args = vec!["--reuid", "65534", "--regid", "65534", "--clear-groups", program];
    args.extend(["snapshot", "--json", "--engine", &endpoint]);
    args.extend(TABLES);
    let host = [Place::host()?];
    let before = all(&host)?;
    let said = super::run(&[&["setpriv"], &args[..]].concat())?;
    let after = all(&host)?;
    let snapshot = Snapshot::parse(&said)?;
    compare_all(&snapshot, &host, (&before, &after), false)?;
    let source = source(&snapshot)?;
    same(source, "state", &json!("limited"))?;
    let missing = source["capability"].as_str().unwrap_or_default();
    ensure!(missing.contains("CAP_SYS_PTRACE"), "{}", brief(source));
    ensure!(snapshot.rows("process")?.len() > 10, "processes are nobody's secret");
    Ok(())
}

fn snapshot(context: &Context, prefix: &[&str]) -> Result<Snapshot> {
    let endpoint = context.endpoint();
    let args = [&["snapshot", "--json", "--engine", &endpoint], &TABLES[..]].concat();
    let answer = context.agent.call_by(prefix, &args)?;
    ensure!(answer.success && !answer.err.contains("panicked"), "{}", answer.err.trim());
    Snapshot::parse(&answer.out)
}

fn source(snapshot: &Snapshot) -> Result<&Value> {
    let row = snapshot.rows("source")?.iter().find(|row| row["name"] == "network");
    row.context("the network's source is not told")
}
