//! What the agent reads about one process only when asked: its files, exact memory and namespaces.

use glasshull_shared::domain::file::{FileFate, HostFile, Layer};
use glasshull_shared::domain::process::{NamespaceLink, ProcessDetail};
use glasshull_shared::unit;
use leptos::prelude::*;

use crate::widget::facts::{Fact, Facts, fact};

const HIDDEN: &str = "not permitted: CAP_SYS_PTRACE would show it";

/// Binary, directories and what else is read with them.
pub(super) fn file_facts(detail: &ProcessDetail) -> AnyView {
    let count = |n: Option<u32>| Fact::or(n.map(|n| unit::count(n.into())), HIDDEN);
    let switches = detail.context_switches.map(|(voluntary, forced)| {
        format!("{} voluntary, {} involuntary", unit::count(voluntary), unit::count(forced))
    });
    let binary = detail.exe.as_ref().map_or_else(|| fact("binary", Fact::unknown(HIDDEN)), binary);
    let score = Fact::or(detail.oom_score_adj.map(|n| n.to_string()), HIDDEN);
    let rest = [
        fact("directory", Fact::or(detail.cwd.clone(), HIDDEN)),
        fact("root", Fact::new(detail.root.clone().unwrap_or_else(|| "/".into()))),
        fact("open files", count(detail.open_files)),
        fact("oom score", score.title("oom_score_adj, −1000 never to 1000 first")),
        fact("waits in", Fact::or(detail.wait_channel.clone(), "it does not wait, or the kernel hides it")),
        fact("switches", Fact::or(switches, "/proc/PID/status could not be read")),
    ];
    view! { <Facts>{binary} {rest}</Facts> }.into_any()
}

fn binary(exe: &HostFile) -> AnyView {
    let (fate, tone) = match exe.fate {
        FileFate::Present => ("the file it runs", "fine"),
        FileFate::Deleted => ("deleted: it runs a file that has no name any more", "trouble"),
        FileFate::Replaced => ("replaced: it runs the old file, another one has its name", "trouble"),
        FileFate::Unknown => ("not permitted to look", "unknown"),
    };
    let layer = exe.layer.as_ref().map(|layer| match layer {
        Layer::Upper => "upper: the container's own writable layer".to_owned(),
        Layer::Lower(n) => format!(
            "lower {n}: {}",
            if *n == 0 { "topmost layer of the image" } else { "a layer of the image" }
        ),
    });
    let inode =
        exe.inode.map(|inode| format!("{inode} on {}", exe.device.as_deref().unwrap_or(unit::UNKNOWN)));
    view! {
        {fact("binary", Fact::new(exe.path.clone()))}
        {fact("on the host", Fact::or(exe.host_path.clone(), HIDDEN))}
        {fact("in its layer", Fact::or(exe.layer_path.clone(), "it lies on no overlay file system"))}
        {fact("layer", Fact::or(layer, "it lies on no overlay file system"))}
        {fact("inode", Fact::or(inode, HIDDEN))}
        {fact("the name", Fact::new(fate).tone(tone))}
    }
    .into_any()
}

/// Exact memory.
pub(super) fn memory_facts(detail: &ProcessDetail) -> AnyView {
    let Some(memory) = detail.memory else {
        return view! { <p class="dim">{"smaps_rollup could not be read: it has ended, or "}{HIDDEN}</p> }
            .into_any();
    };
    let bytes = |name: &'static str, n: u64, title: &str| {
        fact(name, Fact::new(unit::bytes(n)).title(format!("{title}; {} bytes", unit::count(n))))
    };
    let all = [
        bytes("Pss", memory.pss_bytes, "shared pages divided by the number of their users"),
        bytes("Rss", memory.rss_bytes, "all resident pages"),
        bytes("private", memory.private_bytes, "pages nobody else maps: freed when it ends"),
        bytes("shared", memory.shared_bytes, "pages others map too"),
        bytes("swap", memory.swap_bytes, "pages in swap"),
    ];
    view! { <Facts>{all}</Facts> }.into_any()
}

/// Namespaces, pids in each pid namespace, and control groups.
pub(super) fn namespaces_table(detail: &ProcessDetail) -> AnyView {
    let pids = detail.ns_pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" → ");
    let groups =
        detail.cgroups.iter().map(|line| view! { <li><code>{line.clone()}</code></li> }).collect_view();
    let rows = detail.namespaces.iter().map(namespace).collect_view();
    let hidden = detail.namespaces.is_empty().then(|| view! { <p class="dim">{HIDDEN}</p> });
    view! {
        <table class="plain">
            <thead><tr><th>"namespace"</th><th class="number">"inode"</th><th>"whose"</th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
        {hidden}
        <section class="part">
            <h3>"Pids, from the host inwards"</h3>
            <p class="code" title="/proc/PID/status NSpid">{pids}</p>
        </section>
        <section class="part">
            <h3>"Control groups"</h3>
            <ul class="lines">{groups}</ul>
        </section>
    }
    .into_any()
}

fn namespace(link: &NamespaceLink) -> impl IntoView + use<> {
    view! {
        <tr>
            <td class="code">{link.kind.clone()}</td>
            <td class="number code">{link.inode}</td>
            <td class:dim=link.same_as_agent title="the host's is the one that the agent has too">
                {if link.same_as_agent { "host's" } else { "its own" }}
            </td>
        </tr>
    }
}
