//! The strangler router.

pub mod choose;
pub mod cli;
pub mod client;
pub mod config;
pub mod path;
pub mod report;
pub mod snapshot;
pub mod table;
