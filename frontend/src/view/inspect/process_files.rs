//! What the process under the inspector holds open, looked at again and again while the tab is: which files grow or move, which
//! are deleted but take space.

use glasshull_shared::domain::file::{FileKind, HeldAs, OpenFile, OpenFiles, OpenMode};
use glasshull_shared::domain::process::ProcessKey;
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, Question};
use leptos::prelude::*;

use super::answer::{ask_at, beat, on_the_host, said, sentences};
use crate::store::{Selection, use_store};

/// Time between two looks, nanoseconds.
const BEAT: u64 = 2_000_000_000;
/// Lines drawn at most.
const LINES: usize = 300;

/// A file as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shown {
    held: String,
    path: String,
    what: String,
    figures: String,
    growth: String,
    mark: Option<(&'static str, &'static str)>,
    host_path: Option<String>,
}

/// The tab.
pub(super) fn files(selection: Selection) -> AnyView {
    let store = use_store();
    let key = selection.process().unwrap_or(ProcessKey { pid: 0, start_time: 0 });
    let read = |answer: &Answer, before: Option<&OpenFiles>| {
        let mut files =
            answer.opened(|answer| if let Answer::Files(files) = answer { Some(files) } else { None })?;
        if let (Ok(files), Some(before)) = (&mut files, before) {
            files.rate(before);
        }
        Some(files)
    };
    let looks = ask_at(store, beat(store, BEAT), Question::Files(key), read);
    let lines = move || {
        looks.with(|look| match look {
            Some(Ok(files)) => shown(files),
            Some(Err(_)) | None => Vec::new(),
        })
    };
    view! {
        {said(looks, summary)}
        <ul class="open-files">
            <For each=lines key=Shown::clone children=line />
        </ul>
        {sentences(looks, "lacking", |files| &files.missing)}
    }
    .into_any()
}

fn summary(files: &OpenFiles) -> String {
    let descriptors = files.rows.iter().filter(|row| row.fd.is_some()).count() as u64 + files.left_out;
    let gone = files.rows.iter().filter(|row| row.deleted == Some(true));
    let held: u64 = gone.clone().filter_map(|row| row.held_bytes).sum();
    let deleted = gone.count();
    let mut text = format!("{} descriptors, looked at every 2 s", unit::count(descriptors));
    if deleted > 0 {
        text.push_str(&format!("; {deleted} deleted but open, holding {}", unit::bytes(held)));
    }
    let left = files.left_out + files.rows.len().saturating_sub(LINES) as u64;
    if left > 0 {
        text.push_str(&format!("; {} not listed", unit::count(left)));
    }
    text
}

/// What grows or moves first, then what is deleted, then files, then the rest as it came.
fn shown(files: &OpenFiles) -> Vec<Shown> {
    let moves = |row: &OpenFile| {
        row.size_per_sec.is_some_and(|n| n != 0.0) || row.position_per_sec.is_some_and(|n| n > 0.0)
    };
    let rank = |row: &OpenFile| match (moves(row), row.deleted, row.kind) {
        (true, ..) => 0,
        (_, Some(true), _) => 1,
        (_, _, Some(FileKind::File)) if row.fd.is_some() => 2,
        (..) if row.fd.is_some() => 3,
        (..) => 4,
    };
    let mut rows: Vec<&OpenFile> = files.rows.iter().collect();
    rows.sort_by_key(|row| rank(row));
    rows.into_iter().take(LINES).map(one).collect()
}

fn one(row: &OpenFile) -> Shown {
    let held = match (row.held_as, row.fd) {
        (_, Some(fd)) => format!("{fd}{}", mode(row.mode)),
        (HeldAs::Cwd, None) => "cwd".into(),
        (HeldAs::Root, None) => "root".into(),
        (HeldAs::Exe, None) => "exe".into(),
        (HeldAs::Mem, None) => "mem".into(),
        (HeldAs::Descriptor, None) => String::new(),
    };
    let what: Vec<String> =
        [Some(kind(row.kind).to_owned()), (!row.flags.is_empty()).then(|| row.flags.join(" "))]
            .into_iter()
            .flatten()
            .collect();
    let figures = [
        row.size_bytes.map(unit::bytes),
        row.position.filter(|_| row.kind == Some(FileKind::File)).map(|at| format!("at {}", unit::bytes(at))),
        row.inode.zip(row.device.as_ref()).map(|(inode, device)| format!("inode {inode} on {device}")),
    ];
    let growth = [
        row.size_per_sec.filter(|n| *n != 0.0).map(|n| {
            let sign = if n < 0.0 { "−" } else { "+" };
            format!("grows {sign}{}", unit::bytes_per_sec(f64::from(n.abs())))
        }),
        row.position_per_sec
            .filter(|n| *n > 0.0)
            .map(|n| format!("moves {}", unit::bytes_per_sec(f64::from(n)))),
    ];
    let mark = match (row.hangs, row.deleted) {
        (true, _) => Some(("its file system does not answer", "trouble")),
        (false, Some(true)) => Some(("deleted: its space is free when the last holder closes it", "trouble")),
        (false, Some(false) | None) => None,
    };
    Shown {
        held,
        path: unit::printable(&row.path),
        what: what.join(" "),
        figures: figures.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        growth: growth.into_iter().flatten().collect::<Vec<_>>().join(", "),
        mark,
        host_path: row.host_path.as_ref().filter(|path| **path != row.path).map(|path| unit::printable(path)),
    }
}

/// As `lsof` writes it behind the number.
fn mode(of: Option<OpenMode>) -> &'static str {
    match of {
        Some(OpenMode::Read) => "r",
        Some(OpenMode::Write) => "w",
        Some(OpenMode::ReadWrite) => "u",
        Some(OpenMode::Path) | None => "",
    }
}

fn kind(of: Option<FileKind>) -> &'static str {
    match of {
        Some(FileKind::File) => "file",
        Some(FileKind::Dir) => "directory",
        Some(FileKind::Char) => "character device",
        Some(FileKind::Block) => "block device",
        Some(FileKind::Pipe) => "pipe",
        Some(FileKind::Socket) => "socket",
        Some(FileKind::Link) => "link",
        Some(FileKind::Anon) => "kernel object",
        None => "unknown",
    }
}

fn line(row: Shown) -> impl IntoView {
    let mark = row.mark.map(|(text, tone)| view! { <p class="mark" data-tone=tone>{text}</p> });
    let growth = (!row.growth.is_empty()).then(|| view! { <b class="growth">{row.growth}</b> });
    view! {
        <li>
            <p>
                <code class="held">{row.held}</code>
                <code class="path">{row.path}</code>
            </p>
            <p class="figures">
                <span>{row.what}</span>
                <span>{row.figures}</span>
                {growth}
            </p>
            {mark}
            {on_the_host(row.host_path)}
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(fd: u32, path: &str) -> OpenFile {
        OpenFile { fd: Some(fd), kind: Some(FileKind::File), path: path.into(), ..OpenFile::default() }
    }

    #[test]
    fn what_grows_comes_first_then_what_holds_space_unseen() {
        let grows = OpenFile { size_per_sec: Some(18.2e6), ..file(9, "/tmp/Bonnie") };
        let gone =
            OpenFile { deleted: Some(true), held_bytes: Some(1 << 20), ..file(7, "/var/log/app (deleted)") };
        let pipe = OpenFile { kind: Some(FileKind::Pipe), ..file(1, "pipe:[7]") };
        let cwd = OpenFile { held_as: HeldAs::Cwd, fd: None, kind: Some(FileKind::Dir), ..file(0, "/") };
        let rows = vec![cwd, pipe, file(3, "/etc/hosts"), gone, grows];
        let files = OpenFiles { rows, ..OpenFiles::default() };
        let drawn = shown(&files);
        let paths: Vec<&str> = drawn.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["/tmp/Bonnie", "/var/log/app (deleted)", "/etc/hosts", "pipe:[7]", "/"]);
        assert_eq!(drawn.first().map(|one| one.growth.as_str()), Some("grows +18.2 MB/s"));
        assert_eq!(
            summary(&files),
            "4 descriptors, looked at every 2 s; 1 deleted but open, holding 1.0 MiB"
        );
    }
}
