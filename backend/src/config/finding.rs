//! Arguments of `glasshull findings`.

use std::time::Duration;

use clap::Args;
use glasshull_shared::domain::finding::{Rule, Severity};

use super::time;
use crate::command::finding::{parse_rule, parse_severity};

/// What to look for.
///
/// Each finding is a rule that is met, with the facts it rests on and a line that shows it by hand. Severities: trouble
/// (broken, or as good as root on this host), attention (somebody should look), info (usual where people develop). Where a
/// permission is missing nothing is found and "not seen whole" says so. Exit code: 0 nothing at or above --min, 1 something, 2 an
/// error: `glasshull findings --min trouble || page-me`.
#[derive(Debug, Args)]
pub(crate) struct Findings {
    /// Only what is about this container: its name or the beginning of its id
    #[arg(value_name = "CONTAINER")]
    pub container: Option<String>,
    /// Print JSON: the rows of `snapshot --tables finding` with texts, and what could not be seen
    #[arg(long)]
    pub json: bool,
    /// Leave out what is less: info, attention, trouble
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = parse_severity)]
    pub min: Severity,
    /// Look for this long: losses and throttling are counted over it, waiting in D takes 10s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::interval, allow_hyphen_values = true)]
    pub watch: Duration,
    /// Tell what a rule means, how to check it and how to mend it, without looking
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    pub explain: Option<Rule>,
}
