//! Starts the containers of a scene through the `docker` client, and reads from `docker inspect` what became of them.

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::engine::docker;
use super::image::IMAGE;
use super::scene::{ContainerSpec, DIR};
use super::state::{LabContainer, Layout};

/// How many containers are started at once: more only makes the engine slower on few cores.
const PARALLEL: usize = 4;

/// Starts containers, a few at a time.
///
/// # Errors
/// When the engine refuses one; those that were begun are waited for.
pub(super) fn all(layout: &Layout, specs: Vec<ContainerSpec>) -> Result<()> {
    let queue = Mutex::new(VecDeque::from(specs));
    let next = || queue.lock().ok().and_then(|mut q| q.pop_front());
    let work = || -> Result<()> {
        while let Some(spec) = next() {
            one(layout, &spec)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow!("a starter panicked"))?)
    })
}

/// `docker run` (or `create`) of one container, and its second network.
///
/// # Errors
/// When the engine refuses.
pub(super) fn one(layout: &Layout, spec: &ContainerSpec) -> Result<()> {
    let mut args = if spec.create_only { vec!["create"] } else { vec!["run", "--detach"] };
    args.extend(["--name", &spec.name]);
    let dir = layout.dir.to_string_lossy();
    let options: Vec<String> = spec.options.iter().map(|option| option.replace(DIR, &dir)).collect();
    args.extend(options.iter().map(String::as_str));
    args.push(IMAGE);
    args.extend(spec.command.iter().map(String::as_str));
    docker(layout, &args).with_context(|| format!("start container {}", spec.name))?;
    if let Some((network, alias)) = &spec.also {
        docker(layout, &["network", "connect", "--alias", alias, network, &spec.name])?;
    }
    Ok(())
}

/// Name and facts of a container from `docker inspect`.
pub(super) fn known(inspect: &Value) -> Option<(String, LabContainer)> {
    let name = inspect["Name"].as_str()?.trim_start_matches('/').to_owned();
    let pid = inspect["State"]["Pid"].as_u64().and_then(|p| u32::try_from(p).ok()).filter(|p| *p != 0);
    let ports = inspect["NetworkSettings"]["Ports"].as_object();
    let binding = ports.into_iter().flat_map(|p| p.values()).find_map(|b| b.get(0));
    let published =
        binding.and_then(|b| Some(format!("{}:{}", b["HostIp"].as_str()?, b["HostPort"].as_str()?)));
    Some((name, LabContainer { id: inspect["Id"].as_str()?.to_owned(), init_pid: pid, published }))
}
