//! The subcommands: each turns its arguments into one run of a source and something that shows it.

pub(crate) mod archive;
pub(crate) mod confinement;
pub(crate) mod dns;
pub(crate) mod enter;
pub(crate) mod finding;
pub(crate) mod io;
pub(crate) mod limits;
pub(crate) mod ns;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod veth;
pub(crate) mod who;
pub(crate) mod wire;

use std::future::Future;
use std::io::Write;

use anyhow::Context as _;
use glasshull_shared::unit::printable;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGINT, SIGTERM or SIGHUP: a terminal that goes away must not cut a recording short of its last line.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Prints one line; a reader that went away (`| head`) is no error.
///
/// # Errors
/// When standard output cannot take it: a full disk.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    still_read(writeln!(std::io::stdout(), "{text}")).map(drop)
}

/// Whether somebody still reads what was written to standard output; who prints on and on ends when not.
///
/// # Errors
/// As [`print_line`].
pub(crate) fn still_read(written: std::io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("writing to standard output"),
    }
}

/// Tells a person on standard error what is wrong or missing. Unlike `eprintln!` it does not panic when nobody reads there any
/// more (`2>&1 | head`) or the disk is full: that is no reason for another exit code.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "glasshull: {}", printable(text));
}

/// Rows, the headings first, in columns as wide as their texts; from the column `right` on, to the right.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], right: usize) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
            if at >= right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}
