//! Parts of views that know numbers and strings, no domain.

pub mod badge;
pub mod confirm;
pub mod copy;
pub mod facts;
pub mod filter_box;
pub mod later;
pub mod letters;
pub mod measure;
pub mod meter;
pub mod popover;
pub mod segments;
pub mod shell;
pub mod sparkline;
pub mod table;
