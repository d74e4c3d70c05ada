//! Files of a container, running or not, and of an image, through the engine's archive: any engine's own `cp`, so that nothing
//! in the container is needed, no shell and no `cat`. To `agent::archive` and `glasshull files`.
//!
//! An engine has no list of a directory: it sends all that lies below as a tar, and we keep the names. An image has no archive
//! either: a container is made of it, never started, and removed again ([`made`]).

mod list;
mod made;
mod reading;
mod walk;

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, InspectContainerOptions,
    ListImagesOptions,
};
use futures_util::StreamExt as _;
use glasshull_shared::archive::{LIST_AT_MOST, Listing, Refusal, absolute};
use glasshull_shared::unit;
use tokio::time::timeout;

use self::list::List;
use self::made::Made;
use self::reading::Reading;
pub(crate) use self::reading::Taken;
use self::walk::Piece;
use super::endpoint::Endpoint;
use super::{Options, transport, trust};
use crate::sys::text::cut;

/// How long an engine may say nothing, once it has begun to work.
const SILENCE: Duration = Duration::from_secs(30);
/// Links followed one after the other; the kernel has 40 (`MAXSYMLINKS`), an engine resolves them at once.
const LINKS_AT_MOST: usize = 8;
/// Names told when one is not there.
const NAMES_TOLD: usize = 20;
/// Bytes read to tell them.
const NAMES_WITHIN: u64 = 4 << 20;

/// Whose files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    /// A container's.
    Container {
        /// The engine's full id.
        id: String,
        /// For people.
        name: String,
    },
    /// An image's, by its reference.
    Image(String),
}

impl Of {
    fn name(&self) -> &str {
        match self {
            Self::Container { name, .. } => name,
            Self::Image(reference) => reference,
        }
    }
}

/// Which engine to ask, and how much to take of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// `unix:///run/docker.sock`.
    pub(crate) endpoint: String,
    /// A person named it: then it is believed whoever listens.
    pub(crate) given: bool,
    /// Bytes for one answer.
    pub(crate) limit: u64,
}

/// What is wanted of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A tar, also of one file.
    Tar,
    /// One file as it is.
    File,
    /// A file as it is, a directory as a tar.
    Either,
}

/// An open way to the files of a container or an image.
#[derive(Debug)]
pub(crate) struct Inside {
    docker: Docker,
    of: Of,
    /// Whose archive is read.
    id: String,
    made: Option<Made>,
    limit: u64,
}

impl Inside {
    /// Opens it. For an image this makes a container: [`Inside::close`] removes it.
    ///
    /// # Errors
    /// When the engine does not answer, is not to be asked, or has no such image.
    pub(crate) async fn open(from: &Source, of: Of) -> Result<Self, Refusal> {
        let options = Options::default();
        let socket = Endpoint::given(&from.endpoint).path.map_err(Refusal::Engine)?;
        let trusted = trust::of(&options, &socket, from.given).await;
        trusted.map_err(|fault| Refusal::Engine(fault.reason))?;
        // The tar's own blocks are within the limit; what HTTP adds is not much.
        let most = from.limit.saturating_add(from.limit / 8).saturating_add(transport::MOST_BYTES);
        let docker = transport::client(&socket, most).map_err(|error| broken(&error))?;
        let docker = answer(docker.negotiate_version()).await?.map_err(|error| broken(&error))?;
        let (id, made) = match &of {
            Of::Container { id, .. } => (id.clone(), None),
            Of::Image(image) => {
                drop(timeout(SILENCE, made::sweep(&docker, &options.root)).await);
                let made = match answer(made::make(&docker, &options.root, image)).await? {
                    Ok(made) => made,
                    Err(error) if status(&error) == Some(404) => return Err(no_image(&docker, image).await),
                    Err(error) => return Err(broken(&error)),
                };
                (made.id.clone(), Some(made))
            }
        };
        Ok(Self { docker, of, id, made, limit: from.limit })
    }

    /// Removes what was made to look into an image.
    pub(crate) async fn close(self) {
        let Some(made) = &self.made else { return };
        match answer(made::remove(&self.docker, &made.id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(id = made.id, %error, "our own container could not be removed"),
            Err(why) => {
                tracing::warn!(id = made.id, why = why.text(), "our own container could not be removed")
            }
        }
    }

    /// What a directory holds; a file is its own only entry.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub(crate) async fn list(&self, path: &str) -> Result<Listing, Refusal> {
        let (path, _) = self.find(path).await?;
        self.list_within(&path, self.limit).await
    }

    async fn list_within(&self, path: &str, limit: u64) -> Result<Listing, Refusal> {
        let mut reading = self.read(path, limit);
        let mut list = List::default();
        let incomplete = loop {
            match reading.piece().await {
                Ok(Some(Piece::Entry(member))) if !list.take(&member) => {
                    let most = unit::count(LIST_AT_MOST as u64);
                    break Some(format!("there are more than {most} entries"));
                }
                Ok(Some(Piece::Entry(_) | Piece::Data(_))) => {}
                Ok(None) => break None,
                // The engine sends all that lies below; what was seen until then is right.
                Err(Refusal::TooLarge(why)) => break Some(why),
                Err(other) => return Err(other),
            }
        };
        let (kind, entries) =
            list.done().ok_or_else(|| Refusal::Engine("the engine's archive is empty".into()))?;
        let container = match &self.of {
            Of::Container { id, .. } => Some(id.clone()),
            Of::Image(_) => None,
        };
        Ok(Listing {
            of: self.of.name().to_owned(),
            container,
            path: path.to_owned(),
            kind,
            entries,
            incomplete,
        })
    }

    /// Begins to take a file or a tree.
    ///
    /// # Errors
    /// When it is not there, is no file though one is wanted, or is too large.
    pub(crate) async fn take(&self, path: &str, form: Form) -> Result<Taken, Refusal> {
        let (path, is_directory) = self.find(path).await?;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("root").to_owned();
        let reading = self.read(&path, self.limit);
        match (form, is_directory) {
            (Form::File, true) => {
                Err(Refusal::Wish(format!("{path} is a directory: list it, or take it as a tar")))
            }
            (Form::Tar, _) | (Form::Either, true) => Ok(Taken::tree(format!("{name}.tar"), reading)),
            (Form::File | Form::Either, false) => Taken::file(&path, name, reading).await,
        }
    }

    fn read(&self, path: &str, limit: u64) -> Reading {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        Reading::new(self.docker.download_from_container(&self.id, Some(options)).boxed(), limit)
    }

    /// Where a path leads when it is a link, and whether that is a directory.
    async fn find(&self, path: &str) -> Result<(String, bool), Refusal> {
        let mut path = absolute(path)?;
        for _ in 0..LINKS_AT_MOST {
            match self.stat(&path).await? {
                Stat::Link(to) => path = to,
                Stat::Directory => return Ok((path, true)),
                Stat::Other => return Ok((path, false)),
                Stat::Missing => return Err(self.missing(&path).await),
            }
        }
        Err(Refusal::Wish(format!("{path}: too many links lead on")))
    }

    async fn stat(&self, path: &str) -> Result<Stat, Refusal> {
        /// Bits of Go's `fs::FileMode`.
        const DIRECTORY: u32 = 1 << 31;
        const LINK: u32 = 1 << 27;
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        match answer(self.docker.get_container_archive_info(&self.id, Some(options))).await? {
            Ok(stat) if stat.file_mode & LINK != 0 => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let to = stat.link_target;
                let to =
                    if to.starts_with('/') { absolute(&to) } else { absolute(&format!("{parent}/{to}")) };
                to.map(Stat::Link)
            }
            Ok(stat) if stat.file_mode & DIRECTORY != 0 => Ok(Stat::Directory),
            Ok(_) => Ok(Stat::Other),
            // A path below a file is answered by some with another code; a HEAD has no words.
            Err(error) if status(&error).is_some() => Ok(Stat::Missing),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Says that a path is not there, and what is.
    async fn missing(&self, path: &str) -> Refusal {
        let name = self.of.name();
        let inspected =
            answer(self.docker.inspect_container(&self.id, None::<InspectContainerOptions>)).await;
        match inspected {
            Ok(Err(error)) if status(&error) == Some(404) => {
                return Refusal::NotFound(format!("{name} is gone meanwhile"));
            }
            Ok(Err(error)) => return broken(&error),
            Err(why) => return why,
            Ok(Ok(_)) => {}
        }
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/').filter(|_| above != "/") {
            above = if parent.is_empty() { "/" } else { parent };
            match self.stat(above).await {
                Ok(Stat::Missing) => {}
                Ok(Stat::Other) => {
                    return Refusal::NotFound(format!("no {path} in {name}: {above} is no directory"));
                }
                Ok(Stat::Directory | Stat::Link(_)) => {
                    let there = self.names(above).await;
                    return Refusal::NotFound(format!("no {path} in {name}; {above} is there{there}"));
                }
                Err(why) => return why,
            }
        }
        Refusal::Engine(format!("the engine does not give out files of {name}; see its log"))
    }

    async fn names(&self, directory: &str) -> String {
        let Ok((path, true)) = Box::pin(self.find(directory)).await else { return String::new() };
        let Ok(listing) = self.list_within(&path, NAMES_WITHIN).await else { return String::new() };
        let names: Vec<&str> = listing.entries.iter().take(NAMES_TOLD).map(|one| one.name.as_str()).collect();
        let left = listing.entries.len() - names.len();
        let more = match (left, &listing.incomplete) {
            (0, None) => String::new(),
            (_, None) => format!(" and {left} more"),
            (_, Some(_)) => " and more".to_owned(),
        };
        if names.is_empty() { ", empty".to_owned() } else { format!(", with {}{more}", names.join(", ")) }
    }
}

/// What a path is.
enum Stat {
    Missing,
    /// Leads here, absolute.
    Link(String),
    Directory,
    Other,
}

async fn no_image(docker: &Docker, image: &str) -> Refusal {
    let list = answer(docker.list_images(None::<ListImagesOptions>)).await;
    let mut names: Vec<String> = match list {
        Ok(Ok(images)) => images.into_iter().flat_map(|image| image.repo_tags).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    names.sort_unstable();
    names.truncate(NAMES_TOLD);
    let known = if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
    Refusal::NotFound(format!("the engine has no image {image} (and none is fetched){known}"))
}

/// What an engine answers, within its time.
async fn answer<T>(asked: impl Future<Output = T>) -> Result<T, Refusal> {
    timeout(SILENCE, asked).await.map_err(|_| silent())
}

fn silent() -> Refusal {
    Refusal::Engine(format!("the engine has said nothing for {} s", SILENCE.as_secs()))
}

fn status(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error { Some(*status_code) } else { None }
}

/// An engine's error, in its words.
fn broken(error: &Error) -> Refusal {
    Refusal::Engine(cut(format!("the engine failed: {}", unit::printable(&error.to_string()))))
}
