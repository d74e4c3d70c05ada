//! `cargo xtask`: the one entrance to build, run, test, measure and ship Glasshull.
//! From the command line to one module per command; nothing is built here.

mod app;
mod bench;
mod cli;
mod dist;
mod elf;
mod exec;
mod need;
mod place;
mod run;
mod say;
mod size;
mod test;
mod tidy;
mod wasm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            say::error(&message);
            return ExitCode::from(2);
        }
    };
    match cli::execute(command) {
        Ok(code) => code,
        Err(error) => {
            say::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
