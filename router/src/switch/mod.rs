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

use std::fmt;

use serde::Serialize;

use crate::config::Percent;

/// Where a route is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The monolith serves it.
    Monolith,
    /// The monolith serves it, and a sample is compared.
    Shadow,
    /// The service serves this share of its clients.
    Canary(Percent),
    /// The service serves it.
    Service,
}

/// A wish for one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The route's name in the file.
    pub route: String,
    /// Where it is to go.
    pub to: Target,
}

impl Target {
    /// The word that the file uses for the mode.
    pub fn word(self) -> &'static str {
        match self {
            Self::Monolith => "monolith",
            Self::Shadow => "shadow",
            Self::Canary(_) => "canary",
            Self::Service => "service",
        }
    }

    /// The share that the file has beside it, where the mode has one.
    pub fn percent(self) -> Option<Percent> {
        match self {
            Self::Canary(percent) => Some(percent),
            Self::Monolith | Self::Shadow | Self::Service => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canary(percent) => write!(f, "canary {percent} %"),
            other => f.write_str(other.word()),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
