//! `glasshull wire WHAT [FILTER]`: packets of a container or a link, line by line or as a pcapng file.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use glasshull_shared::domain::wire::{Limits, Order, PacketRow, Refusal, Sight, Start, WireStat};
use glasshull_shared::unit;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{still_read, stop_signal, tell};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::agent::wire::{TOPICS, known};
use crate::collect::wire::{IsOwn, Labels, Reader, look, save};
use crate::config::{Common, Wire};
use crate::model::wire::{Scene, find, scene};

/// Between the two samples that tell of links and names; only the second counts.
const SAMPLES: Duration = Duration::from_millis(100);

/// Looks until a limit or a signal.
///
/// # Errors
/// When there is no such place, it may not be looked into, or the filter is none.
pub(crate) async fn run(common: Common, args: Wire) -> Result<ExitCode> {
    if args.file.as_deref() == Some(Path::new("-")) && std::io::stdout().is_terminal() {
        bail!(
            "packets are no text for a terminal: give a file, or pipe them on, as into `wireshark -k -i -`"
        );
    }
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let sample = sample_twice(&mut live, &wake, TOPICS.into_iter().collect(), SAMPLES).await;
    let Some(mut start) = find(&sample.snapshot, &args.what) else {
        bail!(
            "{:?} is no container, namespace or link of this host; `glasshull veth` lists links",
            args.what
        );
    };
    let host = live.host().hostname.clone();
    // Engines and events are not needed any more.
    drop(live);
    start.filter = args.filter.join(" ");
    start.payload = args.payload;
    let secs = u32::try_from(args.duration.as_secs_f64().ceil() as u64).unwrap_or(u32::MAX);
    start.limits = Limits { secs, packets: args.packets, bytes: Limits::MOST.bytes }.bounded();
    let scene = scene(&sample.snapshot, &start).map_err(|refusal| told(&refusal))?;
    match &args.file {
        Some(file) => write(start, scene, host, file).await?,
        None => print(start, scene, args.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Nothing of what we do here is the dashboard's.
fn nothing_is_own() -> IsOwn {
    Arc::new(|_| false)
}

async fn print(start: Start, scene: Scene, json: bool) -> Result<()> {
    let stop = stop_signal()?;
    let (orders, ordered) = mpsc::channel(1);
    let (seen, mut sights) = mpsc::channel(32);
    let links = scene.links.clone();
    let known = known(scene);
    std::thread::spawn(move || look(&start, known, nothing_is_own(), ordered, seen));
    tokio::pin!(stop);
    let (mut stat, mut stopping) = (WireStat::default(), false);
    loop {
        let sight = tokio::select! {
            () = &mut stop, if !stopping => {
                stopping = true;
                let _ = orders.try_send(Order::Stop);
                continue;
            },
            sight = sights.recv() => sight,
        };
        match sight {
            Some(Sight::Packets(rows)) => {
                for row in rows {
                    let text = if json { serde_json::to_string(&row)? } else { line(&row, &links) };
                    if !still_read(writeln!(std::io::stdout(), "{text}"))? {
                        return Ok(());
                    }
                }
            }
            Some(Sight::Stat(now)) => stat = now,
            Some(Sight::Refused(refusal)) => return Err(told(&refusal)),
            Some(Sight::Ended(_)) | None => break,
            Some(
                Sight::Ready { .. }
                | Sight::Started { .. }
                | Sight::Detail(_)
                | Sight::Follows { .. }
                | Sight::Chunk(_),
            ) => {}
        }
    }
    tell(&counted(&stat));
    Ok(())
}

async fn write(start: Start, scene: Scene, host: String, path: &Path) -> Result<()> {
    let stop = stop_signal()?;
    let (begun, has_begun) = oneshot::channel();
    let (parts, mut written) = mpsc::channel(8);
    let (order, ordered) = oneshot::channel();
    let labels = Labels { host, links: scene.links, names: scene.names };
    let reader = Reader { told: begun, file: parts, stop: ordered };
    let thread = std::thread::spawn(move || save(&start, labels, nothing_is_own(), reader));
    has_begun.await.context("the look ended at once")?.map_err(|refusal| told(&refusal))?;
    // Only now: a wrong filter leaves no empty file.
    let mut file = match path.to_str() {
        Some("-") => None,
        Some(_) | None => {
            Some(File::create_new(path).with_context(|| format!("cannot write {}", path.display()))?)
        }
    };
    tokio::pin!(stop);
    let mut order = Some(order);
    loop {
        let part: Option<bytes::Bytes> = tokio::select! {
            // What was taken until then is written all the same.
            () = &mut stop, if order.is_some() => {
                let _ = order.take().map(|order| order.send(()));
                continue;
            },
            part = written.recv() => part,
        };
        let Some(part) = part else { break };
        if let Some(file) = &mut file {
            file.write_all(&part).with_context(|| format!("writing {}", path.display()))?;
        } else if !still_read(std::io::stdout().write_all(&part).and_then(|()| std::io::stdout().flush()))? {
            return Ok(());
        }
    }
    match thread.join() {
        Ok(Some(stat)) => tell(&counted(&stat)),
        Ok(None) | Err(_) => bail!("the packets broke off"),
    }
    Ok(())
}

/// How much was seen.
fn counted(stat: &WireStat) -> String {
    format!(
        "{} packets, {} on the wire, {} dropped by the kernel",
        unit::count(stat.packets.into()),
        unit::bytes(stat.wire_bytes),
        unit::count(stat.dropped)
    )
}

/// `02:15:30.123456 eth0 Out 10.0.0.1:9 > 10.0.0.2:80: Flags …`
fn line(row: &PacketRow, links: &[(u32, String)]) -> String {
    use glasshull_shared::domain::wire::Way;
    let name = links.iter().find(|(ifindex, _)| *ifindex == row.ifindex);
    let link = name.map_or_else(|| format!("#{}", row.ifindex), |(_, name)| unit::printable(name));
    let way = match row.way {
        Some(Way::In) => " In ",
        Some(Way::Out) => " Out",
        None => "",
    };
    let micros = row.at / 1_000 % 1_000_000;
    let PacketRow { source, destination, protocol, info, .. } = row;
    format!(
        "{}.{micros:06} {link}{way} {source} > {destination}: {protocol} {info}",
        unit::time_of_day(row.at)
    )
}

fn told(refusal: &Refusal) -> anyhow::Error {
    anyhow::anyhow!(match refusal {
        Refusal::Filter(why) => format!("the filter is wrong: {why}"),
        Refusal::Permission(why) | Refusal::Gone(why) | Refusal::Failed(why) => why.clone(),
        Refusal::Payload | Refusal::Busy | Refusal::Recording => format!("refused: {refusal:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_link_way_and_both_ends() {
        let row = PacketRow {
            at: 3_661_000_002_000,
            ifindex: 2,
            source: "10.0.0.1:9".into(),
            destination: "10.0.0.2:80".into(),
            protocol: "TCP".into(),
            info: "Flags [S]".into(),
            ..PacketRow::default()
        };
        assert_eq!(
            line(&row, &[(2, "eth0".into())]),
            "01:01:01.000002 eth0 10.0.0.1:9 > 10.0.0.2:80: TCP Flags [S]"
        );
    }
}
