//! `glasshull files CONTAINER PATH`: what lies there as `ls -l` lists it, or with `--to` a copy of it. From the engines through
//! `collect::container::archive` to the terminal or a file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use glasshull_shared::archive::{Entry, EntryKind, Listing, Refusal, absolute};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::unit::{self, UNKNOWN, printable};
use tokio::sync::Notify;

use super::tell;
use super::who::silent_engines;
use super::{columns, print_line, still_read, stop_signal};
use crate::agent::archive::{Setting, named, open};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect::container::archive::{Form, Inside, Taken};
use crate::config::{Common, Files};
use crate::serve::archive::Subject;

/// Between the two samples that tell of containers; only the second counts.
const SAMPLES: Duration = Duration::from_millis(100);

/// Lists or copies.
///
/// # Errors
/// When it is not there, the engine fails, or the copy cannot be written.
pub(crate) async fn run(common: Common, args: Files) -> Result<ExitCode> {
    let (container, path) = args.split().map_err(anyhow::Error::msg)?;
    let path = absolute(path).map_err(told)?;
    let stop = stop_signal()?;
    let setting = Setting { given: !common.engine.is_empty(), limit: args.limit };
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    // Processes tell which of several engines runs a container.
    let demand = [Topic::Container, Topic::Engine, Topic::Process].into_iter().collect();
    let sample = sample_twice(&mut live, &wake, demand, SAMPLES).await;
    drop(live);
    let subject = match (&args.image, container) {
        (Some(image), _) => Subject::Image(image.clone()),
        (None, name) => Subject::Container(name.unwrap_or_default().to_owned()),
    };
    let (of, endpoints) = named(&sample.snapshot, &subject, None)
        .map_err(|why| anyhow!("{}{}", why.text(), silent_engines(&sample.snapshot)))?;
    let inside = open(&of, endpoints, &setting).await.map_err(told)?;
    // What was made for an image is removed whatever happens, also at Ctrl-C.
    let result = tokio::select! {
        result = work(&inside, &path, &args) => result,
        () = stop => Err(anyhow!("interrupted")),
    };
    inside.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

fn told(refusal: Refusal) -> anyhow::Error {
    anyhow!(refusal.text().replace("--files-limit", "--limit"))
}

async fn work(inside: &Inside, path: &str, args: &Files) -> Result<()> {
    if let Some(to) = &args.to {
        let taken = inside.take(path, Form::Either).await.map_err(told)?;
        return if to.as_os_str() == "-" { print(taken).await } else { copy(taken, to).await };
    }
    let listing = inside.list(path).await.map_err(told)?;
    if args.json {
        return print_line(&serde_json::to_string(&listing)?);
    }
    print_line(table(&listing).trim_end())?;
    if let Some(why) = &listing.incomplete {
        tell(&format!("not all is listed: {}", why.replace("--files-limit", "--limit")));
    }
    Ok(())
}

async fn print(mut taken: Taken) -> Result<()> {
    while let Some(bytes) = taken.next().await.map_err(told)? {
        // Not in this task: a reader that takes nothing must not keep Ctrl-C from ending it.
        let written = tokio::task::spawn_blocking(move || io::stdout().write_all(&bytes)).await?;
        if !still_read(written)? {
            break;
        }
    }
    still_read(tokio::task::spawn_blocking(|| io::stdout().flush()).await?).map(drop)
}

async fn copy(mut taken: Taken, to: &Path) -> Result<()> {
    let mut copy = Copy::begin(to)?;
    while let Some(bytes) = taken.next().await.map_err(told)? {
        tokio::task::block_in_place(|| copy.file.write_all(&bytes)).with_context(|| failed(to))?;
    }
    copy.whole = true;
    Ok(())
}

fn failed(to: &Path) -> String {
    format!("writing {}", to.display())
}

/// A file that is removed unless it is whole: half of one looks like one.
struct Copy {
    file: File,
    path: PathBuf,
    whole: bool,
}

impl Copy {
    fn begin(path: &Path) -> Result<Self> {
        // What it holds may be a secret of the container: for nobody else.
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create_new(true).open(path).with_context(|| failed(path))?;
        Ok(Self { file, path: path.to_owned(), whole: false })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.whole {
            let _ = fs::remove_file(&self.path); // that it is incomplete is told already
        }
    }
}

fn table(listing: &Listing) -> String {
    let heading = ["MODE", "UID", "GID", "SIZE", "MODIFIED (UTC)", "NAME"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(listing.entries.iter().map(row)).collect();
    columns(&rows, 6)
}

fn row(entry: &Entry) -> [String; 6] {
    let number = |n: Option<u64>| n.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string());
    let size = entry.size_bytes.map_or_else(|| UNKNOWN.to_owned(), unit::bytes);
    let modified = entry.modified_at.map_or_else(|| UNKNOWN.to_owned(), unit::date_time);
    let link = entry.link.as_ref().map(|to| {
        let arrow = if entry.kind == EntryKind::HardLink { "=" } else { "->" };
        format!(" {arrow} {}", printable(to))
    });
    let name = format!("{}{}", printable(&entry.name), link.unwrap_or_default());
    [entry.mode_text(), number(entry.uid), number(entry.gid), size, modified, name]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryKind, mode: u32) -> Entry {
        Entry {
            name: "a\nb\u{202e}".into(),
            name_hex: None,
            kind,
            mode,
            uid: Some(0),
            gid: None,
            size_bytes: None,
            modified_at: Some(0),
            link: Some("\x1b[2J".into()),
        }
    }

    #[test]
    fn modes_are_those_of_ls_and_a_line_is_a_line() {
        for (kind, bits, text) in [
            (EntryKind::File, 0o4755, "-rwsr-xr-x"),
            (EntryKind::File, 0o2644, "-rw-r-Sr--"),
            (EntryKind::Directory, 0o1777, "drwxrwxrwt"),
            (EntryKind::Directory, 0o1776, "drwxrwxrwT"),
            (EntryKind::Symlink, 0, "l---------"),
        ] {
            assert_eq!(entry(kind, bits).mode_text(), text);
        }
        let entries = vec![entry(EntryKind::Symlink, 0o777)];
        let (of, path) = ("web".to_owned(), "/".to_owned());
        let text = table(&Listing {
            of,
            container: None,
            path,
            kind: EntryKind::Directory,
            entries,
            incomplete: None,
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].ends_with("1970-01-01 00:00:00  a\\nb\\u{202e} -> \\u{1b}[2J"), "{text}");
    }

    #[test]
    fn half_a_file_is_removed_and_one_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        drop(Copy::begin(&path).unwrap());
        assert!(!path.exists());
        let mut copy = Copy::begin(&path).unwrap();
        copy.whole = true;
        drop(copy);
        assert!(path.exists() && Copy::begin(&path).is_err() && path.exists());
    }
}
