//! Orders: the host's end of a container's veth pair goes down and up where `--allow-control` lets it, and nothing else does.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::ws::Client;
use glasshull_shared::domain::event::EventKind;
use glasshull_shared::domain::network::{LinkKey, OperState};
use glasshull_shared::snapshot::{Snapshot as Tables, Topic};
use glasshull_shared::wire::{
    Answer, ClientMessage, Order, Question, ServerFrame, ServerMessage, decode, unpack,
};

use super::{Place, ip};
use crate::agent::number;
use crate::runner::Context;
use crate::watch::Watch;

const TOPICS: [Topic; 6] =
    [Topic::Netns, Topic::Link, Topic::LinkStat, Topic::Container, Topic::Event, Topic::Source];

/// Both ends of a container's eth0: inside, and on the host.
fn ends(context: &Context, name: &str) -> Result<(LinkKey, LinkKey)> {
    let (host, place) = (Place::host()?, Place::container(context, name)?);
    let eth0 =
        ip(&place.prefix, &["link"])?.into_iter().find(|l| l["ifname"] == "eth0").context("no eth0")?;
    let key = |netns, ifindex| LinkKey { netns, ifindex };
    let inside = u32::try_from(number(&eth0, "ifindex")?)?;
    let outside = u32::try_from(number(&eth0, "link_index")?)?;
    Ok((key(place.netns, inside), key(host.netns, outside)))
}

/// Sends one message on a connection of its own and waits for the answer.
pub(crate) fn ask(address: SocketAddr, message: ClientMessage) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(address, &[]).await?;
        client.send(&message).await?;
        while let Some(frame) = client.next().await? {
            let payload = unpack(&frame)?;
            if let ServerFrame::Message(ServerMessage::Answer { answer, .. }) = decode(&payload)? {
                return Ok(answer);
            }
        }
        bail!("the agent closed without an answer")
    })
}

fn set(address: SocketAddr, link: LinkKey, up: bool) -> Result<Answer> {
    ask(address, ClientMessage::Order { id: 1, order: Order::SetLink { link, up } })
}

fn watch(context: &Context, more: &[&str], known: LinkKey) -> Result<Watch> {
    let watch = Watch::start_with(context, more, &TOPICS, |_| true, |_| Ok(()))?;
    watch.wait("the container's link", |tables: &Tables| {
        tables.link.get(&known).is_some_and(|row| row.container.is_some() && row.peer_netns.is_some())
    })?;
    Ok(watch)
}

/// Whether `ip` says that a link of the host is up.
fn is_up(link: LinkKey) -> Result<bool> {
    let rows = ip(&[], &["link"])?;
    let row = rows.iter().find(|row| row["ifindex"] == link.ifindex).context("the link is gone")?;
    Ok(row["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP")))
}

/// Takes a link up again whatever becomes of the test.
struct Restore(LinkKey);

impl Drop for Restore {
    fn drop(&mut self) {
        let name = ip(&[], &["link"]).ok().and_then(|rows| {
            let row = rows.into_iter().find(|row| row["ifindex"] == self.0.ifindex)?;
            row["ifname"].as_str().map(str::to_owned)
        });
        if let Some(name) = name {
            let _ = super::run(&["ip", "link", "set", &name, "up"]);
        }
    }
}

/// Down: `ip` says so, the container's end follows, a mark stands on the timeline. Up: all as before.
pub(crate) fn down_and_up(context: &mut Context) -> Result<()> {
    let (inside, outside) = ends(context, "client-2")?;
    let id = context.lab.inspect("client-2")?["Id"].as_str().context("no id")?.to_owned();
    let watch = watch(context, &["--allow-control"], outside)?;
    let address = watch.address()?;
    let asked = ask(address, ClientMessage::Ask { id: 7, question: Question::Control })?;
    ensure!(asked == Answer::Control(None), "orders should be allowed: {asked:?}");
    let _restore = Restore(outside);
    let Answer::Done(said) = set(address, outside, false)? else { bail!("refused to take it down") };
    ensure!(said.contains("client-2") && said.ends_with("down"), "{said}");
    ensure!(!is_up(outside)?, "ip says that it is still up");
    watch.wait("the container's end without a carrier", |tables| {
        let state = |key| tables.link.get(&key).map(|row| (row.up, row.state));
        state(outside).is_some_and(|(up, _)| !up)
            && state(inside).is_some_and(|(_, state)| state != OperState::Up)
    })?;
    let marked = |tables: &Tables, kind: EventKind| {
        let mut events = tables.event.values();
        events.any(|e| e.kind == kind && e.container.as_ref() == Some(&id) && e.text.contains("127.0.0.1"))
    };
    watch.wait("the mark", |tables| marked(tables, EventKind::LinkDown))?;
    let answer = set(address, outside, true)?;
    ensure!(matches!(answer, Answer::Done(_)), "refused to take it up: {answer:?}");
    ensure!(is_up(outside)?, "ip says that it is still down");
    watch.wait("both ends up", |tables| {
        [inside, outside].iter().all(|key| tables.link.get(key).is_some_and(|row| row.state == OperState::Up))
            && marked(tables, EventKind::LinkUp)
    })?;
    watch.complaints()
}

/// Without the flag nothing is done; with it only the host's end of a container's pair.
pub(crate) fn refused(context: &mut Context) -> Result<()> {
    let (inside, outside) = ends(context, "client-2")?;
    let closed = watch(context, &[], outside)?;
    let answer = set(closed.address()?, outside, false)?;
    let Answer::Failed(why) = answer else { bail!("done without --allow-control: {answer:?}") };
    ensure!(why.contains("--allow-control"), "{why}");
    ensure!(matches!(
        ask(closed.address()?, ClientMessage::Ask { id: 7, question: Question::Control })?,
        Answer::Control(Some(_))
    ));
    ensure!(is_up(outside)?, "it was taken down all the same");
    drop(closed);
    let open = watch(context, &["--allow-control"], outside)?;
    let bridge = u32::try_from(
        *Place::host()?.links()?.get(&context.lab.state().networks["lab"].bridge).context("no bridge")?,
    )?;
    for (link, why) in [
        (inside, "not in the host's namespace"),
        (LinkKey { ifindex: bridge, ..outside }, "only veth pairs"),
        (LinkKey { ifindex: 1, ..outside }, "only veth pairs"),
        (LinkKey { ifindex: u32::MAX, ..outside }, "gone"),
    ] {
        let answer = set(open.address()?, link, false)?;
        let Answer::Failed(said) = answer else { bail!("{link:?} was set") };
        ensure!(said.contains(why), "{link:?}: {said}");
    }
    ensure!(
        wait_until(Duration::from_secs(1), || is_up(LinkKey { ifindex: bridge, ..outside }).unwrap_or(false)),
        "the bridge was taken down"
    );
    open.complaints()
}
