//! Tests of the commands: whatever a name contains, a shell reads it back as one word.

use proptest::prelude::*;

use super::*;

/// What `sh` makes of a word.
fn read_back(shell: &str, word: &str) -> Vec<u8> {
    let script = format!("printf %s {}", quote(word));
    std::process::Command::new(shell).args(["-c", &script]).output().unwrap().stdout
}

#[test]
fn a_shell_reads_back_every_word() {
    for word in [
        "web-1",
        "",
        "it's",
        "$(reboot)",
        "`id`",
        "a b",
        "\"",
        "\\",
        "a\nb",
        "\u{1b}[2J\r",
        "*",
        "~",
        "!x",
        "\u{202e}é",
        "-n;",
    ] {
        assert_eq!(read_back("bash", word), word.as_bytes(), "{word:?} as {}", quote(word));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_shell_reads_back_any_word(word in "[^\0]{0,24}") {
        let word = word.replace('\0', "");
        prop_assert_eq!(String::from_utf8(read_back("bash", &word)).unwrap(), word);
    }

    #[test]
    fn no_quoted_word_breaks_the_line(word in "(?s).{0,40}") {
        let breaks = quote(&word).contains(char::is_control);
        prop_assert!(!breaks);
    }
}

#[test]
fn a_hostile_container_cannot_leave_its_quotes() {
    let row = Container {
        engine: Some("unix:///run/docker.sock; rm -rf /".into()),
        runtime: Runtime::Docker,
        cgroup: Some("/docker/x'y".into()),
        init_pid: Some(7),
        ..Container::default()
    };
    let lines = for_container("abc$(id)", &row, CgroupMode::V2);
    let inspect = &lines[0].command;
    assert_eq!(inspect, "docker -H 'unix:///run/docker.sock; rm -rf /' inspect 'abc$(id)'");
    assert!(lines.iter().any(|l| l.command.contains(r"'/sys/fs/cgroup/docker/x'\''y/cpu.stat'")));
}

#[test]
fn the_state_decides_what_is_asked() {
    let key = ProcessKey { pid: 42, start_time: 1 };
    let who = Process { ppid: 41, ..Process::default() };
    let commands = |state| {
        let does = ProcessStat { state, ..ProcessStat::default() };
        for_process(key, &who, Some(&does), None)
            .into_iter()
            .map(|l| l.command)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(commands(ProcessState::D).contains("/proc/42/wchan"));
    assert!(commands(ProcessState::Z).contains("-p 41"));
    assert!(!commands(ProcessState::Z).contains("smaps_rollup"));
    assert!(!commands(ProcessState::S).contains("wchan"));
}

#[test]
fn control_group_files_follow_the_mode() {
    let paths =
        |mode| for_cgroup("/docker/a", mode).into_iter().map(|l| l.command).collect::<Vec<_>>().join("\n");
    assert!(paths(CgroupMode::V2).contains("/sys/fs/cgroup/docker/a/memory.current"));
    assert!(paths(CgroupMode::V1).contains("/sys/fs/cgroup/memory/docker/a/memory.usage_in_bytes"));
    assert!(paths(CgroupMode::Hybrid).contains("/sys/fs/cgroup/pids/docker/a/pids.max"));
}
