//! What a person asks for, as it stands in the URL: `at=NETNS:IFINDEX`, `filter`, `secs`, `packets`, `kib`, `payload`.

use std::fmt::Write;

use glasshull_shared::domain::wire::{Limits, Start};
use leptos::prelude::*;

use crate::store::Choice;

/// Where to look, for what, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ask {
    /// Namespace and link there (`None`: all); `None` until one is chosen.
    pub(super) place: Option<(u64, Option<u32>)>,
    /// As typed.
    pub(super) filter: String,
    /// Within what is allowed.
    pub(super) limits: Limits,
    /// With what packets carry.
    pub(super) payload: bool,
}

impl Ask {
    /// What the URL says. Reactive.
    pub(super) fn of(choice: Choice) -> Self {
        let number =
            |name, usual: u32| choice.param(name).get().and_then(|n| n.parse().ok()).unwrap_or(usual);
        let usual = Limits::USUAL;
        let limits = Limits {
            secs: number("secs", usual.secs),
            packets: number("packets", usual.packets),
            bytes: number("kib", usual.bytes >> 10).saturating_mul(1 << 10),
        };
        Self {
            place: choice.param("at").get().as_deref().and_then(place),
            filter: choice.param("filter").get().unwrap_or_default(),
            limits: limits.bounded(),
            payload: choice.param("payload").get().is_some(),
        }
    }

    /// As an order; `None` until a place is chosen.
    pub(super) fn start(&self) -> Option<Start> {
        let (netns, ifindex) = self.place?;
        let Self { filter, limits, payload, .. } = self.clone();
        Some(Start { netns, ifindex, filter, limits, payload })
    }

    /// Where the same can be had as a file.
    pub(super) fn file(&self) -> Option<String> {
        let (netns, ifindex) = self.place?;
        let mut url = format!("/wire.pcapng?netns={netns}");
        if let Some(ifindex) = ifindex {
            let _ = write!(url, "&ifindex={ifindex}");
        }
        if !self.filter.is_empty() {
            let filter: String = js_sys::encode_uri_component(&self.filter).into();
            let _ = write!(url, "&filter={filter}");
        }
        let Limits { secs, packets, bytes } = self.limits;
        let _ = write!(url, "&seconds={secs}&packets={packets}&bytes={bytes}");
        if self.payload {
            url.push_str("&payload=1");
        }
        Some(url)
    }
}

/// `NETNS` or `NETNS:IFINDEX`.
pub(super) fn place(text: &str) -> Option<(u64, Option<u32>)> {
    match text.split_once(':') {
        Some((netns, ifindex)) => Some((netns.parse().ok()?, Some(ifindex.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::address::Address;

    fn ask(query: &str) -> Ask {
        Owner::new().with(|| Ask::of(Choice::new(vec!["wire"], Address::parse(query), |_, _| {})))
    }

    #[test]
    fn the_url_says_it_all_and_nothing_beyond_what_is_allowed() {
        let asked = ask("?at=40:7&filter=tcp+port+80&secs=5&packets=9999999&kib=64&payload=1");
        let limits = Limits { secs: 5, packets: Limits::MOST.packets, bytes: 64 << 10 };
        let start = asked.start().unwrap();
        assert_eq!((start.netns, start.ifindex, start.filter.as_str()), (40, Some(7), "tcp port 80"));
        assert_eq!((start.limits, start.payload), (limits, true));
    }

    #[test]
    fn without_a_place_there_is_nothing_to_start() {
        for query in ["?", "?at=", "?at=x", "?at=1:x", "?at=-1"] {
            assert_eq!(ask(query).start(), None, "{query}");
        }
        assert_eq!(ask("?at=40").start().unwrap().limits, Limits::USUAL);
        assert_eq!(
            ask("?at=40&kib=99999999&secs=0").limits,
            Limits { secs: 1, bytes: Limits::MOST.bytes, ..Limits::USUAL }
        );
    }
}
