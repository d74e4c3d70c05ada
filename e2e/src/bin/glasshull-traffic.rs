//! `glasshull-traffic`: sends and receives known traffic, for the truth tests of flows and the bench of packets.

use anyhow::Result;
use clap::Parser;
use glasshull_e2e::traffic::{Work, run};

/// Sends and receives known traffic.
#[derive(Parser)]
#[command(name = "glasshull-traffic", version)]
struct Cli {
    #[command(subcommand)]
    work: Work,
}

fn main() -> Result<()> {
    run(&Cli::parse().work)
}
