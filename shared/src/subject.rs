//! Which container a person means.

use crate::delta::Table;
use crate::domain::container::{Container, ContainerKey};
use crate::unit::short_id;

/// Names listed when none fits.
const KNOWN_AT_MOST: usize = 20;

/// A container by its name.
pub fn named<'a>(
    containers: &'a Table<ContainerKey, Container>,
    name: &str,
) -> Option<(&'a ContainerKey, &'a Container)> {
    containers.iter().map(|(key, row)| (key, &**row)).find(|(_, row)| row.name == name)
}

/// A container by its name, else by the beginning of its id.
///
/// # Errors
/// When none or more than one is meant; says which there are.
pub fn find<'a>(
    containers: &'a Table<ContainerKey, Container>,
    subject: &str,
) -> Result<(&'a ContainerKey, &'a Container), String> {
    let subject = subject.trim_start_matches('/');
    if subject.is_empty() {
        return Err("give a pid, a container's name or the beginning of its id".into());
    }
    if let Some(found) = named(containers, subject) {
        return Ok(found);
    }
    let mut matches = containers.iter().filter(|(key, _)| key.id.starts_with(subject));
    match (matches.next(), matches.next()) {
        (Some((key, row)), None) => Ok((key, row)),
        (Some((a, _)), Some((b, _))) => Err(format!(
            "{subject:?} begins several ids: {}, {}…; give more digits",
            short_id(&a.id),
            short_id(&b.id)
        )),
        (None, _) => Err(none(containers, subject)),
    }
}

fn none(containers: &Table<ContainerKey, Container>, subject: &str) -> String {
    let mut names: Vec<&str> = containers.values().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    names.dedup(); // two engines may each have one of that name
    names.truncate(KNOWN_AT_MOST);
    let known = if names.is_empty() {
        "no container is known here".into()
    } else {
        format!("known: {}", names.join(", "))
    };
    let subject: String = subject.chars().take(80).collect();
    format!("no container is called {subject:?} or has an id that begins so; {known}")
}
