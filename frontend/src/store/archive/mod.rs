//! Files of containers and images as the inspector browses them: places in them, addresses of the agent, and what a person
//! would type. Pure but for the way to whoever fetches, which is the feed's.

pub mod preview;

use std::future::Future;
use std::pin::Pin;

use glasshull_shared::archive::{Entry, EntryKind, absolute, is_reference};
use glasshull_shared::domain::container::Container;
use glasshull_shared::shell::quote;
use glasshull_shared::unit;
use leptos::prelude::*;

use super::address::escape;
use super::shell::{Command, command, engine};

/// Id of the inspector's tab.
pub const TAB: &str = "files";
/// Before the path in the URL, when the image's files are meant.
const IMAGE: &str = "image:";

/// What came of an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// HTTP status; 0 when nobody answered.
    pub status: u16,
    /// The body, or its beginning.
    pub bytes: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
    /// The transfer broke off.
    pub broken: bool,
}

/// What will come of an address. Dropped, it ends the transfer.
pub type Fetching = Pin<Box<dyn Future<Output = Fetched>>>;

/// Gets an address of the agent, at most so many bytes of it.
#[derive(Debug, Clone, Copy)]
pub struct Fetch(pub fn(String, usize) -> Fetching);

/// The way to the agent.
///
/// # Panics
/// Outside the inspector: it provides one.
#[track_caller]
pub fn use_fetch() -> Fetch {
    expect_context()
}

/// Whose files can be browsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Id of the container.
    pub id: String,
    /// Its name; hostile.
    pub name: String,
    /// Reference of its image; `None` when nobody told one that an engine can be asked for.
    pub image: Option<String>,
    /// Endpoint of the engine that has both.
    pub engine: String,
    /// That engine's own command.
    cli: Option<String>,
}

impl Subject {
    /// `None` when no engine told of the container: only an engine gives files out.
    pub fn new(id: &str, row: &Container) -> Option<Self> {
        Some(Self {
            id: id.to_owned(),
            name: row.name.clone(),
            image: row.image.clone().filter(|image| is_reference(image)),
            engine: row.engine.clone()?,
            cli: engine(row),
        })
    }
}

/// What is wanted of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A list as JSON.
    List,
    /// A tar.
    Tar,
    /// A file as it is.
    File,
}

/// Where in the files somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In the image instead of the container.
    pub image: bool,
    /// Absolute; hostile.
    pub path: String,
}

impl Place {
    /// As it stands in the URL; the root of the container without one.
    pub fn from_text(text: Option<&str>) -> Self {
        let text = text.unwrap_or("/");
        let (image, path) = text.strip_prefix(IMAGE).map_or((false, text), |path| (true, path));
        Self { image, path: absolute(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// As it stands in the URL.
    pub fn to_text(&self) -> String {
        format!("{}{}", if self.image { IMAGE } else { "" }, self.path)
    }

    /// Another path of the same.
    pub fn at(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }

    /// A name in it.
    pub fn child(&self, name: &str) -> Self {
        self.at(format!("{}/{name}", self.path.trim_end_matches('/')))
    }

    /// The directory it is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (parent, name) = self.path.rsplit_once('/')?;
        (!name.is_empty()).then(|| self.at(if parent.is_empty() { "/".into() } else { parent.to_owned() }))
    }

    /// Its last part; empty for the root.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The places on the way to it, each with its name; the root first.
    pub fn crumbs(&self) -> Vec<(String, Self)> {
        let mut crumbs = vec![("/".to_owned(), self.at("/".into()))];
        let mut path = String::new();
        for part in self.path.split('/').filter(|part| !part.is_empty()) {
            path.push('/');
            path.push_str(part);
            crumbs.push((unit::printable(part), self.at(path.clone())));
        }
        crumbs
    }

    /// Where the agent gives it out; the form as in docs/files.md.
    pub fn address(&self, of: &Subject, form: Form) -> String {
        let mut address = String::from("/files/");
        match of.image.as_ref().filter(|_| self.image) {
            // What is a reference needs no escapes in a path.
            Some(image) => {
                address.push_str(&format!("image/{image}?engine="));
                escape(&of.engine, &mut address);
                address.push('&');
            }
            None => {
                escape(&of.id, &mut address);
                address.push('?');
            }
        }
        address.push_str("path=");
        escape(&self.path, &mut address);
        address.push_str(match form {
            Form::List => "&format=list",
            Form::Tar => "&format=tar",
            Form::File => "&format=file",
        });
        address
    }

    /// What a person would type for the same.
    pub fn commands(&self, of: &Subject) -> Vec<Command> {
        let ours = format!("glasshull files --engine {}", quote(&of.engine));
        let path = quote(&self.path);
        let id = unit::short_id(&of.id);
        let archive = |id: &str| format!("GET /containers/{id}/archive?path={}", unit::printable(&self.path));
        if let Some(image) = of.image.as_ref().filter(|_| self.image) {
            let image = quote(image);
            let made = "of a container that is made of the image, never started, and removed";
            let list = command(
                "what is there in the image",
                format!("{ours} --image {image} {path}"),
                format!("{} {made}", archive("ID")),
            );
            let by_hand = of.cli.as_ref().map(|cli| {
                let make = format!("id=$({cli} create {image} /none)");
                let copy = format!("{cli} cp \"$id\":{path} - | tar -tv");
                command(
                    "the same by hand",
                    format!("{make} && {copy}; {cli} rm \"$id\""),
                    format!("{} {made}", archive("ID")),
                )
            });
            return [Some(list), by_hand].into_iter().flatten().collect();
        }
        let mut lines = vec![command(
            "what is there",
            format!("{ours} {} {path}", quote(id)),
            format!("{}: all that lies below, and the names are kept", archive(&of.id)),
        )];
        if let Some(cli) = &of.cli {
            let whole = quote(&format!("{id}:{}", self.path));
            lines.push(command("copied to here", format!("{cli} cp {whole} ."), archive(&of.id)));
            lines.push(command(
                "all of its files, without its volumes",
                format!("{cli} export {} | tar -tv", quote(id)),
                "nothing: the archive of one path is enough",
            ));
        }
        lines
    }
}

/// Why an entry is not opened and not taken alone; `None` when it can be.
pub fn obstacle(entry: &Entry) -> Option<&'static str> {
    if entry.name_hex.is_some() {
        return Some("its name is no text (UTF-8): take the directory as a tar");
    }
    match entry.kind {
        EntryKind::File | EntryKind::HardLink | EntryKind::Directory | EntryKind::Symlink => None,
        EntryKind::CharacterDevice | EntryKind::BlockDevice => Some("a device: it has no bytes to take"),
        EntryKind::Fifo => Some("a named pipe: its bytes are those that somebody writes into it"),
        EntryKind::Other => Some("neither file nor directory: it has no bytes to take"),
    }
}

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it comes to.
    pub title: &'static str,
    /// In the agent's words; hostile.
    pub text: String,
    /// What helps.
    pub hint: &'static str,
}

impl Failure {
    /// Of an answer that is none.
    pub fn of(fetched: &Fetched) -> Self {
        let (title, hint) = match fetched.status {
            0 => ("The agent does not answer", "it may have ended, or the connection is gone"),
            200..=299 if fetched.broken => ("The transfer broke off", "what came is not all of it"),
            200..=299 => {
                ("The answer is none", "the page and the agent may be of different versions: reload it")
            }
            400 => ("That cannot be done", ""),
            401 => ("The token is asked for", "open the page anew with the address that glasshull printed"),
            403 => ("Not allowed", ""),
            404 => ("Not there", ""),
            413 => ("Too large", "--files-limit of glasshull serve says how much may be taken at once"),
            502 => (
                "The engine has no answer",
                "what was read of it before is still right; its own log may say more",
            ),
            503 => ("Too many at once", ""),
            _ => ("It failed", ""),
        };
        let text = if (200..300).contains(&fetched.status) { String::new() } else { said(&fetched.bytes) };
        Self { title, text, hint }
    }
}

/// The line that a refusal is.
fn said(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).trim().chars().take(2_000).collect();
    unit::printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::Runtime;

    fn subject(image: &str) -> Subject {
        let row = Container {
            name: "web".into(),
            image: Some(image.into()),
            engine: Some("unix:///run/docker.sock".into()),
            runtime: Runtime::Docker,
            ..Container::default()
        };
        Subject::new(&"c0ffee00".repeat(8), &row).unwrap()
    }

    fn place(text: &str) -> Place {
        Place::from_text(Some(text))
    }

    #[test]
    fn a_place_reads_as_written_and_never_lies_above_the_root() {
        assert_eq!(Place::from_text(None), Place { image: false, path: "/".into() });
        for (text, plain) in [("/etc//ssl/", "/etc/ssl"), ("/../..", "/"), ("image:/a/../b", "image:/b")] {
            assert_eq!(place(text).to_text(), plain);
        }
        let deep = place("image:/a/b\n");
        let crumbs: Vec<(String, String)> =
            deep.crumbs().into_iter().map(|(name, at)| (name, at.to_text())).collect();
        let told: Vec<(&str, &str)> = crumbs.iter().map(|(name, at)| (name.as_str(), at.as_str())).collect();
        assert_eq!(told, [("/", "image:/"), ("a", "image:/a"), ("b\\n", "image:/a/b\n")]);
        assert_eq!(deep.parent().map(|up| up.to_text()).as_deref(), Some("image:/a"));
        assert_eq!(place("/a").parent().map(|up| up.path).as_deref(), Some("/"));
        assert_eq!(place("/").parent(), None);
        assert_eq!((place("/").child("x").path, place("/a").child("x").path), ("/x".into(), "/a/x".into()));
    }

    #[test]
    fn no_name_leaves_its_place_in_an_address() {
        let hostile = place("/a b/&format=tar#?%2e\u{202e}<script>\n");
        let address = hostile.address(&subject("alpine:3"), Form::File);
        assert!(address.starts_with("/files/c0ffee"), "{address}");
        assert!(
            address.ends_with("?path=/a+b/%26format%3Dtar%23%3F%252e%E2%80%AE%3Cscript%3E%0A&format=file")
        );
        let image = place("image:/etc").address(&subject("lab:5000/a/b@sha256:00"), Form::List);
        assert_eq!(
            image,
            "/files/image/lab:5000/a/b@sha256:00?engine=unix:///run/docker.sock&path=/etc&format=list"
        );
        assert_eq!(subject("../x?y").image, None);
        let none = Container { name: "found".into(), ..Container::default() };
        assert_eq!(Subject::new("a", &none), None);
    }

    #[test]
    fn commands_quote_what_they_name() {
        let lines: Vec<String> =
            place("/it's/$(id)").commands(&subject("a")).into_iter().map(|line| line.command).collect();
        assert!(lines[0].ends_with(r"c0ffee00c0ff '/it'\''s/$(id)'"), "{}", lines[0]);
        assert!(lines[1].ends_with(r"cp 'c0ffee00c0ff:/it'\''s/$(id)' ."), "{}", lines[1]);
        let lines = place("image:/etc").commands(&subject("a:1"));
        assert!(lines[0].command.contains("--image a:1 /etc"), "{}", lines[0].command);
        assert!(lines[1].command.contains("create a:1 /none") && lines[1].command.ends_with("rm \"$id\""));
    }

    #[test]
    fn every_failure_has_a_name() {
        for (status, broken, title) in [
            (0, false, "The agent does not answer"),
            (200, true, "The transfer broke off"),
            (404, false, "Not there"),
            (413, false, "Too large"),
            (502, false, "The engine has no answer"),
        ] {
            let fetched = Fetched { status, bytes: b"no \x1b[2J\n".to_vec(), whole: true, broken };
            let failure = Failure::of(&fetched);
            assert_eq!(failure.title, title);
            assert!(!failure.text.contains('\x1b'));
        }
    }
}
