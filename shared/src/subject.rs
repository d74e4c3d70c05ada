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
    let more = names.len().saturating_sub(KNOWN_AT_MOST);
    names.truncate(KNOWN_AT_MOST);
    let known = match (names.is_empty(), more) {
        (true, _) => "no container is known here".into(),
        (false, 0) => format!("known: {}", names.join(", ")),
        (false, more) => format!("known: {} and {more} more", names.join(", ")),
    };
    let subject: String = subject.chars().take(80).collect();
    format!("no container is called {subject:?} or has an id that begins so; {known}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn containers(names: impl Iterator<Item = (String, String)>) -> Table<ContainerKey, Container> {
        let row = |name| Arc::new(Container { name, ..Container::default() });
        names.map(|(id, name)| (ContainerKey { id }, row(name))).collect()
    }

    #[test]
    fn a_name_goes_before_an_id_and_names_that_are_not_told_are_counted() {
        let all = containers((0..23).map(|n| (format!("cc{n:02}"), format!("n{n:02}"))));
        assert_eq!(find(&all, "/n07").map(|(key, _)| key.id.as_str()), Ok("cc07"));
        assert_eq!(find(&all, "cc11").map(|(key, _)| key.id.as_str()), Ok("cc11"));
        let error = find(&all, "zz").unwrap_err();
        assert!(error.contains("n19 and 3 more") && !error.contains("n20"), "{error}");
        assert!(find(&all, "cc").unwrap_err().contains("several ids"));
        assert!(find(&all, "").is_err() && find(&containers(std::iter::empty()), "a").is_err());
    }
}
