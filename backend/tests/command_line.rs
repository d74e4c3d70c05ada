//! The program itself with the streams and files of a careless caller: nobody reads, the disk is full, a file is not what its
//! name says. Whatever is missing, it ends with a code and a line that says why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this file is nothing but tests")]

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// An engine that is not there: these tests look at no container of the host.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

fn glasshull(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glasshull"));
    command.args(["--engine", NO_ENGINE]).args(words).env_clear().stdin(Stdio::null());
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
        (&["files", "nosuch", "/etc"], 1),
        (&["findings", "nosuch", "--watch", "100ms"], 2),
        (&["enter", "nosuch", "true"], 125),
    ] {
        for stream in [full, unread] {
            let ended = glasshull(words).stderr(stream()).status().unwrap();
            assert_eq!(ended.code(), Some(code), "{words:?}");
        }
        let told = glasshull(words).output().unwrap();
        assert_eq!(told.status.code(), Some(code), "{words:?}");
        let told = error(&told);
        assert!(told.starts_with("glasshull: no container is called \"nosuch\""), "{told}");
        assert!(told.contains("not asked: no socket at /nonexistent/engine.sock"), "{told}");
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

/// Looks into the loopback link with traffic on it until that ends by itself; `None` where it is not permitted. `seen` gets what
/// was printed while more is to come.
fn wire(words: &[&str], seen: impl FnOnce(&mut Child)) -> Option<Output> {
    const HANGS_AFTER: Duration = Duration::from_secs(60);
    let mut look = glasshull(&["wire", "lo", "--for", "10m"]);
    let mut look = look.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let began = Instant::now();
        while began.elapsed() < HANGS_AFTER && socket.send_to(b"one more", own).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    seen(&mut look);
    let began = Instant::now();
    while look.try_wait().unwrap().is_none() {
        if began.elapsed() > HANGS_AFTER {
            look.kill().unwrap();
            panic!("it goes on though nobody reads");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = look.wait_with_output().unwrap();
    let refused = error(&ended).contains("CAP_NET_RAW");
    if refused {
        eprintln!("not run: packets are not permitted here");
    }
    (!refused).then_some(ended)
}

#[test]
fn a_look_into_a_wire_ends_with_its_reader() {
    let first_line = |look: &mut Child| {
        let mut line = String::new();
        BufReader::new(look.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.is_empty() || line.contains(" lo "), "{line}");
    };
    if let Some(ended) = wire(&[], first_line) {
        assert!(ended.status.success(), "{}", error(&ended));
    }
    let first_bytes = |look: &mut Child| {
        let mut magic = [0; 4];
        // A section header block, or nothing where it is not permitted.
        let got = look.stdout.take().unwrap().read(&mut magic).unwrap();
        assert!(got == 0 || magic == [0x0a, 0x0d, 0x0d, 0x0a], "{magic:?}");
    };
    if let Some(ended) = wire(&["-w", "-"], first_bytes) {
        assert!(ended.status.success(), "{}", error(&ended));
    }
}

/// Kinds of the blocks of a pcapng file.
///
/// # Panics
/// When one is cut off.
fn blocks(mut file: &[u8]) -> Vec<u32> {
    let number = |bytes: &[u8]| u32::from_le_bytes(*bytes.first_chunk().unwrap());
    let mut kinds = Vec::new();
    while !file.is_empty() {
        let (block, rest) = file.split_at(number(&file[4..]) as usize);
        assert_eq!(number(&block[block.len() - 4..]) as usize, block.len());
        kinds.push(number(block));
        file = rest;
    }
    kinds
}

#[test]
fn a_file_of_packets_is_whole_when_it_is_stopped_and_says_how_many_there_are() {
    const ENHANCED_PACKET: u32 = 6;
    const INTERFACE_STATISTICS: u32 = 5;
    let folder = tempfile::tempdir().unwrap();
    for signal in ["INT", "TERM"] {
        let file = folder.path().join(signal);
        let stopped = wire(&["-w", file.to_str().unwrap()], |look| {
            // Some have been written, others wait to be.
            let written = || std::fs::metadata(&file).is_ok_and(|meta| meta.len() > 2000);
            while !written() && look.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(10));
            }
            let pid = look.id().to_string();
            Command::new("kill").args(["-s", signal, &pid]).stderr(Stdio::null()).status().unwrap();
        });
        let Some(stopped) = stopped else { return };
        let told = error(&stopped);
        assert_eq!(stopped.status.code(), Some(0), "{told}");
        let kinds = blocks(&std::fs::read(&file).unwrap());
        let packets = kinds.iter().filter(|kind| **kind == ENHANCED_PACKET).count();
        assert!(told.replace(',', "").starts_with(&format!("glasshull: {packets} packets ")), "{told}");
        assert_eq!(kinds.last(), Some(&INTERFACE_STATISTICS), "the last block tells what was lost");
    }
}

#[test]
fn a_log_that_nobody_reads_takes_no_task_along() {
    let mut serve = glasshull(&["--bind", "127.0.0.1:0"]);
    serve.env("GLASSHULL_LOG", "debug").stderr(unread()).stdout(Stdio::piped());
    let mut serving = serve.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    // Each is logged before it is answered.
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer); // an end without an answer is what must not be
        answers.push(answer);
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 403")), "{answers:?}");
}

#[test]
fn what_is_told_holds_no_control_characters() {
    let told = glasshull(&["replay", "/nonexistent/\u{1b}[31m\u{202e}x"]).output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(error(&told).contains("\\u{1b}[31m\\u{202e}x: No such file"), "{}", error(&told));
}
