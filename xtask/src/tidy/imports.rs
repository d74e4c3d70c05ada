//! Who may import whom: the table of ARCHITECTURE.md, held against every path in the code.

use std::collections::BTreeSet;

use super::{Problem, exceptions, rust, source::Source};

/// A crate of ours: its folder and its name in paths.
const CRATES: &[(&str, &str)] =
    &[("shared", "glasshull_shared"), ("backend", "glasshull"), ("frontend", "glasshull_app")];

/// What a stage may import besides itself.
struct Stage {
    /// Folder of the crate.
    home: &'static str,
    /// Its module; empty for the whole crate.
    module: &'static str,
    /// Its parts do not know each other.
    apart: bool,
    /// `crate folder::module` it may import, by prefix.
    may: &'static [&'static str],
}

/// Modules that are not named here (agent, app, main …) see every stage.
const STAGES: &[Stage] = &[
    Stage { home: "shared", module: "", apart: false, may: &[] },
    Stage { home: "backend", module: "collect", apart: true, may: &["backend::sys", "shared"] },
    Stage { home: "backend", module: "model", apart: false, may: &["shared"] },
    Stage { home: "backend", module: "serve", apart: false, may: &["shared"] },
    Stage { home: "backend", module: "sys", apart: false, may: &["shared"] },
    Stage {
        home: "frontend",
        module: "feed",
        apart: false,
        may: &["shared::wire", "shared::snapshot", "frontend::store"],
    },
    Stage { home: "frontend", module: "store", apart: false, may: &["shared"] },
    Stage {
        home: "frontend",
        module: "view",
        apart: true,
        may: &["frontend::store", "frontend::widget", "shared"],
    },
    Stage { home: "frontend", module: "widget", apart: false, may: &[] },
];

/// Crates of others that one stage alone knows.
const KNOWN_ONLY_BY: &[(&str, &str)] = &[("axum", "backend::serve")];

/// Checks all sources below the crates' `src`.
pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let modules: BTreeSet<Vec<&str>> = sources.iter().filter_map(module_of).collect();
    sources.iter().flat_map(|source| check_one(source, &modules)).collect()
}

/// Crate folder and module path of a source: `backend/src/collect/process.rs` → `backend collect process`.
fn module_of(source: &Source) -> Option<Vec<&str>> {
    let (home, inner) = source.path.split_once("/src/")?;
    CRATES.iter().find(|(folder, _)| *folder == home)?;
    let inner = inner.strip_suffix(".rs")?;
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    let parts = inner.split('/').filter(|part| !["lib", "main"].contains(part));
    Some(std::iter::once(home).chain(parts).collect())
}

fn check_one(source: &Source, modules: &BTreeSet<Vec<&str>>) -> Vec<Problem> {
    let Some(module) = module_of(source) else { return Vec::new() };
    let code = rust::code_only(&source.text);
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (line, path) in imports(&code, &module) {
        let excused = exceptions::IMPORTS.iter().any(|&(from, to, _)| {
            source.path.starts_with(from) && format!("{}::", path.join("::")).starts_with(&format!("{to}::"))
        });
        if let Some(why) = (!excused).then(|| refused(&module, &path, modules)).flatten()
            && seen.insert((line, why.clone()))
        {
            problems.push(Problem::new(&source.path, line, why));
        }
    }
    problems
}

/// Every path of the code that leads to a crate, as crate folder and modules, with its line.
fn imports<'a>(code: &'a str, module: &[&'a str]) -> Vec<(usize, Vec<&'a str>)> {
    let tokens = rust::tokens(code);
    let mut found = Vec::new();
    // Module of the code at hand: `mod tests { … }` opens one inside the file.
    let mut inner: Vec<&str> = module.to_vec();
    let mut open: Vec<bool> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before =
            |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at)).map_or("", |token| token.text);
        let begins_path = || token.is_word() && before(1) != "::";
        if token.text == "{" {
            let is_module = before(2) == "mod";
            if is_module {
                inner.push(before(1));
            }
            open.push(is_module);
        } else if token.text == "}" {
            if open.pop() == Some(true) {
                inner.pop();
            }
        } else if begins_path() && tokens.get(at + 1).is_some_and(|next| next.text == "::") {
            let paths = rust::paths(&tokens[at..]);
            found.extend(paths.iter().filter_map(|path| Some((token.line, resolve(path, &inner)?))));
        }
    }
    found
}

/// `crate`, `self`, `super` and our crates' names → crate folder first; other crates keep their name.
fn resolve<'a>(path: &[&'a str], module: &[&'a str]) -> Option<Vec<&'a str>> {
    let (&first, rest) = path.split_first()?;
    let mut whole: Vec<&str> = match first {
        "crate" => module.first().copied().into_iter().collect(),
        "self" => module.to_vec(),
        "super" => {
            let ups = path.iter().take_while(|part| **part == "super").count();
            let mut whole = module[..module.len().checked_sub(ups)?.max(1)].to_vec();
            whole.extend(&path[ups..]);
            whole.retain(|part| *part != "self");
            return Some(whole);
        }
        name => vec![CRATES.iter().find(|(_, known)| *known == name).map_or(name, |(folder, _)| folder)],
    };
    whole.extend(rest);
    whole.retain(|part| *part != "self");
    Some(whole)
}

/// Parts of a stage that the others are built from.
const COMMON: &[(&str, &str)] = &[("frontend::view", "sheet")];

/// Why `module` may not import `path`; `None` when it may.
fn refused(module: &[&str], path: &[&str], modules: &BTreeSet<Vec<&str>>) -> Option<String> {
    let me = module.join("::");
    let whole = path.join("::");
    let under = |prefix: &str, path: &str| path == prefix || path.starts_with(&format!("{prefix}::"));
    if let Some((name, owner)) = KNOWN_ONLY_BY.iter().find(|(name, _)| path.first() == Some(name)) {
        return (!under(owner, &me)).then(|| format!("only {owner} knows {name}"));
    }
    if !CRATES.iter().any(|(folder, _)| path.first() == Some(folder)) {
        return None;
    }
    let stage = STAGES.iter().find(|stage| {
        module.first() == Some(&stage.home)
            && (stage.module.is_empty() || module.get(1) == Some(&stage.module))
    })?;
    let own = if stage.module.is_empty() {
        stage.home.to_owned()
    } else {
        format!("{}::{}", stage.home, stage.module)
    };
    if under(&own, &whole) {
        let (Some(part), Some(other)) = (module.get(2), path.get(2)) else { return None };
        let is_module = modules.contains(&path[..3]);
        let common = COMMON.contains(&(own.as_str(), other));
        let stranger = stage.apart && part != other && is_module && !common;
        return stranger
            .then(|| format!("{me} may not import {own}::{other}: parts of {} stay apart", stage.module));
    }
    let allowed = stage.may.iter().any(|may| under(may, &whole));
    (!allowed).then(|| format!("{me} may not import {whole} (it may: {})", list(stage.may)))
}

fn list(may: &[&str]) -> String {
    if may.is_empty() { "nothing of ours".to_owned() } else { may.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// Lines with a problem in the first of the sources.
    fn lines(path: &str, text: &str) -> Vec<usize> {
        let others =
            ["backend/src/collect/disk.rs", "backend/src/collect/process.rs", "backend/src/collect.rs"];
        let mut sources = vec![source(path, text)];
        sources.extend(others.iter().filter(|other| **other != path).map(|other| source(other, "")));
        check(&sources).iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn collectors_stay_apart_and_below_the_model() {
        let text = "use crate::{sys::netlink, collect::Collector};\n\
                    use super::disk::read;\n\
                    use crate::model::rate;\n\
                    use glasshull_shared::domain::process;\n\
                    fn f() { crate::collect::disk::read() }\n\
                    mod tests { use super::*; use super::super::disk; }";
        assert_eq!(lines("backend/src/collect/process.rs", text), [2, 3, 5, 6]);
        assert_eq!(
            lines("backend/src/collect/process/stat.rs", "use super::super::disk::a;\nuse super::b;"),
            [1]
        );
        assert_eq!(lines("backend/src/collect.rs", "use self::disk::read;\nuse crate::serve;"), [2]);
    }

    #[test]
    fn the_agent_sees_all_and_comments_do_not_count() {
        assert!(lines("backend/src/agent.rs", "use crate::{collect::disk, model, serve};").is_empty());
        assert!(
            lines(
                "backend/src/model/a.rs",
                "// crate::serve::x\n/// [`crate::serve`]\nconst A: &str = \"crate::serve\";"
            )
            .is_empty()
        );
    }

    #[test]
    fn axum_is_for_serve_alone() {
        assert_eq!(lines("backend/src/agent.rs", "use axum::Router;"), [1]);
        assert!(lines("backend/src/serve/http.rs", "use axum::Router;").is_empty());
    }

    #[test]
    fn the_browsers_stages_know_what_is_below_them() {
        assert_eq!(
            lines("frontend/src/widget/table.rs", "use glasshull_shared::unit;\nuse leptos::prelude::*;"),
            [1]
        );
        assert_eq!(lines("frontend/src/store/rows.rs", "use crate::feed::Socket;\nuse super::keys;"), [1]);
        assert_eq!(
            lines(
                "frontend/src/feed/socket.rs",
                "use glasshull_shared::{wire::Frame, snapshot::Topic, domain::disk};"
            ),
            [1]
        );
        assert_eq!(lines("shared/src/wire.rs", "use crate::delta::Delta;\nuse glasshull::x;"), [2]);
    }
}
