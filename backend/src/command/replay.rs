//! `glasshull replay`: a recording in place of the live host, behind the same hub, server and app.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::{mpsc, watch};

use super::serve::{announce, bind, instance, until};
use super::stop_signal;
use crate::config::Replay;
use crate::serve::hub::Hub;
use crate::serve::recording::Recording;
use crate::serve::replay::{Options, hello, play};

/// Half a minute of the lab of `e2e`; CONTRIBUTING says how it is made.
static DEMO: &[u8] = include_bytes!("../../demo.ghrec");

/// Plays until SIGINT, SIGTERM, or the end with `--once`.
///
/// # Errors
/// When the file is no recording or the port cannot be taken.
pub(crate) async fn run(args: Replay) -> Result<ExitCode> {
    let stop = stop_signal()?;
    let recording = match &args.file {
        Some(file) => Recording::open(file)?,
        None => Recording::from_static(DEMO).context("the built-in recording")?,
    };
    let options = Options { speed: args.speed, once: args.once };
    let server = bind(&args.serve).await?;
    let (questions, asks) = mpsc::channel(64);
    let hub = Hub::new(hello(&recording, options, instance())?, questions);
    let what = args
        .file
        .as_ref()
        .map_or_else(|| "the demo recording".into(), |f| format!("recording {}", f.display()));
    announce(&server, &what);
    let (stopping, stopped) = watch::channel(false);
    let playing = tokio::spawn({
        let (hub, stopped) = (Arc::clone(&hub), stopped.clone());
        async move {
            let result = play(recording, hub, asks, options, until(stopped)).await;
            stopping.send_replace(true);
            result
        }
    });
    let shutdown = async {
        tokio::select! {
            () = stop => {}
            () = until(stopped) => {}
        }
    };
    server.run(hub, shutdown).await?;
    if playing.is_finished() {
        playing.await??;
    } else {
        playing.abort();
    }
    Ok(ExitCode::SUCCESS)
}
