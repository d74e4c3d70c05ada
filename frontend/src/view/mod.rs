//! DRAW: the views. [`VIEWS`] is the list that rail, search, keyboard and tests are made from.

mod cgroup;
mod confinement;
mod container;
mod device;
mod dns;
mod finding;
mod host;
pub mod inspect;
mod map;
mod namespace;
mod network;
mod process;
mod scoreboard;
mod sheet;
mod wire;

use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

use crate::store::filter::{Field, Problem, Query, example};
use crate::store::flow::{capture_missed, capture_seen};
use crate::store::shell::Command;
use crate::store::{Choice, Store};
use crate::widget::filter_box::{FieldHelp, FilterBox};
use crate::widget::later::{Load, later};
use crate::widget::measure::zone_offset_nanos;
use crate::widget::shell::{Shell, ShellLine};

/// One view.
#[derive(Clone, Copy)]
pub struct View {
    /// In the URL: `?view=processes`.
    pub id: &'static str,
    /// Heading and search.
    pub title: &'static str,
    /// Label in the rail: few letters.
    pub short: &'static str,
    /// Pressed after `g`.
    pub key: char,
    /// Tables it needs while it is on the screen.
    pub topics: &'static [Topic],
    /// Draws it: [`later`] unless it is what one starts with.
    pub render: Load,
}

/// All views in the order of the rail; the first is where one starts.
pub const VIEWS: &[View] = &[
    View {
        id: "containers",
        title: "Containers",
        short: "Containers",
        key: 'c',
        topics: &[Topic::Container, Topic::ContainerStat],
        render: Load::Now(|()| container::render()),
    },
    View {
        id: "processes",
        title: "Processes",
        short: "Processes",
        key: 'p',
        topics: &[Topic::Process, Topic::ProcessStat, Topic::Container],
        render: later!(view, process::render),
    },
    View {
        id: "map",
        title: "Map",
        short: "Map",
        key: 'm',
        topics: &[
            Topic::Netns,
            Topic::Link,
            Topic::LinkStat,
            Topic::Container,
            Topic::ContainerStat,
            Topic::Finding,
        ],
        render: later!(map, map::render),
    },
    View {
        id: "network",
        title: "Network",
        short: "Network",
        key: 'n',
        topics: &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container],
        render: later!(view, network::render),
    },
    View {
        id: "wire",
        title: "Wire",
        short: "Wire",
        key: 'w',
        topics: &[Topic::Netns, Topic::Link, Topic::Container],
        render: later!(view, wire::render),
    },
    View {
        id: "namespaces",
        title: "Namespaces",
        short: "Isolation",
        key: 'i',
        topics: &[Topic::Namespace, Topic::Isolation, Topic::Container],
        render: later!(view, namespace::render),
    },
    View {
        id: "confinement",
        title: "Confinement",
        short: "Confined",
        key: 'x',
        topics: &[Topic::Confinement, Topic::Container],
        render: later!(view, confinement::render),
    },
    View {
        id: "findings",
        title: "Findings",
        short: "Findings",
        key: 'f',
        topics: &[Topic::Finding, Topic::Container],
        render: later!(view, finding::render),
    },
    View {
        id: "scoreboard",
        title: "Scoreboard",
        short: "Board",
        key: 's',
        topics: &[Topic::Process, Topic::ProcessStat, Topic::Container, Topic::ContainerStat],
        render: later!(view, scoreboard::render),
    },
    View {
        id: "limits",
        title: "Limits",
        short: "Limits",
        key: 'l',
        topics: &[Topic::Container, Topic::ContainerStat, Topic::Limit, Topic::LimitStat],
        render: later!(view, cgroup::render),
    },
    View {
        id: "disk",
        title: "Disk",
        short: "Disk",
        key: 'd',
        topics: &[Topic::Device, Topic::DeviceStat, Topic::Container],
        render: later!(view, device::render),
    },
    View {
        id: "dns",
        title: "DNS",
        short: "DNS",
        key: 'r',
        topics: &[Topic::DnsName, Topic::Resolver, Topic::Container],
        render: later!(view, dns::render),
    },
    View {
        id: "host",
        title: "Host",
        short: "Host",
        key: 'h',
        topics: &[Topic::Host, Topic::HostStat, Topic::Cpu],
        render: later!(view, host::render),
    },
];

/// A filter as typed, read for one table.
type Parsed = (Query, Vec<Problem>);

/// The filter box of a table: what is typed stands in the URL, what cannot be read of it is said.
fn filter_box(
    choice: Choice,
    placeholder: &'static str,
    fields: &'static [Field],
    query: Memo<Parsed>,
) -> AnyView {
    let problems = move || {
        query.with(|(_, problems)| problems.iter().map(|p| (p.part.clone(), p.reason.clone())).collect())
    };
    let help = |f: &Field| FieldHelp { name: f.name, help: f.help, example: example(f.kind) };
    let fields = fields.iter().map(help).collect::<Vec<_>>();
    view! {
        <FilterBox
            id="filter"
            placeholder=placeholder
            text=choice.filter
            on_text=Callback::new(move |text| choice.set_filter(text))
            problems=Signal::derive(problems)
            fields=fields
        />
    }
    .into_any()
}

/// One line about the capture behind flows, with what was missed in the colour of attention.
fn capture_line(store: Store) -> impl IntoView {
    store.want_here(&[Topic::Capture]);
    let said = Memo::new(move |_| {
        store.read(&[Topic::Capture], |s| (capture_seen(s, zone_offset_nanos()), capture_missed(s)))
    });
    view! {
        <p class="capture" role="status">
            <span>{move || said.with(|(seen, _)| seen.clone())}</span>
            <span class="missed" data-tone="attention">{move || said.with(|(_, missed)| missed.clone())}</span>
        </p>
    }
}

/// What a person would type for the same answer; followed as it changes.
fn in_the_shell(commands: impl Fn() -> Vec<Command> + Send + Sync + 'static) -> AnyView {
    let line = |c: Command| ShellLine { comment: c.comment, command: c.command, reads: c.reads };
    let lines = Memo::new(move |_| commands().into_iter().map(line).collect::<Vec<_>>());
    view! { <Shell lines=lines /> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_starts_with_is_there_at_once_and_every_other_view_comes_later() {
        let comes_later = VIEWS.iter().map(|view| view.render.fetch().is_some()).collect::<Vec<_>>();
        assert!(comes_later.len() > 1);
        assert!(comes_later.iter().enumerate().all(|(i, later)| *later == (i > 0)), "{comes_later:?}");
    }
}
