//! What processes wait for, by the kernel's delay accounting, on a container whose memory lies in a swap of our own: against the
//! ticks of `/proc/PID/stat` and what the kernel counts as swapped in.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use glasshull_e2e::lab::IMAGE;
use glasshull_e2e::lab::process::wait_until;
use serde_json::{Value, json};

use crate::agent::{Snapshot, brief, number};
use crate::network::run;
use crate::runner::Context;

/// Name of the container.
const NAME: &str = "swapped";
/// The kernel's switch.
const SWITCH: &str = "/proc/sys/kernel/task_delayacct";
/// Fills 48 MB again and again, of which half have room; not with zeros, of which the kernel keeps no copy.
const RUN: &str = "exec dd if=/dev/urandom of=/dev/null bs=48M";

/// Delay accounting as a case wants it; as it was when dropped.
struct Switched(String);

impl Switched {
    fn to(value: &str) -> Result<Self> {
        let before = fs::read_to_string(SWITCH)?;
        fs::write(SWITCH, value)?;
        Ok(Self(before))
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.0);
    }
}

/// Swap on a compressed disk in memory; gone when dropped.
struct Swap(String);

impl Swap {
    fn up() -> Result<Self> {
        let number = fs::read_to_string("/sys/class/zram-control/hot_add").context("no zram")?;
        let swap = Self(number.trim().to_owned());
        fs::write(format!("/sys/block/zram{}/disksize", swap.0), "128M")?;
        run(&["mkswap", &swap.node()])?;
        run(&["swapon", &swap.node()])?;
        Ok(swap)
    }

    fn node(&self) -> String {
        format!("/dev/zram{}", self.0)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = run(&["swapoff", &self.node()]);
        let _ = fs::write(format!("/sys/block/zram{}/reset", self.0), "1");
        let _ = fs::write("/sys/class/zram-control/hot_remove", &self.0);
    }
}

/// The container; gone when dropped.
struct Swapped<'a>(&'a Context);

impl Drop for Swapped<'_> {
    fn drop(&mut self) {
        let _ = self.0.lab.docker(&["rm", "--force", "--volumes", NAME]);
    }
}

fn take(context: &Context) -> Result<Snapshot> {
    let args = ["--tables", "process_delay,source", "--interval", "1s"];
    context.agent.snapshot_with(&context.endpoint(), &args)
}

fn row(snapshot: &Snapshot, pid: u32) -> Result<&Value> {
    let found = snapshot.rows("process_delay")?.iter().find(|row| row["pid"] == pid);
    found.with_context(|| format!("no row for {pid}"))
}

fn source(snapshot: &Snapshot) -> Result<&Value> {
    snapshot.rows("source")?.iter().find(|row| row["name"] == "process_delay").context("no source")
}

/// Field 42 of `/proc/PID/stat`, in nanoseconds.
fn block_wait(pid: u32) -> Result<u64> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = line.rsplit_once(") ").context("no name")?;
    let ticks: u64 = after.split(' ').nth(42 - 3).context("no field 42")?.parse()?;
    Ok(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second())
}

/// Pages that came back from swap, on the whole host.
fn swapped_in() -> Result<u64> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("pswpin ")).context("no pswpin")?;
    Ok(line.parse()?)
}

/// While it swaps its share is told; once it stands still the sums are the kernel's.
pub(crate) fn swap(context: &mut Context) -> Result<()> {
    let _accounting = Switched::to("1")?;
    let _swap = Swap::up()?;
    let before = swapped_in()?;
    let limits = ["--memory", "24m", "--memory-swap", "-1"];
    let start = ["run", "--detach", "--name", NAME, "--network", "none", "--stop-timeout", "0"];
    let _container = Swapped(context);
    context.lab.docker(&[&start[..], &limits, &[IMAGE, "sh", "-c", RUN]].concat())?;
    let pid = context.lab.inspect(NAME)?["State"]["Pid"].as_u64().context("no pid")?;
    let pid = u32::try_from(pid)?;
    let swaps = || swapped_in().is_ok_and(|now| now > before + 1000);
    ensure!(wait_until(Duration::from_secs(30), swaps), "nothing came back from swap");
    let busy = take(context)?;
    ensure!(source(&busy)?["state"] == "ok", "{}", brief(source(&busy)?));
    let share = row(&busy, pid)?["swap_wait_ratio"].as_f64().context("no share")?;
    ensure!(share > 0.0 && share < 1.1, "{}", brief(row(&busy, pid)?));

    let target = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
    rustix::process::kill_process(target, rustix::process::Signal::STOP)?;
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ensure!(wait_until(Duration::from_secs(20), || stat().contains(") T ")), "it does not stop");
    let still = take(context)?;
    let told = row(&still, pid)?;
    let (swap, block) = (number(told, "swap_wait_nanos")?, number(told, "block_wait_nanos")?);
    let was = number(row(&busy, pid)?, "swap_wait_nanos")?;
    ensure!(swap >= was && was > 0, "{was} and then {swap}");
    // The kernel cuts to whole ticks there.
    let ticks = block_wait(pid)?;
    ensure!(block >= ticks && block < ticks + 10_000_000, "{block} beside {ticks} of stat");
    ensure!(told["swap_wait_ratio"] == json!(0.0), "who stands still waits for nothing: {}", brief(told));
    // Nothing of it is the tests' own.
    let own = row(&still, std::process::id())?;
    ensure!(number(own, "swap_wait_nanos")? == 0, "{}", brief(own));
    Ok(())
}

/// Without the kernel's accounting there are no zeros: the source says how to switch it on.
pub(crate) fn off(context: &mut Context) -> Result<()> {
    let _accounting = Switched::to("0")?;
    let snapshot = take(context)?;
    ensure!(snapshot.rows("process_delay")?.is_empty(), "rows without accounting");
    let source = source(&snapshot)?;
    let remedy = source["remedy"].as_str().unwrap_or_default();
    ensure!(source["state"] == "limited" && remedy.contains("kernel.task_delayacct=1"), "{}", brief(source));
    Ok(())
}
