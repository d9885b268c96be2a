//! A switch made by command: what it does to the config file, and what is written down about it.
//!
//! For the admin API and the command line, which bring the request and show the result. [`edit`] makes the new text out of
//! the old one and touches nothing else in it. [`mod@file`] puts the new text in the place of the old one, whole or not at
//! all. [`audit`] is the log that nobody can rewrite unseen. [`plan`] says what a request would do, which is what
//! `banyan plan` prints, and [`perform`] does it, in the order that keeps the log truthful through a crash at any point;
//! [`recover`] is what the next start does about such a crash, and [`late`] is what becomes of entries that the database
//! could not take.
//!
//! Architecture Invariant: the config file is the source of truth. A switch by command is an edit of the file that a
//! person could have made, and nothing that the file does not say is in force.

pub mod audit;
#[cfg(test)]
mod databases;
pub mod edit;
pub mod file;
pub mod late;
mod locate;
mod patch;
pub mod perform;
pub mod plan;
pub mod recover;
mod unread;

use crate::config::Mode;

/// A wish for one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The route's name in the file.
    pub route: String,
    /// Where it is to go.
    pub to: Mode,
}
