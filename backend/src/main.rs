//! `glasshull`: arguments → configuration → run; nothing else.

#![deny(clippy::print_stderr, reason = "eprintln! panics where nobody reads; command::tell does not")]

mod agent;
mod collect;
mod command;
mod config;
mod model;
#[cfg(test)]
mod scenario;
mod serve;
mod sys;

use std::process::ExitCode;

use clap::Parser;
use config::{Cli, Command};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // We ourselves, started again to ask a file system that may never answer: see `collect::mount`.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == collect::mount::APART) {
        let told = collect::mount::answer_apart(&words.collect::<Vec<_>>(), &mut std::io::stdout());
        return if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    sys::heap::share();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("GLASSHULL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Else a log that cannot be written is told there by a macro that panics, and takes a task along.
        .log_internal_errors(false)
        .init();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            command::tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Two threads serve any number of clients; more would only cost memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_stack_size(512 << 10)
        .enable_all()
        .build()?;
    let common = cli.common;
    let mut ready = None;
    let result = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve(cli.serve)) {
            Command::Serve(args) => command::serve::run(common, args).await,
            Command::Snapshot(args) => command::snapshot::run(common, args).await,
            Command::Who(args) => command::who::run(common, args).await,
            Command::Confinement(args) => command::confinement::run(common, args).await,
            Command::Dns(args) => command::dns::run(common, args).await,
            Command::Enter(args) => match command::enter::find(common, args).await {
                Ok(found) => {
                    ready = Some(found);
                    Ok(ExitCode::SUCCESS)
                }
                Err(code) => Ok(code),
            },
            Command::Files(args) => command::archive::run(common, args).await,
            Command::Findings(args) => command::finding::run(common, args).await,
            Command::Ns(args) => command::ns::run(common, args).await,
            Command::Veth(args) => command::veth::run(common, args).await,
            Command::Limits(args) => command::limits::run(common, args).await,
            Command::Io(args) => command::io::run(common, args).await,
            Command::Wire(args) => command::wire::run(common, args).await,
            Command::Record(args) => command::record::run(common, args).await,
            Command::Replay(args) => command::replay::run(args).await,
        }
    });
    // A reading that hangs in the kernel (a dead NFS server) must not keep us from ending.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    // Namespaces are joined by a process that has no other thread any more.
    ready.map_or(result, |ready| Ok(ready.run()))
}
