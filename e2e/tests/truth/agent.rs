//! The program under test, driven through its command line only, and its answers.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic::Ended;
use serde_json::Value;

/// No call takes anywhere near this long; beyond it the agent hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Path of the built `glasshull`.
pub(crate) struct Agent {
    program: PathBuf,
}

/// A dashboard that is served.
pub(crate) struct Served {
    /// Where.
    pub(crate) address: SocketAddr,
    running: Ended,
}

impl Served {
    /// Asks it to end, as an administrator does, and waits until it has.
    pub(crate) fn end(&mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.running.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended =
            wait_until(HANGS_AFTER, || self.running.0.try_wait().is_ok_and(|status| status.is_some()));
        ensure!(ended, "the agent does not end");
        Ok(())
    }
}

/// What a call gave back.
pub(crate) struct Answer {
    /// Whether it exited with 0.
    pub(crate) success: bool,
    /// Standard output, which must be UTF-8.
    pub(crate) out: String,
    /// Standard error, lossy.
    pub(crate) err: String,
}

impl Agent {
    /// `GLASSHULL_BIN`, else the neighbour of this test's directory.
    pub(crate) fn find() -> Result<Self> {
        let program = match std::env::var_os("GLASSHULL_BIN") {
            Some(path) => PathBuf::from(path),
            None => {
                let own = std::env::current_exe()?;
                own.ancestors().nth(2).context("directory of the test")?.join("glasshull")
            }
        };
        ensure!(
            program.is_file(),
            "{}: build it first (cargo build) or set GLASSHULL_BIN",
            program.display()
        );
        Ok(Self { program })
    }

    /// Path of the program, for calls that are not waited for.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Serves the dashboard on a free port until the value is dropped.
    pub(crate) fn serve(&self, endpoint: &str) -> Result<Served> {
        self.serve_with(endpoint, &[])
    }

    /// The same with more arguments.
    pub(crate) fn serve_with(&self, endpoint: &str, more: &[&str]) -> Result<Served> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(&self.program)
            .args(["serve", "--bind", "127.0.0.1:0", "--engine", endpoint])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let running = Ended(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let rest = line.split_once("http://").map(|(_, rest)| rest).with_context(|| line.clone())?;
        let address = rest.split('/').next().unwrap_or_default().parse()?;
        Ok(Served { address, running })
    }

    /// Calls it and waits.
    pub(crate) fn call(&self, args: &[&str]) -> Result<Answer> {
        self.call_by(&[], args)
    }

    /// Calls it by way of another program, such as one that gives up rights, and waits.
    pub(crate) fn call_by(&self, prefix: &[&str], args: &[&str]) -> Result<Answer> {
        // Into files: an answer is larger than a pipe holds.
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut words = prefix.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut child = Command::new(words.next().context("no program")?)
            .args(words)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(err.try_clone()?)
            .spawn()
            .with_context(|| format!("run {}", self.program.display()))?;
        let mut status = None;
        let ended = wait_until(HANGS_AFTER, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            child.kill()?;
            child.wait()?;
            bail!("glasshull {} hangs", args.join(" "));
        }
        let (mut raw, mut said) = (Vec::new(), Vec::new());
        for (file, into) in [(&mut out, &mut raw), (&mut err, &mut said)] {
            file.rewind()?;
            file.read_to_end(into)?;
        }
        Ok(Answer {
            success: status.is_some_and(|s| s.success()),
            out: String::from_utf8(raw).with_context(|| format!("output of glasshull {}", args.join(" ")))?,
            err: String::from_utf8_lossy(&said).into_owned(),
        })
    }

    /// Calls it with `--json` expected to succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Result<Value> {
        let answer = self.call(args)?;
        ensure!(answer.success, "glasshull {} failed: {}", args.join(" "), answer.err.trim());
        serde_json::from_str(&answer.out).with_context(|| format!("JSON of glasshull {}", args.join(" ")))
    }

    /// A snapshot of all tables.
    pub(crate) fn snapshot(&self, endpoint: &str) -> Result<Snapshot> {
        self.snapshot_with(endpoint, &["--interval", "1s"])
    }

    /// A snapshot with more arguments.
    pub(crate) fn snapshot_with(&self, endpoint: &str, more: &[&str]) -> Result<Snapshot> {
        let mut args = vec!["snapshot", "--json", "--engine", endpoint];
        args.extend(more);
        Ok(Snapshot { json: self.json(&args)? })
    }

    /// `who SUBJECT --json`.
    pub(crate) fn who(&self, endpoint: &str, subject: &str) -> Result<Value> {
        self.json(&["who", subject, "--json", "--engine", endpoint])
    }
}

/// The object that `glasshull snapshot --json` prints.
pub(crate) struct Snapshot {
    json: Value,
}

impl Snapshot {
    /// The object that `snapshot --json` printed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(Self { json: serde_json::from_str(text).context("understand the snapshot")? })
    }

    /// The whole of it.
    pub(crate) fn document(&self) -> &Value {
        &self.json
    }

    /// Rows of a table.
    pub(crate) fn rows(&self, table: &str) -> Result<&Vec<Value>> {
        self.json["tables"][table].as_array().with_context(|| format!("no table {table} in the snapshot"))
    }

    /// Row of a process.
    pub(crate) fn process(&self, pid: u32) -> Result<&Value> {
        let mut found = self.rows("process")?.iter().filter(|r| r["pid"] == pid);
        let row = found.next().with_context(|| format!("no row for pid {pid}"))?;
        ensure!(found.next().is_none(), "two rows for pid {pid}");
        Ok(row)
    }

    /// Row of a container.
    pub(crate) fn container(&self, id: &str) -> Result<&Value> {
        let mut found = self.rows("container")?.iter().filter(|r| r["id"] == id);
        let row = found.next().with_context(|| format!("no row for container {id}"))?;
        ensure!(found.next().is_none(), "two rows for container {id}");
        Ok(row)
    }

    /// Pids whose container is this one, ascending.
    pub(crate) fn pids_of(&self, id: &str) -> Result<Vec<u32>> {
        let rows = self.rows("process")?.iter().filter(|r| r["container"] == id);
        let mut pids = rows.map(|r| number(r, "pid").map(|p| p as u32)).collect::<Result<Vec<_>>>()?;
        pids.sort_unstable();
        Ok(pids)
    }
}

/// A whole number of a row.
pub(crate) fn number(row: &Value, field: &str) -> Result<u64> {
    row[field].as_u64().with_context(|| format!("{field} is {} in {}", row[field], brief(row)))
}

/// A fractional number of a row.
pub(crate) fn fraction(row: &Value, field: &str) -> Result<f64> {
    row[field].as_f64().with_context(|| format!("{field} is {} in {}", row[field], brief(row)))
}

/// Demands one value of a row.
pub(crate) fn same(row: &Value, field: &str, truth: &Value) -> Result<()> {
    ensure!(row[field] == *truth, "{field} is {}, should be {truth}, in {}", row[field], brief(row));
    Ok(())
}

/// A row short enough for a message.
pub(crate) fn brief(row: &Value) -> String {
    let text = row.to_string();
    if text.len() > 600 { format!("{}…", text.chars().take(600).collect::<String>()) } else { text }
}
