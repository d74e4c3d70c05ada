//! Arguments of `glasshull files`.

use clap::Args;

use super::value;

/// Whose files, and what to do with them.
#[derive(Debug, Args)]
#[command(after_help = HELP, override_usage = USAGE)]
pub(crate) struct Files {
    /// A container's name or the beginning of its id (not with --image), and an absolute path in it; a link is followed
    #[arg(value_name = "CONTAINER PATH", num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// Of this image instead of a container
    #[arg(long, value_name = "REFERENCE", value_parser = value::image)]
    pub image: Option<String>,
    /// Copy out to this file, which must not exist; - is standard output
    #[arg(long, value_name = "FILE")]
    pub to: Option<std::path::PathBuf>,
    /// Take at most so many bytes
    #[arg(long = "limit", value_name = "SIZE", default_value = "1GiB", value_parser = value::size, allow_hyphen_values = true)]
    pub limit: u64,
    /// Print JSON: the list as at /files/CONTAINER?path=PATH
    #[arg(long, conflicts_with = "to")]
    pub json: bool,
}

const USAGE: &str =
    "glasshull files [OPTIONS] CONTAINER PATH\n       glasshull files [OPTIONS] --image REFERENCE PATH";

const HELP: &str = "\
Examples:
  glasshull files web /etc/nginx                      as ls -l
  glasshull files web /etc/nginx/nginx.conf --to -    as cat
  glasshull files web /var/log --to logs.tar          a tree
  glasshull files --image postgres:16 /usr/share/postgresql --to - | tar -t

With --to a file comes as it is, a directory as a tar. The engine reads them: the container need not run, and needs no shell,
no cat and no ls. Its volumes are there, /proc and /sys are not. An engine has no list of a directory: it sends all that lies
below and the names are kept, which takes its time for a large tree.

An image has no files that an engine gives out: a container is made of it, never started, and removed again (named
glasshull-files-…; what a crash left is removed at the next use). No image is fetched.

By hand: docker cp web:/etc/nginx - | tar -tv; docker create, docker cp and docker rm for an image.";

impl Files {
    /// The container, unless an image is meant, and the path.
    ///
    /// # Errors
    /// When there is one word too few or too many.
    pub(crate) fn split(&self) -> Result<(Option<&str>, &str), &'static str> {
        match (&self.words[..], &self.image) {
            ([container, path], None) => Ok((Some(container), path)),
            ([path], Some(_)) => Ok((None, path)),
            (_, None) => Err("give a container and a path in it: glasshull files web /etc"),
            (_, Some(_)) => Err("give a path alone with --image: glasshull files --image alpine /etc"),
        }
    }
}
