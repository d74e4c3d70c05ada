//! Cutting a container off: takes the host's end of its veth pair down and up again, where the agent allows it.

use glasshull_shared::domain::network::{Link, LinkKey, NetnsKey};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Order, Question};
use leptos::prelude::*;

use super::part;
use crate::store::lookup::container_name;
use crate::store::network::{link, other_end};
use crate::store::{Store, use_store};
use crate::widget::confirm::Confirm;

/// The link that would be set, and whose it is.
#[derive(Debug, Clone, PartialEq)]
struct Target {
    key: LinkKey,
    name: String,
    container: String,
    network: Option<String>,
    up: bool,
}

/// The host's end of the pair this link is an end of, when the other is a container's.
fn target(s: &Snapshot, key: LinkKey) -> Option<Target> {
    let host = |netns| s.netns.get(&NetnsKey { netns }).is_some_and(|row| row.host);
    let near = link(s, key).filter(|row| row.kind == "veth" && row.peer_netns.is_some())?;
    let far = other_end(near)?;
    let (key, row): (LinkKey, &Link) = if host(key.netns) { (key, near) } else { (far, link(s, far)?) };
    let elsewhere = host(key.netns) && row.peer_netns.is_some_and(|netns| netns != key.netns);
    let id = row.container.as_ref().filter(|_| elsewhere)?;
    let (name, container) = (row.name.clone(), container_name(s, id));
    Some(Target { key, name, container, network: row.network.clone(), up: row.up })
}

/// The part of the inspector; nothing for links that cannot be set.
pub(super) fn control(key: LinkKey) -> AnyView {
    let store = use_store();
    let tables = [Topic::Netns, Topic::Link, Topic::Container];
    let target = Memo::new(move |_| store.read(&tables, |s| target(s, key)));
    let some = Memo::new(move |_| target.with(Option::is_some));
    (move || some.get().then(|| untrack(|| part("Control", panel(store, target))))).into_any()
}

fn panel(store: Store, target: Memo<Option<Target>>) -> AnyView {
    let allowed = store.ask(Question::Control);
    let outcome = RwSignal::new(None::<Signal<Option<Answer>>>);
    let is_up = move || target.with(|t| t.as_ref().is_none_or(|t| t.up));
    let label = Signal::derive(move || if is_up() { "Cut off" } else { "Connect again" }.to_owned());
    let title = Signal::derive(move || {
        target.with(|t| {
            let Some(t) = t else { return String::new() };
            let container = unit::printable(&t.container);
            if t.up { format!("Cut {container} off?") } else { format!("Connect {container} again?") }
        })
    });
    let text = Signal::derive(move || target.with(|t| t.as_ref().map(explain).unwrap_or_default()));
    let agree = move |()| {
        if let Some(t) = target.get_untracked() {
            outcome.set(Some(store.order(Order::SetLink { link: t.key, up: !t.up })));
        }
    };
    let button = move || match allowed.get() {
        None => ().into_any(),
        Some(Answer::Control(None)) => view! {
            <Confirm label=label title=title text=text on_agree=Callback::new(agree) />
        }
        .into_any(),
        Some(Answer::Control(Some(why)) | Answer::Failed(why)) => {
            view! { <p class="dim">{unit::printable(&why)}</p> }.into_any()
        }
        Some(_) => ().into_any(),
    };
    let said = move || {
        let (text, tone) = match outcome.get()?.get() {
            None => ("asked; waiting for the agent".to_owned(), "quiet"),
            Some(Answer::Done(text)) => (text, "fine"),
            Some(Answer::Failed(why)) => (why, "trouble"),
            Some(_) => return None,
        };
        Some(view! { <p class="control-said" data-tone=tone>{unit::printable(&text)}</p> })
    };
    view! {
        {button}
        <div aria-live="polite">{said}</div>
    }
    .into_any()
}

/// What will happen, for the window that asks.
fn explain(t: &Target) -> Vec<String> {
    let (link, container) = (unit::printable(&t.name), unit::printable(&t.container));
    let network = t.network.as_deref().map(unit::printable);
    let network = network.map_or_else(|| "this network".to_owned(), |n| format!("the network {n}"));
    if t.up {
        vec![
            format!("{link}, the host's end of its veth pair, is taken down: ip link set dev {link} down."),
            format!(
                "{container} loses {network} at once. Open connections hang until they time out; its other networks stay."
            ),
            "It can be connected again here. The agent logs who did it; it stands on the timeline.".into(),
        ]
    } else {
        vec![
            format!("{link}, the host's end of its veth pair, is taken up: ip link set dev {link} up."),
            format!("{container} is on {network} again."),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::network::Netns;
    use std::sync::Arc;

    #[test]
    fn both_ends_mean_the_hosts_one_and_other_links_nothing() {
        let mut s = Snapshot::default();
        let key = |netns, ifindex| LinkKey { netns, ifindex };
        s.netns.insert(NetnsKey { netns: 1 }, Arc::new(Netns { host: true, ..Netns::default() }));
        s.netns.insert(NetnsKey { netns: 2 }, Arc::new(Netns::default()));
        let veth = |name: &str, far: LinkKey| Link {
            name: name.into(),
            kind: "veth".into(),
            up: true,
            container: Some("w".into()),
            peer_netns: Some(far.netns),
            peer_ifindex: Some(far.ifindex),
            ..Link::default()
        };
        s.link.insert(key(1, 8), Arc::new(veth("veth8", key(2, 2))));
        s.link.insert(key(2, 2), Arc::new(veth("eth0", key(1, 8))));
        let bridge = Link { kind: "bridge".into(), container: Some("w".into()), ..Link::default() };
        s.link.insert(key(1, 9), Arc::new(bridge));
        for end in [key(1, 8), key(2, 2)] {
            let target = target(&s, end).unwrap();
            assert_eq!((target.key, target.name.as_str()), (key(1, 8), "veth8"));
            assert!(explain(&target)[0].contains("ip link set dev veth8 down"));
        }
        assert_eq!(target(&s, key(1, 9)), None);
    }
}
