//! The degraded set: the agent's and the facts' test programs once more, without root's rights.
//! What needs root must notice and say so; everything else must hold.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::exec::{line, read, succeeds, watch};
use crate::place::Place;
use crate::say;

/// The user that owns nothing.
const NOBODY: &str = "65534";

/// Packages that run on hosts with and without root.
const PACKAGES: &[&str] = &["backend", "shared"];

/// A test program and the folder cargo would start it in.
struct Program {
    file: PathBuf,
    folder: PathBuf,
}

/// Runs the programs that `tests` (a `cargo test` command) has built.
pub(super) fn run(
    place: &Place,
    tests: Command,
    filter: Option<&str>,
    seen: &mut dyn FnMut(&str),
) -> Result<()> {
    let scratch = Scratch::new()?;
    let access = Access::find(place, &scratch)?;
    let mut failed = Vec::new();
    for program in built(place, tests)? {
        let name = program.file.file_name().context("a test program without a name")?;
        let copy = scratch.0.join(name);
        fs::copy(&program.file, &copy)?;
        let mut command = access.command(place, &scratch, &program.folder);
        command.arg(&copy).args(filter).env("HOME", scratch.open()).env("TMPDIR", scratch.open());
        eprintln!("     Running {} as user {NOBODY}", name.to_string_lossy());
        if watch(&mut command, &mut *seen).is_err() {
            failed.push(name.to_string_lossy().into_owned());
        }
        fs::remove_file(&copy)?;
    }
    if !failed.is_empty() {
        bail!("failed without root: {}", failed.join(", "));
    }
    Ok(())
}

/// Asks cargo for the programs, which it has built already.
fn built(place: &Place, mut tests: Command) -> Result<Vec<Program>> {
    let text = read(tests.args(["--no-run", "--message-format", "json"]))?;
    let mut programs = Vec::new();
    for message in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let manifest = message["manifest_path"].as_str().map(Path::new);
        let wanted =
            PACKAGES.iter().any(|package| manifest == Some(&place.root.join(package).join("Cargo.toml")));
        let executable = message["executable"].as_str();
        if let (true, Some(file), Some(manifest)) = (wanted, executable, manifest)
            && message["profile"]["test"] == true
        {
            let folder = manifest.parent().context("a manifest without a folder")?;
            programs.push(Program { file: file.into(), folder: folder.to_owned() });
        }
    }
    if programs.is_empty() {
        bail!("`{}` named no test program", line(&tests));
    }
    Ok(programs)
}

/// How an ordinary user gets to see the checkout.
enum Access {
    /// It may read it as it is.
    Open,
    /// A folder above is closed to others (a checkout in root's home): a view of the checkout alone is
    /// put in its place, in a mount namespace that ends with the program.
    Behind(PathBuf),
}

impl Access {
    fn find(place: &Place, scratch: &Scratch) -> Result<Self> {
        let manifest = place.root.join("Cargo.toml");
        let readable = |access: &Self| {
            succeeds(access.command(place, scratch, &place.root).args(["test", "-r"]).arg(&manifest))
        };
        if readable(&Self::Open) {
            return Ok(Self::Open);
        }
        let closed = place.root.ancestors().skip(1).filter(|folder| is_closed(folder)).last();
        if let Some(folder) = closed {
            let access = Self::Behind(folder.to_owned());
            if readable(&access) {
                say::note(&format!("{} is closed to others: they see the checkout alone", folder.display()));
                return Ok(access);
            }
        }
        bail!("user {NOBODY} cannot read {}: open it to others (chmod o+rX)", manifest.display())
    }

    /// The words before a program to run it as nobody in `folder`.
    fn command(&self, place: &Place, scratch: &Scratch, folder: &Path) -> Command {
        let nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        match self {
            Self::Open => {
                let mut command = Command::new(nobody[0]);
                command.args(&nobody[1..]).current_dir(folder);
                command
            }
            Self::Behind(closed) => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-euc", VIEW, "sh"]);
                command.arg(&place.root).arg(closed).arg(scratch.0.join("checkout")).arg(folder).args(nobody);
                command
            }
        }
    }
}

/// Arguments: checkout, closed folder, free folder, folder to start in, program.
const VIEW: &str = r#"mkdir -p "$3"; mount --bind "$1" "$3"; mount -t tmpfs -o mode=755 tmpfs "$2"
mkdir -p "$1"; mount --bind "$3" "$1"; cd "$4"; shift 4; exec "$@""#;

fn is_closed(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o001 == 0)
}

/// A folder for the copies, which may lie where others cannot look; removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("glasshull-degraded-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let scratch = Self(folder);
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o755))?;
        fs::create_dir(scratch.open())?;
        fs::set_permissions(scratch.open(), Permissions::from_mode(0o1777))?;
        Ok(scratch)
    }

    /// Where the programs may write.
    fn open(&self) -> PathBuf {
        self.0.join("open")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            say::note(&format!("left behind {}: {error}", self.0.display()));
        }
    }
}
