//! The agent's own files that read bytes from outside, taken in by path (the agent is a program, it has no library), and an
//! entry into each for the fuzz targets and the tests over their seeds.
#![allow(dead_code, reason = "a part of each file is what the agent alone calls")]

mod collect;
mod sys;

pub use collect::dns::dns_answer;
pub use collect::network::{dns_message, netlink_dump};
pub use collect::wire::packets::{Seen, wire_packet};
pub use collect::wire::segments::{Told, wire_stream};
