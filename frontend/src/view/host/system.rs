//! What the host is and what its kernel counts.

use glasshull_shared::domain::host::{CgroupMode, Host};
use glasshull_shared::unit;
use leptos::prelude::*;

use super::cpu::of_host;
use crate::store::Store;
use crate::widget::facts::{Fact, Facts, live_fact};
use crate::widget::measure::zone_offset_nanos;

const WAITING: &str = "not told yet";

pub(super) fn system(store: Store) -> impl IntoView {
    let is = move |name: &'static str, f: fn(&Host) -> Fact| {
        live_fact(name, move || store.host().map_or_else(|| Fact::unknown(WAITING), |h| f(&h)))
    };
    let does = move |name: &'static str, f: fn(&glasshull_shared::domain::host::HostStat) -> Fact| {
        live_fact(name, move || of_host(store, f).unwrap_or_else(|| Fact::unknown(WAITING)))
    };
    view! {
        <Facts>
            {is("host", |h| Fact::new(&h.hostname))}
            {is("os", |h| Fact::or(h.os.clone(), "/etc/os-release could not be read"))}
            {is("kernel", |h| Fact::new(format!("{} {}", h.kernel, h.architecture)))}
            {is("cpus", |h| Fact::new(h.cpus.to_string()))}
            {is("booted", |h| Fact::new(unit::date_time(h.boot_at.saturating_add_signed(zone_offset_nanos()))))}
            {does("uptime", |h| Fact::new(unit::duration(h.uptime_secs.saturating_mul(1_000_000_000))))}
            {does("load", |h| Fact::new(load(h.load)).title("means of 1, 5 and 15 minutes: /proc/loadavg"))}
            {does("tasks", |h| {
                let text = format!("{} runnable of {}", unit::count(h.runnable.into()), unit::count(h.threads.into()));
                Fact::new(text).title("threads count: /proc/loadavg field 4")
            })}
            {does("waiting for I/O", |h| {
                let fact = Fact::new(h.blocked.to_string()).title("tasks waiting for I/O: /proc/stat procs_blocked");
                if h.blocked > 0 { fact.tone("trouble") } else { fact }
            })}
            {does("switches", |h| rate(h.context_switches_per_sec).title("context switches: /proc/stat ctxt"))}
            {does("forks", |h| rate(h.forks_per_sec).title("tasks created, threads too: /proc/stat processes"))}
            {is("cgroups", |h| Fact::new(match h.cgroup_mode {
                CgroupMode::V1 => "v1",
                CgroupMode::Hybrid => "hybrid: v1 controllers beside a v2 tree",
                CgroupMode::V2 => "v2",
                CgroupMode::Unknown => "none that we can see",
            }))}
            {is("agent", |h| {
                let pid = h.agent_pid.map_or_else(|| "in a pid namespace of its own".into(), |p| format!("pid {p}"));
                Fact::new(format!("glasshull {}, {pid}", h.agent_version))
            })}
            {is("process arguments", |h| Fact::new(if h.args_masked { "masked by --mask-args" } else { "visible" }))}
            {is("capabilities", capabilities)}
        </Facts>
    }
}

fn load(means: [f32; 3]) -> String {
    means.map(|mean| format!("{mean:.2}")).join("  ")
}

fn rate(per_sec: Option<f32>) -> Fact {
    Fact::or(per_sec.map(|n| unit::per_sec(f64::from(n))), "first sample: a rate needs two")
}

fn capabilities(host: &Host) -> Fact {
    if host.capabilities.is_empty() {
        return Fact::new("none").tone("attention").title("what they hide is told below, source by source");
    }
    let all = host.capabilities.join(" ");
    match host.capabilities.len() {
        n @ 0..=4 => Fact::new(all.replace("CAP_", "").to_lowercase()).title(format!("{n}: {all}")),
        n => Fact::new(format!("{n} effective")).title(all),
    }
}
