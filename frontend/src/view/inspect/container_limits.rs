//! The limits of a container in the inspector: what holds, whose limit it is, what its memory is made of, what passes which
//! disk, and who was killed.

use std::sync::Arc;

use glasshull_shared::domain::cgroup::{Limit, LimitStat, OomKill, Resource, Room, rooms};
use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use glasshull_shared::domain::host::CgroupMode;
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::container::{key, uses};
use super::device_users::devices;
use super::{in_the_shell, part};
use crate::store::limit::{bound_text, io_text, shell_lines};
use crate::store::{Selection, Store, use_store};
use crate::widget::facts::{Fact, Facts, live_fact};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::meter::{Measure, Meter, Stack, tone_of_fill};

const TOPICS: [Topic; 5] =
    [Topic::Limit, Topic::LimitStat, Topic::ContainerStat, Topic::OomKill, Topic::Container];
const NO_FILE: &str = "its control group does not tell, or it does not run";
/// Kills listed.
const KILLS: usize = 20;

/// The tab.
pub(super) fn limits(selection: Selection) -> AnyView {
    let (store, key) = (use_store(), key(&selection));
    store.want_here(&TOPICS);
    let lines = {
        let key = key.clone();
        move || {
            let mode = store.host().map_or(CgroupMode::Unknown, |h| h.cgroup_mode);
            limit(store, &key).map(|limit| shell_lines(&limit, mode)).unwrap_or_default()
        }
    };
    view! {
        {part("Room", room(store, key.clone()))}
        {part("Memory", memory(store, key.clone()))}
        {part("Disks", devices(store, key.clone()))}
        {part("What holds", bounds(store, key.clone()))}
        {part("OOM kills", kills(store, key))}
        {in_the_shell(lines)}
    }
    .into_any()
}

fn limit(store: Store, key: &ContainerKey) -> Option<Arc<Limit>> {
    store.read(&[Topic::Limit], |s| s.limit.get(key).cloned())
}

fn more(store: Store, key: &ContainerKey) -> Option<Arc<LimitStat>> {
    store.read(&[Topic::LimitStat], |s| s.limit_stat.get(key).cloned())
}

/// A bar per limit, the fullest first.
fn room(store: Store, key: ContainerKey) -> AnyView {
    let of_none = key.clone();
    let all = Memo::new(move |_| {
        let (Some(limit), Some(stat)) = (limit(store, &key), uses(store, &key)) else { return Vec::new() };
        rooms(&limit, &stat, more(store, &key).as_deref())
    });
    let none = move || match uses(store, &of_none) {
        Some(_) => "Nothing of it is limited.",
        None => "It does not run.",
    };
    let line = move |room: Room| {
        let ratio = room.fill() as f32;
        let text = format!("{} {}", room.resource.name(), unit::percent(room.fill()));
        // A quota that is used up is what it is for; what it costs stands under "throttled".
        let tone = if room.resource == Resource::Cpu { "" } else { tone_of_fill(ratio) };
        view! {
            <li>
                <span>{text}</span>
                <Meter
                    label=room.resource.name()
                    measure=Signal::stored(Some(Measure { ratio, mark: Some(1.0), tone }))
                />
            </li>
        }
    };
    view! {
        <ul class="rooms">{move || all.get().into_iter().map(line).collect_view()}</ul>
        <p class="dim" hidden=move || all.with(|all| !all.is_empty())>{none}</p>
    }
    .into_any()
}

/// What usage is made of, as shares of the limit, or of the usage itself where there is none.
fn memory(store: Store, key: ContainerKey) -> AnyView {
    let parts = {
        let key = key.clone();
        Signal::derive(move || {
            let usage = uses(store, &key).and_then(|stat| stat.memory_usage_bytes).unwrap_or(0);
            let max = limit(store, &key).and_then(|limit| limit.memory_max_bytes.value());
            let more = more(store, &key);
            let whole = max.filter(|max| *max > 0).unwrap_or(usage).max(1) as f32;
            let share = |n: Option<u64>| n.unwrap_or(0) as f32 / whole;
            let more = more.as_deref().cloned().unwrap_or_default();
            let cache = more.file_bytes.map(|file| file.saturating_sub(more.shmem_bytes.unwrap_or(0)));
            vec![
                ("anon", share(more.anon_bytes), "programs"),
                ("shmem", share(more.shmem_bytes), "shared memory"),
                ("cache", share(cache), "page cache"),
                ("kernel", share(more.kernel_bytes), "kernel"),
            ]
        })
    };
    let has = move |name: &'static str, f: fn(&LimitStat) -> Option<u64>| {
        let key = key.clone();
        live_fact(name, move || Fact::or(more(store, &key).and_then(|m| f(&m)).map(unit::bytes), NO_FILE))
    };
    view! {
        <Stack parts=parts label="What its memory is made of" />
        <Facts>
            {has("programs", |m| m.anon_bytes)}
            {has("page cache", |m| m.file_bytes)}
            {has("of it shared", |m| m.shmem_bytes)}
            {has("kernel", |m| m.kernel_bytes)}
            {has("sockets", |m| m.sock_bytes)}
            {has("swapped out", |m| m.swap_bytes)}
            {has("most ever", |m| m.memory_peak_bytes)}
        </Facts>
    }
    .into_any()
}

fn bounds(store: Store, key: ContainerKey) -> AnyView {
    let of =
        move |name: &'static str, key: &ContainerKey, f: fn(&Limit) -> Option<String>, why: &'static str| {
            let key = key.clone();
            live_fact(name, move || Fact::or(limit(store, &key).and_then(|limit| f(&limit)), why))
        };
    let throttled = {
        let key = key.clone();
        live_fact("throttled", move || throttled(uses(store, &key).as_deref()))
    };
    let hits = {
        let key = key.clone();
        live_fact("at limit", move || {
            let hits = more(store, &key).and_then(|more| more.memory_limit_hits);
            Fact::or(hits.map(|n| format!("{} times", unit::count(n))), NO_FILE)
        })
    };
    view! {
        <Facts>
            {of("cpu", &key, |l| bound_text(&l.cpu_cores, &l.cgroup, |cores| format!("{cores:.2} cores")), NO_FILE)}
            {throttled}
            {of("weight", &key, weight, NO_FILE)}
            {of("cores", &key, |l| l.cpuset_cpus.clone(), NO_FILE)}
            {of("memory", &key, |l| bound_text(&l.memory_max_bytes, &l.cgroup, unit::bytes), NO_FILE)}
            {hits}
            {of("slowed above", &key, |l| bound_text(&l.memory_high_bytes, &l.cgroup, unit::bytes), "v2 only: memory.high")}
            {of("soft limit", &key, |l| bound_text(&l.memory_soft_bytes, &l.cgroup, unit::bytes), "v1 only: memory.soft_limit_in_bytes")}
            {of("spared", &key, spared, "v2 only: memory.low, memory.min")}
            {of("swap", &key, swap, "swap is not accounted here")}
            {of("tasks", &key, |l| bound_text(&l.pids_max, &l.cgroup, |n| unit::count(n.into())), NO_FILE)}
            {of("disk", &key, disk, NO_FILE)}
            {of("oom killer", &key, |l| Some(killer(l).into()), NO_FILE)}
            {of("cgroup", &key, |l| Some(l.cgroup.clone()), NO_FILE)}
        </Facts>
    }
    .into_any()
}

fn throttled(stat: Option<&ContainerStat>) -> Fact {
    let Some(stat) = stat.filter(|stat| stat.cpu_limit_cores.is_some()) else { return Fact::new("no quota") };
    let Some(now) = stat.cpu_throttled_ratio else { return Fact::unknown("first sample: a rate needs two") };
    let held = stat.cpu_throttled_nanos.map(unit::duration).unwrap_or_default();
    Fact::new(format!("{} of its periods now, {held} in all", unit::percent(f64::from(now))))
        .tone(if now > 0.25 { "trouble" } else { "" })
}

fn weight(limit: &Limit) -> Option<String> {
    let shares = limit.cpu_shares.map(|n| format!("{} shares (usual: 1,024)", unit::count(n)));
    shares.or_else(|| limit.cpu_weight.map(|n| format!("{n} (usual: 100)")))
}

fn spared(limit: &Limit) -> Option<String> {
    let text = |n: u64| if n == u64::MAX { "all".to_owned() } else { unit::bytes(n) };
    let (low, min) = (limit.memory_low_bytes?, limit.memory_min_bytes?);
    Some(if (low, min) == (0, 0) {
        "nothing".into()
    } else {
        format!("low {}, min {}", text(low), text(min))
    })
}

fn swap(limit: &Limit) -> Option<String> {
    bound_text(&limit.swap_max_bytes, &limit.cgroup, unit::bytes).or_else(|| {
        let sum = bound_text(&limit.memory_swap_max_bytes, &limit.cgroup, unit::bytes)?;
        Some(format!("with memory: {sum}"))
    })
}

fn disk(limit: &Limit) -> Option<String> {
    let all = limit.io.as_ref()?;
    let texts = all.iter().map(io_text).collect::<Vec<_>>().join("; ");
    Some(if texts.is_empty() { "no limit".into() } else { texts })
}

fn killer(limit: &Limit) -> &'static str {
    match (limit.oom_kill_disable, limit.oom_group) {
        (Some(true), _) => "disabled: without memory its tasks stand still",
        (_, Some(true)) => "kills all its tasks together",
        (Some(false) | None, Some(false) | None) => "kills one task",
    }
}

fn kills(store: Store, key: ContainerKey) -> AnyView {
    let of = move |row: &OomKill| row.container.as_ref() == Some(&key.id);
    let rows = Memo::new(move |_| {
        store.read(&[Topic::OomKill], |s| {
            let rows = s.oom_kill.values().rev().filter(|row| of(row));
            rows.take(KILLS).map(|row| OomKill::clone(row)).collect::<Vec<_>>()
        })
    });
    let line = |row: OomKill| {
        let local = row.at.saturating_add_signed(zone_offset_nanos());
        let victim = match (row.comm, row.pid) {
            (Some(comm), Some(pid)) => format!("{comm} ({pid})"),
            (Some(_) | None, _) => format!("{} not named", row.count),
        };
        let by = row.sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ");
        view! { <li><span class="code">{unit::date_time(local)}</span>" "<b>{victim}</b>" "<span class="dim">{by}</span></li> }
    };
    view! {
        <ul class="kills">{move || rows.get().into_iter().map(line).collect_view()}</ul>
        <p class="dim" hidden=move || rows.with(|rows| !rows.is_empty())>"None that is known."</p>
    }
    .into_any()
}
