//! Records what clients would see: the hub's frames go into a file as they are.
//!
//! From a subscription of the hub to the file; layout in [`super::recording`]. One write per tick, so that a kill at
//! any moment loses at most the last one.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use glasshull_shared::snapshot::TopicSet;
use tokio::time::Instant;

use super::hub::Hub;
use super::recording::{FILE_VERSION, MAGIC};

/// How often all tables are written whole: what a damaged segment costs at most, and where one could begin to play.
const KEYFRAME_EVERY: Duration = Duration::from_secs(60);

/// Writes the segments of a recording.
#[derive(Debug)]
pub(crate) struct Recorder<W> {
    out: W,
    segment: Vec<u8>,
    written_bytes: u64,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording. The first frame written must be the Hello.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn new(mut out: W) -> std::io::Result<Self> {
        let head = [MAGIC.as_slice(), &FILE_VERSION.to_le_bytes()].concat();
        out.write_all(&head)?;
        Ok(Self { out, segment: Vec::new(), written_bytes: head.len() as u64 })
    }

    /// Appends a frame with a single write.
    ///
    /// # Errors
    /// When the file cannot be written (disk full).
    pub(crate) fn write(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let len = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
        self.segment.clear();
        self.segment.extend_from_slice(&len.to_le_bytes());
        self.segment.extend_from_slice(&crc32fast::hash(frame).to_le_bytes());
        self.segment.extend_from_slice(frame);
        self.out.write_all(&self.segment)?;
        self.written_bytes += self.segment.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Gives the file back.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

/// What was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Frames besides the Hello.
    pub(crate) frames: u64,
    /// Size of the file.
    pub(crate) bytes: u64,
}

/// Records the tables of `topics` until `shutdown` is ready.
///
/// # Errors
/// When the file cannot be written.
pub(crate) async fn run<W: Write + Send + 'static>(
    hub: &Arc<Hub>,
    topics: TopicSet,
    out: W,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Recorded> {
    let mut recorder = Recorder::new(out).context("cannot write the recording")?;
    recorder.write(&hub.hello_frame()).context("cannot write the recording")?;
    let mut subscription = hub.subscribe(topics);
    let mut frames = 0;
    let mut keyframe_at = Instant::now() + KEYFRAME_EVERY;
    tokio::pin!(shutdown);
    loop {
        let frame = tokio::select! {
            () = &mut shutdown => return Ok(Recorded { frames, bytes: recorder.written_bytes() }),
            frame = subscription.next() => frame?,
        };
        // A slow disk must not hold up the sessions that share our thread.
        let written = tokio::task::spawn_blocking(move || {
            let result = recorder.write(&frame);
            (recorder, result)
        });
        let (back, result) = written.await.context("the recorder's thread failed")?;
        result.context("cannot write the recording")?;
        recorder = back;
        frames += 1;
        if Instant::now() >= keyframe_at {
            keyframe_at = Instant::now() + KEYFRAME_EVERY;
            subscription.make_next_full();
        }
    }
}
