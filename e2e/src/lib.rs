//! End-to-end parts of Glasshull: [`lab`] makes a real Docker engine with a scene of real containers for the tests,
//! the benchmark and the browser specs, and takes it down again; [`ws`] is a client of the agent, and [`bench`]
//! measures it; [`traffic`] is what is sent between namespaces to be counted, [`mute`] a file system that hangs, [`resolver`] a name server
//! that does what names say. The tests themselves are in `tests/`.

pub mod bench;
pub mod lab;
pub mod mute;
pub mod resolver;
pub mod traffic;
pub mod ws;
