//! Counters and rates while a known number of bytes passes.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::link::all;
use super::{Place, TABLES};
use crate::agent::{Snapshot, brief, fraction, number};
use crate::runner::Context;

/// What is sent.
const BYTES: u64 = 5_000_000;
/// What heads of packets, answers and the neighbourhood's chatter may add: 6 %.
const AT_MOST: u64 = BYTES / 100 * 106;

/// A container sends so many bytes to another: all four ends on the way count them, none lost, and no more than that; what
/// does not lie on the way counts nothing of it.
pub(crate) fn known_bytes(context: &mut Context) -> Result<()> {
    let endpoint = context.endpoint();
    let read = |context: &Context| context.agent.snapshot_with(&endpoint, &TABLES);
    let before = read(context)?;
    context.lab.send("proxy", "store", BYTES)?;
    let after = read(context)?;
    let grown = |container: &str, network: &str, inside: bool, field: &str| {
        let id = &context.lab.container(container)?.id;
        let count = |snapshot| number(end(snapshot, id, network, inside)?, field);
        let (was, is) = (count(&before)?, count(&after)?);
        is.checked_sub(was).with_context(|| format!("{field} of {container} went back: {was}, {is}"))
    };
    for (container, inside, field) in [
        ("proxy", true, "tx_bytes"),
        ("proxy", false, "rx_bytes"),
        ("sink", false, "tx_bytes"),
        ("sink", true, "rx_bytes"),
    ] {
        let bytes = grown(container, "back", inside, field)?;
        ensure!(
            (BYTES..=AT_MOST).contains(&bytes),
            "{field} of {container} grew by {bytes}, sent were {BYTES}"
        );
        for side in ["rx", "tx"] {
            for what in ["dropped", "errors"] {
                let lost = grown(container, "back", inside, &format!("{side}_{what}"))?;
                ensure!(lost == 0, "{lost} {side}_{what} of {container}");
            }
        }
    }
    let elsewhere = grown("proxy", "lab", true, "tx_bytes")?;
    ensure!(elsewhere < BYTES / 100, "{elsewhere} bytes went out of the other link");
    Ok(())
}

/// Rates of a link that is never quiet: something, and no more than `ip` counts in a longer time around.
pub(crate) fn rates(context: &mut Context) -> Result<()> {
    const SECONDS: u64 = 3;
    let id = context.lab.container("chatter")?.id.clone();
    let place = Place::container(context, "chatter")?;
    let interval = format!("{SECONDS}s");
    let before = all(std::slice::from_ref(&place))?;
    let snapshot =
        context.agent.snapshot_with(&context.endpoint(), &["--tables", "link", "--interval", &interval])?;
    let after = all(std::slice::from_ref(&place))?;
    let told = end(&snapshot, &id, "back", true)?;
    let key = (place.netns, number(told, "ifindex")?);
    let (was, is) = (&before[&key]["stats64"], &after[&key]["stats64"]);
    for side in ["rx", "tx"] {
        for what in ["bytes", "packets"] {
            let field = format!("{side}_{what}_per_sec");
            let passed = number(&is[side], what)? - number(&was[side], what)?;
            let rate = fraction(told, &field)?;
            // The two samples are at least that far apart; the rate has seven digits.
            let most = passed as f64 / SECONDS as f64 * 1.001;
            ensure!(
                rate > 0.0 && rate <= most,
                "{field} is {rate}, {passed} passed in more than {SECONDS} s"
            );
        }
    }
    Ok(())
}

/// One end of a container's veth pair on a network: its own, or the host's.
fn end<'a>(snapshot: &'a Snapshot, id: &str, network: &str, inside: bool) -> Result<&'a Value> {
    let mut ends = snapshot.rows("link")?.iter().filter(|row| {
        row["container"] == id
            && row["network"] == network
            && row["kind"] == "veth"
            && row["master"].is_null() == inside
    });
    let found = ends.next().with_context(|| format!("no link of {id} on {network}"))?;
    ensure!(ends.next().is_none(), "two such links: {}", brief(found));
    Ok(found)
}
