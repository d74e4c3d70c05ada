//! A look by a process of its own: a thread that waits for a FUSE server cannot be killed, and our process could not end before it.
//! So where FUSE or the network is on the way, this program is started again (`glasshull look-apart`) to look and to be left
//! behind.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::look::{Fault, FaultKind, Figures, Job, Passage, look_here};
use crate::sys::root::Root;

/// What [`answer`] is called on the command line.
pub(crate) const APART: &str = "look-apart";
/// This program. A unit test's would take the words for names of tests to run: there nothing is asked apart.
const OURSELVES: &str = if cfg!(test) { "/nonexistent/glasshull" } else { "/proc/self/exe" };

/// Has another process look. It is not killed when it takes long: one that can be would only be asked again.
pub(super) fn look_apart(job: &Job) -> Result<Figures, Fault> {
    let failed = |why: &dyn std::fmt::Display| {
        Fault::new(FaultKind::Failed, format!("the process that asks it failed: {why}"))
    };
    let mut command = Command::new(OURSELVES);
    command.arg0("glasshull").args([APART, &job.device]);
    for way in &job.ways {
        let [pid, mount] = [way.pid, way.mount].map(|number| number.to_string());
        let whose = if way.host { "host" } else { "" };
        command.args([&*pid, &*mount, whose]).arg(OsStr::from_bytes(&way.path));
    }
    // Who is left behind must not hold up a reader of our own output.
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let done = command.output().map_err(|error| failed(&error))?;
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| Err(failed(&done.status)))
}

/// What `glasshull look-apart` does: `DEVICE [PID MOUNT host|"" PATH]…`, the answer as JSON.
///
/// # Errors
/// When nobody reads the answer any more.
pub(crate) fn answer(words: &[OsString], out: &mut impl Write) -> io::Result<()> {
    // It was started by a link's name; this one stands in lists of processes.
    let _ = rustix::thread::set_name(c"glasshull-look");
    // A look that can be killed ends with the one who wanted it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    serde_json::to_writer(&mut *out, &asked(words))?;
    out.flush()
}

fn asked(words: &[OsString]) -> Result<Figures, Fault> {
    let passage = |words: &[OsString]| match words {
        [pid, mount, whose, path] => Some(Passage {
            pid: pid.to_str()?.parse().ok()?,
            mount: mount.to_str()?.parse().ok()?,
            host: whose == "host",
            path: path.as_bytes().to_vec(),
        }),
        _ => None,
    };
    let (device, ways) = words.split_first().map_or((None, words), |(device, rest)| (device.to_str(), rest));
    let ways: Vec<Passage> = ways.chunks(4).filter_map(passage).collect();
    look_here(&Root::host(), device.unwrap_or_default(), &ways)
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::own;
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(|word| (*word).into()).collect()
    }

    #[test]
    fn what_is_asked_apart_answers_the_same() {
        let (device, way) = own(|_| true).into_iter().find(|(_, way)| way.path == b"/").unwrap();
        let told = asked(&words(&[&device, &way.pid.to_string(), &way.mount.to_string(), "", "/"])).unwrap();
        // What is in use others may change meanwhile.
        let here = look_here(&Root::host(), &device, &[way]).unwrap();
        assert_eq!((told.size_bytes, told.identity), (here.size_bytes, here.identity));
        let text = serde_json::to_vec(&Ok::<_, Fault>(told)).unwrap();
        assert_eq!(serde_json::from_slice::<Result<Figures, Fault>>(&text).unwrap(), Ok(told));
    }

    #[test]
    fn junk_is_refused() {
        for junk in
            [&[][..], &["0:0"], &["0:0", "x", "y", "z", "/"], &["0:0", "1"], &["0:0", "1", "2", "", ""]]
        {
            assert!(asked(&words(junk)).is_err(), "{junk:?}");
        }
    }
}
