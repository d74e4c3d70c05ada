//! A running `glasshull serve` and a client that keeps its tables as a browser would, looking at each tick.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::process::{ProcessRef, wait_until};
use glasshull_e2e::ws::{Client, Follower};
use glasshull_shared::snapshot::{Snapshot, Topic};

use crate::runner::Context;

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    follower: Follower,
    /// What the look at a tick complained of, and what broke the connection; the first few.
    complaints: Vec<String>,
}

/// An agent that is watched. Dropping the value ends it.
pub(crate) struct Watch {
    child: Child,
    address: Option<SocketAddr>,
    seen: Arc<Mutex<Seen>>,
}

/// Complaints that are kept.
const COMPLAINTS: usize = 5;

impl Watch {
    /// Starts an agent and subscribes to `topics`. From the first tick for which `begun` holds, `look` sees every tick; an
    /// error of it is a complaint.
    pub(crate) fn start(
        context: &Context,
        topics: &[Topic],
        begun: impl Fn(&Snapshot) -> bool + Send + 'static,
        look: impl Fn(&Snapshot) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        Self::start_with(context, &[], topics, begun, look)
    }

    /// The same with more arguments for the agent.
    pub(crate) fn start_with(
        context: &Context,
        more: &[&str],
        topics: &[Topic],
        begun: impl Fn(&Snapshot) -> bool + Send + 'static,
        look: impl Fn(&Snapshot) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let endpoint = context.endpoint();
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(context.agent.program())
            .args(["serve", "--bind", "127.0.0.1:0", "--engine", &endpoint])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start glasshull serve")?;
        let mut printed = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let address = printed.find_map(|line| {
            line.ok()?.split_once("http://")?.1.split('/').next()?.parse::<SocketAddr>().ok()
        });
        let watch = Self { child, address, seen: Arc::default() };
        let address = address.context("the agent told no address")?;
        let (seen, topics) = (Arc::clone(&watch.seen), topics.to_vec());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            if let Err(error) = runtime.block_on(follow(address, &topics, &seen, &begun, &look)) {
                complain(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), &error);
            }
        });
        watch.wait("the first tick", |snapshot| !snapshot.link.is_empty())?;
        Ok(watch)
    }

    /// Waits until the tables say something; for what takes a second as a rule.
    pub(crate) fn wait(&self, what: &str, mut done: impl FnMut(&Snapshot) -> bool) -> Result<()> {
        let came = wait_until(Duration::from_secs(30), || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            !seen.complaints.is_empty() || done(&seen.follower.snapshot)
        });
        self.complaints()?;
        ensure!(came, "waited in vain for {what}");
        Ok(())
    }

    /// Where the agent serves.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.address.context("the agent told no address")
    }

    /// Ticks received.
    pub(crate) fn ticks(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).follower.ticks
    }

    /// Fails with what was complained of, or when the agent has ended.
    pub(crate) fn complaints(&self) -> Result<()> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(seen.complaints.is_empty(), "{}", seen.complaints.join("; "));
        ensure!(seen.follower.holes == 0, "{} ticks were lost", seen.follower.holes);
        ensure!(ProcessRef::of(self.child.id()).is_some_and(|p| p.is_alive()), "the agent has ended");
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(process) = ProcessRef::of(self.child.id()) {
            let _ = process.terminate(Duration::from_secs(5));
        }
        let _ = self.child.wait();
    }
}

async fn follow(
    address: SocketAddr,
    topics: &[Topic],
    seen: &Mutex<Seen>,
    begun: &impl Fn(&Snapshot) -> bool,
    look: &impl Fn(&Snapshot) -> Result<()>,
) -> Result<()> {
    let mut client = Client::connect(address, topics).await?;
    let mut looking = false;
    while let Some(frame) = client.next().await? {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.follower.take(&frame)?.is_some() {
            continue;
        }
        looking = looking || begun(&seen.follower.snapshot);
        if let Err(error) = if looking { look(&seen.follower.snapshot) } else { Ok(()) } {
            complain(&mut seen, &error);
        }
    }
    Ok(())
}

fn complain(seen: &mut Seen, error: &anyhow::Error) {
    if seen.complaints.len() < COMPLAINTS {
        let tick = seen.follower.sequence.unwrap_or_default();
        seen.complaints.push(format!("tick {tick}: {error:#}"));
    }
}
