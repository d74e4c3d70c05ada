//! The program itself with the streams and files of a careless caller: nobody reads, the disk is full, a file is not what its
//! name says. Whatever is missing, it ends with a code and a line that says why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this file is nothing but tests")]

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

/// An engine that is not there: these tests look at no container of the host.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

fn glasshull(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glasshull"));
    command.args(words).args(["--engine", NO_ENGINE]).env_clear().stdin(Stdio::null());
    command
}

/// Takes no byte, as a full disk.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// Nobody reads at the other end.
fn unread() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn where_nobody_reads_what_is_wrong_the_exit_code_tells_it_all_the_same() {
    for (words, code) in [
        (&["who", "nosuch"][..], 1),
        (&["findings", "nosuch", "--watch", "100ms"], 2),
        (&["enter", "nosuch", "true"], 125),
    ] {
        for stream in [full, unread] {
            let ended = glasshull(words).stderr(stream()).status().unwrap();
            assert_eq!(ended.code(), Some(code), "{words:?}");
        }
        let told = glasshull(words).output().unwrap();
        assert_eq!(told.status.code(), Some(code), "{words:?}");
        assert!(error(&told).starts_with("glasshull: no container is called \"nosuch\""), "{}", error(&told));
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error_and_a_full_disk_is_one() {
    let own = std::process::id().to_string();
    for words in [&["who", &own][..], &["snapshot", "--tables", "process", "--interval", "100ms"]] {
        assert!(glasshull(words).stdout(unread()).status().unwrap().success(), "{words:?}");
        let full = glasshull(words).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(full.status.code(), Some(1), "{words:?}");
        assert!(error(&full).contains("writing to standard output: No space left"), "{}", error(&full));
    }
}

#[test]
fn what_is_told_holds_no_control_characters() {
    let told = glasshull(&["replay", "/nonexistent/\u{1b}[31m\u{202e}x"]).output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(error(&told).contains("\\u{1b}[31m\\u{202e}x: No such file"), "{}", error(&told));
}
