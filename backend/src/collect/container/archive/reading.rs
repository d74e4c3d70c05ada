//! An archive on its way out of an engine: counted, checked as it passes, and given on in parts. It ends well only when the tar
//! was whole: an engine that stops in the middle, or sends something else, is an error, never an early end.

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use glasshull_shared::archive::{EntryKind, Refusal};
use glasshull_shared::unit;
use tokio::time::timeout;

use super::walk::{Broken, Piece, Walk};
use super::{SILENCE, broken, silent, status};

/// The archive of one path.
pub(super) struct Reading {
    stream: BoxStream<'static, Result<Bytes, Error>>,
    walk: Walk,
    /// What came last and was not looked at yet.
    here: Bytes,
    read: u64,
    limit: u64,
}

impl Reading {
    pub(super) fn new(stream: BoxStream<'static, Result<Bytes, Error>>, limit: u64) -> Self {
        Self { stream, walk: Walk::new(), here: Bytes::new(), read: 0, limit }
    }

    /// The next piece; `None` at the end of a whole tar.
    pub(super) async fn piece(&mut self) -> Result<Option<Piece>, Refusal> {
        loop {
            if let Some(piece) = self.walk.next(&mut self.here).map_err(no_tar)? {
                return Ok(Some(piece));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// The next part of the tar as it is.
    async fn raw(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.more().await? {
            return Ok(None);
        }
        let part = self.here.clone();
        while self.walk.next(&mut self.here).map_err(no_tar)?.is_some() {}
        Ok(Some(part))
    }

    /// Waits for bytes; false at the end of a whole tar.
    async fn more(&mut self) -> Result<bool, Refusal> {
        match timeout(SILENCE, self.stream.next()).await {
            Err(_) => Err(silent()),
            Ok(None) => self.walk.whole().map(|()| false).map_err(no_tar),
            Ok(Some(Err(error))) if status(&error) == Some(404) => {
                Err(Refusal::NotFound("it is gone meanwhile".into()))
            }
            Ok(Some(Err(error))) => Err(broken(&error)),
            Ok(Some(Ok(bytes))) => {
                self.read = self.read.saturating_add(bytes.len() as u64);
                if self.read > self.limit {
                    return Err(too_large("it", self.limit));
                }
                self.here = bytes;
                Ok(true)
            }
        }
    }
}

/// A file or a tree that is being taken.
pub(crate) struct Taken {
    /// What to call it: the path's last part, of a tree with `.tar`.
    pub(crate) name: String,
    /// Bytes of a file; `None` of a tree.
    pub(crate) size: Option<u64>,
    reading: Reading,
}

impl Taken {
    pub(super) fn tree(name: String, reading: Reading) -> Self {
        Self { name, size: None, reading }
    }

    /// A file, once its header is there.
    pub(super) async fn file(path: &str, name: String, mut reading: Reading) -> Result<Self, Refusal> {
        let member = match reading.piece().await? {
            Some(Piece::Entry(member)) => member,
            Some(Piece::Data(_)) | None => {
                return Err(Refusal::Engine("the engine's archive is empty".into()));
            }
        };
        if member.kind != EntryKind::File {
            return Err(Refusal::Wish(format!("{path} is no regular file: it has no bytes to take")));
        }
        if member.size > reading.limit {
            return Err(too_large(&format!("{path} ({})", unit::bytes(member.size)), reading.limit));
        }
        Ok(Self { name, size: Some(member.size), reading })
    }

    /// The next bytes; `None` when all were there.
    ///
    /// # Errors
    /// When the engine breaks off or the limit is reached: what came until then is not the whole.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if self.size.is_none() {
            return self.reading.raw().await;
        }
        match self.reading.piece().await? {
            Some(Piece::Data(bytes)) => Ok(Some(bytes)),
            Some(Piece::Entry(_)) => {
                Err(Refusal::Engine("the engine's archive holds more than the file".into()))
            }
            None => Ok(None),
        }
    }
}

fn too_large(what: &str, limit: u64) -> Refusal {
    Refusal::TooLarge(format!("{what} is more than {} (--files-limit)", unit::bytes(limit)))
}

fn no_tar(broken: Broken) -> Refusal {
    Refusal::Engine(format!("the engine's archive is broken: {broken}"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tar::EntryType;

    use super::super::walk::tests::{ended, member};
    use super::*;

    fn reading(tar: &[u8], limit: u64) -> Reading {
        let parts: Vec<_> = tar.chunks(700).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        Reading::new(stream::iter(parts).boxed(), limit)
    }

    async fn all(mut taken: Taken) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        while let Some(part) = taken.next().await? {
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    async fn file(tar: &[u8], limit: u64) -> Result<Vec<u8>, Refusal> {
        all(Taken::file("/f", "f".into(), reading(tar, limit)).await?).await
    }

    #[tokio::test]
    async fn a_file_is_given_as_it_is_and_a_tree_as_its_tar() {
        let tar = ended(member(b"f", EntryType::Regular, &[7; 3000]));
        assert_eq!(file(&tar, 1 << 20).await, Ok(vec![7; 3000]));
        assert_eq!(all(Taken::tree("f.tar".into(), reading(&tar, 1 << 20))).await.as_deref(), Ok(&tar[..]));
        let empty = ended(member(b"f", EntryType::Regular, b""));
        assert_eq!(file(&empty, 1 << 20).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn what_breaks_off_is_no_whole_file() {
        let tar = ended(member(b"f", EntryType::Regular, &[7; 3000]));
        for end in [512, 600, 3512, tar.len() - 512] {
            assert!(matches!(file(&tar[..end], 1 << 20).await, Err(Refusal::Engine(_))), "{end}");
            let tree = all(Taken::tree("f.tar".into(), reading(&tar[..end], 1 << 20))).await;
            assert!(matches!(tree, Err(Refusal::Engine(why)) if why.contains("breaks off")), "{end}");
        }
        let two = [member(b"f", EntryType::Regular, b"1"), member(b"g", EntryType::Regular, b"2")].concat();
        assert!(matches!(file(&ended(two), 1 << 20).await, Err(Refusal::Engine(_))));
        assert!(matches!(file(b"", 1 << 20).await, Err(Refusal::Engine(_))));
    }

    #[tokio::test]
    async fn a_limit_holds_before_the_first_byte_of_a_file_and_in_the_midst_of_a_tree() {
        let tar = ended(member(b"f", EntryType::Regular, &[7; 3000]));
        assert!(matches!(file(&tar, 2999).await, Err(Refusal::TooLarge(why)) if why.contains("2.9 KiB")));
        let tree = all(Taken::tree("f.tar".into(), reading(&tar, 2999))).await;
        assert!(matches!(tree, Err(Refusal::TooLarge(_))));
        let pipe = ended(member(b"f", EntryType::Fifo, b""));
        assert!(matches!(file(&pipe, 1 << 20).await, Err(Refusal::Wish(_))));
    }
}
