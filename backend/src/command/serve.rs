//! `glasshull serve`: the live source behind a hub and a server.

use std::process::ExitCode;
use std::sync::Arc;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use glasshull_shared::wire::{Hello, Origin};
use tokio::sync::{Notify, mpsc, watch};

use super::{print_line, stop_signal};
use crate::agent;
use crate::agent::archive::Setting;
use crate::agent::live::Live;
use crate::config::{Common, Serve};
use crate::serve::archive::Desk;
use crate::serve::hub::Hub;
use crate::serve::server::{Config, Server};
use crate::serve::wire::Gate;
use crate::sys::clock;

/// Questions that may wait; more are answered with a failure.
const QUESTIONS: usize = 64;
/// Looks into wires that may wait to begin.
const LOOKS: usize = 4;
/// Transfers of files that may wait to begin.
const TRANSFERS: usize = 4;

/// How long the agent may take to end its tick.
const AGENT_ENDS: std::time::Duration = std::time::Duration::from_millis(200);

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the host cannot be read or the port cannot be taken.
pub(crate) async fn run(common: Common, args: Serve) -> Result<ExitCode> {
    let stop = stop_signal()?;
    let wake = Arc::new(Notify::new());
    let given = !common.engine.is_empty();
    let mut live = Live::new(common, Arc::clone(&wake))?;
    live.allow_control(args.allow_control);
    let server = bind(&args).await?;
    live.served_at(server.address());
    let (questions, asks) = mpsc::channel(QUESTIONS);
    let hub = Hub::new(hello(&args), questions);
    announce(&server, &format!("live from {}", live.host().hostname));
    look_into_wires(&hub, &server, live.host().hostname.clone(), args.allow_payload);
    give_files(&hub, &args, given);
    let (stopping, stopped) = watch::channel(false);
    let mut agent =
        tokio::spawn(agent::run(live, wake, Arc::clone(&hub), asks, args.interval, until(stopped.clone())));
    let signal = tokio::spawn(async move {
        stop.await;
        stopping.send_replace(true);
    });
    let result = server.run(hub, until(stopped)).await;
    signal.abort();
    // It ends by itself at the same signal; cut off in the middle it would speak to a runtime that shuts down.
    let _ = tokio::time::timeout(AGENT_ENDS, &mut agent).await;
    agent.abort();
    result.map(|()| ExitCode::SUCCESS)
}

/// Lets clients look into wires.
fn look_into_wires(hub: &Arc<Hub>, server: &Server, host: String, payload: bool) {
    let (wanted, asked) = mpsc::channel(LOOKS);
    hub.open_gate(Gate { payload, wanted });
    let own = server.own_ends();
    tokio::spawn(agent::wire::run(asked, Arc::clone(hub), host, Arc::new(move |end| own.contains(end))));
}

/// Lets clients take files out of containers, if that is allowed. `given`: engines were named by a person.
fn give_files(hub: &Arc<Hub>, args: &Serve, given: bool) {
    if !args.allow_files {
        hub.open_desk(Desk { wanted: None });
        return;
    }
    let (wanted, asked) = mpsc::channel(TRANSFERS);
    hub.open_desk(Desk { wanted: Some(wanted) });
    let setting = Setting { given, limit: args.files_limit };
    tokio::spawn(agent::archive::run(asked, Arc::clone(hub), setting));
}

/// Takes the port.
///
/// # Errors
/// As [`Server::bind`].
pub(crate) async fn bind(args: &Serve) -> Result<Server> {
    let (bind, allow_hosts, token_file) = (args.bind, args.allow_host.clone(), args.token_file.clone());
    Server::bind(&Config { bind, allow_hosts, token_file }).await
}

/// Says where the dashboard is, and the token if one was made.
pub(crate) fn announce(server: &Server, what: &str) {
    let address = server.address();
    // A browser cannot go to "all addresses": from here it is loopback, from elsewhere whatever this host is called.
    let everywhere = address.ip().is_unspecified();
    let here = match address.ip() {
        IpAddr::V4(_) if everywhere => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) if everywhere => IpAddr::V6(Ipv6Addr::LOCALHOST),
        one @ (IpAddr::V4(_) | IpAddr::V6(_)) => one,
    };
    let here = SocketAddr::new(here, address.port());
    let elsewhere = if everywhere { " (from elsewhere: by any address of this host)" } else { "" };
    let token =
        server.token().map(|token| format!("\nToken for this run (asked for at the first visit): {token}"));
    // Where nobody can read it the dashboard is served all the same.
    let _ = print_line(&format!("Glasshull, {what}: http://{here}/{elsewhere}{}", token.unwrap_or_default()));
}

/// Ready when the flag turns true or its sender is gone.
pub(crate) async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Names one run of the agent: the instant it started.
pub(crate) fn instance() -> u64 {
    clock::now_nanos()
}

fn hello(args: &Serve) -> Hello {
    Hello {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: instance(),
        origin: Origin::Live,
        interval_nanos: u64::try_from(args.interval.as_nanos()).unwrap_or(u64::MAX),
    }
}
