//! Stage 3, SEND: what was read and related goes out to browsers, scripts and recordings. The only module that knows
//! axum.
//!
//! [`hub`] takes snapshots and makes frames of them once for all; [`socket`] forwards them to one client; [`guard`]
//! and [`login`] decide who is one; [`asset`] is the app; [`record`] and [`replay`] keep frames and play them; [`wire`] and
//! [`download`] pass on what is seen in a wire; [`dns`] gives a container's names to scripts, [`archive`]
//! its files.

pub(crate) mod archive;
pub(crate) mod hub;
pub(crate) mod record;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod server;
pub(crate) mod wire;

mod asset;
mod dns;
mod download;
mod guard;
mod json;
mod listen;
mod login;
mod socket;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "whatever was not expected fails the test")]
mod test;
mod tick;

use server::Peer;

/// Path of the WebSocket.
const SOCKET: &str = "/ws";
/// Path of the WebSocket of a look into a wire.
const WIRE: &str = "/wire";
/// Path of the same as a file.
const WIRE_FILE: &str = "/wire.pcapng";
/// Path of a container's names as a file.
const NAMES: &str = "/dns/{container}";
/// Path of a container's files.
const FILES: &str = "/files/{container}";
/// Path of an image's files; a reference may hold slashes.
const IMAGE_FILES: &str = "/files/image/{*reference}";
/// Path that says "ok" to whoever supervises the agent.
const HEALTH: &str = "/healthz";
