//! The steps of a test run: headline, time and verdict of each, and a table of all at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::say::{self, elapsed, paint, result};

/// How a step ended.
enum Verdict {
    Passed,
    Failed,
    /// Did not run, and why.
    Skipped(&'static str),
}

struct Step {
    name: &'static str,
    verdict: Verdict,
    time: Duration,
    /// Closing lines of the runners, such as `test result: …`.
    closing: Vec<String>,
}

/// All steps so far.
#[derive(Default)]
pub(super) struct Suite {
    steps: Vec<Step>,
}

impl Suite {
    /// Runs one step; whether it passed. `work` shows each line of its runner to the function it gets.
    pub(super) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<()>,
    ) -> bool {
        eprintln!("\n{}", paint("36;1", &format!("━━ {name}")));
        let mut closing = Vec::new();
        let start = Instant::now();
        let outcome = work(&mut |line| closing.extend(closing_line(line)));
        let time = start.elapsed();
        let passed = outcome.is_ok();
        if let Err(error) = outcome {
            say::error(&format!("{name}: {error:#}"));
        }
        eprintln!("{} {name}: {}", paint("36;1", "━━"), elapsed(time));
        let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        self.steps.push(Step { name, verdict, time, closing });
        passed
    }

    /// Notes a step that did not run.
    pub(super) fn skip(&mut self, name: &'static str, why: &'static str) {
        let verdict = Verdict::Skipped(why);
        self.steps.push(Step { name, verdict, time: Duration::ZERO, closing: Vec::new() });
    }

    /// Prints the runners' closing lines and the table; fails if any step did.
    pub(super) fn finish(self) -> std::io::Result<ExitCode> {
        for line in self.report() {
            result(&line)?;
        }
        Ok(if self.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn passed(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.verdict, Verdict::Failed))
    }

    fn report(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        for step in self.steps.iter().filter(|step| !step.closing.is_empty()) {
            lines.push(format!("{}:", step.name));
            lines.extend(step.closing.iter().map(|line| format!("  {line}")));
        }
        lines.push(String::new());
        lines.extend(self.steps.iter().map(|step| {
            let (word, extra) = match step.verdict {
                Verdict::Passed => ("ok", elapsed(step.time)),
                Verdict::Failed => ("FAILED", elapsed(step.time)),
                Verdict::Skipped(why) => ("skipped", why.to_owned()),
            };
            format!("{:<28} {word:<8} {extra}", step.name)
        }));
        lines
    }
}

/// A line with which a runner sums up: libtest's, unless nothing ran, Playwright's and the lab's.
fn closing_line(line: &str) -> Option<String> {
    let line = without_colour(line);
    let line = line.trim();
    let libtest = line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed;");
    let (count, rest) = line.split_once(' ').unwrap_or_default();
    let word = rest.split_whitespace().next().unwrap_or_default().trim_end_matches(',');
    let counted = count.parse::<u32>().is_ok()
        && ["passed", "failed", "flaky", "skipped", "interrupted", "did"].contains(&word)
        && rest.len() < 40;
    (libtest || counted).then(|| line.to_owned())
}

/// Drops ANSI colours: `ESC [ … letter`.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\x1b' {
            rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_sums_are_kept_and_nothing_else() {
        let kept = |line| closing_line(line).is_some();
        assert!(kept("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(kept("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(!kept("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out"));
        assert_eq!(closing_line("\x1b[32m  7 passed\x1b[39m (3.1s)").as_deref(), Some("7 passed (3.1s)"));
        assert!(kept("22 passed, 0 failed") && kept("0 passed, 0 failed, 22 not run"));
        assert!(kept("  2 failed") && kept("  3 did not run"));
        assert!(!kept("test wire::tests::two ... ok") && !kept("7 processes seen"));
    }

    #[test]
    fn one_failed_step_fails_the_run_and_the_next_still_runs() {
        let mut suite = Suite::default();
        assert!(!suite.step("bad", |_| anyhow::bail!("on purpose")));
        assert!(suite.step("good", |seen| {
            seen("test result: ok. 1 passed; 0 failed; 0 ignored");
            Ok(())
        }));
        suite.skip("left out", "no need");
        assert!(!suite.passed());
        let report = suite.report();
        assert_eq!(report[1..3], ["good:", "  test result: ok. 1 passed; 0 failed; 0 ignored"]);
        let words: Vec<_> = report[4..].iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(words, ["FAILED", "ok", "out"]);
        let mut suite = Suite::default();
        suite.step("good", |_| Ok(()));
        assert!(suite.passed());
    }
}
