//! The house rules that no compiler checks: sources in, problems out, each with its file and line.

mod exceptions;
mod imports;
mod named_paths;
mod rust;
mod source;
mod stems;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::place::Place;
use crate::say;

/// A broken rule at a place.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// Path below the checkout.
    path: String,
    /// Counted from one; zero for the file as a whole.
    line: usize,
    /// What is wrong, and what to do where that is not plain.
    what: String,
}

impl Problem {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.what),
            line => write!(out, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Prints every problem; fails if there is one.
pub(crate) fn run(place: &Place) -> Result<()> {
    let found = problems(&place.root)?;
    for problem in &found {
        say::error(&problem.to_string());
    }
    if !found.is_empty() {
        bail!("{} house rules are broken", found.len());
    }
    Ok(())
}

/// All broken rules of the checkout at `root`.
fn problems(root: &Path) -> Result<Vec<Problem>> {
    let sources = source::read_all(root)?;
    let mut found = words::check(&sources);
    found.extend(imports::check(&sources));
    found.extend(stems::check(root, exceptions::TWINS)?);
    found.extend(named_paths::check(root, &sources));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let found: Vec<String> = problems(root).unwrap().iter().map(Problem::to_string).collect();
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}
