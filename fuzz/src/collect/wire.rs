//! `backend/src/collect/wire`: what a look makes of the bytes that pass.

#[path = "../../../backend/src/collect/wire/conversation.rs"]
mod conversation;
#[path = "../../../backend/src/collect/wire/detail.rs"]
mod detail;
#[path = "../../../backend/src/collect/wire/dns.rs"]
mod dns;
#[path = "../../../backend/src/collect/wire/follow.rs"]
mod follow;
#[path = "../../../backend/src/collect/wire/http.rs"]
mod http;
#[path = "../../../backend/src/collect/wire/keep.rs"]
mod keep;
#[path = "../../../backend/src/collect/wire/packet.rs"]
mod packet;
#[path = "../../../backend/src/collect/wire/secret.rs"]
mod secret;
#[path = "../../../backend/src/collect/wire/stream.rs"]
mod stream;
#[path = "../../../backend/src/collect/wire/summary.rs"]
mod summary;

pub(crate) mod packets;
pub(crate) mod segments;
