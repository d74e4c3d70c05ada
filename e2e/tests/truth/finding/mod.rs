//! Findings: raised for those containers of the lab that are made to meet a rule, and for no other; the exit code says so.
//! Of rules that the lab does not meet, each has a case that makes a scene of its own, sees it raised, mends it, and sees it
//! cleared.

pub(crate) mod confined;
pub(crate) mod container;
pub(crate) mod engine;
mod judged;
pub(crate) mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::runner::Context;

/// What the command tells, and its exit code.
fn findings(context: &Context, more: &[&str]) -> Result<(Value, Option<i32>)> {
    let mut command = Command::new(context.agent.program());
    command.args(["findings", "--json", "--engine", &context.endpoint()]).args(more);
    let output = command.output().context("run glasshull findings")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(text.trim()).unwrap_or(Value::Null);
    Ok((json, output.status.code()))
}

/// Names of the lab's containers by rule, with the severity.
fn raised(context: &Context, json: &Value) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let names: BTreeMap<&str, &str> =
        context.lab.state().containers.iter().map(|(name, c)| (c.id.as_str(), name.as_str())).collect();
    let mut by_rule: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in json["findings"].as_array().context("no findings")? {
        ensure!(row["evidence"].as_array().is_some_and(|told| !told.is_empty()), "without evidence: {row}");
        let Some(name) = row["container"].as_str().and_then(|id| names.get(id)) else { continue };
        let (rule, severity) =
            (row["rule"].as_str().context("rule")?, row["severity"].as_str().context("severity")?);
        by_rule.entry(rule.to_owned()).or_default().insert((*name).to_owned(), severity.to_owned());
    }
    Ok(by_rule)
}

/// Exactly those that the scene makes so.
pub(crate) fn exactly_those(context: &mut Context) -> Result<()> {
    let (json, code) = findings(context, &["--watch", "12s"])?;
    ensure!(code == Some(1), "exit code {code:?}");
    let raised = raised(context, &json)?;
    for (rule, expected) in [
        ("host_like", &["hostlike", "hostnet"][..]),
        ("dangerous_capability", &["exposed"]),
        ("engine_socket", &["exposed"]),
        ("writable_host_path", &["exposed", "hostlike"]),
        ("throttled", &["limited"]),
        ("stuck_in_d", &["dstate"]),
        ("deleted_binary", &["deleted"]),
    ] {
        let told: BTreeSet<&str> =
            raised.get(rule).into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        ensure!(told == expected.iter().copied().collect(), "{rule}: {told:?}, made so: {expected:?}");
    }
    let severity =
        |rule: &str, name: &str| raised.get(rule).and_then(|all| all.get(name)).map(String::as_str);
    ensure!(severity("host_like", "hostlike") == Some("trouble"), "hostlike: {raised:?}");
    ensure!(severity("host_like", "hostnet") == Some("attention"), "hostnet: {raised:?}");
    ensure!(severity("oom_kill", "oomed") == Some("trouble"), "oomed: {raised:?}");
    ensure!(severity("no_memory_limit", "web") == Some("info"), "web: {raised:?}");
    ensure!(severity("no_memory_limit", "limited").is_none(), "limited has a limit");
    ensure!(severity("root_without_userns", "confined").is_none(), "confined runs as another user");
    for (rule, all) in &raised {
        ensure!(
            all.get("web").is_none_or(|severity| severity == "info"),
            "web is plain, but {rule}: {all:?}"
        );
    }
    Ok(())
}

/// A container and a level choose, and the exit code says whether anything is left.
pub(crate) fn exit_codes(context: &mut Context) -> Result<()> {
    for (more, expected) in [
        (&["--min", "trouble", "hostlike"][..], Some(1)),
        (&["--min", "attention", "web"], Some(0)),
        (&["web"], Some(1)),
        (&["nobody-is-called-so"], Some(2)),
        (&["--explain", "forwarding_off"], Some(0)),
    ] {
        let (_, code) = findings(context, more)?;
        ensure!(code == expected, "{more:?}: exit code {code:?}, expected {expected:?}");
    }
    Ok(())
}

/// Whoever may not see finds less, and is told so; nothing is raised for lack of a permission.
pub(crate) fn without_rights(context: &mut Context) -> Result<()> {
    let (all, _) = findings(context, &[])?;
    let all = raised(context, &all)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(context.agent.program());
    let output = command.args(["findings", "--json", "--engine", &context.endpoint()]).output()?;
    let json: Value = serde_json::from_slice(&output.stdout).context("findings of an ordinary user")?;
    ensure!(
        json["unseen"].as_array().is_some_and(|unseen| !unseen.is_empty()),
        "nothing is said to be unseen"
    );
    for (rule, named) in raised(context, &json)? {
        let more: Vec<_> = named
            .keys()
            .filter(|name| !all.get(&rule).is_some_and(|known| known.contains_key(*name)))
            .collect();
        ensure!(more.is_empty(), "{rule} for {more:?} only without rights");
    }
    Ok(())
}
