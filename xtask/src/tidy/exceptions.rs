//! What is excused from the house rules, each with its reason. An entry that is no longer needed is a problem itself.

/// A domain without a twin in one place.
#[derive(Clone, Copy)]
pub(super) struct Twin {
    /// File stem in `shared/src/domain`.
    pub(super) stem: &'static str,
    /// `collect`, `view`, `style` or `spec`.
    pub(super) place: &'static str,
    /// Why that is right.
    pub(super) reason: &'static str,
}

/// Domains that do not show at every stage.
pub(super) const TWINS: &[Twin] = &[
    Twin { stem: "agent", place: "collect", reason: "collect/own_cost.rs reads it from /proc/self" },
    Twin { stem: "agent", place: "view", reason: "the frame's own-cost meter shows it on every view" },
    Twin { stem: "agent", place: "style", reason: "the frame is styled in base.css" },
    Twin { stem: "agent", place: "spec", reason: "checked with the frame" },
    Twin { stem: "engine", place: "collect", reason: "collect/container talks to the engines" },
    Twin { stem: "engine", place: "view", reason: "the container view tells each engine's state" },
    Twin { stem: "engine", place: "style", reason: "drawn by the container view" },
    Twin { stem: "engine", place: "spec", reason: "checked with the container view" },
    Twin {
        stem: "event",
        place: "collect",
        reason: "written by several collectors, read from no place of its own",
    },
    Twin { stem: "event", place: "view", reason: "marks of the frame's timeline, on every view" },
    Twin { stem: "event", place: "style", reason: "the frame is styled in base.css" },
    Twin { stem: "event", place: "spec", reason: "checked with the frame" },
    Twin { stem: "file", place: "view", reason: "a tab of the process inspector" },
    Twin { stem: "file", place: "style", reason: "drawn by the process view" },
    Twin { stem: "file", place: "spec", reason: "checked with the process view" },
    Twin { stem: "mount", place: "view", reason: "a tab of the inspector on containers and processes" },
    Twin {
        stem: "source",
        place: "collect",
        reason: "the agent writes it: which source there is and what each collector misses",
    },
    Twin { stem: "source", place: "view", reason: "each view tells it in place of what is missing" },
    Twin { stem: "source", place: "style", reason: "drawn by each view" },
    Twin { stem: "source", place: "spec", reason: "checked with each view" },
];

/// Importer (path prefix), imported (path prefix), reason.
pub(super) const IMPORTS: &[(&str, &str, &str)] = &[];

/// File (path prefix), text that is forbidden elsewhere, reason.
pub(super) const WORDS: &[(&str, &str, &str)] = &[];
