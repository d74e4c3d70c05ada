//! The URL's query as a set of names and values, and the values that have a form of their own. Pure.
//!
//! `?view=processes&sel=p:1234:567890&tab=files&f=state:D&sort=cpu_ratio:desc`

use std::collections::BTreeMap;

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::device::DeviceKey;
use glasshull_shared::domain::engine::EngineKey;
use glasshull_shared::domain::namespace::{NamespaceKey, NamespaceKind};
use glasshull_shared::domain::network::LinkKey;
use glasshull_shared::domain::process::ProcessKey;

/// What the inspector shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selection {
    /// `p:PID:START`
    Process(ProcessKey),
    /// `c:ID`
    Container(String),
    /// `e:ENDPOINT`
    Engine(String),
    /// `l:NETNS:IFINDEX`
    Link(LinkKey),
    /// `n:KIND:INODE`
    Namespace(NamespaceKey),
    /// `d:MAJOR:MINOR`
    Device(DeviceKey),
    /// `h`
    Host,
}

impl Selection {
    /// The process, if it is one.
    pub fn process(&self) -> Option<ProcessKey> {
        if let Self::Process(key) = self { Some(*key) } else { None }
    }

    /// The container's key, if it is one.
    pub fn container(&self) -> Option<ContainerKey> {
        if let Self::Container(id) = self { Some(ContainerKey { id: id.clone() }) } else { None }
    }

    /// The engine's key, if it is one.
    pub fn engine(&self) -> Option<EngineKey> {
        if let Self::Engine(endpoint) = self { Some(EngineKey { endpoint: endpoint.clone() }) } else { None }
    }

    /// The link, if it is one.
    pub fn link(&self) -> Option<LinkKey> {
        if let Self::Link(key) = self { Some(*key) } else { None }
    }

    /// The namespace, if it is one.
    pub fn namespace(&self) -> Option<NamespaceKey> {
        if let Self::Namespace(key) = self { Some(*key) } else { None }
    }

    /// The block device, if it is one.
    pub fn device(&self) -> Option<DeviceKey> {
        if let Self::Device(key) = self { Some(key.clone()) } else { None }
    }

    /// Whether both are of the same kind, so that a tab of one exists in the other.
    pub fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// As written in the URL.
    pub fn to_text(&self) -> String {
        match self {
            Self::Process(key) => format!("p:{}:{}", key.pid, key.start_time),
            Self::Container(id) => format!("c:{id}"),
            Self::Engine(endpoint) => format!("e:{endpoint}"),
            Self::Link(key) => format!("l:{}:{}", key.netns, key.ifindex),
            Self::Namespace(key) => format!("n:{}:{}", key.kind.name(), key.inode),
            Self::Device(key) => format!("d:{}", key.major_minor),
            Self::Host => "h".into(),
        }
    }

    /// From the URL; `None` for what is no selection.
    pub fn from_text(text: &str) -> Option<Self> {
        if text == "h" {
            return Some(Self::Host);
        }
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "p" => {
                let (pid, start) = rest.split_once(':')?;
                let key = ProcessKey { pid: pid.parse().ok()?, start_time: start.parse().ok()? };
                Some(Self::Process(key))
            }
            "l" => {
                let (netns, ifindex) = rest.split_once(':')?;
                Some(Self::Link(LinkKey { netns: netns.parse().ok()?, ifindex: ifindex.parse().ok()? }))
            }
            "n" => {
                let (kind, inode) = rest.split_once(':')?;
                let kind = NamespaceKind::from_name(kind)?;
                Some(Self::Namespace(NamespaceKey { kind, inode: inode.parse().ok()? }))
            }
            "d" if !rest.is_empty() => Some(Self::Device(DeviceKey { major_minor: rest.into() })),
            "c" if !rest.is_empty() => Some(Self::Container(rest.into())),
            "e" if !rest.is_empty() => Some(Self::Engine(rest.into())),
            _ => None,
        }
    }
}

/// Order of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// Id of the column.
    pub column: String,
    /// Largest first.
    pub descending: bool,
}

impl Sort {
    /// As written in the URL: `rss_bytes:desc`.
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.column, if self.descending { "desc" } else { "asc" })
    }

    /// From the URL; without a direction it ascends. `None` without a column.
    pub fn from_text(text: &str) -> Option<Self> {
        let (column, descending) = match text.rsplit_once(':') {
            Some((column, "desc")) => (column, true),
            Some((column, "asc")) => (column, false),
            Some(_) | None => (text, false),
        };
        (!column.is_empty()).then(|| Self { column: column.into(), descending })
    }
}

/// Colours of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the system says.
    #[default]
    Auto,
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
}

impl Theme {
    /// As written in the URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }

    /// From the URL; `None` for what is no theme.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Dark, Self::Light].into_iter().find(|t| t.name() == name)
    }

    /// The next one when a person presses `t`.
    pub fn next(self) -> Self {
        match self {
            Self::Auto => Self::Dark,
            Self::Dark => Self::Light,
            Self::Light => Self::Auto,
        }
    }
}

/// Parameters that outlive a change of view; all others belong to the view.
const GLOBAL: [&str; 6] = ["view", "sel", "tab", "path", "theme", "wall"];

/// The query of the URL. No name and no value is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address(BTreeMap<String, String>);

impl Address {
    /// Reads `?a=b&c=d` (with or without the question mark). What has no value gets `1` (`?wall`).
    pub fn parse(query: &str) -> Self {
        let mut address = Self::default();
        for pair in query.trim_start_matches('?').split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "1"));
            address.set(&unescape(name), Some(unescape(value)));
        }
        address
    }

    /// `?a=b&c=d`, or nothing when nothing is chosen.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        for (name, value) in &self.0 {
            query.push(if query.is_empty() { '?' } else { '&' });
            escape(name, &mut query);
            query.push('=');
            escape(value, &mut query);
        }
        query
    }

    /// A value; `None` when it is not there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets or removes a value; an empty one is removed.
    pub fn set(&mut self, name: &str, value: Option<String>) {
        match value.filter(|v| !v.is_empty()) {
            Some(value) if !name.is_empty() => {
                self.0.insert(name.into(), value);
            }
            Some(_) | None => {
                self.0.remove(name);
            }
        }
    }

    /// What is selected.
    pub fn selected(&self) -> Option<Selection> {
        Selection::from_text(self.get("sel")?)
    }

    /// Takes out the parameters that belong to the view.
    pub fn take_local(&mut self) -> Self {
        let (global, local) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| GLOBAL.contains(&name.as_str()));
        self.0 = global;
        Self(local)
    }

    /// Takes over what outlives a change of view from another address, where this one says nothing.
    pub fn keep_global(&mut self, other: &Self) {
        let selects = self.get("sel").is_some();
        for name in GLOBAL.iter().filter(|name| **name != "view") {
            // A tab, and the path in it, belong to their selection.
            if self.get(name).is_none() && !(selects && matches!(*name, "tab" | "path")) {
                self.set(name, other.get(name).map(str::to_owned));
            }
        }
    }

    /// Puts parameters of a view in.
    pub fn put(&mut self, local: Self) {
        self.0.extend(local.0);
    }
}

/// Percent-encodes what a query cannot hold or what programs cut a link at.
pub(super) fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b':' | b'/' | b',' | b'*' | b'@' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => {
                out.push('%');
                for digit in [other >> 4, other & 15] {
                    out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
    }
}

/// Undoes [`escape`]; what is no escape stays as it is, bytes that are no UTF-8 become U+FFFD.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |i: usize| after.get(i).and_then(|b| char::from(*b).to_digit(16));
        rest = after;
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _, _) => bytes.push(b' '),
            (other, _, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selection() -> impl Strategy<Value = Selection> {
        prop_oneof![
            (any::<u32>(), any::<u64>())
                .prop_map(|(pid, start_time)| Selection::Process(ProcessKey { pid, start_time })),
            ".+".prop_map(Selection::Container),
            ".+".prop_map(Selection::Engine),
            ".+".prop_map(|major_minor| Selection::Device(DeviceKey { major_minor })),
            (any::<u64>(), any::<u32>())
                .prop_map(|(netns, ifindex)| Selection::Link(LinkKey { netns, ifindex })),
            (0..8_usize, any::<u64>()).prop_map(|(kind, inode)| {
                Selection::Namespace(NamespaceKey { kind: NamespaceKind::ALL[kind], inode })
            }),
            Just(Selection::Host),
        ]
    }

    proptest! {
        #[test]
        fn query_round_trip(pairs in prop::collection::vec((".{0,8}", ".{0,16}"), 0..8)) {
            let mut address = Address::default();
            for (name, value) in pairs {
                address.set(&name, Some(value));
            }
            let query = address.to_query();
            prop_assert!(query.is_ascii());
            prop_assert!(!query.contains([' ', '#', '<', '"']));
            prop_assert_eq!(Address::parse(&query), address);
        }

        #[test]
        fn selection_round_trip(selected in selection()) {
            let mut address = Address::default();
            address.set("sel", Some(selected.to_text()));
            prop_assert_eq!(Address::parse(&address.to_query()).selected(), Some(selected));
        }

        #[test]
        fn sort_round_trip(column in "[a-z_:]{1,20}", descending: bool) {
            let sort = Sort { column, descending };
            prop_assert_eq!(Sort::from_text(&sort.to_text()), Some(sort));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,64}") {
            let address = Address::parse(&text);
            prop_assert_eq!(Address::parse(&address.to_query()), address);
        }
    }

    #[test]
    fn a_pasted_link_reads_as_written() {
        let address = Address::parse("?view=processes&sel=p:1234:567890&f=cpu%3E5+state:D&wall");
        assert_eq!(
            address.selected(),
            Some(Selection::Process(ProcessKey { pid: 1234, start_time: 567_890 }))
        );
        assert_eq!(address.get("f"), Some("cpu>5 state:D"));
        assert_eq!(address.get("wall"), Some("1"));
    }

    #[test]
    fn parameters_of_the_view_are_taken_out_and_put_back() {
        let mut address = Address::parse("?view=a&theme=dark&f=x&sort=pid:asc");
        let whole = address.clone();
        let local = address.take_local();
        assert_eq!(address, Address::parse("?view=a&theme=dark"));
        address.put(local);
        assert_eq!(address, whole);
    }
}
