//! What confines containers against `capsh`, `getpcaps`, `prlimit`, `docker inspect` and the kernel's own files.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, same};
use crate::host::keyed;
use crate::network::run;
use crate::runner::Context;

const TABLES: [&str; 4] = ["--tables", "confinement,container", "--interval", "200ms"];
/// Usual, more and less confined.
const COMPARED: [&str; 5] = ["web", "limited", "confined", "exposed", "hostlike"];

fn row<'a>(snapshot: &'a Snapshot, context: &Context, name: &str) -> Result<&'a Value> {
    let id = &context.lab.container(name)?.id;
    let mut rows = snapshot.rows("confinement")?.iter();
    rows.find(|row| row["id"] == **id).with_context(|| format!("no row for {name}"))
}

/// Each of the compared containers with its init and row.
fn each(context: &Context, mut compare: impl FnMut(&str, u32, &Value) -> Result<()>) -> Result<()> {
    let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
    for name in COMPARED {
        let pid = context.lab.container(name)?.init_pid.context("no init")?;
        let row = row(&snapshot, context, name)?;
        same(row, "init_pid", &json!(pid))?;
        compare(name, pid, row).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// `prlimit` on a process as its own user: of others' processes even root is refused without CAP_SYS_RESOURCE.
fn prlimit(pid: u32, options: &[&str]) -> Result<String> {
    let id = |field| {
        let ids = keyed(&format!("/proc/{pid}/status"), field)?;
        Ok::<_, anyhow::Error>(ids.split_whitespace().next().context("no id")?.to_owned())
    };
    let (uid, gid, pid) = (id("Uid")?, id("Gid")?, pid.to_string());
    let own = ["setpriv", "--reuid", &uid, "--regid", &gid, "--clear-groups", "prlimit", "--pid", &pid];
    run(&[&own[if uid == "0" { 6 } else { 0 }..], options].concat())
}

fn words(value: &Value) -> Result<BTreeSet<String>> {
    let list = value.as_array().with_context(|| format!("no list: {value}"))?;
    Ok(list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
}

/// All five sets, as `capsh` decodes the kernel's masks; what is effective, as `getpcaps` tells it.
pub(crate) fn capabilities(context: &mut Context) -> Result<()> {
    each(context, |_, pid, row| {
        let held = &row["effective"]["capabilities"];
        for (name, field) in [
            ("effective", "CapEff"),
            ("permitted", "CapPrm"),
            ("bounding", "CapBnd"),
            ("inheritable", "CapInh"),
            ("ambient", "CapAmb"),
        ] {
            let mask = keyed(&format!("/proc/{pid}/status"), field)?;
            let decoded = run(&["capsh", &format!("--decode={mask}")])?;
            let (_, names) = decoded.trim().split_once('=').context("what capsh says")?;
            let truth = names.split(',').filter(|n| !n.is_empty()).map(str::to_uppercase).collect();
            ensure!(words(&held[name])? == truth, "{name}: {}, capsh says {names}", held[name]);
        }
        let told = run(&["getpcaps", &pid.to_string()])?;
        let (_, text) = told.trim().split_once(':').context("what getpcaps says")?;
        let mut truth = BTreeSet::new();
        for clause in text.split_whitespace() {
            let at = clause.find(['=', '+']).context("a clause without flags")?;
            if clause.get(at..).is_some_and(|flags| flags.contains('e')) {
                truth.extend(clause.get(..at).unwrap_or_default().split(',').map(str::to_uppercase));
            }
        }
        let effective = words(&held["effective"])?;
        ensure!(effective == truth, "effective {effective:?}, getpcaps says {text}");
        Ok(())
    })
}

/// All sixteen limits.
pub(crate) fn limits(context: &mut Context) -> Result<()> {
    each(context, |_, pid, row| {
        let told = prlimit(pid, &["--output", "RESOURCE,SOFT,HARD", "--noheadings", "--raw"])?;
        let value = |text: &str| {
            if text == "unlimited" { Ok(Value::Null) } else { text.parse::<u64>().map(Value::from) }
        };
        let mut compared = 0;
        for line in told.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [name, soft, hard] = fields[..] else { continue };
            let truth = json!({"name": name.to_lowercase(), "soft": value(soft)?, "hard": value(hard)?});
            let held = row["effective"]["rlimits"].as_array().context("no limits")?;
            ensure!(held.contains(&truth), "no {truth} in {}", row["effective"]["rlimits"]);
            compared += 1;
        }
        ensure!(compared == 16, "prlimit tells {compared}");
        Ok(())
    })
}

/// Seccomp, no_new_privs, ids, score, root and devices.
pub(crate) fn rest(context: &mut Context) -> Result<()> {
    let lab = &context.lab;
    each(context, |name, pid, row| {
        let held = &row["effective"];
        let status = |field| keyed(&format!("/proc/{pid}/status"), field);
        let mode = ["disabled", "strict", "filter"];
        same(held, "seccomp", &json!(mode.get(status("Seccomp")?.parse::<usize>()?)))?;
        same(held, "seccomp_filters", &json!(status("Seccomp_filters")?.parse::<u32>()?))?;
        same(held, "no_new_privs", &json!(status("NoNewPrivs")? == "1"))?;
        let ids =
            |text: String| text.split_whitespace().map(|id| id.parse()).collect::<Result<Vec<u32>, _>>();
        let (uids, gids) = (ids(status("Uid")?)?, ids(status("Gid")?)?);
        for (field, truth) in [("uid", uids[0]), ("euid", uids[1]), ("gid", gids[0]), ("egid", gids[1])] {
            same(held, field, &json!(truth))?;
        }
        same(held, "groups", &json!(ids(status("Groups")?)?))?;
        let score: i32 = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?.trim().parse()?;
        same(held, "oom_score_adj", &json!(score))?;
        let options = run(&["findmnt", "-N", &pid.to_string(), "-n", "-o", "OPTIONS", "--target", "/"])?;
        let read_only = options.trim().split(',').any(|option| option == "ro");
        same(held, "read_only_root", &json!(read_only))?;
        ensure!(read_only == (name == "confined"), "findmnt says {options}");
        let list = format!("/sys/fs/cgroup/devices/docker/{}/devices.list", lab.container(name)?.id);
        match fs::read_to_string(list) {
            Ok(list) => {
                same(held, "device_control", &json!("cgroup_v1"))?;
                same(held, "devices", &json!(list.lines().collect::<Vec<_>>()))
            }
            // A host with cgroup v2 alone.
            Err(_) => same(held, "device_control", &json!("bpf")),
        }
    })
}

/// The engine's words arrive as they are; as nothing was changed behind its back, nothing is freer than it was told.
pub(crate) fn declared(context: &mut Context) -> Result<()> {
    let lab = &context.lab;
    each(context, |name, _, row| {
        let truth = lab.inspect(name)?;
        let (host, told) = (&truth["HostConfig"], &row["declared"]);
        let list = |value: &Value| if value.is_null() { json!([]) } else { value.clone() };
        let text = |value: &Value| if value == "" { Value::Null } else { value.clone() };
        for (field, truth) in [
            ("privileged", host["Privileged"].clone()),
            ("read_only_root", host["ReadonlyRootfs"].clone()),
            ("oom_score_adj", host["OomScoreAdj"].clone()),
            ("cap_add", list(&host["CapAdd"])),
            ("cap_drop", list(&host["CapDrop"])),
            ("security_opt", list(&host["SecurityOpt"])),
            ("masked_paths", host["MaskedPaths"].clone()),
            ("pid_mode", text(&host["PidMode"])),
            ("network_mode", text(&host["NetworkMode"])),
            ("ipc_mode", text(&host["IpcMode"])),
            ("uts_mode", text(&host["UTSMode"])),
            ("user", text(&truth["Config"]["User"])),
        ] {
            same(told, field, &truth)?;
        }
        let mounts = truth["Mounts"].as_array().map_or(0, Vec::len);
        ensure!(told["mounts"].as_array().map(Vec::len) == Some(mounts), "mounts {}", told["mounts"]);
        ensure!(row.get("environment").is_none() && !row.to_string().contains("PATH="), "an environment");
        let differences = row["differences"].as_array().context("no differences")?;
        ensure!(differences.iter().all(|d| d["looser"] == false), "{}", row["differences"]);
        Ok(())
    })
}

/// A limit set from outside is told beside what the engine was told, and no more once it is set back.
pub(crate) fn changed(context: &mut Context) -> Result<()> {
    let pid = context.lab.container("confined")?.init_pid.context("no init")?;
    let differs = |context: &Context| {
        let snapshot = context.agent.snapshot_with(&context.endpoint(), &TABLES)?;
        let row = row(&snapshot, context, "confined")?;
        let all = row["differences"].as_array().context("no differences")?;
        Ok::<_, anyhow::Error>(all.iter().find(|d| d["aspect"] == "rlimit").cloned())
    };
    ensure!(differs(context)?.is_none(), "a difference before anything was changed");
    prlimit(pid, &["--nofile=100:512"])?;
    let found = differs(context);
    prlimit(pid, &["--nofile=256:512"])?;
    let found = found?.context("the difference is not told")?;
    same(&found, "name", &json!("nofile"))?;
    same(&found, "declared", &json!("256 soft, 512 hard"))?;
    same(&found, "effective", &json!("100 soft, 512 hard"))?;
    same(&found, "looser", &json!(false))?;
    ensure!(differs(context)?.is_none(), "the difference stays");
    Ok(())
}

/// `glasshull confinement NAME`, for people and as JSON.
pub(crate) fn command(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let json = context.agent.json(&["confinement", "exposed", "--json", "--engine", &endpoint])?;
    same(&json, "id", &json!(context.lab.container("exposed")?.id))?;
    ensure!(json["effective"]["seccomp"] == "disabled", "{}", brief(&json));
    let mounts = json["mounts"].as_array().context("no mounts")?;
    ensure!(mounts.iter().any(|row| row["mountpoint"] == "/shared"), "no /shared among its mounts");
    let answer = context.agent.call(&["confinement", "exposed", "--engine", &endpoint])?;
    ensure!(answer.success, "{}", answer.err);
    for word in ["CAP_SYS_ADMIN", "disabled", "/run/docker.sock", "beneath another mount", "writable"] {
        ensure!(answer.out.contains(word), "no {word:?} in:\n{}", answer.out);
    }
    let answer = context.agent.call(&["confinement", "nobody-of-that-name", "--engine", &endpoint])?;
    ensure!(!answer.success && answer.err.contains("nobody-of-that-name"), "{}", answer.err);
    Ok(())
}
