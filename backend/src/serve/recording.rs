//! Recordings: the very frames that go over the wire, kept in a file.
//!
//! From [`super::record`], which writes one, to [`super::replay`], which plays it. A file is the magic, the version
//! (4 bytes, little endian), then segments `[length][CRC-32][frame]`, both numbers 4 bytes, little endian. The first
//! frame is the Hello. Files may be cut short by a kill or come from strangers: what is whole is played, what is not
//! is named, and no length found in a file is ever allocated before that many bytes were read.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use glasshull_shared::snapshot::{Snapshot, TopicSet};
use glasshull_shared::wire::{
    Hello, MAX_FRAME_BYTES, ServerFrame, ServerMessage, TableFrame, TickHead, decode, unpack,
};

/// First bytes of every recording.
pub(crate) const MAGIC: [u8; 8] = *b"GLASSREC";
/// Version of the file's layout; frames have their own.
pub(crate) const FILE_VERSION: u32 = 1;

/// A recording that can be played any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    source: Source,
    hello: Hello,
    recorded_at: u64,
}

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Memory(&'static [u8]),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory(_) => "the built-in recording".into(),
        }
    }
}

/// What playing brings.
#[derive(Debug)]
pub(crate) enum Scene {
    /// A tick with all tables as they were then.
    Tick {
        /// Its head as recorded.
        head: TickHead,
        /// All tables.
        snapshot: Arc<Snapshot>,
        /// Tables it really holds.
        collected: TopicSet,
    },
    /// A part that cannot be played, in one sentence.
    Notice(String),
}

impl Recording {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, is no recording, or holds not a single whole tick.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Self::probe(Source::File(path.to_owned())).with_context(|| format!("cannot play {}", path.display()))
    }

    /// Opens one that lies in memory.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub(crate) fn from_static(bytes: &'static [u8]) -> anyhow::Result<Self> {
        Self::probe(Source::Memory(bytes)).context("cannot play the recording")
    }

    /// What the recorded agent said first.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Instant of the first tick, nanoseconds since the epoch.
    pub(crate) fn recorded_at(&self) -> u64 {
        self.recorded_at
    }

    /// All scenes from the beginning.
    ///
    /// # Errors
    /// When the file is gone, or is no recording any more.
    pub(crate) fn scenes(&self) -> anyhow::Result<Scenes> {
        let (mut segments, _) =
            begin(&self.source).with_context(|| format!("reading {} again", self.source.name()))?;
        // The Hello was read when the recording was opened.
        segments.next();
        Ok(Scenes { segments, snapshot: Arc::default(), known: TopicSet::EMPTY, broken: TopicSet::EMPTY })
    }

    fn probe(source: Source) -> anyhow::Result<Self> {
        let (mut segments, version) = begin(&source)?;
        if version != FILE_VERSION {
            bail!("it is a recording of version {version}, this glasshull plays version {FILE_VERSION}");
        }
        let hello = match segments.next() {
            Some(Ok(frame)) => read_hello(&frame)?,
            Some(Err(why)) => bail!("its beginning is damaged: {why}"),
            None => bail!("it is empty: recording ended before the first tick"),
        };
        let mut recording = Self { source, hello, recorded_at: 0 };
        let mut first_notice = None;
        for scene in recording.scenes()? {
            match scene {
                Scene::Tick { head, .. } => {
                    recording.recorded_at = head.at;
                    return Ok(recording);
                }
                Scene::Notice(text) => first_notice = first_notice.or(Some(text)),
            }
        }
        bail!("it holds no whole tick{}", first_notice.map_or(String::new(), |text| format!(": {text}")))
    }
}

/// Opens a source behind its head; also the version of its layout.
fn begin(source: &Source) -> anyhow::Result<(Segments, u32)> {
    let mut input: Box<dyn Read + Send> = match source {
        // A pipe that nobody writes to would be waited for without end.
        Source::File(path) if !std::fs::metadata(path)?.is_file() => bail!("it is no regular file"),
        Source::File(path) => Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)),
        Source::Memory(bytes) => Box::new(*bytes),
    };
    let mut magic = [0; MAGIC.len()];
    let mut version = [0; 4];
    let read = input.read_exact(&mut magic).and_then(|()| input.read_exact(&mut version));
    if read.is_err() || magic != MAGIC {
        bail!("it is no recording of glasshull");
    }
    Ok((
        Segments { input, position: (magic.len() + version.len()) as u64, ended: false },
        u32::from_le_bytes(version),
    ))
}

fn read_hello(frame: &[u8]) -> anyhow::Result<Hello> {
    match decode(&unpack(frame)?)? {
        ServerFrame::Message(ServerMessage::Hello(hello)) => Ok(hello),
        ServerFrame::Message(_) | ServerFrame::Tick(..) => bail!("its first frame is no Hello"),
    }
}

/// The frames of a file, each whole or the reason why it is not.
struct Segments {
    input: Box<dyn Read + Send>,
    /// Bytes read so far: where the next segment begins.
    position: u64,
    ended: bool,
}

impl Iterator for Segments {
    type Item = Result<Vec<u8>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let at = self.position;
        let mut head = Vec::new();
        let got = self.read_up_to(8, &mut head);
        let Some(([l0, l1, l2, l3, c0, c1, c2, c3], _)) = head.split_first_chunk::<8>() else {
            self.ended = true;
            let cut =
                || format!("the recording ends in the middle of a segment at byte {at}; played up to there");
            return match got {
                Ok(0) => None,
                Ok(_) => Some(Err(cut())),
                Err(error) => Some(Err(format!("reading failed at byte {at}: {error}"))),
            };
        };
        let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let sum = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
        if len > MAX_FRAME_BYTES {
            // Where the next segment begins is unknown now.
            self.ended = true;
            return Some(Err(format!("the recording is damaged at byte {at}; played up to there")));
        }
        let mut frame = Vec::new();
        match self.read_up_to(len, &mut frame) {
            Ok(got) if got < len => {
                self.ended = true;
                Some(Err(format!(
                    "the recording ends in the middle of a segment at byte {at}; played up to there"
                )))
            }
            Ok(_) if crc32fast::hash(&frame) != sum => {
                Some(Err(format!("the segment at byte {at} is damaged and was left out")))
            }
            Ok(_) => Some(Ok(frame)),
            Err(error) => {
                self.ended = true;
                Some(Err(format!("reading failed at byte {at}: {error}")))
            }
        }
    }
}

impl Segments {
    /// Reads at most `limit` bytes; the buffer grows with what is really there.
    fn read_up_to(&mut self, limit: usize, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
        let got = self.input.by_ref().take(limit as u64).read_to_end(buffer)?;
        self.position += got as u64;
        Ok(got)
    }
}

/// Plays a recording as fast as it is asked.
pub(crate) struct Scenes {
    segments: Segments,
    snapshot: Arc<Snapshot>,
    /// Tables that came up to now.
    known: TopicSet,
    /// Tables whose differences do not fit any more, until they come whole.
    broken: TopicSet,
}

impl Iterator for Scenes {
    type Item = Scene;

    fn next(&mut self) -> Option<Scene> {
        loop {
            let scene = match self.segments.next()? {
                Ok(frame) => self.show(&frame),
                Err(why) => Some(Scene::Notice(why)),
            };
            if matches!(scene, Some(Scene::Notice(_))) {
                self.broken = TopicSet::ALL;
            }
            if scene.is_some() {
                return scene;
            }
        }
    }
}

impl Scenes {
    /// Applies a frame; `None` for one that is no tick.
    fn show(&mut self, frame: &[u8]) -> Option<Scene> {
        let notice = |error| Some(Scene::Notice(format!("a frame was left out: {error}")));
        let payload = match unpack(frame) {
            Ok(payload) => payload,
            Err(error) => return notice(error),
        };
        match decode(&payload) {
            Ok(ServerFrame::Message(_)) => None,
            Ok(ServerFrame::Tick(head, tables)) => {
                tables.iter().for_each(|table| self.apply(table));
                let collected = self.known - self.broken;
                Some(Scene::Tick { head, snapshot: Arc::clone(&self.snapshot), collected })
            }
            Err(error) => notice(error),
        }
    }

    fn apply(&mut self, table: &TableFrame<'_>) {
        if self.broken.contains(table.topic) && !table.full {
            return;
        }
        match Arc::make_mut(&mut self.snapshot).apply(table.topic, table.full, table.bytes) {
            Ok(()) => {
                self.known.insert(table.topic);
                self.broken.remove(table.topic);
            }
            Err(error) => {
                tracing::warn!(table = table.topic.name(), %error, "a recorded table was left out");
                self.broken.insert(table.topic);
            }
        }
    }
}
