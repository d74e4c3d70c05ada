//! The browser app: receives the agent's frames, holds them, draws them.
//!
//! - [`feed`]: the socket, its back-off and resync.
//! - [`store`]: the mirror of the agent's tables, histories, and the person's choice (kept in the URL).
//! - [`view`]: one file or folder per view; `VIEWS` lists them.
//! - [`widget`]: table, sparkline, meter: they know numbers and strings, no domain.
//! - [`app`]: the frame around the views.
//!
//! Everything compiles for the host too: what is pure is tested there.

pub mod app;
pub mod feed;
pub mod store;
pub mod view;
pub mod widget;
