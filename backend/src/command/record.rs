//! `glasshull record`: the live source's frames into a file, exactly as they would go to a browser.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use glasshull_shared::snapshot::{Topic, TopicSet};
use glasshull_shared::unit;
use glasshull_shared::wire::{Hello, Origin};
use tokio::sync::{Notify, mpsc, watch};

use super::serve::{instance, until};
use super::{print_line, stop_signal};
use crate::agent;
use crate::agent::live::Live;
use crate::config::{Common, Record};
use crate::serve::hub::Hub;
use crate::serve::record;

/// Records until SIGINT, SIGTERM or the end of `--for`.
///
/// # Errors
/// When the file exists (without `--force`) or cannot be written, or the host cannot be read.
pub(crate) async fn run(common: Common, args: Record) -> Result<ExitCode> {
    // Opening a pipe that nobody reads would wait for ever, deaf to signals.
    if std::fs::metadata(&args.file).is_ok_and(|meta| !meta.is_file()) {
        anyhow::bail!("{} is no regular file", args.file.display());
    }
    let stop = stop_signal()?;
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    live.containers_only(args.containers_only);
    let mut options = OpenOptions::new();
    // Command lines may hold secrets: for the owner's eyes.
    options.write(true).mode(0o600).create(true).truncate(args.force).create_new(!args.force);
    let name = args.file.display();
    let file = options.open(&args.file).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let hint = if exists { " (--force overwrites)" } else { "" };
        anyhow::Error::new(error).context(format!("making {name}{hint}"))
    })?;
    let (questions, asks) = mpsc::channel(1);
    let hello = Hello {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: instance(),
        origin: Origin::Live,
        interval_nanos: u64::try_from(args.interval.as_nanos()).unwrap_or(u64::MAX),
    };
    let hub = Hub::new(hello, questions);
    let (stopping, stopped) = watch::channel(false);
    let agent = tokio::spawn(agent::run(live, wake, Arc::clone(&hub), asks, args.interval, until(stopped)));
    match args.duration {
        Some(time) => print_line(&format!(
            "recording into {name} for {}; Ctrl-C ends it",
            unit::duration(time.as_nanos() as u64)
        )),
        None => print_line(&format!("recording into {name}; Ctrl-C ends it")),
    }?;
    let shutdown = async move {
        match args.duration {
            Some(time) => tokio::select! {
                () = stop => {}
                () = tokio::time::sleep(time) => {}
            },
            None => stop.await,
        }
    };
    let recorded = record::run(&hub, topics(args.threads), file, shutdown).await?;
    stopping.send_replace(true);
    agent.await?;
    print_line(&format!("{} ticks, {}", recorded.frames, unit::bytes(recorded.bytes)))?;
    Ok(ExitCode::SUCCESS)
}

/// Everything; threads only when asked for, since they multiply the size.
fn topics(threads: bool) -> TopicSet {
    Topic::ALL.iter().copied().filter(|t| threads || *t != Topic::Thread).collect()
}
