//! DRAW: the views. [`VIEWS`] is the list that rail, search, keyboard and tests are made from.

mod container;
mod host;
pub mod inspect;
mod map;
mod network;
mod process;
mod scoreboard;

use glasshull_shared::snapshot::Topic;
use leptos::prelude::*;

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
    /// Draws it.
    pub render: fn() -> AnyView,
}

/// All views in the order of the rail; the first is where one starts.
pub const VIEWS: &[View] = &[
    View {
        id: "containers",
        title: "Containers",
        short: "Containers",
        key: 'c',
        topics: &[Topic::Container, Topic::ContainerStat],
        render: container::render,
    },
    View {
        id: "processes",
        title: "Processes",
        short: "Processes",
        key: 'p',
        topics: &[Topic::Process, Topic::ProcessStat, Topic::Container],
        render: process::render,
    },
    View {
        id: "map",
        title: "Map",
        short: "Map",
        key: 'm',
        topics: &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container, Topic::ContainerStat],
        render: map::render,
    },
    View {
        id: "network",
        title: "Network",
        short: "Network",
        key: 'n',
        topics: &[Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container],
        render: network::render,
    },
    View {
        id: "scoreboard",
        title: "Scoreboard",
        short: "Board",
        key: 's',
        topics: &[Topic::Process, Topic::ProcessStat, Topic::Container, Topic::ContainerStat],
        render: scoreboard::render,
    },
    View {
        id: "host",
        title: "Host",
        short: "Host",
        key: 'h',
        topics: &[Topic::Host, Topic::HostStat, Topic::Cpu],
        render: host::render,
    },
];
