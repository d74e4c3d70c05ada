//! Packages: says what will be installed and why, then does it as root or through sudo,
//! or prints the exact line for a person and stops.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::Command;

use anyhow::{Result, bail};

use crate::exec::{is_root, run, succeeds, which};
use crate::say;

/// A package under the names that distributions give it.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    /// Debian, Ubuntu.
    pub(crate) apt: &'static str,
    /// Fedora and relatives.
    pub(crate) dnf: &'static str,
    /// Arch.
    pub(crate) pacman: &'static str,
    /// One line for the person whose machine it is.
    pub(crate) why: &'static str,
}

/// Installs `packages` or says how; returns only when they are installed.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let mut list = String::new();
    for package in packages {
        write!(list, "\n  {:<20} {}", package.apt, package.why)?;
    }
    say::note(&format!("this machine lacks:{list}"));
    if which("apt-get").is_none() {
        bail!("only apt is used without asking. Install them, then start again:\n  {}", other_line(packages));
    }
    install_apt(&packages.iter().map(|package| package.apt).collect::<Vec<_>>())
}

/// Installs Debian packages by name.
fn install_apt(names: &[&str]) -> Result<()> {
    let update = || apt("update", &[]);
    let add = || apt("install", names);
    let Some(prefix) = root_prefix() else {
        bail!(
            "this needs root and there is no usable sudo. As root, then start again:\n  \
             apt-get update && apt-get install --no-install-recommends {}",
            names.join(" ")
        );
    };
    say::timed(&format!("installing {}", names.join(" ")), || {
        // A third-party source that does not answer must not stop the packages of the others.
        if let Err(error) = run(&mut with_prefix(&prefix, update())) {
            say::note(&format!("{error:#}; going on with the package lists as they are"));
        }
        run(&mut with_prefix(&prefix, add()))
    })
}

fn apt(verb: &str, names: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "DPkg::Use-Pty=0", verb]);
    if verb == "install" {
        command.args(["--yes", "--no-install-recommends"]).args(names);
    }
    command
}

/// The words before a command that make it root's; `None` when there is no way.
pub(crate) fn root_prefix() -> Option<Vec<&'static str>> {
    if is_root() {
        return Some(vec![]);
    }
    which("sudo")?;
    if succeeds(Command::new("sudo").args(["-n", "true"])) {
        return Some(vec!["sudo", "-n"]);
    }
    // sudo asks for the password on the terminal, if there is one.
    std::io::stdin().is_terminal().then(|| vec!["sudo"])
}

/// `command` with the words of `root_prefix` before it, and without questions of packages.
pub(crate) fn with_prefix(prefix: &[&str], command: Command) -> Command {
    // env stands after sudo because sudo drops the environment.
    let mut words = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive"]);
    let mut whole = Command::new(words.next().unwrap_or("env"));
    whole.args(words).arg(command.get_program()).args(command.get_args());
    whole
}

/// The line to type where another package manager rules.
fn other_line(packages: &[Package]) -> String {
    let names = |name: fn(&Package) -> &'static str| packages.iter().map(name).collect::<Vec<_>>().join(" ");
    let sudo = if is_root() { "" } else { "sudo " };
    if which("dnf").is_some() {
        return format!("{sudo}dnf install {}", names(|package| package.dnf));
    }
    if which("pacman").is_some() {
        return format!("{sudo}pacman -S --needed {}", names(|package| package.pacman));
    }
    format!("with this system's package manager, what Debian calls: {}", names(|package| package.apt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::line;

    #[test]
    fn root_runs_apt_itself_and_others_through_sudo() {
        let whole = with_prefix(&[], apt("install", &["procps"]));
        assert!(
            line(&whole).starts_with("env DEBIAN_FRONTEND=noninteractive apt-get -qq"),
            "{}",
            line(&whole)
        );
        let whole = with_prefix(&["sudo", "-n"], apt("update", &[]));
        assert!(
            line(&whole).starts_with("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get"),
            "{}",
            line(&whole)
        );
        assert!(line(&whole).ends_with(" update"), "{}", line(&whole));
    }
}
