//! Rules about how a container is confined and limited that no container of the lab meets.

use anyhow::{Result, ensure};
use glasshull_shared::domain::finding::{Rule, Severity};

use super::judged::{Judged, Own, of_container};
use crate::network::run;
use crate::runner::Context;

/// A limit that is set from outside, until it is set back.
pub(crate) fn not_as_declared(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let options = ["--network", "none", "--ulimit", "nofile=256:512"];
    let own = Own::run(context, "otherwise", &options, &["sleep", "600"])?;
    let by = of_container(&own.id);
    let pid = own.init()?.to_string();
    judged.quiet(Rule::NotAsDeclared, &by)?;
    for (limit, severity) in [("512:512", Severity::Attention), ("100:512", Severity::Info)] {
        run(&["prlimit", "--pid", &pid, &format!("--nofile={limit}")])?;
        let told =
            judged.raised(Rule::NotAsDeclared, &|key, row| by(key, row) && row.severity == severity)?;
        let how = told.value("limit nofile").or_else(|_| told.value("rlimit nofile"))?;
        ensure!(how.starts_with("declared 256 soft, 512 hard, is "), "{how}");
        // Its own check line tells the same, asked of the engine it is of.
        let check = told.row.check(Rule::NotAsDeclared);
        let (program, rest) = check.split_once(' ').unwrap_or_default();
        ensure!(program == "glasshull" && rest.contains(&context.endpoint()), "{check}");
        let printed = run(&["sh", "-c", &format!("'{}' {rest}", context.agent.program().display())])?;
        ensure!(printed.contains("256 soft, 512 hard"), "{check} prints\n{printed}");
        run(&["prlimit", "--pid", &pid, "--nofile=256:512"])?;
        judged.cleared(&told)?;
    }
    Ok(())
}

/// As root, and without an end for memory; then with a limit, then ended.
pub(crate) fn never_killed(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let options = ["--network", "none", "--oom-kill-disable"];
    let own = Own::run(context, "endless", &options, &["sleep", "600"])?;
    let plain = Own::run(context, "plain", &["--network", "none", "--user", "1000"], &["sleep", "600"])?;
    let (by, others) = (of_container(&own.id), of_container(&plain.id));
    let root = judged.raised(Rule::RootWithoutUserns, &by)?.is(Severity::Info)?;
    // Control groups of version 2 do not know of it.
    if context.lab.inspect(own.name)?["HostConfig"]["OomKillDisable"] == true {
        let told = judged.raised(Rule::OomKillDisabled, &by)?.is(Severity::Trouble)?;
        context.lab.docker(&["update", "--memory", "64m", "--memory-swap", "64m", own.name])?;
        judged.cleared(&told)?;
    }
    for rule in [Rule::RootWithoutUserns, Rule::OomKillDisabled] {
        judged.quiet(rule, &others)?;
    }
    context.lab.docker(&["kill", own.name])?;
    judged.cleared(&root)
}

/// As good as the host in four ways, and without a limit; made anew as it should be, under the same name.
pub(crate) fn too_free(context: &mut Context) -> Result<()> {
    const RULES: [Rule; 5] = [
        Rule::HostLike,
        Rule::DangerousCapability,
        Rule::EngineSocket,
        Rule::WritableHostPath,
        Rule::NoMemoryLimit,
    ];
    let judged = Judged::start(context, &[])?;
    let dir = context.lab.state().dir.display().to_string();
    let (socket, shared) =
        (format!("{dir}/docker.sock:/run/docker.sock:ro"), format!("{dir}/shared:/shared"));
    let free = ["--network", "host", "--cap-add", "SYS_ADMIN", "--volume", &socket, "--volume", &shared];
    let own = Own::run(context, "free", &free, &["sleep", "600"])?;
    let raise = |rule| judged.raised(rule, &of_container(&own.id));
    let told = RULES.into_iter().map(raise).collect::<Result<Vec<_>>>()?;
    drop(own);
    for told in &told {
        judged.cleared(told)?;
    }
    let bound = ["--network", "none", "--memory", "64m", "--volume", &format!("{dir}/shared:/shared:ro")];
    let own = Own::run(context, "free", &bound, &["sleep", "600"])?;
    RULES.into_iter().try_for_each(|rule| judged.quiet(rule, &of_container(&own.id)))
}
