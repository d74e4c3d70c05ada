//! Containers made to look into an image: named and labelled as ours, never started, removed again. Engines have no other way to
//! read an image's files. What a crash left behind is removed at the next use.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::sys::clock::now_nanos;
use crate::sys::root::Root;

/// Tells that a container is ours, and whose: `NAMESPACE:PID:START:RANDOM` of the process that made it.
const LABEL: &str = "glasshull.files";
/// Its name begins so and ends with the same random digits: a label comes from an image too, a name does not.
const NAME: &str = "glasshull-files-";
/// Its command, which nobody runs. An image without any needs one.
const COMMAND: &str = "glasshull-never-starts-this";
/// No use takes this long, seconds.
pub(super) const ABANDONED_SECS: i64 = 2 * 3600;

/// Those in use by this very process.
static IN_USE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn in_use() -> MutexGuard<'static, BTreeSet<String>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A container of ours.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: String,
    label: String,
}

impl Drop for Made {
    fn drop(&mut self) {
        in_use().remove(&self.label);
    }
}

/// Makes one of an image.
///
/// # Errors
/// The engine's: 404 when it has no such image.
pub(super) async fn make(docker: &Docker, root: &Root, image: &str) -> Result<Made, Error> {
    let random = random()?;
    let label = format!("{}:{random}", own(root).unwrap_or_default());
    in_use().insert(label.clone());
    let mut made = Made { id: String::new(), label };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![COMMAND.to_owned()]),
        cmd: Some(Vec::new()),
        labels: Some(HashMap::from([(LABEL.to_owned(), made.label.clone())])),
        network_disabled: Some(true),
        host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&format!("{NAME}{random}")).build();
    made.id = docker.create_container(Some(options), body).await?.id;
    Ok(made)
}

/// Removes one of ours with the volumes that its image asked for.
///
/// # Errors
/// The engine's.
pub(super) async fn remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().v(true).force(false).build();
    docker.remove_container(id, Some(options)).await
}

/// Removes what others of us left behind. That this fails is no reason not to go on.
pub(super) async fn sweep(docker: &Docker, root: &Root) {
    let filters = HashMap::from([("label", vec![LABEL])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let Ok(list) = docker.list_containers(Some(options)).await else { return };
    for one in list.iter().filter(|one| is_abandoned(one, root)) {
        let Some(id) = &one.id else { continue };
        match remove(docker, id).await {
            Ok(()) => tracing::info!(id, "removed a container that was left behind"),
            Err(error) => tracing::warn!(id, %error, "a container left behind could not be removed"),
        }
    }
}

/// Whether it is one of ours and nobody uses it any more.
fn is_abandoned(one: &ContainerSummary, root: &Root) -> bool {
    let label = one.labels.iter().flatten().find(|(key, _)| *key == LABEL).map(|(_, value)| value.as_str());
    let Some(label) = label else { return false };
    let Some((owner, random)) = label.rsplit_once(':') else { return false };
    let name = format!("/{NAME}{random}");
    let named = one.names.iter().flatten().any(|one| *one == name);
    if !named || random.len() != 16 || one.state != Some(ContainerSummaryStateEnum::CREATED) {
        return false;
    }
    let old = one.created.is_some_and(|at| now_secs().saturating_sub(at) > ABANDONED_SECS);
    old || is_gone(owner, root) || (own(root).as_deref() == Some(owner) && !in_use().contains(label))
}

/// Whether the process that is named so has ended, as far as we can see from here.
fn is_gone(owner: &str, root: &Root) -> bool {
    let mut parts = owner.split(':');
    let (Some(namespace), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(pid), Ok(start)) = (pid.parse::<u32>(), start.parse::<u64>()) else { return false };
    if pid_namespace(root).is_none_or(|own| own.to_string() != namespace) {
        return false;
    }
    match started(root, pid) {
        Some(now) => now != start,
        // hidepid hides others' processes, but not that there is one.
        None => i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH)),
    }
}

/// This process, as no other was or will be until the host starts anew.
fn own(root: &Root) -> Option<String> {
    let pid = std::process::id();
    Some(format!("{}:{pid}:{}", pid_namespace(root)?, started(root, pid)?))
}

/// Inode of our pid namespace: pids of another mean nothing here.
fn pid_namespace(root: &Root) -> Option<u64> {
    std::fs::metadata(root.proc_path("self/ns/pid")).ok().map(|meta| meta.ino())
}

/// Field 22 of `/proc/PID/stat`: start time, clock ticks since boot. `None` when there is no such process.
fn started(root: &Root, pid: u32) -> Option<u64> {
    let stat = std::fs::read(root.proc_path(format!("{pid}/stat"))).ok()?;
    let behind = stat.rsplitn(2, |byte| *byte == b')').next()?;
    let field = behind.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).nth(22 - 3)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn now_secs() -> i64 {
    i64::try_from(now_nanos() / 1_000_000_000).unwrap_or(i64::MAX)
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled < bytes.len() {
        return Err(std::io::Error::other("too few random numbers"));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "0123456789abcdef";

    fn container(label: &str, name: &str, state: ContainerSummaryStateEnum) -> ContainerSummary {
        ContainerSummary {
            id: Some("aa".into()),
            names: Some(vec![name.into()]),
            labels: Some(HashMap::from([(LABEL.into(), label.into())])),
            state: Some(state),
            created: Some(now_secs()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn only_what_is_ours_and_abandoned_is_removed() {
        let root = Root::host();
        let me = own(&root).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start = started(&root, child.id()).unwrap();
        let dead = format!("{}:{}:{start}:{RANDOM}", pid_namespace(&root).unwrap(), child.id());
        child.wait().unwrap();
        let (name, created) = (format!("/{NAME}{RANDOM}"), ContainerSummaryStateEnum::CREATED);
        let is = |one| is_abandoned(&one, &root);
        assert!(is(container(&dead, &name, created)));
        // Made by an image's label, called otherwise, or running: somebody else's.
        assert!(!is(container(&dead, "/web", created)));
        assert!(!is(container(&dead, &format!("/{NAME}fedcba9876543210"), created)));
        assert!(!is(container(&dead, &name, ContainerSummaryStateEnum::RUNNING)));
        // In a pid namespace that is not ours nobody can be seen to be gone.
        let elsewhere = format!("1:1:1:{RANDOM}");
        assert!(!is(container(&elsewhere, &name, created)));
        let old = Some(now_secs() - ABANDONED_SECS - 1);
        assert!(is(ContainerSummary { created: old, ..container(&elsewhere, &name, created) }));
        // Our own: as long as it is used.
        let mine = format!("{me}:{RANDOM}");
        in_use().insert(mine.clone());
        let made = Made { id: "aa".into(), label: mine.clone() };
        assert!(!is(container(&mine, &name, created)));
        drop(made);
        assert!(is(container(&mine, &name, created)));
        for label in ["", ":", "a:b:c:d", ":::", &format!(":::{RANDOM}")] {
            assert!(!is(container(label, &name, created)), "{label}");
        }
    }
}
