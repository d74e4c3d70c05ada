//! Plays a recording in place of a live host: the same hub, the same frames, the same app.
//!
//! From a [`Recording`] to [`Hub::publish`], with the pauses that were recorded divided by the speed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use glasshull_shared::wire::{Answer, Hello, Origin, Question, ServerMessage, Severity};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::hub::{Ask, Hub, Request};
use super::recording::{Recording, Scene};

/// No pause is longer: the recorded host may have been suspended.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// No pause is shorter, whatever a recording or a speed says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// Pause before a recording begins again.
const LOOP_PAUSE: Duration = Duration::from_secs(1);

/// Why nothing can be done.
const PAST: &str = "this is a recording: what it shows cannot be changed";

/// How to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    /// How many times faster than it was; 1.0 = as it was.
    pub(crate) speed: f32,
    /// Ends with the recording instead of beginning again.
    pub(crate) once: bool,
}

/// What a hub that plays this recording says first. `instance` names this run, as for a live agent.
///
/// # Errors
/// When the speed is no positive number.
pub(crate) fn hello(recording: &Recording, options: Options, instance: u64) -> anyhow::Result<Hello> {
    let speed = options.speed;
    ensure!(speed.is_finite() && speed > 0.0, "the speed must be above 0, like 1 or 0.5 or 4");
    let recorded = recording.hello();
    let interval = Duration::from_nanos(recorded.interval_nanos).div_f64(f64::from(speed).max(1e-6));
    Ok(Hello {
        agent_version: recorded.agent_version.clone(),
        instance,
        origin: Origin::Replay { recorded_at: recording.recorded_at(), speed },
        interval_nanos: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
    })
}

/// Plays into `hub` until the end (with [`Options::once`]) or until `shutdown` is ready. `questions` is the other end
/// of the hub's.
///
/// # Errors
/// When the recording is gone.
pub(crate) async fn play(
    recording: Recording,
    hub: Arc<Hub>,
    questions: mpsc::Receiver<Ask>,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = shutdown => Ok(()),
        () = answer(questions) => Ok(()),
        result = play_all(&recording, &hub, options) => result,
    }
}

async fn play_all(recording: &Recording, hub: &Hub, options: Options) -> anyhow::Result<()> {
    loop {
        play_once(recording, hub, options.speed).await?;
        if options.once {
            return Ok(());
        }
        sleep(LOOP_PAUSE).await;
    }
}

async fn play_once(recording: &Recording, hub: &Hub, speed: f32) -> anyhow::Result<()> {
    let mut scenes = recording.scenes()?;
    let mut before: Option<u64> = None;
    loop {
        // Reading and decoding are done where they hold up nobody.
        let next = tokio::task::spawn_blocking(move || {
            let scene = scenes.next();
            (scenes, scene)
        });
        let (back, scene) = next.await.context("the reader's thread failed")?;
        scenes = back;
        match scene {
            None => return Ok(()),
            Some(Scene::Notice(text)) => {
                tracing::warn!("{text}");
                hub.notify(&ServerMessage::Notice { severity: Severity::Attention, text });
            }
            Some(Scene::Tick { head, snapshot, collected }) => {
                if let Some(before) = before.replace(head.at) {
                    sleep(pause(head.at.saturating_sub(before), speed)).await;
                }
                hub.publish(snapshot, collected, head.at, head.interval_nanos);
            }
        }
    }
}

fn pause(recorded_nanos: u64, speed: f32) -> Duration {
    let nanos = recorded_nanos as f64 / f64::from(speed);
    // `as` saturates and turns NaN into 0.
    Duration::from_nanos(nanos as u64).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// Ends only when nobody can ask any more, and then waits for ever: that is no reason to stop playing.
async fn answer(mut questions: mpsc::Receiver<Ask>) {
    while let Some(ask) = questions.recv().await {
        let answer = match ask.request {
            Request::Question(
                Question::Process(_)
                | Question::NamesAgain
                | Question::Names { .. }
                | Question::Files(_)
                | Question::Maps(_)
                | Question::Holders(_),
            ) => Answer::Failed("a recording does not hold this".into()),
            Request::Question(Question::Control) => Answer::Control(Some(PAST.into())),
            Request::Question(Question::Archive) => Answer::Control(super::archive::refusal(None)),
            Request::Order(..) => Answer::Failed(PAST.into()),
        };
        let _ = ask.reply.send(answer); // the client may be gone; then nobody misses the answer
    }
    std::future::pending().await
}
