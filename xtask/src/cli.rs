//! The command line: text → `Command` → the module that does it.

use std::process::ExitCode;

use anyhow::Result;

use crate::{app, bench, dist, need, place::Place, run, say, size, test, tidy};

/// What `cargo xtask` can do, as it prints itself.
pub(crate) const USAGE: &str = "\
cargo xtask COMMAND

  run [--dev] [-- ARGS]      build the app and the agent, start it with ARGS (default: serve)
  test [--fast] [FILTER]     everything that must hold; --fast leaves out the app, the lab and the browser
  dist                       one portable static binary in dist/, with size and sha256
  bench [-- ARGS]            measure the agent beside top and docker stats
  lab ARGS                   the lab of real containers: up, down, …
  app [--dev]                only the browser's app, into frontend/dist
  size                       what the browser downloads, brotli
  tidy                       the house rules: imports, stems, paths, words
  setup [--test]             only check what this machine lacks and install it

--dev builds with the dev profile: large and slow files, short builds.";

/// One parsed command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the usage.
    Help,
    /// Build all, then become the agent with these arguments.
    Run { dev: bool, args: Vec<String> },
    /// Build the app alone.
    App { dev: bool },
    /// Run every check; `filter` narrows tests and specs by name.
    Test { fast: bool, filter: Option<String> },
    /// Measure the app's download.
    Size,
    /// Check the house rules.
    Tidy,
    /// Build the portable binary.
    Dist,
    /// Pass through to `glasshull-lab`.
    Lab { args: Vec<String> },
    /// Pass through to `glasshull-bench`.
    Bench { args: Vec<String> },
    /// Install what is missing, for building alone or for testing too.
    Setup { test: bool },
}

/// Reads the arguments after `cargo xtask`. The error is what a person should see.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut args = args.into_iter();
    let Some(name) = args.next() else { return Ok(Command::Help) };
    let rest: Vec<String> = args.collect();
    // `lab` and `bench` own their arguments; a leading `--` is tolerated.
    let passed = || rest.iter().skip(usize::from(rest.first().is_some_and(|arg| arg == "--"))).cloned();
    match name.as_str() {
        "help" | "-h" | "--help" => Ok(Command::Help),
        "lab" => Ok(Command::Lab { args: passed().collect() }),
        "bench" => Ok(Command::Bench { args: passed().collect() }),
        "run" => {
            let mut own = Own::split(rest);
            let dev = own.flag("--dev");
            // The default already; taken so that a script may spell it out.
            own.flag("--release");
            own.none("run")?;
            Ok(Command::Run { dev, args: own.after })
        }
        "app" => Own::only(rest, "app", "--dev").map(|dev| Command::App { dev }),
        "setup" => Own::only(rest, "setup", "--test").map(|test| Command::Setup { test }),
        "test" => {
            let mut own = Own::split(rest);
            let fast = own.flag("--fast");
            let filter = own.word();
            own.none("test")?;
            Ok(Command::Test { fast, filter })
        }
        "size" => Own::split(rest).none("size").map(|()| Command::Size),
        "tidy" => Own::split(rest).none("tidy").map(|()| Command::Tidy),
        "dist" => Own::split(rest).none("dist").map(|()| Command::Dist),
        other => Err(format!("there is no command '{other}'\n\n{USAGE}")),
    }
}

/// Arguments of a command of our own: `own… -- after…`.
struct Own {
    own: Vec<String>,
    after: Vec<String>,
}

impl Own {
    fn split(args: Vec<String>) -> Self {
        let mut halves = args.splitn(2, |arg| arg == "--").map(<[String]>::to_vec);
        Self { own: halves.next().unwrap_or_default(), after: halves.next().unwrap_or_default() }
    }

    /// Takes `name` out; whether it was there.
    fn flag(&mut self, name: &str) -> bool {
        let before = self.own.len();
        self.own.retain(|arg| arg != name);
        self.own.len() != before
    }

    /// Takes out the first argument that is not a flag.
    fn word(&mut self) -> Option<String> {
        let at = self.own.iter().position(|arg| !arg.starts_with('-'))?;
        Some(self.own.remove(at))
    }

    fn none(&self, command: &str) -> Result<(), String> {
        match self.own.first() {
            None => Ok(()),
            Some(arg) => Err(format!("'{command}' does not know '{arg}'\n\n{USAGE}")),
        }
    }

    fn only(args: Vec<String>, command: &str, flag: &str) -> Result<bool, String> {
        let mut own = Self::split(args);
        let there = own.flag(flag);
        own.none(command).map(|()| there)
    }
}

/// Does what was asked.
pub(crate) fn execute(command: Command) -> Result<ExitCode> {
    if command == Command::Help {
        say::result(USAGE)?;
        return Ok(ExitCode::SUCCESS);
    }
    let place = Place::find()?;
    match command {
        Command::Help => {}
        Command::Run { dev, args } => run::run(&place, dev, &args)?,
        Command::App { dev } => {
            need::ensure(need::Purpose::Build)?;
            app::build(&place, dev)?;
        }
        Command::Test { fast, filter } => return test::run(&place, fast, filter.as_deref()),
        Command::Size => size::run(&place)?,
        Command::Tidy => tidy::run(&place)?,
        Command::Dist => dist::run(&place)?,
        Command::Lab { args } => bench::lab(&place, &args)?,
        Command::Bench { args } => bench::bench(&place, &args)?,
        Command::Setup { test } => {
            need::ensure(if test { need::Purpose::Test } else { need::Purpose::Build })?;
            crate::wasm::Toolchain::ready(&place)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn run_keeps_the_agents_arguments_apart() {
        let args = vec!["who".to_owned(), "--dev".to_owned()];
        assert_eq!(parsed("run -- who --dev"), Ok(Command::Run { dev: false, args }));
        assert_eq!(parsed("run --release --dev"), Ok(Command::Run { dev: true, args: vec![] }));
    }

    #[test]
    fn test_takes_one_filter() {
        let filter = Some("wire".to_owned());
        assert_eq!(parsed("test wire --fast"), Ok(Command::Test { fast: true, filter }));
        assert!(parsed("test one two").is_err());
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_usage() {
        for line in ["fly", "size --dev", "run --fast"] {
            assert!(parsed(line).is_err_and(|message| message.contains("cargo xtask COMMAND")), "{line}");
        }
    }

    #[test]
    fn lab_passes_everything_through() {
        let args = vec!["up".to_owned(), "--dev".to_owned()];
        assert_eq!(parsed("lab -- up --dev"), Ok(Command::Lab { args: args.clone() }));
        assert_eq!(parsed("lab up --dev"), Ok(Command::Lab { args }));
    }
}
