//! Looking into a wire: a packet socket on one link or on all links of a namespace, open while somebody looks.
//!
//! From the socket: packets, taken apart (`packet`), as a line (`summary`), as headers (`detail`), as streams (`follow`, over
//! `conversation`, `stream`, `http`, `dns`), or as a file (`pcapng`). To whoever asked, over bounded channels; what is not
//! allowed to be seen is cut off before it is kept.

mod conversation;
mod detail;
mod dns;
mod follow;
mod http;
mod keep;
mod look;
mod packet;
mod pcapng;
mod place;
mod save;
mod secret;
mod stream;
mod summary;
mod tap;

pub(crate) use look::{Known, look};
pub(crate) use save::{Labels, Reader, save};
pub(crate) use tap::IsOwn;
