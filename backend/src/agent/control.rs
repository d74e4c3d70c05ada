//! Orders: what a person has changed on the host through us. Behind `--allow-control`, and only this: the host's end of a
//! container's veth pair goes down, which cuts the container off, and up again. Who had it done is logged, and what was done
//! stands on the timeline.

use std::io;
use std::net::SocketAddr;

use glasshull_shared::domain::container::ContainerKey;
use glasshull_shared::domain::event::EventKind;
use glasshull_shared::domain::network::{LinkKey, NetnsKey};
use glasshull_shared::snapshot::Snapshot;
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Order};

use super::live::Live;
use crate::sys::netlink::RouteSocket;

/// Why orders are not carried out, and how to have them; `None` when they are.
pub(super) fn refusal(live: &Live) -> Option<String> {
    (!live.controls()).then(|| {
        "Glasshull only looks: start it with --allow-control to take links down and up from here".into()
    })
}

/// Carries an order out, or says why not.
pub(super) fn obey(live: &mut Live, order: &Order, by: SocketAddr) -> Answer {
    if let Some(why) = refusal(live) {
        tracing::warn!(%by, ?order, "refused an order: control is not allowed");
        return Answer::Failed(why);
    }
    let Order::SetLink { link, up } = *order;
    match target(live.last(), link).and_then(|target| set(&target, link, up).map(|()| target)) {
        Ok(target) => {
            let (state, kind) = if up { ("up", EventKind::LinkUp) } else { ("down", EventKind::LinkDown) };
            let Target { link: name, container, id } = target;
            tracing::info!(%by, link = name, container, id, "took a link {state}");
            let text = format!("{name} of {container} taken {state}");
            live.note(kind, &id, format!("{text} by {}", by.ip()));
            Answer::Done(text)
        }
        Err(why) => {
            tracing::warn!(%by, ?order, why, "refused an order");
            Answer::Failed(why)
        }
    }
}

/// Whose link it is.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    link: String,
    /// Name and id of the container.
    container: String,
    id: String,
}

/// The container's link this is the host's end of. Everything else is refused.
fn target(s: &Snapshot, key: LinkKey) -> Result<Target, String> {
    let host = s.netns.get(&NetnsKey { netns: key.netns }).is_some_and(|row| row.host);
    let row = s.link.get(&key).ok_or("the link is gone, or nobody watches links now")?;
    if !host {
        return Err(format!("{} is not in the host's namespace: only the host's end can be set", row.name));
    }
    if row.kind != "veth" {
        return Err(format!("{} is a {} link: only veth pairs can be set", row.name, row.kind));
    }
    let elsewhere = row.peer_netns.is_some_and(|netns| netns != key.netns);
    let Some(id) = row.container.clone().filter(|_| elsewhere) else {
        return Err(format!("the other end of {} is not a container's", row.name));
    };
    let container = s.container.get(&ContainerKey { id: id.clone() });
    let container = container.map_or_else(|| unit::short_id(&id).to_owned(), |c| unit::printable(&c.name));
    Ok(Target { link: row.name.clone(), container, id })
}

/// Sets the link, if it still is the one that was meant.
fn set(target: &Target, key: LinkKey, up: bool) -> Result<(), String> {
    let say = |error: io::Error| {
        if error.raw_os_error() == Some(libc::EPERM) {
            "setting a link needs CAP_NET_ADMIN".to_owned()
        } else {
            format!("setting {}: {error}", target.link)
        }
    };
    let mut socket = RouteSocket::open().map_err(say)?;
    let name = socket.link_name(key.ifindex).map_err(say)?;
    if name.as_deref().map(unit::printable).as_ref() != Some(&target.link) {
        return Err(format!("{} is gone meanwhile", target.link));
    }
    socket.set_link(key.ifindex, up).map_err(say)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::Container;
    use glasshull_shared::domain::network::{Link, Netns};
    use std::sync::Arc;

    const HOST: u64 = 1;
    const WEB: u64 = 2;

    fn key(netns: u64, ifindex: u32) -> LinkKey {
        LinkKey { netns, ifindex }
    }

    fn tables() -> Snapshot {
        let mut s = Snapshot::default();
        s.netns.insert(NetnsKey { netns: HOST }, Arc::new(Netns { host: true, ..Netns::default() }));
        s.netns.insert(NetnsKey { netns: WEB }, Arc::new(Netns::default()));
        let web = Container { name: "web".into(), ..Container::default() };
        s.container.insert(ContainerKey { id: "w".into() }, Arc::new(web));
        let veth = |name: &str, peer_netns, container: Option<&str>| Link {
            name: name.into(),
            kind: "veth".into(),
            peer_netns: Some(peer_netns),
            container: container.map(str::to_owned),
            ..Link::default()
        };
        for (key, row) in [
            (key(HOST, 8), veth("veth8", WEB, Some("w"))),
            (key(WEB, 2), veth("eth0", HOST, Some("w"))),
            (key(HOST, 9), veth("loop9", HOST, Some("w"))),
            (key(HOST, 10), veth("named10", 3, None)),
            (key(HOST, 11), Link { kind: "bridge".into(), ..veth("br0", WEB, Some("w")) }),
        ] {
            s.link.insert(key, Arc::new(row));
        }
        s
    }

    #[test]
    fn only_the_hosts_end_of_a_containers_pair_is_taken() {
        let s = tables();
        let web = Target { link: "veth8".into(), container: "web".into(), id: "w".into() };
        assert_eq!(target(&s, key(HOST, 8)), Ok(web));
        for (link, why) in [
            (key(WEB, 2), "not in the host's namespace"),
            (key(HOST, 9), "not a container's"),
            (key(HOST, 10), "not a container's"),
            (key(HOST, 11), "is a bridge link"),
            (key(HOST, 12), "is gone"),
        ] {
            let refused = target(&s, link).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_number_that_is_another_links_by_now_is_refused() {
        let target = Target { link: "veth8".into(), container: "web".into(), id: "w".into() };
        // Number 1 is always lo; nothing has the last one.
        for ifindex in [1, u32::MAX >> 1] {
            assert!(set(&target, key(HOST, ifindex), true).unwrap_err().contains("gone meanwhile"));
        }
    }
}
